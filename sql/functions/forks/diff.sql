-- Compares two contexts: the entries that each has after their common ancestor.
-- plans: reader

create or replace function kata.diff(context_a uuid, context_b uuid)
returns table (side text, version bigint, role text, kind text, preview text, token_count integer, created_at timestamptz)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_newest_a bigint;
  v_newest_b bigint;
  v_shared bigint;
begin
  v_newest_a := (kata_data.open_context(context_a)).version;
  v_newest_b := (kata_data.open_context(context_b)).version;
  v_shared := (kata_data.shared_history(context_a, v_newest_a, context_b, v_newest_b)).version;
  return query
  select 'a', e.version, e.role, e.kind, e.preview, e.token_count, e.created_at
  from kata_data.entries(context_a, v_shared + 1, v_newest_a) e;
  return query
  select 'b', e.version, e.role, e.kind, e.preview, e.token_count, e.created_at
  from kata_data.entries(context_b, v_shared + 1, v_newest_b) e;
end
$$;
comment on function kata.diff(uuid, uuid) is
'The entries of two contexts after their common ancestor.

The entries of the first context come first, those of the second after them, each by version.

context_a, context_b: the contexts.

Returns rows: side (a or b), version, role, kind (as in kata.history), preview (100 characters), token_count, created_at.
Errors: KC001, KC006. Cost: O(fork depth + rows), whatever the length of the shared history.';
