-- The proxy decides for which tenant a role acts, so its roles count, and the shards know nothing of them.
if role_name is null or not exists (select from pg_catalog.pg_roles r where r.rolname = role_name)
  or tenant is null or tenant in ('', '*') or length(tenant) > 255 then
  raise exception using
    errcode = 'KC017',
    message = 'role or tenant is invalid',
    detail = format('The role is "%s", the tenant "%s".', coalesce(left(role_name, 100), 'null'), coalesce(left(tenant, 100), 'null')),
    hint = 'Pass a role that exists and a tenant of 1 to 255 characters that is not ''*''.';
end if;
insert into kata_proxy.tenant_role as t (role_name, role, tenant)
values ($1::name, quote_ident($1)::regrole, $2)
on conflict on constraint tenant_role_pkey do update
set role = excluded.role, tenant = excluded.tenant;
return;
