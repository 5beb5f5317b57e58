-- Callers may give messages ids of their own, which are unique among the messages and records of a path.

begin;
select plan(64);

create function pg_temp.given(ids text) returns jsonb
language sql
as $$
  select jsonb_agg(jsonb_build_object('role', 'user', 'content', 'x', 'token_count',
  1) || case i.id when '-' then '{}' else jsonb_build_object('external_id', i.id) end
    order by i.place)
  from unnest(string_to_array(ids, ' ')) with ordinality i(id, place)
$$;
comment on function pg_temp.given(text) is 'Messages with external ids; with - none.';
create function pg_temp.appended(context_id uuid, ids text, on_duplicate text default 'skip', key text default null) returns text
language sql
as $$
  select string_agg(a.version || case when a.is_new then '' else '=' end, ' ' order by a.place)
  from kata.append(context_id, pg_temp.given(ids), idempotency_key => key, on_duplicate => on_duplicate)
    with ordinality a(version, token_count, created_at, is_new, place)
$$;
comment on function pg_temp.appended(uuid, text, text, text) is 'The versions that append returns, with = where the message is not new.';

-- Ids and times are kept

select fixture.context('ids') as ids \gset
select is(
  kata.append_message(:'ids', 'user', 'x', 1, external_id => 'a', occurred_at => '2026-01-31 12:00:00+02'), 1::bigint,
  'a message may have an external id');
select is(pg_temp.appended(:'ids', '- b c', 'error'), '2 3 4', 'and those of a batch');
select is(kata.append_record(:'ids', 'note', '1', 'r'), 5::bigint, 'as a record');
select is(
  array(select row(m.version, m.external_id,
  m.occurred_at at time zone 'UTC')::text from kata_data.message m where m.segment_id = :'ids' order by m.version),
  array['(1,a,"2026-01-31 10:00:00")', '(2,,)', '(3,b,)', '(4,c,)'], 'both are stored as given');
select kata.append(:'ids', '[{"role": "user", "content": "x", "occurred_at": "2020-02-29T23:59:59.5-01:30"}]');
select is(
  (select m.occurred_at from kata_data.message m where m.segment_id = :'ids' and m.version = 6), '2020-03-01 01:29:59.5+00',
  'occurred_at orders nothing');
select is(kata.find_message(:'ids', f.id, f.at), f.version::bigint, f.what)
from (values
  ('a', null, 1, 'a message is found by its id'), ('r', null, 5, 'a record, too'), ('c', 4, 4, 'as of a version'), ('c', 3, null,
  'not before it'),
  ('A', null, null, 'an id is exact'), (null, null, null, 'no id finds nothing')) f(id, at, version, what);
select throws_ok(format('select kata.find_message(%L, %L, 7)', :'ids', 'a'), 'KC002', null, 'a version that is not there is refused');
select throws_ok(
  format('select kata.append(%L, jsonb_build_array(jsonb_build_object(%L, %L, %L, %L) || %L))', :'ids', 'role', 'user', 'content', 'x',
  b.fields), 'KC004', null, b.what)
from (values
  ('{"external_id": ""}', 'an id has characters'), (jsonb_build_object('external_id', repeat('x', 256))::text, 'at most 255'),
  ('{"external_id": 7}', 'and is a string'), ('{"occurred_at": "infinity"}', 'a time is finite'), ('{"occurred_at": "now"}',
  'and absolute'),
  ('{"occurred_at": "2026-01-31T12:00:00"}', 'with an offset'), ('{"occurred_at": "2026-02-30T12:00:00Z"}', 'of the calendar'),
  ('{"occurred_at": "0001-01-01T00:00:00+14:00"}', 'not before the year 1 of UTC'),
  ('{"occurred_at": "9999-12-31T23:59:59-14:00"}', 'nor after its year 9999')) b(fields, what);

select throws_ok(format('select kata.append_message(%L, %L, %L, %s)', :'ids', 'user', 'x', b.given), 'KC004', null, b.what)
from (values
  ('external_id => $$$$', 'a single message is checked alike'), ('occurred_at => $$-infinity$$', 'its time, too'),
  ('external_id => $$a$$', 'an id names one entry')) b(given, what);
select lives_ok(format('select kata.append_message(%L, %L, %L, external_id => repeat(%L, 255))', :'ids', 'user', 'x', 'é'),
  '255 characters fit');

-- An id that is taken

select throws_ok(
  format('select pg_temp.appended(%L, %L, %L)', :'ids', '- b', 'error'), 'KC004', 'external id "b" is taken',
  'a batch with a taken id is refused');
select matches(
  (select e.hint from fixture.error(format($$select kata.append_message(%L, 'user', 'x', external_id => 'b')$$, :'ids')) e),
  'kata[.]append with on_duplicate => skip', 'append_message names the function that skips');
select throws_ok(format('select pg_temp.appended(%L, %L, %L)', :'ids', 'r', 'error'), 'KC004', null, 'as with the id of a record');
select throws_ok(format('select pg_temp.appended(%L, %L, %L)', :'ids', 'd d', 'error'), 'KC004', null, 'or with one id twice');
select throws_ok(format('select kata.append_record(%L, %L, %L, %L)', :'ids', 'note', '1', 'b'), 'KC004', null,
  'a record with the id of a message, too');
select throws_ok(format('select kata.append_record(%L, %L, %L, %L, %L)', :'ids', 'note', '1', 'b', 'key'), 'KC004', null,
  'whether it has a key or not');
select is(kata.append_record(:'ids', 'note', '1', 'b', on_duplicate => 'skip'), 3::bigint, 'unless it is to be skipped');
select is(kata.append_record(:'ids', 'note', '1', 'r', 'rk', 'skip'), 5::bigint, 'as one with the id of a record');
select is(kata.append_record(:'ids', 'note', '1', 'r', 'rk'), 5::bigint, 'whose key remembers that');
select throws_ok(format('select pg_temp.appended(%L, %L, %L)', :'ids', 'd', 'replace'), 'KC017', null, 'on_duplicate is error or skip');
select throws_ok(format('select kata.append_record(%L, %L, %L, on_duplicate => null)', :'ids', 'note', '1'), 'KC017', null,
  'of a record, too');
select is((select c.version from kata.get_context(:'ids') c), 7::bigint, 'what is refused takes no version');
select is(pg_temp.appended(:'ids', '- b d r - d e'), '8 3= 9 5= 10 9= 11', 'skip leaves out what is there, and the second of a batch');
select is(pg_temp.appended(:'ids', 'a b c'), '1= 3= 4=', 'also all of a batch');
select is((select c.version from kata.get_context(:'ids') c), 11::bigint, 'which then takes no version');
select is(kata.find_message(:'ids', 'd'), 9::bigint, 'what is appended beside it has its id');

-- Keys, deletions, calls

select is(pg_temp.appended(:'ids', 'a f f', key => 'k'), '1= 12 12=', 'a key remembers which messages were new');
select is(pg_temp.appended(:'ids', 'a f f', 'error', 'k'), '1= 12 12=', 'a repetition returns that, whatever on_duplicate is');
select kata.delete_messages(:'ids', 12);
select is(pg_temp.appended(:'ids', 'f'), '12=', 'a deleted message keeps its id');
select is(pg_temp.appended(:'ids', 'g', key => 'single'), '14', 'the next is new');

select fixture.context('calls') as calls \gset
select jsonb_build_array(
  fixture.drafts('user 1') -> 0 || '{"external_id": "u"}'::jsonb,
  '{"role": "assistant", "external_id": "call",
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}'::jsonb,
  '{"role": "tool", "content": "x", "external_id": "result", "tool_call_id": "c"}'::jsonb) as turn \gset
select is((select count(*) from kata.append(:'calls', :'turn')), 3::bigint, 'a turn with calls is appended');
select is(
  array(select a.version from kata.append(:'calls', :'turn', on_duplicate => 'skip') a), '{1,2,3}',
  'again it makes no call and answers none');
select throws_ok(
  format('select kata.append(%L, %L, on_duplicate => %L)', :'calls',
  :'turn'::jsonb || '{"role": "tool", "content": "x", "tool_call_id": "c"}', 'skip'),
  'KC005', 'message 4 of the batch answers no open call', 'errors number the messages that were given');

-- Forks and merges

select fixture.fork('ids', 3, 'twig') as twig \gset
select is(pg_temp.appended(:'twig', 'b c'), '3= 4', 'a fork has the ids up to where it was forked');
select is(kata.find_message(:'twig', 'a'), 1::bigint, 'and finds them');
select is(pg_temp.appended(:'twig', 'only - a'), '5 6 1=', 'its own, too');
select is((select count(*) from kata.merge(:'ids', :'twig')), 3::bigint, 'a merge leaves no message out for its id');
select is(
  array(select m.external_id from kata_data.message m where m.segment_id = :'ids' and m.version > 14 order by m.version), array[null,
  'only', null],
  'a copy keeps the id where it is free');
select is(kata.find_message(:'ids', 'only'), 16::bigint, 'and is found by it');

-- Erasure, purge, verification

select is(array(select f.problem from kata.verify(:'ids') f), '{}', 'the log is sound');
select count(*) from kata.erase_message(:'ids', 1, 'asked to');
select is(pg_temp.appended(:'ids', 'a'), '1=', 'an erased message keeps its id');
select is(array(select f.problem from kata.verify(:'ids') f), '{}', 'the log is sound after it');
select is(
  fixture.damage(format('update kata_data.message set external_id = %L where segment_id = %L and version = 3', 'z', :'ids'),
  'ids') @> '{digest at 3}', true,
  'an id that was changed is found');
select is(
  fixture.damage(format('delete from kata_data.entry_id where segment_id = %L and version = %s', :'ids', d.version), 'ids'),
  array['external id at ' || d.version], d.what)
from (values (1, 'an erased message that its id does not find is reported'), (4, 'a message, too'), (5, 'a record, too')) d(version, what);
select is(
  fixture.damage(format('delete from kata_data.entry_id where segment_id = %L and version = 1', :'ids'), 'twig'),
  array['external id at 1'], 'also by a fork that inherits it');
select is(
  fixture.damage(format('insert into kata_data.entry_id values (%L, %L, 2); update kata_data.message set external_id = %2$L
    where segment_id = %1$L and version = 2', :'ids', 'b'), 'ids'),
  '{digest at 2,external id at 3}', 'as is an id that two entries have');
select kata.delete_context(:'twig');
select count(*) from kata.purge_context(:'twig');
select is((select count(*) from kata_data.entry_id i where i.segment_id = :'twig'), 0::bigint, 'a purge removes ids');

select * from finish();
rollback;
