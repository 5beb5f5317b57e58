-- One candidate of a claim: planned without a lock, then locked and planned again. Errors and timeouts stay with the context.

create or replace function kata_data.guarded_claim(
  context_id uuid, claimed_by text, lease_seconds integer,
  out outcome text, out compaction kata_data.compaction, out leases kata_data.lease[]
)
language plpgsql volatile
as $$
declare
  v_head kata_data.head;
  v_claim record;
  v_context text;
begin
  select h.* into strict v_head from kata_data.head h where h.context_id = guarded_claim.context_id;
  compaction := kata_data.empty_plan(v_head, claimed_by);
  v_claim := kata_data.try_claim(v_head, claimed_by, lease_seconds);
  outcome := v_claim.outcome;
  if outcome = 'ended' then
    compaction := v_claim.compaction;
  elsif outcome = 'claimed' then
    leases := array(select l from kata_data.lease_row(v_claim.compaction) l);
  end if;
exception
  when lock_not_available then
    outcome := 'skipped';
  when data_corrupted or index_corrupted then
    raise;
  when query_canceled then
    if not kata_data.has_timed_out(clock_timestamp() - statement_timestamp()) then
      raise;
    end if;
    outcome := 'ended';
    compaction.error := format('Planning took longer than statement_timeout, %s.', current_setting('statement_timeout'));
  when sqlstate 'KC000' or cardinality_violation or data_exception or integrity_constraint_violation or syntax_error_or_access_rule_violation
    or out_of_memory or program_limit_exceeded or plpgsql_error or internal_error then
    -- Without the message, which may quote what the context holds.
    get stacked diagnostics v_context = pg_exception_context;
    outcome := 'ended';
    compaction.error := concat('Planning raised SQLSTATE ', sqlstate, ' in ' || substring(v_context collate "C" from '(kata_data[.][a-z_]+)[(]'), '.');
end
$$;
comment on function kata_data.guarded_claim(uuid, text, integer) is
'As try_claim, for a context that may raise an error, which rolls back the work on it alone.

outcome: claimed, later, ended (compaction: the attempt, with its error) or skipped. leases: of claimed, the one for the worker.';

create or replace function kata_data.has_timed_out(elapsed interval) returns boolean
language sql stable
as $$
  select kata_data.reaches_timeout(greatest(elapsed * 1.1, elapsed + interval '100 ms'))
$$;
comment on function kata_data.has_timed_out(interval) is
'Whether a statement that was canceled has exceeded statement_timeout; else a user canceled it.

The timeout may have begun shortly before statement_timestamp, with an earlier message of the protocol.';

create or replace function kata_data.reaches_timeout(elapsed interval) returns boolean
language sql stable
as $$
  select current_setting('statement_timeout')::interval between '1 microsecond' and elapsed
$$;
comment on function kata_data.reaches_timeout(interval) is 'Whether statement_timeout is set, and not longer than a time.';

create or replace function kata_data.empty_plan(head kata_data.head, claimed_by text) returns kata_data.compaction
language plpgsql volatile
as $$
declare
  v_plan kata_data.compaction;
begin
  v_plan.compaction_id := kata_data.new_context_id(kata_data.bucket(head.context_id));
  v_plan.context_id := head.context_id;
  v_plan.status := 'running';
  v_plan.policy := kata_data.resolved_policy(head.context_id);
  v_plan.strategy := v_plan.policy ->> 'strategy';
  v_plan.forced := false;
  v_plan.base_version := head.version;
  v_plan.covered := '{}';
  v_plan.merged_summaries := '{}';
  v_plan.message_count := 0;
  v_plan.source_tokens := 0;
  v_plan.claimed_by := coalesce(claimed_by, kata_data.caller());
  v_plan.started_at := kata_data.clock();
  v_plan.lease_expires_at := v_plan.started_at;
  return v_plan;
end
$$;
comment on function kata_data.empty_plan(kata_data.head, text) is 'An attempt whose plan could not be made: it covers nothing.';

create or replace function kata_data.try_claim(
  head kata_data.head, claimed_by text, lease_seconds integer, out outcome text, out compaction kata_data.compaction
)
language plpgsql volatile
as $$
declare
  v_policy jsonb;
  v_head kata_data.head;
begin
  outcome := 'skipped';
  -- Where a removal is at work, compaction comes after it.
  if not kata_data.share_family(head.context_id, waits => false) then
    return;
  end if;
  v_policy := kata_data.resolved_policy(head.context_id);
  if not (kata_data.due_state(head, v_policy)).is_due then
    outcome := 'later';
    return;
  end if;
  compaction := kata_data.plan_compaction(head, v_policy, null, claimed_by, lease_seconds, false);
  compaction.error := kata_data.gain_problem(compaction);
  if compaction.error is not null then
    outcome := 'ended';
    return;
  end if;
  perform kata_data.extract_artifacts(head.context_id, head.version);

  select h.* into v_head
  from kata_data.head h
  where h.context_id = head.context_id
  for no key update skip locked;
  if not found then
    return;
  end if;
  v_policy := kata_data.resolved_policy(v_head.context_id);
  if (kata_data.due_state(v_head, v_policy)).is_due then
    perform kata_data.take_over(v_head.context_id);
    compaction := kata_data.plan_compaction(v_head, v_policy, null, claimed_by, lease_seconds, false);
    perform kata_data.start_compaction(compaction);
    if kata_data.gain_problem(compaction) is null then
      outcome := 'claimed';
    else
      perform kata_data.finish_compaction(compaction, 'failed', kata_data.gain_problem(compaction), is_gainless => true);
    end if;
  end if;
  perform kata_data.set_due(v_head.context_id);
end
$$;
comment on function kata_data.try_claim(kata_data.head, text, integer) is
'Tries to take the lease on a context that is due by its head, read without a lock. outcome: claimed (the lease is taken), later (it is due
later), ended (compaction, as planned, gains nothing; its error says why), skipped (it is locked, or being erased, or has changed meanwhile,
or gains nothing under the lock, which is recorded). compaction: of claimed and ended, the attempt.
Locks: the family against removals, and the head only where there is something to gain. Cost: O(view); extraction
O(new messages).';

create or replace function kata_data.postpone(contexts uuid[]) returns bigint
language plpgsql volatile
as $$
declare
  v_head kata_data.head;
  v_running kata_data.compaction;
  v_postponed bigint := 0;
begin
  for v_head in
    select h.*
    from unnest(contexts) l(context_id)
    join kata_data.head h on h.context_id = l.context_id
    for no key update of h skip locked
  loop
    select c.* into v_running
    from kata_data.compaction c
    where c.context_id = v_head.context_id
      and c.status = 'running'
      and c.lease_expires_at <= kata_data.clock() - interval '1 hour';
    if found and not (kata_data.due_state(v_head, kata_data.resolved_policy(v_head.context_id))).is_due then
      perform kata_data.finish_compaction(v_running, 'expired', 'The lease ran out, and no worker took over.');
    else
      perform kata_data.set_due(v_head.context_id);
    end if;
    v_postponed := v_postponed + 1;
  end loop;
  return v_postponed;
end
$$;
comment on function kata_data.postpone(uuid[]) is
'Recomputes and stores when some contexts are due, and ends their leases that ran out an hour ago; returns of how many. Locks their heads,
and skips locked ones.';

create or replace function kata_data.record_failure(plan kata_data.compaction, error text) returns boolean
language plpgsql volatile
as $$
declare
  v_head kata_data.head;
  v_is_gainless boolean := kata_data.gain_problem(plan) = error;
begin
  select h.* into v_head
  from kata_data.head h
  where h.context_id = plan.context_id
    -- One that gains nothing may gain something now. One that fails is recorded although it grows, or it would be the first again.
    and (not v_is_gainless or h.version = plan.base_version)
  for no key update skip locked;
  if not found or plan.policy <> kata_data.resolved_policy(plan.context_id) then
    return false;
  end if;
  if v_is_gainless and not (kata_data.due_state(v_head, plan.policy)).is_due or kata_data.is_leased(plan.context_id) then
    return false;
  end if;
  perform kata_data.take_over(plan.context_id);
  perform kata_data.start_compaction(plan);
  perform kata_data.finish_compaction(plan, 'failed', error, v_is_gainless);
  return true;
exception
  when data_corrupted or index_corrupted then
    raise;
  when sqlstate 'KC000' or cardinality_violation or data_exception or syntax_error_or_access_rule_violation or plpgsql_error or internal_error then
    -- Not even the time of the next attempt is readable.
    perform kata_data.record_broken(plan, error);
    return true;
end
$$;
comment on function kata_data.record_failure(kata_data.compaction, text) is
'Records as failed an attempt of a claim, if the context is not locked and its policy is as it was; returns whether it did.

One that gains nothing is recorded if the context has not grown meanwhile, and once: it is not due again until the view has grown.';

create or replace function kata_data.is_leased(context_id uuid) returns boolean
language plpgsql volatile
as $$
begin
  return exists (
    select
    from kata_data.compaction c
    where c.context_id = is_leased.context_id
      and c.status = 'running'
      and c.lease_expires_at > kata_data.clock());
end
$$;
comment on function kata_data.is_leased(uuid) is 'Whether a worker holds the lease on a context.';

create or replace function kata_data.record_broken(plan kata_data.compaction, error text) returns void
language plpgsql volatile
as $$
begin
  update kata_data.head h
  set due_at = kata_data.clock() + interval '1 hour'
  where h.context_id = plan.context_id;
  insert into kata_data.compaction_guard as g (context_id, failures, attempted_at)
  values (plan.context_id, 1, plan.started_at)
  on conflict on constraint compaction_guard_pkey do update
  set failures = g.failures + 1,
      attempted_at = excluded.attempted_at;
  insert into kata_data.compaction (
    compaction_id, context_id, status, strategy, policy, forced, base_version, covered, merged_summaries,
    message_count, source_tokens, claimed_by, started_at, lease_expires_at, finished_at, error)
  values (
    plan.compaction_id, plan.context_id, 'failed', plan.strategy, plan.policy, plan.forced, plan.base_version,
    plan.covered, plan.merged_summaries, plan.message_count, plan.source_tokens, plan.claimed_by, plan.started_at, plan.lease_expires_at,
    plan.started_at, error);
end
$$;
comment on function kata_data.record_broken(kata_data.compaction, text) is
'Records as failed an attempt on a context whose next time cannot be computed, for an unreadable policy for example; a claim looks again in an
hour.';
