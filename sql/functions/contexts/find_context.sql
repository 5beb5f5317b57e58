-- Looks up an id by name; null, not an error, where there is none.
-- plans: lookup

create or replace function kata.find_context(name text) returns uuid
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  return kata_data.live_context(kata_data.current_tenant(), name);
end
$$;
comment on function kata.find_context(text) is
'Returns the id of the live context of a name in the caller''s tenant; null when there is none.

name: the exact name. Cost: O(log contexts).';
