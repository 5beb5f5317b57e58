-- The beginning of a compaction: begin_compaction for one context, claim_due_compaction for whichever is due. What is covered is planned
-- without a lock or under that of the head; the lease is taken under the head's lock.

create or replace function kata_data.plan_compaction(
  head kata_data.head, policy jsonb, strategy text, claimed_by text, lease_seconds integer, force boolean
) returns kata_data.compaction
language plpgsql stable
as $$
declare
  v_view kata_data.view := kata_data.view_at(head.context_id, head.version);
  v_compaction kata_data.compaction;
  v_cover record;
begin
  v_compaction.strategy := coalesce(strategy, policy ->> 'strategy');
  v_cover := kata_data.coverable(head, v_view, policy, v_compaction.strategy);
  v_compaction.compaction_id := kata_data.new_context_id(kata_data.bucket(head.context_id));
  v_compaction.context_id := head.context_id;
  v_compaction.status := 'running';
  v_compaction.policy := policy;
  v_compaction.forced := force;
  v_compaction.base_version := head.version;
  v_compaction.base_change_id := v_view.change_id;
  v_compaction.covered := v_cover.covered;
  v_compaction.merged_summaries := v_cover.merged_summaries;
  v_compaction.message_count := v_cover.message_count;
  v_compaction.source_tokens := v_cover.source_tokens;
  v_compaction.claimed_by := coalesce(claimed_by, kata_data.calling_role());
  v_compaction.started_at := kata_data.clock();
  v_compaction.lease_expires_at := v_compaction.started_at + lease_seconds * interval '1 second';
  return v_compaction;
end
$$;
comment on function kata_data.plan_compaction(kata_data.head, jsonb, text, text, integer, boolean) is
'A compaction of a context as its head stands, given its resolved policy, with what it covers fixed; message_count 0: nothing may be. Changes nothing, and
takes no lock. Cost: O(view).';

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
      detail = format('Compaction %s of "%s" holds the lease until %s.', v_running.compaction_id, left(v_running.claimed_by, 100), v_running.lease_expires_at),
      hint = 'Wait for it, or abort it with kata.abort_compaction.';
  end if;
  perform kata_data.finish_compaction(v_running, 'expired', 'The lease ran out, and another compaction took over.');
end
$$;
comment on function kata_data.take_over(uuid) is
'Makes room for a compaction of a context whose head the caller has locked: one whose lease ran out is ended. KC009 another holds the lease.';

create or replace function kata_data.start_compaction(plan kata_data.compaction) returns void
language plpgsql volatile
as $$
begin
  -- Who looks at an old snapshot has not waited for what was erased since: sharing what is covered makes that fail as one that may be tried again.
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
  end if;
  -- The head's lock leaves no room for a conflict, but for such a transaction: this makes it fail likewise.
  insert into kata_data.compaction (
    compaction_id, context_id, status, strategy, policy, forced, base_version, base_change_id, covered, merged_summaries, message_count, source_tokens,
    claimed_by, started_at, lease_expires_at)
  values (
    plan.compaction_id, plan.context_id, plan.status, plan.strategy, plan.policy, plan.forced, plan.base_version, plan.base_change_id, plan.covered,
    plan.merged_summaries, plan.message_count, plan.source_tokens, plan.claimed_by, plan.started_at, plan.lease_expires_at)
  on conflict (context_id) where status = 'running' do nothing;
end
$$;
comment on function kata_data.start_compaction(kata_data.compaction) is
'Takes the lease for a compaction that was planned. The caller has locked the head since it was planned, or before, and made room with kata_data.take_over.';

create or replace function kata_data.previous_summary(compaction kata_data.compaction) returns text
language sql stable
as $$
  select string_agg(y.content, E'\n\n' order by lower(y.covered))
  from unnest(compaction.merged_summaries) s(version)
  cross join lateral kata_data.summary_of(compaction.context_id, s.version) y
$$;
comment on function kata_data.previous_summary(kata_data.compaction) is 'The text of the summaries that a compaction absorbs; null where there is none.';
