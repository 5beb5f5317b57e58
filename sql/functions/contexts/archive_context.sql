-- Archives a context: the head is locked, so that an append either commits before or is refused.
-- plans: lookup

create or replace function kata.archive_context(context_id uuid) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.lock_context(context_id, 'read');
  perform kata_data.set_state(context_id, archived => true);
end
$$;
comment on function kata.archive_context(uuid) is
'Archives a context: it can be read and forked, not changed.

Archiving an archived context changes nothing.

context_id: the context.

Errors: KC001, KC006 deleted. Locks: the head of the context. Cost: O(1).';
