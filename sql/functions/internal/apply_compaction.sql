-- What a commit does once the doors are passed.

create or replace function kata_data.apply_compaction(
  head kata_data.head, compaction kata_data.compaction, summary text, token_count integer, metadata jsonb
) returns kata_data.compaction
language plpgsql volatile
as $$
declare
  v_compaction kata_data.compaction := compaction;
  v_view kata_data.view_change := kata_data.view_at(compaction.context_id, head.version);
  v_digest record;
  v_summary kata_data.summary;
  v_stubs kata_data.stub[];
  v_change kata_data.view_change;
begin
  if v_compaction.strategy = 'digest' and summary is null then
    v_digest := kata_data.digest_text(v_compaction);
    return kata_data.apply_compaction(
      head, v_compaction, v_digest.content, null, coalesce(metadata, '{}') || jsonb_build_object('digest', v_digest.facts));
  end if;
  perform kata_data.check_summary(v_compaction, summary, token_count, metadata);
  perform kata_data.check_stale(head, v_view, v_compaction);
  case
    when v_compaction.strategy = 'drop' then
      v_compaction.result_tokens := 0;
      perform kata_data.check_gain(v_compaction);
      v_change := kata_data.add_change(head, kata_data.new_change('compaction', v_compaction.covered));
    when v_compaction.strategy = 'elide' then
      v_stubs := kata_data.stubs_for(v_compaction.context_id, v_view, head, v_compaction.covered, kata_data.stub_tokens()::integer);
      v_compaction.result_tokens := v_compaction.source_tokens - kata_data.stub_gain(v_compaction.context_id, v_view, v_stubs);
      perform kata_data.check_gain(v_compaction);
      v_change := kata_data.add_change(head, kata_data.elision_of(v_stubs), stubs => v_stubs);
    else
      v_summary.role := v_compaction.policy ->> 'summary_role';
      v_summary.content := summary;
      v_summary.token_count := coalesce(token_count, kata_data.message_tokens(summary, null, null, head.tokenizer));
      v_summary.token_source := case when token_count is null then 'estimate' else 'given' end;
      v_summary.metadata := metadata;
      v_compaction.result_tokens := v_summary.token_count;
      perform kata_data.check_gain(v_compaction);
      v_change := kata_data.add_change(head, kata_data.new_change('compaction', v_compaction.covered), v_summary);
  end case;
  v_compaction.summary_version := v_change.version;
  v_compaction.status := 'committed';
  perform kata_data.finish_compaction(v_compaction, 'committed', null);
  return v_compaction;
end
$$;
comment on function kata_data.apply_compaction(kata_data.head, kata_data.compaction, text, integer, jsonb) is
'Commits a running compaction whose head and row the caller has locked, and returns it with its result; a digest that is null is made. KC011, KC012,
KC017.';

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
      hint = 'Pass null for the strategies elide and drop, else at most 16 MB of text, a count that is not negative, and an object of at most 100 levels and no number beyond 1e308, or null.';
  end if;
  if compaction.strategy in ('summarize', 'digest') and coalesce(summary, '') !~ '\S' then
    raise exception using
      errcode = 'KC012',
      message = 'the summary is blank',
      detail = format('It would stand for %s messages.', compaction.message_count),
      hint = 'Summarise again, or give up with kata.abort_compaction and a reason, which counts as a failure.';
  end if;
end
$$;
comment on function kata_data.check_summary(kata_data.compaction, text, integer, jsonb) is 'Refuses a summary that no compaction of its strategy can take. KC012, KC017.';

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
    detail = format('It would put %s tokens in the place of %s.', compaction.result_tokens, compaction.source_tokens),
    hint = 'Summarise shorter, or give up with kata.abort_compaction and a reason, which counts as a failure.';
end
$$;
comment on function kata_data.check_gain(kata_data.compaction) is 'Refuses a result that does not shrink the view. KC012.';

create or replace function kata_data.check_stale(head kata_data.head, view kata_data.view_change, compaction kata_data.compaction) returns void
language plpgsql stable
as $$
declare
  v_pinned bigint;
begin
  if not compaction.covered <@ kata_data.visible_at(view, head.version) or not compaction.merged_summaries <@ view.replacements then
    perform kata_data.refuse_stale(compaction, format('Some of what it covers is no longer in the view: %s.',
      compaction.covered - kata_data.visible_at(view, head.version)));
  end if;
  select min(p.pinned) into v_pinned
  from unnest(kata_data.pinned_groups_at(compaction.context_id, view, head.version)) p(pinned)
  where compaction.covered @> p.pinned;
  if v_pinned is not null then
    perform kata_data.refuse_stale(compaction, format('Version %s, which it covers, is pinned now.', v_pinned));
  end if;
  if exists (
    select
    from unnest(view.elisions) e(change_id)
    cross join lateral (
      select
      from kata_data.stub s
      where s.change_id = e.change_id
        and compaction.covered @> s.version
      offset 0
    ) s
    where e.change_id > compaction.base_change_id) then
    perform kata_data.refuse_stale(compaction, 'Some of what it covers was shortened since.');
  end if;
end
$$;
comment on function kata_data.check_stale(kata_data.head, kata_data.view_change, kata_data.compaction) is
'Refuses a commit where something covered left the view, is pinned now, or was shortened since the compaction began. KC011.';

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
