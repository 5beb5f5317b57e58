-- A database of several behind a proxy holds its buckets only, and believes a proxy, and no other role, for whom it acts.

begin;
select plan(30);

create role test_proxy;
create role test_server;
grant kata_proxy to test_proxy;
grant kata_service to test_server;

create function pg_temp.entered(query text, tenant text, caller text, is_administrator boolean default false) returns text
language plpgsql
as $$
begin
  perform kata_data.enter(tenant, caller, is_administrator, nullif(current_setting('kata.new_id', true), '')::uuid);
  return fixture.as_role('test_proxy', query, tenant);
end
$$;

-- For whom a statement is

select ok(kata_data.enter('acme', 'ann'), 'to enter is always true');
create temporary table made as select pg_temp.entered('select kata.create_context(''mine'')', 'acme', 'ann')::uuid as context_id;
select is(
  (fixture.stored(m.context_id)).tenant, 'acme', 'a proxy creates a context for the tenant that it names') from made m;
select is(
  (select a.acted_by from kata_data.act a join made m using (context_id)), 'ann', 'in the name of a role that is unknown here');
select set_config('kata.caller', 'ann', true);
create temporary table other as select fixture.as_role('test_server', 'select kata.create_context()', 'acme')::uuid as context_id;
select is(
  (select a.acted_by from kata_data.act a join other o using (context_id)), 'test_server', 'a service acts in no other name than its own');
select is(
  pg_temp.entered('select count(*) from kata.verify() where problem = ''contract''', 'acme', 'ann', false), '0',
  'the caller of a proxy sees no contract');
select kata_data.enter('acme', 'ann', false);
select ok(not kata_data.is_administrator(), 'nor is the caller an administrator because the proxy is one');
select kata_data.enter('acme', 'ann', true);
select ok(kata_data.is_administrator(), 'unless the proxy says so');
select set_config('kata.caller', '', true);
select ok(kata_data.is_administrator(), 'without a proxy the role itself counts');
select throws_ok(
  $$select fixture.as_role('test_proxy', 'select count(*) from kata_data.message')$$, '42501', null, 'a proxy reads no table of the log');

-- Which buckets are here

select is(
  array(select kata_data.has_bucket(b) from unnest(array[0, 4095]) b), array[true, true], 'every bucket is here where no ranges are set');
select fixture.as_role('test_proxy', $$insert into kata_data.bucket_range values ('[3,5)'), ('[4095,4096)') returning 1$$);
select is(
  array(select kata_data.has_bucket(b) from unnest(array[2, 3, 4, 5, 4095]) b), array[false, true, true, false, true],
  'a database has the buckets of its ranges');
select throws_ok(
  $$insert into kata_data.bucket_range values ('[4,6)')$$, '23P01', null, 'ranges have no bucket in common');
select throws_ok(
  $$insert into kata_data.bucket_range values ('[4000,4097)')$$, '23514', null, 'there are 4,096 buckets');
select set_eq(
  'select kata_data.bucket(kata.create_context()) from generate_series(1, 200)', array[3, 4, 4095],
  'a root gets one of the buckets that are here, each in time');
select set_config('kata.new_id', kata_data.new_context_id(4)::text, true);
select is(
  kata_data.bucket(pg_temp.entered('select kata.create_context()', 'acme', 'ann')::uuid), 4, 'a proxy chooses the bucket');
select set_config('kata.new_id', kata_data.new_context_id(7)::text, true);
select throws_ok(
  $$select pg_temp.entered('select kata.create_context()', 'acme', 'ann')$$, 'KC024', 'bucket 7 is on another shard',
  'among those that are here');
select set_config('kata.caller', '', true);
select isnt(kata_data.bucket(kata.create_context()), 7, 'another role chooses none');

-- What is not found

select throws_ok(
  format('select kata.usage(%L)', kata_data.new_context_id(7)), 'KC024', 'bucket 7 is on another shard', 'a context may be elsewhere');
select throws_ok(
  format('select kata.append(%L, ''[{"role": "user", "content": "x"}]'')', kata_data.new_context_id(7)), 'KC024', null,
  'nothing is written there');
select throws_ok(
  format('select kata.renew_compaction(%L)', kata_data.new_context_id(7)), 'KC024', null, 'as a compaction may be');
select throws_ok(
  format('select kata.purge_context(%L)', kata_data.new_context_id(7)), 'KC024', null, 'and what is to be purged');
select throws_ok(
  format('select kata.usage(%L)', kata_data.new_context_id(3)), 'KC001', null, 'one whose bucket is here is not found');
select set_config('kata.tenant', 'acme', true);
select lives_ok(
  format('select kata.usage(%L)', fixture.id('mine')), 'one that is found is not looked for');

select is(
  array(select v.problem from kata.verify(fixture.id('mine')) v), array['foreign bucket'],
  'a context whose bucket is on another shard is reported');

-- A shard that is about to move

select lives_ok($$select kata_data.claim_name('acme', 'pending', fixture.id('mine'), 'a token')$$, 'a proxy claims a name');
select fixture.as_role('test_proxy', 'update kata_data.bucket_range set is_paused = true returning 1');
select ok(kata_data.enter('acme', 'ann'), 'a shard that is about to move is read');
select throws_ok(
  $$select kata_data.enter('acme', 'ann', writes => true)$$, 'KC024', 'the shard moves to another server',
  'and refuses writes of proxies');
select throws_ok(
  $$select kata_data.claim_name('acme', 'other', fixture.id('mine'), 'a token')$$, 'KC024', null, 'and claims of names');
select kata_data.forget_names(array[fixture.id('mine')]);
select is(
  kata_data.name_holder('acme', 'pending'), fixture.id('mine'),
  'a name that a call is about to give is not forgotten with a purged context');

delete from kata_data.bucket_range;
select is_empty(
  format('select v.problem from kata.verify(%L) v', fixture.id('mine')), 'unless the database is the only one');

select * from finish();
rollback;
