-- Work for whoever asks: the context that has been due longest and that nobody else is at. Candidates are chosen and planned without a
-- lock, artifacts extracted, then the head is locked or skipped, and everything looked at again. That a context has nothing to gain, or is
-- due later, is written down last: until then its head is not locked, and what is appended to it does not wait for the work on others.

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
  v_seen uuid[] := '{}';
  v_head kata_data.head;
  v_policy jsonb;
  v_compaction kata_data.compaction;
  v_later uuid[] := '{}';
  v_gainless kata_data.compaction[] := '{}';
  v_is_claimed boolean := false;
begin
  perform kata_data.check_compaction_arguments(null, lease_seconds);
  while not v_is_claimed loop
    select h.* into v_head from kata_data.next_due(v_now, v_seen) h;
    exit when not found;
    v_seen := v_seen || v_head.context_id;
    -- Where something is being erased, the work comes after that.
    continue when not pg_try_advisory_xact_lock_shared(kata_data.family_lock(v_head.context_id));
    v_policy := kata_data.resolved_policy(v_head.context_id);
    if ((kata_data.due_state(v_head, v_policy)).due_at <= v_now) is not true then
      v_later := v_later || v_head.context_id;
      continue;
    end if;
    v_compaction := kata_data.plan_compaction(v_head, v_policy, null, claimed_by, lease_seconds, false);
    if kata_data.gain_problem(v_compaction) is not null then
      v_gainless := v_gainless || v_compaction;
      continue;
    end if;
    perform kata_data.extract_artifacts(v_head.context_id, v_head.version);

    select h.* into v_head
    from kata_data.head h
    where h.context_id = v_head.context_id
    for no key update skip locked;
    continue when not found;
    v_policy := kata_data.resolved_policy(v_head.context_id);
    if (kata_data.due_state(v_head, v_policy)).due_at <= v_now then
      perform kata_data.take_over(v_head.context_id);
      v_compaction := kata_data.plan_compaction(v_head, v_policy, null, claimed_by, lease_seconds, false);
      perform kata_data.start_compaction(v_compaction);
      if kata_data.gain_problem(v_compaction) is null then
        v_is_claimed := true;
      else
        perform kata_data.finish_compaction(v_compaction, 'failed', kata_data.gain_problem(v_compaction), is_gainless => true);
      end if;
    end if;
    perform kata_data.set_due(v_head.context_id);
  end loop;

  perform kata_data.set_due(h.context_id)
  from (
    select h.context_id
    from unnest(v_later) l(context_id)
    join kata_data.head h on h.context_id = l.context_id
    for no key update of h skip locked
  ) h;
  perform kata_data.record_gainless(g) from unnest(v_gainless) g;
  if v_is_claimed then
    return query select b.context_id, b.compaction_id, b.covered, b.message_count, b.source_tokens, b.previous_summary, b.lease_expires_at,
      b.needs_summary, b.tokenizer, b.summary_budget
    from kata_data.begun(v_compaction) b;
  end if;
end
$$;
comment on function kata.claim_due_compaction(text, integer) is
'Begins the compaction of a context that is due, with the strategy of its policy; several workers get different ones. Under kata.tenant ''*'' the contexts of
all tenants; calls by compaction_id then need no tenant.

claimed_by: who works on it, for people. lease_seconds: 1 to 86,400; after it somebody else may take over.

Returns one row, or none where nothing is due: context_id, compaction_id, covered, message_count, source_tokens, previous_summary, lease_expires_at, needs_summary,
tokenizer and summary_budget, as begin_compaction.
Errors: KC017. Locks: erasures in the family out (advisory, shared), the head of the context, and at the end those of contexts that turned out to have nothing
to gain or to be due later; what is locked, or being erased, is skipped. Cost: as begin_compaction, and O(view) for each of these.';

create or replace function kata_data.next_due(now timestamptz, seen uuid[]) returns setof kata_data.head
language plpgsql stable rows 1
as $$
declare
  v_tenant text := kata_data.current_tenant();
begin
  if v_tenant = '*' then
    return query
    select h.*
    from kata_data.head h
    where h.due_at <= now
      and h.context_id <> all (seen)
    order by h.due_at
    limit 1;
  else
    return query
    select h.*
    from kata_data.head h
    -- Both columns at once, which the index on what is due for all tenants cannot serve.
    where (h.tenant, h.due_at) between (v_tenant, '-infinity') and (v_tenant, now)
      and h.due_at is not null
      and h.context_id <> all (seen)
    order by h.tenant, h.due_at
    limit 1;
  end if;
end
$$;
comment on function kata_data.next_due(timestamptz, uuid[]) is
'The head of the context of the caller''s tenant that has been due longest and was not seen yet; under kata.tenant ''*'' of all tenants. Takes no lock.
Cost: O(log n + seen).';

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
  -- What has changed meanwhile is looked at by the next claim.
  if not found or plan.policy <> kata_data.resolved_policy(plan.context_id)
    or ((kata_data.due_state(v_head, plan.policy)).due_at <= plan.started_at) is not true then
    return;
  end if;
  -- Said once, and not asked again until the view has grown.
  perform kata_data.take_over(plan.context_id);
  perform kata_data.start_compaction(plan);
  perform kata_data.finish_compaction(plan, 'failed', kata_data.gain_problem(plan), is_gainless => true);
end
$$;
comment on function kata_data.record_gainless(kata_data.compaction) is
'Writes down that a compaction of a context, planned without a lock, would gain nothing, if the context is as it was and nobody is at it.';
