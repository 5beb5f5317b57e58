-- Erasure and requests: no digest of a body confirms a guess of an erased text, in whichever words and by whichever context it was sent.

begin;
select plan(19);

create function pg_temp.ask(context text, given text default '') returns bigint
language plpgsql
as $$
declare
  v_request_id bigint;
begin
  execute format('select r.request_id from kata.request(%L %s) r', fixture.id(context), given) into strict v_request_id;
  perform kata.complete_request(fixture.id(context), v_request_id, error => 'the text was refused');
  return v_request_id;
end
$$;
comment on function pg_temp.ask(text, text) is 'Makes a request with further arguments, and gives it an error.';
create function pg_temp.forgotten(context text) returns bigint[]
language sql
as $$
  select array(
    select r.request_id
    from kata_data.request r
    where r.context_id = fixture.id(context) and r.salt is null and r.error is null
    order by r.request_id)
$$;
comment on function pg_temp.forgotten(text) is 'The requests of a context without salt and error.';
create function pg_temp.erased(context text, version bigint) returns void
language sql
as $$
  select kata.erase_message(fixture.id(context), version, 'asked to')
$$;

select fixture.context('talk', '{"preserve_recent_count": 2, "min_gain_tokens": 0, "budget": 1000, "model": "m"}') as talk \gset
select fixture.talk('talk', 'system 10, user 20, assistant 30 calls a, tool 40 answers a, assistant 50, user 60');
select pg_temp.ask('talk', ', at => 3');
select pg_temp.ask('talk');
select kata.elide(:'talk', 4, keep_tokens => 5);
select pg_temp.ask('talk');
select pg_temp.ask('talk', ', budget => 125');
select pg_temp.erased('talk', 4);
select is(pg_temp.forgotten('talk'), '{2,3}', 'requests that showed a message whole or in short');
select is(array(select r.request_id from kata.requests(:'talk', showing => 4) r order by 1), '{2,3}', 'they are listed');
select throws_ok(
  format('select kata.replay(%L, 2)', :'talk'), 'KC023', null, 'and cannot be replayed');
select is((select r.is_same from kata.replay(:'talk', 4) r), true, 'others can');
select kata.complete_request(:'talk', 3, '{"input": 9}', 'the text again');
select is(
  (select row(r.input_tokens, r.error)::text from kata_data.request r where r.context_id = :'talk' and r.request_id = 3), '(9,)',
  'no error comes back; usage does');

-- Other words, other places, other contexts

select kata.amend(:'talk', 2, '{"content": "a name"}') as amendment \gset
select pg_temp.ask('talk');
select fixture.fork('talk', null, 'twig') as twig \gset
select pg_temp.ask('twig');
select pg_temp.ask('twig', ', at => 6, budget => 220, recall => $${2}$$, recall_budget => 90');
select pg_temp.erased('talk', :amendment);
select is(pg_temp.forgotten('talk'), '{2,3,5}', 'an amendment is erased from requests since then, earlier ones keep the words before');
select is(pg_temp.forgotten('twig'), '{1}', 'of every context that reads it');
select pg_temp.erased('talk', 2);
select is(pg_temp.forgotten('talk'), '{1,2,3,5}', 'its message from all');
select is(pg_temp.forgotten('twig'), '{1,2}', 'where it was recalled, too');
select fixture.compact('talk') as summary \gset
select pg_temp.ask('talk');
select pg_temp.ask('talk', ', budget => 72');
select pg_temp.erased('talk', :summary);
select is(pg_temp.forgotten('talk'), '{1,2,3,5,6}', 'a summary from those that showed it, and only them');

-- A summary that is not in the view

select fixture.context('back', '{"preserve_recent_count": 2, "min_gain_tokens": 0, "budget": 1000, "model": "m"}') as back \gset
select fixture.talk('back', 'user 20, assistant 30, user 20, assistant 30, user 20');
select fixture.compact('back') as undone \gset
select pg_temp.ask('back');
select kata.undo(:'back', :undone);
select fixture.talk('back', 'assistant 5');
select pg_temp.ask('back');
select is(
  array(select r.request_id from kata.requests(:'back', showing => :undone) r), '{1}', 'a summary that was undone is not shown');
select pg_temp.erased('back', :undone);
select is(pg_temp.forgotten('back'), '{1}', 'its erasure leaves later requests');
select is((select r.is_same from kata.replay(:'back', 2) r), true, 'which are replayed');
set local role kata_eraser;
update kata_data.request r set salt = substr(sha256('damage'), 1, 16) where r.context_id = :'back' and r.request_id = 2;
reset role;
select is((select r.is_same from kata.replay(:'back', 2) r), false, 'no erasure of something else hides damage');
select is(
  (select substring(e.detail from '^[^)]*.') from fixture.error(format('select kata.replay(%L, 1)', :'back')) e),
  format('Version %s in it (summary)', :undone), 'a refusal names what was erased');

-- A copy

select fixture.context('other', '{"budget": 1000, "model": "m"}') as other \gset
select fixture.talk('other', 'user 1');
select kata.merge(:'other', :'talk', '{[5,7)}');
select pg_temp.ask('other');
select pg_temp.erased('talk', 6);
select is(pg_temp.forgotten('other'), '{1}', 'a copy from the requests of its context');

-- What stays

select kata.append_message(:'talk', 'assistant', 'answer', request_id => 6);
select is(array(select v.problem from kata.verify(:'talk') v), '{}', 'digests of answers are recomputed as before');
select is(
  (select count(distinct r.body_digest) from kata_data.request r where r.context_id = :'talk'), 7::bigint, 'digests of bodies stay');
select pg_temp.erased('talk', 6);
select is(pg_temp.forgotten('talk'), '{1,2,3,4,5,6,7}', 'a second erasure finds nothing more');

select * from finish();
rollback;
