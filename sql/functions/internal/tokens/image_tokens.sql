-- Images by their size, where the part or the file's header has it: the dearer of two providers' published formulas, tiles of 512 pixels
-- and one token per 750 pixels. Providers shrink larger images, so none takes more than 1,500.

create or replace function kata_data.image_tokens(image jsonb) returns integer
language plpgsql immutable
as $$
declare
  v_data text := coalesce(
    image #>> '{source,data}', image #>> '{source,url}', image #>> '{image_url,url}', image ->> 'image_url', image ->> 'result');
  v_size integer[];
begin
  if coalesce(image ->> 'detail', image #>> '{image_url,detail}') = 'low' then
    return 85;
  elsif jsonb_typeof(image -> 'width') = 'number' and jsonb_typeof(image -> 'height') = 'number' then
    v_size := array[
      greatest(0, least(floor((image -> 'width')::numeric), 100000)), greatest(0, least(floor((image -> 'height')::numeric), 100000))];
  else
    -- A thumbnail may precede the size, which is in the first 64 kB.
    v_data := substr(v_data, case when left(v_data, 5) = 'data:' then strpos(left(v_data, 200), ',') + 1 else 1 end, 87384);
    v_data := left(v_data, length(v_data) / 4 * 4);
    if v_data ~ ('^[A-Za-z0-9+/]+={0,2}$' collate "C") then
      v_size := kata_data.image_size(decode(v_data, 'base64'));
    end if;
  end if;
  if v_size[1] >= 1 and v_size[2] >= 1 then
    return least(1500, greatest(85 + 170 * ((v_size[1] + 511) / 512) * ((v_size[2] + 511) / 512)::bigint, (v_size[1]::bigint * v_size[2] + 749) / 750));
  end if;
  return 1500;
end
$$;
comment on function kata_data.image_tokens(jsonb) is 'The tokens of an image: by its size where that is known, 85 in low detail, else 1,500.';

create or replace function kata_data.image_size(header bytea) returns integer[]
language plpgsql immutable
as $$
declare
  v_length integer := length(header);
  v_place integer := 2;
begin
  if v_length < 30 then
    return null;
  elsif substr(header, 1, 8) = E'\\x89504e470d0a1a0a' then
    return array[kata_data.number_at(header, '{19,18,17,16}'), kata_data.number_at(header, '{23,22,21,20}')];
  elsif substr(header, 1, 4) = E'\\x47494638' then
    return array[kata_data.number_at(header, '{6,7}'), kata_data.number_at(header, '{8,9}')];
  elsif substr(header, 1, 4) = E'\\x52494646' and substr(header, 9, 4) = E'\\x57454250' then
    -- VP8X, VP8L and VP8 with a space, compared as bytes: those of a damaged file need not be valid text.
    return case substr(header, 13, 4)
      when E'\\x56503858' then array[kata_data.number_at(header, '{24,25,26}') + 1, kata_data.number_at(header, '{27,28,29}') + 1]
      when E'\\x5650384c' then array[
        (kata_data.number_at(header, '{21,22}') & 16383) + 1,
        (((kata_data.number_at(header, '{23,24}') << 2) | (get_byte(header, 22) >> 6)) & 16383) + 1]
      when E'\\x56503820' then array[kata_data.number_at(header, '{26,27}') & 16383, kata_data.number_at(header, '{28,29}') & 16383]
    end;
  elsif substr(header, 1, 2) = E'\\xffd8' then
    -- Segments of a length, until one starts a frame.
    while v_place + 8 < v_length and get_byte(header, v_place) = 255 loop
      if get_byte(header, v_place + 1) between 192 and 207 and get_byte(header, v_place + 1) not in (196, 200, 204) then
        return array[kata_data.number_at(header, array[v_place + 8, v_place + 7]), kata_data.number_at(header, array[v_place + 6, v_place + 5])];
      end if;
      v_place := v_place + 2 + kata_data.number_at(header, array[v_place + 3, v_place + 2]);
    end loop;
  end if;
  return null;
end
$$;
comment on function kata_data.image_size(bytea) is
'Width and height in the header of a PNG, GIF, WebP or JPEG file, at most 100,000 each; null where it has none.';

create or replace function kata_data.number_at(bytes bytea, places integer[]) returns integer
language sql immutable
as $$
  select least(sum(get_byte(bytes, p.place)::bigint << (8 * p.ordinality::integer - 8)), 100000)::integer
  from unnest(places) with ordinality p(place, ordinality)
$$;
comment on function kata_data.number_at(bytea, integer[]) is 'The number in some bytes, the least significant first; at most 100,000.';
