-- Requests: the recipe of every body, and the same bytes from it again.

begin;
select plan(80);

select fixture.context('asked') as asked \gset
select fixture.talk('asked', 'system 10, user 5, assistant 5');

-- A recipe is immutable; answer and usage are set once

insert into kata_data.request (
  context_id, request_id, at, created_at, preamble_end, start_version, profile_id, budget, stable_step, token_count, message_count,
  long_ttl, open_end, body_digest, salt)
values (:'asked', 1000, 3, now(), 1, 2, 1, 100, 0, 20, 3, false, false, '\x01', '\x02');

create temporary table change (assignment text, state text, what text);
insert into change values
  ('answer_version = 3', null, 'the answer is set'),
  ('answer_version = 2', 'KC015', 'the answer is not set again'),
  ('answer_version = null', 'KC015', 'nor removed'),
  ('input_tokens = 7, cached_tokens = 5, written_tokens = 0, output_tokens = 2, duration = 30', null, 'usage is set'),
  ('input_tokens = 8', 'KC015', 'usage is not set again'),
  ('error = ''overloaded''', null, 'an error is set'),
  ('error = ''timeout''', 'KC015', 'an error is not set again'),
  ('error = error', 'KC015', 'a change to what it is is refused'),
  ('salt = null', 'KC015', 'the salt is the eraser''s'),
  ('at = 2', 'KC015', 'the recipe does not change'),
  ('shown = ''{[1,3)}''', 'KC015', 'not even where it was null');
create temporary table outcome as
select c.what, c.state, e.code as found
from change c
left join lateral fixture.error(format('update kata_data.request set %s where context_id = %L', c.assignment, :'asked')) e on true;
select is(o.found, o.state, o.what) from outcome o;
select is(
  (select row(r.answer_version, r.input_tokens, r.output_tokens, r.error)::text from kata_data.request r where r.context_id = :'asked'),
  '(3,7,2,overloaded)', 'the first values stay');
select is(
  (select array_agg(k.attnum order by k.attnum)
   from pg_trigger t cross join lateral unnest(t.tgattr::smallint[]) k(attnum)
   where t.tgrelid = 'kata_data.request'::regclass and t.tgattr <> ''),
  (select array_agg(a.attnum order by a.attnum)
   from pg_attribute a where a.attrelid = 'kata_data.request'::regclass and a.attnum > 0 and not a.attisdropped),
  'each column of a request is immutable or completed once');
select throws_ok('delete from kata_data.request', 'KC015', null, 'no request is deleted');
select throws_ok('truncate kata_data.request', 'KC015', null, 'nor are all');
select throws_ok('update kata_data.' || t.name || ' set created_at = now()', 'KC015', null, t.name || ' is immutable')
from unnest('{tool_list,request_profile}'::text[]) t(name);
select throws_ok('delete from kata_data.' || t.name, 'KC015', null, 'and no row of ' || t.name || ' is deleted')
from unnest('{tool_list,request_profile}'::text[]) t(name);
select is(
  array(
    select t.tgname::text
    from pg_trigger t
    where t.tgrelid in ('kata_data.request'::regclass, 'kata_data.request_profile'::regclass, 'kata_data.tool_list'::regclass)
      and not t.tgisinternal
      and t.tgenabled <> 'A'),
  '{}', 'no setting switches these triggers off');

-- The row is not a whole request, which verify would report.
set local role kata_eraser;
delete from kata_data.request r where r.context_id = :'asked';
reset role;

-- The body

select fixture.context('body') as body, kata.create_context('empty') as empty \gset
select fixture.talk('body', 'system 10, user 5, assistant 5, user 5');
create function pg_temp.body(arguments text) returns text
language plpgsql
as $$
declare
  v_body text;
begin
  execute format('select r.body from kata.request(%L, 1000, %s) r', fixture.id('body'), arguments) into v_body;
  return v_body;
end
$$;
select is(
  pg_temp.body($$'openai', 'm', '[{"b": 1, "a":  2}]', '{"z": 1.0,  "a": {"y": 1, "b": 2}}'$$),
  '{"model": "m", "z": 1.0,  "a": {"y": 1, "b": 2}, "tools": [{"b": 1, "a":  2}], "messages": [{"role": "system", "content": "system 10"}, '
    '{"role": "user", "content": "user 5"}, {"role": "assistant", "content": "assistant 5"}, {"role": "user", "content": "user 5"}]}',
  'model, options, tools and messages come in this order, and what the caller gives byte for byte');
select is(
  pg_temp.body($$'anthropic', 'm', reserve => 7$$)::jsonb - 'messages', '{"model": "m", "max_tokens": 7, "system": "system 10"}',
  'in the Anthropic form the reserve is max_tokens');
select is(
  pg_temp.body($$'anthropic', 'm', options => '{"max_tokens": 5}', reserve => 7$$)::jsonb ->> 'max_tokens', '5', 'unless options have it');
select is(
  pg_temp.body($$'gemini', 'm', '[]'$$)::jsonb - 'contents', '{"systemInstruction": {"parts": [{"text": "system 10"}]}}',
  'in the Gemini form the model is in the URL; an empty list of tools is none');
select is(
  pg_temp.body($$'responses', 'm'$$)::jsonb - 'input', '{"model": "m", "instructions": "system 10"}',
  'the Responses form has instructions');
select kata.set_policy(:'body', '{"format": "responses", "model": "mine", "budget": 500}');
select is(
  (select r.body::jsonb - 'input' - 'instructions' from kata.request(:'body') r), '{"model": "mine"}',
  'the policy has a format and a model');
select results_eq(
  format(
    'select r.request_id, r.at, r.format, r.model, r.budget, r.token_count, r.message_count, r.start_version
    from kata.requests(%L) r limit 2', :'body'),
  $$values (6::bigint, 4::bigint, 'responses', 'mine', 500, 25, 4, 2::bigint), (5, 4, 'responses', 'm', 1000, 25, 4, 2)$$,
  'the list is newest first, and has what was resolved');

-- What is refused

create temporary table refusal (arguments text, code text, message text, detail text);
insert into refusal values
  ($$format => 'x'$$, 'KC017', 'prompt format "x" is unknown', 'It names the chat form of a provider.'),
  ($$format => 'openai', model => ''$$, 'KC017', 'model is missing, empty or too long', 'It is "", and the policy names none.'),
  ($$format => 'anthropic', model => 'm'$$, 'KC017', 'max_tokens is missing', 'The Anthropic form requires it.'),
  ($$format => 'anthropic', model => 'm', reserve => 5, options => '{"max_tokens": null}'$$, 'KC017',
    'max_tokens must be a positive integer', 'It is null.'),
  ($$format => 'anthropic', model => 'm', options => '{"max_tokens": 0}'$$, 'KC017', 'max_tokens must be a positive integer', 'It is 0.'),
  ($$cache => 'x'$$, 'KC017', 'cache "x" is unknown', 'It names the provider whose prompt cache is planned for.'),
  ($$tools => '{}'$$, 'KC017', 'tools must be an array of objects of at most 1 MB', 'They are object.'),
  ($$tools => '[1]'$$, 'KC017', 'tools must be an array of objects of at most 1 MB', 'An element is not an object.'),
  ($$tools => '[{"a": "\u0000"}]'$$, 'KC017', 'tools must be an array of objects of at most 1 MB',
    'They hold a character or a number that PostgreSQL cannot store.'),
  ($$options => '{"a": 1e400000}'$$, 'KC017', 'options must be an object of further keys of the body, at most 1 MB',
    'They hold a character or a number that PostgreSQL cannot store.'),
  ($$format => 'anthropic', model => 'm', options => '{"a": "\ud83d"}'$$, 'KC017',
    'options must be an object of further keys of the body, at most 1 MB',
    'They hold a character or a number that PostgreSQL cannot store.'),
  ($$options => '[]'$$, 'KC017', 'options must be an object of further keys of the body, at most 1 MB', 'They are array.'),
  ($$options => '{"input": 1}'$$, 'KC017', 'options must be an object of further keys of the body, at most 1 MB',
    'The key "input" is written by kata.request.'),
  ($$options => '{"a": 1, "b": 2, "a": 3}'$$, 'KC017', 'options must be an object of further keys of the body, at most 1 MB',
    'The key "a" comes twice.'),
  ($$tokenizer => 'x'$$, 'KC017', 'tokenizer "x" is unknown', 'Its ratio to other tokenizers is not registered.'),
  ($$at => 0$$, 'KC017', 'nothing to send', format('As of version 0 context %s shows no message.', :'body')),
  ($$at => 5$$, 'KC002', 'version 5 not found', format('Context %s has versions 0 to 4.', :'body')),
  ($$reserve => 500$$, 'KC017', 'reserve must be from 0 to below the budget', 'It is 500, the budget is 500.'),
  ($$stable_step => 500$$, 'KC017', 'stable_step must be from 0 to below the budget', 'It is 500, the budget is 500.'),
  ($$budget => 12, reserve => 3$$, 'KC020', 'a budget of 12 tokens is too small',
    'The newest group, the preamble and the pins take 18 tokens with the reserve, the least sufficient budget.');
select is(
  e.code || ', ' || e.message || ', ' || e.detail, concat_ws(', ', r.code, r.message, r.detail), 'refused: ' || r.arguments)
from refusal r
left join lateral fixture.error(format('select kata.request(%L, %s)', :'body', r.arguments)) e on true;
select is(
  (
    select substring(e.detail from 'take .*')
    from fixture.error(format($$select kata.request(%L, 12, tools => '[{"name": "look"}]', reserve => 3)$$, :'body')) e),
  'take 29 tokens with the reserve and the tools, the least sufficient budget.', 'tools come off the budget, too');
select throws_ok(format($$select kata.request(%L, model => 'm')$$, :'empty'), 'KC017', 'nothing to send',
  'an empty context has nothing to send');
select kata.archive_context(:'empty');
select throws_ok(format('select kata.request(%L)', :'empty'), 'KC006', null, 'nor has an archived one: a request would change it');
select is((select max(r.request_id) from kata.requests(:'body') r), 6::bigint, 'what is refused takes no number');

-- Replay

select ok(bool_and(p.is_same), 'every request replays')
from kata.requests(:'body') r
cross join lateral kata.replay(:'body', r.request_id) p;
select is(
  (select array_agg(r.version || ' ' || r.reason || ' ' || r.display order by r.ordinal) from kata.request_rows(:'body', 6) r),
  '{"1 preamble whole","2 recent whole","3 recent whole","4 recent whole"}', 'request_rows lists what it showed');
select is(
  (select array_agg(r.request_id order by r.request_id) from kata.requests(:'body', showing => 3) r), '{1,2,3,4,5,6}',
  'requests that showed a version are found');
select fixture.talk('body', 'assistant 5');
select is((select count(*) from kata.requests(:'body', showing => 5)), 0::bigint, 'and those that did not are not');
select is((select array_agg(r.request_id) from kata.requests(:'body', 4, 2) r), '{3,2}', 'a page goes on from the last one seen');
select throws_ok(
  format('select kata.replay(%L, 7)', :'body'), 'KC017', 'request 7 not found', 'a request that is not there is not replayed');
select kata.erase_message(:'body', 3, 'test');
select is(
  (
    select e.code || ', ' || e.message || ', ' || regexp_replace(e.detail, 'at .*', 'at')
    from fixture.error(format('select kata.replay(%L, 6)', :'body')) e),
  'KC023, request 6 cannot be replayed, Version 3 in it (message) was erased at', 'what showed an erased message is not replayed');
select is(
  (select r.content from kata.request_rows(:'body', 6) r where r.version = 3), '', 'its rows show what is left');
select r.request_id as later from kata.request(:'body') r \gset
select ok((select p.is_same from kata.replay(:'body', :later) p), 'a later one replays');

-- Profiles and tools are stored once, and compared by digest

select is(
  (
    select count(*)
    from kata_data.request r
    join kata_data.request_profile p on p.profile_id = r.profile_id
    where p.model = 'mine'), 2::bigint,
  'requests that ask in one way');
select is((select count(*) from kata_data.request_profile p where p.model = 'mine'), 1::bigint, 'share a profile');
create temporary table option (given json, what text);
insert into option values ('{"temperature": 0, "x": 1}', 'one'), ('{"x": 1, "max_output_tokens": 5}', 'one'), ('{"x": 2}', 'two');
select count(*) from option o cross join lateral kata.request(:'body', options => o.given);
select is(
  array(
    select count(distinct p.prefix_digest)
    from option o
    join kata_data.request_profile p on p.options = o.given::text
    group by o.what
    order by o.what), '{1,1}', 'settings of the answer leave the digest of the prefix');
select is(
  (select count(distinct p.prefix_digest) from option o join kata_data.request_profile p on p.options = o.given::text), 2::bigint,
  'other options do not');
select kata.register_tokenizer('mine', 4);
create function pg_temp.tools_tokens() returns integer
language sql
as $$
  select a.token_count - b.token_count
  from kata.request(fixture.id('body'), tools => '[{"name": "look at it"}]', tokenizer => 'mine') a,
    kata.request(fixture.id('body'), tokenizer => 'mine') b
$$;
comment on function pg_temp.tools_tokens() is 'What a tool adds to the tokens of a request.';
select is(pg_temp.tools_tokens(), kata_data.tools_tokens('[{"name": "look at it"}]', 'mine'), 'tools count in the tokenizer');
select kata.register_tokenizer('mine', 1);
select is(pg_temp.tools_tokens(), kata_data.tools_tokens('[{"name": "look at it"}]', 'mine'), 'as it is now');

-- Neither profiles nor lists run out of numbers.
alter table kata_data.request_profile alter column profile_id restart with 2147483648;
alter table kata_data.tool_list alter column list_id restart with 2147483648;
select lives_ok(format($$select kata.request(%L, tools => '[{"n": 1}]')$$, :'body'), 'a profile and a list have numbers beyond 31 bits');
select ok(
  (select pg_column_size(r) <= 300 from kata_data.request r where r.context_id = :'body' order by r.request_id desc limit 1),
  'a row stays within 300 bytes');

-- The short form of a recipe names the last message of the user where it is below the rest

select fixture.context('loop', '{"model": "m", "preserve_recent_count": 0, "min_gain_tokens": 0}') as loop \gset
select fixture.talk('loop', 'system 5, user 5, user 5, assistant 9 calls a, tool 9 answers a, assistant 9 calls b, tool 9 answers b, '
  'assistant 9 calls c, tool 9 answers c');
select request_id from kata.request(:'loop', 50, 'openai');
select is(
  (select array_agg(q.version order by q.ordinal) from kata.request_rows(:'loop', 1) q), '{1,3,6,7,8,9}',
  'a loop of tools leaves the request behind');
select kata.pin(:'loop', 2);
select request_id from kata.request(:'loop', 55, 'openai');
select kata.append_message(:'loop', 'user', 'more', 5);
select request_id from kata.request(:'loop', 30, 'openai');
select is(
  (select array_agg(row(r.request_id, r.start_version, r.turn_version, r.shown is null)::text order by r.request_id)
   from kata_data.request r where r.context_id = :'loop'),
  array['(1,6,3,t)', '(2,7,,f)', '(3,11,,f)'], 'without a list of versions, where nothing else is below');
select ok(
  (select max(pg_column_size(r)) < 215 from kata_data.request r where r.context_id = :'loop' and r.request_id = 1), 'a row stays short');
select ok(bool_and(p.is_same), 'each is replayed')
from generate_series(1, 3) n cross join lateral kata.replay(:'loop', n) p;
select is(
  (select array_agg(r.request_id order by r.request_id) from kata.requests(:'loop', showing => 3) r), '{1,2}', 'it shows the message');
select is_empty(format('select * from kata.verify(%L)', :'loop'), 'and is sound');

-- Tenants

create role test_ann;
grant kata_writer to test_ann;
select fixture.as_role('test_ann', $$select kata.create_context('ann', '{"model": "m"}')$$) as ann \gset
select fixture.as_role('test_ann', format($$select kata.append_message(%L, 'user', 'hello')$$, :'ann'));
select is(
  fixture.as_role('test_ann', format('select r.request_id from kata.request(%L, 100) r', :'ann')), '1',
  'a writer asks in a context of the own tenant');
select throws_ok(
  format('select fixture.as_role(%L, %L)', 'test_ann', format('select kata.%s', format(c.call, :'body'))), 'KC001', null,
  'no role reaches another tenant''s: ' || c.call)
from (values ('request(%L, 100)'), ('requests(%L)'), ('replay(%L, 6)'), ('request_rows(%L, 6)')) c(call);
select is(
  fixture.as_role('kata_owner', 'select count(distinct p.tenant) from kata_data.request_profile p', 'x'), '0',
  'row-level security hides profiles of other tenants');

select * from finish();
rollback;
