-- A request that is sent twice under one key is carried out once; a key never names two requests.

begin;
select plan(65);

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

select * from finish();
rollback;
