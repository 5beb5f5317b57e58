-- Deleting is soft: the name is free, the rows stay, forks read on.

create or replace function kata.delete_context(context_id uuid) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.lock_context(context_id, 'read');
  perform kata_data.set_state(context_id, deleted => true);
end
$$;
comment on function kata.delete_context(uuid) is
'Deletes a context softly: it can be restored, its name is free, its forks are not touched.

context_id: the context; an archived one too.

Errors: KC001, KC006 deleted already. Locks: the head of the context. Cost: O(1).';
