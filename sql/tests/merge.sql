-- A merge copies the messages of one branch to another: once, in whole groups, with their origin.

begin;
select plan(75);

create function pg_temp.merged(target text, source text, versions int8multirange default null) returns text
language plpgsql
as $$
begin
  return (
    select array_agg(m.version order by m.ordinality) from kata.merge(fixture.id(target), fixture.id(source), versions) with ordinality m
  )::text;
exception
  when others then return sqlstate;
end
$$;
create function pg_temp.told(context text) returns text
language sql
as $$
  select string_agg(m.content, ', ' order by m.version) from kata.messages(fixture.id(context)) m
$$;

-- After the common ancestor

select fixture.context('main') as main \gset
select fixture.talk('main', 'system 1, user 2, assistant 4');
select fixture.fork('main', 2, 'side') as side \gset
select fixture.talk('side', 'assistant 8 calls a, tool 16 answers a, user 32 pinned');
select is(pg_temp.merged('main', 'side'), '{4,5,6}', 'what the other said after the common ancestor is appended');
select is(pg_temp.told('main'), 'system 1, user 2, assistant 4, assistant 8 calls a, tool 16 answers a, user 32 pinned', 'in order');
select is((select count(distinct created_at) from kata.messages(:'main', 3)), 1::bigint, 'as one batch');
select results_eq(
  format(
    'select role, content, token_count, token_source, tool_call_id, tool_calls, pinned, group_version - version from kata.messages(%L, 3)',
    :'main'),
  format(
    'select role, content, token_count, token_source, tool_call_id, tool_calls, pinned, group_version - version from kata.messages(%L, 2)',
    :'side'),
  'a copy is what it is a copy of');
select is((select segment_id from kata.get_message(:'main', 5)), :'main', 'and the target''s own');
select results_eq(
  format(
    'select o.version, o.source_segment_id, o.source_version, o.origin_segment_id, '
      'o.origin_version from kata_data.merge_origin o where o.segment_id = %L order by o.version',
    :'main'),
  format($$values (4::bigint, %1$L::uuid, 3::bigint, %1$L::uuid, 3::bigint), (5, %1$L, 4, %1$L, 4), (6, %1$L, 5, %1$L, 5)$$, :'side'),
  'it remembers where it came from');
select is(pg_temp.told('side'), 'system 1, user 2, assistant 8 calls a, tool 16 answers a, user 32 pinned', 'the source is not changed');
select is(
  (select row(message_count, raw_tokens, open_calls)::text from kata.get_context(:'main')), '(6,63,{})', 'the target''s totals are right');

-- Once

select is(pg_temp.merged('main', 'side'), null, 'what was merged is not merged again');
select fixture.talk('side', 'user 64');
select is(pg_temp.merged('main', 'side'), '{7}', 'messages since are');
select is(pg_temp.merged('side', 'main'), '{7}', 'the other way what is the source''s own comes, and not what came from here');
select is(
  pg_temp.told('side'), 'system 1, user 2, assistant 8 calls a, tool 16 answers a, user 32 pinned, user 64, assistant 4',
  'so that both have everything');
select is(pg_temp.merged('main', 'side'), null, 'and nothing is left to merge');
select is(pg_temp.merged('main', 'main'), null, 'with itself a context has nothing to merge');
select fixture.fork('main', 7, 'later') as later \gset
select is(pg_temp.merged('later', 'side'), null, 'what the parent had merged its fork has');
select fixture.context('third') as third \gset
select is(pg_temp.merged('third', 'main'), '{1,2,3,4,5,6,7}', 'from a context that shares nothing all comes');
select is(pg_temp.merged('third', 'side'), null, 'a copy of a copy is known by what both go back to');
select is(
  (
    select row(o.source_segment_id = :'main', o.source_version, o.origin_segment_id = :'side', o.origin_version)::text
    from kata_data.merge_origin o
    where o.segment_id = :'third' and o.version = 5),
  '(t,5,t,4)',
  'and remembers both');
select is(pg_temp.merged('side', 'third'), null, 'what goes back to the target itself does not return');
select fixture.fork('side', 3, 'cut') as cut \gset
select fixture.talk('cut', 'tool 128 answers a');
select is(pg_temp.merged('cut', 'third'), '{5,6,7}', 'a group of which the target has the call is left out as a whole');
select is((select content from kata.get_message(:'cut', 5)), 'assistant 4', 'the others come');

-- Whole groups

select fixture.context('woven') as woven \gset
select fixture.talk(
  'woven', 'user 1, assistant 2 calls a b, user 4, tool 8 answers b, assistant 16 calls c, tool 32 answers a, tool 64 answers c, user 128');
create function pg_temp.picked(versions int8multirange) returns text
language plpgsql
as $$
declare
  v_result text;
begin
  begin
    perform kata.merge(kata.create_context('basket'), fixture.id('woven'), versions);
    v_result := (
      select string_agg(m.token_count::text, ' ' order by m.version) from kata_data.message m where m.segment_id = fixture.id('basket'));
    raise exception using errcode = 'KC999';
  exception
    when sqlstate 'KC999' then return v_result;
    when others then return sqlstate;
  end;
end
$$;
select is(pg_temp.picked(p.versions::int8multirange), p.picked, p.what)
from (values
  ('{[1,1]}', '1', 'versions can be chosen'), ('{[4,4]}', '2 8 32', 'a result brings its group'), ('{[2,2]}', '2 8 32', 'a call, too'),
  ('{[5,6]}', '2 8 16 32 64', 'groups that interleave come as they were'), ('{[3,3],[8,8]}', '4 128', 'several ranges'),
  ('{}', null, 'nothing can be chosen'), (null, '1 2 4 8 16 32 64 128', 'without a choice all comes'),
  ('{[1,8]}', '1 2 4 8 16 32 64 128', 'all can be chosen'), ('{[7,)}', '16 64 128', 'a range may be open'),
  ('{[9,9]}', 'KC002', 'what does not exist cannot be'), ('{[0,1]}', 'KC002', 'nor what is before the beginning'),
  ('{[1,1],[8,9]}', 'KC002', 'not even in part'),
  ('{(,2)}', '1', 'at its beginning, too'), ('{[9,)}', 'KC002', 'an open range that begins beyond the newest cannot be'),
  ('{[1,1],[100,)}', 'KC002', 'nor a choice with one'),
  ('{(,1)}', 'KC002', 'nor one that ends before the first')) p(versions, picked, what);
select fixture.fork('woven', 5, 'split') as split \gset
select fixture.talk('split', 'user 256, tool 512 answers a, tool 1024 answers c, user 2048');
select is(pg_temp.merged('woven', 'split'), '{9,10}', 'results of calls from before the common ancestor are left out');
select is((select array_agg(token_count order by version) from kata.messages(:'woven', 8)), '{256,2048}', 'the target has its own');
select is(pg_temp.merged('woven', 'split', '{[7,7]}'), null, 'also when they are chosen');

-- Open calls

select fixture.fork('main', 7, 'busy') as busy \gset
select fixture.talk('busy', 'user 1, assistant 2 calls z, user 4');
select is(pg_temp.merged('busy', 'woven'), 'KC005', 'into open calls nothing is merged');
select is(pg_temp.merged('main', 'busy'), 'KC005', 'an open group is not merged');
select is(pg_temp.merged('main', 'busy', '{[8,8],[10,10]}'), '{8,9}', 'what is beside it can be');
select is(pg_temp.merged('main', 'busy', '{[9,9]}'), 'KC005', 'it cannot when it is chosen');
select results_eq(
  format('select * from fixture.error(%L)', format('select * from kata.merge(%L, %L)', m.target, m.source)),
  format('values (%L, %L, %L, %L)', 'KC005', m.message, m.detail, m.hint), m.what)
from (values
  (
    :'busy', :'woven', format('context %s has open calls', :'busy'), 'Calls without a result: "z".',
    'Append their results first, or close them with kata.close_calls.', 'which calls are open is said'),
  (
    :'main', :'busy', format('version 9 of context %s has open calls', :'busy'), 'A group is merged with all its results or not at all.',
    'Close its calls with kata.close_calls, or choose other versions.', 'which group is open, too'))
  m(target, source, message, detail, hint, what);
select kata.close_calls(:'busy');
select is(pg_temp.merged('main', 'busy'), '{10,11}', 'when it is closed it comes, and what came before does not');

-- States

select kata.archive_context(:'busy');
select is(pg_temp.merged('main', 'busy'), null, 'from an archived context can be merged');
select is(pg_temp.merged('busy', 'woven'), 'KC006', 'into one cannot');
select kata.delete_context(:'later');
select is(pg_temp.merged('main', 'later'), 'KC006', 'from a deleted context nothing is merged');
select is(pg_temp.merged('later', 'main'), 'KC006', 'nor into one');

-- Retries

select fixture.context('again') as again \gset
select fixture.talk('again', 'user 1');
select fixture.context('notes') as notes \gset
select fixture.talk('notes', 'user 2, user 4');
select is((select array_agg(m.version) from kata.merge(:'again', :'notes', idempotency_key => 'k') m), '{2,3}', 'a merge may have a key');
select fixture.talk('notes', 'user 8');
select fixture.talk('again', 'assistant 1 calls a');
select is(
  (select array_agg(array[m.version, m.token_count]) from kata.merge(:'again', :'notes', idempotency_key => 'k') m), '{{2,2},{3,4}}',
  'the same request again gets the first result, whatever happened since');
select throws_ok(
  format('select * from kata.merge(%L, %L, %L, %L)', :'again', :'notes', '{[1,1]}', 'k'), 'KC019', null,
  'another choice under the same key is refused');
select throws_ok(format('select * from kata.merge(%L, %L, null, %L)', :'again', :'main', 'k'), 'KC019', null, 'so is another source');
select throws_ok(
  format('select * from kata.merge(%L, %L, null, %L)', :'again', :'notes', 'new'), 'KC005', null, 'under a new key it is a new request');
select kata.close_calls(:'again');
select is(
  (select array_agg(m.version) from kata.merge(:'again', :'notes', idempotency_key => 'new') m), '{6}', 'a key of a refused request is free'
);
select is(
  (select array_agg(m.version) from kata.merge(:'again', :'notes', idempotency_key => 'nothing') m), null,
  'a merge of nothing may have a key');
select fixture.talk('notes', 'user 16');
select is((select array_agg(m.version) from kata.merge(:'again', :'notes', idempotency_key => 'nothing') m), null, 'and is nothing again');

-- Tokens

select kata.register_tokenizer('coarse', 8.8, 0);
select kata.create_context('counted', tokenizer => 'coarse') as counted \gset
select fixture.context('counts') as counts \gset
select kata.append(:'counts', '[{"role": "user", "content": "given given given", "token_count": 100},
  {"role": "user", "content": "exact", "token_count": 100, "token_source": "exact"},
  {"role": "user", "content": "estimated, estimated, estimated"}, {"role": "user", "content": "stored", "token_count": 100}]');
select kata.put_token_counts(:'counts', 'coarse', '{4}', '{7}');
select is(pg_temp.merged('counted', 'counts'), '{1,2,3,4}', 'tokenizers may differ');
select is(
  (select array_agg(m.token_source order by m.version) from kata.messages(:'counted') m), '{estimate,estimate,estimate,exact}',
  'counts in another tokenizer are estimated, except stored ones');
select is((select m.token_count from kata.get_message(:'counted', 4) m), 7, 'which are taken');
select ok((select bool_and(m.token_count between 5 and 30) from kata.messages(:'counted') m), 'a count given in the other is not');
select fixture.context('same count') as same_count \gset
select is(pg_temp.merged('same count', 'counts'), '{1,2,3,4}', 'in the same tokenizer');
select results_eq(
  format('select m.token_count, m.token_source from kata.messages(%L) m', :'same_count'),
  format('select m.token_count, m.token_source from kata.messages(%L) m', :'counts'), 'counts are kept, with where they are from');

-- All that a message has

select fixture.context('rich') as rich \gset
select kata.append(:'rich', '[
  {"role": "assistant", "parts": [{"type": "text", "text": "seen"}, {"type": "image_url", "image_url": {"url": "data:"}}],
   "name": "ann", "model": "m", "metadata": {"a": 1.50}, "provider": {"x": null}},
  {"role": "assistant", "content": null, "tool_calls": [{"id": "q", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
  {"role": "tool", "content": "", "tool_call_id": "q", "tool_name": "f"}]');
select fixture.context('copy') as copy \gset
select pg_temp.merged('copy', 'rich');
select results_eq(
  format(
    'select c.role, c.content, c.token_count, c.tool_call_id, c.tool_name, c.tool_calls, c.model, c.metadata, c.name, c.parts, '
      'c.provider, c.group_version from kata.messages(%L) c',
    :'copy'),
  format(
    'select r.role, r.content, r.token_count, r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, r.name, r.parts, '
      'r.provider, r.group_version from kata.messages(%L) r',
    :'rich'),
  'all that a message has is copied');
select kata.create_context('loose', '{"strict": false}') as loose \gset
select fixture.talk('loose', 'user 1, tool 2 answers unknown');
select is(pg_temp.merged('copy', 'loose'), 'KC005', 'an orphan is not let into a strict context');
select is(pg_temp.merged('copy', 'loose', '{[1,1]}'), '{4}', 'what is beside it is');
select is(pg_temp.merged('loose', 'copy'), '{3,4,5}', 'what came from here does not come back');
select throws_ok($$update kata_data.merge_origin set origin_version = 1$$, 'KC015', null, 'where a message came from is history');
select throws_ok($$delete from kata_data.merge_origin$$, 'KC015', null, 'and is not deleted');
select throws_ok('truncate kata_data.merge_origin', 'KC015', null, 'not all at once either');

-- A batch is not endless

select fixture.context('long') as long \gset
create procedure pg_temp.lengthen()
language plpgsql
as $$
begin
  for v_batch in 1 .. 2 loop
    perform kata.append(
      fixture.id('long'), (select jsonb_agg('{"role": "user", "content": "x", "token_count": 1}'::jsonb) from generate_series(1, 5001)));
  end loop;
end
$$;
call pg_temp.lengthen();
select fixture.context('basket') as basket \gset
select is(pg_temp.merged('basket', 'long'), 'KC004', 'more than 10,000 messages are not merged at once');
select is((select count(*) from kata.merge(:'basket', :'long', '{[1,9999]}')), 9999::bigint, 'but in parts');
select is(pg_temp.merged('basket', 'long'), '{10000,10001,10002}', 'of which the second has the rest');

select * from finish();
rollback;
