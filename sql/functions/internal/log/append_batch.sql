-- The write path: append, append_message and close_calls end here, except the plain messages with a token count that append_message
-- writes itself by the same rules.
--
-- Locks the head of the context, so versions are dense and totals exact under any number of writers. Reads nothing else of the log,
-- except where a message ends the preamble: the head holds all that the next message depends on (totals, open calls, last digest).
-- v_head is a copy of it that advances message by message, and is written back once. The cost is that of the batch, however long the log.

create or replace function kata_data.append_batch(
  context_id uuid,
  drafts kata_data.message[],
  expected_version bigint,
  idempotency_key text,
  origins jsonb[] default null
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
  -- As kata_data.lock_context, which takes 9 µs more to return a whole head.
  select h.version, h.raw_tokens, h.content_version, h.preamble_end, h.last_at, h.last_digest, h.turn_version, h.open_calls, h.open_groups,
    h.oldest_open_group, h.tokenizer, h.closed, h.is_strict, h.notifies, h.ctid as place
  into v_head
  from kata_data.head h
  where h.context_id >= append_batch.context_id and h.context_id <= append_batch.context_id
    and h.tenant = kata_data.current_tenant()
  order by h.context_id desc
  limit 1
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
    -- Text, a tool's result and calls, which most messages are, need no closer look. One condition each, because the functions of a
    -- condition cost anew in every transaction, reached or not.
    v_is_sound := false;
    if v_draft.parts is null and v_draft.provider is null and v_draft.metadata is null
      and (v_draft.token_source is null or v_draft.token_source in ('exact', 'given') and v_draft.token_count is not null) then
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
      v_group := kata_data.group_after(v_head.open_calls, v_draft.tool_call_id, v_head.version);
      if v_group < v_head.version then
        v_group_tokens := kata_data.group_tokens_after(v_head.open_groups, v_group, v_draft.token_count);
        v_head.open_calls := v_head.open_calls - v_draft.tool_call_id;
        v_head.open_groups := kata_data.open_groups_after(v_head.open_groups, v_head.open_calls, v_group, v_group_tokens);
        if v_group = v_head.oldest_open_group and not v_head.open_groups ? v_group::text then
          v_head.oldest_open_group := kata_data.oldest_group(v_head.open_groups);
        end if;
      elsif v_head.is_strict then
        raise exception using
          errcode = 'KC005',
          message = format('message %s of the batch answers no open call', v_head.version - v_first_version + 1),
          detail = format('No call "%s" is open: this path never made it, or has answered it already.', left(v_draft.tool_call_id, 100)),
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
      v_head.preamble_end := kata_data.preamble_end_after(context_id, v_head.version - 1, v_draft.role);
    end if;
    if v_draft.role = 'user' then
      v_head.turn_version := v_head.version;
    end if;
    v_draft.salt := kata_data.new_salt();
    v_head.last_digest := kata_data.entry_digest(
      v_head.last_digest,
      kata_data.message_frame(
        context_id, v_head.version, v_head.last_at, v_draft.role, v_draft.token_count, coalesce(v_draft.token_source, 'given'), v_group,
        coalesce(v_draft.pinned, false), kata_data.message_marks(
          v_draft.tool_call_id, v_draft.tool_name, v_draft.tool_calls, null, null, origins[v_head.version - v_first_version + 1])),
      kata_data.content_digest_of(v_draft));

    insert into kata_data.message (
      segment_id, version, tokens_through, group_version, created_at, oldest_open_group, turn_version, group_tokens, token_count,
      pinned, role, token_source, digest, salt, content, name, tool_call_id, tool_name, model, tool_calls, parts, provider, metadata)
    values (
      append_batch.context_id, v_head.version, v_head.raw_tokens, v_group, v_head.last_at, v_head.oldest_open_group,
      v_head.turn_version, v_group_tokens, v_draft.token_count, coalesce(v_draft.pinned, false), v_draft.role, coalesce(v_draft.token_source, 'given'),
      v_head.last_digest, v_draft.salt, v_draft.content, v_draft.name, v_draft.tool_call_id, v_draft.tool_name, v_draft.model,
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
      turn_version = v_head.turn_version,
      open_calls = v_head.open_calls,
      open_groups = v_head.open_groups,
      oldest_open_group = v_head.oldest_open_group
  where h.ctid = v_head.place
  -- Compaction becomes due by the size of the view; or no open call holds it back any more.
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
comment on function kata_data.append_batch(uuid, kata_data.message[], bigint, text, jsonb[]) is
'Appends a batch of at least one message to the log and returns the version of the first; the others follow it. Reads of a draft the fields
that a caller gives. origins: of merged copies, one for each draft, as kata_data.origin_mark makes them. KC001, KC003 to KC006, KC017, KC019.';
