-- Appends one message and returns its version: a batch of one, see kata_data.append_batch.
--
-- Most messages are text, a call while no other is open, or its result. These are written here, by the same rules and in the same order
-- as in a batch: lock, time, digest, head, log. Text opens and closes no group; of the other two the maps of open calls are known without
-- reading them. That saves a third of the CPU time of a call, most of it expressions, which Postgres prepares anew in every transaction.
-- A message that this way does not know goes to the batch. A token count that is missing is estimated first: no other writer waits for it.
-- plans: lookup

create or replace function kata.append_message(
  context_id uuid,
  role text,
  content text,
  token_count integer default null,
  tool_call_id text default null,
  tool_name text default null,
  tool_calls jsonb default null,
  model text default null,
  metadata jsonb default null,
  pinned boolean default false,
  expected_version bigint default null,
  idempotency_key text default null,
  name text default null,
  parts jsonb default null,
  provider jsonb default null,
  token_source text default null,
  external_id text default null,
  occurred_at timestamptz default null,
  request_id bigint default null,
  usage jsonb default null
) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_version bigint;
  v_tokens_through bigint;
  v_at timestamptz;
  v_last_digest bytea;
  v_turn bigint;
  v_oldest_open_group bigint;
  v_place tid;
  v_salt bytea;
  v_group bigint;
  v_group_tokens bigint;
  v_open_calls jsonb;
  v_open_groups jsonb;
  v_marks jsonb;
  v_framed bigint;
  v_answer kata_data.answer;
  v_source text;
  v_messages jsonb;
begin
  if token_count is null
    and num_nonnulls(token_source, metadata, expected_version, idempotency_key, parts, provider, external_id, occurred_at) = 0
  then
    token_count := kata_data.plain_estimate(context_id, content, tool_calls, name);
    v_source := 'estimate';
  end if;
  -- The look-up, one for each form: what the head gives to this message, and its place, which holds because the row is locked.
  if num_nonnulls(
    tool_call_id, tool_name, tool_calls, metadata, expected_version, idempotency_key, parts, provider, external_id, occurred_at) = 0
    and coalesce(token_source in ('exact', 'given'), true) and kata_data.is_plain(role, content, token_count) and token_count is not null
    and greatest(octet_length(name), octet_length(model)) > 65536 is not true
  then
    select h.version + 1, h.raw_tokens + append_message.token_count, h.last_at, h.last_digest,
      case when append_message.role = 'user' then h.version + 1 else h.turn_version end, h.oldest_open_group, h.framed_request, h.ctid
    into v_version, v_tokens_through, v_at, v_last_digest, v_turn, v_oldest_open_group, v_framed, v_place
    from kata_data.head h
    where h.context_id >= append_message.context_id and h.context_id <= append_message.context_id
      and h.tenant = kata_data.current_tenant()
      and kata_data.appends_plainly(h, append_message.token_count)
      and h.preamble_end is not null
    order by h.context_id desc
    limit 1
    for no key update;
  elsif num_nonnulls(metadata, expected_version, idempotency_key, parts, provider, external_id, occurred_at) = 0
    and coalesce(token_source in ('exact', 'given'), true) and token_count is not null
    and greatest(octet_length(tool_call_id), octet_length(tool_name), octet_length(name), octet_length(model)) > 65536 is not true
  then
    if role = 'tool' and tool_calls is null and tool_call_id <> '' and kata_data.is_plain('user', content, token_count) then
      select h.version + 1, h.raw_tokens + append_message.token_count, h.last_at, h.last_digest, h.turn_version, h.oldest_open_group,
        (h.open_groups -> h.oldest_open_group::text)::bigint + append_message.token_count, h.framed_request, h.ctid
      into v_version, v_tokens_through, v_at, v_last_digest, v_turn, v_group, v_group_tokens, v_framed, v_place
      from kata_data.head h
      where h.context_id >= append_message.context_id and h.context_id <= append_message.context_id
        and h.tenant = kata_data.current_tenant()
        and kata_data.appends_plainly(h, append_message.token_count)
        -- The call is the only open one, and does not hold back a compaction that is due.
        and h.open_calls = jsonb_build_object(append_message.tool_call_id, h.oldest_open_group)
        and (h.due_at <= h.last_at) is not false
      order by h.context_id desc
      limit 1
      for no key update;
      if found then
        v_open_calls := '{}';
        v_open_groups := '{}';
      end if;
    elsif role = 'assistant' and tool_call_id is null and kata_data.is_plain('assistant', coalesce(content, ''), token_count)
      and kata_data.is_single_function_call(tool_calls)
    then
      select h.version + 1, h.raw_tokens + append_message.token_count, h.last_at, h.last_digest, h.turn_version, h.version + 1,
        h.framed_request, h.ctid
      into v_version, v_tokens_through, v_at, v_last_digest, v_turn, v_oldest_open_group, v_framed, v_place
      from kata_data.head h
      where h.context_id >= append_message.context_id and h.context_id <= append_message.context_id
        and h.tenant = kata_data.current_tenant()
        and kata_data.appends_plainly(h, append_message.token_count)
        and h.preamble_end is not null
        and h.open_calls = '{}'
      order by h.context_id desc
      limit 1
      for no key update;
      if found then
        v_open_calls := jsonb_build_object(tool_calls #>> '{0,id}', v_version);
        v_open_groups := jsonb_build_object(v_version, token_count);
      end if;
    end if;
    v_marks := kata_data.message_marks(tool_call_id, tool_name, tool_calls, null, null, null, null);
  end if;
  if v_version is null then
    v_messages := jsonb_build_array(kata_data.draft(
      role => role, content => content, token_count => case when v_source is null then token_count end, token_source => token_source,
      tool_call_id => tool_call_id, tool_name => tool_name, tool_calls => tool_calls, model => model, metadata => metadata, pinned => pinned, name => name,
      parts => parts, provider => provider, external_id => external_id, occurred_at => occurred_at));
    perform kata_data.lock_context(context_id);
    perform kata_data.check_drafts(v_messages, true);
    return (select b.version from kata_data.append_batch(
      context_id, v_messages, expected_version, idempotency_key, request_id => request_id, usage => usage) b);
  end if;

  if request_id is not null or usage is not null then
    if request_id is null then
      perform kata_data.check_usage(request_id);
    elsif role <> 'assistant' then
      perform kata_data.refuse_no_answer(request_id);
    end if;
    v_answer := kata_data.tie_answer(context_id, request_id, usage, v_version, v_framed);
    v_framed := v_answer.framed;
    v_marks := coalesce(v_marks, '{}') || jsonb_build_object('requests', v_answer.requests);
  end if;
  v_at := kata_data.batch_time(v_at);
  v_salt := kata_data.new_salt();
  v_last_digest := kata_data.entry_digest(
    v_last_digest,
    kata_data.message_frame(
      context_id, v_version, v_at, role, token_count, coalesce(token_source, v_source, 'given'), coalesce(v_group, v_version),
      coalesce(pinned, false), v_marks),
    kata_data.content_digest(v_salt, kata_data.message_content(content, name, model, tool_calls, null, null, null)));
  if v_open_calls is null then
    update kata_data.head h
    set version = v_version,
        message_count = h.message_count + 1,
        raw_tokens = v_tokens_through,
        view_tokens = h.view_tokens + append_message.token_count,
        content_version = v_version,
        last_at = v_at,
        last_digest = v_last_digest,
        turn_version = v_turn,
        framed_request = v_framed
    where h.ctid = v_place;
  else
    update kata_data.head h
    set version = v_version,
        message_count = h.message_count + 1,
        raw_tokens = v_tokens_through,
        view_tokens = h.view_tokens + append_message.token_count,
        content_version = v_version,
        last_at = v_at,
        last_digest = v_last_digest,
        turn_version = v_turn,
        open_calls = v_open_calls,
        open_groups = v_open_groups,
        oldest_open_group = v_oldest_open_group,
        framed_request = v_framed
    where h.ctid = v_place;
  end if;
  insert into kata_data.message (
    segment_id, version, tokens_through, group_version, created_at, oldest_open_group, turn_version, group_tokens, request_id, token_count,
    pinned, role, token_source, digest, salt, content, name, tool_call_id, tool_name, model, tool_calls)
  values (
    append_message.context_id, v_version, v_tokens_through, coalesce(v_group, v_version), v_at, v_oldest_open_group, v_turn, v_group_tokens,
    append_message.request_id, append_message.token_count, coalesce(append_message.pinned, false), append_message.role,
    coalesce(append_message.token_source, v_source, 'given'), v_last_digest, v_salt, append_message.content, append_message.name,
    append_message.tool_call_id, append_message.tool_name, append_message.model, append_message.tool_calls);
  return v_version;
end
$$;
comment on function kata.append_message(uuid, text, text, integer, text, text, jsonb, text, jsonb, boolean, bigint, text, text, jsonb, jsonb, text, text, timestamptz, bigint, jsonb) is
'Appends one message and returns its version.

context_id: the context.
role: system, developer, user, assistant or tool. content: text, at most 16 MB; null only beside tool_calls or parts.
token_count: tokens of all that is sent for the message, in the context''s tokenizer; estimated when null.
tool_call_id, tool_name: of a tool result, the open call that it answers, at most 64 kB each.
tool_calls: of an assistant, in the OpenAI chat form, at most 1,000, and 1,000 open ones in a context.
model, metadata, name: kept as given, model and name of at most 64 kB. pinned: the message stays in every window.
parts: provider content parts, verbatim. provider: opaque fields that go back to the provider as they came.
expected_version: a version since which no message may have been appended, deleted, amended or rewound.
idempotency_key: 1 to 255 characters; the same request again within seven days returns the first result.
token_source: ''exact'' (counted with the context''s tokenizer) or ''given'', of a token_count.
external_id: 1 to 255 characters, unique among the messages and records of the line; kata.find_message finds the version. An erasure
  leaves it: put no personal data into it.
occurred_at: when it happened, as the caller knows it; it orders nothing.
request_id: of an assistant''s answer, the request of this context that it answers, from kata.request. Answers may come in any order, each
  request has one.
usage: of the request, as kata.complete_request takes it.

Returns the version that the message took.
Errors: KC001, KC003 version conflict, KC004 invalid message or a taken external id (DETAIL names the version), KC005 a tool result
whose call is not open, KC006, KC017 among others a request that is not there or has an answer,
KC019 among others a request with other usage, KC021 what the key has
done is rewound.
Locks: the head of the context, then the request, until the end of the transaction. Cost: O(1), whatever the length of the log; of an answer
O(requests since the last one that was answered).';

create or replace function kata_data.plain_estimate(context_id uuid, content text, tool_calls jsonb, name text) returns integer
language plpgsql stable
as $$
begin
  if octet_length(content) > 16777216 or tool_calls is not null and kata_data.is_single_function_call(tool_calls) is not true then
    return null;
  end if;
  return (
    select kata_data.message_tokens(plain_estimate.content, plain_estimate.tool_calls, null, h.tokenizer, plain_estimate.name)
    from kata_data.head h
    where h.context_id >= plain_estimate.context_id and h.context_id <= plain_estimate.context_id
      and h.tenant = kata_data.current_tenant()
      and not h.closed and not h.notifies
    order by h.context_id desc
    limit 1);
end
$$;
comment on function kata_data.plain_estimate(uuid, text, jsonb, text) is
'The token count of a message that append_message may write itself; null for one that goes to the batch, which estimates its own.';
