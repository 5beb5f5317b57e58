-- When compaction is due. Everything that decides it is here, so that no route goes round a guard: threshold, debounce, least interval,
-- least gain, failures in a row, open calls. head.due_at says when to look; an append sets it once, when the view first reaches
-- due_tokens or due_messages, and otherwise spends nothing on it.

create or replace function kata_data.threshold_tokens(policy jsonb, tools_tokens bigint) returns bigint
language plpgsql stable
as $$
begin
  if not kata_data.policy_value(policy, 'enabled')::boolean then
    return null;
  end if;
  return greatest(
    ceil(kata_data.policy_value(policy, 'budget')::numeric * kata_data.policy_value(policy, 'threshold')::numeric)
      - coalesce(tools_tokens, 0), 1);
end
$$;
comment on function kata_data.threshold_tokens(jsonb, bigint) is
'The tokens of the view from which on compaction is due by a policy, stored or resolved; null where the policy is disabled.

tools_tokens: of the tools in force, which a model is sent beside the view; null for none.';

create or replace function kata_data.tools_tokens_at(context_id uuid, at bigint, view_version bigint) returns bigint
language plpgsql stable
as $$
begin
  if view_version is null then
    return null;
  end if;
  return (select c.tools_tokens from kata_data.change_at(tools_tokens_at.context_id, at) c);
end
$$;
comment on function kata_data.tools_tokens_at(uuid, bigint, bigint) is
'The tokens of the tools in force as of a version; null for none. view_version: as view_of takes it.';

create or replace function kata_data.first_due(
  policy jsonb, view_tokens bigint, message_count bigint, tools_tokens bigint, out due_tokens bigint, out due_messages bigint, out due_at timestamptz
)
language plpgsql stable
as $$
begin
  due_tokens := kata_data.threshold_tokens(policy, tools_tokens);
  if due_tokens is not null then
    due_messages := (policy -> 'every_messages')::bigint;
    due_at := case when view_tokens >= due_tokens or message_count >= due_messages then kata_data.clock() end;
  end if;
end
$$;
comment on function kata_data.first_due(jsonb, bigint, bigint, bigint) is
'When compaction of a new context is due, given its stored policy and the size it begins with: as due_state, of a context without an
attempt.';

create or replace function kata_data.due_state(
  head kata_data.head,
  policy jsonb,
  out due_tokens bigint,
  out due_messages bigint,
  out due_at timestamptz,
  out is_due boolean,
  out reason text,
  out is_running boolean,
  out failures integer,
  out next_allowed_at timestamptz,
  out compacted_at timestamptz
)
language plpgsql stable
as $$
declare
  v_threshold bigint;
  v_guard kata_data.compaction_guard;
  v_lease timestamptz;
  v_open timestamptz;
  v_pause interval;
begin
  v_threshold := kata_data.threshold_tokens(policy, kata_data.tools_tokens_at(head.context_id, head.version, head.view_version));
  select g.* into v_guard from kata_data.compaction_guard g where g.context_id = head.context_id;
  select c.lease_expires_at into v_lease from kata_data.compaction c where c.context_id = head.context_id and c.status = 'running';
  is_running := found and v_lease > kata_data.clock();
  failures := coalesce(v_guard.failures, 0);
  compacted_at := v_guard.compacted_at;
  v_pause := kata_data.failure_pause(failures, (policy -> 'max_failures')::integer);
  next_allowed_at := greatest(
    v_guard.attempted_at + greatest((policy ->> 'min_interval_seconds')::integer * interval '1 second', v_pause),
    case when (policy -> 'debounce_seconds')::integer > 0 then head.last_at + (policy ->> 'debounce_seconds')::integer * interval '1 second' end);

  if not (policy -> 'enabled')::boolean then
    reason := 'disabled by the policy';
  elsif head.closed then
    reason := 'the context is archived or deleted';
  else
    due_tokens := greatest(v_threshold, v_guard.least_tokens);
    due_messages := coalesce(v_guard.message_count, 0) + (policy ->> 'every_messages')::bigint;
    if head.view_tokens >= due_tokens or head.message_count >= due_messages then
      v_open := kata_data.open_since(head) + (policy ->> 'open_call_grace_seconds')::integer * interval '1 second';
      due_at := greatest(least(head.last_at, kata_data.clock()), next_allowed_at, v_lease, case when v_open > kata_data.clock() then v_open end);
      reason := case
        when is_running then 'a compaction is in progress'
        when v_open > kata_data.clock() then 'calls are open'
        when due_at > kata_data.clock() and v_pause is not null then format(
          '%s attempts in a row failed or gained nothing: the next is due at %s, or once set_policy or a forced run that succeeds starts anew',
          failures, to_char(next_allowed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SSZ'))
        when due_at > kata_data.clock() then 'the interval since the last attempt or append is not over'
        when head.view_tokens >= due_tokens then format('the view has %s tokens, the threshold is %s', head.view_tokens, due_tokens)
        else format('%s messages were appended since the last attempt', head.message_count - coalesce(v_guard.message_count, 0))
      end;
    elsif is_running then
      reason := 'a compaction is in progress';
    elsif head.view_tokens >= v_threshold then
      reason := format('the view has %s tokens, over the threshold of %s, and the last attempt left little less: it is due from %s on',
        head.view_tokens, v_threshold, due_tokens);
    else
      reason := format('the view has %s %% of the threshold of %s tokens', floor(100.0 * head.view_tokens / v_threshold), v_threshold);
    end if;
  end if;
  is_due := coalesce(due_at <= kata_data.clock(), false);
  -- Looked at again when the lease of a worker that may have died runs out. The compaction is ended an hour later: until then it may
  -- still commit.
  due_at := least(due_at, v_lease + case when is_running then interval '0' else interval '1 hour' end);
end
$$;
comment on function kata_data.due_state(kata_data.head, jsonb) is
'Whether compaction is due, given a resolved policy. due_at is when to look (null: not before a message is appended), at the latest when the
lease of a running compaction runs out, and an hour later; is_due whether it is due now, where none is running (one whose lease has run out may be taken over);
reason says why it is due or not.
Cost: O(log n).';

create or replace function kata_data.failure_pause(failures integer, max_failures integer) returns interval
language plpgsql immutable
as $$
begin
  if failures >= max_failures then
    return least(interval '1 hour' * 2 ^ least(failures - max_failures, 10), interval '1 day');
  end if;
  return null;
end
$$;
comment on function kata_data.failure_pause(integer, integer) is
'The pause after so many failures in a row: from max_failures on an hour, which doubles with each further one, a day at most; before: null.';

create or replace function kata_data.open_since(head kata_data.head) returns timestamptz
language plpgsql stable
as $$
begin
  if head.open_groups = '{}' then
    return null;
  end if;
  return (
    select max(m.created_at)
    from jsonb_object_keys(head.open_groups) g(version)
    cross join lateral kata_data.path_messages(head.context_id, int8multirange(int8range(g.version::bigint, g.version::bigint, '[]'))) m);
end
$$;
comment on function kata_data.open_since(kata_data.head) is 'When the newest group with an open call began; null where there is none.';

create or replace function kata_data.set_due(context_id uuid) returns void
language plpgsql volatile
as $$
declare
  v_head kata_data.head;
  v_due record;
begin
  select h.* into strict v_head from kata_data.head h where h.context_id = set_due.context_id;
  v_due := kata_data.due_state(v_head, kata_data.resolved_policy(context_id));
  update kata_data.head h
  set due_tokens = v_due.due_tokens,
      due_messages = v_due.due_messages,
      due_at = v_due.due_at
  where h.context_id = set_due.context_id
    and (h.due_tokens, h.due_messages, h.due_at) is distinct from (v_due.due_tokens, v_due.due_messages, v_due.due_at);
end
$$;
comment on function kata_data.set_due(uuid) is
'Stores in the head when compaction of a context is due; called wherever the answer can change, under the head''s lock. Cost: O(log n).';
