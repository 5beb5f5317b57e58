-- The way of most tool messages: a call while no other is open, and its result. The group is then the only open one, so the maps of
-- the head hold one entry or none, and are known without reading them. Everything else is left to kata_data.append_batch, whose
-- rules these are; calls side by side, too.

create or replace function kata_data.append_tool_message(
  context_id uuid, role text, content text, token_count integer, tool_call_id text, tool_name text, tool_calls jsonb, model text,
  pinned boolean, name text
) returns bigint
language plpgsql volatile
as $$
declare
  v_version bigint;
  v_tokens_through bigint;
  v_created_at timestamptz;
  v_digest bytea;
  v_group bigint;
  v_group_tokens bigint;
  v_oldest_open_group bigint;
  v_open_calls jsonb := '{}';
  v_open_groups jsonb := '{}';
  v_place tid;
begin
  if tool_calls is null then
    if role = 'tool' and tool_call_id <> '' and kata_data.is_plain('user', content, token_count) then
      select h.version + 1, h.raw_tokens + append_tool_message.token_count, h.last_at, h.last_digest, h.oldest_open_group,
        (h.open_groups -> h.oldest_open_group::text)::bigint + append_tool_message.token_count, h.ctid
      into v_version, v_tokens_through, v_created_at, v_digest, v_group, v_group_tokens, v_place
      from kata_data.head h
      where h.context_id = append_tool_message.context_id
        and h.tenant = kata_data.current_tenant()
        and not h.closed
        and not h.notifies
        and h.open_calls = jsonb_build_object(append_tool_message.tool_call_id, h.oldest_open_group)
        -- Nor does the open call hold back a compaction that is due.
        and (h.due_at <= h.last_at
          or h.due_at is null
            and (h.view_tokens + append_tool_message.token_count >= h.due_tokens or h.message_count + 1 >= h.due_messages) is not true)
      for no key update;
    end if;
  elsif tool_call_id is null and role = 'assistant' and kata_data.is_plain(role, coalesce(content, ''), token_count)
    and kata_data.is_usual_call(tool_calls) then
    select h.version + 1, h.raw_tokens + append_tool_message.token_count, h.last_at, h.last_digest, h.version + 1, h.version + 1,
      jsonb_build_object(append_tool_message.tool_calls #>> '{0,id}', h.version + 1),
      jsonb_build_object(h.version + 1, append_tool_message.token_count), h.ctid
    into v_version, v_tokens_through, v_created_at, v_digest, v_group, v_oldest_open_group, v_open_calls, v_open_groups, v_place
    from kata_data.head h
    where h.context_id = append_tool_message.context_id
      and h.tenant = kata_data.current_tenant()
      and not h.closed
      and not h.notifies
      and h.preamble_end is not null
      and h.open_calls = '{}'
      and (h.due_at is not null
        or (h.view_tokens + append_tool_message.token_count >= h.due_tokens or h.message_count + 1 >= h.due_messages) is not true)
    for no key update;
  end if;
  if v_version is null then
    return null;
  end if;

  v_created_at := kata_data.batch_time(v_created_at);
  v_digest := kata_data.message_digest(
    v_digest, context_id, v_version, v_created_at, role, content, token_count, 'given', v_group, pinned,
    kata_data.digest_rest(name, tool_call_id, tool_name, model, tool_calls, null, null, null));
  -- The row is locked: its place holds.
  update kata_data.head h
  set version = v_version,
      message_count = h.message_count + 1,
      raw_tokens = v_tokens_through,
      view_tokens = h.view_tokens + append_tool_message.token_count,
      content_version = v_version,
      last_at = v_created_at,
      last_digest = v_digest,
      open_calls = v_open_calls,
      open_groups = v_open_groups,
      oldest_open_group = v_oldest_open_group
  where h.ctid = v_place;
  insert into kata_data.message (
    segment_id, version, tokens_through, group_version, created_at, oldest_open_group, group_tokens, token_count, pinned,
    role, token_source, digest, content, name, tool_call_id, tool_name, model, tool_calls)
  values (
    append_tool_message.context_id, v_version, v_tokens_through, v_group, v_created_at, v_oldest_open_group, v_group_tokens,
    append_tool_message.token_count, append_tool_message.pinned, append_tool_message.role, 'given', v_digest,
    append_tool_message.content, append_tool_message.name, append_tool_message.tool_call_id, append_tool_message.tool_name,
    append_tool_message.model, append_tool_message.tool_calls);
  return v_version;
end
$$;
comment on function kata_data.append_tool_message(uuid, text, text, integer, text, text, jsonb, text, boolean, text) is
'Appends a call while no other is open, or its result, and returns the version that it took; null, and nothing is done, where it is
another message or the head is in another state: append_batch knows what is to be done then.';

create or replace function kata_data.is_usual_call(tool_calls jsonb) returns boolean
language sql stable
as $$
  select pg_column_size(tool_calls) <= 65536
    and tool_calls @@ 'strict $.size() == 1 && $[0].id != "" && $[0].type == "function" && $[0].function.name != ""
      && $[0].function.arguments.type() == "string" && !exists($[*].** ? (@.type() != "string" && @.type() != "object"))
      && !exists($[*].**{3 to last})'
$$;
comment on function kata_data.is_usual_call(jsonb) is
'Whether tool calls are a single one in the OpenAI chat form with nothing unusual in it, an id of unusual length included, so that
tool_calls_fit need not look closer. Null where it is no array.';
