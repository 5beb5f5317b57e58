-- Taking the lease, under the lock of the head: a running compaction keeps others out, one whose lease ran out is ended.

create or replace function kata_data.take_over(context_id uuid) returns void
language plpgsql volatile
as $$
declare
  v_running kata_data.compaction;
begin
  select c.* into v_running
  from kata_data.compaction c
  where c.context_id = take_over.context_id
    and c.status = 'running'
  for no key update;
  if not found then
    return;
  end if;
  if v_running.lease_expires_at > kata_data.clock() then
    raise exception using
      errcode = 'KC009',
      message = format('a compaction of context %s is in progress', context_id),
      detail = format('Compaction %s of "%s" holds the lease until %s.',
        v_running.compaction_id, left(v_running.claimed_by, 100), v_running.lease_expires_at),
      hint = 'Wait for it, or abort it with kata.abort_compaction.';
  end if;
  perform kata_data.finish_compaction(v_running, 'expired', 'The lease ran out, and another compaction took over.');
end
$$;
comment on function kata_data.take_over(uuid) is
'Makes room for a compaction of a context whose head the caller has locked: a running one whose lease ran out is ended. KC009 where another
holds the lease.';

create or replace function kata_data.start_compaction(plan kata_data.compaction) returns void
language plpgsql volatile
as $$
begin
  -- An old snapshot may miss what was erased since: sharing what is covered makes such a transaction fail, as one to be tried again.
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    perform
    from kata_data.path_messages(plan.context_id, plan.covered) p
    join kata_data.message m on m.segment_id = p.segment_id and m.version = p.version
    for key share of m;
    perform
    from unnest(plan.merged_summaries) v(version)
    cross join lateral kata_data.segments(plan.context_id, v.version, v.version) s
    join kata_data.summary y on y.segment_id = s.segment_id and y.version = v.version
    for key share of y;
    perform kata_data.share_amendments(
      (kata_data.view_at(plan.context_id, plan.base_version)).amendments,
      plan.covered + coalesce((select range_agg(int8range(v, v, '[]')) from unnest(plan.merged_summaries) v), '{}'::int8multirange));
  end if;
  -- Under the head's lock only a transaction with an old snapshot can conflict here: it fails likewise.
  insert into kata_data.compaction (
    compaction_id, context_id, status, strategy, policy, forced, base_version, covered, merged_summaries,
    message_count, source_tokens, claimed_by, started_at, lease_expires_at)
  values (
    plan.compaction_id, plan.context_id, plan.status, plan.strategy, plan.policy, plan.forced, plan.base_version,
    plan.covered, plan.merged_summaries, plan.message_count, plan.source_tokens, plan.claimed_by, plan.started_at, plan.lease_expires_at)
  on conflict (context_id) where status = 'running' do nothing;
end
$$;
comment on function kata_data.start_compaction(kata_data.compaction) is
'Takes the lease for a planned compaction. The caller holds the lock of the head, and has made room with kata_data.take_over.';
