-- Messages as blocks of the Anthropic form. Blocks are written anew, field by field, so that nothing that the form does not know passes.

create or replace function kata_data.anthropic_blocks(
  role text, content text, tool_call_id text, tool_calls jsonb, parts jsonb, provider jsonb, is_orphan boolean, version bigint
) returns jsonb
language sql stable
as $$
  select case
    when is_orphan then kata_data.escape_blocks(kata_data.anthropic_orphan(tool_call_id, content, parts, version))
    when role = 'assistant' then case
      when kata_data.has_elements(tool_calls) then kata_data.anthropic_calls(content, parts, tool_calls, version)
      when provider is null then kata_data.anthropic_content(role, content, parts, version)
      else kata_data.anthropic_answer(content, parts, provider, version)
    end
    when role = 'tool'
      then jsonb_build_array(
        case when provider is null then '{}' else kata_data.anthropic_result_fields(provider) end
        || jsonb_build_object('type', 'tool_result', 'tool_use_id', tool_call_id,
          'content', kata_data.escape_blocks(kata_data.anthropic_content(role, content, parts, version), true)))
    when role in ('system', 'developer') then kata_data.text_blocks(kata_data.wrapped_system(content, parts, version, 'anthropic'))
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
    else kata_data.text_blocks(content)
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
  v_read record := kata_data.read_part(part);
  v_block jsonb;
begin
  if v_read.kind in ('text', 'refusal') then
    return kata_data.anthropic_text(v_read.words, part);
  elsif v_read.kind = 'audio' then
    return kata_data.text_block('[audio]');
  elsif v_read.kind = 'thinking' then
    return case when role = 'assistant' then kata_data.anthropic_thinking(part) end;
  elsif role = 'assistant' then
    v_block := kata_data.anthropic_server_block(part);
  elsif role in ('user', 'tool') then
    v_block := case part ->> 'type'
      when 'search_result' then kata_data.anthropic_search_result(part)
      when 'container_upload' then case when role = 'user' then kata_data.with_fields(part, '{file_id}', '{cache_control}') end
      when 'tool_reference' then case when role = 'tool' then kata_data.with_fields(part, '{tool_name}', '{cache_control}') end
      else kata_data.anthropic_media(part, v_read.kind, v_read.words, v_read.url, v_read.media_type, v_read.data, v_read.title)
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

create or replace function kata_data.text_block(content text) returns jsonb
language sql stable
as $$
  select jsonb_build_object('type', 'text', 'text', content)
$$;
comment on function kata_data.text_block(text) is 'A text as a block.';

create or replace function kata_data.text_blocks(content text) returns jsonb
language sql stable
as $$
  select case when kata_data.is_blank(content) then '[]' else jsonb_build_array(kata_data.text_block(content)) end
$$;
comment on function kata_data.text_blocks(text) is 'A text as blocks: one, or none if it is blank.';

create or replace function kata_data.anthropic_text(content text, part jsonb) returns jsonb
language sql stable
as $$
  select case when not kata_data.is_blank(content) then
    kata_data.text_block(content) || kata_data.object_field(part, 'cache_control')
      || kata_data.sent_citations(part -> 'citations')
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
      then kata_data.with_fields(part, '{id,name,input}', '{cache_control}') || kata_data.sent_caller(part, 'anthropic')
    when part ->> 'type' in ('web_search_tool_result', 'web_fetch_tool_result', 'code_execution_tool_result', 'bash_code_execution_tool_result',
      'text_editor_code_execution_tool_result', 'tool_search_tool_result')
      then kata_data.with_fields(part, '{tool_use_id,content}', '{cache_control}') || kata_data.sent_caller(part, 'anthropic')
  end
$$;
comment on function kata_data.anthropic_server_block(jsonb) is 'A call of a tool that the provider runs, or its result; null for other parts.';

create or replace function kata_data.anthropic_search_result(part jsonb) returns jsonb
language sql stable
as $$
  select case when jsonb_typeof(part -> 'content') = 'array' then
    kata_data.with_fields(part, '{source,title}', '{cache_control}') || kata_data.sent_citing(part)
      || jsonb_build_object('content', kata_data.anthropic_content('system', null, part -> 'content', null))
  end
$$;
comment on function kata_data.anthropic_search_result(jsonb) is 'A search result as a block.';

create or replace function kata_data.anthropic_media(
  part jsonb, kind text, words text, url text, media_type text, data text, title text
) returns jsonb
language plpgsql stable
as $$
declare
  v_type text := kata_data.plain_media_type(media_type);
  v_source jsonb;
begin
  if kind = 'document' and kata_data.is_blank(words) and words is not null then
    return '{}'::jsonb;
  end if;
  v_source := case
    when part #>> '{source,type}' = 'file' and part #>> '{source,file_id}' <> ''
      then jsonb_build_object('type', 'file', 'file_id', part #> '{source,file_id}')
    when url is not null then jsonb_build_object('type', 'url', 'url', url)
    when data <> '' and v_type = any (
        case kind when 'image' then '{image/jpeg,image/png,image/gif,image/webp}'::text[] else '{application/pdf}' end)
      then jsonb_build_object('type', 'base64', 'media_type', v_type, 'data', kata_data.plain_base64(data))
    when jsonb_typeof(part #> '{source,content}') = 'array'
      then jsonb_build_object('type', 'content', 'content', kata_data.anthropic_content('user', null, part #> '{source,content}', null))
    when words is not null then jsonb_build_object('type', 'text', 'media_type', 'text/plain', 'data', words)
  end;
  if v_source is null or kind not in ('image', 'document') or kind is null then
    return null;
  end if;
  return jsonb_build_object('type', kind, 'source', v_source) || kata_data.object_field(part, 'cache_control')
    || case when kind = 'document' and title <> '' then jsonb_build_object('title', title) else '{}' end
    || case when kind = 'document' then kata_data.sent_citing(part) else '{}' end
    || case when kind = 'document' and part ->> 'context' <> '' then jsonb_build_object('context', part -> 'context') else '{}' end;
end
$$;
comment on function kata_data.anthropic_media(jsonb, text, text, text, text, text, text) is
'An image or a document of any form as a block; an empty object for a blank document, null where the form has no place for it. kind and what
follows: as read_part returns them.';

create or replace function kata_data.anthropic_calls(content text, parts jsonb, tool_calls jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_blocks jsonb;
begin
  select jsonb_agg(e.block order by e.ordinality) into v_blocks
  from (
    select t.ordinality, case when t.part is null then kata_data.tool_use(t.call) else kata_data.anthropic_block('assistant', t.part, version) end as block
    from kata_data.turn_entries(content, parts, tool_calls) with ordinality t(part, call, ordinality)
    offset 0
  ) e
  where e.block is not null;
  -- A turn does not end with thinking.
  while v_blocks #>> '{-1,type}' in ('thinking', 'redacted_thinking') loop
    v_blocks := v_blocks - -1;
  end loop;
  return v_blocks;
end
$$;
comment on function kata_data.anthropic_calls(text, jsonb, jsonb, bigint) is 'An assistant''s message that calls tools as blocks, in the order in which they came.';

create or replace function kata_data.anthropic_answer(content text, parts jsonb, provider jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_blocks jsonb;
begin
  v_blocks := kata_data.anthropic_content('assistant', content, parts, version);
  if v_blocks <> '[]' then
    return v_blocks;
  end if;
  return kata_data.text_blocks(kata_data.words_beside(provider));
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
language sql stable
as $$
  select case
    when kata_data.has_elements(parts) then jsonb_build_array(kata_data.text_block(kata_data.orphan_text(tool_call_id, null)))
      || kata_data.anthropic_content('user', content, parts, version)
    else jsonb_build_array(kata_data.text_block(kata_data.orphan_text(tool_call_id, content)))
  end
$$;
comment on function kata_data.anthropic_orphan(text, text, jsonb, bigint) is 'A tool result whose call is not known as blocks of the user.';
