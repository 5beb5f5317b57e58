-- Options of a prompt: how system messages after the preamble go out, and which thinking does.

begin;
select plan(21);

select fixture.context('systems') as systems \gset
select kata.append(:'systems', $$[
  {"role": "system", "content": "Be brief."},
  {"role": "user", "content": "hello"},
  {"role": "system", "content": "One."},
  {"role": "developer", "content": "Two."},
  {"role": "system", "parts": [{"type": "text", "text": "Three."}]},
  {"role": "assistant", "content": "well"},
  {"role": "system", "content": "Four."}]$$);
select is(kata.prompt(:'systems', 10000, system => 'wrapped'), kata.prompt(:'systems', 10000), 'wrapped is the default');
select is(kata.prompt(:'systems', 10000, system => 'native'), kata.prompt(:'systems', 10000),
  'the OpenAI chat form has system messages anyway');
select is(kata.prompt(:'systems', 10000, 'anthropic', system => 'native'), $${"system": "Be brief.", "messages": [
  {"role": "user", "content": [{"type": "text", "text": "hello"}]},
  {"role": "system", "content": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}, {"type": "text", "text": "Three."}]},
  {"role": "assistant", "content": [{"type": "text", "text": "well"}]},
  {"role": "system", "content": [{"type": "text", "text": "Four."}]}]}$$::jsonb, 'native system messages are turns of the Anthropic form');
select is(kata.prompt(:'systems', 10000, 'anthropic', system => 'joined'), kata.prompt(:'systems', 10000, 'anthropic'),
  'neighbors are in one turn of the Anthropic form anyway');
select is(kata.prompt(:'systems', 10000, system => 'joined'), $$[
  {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"},
  {"role": "system", "content": [{"type": "text", "text": "One.\n\nTwo."}, {"type": "text", "text": "Three."}]},
  {"role": "assistant", "content": "well"}, {"role": "system", "content": "Four."}]$$::jsonb, 'joined neighbors are one message');
select is(kata.prompt(:'systems', 10000, 'responses', system => 'joined') -> 'input' -> 1,
  '{"type": "message", "role": "system", "content": [{"type": "input_text", "text": "One.\n\nTwo."}, {"type": "input_text",
    "text": "Three."}]}',
  'and one item');
select fixture.context('openers') as openers \gset
select kata.append(:'openers', '[{"role": "assistant", "content": "hi", "token_count": 50}, {"role": "system", "content": "Be brief."}]');
select is(kata.prompt(:'openers', 40, 'anthropic', system => 'native') -> 'messages' -> 0 ->> 'role', 'user',
  'the first turn is the user''s, not the system''s');

-- Thinking

select fixture.context('thoughts') as thoughts \gset
select kata.append(:'thoughts', $$[
  {"role": "user", "content": "hello"},
  {"role": "assistant", "parts": [{"type": "thinking", "thinking": "old", "signature": "sig"}, {"type": "text", "text": "hi"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
    {"type": "thinking", "thinking": "own", "thought": true, "thoughtSignature": "sig"},
    {"type": "output_text", "text": "there", "annotations": [], "item": {"id": "msg_1", "status": "completed"}}]},
  {"role": "user", "content": "look"},
  {"role": "assistant", "parts": [{"type": "thinking", "thinking": "new", "signature": "sig"}],
    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
  {"role": "tool", "tool_call_id": "a", "content": "found"}]$$);
create function pg_temp.thoughts(context_id uuid, format text, thinking text) returns jsonb
language sql
as $$
  select coalesce(jsonb_path_query_array(kata.prompt(context_id, 100000, format, thinking => thinking),
    'strict $.** ? (@.type == "thinking" || @.type == "reasoning" || @.thought == true).*
      ? (@ == "old" || @ == "new" || @ == "own" || @ == "rs_1")'), '[]')
$$;
comment on function pg_temp.thoughts(uuid, text, text) is 'The thinking in a prompt.';
select is(pg_temp.thoughts(:'thoughts', t.format, t.thinking), t.thoughts,
  format('the form %s has with %L the thinking %s', t.format, t.thinking, t.thoughts))
from (values
  ('anthropic', null, '["new"]'::jsonb), ('anthropic', 'assume', '["new"]'), ('anthropic', 'keep', '["old", "new"]'), ('anthropic',
    'drop', '[]'),
  ('responses', null, '["rs_1"]'), ('responses', 'drop', '[]'), ('gemini', 'keep', '["own"]'), ('gemini', 'drop', '[]'), ('openai',
    'keep', '[]')
) t(format, thinking, thoughts);
select is(jsonb_path_query_array(kata.prompt(:'thoughts', 100000, 'responses', thinking => 'drop'), '$.input[*].id'), '[]',
  'what came with dropped reasoning has no id');

-- Refused

select results_eq(
  format('select e.code, e.message, e.hint from fixture.error(%L) e', format('select kata.prompt(%L, 100, %s)', :'systems', r.options)),
  format('values (%L, %L, %L)', 'KC017', r.message, r.hint), 'refused: ' || r.options)
from (values
  ($$system => 'tagged'$$, 'system "tagged" is unknown', 'Pass wrapped, native or joined.'),
  ($$system => null$$, 'system "null" is unknown', 'Pass wrapped, native or joined.'),
  ($$format => 'gemini', system => 'native'$$, 'system "native" does not exist in the form gemini', 'Pass wrapped.'),
  ($$thinking => 'some'$$, 'thinking "some" is unknown', 'Pass keep, drop or assume.')
) r(options, message, hint);

select * from finish();
rollback;
