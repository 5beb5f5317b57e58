-- The OpenAI chat form. Messages leave as they came, less what the form does not know and what is blank.

create or replace function kata_data.openai_1(
  rows kata_data.prompt_row[], system text, thinking text, hidden int8multirange default null, kind text default null
) returns jsonb
language plpgsql immutable
as $$
declare
  v_kind text := coalesce(kind, kata_data.usual_kind(rows, 'openai'));
begin
  if v_kind <> 'general' and system <> 'joined' then
    return kata_data.usual_openai_prompt(rows, v_kind);
  end if;
  return kata_data.openai_prompt(kata_data.prepared_rows(
    rows, 'openai', case when thinking = 'drop' then '{(,)}'::int8multirange else hidden end), system);
end
$$;
comment on function kata_data.openai_1(kata_data.prompt_row[], text, text, int8multirange, text) is
'Renderer 1 of the OpenAI chat form.

hidden: versions whose thinking does not go out; null for none. kind: what usual_kind has for these rows, or for others that they are some
groups of; null to look.';

create or replace function kata_data.openai_text_1(
  rows kata_data.prompt_row[], system text, thinking text, hidden int8multirange, kind text
) returns text
language plpgsql immutable
as $$
declare
  v_kind text := coalesce(kind, kata_data.usual_kind(rows, 'openai'));
begin
  -- A body is text: its messages need not become jsonb first.
  if v_kind <> 'general' and system <> 'joined' then
    return kata_data.usual_openai_text(rows, v_kind);
  end if;
  return kata_data.openai_1(rows, system, thinking, hidden, v_kind)::text;
end
$$;
comment on function kata_data.openai_text_1(kata_data.prompt_row[], text, text, int8multirange, text) is
'What openai_1 makes, as text.';

create or replace function kata_data.openai_prompt(rows kata_data.prompt_row[], system text) returns jsonb
language plpgsql stable
as $$
declare
  v_messages jsonb;
begin
  select coalesce(jsonb_agg(m.sent order by m.group_position, m.place, m.ordinality, m.version) filter (where m.sent is not null), '[]')
  into v_messages
  from (
    select m.group_position, m.place, m.ordinality, m.version,
      kata_data.openai_message(m.role, m.content, m.name, m.tool_call_id, m.tool_calls, m.parts, m.provider, m.is_orphan, m.version) as sent
    from kata_data.prompt_messages(openai_prompt.rows, 'openai') m
    offset 0
  ) m;
  return kata_data.limit_marks(case when system = 'joined' then kata_data.joined_systems(v_messages) else v_messages end, 'prompt_cache_breakpoint');
end
$$;
comment on function kata_data.openai_prompt(kata_data.prompt_row[], text) is 'A prompt in the OpenAI chat form.';

create or replace function kata_data.openai_message(
  role text, content text, name text, tool_call_id text, tool_calls jsonb, parts jsonb, provider jsonb, is_orphan boolean, version bigint
) returns jsonb
language sql stable
as $$
  select case
    -- Most messages: one object, without another to add to it.
    when provider is null and name is null and parts is null and not is_orphan then case
      when kata_data.has_elements(tool_calls) then jsonb_build_object(
        'role', role, 'content', case when not kata_data.is_blank(content) then content end, 'tool_calls', tool_calls)
      when tool_call_id is not null then jsonb_build_object(
        'role', role, 'content', case when kata_data.is_blank(content) then '[empty]' else content end, 'tool_call_id', tool_call_id)
      when not kata_data.is_blank(content) then jsonb_build_object('role', role, 'content', content)
    end
    when is_orphan then jsonb_build_object('role', 'user', 'content', kata_data.openai_orphan(tool_call_id, content, parts, version))
    else kata_data.openai_rich_message(role, content, name, tool_call_id, tool_calls, parts, provider, version)
  end
$$;
comment on function kata_data.openai_message(text, text, text, text, jsonb, jsonb, jsonb, boolean, bigint) is
'A message in the OpenAI chat form; null if nothing of it is left.';

create or replace function kata_data.openai_rich_message(
  role text, content text, name text, tool_call_id text, tool_calls jsonb, parts jsonb, provider jsonb, version bigint
) returns jsonb
language plpgsql stable
as $$
declare
  v_content jsonb;
  v_fields jsonb := case when role = 'assistant' and provider is not null then kata_data.openai_fields(provider) else '{}' end;
begin
  v_content := kata_data.openai_content(role, content, parts, version);
  if role = 'tool' then
    v_content := coalesce(v_content, to_jsonb(case when kata_data.media_parts(parts, 'openai') is null then '[empty]'::text else '[in the next message]' end));
  elsif v_content is null and not kata_data.has_elements(tool_calls) and not v_fields ?| '{refusal,audio,function_call}' then
    return null;
  end if;
  return v_fields || jsonb_build_object('role', role, 'content', v_content)
    || case when name <> '' then jsonb_build_object('name', left(regexp_replace(name, E'[\\s<|\\\\/>]' collate "C", '_', 'g'), 64)) else '{}' end
    || case when kata_data.has_elements(tool_calls) then jsonb_build_object('tool_calls', tool_calls) else '{}' end
    || case when tool_call_id is not null then jsonb_build_object('tool_call_id', tool_call_id) else '{}' end;
end
$$;
comment on function kata_data.openai_rich_message(text, text, text, text, jsonb, jsonb, jsonb, bigint) is
'A message with a name, parts or fields of the provider in the OpenAI chat form; null if nothing of it is left.';

create or replace function kata_data.openai_fields(provider jsonb) returns jsonb
language sql stable
as $$
  select coalesce(jsonb_object_agg(f.key, case f.key
      when 'audio' then jsonb_build_object('id', f.value -> 'id')
      when 'function_call' then jsonb_build_object('name', f.value -> 'name', 'arguments', f.value -> 'arguments')
      else f.value
    end), '{}')
  from jsonb_each(provider) f
  where case f.key
    when 'audio' then jsonb_typeof(f.value -> 'id') = 'string'
    when 'function_call' then jsonb_typeof(f.value -> 'name') = 'string' and jsonb_typeof(f.value -> 'arguments') = 'string'
    when 'annotations' then jsonb_typeof(f.value) = 'array'
    when 'reasoning_details' then jsonb_typeof(f.value) = 'array'
    else f.key in ('refusal', 'reasoning_content', 'reasoning') and jsonb_typeof(f.value) = 'string' and not kata_data.is_blank(f.value #>> '{}')
  end
$$;
comment on function kata_data.openai_fields(jsonb) is
'The fields of a provider that an assistant''s message in the OpenAI chat form may have. Those that only compatible servers know are among them.';

create or replace function kata_data.openai_orphan(tool_call_id text, content text, parts jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_content jsonb;
begin
  v_content := kata_data.openai_content('user', content, parts, version);
  if jsonb_typeof(v_content) = 'array' then
    return jsonb_build_array(jsonb_build_object('type', 'text', 'text', kata_data.orphan_text(tool_call_id, ''))) || v_content;
  end if;
  return to_jsonb(kata_data.orphan_text(tool_call_id, content));
end
$$;
comment on function kata_data.openai_orphan(text, text, jsonb, bigint) is 'The content of a tool result whose call is not known, as a message of the user.';

create or replace function kata_data.orphan_text(tool_call_id text, content text) returns text
language sql stable
as $$
  -- An id with brackets or line breaks would end its place and speak for itself.
  select format('[result of call %s]', left(regexp_replace(tool_call_id, '[^a-zA-Z0-9_.:/ -]' collate "C", '_', 'g'), 64))
    || case when kata_data.is_blank(content) then '' else ' ' || content end
$$;
comment on function kata_data.orphan_text(text, text) is 'A tool result whose call is not known, as text.';
