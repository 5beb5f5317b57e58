-- The tenant that the caller acts for, as every function determines it.
-- plans: lookup

create or replace function kata.current_tenant() returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  return kata_data.current_tenant();
end
$$;
comment on function kata.current_tenant() is
'The tenant that the caller acts for.

For a member of kata_service it is the setting kata.tenant, or ''default'' if that is not set; for any other role the tenant of
kata.assign_tenant, or else the name of the role. ''*'' means every tenant, for members of kata_service and kata_admin that set it.
Cost: O(1).';
