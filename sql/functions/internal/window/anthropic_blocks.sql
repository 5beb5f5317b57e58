-- Messages as blocks of the Anthropic form. Blocks are written anew, field by field, so that nothing that the form does not know passes.

create or replace function kata_data.anthropic_blocks(
  role text, content text, tool_call_id text, tool_calls jsonb, parts jsonb, provider jsonb, is_orphan boolean, version bigint
) returns jsonb
language sql stable
as $$
  select case
    when is_orphan then kata_data.escape_blocks(kata_data.anthropic_orphan(tool_call_id, content, parts, version))
    when role = 'assistant' then case
      when kata_data.has_elements(tool_calls) then kata_data.anthropic_content(role, content, parts, version) || kata_data.tool_uses(tool_calls)
      when provider is null then kata_data.anthropic_content(role, content, parts, version)
      else kata_data.anthropic_answer(content, parts, provider, version)
    end
    when role = 'tool'
      then jsonb_build_array(
        case when provider is null then '{}' else kata_data.anthropic_result_fields(provider) end
        || jsonb_build_object('type', 'tool_result', 'tool_use_id', tool_call_id,
          'content', kata_data.escape_blocks(kata_data.anthropic_content(role, content, parts, version))))
    when role in ('system', 'developer') then kata_data.wrapped_system(content, parts, version)
    -- Only the system opens such tags: those in the words of a user or a tool are escaped.
    else kata_data.escape_blocks(kata_data.anthropic_content(role, content, parts, version))
  end
$$;
comment on function kata_data.anthropic_blocks(text, text, text, jsonb, jsonb, jsonb, boolean, bigint) is
'A message as the blocks of a turn; none if nothing of it is left.';

create or replace function kata_data.anthropic_content(role text, content text, parts jsonb, version bigint) returns jsonb
language sql stable
as $$
  select case
    when kata_data.has_elements(parts) then kata_data.anthropic_parts(role, content, parts, version)
    when kata_data.is_blank(content) then '[]'
    else jsonb_build_array(jsonb_build_object('type', 'text', 'text', content))
  end
$$;
comment on function kata_data.anthropic_content(text, text, jsonb, bigint) is 'The content of a message as blocks: its parts, or else its text.';

create or replace function kata_data.anthropic_parts(role text, content text, parts jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_blocks jsonb;
begin
  select jsonb_agg(p.block order by p.ordinality) into v_blocks
  from (
    select kata_data.anthropic_block(role, e.part, version) as block, e.ordinality
    from jsonb_array_elements(parts) with ordinality e(part, ordinality)
    offset 0
  ) p
  where p.block is not null;
  return coalesce(v_blocks, kata_data.anthropic_content(role, content, null, version));
end
$$;
comment on function kata_data.anthropic_parts(text, text, jsonb, bigint) is 'Parts as blocks; where none is left, the text.';

create or replace function kata_data.anthropic_block(role text, part jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_type text := part ->> 'type';
  v_block jsonb;
begin
  if kata_data.is_text_part(part) then
    return kata_data.anthropic_text(part ->> 'text', part);
  elsif v_type = 'refusal' then
    return kata_data.anthropic_text(part ->> 'refusal', part);
  elsif v_type = 'input_audio' then
    return jsonb_build_object('type', 'text', 'text', '[audio]');
  elsif v_type in ('thinking', 'redacted_thinking', 'reasoning') then
    return case when role = 'assistant' then kata_data.anthropic_thinking(part) end;
  elsif role = 'assistant' then
    v_block := kata_data.anthropic_server_block(part);
  elsif role in ('user', 'tool') then
    v_block := case v_type
      when 'search_result' then kata_data.anthropic_search_result(part)
      when 'container_upload' then case when role = 'user' then kata_data.with_fields(part, '{file_id}', '{cache_control}') end
      when 'tool_reference' then case when role = 'tool' then kata_data.with_fields(part, '{tool_name}', '{cache_control}') end
      else kata_data.anthropic_media(part)
    end;
  end if;
  if v_block is null then
    perform kata_data.refuse_part(part, version, 'anthropic');
  end if;
  return nullif(v_block, '{}');
end
$$;
comment on function kata_data.anthropic_block(text, jsonb, bigint) is
'A part of any form as a block; null for one that is left out: blank text, thinking that is not signed. KC022.';

create or replace function kata_data.with_fields(part jsonb, required text[], optional text[]) returns jsonb
language sql immutable
as $$
  select case when part ?& required then (
    select jsonb_object_agg(f.key, f.value)
    from jsonb_each(part) f
    where f.key = 'type' or f.key = any (required) or (f.key = any (optional) and f.value <> 'null'))
  end
$$;
comment on function kata_data.with_fields(jsonb, text[], text[]) is 'A part with these fields only; null where a required one is missing.';

create or replace function kata_data.anthropic_text(content text, part jsonb) returns jsonb
language sql immutable
as $$
  select case when not kata_data.is_blank(content) then
    jsonb_build_object('type', 'text', 'text', content)
      || case when jsonb_typeof(part -> 'cache_control') = 'object' then jsonb_build_object('cache_control', part -> 'cache_control') else '{}' end
      || case when jsonb_typeof(part -> 'citations') = 'array' then jsonb_build_object('citations', part -> 'citations') else '{}' end
  end
$$;
comment on function kata_data.anthropic_text(text, jsonb) is 'A text in place of a part; null if it is blank.';

create or replace function kata_data.anthropic_thinking(part jsonb) returns jsonb
language sql immutable
as $$
  select case
    when part ->> 'type' = 'thinking' and part ->> 'signature' <> '' and jsonb_typeof(part -> 'thinking') = 'string'
      then kata_data.with_fields(part, '{thinking,signature}', '{}')
    when part ->> 'type' = 'redacted_thinking' and part ->> 'data' <> '' then kata_data.with_fields(part, '{data}', '{}')
  end
$$;
comment on function kata_data.anthropic_thinking(jsonb) is 'Thinking as it was signed; null if it was not.';

create or replace function kata_data.anthropic_server_block(part jsonb) returns jsonb
language sql immutable
as $$
  select case
    when part ->> 'type' = 'server_tool_use' and jsonb_typeof(part -> 'input') = 'object'
      and part ->> 'id' ~ ('^srvtoolu_[a-zA-Z0-9_]+$' collate "C") and part ->> 'name' ~ ('^[a-zA-Z0-9_-]{1,128}$' collate "C")
      then kata_data.with_fields(part, '{id,name,input}', '{cache_control,caller}')
    when part ->> 'type' in ('web_search_tool_result', 'web_fetch_tool_result', 'code_execution_tool_result', 'bash_code_execution_tool_result',
      'text_editor_code_execution_tool_result', 'tool_search_tool_result')
      then kata_data.with_fields(part, '{tool_use_id,content}', '{cache_control,caller}')
  end
$$;
comment on function kata_data.anthropic_server_block(jsonb) is 'A call of a tool that the provider runs, or its result; null for other parts.';

create or replace function kata_data.anthropic_search_result(part jsonb) returns jsonb
language sql stable
as $$
  select case when jsonb_typeof(part -> 'content') = 'array' then
    kata_data.with_fields(part, '{source,title}', '{cache_control,citations}')
      || jsonb_build_object('content', kata_data.anthropic_content('system', null, part -> 'content', null))
  end
$$;
comment on function kata_data.anthropic_search_result(jsonb) is 'A search result as a block.';

create or replace function kata_data.anthropic_media(part jsonb) returns jsonb
language plpgsql immutable
as $$
declare
  v_type text := case when part ->> 'type' in ('image', 'image_url', 'input_image') then 'image'
    when part ->> 'type' in ('document', 'file', 'input_file') then 'document' end;
  v_given jsonb := kata_data.part_source(part);
  v_source jsonb;
  v_title text := coalesce(part ->> 'title', part #>> '{file,filename}', part ->> 'filename');
begin
  v_source := case
    when part #>> '{source,type}' = 'file' and part #>> '{source,file_id}' <> ''
      then jsonb_build_object('type', 'file', 'file_id', part #> '{source,file_id}')
    when v_given ? 'url' then jsonb_build_object('type', 'url', 'url', v_given -> 'url')
    when v_given ->> 'base64' <> ''
      and v_given ->> 'media_type' = any (
        case v_type when 'image' then '{image/jpeg,image/png,image/gif,image/webp}'::text[] else '{application/pdf}' end)
      then jsonb_build_object('type', 'base64', 'media_type', v_given -> 'media_type', 'data', v_given -> 'base64')
    when v_type = 'document' and v_given ? 'text'
      then jsonb_build_object('type', 'text', 'media_type', 'text/plain', 'data', v_given -> 'text')
  end;
  if v_type is null or v_source is null then
    return null;
  elsif v_source ->> 'type' = 'text' and kata_data.is_blank(v_source ->> 'data') then
    return '{}'::jsonb;
  end if;
  return jsonb_build_object('type', v_type, 'source', v_source)
    || case when jsonb_typeof(part -> 'cache_control') = 'object' then jsonb_build_object('cache_control', part -> 'cache_control') else '{}' end
    || case when v_type = 'document' and v_title <> '' then jsonb_build_object('title', v_title) else '{}' end
    || case when v_type = 'document' then jsonb_strip_nulls(jsonb_build_object('context', part -> 'context', 'citations', part -> 'citations')) else '{}' end;
end
$$;
comment on function kata_data.anthropic_media(jsonb) is
'An image or a document of any form as a block; an empty object for a blank document, null where the form has no place for it.';

create or replace function kata_data.anthropic_answer(content text, parts jsonb, provider jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_blocks jsonb;
begin
  v_blocks := kata_data.anthropic_content('assistant', content, parts, version);
  if v_blocks <> '[]' then
    return v_blocks;
  elsif not kata_data.is_blank(provider ->> 'refusal') then
    return jsonb_build_array(jsonb_build_object('type', 'text', 'text', provider ->> 'refusal'));
  elsif jsonb_typeof(provider -> 'audio') = 'object' then
    return '[{"type": "text", "text": "[audio]"}]'::jsonb;
  end if;
  return '[]'::jsonb;
end
$$;
comment on function kata_data.anthropic_answer(text, jsonb, jsonb, bigint) is
'An assistant''s message that calls no tool as blocks; a refusal or a sound in the form of another provider becomes text.';

create or replace function kata_data.anthropic_result_fields(provider jsonb) returns jsonb
language sql immutable
as $$
  select coalesce(jsonb_object_agg(f.key, f.value), '{}')
  from jsonb_each(provider) f
  where case f.key
    when 'is_error' then jsonb_typeof(f.value) = 'boolean'
    when 'cache_control' then jsonb_typeof(f.value) = 'object'
    else f.key = 'toolset_name' and jsonb_typeof(f.value) = 'string'
  end
$$;
comment on function kata_data.anthropic_result_fields(jsonb) is 'The fields of the provider that a tool result may have.';

create or replace function kata_data.anthropic_orphan(tool_call_id text, content text, parts jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
begin
  if kata_data.has_elements(parts) then
    return jsonb_build_array(jsonb_build_object('type', 'text', 'text', kata_data.orphan_text(tool_call_id, null)))
      || kata_data.anthropic_content('user', content, parts, version);
  end if;
  return jsonb_build_array(jsonb_build_object('type', 'text', 'text', kata_data.orphan_text(tool_call_id, content)));
end
$$;
comment on function kata_data.anthropic_orphan(text, text, jsonb, bigint) is 'A tool result whose call is not known as blocks of the user.';

create or replace function kata_data.wrapped_system(content text, parts jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_text text := content;
begin
  if kata_data.has_elements(parts) then
    select string_agg(b.block ->> 'text', E'\n' order by b.ordinality) into v_text
    from jsonb_array_elements(kata_data.anthropic_content('system', content, parts, version)) with ordinality b(block, ordinality);
  end if;
  if kata_data.is_blank(v_text) then
    return '[]'::jsonb;
  end if;
  -- Closing tags in the text are escaped, so that it cannot leave its wrapper.
  return jsonb_build_array(jsonb_build_object('type', 'text', 'text',
    E'<system_message>\n' || regexp_replace(v_text, E'<(\\s*/\\s*system_message)', E'<\\\\\\1', 'gi') || E'\n</system_message>'));
end
$$;
comment on function kata_data.wrapped_system(text, jsonb, bigint) is
'A system message after the preamble as text of the user''s turn, in <system_message> tags; no block if it is blank.';
