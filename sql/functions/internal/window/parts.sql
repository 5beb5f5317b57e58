-- Content parts of any provider, read: their text, their image or document. The forms write them anew, field by field, so that nothing
-- that a form does not know passes through.

create or replace function kata_data.is_text_part(part jsonb) returns boolean
language sql immutable
as $$
  select part ->> 'type' in ('text', 'input_text', 'output_text')
$$;
comment on function kata_data.is_text_part(jsonb) is 'Whether a part is text, in any form.';

create or replace function kata_data.media_parts(parts jsonb) returns jsonb
language sql immutable
as $$
  select case when parts is not null then (
    select jsonb_agg(p.part order by p.ordinality)
    from jsonb_array_elements(parts) with ordinality p(part, ordinality)
    where p.part ->> 'type' in ('image_url', 'image', 'input_image', 'file', 'document', 'input_file', 'input_audio'))
  end
$$;
comment on function kata_data.media_parts(jsonb) is 'The images, documents and sounds among some parts; null where there are none.';

create or replace function kata_data.part_source(part jsonb) returns jsonb
language plpgsql immutable
as $$
declare
  v_url text := coalesce(part #>> '{image_url,url}', part ->> 'image_url', part #>> '{file,file_data}', part ->> 'file_data', part ->> 'file_url',
    case part #>> '{source,type}' when 'url' then part #>> '{source,url}' end);
  v_media_type text;
begin
  if part #>> '{source,type}' in ('base64', 'text') then
    return jsonb_build_object('media_type', part #> '{source,media_type}', part #>> '{source,type}', part #> '{source,data}');
  elsif v_url ~~ 'data:%' then
    v_media_type := split_part(substr(left(v_url, 200), 6), ';base64,', 1);
    if length(v_media_type) < least(length(v_url), 200) - 13 then
      return jsonb_build_object('media_type', v_media_type, 'base64', substr(v_url, length(v_media_type) + 14));
    end if;
  elsif v_url ~~ 'https://%' or v_url ~~ 'http://%' then
    return jsonb_build_object('url', v_url);
  end if;
  return null;
end
$$;
comment on function kata_data.part_source(jsonb) is
'Where an image or a document comes from: media_type with base64 or text, or url. Null for anything else, a file that a provider keeps for example.';

create or replace function kata_data.search_result_text(part jsonb) returns text
language sql stable
as $$
  select concat_ws(E'\n', part ->> 'title', part ->> 'source', kata_data.parts_text(part -> 'content'))
$$;
comment on function kata_data.search_result_text(jsonb) is 'A search result as text.';

create or replace function kata_data.refuse_part(part jsonb, version bigint, format text) returns jsonb
language plpgsql stable
as $$
begin
  raise exception using
    errcode = 'KC022',
    message = pg_catalog.format('content cannot be translated into the form %s', format),
    detail = pg_catalog.format('Version %s has a part of type "%s", which the form has no place for.', version, left(part ->> 'type', 100)),
    hint = 'Ask for the form in which the message came, or delete it and append it in another form.';
end
$$;
comment on function kata_data.refuse_part(jsonb, bigint, text) is 'Refuses a part that a form has no place for. KC022.';
