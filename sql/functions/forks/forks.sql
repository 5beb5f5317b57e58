-- The direct children of a context, deleted ones too.
-- plans: lookup

create or replace function kata.forks(
  inout context_id uuid, out name text, out fork_version bigint, out version bigint, out created_at timestamptz, out deleted_at timestamptz
) returns setof record
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.open_context(context_id);
  return query
  select c.context_id, c.name, c.fork_version, h.version, c.created_at, c.deleted_at
  from kata_data.context c
  join kata_data.head h on h.context_id = c.context_id
  where c.parent_id = forks.context_id
  order by c.fork_version, c.context_id;
end
$$;
comment on function kata.forks(uuid) is
'The direct forks of a context, deleted ones too.

They are ordered by fork version, then oldest first.

context_id: the parent.

Returns rows: context_id, name, fork_version, version, created_at, deleted_at.
Errors: KC001, KC006. Cost: O(forks).';
