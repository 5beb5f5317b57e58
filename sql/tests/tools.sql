-- Tools: a list that a model may call, as a part of the context.

begin;
select plan(42);

select fixture.context('tooled', '{"budget": 1000, "threshold": 0.5}');
select fixture.id('tooled') as id \gset
select fixture.talk('tooled', 'system 10, user 5');
select is((select row(t.*)::text from kata.get_tools(:'id') t), '(,0,,)', 'there are none at first');
select is(kata.set_tools(:'id', null), 0::bigint, 'none again changes nothing');
select is(kata.set_tools(:'id', '[]'), 0::bigint, 'nor is an empty list');
select is(kata.set_tools(:'id', '[{"z": 1, "a":  2}]', 100), 3::bigint, 'a list takes a version');
select is((select t.tools::text from kata.get_tools(:'id') t), '[{"z": 1, "a":  2}]', 'and is kept byte for byte');
select is(
  (select row(t.version, t.token_count, t.digest = sha256('[{"z": 1, "a":  2}]'))::text from kata.get_tools(:'id') t), '(3,100,t)',
  'with version, tokens and digest');
select is(kata.set_tools(:'id', '[{"z": 1, "a":  2}]', 100), 3::bigint, 'the same list with the same count again changes nothing');
select is((select row(u.view_tokens, u.tools_tokens)::text from kata.usage(:'id') u), '(15,100)', 'the view is of messages only');
select is((select row(u.view_tokens, u.tools_tokens)::text from kata.usage(:'id', 2) u), '(15,0)', 'as of before, there were none');
select is((select s.threshold_tokens from kata.compaction_status(:'id') s), 400::bigint, 'compaction is due that much earlier');
select is((select h.due_tokens from kata_data.head h where h.context_id = :'id'), 400::bigint, 'by the head, too');
select lives_ok(format('select kata.append_message(%L, ''user'', ''x'', 1, expected_version => 2)', :'id'), 'no writer fails by it');
select is(kata.set_tools(:'id', '[{"b": 1}]'), 5::bigint, 'another list');
select ok((select t.token_count > 0 from kata.get_tools(:'id') t), 'is counted by an estimate');
select is((select t.tools::text from kata.get_tools(:'id', 4) t), '[{"z": 1, "a":  2}]', 'as of before, the one before');
select kata.fork(:'id', 4, 'tooled fork');
select is((select t.tools::text from kata.get_tools(fixture.id('tooled fork')) t), '[{"z": 1, "a":  2}]', 'a fork inherits it');
select is((select s.threshold_tokens from kata.compaction_status(fixture.id('tooled fork')) s), 400::bigint, 'with its tokens');
select is((select h.due_tokens from kata_data.head h where h.context_id = fixture.id('tooled fork')), 400::bigint, 'in its head, too');
select is(kata.undo(:'id', 5), 6::bigint, 'a change of tools is undone');
select is((select t.tools::text from kata.get_tools(:'id') t), '[{"z": 1, "a":  2}]', 'which brings the list before back');
select is(kata.set_tools(:'id', '[{"z": 1, "a":  2}]'), 3::bigint, 'since its own version');
select is(kata.undo(:'id', 3), 7::bigint, 'and to none');
select is((select row(t.tools, t.version)::text from kata.get_tools(:'id') t), '(,0)', 'there are none again');
select is(kata.undo(:'id', 6), 8::bigint, 'an undo is undone');
select is((select row(t.tools, t.version)::text from kata.get_tools(:'id') t), '("[{""b"": 1}]",5)', 'which brings the later list back');
select is(kata.set_tools(:'id', '[]'), 9::bigint, 'an empty list ends it');
select is(kata.set_tools(:'id', '[]', 5), 9::bigint, 'a count of none changes nothing');
select is((select row(t.tools, t.version)::text from kata.get_tools(:'id') t), '(,9)', 'since its version');
select is(
  (select string_agg(concat_ws(' ', h.version, h.kind, h.preview), ', ' order by h.version)
   from kata.history(:'id') h where h.version in (3, 8, 9)),
  '3 tools 100 tokens, 8 undo version 6, 9 tools none', 'history names the changes');
select is((select e.code from fixture.error(format('select kata.set_tools(%L, %L)', :'id', e.tools)) e), 'KC017', e.what)
from (
  values ('{}', 'a list is an array'), ('[1]', 'of objects'), ('[{"a": "\u0000"}]', 'without NUL'), ('[{"a": "\ud83d"}]', 'half of a pair'),
    ('[{"a": 1e400000}]', 'or a number that is too large')) e(tools, what);
select throws_ok(format('select kata.set_tools(%L, ''[{}]'', -1)', :'id'), 'KC017', 'token_count must not be negative',
  'a count is not negative');
select throws_ok(format('select kata.set_tools(%L, ''[{}]'', expected_version => 1)', :'id'), 'KC003',
  format('version conflict on context %s', :'id'), 'an expected version is checked');
select kata.set_tools(fixture.id('tooled fork'), '[{"z": 2}]', 11);
select is(
  (select row(position('"tools": [{"z": 2}]' in r.body) > 0, r.token_count)::text
   from kata.request(fixture.id('tooled fork'), 500, 'openai', 'm') r), '(t,27)', 'a request sends them, and counts them');

-- Damage

select is(fixture.damage(format(d.change, fixture.id('tooled fork')), 'tooled fork'), d.problems, d.what)
from (values
  ($$update kata_data.tool_list t set content = '[{"z": 3}]' from kata_data.view_change c
    where t.digest = c.tools_digest and c.segment_id = %L$$, '{request,tools at 5}'::text[], 'a changed list is found'),
  ($$delete from kata_data.tool_list t using kata_data.view_change c where t.digest = c.tools_digest and c.segment_id = %L$$,
    '{request,tools at 5}', 'and one that is gone'),
  ($$update kata_data.view_change c set tools_digest = sha256('') where c.segment_id = %L$$, '{digest at 5,tools at 5}',
    'a view with another list'),
  ($$update kata_data.view_change c set tools_tokens = 1 where c.segment_id = %L$$, '{digest at 5,due}', 'and one with other tokens')
) d(change, problems, what);

-- Counts

select is(kata.set_tools(fixture.id('tooled fork'), '[{"z": 2}]', 13), 6::bigint, 'another count of the same list is a change');

select * from finish();
rollback;
