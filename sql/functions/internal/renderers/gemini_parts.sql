-- Messages as parts of the Gemini form. Parts are written anew, field by field, so that nothing that the form does not know passes.

create or replace function kata_data.gemini_parts(
  role text, content text, tool_call_id text, tool_calls jsonb, parts jsonb, provider jsonb, is_orphan boolean, answered jsonb, version bigint
) returns jsonb
language sql stable
as $$
  select case
    when role = 'assistant' then kata_data.gemini_answer(content, parts, tool_calls, provider, version)
    when role in ('system', 'developer') then kata_data.gemini_texts(kata_data.wrapped_system(content, parts, version, 'gemini'))
    when is_orphan then kata_data.escape_blocks(jsonb_build_array(jsonb_build_object('text', kata_data.orphan_text(
        tool_call_id, case when kata_data.has_elements(parts) then '' else content end)))
      || case when kata_data.has_elements(parts) then kata_data.gemini_content('user', content, parts, version) else '[]' end)
    when role = 'tool' then jsonb_build_array(kata_data.gemini_response(content, tool_call_id, parts, provider, answered, version))
    else kata_data.escape_blocks(kata_data.gemini_content(role, content, parts, version))
  end
$$;
comment on function kata_data.gemini_parts(text, text, text, jsonb, jsonb, jsonb, boolean, jsonb, bigint) is
'A message as the parts of a content; none if nothing of it is left.

answered: of a result, the call that it answers, as prompt_messages has it.';

create or replace function kata_data.gemini_content(role text, content text, parts jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_parts jsonb;
begin
  if kata_data.has_elements(parts) then
    select jsonb_agg(p.sent order by p.ordinality) into v_parts
    from (
      select kata_data.gemini_part(role, e.part, version) as sent, e.ordinality
      from jsonb_array_elements(parts) with ordinality e(part, ordinality)
      offset 0
    ) p
    where p.sent is not null;
  end if;
  return coalesce(v_parts, kata_data.gemini_texts(content));
end
$$;
comment on function kata_data.gemini_content(text, text, jsonb, bigint) is
'The content of a message as parts of the form: its parts, or where none is left its text.';

create or replace function kata_data.gemini_texts(content text) returns jsonb
language sql stable
as $$
  select case when kata_data.is_blank(content) then '[]' else jsonb_build_array(jsonb_build_object('text', content)) end
$$;
comment on function kata_data.gemini_texts(text) is 'A text as parts: one, or none if it is blank.';

create or replace function kata_data.gemini_part(role text, part jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_read record := kata_data.read_part(part);
  v_sent jsonb := kata_data.gemini_own_part(role, part);
begin
  if v_read.kind = 'thinking' then
    return case when role = 'assistant' then nullif(v_sent, '{}') end;
  elsif v_read.words is not null then
    v_sent := case when kata_data.is_blank(v_read.words) then '{}' else jsonb_build_object('text', v_read.words) end;
  elsif v_sent is null and role = 'user' then
    v_sent := kata_data.gemini_media(v_read.kind, v_read.url, v_read.media_type, v_read.data);
  elsif v_sent is null and v_read.kind = 'audio' then
    v_sent := '{"text": "[audio]"}';
  end if;
  if v_sent is null then
    perform kata_data.refuse_part(part, version, 'gemini');
  elsif v_sent <> '{}' and part ->> 'thoughtSignature' <> '' then
    v_sent := v_sent || jsonb_build_object('thoughtSignature', part -> 'thoughtSignature');
  end if;
  return nullif(v_sent, '{}');
end
$$;
comment on function kata_data.gemini_part(text, jsonb, bigint) is
'A part of any form in the Gemini form; null for one that is left out: blank text, thinking of others. KC022.';

create or replace function kata_data.gemini_own_part(role text, part jsonb) returns jsonb
language sql stable
as $$
  select case
    when part ->> 'type' = 'thinking' and part -> 'thought' = 'true' then
      case when kata_data.is_blank(part ->> 'thinking') then '{}' else jsonb_build_object('text', part -> 'thinking', 'thought', true)
        || case when part ->> 'thoughtSignature' <> '' then jsonb_build_object('thoughtSignature', part -> 'thoughtSignature') else '{}' end end
    when role not in ('user', 'assistant') then null
    when part ->> 'type' = 'inline_data' then
      kata_data.gemini_field('inlineData', part -> 'inlineData', '{mimeType,data}', '{displayName}') || kata_data.gemini_media_fields(part)
    when part ->> 'type' = 'file_data' then
      kata_data.gemini_field('fileData', part -> 'fileData', '{fileUri}', '{mimeType,displayName}') || kata_data.gemini_media_fields(part)
    when role = 'assistant' then case part ->> 'type'
      when 'executable_code' then kata_data.gemini_field('executableCode', part -> 'executableCode', '{code,language}', '{}')
      when 'code_execution_result' then kata_data.gemini_field('codeExecutionResult', part -> 'codeExecutionResult', '{outcome}', '{output}')
      when 'tool_call' then kata_data.gemini_field('toolCall', part -> 'toolCall', '{toolType}', '{id,args}')
      when 'tool_response' then kata_data.gemini_field('toolResponse', part -> 'toolResponse', '{toolType}', '{id,response}')
    end
  end
$$;
comment on function kata_data.gemini_own_part(text, jsonb) is
'A part that came in the Gemini form, as it came; an empty object for a blank thought, null for parts of others.';

create or replace function kata_data.gemini_field(name text, value jsonb, required text[], optional text[]) returns jsonb
language sql stable
as $$
  select jsonb_build_object(name, f.fields - 'type')
  from (select kata_data.with_fields(value, required, optional) as fields) f
  where f.fields is not null
$$;
comment on function kata_data.gemini_field(text, jsonb, text[], text[]) is
'A part with one field, whose value has these fields only; null where a required one is missing.';

create or replace function kata_data.gemini_media_fields(part jsonb) returns jsonb
language sql immutable
as $$
  select coalesce(jsonb_object_agg(f.key, f.value), '{}')
  from jsonb_each(part) f
  where f.key in ('videoMetadata', 'mediaResolution')
    and jsonb_typeof(f.value) = 'object'
$$;
comment on function kata_data.gemini_media_fields(jsonb) is 'The fields that a part of media may have beside its data.';

create or replace function kata_data.gemini_media(kind text, url text, media_type text, data text) returns jsonb
language sql stable
as $$
  select case
    when kind not in ('image', 'document', 'audio') then null
    when data <> '' and media_type <> '' then jsonb_build_object('inlineData', jsonb_build_object(
      'mimeType', kata_data.plain_media_type(media_type), 'data', kata_data.plain_base64(data)))
    when url is not null then jsonb_build_object('fileData', jsonb_strip_nulls(jsonb_build_object(
      'fileUri', url, 'mimeType', case lower(substring(url, '[.]([A-Za-z]+)(?:[?#].*)?$' collate "C") collate "C")
        when 'png' then 'image/png' when 'gif' then 'image/gif' when 'webp' then 'image/webp' when 'jpg' then 'image/jpeg'
        when 'jpeg' then 'image/jpeg' when 'pdf' then 'application/pdf' end)))
  end
$$;
comment on function kata_data.gemini_media(text, text, text, text) is
'An image, a document or a sound of another form; null where only that can name it. Arguments: as read_part returns them.';

create or replace function kata_data.gemini_answer(content text, parts jsonb, tool_calls jsonb, provider jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_parts jsonb;
begin
  if parts is null and tool_calls is null and provider is null then
    return kata_data.gemini_texts(content);
  end if;
  select jsonb_agg(e.sent order by e.ordinality) into v_parts
  from (
    select t.ordinality, case when t.part is null then kata_data.gemini_call(t.call) else kata_data.gemini_part('assistant', t.part, version) end as sent
    from kata_data.turn_entries(content, parts, tool_calls) with ordinality t(part, call, ordinality)
    offset 0
  ) e
  where e.sent is not null;
  return coalesce(v_parts, nullif(kata_data.gemini_texts(content), '[]'), kata_data.gemini_texts(kata_data.words_beside(provider)));
end
$$;
comment on function kata_data.gemini_answer(text, jsonb, jsonb, jsonb, bigint) is
'An assistant''s message as parts; a refusal or a sound beside it becomes text where nothing else is left.';

create or replace function kata_data.gemini_call(call jsonb) returns jsonb
language sql stable
as $$
  select jsonb_build_object('functionCall', jsonb_build_object(
      'name', call #> '{function,name}', 'args', kata_data.tool_input(call #>> '{function,arguments}'))
    || case when call #> '{gemini,made_id}' = 'true' then '{}' else jsonb_build_object('id', call -> 'id') end)
    || case when call #>> '{gemini,thoughtSignature}' <> ''
      then jsonb_build_object('thoughtSignature', call #> '{gemini,thoughtSignature}') else '{}' end
$$;
comment on function kata_data.gemini_call(jsonb) is 'A call as a part. One that came without an id goes without.';

create or replace function kata_data.gemini_response(
  content text, tool_call_id text, parts jsonb, provider jsonb, answered jsonb, version bigint
) returns jsonb
language plpgsql stable
as $$
declare
  v_text text := content;
  v_media jsonb;
  v_object jsonb;
begin
  if kata_data.has_elements(parts) then
    v_media := kata_data.gemini_result_media(parts);
    v_text := coalesce(kata_data.words_of(kata_data.without_media(parts), version, 'gemini'), content, '');
  end if;
  if provider ->> 'response_key' is null then
    v_object := kata_data.gemini_object(v_text);
  end if;
  return jsonb_build_object('functionResponse', jsonb_build_object('name', answered -> 'name', 'response', coalesce(
      v_object, kata_data.escape_strings(jsonb_build_object(coalesce(provider ->> 'response_key', 'output'), v_text), '{}')))
    || case when answered -> 'made_id' = 'true' then '{}' else jsonb_build_object('id', tool_call_id) end
    || case when v_media is null then '{}' else jsonb_build_object('parts', kata_data.escape_blocks(v_media)) end);
end
$$;
comment on function kata_data.gemini_response(text, text, jsonb, jsonb, jsonb, bigint) is
'The result of a call as a part: an object as it is, a text under the key that it came with, or output.';

create or replace function kata_data.gemini_object(content text) returns jsonb
language plpgsql stable
as $$
declare
  v_object jsonb;
begin
  if content ~ (E'^\\s*\\{' collate "C") then
    v_object := kata_data.read_json(content);
  end if;
  if jsonb_typeof(v_object) <> 'object' then
    return null;
  end if;
  return kata_data.escape_strings(v_object, '{}');
end
$$;
comment on function kata_data.gemini_object(text) is 'A result that is a JSON object, the system tags in it escaped; null for other text.';

create or replace function kata_data.gemini_result_media(parts jsonb) returns jsonb
language sql immutable
as $$
  select case when kata_data.has_elements(parts) then (
    select jsonb_agg(case e.part ->> 'type'
      when 'inline_data' then kata_data.gemini_field('inlineData', e.part -> 'inlineData', '{mimeType,data}', '{displayName}')
      else kata_data.gemini_field('fileData', e.part -> 'fileData', '{fileUri}', '{mimeType,displayName}') end order by e.ordinality)
    from jsonb_array_elements(parts) with ordinality e(part, ordinality)
    where e.part ->> 'type' in ('inline_data', 'file_data')) end
$$;
comment on function kata_data.gemini_result_media(jsonb) is
'The media of a result that came in the Gemini form; those of others follow the results (media_parts).';
