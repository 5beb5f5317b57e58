-- No role sees or changes another tenant's contexts: the tenant is the caller's, every function checks it, and the table checks again.

begin;
select plan(86);

create role test_ann;
create role test_bob;
create role test_chief;
create role test_server;
create role test_team;
grant kata_writer to test_ann, test_bob, test_team;
grant kata_admin to test_chief;
grant kata_service to test_server;

create function pg_temp.tenant(context_id text) returns text
language sql
as $$
  select (fixture.stored(context_id::uuid)).tenant
$$;

-- Whose a new context is

select is(pg_temp.tenant(fixture.as_role('test_ann', 'select kata.create_context()')), 'test_ann', 'the tenant is the role that was set');
select is(
  pg_temp.tenant(fixture.as_session('test_ann', 'select kata.create_context()')), 'test_ann',
  'the tenant is the role of the session where none was set');
select is(
  pg_temp.tenant(fixture.as_role('test_ann', 'select kata.create_context()', 'test_bob')), 'test_ann',
  'kata.tenant is not believed from a client');
select is(pg_temp.tenant(fixture.as_role('test_ann', 'select kata.create_context()', '*')), 'test_ann', 'nor is the asterisk');
select is(
  pg_temp.tenant(fixture.as_role('test_chief', 'select kata.create_context()', 'test_bob')), 'test_chief',
  'an administrator creates for the own tenant');
select is(
  pg_temp.tenant(fixture.as_role('test_server', 'select kata.create_context()', 'acme')), 'acme',
  'a service acts for the tenant that kata.tenant names');
select is(
  pg_temp.tenant(fixture.as_session('test_server', 'select kata.create_context()', 'acme')), 'acme', 'so does a service''s session');
select is(
  pg_temp.tenant(fixture.as_role('test_server', 'select kata.create_context()', '')), 'default',
  'without kata.tenant a service acts for the default tenant');
select is(pg_temp.tenant(kata.create_context()::text), 'default', 'a superuser counts as a service');
select is(pg_temp.tenant(fixture.as_role('postgres', 'select kata.create_context()', 'acme')), 'acme', 'a superuser may name a tenant');
create role "*";
grant kata_writer to "*";
select is(pg_temp.tenant(fixture.as_role('*', 'select kata.create_context()')), '"*"', 'nor is a role that is called so');
select throws_ok(
  $$select fixture.as_role('test_server', 'select kata.create_context()', '*')$$, 'KC017', null, 'no context belongs to every tenant');
select throws_ok(
  $$select fixture.as_role('test_chief', 'select kata.create_context()', '*')$$, 'KC017', null, 'not even an administrator''s');

select fixture.as_role('test_chief', $$select kata.assign_tenant('test_team', 'acme')$$);
select is(pg_temp.tenant(fixture.as_role('test_team', 'select kata.create_context()')), 'acme', 'a role can be assigned a tenant');
select is(pg_temp.tenant(fixture.as_session('test_team', 'select kata.create_context()')), 'acme', 'a session''s role, too');
select is(
  pg_temp.tenant(fixture.as_role('test_team', 'select kata.create_context()', 'test_bob')), 'acme', 'kata.tenant does not override it');
select fixture.as_role('test_chief', $$select kata.assign_tenant('test_team', 'umbrella')$$);
select is(pg_temp.tenant(fixture.as_role('test_team', 'select kata.create_context()')), 'umbrella', 'an assignment can be changed');
select kata.assign_tenant('test_server', 'acme');
select is(
  pg_temp.tenant(fixture.as_role('test_server', 'select kata.create_context()', 'other')), 'other', 'an assignment does not bind a service'
);
select throws_ok(format('select kata.assign_tenant(%L, %L)', a.role_name, a.tenant), 'KC017', null, a.description)
from (values
  ('no_such_role', 'acme', 'an unknown role gets no tenant'), (null, 'acme', 'no role gets no tenant'),
  ('test_ann', '', 'an empty tenant is not assigned'),
  ('test_ann', '*', 'no role is assigned every tenant'), ('test_ann', null, 'no tenant is not assigned'),
  ('test_ann', repeat('x', 256), 'a tenant has at most 255 characters')) a(role_name, tenant, description);
select throws_ok(
  $$select fixture.as_role('test_server', 'select kata.create_context()', repeat('x', 256))$$, 'KC017', null, 'also where a service sets it'
);
select throws_ok(
  $$select fixture.as_role('test_ann', $q$select kata.assign_tenant('test_ann', 'test_bob')$q$)$$, '42501', null,
  'a client does not assign itself a tenant');

-- Two tenants

select fixture.as_role(
  'test_ann', $$select kata.create_context('plan', metadata => '{"secret": true}', idempotency_key => 'k')$$) as ann \gset
select fixture.as_role('test_ann', format($$select kata.append_message(%L, 'user', 'a secret', 5)$$, :'ann'));
select fixture.as_role('test_bob', $$select kata.create_context('plan', idempotency_key => 'k')$$) as bob \gset
select isnt(:'bob'::uuid, :'ann', 'names and keys are a tenant''s own');
select is(fixture.as_role('test_bob', $$select kata.find_context('plan')$$), :'bob', 'a name is looked for among the caller''s contexts');
select is(
  fixture.as_role('test_bob', 'select array_agg(context_id) from kata.list_contexts()'), format('{%s}', :'bob'),
  'a list has the caller''s contexts');
select is(
  fixture.as_role(
    'test_bob',
    format($$select count(*) from kata.list_contexts('ffffffff-ffff-ffff-ffff-ffffffffffff', 1000, true) where context_id <> %L$$, :'bob')),
  '0', 'no cursor and no option shows more');
select is(
  fixture.as_role('test_bob', 'select array_agg(k) from jsonb_object_keys(kata.stats()) k'), '{test_bob}',
  'statistics are of the caller''s tenant');
select is(
  fixture.as_role('test_ann', format('select content from kata.get_message(%L, 1)', :'ann')), 'a secret', 'who owns a context reads it');
select throws_ok(
  format('select fixture.as_role(%L, %L)', 'test_bob', format('select kata.get_message(%L, 1)', :'ann')), 'KC001', null,
  'who does not own it does not find it');
select results_eq(
  format(
    'select * from fixture.error(%L)', format('select fixture.as_role(%L, %L)', 'test_bob', format('select kata.get_context(%L)', :'ann'))),
  format(
    $$values (
        'KC001', 'context %s not found', 'Tenant "test_bob" has no context of this id.', 'List what there is with kata.list_contexts.')$$,
    :'ann'),
  'the error does not say that another tenant has it');
select throws_ok(format('select kata.get_context(%L)', :'ann'), 'KC001', null, 'a superuser sees the tenant of the setting');
select is(
  fixture.as_role('test_server', format('select name from kata.get_context(%L)', :'ann'), 'test_ann'), 'plan',
  'a service that acts for a tenant sees its contexts');
select throws_ok(
  format('select fixture.as_role(%L, %L, %L)', 'test_server', format('select kata.get_context(%L)', :'ann'), 'test_bob'), 'KC001', null,
  'a service that acts for another does not');
select throws_ok(
  format('select fixture.as_role(%L, %L)', 'test_chief', format('select kata.get_context(%L)', :'ann')), 'KC001', null,
  'an administrator has a tenant like any role');

-- Every function with another tenant's ids

select fixture.as_role('test_ann', $$select kata.create_context('archived')$$) as ann_archived \gset
select fixture.as_role('test_ann', format('select kata.archive_context(%L)', :'ann_archived'));
select fixture.as_role('test_ann', $$select kata.create_context('deleted')$$) as ann_deleted \gset
select fixture.as_role('test_ann', format('select kata.delete_context(%L)', :'ann_deleted'));
select fixture.as_role('test_chief', $$select kata.create_context('own')$$) as own \gset

-- A call for every function and every id that it takes: that id is foreign, other ids are the caller's own, and of the rest what
-- has no default is made up by its type.
create function pg_temp.calls_with(foreign_id uuid, own_id uuid) returns table (function text, call text)
language sql
as $$
  select p.proname,
    format('select kata.%I(%s)', p.proname, string_agg(format('%I => %s::%s', a.name, case
        when a.type = 'uuid'::regtype then quote_literal(case a.place when t.place then foreign_id else own_id end)
        else coalesce(m.literal, format('no argument is known for type %s', a.type))
      end, a.type), ', ' order by a.place) filter (where a.place = t.place or a.place <= p.pronargs - p.pronargdefaults))
  from pg_proc p
  cross join lateral (
    select row_number() over (order by i.ordinality) as place, i.name, i.type::regtype as type
    from unnest(
      p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[]), coalesce(p.proargmodes, array_fill('i'::"char", array[p.pronargs]))
    ) with ordinality i(name, type, mode, ordinality)
    where i.mode in ('i', 'b', 'v')
  ) a
  join lateral (
    select row_number() over (order by i.ordinality) as place, i.name, i.type::regtype as type
    from unnest(
      p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[]), coalesce(p.proargmodes, array_fill('i'::"char", array[p.pronargs]))
    ) with ordinality i(name, type, mode, ordinality)
    where i.mode in ('i', 'b', 'v')
  ) t on t.type = 'uuid'::regtype and (t.place <= p.pronargs - p.pronargdefaults or t.name = 'context_id')
  left join (values
    ('text'::regtype, $q$'x'$q$), ('integer', '1'), ('bigint', '1'), ('smallint', '1'), ('numeric', '1'), ('real', '1'),
    ('double precision', '1'), ('boolean', 'false'),
    ('json', $q$'[]'$q$), ('jsonb', $q$'[]'$q$), ('interval', $q$'1 day'$q$), ('timestamptz', 'now()'),
    ('text[]', $q$'{x}'$q$), ('bigint[]', $q$'{1}'$q$),
    ('integer[]', $q$'{1}'$q$),
    ('real[]', $q$'{1}'$q$), ('uuid[]', $q$'{}'$q$), ('jsonb[]', $q$'{}'$q$), ('int8range', $q$'[1,2)'$q$),
    ('int8multirange', $q$'{[1,2)}'$q$)
  ) m(type, literal) on m.type = a.type
  where p.pronamespace = 'kata'::regnamespace
  group by p.oid, p.proname, p.pronargs, p.pronargdefaults, t.place
$$;
select set_has(
  format('select function from pg_temp.calls_with(%L, %L)', :'ann', :'own'),
  $$select p.proname::text
    from pg_proc p
    cross join unnest(p.proargnames, coalesce(p.proargmodes, array_fill('i'::"char", array[p.pronargs]))) a(name, mode)
    where p.pronamespace = 'kata'::regnamespace and a.name = 'context_id' and a.mode in ('i', 'b')$$,
  'every function that takes a context is called');
select is(array(
    select format('%s: %s', c.function, coalesce(e.code || ' ' || e.message, 'no error'))
    from pg_temp.calls_with(f.id::uuid, :'own') c
    left join lateral fixture.error(format('select fixture.as_role(%L, %L)', 'test_chief', c.call)) e on true
    where e.code is distinct from 'KC001'
    order by 1), '{}', f.what)
from (
  values (:'ann', 'no function finds another tenant''s context'), (:'ann_archived', 'nor an archived one'),
  (:'ann_deleted', 'nor a deleted one')) f(id, what);
select is(array(
    select format('%s: %s', c.function, coalesce(e.code || ' ' || e.message, 'no error'))
    from pg_temp.calls_with('00000000-0000-7000-8000-000000000000', :'own') c
    left join lateral fixture.error(format('select fixture.as_role(%L, %L)', 'test_chief', c.call)) e on true
    where e.code is distinct from 'KC001'
    order by 1), '{}', 'an unknown context is refused in the same way');
select is(
  (
    select string_agg(c::text || h::text, '|' order by c.context_id)
    from kata_data.context c
    join kata_data.head h using (context_id)
    where c.tenant = 'test_ann' and c.name is not null and h.version = 1),
  (
    select string_agg(c::text || h::text, '|') from kata_data.context c join kata_data.head h using (context_id) where c.context_id = :'ann'
  ),
  'nothing that was tried has changed anything');

-- Every function with another tenant's compaction

select fixture.as_role(
  'test_ann', $$select kata.create_context('worked on', '{"preserve_recent_count": 0, "min_gain_tokens": 0, "budget": 10}')$$
) as ann_worked \gset
select fixture.as_role(
  'test_ann', format('select count(*) from kata.append(%L, %L)', :'ann_worked', fixture.drafts('user 20, assistant 20, user 20')));
select fixture.as_role(
  'test_ann', format('select compaction_id from kata.begin_compaction(%L, force => true)', :'ann_worked')) as ann_compaction \gset
select set_eq(
  $$select p.proname::text
    from pg_proc p
    where p.pronamespace = 'kata'::regnamespace and 'compaction_id' = any (p.proargnames[1:p.pronargs])$$,
  array['abort_compaction', 'commit_compaction', 'compaction_artifacts', 'compaction_source', 'renew_compaction'],
  'these functions take a compaction');
create temporary table compaction_call (call text);
insert into compaction_call values
  ('select count(*) from kata.compaction_source(%L)'), ('select count(*) from kata.compaction_artifacts(%L)'),
  ('select kata.renew_compaction(%L)'), ('select kata.commit_compaction(%L, ''mine'')'), ('select kata.abort_compaction(%L)');
select is(
  array(
    select e.code || ' ' || e.message
    from compaction_call c
    left
    join lateral fixture.error(format('select fixture.as_role(%L, %L)', 'test_bob', format(c.call, :'ann_compaction'))) e on true),
  array_fill(format('KC001 compaction %s not found', :'ann_compaction'), array[5]), 'none finds that of another tenant');
select is(
  array(
    select e.code
    from compaction_call c
    left
    join lateral fixture.error(
      format('select fixture.as_role(%L, %L)', 'test_ann', format(c.call, '00000000-0000-7000-8000-000000000000'))) e on true),
  array_fill('KC001'::text, array[5]), 'nor one that is not there');
select is(
  (
    select count(*)
    from fixture.error(
      format('select fixture.as_role(%L, %L, %L)', 'test_bob', format('select kata.abort_compaction(%L)', :'ann_compaction'), 'test_ann'))),
  1::bigint, 'naming the other tenant does not help');
select is(
  fixture.as_role('test_ann', format('select status from kata.compactions(%L)', :'ann_worked')), 'running',
  'nothing that was tried has changed anything');
select is(
  fixture.as_role('test_server', format('select count(*) from kata.compaction_source(%L)', :'ann_compaction'), '*'), '2',
  'acting for every tenant, a compaction is enough');
select is(
  fixture.as_role('test_server', format('select summary_version from kata.commit_compaction(%L, %L, 1)', :'ann_compaction', 'short'), '*'),
  '4', 'to commit it');
select fixture.as_role('test_ann', format($$select kata.set_policy(%L, '{"min_interval_seconds": 0}')$$, :'ann_worked'));
select fixture.as_role(
  'test_ann', format('select count(*) from kata.append(%L, %L)', :'ann_worked', fixture.drafts('assistant 20, user 20')));
select is(
  fixture.as_role('test_bob', $$select count(*) from kata.claim_due_compaction('bob')$$), '0', 'no worker claims another tenant''s work');
select is(
  fixture.as_role('test_bob', $$select count(*) from kata.claim_due_compaction('bob')$$, '*'), '0', 'nor by asking for every tenant''s');
select is(
  fixture.as_role('test_server', $$select context_id from kata.claim_due_compaction('server')$$, '*'), :'ann_worked',
  'a service that acts for every tenant does');
select is(
  fixture.as_role('test_ann', format('select claimed_by from kata.compactions(%L) limit 1', :'ann_worked')), 'server', 'and says who it is'
);

-- Every tenant

select is(
  fixture.as_role(w.role, $$select count(distinct tenant) > 3 from kata.list_contexts(max_rows => 1000)$$, '*'), w.sees, w.description)
from (
  values ('test_server', 'true', 'a service may list every tenant'), ('test_chief', 'true', 'an administrator may list every tenant'),
  ('test_ann', 'false', 'a client may not')) w(role, sees, description);
select is(fixture.as_role(w.role, $$select count(*) > 3 from jsonb_object_keys(kata.stats())$$, '*'), w.sees, w.description)
from (
  values ('test_server', 'true', 'a service has the statistics of every tenant'), ('test_chief', 'true', 'an administrator, too'),
  ('test_ann', 'false', 'a client has its own')) w(role, sees, description);
select throws_ok(
  format('select fixture.as_role(%L, %L, %L)', w.role, format(c.call, :'ann'), '*'), 'KC001', null,
  format('acting for every tenant, %s cannot %s', w.role, c.what))
from (values ('test_server'), ('test_chief')) w(role),
  (
    values ('select kata.get_context(%L)', 'look at one context'), ($$select kata.append_message(%L, 'user', 'x')$$, 'write to one'),
    ('select kata.delete_context(%L)', 'delete one')) c(call, what);
select is(
  fixture.as_role('test_server', $$select kata.find_context('plan')$$, '*'), null,
  'acting for every tenant, no name is found: it may be several tenants''');
select is(
  fixture.as_role('test_server', format('select count(*) from kata.verify(%L)', :'ann'), '*'), '0',
  'acting for every tenant, one context can be verified');
select throws_ok(
  $$select fixture.as_role('test_server', $q$select kata.verify('00000000-0000-7000-8000-000000000000')$q$, '*')$$, 'KC001', null,
  'an unknown context is not sound');
select fixture.as_role('test_bob', $$select kata.fork(kata.create_context('limb'), 0, 'limb fork')$$);
select is(
  fixture.as_role('test_ann', $$select count(*) from kata.archive_inactive(interval '0', true) where name = 'limb fork'$$), '0',
  'another tenant''s forks are not archived');
select is(
  fixture.as_role('test_bob', $$select count(*) from kata.archive_inactive(interval '0', true) where name = 'limb fork'$$), '1',
  'the caller''s are');
select is(
  fixture.as_role('test_server', $$select count(*) from kata.archive_inactive(interval '0', true) where name = 'limb fork'$$, '*'), '1',
  'acting for every tenant, those of all are');

-- Row-level security

create function fixture.visible() returns bigint language sql security definer set search_path = pg_catalog,
pg_temp as $$ select count(*) from kata_data.context $$;
alter function fixture.visible() owner to kata_owner;
select is(
  fixture.as_role('kata_owner', 'select count(*) from kata_data.context'), '0',
  'the owner of the table sees nothing without a tenant of its own');
select is(fixture.as_role('kata_owner', 'select count(*) from kata_data.context', '*'), '0', 'nor by asking for every tenant');
select is(
  fixture.as_role('test_ann', 'select fixture.visible()')::bigint, (select count(*) from kata_data.context where tenant = 'test_ann'),
  'what runs as the owner sees the rows of the caller''s tenant');
select is(
  fixture.as_role('test_server', 'select fixture.visible()', 'test_bob')::bigint,
  (select count(*) from kata_data.context where tenant = 'test_bob'), 'for a service those of the tenant that it acts for');
select is(
  fixture.as_role('test_chief', 'select fixture.visible()', '*')::bigint, (select count(*) from kata_data.context),
  'for an administrator who asks for it all rows');
select throws_ok($$select fixture.as_role('kata_owner', $q$
    insert into kata_data.context (context_id, tenant, family_id, tokenizer, created_at, updated_at)
    values (
      '00000000-0000-7000-8000-000000000001', 'test_ann', '00000000-0000-7000-8000-000000000001', 'o200k_base', now(), now()
    ) returning 1$q$)$$, '42501', null,
  'what runs as the owner cannot write rows of another tenant');
select is(
  (select relrowsecurity and relforcerowsecurity from pg_class where oid = 'kata_data.context'::regclass), true,
  'row-level security is forced on the table with a tenant');
select is_empty(
  $$select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = 'kata_data'::regnamespace and c.relkind in ('r', 'p') and a.attname = 'tenant' and not a.attisdropped
      and not (c.relrowsecurity and c.relforcerowsecurity) and c.relname not in ('tenant_role', 'head', 'name_claim', 'family_import')$$,
  'on every table with a tenant, but the one that says which role has which, the head, whose tenant is a copy that holds no text, '
  'the names that only proxies read, and the import that only its transaction sees');

-- A role of the same name is another role
create role test_gone;
create role test_leased;
grant kata_writer to test_gone, test_leased;
select kata.assign_tenant('test_leased', 'lessee');
select fixture.as_role('test_gone', $$select kata.create_context('old')$$);
select fixture.as_role('test_leased', $$select kata.create_context('old')$$);
drop role test_gone;
drop role test_leased;
create role test_gone;
create role test_leased;
grant kata_writer to test_gone, test_leased;
select is(
  fixture.as_role('test_gone', $$select kata.find_context('old')$$), null,
  'a role made again does not see what a former role of its name wrote');
select is(
  fixture.as_role('test_leased', $$select kata.find_context('old')$$), null, 'nor has it the tenant that was assigned to that role');
select matches(
  fixture.as_role('test_gone', $$select kata.current_tenant()$$), E'^test_gone \\([0-9]+\\)$',
  'its tenant is its name with its oid');
select kata.assign_tenant('test_leased', 'lessee');
select isnt(
  fixture.as_role('test_leased', $$select kata.find_context('old')$$), null, 'an administrator assigns the tenant again');
select is(
  array(
    select t.role_name::text from kata_data.tenant_role t
    where t.role_name in ('test_server', 'postgres') and t.tenant <> 'acme'),
  '{}',
  'a role that acts for any tenant is not recorded as one');

select * from finish();
rollback;
