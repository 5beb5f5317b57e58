-- The result of taking a lease, the same from begin_compaction and claim_due_compaction.

create or replace function kata_data.lease_row(compaction kata_data.compaction) returns setof kata_data.lease
language sql stable rows 1
as $$
  select compaction.context_id, compaction.compaction_id, compaction.covered, compaction.message_count, compaction.source_tokens,
    kata_data.previous_summary(compaction), compaction.lease_expires_at, compaction.strategy = 'summarize', h.tokenizer,
    kata_data.summary_budget(compaction)
  from kata_data.head h
  where h.context_id = compaction.context_id
$$;
comment on function kata_data.lease_row(kata_data.compaction) is 'The lease on a running compaction, as its worker sees it.';

create or replace function kata_data.previous_summary(compaction kata_data.compaction) returns text
language sql stable
as $$
  select string_agg(s.content, E'\n\n' order by s.place) from kata_data.absorbed_summaries(compaction) s
$$;
comment on function kata_data.previous_summary(kata_data.compaction) is
'The text of the summaries that a compaction absorbs; null where there is none.';

create or replace function kata_data.summary_budget(compaction kata_data.compaction) returns integer
language sql stable
as $$
  -- A third of what it replaces, and a tenth of the window: room for the messages that follow.
  select greatest(least(compaction.source_tokens / 3, (compaction.policy -> 'budget')::bigint / 10), 1)::integer
$$;
comment on function kata_data.summary_budget(kata_data.compaction) is 'The tokens that the summary of a compaction takes at most, if it is good.';
