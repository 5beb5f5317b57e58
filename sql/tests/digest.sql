-- The digest of a coding log: the current state first, nothing that is still in view, within its budget.

begin;
select plan(40);

create function pg_temp.call(id text, name text, arguments jsonb) returns jsonb
language sql
as $$
  select jsonb_build_object('role', 'assistant', 'tool_calls', jsonb_build_array(jsonb_build_object(
    'id', id, 'type', 'function', 'function', jsonb_build_object('name', name, 'arguments', arguments::text))))
$$;

create function pg_temp.result(id text, content text) returns jsonb
language sql
as $$
  select jsonb_build_object('role', 'tool', 'tool_call_id', id, 'content', content)
$$;

create function pg_temp.digested(context_id uuid) returns text
language plpgsql
as $$
declare
  v_version bigint := (kata.compact(context_id, force => true)).summary_version;
begin
  return (select m.content from kata.get_message(context_id, v_version) m);
end
$$;

select fixture.context('coded', '{"preserve_recent_count": 2, "min_gain_tokens": 0}') as coded \gset
select kata.append(:'coded', jsonb_build_array(
  '{"role": "system", "content": "You write code."}'::jsonb,
  jsonb_build_object(
    'role', 'user', 'content',
    E'<environment_details>\nOpen tabs: a.py, b.py\n</environment_details>\n<task>Add a login to the shop.</task>\n\n'
      || repeat('rule of the house ', 20)),
  pg_temp.call('a', 'update_plan', '{"plan": [{"step": "read the code", "status": "pending"}]}'), pg_temp.result('a', 'ok'),
  pg_temp.call('b', 'bash', '{"command": "pytest -q"}'), pg_temp.result('b', E'E   assert 1 == 2\n1 failed, 3 passed in 0.1s'),
  pg_temp.call('c', 'bash', '{"command": "make docs"}'), pg_temp.result('c', 'make: *** [docs] Error 2'),
  pg_temp.call('d', 'str_replace', '{"path": "shop/login.py", "old_str": "pass", "new_str": "check(password)"}'),
  pg_temp.result('d', 'edited'),
  pg_temp.call('e', 'bash', '{"command": "rm shop/old.py"}'), pg_temp.result('e', ''),
  pg_temp.call('f', 'bash', '{"command": "pytest -q"}'), pg_temp.result('f', '4 passed in 0.1s'),
  jsonb_build_object(
    'role', 'user', 'content', E'This is the picture.\n\n' || repeat('rule of the house ', 20), 'parts',
    '[{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]'::jsonb),
  pg_temp.call('g', 'todo_write', '{"todos": [{"content": "read the code", "status": "completed"}, {"content": "write a test", "status": '
    '"in_progress"}, {"content": "say so\nin the docs", "status": "pending"}]}'), pg_temp.result('g', 'ok'),
  jsonb_build_object('role', 'assistant', 'content', 'The login is written. '
    || repeat('It is long. ', 400) || 'Shall I add a captcha? Goodbye.'),
  '{"role": "user", "content": "Not now."}'::jsonb, '{"role": "user", "content": "Go on."}'::jsonb,
  '{"role": "assistant", "content": "I go on."}'::jsonb));
create temporary table made as select pg_temp.digested(:'coded') as content;

select is((select strpos(content, m.text) > 0 from made), m.is_there, m.what)
from (values
  (E'[x] read the code\n[>] write a test\n[ ] say so\n  in the docs\n', true, 'the last plan is there, with the state of its steps'),
  ('[ ] read the code', false, 'not an earlier one'),
  ('The login is written.', true, 'so is the beginning of the last words of the assistant'),
  ('Goodbye.', true, 'and their end'),
  (E'Questions in them:\n- Shall I add a captcha?\n', true, 'what they ask is named where they are cut'),
  ('Add a login to the shop.', true, 'the first request is there'),
  ('<task>', false, 'without the tags around it'),
  ('Open tabs', false, 'and without the context that an editor put there'),
  ('Not now.', true, 'so is the last request that leaves the view'),
  ('Go on.', false, 'not one that is still in view'),
  ('[version 15] [image]', true, 'an image leaves a mark'),
  ('1 images and files', true, 'and is counted'),
  ('shop/login.py: written in version 9: pass → check(password)', true, 'a file that was changed says how'),
  ('shop/old.py: deleted in version 11', true, 'or that it is gone'),
  (E'[version 8]\n```\n$ make docs\nmake: *** [docs] Error 2', true, 'a command that failed is there, with its result'),
  ('1 failed, 3 passed', false, 'not one that succeeded later'),
  ('file shop/login.py (last', false, 'a file that was changed is not listed again'),
  ('tool_call todo_write (last in version 16)', true, 'other artifacts are')) m(text, is_there, what);
select is(
  (select count(*) from made cross join lateral regexp_matches(content, 'rule of the house rule', 'g')), 10::bigint,
  'context that comes with each request is shown once');
select is(
  (select metadata -> 'digest' from kata.get_message(:'coded', 22)),
  '{"plan": 16, "roles": {"tool": 7, "user": 3, "assistant": 8}, "media": 1, "words": 18, "tokens": 0, "failures": [8], '
    '"requests": [2, 15, 19], "last_version": 19, "first_version": 2}'::jsonb || jsonb_build_object('tokens', (
      select sum(token_count) from kata.messages(:'coded', visibility => 'raw') where version between 2 and 19)),
  'it keeps the versions of what it quotes');

-- The next digest takes it up.

select kata.append(:'coded', jsonb_build_array(
  pg_temp.call('h', 'bash', '{"command": "make docs"}'), pg_temp.result('h', repeat('done ', 3000)),
  pg_temp.call('i', 'shell', '{"cmd": ["curl", "-H", "Authorization: Bearer abcdef0123456789"]}'),
  pg_temp.result('i', 'curl: command not found'),
  jsonb_build_object('role', 'user', 'content', repeat('Thanks for that. ', 60)), '{"role": "user", "content": "Bye."}'::jsonb));
truncate made;
insert into made select pg_temp.digested(:'coded');
select is((select strpos(content, m.text) > 0 from made), m.is_there, m.what)
from (values
  ('[>] write a test', true, 'the plan of the digest before stays'), ('I go on.', true, 'the last words are newer'),
  ('make docs', false, 'the command succeeded meanwhile'), ('curl: command not found', true, 'another failed'),
  ('abcdef0123456789', false, 'without the key that it was given'), ('make: ***', false, 'the result that it had is gone, too'),
  ('shop/old.py: deleted', true, 'changes stay')) m(text, is_there, what);
select is(array(select fixture.contradictions('coded')), '{}', 'all reads agree');

-- Its parts

select is(kata_data.own_words(w.content), w.words, w.what)
from (values
  (E'<user_query>\nFix <b>it</b></user_query>', 'Fix <b>it</b>', 'tags that are the user''s stay'),
  ('<system-reminder>a</system-reminder> b <system-reminder>c</system-reminder>', 'b', 'each block of context goes'),
  ('<tasks>1</tasks>', '<tasks>1</tasks>', 'a tag that only begins like one of the list stays')) w(content, words, what);
select is(kata_data.result_shows_failure(r.command, r.content), r.has_failed, left(r.content, 30))
from (values
  ('python a.py', E'a\nTraceback (most recent call last):\n', true), ('x', '<returncode>1</returncode>', true),
  ('x', '<returncode>0</returncode>', false), ('pytest', '0 failed, 12 passed', false),
  ('cargo', 'error[E0382]: borrow of moved value', true),
  ('x', 'no errors found', false), ('cd a && cat x.log', 'FAILED twice', false),
  ('cat x.log', 'cat: x.log: No such file or directory', true))
  r(command, content, has_failed);
select cmp_ok(
  (select max(c.result_tokens::numeric / kata_data.summary_budget(c)) from kata_data.compaction c where c.strategy = 'digest'),
  '<=', 1::numeric,
  'each keeps its budget');

select * from finish();
rollback;
