-- Hands out work: the context that has been due longest and that no other worker is at.
--
-- Candidates are chosen and planned without a lock, and their artifacts extracted; then the head is locked or skipped, and everything is
-- checked again. That a context has nothing to gain, or is due later, is stored last: until then its head is not locked, and appends to
-- it do not wait for the work on others.
-- plans: writer

create or replace function kata.claim_due_compaction(
  claimed_by text,
  lease_seconds integer default 300,
  out context_id uuid, out compaction_id uuid, out covered int8multirange, out message_count bigint, out source_tokens bigint,
  out previous_summary text, out lease_expires_at timestamptz, out needs_summary boolean, out tokenizer text, out summary_budget integer
) returns setof record
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_now timestamptz := kata_data.clock();
  v_seen uuid[] := '{}'::uuid[];
  v_later uuid[] := '{}'::uuid[];
  v_gainless kata_data.compaction[] := '{}'::kata_data.compaction[];
  v_head kata_data.head;
  v_claim record;
begin
  perform kata_data.check_compaction_arguments(null, lease_seconds);
  loop
    select h.* into v_head from kata_data.next_due(v_now, v_seen) h;
    exit when not found;
    v_seen := v_seen || v_head.context_id;
    v_claim := kata_data.try_claim(v_head, v_now, claimed_by, lease_seconds);
    case v_claim.outcome
      when 'claimed' then return query select l.* from kata_data.lease_row(v_claim.compaction) l;
      when 'later' then v_later := v_later || v_head.context_id;
      when 'gainless' then v_gainless := v_gainless || v_claim.compaction;
      when 'skipped' then null;
    end case;
    exit when v_claim.outcome = 'claimed';
  end loop;

  perform kata_data.postpone(v_later);
  perform kata_data.record_gainless(g) from unnest(v_gainless) g;
end
$$;
comment on function kata.claim_due_compaction(text, integer) is
'Begins the compaction of a context that is due, by its policy; each worker gets another context.

Under kata.tenant ''*'' it looks at the contexts of all tenants; calls by compaction_id then need no tenant.

claimed_by: a name of the worker, for people.
lease_seconds: 1 to 86,400; after it another worker may take over.

Returns one row, or none where nothing is due: context_id, compaction_id, covered, message_count, source_tokens, previous_summary,
lease_expires_at, needs_summary, tokenizer and summary_budget, as begin_compaction.
Errors: KC017. Locks: the family against erasures (advisory, shared), the head of the context, and at the end the heads of contexts that
have nothing to gain or are due later; contexts that are locked or being erased are skipped. Cost: as begin_compaction, and O(view) for
each context that has nothing to gain.';

create or replace function kata_data.next_due(moment timestamptz, seen uuid[]) returns setof kata_data.head
language plpgsql stable rows 1
as $$
declare
  v_tenant text;
begin
  v_tenant := kata_data.current_tenant();
  if v_tenant = '*' then
    return query
    select h.*
    from kata_data.head h
    where h.due_at <= moment
      and h.context_id <> all (seen)
    order by h.due_at
    limit 1;
  else
    return query
    select h.*
    from kata_data.head h
    -- Both columns at once: the index on what is due for all tenants cannot serve the condition.
    where (h.tenant, h.due_at) between (v_tenant, '-infinity') and (v_tenant, moment)
      and h.due_at is not null
      and h.context_id <> all (seen)
    order by h.tenant, h.due_at
    limit 1;
  end if;
end
$$;
comment on function kata_data.next_due(timestamptz, uuid[]) is
'The head of the context of the caller''s tenant that has been due longest and is not among the seen ones; under kata.tenant ''*'' of all
tenants. Takes no lock. Cost: O(log n + seen).';

create or replace function kata_data.try_claim(
  head kata_data.head, moment timestamptz, claimed_by text, lease_seconds integer, out outcome text, out compaction kata_data.compaction
)
language plpgsql volatile
as $$
declare
  v_policy jsonb;
  v_head kata_data.head;
begin
  outcome := 'skipped';
  -- Where an erasure is at work, compaction comes after it.
  if not pg_try_advisory_xact_lock_shared(kata_data.family_lock(head.context_id)) then
    return;
  end if;
  v_policy := kata_data.resolved_policy(head.context_id);
  if ((kata_data.due_state(head, v_policy)).due_at <= moment) is not true then
    outcome := 'later';
    return;
  end if;
  compaction := kata_data.plan_compaction(head, v_policy, null, claimed_by, lease_seconds, false);
  if kata_data.gain_problem(compaction) is not null then
    outcome := 'gainless';
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
  if (kata_data.due_state(v_head, v_policy)).due_at <= moment then
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
comment on function kata_data.try_claim(kata_data.head, timestamptz, text, integer) is
'Tries to take the lease on a context that is due by its head, read without a lock. outcome: claimed (the lease is taken), later (it is due
later), gainless (compaction, as planned, gains nothing), skipped (it is locked, or being erased, or has changed meanwhile, or gains nothing
under the lock, which is recorded). compaction: of claimed and gainless, the attempt.
Locks: the family against erasures (advisory, shared), and the head only where there is something to gain. Cost: O(view); extraction
O(new messages).';

create or replace function kata_data.postpone(contexts uuid[]) returns void
language plpgsql volatile
as $$
begin
  perform kata_data.set_due(h.context_id)
  from (
    select h.context_id
    from unnest(contexts) l(context_id)
    join kata_data.head h on h.context_id = l.context_id
    for no key update of h skip locked
  ) h;
end
$$;
comment on function kata_data.postpone(uuid[]) is
'Recomputes and stores when some contexts are due. Locks their heads, and skips locked ones.';

create or replace function kata_data.record_gainless(plan kata_data.compaction) returns void
language plpgsql volatile
as $$
declare
  v_head kata_data.head;
begin
  select h.* into v_head
  from kata_data.head h
  where h.context_id = plan.context_id
    and h.version = plan.base_version
  for no key update skip locked;
  -- A context that has changed meanwhile is left to the next claim.
  if not found or plan.policy <> kata_data.resolved_policy(plan.context_id)
    or ((kata_data.due_state(v_head, plan.policy)).due_at <= plan.started_at) is not true then
    return;
  end if;
  -- Recorded once: the context is not due again until the view has grown.
  perform kata_data.take_over(plan.context_id);
  perform kata_data.start_compaction(plan);
  perform kata_data.finish_compaction(plan, 'failed', kata_data.gain_problem(plan), is_gainless => true);
end
$$;
comment on function kata_data.record_gainless(kata_data.compaction) is
'Records as failed a compaction, planned without a lock, that would gain nothing, if the context is as it was and not locked.';
