-- Signed thinking in requests: which blocks of earlier answers go out. tests/test_thinking.py has random transcripts and a judge of bodies.

begin;
select plan(33);

create function pg_temp.ask(
  context text, thinking text default null, model text default 'a',
  options json default '{"max_tokens": 9, "thinking": {"type": "enabled"}}',
  out id bigint, out body jsonb, out is_off boolean
)
language plpgsql
as $$
declare
  v_request record;
begin
  select * into v_request
  from kata.request(fixture.id(context), 100000, 'anthropic', ask.model, options => ask.options, thinking => ask.thinking);
  id := v_request.request_id;
  body := v_request.body;
  is_off := v_request.notes ? 'thinking_off';
  if not (select p.is_same and p.body = v_request.body from kata.replay(fixture.id(context), id) p) then
    raise exception 'the replay of request % differs', id;
  end if;
end
$$;
create function pg_temp.sent(context text, thinking text default null, model text default 'a') returns text
language sql
as $$
  select coalesce(string_agg(s.signature #>> '{}', ' '), '')
  from pg_temp.ask(context, thinking, model) a
  cross join lateral jsonb_path_query(a.body, '$.messages[*].content[*].signature') s(signature)
$$;
create function pg_temp.answer(context text, signature text, request_id bigint, calls text default null) returns bigint
language sql
as $$
  select kata.append_message(
    fixture.id(context), 'assistant', null, tool_calls => fixture.calls(calls), request_id => answer.request_id,
    parts => jsonb_build_array(
      jsonb_build_object('type', 'thinking', 'thinking', 'hm', 'signature', signature),
      jsonb_build_object('type', 'text', 'text', 'says ' || signature)))
$$;
create function pg_temp.turn(context text, signature text, calls text default null) returns bigint
language sql
as $$
  select pg_temp.answer(context, signature, (select a.id from pg_temp.ask(context) a), calls)
$$;

-- What an answer was made with is compared with what comes before it now

select fixture.context('talk') as talk \gset
select fixture.talk('talk', 'system 10, user 5');
select pg_temp.turn('talk', 's1');
select fixture.talk('talk', 'user 5');
select pg_temp.turn('talk', 's2');
select fixture.talk('talk', 'user 5');
select is(pg_temp.sent('talk'), 's1 s2', 'all thinking is sent where nothing has changed');
select is(
  (select r.hidden_thinking from kata_data.request r where r.context_id = :'talk' order by r.request_id desc limit 1), null,
  'which costs no byte');
select is(pg_temp.sent('talk', model => 'b'), '', 'another model gets none');
select is(pg_temp.sent('talk'), 's1 s2', 'and the first has it back');
select is(pg_temp.sent('talk', 'drop'), '', 'drop sends none');

select kata.delete_messages(:'talk', 4) as deletion \gset
select is(pg_temp.sent('talk'), 's1', 'a deletion takes what comes after it');
select is(pg_temp.sent('talk', 'keep'), 's1 s2', 'keep sends what is stored');
select pg_temp.turn('talk', 's3');
select fixture.talk('talk', 'user 5');
select is(pg_temp.sent('talk'), 's1 s3', 'what is left out once stays out');
select kata.undo(:'talk', :deletion) as undo \gset
select is(pg_temp.sent('talk'), 's1 s2', 'an undo brings it back, and takes the thinking that was made without it');
select kata.undo(:'talk', :undo);
select is(pg_temp.sent('talk'), 's1 s3', 'and the undo of that');

select kata.fork(:'talk', at => 5, name => 'fork');
select fixture.talk('fork', 'user 5');
select is(pg_temp.sent('fork'), 's1 s2', 'a fork sends what its ancestor was given');
select kata.erase_message(:'talk', 2, 'by request');
select is(pg_temp.sent('talk'), '', 'an erasure takes all after it');

-- Amendments

select fixture.context('amended') as amended \gset
select fixture.talk('amended', 'user 5');
select pg_temp.turn('amended', 's1');
select fixture.talk('amended', 'user 5');
select pg_temp.turn('amended', 's2');
select kata.amend(:'amended', 2, '{"content": "other words", "parts": [{"type": "thinking", "thinking": "hm", "signature": "s1"},
  {"type": "text", "text": "other words"}]}') as amendment \gset
select is(pg_temp.sent('amended'), '', 'the thinking of an amended answer is not sent, nor later thinking, made after its own words');
select pg_temp.turn('amended', 's3');
select is(pg_temp.sent('amended'), 's3', 'thinking that was made after the new ones is');
select kata.undo(:'amended', :amendment);
select is(pg_temp.sent('amended'), 's1 s2', 'and an undo turns that round');

-- Interruptions, failures and results

select fixture.context('turns');
select fixture.talk('turns', 'user 5');
select (pg_temp.ask('turns')).id as asked \gset
select fixture.talk('turns', 'user 3');
select pg_temp.answer('turns', 's1', :asked);
select is(pg_temp.sent('turns'), '', 'a word between request and answer comes before the answer, which did not know it');
select pg_temp.turn('turns', 's2', 'a b');
select fixture.talk('turns', 'tool 3 answers b, tool 3 answers a');
select is(pg_temp.sent('turns'), 's2', 'results in any order follow their call');
select pg_temp.turn('turns', 's3', 'c d');
select fixture.talk('turns', 'tool 3 answers c, user 2');
select pg_temp.turn('turns', 's4');
select is(pg_temp.sent('turns'), 's2 s3 s4', 'a call without result is closed');
select fixture.talk('turns', 'tool 3 answers d, user 1');
select is(pg_temp.sent('turns'), 's2 s3', 'and a late result reads before what was answered without it');

-- The end of a body that a later one changes

select fixture.context('open');
select fixture.talk('open', 'user 5');
select pg_temp.turn('open', 's1', 'a b');
select fixture.talk('open', 'tool 3 answers a');
select pg_temp.turn('open', 's2');
select is(pg_temp.sent('open'), 's1', 'an answer to open calls did not know that they are closed');

-- Thinking is off where the open turn cannot go on with it

select fixture.context('off') as off \gset
select fixture.talk('off', 'system 10, user 5, user 5');
select pg_temp.turn('off', 's1', 'a');
select fixture.talk('off', 'tool 3 answers a');
select is((pg_temp.ask('off')).is_off, false, 'an open turn goes on thinking');
select kata.delete_messages(:'off', 2);
select is((pg_temp.ask('off')).is_off, true, 'not where its thinking is not valid any more');
select is((pg_temp.ask('off')).body -> 'thinking', '{"type": "disabled"}', 'which the body says');
select is((pg_temp.ask('off')).body -> 'max_tokens', '9', 'beside the other options');
select is(
  (pg_temp.ask('off', options => '{"max_tokens": 9}')).body -> 'thinking', null, 'options without thinking stay without');
select is((pg_temp.ask('off', options => '{"max_tokens": 9}')).is_off, false, 'and need no note');
select fixture.talk('off', 'user 2');
select is((pg_temp.ask('off')).is_off, false, 'once the user has spoken, the turn is over');

-- Answers without a recorded request

select fixture.context('unrecorded') as unrecorded \gset
select fixture.talk('unrecorded', 'user 5');
select pg_temp.answer('unrecorded', 's1', null);
select fixture.talk('unrecorded', 'user 5');
select is(pg_temp.sent('unrecorded'), '', 'the thinking of an answer that no request recorded is not sent');
select is(pg_temp.sent('unrecorded', 'assume'), 's1', 'except where the caller assumes that it saw the whole view');
select pg_temp.answer('unrecorded', 's2', null, 'a');
select fixture.talk('unrecorded', 'tool 3 answers a');
select is(pg_temp.sent('unrecorded'), 's2', 'the open tool turn is sent, as prompt sends it');
select is(pg_temp.sent('unrecorded', 'assume'), 's1 s2', 'all is assumed');
select kata.pin(:'unrecorded', 1);
select fixture.talk('unrecorded', 'user 1');
select is(pg_temp.sent('unrecorded', 'assume'), '', 'from the newest change of the view on');
select pg_temp.turn('unrecorded', 's3');
select is(pg_temp.sent('unrecorded', 'assume'), 's3', 'and a recorded request decides for all before it');

select * from finish();
rollback;
