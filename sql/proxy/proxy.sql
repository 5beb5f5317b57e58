-- A proxy: the schemas, the map of shards and the rules that its functions share. `kata proxy init` runs this as a superuser in a database
-- with the extension plproxy, and generates the functions: kata.* with the signatures of a shard, which clients call; kata_px.*, one
-- PL/Proxy function for each, which only the owner may call. Can be run again.
--
-- The proxy keeps nothing but its map and the tenants of its roles, so there may be several. It decides what a role may call, by the same grants
-- as a shard, and for which tenant; the shards believe the one login role that all proxies connect as.

do $$
declare
  v_role text;
begin
  foreach v_role in array array['kata_owner', 'kata_reader', 'kata_writer', 'kata_admin', 'kata_service'] loop
    if not exists (select from pg_catalog.pg_roles r where r.rolname = v_role) then
      execute format('create role %I nologin', v_role);
      execute format('comment on role %I is %L', v_role, 'Kata Context: a role of the databases of this cluster that have it.');
    end if;
  end loop;
  grant kata_reader to kata_writer;
  grant kata_writer to kata_admin, kata_service;
end
$$;

create schema if not exists kata authorization kata_owner;
create schema if not exists kata_px authorization kata_owner;
create schema if not exists kata_proxy authorization kata_owner;
comment on schema kata is 'Kata Context: the public API. This database is a proxy: each function calls a shard.';
comment on schema kata_px is 'Kata Context: one PL/Proxy function for each public one. Clients have no privilege here.';
comment on schema kata_proxy is 'Kata Context: the map of shards and the tenants of roles. Clients have no privilege here.';
grant usage on schema kata to kata_reader;

create table if not exists kata_proxy.bucket_range (
  buckets int4range not null,
  shard integer not null,
  waits_until timestamptz,
  constraint bucket_range_known check (not isempty(buckets) and buckets <@ int4range(0, 4096)),
  constraint bucket_range_apart exclude using gist (buckets with &&)
);
comment on table kata_proxy.bucket_range is 'The map: one row per range of buckets and the number of the shard that holds it.';
comment on column kata_proxy.bucket_range.waits_until is
'Until when calls that the shard does not take wait for its new address: infinity while it is about to move, and a moment beyond the move.';
create table if not exists kata_proxy.tenant_role (
  role_name name constraint tenant_role_pkey primary key,
  role regrole not null,
  tenant text not null
);
comment on table kata_proxy.tenant_role is 'One row per role of this cluster with a tenant, as kata_data.tenant_role of a single database.';
alter table kata_proxy.bucket_range owner to kata_owner;
alter table kata_proxy.tenant_role owner to kata_owner;

-- The caller and the tenant, by the rules of kata_data.current_tenant.

create or replace function kata_proxy.caller() returns name
language sql stable
as $$
  select coalesce(nullif(current_setting('role', true), 'none'), session_user)::name
$$;

create or replace function kata_proxy.tenant() returns text
language plpgsql stable
as $$
declare
  v_role name := kata_proxy.caller();
  v_tenant kata_proxy.tenant_role;
begin
  if pg_has_role(v_role, 'kata_service', 'member') then
    return coalesce(nullif(current_setting('kata.tenant', true), ''), 'default');
  elsif current_setting('kata.tenant', true) = '*' and pg_has_role(v_role, 'kata_admin', 'member') then
    return '*';
  end if;
  select t.role_name, t.role, t.tenant into v_tenant from kata_proxy.tenant_role t where t.role_name = v_role;
  return case
    when v_tenant.role = to_regrole(quote_ident(v_role)) then v_tenant.tenant
    when v_tenant.role is not null then format('%s (%s)', left(v_role, 200), to_regrole(quote_ident(v_role))::oid)
    when v_role = '*' then '"*"'
    else v_role
  end;
end
$$;

create or replace function kata_proxy.keep_tenant() returns void
language plpgsql volatile
as $$
declare
  v_role name := kata_proxy.caller();
begin
  if v_role = kata_proxy.tenant() and not pg_has_role(v_role, 'kata_service', 'member') then
    insert into kata_proxy.tenant_role as t (role_name, role, tenant)
    values (v_role, quote_ident(v_role)::regrole, v_role)
    on conflict on constraint tenant_role_pkey do nothing;
  end if;
end
$$;

create or replace function kata_proxy.who(new_id uuid default null, deadline timestamptz default null) returns text[]
language sql stable
as $$
  select array[
    kata_proxy.tenant(), kata_proxy.caller()::text, pg_has_role(kata_proxy.caller(), 'kata_admin', 'member')::text, new_id::text, deadline::text]
$$;
comment on function kata_proxy.who(uuid, timestamptz) is 'What kata_data.enter of a shard takes.';

-- Which shard. A null id, and a bucket outside the map, goes to the first one, which refuses it. VOLATILE, because a call that waits for a shard
-- has to see the map as it is now, in a function that is STABLE, too.

create or replace function kata_proxy.shards() returns setof integer
language sql stable
as $$
  select distinct r.shard from kata_proxy.bucket_range r order by r.shard
$$;

create or replace function kata_proxy.shard_of_bucket(bucket integer) returns integer
language plpgsql volatile
as $$
begin
  return coalesce(
    (select r.shard from kata_proxy.bucket_range r where r.buckets @> bucket), (select min(r.shard) from kata_proxy.bucket_range r));
end
$$;

create or replace function kata_proxy.bucket(id uuid) returns integer
language sql immutable strict
as $$
  select ('x' || substr(id::text, 16, 3))::bit(12)::integer
$$;

create or replace function kata_proxy.shard_of(id uuid) returns integer
language sql volatile
as $$
  select kata_proxy.shard_of_bucket(kata_proxy.bucket(id))
$$;

create or replace function kata_proxy.any_shard() returns integer
language sql volatile
as $$
  select s.shard from kata_proxy.shards() s(shard) order by random() limit 1
$$;

create or replace function kata_proxy.same_shard(a uuid, b uuid) returns integer
language plpgsql stable
as $$
begin
  if b is not null and kata_proxy.shard_of(a) <> kata_proxy.shard_of(b) then
    raise exception using
      errcode = 'KC017',
      message = format('contexts %s and %s live on different shards', a, b),
      detail = format('They are on shards %s and %s, and no call spans two.', kata_proxy.shard_of(a), kata_proxy.shard_of(b)),
      hint = 'Read one with kata.messages, and append to the other with kata.append.';
  end if;
  return kata_proxy.shard_of(coalesce(a, b));
end
$$;

create or replace function kata_proxy.refuse_spanning(function_name text) returns void
language plpgsql stable
as $$
begin
  raise exception using
    errcode = 'KC017',
    message = format('a proxy does not call kata.%s', function_name),
    detail = 'Each shard has its own part, and each call of a proxy is a transaction of its own there.',
    hint = 'Connect to a shard and call it there.';
end
$$;

-- New contexts: the proxy chooses the id, and with it the bucket.

create or replace function kata_proxy.bucket_of(tenant text, key text) returns integer
language sql immutable
as $$
  select ('x' || substr(md5(octet_length(tenant) || ' ' || tenant || key), 1, 3))::bit(12)::integer
$$;

create or replace function kata_proxy.bucket_for(key text, name text) returns integer
language sql volatile
as $$
  select coalesce(kata_proxy.bucket_of(kata_proxy.tenant(), coalesce('key ' || key, 'name ' || name)), floor(random() * 4096)::integer)
$$;
comment on function kata_proxy.bucket_for(text, text) is 'The bucket of a new root: the same for a request that comes again.';

create or replace function kata_proxy.new_id(bucket integer) returns uuid
language sql volatile
as $$
  select (
    lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(bucket), 3, '0')
    || right(replace(gen_random_uuid()::text, '-', ''), 16)
  )::uuid
$$;

create or replace function kata_proxy.name_shard(name text) returns integer
language sql volatile
as $$
  select kata_proxy.shard_of_bucket(kata_proxy.bucket_of(kata_proxy.tenant(), name))
$$;

create or replace function kata_proxy.token_of(id uuid, scope text, key text) returns text
language sql immutable
as $$
  select md5(case when key is null then 'id ' || id else format('key %s %s', scope, key) end)
$$;

create or replace function kata_proxy.can_be_claimed(name text) returns boolean
language sql stable
as $$
  select coalesce(length(name) between 1 and 255, false) and kata_proxy.tenant() <> '*'
$$;
comment on function kata_proxy.can_be_claimed(text) is 'Whether a shard would take the name; one that it would not is refused there.';

-- Errors: those of a shard, without what PL/Proxy puts before them; a shard that does not answer is a lost connection.

create or replace function kata_proxy.state_of(state text, message text) returns text
language sql immutable
as $$
  select case
    -- At the beginning: a message may quote what a caller wrote.
    when not (state = 'XX000' and message ~ '^PL/Proxy function ' or message ~ E'^\\S+\\(\\d+\\): \\[[^]]*\\] REMOTE (FATAL|PANIC): ')
      then state
    when message ~ 'PQconnectPoll|PQstatus|connect timeout|PQconnectStart' then '08001'
    else '08006'
  end
$$;
comment on function kata_proxy.state_of(text, text) is
'The SQLSTATE of an error: 08001 where a shard took no connection, so that the call was not sent, and 08006 where it was lost on its way.';

create or replace function kata_proxy.refuse(state text, message text, detail text, hint text) returns void
language plpgsql stable
as $$
begin
  if kata_proxy.state_of(state, message) in ('08001', '08006') then
    raise exception using
      errcode = kata_proxy.state_of(state, message),
      message = 'a shard does not answer',
      detail = format('%s.', rtrim(regexp_replace(message, '^(PL/Proxy function )?[^:]*: ', ''), E'.\n')),
      hint = 'Other shards go on. See that its server runs, and that the proxy has its address: kata shard list.';
  end if;
  raise exception using
    errcode = state,
    message = regexp_replace(message, E'^\\S+\\(\\d+\\): \\[[^]]*\\] REMOTE \\w+: ', ''),
    detail = regexp_replace(coalesce(detail, ''), '^Remote detail: ', ''),
    hint = regexp_replace(coalesce(hint, ''), '^Remote hint: ', '');
end
$$;

-- A shard that moves to another server refuses writes (KC024), and then does not answer. Such calls wait and are sent again, with the map as it is
-- then: all that surely changed nothing. A write whose connection was lost is one if its shard takes no writes.

-- A session hears of a new address when it takes a lock that it does not have.
create or replace function kata_proxy.see_changes() returns void
language plpgsql volatile
as $$
begin
  lock table kata_proxy.bucket_range in row share mode;
  raise sqlstate 'KC000';
exception
  when sqlstate 'KC000' then null; -- and the lock is gone
end
$$;

create or replace function kata_proxy.wait_or_refuse(
  since timestamptz, can_wait boolean, reads boolean, shard integer, state text, message text, detail text, hint text
) returns timestamptz
language plpgsql volatile
as $$
declare
  v_state text := kata_proxy.state_of(state, message);
  v_since timestamptz := coalesce(since, clock_timestamp());
  v_limit interval := coalesce(nullif(current_setting('kata.move_wait', true), ''), '10 s');
begin
  if can_wait and v_since + v_limit > clock_timestamp() and (
    v_state = 'KC024'
    or v_state in ('08001', '08006') and exists (
      select from kata_proxy.bucket_range r
      where r.waits_until > clock_timestamp()
        and (v_state = '08001' or reads or r.shard = wait_or_refuse.shard and r.waits_until = 'infinity'))
  ) then
    perform pg_sleep(0.02);
    perform kata_proxy.see_changes();
    return v_since;
  end if;
  perform kata_proxy.refuse(state, message, detail, hint);
end
$$;
comment on function kata_proxy.wait_or_refuse(timestamptz, boolean, boolean, integer, text, text, text, text) is
'Returns after a moment where a call is to be sent again, with the time of its first error, and otherwise raises the error that a client sees.

since: what the previous error of the call returned. shard: where the call went, if it went to one.';
