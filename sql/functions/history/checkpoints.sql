-- The checkpoints that kata.resolve_version resolves for a context.
-- plans: reader

create or replace function kata.checkpoints(context_id uuid)
returns table (name text, version bigint, note text, created_at timestamptz)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_newest bigint;
begin
  v_newest := (kata_data.open_context(context_id)).version;
  return query
  select k.name, k.version, k.note, k.created_at
  from kata_data.visible_checkpoints(checkpoints.context_id, 0, v_newest) k
  order by k.version, k.created_at, k.name collate "C";
end
$$;
comment on function kata.checkpoints(uuid) is
'The checkpoints of a context, its own and inherited ones.

They are ordered by version. A checkpoint of an ancestor is listed if it lies before the fork and no nearer one of the same name hides it.

context_id: the context.

Returns rows: name, version, note, created_at.
Errors: KC001, KC006. Cost: O(checkpoints × fork depth).';
