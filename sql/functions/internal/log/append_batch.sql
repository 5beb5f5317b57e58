-- The write path: append, append_message and close_calls end here, but for text, single calls and their results with a token count,
-- which append_message writes itself by the same rules.
--
-- Locks the head of the context, so versions are dense and totals exact under any number of writers. Reads nothing else of
-- the log: what the next message needs to know of the past (totals, open calls, last digest) is in the head, which moves
-- along with the batch and is written back once. The cost is that of the batch, however long the log.

create or replace function kata_data.append_batch(
  context_id uuid,
  drafts kata_data.message[],
  expected_version bigint,
  idempotency_key text
) returns bigint
language plpgsql volatile
as $$
declare
  v_head record;
  v_first_version bigint;
  v_known bigint;
  v_draft kata_data.message;
  v_is_sound boolean;
  v_group bigint;
  v_group_tokens bigint;
  v_had_open_calls boolean;
  v_due_changes boolean;
begin
  -- As kata_data.lock_context, which takes 9 µs to hand out a whole head.
  select h.version, h.raw_tokens, h.content_version, h.preamble_end, h.last_at, h.last_digest, h.open_calls, h.open_groups,
    h.oldest_open_group, h.tokenizer, h.closed, h.is_strict, h.notifies
  into v_head
  from kata_data.head h
  where h.context_id = append_batch.context_id
    and h.tenant = kata_data.current_tenant()
  for no key update;
  if v_head.closed is not false then
    perform kata_data.check_access(context_id, 'write');
  end if;

  v_first_version := v_head.version + 1;
  if idempotency_key is not null or expected_version is not null then
    v_known := kata_data.check_request(
      context_id, drafts, expected_version, idempotency_key, v_first_version, v_head.content_version);
    if v_known is not null then
      return v_known;
    end if;
  end if;

  v_had_open_calls := v_head.open_calls <> '{}';
  v_head.last_at := kata_data.batch_time(v_head.last_at);
  foreach v_draft in array drafts loop
    -- What most messages are needs no closer look: text, a tool's result, calls. One condition each, because the functions of
    -- a condition cost anew in every transaction, reached or not.
    v_is_sound := false;
    if v_draft.parts is null and v_draft.provider is null and v_draft.metadata is null and v_draft.token_source is null then
      if v_draft.tool_call_id is null and v_draft.tool_calls is null then
        v_is_sound := kata_data.is_plain(v_draft.role, v_draft.content, v_draft.token_count);
      elsif v_draft.tool_calls is null then
        v_is_sound := v_draft.role = 'tool' and v_draft.tool_call_id <> '' and kata_data.is_plain('user', v_draft.content, v_draft.token_count);
      elsif v_draft.tool_call_id is null then
        v_is_sound := v_draft.role = 'assistant' and kata_data.is_plain('assistant', coalesce(v_draft.content, ''), v_draft.token_count)
          and v_draft.tool_calls <> '[]' and kata_data.tool_calls_fit(v_draft.tool_calls);
      end if;
    end if;
    if v_is_sound is not true then
      if kata_data.message_problem(v_draft) is not null then
        raise exception using
          errcode = 'KC004',
          message = format('message %s of the batch is invalid', v_head.version - v_first_version + 2),
          detail = kata_data.message_problem(v_draft),
          hint = 'Nothing was appended: correct the message and append the batch again.';
      end if;
      if v_draft.content is null and v_draft.parts is not null then
        v_draft.content := kata_data.parts_text(v_draft.parts);
      end if;
    end if;
    if v_draft.token_count is null then
      v_draft.token_count := kata_data.message_tokens(v_draft.content, v_draft.tool_calls, v_draft.parts, v_head.tokenizer);
      v_draft.token_source := 'estimate';
    end if;

    v_head.version := v_head.version + 1;
    v_head.raw_tokens := v_head.raw_tokens + v_draft.token_count;
    v_group := v_head.version;
    v_group_tokens := null;
    if v_draft.tool_call_id is not null then
      if v_head.open_calls ? v_draft.tool_call_id then
        v_group := v_head.open_calls -> v_draft.tool_call_id;
        v_group_tokens := (v_head.open_groups -> v_group::text)::bigint + v_draft.token_count;
        v_head.open_calls := v_head.open_calls - v_draft.tool_call_id;
        v_head.open_groups := kata_data.open_groups_after(v_head.open_groups, v_head.open_calls, v_group, v_group_tokens);
        if v_group = v_head.oldest_open_group and not v_head.open_groups ? v_group::text then
          v_head.oldest_open_group := kata_data.oldest_group(v_head.open_groups);
        end if;
      elsif v_head.is_strict then
        raise exception using
          errcode = 'KC005',
          message = format('message %s of the batch answers no open call', v_head.version - v_first_version + 1),
          detail = format('No call "%s" is open: it was never made on this path, or it is answered already.', left(v_draft.tool_call_id, 100)),
          hint = 'Append the assistant message with the call first; kata.get_context lists the open calls.';
      end if;
    elsif v_draft.tool_calls is not null then
      if v_draft.tool_calls <> '[]' then
        v_head.open_calls := kata_data.open_calls_with(v_head.open_calls, v_draft.tool_calls, v_head.version);
        v_head.open_groups := v_head.open_groups || jsonb_build_object(v_head.version, v_draft.token_count);
        v_head.oldest_open_group := coalesce(v_head.oldest_open_group, v_head.version);
      end if;
    end if;
    if v_head.preamble_end is null then
      v_head.preamble_end := kata_data.preamble_end_after(v_head.version - 1, v_draft.role);
    end if;
    v_head.last_digest := kata_data.message_digest(
      v_head.last_digest, context_id, v_head.version, v_head.last_at, v_draft.role, v_draft.content, v_draft.token_count,
      coalesce(v_draft.token_source, 'given'), v_group, coalesce(v_draft.pinned, false),
      kata_data.digest_rest(v_draft.name, v_draft.tool_call_id, v_draft.tool_name, v_draft.model, v_draft.tool_calls,
        v_draft.parts, v_draft.provider, v_draft.metadata));

    insert into kata_data.message (
      segment_id, version, tokens_through, group_version, created_at, oldest_open_group, group_tokens, token_count, pinned,
      role, token_source, digest, content, name, tool_call_id, tool_name, model, tool_calls, parts, provider, metadata)
    values (
      append_batch.context_id, v_head.version, v_head.raw_tokens, v_group, v_head.last_at, v_head.oldest_open_group,
      v_group_tokens, v_draft.token_count, coalesce(v_draft.pinned, false), v_draft.role, coalesce(v_draft.token_source, 'given'),
      v_head.last_digest, v_draft.content, v_draft.name, v_draft.tool_call_id, v_draft.tool_name, v_draft.model,
      v_draft.tool_calls, v_draft.parts, v_draft.provider, v_draft.metadata);
  end loop;

  update kata_data.head h
  set version = v_head.version,
      message_count = h.message_count + cardinality(drafts),
      view_tokens = h.view_tokens + v_head.raw_tokens - h.raw_tokens,
      raw_tokens = v_head.raw_tokens,
      content_version = v_head.version,
      preamble_end = v_head.preamble_end,
      last_at = v_head.last_at,
      last_digest = v_head.last_digest,
      open_calls = v_head.open_calls,
      open_groups = v_head.open_groups,
      oldest_open_group = v_head.oldest_open_group
  where h.context_id = append_batch.context_id
  -- The view crosses what makes compaction due; or no open call holds it back any more.
  returning case
    when h.due_at is null then h.view_tokens >= h.due_tokens or h.message_count >= h.due_messages
    else v_had_open_calls and v_head.open_calls = '{}' and h.due_at > v_head.last_at
  end into v_due_changes;
  if v_due_changes then
    perform kata_data.set_due(context_id);
  end if;

  if v_head.notifies then
    perform pg_notify('kata', json_build_object('context_id', context_id, 'version', v_head.version)::text);
  end if;
  return v_first_version;
end
$$;
comment on function kata_data.append_batch(uuid, kata_data.message[], bigint, text) is
'Appends a batch of at least one message to the log and returns the version of the first; the others follow it. Of a draft the fields
that a caller gives are read. KC001, KC003 to KC006, KC017, KC019.';

create or replace function kata_data.preamble_end_after(version bigint, role text) returns bigint
language sql immutable
as $$
  select case when role not in ('system', 'developer') then version end
$$;
comment on function kata_data.preamble_end_after(bigint, text) is
'Where the preamble of messages up to a version ends, if a message of this role follows them; null while it may still grow.';

create or replace function kata_data.check_request(
  context_id uuid, drafts kata_data.message[], expected_version bigint, idempotency_key text, first_version bigint, content_version bigint
) returns bigint
language plpgsql volatile
as $$
declare
  v_known bigint;
begin
  if idempotency_key is not null then
    v_known := kata_data.use_key(
      'context:' || context_id, idempotency_key, sha256(convert_to(drafts::text, 'UTF8')),
      jsonb_build_object('first_version', first_version, 'last_version', first_version + cardinality(drafts) - 1)) -> 'first_version';
  end if;
  if v_known is null and expected_version not between content_version and first_version - 1 then
    raise exception using
      errcode = 'KC003',
      message = format('version conflict on context %s', context_id),
      detail = format('Version %s was expected; the context is at version %s, and its last message is version %s.',
        expected_version, first_version - 1, content_version),
      hint = 'Read what came in between, then append again with the new version.';
  end if;
  return v_known;
end
$$;
comment on function kata_data.check_request(uuid, kata_data.message[], bigint, text, bigint, bigint) is
'The first version that a request took when it was made first, if its idempotency key was used before; else null, once
expected_version is found to hold. KC003, KC017, KC019.';

create or replace function kata_data.open_calls_with(open_calls jsonb, tool_calls jsonb, group_version bigint) returns jsonb
language plpgsql immutable
as $$
declare
  v_open jsonb := open_calls;
  v_id text;
begin
  for v_place in 0 .. jsonb_array_length(tool_calls) - 1 loop
    v_id := tool_calls -> v_place ->> 'id';
    if v_open ? v_id then
      raise exception using
        errcode = 'KC004',
        message = format('call id "%s" is open already', left(v_id, 100)),
        detail = format('It was made in version %s and has no result yet; version %s would make it again.', v_open -> v_id, group_version),
        hint = 'Give every open call an id of its own, or answer the open one first.';
    end if;
    v_open := v_open || jsonb_build_object(v_id, group_version);
  end loop;
  return v_open;
end
$$;
comment on function kata_data.open_calls_with(jsonb, jsonb, bigint) is 'The open calls after those of one more message. KC004 where an id is open already.';

create or replace function kata_data.open_groups_after(open_groups jsonb, open_calls jsonb, group_version bigint, group_tokens bigint) returns jsonb
language sql immutable
as $$
  select case
    when jsonb_path_exists(open_calls, '$.* ? (@ == $group)', jsonb_build_object('group', group_version))
      then open_groups || jsonb_build_object(group_version, group_tokens)
    else open_groups - group_version::text
  end
$$;
comment on function kata_data.open_groups_after(jsonb, jsonb, bigint, bigint) is
'The open groups after a result of one of them: its new tokens, or, where open_calls has no call of it any more, without it.';

create or replace function kata_data.oldest_group(open_groups jsonb) returns bigint
language plpgsql immutable
as $$
begin
  if open_groups = '{}' then
    return null;
  end if;
  return (select min(g.version::bigint) from jsonb_object_keys(open_groups) g(version));
end
$$;
comment on function kata_data.oldest_group(jsonb) is 'The oldest of the groups with an open call.';
