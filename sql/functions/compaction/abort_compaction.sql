-- Gives a compaction up. With a reason it was a failure, which the guards count; without one nobody is to blame.

create or replace function kata.abort_compaction(compaction_id uuid, reason text default null) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_open record := kata_data.open_compaction(compaction_id);
begin
  if (v_open.compaction).status = 'committed' then
    perform kata_data.refuse_stale(v_open.compaction, format('It was committed, at version %s: kata.undo takes that back.', (v_open.compaction).summary_version));
  elsif (v_open.compaction).status = 'running' then
    perform kata_data.finish_compaction(
      v_open.compaction, case when reason is null then 'aborted' else 'failed' end, reason,
      is_gainless => reason is not null and kata_data.is_gainless_digest(v_open.compaction));
  else
    -- An erasure has ended it, and left the head alone.
    perform kata_data.set_due((v_open.compaction).context_id);
  end if;
end
$$;
comment on function kata.abort_compaction(uuid, text) is
'Gives up a compaction that was begun: nothing is covered. Doing so twice is nothing.

compaction_id: as begin_compaction returned it.
reason: what failed; the attempt then counts as a failure, and after max_failures in a row the context is not due any more. A digest that gains nothing
  is not made again before the view has grown by the least gain. Null: it is no failure, a worker stops for example.

Errors: KC001, KC006, KC011 it was committed. Locks: the head of the context, then the compaction. Cost: O(1); of a digest that failed O(covered).';
