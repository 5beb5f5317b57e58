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
  v_type text := part ->> 'type';
  v_sent jsonb;
begin
  if kata_data.is_text_part(part) then
    return kata_data.openai_text(part ->> 'text', part);
  elsif v_type = 'refusal' then
    return case
      when role <> 'assistant' then kata_data.openai_text(part ->> 'refusal', part)
      when not kata_data.is_blank(part ->> 'refusal') then jsonb_build_object('type', 'refusal', 'refusal', part ->> 'refusal')
    end;
  elsif v_type in ('thinking', 'redacted_thinking', 'reasoning') then
    return null;
  elsif v_type = 'search_result' then
    return kata_data.openai_text(kata_data.search_result_text(part), part);
  elsif role = 'tool' and kata_data.media_parts(jsonb_build_array(part)) is not null then
    -- A message of the user behind the results has it.
    return null;
  elsif role = 'user' then
    v_sent := kata_data.openai_media(part);
  end if;
  return coalesce(v_sent, kata_data.refuse_part(part, version, 'openai'));
end
$$;
comment on function kata_data.openai_part(text, jsonb, bigint) is
'A part of any form in the OpenAI chat form; null for one that is left out: blank text, thinking, media of a result. KC022.';

create or replace function kata_data.openai_text(content text, part jsonb) returns jsonb
language sql immutable
as $$
  select case when not kata_data.is_blank(content) then
    jsonb_build_object('type', 'text', 'text', content)
      || case when jsonb_typeof(part -> 'prompt_cache_breakpoint') = 'object'
        then jsonb_build_object('prompt_cache_breakpoint', part -> 'prompt_cache_breakpoint')
        else '{}' end
  end
$$;
comment on function kata_data.openai_text(text, jsonb) is 'A text in place of a part; null if it is blank.';

create or replace function kata_data.openai_media(part jsonb) returns jsonb
language plpgsql stable
as $$
declare
  v_source jsonb := kata_data.part_source(part);
  v_url text := coalesce(v_source ->> 'url', format('data:%s;base64,%s', v_source ->> 'media_type', v_source ->> 'base64'));
  v_detail text := coalesce(part ->> 'detail', part #>> '{image_url,detail}');
begin
  case
    when part ->> 'type' in ('image_url', 'image', 'input_image') and v_source is not null and not v_source ? 'text' then
      return jsonb_build_object('type', 'image_url', 'image_url', jsonb_build_object('url', v_url)
        || case when v_detail in ('auto', 'low', 'high', 'original') then jsonb_build_object('detail', v_detail) else '{}' end);
    when part ->> 'type' = 'input_audio' and part #>> '{input_audio,format}' in ('wav', 'mp3') and part #>> '{input_audio,data}' <> '' then
      return jsonb_build_object('type', 'input_audio', 'input_audio', jsonb_build_object(
        'data', part #>> '{input_audio,data}', 'format', part #>> '{input_audio,format}'));
    when part ->> 'type' = 'document' and v_source ? 'text' then
      return kata_data.openai_text(v_source ->> 'text', part);
    when part ->> 'type' in ('file', 'document', 'input_file') and v_source ? 'base64' then
      return jsonb_build_object('type', 'file', 'file', jsonb_build_object(
        'file_data', v_url, 'filename', coalesce(part #>> '{file,filename}', part ->> 'filename', nullif(part ->> 'title', ''), 'document')));
    when part #>> '{file,file_id}' <> '' then
      return jsonb_build_object('type', 'file', 'file', jsonb_build_object('file_id', part #>> '{file,file_id}'));
    else
      return null;
  end case;
end
$$;
comment on function kata_data.openai_media(jsonb) is
'An image, a document or a sound of any form as a part of the user; null where the form has no place for it.';
