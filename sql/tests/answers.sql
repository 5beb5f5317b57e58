-- Answers: which request a message answers, what is refused, and that the digest of the answer covers the request.

begin;
select plan(101);

insert into kata_data.tool_list (tenant, digest, created_at, content)
select 'default', sha256('[{"name": "search"}]'), now(), '[{"name": "search"}]';
insert into kata_data.request_profile (
  renderer, tools_tokens, created_at, tenant, format, system, model, tokenizer, digest, prefix_digest, tools_digest, options)
select 1, 9, now(), 'default', 'openai', 'wrapped', 'm', 'o200k_base', kata_data.profile_digest(a),
  kata_data.prefix_digest(a), sha256('[{"name": "search"}]'), '{"b": 1, "a": 2}'
from jsonb_populate_record(null::kata_data.request_profile, jsonb_build_object(
  'renderer', 1, 'tenant', 'default', 'format', 'openai', 'system', 'wrapped', 'model', 'm', 'tokenizer', 'o200k_base',
  'tools_digest', sha256('[{"name": "search"}]'), 'options', '{"b": 1, "a": 2}')) a
returning profile_id \gset

create function pg_temp.ask(context text, requests integer default 1) returns bigint
language sql
as $$
  insert into kata_data.request (
    context_id, request_id, at, created_at, preamble_end, start_version, profile_id, budget, stable_step, token_count, message_count,
    long_ttl, open_end, body_digest, salt)
  select h.context_id, coalesce((select max(r.request_id) from kata_data.request r where r.context_id = h.context_id), 0) + i, h.version,
    now(), 0, 0, (select max(p.profile_id) from kata_data.request_profile p), 100, 0, 20, 3, false, false, sha256('x'),
    uuid_send(gen_random_uuid())
  from kata_data.head h
  cross join generate_series(1, requests) i
  where h.context_id = fixture.id(context)
  returning request_id
$$;
comment on function pg_temp.ask(text, integer) is 'Makes requests by hand, as of now.';
create function pg_temp.answers(context_id uuid) returns text
language sql
as $$
  select string_agg(concat_ws(' ', r.request_id, '=' || r.answer_version, 'from ' || r.framed_from), ', ' order by r.request_id)
  from kata_data.request r
  where r.context_id = answers.context_id
$$;
comment on function pg_temp.answers(uuid) is 'Of each request: its answer, and from which request on the answer''s digest covers.';

create function pg_temp.outcome(statement text) returns text
language plpgsql
as $$
begin
  return (select concat_ws(' ', e.code, e.message) from fixture.error(statement) e);
end
$$;
comment on function pg_temp.outcome(text) is 'The error of a statement; null where it has none.';

-- Usage

select is(
  (select concat_ws(' ', u.input_tokens, u.cached_tokens, u.written_tokens, u.output_tokens, u.duration)
    from kata_data.read_usage(f.usage::jsonb) u),
  f.numbers, f.what)
from (values
  ('{"input": 9, "cached": 2, "written": 1, "output": 4, "duration_ms": 700}', '9 2 1 4 700', 'our own form'),
  ('{"output": 4, "input": null}', '4', 'every number is optional'),
  ('{"input": 1, "cached": 0}', '1 0', 'nothing cached is not unknown'),
  ('{"duration_ms": 12.5}', '13', 'milliseconds are rounded'),
  ('{"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3}, "duration_ms": 5}', '9 2 4 5', 'OpenAI chat, with a duration'),
  ('{"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": null}', '9 4', 'the same of a compatible server'),
  ('{"input_tokens": 9, "input_tokens_details": {"cached_tokens": 2}, "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 13}', '9 2 4', 'OpenAI Responses'),
  ('{"input_tokens": 9, "cache_read_input_tokens": 200, "cache_creation_input_tokens": 30, "output_tokens": 4, "service_tier": "standard",
    "cache_creation": {"ephemeral_5m_input_tokens": 30}}', '239 200 30 4', 'Anthropic counts what is cached apart'),
  ('{"input_tokens": 9, "cache_read_input_tokens": null, "cache_creation_input_tokens": null, "output_tokens": 4}', '9 4', 'or not at all'),
  ('{"promptTokenCount": 9, "cachedContentTokenCount": 2, "candidatesTokenCount": 4, "thoughtsTokenCount": 3, "totalTokenCount": 18,
    "toolUsePromptTokenCount": 2}', '11 2 7', 'Gemini counts thoughts apart'),
  ('{"prompt_token_count": 9, "cached_content_token_count": 2, "candidates_token_count": 4, "thoughts_token_count": null}', '9 2 4',
    'the same from its SDK')) f(usage, numbers, what);
select is(pg_temp.outcome(format('select kata_data.read_usage(%L)', f.usage)), 'KC017 usage cannot be read', f.what)
from (values
  ('{}', 'an empty usage is refused'), ('[]', 'an array'), ('7', 'a number'), ('null', 'null'), ('{"tokens": 9}', 'an unknown form'),
  ('{"input": 1, "inputs": 2}', 'a key that our form does not have'), ('{"input": -1}', 'a negative number'), ('{"output": "4"}', 'a text'),
  ('{"input": 2147483648}', 'more than an integer'), ('{"prompt_tokens": {"a": 1}}', 'an object for a number'),
  ('{"input_tokens": "x", "cache_read_input_tokens": 1}', 'a text among numbers to add')) f(usage, what);
select is((select e.detail from fixture.error(format('select kata_data.read_usage(%L)', f.usage)) e), f.detail, 'DETAIL: ' || f.detail)
from (values
  ('{"tokens": 9}', 'It is {"tokens": 9}, which is in no known form.'),
  ('{"input": -1}', 'Not every value is a number of tokens or milliseconds: {"input": -1}.')) f(usage, detail);

-- An answer is tied when it is appended

select fixture.context('asking') as asking \gset
select fixture.talk('asking', 'system 10, user 5');
select pg_temp.ask('asking', 7);
select is(
  kata.append_message(:'asking', 'assistant',
    'two', 5, request_id => 2, usage => '{"prompt_tokens": 20, "completion_tokens": 5}'), 3::bigint,
  'an answer is appended with its request');
select is(pg_temp.answers(:'asking'), '1, 2 =3 from 1, 3, 4, 5, 6, 7', 'its digest covers the requests before, too');
select is(
  (select array_agg(a.version) from kata.append(:'asking', fixture.drafts('user 1, assistant 2, assistant 3'), request_id => 1) a),
    '{4,5,6}',
  'answers come in any order');
select is(pg_temp.answers(:'asking'), '1 =5 from 1, 2 =3 from 1, 3, 4, 5, 6, 7',
  'of a batch the first message of an assistant is the answer');
select kata.append_message(:'asking', 'assistant', null, 5, tool_calls => fixture.calls('a'), request_id => 5);
select kata.append_message(:'asking', 'tool', 'found', 5, tool_call_id => 'a');
select kata.append_message(:'asking', 'assistant', 'four', request_id => 4, metadata => '{}');
select is(
  pg_temp.answers(:'asking'), '1 =5 from 1, 2 =3 from 1, 3, 4 =9 from 4, 5 =7 from 3, 6, 7',
    'none is covered twice, except the answered one');
select is((select h.framed_request from kata_data.head h where h.context_id = :'asking'), 5::bigint, 'the head knows up to where');
select is(
  array(select concat_ws(' ', m.version, m.request_id) from kata_data.message m
    where m.segment_id = :'asking' and m.request_id is not null order by 1),
  '{"3 2","5 1","7 5","9 4"}', 'the messages name their requests');
select is(
  array(select e.version from kata.entry_digests(:'asking') e where e.frame like '%"requests": "%' order by 1), '{3,5,7,9}',
  'and only their frames have digests of requests');
select is(
  (select concat_ws(' ', r.input_tokens, r.output_tokens) from kata_data.request r where r.context_id = :'asking' and r.request_id = 2),
    '20 5',
  'usage is taken with the answer');

-- Keys and external ids

select kata.append(:'asking', fixture.drafts('assistant 2'), idempotency_key => 'k', request_id => 6, usage => '{"input": 3}');
select is(
  (select array_agg(a.version) from kata.append(:'asking', fixture.drafts('assistant 2'), idempotency_key => 'k', request_id => 7) a),
    '{10}',
  'a retry by key returns the first result, whatever it names');
select is(
  (select array_agg(a.version) from kata.append(:'asking', fixture.drafts('assistant 2'), idempotency_key => 'k') a), '{10}',
  'the fingerprint of a key does not cover a request');
select is(kata.append_message(:'asking', 'assistant', 'seven', 2, external_id => 'x', request_id => 7), 11::bigint,
  'an external id goes with an answer');
create temporary table known as select '[{"role": "assistant", "content": "seven", "external_id": "x"}]'::jsonb as batch;
select is(
  (select array_agg(a.version) from known, kata.append(:'asking', known.batch, on_duplicate => 'skip', request_id => 7) a), '{11}',
  'an answer that is there already is skipped with its request');
select is(
  pg_temp.outcome(format('select kata.append(%L, known.batch, on_duplicate => %L, request_id => 6) from known', :'asking', 'skip')),
  'KC017 version 11 does not answer request 6', 'but not tied to another one');

-- What is refused changes nothing

select pg_temp.ask('asking', 1);
create temporary table before as select h::text as head from kata_data.head h where h.context_id = :'asking';
select is(pg_temp.outcome(format('select kata.' || f.call, :'asking')), f.error, f.what)
from (values
  ('append_message(%L, $$assistant$$, $$x$$, request_id => 2)', 'KC017 request 2 is answered already', 'a second answer'),
  ('append(%L, $$[{"role": "assistant", "content": "x"}]$$, request_id => 2)', 'KC017 request 2 is answered already', 'a batch with one'),
  ('append_message(%L, $$assistant$$, $$x$$, request_id => 9)', 'KC017 request 9 not found', 'a request that is not there'),
  ('append_message(%L, $$user$$, $$x$$, request_id => 8)', 'KC017 no message answers request 8', 'an answer by a user'),
  ('append(%L, $$[{"role": "user", "content": "x"}]$$, request_id => 8)', 'KC017 no message answers request 8',
    'a batch without an answer'),
  ('append(%L, $$[]$$, request_id => 8)', 'KC017 no message answers request 8', 'an empty batch'),
  ('append_message(%L, $$assistant$$, $$x$$, usage => $${"input": 1}$$)', 'KC017 usage is given without a request', 'usage of no request'),
  ('append(%L, $$[{"role": "assistant", "content": "x"}]$$, usage => $${"input": 1}$$)', 'KC017 usage is given without a request',
    'in a batch'),
  ('append_message(%L, $$assistant$$, $$x$$, request_id => 8, usage => $${"input": -1}$$)', 'KC017 usage cannot be read', 'a bad usage'),
  ('append_message(%L, $$assistant$$, $$x$$, expected_version => 3, request_id => 8)',
    'KC003 version conflict on context ' || :'asking', 'another version')) f(call, error, what);
select is(
  array(select h::text from kata_data.head h where h.context_id = :'asking'), array(select b.head from before b),
    'nothing is left of them');

-- complete_request: each value once

select pg_temp.ask('asking', 1);
select is(pg_temp.outcome(format('select kata.complete_request(%L, 9, %s)', :'asking', c.given)), c.error, c.what)
from (values
  (1, '$${"input": 4}$$', null, 'usage is recorded without an answer'),
  (2, '$${"input": 4}$$', null, 'the same again is nothing'),
  (3, '$${"input": 4, "output": 7}$$, $$overloaded$$', null, 'a number or an error that is missing is added'),
  (4, '$${"input_tokens": 4}$$', null, 'in any form'),
  (5, '$${"input": 5}$$', 'KC019 request 9 is completed with other values', 'another number is refused'),
  (6, 'error => $$timeout$$', 'KC019 request 9 is completed with other values', 'another error, too'),
  (7, '$$[]$$', 'KC017 usage cannot be read', 'and a usage in no form'),
  (8, 'error => repeat($$x$$, 65537)', 'KC017 an error has at most 64 kB', 'an error is short')) c(place, given, error, what)
order by c.place;
select is(
  (select concat_ws(' ', r.input_tokens, r.output_tokens, r.error, r.answer_version) from kata_data.request r
    where r.context_id = :'asking' and r.request_id = 9), '4 7 overloaded', 'all of it is there');
select is(
  pg_temp.outcome(format('select kata.complete_request(%L, 10)', :'asking')), 'KC017 request 10 not found',
    'a request that is not there is refused');
select is(
  pg_temp.outcome(format('select kata.append_message(%L, $$assistant$$, $$x$$, request_id => 9, usage => $${"input": 5}$$)', :'asking')),
  'KC019 request 9 is completed with other values', 'the usage of an answer may not contradict what is known');
select is(
  kata.append_message(:'asking', 'assistant', 'late', request_id => 9, usage => '{"input": 4, "cached": 1}'), 12::bigint,
  'a request that failed may be answered after all');

-- Forks, merges, states

select kata.fork(:'asking', 7, 'twig') as twig \gset
select is(
  (select row(e.code, e.message, e.hint)::text
    from fixture.error(format('select kata.append_message(%L, $$assistant$$, $$x$$, request_id => 8)', :'twig')) e),
  '(KC017,"request 8 not found","Requests belong to the context that asked, and a fork inherits none: ask in the fork with kata.request.")',
  'a fork does not inherit requests');
select is((select h.framed_request from kata_data.head h where h.context_id = :'twig'), null, 'nor what answers cover');
select kata.append_message(:'twig', 'tool', 'found', 5, tool_call_id => 'a');
select pg_temp.ask('twig', 2);
select is(kata.append_message(:'twig', 'assistant', 'mine', request_id => 2), 9::bigint, 'it asks by itself');
select is(pg_temp.answers(:'twig'), '1, 2 =9 from 1', 'and begins anew');
select kata.append_message(:'asking', 'user', 'on');
select kata.merge(:'asking', :'twig');
select is(
  (select row(m.content, m.request_id)::text from kata_data.message m where m.segment_id = :'asking' order by m.version desc limit 1),
    '(mine,)',
  'the copy of an answer answers nothing');
select is(
  fixture.damage(format('update kata_data.request r set at = 0 where r.context_id = %L and r.request_id = 1', :'asking'), 'twig'),
    '{"digest at 3","digest at 5"}',
  'a fork verifies the requests of the answers that it inherits');

select is(
  (select array_agg(row(h.requests, h.digest = sha256('\x00'::bytea || uuid_send(h.context_id) || int8send(h.version) || h.last_digest
    || int8send(h.acts) || h.act_digest || int8send(h.requests)))::text order by h.requests) from kata.heads() h), '{"(2,t)","(9,t)"}',
  'heads say how many requests there are');
create temporary table kept as
select jsonb_agg(jsonb_build_object(
  'context_id', h.context_id, 'version', h.version, 'digest', encode(h.digest, 'hex'), 'last_digest', encode(h.last_digest, 'hex'),
    'acts', h.acts,
  'act_digest', encode(h.act_digest, 'hex'), 'requests', h.requests)) as heads
from kata.heads() h;
grant select on kept to public;
select is_empty('select c.* from kept cross join kata.check_heads(kept.heads) c', 'which stay part of the database');

-- verify: a change of anything that was sent is found where an answer followed

create function pg_temp.damage(statement text, context_id uuid) returns text[]
language plpgsql
as $$
declare
  v_found text[];
begin
  execute statement;
  v_found := array(
    select distinct concat_ws(' at ', v.problem, v.version) as problem from kata.verify(damage.context_id) v order by problem);
  raise exception using errcode = 'KC999';
exception
  when sqlstate 'KC999' then return v_found;
end
$$;
comment on function pg_temp.damage(text, uuid) is
'As fixture.damage of one context, while the triggers are off: switching them would prepare verify anew for each change.';
select fixture.context('sound') as sound \gset
select fixture.talk('sound', 'system 10, user 5');
select pg_temp.ask('sound', 4);
select kata.append_message(:'sound', 'assistant', 'two', 5, request_id => 2);
select kata.append_message(:'sound', 'assistant', 'four', 5, request_id => 4);
select pg_temp.ask('sound', 1);
set constraints all immediate;
alter table kata_data.message disable trigger all;
alter table kata_data.request disable trigger all;
alter table kata_data.request_profile disable trigger all;
alter table kata_data.tool_list disable trigger all;
select is(pg_temp.damage('select', :'sound'), '{}', 'requests and answers are sound');
create temporary table change (assignment text);
insert into change
select format('%I = %s', a.attname, case a.atttypid::regtype::text
  when 'bigint' then format('coalesce(r.%I, 0) + 9', a.attname) when 'integer' then format('coalesce(r.%I, 0) + 9', a.attname)
  when 'boolean' then format('not r.%I', a.attname) when 'bytea' then format('sha256(r.%I)', a.attname)
  when 'timestamp with time zone' then format('r.%I + interval %L', a.attname, '1 us') else format('%L', '{[1,3)}') end)
from pg_attribute a
where a.attrelid = 'kata_data.request'::regclass and a.attnum > 0 and not a.attisdropped
  and a.attname not in ('context_id', 'salt', 'error', 'duration', 'input_tokens', 'cached_tokens', 'written_tokens', 'output_tokens');
select is(
  array(
    select c.assignment
    from change c
    where pg_temp.damage(
      format('update kata_data.request r set %s where r.context_id = %L and r.request_id = 3', c.assignment, :'sound'), :'sound') = '{}'),
  '{}', 'a change of any column of a request that was not answered is found by the next answer');
select is(cardinality(array(select 1 from change)) > 18, true, 'these are all columns that do not come later');
select is(pg_temp.damage(format(d.statement, :'sound'), :'sound'), d.found, d.what)
from (values
  ('delete from kata_data.request r where r.context_id = %L and r.request_id = 3',
    array['digest at 4', 'request'], 'a request that is gone'),
  ('delete from kata_data.request r where r.context_id = %L and r.request_id = 4',
    array['digest at 4', 'request', 'request at 4'], 'one that was answered'),
  ('update kata_data.request r set request_id = 6 where r.context_id = %L and r.request_id = 5', array['request'],
    'a gap before the newest'),
  ('update kata_data.request r set request_id = -r.request_id where r.context_id = %1$L and r.request_id in (2, 4);
    update kata_data.request r set request_id = 6 + r.request_id where r.context_id = %1$L and r.request_id < 0',
    array['digest at 3', 'digest at 4', 'request at 3', 'request at 4'], 'two that changed places'),
  ('update kata_data.request r set answer_version = 3 where r.context_id = %L and r.request_id = 4', array['request at 3', 'request at 4'],
    'another answer'),
  ('update kata_data.request r set framed_from = 4 where r.context_id = %L and r.request_id = 4', array['digest at 4', 'request at 4'],
    'another cover'),
  ('update kata_data.request r set answer_version = null, framed_from = null where r.context_id = %L and r.request_id = 4',
    array['digest at 4', 'request at 4'], 'a request without its answer'),
  ('update kata_data.message m set request_id = null where m.segment_id = %L and m.version = 4',
    array['digest at 4', 'head counters', 'request at 4'], 'an answer without its request'),
  ('update kata_data.message m set request_id = 3 where m.segment_id = %L and m.version = 4',
    array['digest at 4', 'head counters', 'request at 4'], 'with another one'),
  ('update kata_data.request r set at = 5 where r.context_id = %L and r.request_id = 5', array['request'], 'a version that is not there'),
  ('update kata_data.request r set answer_version = 5, framed_from = 5 where r.context_id = %L and r.request_id = 5', array['request at 5'],
    'an answer that is not there'),
  ('update kata_data.request r set salt = r.salt || r.salt where r.context_id = %L and r.request_id = 5', array['salt'],
    'a salt of another length'),
  ('update kata_data.request_profile p set model = $$n$$ where %L is not null', array['request'], 'another model'),
  ('update kata_data.request_profile p set options = $${"a": 2, "b": 1}$$ where %L is not null', array['request'],
    'options in another order'),
  ('update kata_data.request_profile p set digest = sha256(p.digest) where %L is not null', array['digest at 3', 'digest at 4', 'request'],
    'another profile'),
  ('delete from kata_data.request_profile p where %L is not null', array['digest at 3', 'digest at 4', 'request'], 'no profile'),
  ('update kata_data.tool_list t set content = t.content || $$ $$ where %L is not null', array['request'], 'other tools'),
  ('delete from kata_data.tool_list t where %L is not null', array['request'], 'no tools'),
  ('update kata_data.head h set framed_request = 3 where h.context_id = %L', array['head counters'],
    'a head that says otherwise')) d(statement, found, what);
create function pg_temp.missed(statement text) returns text[]
language plpgsql
as $$
declare
  v_found text[];
begin
  execute statement;
  v_found := array(select c.problem from kept cross join kata.check_heads(kept.heads) c);
  raise exception using errcode = 'KC999';
exception
  when sqlstate 'KC999' then return v_found;
end
$$;
comment on function pg_temp.missed(text) is 'What heads that were kept miss after a statement, which is undone.';
select is(
  pg_temp.missed(format('delete from kata_data.request r where r.context_id = %L and r.request_id = 9', :'asking')), '{requests cut}',
  'heads that were kept miss the newest request');
alter table kata_data.message
  enable always trigger message_is_immutable, enable always trigger message_is_immutable_as_a_whole;
alter table kata_data.request
  enable always trigger request_is_immutable, enable always trigger request_is_completed_once,
  enable always trigger request_is_immutable_as_a_whole;
alter table kata_data.request_profile
  enable always trigger request_profile_is_immutable, enable always trigger request_profile_is_immutable_as_a_whole;
alter table kata_data.tool_list
  enable always trigger tool_list_is_immutable, enable always trigger tool_list_is_immutable_as_a_whole;

-- A context that is archived or deleted takes neither answers nor usage

select kata.archive_context(:'sound');
select is(
  (select e.code from fixture.error(format('select kata.complete_request(%L, 5, error => $$x$$)', :'sound')) e), 'KC006',
  'an archived context takes no usage');
select is(
  (select e.code from fixture.error(format('select kata.append_message(%L, $$assistant$$, $$x$$, request_id => 5)', :'sound')) e),
    'KC006', 'and no answer');

-- A purge keeps the requests that forks need to verify the answers that they read

select kata.unarchive_context(:'sound');
select kata.complete_request(:'sound', 1, error => 'the secret');
select kata.fork(:'sound', 3, 'sprout') as sprout \gset
select kata.delete_context(:'sound');
select is(
  (select e.code from fixture.error(format('select kata.complete_request(%L, 5, error => $$x$$)', :'sound')) e), 'KC006',
  'a deleted context takes no usage');
select kata.purge_context(:'sound');
select is(
  array(
    select concat_ws(' ', r.request_id, r.answer_version, r.salt, r.error)
    from kata_data.request r
    where r.context_id = :'sound'
    order by 1),
  '{1,"2 3"}', 'up to the newest answer that is kept, without salts and errors');
select is(array(select v.problem from kata.verify(:'sprout') v), '{}', 'the fork verifies them');
select is_empty('select c.* from kept cross join kata.check_heads(kept.heads) c', 'heads that were kept do not miss the others');
select is(
  fixture.damage(format(d.statement, :'sound')), d.found, d.what)
from (values
  ('update kata_data.request r set budget = 1 where r.context_id = %L', '{"digest at 3"}'::text[], 'a change of one is found'),
  ('update kata_data.request r set salt = uuid_send(r.context_id) where r.context_id = %L', '{left behind}', 'so is a salt that is left')
  ) d(statement, found, what);
select kata.delete_context(:'sprout');
select kata.purge_context(:'sprout');
select is_empty(format('select from kata_data.request r where r.context_id = %L', :'sound'), 'the purge of the last fork leaves none');

select * from finish();
rollback;
