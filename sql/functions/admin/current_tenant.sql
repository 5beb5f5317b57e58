-- Whose data the caller sees: the first question when something is not found.

create or replace function kata.current_tenant() returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  return kata_data.current_tenant();
end
$$;
comment on function kata.current_tenant() is
'The tenant that the caller acts for: for a member of kata_service the setting kata.tenant (default: ''default''), else what
assign_tenant gave to the role, else the role''s name. ''*'' is every tenant, for members of kata_service and kata_admin that set it.
Cost: O(1).';
