-- Roles, schemas, a collation, and the migration history.
--
-- Roles. None of them can log in; login roles become members. Clients get what privileges.sql grants: kata_reader reads,
-- kata_writer (a reader) writes, kata_admin (a writer) administers, kata_service (a writer) acts for any tenant. kata_owner
-- owns the schemas, tables and functions. kata_proxy is for proxies in front of several databases: it acts for any tenant, and names the
-- role that called. kata_eraser may change what the immutability triggers protect; purge_context and
-- erase_message run as it, and each migration grants it no more than they need.
--
-- Schemas. The schema kata is the public API: functions and views. kata_data holds tables, triggers and helpers; no client
-- role may use it.
--
-- Tables. migration has one row per applied or skipped migration, function_file one row per installed function file, contract one row
-- per fact of the security contract. Only the migration runner writes them, one runner at a time. They are made here because the
-- runner records this very migration in them.
--
-- Runs as the connecting role: a superuser, or a role with CREATEROLE that owns the database. Roles belong to the cluster, so
-- a second database finds them in place. It knows them by their comment, and refuses roles that have the names without it.
-- Every later migration runs as kata_owner.

do $$
declare
  v_mark constant text := 'Kata Context: a role of the databases of this cluster that have it.';
  v_role text;
begin
  foreach v_role in array array['kata_owner', 'kata_eraser', 'kata_reader', 'kata_writer', 'kata_admin', 'kata_service', 'kata_proxy'] loop
    if not exists (select from pg_catalog.pg_roles r where r.rolname = v_role) then
      begin
        execute format('create role %I nologin', v_role);
        execute format('comment on role %I is %L', v_role, v_mark);
      exception
        -- Another database of the cluster was being migrated at the same moment.
        when duplicate_object or unique_violation then null;
      end;
    end if;
    -- A role that was made for something else, or in advance, has members and rights that are not ours.
    if (
      select shobj_description(r.oid, 'pg_authid') is distinct from v_mark or r.rolcanlogin or r.rolsuper or r.rolbypassrls
      from pg_catalog.pg_roles r
      where r.rolname = v_role
    ) then
      raise exception using
        errcode = 'KC018',
        message = format('the role %s exists, and Kata Context has not made it', v_role),
        detail = 'It lacks the comment of our roles, or it can log in.',
        hint = format(
          'Rename or drop it. To adopt it, see that it has no members, make it nologin, and run: comment on role %I is %L.', v_role, v_mark);
    end if;
  end loop;
  -- A role that is not a superuser must be able to SET ROLE to the owners; CREATEROLE lets it grant itself that.
  foreach v_role in array array['kata_owner', 'kata_eraser'] loop
    if not pg_catalog.pg_has_role(current_user, v_role, 'set') then
      execute format('grant %I to current_user with inherit true, set true', v_role);
    end if;
  end loop;
  -- An existing grant is not repeated: concurrent ones would collide on the catalog row.
  if not pg_catalog.pg_has_role('kata_writer', 'kata_reader', 'member') then
    grant kata_reader to kata_writer;
  end if;
  if not pg_catalog.pg_has_role('kata_admin', 'kata_writer', 'member') then
    grant kata_writer to kata_admin;
  end if;
  if not pg_catalog.pg_has_role('kata_service', 'kata_writer', 'member') then
    grant kata_writer to kata_service;
  end if;
  if not pg_catalog.pg_has_role('kata_proxy', 'kata_admin', 'member') then
    grant kata_admin, kata_service to kata_proxy;
  end if;
end
$$;

create schema kata authorization kata_owner;
comment on schema kata is 'Kata Context: the public API, functions and views only.';
create schema kata_data authorization kata_owner;
comment on schema kata_data is 'Kata Context: tables, triggers and internal helpers. Clients have no privilege here.';

set local role kata_owner;

-- Which characters are letters, and which case they have, must not depend on the locale of the database: what is extracted and found
-- would. Postgres has these rules built in since version 17. Before, they come from the operating system, or from ICU.
do $$
declare
  v_definition text;
begin
  foreach v_definition in array case
    when current_setting('server_version_num')::integer >= 170000 then array['provider = builtin, locale = ''C.UTF-8''']
    else array['provider = libc, locale = ''C.UTF-8''', 'provider = libc, locale = ''C.utf8''', 'provider = icu, locale = ''und''']
  end loop
    begin
      execute format('create collation kata_data.c_utf8 (%s)', v_definition);
      comment on collation kata_data.c_utf8 is
        'The rules of Unicode for letters and case. Built in, or that of libc, texts are in the order of code points; that of ICU has an order of its own.';
      return;
    exception
      when undefined_object or invalid_parameter_value or feature_not_supported then null;
    end;
  end loop;
  raise exception using
    errcode = 'KC017',
    message = 'the server has neither the locale C.UTF-8 nor ICU',
    detail = 'Letters and their case are taken by its rules, whatever the locale of the database.',
    hint = 'Install the locale C.UTF-8 on the machine of the server, or use PostgreSQL 17 or newer.';
end
$$;

-- Postgres lets every role execute a new function; here privileges.sql names the roles.
alter default privileges revoke execute on functions from public;
alter default privileges revoke usage on types from public;

grant usage on schema kata to kata_reader;
-- For the view kata.metrics, which has no contents.
grant usage on schema kata to pg_monitor;
-- kata_eraser owns purge_context and erase_message, which live in kata and write to kata_data.
grant usage on schema kata_data to kata_eraser;
grant usage, create on schema kata to kata_eraser;
-- It says in kata_data for whom a statement is, and whose buckets are here.
grant usage on schema kata_data to kata_proxy;

create table kata_data.migration (
  number integer constraint migration_pkey primary key,
  name text not null,
  up_checksum text not null,
  down_checksum text not null,
  status text not null constraint migration_status_known check (status in ('applied', 'skipped')),
  reason text,
  applied_at timestamptz not null default clock_timestamp(),
  applied_by text not null default session_user
);
comment on table kata_data.migration is
'One row per migration that was applied to this database or skipped. Only the migration runner writes it.';
comment on column kata_data.migration.number is 'The number in the names of its files.';
comment on column kata_data.migration.name is 'The name of its files, without direction and ending.';
comment on column kata_data.migration.up_checksum is 'SHA-256 of the up file; a file edited after it was applied is refused.';
comment on column kata_data.migration.down_checksum is 'SHA-256 of the down file.';
comment on column kata_data.migration.status is 'applied, or skipped for lack of an extension.';
comment on column kata_data.migration.reason is 'The reason why it was skipped; null if it was applied.';
comment on column kata_data.migration.applied_at is 'The time of the run that applied or skipped it.';
comment on column kata_data.migration.applied_by is 'The login role of that run.';

create table kata_data.function_file (
  path text constraint function_file_pkey primary key,
  checksum text not null,
  functions text[] not null,
  definition_checksum text not null,
  applied_at timestamptz not null default clock_timestamp()
);
comment on table kata_data.function_file is
'One row per installed function file. Only the migration runner writes it: it runs a file whose checksum differs, and names a
function that no longer has its recorded definition.';
comment on column kata_data.function_file.path is
'The path below sql/functions. A file that was only moved gets its new path and is not run.';
comment on column kata_data.function_file.checksum is 'SHA-256 of the file as it was run.';
comment on column kata_data.function_file.functions is 'The functions, views and policies that it defines, by identity, ascending.';
comment on column kata_data.function_file.definition_checksum is
'SHA-256 of the definition of each, as Postgres has it, in the same order.';
comment on column kata_data.function_file.applied_at is 'The time of its last run.';

create table kata_data.contract (
  place smallint not null,
  object text not null,
  aspect text not null,
  statement text not null,
  undo text,
  constraint contract_pkey primary key (object, aspect)
);
comment on table kata_data.contract is
'The security contract as it was installed: one row per owner, privilege, trigger, constraint and the like, as the statement that makes
it so. Only the migration runner writes it; kata.verify compares it with the catalog.';
comment on column kata_data.contract.place is 'The place of the statement among those that repair a database.';
comment on column kata_data.contract.object is 'What it is about, for example "table kata_data.message".';
comment on column kata_data.contract.aspect is 'What it says of the object: owner, privileges of a role, definition, state and the like.';
comment on column kata_data.contract.statement is 'The statement that makes it so.';
comment on column kata_data.contract.undo is 'The statement that removes it, where a repair has to do that first.';
