-- Guards: the checks that refuse a compaction before it starts, and at its commit.

create or replace function kata_data.gain_problem(compaction kata_data.compaction) returns text
language sql immutable
as $$
  select case
    when compaction.message_count = 0 then 'Nothing may be covered: all that is not preserved, pinned, open or the last request is compacted already.'
    when not compaction.forced and compaction.source_tokens < (compaction.policy -> 'min_gain_tokens')::bigint then
      format('The messages that may be covered have %s tokens, less than min_gain_tokens of the policy, %s.',
        compaction.source_tokens, compaction.policy -> 'min_gain_tokens')
  end
$$;
comment on function kata_data.gain_problem(kata_data.compaction) is 'Why a planned compaction cannot gain enough; null where it may.';

create or replace function kata_data.refuse_nothing_to_compact(context_id uuid, reason text, may_force boolean) returns void
language plpgsql immutable
as $$
begin
  raise exception using
    errcode = 'KC010',
    message = format('there is nothing to compact in context %s', context_id),
    detail = reason,
    hint = case
      when may_force then 'kata.compaction_status says when it is due; force => true compacts although it is not.'
      else 'Unpin messages, preserve fewer in the policy, or try again when there are more.'
    end;
end
$$;
comment on function kata_data.refuse_nothing_to_compact(uuid, text, boolean) is
'Refuses a compaction that is not due or has nothing to cover. may_force: force would help. KC010.';

create or replace function kata_data.check_compaction_arguments(strategy text, lease_seconds integer) returns void
language plpgsql immutable
as $$
begin
  if strategy not in ('summarize', 'digest', 'elide', 'drop') then
    raise exception using
      errcode = 'KC017',
      message = format('strategy "%s" is unknown', left(strategy, 100)),
      detail = 'A strategy names how a context is compacted.',
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
comment on function kata_data.check_compaction_arguments(text, integer) is
'Refuses an unknown strategy (null is that of the policy), or a lease out of range. KC017.';

create or replace function kata_data.check_summary(compaction kata_data.compaction, summary text, token_count integer, metadata jsonb) returns void
language plpgsql immutable
as $$
begin
  if (summary is not null and compaction.strategy in ('elide', 'drop')) or token_count < 0 or jsonb_typeof(metadata) <> 'object'
    or octet_length(summary) > 16777216 or not kata_data.json_fits(metadata) then
    raise exception using
      errcode = 'KC017',
      message = 'the summary does not fit the compaction',
      detail = format('The strategy is %s; the summary has %s bytes, token_count is %s, metadata is %s.', compaction.strategy,
        coalesce(octet_length(summary)::text, 'no'), coalesce(token_count::text, 'null'), coalesce(jsonb_typeof(metadata), 'null')),
      hint = 'Pass null for the strategies elide and drop, else at most 16 MB of text, a count that is not negative, and an object of at '
        'most 100 levels and no number beyond 1e308, or null.';
  end if;
  if compaction.strategy in ('summarize', 'digest') and coalesce(summary, '') !~ E'\\S' collate kata_data.c_utf8 then
    raise exception using
      errcode = 'KC012',
      message = 'the summary is blank',
      detail = format('It would replace %s messages.', compaction.message_count),
      hint = 'Summarize again, or give up with kata.abort_compaction and a reason, which counts as a failure.';
  end if;
end
$$;
comment on function kata_data.check_summary(kata_data.compaction, text, integer, jsonb) is
'Refuses a summary that a compaction of its strategy cannot take. KC012, KC017.';

create or replace function kata_data.check_gain(compaction kata_data.compaction) returns void
language plpgsql immutable
as $$
begin
  if compaction.result_tokens < compaction.source_tokens then
    return;
  end if;
  raise exception using
    errcode = 'KC012',
    message = 'the compaction gains nothing',
    detail = format('It would replace %s tokens by %s.', compaction.source_tokens, compaction.result_tokens),
    hint = 'Write a shorter summary, or give up with kata.abort_compaction and a reason, which counts as a failure.';
end
$$;
comment on function kata_data.check_gain(kata_data.compaction) is 'Refuses a result that does not shrink the view. KC012.';

create or replace function kata_data.check_stale(head kata_data.head, view kata_data.view, compaction kata_data.compaction) returns void
language plpgsql stable
as $$
declare
  v_gone int8multirange := compaction.covered - kata_data.visible_at(view, head.version);
  v_pinned bigint;
begin
  if not isempty(v_gone) and kata_data.first_message(compaction.context_id, v_gone) is not null
    or not compaction.merged_summaries <@ view.replacements then
    perform kata_data.refuse_stale(compaction, format('Some of what it covers is no longer in the view: %s.', v_gone));
  end if;
  select min(p.pinned) into v_pinned
  from unnest(kata_data.pinned_groups_at(compaction.context_id, view, head.version)) p(pinned)
  where compaction.covered @> p.pinned;
  if v_pinned is not null then
    perform kata_data.refuse_stale(compaction, format('Version %s, which it covers, is pinned now.', v_pinned));
  end if;
  if kata_data.restubbed(kata_data.view_at(compaction.context_id, compaction.base_version), view) && compaction.covered then
    perform kata_data.refuse_stale(compaction, 'Some of what it covers is shown in other words since: shortened, amended, or whole again.');
  end if;
end
$$;
comment on function kata_data.check_stale(kata_data.head, kata_data.view, kata_data.compaction) is
'Refuses a commit where something covered left the view, is pinned now, or is shown in other words than when the compaction began. KC011.';

create or replace function kata_data.check_same_summary(compaction kata_data.compaction, summary text) returns void
language plpgsql stable
as $$
declare
  v_content text;
  v_metadata jsonb;
begin
  select y.content, y.metadata into v_content, v_metadata
  from kata_data.summary y
  where y.segment_id = compaction.context_id
    and y.version = compaction.summary_version;
  if summary is not distinct from v_content
    or (summary is null and compaction.strategy = 'digest' and kata_data.facts_in(v_metadata) is not null) then
    return;
  end if;
  perform kata_data.refuse_stale(compaction, format('It was committed with another summary, at version %s.', compaction.summary_version));
end
$$;
comment on function kata_data.check_same_summary(kata_data.compaction, text) is 'Refuses to commit again with another summary. KC011.';

create or replace function kata_data.refuse_stale(compaction kata_data.compaction, detail text) returns void
language plpgsql immutable
as $$
begin
  raise exception using
    errcode = 'KC011',
    message = format('compaction %s is stale', compaction.compaction_id),
    detail = detail,
    hint = 'Begin another compaction; its source is the view as it is now.';
end
$$;
comment on function kata_data.refuse_stale(kata_data.compaction, text) is 'Refuses a call that comes too late for a compaction. KC011.';
