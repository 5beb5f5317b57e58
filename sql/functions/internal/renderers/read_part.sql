-- One vocabulary for the parts of all providers. A form writes what it reads here anew, field by field, so that nothing that the form does
-- not know passes through.

create or replace function kata_data.read_part(
  part jsonb, out kind text, out words text, out url text, out media_type text, out data text, out file_id text, out title text
)
language plpgsql immutable
as $$
declare
  v_type text := part ->> 'type';
begin
  if v_type in ('text', 'input_text', 'output_text') then
    kind := 'text';
    words := part ->> 'text';
    return;
  elsif v_type in ('thinking', 'redacted_thinking', 'reasoning') then
    kind := 'thinking';
    return;
  elsif v_type = 'refusal' then
    kind := 'refusal';
    words := part ->> 'refusal';
    return;
  elsif v_type = 'search_result' then
    kind := 'search_result';
    words := kata_data.search_result_text(part);
    return;
  end if;
  select m.kind, m.words, m.url, m.media_type, m.data, m.file_id, m.title into strict kind, words, url, media_type, data, file_id, title
  from kata_data.read_medium(part) m;
end
$$;
comment on function kata_data.read_part(jsonb) is
'What a part of any provider holds.

kind: text, refusal, search_result, thinking, image, document, audio; null for others. words: its text. url, or media_type with data in
base64, or file_id, of OpenAI: where the medium is. title: of a document. A medium without any of them is one that only its own form can name.';

create or replace function kata_data.read_medium(
  part jsonb, out kind text, out words text, out url text, out media_type text, out data text, out file_id text, out title text
)
language plpgsql immutable
as $$
declare
  v_type text := part ->> 'type';
begin
  title := coalesce(nullif(part ->> 'title', ''), part #>> '{file,filename}', part ->> 'filename', part #>> '{inlineData,displayName}');
  case
    when v_type in ('image', 'image_url', 'input_image') then
      kind := 'image';
    when v_type in ('document', 'file', 'input_file') then
      kind := 'document';
    when v_type = 'input_audio' then
      kind := 'audio';
      data := part #>> '{input_audio,data}';
      media_type := 'audio/' || (part #>> '{input_audio,format}');
      return;
    when v_type in ('inline_data', 'file_data') then
      media_type := coalesce(part #>> '{inlineData,mimeType}', part #>> '{fileData,mimeType}');
      kind := case when media_type ~~ 'image/%' then 'image' when media_type ~~ 'audio/%' then 'audio' when media_type !~~ 'video/%' then 'document' end;
      data := part #>> '{inlineData,data}';
      -- Others cannot fetch the files that Google keeps.
      if part #>> '{fileData,fileUri}' ~ ('^https?://(?!generativelanguage[.]googleapis[.]com/)' collate "C") then
        url := part #>> '{fileData,fileUri}';
      end if;
      return;
    else
      return;
  end case;
  if part #>> '{source,type}' in ('text', 'content') then
    words := coalesce(part #>> '{source,data}', case jsonb_typeof(part #> '{source,content}')
      when 'string' then part #>> '{source,content}'
      when 'array' then kata_data.parts_text(part #> '{source,content}') end);
    media_type := 'text/plain';
    return;
  elsif part #>> '{source,type}' = 'base64' then
    media_type := part #>> '{source,media_type}';
    data := part #>> '{source,data}';
    return;
  end if;
  file_id := coalesce(part #>> '{file,file_id}', part ->> 'file_id');
  url := coalesce(part #>> '{image_url,url}', part ->> 'image_url', part #>> '{file,file_data}', part ->> 'file_data', part ->> 'file_url',
    case part #>> '{source,type}' when 'url' then part #>> '{source,url}' end);
  if url ~~ 'data:%' then
    media_type := split_part(substr(left(url, 200), 6), ';base64,', 1);
    if length(media_type) < least(length(url), 200) - 13 then
      data := substr(url, length(media_type) + 14);
    end if;
    url := null;
  elsif url !~* ('^https?://' collate "C") then
    url := null;
  end if;
end
$$;
comment on function kata_data.read_medium(jsonb) is 'What an image, a document or a sound of any provider holds; kind is null for other parts.';

create or replace function kata_data.plain_media_type(media_type text) returns text
language sql immutable
as $$
  select case t.type when 'image/jpg' then 'image/jpeg' else t.type end
  from (select lower(btrim(split_part(media_type, ';', 1)) collate "C") as type) t
$$;
comment on function kata_data.plain_media_type(text) is 'A media type without parameters, in the spelling that all providers take.';

create or replace function kata_data.plain_base64(data text) returns text
language sql immutable
as $$
  select case when strpos(data, E'\n') > 0 then translate(data, E'\r\n', '') else data end
$$;
comment on function kata_data.plain_base64(text) is 'Data in base64 without line breaks, which some encoders put every 76 characters.';

create or replace function kata_data.words_of(parts jsonb, version bigint, format text) returns text
language plpgsql stable
as $$
declare
  v_part record;
  v_words text;
begin
  for v_part in
    select e.part, r.kind, r.words
    from jsonb_array_elements(parts) with ordinality e(part, ordinality)
    cross join lateral kata_data.read_part(e.part) r
    order by e.ordinality
  loop
    if v_part.words is null and v_part.kind is distinct from 'thinking' then
      perform kata_data.refuse_part(v_part.part, version, format);
    elsif not kata_data.is_blank(v_part.words) then
      v_words := concat_ws(E'\n', v_words, v_part.words);
    end if;
  end loop;
  return v_words;
end
$$;
comment on function kata_data.words_of(jsonb, bigint, text) is
'The text of parts in a place that has room for text only, a line break between two; null where there is none. KC022.';
