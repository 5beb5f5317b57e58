-- A purge removes the entries that no other context reads: forks read on as before, and the purge of the last leaves nothing behind.

begin;
select plan(105);

-- Purged contexts have no name: here they are known by another list.

create temporary table known (name text, id uuid);
create function pg_temp.make(name text, parent text, at bigint, script text) returns void
language sql volatile
as $$
  insert into known select make.name, case when parent is null then fixture.context(make.name) else fixture.fork(parent, at, make.name) end;
  select fixture.talk(make.name, script)
$$;
create function pg_temp.id(name text) returns uuid
language sql volatile
as $$
  select k.id from known k where k.name = id.name
$$;
create function pg_temp.purge(name text, dry_run boolean default false) returns text
language sql volatile
as $$
  select format('%s removed, %s kept', p.removed, p.kept) from kata.purge_context(pg_temp.id(name), dry_run) p
$$;
create function pg_temp.stored(name text) returns int8multirange
language sql volatile
as $$
  select coalesce(range_agg(int8range(m.version, m.version, '[]')), '{}')
  from kata_data.message m
  where m.segment_id = pg_temp.id(stored.name)
$$;
create function pg_temp.reads(names text) returns text
language sql volatile
as $$
  select md5(string_agg(format('%s at %s: %s', n.name, a.at, m::text), E'\n' order by n.name, a.at, m.version))
  from string_to_table(names, ' ') n(name)
  cross join lateral generate_series(0, (select h.version from kata_data.head h where h.context_id = pg_temp.id(n.name))) a(at)
  cross join lateral kata.messages(pg_temp.id(n.name), max_rows => 1000, at => a.at) m
$$;
create function pg_temp.receipts(name text) returns text[]
language sql volatile
as $$
  select array(
    select format('%s: %s removed, %s kept', k.name, p.removed, p.kept)
    from kata.purges(pg_temp.id(receipts.name)) with ordinality p
    join known k on k.id = p.cause_id
    order by p.ordinality)
$$;
create function pg_temp.tables() returns text
language sql volatile
as $$
  select md5(concat(
    (select string_agg(c::text, '' order by c.context_id) from kata_data.context c),
    (select string_agg(h::text, '' order by h.context_id) from kata_data.head h),
    (select string_agg(m::text, '' order by m.segment_id, m.version) from kata_data.message m),
    (select string_agg(p::text, '' order by p.purge_id) from kata_data.purge p)))
$$;

select pg_temp.make(
  'trunk', null, null,
  'system 1, user 2, assistant 4 calls a b, tool 8 answers a, tool 16 answers b, user 32, assistant 64, user 128, user 256, '
    'assistant 512 calls z');
select pg_temp.make('low', 'trunk', 3, 'tool 1 answers b, tool 1 answers a');
select pg_temp.make('high', 'trunk', 7, 'user 1, user 2, user 3');
select pg_temp.make('twig', 'high', 5, 'user 1');
select pg_temp.make('leaf', 'high', 9, 'user 1, user 2');
select pg_temp.make('bare', 'trunk', 0, 'user 1');
select pg_temp.make('other', null, null, 'user 1, user 2');
update kata_data.context set policy = '{"strict": false, "notify": true}', metadata = '{"secret": 1}'
where context_id = pg_temp.id('trunk');
update kata_data.head set is_strict = false, notifies = true where context_id = pg_temp.id('trunk');

-- What may be purged

select throws_ok(format('select pg_temp.purge(%L)', 'trunk'), 'KC017', null, 'a live context is not purged');
select kata.archive_context(pg_temp.id('trunk'));
select throws_ok(format('select pg_temp.purge(%L)', 'trunk'), 'KC017', null, 'nor an archived one');
select throws_ok(format('select pg_temp.purge(%L, true)', 'trunk'), 'KC017', null, 'not even for show');
select throws_ok($$select kata.purge_context('00000000-0000-7000-8000-000000000000')$$, 'KC001', null, 'an unknown context is not found');
select throws_ok('select kata.purge_context(null)', 'KC001', null, 'neither is none');
select results_eq(
  format('select * from fixture.error(%L)', format('select kata.purge_context(%L)', pg_temp.id('low'))),
  format(
    $$values (
        'KC017', 'context %s is not deleted', 'Only a deleted context is purged; until then it can be restored.',
        'Delete it first with kata.delete_context.')$$,
    pg_temp.id('low')),
  'the refusal says what to do first');
select is(pg_temp.receipts('trunk'), '{}', 'what is not purged has no receipt');
select throws_ok($$select kata.purges('00000000-0000-7000-8000-000000000000')$$, 'KC001', null, 'an unknown context has none either');

-- A parent goes, its forks read on

select kata.unarchive_context(pg_temp.id('trunk'));
select kata.checkpoint(pg_temp.id('trunk'), c.name, c.version)
from (values ('zero', 0), ('two', 2), ('seven', 7), ('eight', 8)) c(name, version);
select kata.checkpoint(pg_temp.id('high'), c.name, c.version) from (values ('four', 4), ('nine', 9), ('ten', 10)) c(name, version);
select kata.put_token_counts(pg_temp.id('trunk'), 'cl100k_base', '{1,7,8}', '{1,2,3}');
select kata.append_message(pg_temp.id('trunk'), 'tool', 'x', 1, 'z', idempotency_key => 'k');
select kata.append_message(pg_temp.id('other'), 'user', 'x', 1, idempotency_key => 'k');
select kata.merge(pg_temp.id('trunk'), pg_temp.id('other'));
select kata.erase_message(pg_temp.id('trunk'), v.version, 'by request') from (values (2), (9)) v(version);
select kata.delete_context(pg_temp.id('trunk'));
select pg_temp.reads('low high twig leaf bare other') as before \gset
select pg_temp.tables() as tables \gset
select is(pg_temp.purge('trunk', true), '7 removed, 7 kept', 'a dry run says what would go');
select is(pg_temp.tables(), :'tables', 'and changes nothing');
select is(pg_temp.purge('trunk', null), '7 removed, 7 kept', 'without false for dry_run it only reports');
select is(pg_temp.tables(), :'tables', 'and again nothing has changed');
select is(pg_temp.purge('trunk'), '7 removed, 7 kept', 'the purge does what the dry run said');
select is(pg_temp.stored('trunk'), '{[1,8)}', 'what lies above the highest fork goes, what lies below stays');
select is(pg_temp.reads('low high twig leaf bare other'), :'before', 'its forks read what they read before, at every version');
select is(
  (select array_agg(t.version order by t.version) from kata_data.token_count t where t.segment_id = pg_temp.id('trunk')), '{1,7}',
  'token counts go with their messages');
select is((select count(*) from kata_data.merge_origin o where o.segment_id = pg_temp.id('trunk')), 0::bigint, 'so do origins of copies');
select is(
  (select array_agg(e.version) from kata_data.erasure e where e.segment_id = pg_temp.id('trunk')), '{2}', 'and records of erasures');
select is(
  array(select k.name from kata_data.checkpoint k where k.context_id = pg_temp.id('trunk') order by k.version), '{zero,two,seven}',
  'and checkpoints');
select is(kata.resolve_version(pg_temp.id('leaf'), 'seven'), 7::bigint, 'forks see the checkpoints that they saw before');
select is(kata.resolve_version(pg_temp.id('bare'), 'zero'), 0::bigint, 'even that of nothing');
select is(
  (select array_agg(i.scope) from kata_data.idempotency i where i.key = 'k'), array['context:' || pg_temp.id('other')],
  'its idempotency keys go, no others');
select is(array(select v::text from kata.verify(k.id) v), '{}', 'it is sound after the purge: ' || k.name) from known k order by k.name;

-- What stays of it

select results_eq(
  $$select c.name, c.metadata, c.policy, c.deleted_at is not null, c.purged_at is not null
    from kata_data.context c
    where c.context_id = pg_temp.id('trunk')$$,
  $$values (null, '{}'::jsonb, '{}'::jsonb, true, true)$$, 'a blank stays, without name, metadata and policy');
select results_eq(
  $$select h.closed, h.is_strict, h.notifies, h.open_calls, h.due_at from kata_data.head h where h.context_id = pg_temp.id('trunk')$$,
  $$values (true, true, false, '{}'::jsonb, null::timestamptz)$$, 'its head is closed and blank, too');
select is((select c.version from kata.get_context(pg_temp.id('trunk')) c), 14::bigint, 'it can be looked at, and says how far it went');
select is(
  (select a.purged_at is not null from kata.ancestry(pg_temp.id('low')) a), true, 'the ancestry of its forks says that it is purged');
select is((select count(*) from kata.tree(pg_temp.id('trunk')) t), 6::bigint, 'the family still has it');
select results_eq(
  format('select * from fixture.error(%L)', format('select kata.messages(%L)', pg_temp.id('trunk'))),
  format(
    $$values ('KC006', 'context %s is purged', 'It was purged at %s.',
      'A purge is permanent; forks keep the messages that they share with it.')$$,
    pg_temp.id('trunk'), (select purged_at from kata_data.context where context_id = pg_temp.id('trunk'))),
  'a reader gets the error that it is purged');
select throws_ok(format(c.call, pg_temp.id('trunk')), 'KC006', null, 'it cannot be ' || c.what)
from (values
  ('select kata.restore_context(%L)', 'restored'), ('select kata.delete_context(%L)', 'deleted'), ('select kata.fork(%L)', 'forked'),
  ($$select kata.append_message(%L, 'user', 'x')$$, 'appended to'),
  ('select kata.archive_context(%L)', 'archived'), ($$select kata.erase_message(%L, 1, 'x')$$, 'erased in'),
  ($$select kata.update_context(%L, 'x')$$, 'renamed')) c(call, what);
select is(pg_temp.purge('trunk'), '0 removed, 7 kept', 'purging it again removes nothing');
select is(pg_temp.purge('trunk', true), '0 removed, 7 kept', 'and a dry run says so');
select is(pg_temp.receipts('trunk'), '{"trunk: 7 removed, 7 kept"}', 'it has one receipt');
select is((select p.purged_by from kata.purges(pg_temp.id('trunk')) p), 'postgres', 'which says who it was');
select is((select (s -> 'default' ->> 'purged')::integer from kata.stats() s), 1, 'statistics count it');
select lives_ok($$select fixture.context('trunk')$$, 'its name is free');

-- Forks of forks: what one needs of an ancestor stays until it is purged itself

select kata.delete_context(pg_temp.id('high'));
select is(pg_temp.purge('high'), '1 removed, 2 kept', 'a purged fork keeps what its own forks read');
select is(pg_temp.stored('trunk'), '{[1,8)}', 'and what they read of its parent by way of it');
select is(
  array(select k.name from kata_data.checkpoint k where k.context_id = pg_temp.id('high') order by k.version), '{four,nine}',
  'a checkpoint at an inherited version, too');
select kata.delete_context(pg_temp.id('leaf'));
select is(pg_temp.stored('high'), '{[8,10)}', 'a fork that is only deleted still holds what it reads');
select is(pg_temp.purge('leaf', true), '6 removed, 0 kept', 'what the purge of the last reader would free is foretold');
select is(pg_temp.purge('leaf'), '6 removed, 0 kept', 'and counted');
select is(pg_temp.stored('high'), '{}', 'then no context holds the fork between');
select is(pg_temp.stored('trunk'), '{[1,6)}', 'and of the parent what the others read');
select is(
  array(select k.name from kata_data.checkpoint k where k.context_id = pg_temp.id('high')), '{four}',
  'a checkpoint that one of them sees stays');
select is(pg_temp.receipts('leaf'), '{"leaf: 2 removed, 0 kept"}', 'a receipt is of what the context itself wrote');
select is(
  pg_temp.receipts('high'), '{"high: 1 removed, 2 kept","leaf: 2 removed, 0 kept"}', 'the fork between has one that names the later purge');
select is(pg_temp.receipts('trunk'), '{"trunk: 7 removed, 7 kept","leaf: 2 removed, 5 kept"}', 'so has the root');
select kata.delete_context(pg_temp.id('twig')), kata.restore_context(pg_temp.id('twig'));
select is((select count(*) from kata.messages(pg_temp.id('twig'))), 6::bigint, 'a fork that was restored reads everything');
select kata.delete_context(k.id) from known k where k.name in ('twig', 'low', 'bare');
select is(pg_temp.purge('bare'), '1 removed, 0 kept', 'a fork of nothing holds nothing');
select is(
  array(select k.name from kata_data.checkpoint k where k.context_id = pg_temp.id('trunk') order by k.version), '{zero,two}',
  'nor does it drop a checkpoint that others see');
select is(pg_temp.purge('twig'), '3 removed, 0 kept', 'the highest fork that is left goes');
select is(pg_temp.stored('trunk'), '{[1,4)}', 'and the parent is cut down to the next');
select is(pg_temp.purge('low'), '5 removed, 0 kept', 'so does the last');
select is(
  (select count(*) from kata_data.message m where m.segment_id in (select k.id from known k where k.name <> 'other')), 0::bigint,
  'then nothing is left of the family');
select is(
  (select count(*) from kata_data.checkpoint k where k.context_id in (select k.id from known k where k.name <> 'other')), 0::bigint,
  'no checkpoint either');
select is(
  (select count(*) from kata_data.token_count k where k.segment_id in (select k.id from known k where k.name <> 'other')), 0::bigint,
  'and no count');
select is((select count(*) from kata.messages(pg_temp.id('other'))), 3::bigint, 'a context of another family is not touched');

-- Many at once

select throws_ok(format('select kata.purge_deleted(%s)', a.argument), 'KC017', null, a.description)
from (
  values ('null', 'it must be said how old what is purged must be'), ('interval ''-1 day''', 'and not by a negative age')
) a(argument, description);
select set_config('kata.clock', '2030-01-01', true);
select pg_temp.make('oak', null, null, 'user 1, user 2, user 3, user 4');
select pg_temp.make('bough', 'oak', 2, 'user 1');
select pg_temp.make('acorn', 'oak', 3, 'user 1');
select pg_temp.make('fresh', null, null, 'user 1');
select pg_temp.make('alive', null, null, 'user 1');
select kata.delete_context(k.id) from known k where k.name in ('oak', 'bough');
select set_config('kata.clock', '2030-01-10', true);
select kata.delete_context(pg_temp.id('fresh'));
select set_config('kata.clock', '2030-01-20', true);
select is((select count(*) from kata.purge_deleted(interval '19 days')), 0::bigint, 'what was deleted just that long ago stays');
select pg_temp.tables() as tables \gset
create temporary table foretold as
  select p.ordinality, k.name, p.removed, p.kept
  from kata.purge_deleted(interval '15 days', true) with ordinality p
  join known k on k.id = p.context_id;
select is(pg_temp.tables(), :'tables', 'a dry run of many changes nothing');
select results_eq(
  $$select k.name, p.removed, p.kept
    from kata.purge_deleted(interval '15 days') with ordinality p
    join known k on k.id = p.context_id
    order by p.ordinality$$,
  $$select f.name, f.removed, f.kept from foretold f order by f.ordinality$$, 'it foretells what is done');
select results_eq(
  'select f.name, f.removed, f.kept from foretold f order by f.ordinality', $$values ('bough', 1::bigint, 0::bigint), ('oak', 1, 3)$$,
  'forks go before their parents');
select is(pg_temp.stored('oak'), '{[1,4)}', 'what a live fork reads stays');
select is((select count(*) from kata.purge_deleted(interval '15 days')), 0::bigint, 'another call finds nothing');
select is(
  (select array_agg(k.name) from kata.purge_deleted(interval '0') p join known k on k.id = p.context_id), '{fresh}',
  'what is younger goes when it is old enough');
select is((select count(*) from kata.messages(pg_temp.id('alive'))), 1::bigint, 'what is not deleted stays');
select kata.delete_context(kata.create_context()) from generate_series(1, 1001);
select set_config('kata.clock', '2030-01-21', true);
select is(
  array[
    (select count(*) from kata.purge_deleted(interval '1 hour', true)), (select count(*) from kata.purge_deleted(interval '1 hour')),
    (select count(*) from kata.purge_deleted(interval '1 hour'))],
  '{1000,1000,1}', 'a call purges a thousand at most');

-- Whose

create role test_ann;
create role test_chief;
grant kata_admin to test_ann, test_chief;
select fixture.as_role('test_ann', $$select kata.create_context('of ann')$$) as ann \gset
select fixture.as_role('test_ann', format('select kata.delete_context(%L)', :'ann'));
select set_config('kata.clock', '2030-01-22', true);
select is(
  fixture.as_role('test_chief', $$select count(*) from kata.purge_deleted(interval '0')$$), '0',
  'an administrator purges the deleted contexts of the tenant');
select is(
  fixture.as_role('test_chief', $$select array_agg(context_id) from kata.purge_deleted(interval '0', true)$$, '*'), format('{%s}', :'ann'),
  'acting for every tenant, those of all');
select is(
  fixture.as_role('test_chief', format('select removed from kata.purge_context(%L)', :'ann'), '*'), '0',
  'and purges a single one of any tenant');
select is((select p.purged_by from kata_data.purge p where p.context_id = :'ann'), 'test_chief', 'the receipt says who');

-- No table is forgotten

select is_empty(
  $$select r.relname
    from pg_class r
    join pg_attribute a on a.attrelid = r.oid and a.attname = 'segment_id'
    where r.relnamespace = 'kata_data'::regnamespace
      and r.relkind = 'r'
      and r.relname <> 'lineage'
      and not exists (
        select from pg_proc p
        where p.pronamespace = 'kata_data'::regnamespace
          and p.proname in ('cut_segment', 'trim_artifacts', 'trim_postings', 'trim_embeddings')
          and p.prosrc ~ format('kata_data\.%s\M', r.relname))$$,
  'a purge cuts every table that has rows of segments');

-- What a receipt says stays said

select throws_ok(s.statement, 'KC015', null, 'a receipt is not ' || s.what)
from (values
  ('update kata_data.purge set removed = 0', 'changed'), ('delete from kata_data.purge', 'removed'),
  ('truncate kata_data.purge', 'wiped out'),
  ('update kata_data.erasure set reason = ''x''', 'changed, nor a record of an erasure'),
  ('truncate kata_data.erasure', 'wiped out, nor a record of an erasure')) s(statement, what);

-- Keys that made a context: a guess of the name could be tried against a digest of the request.

insert into known values
('host', kata.create_context('host'));
insert into known values
('created', kata.create_context('created', metadata => '{"a": "secret"}', idempotency_key => 'created')),
('found', (select g.context_id from kata.get_or_create_context('found', idempotency_key => 'found') g)),
('forked', kata.fork(pg_temp.id('host'), name => 'forked', idempotency_key => 'forked')),
('bystander', kata.create_context('bystander', idempotency_key => 'bystander'));
select kata.delete_context(pg_temp.id(n.name)) from unnest(array['created', 'found', 'forked']) n(name);
select pg_temp.purge(n.name) from unnest(array['created', 'found', 'forked']) n(name);
select is(
  array(
    select i.key from kata_data.idempotency i
    where i.key in ('created', 'found', 'forked', 'bystander') and (i.request is not null or i.salt is not null)),
  '{bystander}', 'a purge removes the digests of the requests that made the context, no others');
select is(
  array[
    kata.create_context('created', metadata => '{"a": "secret"}', idempotency_key => 'created'),
    kata.fork(pg_temp.id('host'), name => 'forked', idempotency_key => 'forked')],
  array[pg_temp.id('created'), pg_temp.id('forked')], 'a retry does not make it again');
select is(
  (select g.context_id from kata.get_or_create_context('found', idempotency_key => 'found') g), pg_temp.id('found'),
  'nor does a retry that asks by name');

-- Damage

create function pg_temp.damage(statement text, name text) returns text[]
language sql volatile
as $$
  select fixture.damage(format(statement, pg_temp.id(name)))
$$;
select is(
  pg_temp.damage('update kata_data.context set metadata = ''{"a": 1}'' where context_id = %L', 'oak'), '{left behind}',
  'a purged context that is not blank is found');
select is(
  pg_temp.damage('update kata_data.head set open_calls = ''{"a": 1}'' where context_id = %L', 'oak'), '{left behind}', 'so is a head');
select is(pg_temp.damage('update kata_data.head set closed = false where context_id = %L', 'oak'), '{left behind}', 'and one that is open');
select is(
  pg_temp.damage('insert into kata_data.checkpoint (context_id, name, version, created_at) values (%L, ''x'', 4, now())', 'oak'),
  '{act at 4,left behind at 4}', 'a checkpoint that was left behind is found');
select is(pg_temp.damage($$
    insert into kata_data.message (
      segment_id, version, tokens_through, group_version, created_at, token_count, pinned, role, token_source, digest, content)
    values (%L, 4, 10, 4, now(), 4, false, 'user', 'given', '\x00', 'left behind')$$, 'oak'), '{left behind at 4}',
    'a message that was left behind is found');
select is(
  pg_temp.damage('delete from kata_data.message where segment_id = %L and version = 3', 'oak'), '{digest at 4,head counters,row gone at 3}',
  'a message that is missing is found in the fork that reads it');

-- A call is bounded by entries, too: the sizes of heads decide, and contexts without entries are as good.

select kata.create_context('bulk ' || i) from generate_series(1, 3) i;
insert into known select name, context_id from kata_data.context where name like 'bulk %';
select set_config('kata.clock', format('2029-01-0%s 00:00+00', right(k.name, 1)), true), kata.delete_context(k.id)
from known k where k.name like 'bulk %';
select set_config('kata.clock', '2030-01-22', true);
update kata_data.head h set version = 60000 from known k where k.id = h.context_id and k.name like 'bulk %';
select is(
  (select array_agg(k.name order by k.name) from kata.purge_deleted(interval '0', true) p join known k on k.id = p.context_id
    where k.name like 'bulk %'),
  '{bulk 1,bulk 2}', 'a call purges as many contexts as hold 100,000 entries, the last one included');
update kata_data.head h set version = 0 from known k where k.id = h.context_id and k.name like 'bulk %';

-- Profiles and lists of tools go with the last that names them.

select pg_temp.make(name, null, null, 'user 1') from string_to_table('asks asks-too lists', ' ') n(name);
select kata.request(pg_temp.id(k.name), 1000, 'openai', 'm', '[{"name": "secret-tool"}]', k.options::json)
from (values ('asks', '{"user": "secret"}'), ('asks-too', null)) k(name, options);
select kata.set_tools(pg_temp.id('lists'), '[{"name": "listed-tool"}]');
create function pg_temp.texts() returns text[]
language sql volatile
as $$
  select array(
    select t.content from kata_data.tool_list t union all select p.options from kata_data.request_profile p where p.options is not null
    order by 1)
$$;
select is(
  pg_temp.texts(), array['[{"name": "listed-tool"}]', '[{"name": "secret-tool"}]', '{"user": "secret"}'],
  'tools and options are kept once');
select kata.delete_context(pg_temp.id('asks'));
select kata.purge_context(pg_temp.id('asks'));
select is(
  pg_temp.texts(), array['[{"name": "listed-tool"}]', '[{"name": "secret-tool"}]'],
  'a purge removes a profile that no request names, and no list that another profile names');
select kata.delete_context(pg_temp.id('asks-too'));
select kata.purge_context(pg_temp.id('asks-too'));
select is(pg_temp.texts(), array['[{"name": "listed-tool"}]'], 'with the last profile goes the list');
select kata.delete_context(pg_temp.id('lists'));
select kata.purge_context(pg_temp.id('lists'));
select is(pg_temp.texts(), '{}', 'with the last change goes the list that it set');

select * from finish();
rollback;
