-- Soft delete: the name becomes free, the rows stay, and forks go on reading them.
-- plans: lookup

create or replace function kata.delete_context(context_id uuid) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.lock_context(context_id, 'read');
  perform kata_data.set_state(context_id, deleted => true);
end
$$;
comment on function kata.delete_context(uuid) is
'Deletes a context softly: it can be restored, its name is free, its forks are not affected.

context_id: the context; it may be archived.

Errors: KC001, KC006 deleted already. Locks: the head of the context. Cost: O(1).';
