-- Reverses delete_context.
-- plans: lookup

create or replace function kata.restore_context(context_id uuid) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.lock_context(context_id, 'restore');
  perform kata_data.set_state(context_id, deleted => false);
end
$$;
comment on function kata.restore_context(uuid) is
'Restores a deleted context.

Restoring a context that is not deleted changes nothing.

context_id: the context.

Errors: KC001, KC006 purged, KC007 another live context has its name. Locks: the head of the context. Cost: O(1).';
