-- The second of two phases, atomic: the covered messages leave the view, the summary enters. Locks the head, then the compaction, before
-- it checks whether the covered messages are still there.
-- plans: writer

create or replace function kata.commit_compaction(
  compaction_id uuid,
  summary text,
  token_count integer default null,
  metadata jsonb default null,
  out summary_version bigint, out covered int8multirange, out message_count bigint, out source_tokens bigint, out result_tokens bigint
) returns setof record
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_open record;
  v_compaction kata_data.compaction;
begin
  v_open := kata_data.open_compaction(compaction_id);
  v_compaction := v_open.compaction;
  if v_compaction.status = 'committed' then
    perform kata_data.check_same_summary(v_compaction, summary);
  elsif v_compaction.status <> 'running' then
    perform kata_data.refuse_stale(v_compaction, format('It is %s: %s', v_compaction.status, coalesce(v_compaction.error, 'it was given up.')));
  else
    v_compaction := kata_data.apply_compaction(v_open.head, v_compaction, summary, token_count, metadata);
  end if;
  return query
  select v_compaction.summary_version, v_compaction.covered, v_compaction.message_count, v_compaction.source_tokens, v_compaction.result_tokens;
end
$$;
comment on function kata.commit_compaction(uuid, text, integer, jsonb) is
'Commits a compaction: in one step the messages that it covers leave the view and the summary enters.

Committing again with the same summary returns the first result. A lease that ran out does not matter unless another worker took over.

compaction_id: as begin_compaction returned it.
summary: the text, fewer tokens than it replaces; null for the strategies elide and drop, which have none, and for digest, which is made here.
token_count: of the summary, in the context''s tokenizer; estimated when null.
metadata: an object, kept with the summary.

Returns one row: summary_version (the version that the compaction took; of the summary, where one entered), covered, message_count,
source_tokens (the tokens of the covered messages in the view before), result_tokens (the tokens of the summary or the stubs now).
Errors: KC001, KC006, KC011 stale: a covered message has left the view, is pinned now, was shortened or erased since, another worker took
over, the compaction was given up, or it was committed with another summary; KC012 the summary is blank or does not shrink the view, KC017.
Locks: the head of the context, then the compaction. Cost: O(covered + pieces of the view).';
