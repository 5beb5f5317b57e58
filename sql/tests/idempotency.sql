-- A request that is sent twice under one key is carried out once; a key never names two requests.

begin;
select plan(89);

create function pg_temp.log(context text) returns text
language sql
as $$
  select string_agg(m.content, ', ' order by m.version) from kata.messages(fixture.id(context)) m
$$;

-- Appends

select fixture.context('log') as log \gset
select $$[{"role": "user", "content": "one", "token_count": 1}, {"role": "assistant", "content": "two", "token_count": 2}]$$ as batch \gset
create temporary table receipt (attempt integer, version bigint, token_count integer, created_at timestamptz, is_new boolean);
insert into receipt select 1, a.* from kata.append(:'log', :'batch', idempotency_key => 'k') a;
insert into receipt select 2, a.* from kata.append(:'log', :'batch', idempotency_key => 'k') a;
select results_eq(
  'select version, token_count, created_at from receipt where attempt = 2',
  'select version, token_count, created_at from receipt where attempt = 1',
  'a batch that is sent again gets its first receipt');
select is(pg_temp.log('log'), 'one, two', 'a batch that is sent again appends nothing');
select lives_ok(
  format(
    $$select kata.append(
        %L, '[{"content": "one", "token_count": 1, "role": "user"}, {"token_count": 2, "content": "two", "role": "assistant"}]', null,
        'k')$$,
    :'log'),
  'the order of keys does not matter to a batch');
select throws_ok(
  format($$select kata.append(%L, '[{"role": "user", "content": "one", "token_count": 1}]', null, 'k')$$, :'log'), 'KC019', null,
  'a part of the batch under its key is another request');
select throws_ok(
  format($$select kata.append(%L, %L, null, 'k')$$, :'log', changed.batch), 'KC019', null,
  'another batch under its key is refused: ' || changed.what)
from (select replace(:'batch', c.old, c.new), c.what
  from (values
    ('"one"', '"One"', 'content'), ('"token_count": 1', '"token_count": 3', 'count'), ('"user"', '"system"', 'role'),
    ('"content": "one"', '"content": "one", "name": "x"', 'name'),
    ('"content": "one"', '"content": "one", "pinned": true', 'pin'),
    ('"content": "one"', '"content": "one", "metadata": {}', 'metadata')) c(old, new, what)) changed(batch, what);
select results_eq(
  format($$select code, message, hint from fixture.error($q$select kata.append(%L, fixture.drafts('user 1'), null, 'k')$q$)$$, :'log'),
  $$values (
      'KC019', 'idempotency key "k" was used for another request',
      'Use a new key for a new request; repeat a request unchanged to get its first result.')$$,
  'a key of another request is named');
select is(pg_temp.log('log'), 'one, two', 'a conflict of keys appends nothing');
select results_eq(
  format($$select version from kata.append(%L, %L, idempotency_key => 'k2')$$, :'log', :'batch'), 'values (3::bigint), (4)',
  'the same batch under another key is another request');
select results_eq(
  format($$select version from kata.append(%L, %L)$$, :'log', :'batch'), 'values (5::bigint), (6)',
  'the same batch without key is another request');
select is_empty(format($$select kata.append(%L, '[]', idempotency_key => 'k3')$$, :'log'), 'an empty batch has an empty receipt');
select is_empty(format($$select kata.append(%L, '[]', idempotency_key => 'k3')$$, :'log'), 'again and again');
select throws_ok(
  format($$select kata.append(%L, fixture.drafts('user 1'), idempotency_key => 'k3')$$, :'log'), 'KC019', null,
  'an empty batch uses its key up');

-- Before the expected version

select results_eq(
  format($$select version from kata.append(%L, %L, 0, 'k')$$, :'log', :'batch'), 'values (1::bigint), (2)',
  'a request that is repeated does not conflict with itself');
select throws_ok(
  format($$select kata.append(%L, fixture.drafts('user 1'), 0, 'k')$$, :'log'), 'KC019', null, 'of two conflicts the key comes first');
select throws_ok(
  format($$select kata.append(%L, %L, 0, 'k4')$$, :'log', :'batch'), 'KC003', null, 'a new request conflicts by its version');
select lives_ok(
  format($$select kata.append(%L, fixture.drafts('user 1'), null, 'k4')$$, :'log'), 'a request that was refused leaves its key free');
select throws_ok(
  format($$select kata.append(%L, fixture.drafts('tool 1 answers unknown'), null, 'k5')$$, :'log'), 'KC005', null,
  'an orphan under a key is refused');
select lives_ok(format($$select kata.append(%L, fixture.drafts('user 1'), null, 'k5')$$, :'log'), 'a refused orphan leaves its key free');

-- Single messages

select fixture.context('single') as single \gset
select is(kata.append_message(:'single', 'user', 'one', 1, idempotency_key => 'm'), 1::bigint, 'a message under a key is appended');
select is(
  kata.append_message(:'single', 'user', 'one', 1, idempotency_key => 'm'), 1::bigint, 'a message that is sent again gets its first version'
);
select throws_ok(
  format($$select kata.append_message(%L, 'user', 'two', 1, idempotency_key => 'm')$$, :'single'), 'KC019', null,
  'another message under the key is refused');
select is(
  kata.append_message(:'single', 'user', 'estimated', idempotency_key => 'm2'), 2::bigint, 'a message without count may have a key');
select is(
  kata.append_message(:'single', 'user', 'estimated', idempotency_key => 'm2', expected_version => 0), 2::bigint, 'and be repeated');
select is(
  kata.append_message(:'single', 'assistant', null, 1, tool_calls => fixture.calls('a b'), idempotency_key => 'm3'), 3::bigint,
  'a call under a key is made');
select is(
  kata.append_message(:'single', 'assistant', null, 1, tool_calls => fixture.calls('a b'), idempotency_key => 'm3'), 3::bigint,
  'a call that is sent again is not a second one');
select is(
  kata.append_message(:'single', 'tool', 'x', 1, tool_call_id => 'a', idempotency_key => 'm4'), 4::bigint,
  'a result under a key is appended');
select is(
  kata.append_message(:'single', 'tool', 'x', 1, tool_call_id => 'a', idempotency_key => 'm4'), 4::bigint,
  'a result that is sent again is not an orphan');
select is((select version from kata.get_context(:'single')), 4::bigint, 'repetition takes no version');

-- Keys

select throws_ok(
  format($$select kata.append_message(%L, 'user', 'x', idempotency_key => '')$$, :'single'), 'KC017', null, 'a key is not empty');
select throws_ok(
  format($$select kata.append_message(%L, 'user', 'x', idempotency_key => repeat('é', 256))$$, :'single'), 'KC017', null,
  'a key of 256 characters is too long');
select lives_ok(
  format($$select kata.append_message(%L, 'user', 'x', 1, idempotency_key => repeat('é', 255))$$, :'single'),
  'a key may have 255 characters');
select lives_ok(format($$select kata.append_message(%L, 'user', 'x', 1, idempotency_key => 'M')$$, :'single'), 'keys differ by case');
select results_eq(
  format($$select * from fixture.error($q$select kata.append_message(%L, 'user', 'x', idempotency_key => '')$q$)$$, :'single'),
  $$values (
      'KC017', 'idempotency key is too long or empty', 'It has 0 characters.', 'Pass 1 to 255 characters, a UUID for example, or none.')$$,
  'a bad key is refused with advice');
select throws_ok($$select kata.create_context(idempotency_key => '')$$, 'KC017', null, 'a key of a new context is not empty');

-- Scope

select fixture.context('other') as other \gset
select is(
  kata.append_message(:'other', 'user', 'mine', 1, idempotency_key => 'm'), 1::bigint, 'the same key in another context is another key');
select fixture.fork('single', 2, 'fork') as fork \gset
select is(kata.append_message(:'fork', 'user', 'one', 1, idempotency_key => 'm'), 3::bigint, 'a fork inherits no keys');
select is(kata.append_message(:'fork', 'user', 'one', 1, idempotency_key => 'm'), 3::bigint, 'a fork remembers its own');
select is(kata.append_message(:'single', 'user', 'one', 1, idempotency_key => 'm'), 1::bigint, 'the parent remembers its own');

-- What a key has done

select results_eq(
  format('select k.function_name, k.result from kata.key_result(%L, %L) k', :'log', 'k'),
  $$values ('append', '{"versions": [1, 2], "is_new": [true, true]}'::jsonb)$$, 'a key says what it has done');
select is_empty(format('select * from kata.key_result(%L, %L)', :'log', 'none'), 'and nothing where it is free');
select is_empty(format('select * from kata.key_result(%L, %L)', :'other', 'k'), 'or has done something to another context');
select is(
  (select k.result from kata.key_result(:'single', 'm2') k), '{"versions": [2], "is_new": [true]}', 'a single message is a batch of one');
select kata.append_record(:'single', 'note', '"x"', idempotency_key => 'r') as record \gset
select is((select k.function_name || k.result from kata.key_result(:'single', 'r') k), 'append_record' || :record,
  'a record has a version');
select kata.fork(:'single', idempotency_key => 'f') as forked \gset
select is((select k.result #>> '{}' from kata.key_result(:'single', 'f') k), :'forked', 'a fork has an id');
select throws_ok(
  format('select kata.append_record(%L, %L, %L, idempotency_key => %L)', :'single', 'note', '"x"', 'm2'), 'KC019', null,
  'a key is of one function');

-- Erasure

select fixture.context('told') as told \gset
select jsonb_build_array(fixture.drafts('user 1') -> 0 || '{"content": "PIN 1234", "external_id": "a"}'::jsonb) as pin \gset
create function pg_temp.guessed(key text) returns bigint
language sql
as $$
  select count(*)
  from kata_data.idempotency i
  where i.key = guessed.key
    and sha256(coalesce(i.salt, '') || convert_to(current_setting('test.request')::jsonb::text, 'UTF8')) = i.request
$$;
select set_config('test.request', :'pin', true);
select kata.append(:'told', :'pin', idempotency_key => 'pin');
select is(pg_temp.guessed('pin'), 1::bigint, 'the digest of a request is over its salt and its text');
select is(
  (select count(distinct i.request) from kata_data.idempotency i where i.key in ('k', 'k2') and i.scope = 'context:' || :'log'), 2::bigint,
  'two requests of one text have two digests');
select fixture.fork('told', 1, 'retold') as retold \gset
select kata.append(:'retold', :'pin', idempotency_key => 'skip', on_duplicate => 'skip');
select kata.append(:'retold', fixture.drafts('user 1'), idempotency_key => 'pin');
select kata.merge(:'log', :'told', idempotency_key => 'copy');
select kata.append_record(:'told', 'note', '"PIN 1234"', 'b', 'note');
select count(*)
from (values (1), (2)) v(version)
cross join kata.erase_message(:'told', v.version, 'asked to');
select is(
  array(select row(i.key, i.request is null, i.salt is null)::text from kata_data.idempotency i
    where i.key in ('pin', 'skip', 'copy', 'note') and not (i.key = 'pin' and i.scope = 'context:' || :'retold') order by i.key),
  '{"(copy,t,t)","(note,t,t)","(pin,t,t)","(skip,t,t)"}', 'an erasure removes the digests of all requests that name the entry');
select is(
  (select i.request is null from kata_data.idempotency i where i.key = 'pin' and i.scope = 'context:' || :'retold'), false,
  'and no others');
select is((select sum(pg_temp.guessed(i.key)) from kata_data.idempotency i), 0::numeric, 'nothing is left to guess from');
select is(
  array(select a.version from kata.append(:'told', r.request, idempotency_key => 'pin') a), '{1}',
  'the key answers its first result to ' || r.what)
from (values (:'pin'::jsonb, 'the request'), (fixture.drafts('user 2'), 'any other')) r(request, what);
select is(kata.append_record(:'told', 'x', '0', idempotency_key => 'note'), 2::bigint, 'that of a record, too');
select throws_ok(format('select kata.fork(%L, idempotency_key => %L)', :'told', 'pin'), 'KC019', null, 'but not to another function');
select kata.append(:'retold', :'pin', idempotency_key => 'late', on_duplicate => 'skip');
select kata.append_record(:'told', 'note', '"PIN 1234"', 'b', 'late', 'skip');
select is(
  (select count(*) from kata_data.idempotency i where i.key = 'late' and i.request is null), 2::bigint,
  'a later request that names it leaves no digest');
select is((select c.version from kata.get_context(:'told') c), 2::bigint, 'no repetition brought the text back');

-- Seven days

select fixture.context('week') as week \gset
set local kata.clock = '2030-01-01 00:00:00+00';
select kata.append_message(:'week', 'user', 'monday', 1, idempotency_key => 'w');
select kata.append_message(:'week', 'user', 'also monday', 1, idempotency_key => 'w' || i) from generate_series(1, 30) i;
set local kata.clock = '2030-01-08 00:00:00+00';
select is(kata.append_message(:'week', 'user', 'monday', 1, idempotency_key => 'w'), 1::bigint, 'a key is remembered for seven days');
select throws_ok(
  format($$select kata.append_message(%L, 'user', 'tuesday', 1, idempotency_key => 'w')$$, :'week'), 'KC019', null,
  'for seven days it names its request');
set local kata.clock = '2030-01-08 00:00:01+00';
select is(kata.append_message(:'week', 'user', 'monday', 1, idempotency_key => 'w'), 32::bigint, 'after seven days a key is new');
set local kata.clock = '2030-01-15 00:00:01+00';
select is(
  kata.append_message(:'week', 'user', 'monday', 1, idempotency_key => 'w'), 32::bigint, 'then it is remembered for another seven days');
select kata.append_message(:'week', 'user', 'x', 1, idempotency_key => 'sweep ' || i) from generate_series(1, 5) i;
select is(
  (select count(*) from kata_data.idempotency i where i.key ~ '^w\d+$'), 0::bigint, 'expired keys are removed by those who add new ones');
set local kata.clock = '';

-- Equal requests

create function pg_temp.again(metadata text) returns text
language sql
as $$
  select format(
    $q$select kata.append_message(%L, 'user', '1.0, "2.50"', metadata => %L, idempotency_key => 'e')$q$, fixture.id('equal'), metadata)
$$;
select fixture.context('equal') as equal \gset
select kata.append_message(
  :'equal', 'user', '1.0, "2.50"', metadata => '{"b": 10, "a": [1.5, 0.01, 100], "z": "1.0"}', idempotency_key => 'e');
select lives_ok(
  pg_temp.again('{"a": [1.500, 1.0e-2, 1e2], "z": "1.0", "b": 10.00}'), 'keys in another order, other zeros: no other request');
select throws_ok(pg_temp.again('{"b": 10, "a": [1.5, 0.01, 100], "z": "1"}'), 'KC019', null, 'the zeros of a text make another request');
select throws_ok(pg_temp.again('{"b": 1, "a": [1.5, 0.01, 100], "z": "1.0"}'), 'KC019', null, 'so do those before the point');
alter table kata_data.message add column later text default 'x';
select lives_ok(pg_temp.again('{"b": 10, "a": [1.5, 0.01, 100], "z": "1.0"}'), 'a column that a later release adds makes no other request');

-- New contexts

select kata.create_context('new', '{"budget": 1000}', '{"a": 1}', idempotency_key => 'c') as new \gset
select is(
  kata.create_context('new', '{"budget": 1000}', '{"a": 1}', idempotency_key => 'c'), :'new',
  'a context that is asked for again is the first one');
select is((select count(*) from kata_data.context where name = 'new'), 1::bigint, 'there is one');
select throws_ok(
  $$select kata.create_context('new', '{"budget": 2000}', '{"a": 1}', idempotency_key => 'c')$$, 'KC019', null,
  'another policy is another request');
select throws_ok(
  $$select kata.create_context('new', '{"budget": 1000}', '{"a": 2}', idempotency_key => 'c')$$, 'KC019', null,
  'other metadata are another request');
select throws_ok(
  $$select kata.create_context('new', '{"budget": 1000}', '{"a": 1}', 'cl100k_base', idempotency_key => 'c')$$, 'KC019', null,
  'another tokenizer is another request');
select throws_ok(
  $$select kata.create_context('new', '{"budget": 1000}', '{"a": 1}', preset => 'audit', idempotency_key => 'c')$$, 'KC019', null,
  'another preset is another request');
select throws_ok(
  $$select kata.create_context('new', '{"budget": 1000}', '{"a": 1}', idempotency_key => 'c2')$$, 'KC007', null,
  'the same request under another key finds the name taken');
select lives_ok(
  $$select kata.create_context('fresh', idempotency_key => 'c2')$$, 'a request that found the name taken leaves its key free');
select fixture.as_role('kata_service', $$select kata.create_context('new', idempotency_key => 'c')$$, 'other tenant') as foreign_new \gset
select isnt(:'foreign_new'::uuid, :'new', 'the key of a new context is the tenant''s own');
select is(kata.append_message(:'new', 'user', 'x', 1, idempotency_key => 'c'), 1::bigint, 'a key of a new context is none of its log');

-- Contexts by name

select context_id as named from kata.get_or_create_context('named', idempotency_key => 'n') \gset
select results_eq(
  $$select * from kata.get_or_create_context('named', idempotency_key => 'n')$$, format('values (%L::uuid, true)', :'named'),
  'a repeated request returns, like the first, that it created the context');
select kata.delete_context(:'named');
select results_eq(
  $$select * from kata.get_or_create_context('named', idempotency_key => 'n')$$, format('values (%L::uuid, true)', :'named'),
  'a request that is sent again after a deletion creates nothing');
select throws_ok(
  $$select kata.get_or_create_context('named', '{"budget": 1000}', idempotency_key => 'n')$$, 'KC019', null,
  'another policy is another request');
select throws_ok($$select kata.create_context('named', idempotency_key => 'n')$$, 'KC019', null, 'create_context is another request');
select kata.get_or_create_context('found');
select results_eq(
  $$select created from kata.get_or_create_context('found', idempotency_key => 'f')$$, 'values (false)',
  'a context may be found under a key');
select kata.delete_context(kata.find_context('found'));
select results_eq(
  $$select created from kata.get_or_create_context('found', idempotency_key => 'f')$$, 'values (false)', 'so is a found context'
);
select is(kata.find_context('found'), null, 'and not created by the repetition');

insert into kata_data.idempotency (scope, key, function_name, result, created_at)
select 'tenant:gone', 'old ' || i, 'create_context', '1', kata_data.clock() - i * interval '1 day' - interval '1 minute'
from generate_series(1, 120) i;
select count(*) from kata.claim_due_compaction('worker');
select is(
  (select row(count(*), count(*) filter (where i.key in ('old 1', 'old 6')))::text from kata_data.idempotency i where i.key ~ '^old '),
  '(20,2)', 'each look of a worker removes a hundred expired keys, the oldest first');
select count(*) from kata.claim_due_compaction('worker');
select is(
  (select count(*) from kata_data.idempotency i where i.key ~ '^old '), 6::bigint, 'and the next one the rest, however few new keys come');

select * from finish();
rollback;
