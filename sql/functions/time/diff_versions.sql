-- What a model would see at one version and not at another of the same context.

create or replace function kata.diff_versions(context_id uuid, from_version bigint, to_version bigint)
returns table (change text, version bigint, role text, kind text, preview text, token_count integer)
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_from bigint := (kata_data.open_context(context_id, from_version)).at;
  v_to bigint := (kata_data.open_context(context_id, to_version)).at;
begin
  return query
  select case when v_from < v_to then 'added' else 'removed' end, e.version, e.role, e.kind, e.preview, e.token_count
  from kata_data.entries(diff_versions.context_id, least(v_from, v_to) + 1, greatest(v_from, v_to)) e;
end
$$;
comment on function kata.diff_versions(uuid, bigint, bigint) is
'How the view of a context at one version becomes the view at another.

context_id: the context. from_version, to_version: in any order; null for now.

Returns rows by version: change (added, removed, shortened, restored), version, role, kind, preview (100 characters), token_count.
Errors: KC001, KC002, KC006. Cost: O(log n + rows + fork depth).';
