-- The beginning of a compaction, under the head's lock: begin_compaction for one context, claim_due_compaction for whichever is due.

create or replace function kata_data.start_compaction(
  head kata_data.head, strategy text, claimed_by text, lease_seconds integer, force boolean
) returns kata_data.compaction
language plpgsql volatile
as $$
declare
  v_now timestamptz := kata_data.clock();
  v_policy jsonb := kata_data.resolved_policy(head.context_id);
  v_view kata_data.view_change := kata_data.view_at(head.context_id, head.version);
  v_running kata_data.compaction;
  v_compaction kata_data.compaction;
  v_cover record;
begin
  select c.* into v_running
  from kata_data.compaction c
  where c.context_id = head.context_id
    and c.status = 'running'
  for no key update;
  if found then
    if v_running.lease_expires_at > v_now then
      raise exception using
        errcode = 'KC009',
        message = format('a compaction of context %s is in progress', head.context_id),
        detail = format('Compaction %s of "%s" holds the lease until %s.', v_running.compaction_id, v_running.claimed_by, v_running.lease_expires_at),
        hint = 'Wait for it, or abort it with kata.abort_compaction.';
    end if;
    perform kata_data.finish_compaction(v_running, 'expired', 'The lease ran out, and another compaction took over.');
  end if;

  v_compaction.strategy := coalesce(strategy, v_policy ->> 'strategy');
  v_cover := kata_data.coverable(head, v_view, v_policy, v_compaction.strategy);
  v_compaction.compaction_id := kata_data.new_context_id(kata_data.bucket(head.context_id));
  v_compaction.context_id := head.context_id;
  v_compaction.status := 'running';
  v_compaction.policy := v_policy;
  v_compaction.forced := force;
  v_compaction.base_version := head.version;
  v_compaction.base_change_id := v_view.change_id;
  v_compaction.covered := v_cover.covered;
  v_compaction.merged_summaries := v_cover.merged_summaries;
  v_compaction.message_count := v_cover.message_count;
  v_compaction.source_tokens := v_cover.source_tokens;
  v_compaction.claimed_by := coalesce(claimed_by, kata_data.calling_role());
  v_compaction.started_at := v_now;
  v_compaction.lease_expires_at := v_now + lease_seconds * interval '1 second';
  -- The head's lock leaves no room for a conflict, but for a transaction that looks at an old snapshot: this makes it fail as one that
  -- may be tried again.
  insert into kata_data.compaction (
    compaction_id, context_id, status, strategy, policy, forced, base_version, base_change_id, covered, merged_summaries, message_count, source_tokens,
    claimed_by, started_at, lease_expires_at)
  values (
    v_compaction.compaction_id, v_compaction.context_id, v_compaction.status, v_compaction.strategy, v_compaction.policy, v_compaction.forced,
    v_compaction.base_version, v_compaction.base_change_id, v_compaction.covered, v_compaction.merged_summaries, v_compaction.message_count,
    v_compaction.source_tokens, v_compaction.claimed_by, v_compaction.started_at, v_compaction.lease_expires_at)
  on conflict (context_id) where status = 'running' do nothing;
  return v_compaction;
end
$$;
comment on function kata_data.start_compaction(kata_data.head, text, text, integer, boolean) is
'Takes the lease on a context whose head the caller has locked, and fixes what is covered; message_count 0: there is nothing to. A lease that ran out is
taken over. KC009.';

create or replace function kata_data.gain_problem(compaction kata_data.compaction) returns text
language sql immutable
as $$
  select case
    when compaction.message_count = 0 then 'Nothing may be covered: what is not preserved, pinned, open or the last request is compacted already.'
    when not compaction.forced and compaction.source_tokens < (compaction.policy -> 'min_gain_tokens')::bigint then
      format('What may be covered has %s tokens, less than min_gain_tokens of the policy, %s.', compaction.source_tokens, compaction.policy -> 'min_gain_tokens')
  end
$$;
comment on function kata_data.gain_problem(kata_data.compaction) is 'Why a compaction that was started cannot be worth it; null where it may be.';

create or replace function kata_data.refuse_nothing_to_compact(context_id uuid, reason text) returns void
language plpgsql immutable
as $$
begin
  raise exception using
    errcode = 'KC010',
    message = format('there is nothing to compact in context %s', context_id),
    detail = reason,
    hint = 'kata.compaction_status says when it is due; force => true compacts although it is not.';
end
$$;
comment on function kata_data.refuse_nothing_to_compact(uuid, text) is 'Refuses a compaction that is not due or has nothing to cover. KC010.';

create or replace function kata_data.check_compaction_arguments(strategy text, lease_seconds integer) returns void
language plpgsql immutable
as $$
begin
  if strategy not in ('summarize', 'digest', 'elide', 'drop') then
    raise exception using
      errcode = 'KC017',
      message = format('strategy "%s" is unknown', left(strategy, 100)),
      detail = 'It says how a context is compacted.',
      hint = 'Pass summarize, digest, elide or drop, or null for that of the policy.';
  end if;
  if lease_seconds is null or lease_seconds not between 1 and 86400 then
    raise exception using
      errcode = 'KC017',
      message = 'lease_seconds is out of range',
      detail = format('It is %s.', coalesce(lease_seconds::text, 'null')),
      hint = 'Pass 1 to 86400 seconds, and renew the lease where that is not enough.';
  end if;
end
$$;
comment on function kata_data.check_compaction_arguments(text, integer) is 'Refuses an unknown strategy (null is that of the policy), or a lease out of range. KC017.';

create or replace function kata_data.previous_summary(compaction kata_data.compaction) returns text
language sql stable
as $$
  select string_agg(y.content, E'\n\n' order by lower(y.covered))
  from unnest(compaction.merged_summaries) s(version)
  cross join lateral kata_data.summary_of(compaction.context_id, s.version) y
$$;
comment on function kata_data.previous_summary(kata_data.compaction) is 'The text of the summaries that a compaction absorbs; null where there is none.';
