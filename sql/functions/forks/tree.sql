-- The whole family of a context, as a walk: a parent, then each fork with what descends from it.
-- plans: reader

create or replace function kata.tree(
  inout context_id uuid, out parent_id uuid, out name text, out fork_version bigint, out depth integer, out version bigint,
  out view_tokens bigint, out updated_at timestamptz, out archived_at timestamptz, out deleted_at timestamptz, out purged_at timestamptz
) returns setof record
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_family_id uuid;
begin
  perform kata_data.open_context(context_id, access => 'any');
  select c.family_id into strict v_family_id
  from kata_data.context c
  where c.context_id = tree.context_id;
  return query
  with recursive walk as (
    select v_family_id as context_id, array[''] as place
    union all
    -- Ids sort by creation.
    select c.context_id, w.place || (lpad(c.fork_version::text, 19, '0') || c.context_id)
    from walk w
    join kata_data.context c on c.parent_id = w.context_id
  )
  select c.context_id, c.parent_id, c.name, c.fork_version, c.depth, h.version, h.view_tokens,
    greatest(c.updated_at, h.last_at), c.archived_at, c.deleted_at, c.purged_at
  from walk w
  join kata_data.context c on c.context_id = w.context_id
  join kata_data.head h on h.context_id = w.context_id
  order by w.place collate "C";
end
$$;
comment on function kata.tree(uuid) is
'The whole fork family of a context.

Each parent comes before its forks, forks by fork version, then oldest first.

context_id: any member of the family; it may be deleted.

Returns rows: context_id, parent_id (null for the root), name, fork_version, depth (0 for the root), version, view_tokens (what a model
would see), updated_at (last append or change), archived_at, deleted_at, purged_at.
Errors: KC001. Cost: O(family).';
