-- Content parts in the OpenAI chat form.

create or replace function kata_data.openai_content(role text, content text, parts jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
begin
  return coalesce(
    case when kata_data.has_elements(parts) then (
      select jsonb_agg(p.sent order by p.ordinality)
      from (
        select kata_data.openai_part(role, e.part, version) as sent, e.ordinality
        from jsonb_array_elements(parts) with ordinality e(part, ordinality)
        offset 0
      ) p
      where p.sent is not null)
    end,
    case when not kata_data.is_blank(content) then to_jsonb(content) end);
end
$$;
comment on function kata_data.openai_content(text, text, jsonb, bigint) is
'The content of a message: its parts, or else its text; null where it is blank.';

create or replace function kata_data.openai_part(role text, part jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_read record := kata_data.read_part(part);
  v_sent jsonb;
begin
  if v_read.kind = 'thinking' then
    return null;
  elsif v_read.kind = 'refusal' and role = 'assistant' then
    return case when not kata_data.is_blank(v_read.words) then jsonb_build_object('type', 'refusal', 'refusal', v_read.words) end;
  elsif v_read.words is not null then
    return kata_data.openai_text(v_read.words, part);
  elsif role = 'tool' and v_read.kind is not null then
    -- A message of the user behind the results has it.
    return null;
  elsif role = 'user' then
    v_sent := kata_data.openai_media(part, v_read.kind, v_read.url, v_read.media_type, v_read.data, v_read.file_id, v_read.title);
  end if;
  return coalesce(v_sent || kata_data.object_field(part, 'prompt_cache_breakpoint'), kata_data.refuse_part(part, version, 'openai'));
end
$$;
comment on function kata_data.openai_part(text, jsonb, bigint) is
'A part of any form in the OpenAI chat form; null for one that is left out: blank text, thinking, media of a result. KC022.';

create or replace function kata_data.openai_text(content text, part jsonb) returns jsonb
language sql stable
as $$
  select case when not kata_data.is_blank(content) then
    jsonb_build_object('type', 'text', 'text', content) || kata_data.object_field(part, 'prompt_cache_breakpoint')
  end
$$;
comment on function kata_data.openai_text(text, jsonb) is 'A text in place of a part; null if it is blank.';

create or replace function kata_data.openai_media(
  part jsonb, kind text, url text, media_type text, data text, file_id text, title text
) returns jsonb
language sql stable
as $$
  select case
    when kind = 'image' and coalesce(url, kata_data.data_url(media_type, data)) is not null then
      jsonb_build_object('type', 'image_url', 'image_url', jsonb_build_object('url', coalesce(url, kata_data.data_url(media_type, data)))
        || case when coalesce(part ->> 'detail', part #>> '{image_url,detail}') in ('auto', 'low', 'high', 'original')
          then jsonb_build_object('detail', coalesce(part ->> 'detail', part #>> '{image_url,detail}')) else '{}' end)
    when kind = 'audio' and data <> '' and media_type in ('audio/wav', 'audio/mp3', 'audio/mpeg') then
      jsonb_build_object('type', 'input_audio', 'input_audio', jsonb_build_object(
        'data', data, 'format', case media_type when 'audio/wav' then 'wav' else 'mp3' end))
    when kind = 'document' and kata_data.data_url(media_type, data) is not null then
      jsonb_build_object('type', 'file', 'file', jsonb_build_object(
        'file_data', kata_data.data_url(media_type, data), 'filename', coalesce(nullif(title, ''), 'document')))
    when kind = 'document' and file_id <> '' then
      jsonb_build_object('type', 'file', 'file', jsonb_build_object('file_id', file_id))
  end
$$;
comment on function kata_data.openai_media(jsonb, text, text, text, text, text, text) is
'An image, a document or a sound of any form as a part of the user; null where the form has no place for it. kind and what follows: as
read_part returns them.';
