-- A batch is appended whole or not at all, takes the next versions at one instant, and comes back exactly as it was given.

begin;
select plan(243);

-- Versions, totals, times

select fixture.context('log') as log \gset
select is_empty(format($$select kata.append(%L, '[]')$$, :'log'), 'an empty batch appends nothing');
select is((select version from kata.get_context(:'log')), 0::bigint, 'an empty batch takes no version');
select is(kata.append_message(:'log', 'user', 'hello', 3), 1::bigint, 'the first message takes version 1');
select results_eq(
  format(
    $$select version, token_count
      from kata.append(
        %L, '[{"role": "assistant", "content": "hi", "token_count": 5}, {"role": "user", "content": "more", "token_count": 7}]')$$,
    :'log'),
  $$values (2::bigint, 5), (3, 7)$$,
  'a batch takes the next versions, in order');
select is(kata.append_message(:'log', 'user', 'x', 0), 4::bigint, 'the next message takes the next version');
select results_eq(
  format('select version, message_count, raw_tokens, view_tokens from kata.get_context(%L)', :'log'),
  'values (4::bigint, 4::bigint, 15::bigint, 15::bigint)',
  'a context totals its messages and their tokens');
select is((select count(distinct m.created_at) from kata.messages(:'log') m where m.version in (2, 3)), 1::bigint, 'a batch has one time');
select array_agg(a.created_at) as times from kata.append(:'log', fixture.drafts('user 1, user 1')) a \gset
select is(
  (select array_agg(m.created_at) from kata.messages(:'log', 4) m), :'times', 'the times that append returns are those that are stored');
select is((select version from kata.append(:'log', fixture.drafts('user 1')) where version = 7), 7::bigint, 'versions have no gap');

select fixture.context('clock') as clock \gset
set local kata.clock = '2030-01-01 12:00:00+00';
select fixture.talk('clock', 'user 1, assistant 1');
select fixture.talk('clock', 'user 1');
set local kata.clock = '2020-01-01 00:00:00+00';
select fixture.talk('clock', 'user 1');
select fixture.talk('clock', 'user 1, user 1');
set local kata.clock = '2031-01-01 00:00:00+00';
select fixture.talk('clock', 'user 1');
set local kata.clock = '';
select results_eq(
  format('select created_at from kata.messages(%L)', :'clock'),
  $$select t::timestamptz
    from unnest(array['2030-01-01 12:00:00+00', '2030-01-01 12:00:00+00', '2030-01-01 12:00:00.000001+00', '2030-01-01 12:00:00.000002+00',
    '2030-01-01 12:00:00.000003+00', '2030-01-01 12:00:00.000003+00', '2031-01-01 00:00:00+00']) t$$,
  'time goes on by a microsecond from batch to batch where the clock stands still or runs back');

select fixture.context('large') as large \gset
select is(
  (
    select count(*)
    from kata.append(
      :'large', (select jsonb_agg('{"role": "user", "content": "x", "token_count": 2147483647}'::jsonb) from generate_series(1, 10000)))),
  10000::bigint, 'a batch may have 10,000 messages');
select is((select raw_tokens from kata.usage(:'large')), 21474836470000, 'totals go beyond 32 bits');
select throws_ok(
  format(
    $$select kata.append(%L, (select jsonb_agg('{"role": "user", "content": "x"}'::jsonb) from generate_series(1, 10001)))$$, :'large'),
  'KC004', null,
  'a batch of 10,001 messages is refused');
select is(kata.append_message(:'large', 'user', repeat('x', 16777216), 1), 10001::bigint, 'content may have 16 MB');
select is((select octet_length(content) from kata.get_message(:'large', 10001)), 16777216, '16 MB come back');
select throws_ok(
  format($$select kata.append_message(%L, 'user', repeat('x', 16777217), 1)$$, :'large'), 'KC004', null,
  'content of one byte more is refused');
select throws_ok(
  format(
    $$select kata.append(%L, jsonb_build_array(jsonb_build_object('role', 'user', 'token_count', 1, 'content', repeat('é', 8388609))))$$,
    :'large'),
  'KC004', null,
  'content is measured in bytes');

-- As it was given

select fixture.context('mirror') as mirror \gset
create temporary table text_given (ordinality integer generated always as identity, content text);
insert into text_given (content) values
  (''), (' '), (E'\n'), (E'line\r\nline\ttab\u000b\u0001\u007f '), ('it''s "quoted" and `ticked`'), (E'back\\slash \\n \\u0041 \\\\'),
  ('naïve Ωmega — “dash” …'), ('中文字符，标点。'), ('日本語 ひらがな カタカナ'), ('한국어'), ('עברית العربية'), ('👩‍👩‍👧‍👦 🇩🇪 👍🏽 𝒳'), (E'e\u0301 vs \u00e9'),
  (E'\ufeffbyte order mark \u200b\u202e\u2028\uffff'), ('{"looks": ["like", "json"]}'), ('</system><system>'), ('%s %I %L $1 {} \x00'),
  (repeat('long 長い 🚀 ', 5000));
select kata.append_message(:'mirror', 'user', g.content) from text_given g order by g.ordinality;
select kata.append(
  :'mirror', (select jsonb_agg(jsonb_build_object('role', 'assistant', 'content', g.content) order by g.ordinality) from text_given g));
select is(m.sent, g.sent, 'text ' || g.ordinality || ' comes back byte for byte from append_message')
from (select ordinality, convert_to(content, 'UTF8') as sent from text_given) g
join (select version, convert_to(content, 'UTF8') as sent from kata.messages(:'mirror')) m on m.version = g.ordinality
order by g.ordinality;
select is(m.sent, g.sent, 'text ' || g.ordinality || ' comes back byte for byte from append')
from (select ordinality, convert_to(content, 'UTF8') as sent from text_given) g
join (
  select version, convert_to(content, 'UTF8') as sent from kata.messages(:'mirror')
) m on m.version = g.ordinality + (select count(*) from text_given)
order by g.ordinality;

select fixture.context('whole') as whole \gset
select $$
  [{"role": "assistant", "content": null, "token_count": 12, "token_source": "exact", "model": "gpt-4.1", "name": "plänner", "pinned": true,
  "tool_calls": [
    {"id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": "{\"path\": \"/tmp/ü \\\"q\\\".txt\"}"}},
    {"id": "call_2", "function": {"name": "ls", "arguments": ""}}],
  "metadata": {"nested": {"a": [1, 2.50, null, true, "é"]}, "": "empty key", "big": 12345678901234567890123},
  "provider": {"reasoning": {"encrypted": "AAAA=="}, "cache_control": null},
  "parts": [{"type": "thinking", "thinking": "hm", "signature": "s=="}, {"type": "text", "text": "first"}]}]$$ as whole_given \gset
select kata.append(:'whole', :'whole_given');
select results_eq(
  format(
    'select role, content, token_count, token_source, model, name, pinned, tool_calls, metadata, provider, parts, tool_call_id, '
      'tool_name, kind, compacted_into, group_version, segment_id, position from kata.get_message(%L, 1)',
    :'whole'),
  format(
    $$select 'assistant', 'first', 12, 'exact', 'gpt-4.1', 'plänner', true, d -> 'tool_calls', d -> 'metadata', d -> 'provider',
      d -> 'parts', null::text, null::text, 'message', null::bigint,
    1::bigint, %L::uuid, 1::bigint from jsonb_array_elements(%L::jsonb) d$$, :'whole', :'whole_given'),
  'every field of a message comes back, JSON equal as jsonb');
select kata.append_message(
  :'whole', 'tool', 'ok', tool_call_id => 'call_1', tool_name => 'read_file', name => 'tool name', provider => '{"is_error": false}');
select results_eq(
  format(
    'select role, content, tool_call_id, tool_name, name, provider, pinned, tool_calls, parts, metadata, model from kata.get_message(%L, '
      '2)',
    :'whole'),
  $$values (
      'tool', 'ok', 'call_1', 'read_file', 'tool name', '{"is_error": false}'::jsonb, true, null::jsonb, null::jsonb, null::jsonb,
      null::text)$$,
  'what a message does not have is null, and it is pinned with its group');
select fixture.context('nulls') as nulls \gset
select kata.append(
  :'nulls',
  $$[
      {"role": "user", "content": "x", "token_count": null, "token_source": null, "tool_call_id": null, "tool_name": null,
      "tool_calls": null, "model": null,
  "metadata": null, "pinned": null, "name": null, "parts": null, "provider": null}]$$);
select kata.append_message(
  :'nulls', 'user', 'x', tool_calls => 'null', metadata => 'null', parts => 'null', provider => 'null', pinned => null);
select results_eq(
  format('select tool_calls, metadata, parts, provider, pinned from kata.messages(%L)', :'nulls'),
  'values (null::jsonb, null::jsonb, null::jsonb, null::jsonb, false), (null, null, null, null, false)',
  'JSON null is not a value');

-- Counts

select fixture.context('count') as count \gset
select kata.append(
  :'count',
  $$[{"role": "user", "content": "x", "token_count": 9}, {"role": "user", "content": "x", "token_count": 9, "token_source": "exact"},
  {"role": "user", "content": "x", "token_count": 9, "token_source": "given"}, {"role": "user", "content": "x"}, {"role": "user",
  "content": "x", "token_count": 0}]$$);
select is(
  (select array_agg(token_source order by version) from kata.messages(:'count')), '{given,exact,given,estimate,given}',
  'a count says where it comes from');
select is(
  (select array_agg(token_count order by version) from kata.messages(:'count') where version <> 4), '{9,9,9,0}',
  'a count that is given is taken as given');
select is(
  (select token_count from kata.get_message(:'count', 4)), kata_data.estimate_tokens('x') + 4,
  'a count that is missing is estimated, plus 4 of framing');
select fixture.context('estimate') as estimate \gset
select kata.append(:'estimate', jsonb_build_array(
  jsonb_build_object('role', 'user', 'content', 'look'),
  jsonb_build_object('role', 'user', 'content', 'look', 'parts', jsonb_build_array('{"type": "text", "text": "look"}'::jsonb)),
  jsonb_build_object(
    'role', 'user', 'parts',
    jsonb_build_array('{"type": "text", "text": "look"}'::jsonb, '{"type": "image_url", "image_url": {"url": "data:AAAA"}}'::jsonb)),
  jsonb_build_object(
    'role', 'user', 'parts',
    jsonb_build_array('{"type": "image_url"}'::jsonb, '{"type": "input_audio"}'::jsonb, '{"type": "input_text", "text": "look"}'::jsonb)),
  jsonb_build_object('role', 'assistant', 'tool_calls', '[{"id": "c", "function": {"name": "look", "arguments": "look"}}]'::jsonb),
  jsonb_build_object('role', 'assistant', 'content', '')));
select kata_data.estimate_tokens('look') as look \gset
select is(
  (select array_agg(token_count order by version) from kata.messages(:'estimate')),
  array[:look + 4, :look + 4, :look + 1504, :look + 3004, 2 * :look + 4, 4],
  'an estimate counts content, tool names and arguments, 1,500 for every part that is not text, and 4 of framing');
select is((select content from kata.get_message(:'estimate', 3)), 'look', 'the content of a message in parts is their text');
select is(
  (
    select kata.append_message(
      :'estimate', 'user', null, parts => '[{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]')),
  7::bigint, 'parts are enough of a message');
select is((select content from kata.get_message(:'estimate', 7)), E'a\nb', 'the texts of several parts are lines of the content');
select is(
  (select parts from kata.get_message(:'estimate', 7)),
  '[{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]', 'parts are kept verbatim');
select kata.append_message(:'estimate', 'user', null, parts => '[{"type": "image_url"}]');
select is((select content from kata.get_message(:'estimate', 8)), null, 'parts without text have no content');
select kata.append_message(:'estimate', 'user', 'caption', parts => '[{"type": "text", "text": "something else"}]');
select is((select content from kata.get_message(:'estimate', 9)), 'caption', 'content that is given beside parts stays');
select kata.create_context('other unit', tokenizer => 'cl100k_base') as other_unit \gset
select kata.append_message(:'other_unit', 'user', repeat('word ', 1000));
select cmp_ok(
  (select token_count from kata.get_message(:'other_unit', 1)), '>', kata_data.estimate_tokens(repeat('word ', 1000)),
  'an estimate in another tokenizer is padded');

-- Invalid messages

select fixture.context('strict') as strict \gset
create temporary table refused (draft jsonb, description text);
insert into refused values
  ('"text"', 'a message is an object, not a string'),
  ('7', 'a message is an object, not a number'),
  ('null', 'a message is an object, not null'),
  ('[]', 'a message is an object, not an array'),
  ('{}', 'a message has a role'),
  ('{"role": "user", "content": "x", "contents": "y"}', 'an unknown key is refused'),
  ('{"role": "user", "content": "x", "version": 5}', 'the store, not the caller, gives versions'),
  ('{"role": "user", "content": "x", "digest": null}', 'an internal column is an unknown key'),
  ('{"role": "user", "content": "x", "": null}', 'an empty key is unknown'),
  ('{"content": "x"}', 'a role is not left out'),
  ('{"role": null, "content": "x"}', 'a role is not null'),
  ('{"role": "", "content": "x"}', 'a role is not empty'),
  ('{"role": "User", "content": "x"}', 'roles are lower case'),
  ('{"role": "function", "content": "x"}', 'a role is one of five'),
  ('{"role": 5, "content": "x"}', 'a role is not a number'),
  ('{"role": ["user"], "content": "x"}', 'a role is not an array'),
  ('{"role": "user", "content": 5}', 'content is not a number'),
  ('{"role": "user", "content": true}', 'content is not a boolean'),
  ('{"role": "user", "content": {"text": "x"}}', 'content is not an object'),
  ('{"role": "user", "content": [{"type": "text", "text": "x"}]}', 'content is not an array: these are parts'),
  ('{"role": "user"}', 'a message has content'),
  ('{"role": "user", "content": null}', 'content is not null by itself'),
  ('{"role": "assistant", "content": null, "tool_calls": []}', 'an empty list of calls does not replace content'),
  ('{"role": "user", "content": null, "parts": []}', 'an empty list of parts does not replace content'),
  ('{"role": "user", "content": "x", "name": 5}', 'a name is not a number'),
  ('{"role": "user", "content": "x", "name": {"first": "x"}}', 'a name is not an object'),
  ('{"role": "user", "content": "x", "name": ["x"]}', 'a name is not an array'),
  ('{"role": "user", "content": "x", "name": []}', 'a name is not an empty array'),
  ('{"role": "user", "content": "x", "model": 5}', 'a model is not a number'),
  ('{"role": "user", "content": "x", "model": ["gpt"]}', 'a model is not an array'),
  ('{"role": "tool", "content": "x", "tool_call_id": "a", "tool_name": false}', 'a tool name is not a boolean'),
  ('{"role": "tool", "content": "x", "tool_call_id": "a", "tool_name": ["x"]}', 'a tool name is not an array'),
  ('{"role": "tool", "content": "x", "tool_call_id": 5}', 'a call id is not a number'),
  ('{"role": "tool", "content": "x", "tool_call_id": ["a"]}', 'a call id is not an array'),
  ('{"role": "user", "content": "x", "pinned": "true"}', 'pinned is not a string'),
  ('{"role": "user", "content": "x", "pinned": 1}', 'pinned is not a number'),
  ('{"role": "user", "content": "x", "token_count": -1}', 'a token count is not negative'),
  ('{"role": "user", "content": "x", "token_count": 1.5}', 'a token count is not a fraction'),
  ('{"role": "user", "content": "x", "token_count": 2147483648}', 'a token count has 31 bits'),
  ('{"role": "user", "content": "x", "token_count": "5"}', 'a token count is not a string'),
  ('{"role": "user", "content": "x", "token_count": [5]}', 'a token count is not an array'),
  ('{"role": "user", "content": "x", "token_count": true}', 'a token count is not a boolean'),
  ('{"role": "user", "content": "x", "token_count": 5, "token_source": "estimate"}', 'the count of a caller is not an estimate'),
  ('{"role": "user", "content": "x", "token_count": 5, "token_source": "guess"}', 'a source is exact or given'),
  ('{"role": "user", "content": "x", "token_count": 5, "token_source": 5}', 'a source is not a number'),
  ('{"role": "user", "content": "x", "token_source": "exact"}', 'a source without a count says nothing'),
  ('{"role": "user", "content": "x", "metadata": []}', 'metadata is not an array'),
  ('{"role": "user", "content": "x", "metadata": "x"}', 'metadata is not a string'),
  ('{"role": "user", "content": "x", "provider": []}', 'provider fields are not an array'),
  ('{"role": "user", "content": "x", "provider": 5}', 'provider fields are not a number'),
  ('{"role": "user", "content": "x", "parts": {"type": "text"}}', 'parts are an array, not an object'),
  ('{"role": "user", "content": "x", "parts": "x"}', 'parts are an array, not a string'),
  ('{"role": "user", "content": "x", "parts": ["x"]}', 'a part is an object, not a string'),
  ('{"role": "user", "content": "x", "parts": [null]}', 'a part is an object, not null'),
  ('{"role": "user", "content": "x", "parts": [{"text": "x"}]}', 'a part has a type'),
  ('{"role": "user", "content": "x", "parts": [{"type": 5}]}', 'the type of a part is a string'),
  ('{"role": "user", "content": "x", "parts": [{"type": "text", "text": "x"}, {}]}', 'every part has a type'),
  ('{"role": "user", "content": "x", "parts": [[{"type": "text", "text": "x"}]]}', 'parts are not nested'),
  ('{"role": "user", "content": "x", "parts": [{"type": "text"}]}', 'a part of text has a text'),
  ('{"role": "user", "content": "x", "parts": [{"type": "input_text", "text": null}]}', 'the text of a part is not null'),
  ('{"role": "user", "parts": [{"type": "text", "text": "x"}, {"type": "output_text", "text": 5}]}', 'the text of a part is a string'),
  ('{"role": "assistant", "tool_calls": {"id": "a"}}', 'calls are an array, not an object'),
  ('{"role": "assistant", "tool_calls": "x"}', 'calls are an array, not a string'),
  ('{"role": "assistant", "tool_calls": ["x"]}', 'a call is an object, not a string'),
  ('{"role": "assistant", "tool_calls": [null]}', 'a call is an object, not null'),
  ('{"role": "assistant", "tool_calls": [[{"id": "a", "function": {"name": "f", "arguments": "{}"}}]]}', 'calls are not nested'),
  ('{"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]}', 'a call has an id'),
  ('{"role": "assistant", "tool_calls": [{"id": "", "function": {"name": "f", "arguments": "{}"}}]}', 'the id of a call is not empty'),
  ('{"role": "assistant", "tool_calls": [{"id": 5, "function": {"name": "f", "arguments": "{}"}}]}', 'the id of a call is a string'),
  (
    '{"role": "assistant", "tool_calls": [{"id": ["a"], "function": {"name": "f", "arguments": "{}"}}]}', 'the id of a call is not an array'
  ),
  (
    '{"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "function": {"name": "f", "arguments": "{}"}}]}',
    'a call is of a function or custom'),
  ('{"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "f"}}]}', 'a custom call has an input'),
  ('{"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "", "input": ""}}]}', 'and a name'),
  ('{"role": "assistant", "tool_calls": [{"id": "a", "custom": {"name": "f", "input": ""}}]}', 'and a type'),
  ('{"role": "assistant", "tool_calls": [{"id": "a"}]}', 'a call says what is called'),
  ('{"role": "assistant", "tool_calls": [{"id": "a", "function": "f"}]}', 'what is called is an object'),
  ('{"role": "assistant", "tool_calls": [{"id": "a", "function": {"arguments": "{}"}}]}', 'a called function has a name'),
  (
    '{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "", "arguments": "{}"}}]}',
    'the name of a called function is not empty'),
  (
    '{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": 5, "arguments": "{}"}}]}',
    'the name of a called function is a string'),
  ('{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f"}}]}', 'a call has arguments'),
  ('{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {}}}]}', 'arguments are a string'),
  (
    '{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}, {"id": "a", '
      '"function": {"name": "f", "arguments": "{}"}}]}',
    'one message does not make two calls with one id'),
  ('{"role": "user", "content": "x", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}', 'a user calls no tools'),
  (
    '{"role": "system", "content": "x", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}',
    'a system message calls no tools'),
  (
    '{"role": "tool", "content": "x", "tool_call_id": "a", "tool_calls": [{"id": "b", "function": {"name": "f", "arguments": "{}"}}]}',
    'a result calls no tools'),
  ('{"role": "tool", "content": "x"}', 'a result names its call'),
  ('{"role": "tool", "content": "x", "tool_call_id": null}', 'a result does not name null as its call'),
  ('{"role": "tool", "content": "x", "tool_call_id": ""}', 'a result does not name an empty call'),
  ('{"role": "tool", "tool_call_id": "a"}', 'a result has content'),
  ('{"role": "user", "content": "x", "tool_call_id": "a"}', 'a user answers no call'),
  ('{"role": "assistant", "content": "x", "tool_call_id": "a"}', 'an assistant answers no call');
insert into refused
select r.draft, r.description
from (values (repeat('x', 65537))) x(long)
cross join lateral (values
  (
    jsonb_build_object(
      'role', 'assistant', 'tool_calls',
      jsonb_build_array(jsonb_build_object('id', x.long, 'function', '{"name": "f", "arguments": "{}"}'::jsonb))),
    'the id of a call has at most 64 kB'),
  (
    jsonb_build_object(
      'role', 'assistant', 'tool_calls',
      jsonb_build_array(jsonb_build_object('id', 'a', 'function', jsonb_build_object('name', x.long, 'arguments', '{}')))),
    'so has the name of a function')
) r(draft, description);
select throws_ok(format('select kata.append(%L, %L)', :'strict', jsonb_build_array(r.draft)), 'KC004', null, r.description) from refused r;
select is(array(
    select r.description
    from refused r
    cross
    join lateral fixture.error(
      format('select kata.append(%L, %L)', :'strict', jsonb_build_array('{"role": "user", "content": "fine"}'::jsonb, r.draft))) e
    where e.code <> 'KC004'
      or (e.message <> 'message 2 of the batch is invalid' and e.message !~ 'call id "a" is open') or e.detail is null or e.hint is null),
  '{}', 'what is wrong with a message is said with its place in the batch, and what to do');
select throws_ok(format('select kata.append(%L, %L)', :'strict', m.messages), 'KC004', null, m.description)
from (
  values ('{}'::jsonb, 'a batch is an array, not an object'), ('"x"', 'a batch is an array, not a string'),
  ('null', 'a batch is not JSON null')) m(messages, description);
select throws_ok(format('select kata.append(%L, null)', :'strict'), 'KC004', null, 'a batch is not null');
select results_eq(
  format(
    $$select * from fixture.error($q$select kata.append(%L, '[{"role": "user", "content": "x"}, {"role": "robot", "content": "x"}]')$q$)$$,
    :'strict'),
  $$values ('KC004', 'message 2 of the batch is invalid', 'Its role is "robot"; roles are system, developer, user, assistant and tool.',
    'Nothing was appended: correct the message and append the batch again.')$$,
  'the invalid message of a batch is named by its place');
select is(
  (select e.detail from fixture.error(format('select kata.append(%L, %L)', :'strict', b.messages)) e), b.detail, b.description)
from (values
  (
    '[{"role": "user", "parts": [{"type": "image"}, {"type": "text", "text": 5}]}]',
    'Its part 2 is of type text, and its text is number, not a string.',
    'a part without a text is named by its place'),
  (
    '[{"role": "user", "parts": [{"type": "text"}]}]', 'Its part 1 is of type text, and its text is missing.',
    'so is one whose text is missing')
) b(messages, detail, description);
select results_eq(
  format($$select * from fixture.error($q$select kata.append(%L, '{"role": "user"}')$q$)$$, :'strict'),
  $$values (
      'KC004', 'messages must be an array of at most 10000 messages', 'It is object.',
      'Pass a JSON array of message objects; split a longer one, each call is one batch.')$$,
  'missing brackets are named');
select throws_ok(format('select kata.append_message(%L, %s)', :'strict', a.arguments), 'KC004', null, a.description)
from (values
  ($$'robot', 'x'$$, 'a single message has one of the five roles'), ('null, null', 'a single message has a role'),
  ($$'user', null$$, 'a single message has content'),
  ($$'user', 'x', -1$$, 'the count of a single message is not negative'), ($$'tool', 'x'$$, 'a single result names its call'),
  ($$'user', 'x', tool_calls => fixture.calls('a')$$, 'a single message of a user calls no tools'),
  ($$'user', 'x', metadata => '[]'$$, 'the metadata of a single message are an object'),
  ($$'user', 'x', provider => '"x"'$$, 'the provider fields of a single message are an object'),
  ($$'user', 'x', parts => '{}'$$, 'the parts of a single message are an array'),
  ($$'user', 'x', 1, parts => '[{"type": "text"}]'$$, 'a part of text of a single message has a text'),
  ($$'assistant', 'x', tool_calls => '{}'$$, 'the calls of a single message are an array'),
  ($$'user', 'x', 5, token_source => 'estimate'$$, 'the source of a single message is exact or given')
) a(arguments, description);
-- Objects of providers

select results_eq(
  format($$
    select e.detail, coalesce((regexp_match(e.hint, 'adapters[.](from_[a-z]+)'))[1], e.hint)
    from fixture.error(format('select kata.append(%%L, %%L)', %L, %L)) e
  $$, :'strict', jsonb_build_array(p.draft)),
  format('values (%L, %L)', p.detail, p.adapter), format('an object for %s is refused: %s', p.adapter, p.detail))
from (values
  (
    '{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]}'::jsonb,
    'Its content is array; content is a string, and parts hold other media.', 'from_anthropic'
  ),
  (
    '{"role": "user", "parts": [{"type": "text", "text": "x"}, {"type": "tool_result", "tool_use_id": "a"}]}',
    'It has a part of type tool_result; calls are tool_calls, and a result is a message of the role tool.', 'from_anthropic'
  ),
  (
    '{"role": "user", "content": [{"type": "image", "source": {}}]}',
    'Its content is array; content is a string, and parts hold other media.', 'from_anthropic'
  ),
  (
    '{"role": "assistant", "parts": [{"type": "function_call", "call_id": "a"}]}',
    'It has a part of type function_call; calls are tool_calls, and a result is a message of the role tool.', 'from_responses'
  ),
  ('{"type": "function_call_output", "call_id": "a", "output": "x"}', 'Its key "type" is unknown.', 'from_responses'),
  (
    '{"role": "user", "content": [{"type": "text", "text": "x"}]}',
    'Its content is array; content is a string, and parts hold other media.', 'from_openai'
  ),
  ('{"role": "assistant", "content": null, "refusal": "no"}', 'Its key "refusal" is unknown.', 'from_openai'),
  (
    '{"role": "model", "parts": [{"text": "x"}]}',
    'Its role is "model"; roles are system, developer, user, assistant and tool.', 'from_gemini'
  ),
  ('{"role": "user", "parts": [{"functionResponse": {}}]}', 'Its parts are not an array of objects with a type.', 'from_gemini'),
  (
    '{"role": "user", "parts": [5]}', 'Its parts are not an array of objects with a type.',
    'Nothing was appended: correct the message and append the batch again.'
  )
) p(draft, detail, adapter);
select fixture.context('custom') as custom \gset
select is(
  kata.append_message(
    :'custom', 'assistant', null, tool_calls => '[{"id": "a", "type": "custom", "custom": {"name": "run", "input": "ls"}}]'),
  1::bigint, 'a custom call is taken');
select is(
  (select m.tool_calls from kata.get_message(:'custom', 1) m),
  '[{"id": "a", "type": "custom", "custom": {"name": "run", "input": "ls"}}]', 'and kept as it is');
select is((select g.open_calls from kata.get_context(:'custom') g), '{a}', 'a custom call is open until its result comes');
select is((select h.preview from kata.history(:'custom') h), 'run(ls)', 'its preview says what is called');
select kata.append_message(:'custom', 'tool', 'ok', tool_call_id => 'a');
select isnt_empty(
  format($$select from kata.artifacts(%L, 'tool_call') a where a.ref = 'run'$$, :'custom'), 'its tool is an artifact');
select isnt_empty(format($$select from kata.search(%L, 'run') s where s.version = 1$$, :'custom'), 'a search finds it');
select kata.erase_message(:'custom', 1, 'test');
select is(
  (select m.tool_calls from kata.get_message(:'custom', 1) m),
  '[{"id": "a", "type": "custom", "custom": {"name": "run", "input": ""}}]', 'erasure takes its input and keeps its name');
select is_empty(format('select * from kata.verify(%L)', :'custom'), 'and the log stays sound');

select throws_ok(
  format($$select kata.append(%L, '[{"role": "user", "content": "nul \u0000"}]')$$, :'strict'), '22P05', null,
  'a NUL is refused by Postgres');
select throws_ok(
  format($$select kata.append(%L, '[{"role": "user", "content": "\ud800"}]')$$, :'strict'), '22P02', null,
  'half a surrogate pair is refused by Postgres');
select results_eq(
  format('select version, raw_tokens from kata.get_context(%L)', :'strict'), 'values (0::bigint, 0::bigint)',
  'nothing that is refused leaves a trace');
select is(fixture.talk('strict', 'user 1'), '{1}', 'after a refusal the corrected batch takes the versions');
select throws_ok(
  $$select kata.append('00000000-0000-7000-8000-000000000000', '[]')$$, 'KC001', null, 'nothing is appended to an unknown context');
select throws_ok(
  $$select kata.append_message('00000000-0000-7000-8000-000000000000', 'user', 'x')$$, 'KC001', null,
  'no message is appended to an unknown context');
select throws_ok($$select kata.append_message(null, 'user', 'x')$$, 'KC001', null, 'no message is appended to no context');

select throws_ok(
  format(
    $$select kata.append_message(
        %L, 'assistant', null, 1, tool_calls => jsonb_build_array(jsonb_build_object('id', repeat('x', 65537), 'type', 'function',
  'function', '{"name": "f", "arguments": "{}"}'::jsonb)))$$, :'strict'), 'KC004', null, 'nor does the id of a single call have more');
select fixture.context('signed') as signed \gset
select lives_ok(format('select kata.append(%L, %L)', :'signed', jsonb_build_array(
  jsonb_build_object('role', 'assistant', 'tool_calls', jsonb_build_array(
    jsonb_build_object(
      'id', repeat('x', 65536), 'function', jsonb_build_object('name', repeat('y', 65536), 'arguments', repeat('z', 100000))))),
  jsonb_build_object(
    'role', 'tool', 'content', 'x', 'tool_call_id', repeat('x', 65536)
  ))), 'an id that carries a signature fits, and arguments are as long as they are');

-- Limits

select fixture.context('limits') as limits \gset
select kata.append(:'limits', '[{"role": "assistant", "content": "", "tool_calls": [
  {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}]');
select is(
  array[(fixture.error(format($$select kata.append_message(%L, %L, 'x', 1, %s)$$, :'limits', f.role, f.given))).code,
    (fixture.error(format($$select kata.append(%L, %L)$$, :'limits', jsonb_build_array(f.draft)))).code],
  '{KC004,KC004}', f.what)
from (values
  ('tool', $$repeat('x', 65537)$$, jsonb_build_object('role', 'tool', 'content', 'x', 'token_count', 1, 'tool_call_id', repeat('x', 65537)),
    'a tool_call_id has at most 64 kB'),
  ('tool', $$'a', repeat('x', 65537)$$,
    jsonb_build_object('role', 'tool', 'content', 'x', 'token_count', 1, 'tool_call_id', 'a', 'tool_name', repeat('x', 65537)),
    'so has a tool_name'),
  ('user', $$name => repeat('x', 65537)$$, jsonb_build_object('role', 'user', 'content', 'x', 'token_count', 1, 'name', repeat('x', 65537)),
    'a name'),
  ('user', $$model => repeat('x', 65537)$$,
    jsonb_build_object('role', 'user', 'content', 'x', 'token_count', 1, 'model', repeat('x', 65537)),
    'and a model')) f(role, given, draft, what);
select is(
  kata.append_message(:'limits', 'tool', 'x', 1, 'a', repeat('x', 65536), model => repeat('x', 65536), name => repeat('x', 65536)),
  2::bigint, '64 kB fit');
create function pg_temp.calling(first_id integer, last_id integer) returns jsonb
language sql
as $$
  select jsonb_build_array(jsonb_build_object('role', 'assistant', 'content', '', 'tool_calls', jsonb_agg(jsonb_build_object(
    'id', 'c' || n, 'type', 'function', 'function', '{"name": "f", "arguments": "{}"}'::jsonb))))
  from generate_series(first_id, last_id) n
$$;
select throws_ok(
  format('select kata.append(%L, pg_temp.calling(1, 1001))', :'limits'), 'KC004', 'message 1 of the batch is invalid',
  'a message has at most 1000 calls');
select lives_ok(format('select kata.append(%L, pg_temp.calling(1, 999))', :'limits'), 'and may have nearly as many');
select lives_ok(format('select kata.append(%L, pg_temp.calling(1000, 1000))', :'limits'), '1000 calls may be open');
select throws_ok(
  format('select kata.append(%L, pg_temp.calling(1001, 1001))', :'limits'), 'KC004', 'more than 1000 calls would be open', 'not one more');
select is((select count(*) from kata.close_calls(:'limits')), 1000::bigint, 'all of them can be closed');
select lives_ok(format('select kata.append(%L, pg_temp.calling(1001, 1001))', :'limits'), 'then the next one is welcome');

-- What the writer has seen

select fixture.context('seen') as seen \gset
select throws_ok(format($$select kata.append_message(%L, 'user', 'x', expected_version => %s)$$, :'seen', e.version), 'KC003', null,
  format('version %s of an empty context was never seen', e.version))
from (values (-1), (1)) e(version);
select is(kata.append_message(:'seen', 'user', 'x', 1, expected_version => 0), 1::bigint, 'who saw the empty context writes first');
select throws_ok(
  format($$select kata.append_message(%L, 'user', 'x', expected_version => 0)$$, :'seen'), 'KC003', null,
  'who saw only the empty context is too late');
select is(kata.append_message(:'seen', 'user', 'x', 1, expected_version => 1), 2::bigint, 'who saw the last message writes next');
select results_eq(
  format($$select version from kata.append(%L, fixture.drafts('user 1, user 1'), 2)$$, :'seen'), 'values (3::bigint), (4)',
  'a batch is written by who saw the last message');
select throws_ok(
  format($$select kata.append(%L, fixture.drafts('user 1'), %s)$$, :'seen', e.version), 'KC003', null,
  format('at version 4, version %s is a conflict', e.version))
from (values (-1), (0), (1), (2), (3), (5), (9223372036854775807)) e(version);
select throws_ok(format($$select kata.append(%L, '[]', 1)$$, :'seen'), 'KC003', null, 'an empty batch conflicts, too');
select is_empty(format($$select kata.append(%L, '[]', 4)$$, :'seen'), 'an empty batch appends nothing');
select lives_ok(format($$select kata.append(%L, fixture.drafts('user 1'))$$, :'seen'), 'who expects nothing is welcome');
select results_eq(
  format($$select * from fixture.error($q$select kata.append_message(%L, 'user', 'x', expected_version => 2)$q$)$$, :'seen'),
  format(
    $$values
      ('KC003', 'version conflict on context %s', 'Version 2 was expected; the context is at version 5, and its last message is version 5.',
    'Read what came in between, then try again with the new version.')$$, :'seen'),
  'a conflict names the expected version and the one found');
select is((select version from kata.get_context(:'seen')), 5::bigint, 'a conflict writes nothing');

-- Whole or nothing

select throws_ok(
  $$select fixture.talk('seen', 'user 1, tool 1 answers unknown')$$, 'KC005', null, 'a batch with a result of an unknown call is refused');
select throws_ok(
  $$select fixture.talk('seen', 'assistant 1 calls a, assistant 1 calls a')$$, 'KC004', null, 'a batch that opens one call twice is refused'
);
select results_eq(
  format('select version, raw_tokens, open_calls from kata.get_context(%L)', :'seen'), $$values (5::bigint, 5::bigint, '{}'::text[])$$,
  'a refused batch leaves nothing, no call either');
select results_eq(
  format(
    $$select version
      from kata.append(
        %L, '[{"role": "user", "content": "same", "token_count": 1}, {"role": "user", "content": "same", "token_count": 1}]')$$,
    :'seen'),
  'values (6::bigint), (7)', 'the same content twice is two messages');
select is(kata.append_message(:'seen', 'user', 'same', 1), 8::bigint, 'the same content again is another message');

-- The short look at a message

select results_eq(
  $$with draft as (
      select r.draft || c.draft || t.draft || k.draft as draft
      from (
        values ('{}'::jsonb), ('{"role": "user"}'), ('{"role": "assistant"}'), ('{"role": "tool"}'), ('{"role": 1}'), ('{"role": "x"}')
      ) r(draft)
      cross join (
        values ('{}'::jsonb), ('{"content": "x"}'), ('{"content": null}'), ('{"content": 1}'), ('{"content": "x", "parts": []}')
      ) c(draft)
      cross join (
        values ('{}'::jsonb), ('{"token_count": 1}'), ('{"token_count": 1.0}'), ('{"token_count": -1}'), ('{"token_count": "1"}'),
          ('{"token_count": 2147483648}'), ('{"token_count": true}'), ('{"token_count": []}'),
          ('{"token_count": 1, "token_source": "estimate"}'), ('{"token_count": 2147483647, "token_source": "exact"}')) t(draft)
      cross join (
        values ('{}'::jsonb), ('{"tool_call_id": "a"}'), ('{"tool_call_id": ""}'), ('{"tool_call_id": 1}'), ('{"tool_calls": []}'),
          ('{"tool_calls": null}'),
          ('{"tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}'),
          ('{"tool_calls": [{"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}'),
          ('{"tool_calls": [{"id": "a", "type": "function", "function": {"name": "f"}}], "tool_call_id": "a"}'), ('{"other": 1}')) k(draft)
    ),
    looked_at as (
      select kata_data.is_usual_draft(d.draft) is true as is_usual, coalesce(
        kata_data.draft_problem(d.draft),
        kata_data.message_problem(jsonb_populate_record(null::kata_data.message, d.draft))) as problem
      from draft d
    )
    select count(*) filter (where l.is_usual) > 10, count(*) filter (where l.is_usual and l.problem is not null) from looked_at l$$,
  'values (true, 0::bigint)', 'a message that the short look takes for usual has no problem');

select * from finish();
rollback;
