-- A purge takes what nobody else reads and no more: forks read on as before, and the last of them leaves nothing behind

begin;
select plan(1);

-- Purged contexts have no name, so here they are known by another list.

create temporary table known (name text, id uuid);
create function pg_temp.make(name text, parent text default null, at bigint default null, script text default null) returns void
language sql volatile
as $$
  insert into known select make.name, case when parent is null then fixture.context(make.name) else fixture.fork(parent, at, make.name) end;
  select fixture.talk(make.name, script) where script is not null
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
  select coalesce(range_agg(int8range(m.version, m.version, '[]')), '{}') from kata_data.message m where m.segment_id = pg_temp.id(name)
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

select pg_temp.make('trunk', script => 'system 1, user 2, assistant 4 calls a b, tool 8 answers a, tool 16 answers b, user 32, assistant 64, user 128, user 256, assistant 512 calls z');
select pg_temp.make('low', 'trunk', 3, 'tool 1 answers b, tool 1 answers a');
select pg_temp.make('high', 'trunk', 7, 'user 1, user 2, user 3');
select pg_temp.make('twig', 'high', 5, 'user 1');
select pg_temp.make('leaf', 'high', 9, 'user 1, user 2');
select pg_temp.make('bare', 'trunk', 0, 'user 1');
select pg_temp.make('other', script => 'user 1, user 2');

-- What may be purged

select throws_ok(format('select pg_temp.purge(%L)', 'trunk'), 'KC017', null, 'a live context is not purged');
select kata.archive_context(pg_temp.id('trunk'));
select throws_ok(format('select pg_temp.purge(%L)', 'trunk'), 'KC017', null, 'nor an archived one');
select throws_ok(format('select pg_temp.purge(%L, true)', 'trunk'), 'KC017', null, 'not even for show');
select throws_ok($$select kata.purge_context('00000000-0000-7000-8000-000000000000')$$, 'KC001', null, 'an unknown context is not found');
select throws_ok('select kata.purge_context(null)', 'KC001', null, 'neither is none');
select results_eq(
  format('select * from fixture.error(%L)', format('select kata.purge_context(%L)', pg_temp.id('low'))),
  format($$values ('KC017', 'context %s is not deleted', 'Only a deleted context is purged; until then it can be restored.', 'Delete it first with kata.delete_context.')$$, pg_temp.id('low')),
  'who is refused is told what to do first');
select is(pg_temp.receipts('trunk'), '{}', 'what is not purged has no receipt');

-- A parent goes, its forks read on

select kata.checkpoint(pg_temp.id('trunk'), 'early', 2), kata.checkpoint(pg_temp.id('trunk'), 'late', 9) from (select 1 where to_regproc('kata.checkpoint') is not null) c;
insert into kata_data.checkpoint (context_id, name, version, created_at)
values (pg_temp.id('trunk'), 'two', 2, now()), (pg_temp.id('trunk'), 'seven', 7, now()), (pg_temp.id('trunk'), 'eight', 8, now()), (pg_temp.id('high'), 'four', 4, now()), (pg_temp.id('high'), 'ten', 10, now());
