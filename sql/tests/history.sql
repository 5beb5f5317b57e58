-- A context can be asked for any moment of its past, by version, by time or by name, and says what happened since.

begin;
select plan(107);
set local timezone = 'UTC';

create function pg_temp.resolved(context text, selector text) returns text
language plpgsql
as $$
begin
  return kata.resolve_version(fixture.id(context), selector);
exception
  when others then return sqlstate;
end
$$;

-- Versions

select fixture.context('log') as log \gset
set local kata.clock = '2030-01-01 00:00:00+00';
select fixture.talk('log', 'user 1, assistant 2');
set local kata.clock = '2030-01-02 12:30:00.5+00';
select fixture.talk('log', 'user 4, assistant 8 calls a, tool 16 answers a');
set local kata.clock = '2030-01-03 00:00:00+00';
select fixture.talk('log', 'user 32');
select is(pg_temp.resolved('log', s.selector), s.resolved, s.what)
from (values
  ('0', '0', 'nothing is a version'), ('1', '1', 'the first is one'), ('6', '6', 'the newest, too'),
  ('0004', '4', 'zeros before a number mean nothing'), ('7', 'KC002', 'one beyond the newest is none'),
  ('99999999999999999999999999', 'KC002', 'nor is one beyond all'), (repeat('9', 200000), 'KC002', 'however long'),
  ('-1', 'KC014', 'a negative number is not a version'), ('1.5', 'KC014', 'nor is a fraction'),
  ('head', '6', 'head is the newest'), ('HEAD', '6', 'in capitals, too'), ('head~0', '6', 'head~0 is head'),
  ('head~2', '4', 'head~2 is two before it'), ('Head~6', '0', 'head~6 is the beginning here'),
  ('head~7', 'KC002', 'before the beginning there is nothing'), ('head~', 'KC017', 'how far back must be said'),
  ('head~x', 'KC017', 'in digits'), ('head~-1', 'KC017', 'and not forward'),
  ('heads', 'KC014', 'heads is a name'), ('', 'KC014', 'nor is an empty text'), (null, 'KC014', 'null is none')) s(selector, resolved,
  what);
select results_eq(
  format('select * from fixture.error(%L)', format('select kata.resolve_version(%L, %L)', :'log', s.selector)),
  format('values (%L, %L, %L, %L)', s.code, s.message, s.detail, s.hint), s.what)
from (values
  (
    'head~7', 'KC002', 'version "head~7" not found', format('Context %s has versions 0 to 6.', fixture.id('log')),
    'Pass one of these, or head~6 at most.', 'it is said which versions there are'),
  (
    '2030-02-30', 'KC017', 'timestamp "2030-02-30" does not exist', 'It looks like a timestamp but is not a valid date or time.',
    'Pass an ISO 8601 timestamp, 2026-01-31T12:00:00Z for example.', 'that a day does not exist is said'),
  (
    'milestone', 'KC014', 'checkpoint "milestone" is unknown',
    format('Neither context %s has a checkpoint of this name, nor an ancestor at or before the fork.', fixture.id('log')),
    'Pass a checkpoint that kata.checkpoints lists, a version, head, head~3 or an ISO 8601 timestamp.',
    'what else could be meant is said')) s(selector, code, message, detail, hint, what);

-- Moments

select is(pg_temp.resolved('log', s.selector), s.resolved, s.what)
from (values
  ('2029-12-31T23:59:59.999999Z', '0', 'before the first batch there was nothing'),
  ('2030-01-01T00:00:00Z', '2', 'at its moment all of a batch is there'),
  ('2030-01-01T00:00:00.0000009Z', '2', 'what is finer than a microsecond is cut off'),
  ('2030-01-02T12:30:00.499999Z', '2', 'a microsecond before a batch none of it is there'),
  ('2030-01-02T12:30:00.4999999Z', '2', 'nor half a microsecond before'), ('2030-01-02T12:30:00.5Z', '5', 'at its moment it is'),
  ('2030-01-02T13:30:00,5+01:00', '5', 'an offset counts, and a comma is a point'),
  ('2030-01-02 12:30:00.500000+00', '5', 'a space may replace T'), ('2030-01-02T12:30Z', '2', 'seconds may be left out'),
  ('2030-01-03', '6', 'a day is its midnight'), ('2030-01-02', '2', 'which is its beginning'),
  ('20300102T123001Z', '5', 'the short form is understood'), ('2030-01-02t12:30:01z', '5', 'small letters are'),
  ('9999-12-31T23:59:59Z', '6', 'after the last all is there'),
  ('2030-13-01', 'KC017', 'a month that does not exist is refused'), ('2030-01-02T25:00Z', 'KC017', 'so is an hour'),
  ('today', 'KC014', 'words are names'), ('infinity', 'KC014', 'all of them')) s(selector, resolved, what);
set local timezone = 'Asia/Tokyo';
select is(pg_temp.resolved('log', s.selector), s.resolved, s.what)
from (
  values ('2030-01-01T09:00:00', '2', 'without an offset a time is the session''s'), ('2030-01-01T08:59:59', '0', 'and not another''s'),
  ('2030-01-01T00:00:00Z', '2', 'with one it is not')) s(selector, resolved, what);
set local timezone = 'UTC';
select fixture.fork('log', 4, 'log fork') as log_fork \gset
select is(pg_temp.resolved('log fork', s.selector), s.resolved, s.what)
from (values
  ('head', '4', 'a fork''s head is its own'), ('2030-01-01T12:00:00Z', '2', 'its past is its parent''s'),
  ('2030-01-02T12:30:00.5Z', '4', 'up to the fork'), ('2030-01-05', '4', 'and no further'), ('5', 'KC002', 'nor are its versions'))
  s(selector, resolved, what);
set local kata.clock = '2029-01-01 00:00:00+00';
select fixture.talk('log fork', 'tool 1 answers a, user 1');
select is(
  (select created_at from kata.get_message(:'log_fork', 6)), '2030-01-02 12:30:00.500001+00', 'when the clock went back time goes on');
select is(pg_temp.resolved('log fork', '2030-01-02T12:30:00.500000Z'), '4', 'and versions are told apart by it');
select is(pg_temp.resolved('log fork', '2030-01-02T12:30:00.500001Z'), '6', 'to the microsecond');
set local kata.clock = '';
select is(
  pg_temp.resolved('log', m.created_at::text),
  (select max(n.version)::text from kata.messages(:'log') n where n.created_at <= m.created_at),
  format('the time of version %s means the last one of its batch', m.version))
from kata.messages(:'log') m;

-- By halving: every moment of a long path, across forks

select fixture.context('long 0');
create procedure pg_temp.lengthen()
language plpgsql
as $$
declare
  v_batch integer := 0;
begin
  for v_level in 0 .. 3 loop
    if v_level > 0 then
      perform fixture.fork(format('long %s', v_level - 1), v_level * 37, format('long %s', v_level));
    end if;
    for v_size in 1 .. 12 loop
      v_batch := v_batch + 1;
      perform set_config('kata.clock', ('2030-01-01 00:00+00'::timestamptz + v_batch * interval '1 minute')::text, true);
      perform kata.append(
        fixture.id(format('long %s', v_level)),
        (select jsonb_agg('{"role": "user", "content": "x", "token_count": 1}'::jsonb) from generate_series(1, v_size)));
    end loop;
  end loop;
  perform set_config('kata.clock', '', true);
end
$$;
call pg_temp.lengthen();
select is_empty(
  $$select l.level, t.moment
    from generate_series(0, 3) l(level)
    cross join (select '2030-01-01 00:00+00'::timestamptz + s * interval '30 seconds' from generate_series(0, 100) s) t(moment)
    cross join lateral kata.resolve_version(fixture.id(format('long %s', l.level)), t.moment::text) r(version)
    where r.version <> (
      select count(*) from kata.messages(fixture.id(format('long %s', l.level)), max_rows => 1000) m where m.created_at <= t.moment)$$,
  'at every moment the version is the number of messages that were there');

-- States of the past

select is(
  (select array_agg(s.version order by s.ordinality) from kata.state_at(:'log', a.at, a.visibility) with ordinality s),
  (select array_agg(i) from generate_series(1, coalesce(a.at, 6)) i),
  format('the state at %s, %s, is that of the time', coalesce(a.at::text, 'now'), a.visibility))
from (values (null::bigint, 'effective'), (0, 'effective'), (3, 'effective'), (3, 'raw'), (6, 'all')) a(at, visibility);
select results_eq(
  format('select s.* from kata.state_at(%L, 5) s', :'log_fork'), format('select m.* from kata.messages(%L, at => 5) m', :'log_fork'),
  'its rows are those of messages');
select is((select array_agg(s.version) from kata.state_at(:'log', 5, after => 1, max_rows => 2) s), '{2,3}', 'it can be read in pages');
select is((select count(*) from kata.state_at(fixture.id('long 0'))), 78::bigint, 'or as a whole');
select throws_ok(format('select * from kata.state_at(%L, %s)', :'log', b.arguments), b.code, null, b.what)
from (values
  ('7', 'KC002', 'the future has no state'), ('-1', 'KC002', 'nor has the time before the beginning'),
  ($$6, 'hidden'$$, 'KC017', 'visibility is one of three'), ('6, null', 'KC017', 'and not null'),
  ('6, max_rows => 0', 'KC017', 'a page is not empty'), ('6, max_rows => 1001', 'KC017', 'nor endless')) b(arguments, code, what);

create function pg_temp.changed(context text, from_version bigint, to_version bigint) returns text
language sql
as $$
  select string_agg(format('%s %s %s', d.change, d.version, d.preview), ', ' order by d.ordinality)
  from kata.diff_versions(fixture.id(context), from_version, to_version) with ordinality d
$$;
select is(pg_temp.changed('log', d.from_version, d.to_version), d.changed, d.what)
from (values
  (1::bigint, 3::bigint, 'added 2 assistant 2, added 3 user 4', 'forward, messages were added'),
  (3, 1, 'removed 2 assistant 2, removed 3 user 4', 'back, they are removed'), (2, 2, null, 'a version does not differ from itself'),
  (5, null, 'added 6 user 32', 'null is now'), (0, 1, 'added 1 user 1', 'from nothing')) d(from_version, to_version, changed, what);
select results_eq(
  format('select * from kata.diff_versions(%L, 3, 4)', :'log'),
  $$values ('added', 4::bigint, 'assistant', 'message', 'assistant 8 calls a', 8)$$, 'a change is described');
select throws_ok(format('select kata.diff_versions(%L, %s, %s)', :'log', d.a, d.b), 'KC002', null, d.what)
from (values (0, 7, 'there is no change to the future'), (-1, 1, 'nor from before the beginning')) d(a, b, what);

-- What happened

select results_eq(
  format(
    'select h.version, h.kind, h.role, h.preview, h.token_count, h.view_tokens, h.checkpoints from kata.history(%L, max_rows => 3) h',
    :'log'),
  $$values (6::bigint, 'message', 'user', 'user 32', 32, 63::bigint, '{}'::text[]),
    (5, 'message', 'tool', 'tool 16 answers a', 16, 31, '{}'), (4, 'message', 'assistant', 'assistant 8 calls a', 8, 15, '{}')$$,
  'history goes from the newest entry back');
select is(
  (select array_agg(h.version order by h.ordinality) from kata.history(:'log', b.before, 2) with ordinality h), b.versions::bigint[], b.what
)
from (values
  (null::bigint, '{6,5}', 'a page begins with now'), (5, '{4,3}', 'or before the last seen'), (2, '{1}', 'the last page may be short'),
  (1, null, 'before the first there is nothing'), (0, null, 'nor before nothing'),
  (9223372036854775807, '{6,5}', 'a cursor may lie in the future'), (-9223372036854775808, null, 'or before all time')) b(before, versions,
  what);
select is(
  (select array_agg(h.version order by h.ordinality) from kata.history(:'log_fork') with ordinality h), '{6,5,4,3,2,1}',
  'a fork''s history goes back through its parent''s');
select is((select created_at from kata.history(:'log', 3, 1)), '2030-01-01 00:00:00+00', 'it says when');
select throws_ok(format('select kata.history(%L, max_rows => %s)', :'log', r.max_rows), 'KC017', null, r.what)
from (values ('0', 'a page of history is not empty'), ('1001', 'nor endless'), ('null', 'it has a length')) r(max_rows, what);
select fixture.context('shown') as shown \gset
select is_empty(format('select * from kata.history(%L)', :'shown'), 'nothing has happened in a new context');
select kata.append(:'shown', jsonb_build_array(
  jsonb_build_object('role', 'user', 'content', repeat('界🚀', 80)),
  '{"role": "assistant", "content": "", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look", '
    '"arguments": "{\"at\": 1}"}}, {"id": "b", "type": "function", "function": {"name": "go", "arguments": ""}}]}'::jsonb,
  '{"role": "user", "parts": [{"type": "image_url", "image_url": {"url": "data:"}}]}'::jsonb,
  jsonb_build_object('role', 'user', 'content', repeat('x', 100))));
select is((select h.preview from kata.history(:'shown', p.version + 1, 1) h), p.preview, p.what)
from (
  values (1, repeat('界🚀', 50), 'a preview is 100 characters, cut between characters'),
  (2, 'look({"at": 1}), go()', 'calls without text are named'), (3, '[image]', 'an image leaves a mark'),
  (4, repeat('x', 100), 'what fits is not cut'))
  p(version, preview, what);

-- Who may not be asked

select kata.delete_context(:'shown');
select throws_ok(format('select kata.%s', format(c.call, :'shown')), 'KC006', null, format('a deleted context is not asked: %s', c.call))
from (
  values ('resolve_version(%L, ''head'')'), ('state_at(%L)'), ('diff_versions(%L, 1, 2)'), ('history(%L)'), ('checkpoint(%L, ''x'')'),
  ('checkpoints(%L)'), ('drop_checkpoint(%L, ''x'')')) c(call);

select * from finish();
rollback;
