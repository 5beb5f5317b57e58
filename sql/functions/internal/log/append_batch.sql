-- The write path: append, append_message, close_calls and merge end here, except the plain messages that append_message
-- writes itself by the same rules.
--
-- Locks the head of the context, so versions are dense and totals exact under any number of writers. Reads nothing else of the log,
-- except where a message ends the preamble: the head holds all that the next message depends on (totals, open calls, last digest).
-- All messages are inserted by one statement, with running totals and digests as window functions; only what calls and results need is
-- found message by message. The cost is that of the batch, however long the log.
-- External ids come before calls: a message that on_duplicate skips makes no call and answers none.

create or replace function kata_data.append_batch(
  context_id uuid,
  messages jsonb,
  expected_version bigint,
  idempotency_key text,
  origins jsonb[] default null,
  on_duplicate text default 'error',
  request_id bigint default null,
  usage jsonb default null
) returns table (version bigint, token_count integer, created_at timestamptz, is_new boolean)
language plpgsql volatile
as $$
declare
  v_head kata_data.head;
  v_ids kata_data.batch_ids;
  v_known kata_data.batch_ids;
  v_new jsonb := messages;
  v_groups kata_data.batch_groups;
  v_answer kata_data.answer;
begin
  v_head := kata_data.lock_context(context_id);
  if jsonb_path_exists(messages, '$[*].external_id') then
    v_ids := kata_data.batch_ids(v_head, messages);
  end if;
  if idempotency_key is not null or expected_version is not null then
    v_known := kata_data.check_request(v_head, messages, v_ids, expected_version, idempotency_key);
    if v_known.versions is not null then
      return query select r.* from kata_data.rows_of_batch(context_id, v_known) r;
      return;
    end if;
  end if;
  if false = any (v_ids.is_new) then
    v_new := kata_data.new_messages(v_head, messages, v_ids, on_duplicate);
  end if;
  if request_id is not null or usage is not null then
    v_answer := kata_data.batch_answer(v_head, messages, v_ids, request_id, usage);
    v_head.framed_request := coalesce(v_answer.framed, v_head.framed_request);
  end if;
  if v_new <> '[]' then
    if jsonb_path_exists(v_new, 'strict $[*] ? (@.tool_calls != null || @.tool_call_id != null)') then
      v_groups := kata_data.batch_groups(v_head, v_new, v_ids);
    else
      v_groups.open_calls := v_head.open_calls;
      v_groups.open_groups := v_head.open_groups;
      v_groups.oldest_open_group := v_head.oldest_open_group;
    end if;
    if v_ids.versions is null then
      return query
      select i.version, i.token_count, i.created_at, true from kata_data.insert_messages(v_head, v_new, v_groups, origins, v_answer) i;
    else
      perform kata_data.insert_messages(v_head, v_new, v_groups, origins, v_answer);
      perform kata_data.insert_ids(v_head, v_ids);
    end if;
    perform kata_data.advance_head(v_head, v_new, v_groups, (
      -- By its place, backwards, as kata_data.lock_context looks it up: under an old snapshot the key has many dead versions.
      select h.ctid
      from kata_data.head h
      where h.context_id >= append_batch.context_id and h.context_id <= append_batch.context_id
      order by h.context_id desc
      limit 1));
  end if;
  if v_ids.versions is not null then
    return query select r.* from kata_data.rows_of_batch(context_id, v_ids) r;
  end if;
end
$$;
comment on function kata_data.append_batch(uuid, jsonb, bigint, text, jsonb[], text, bigint, jsonb) is
'Appends a batch of messages to the log and returns one row for each, in order.

messages: an array of objects as kata.append takes it, in which kata_data.check_drafts has found no problem. origins: of merged copies, one
for each message, as kata_data.origin_mark makes them. on_duplicate, request_id, usage: as kata.append takes them. KC001, KC003 to KC006, KC017, KC019.';

create or replace function kata_data.insert_messages(
  head kata_data.head, messages jsonb, groups kata_data.batch_groups, origins jsonb[], answer kata_data.answer
)
returns table (version bigint, token_count integer, created_at timestamptz)
language plpgsql volatile
as $$
#variable_conflict use_column
declare
  v_at timestamptz := kata_data.batch_time(head.last_at);
begin
  return query
  insert into kata_data.message as m (
    segment_id, version, tokens_through, group_version, created_at, oldest_open_group, turn_version, group_tokens, request_id, occurred_at, token_count,
    pinned, role, token_source, digest, salt, external_id, content, name, tool_call_id, tool_name, model, tool_calls, parts, provider,
    metadata)
  select head.context_id, d.version, head.raw_tokens + sum(d.token_count) over w, d.group_version, v_at, d.oldest_open_group,
    coalesce(max(d.version) filter (where d.role = 'user') over w, head.turn_version), d.group_tokens,
    case when d.ordinality = (answer).place then (answer).request_id end, d.occurred_at, d.token_count, d.pinned, d.role, d.token_source,
    kata_data.entry_chain(
      head.last_digest,
      kata_data.message_frame(
        head.context_id, d.version, v_at, d.role, d.token_count, d.token_source, d.group_version, d.pinned,
        kata_data.message_marks(d.tool_call_id, d.tool_name, d.tool_calls, d.external_id, d.occurred_at, origins[d.ordinality],
          case when d.ordinality = (answer).place then (answer).requests end)),
      kata_data.content_digest(
        d.salt, kata_data.message_content(d.content, d.name, d.model, d.tool_calls, d.parts, d.provider, d.metadata))) over w,
    d.salt, d.external_id, d.content, d.name, d.tool_call_id, d.tool_name, d.model, d.tool_calls, d.parts, d.provider, d.metadata
  from (
    -- OFFSET 0: each salt and count is made once, and not wherever it is mentioned.
    select d.ordinality, head.version + d.ordinality as version,
      coalesce(groups.group_versions[d.ordinality], head.version + d.ordinality) as group_version,
      case when groups.oldest_open_groups is null then head.oldest_open_group else groups.oldest_open_groups[d.ordinality] end
        as oldest_open_group,
      groups.group_tokens[d.ordinality] as group_tokens,
      coalesce(
        d.token_count, groups.token_counts[d.ordinality],
        kata_data.message_tokens(d.content, d.tool_calls, d.parts, head.tokenizer, d.name, d.provider)) as token_count,
      case when d.token_count is null then 'estimate' else coalesce(d.token_source, 'given') end as token_source,
      coalesce(d.pinned, false) as pinned, kata_data.new_salt() as salt, d.role, d.content, d.name, d.model, d.tool_call_id, d.tool_name,
      d.tool_calls, d.parts, d.provider, d.metadata, d.external_id, d.occurred_at
    from kata_data.batch_drafts(messages) d
    offset 0
  ) d
  window w as (order by d.version rows unbounded preceding)
  returning m.version, m.token_count, m.created_at;
end
$$;
comment on function kata_data.insert_messages(kata_data.head, jsonb, kata_data.batch_groups, jsonb[], kata_data.answer) is
'Inserts the messages of a batch after a head, by one statement.';

create or replace function kata_data.batch_drafts(messages jsonb)
returns table (
  ordinality bigint, role text, content text, token_count integer, token_source text, tool_call_id text, tool_name text, tool_calls jsonb,
  model text, metadata jsonb, pinned boolean, name text, parts jsonb, provider jsonb, external_id text, occurred_at timestamptz
)
language sql stable
as $$
  select d.ordinality, d.role,
    case when d.content is null and jsonb_typeof(d.parts) = 'array' then kata_data.parts_text(d.parts) else d.content end,
    d.token_count, d.token_source, d.tool_call_id, d.tool_name, d.tool_calls, d.model, d.metadata, d.pinned,
    d.name, d.parts, d.provider, d.external_id, d.occurred_at
  from rows from (
    jsonb_to_recordset(messages) as (
      role text, content text, token_count integer, token_source text, tool_call_id text, tool_name text, tool_calls jsonb, model text,
      metadata jsonb, pinned boolean, name text, parts jsonb, provider jsonb, external_id text, occurred_at timestamptz)
  ) with ordinality d
$$;
comment on function kata_data.batch_drafts(jsonb) is
'The messages of a batch as rows. JSON null counts as absent; the text of parts is the content where none is given.';

create or replace function kata_data.entry_chain_step(state bytea, previous bytea, frame text, content_digest bytea) returns bytea
language plpgsql stable
as $$
begin
  -- In PL/pgSQL: 1.4 µs for each message; as an SQL function 2.3.
  return kata_data.entry_digest(coalesce(state, previous), frame, content_digest);
end
$$;
comment on function kata_data.entry_chain_step(bytea, bytea, text, bytea) is
'One step of entry_chain. previous: the digest before the first.';

create or replace aggregate kata_data.entry_chain(previous bytea, frame text, content_digest bytea) (
  sfunc = kata_data.entry_chain_step,
  stype = bytea
);
comment on aggregate kata_data.entry_chain(bytea, text, bytea) is 'The digest of the last of several entries, in order.';

create or replace function kata_data.advance_head(head kata_data.head, messages jsonb, groups kata_data.batch_groups, place tid)
returns void
language plpgsql volatile
as $$
declare
  v_version bigint := head.version + jsonb_array_length(messages);
  v_preamble_end bigint := head.preamble_end;
  v_due_changes boolean;
begin
  if v_preamble_end is null then
    v_preamble_end := kata_data.preamble_end_of_batch(head, messages);
  end if;
  update kata_data.head h
  set version = v_version,
      message_count = h.message_count + jsonb_array_length(messages),
      view_tokens = h.view_tokens + l.tokens_through - h.raw_tokens,
      raw_tokens = l.tokens_through,
      content_version = v_version,
      preamble_end = v_preamble_end,
      last_at = l.created_at,
      last_digest = l.digest,
      turn_version = l.turn_version,
      open_calls = groups.open_calls,
      open_groups = groups.open_groups,
      oldest_open_group = groups.oldest_open_group,
      framed_request = head.framed_request
  from kata_data.message l
  where h.ctid = place
    and l.segment_id = head.context_id
    and l.version = v_version
  -- Compaction becomes due by the size of the view; or no open call holds it back any more.
  returning case
    when h.due_at is null then h.view_tokens >= h.due_tokens or h.message_count >= h.due_messages
    else head.open_calls <> '{}' and h.open_calls = '{}' and h.due_at > h.last_at
  end into v_due_changes;
  if v_due_changes then
    perform kata_data.set_due(head.context_id);
  end if;
  if head.notifies then
    perform pg_notify('kata', '');
  end if;
end
$$;
comment on function kata_data.advance_head(kata_data.head, jsonb, kata_data.batch_groups, tid) is
'Writes the head after the messages of a batch were inserted, and what follows: whether compaction is due, and a notification.

place: of the row of the head, which is locked.';

create or replace function kata_data.preamble_end_of_batch(head kata_data.head, messages jsonb) returns bigint
language plpgsql stable
as $$
declare
  v_place bigint;
begin
  v_place := (
    select min(d.ordinality)
    from jsonb_array_elements(messages) with ordinality d(draft, ordinality)
    where d.draft ->> 'role' not in ('system', 'developer'));
  return case
    when v_place > 1 then head.version + v_place - 1
    when v_place = 1 then kata_data.preamble_end_after(head, messages -> 0 ->> 'role')
  end;
end
$$;
comment on function kata_data.preamble_end_of_batch(kata_data.head, jsonb) is
'Where a preamble that may still grow ends after a batch; null while it may.';
