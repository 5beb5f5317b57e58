-- The first locks of a removal. They come before any lock on a head, in the order of their ids.

create or replace function kata_data.lock_artifacts(contexts uuid[]) returns void
language plpgsql volatile
as $$
begin
  -- Removals hold several segments and find more of them as they go, so they come one after the other.
  perform pg_advisory_xact_lock(hashtextextended('kata removal', 0));
  perform pg_advisory_xact_lock(kata_data.artifact_lock(s.segment_id))
  from (
    select c.context_id as segment_id
    from unnest(contexts) c(context_id)
    union
    select a.ancestor_id
    from unnest(contexts) c(context_id)
    cross join lateral kata_data.ancestors(c.context_id) a
    order by segment_id
  ) s;
  perform kata_data.lock_marks(array(
    select c.context_id from unnest(contexts) c(context_id)
    union all
    select a.ancestor_id from unnest(contexts) c(context_id) cross join lateral kata_data.ancestors(c.context_id) a));
end
$$;
comment on function kata_data.lock_artifacts(uuid[]) is
'Keeps other removals out, and the segments of some contexts and their ancestors from being parsed and indexed.

Both until the end of the transaction. Call it before a head is locked.';
