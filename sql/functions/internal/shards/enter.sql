-- A proxy shares its connections among all its callers, so tenant and caller come with each statement and go with it. The settings alone give
-- no right: kata.tenant counts for members of kata_service, the others for members of kata_proxy.

create or replace function kata_data.enter(tenant text, caller text, is_administrator boolean default false) returns boolean
language sql volatile
as $$
  select set_config('kata.tenant', tenant, true) is not null
    and set_config('kata.caller', caller, true) is not null
    and set_config('kata.caller_administers', is_administrator::text, true) is not null
$$;
comment on function kata_data.enter(text, text, boolean) is
'Lets the rest of a proxy''s transaction act for a tenant and in the name of a role, which this cluster need not have. Always true, so that
it can be the condition of a query that calls a function.';
