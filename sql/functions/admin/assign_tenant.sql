-- Assigns a tenant to a database role.
-- plans: lookup

create or replace function kata.assign_tenant(role_name text, tenant text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  if role_name is null or not exists (select from pg_catalog.pg_roles r where r.rolname = role_name)
    or tenant is null or tenant in ('', '*') or length(tenant) > 255 then
    raise exception using
      errcode = 'KC017',
      message = 'role or tenant is invalid',
      detail = format('The role is "%s", the tenant "%s".', coalesce(left(role_name, 100), 'null'), coalesce(left(tenant, 100), 'null')),
      hint = 'Pass a role that exists and a tenant of 1 to 255 characters that is not ''*''.';
  end if;
  insert into kata_data.tenant_role as t (role_name, role, tenant)
  values (assign_tenant.role_name, quote_ident(assign_tenant.role_name)::regrole, assign_tenant.tenant)
  on conflict on constraint tenant_role_pkey do update
  set role = excluded.role, tenant = excluded.tenant;
end
$$;
comment on function kata.assign_tenant(text, text) is
'Assigns a tenant to a database role, in place of the one named like the role.

Members of kata_service may act for any tenant all the same. A role that is dropped and made again starts without its tenant: assign it
again.

role_name: an existing role. tenant: 1 to 255 characters, not ''*''.

Errors: KC017. Cost: O(1).';
