-- Gives up a compaction. With a reason the attempt is a failure, which the guards count; without one it is not.
-- plans: lookup

create or replace function kata.abort_compaction(compaction_id uuid, reason text default null) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_compaction kata_data.compaction;
begin
  v_compaction := (kata_data.open_compaction(compaction_id)).compaction;
  if v_compaction.status = 'committed' then
    perform kata_data.refuse_stale(v_compaction, format('It was committed, at version %s: kata.undo takes that back.', v_compaction.summary_version));
  elsif v_compaction.status = 'running' then
    perform kata_data.finish_compaction(
      v_compaction, case when reason is null then 'aborted' else 'failed' end, reason,
      is_gainless => reason is not null and kata_data.is_gainless_digest(v_compaction));
  else
    -- It has ended already. Where an erasure ended it, the head still has the old due time.
    perform kata_data.set_due(v_compaction.context_id);
  end if;
end
$$;
comment on function kata.abort_compaction(uuid, text) is
'Gives up a compaction that was begun: nothing is covered.

Aborting it again changes nothing.

compaction_id: as begin_compaction returned it.
reason: what failed. The attempt then counts as a failure, and after max_failures failures in a row the context is no longer due; a digest
  that gains nothing is not tried again before the view has grown by min_gain_tokens. Null: not a failure; a worker stops, for example.

Errors: KC001, KC006, KC011 it was committed. Locks: the head of the context, then the compaction. Cost: O(1); of a digest that failed O(covered).';
