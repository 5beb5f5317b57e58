-- The security contract as it is: what protects the data besides the functions themselves, which the migration runner compares. Each fact
-- has the statement that makes it so. Nothing here depends on identifiers that a dump and a restore change, nor on the release of the server.

create or replace function kata_data.contract_facts() returns setof kata_data.contract
language sql stable rows 1000
as $$
  select f.* from kata_data.contract_of_roles() f
  union all
  select f.* from kata_data.contract_of_schemas() f
  union all
  select f.* from kata_data.contract_of_relations() f
  union all
  select f.* from kata_data.contract_of_columns() f
  union all
  select f.* from kata_data.contract_of_constraints() f
  union all
  select f.* from kata_data.contract_of_indexes() f
  union all
  select f.* from kata_data.contract_of_triggers() f
  union all
  select f.* from kata_data.contract_of_routines() f
  union all
  select f.* from kata_data.contract_of_types() f
$$;
comment on function kata_data.contract_facts() is 'The security contract as it is in the catalog. Reads the catalog only.';

create or replace function kata_data.contract_of_roles() returns setof kata_data.contract
language sql stable rows 20
as $$
  with ours as (
    select r.oid, r.rolname::text as name, concat_ws(
        ' ', case when r.rolcanlogin then 'login' else 'nologin' end, case when r.rolsuper then 'superuser' else 'nosuperuser' end,
        case when r.rolbypassrls then 'bypassrls' else 'nobypassrls' end, case when r.rolcreaterole then 'createrole' else 'nocreaterole' end,
        case when r.rolcreatedb then 'createdb' else 'nocreatedb' end, case when r.rolreplication then 'replication' else 'noreplication' end)
        as attributes
    from pg_roles r
    where r.rolname in ('kata_owner', 'kata_eraser', 'kata_reader', 'kata_writer', 'kata_admin', 'kata_service', 'kata_proxy')
  )
  select 1::smallint, 'role ' || o.name, 'attributes', format('alter role %I %s', o.name, o.attributes), null::text
  from ours o
  union all
  select distinct 2::smallint, 'role ' || o.name, 'member ' || m.name, format('grant %I to %I', o.name, m.name),
    format('revoke %I from %I', o.name, m.name)
  from ours o
  join pg_auth_members a on a.roleid = o.oid
  join ours m on m.oid = a.member
  union all
  -- Without these any role may use a new function or type.
  select 6::smallint, 'default privileges of ' || o.name, k.kind,
    format('alter default privileges for role %I revoke %s on %s from public', o.name, k.privilege, k.kind), null
  from ours o
  join pg_default_acl d on d.defaclrole = o.oid
  join (values ('f'::"char", 'functions', 'execute'), ('T', 'types', 'usage')) k(objtype, kind, privilege) on k.objtype = d.defaclobjtype
  where d.defaclnamespace = 0
    and not exists (select from aclexplode(d.defaclacl) a where a.grantee = 0)
$$;
comment on function kata_data.contract_of_roles() is
'Attributes of our roles, their memberships in each other, and the default privileges of the owner.';

create or replace function kata_data.contract_privileges(object text, target text, owner oid, acl aclitem[], attribute name default null)
returns setof kata_data.contract
language sql stable rows 2
as $$
  select 15::smallint, contract_privileges.object, concat('privileges of ', g.grantee, ', with grant option' || g.option),
    format(
      'grant %s on %s to %s%s', string_agg(distinct concat(lower(a.privilege_type collate "C"), ' (' || quote_ident(attribute) || ')'), ', '), target, g.grantee,
      ' with grant option' || g.option),
    format('revoke all%s on %s from %s', ' (' || quote_ident(attribute) || ')', target, g.grantee)
  from aclexplode(acl) a
  left join pg_roles r on r.oid = a.grantee
  cross join lateral (
    select coalesce(quote_ident(r.rolname), case a.grantee when 0 then 'public' else a.grantee::text end),
      case when a.is_grantable then '' end) g(grantee, option)
  where a.grantee <> contract_privileges.owner
  group by g.grantee, g.option
$$;
comment on function kata_data.contract_privileges(text, text, oid, aclitem[], name) is
'The privileges on an object that others than its owner have. target: the object as GRANT names it; attribute: its column.';

create or replace function kata_data.contract_of_schemas() returns setof kata_data.contract
language sql stable rows 10
as $$
  select 3::smallint, o.name, 'owner', format('alter schema %I owner to %I', n.nspname, pg_get_userbyid(n.nspowner)), null::text
  from pg_namespace n
  cross join lateral (select format('schema %I', n.nspname)) o(name)
  where n.nspname in ('kata', 'kata_data')
  union all
  -- Before owners of what is in them: an owner needs CREATE.
  select 3::smallint, p.object, p.aspect, p.statement, p.undo
  from pg_namespace n
  cross join lateral (select format('schema %I', n.nspname)) o(name)
  cross join lateral kata_data.contract_privileges(o.name, o.name, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))) p
  where n.nspname in ('kata', 'kata_data')
$$;
comment on function kata_data.contract_of_schemas() is 'Owners of our schemas, and who may use them.';

create or replace function kata_data.contract_of_relations() returns setof kata_data.contract
language sql stable rows 100
as $$
  with relation as materialized (
    select c.oid, c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.oid::regclass::text as name, format('%s %s', k.kind, c.oid::regclass) as object,
      coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner)) as acl,
      -- The sequence of an identity column follows its table.
      exists (
        select
        from pg_depend d
        where d.classid = 'pg_class'::regclass
          and d.objid = c.oid
          and d.deptype in ('i', 'a')
          and c.relkind = 'S') as is_owned
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join (values ('r'::"char", 'table'), ('p', 'table'), ('v', 'view'), ('m', 'materialized view'), ('S', 'sequence')) k(relkind, kind)
      on k.relkind = c.relkind
    where n.nspname in ('kata', 'kata_data')
  )
  select 4::smallint, r.object, 'owner', format('alter %s owner to %I', r.object, pg_get_userbyid(r.relowner)), null::text
  from relation r
  where not r.is_owned
  union all
  select 14::smallint, r.object, 'row security', format('alter %s enable row level security', r.object), null
  from relation r
  where r.relrowsecurity
  union all
  select 14::smallint, r.object, 'forced row security', format('alter %s force row level security', r.object), null
  from relation r
  where r.relforcerowsecurity
  union all
  select 4::smallint, format('rule %s on %s', w.rulename, r.name), 'definition', pg_get_ruledef(w.oid),
    format('drop rule %I on %s', w.rulename, r.name)
  from relation r
  join pg_rewrite w on w.ev_class = r.oid
  where w.rulename <> '_RETURN'
  union all
  select 14::smallint, format('policy %s on %s', p.polname, r.name), 'definition',
    concat_ws(
      ' ', format('create policy %I on %s as', p.polname, r.name), case when p.polpermissive then 'permissive' else 'restrictive' end, 'for',
      case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end, 'to',
      (
        select string_agg(case o.oid when 0 then 'public' else o.oid::regrole::text end, ', ' order by o.oid::regrole::text collate "C")
        from unnest(p.polroles) o(oid)),
      'using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
      'with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'),
    format('drop policy %I on %s', p.polname, r.name)
  from relation r
  join pg_policy p on p.polrelid = r.oid
  union all
  select p.*
  from relation r
  cross join lateral kata_data.contract_privileges(
    r.object, case when r.object like 'sequence %' then r.object else 'table ' || r.name end, r.relowner, r.acl) p
$$;
comment on function kata_data.contract_of_relations() is
'Owners, row security, policies, rules and privileges of our tables, views and sequences.';

create or replace function kata_data.contract_of_columns() returns setof kata_data.contract
language sql stable rows 500
as $$
  with attribute as materialized (
    select a.attrelid, a.attname, a.attnum, a.attnotnull, a.attacl, a.attgenerated, c.relowner, c.oid::regclass::text as relation,
      format('column %s.%I', c.oid::regclass, a.attname) as object
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid
    where n.nspname in ('kata', 'kata_data')
      and c.relkind in ('r', 'p')
      and a.attnum > 0
      and not a.attisdropped
  )
  select 7::smallint, a.object, 'not null', format('alter table %s alter column %I set not null', a.relation, a.attname), null::text
  from attribute a
  where a.attnotnull
  union all
  select 7::smallint, a.object, 'default',
    format('alter table %s alter column %I set default %s', a.relation, a.attname, pg_get_expr(d.adbin, d.adrelid)), null
  from attribute a
  join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attgenerated = ''
  union all
  select p.*
  from attribute a
  cross join lateral kata_data.contract_privileges(a.object, 'table ' || a.relation, a.relowner, a.attacl, a.attname) p
$$;
comment on function kata_data.contract_of_columns() is 'Which columns are not null, their defaults, and privileges on single columns.';

create or replace function kata_data.contract_of_constraints() returns setof kata_data.contract
language sql stable rows 200
as $$
  -- From release 18 on the catalog has NOT NULL as constraints, too: contract_of_columns has them.
  select case n.contype when 'f' then 9 else 8 end::smallint, format('constraint %I on %s', n.conname, n.conrelid::regclass), 'definition',
    format('alter table %s add constraint %I %s', n.conrelid::regclass, n.conname, pg_get_constraintdef(n.oid)),
    format('alter table %s drop constraint %I', n.conrelid::regclass, n.conname)
  from pg_constraint n
  join pg_class c on c.oid = n.conrelid
  join pg_namespace s on s.oid = c.relnamespace
  where s.nspname in ('kata', 'kata_data')
    and n.contype in ('c', 'p', 'u', 'f', 'x')
$$;
comment on function kata_data.contract_of_constraints() is 'Constraints of our tables; one that is not valid says so in its statement.';

create or replace function kata_data.contract_of_indexes() returns setof kata_data.contract
language sql stable rows 50
as $$
  -- Those of constraints come with them; those of vectors come and go by kata.build_embedding_index.
  select 10::smallint, format('index %s', i.indexrelid::regclass), 'definition',
    concat(pg_get_indexdef(i.indexrelid), case when not (i.indisvalid and i.indisready) then ' -- not valid' end),
    format('drop index %s', i.indexrelid::regclass)
  from pg_index i
  join pg_class c on c.oid = i.indexrelid
  join pg_namespace s on s.oid = c.relnamespace
  join pg_am m on m.oid = c.relam
  where s.nspname in ('kata', 'kata_data')
    and (m.amname = 'btree' or not i.indisvalid)
    and not exists (select from pg_constraint n where n.conindid = i.indexrelid and n.contype in ('p', 'u', 'x'))
$$;
comment on function kata_data.contract_of_indexes() is 'Indexes of our tables that no constraint owns; one that is not valid says so in its statement.';

create or replace function kata_data.contract_of_triggers() returns setof kata_data.contract
language sql stable rows 50
as $$
  with ours as materialized (
    select t.oid, t.tgname, t.tgenabled, t.tgisinternal, t.tgrelid::regclass::text as relation,
      format('trigger %s on %s', t.tgname, t.tgrelid::regclass) as object
    from pg_trigger t
    join pg_class c on c.oid = t.tgrelid
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('kata', 'kata_data')
  )
  select 12::smallint, t.object, 'definition', pg_get_triggerdef(t.oid), format('drop trigger %I on %s', t.tgname, t.relation)
  from ours t
  where not t.tgisinternal
  union all
  select 13::smallint, t.object, 'state', format(
      'alter table %s %s trigger %I', t.relation,
      case t.tgenabled when 'A' then 'enable always' when 'R' then 'enable replica' when 'D' then 'disable' else 'enable' end, t.tgname), null
  from ours t
  where not t.tgisinternal
  union all
  -- Their names have numbers that a restore changes.
  select 11::smallint, 'table ' || t.relation, 'foreign keys', format('alter table %s enable trigger all', t.relation), null
  from ours t
  where t.tgisinternal
  group by t.relation
  having bool_and(t.tgenabled = 'O')
$$;
comment on function kata_data.contract_of_triggers() is
'Triggers of our tables and when they fire; of the triggers of foreign keys, whether all of a table do.';

create or replace function kata_data.contract_of_routines() returns setof kata_data.contract
language sql stable rows 1000
as $$
  with routine as materialized (
    select p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)) as acl, 'routine ' || p.oid::regprocedure as object
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    where n.nspname in ('kata', 'kata_data')
      and not exists (
        select from pg_depend d
        where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
  )
  select 5::smallint, r.object, 'owner', format('alter %s owner to %I', r.object, pg_get_userbyid(r.proowner)), null::text
  from routine r
  union all
  select p.*
  from routine r
  cross join lateral kata_data.contract_privileges(r.object, r.object, r.proowner, r.acl) p
$$;
comment on function kata_data.contract_of_routines() is 'Owners of our functions, and who may execute them.';

create or replace function kata_data.contract_of_types() returns setof kata_data.contract
language sql stable rows 50
as $$
  with ours as materialized (
    select t.typowner, coalesce(t.typacl, acldefault('T', t.typowner)) as acl, 'type ' || t.oid::regtype as object
    from pg_type t
    join pg_namespace n on n.oid = t.typnamespace
    left join pg_class c on c.oid = t.typrelid
    where n.nspname in ('kata', 'kata_data')
      and (t.typtype in ('d', 'e', 'r') or c.relkind = 'c')
  )
  select 4::smallint, o.object, 'owner', format('alter %s owner to %I', o.object, pg_get_userbyid(o.typowner)), null::text
  from ours o
  union all
  select p.*
  from ours o
  cross join lateral kata_data.contract_privileges(o.object, o.object, o.typowner, o.acl) p
$$;
comment on function kata_data.contract_of_types() is 'Owners of our types, and who may use them.';
