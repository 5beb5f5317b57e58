-- A call and its results are one group, however interleaved; ids of open calls are unique; a call without an answer can be closed.

begin;
select plan(68);

create function pg_temp.groups(context text) returns text
language sql
as $$
  select string_agg(format('%s:%s', m.version, m.group_version), ' ' order by m.version) from kata.messages(fixture.id(context)) m
$$;
create function pg_temp.open_calls(context text) returns text[]
language sql
as $$
  select g.open_calls from kata.get_context(fixture.id(context)) g
$$;
create function pg_temp.stored(context text) returns text
language sql
as $$
  select string_agg(
    format('%s tokens %s oldest %s', m.version, coalesce(m.group_tokens::text, '-'), coalesce(m.oldest_open_group::text, '-')), ', '
    order by m.version)
  from kata_data.message m
  where m.segment_id = fixture.id(context)
$$;

-- One group

select fixture.context('one') as one \gset
select fixture.talk('one', 'user 5, assistant 7 calls a');
select is(pg_temp.open_calls('one'), '{a}', 'a call is open until it is answered');
select fixture.talk('one', 'tool 11 answers a');
select is(pg_temp.open_calls('one'), '{}', 'a result closes its call');
select is(pg_temp.groups('one'), '1:1 2:2 3:2', 'a result belongs to the group of its call, any other message is its own');
select is(
  pg_temp.stored('one'), '1 tokens - oldest -, 2 tokens - oldest 2, 3 tokens 18 oldest -',
  'a result carries the tokens of its group, and every message the oldest group that is open after it');

-- Calls and results that are not what they seem

select throws_ok($$select fixture.talk('one', 'tool 1 answers a')$$, 'KC005', null, 'a call that is answered is not answered again');
select throws_ok($$select fixture.talk('one', 'tool 1 answers z')$$, 'KC005', null, 'a call that was never made is not answered');
select throws_ok(
  $$select fixture.talk('one', 'assistant 1 calls b, tool 1 answers b, tool 1 answers b')$$, 'KC005', null,
  'one batch does not answer a call twice');
select throws_ok(
  $$select fixture.talk('one', 'tool 1 answers b, assistant 1 calls b')$$, 'KC005', null, 'a result does not come before its call');
select results_eq(
  $$select * from fixture.error($q$select fixture.talk('one', 'user 1, tool 1 answers z')$q$)$$,
  $$values(
      'KC005', 'message 2 of the batch answers no open call',
      'No call "z" is open: this path never made it, or has answered it already.',
    'Append the assistant message with the call first; kata.get_context lists the open calls.')$$,
  'a result without its call is named by its place and its call');
select throws_ok(
  format($$select kata.append_message(%L, 'tool', 'x', tool_call_id => 'z')$$, :'one'), 'KC005', null,
  'a single result needs an open call too');

select fixture.talk('one', 'assistant 3 calls a');
select is(pg_temp.groups('one'), '1:1 2:2 3:2 4:4', 'an id may be used again after its answer');
select throws_ok($$select fixture.talk('one', 'assistant 1 calls a')$$, 'KC004', null, 'an id that is open is not opened again');
select throws_ok($$select fixture.talk('one', 'assistant 1 calls b a')$$, 'KC004', null, 'not even beside a new one');
select throws_ok($$select fixture.talk('one', 'assistant 1 calls c c')$$, 'KC004', null, 'one message does not open an id twice');
select results_eq(
  $$select * from fixture.error($q$select fixture.talk('one', 'assistant 1 calls a')$q$)$$,
  $$values ('KC004', 'call id "a" is open already', 'Version 4 made it, and it has no result yet; version 5 would make it again.',
    'Give every open call an id of its own, append the result of the open one first, or close it with kata.close_calls.')$$,
  'an id that is open is named, with where it was made');
select fixture.talk('one', 'tool 2 answers a');
select is(pg_temp.groups('one'), '1:1 2:2 3:2 4:4 5:4', 'the answer goes to the newest use of an id');
select fixture.talk('one', 'assistant 1 calls a, tool 1 answers a, assistant 1 calls a, tool 1 answers a');
select is(pg_temp.groups('one'), '1:1 2:2 3:2 4:4 5:4 6:6 7:6 8:8 9:8', 'an id may be used again and again in one batch');
select is((select group_version from kata.get_message(:'one', 3)), 2::bigint, 'an earlier answer stays where it was');

-- Parallel calls, answered in any order with others in between

select fixture.context('parallel') as parallel \gset
select fixture.talk('parallel', 'system 1, user 2, assistant 10 calls a b c');
select is(pg_temp.open_calls('parallel'), '{a,b,c}', 'parallel calls are open together');
select fixture.talk('parallel', 'tool 20 answers c');
select fixture.talk('parallel', 'user 3');
select fixture.talk('parallel', 'tool 30 answers a');
select is(pg_temp.open_calls('parallel'), '{b}', 'what is not answered stays open');
select fixture.talk('parallel', 'assistant 4, tool 40 answers b, user 5');
select is(
  pg_temp.groups('parallel'), '1:1 2:2 3:3 4:3 5:5 6:3 7:7 8:3 9:9', 'results find their group in any order, whatever comes in between');
select is(pg_temp.stored('parallel'),
  '1 tokens - oldest -, 2 tokens - oldest -, 3 tokens - oldest 3, 4 tokens 30 oldest 3, 5 tokens - oldest 3, 6 tokens 60 oldest 3, '
    '7 tokens - oldest 3, 8 tokens 100 oldest -, 9 tokens - oldest -',
  'the tokens of a group grow with every result, and the group is open to the last');

-- Interleaved groups

select fixture.context('interleaved') as interleaved \gset
select fixture.talk(
  'interleaved',
  'assistant 1 calls a b, assistant 2 calls c, tool 4 answers c, tool 8 answers a, assistant 16 calls d, tool 32 answers b, '
    'tool 64 answers d');
select is(pg_temp.groups('interleaved'), '1:1 2:2 3:2 4:1 5:5 6:1 7:5', 'groups may interleave');
select is(pg_temp.stored('interleaved'),
  '1 tokens - oldest 1, 2 tokens - oldest 1, 3 tokens 6 oldest 1, 4 tokens 9 oldest 1, 5 tokens - oldest 1, 6 tokens 41 oldest 5, '
    '7 tokens 80 oldest -',
  'the oldest open group is known after every message');
select is((select raw_tokens from kata.usage(:'interleaved')), 127::bigint, 'interleaving loses no token');
select fixture.context('ten') as ten \gset
select fixture.talk('ten', (select string_agg('assistant 1 calls x' || i, ', ') from generate_series(1, 12) i));
select fixture.talk('ten', 'tool 1 answers x2');
select is(
  (select oldest_open_group from kata_data.message where segment_id = :'ten' and version = 13), 1::bigint,
  'groups are compared as numbers, not as text');
select fixture.talk('ten', 'tool 1 answers x1');
select is(
  (select oldest_open_group from kata_data.message where segment_id = :'ten' and version = 14), 3::bigint,
  'the next oldest group takes over');

-- Odd ids

select fixture.context('odd') as odd \gset
select kata.append_message(:'odd', 'assistant', null, 1, tool_calls => jsonb_build_array(
  '{"id": "with \"quotes\" and \\", "function": {"name": "f", "arguments": ""}}'::jsonb,
  '{"id": "ключ 鍵 🔑", "function": {"name": "f", "arguments": ""}}'::jsonb,
  '{"id": "$.x ? (@ == 1)", "function": {"name": "f", "arguments": ""}}'::jsonb,
  '{"id": "2", "function": {"name": "f", "arguments": ""}}'::jsonb));
select is(
  pg_temp.open_calls('odd'),
  (select array_agg(id order by id) from unnest(array['with "quotes" and \', 'ключ 鍵 🔑', '$.x ? (@ == 1)', '2']) i(id)),
  'a call id may be any text');
select lives_ok(
  format(
    $$select kata.append_message(%L, 'tool', 'x', 1, tool_call_id => id)
      from unnest(array['with "quotes" and \', 'ключ 鍵 🔑', '$.x ? (@ == 1)', '2']) i(id)$$,
    :'odd'),
  'a call with any id can be answered');
select is(pg_temp.groups('odd'), '1:1 2:1 3:1 4:1 5:1', 'results of odd ids find their group');
select kata.append_message(:'odd', 'assistant', 'no calls after all', 1, tool_calls => '[]');
select is(pg_temp.open_calls('odd'), '{}', 'an empty array of calls opens nothing');
select is((select tool_calls from kata.get_message(:'odd', 6)), '[]', 'an empty array of calls comes back');

-- Order of the open calls

select fixture.context('order') as order \gset
select fixture.talk('order', 'assistant 1 calls z, assistant 1 calls b a, assistant 1 calls c');
select is(pg_temp.open_calls('order'), '{z,a,b,c}', 'open calls are listed oldest first, then by id');

-- Closing

select results_eq(
  format($$select version, token_count > 0 from kata.close_calls(%L, '{b}')$$, :'order'), 'values (4::bigint, true)',
  'one of the open calls can be closed');
select results_eq(
  format('select role, content, tool_call_id, group_version from kata.get_message(%L, 4)', :'order'),
  $$values ('tool', 'cancelled', 'b', 2::bigint)$$,
  'a call is closed by a tool message that says "cancelled"');
select is(pg_temp.open_calls('order'), '{z,a,c}', 'the other calls stay open');
select throws_ok(format($$select kata.close_calls(%L, '{a,b}')$$, :'order'), 'KC005', null, 'a call that is not open is not closed');
select results_eq(
  format($$select * from fixture.error($q$select kata.close_calls(%L, '{a,nope}')$q$)$$, :'order'),
  $$values (
      'KC005', 'call "nope" is not open', 'This path never made it, or has answered it already.',
      'kata.get_context lists the open calls; pass null to close them all.')$$,
  'a call that is not open is named');
select is(pg_temp.open_calls('order'), '{z,a,c}', 'where one call is not open none is closed');
select throws_ok(format($$select kata.close_calls(%L, array['a', null])$$, :'order'), 'KC005', null, 'null is not a call');
select is_empty(format($$select kata.close_calls(%L, '{}')$$, :'order'), 'closing no calls does nothing');
select results_eq(
  format($$select version from kata.close_calls(%L, reason => 'the user said stop')$$, :'order'), 'values (5::bigint), (6), (7)',
  'all open calls can be closed at once');
select is(
  (select string_agg(tool_call_id || ':' || content, ', ' order by version) from kata.messages(:'order', 4)),
  'z:the user said stop, a:the user said stop, c:the user said stop',
  'calls are closed oldest first, with the reason that is given');
select is((select count(distinct created_at) from kata.messages(:'order', 4)), 1::bigint, 'calls are closed in one batch');
select is(pg_temp.open_calls('order'), '{}', 'afterwards no call is open');
select is_empty(format('select kata.close_calls(%L)', :'order'), 'where no call is open closing does nothing');
select is((select version from kata.get_context(:'order')), 7::bigint, 'closing nothing takes no version');
select throws_ok(format($$select kata.close_calls(%L, '{z}')$$, :'order'), 'KC005', null, 'a closed call is not closed again');
select throws_ok(
  $$select kata.close_calls('00000000-0000-7000-8000-000000000000')$$, 'KC001', null, 'an unknown context has no calls to close');
select fixture.talk('order', 'assistant 1 calls y');
select kata.close_calls(:'order', reason => null);
select is((select content from kata.get_message(:'order', 9)), 'cancelled', 'without a reason a call is cancelled');

-- Orphans where they are let in

select fixture.context('loose', '{"strict": false}') as loose \gset
select is(
  fixture.talk('loose', 'tool 5 answers unknown, user 1, assistant 2 calls a, tool 3 answers a, tool 4 answers a'), '{1,2,3,4,5}',
  'with strict false a result needs no call');
select is(pg_temp.groups('loose'), '1:1 2:2 3:3 4:3 5:5', 'a result without open call is a group of its own');
select is(
  pg_temp.stored('loose'), '1 tokens - oldest -, 2 tokens - oldest -, 3 tokens - oldest 3, 4 tokens 5 oldest -, 5 tokens - oldest -',
  'a result without open call changes no other group');
select throws_ok($$select fixture.talk('loose', 'tool 1')$$, 'KC004', null, 'with strict false a result still names a call');
select throws_ok(
  $$select fixture.talk('loose', 'assistant 1 calls b, assistant 1 calls b')$$, 'KC004', null,
  'with strict false an open id is still not opened again');
select throws_ok(
  format($$select kata.close_calls(%L, '{unknown}')$$, :'loose'), 'KC005', null, 'with strict false only open calls are closed');

-- Forks

select fixture.context('root') as root \gset
select fixture.talk('root', 'user 1, assistant 10 calls a b, tool 5 answers a, user 1');
select fixture.fork('root', 2, 'early') as early \gset
select fixture.fork('root', 3, 'late') as late \gset
select is(pg_temp.open_calls('early'), '{a,b}', 'a fork inherits the calls that were open');
select is(pg_temp.open_calls('late'), '{b}', 'a fork does not inherit calls that were answered');
select fixture.talk('root', 'tool 5 answers b');
select fixture.talk('early', 'tool 7 answers b, tool 8 answers a');
select fixture.talk('late', 'tool 9 answers b');
select is(pg_temp.groups('early'), '1:1 2:2 3:2 4:2', 'a fork answers inherited calls for itself');
select is(pg_temp.stored('early'), '3 tokens 17 oldest 2, 4 tokens 25 oldest -', 'the tokens of a group go on from the fork');
select is(pg_temp.stored('late'), '4 tokens 24 oldest -', 'a group that was half answered goes on from there');
select is(pg_temp.groups('root'), '1:1 2:2 3:2 4:4 5:2', 'the parent has its own answers');
select throws_ok(
  $$select fixture.talk('late', 'tool 1 answers a')$$, 'KC005', null, 'a call that is open in another fork only is not answered here');

-- The preamble

create function pg_temp.preamble_end(context text) returns bigint language sql as $$
   select h.preamble_end from kata_data.head h where h.context_id = fixture.id(context) $$;
select fixture.context('preamble') as preamble \gset
select is(pg_temp.preamble_end('preamble'), null, 'before the first user message the preamble is open');
select fixture.talk('preamble', 'system 1, developer 1');
select is(pg_temp.preamble_end('preamble'), null, 'system and developer messages leave it open');
select fixture.talk('preamble', 'system 1, user 1, system 1');
select is(pg_temp.preamble_end('preamble'), 3::bigint, 'the first message of another role ends it');
select fixture.talk('preamble', 'developer 1, assistant 1');
select is(pg_temp.preamble_end('preamble'), 3::bigint, 'nothing later moves it');
select fixture.context('no preamble');
select fixture.talk('no preamble', 'assistant 1, system 1');
select is(pg_temp.preamble_end('no preamble'), 0::bigint, 'where another role speaks first the preamble is empty');

select * from finish();
rollback;
