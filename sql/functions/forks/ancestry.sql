-- The line of parents up to the root, deleted and purged ones included.
-- plans: lookup

create or replace function kata.ancestry(
  inout context_id uuid, out name text, out fork_version bigint, out depth integer, out deleted_at timestamptz, out purged_at timestamptz
) returns setof record
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.open_context(context_id, access => 'any');
  return query
  select c.context_id, c.name, c.fork_version, c.depth, c.deleted_at, c.purged_at
  from kata_data.ancestors(ancestry.context_id) a
  join kata_data.context c on c.context_id = a.ancestor_id
  order by a.distance;
end
$$;
comment on function kata.ancestry(uuid) is
'The ancestors of a context, from its parent to the root; deleted and purged ones too.

context_id: the context; it may be deleted.

Returns rows: context_id, name, fork_version (at which the ancestor itself was forked; null for the root), depth (0 for the root),
deleted_at, purged_at.
Errors: KC001. Cost: O(fork depth).';
