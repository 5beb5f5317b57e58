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
  v_tenant kata_data.tenant_role;
begin
  if current_setting('kata.tenant', true) = '*' and pg_has_role(v_role, 'kata_admin', 'member') then
    return '*';
  end if;
  select t.role_name, t.role, t.tenant into v_tenant from kata_data.tenant_role t where t.role_name = v_role;
  return case
    when v_tenant.role = to_regrole(quote_ident(v_role)) then v_tenant.tenant
    -- Another role had the name before, and the tenant.
    when v_tenant.role is not null then format('%s (%s)', left(v_role, 200), to_regrole(quote_ident(v_role))::oid)
    -- A role may be named "*", which does not make it every tenant.
    when v_role = '*' then '"*"'
    else v_role
  end;
end
$$;
comment on function kata_data.own_tenant() is
'The tenant of a caller that is not a member of kata_service: the one that assign_tenant gave to the role, else the role''s name,
with its oid where another role of this name had contexts; ''*'' for a member of kata_admin that sets kata.tenant to it.';

create or replace function kata_data.keep_tenant(tenant text) returns void
language plpgsql volatile
as $$
declare
  v_role name := kata_data.calling_role();
begin
  if v_role = tenant and not pg_has_role(v_role, 'kata_service', 'member') then
    insert into kata_data.tenant_role as t (role_name, role, tenant)
    values (v_role, quote_ident(v_role)::regrole, keep_tenant.tenant)
    on conflict on constraint tenant_role_pkey do nothing;
  end if;
end
$$;
comment on function kata_data.keep_tenant(text) is
'Records that the tenant named like the calling role belongs to this role, not to a later one of the same name.';
