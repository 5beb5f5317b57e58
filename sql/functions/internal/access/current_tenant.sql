-- The tenant whose data a call may see. Public functions run as kata_owner, so current_user is always that; the role that counts is the
-- SET ROLE in force, else the session's.

create or replace function kata_data.calling_role() returns name
language sql stable
as $$
  select coalesce(nullif(current_setting('role', true), 'none'), session_user)::name
$$;
comment on function kata_data.calling_role() is 'The role that called the API: the SET ROLE in force, else the session''s.';

create or replace function kata_data.current_tenant() returns text
language sql stable
as $$
  -- One expression, so that the planner inlines it into the query that calls it.
  select case
    when pg_has_role(kata_data.calling_role(), 'kata_service', 'member') then coalesce(nullif(current_setting('kata.tenant', true), ''), 'default')
    else kata_data.own_tenant()
  end
$$;
comment on function kata_data.current_tenant() is
'The tenant of the caller: for a member of kata_service the setting kata.tenant (default: ''default''), else own_tenant. ''*'' means every
tenant; only members of kata_service and kata_admin can set it.';

create or replace function kata_data.own_tenant() returns text
language plpgsql stable
as $$
declare
  v_role name := kata_data.calling_role();
begin
  if current_setting('kata.tenant', true) = '*' and pg_has_role(v_role, 'kata_admin', 'member') then
    return '*';
  end if;
  -- A role may be named "*", which does not make it every tenant.
  return coalesce((select t.tenant from kata_data.tenant_role t where t.role_name = v_role), case v_role when '*' then '"*"' else v_role end);
end
$$;
comment on function kata_data.own_tenant() is
'The tenant of a caller that is not a member of kata_service: the one that assign_tenant gave to the role, else the role''s name; ''*'' for
a member of kata_admin that sets kata.tenant to it.';
