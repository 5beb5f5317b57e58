-- The act at the end of a compaction holds every column of its row, none of which changes any more.

create or replace function kata_data.facts_of(compaction kata_data.compaction, out facts jsonb, out content jsonb)
language sql immutable
as $$
  select
    jsonb_strip_nulls(jsonb_build_object(
      'compaction_id', compaction.compaction_id,
      'status', compaction.status,
      'strategy', compaction.strategy,
      'forced', compaction.forced,
      'base_version', compaction.base_version,
      'covered', compaction.covered::text,
      'merged_summaries', compaction.merged_summaries,
      'summary_version', compaction.summary_version,
      'message_count', compaction.message_count,
      'source_tokens', compaction.source_tokens,
      'result_tokens', compaction.result_tokens,
      'started_at', (extract(epoch from compaction.started_at) * 1000000)::bigint)),
    jsonb_strip_nulls(jsonb_build_object(
      'policy', compaction.policy,
      'claimed_by', compaction.claimed_by,
      'error', compaction.error))
$$;
comment on function kata_data.facts_of(kata_data.compaction) is
'Facts and content of the act that ends a compaction; the time of the act is that of its end.';
