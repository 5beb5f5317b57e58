-- Work for whoever asks: the context that has been due longest and that nobody else is at. Candidates are chosen without a lock, their
-- artifacts extracted, then the head is locked or skipped, and everything looked at again.

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
  v_tenant text := kata_data.current_tenant();
  v_now timestamptz := kata_data.clock();
  v_seen uuid[] := '{}';
  v_head kata_data.head;
  v_due record;
  v_compaction kata_data.compaction;
begin
  perform kata_data.check_compaction_arguments(null, lease_seconds);
  loop
    select h.* into v_head
    from kata_data.head h
    where h.due_at <= v_now
      and v_tenant in (h.tenant, '*')
      and h.context_id <> all (v_seen)
    order by h.due_at
    limit 1;
    if not found then
      return;
    end if;
    v_seen := v_seen || v_head.context_id;
    perform kata_data.extract_artifacts(v_head.context_id, v_head.version);

    select h.* into v_head
    from kata_data.head h
    where h.context_id = v_head.context_id
    for no key update skip locked;
    continue when not found;
    v_due := kata_data.due_state(v_head, kata_data.resolved_policy(v_head.context_id));
    if v_due.due_at <= v_now then
      v_compaction := kata_data.start_compaction(v_head, null, claimed_by, lease_seconds, false);
      if kata_data.gain_problem(v_compaction) is null then
        perform kata_data.set_due(v_compaction.context_id);
        return query select b.context_id, b.compaction_id, b.covered, b.message_count, b.source_tokens, b.previous_summary, b.lease_expires_at,
          b.needs_summary, b.tokenizer, b.summary_budget
        from kata_data.begun(v_compaction) b;
        return;
      end if;
      -- Said once, and not asked again until the view has grown.
      perform kata_data.finish_compaction(v_compaction, 'failed', kata_data.gain_problem(v_compaction), is_gainless => true);
    else
      perform kata_data.set_due(v_head.context_id);
    end if;
  end loop;
end
$$;
comment on function kata.claim_due_compaction(text, integer) is
'Begins the compaction of a context that is due, with the strategy of its policy; several workers get different ones. Under kata.tenant ''*'' the contexts of
all tenants; calls by compaction_id then need no tenant.

claimed_by: who works on it, for people. lease_seconds: 1 to 86,400; after it somebody else may take over.

Returns one row, or none where nothing is due: context_id, compaction_id, covered, message_count, source_tokens, previous_summary, lease_expires_at, needs_summary,
tokenizer and summary_budget, as begin_compaction.
Errors: KC017. Locks: the head of the context, skipping those that are locked. Cost: as begin_compaction, for every context that turns out to have nothing
to cover, too.';
