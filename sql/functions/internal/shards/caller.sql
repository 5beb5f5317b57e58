-- Receipts name the role that called. Behind a proxy that is a role of the proxy, which need not exist here: it is a text, and no permission
-- hangs on it. Permissions are still those of kata_data.calling_role.

create or replace function kata_data.is_entered() returns boolean
language sql stable
as $$
  select case
    when coalesce(current_setting('kata.caller', true), '') <> '' then pg_has_role(kata_data.calling_role(), 'kata_proxy', 'member')
    else false
  end
$$;
comment on function kata_data.is_entered() is 'Whether a proxy has said in this transaction for whom it acts.';

create or replace function kata_data.caller() returns text
language sql stable
as $$
  select case when kata_data.is_entered() then current_setting('kata.caller', true) else kata_data.calling_role()::text end
$$;
comment on function kata_data.caller() is 'The role that called, for receipts: behind a proxy the one that called the proxy.';

create or replace function kata_data.is_administrator() returns boolean
language sql stable
as $$
  select case
    when kata_data.is_entered() then current_setting('kata.caller_administers', true) = 'true'
    else pg_has_role(kata_data.calling_role(), 'kata_admin', 'member')
  end
$$;
comment on function kata_data.is_administrator() is 'Whether the role that called is a member of kata_admin, behind a proxy of the proxy''s.';
