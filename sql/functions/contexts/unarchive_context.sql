-- Reverses archive_context.
-- plans: lookup

create or replace function kata.unarchive_context(context_id uuid) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.lock_context(context_id, 'read');
  perform kata_data.set_state(context_id, archived => false);
end
$$;
comment on function kata.unarchive_context(uuid) is
'Opens an archived context for changes again.

Unarchiving a context that is not archived changes nothing.

context_id: the context.

Errors: KC001, KC006 deleted. Locks: the head of the context. Cost: O(1).';
