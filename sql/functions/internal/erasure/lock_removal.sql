-- The first locks of a removal. They come before any lock on a head, in the order of their ids.

create or replace function kata_data.lock_removal(contexts uuid[]) returns void
language plpgsql volatile
as $$
begin
  perform kata_data.lock_families(contexts);
  perform kata_data.lock_marks(array(
    select c.context_id from unnest(contexts) c(context_id)
    union all
    select a.ancestor_id from unnest(contexts) c(context_id) cross join lateral kata_data.ancestors(c.context_id) a));
end
$$;
comment on function kata_data.lock_removal(uuid[]) is
'Keeps other removals and compactions out of the families of some contexts, and indexers from the segments of these and their ancestors.

Both until the end of the transaction. Call it before a head is locked.';
