-- A record is an entry that no model sees: it takes a version and a place in the chain of digests, and moves nothing else.

begin;
select plan(39);

select fixture.context('kept', '{"preserve_recent_count": 1, "min_gain_tokens": 0}') as kept \gset
select fixture.talk('kept', 'system 10, user 20');
select is(kata.append_record(:'kept', 'note', '{"a": 1}', 'first'), 3::bigint, 'a record takes a version');
select fixture.talk('kept', 'assistant 30, user 40');
select kata.append_record(:'kept', 'state', '[1, null]', idempotency_key => 'k') as state \gset
select is(:'state'::bigint, 6::bigint, 'also after messages');
select is(kata.append_record(:'kept', 'state', '[1, null]', idempotency_key => 'k'), 6::bigint, 'a key returns the first result');
select throws_ok(format('select kata.append_record(%L, %L, %L, idempotency_key => %L)', :'kept', 'state', '2', 'k'), 'KC019', null,
  'for the same record only');
select is(
  array(select row(r.version, r.kind, r.data, r.external_id)::text from kata.records(:'kept') r),
  array['(3,note,"{""a"": 1}",first)', '(6,state,"[1, null]",)'], 'records are listed with kind and data');
select is(
  array(select r.version from kata.records(:'kept', l.kind, l.after, l.max_rows, l.at) r), l.versions::bigint[], l.what)
from (values
  ('state', null, 100, null, '{6}', 'of one kind'), (null, 3, 100, null, '{6}', 'after a version'),
  (null, null, 1, null, '{3}', 'page by page'),
  (null, null, 100, 5, '{3}', 'as of a version'), ('state', null, 100, 5, '{}', 'of one kind as of a version'),
  (null, 9, 100, null, '{}', 'none after the last')) l(kind, after, max_rows, at, versions, what);

-- It moves nothing

select is(fixture.seen('kept'), '1 2 4 5', 'no view shows a record');
select is(fixture.view('kept', 1000), '{1,2,4,5}', 'nor a window');
select is(fixture.page('kept', visibility => 'all'), '{1,2,4,5}', 'nor a list of messages');
select is(
  (select row(version, message_count, raw_tokens, view_tokens)::text from kata.get_context(:'kept')), '(6,4,100,100)', 'nor a count');
select is((select h.content_version from kata_data.head h where h.context_id = :'kept'), 5::bigint, 'a writer''s expectation holds');
select is(
  array(select row(h.version, h.kind, h.preview, h.view_tokens)::text from kata.history(:'kept') h where h.kind = 'record'),
  array['(6,record,"state [1, null]",100)', '(3,record,"note {""a"": 1}",30)'], 'history lists it');
select is(kata.append_message(:'kept', 'user', 'x', 50, expected_version => 5), 7::bigint, 'so an append may expect the version before it');
select is(array(select fixture.contradictions('kept')), '{}', 'all reads agree, at every version, and in forks made there');

-- What cannot be done to it

select throws_ok(format('select kata.%s', c.call), c.code, null, c.what)
from (values
  (format('get_message(%L, 3)', :'kept'), 'KC002', 'a record is not a message'),
  (format('pin(%L, 3)', :'kept'), 'KC002', 'and cannot be pinned'),
  (format('delete_messages(%L, 3)', :'kept'), 'KC017', 'nor deleted'),
  (format('undo(%L, 3)', :'kept'), 'KC017', 'nor undone'),
  (format('append_record(%L, %L, %L, %L)', :'kept', 'note', '1', 'first'), 'KC004', 'an external id names one entry'),
  (format('append_record(%L, %L, %L)', :'kept', '', '1'), 'KC017', 'a kind has characters'),
  (format('append_record(%L, %L, null)', :'kept', 'note'), 'KC017', 'data are there'),
  (format('append_record(%L, %L, to_jsonb(repeat(%L, 1048577)))', :'kept', 'note', 'x'), 'KC017', 'and not too large')) c(call, code, what);

-- Forks, compactions, verification, erasure

select fixture.fork('kept', 6, 'kept fork') as twig \gset
select is(array(select r.version from kata.records(:'twig') r), '{3,6}', 'a fork inherits records');
select is(fixture.compact('kept'), 8::bigint, 'a compaction covers messages');
select is((select c.covered::text from kata.compactions(:'kept') c), '{[2,6)}', 'in one range, though records lie between');
select is(
  array(select f.problem from kata.verify(:'kept') f), '{}', 'it is sound');
select is(
  fixture.damage(format('update kata_data.record set data = %L where segment_id = %L and version = 3', '2', :'kept'), 'kept'),
  '{digest at 3}', 'data that were changed are found');
select is(
  fixture.damage(format('delete from kata_data.view_change where segment_id = %L and version = 6', :'kept')) @> '{orphan row at 6}', true,
  'and a record that lost its place');
select is((select row(e.segment_id, e.version, e.what)::text from kata.erase_message(:'twig', 3, 'asked to') e),
  format('(%s,3,message)', :'kept'), 'a record is erased by its version');
select is((select r.data from kata.records(:'kept', 'note') r), null, 'its data are gone');
select is(array(select f.problem from kata.verify(:'kept') f), '{}', 'and the chain is sound');
select is(
  fixture.damage(format('update kata_data.record set %s where segment_id = %L and version = 3', d.changes, :'kept'), 'kept'),
  d.problems::text[], d.description)
from (values
  ('kind = ''state''', '{digest at 3}', 'another kind of an erased record is found'),
  ('external_id = ''second''', '{digest at 3,external id at 3}', 'so is another external id'),
  ('data = ''{"a": 1}''', '{erasure at 3}', 'and the return of its data')
) d(changes, problems, description);

select * from finish();
rollback;
