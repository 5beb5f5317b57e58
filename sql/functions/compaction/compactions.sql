-- The attempts to compact a context, and what came of each.
-- plans: lookup

create or replace function kata.compactions(context_id uuid)
returns table (
  compaction_id uuid, status text, strategy text, policy jsonb, covered int8multirange, summary_version bigint, merged_summaries bigint[],
  message_count bigint, source_tokens bigint, result_tokens bigint, claimed_by text, started_at timestamptz, finished_at timestamptz, error text
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.open_context(context_id);
  return query
  select c.compaction_id, c.status, c.strategy, c.policy, c.covered, c.summary_version, c.merged_summaries, c.message_count, c.source_tokens,
    c.result_tokens, c.claimed_by, c.started_at, c.finished_at, c.error
  from kata_data.compaction c
  where c.context_id = compactions.context_id
  order by c.started_at desc, c.compaction_id desc;
end
$$;
comment on function kata.compactions(uuid) is
'The compactions that were begun in a context, newest first; an ancestor lists its own.

context_id: the context.

Returns compaction_id, status (running, committed, aborted, failed, expired), strategy, policy (in force when it began), covered
(versions), summary_version (the version that it took), merged_summaries (the summaries that it absorbed), message_count and source_tokens
(of the covered messages), result_tokens, claimed_by, started_at, finished_at, error.
Errors: KC001, KC006. Cost: O(rows).';
