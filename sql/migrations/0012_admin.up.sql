-- Administration: the tenants of roles, and the label of the database.
--
-- tenant_role has one row per database role with a tenant, by name and identity; assign_tenant writes it, and
-- create_context for a role that is its own tenant. environment has one
-- row, or none where the database has no label; set_environment writes it, and destructive commands ask for the label.
-- Neither takes a lock beyond its row. family_import has one row while a transaction imports a family: import_family writes it
-- with the first line and removes it with the last, and a trigger refuses a commit before. finding is the shape of what kata.verify reports.

create table kata_data.tenant_role (
  role_name name constraint tenant_role_pkey primary key,
  role regrole not null,
  tenant text not null constraint tenant_role_tenant_is_one check (tenant <> '' and tenant <> '*')
);
comment on table kata_data.tenant_role is 'One row per database role with a tenant: one that assign_tenant gave it, or its own name if it has created contexts.';
comment on column kata_data.tenant_role.role_name is 'The name of the role.';
comment on column kata_data.tenant_role.role is
'The role that had the name when the row was written. A role that was dropped and made again is another one, and has not its tenant. A dump
holds the name, so a restore finds the role of the other cluster.';
comment on column kata_data.tenant_role.tenant is 'The tenant that it acts for.';

create table kata_data.environment (
  is_set boolean default true constraint environment_pkey primary key constraint environment_is_one check (is_set),
  label text not null constraint environment_label_length check (length(label) between 1 and 63),
  set_at timestamptz not null,
  set_by name not null
);
comment on table kata_data.environment is 'One row with the label of the database, or none if it has no label.';
comment on column kata_data.environment.is_set is 'Always true: the key that admits one row.';
comment on column kata_data.environment.label is 'The environment, production for example; commands that destroy data ask for it.';
comment on column kata_data.environment.set_at is 'The time when it was set.';
comment on column kata_data.environment.set_by is 'The role that set it.';

create type kata_data.archive_part as (
  place integer,
  part text,
  source text,
  owner text,
  keys text[],
  is_compared boolean
);
comment on type kata_data.archive_part is 'A part of an archive, as kata_data.archive_parts lists them.';

create table kata_data.family_import (
  family_id uuid constraint family_import_pkey primary key,
  tenant text not null,
  is_new boolean not null,
  missing jsonb not null,
  lines bigint not null,
  place integer not null,
  depth integer not null,
  context_id uuid not null,
  version numeric not null
);
comment on table kata_data.family_import is
'One row while a transaction imports a family; other transactions see none. A second import of the family waits at its key.';
comment on column kata_data.family_import.family_id is 'The family.';
comment on column kata_data.family_import.tenant is 'The tenant that it belongs to.';
comment on column kata_data.family_import.is_new is 'Whether the database lacked the family: lines are stored; else they are compared with what is stored.';
comment on column kata_data.family_import.missing is 'A JSON object from the parts of an archive to the number of lines that have not come yet.';
comment on column kata_data.family_import.lines is 'The number of lines that have come, the first one included.';
comment on column kata_data.family_import.place is 'With depth, context_id and version: the place of the last line in the order of an archive.';
comment on column kata_data.family_import.depth is 'The depth of its context.';
comment on column kata_data.family_import.context_id is 'Its context.';
comment on column kata_data.family_import.version is 'The first number of its key; 0 for none.';

alter table kata_data.family_import
  alter column tenant set statistics 0,
  alter column missing set statistics 0;

create function kata_data.refuse_open_import() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from kata_data.family_import i where i.family_id = new.family_id) then
    raise exception using
      errcode = 'KC017',
      message = format('the archive of family %s is not complete', new.family_id),
      detail = 'The transaction ends before its last line, so nothing is imported.',
      hint = 'Pass all lines of the archive to kata.import_family in one transaction.';
  end if;
  return null;
end
$$;
comment on function kata_data.refuse_open_import() is 'Trigger: refuses the commit of a transaction that has imported a part of a family.';
revoke execute on function kata_data.refuse_open_import from public;

create constraint trigger family_import_is_complete after insert on kata_data.family_import
  deferrable initially deferred
  for each row execute function kata_data.refuse_open_import();

create type kata_data.finding as (
  version bigint,
  problem text,
  detail text
);
comment on type kata_data.finding is
'What kata.verify reports of a context; version: null where it is not about one; problem: a short name; detail: a sentence.';

grant select on kata_data.tenant_role to kata_eraser;
