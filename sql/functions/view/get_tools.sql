-- The list of tools in force, now or as of any version: two look-ups.
-- plans: reader

create or replace function kata.get_tools(context_id uuid, at bigint default null)
returns table (tools json, version bigint, digest bytea, token_count integer)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record;
  v_view kata_data.view;
begin
  v_context := kata_data.open_context(context_id, at);
  v_view := kata_data.view_of(context_id, v_context.at, v_context.view_version);
  return query
  select kata_data.tools_in_force(get_tools.context_id, v_view)::json, coalesce(v_view.tools_version, 0), v_view.tools_digest,
    v_view.tools_tokens;
end
$$;
comment on function kata.get_tools(uuid, bigint) is
'Returns the list of tools in force in a context.

context_id: the context. at: as of this version; null for now.

Returns one row: tools (as it was given, byte for byte; null for none), version (since which it is in force; 0 where none was ever set),
digest (SHA-256 of the text), token_count (in the context''s tokenizer).
Errors: KC001, KC002, KC006. Cost: O(log n + length).';
