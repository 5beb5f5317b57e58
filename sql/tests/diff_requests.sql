-- Why one request differs from another: each kind of difference, with its cause.

begin;
select plan(26);

create function pg_temp.ask(context text, given text default '') returns bigint
language plpgsql
as $$
declare
  v_request_id bigint;
begin
  execute format('select r.request_id from kata.request(%L %s) r', fixture.id(context), given) into strict v_request_id;
  return v_request_id;
end
$$;
comment on function pg_temp.ask(text, text) is 'Makes a request with further arguments.';
create function pg_temp.difference(context text, a bigint, b bigint, context_b text default null) returns text[]
language sql
as $$
  select array(
    select concat_ws(' ', d.change, d.version, d.role) || ': ' || concat_ws(' ', d.cause, d.cause_version)
      || case when d.version is null then ', ' || d.preview else '' end
    from kata.diff_requests(fixture.id(context), a, b, fixture.id(context_b)) with ordinality d
    order by d.ordinality)
$$;
comment on function pg_temp.difference(text, bigint, bigint, text) is 'The differences of two requests in short.';

select fixture.context('talk', '{"preserve_recent_count": 2, "min_gain_tokens": 0, "budget": 1000, "model": "m"}') as talk \gset
select fixture.talk('talk', 'system 10, user 20, assistant 30 calls a, tool 40 answers a, assistant 50, user 60');
select pg_temp.ask('talk') as first \gset
select pg_temp.ask('talk') as again \gset
select is(pg_temp.difference('talk', :first, :again), '{}', 'the same again has no differences');

-- The call

select is(pg_temp.difference('talk', :first, pg_temp.ask('talk', c.given)), c.found::text[], c.what)
from (values
  (', model => $$n$$', '{"prefix: model, m → n"}', 'another model'),
  (', format => $$responses$$', '{"prefix: format, openai → responses"}', 'another form'),
  (', system => $$native$$', '{"prefix: system, wrapped → native"}', 'system messages go out otherwise'),
  (', tools => $$[{"type": "function", "function": {"name": "find"}}, {"name": "look"}]$$', '{"tools: request, +find +look"}',
    'tools that came with the call'),
  (', options => $${"temperature": 0.5, "stop": ["x"]}$$', '{"options: stop, none → [\"x\"]","options: temperature, none → 0.5"}',
    'options'),
  (', stable_step => 7', '{}', 'another step without effect'),
  (', at => 5', '{"removed 6 user: append 6"}', 'an earlier version'),
  (', recall => $${2}$$, recall_budget => 100', '{}', 'a message recalled that is shown anyway')) c(given, found, what);
select is(
  pg_temp.difference('talk', pg_temp.ask('talk', ', tools => $$[{"name": "a", "x": 1}, {"name": "b"}]$$'),
    pg_temp.ask('talk', ', tools => $$[{"name": "c"}, {"name": "a", "x": 2}]$$')), '{"tools: request, ~a -b +c"}',
  'a list of tools names what it has more, less and otherwise');
select is(
  pg_temp.difference('talk', pg_temp.ask('talk', ', options => $${"a": 1, "b": 2}$$'),
    pg_temp.ask('talk', ', options => $${"b": 2, "a": 1}$$')),
  '{"options: order, {\"a\": 1, \"b\": 2} → {\"b\": 2, \"a\": 1}"}', 'the order of options counts, too');

-- The window

select r.request_id as small from kata.request(:'talk', budget => 130) r \gset
select is(
  pg_temp.difference('talk', :first, :small), '{"removed 2 user: budget","removed 3 assistant: budget","removed 4 tool: budget"}',
  'a smaller budget shows less');
select r.request_id as recalling
from kata.request(:'talk', budget => 220, recall => '{2}', recall_budget => 90) r \gset
select is(
  pg_temp.difference('talk', :small, :recalling), '{"added 2 user: recall"}', 'a message is recalled');
select is(
  pg_temp.difference('talk', :first, :recalling), '{"moved 2 user: recall","removed 3 assistant: budget","removed 4 tool: budget"}',
  'it reads elsewhere then');

-- The context

select fixture.talk('talk', 'assistant 10, user 10');
select pg_temp.ask('talk') as later \gset
select is(pg_temp.difference('talk', :first, :later), '{"added 7 assistant: append 7","added 8 user: append 8"}', 'messages were appended');
select is(
  pg_temp.difference('talk', :later, :first), '{"removed 7 assistant: append 7","removed 8 user: append 8"}', 'the other way round');
create function pg_temp.after(call text) returns text[]
language plpgsql
as $$
declare
  v_before bigint := pg_temp.ask('talk');
begin
  execute replace('select kata.' || call, '%', quote_literal(fixture.id('talk')));
  return pg_temp.difference('talk', v_before, pg_temp.ask('talk'));
end
$$;
comment on function pg_temp.after(text) is 'How a request after a call differs from one before.';
select is(pg_temp.after(c.call), c.found::text[], c.what)
from (values
  (1, 'elide(%, 4, keep_tokens => 5)', '{"shortened 4 tool: elision 9"}', 'a result was shortened'),
  (2, 'undo(%, 9)', '{"restored 4 tool: undo 10"}', 'and is whole again'),
  (3, 'amend(%, 2, ''{"content": "other words"}'')', '{"amended 2 user: amendment 11"}', 'a message was amended'),
  (4, 'delete_messages(%, 2)', '{"removed 2 user: deletion 12"}', 'a message was deleted'),
  (5, 'undo(%, 12)', '{"added 2 user: undo 13"}', 'and came back'),
  (6, 'erase_message(%, 5, ''asked'')', '{"shortened 5 assistant: erasure"}', 'a message was erased'),
  (7, 'erase_message(%, 11, ''asked'')', '{"shortened 2 user: erasure"}', 'the words of an amendment were erased')
) c(place, call, found, what)
order by c.place;
select pg_temp.ask('talk') as before_compaction \gset
select fixture.compact('talk');
select is(
  pg_temp.difference('talk', :before_compaction, pg_temp.ask('talk')),
  '{"removed 2 user: compaction 14","removed 3 assistant: compaction 14","removed 4 tool: compaction 14",'
    '"removed 5 assistant: compaction 14","removed 6 user: compaction 14","added 14 user: compaction 14"}',
  'messages were compacted into a summary');

-- Two contexts

select kata.fork(:'talk', 8, 'twig') as twig \gset
select fixture.talk('twig', 'assistant 5');
select kata.delete_messages(:'twig', 2);
select is(
  pg_temp.difference('talk', :later, pg_temp.ask('twig'), 'twig'),
  '{"removed 2 user: deletion 10","shortened 5 assistant: erasure","added 9 assistant: append 9"}',
  'a fork has entries and changes of its own');
select throws_ok(
  format('select kata.diff_requests(%L, 1, 99)', :'talk'), 'KC017', null, 'a request that is not there is refused');

select * from finish();
rollback;
