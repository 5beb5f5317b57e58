-- Finds the last shared entry of two contexts, from their lineages alone.
-- plans: reader

create or replace function kata.common_ancestor(context_a uuid, context_b uuid)
returns table (segment_id uuid, version bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_newest_a bigint;
  v_newest_b bigint;
begin
  v_newest_a := (kata_data.open_context(context_a)).version;
  v_newest_b := (kata_data.open_context(context_b)).version;
  return query
  select s.segment_id, s.version
  from kata_data.shared_history(context_a, v_newest_a, context_b, v_newest_b) s;
end
$$;
comment on function kata.common_ancestor(uuid, uuid) is
'The last entry that two contexts share.

context_a, context_b: the contexts.

Returns one row: segment_id (the context that wrote the entry) and version; null and 0 if they share nothing.
Errors: KC001, KC006. Cost: O(fork depth), whatever the length of the logs.';
