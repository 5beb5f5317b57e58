-- Tokenizers and their counts, statistics and the version are what a deployment is looked after with.

begin;
select plan(106);

-- Tokenizers

select set_has(
  'select name, bytes_per_token, margin from kata.tokenizers()',
  $$values ('o200k_base', 4.4, 0.15), ('cl100k_base', 4.3, 0.15), ('claude', 3.6, 0.05)$$,
  'three tokenizers are known from the start');
select is(
  (fixture.stored(kata.create_context(tokenizer => m.model))).tokenizer, m.tokenizer, 'a model has its tokenizer: ' || m.model)
from (values
  ('claude-sonnet-4-5', 'claude'), ('anthropic/claude-opus-4-1', 'claude'), ('claude', 'claude'), ('gpt-5', 'o200k_base'),
  ('gpt-4.1-mini', 'o200k_base'), ('openai/gpt-4o', 'o200k_base'), ('o3', 'o200k_base'), ('gpt-4-turbo', 'cl100k_base'),
  ('gpt-4', 'cl100k_base'), ('gpt-3.5-turbo', 'cl100k_base'), ('gpt-35-turbo', 'cl100k_base'), ('gpt-4.5-preview', 'o200k_base'),
  ('us.anthropic.claude-sonnet-4-5-20250929-v1:0', 'claude'), ('anthropic.claude-3-haiku-20240307-v1:0', 'claude'),
  ('bedrock/eu.anthropic.claude-opus-4-1', 'claude'), ('ft:gpt-4o-mini-2024-07-18:acme::abc', 'o200k_base')) m (model, tokenizer);
select throws_ok(
  format('select kata.create_context(tokenizer => %L)', m.model), 'KC017', null,
  'a model without a known tokenizer is refused: ' || m.model)
from (values ('claudette'), ('gemini-3-pro'), ('mygpt-4'), ('us.amazon.nova-pro'), ('ft:'), ('a.b.'), ('')) m (model);
select kata.register_tokenizer('mine', 3.5);
select results_eq(
  $$select bytes_per_token, margin from kata.tokenizers() where name = 'mine'$$, 'values (3.5, 0.15)',
  'a tokenizer can be registered, with a margin of 0.15 unless told otherwise');
select kata.register_tokenizer('mine', 3.6, 0.2);
select results_eq(
  $$select bytes_per_token, margin from kata.tokenizers() where name = 'mine'$$, 'values (3.6, 0.2)', 'a tokenizer can be corrected');
select is(
  (select array_agg(name) from kata.tokenizers()), (select array_agg(name order by name) from kata.tokenizers()),
  'tokenizers are listed by name');
select lives_ok($$select kata.create_context(tokenizer => 'mine')$$, 'a context may count in a registered tokenizer');
select throws_ok(format('select kata.register_tokenizer(%s)', a.arguments), 'KC017', null, a.description)
from (values
  ('null, 4', 'a tokenizer has a name'), ($$'', 4$$, 'the name of a tokenizer is not empty'),
  ($$repeat('x', 256), 4$$, 'the name of a tokenizer has at most 255 characters'),
  ($$'x', 0$$, 'a token has bytes'), ($$'x', -1$$, 'bytes of a token are not negative'),
  ($$'x', 101$$, 'a token does not have over 100 bytes'), ($$'x', null$$, 'bytes of a token are said'),
  ($$'x', 'NaN'$$, 'bytes of a token are a number'), ($$'x', 4, -0.1$$, 'a margin is not negative'),
  ($$'x', 4, 11$$, 'a margin is not over 10'), ($$'x', 4, null$$, 'a margin is not null')
) a(arguments, description);
select results_eq(
  $$select * from fixture.error($q$select kata.register_tokenizer('x', 0)$q$)$$,
  $$values (
      'KC017', 'tokenizer is out of range', 'Its name is "x", bytes_per_token 0, margin 0.15.',
      'Pass a name of 1 to 255 characters, 0.1 to 100 bytes per token and a margin from 0 to 10, 0.15 for example.')$$,
  'a tokenizer out of range is refused with the range');

-- Counts beside

select fixture.context('counted') as counted \gset
select fixture.talk('counted', 'user 10, user 20, user 30');
create function pg_temp.counts(context text) returns integer[]
language sql
as $$
  select array_agg(w.token_count order by w.ordinal) from kata."window"(fixture.id(context), 1000, tokenizer => 'mine') w
$$;
select pg_temp.counts('counted') as converted \gset
select is(kata.put_token_counts(:'counted', 'mine', '{3,1}', '{33,11}'), 2, 'counts can be stored in any order');
select is(pg_temp.counts('counted'), array[11, (:'converted'::integer[])[2], 33], 'a count belongs to its version');
select is(kata.put_token_counts(:'counted', 'mine', '{1}', '{12}'), 1, 'a count can be corrected');
select is((pg_temp.counts('counted'))[1], 12, 'the correction counts');
select is(kata.put_token_counts(:'counted', 'mine', '{2,2}', '{21,22}'), 1, 'of two counts for one version one is stored');
select is((pg_temp.counts('counted'))[2], 22, 'it is the later');
select is(kata.put_token_counts(:'counted', 'mine', '{}', '{}'), 0, 'no counts are none');
select is(kata.put_token_counts(:'counted', 'mine', '{1}', '{0}'), 1, 'a count may be 0');
select throws_ok(format('select kata.put_token_counts(%L, %s)', :'counted', a.arguments), a.code, null, a.description)
from (values
  ($$'o200k_base', '{1}', '{1}'$$, 'KC017', 'the context''s own counts are not put beside'),
  ($$'gpt-5', '{1}', '{1}'$$, 'KC017', 'nor by the name of a model of its tokenizer'),
  ($$'abacus', '{1}', '{1}'$$, 'KC017', 'a count is in a known tokenizer'),
  ($$null, '{1}', '{1}'$$, 'KC017', 'a count is in some tokenizer'), ($$'mine', '{1,2}', '{1}'$$, 'KC017', 'every version has a count'),
  ($$'mine', '{1}', '{1,2}'$$, 'KC017', 'every count has a version'),
  ($$'mine', null, '{1}'$$, 'KC017', 'versions are given'), ($$'mine', '{1}', null$$, 'KC017', 'counts are given'),
  ($$'mine', '{1}', '{-1}'$$, 'KC017', 'a count is not negative'),
  ($$'mine', '{1}', '{null}'$$, 'KC017', 'a count is not null'), ($$'mine', '{null}', '{1}'$$, 'KC017', 'a version is not null'),
  ($$'mine', '{4}', '{1}'$$, 'KC002', 'a version has a message'),
  ($$'mine', '{0}', '{1}'$$, 'KC002', 'version 0 has none'), ($$'mine', '{-1}', '{1}'$$, 'KC002', 'a negative version has none'),
  ($$'mine', '{9223372036854775807}', '{1}'$$, 'KC002', 'the greatest version has none')
) a(arguments, code, description);
select is(
  (select e.hint from fixture.error(format($$select kata.put_token_counts(%L, 'gpt-5', '{1}', '{1}')$$, :'counted')) e),
  'Append messages with their token counts, or name another tokenizer.', 'the hint is that of this error');
select is(kata.put_token_counts(:'counted', 'gpt-4', '{1}', '{13}'), 1, 'a model is taken for its tokenizer');
select is(
  (select w.token_count from kata."window"(:'counted', 1000, tokenizer => 'cl100k_base') w where w.version = 1), 13, 'as in a window');
select throws_ok(
  format($$select kata.put_token_counts(%L, 'mine', '{2,4}', '{99,99}')$$, :'counted'), 'KC002', null,
  'one unknown version among known ones is refused');
select is((pg_temp.counts('counted'))[2], 22, 'then no count is stored');
select fixture.fork('counted', 2, 'counted fork') as counted_fork \gset
select kata.put_token_counts(:'counted_fork', 'mine', '{2}', '{24}');
select is((pg_temp.counts('counted'))[2], 24, 'the count of an inherited message is shared');
select throws_ok(
  format($$select kata.put_token_counts(%L, 'mine', '{3}', '{1}')$$, :'counted_fork'), 'KC002', null,
  'a fork counts nothing that its parent wrote after it');

-- Statistics

select fixture.as_role('kata_service', format('select kata.create_context(%L)', 's' || i), 'statistics') from generate_series(1, 4) i;
set local kata.clock = '2030-01-01 00:00:00+00';
set local kata.tenant = 'statistics';
select fixture.talk('s1', 'user 1, user 1, user 1'), kata.archive_context(fixture.id('s3')), kata.delete_context(fixture.id('s4'));
select fixture.fork('s1', 2, 's1 fork');
select fixture.talk('s1 fork', 'user 1');
select is(
  (kata.stats() -> 'statistics') - '{updated_at,due,due_for_model,oldest_due_at,leases,failing,with_open_calls}'::text[],
  '{"contexts": 5, "live": 3, "archived": 1, "deleted": 1, "purged": 0, "forks": 1, "entries": 4}',
  'statistics count contexts by state, forks, and what each wrote itself');
select is((kata.stats() #>> '{statistics,updated_at}')::timestamptz, '2030-01-01 00:00:00.000001+00', 'statistics know the last change');
select fixture.context('s5', '{"budget": 100, "preserve_recent_count": 1, "min_gain_tokens": 0, "min_interval_seconds": 0}') as s5 \gset
select fixture.talk('s5', 'user 60, assistant 60, user 1');
select is(
  (select row(s -> 'due', s -> 'due_for_model', s -> 'oldest_due_at' <> 'null', s -> 'leases', s -> 'failing')::text
    from (select kata.stats() -> 'statistics') s(s)),
  '(1,1,t,0,0)', 'what is due');
select kata.abort_compaction(c.compaction_id, 'down') from kata.claim_due_compaction('first') c;
select count(*) from kata.claim_due_compaction('second');
select is(
  (select row(s -> 'due', s -> 'due_for_model', s -> 'oldest_due_at', s -> 'leases', s -> 'failing')::text
    from (select kata.stats() -> 'statistics') s(s)),
  '(0,0,null,1,1)', 'is compacted by a lease, and has failed before');
select is(m.value, e.value::double precision, 'the metric ' || e.name)
from kata.metrics m
join (values ('kata_failing_contexts', 1.0), ('kata_leases', 1), ('kata_oldest_due_seconds', 0)) e(name, value)
  on e.name = m.name and m.labels in ('{}', '{"expired": false}');
select is(fixture.as_role('pg_monitor', 'select count(*) > 20 from kata.metrics'), 'true', 'who monitors sees metrics');
select is(has_table_privilege(r.role, 'kata.metrics', 'select'), false, r.role || ' does not, for they are of all tenants')
from (values ('public'), ('kata_reader'), ('kata_writer')) r(role);
set local kata.tenant = 'statistics';
set local kata.tenant = 'vacant';
select is(kata.stats(), '{}', 'a tenant without contexts has no statistics');
set local kata.tenant = '';
set local kata.clock = '';

-- The environment

select is(kata.environment(), null, 'a database has no label at first');
select lives_ok($$select kata.set_environment('')$$, 'a label that is not there can be removed');
select lives_ok($$select kata.set_environment('staging')$$, 'a database gets a label');
select is(kata.environment(), 'staging', 'the label is returned');
select lives_ok($$select kata.set_environment('staging')$$, 'the same label again changes nothing');
select throws_ok($$select kata.set_environment('production')$$, 'KC018', null, 'who changes a label says which it is');
select throws_ok($$select kata.set_environment('production', 'test')$$, 'KC018', null, 'who says another does not change it');
select throws_ok($$select kata.set_environment('', 'Staging')$$, 'KC018', null, 'nor removes it');
select results_eq(
  $$select * from fixture.error($q$select kata.set_environment('production', 'test')$q$)$$,
  $$values (
      'KC018', 'this database is labeled "staging"', 'The current label was given as "test".',
      'If this is the intended database, pass its label as current_label.')$$,
  'the label in force is named');
select is(kata.environment(), 'staging', 'a refusal leaves the label');
select lives_ok($$select kata.set_environment('production', 'staging')$$, 'who says it changes it');
select is(kata.environment(), 'production', 'the new label is returned');
select lives_ok($$select kata.set_environment('', 'production')$$, 'who says it removes it');
select is(kata.environment(), null, 'then there is none');
select lives_ok(format('select kata.set_environment(%L)', repeat('é', 63)), 'a label may have 63 characters');
select throws_ok(format('select kata.set_environment(%s, kata.environment())', a.label), 'KC017', null, a.description)
from (
  values ('null', 'a label is not null'), ($$repeat('x', 64)$$, 'a label has at most 63 characters'), ($$E'a\nb'$$, 'a label is one line'),
  ($$' a'$$, 'no space goes before a label'), ($$'a '$$, 'nor after it')) a(label, description);

-- The tenant

set local kata.tenant = 'acme';
select is(kata.current_tenant(), 'acme', 'a service acts for the tenant of the setting');
set local kata.tenant = '';
select is(kata.current_tenant(), 'default', 'or the default one');
create role test_client;
grant kata_reader to test_client;
select is(
  fixture.as_role('test_client', 'select kata.current_tenant()', 'acme'), 'test_client', 'a client acts for its own, whatever it set');

-- The version

select matches(kata.version(), '^\d+\.\d+\.\d+([.+-][a-z0-9.]+)?$', 'the store says which version it is');

select * from finish();
rollback;
