-- Administration: the tenants of roles, and the label of the database.
--
-- tenant_role has one row per database role with a tenant, by name and identity; assign_tenant writes it, and
-- create_context for a role that is its own tenant. environment has one
-- row, or none where the database has no label; set_environment writes it, and destructive commands ask for the label.
-- Neither takes a lock beyond its row. finding is the shape of what kata.verify reports.

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

create type kata_data.finding as (
  version bigint,
  problem text,
  detail text
);
comment on type kata_data.finding is
'What kata.verify reports of a context; version: null where it is not about one; problem: a short name; detail: a sentence.';

grant select on kata_data.tenant_role to kata_eraser;
