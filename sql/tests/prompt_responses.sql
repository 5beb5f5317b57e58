-- A prompt in the OpenAI Responses form: what came in it goes back item by item, what came in another form is translated.

begin;
select plan(22);

create function pg_temp.input(context_id uuid) returns jsonb
language sql
as $$
  select kata.prompt(context_id, 1000000, 'responses') -> 'input'
$$;
comment on function pg_temp.input(uuid) is 'The items of a prompt in the Responses form.';

-- As it came

select fixture.context('items') as items \gset
select kata.append(:'items', $$[
  {"role": "system", "content": "Be brief."},
  {"role": "developer", "content": "Use the tools."},
  {"role": "user", "parts": [{"type": "input_text", "text": "what is this?"},
    {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
    {"type": "input_file", "file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}]},
  {"role": "assistant", "parts": [
      {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA"},
      {"type": "output_text", "text": "I shall look.", "annotations": [], "item": {"id": "msg_1", "status": "completed",
        "phase": "commentary"}},
      {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "cats"}},
      {"type": "output_text", "text": "And now ", "annotations": [], "item": {"id": "msg_2", "status": "completed"}},
      {"type": "output_text", "text": "here.", "annotations": []}],
    "tool_calls": [
      {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"at\": 1}"}, "parts_before": 2,
      "responses": {"id": "fc_1", "status": "completed"}},
      {"id": "call_2", "type": "function", "function": {"name": "apply_patch_call", "arguments":
      "{\"operation\": {\"type\": \"delete_file\", \"path\": \"a\"}}"}, "responses": {"type": "apply_patch_call", "id": "apc_1",
        "status": "completed"}}]},
  {"role": "tool", "tool_call_id": "call_1", "content": "a cat", "provider": {"id": "fco_1", "status": "completed"}},
  {"role": "tool", "tool_call_id": "call_2", "content": "done", "provider": {"type": "apply_patch_call_output", "status": "completed"}},
  {"role": "user", "content": "thanks"}]$$);
select is(kata.prompt(:'items', 100000, 'responses'), $${"instructions": "Be brief.", "input": [
  {"type": "message", "role": "developer", "content": "Use the tools."},
  {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "what is this?"},
    {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
    {"type": "input_file", "file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}]},
  {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA"},
  {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "phase": "commentary",
    "content": [{"type": "output_text", "text": "I shall look.", "annotations": []}]},
  {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{\"at\": 1}", "id": "fc_1", "status": "completed"},
  {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "cats"}},
  {"type": "message", "role": "assistant", "id": "msg_2", "status": "completed", "content": [
    {"type": "output_text", "text": "And now ", "annotations": []}, {"type": "output_text", "text": "here.", "annotations": []}]},
  {"type": "apply_patch_call", "call_id": "call_2", "id": "apc_1", "status": "completed", "operation": {"type": "delete_file",
    "path": "a"}},
  {"type": "function_call_output", "call_id": "call_1", "output": "a cat", "id": "fco_1", "status": "completed"},
  {"type": "apply_patch_call_output", "call_id": "call_2", "output": "done", "status": "completed"},
  {"type": "message", "role": "user", "content": "thanks"}]}$$::jsonb, 'items come back as they came, in their order');

-- Reasoning

select fixture.context('reasons') as reasons \gset
select kata.append(:'reasons', $$[
  {"role": "user", "content": "hello"},
  {"role": "assistant", "parts": [{"type": "reasoning", "id": "rs_1", "summary": []},
      {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "cats"}},
      {"type": "output_text", "text": "well", "annotations": [], "item": {"id": "msg_1", "status": "completed"}}],
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}, "responses": {"id": "fc_1"}}]},
  {"role": "assistant", "parts": [{"type": "output_text", "text": "so", "annotations": []},
    {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAA"}]}]$$);
select is(pg_temp.input(:'reasons') -> 1,
  '{"type": "message", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "well",
    "annotations": []}]}',
  'reasoning that cannot go out takes the id of what came with it, and the calls that need one');
select is(pg_temp.input(:'reasons') -> 2, '{"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}',
  'a call without its reasoning has no id');
select is(jsonb_array_length(pg_temp.input(:'reasons')), 5, 'reasoning with nothing of its answer behind is left out');
select fixture.context('thoughts') as thoughts \gset
select kata.append(:'thoughts', $$[
  {"role": "assistant", "parts": [{"type": "thinking", "thinking": "hm", "signature": "sig"}]},
  {"role": "assistant", "parts": [{"type": "thinking", "thinking": "hm", "signature": "sig"}, {"type": "text", "text": "well"},
    {"type": "refusal", "refusal": "no"}]}]$$);
select is(pg_temp.input(:'thoughts'), '[{"type": "message", "role": "assistant", "content": [
  {"type": "output_text", "text": "well", "annotations": []}, {"type": "refusal", "refusal": "no"}]}]', 'thinking of others is left out');

-- Ids

select fixture.context('twins') as twins \gset
select kata.append(:'twins', (select jsonb_agg('{"role": "assistant", "parts": [
  {"type": "output_text", "text": "well", "annotations": [], "item": {"id": "msg_1",
    "status": "completed"}}]}'::jsonb) from generate_series(1, 3)));
select is(jsonb_path_query_array(pg_temp.input(:'twins'), '$[*].id'), '["msg_1", "msg_1_u2", "msg_1_u3"]', 'an id of an item comes once');
select fixture.context('long ids') as long_ids \gset
select kata.append(:'long_ids', jsonb_build_array(jsonb_build_object('role', 'assistant', 'content', null, 'tool_calls', jsonb_build_array(
  jsonb_build_object('id', repeat('x', 64), 'type', 'function', 'function', '{"name": "f", "arguments": "{}"}'::jsonb),
  jsonb_build_object('id', repeat('y', 65), 'type', 'function', 'function', '{"name": "fs.look", "arguments": "{}"}'::jsonb)))));
select is(jsonb_path_query_array(pg_temp.input(:'long_ids'), '$[*].call_id'),
  jsonb_build_array(repeat('x', 64), repeat('y', 35) || '_v1n2'), 'an id of a call has at most 64 characters');
select is(pg_temp.input(:'long_ids') #>> '{1,name}', 'fs_look', 'a name has the letters of the form');

-- Instructions

select fixture.context('instructions') as instructions \gset
select kata.append(:'instructions', $$[
  {"role": "system", "content": "One."}, {"role": "system", "content": " \n"}, {"role": "system", "content": "Two."},
  {"role": "system", "parts": [{"type": "text", "text": "Three.", "prompt_cache_breakpoint": {"mode": "explicit"}}]},
  {"role": "user", "content": "hello"}, {"role": "system", "content": "Four."}]$$);
select is(kata.prompt(:'instructions', 10000, 'responses'), $${"instructions": "One.\n\nTwo.", "input": [
  {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Three.",
    "prompt_cache_breakpoint": {"mode": "explicit"}}]},
  {"type": "message", "role": "user", "content": "hello"},
  {"type": "message", "role": "system", "content": "Four."}]}$$::jsonb,
    'the texts of the preamble are the instructions, other system messages are items');
select fixture.context('nothing') as nothing \gset
select is(kata.prompt(:'nothing', 100, 'responses'), '{"instructions": null, "input": []}',
  'an empty context has no instructions and no items');

-- Marks of a cache

select fixture.context('breakpoints') as breakpoints \gset
select kata.append(:'breakpoints', $$[
  {"role": "user", "parts": [
    {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
    {"type": "input_image", "image_url": "https://example.com/a.png", "prompt_cache_breakpoint": {"mode": "explicit"}}]},
  {"role": "assistant", "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
  {"role": "tool", "tool_call_id": "t1", "parts": [
    {"type": "text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit"}},
    {"type": "text", "text": "c", "cache_control": {"type": "ephemeral"}},
    {"type": "text", "text": " ", "prompt_cache_breakpoint": {"mode": "explicit"}},
    {"type": "input_image", "image_url": "https://example.com/b.png", "prompt_cache_breakpoint": {"mode": "explicit"}}]},
  {"role": "user", "parts": [{"type": "text", "text": "d", "prompt_cache_breakpoint": {"mode": "explicit"}}]}]$$);
select is(
  jsonb_path_query_array(
    kata.prompt(:'breakpoints', 10000, 'responses'),
    'strict $.** ? (exists(@.prompt_cache_breakpoint)).keyvalue() ? (@.key == "text" || @.key == "image_url").value'),
  '["https://example.com/a.png", "b", "https://example.com/b.png", "d"]',
  'outputs have marks of a cache, too, and the newest four of all go out');
select is(kata.prompt(:'breakpoints', 10000) #> '{0,content,1}',
  $${"type": "image_url", "image_url": {"url": "https://example.com/a.png"}, "prompt_cache_breakpoint": {"mode": "explicit"}}$$::jsonb,
  'so have images of the chat form');

-- Translated

select fixture.context('foreign') as foreign_parts \gset
select kata.append(:'foreign_parts', $$[
  {"role": "user", "name": "ann", "parts": [
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K", "detail": "high"}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0K"}},
    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
    {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
    {"type": "inline_data", "inlineData": {"mimeType": "image/gif", "data": "R0lG"}},
    {"type": "search_result", "source": "https://example.com", "title": "a", "content": [{"type": "text", "text": "found"}]},
    {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}]},
  {"role": "assistant", "content": "", "provider": {"refusal": "no", "reasoning_content": "hm"}},
  {"role": "assistant", "content": null, "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "look", "arguments": "{}"},
    "anthropic": {"caller": {"type": "direct"}}}]},
  {"role": "tool", "tool_call_id": "t1", "provider": {"is_error": true, "cache_control": {"type": "ephemeral"}}, "parts": [
    {"type": "text", "text": "see"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0K"}}]}]$$);
select is(pg_temp.input(:'foreign_parts') -> 0, $${"type": "message", "role": "user", "content": [
  {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0K", "detail": "high"},
  {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0K", "detail": "auto"},
  {"type": "input_file", "file_data": "data:application/pdf;base64,JVBE", "filename": "document"},
  {"type": "input_text", "text": "words"},
  {"type": "input_file", "file_url": "https://example.com/a.pdf"},
  {"type": "input_image", "image_url": "data:image/gif;base64,R0lG", "detail": "auto"},
  {"type": "input_text", "text": "a\nhttps://example.com\nfound"},
  {"type": "input_text", "text": "[audio]"}]}$$::jsonb, 'media of other forms are translated, without the name of the user');
select is(pg_temp.input(:'foreign_parts') -> 1,
  '{"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}', 'a refusal beside the content is a part');
select is(pg_temp.input(:'foreign_parts') -> 2, '{"type": "function_call", "call_id": "t1", "name": "look", "arguments": "{}"}',
  'fields of another form do not go out');
select is(pg_temp.input(:'foreign_parts') -> 3, $${"type": "function_call_output", "call_id": "t1", "output": [
  {"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0K",
    "detail": "auto"}]}$$::jsonb,
  'a result keeps its image');
select results_eq(
  format('select e.code, e.detail from fixture.error(%L) e', format('select kata.prompt(%L, 10000, %L)', c.context_id, 'responses')),
  format('values (%L, %L)', 'KC022', format('Version 1 has a part of type "%s", which the form has no place for.', c.type)),
  'no place for ' || c.type)
from (
  select kata.create_context() as context_id, p.part, p.part ->> 'type' as type
  from (values
    ('{"type": "image", "source": {"type": "file", "file_id": "file_1"}}'::jsonb),
    ('{"type": "file_data", "fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/a", "mimeType": "image/png"}}'),
    ('{"type": "item_reference", "id": "msg_1"}')
  ) p(part)
) c
cross join lateral kata.append(c.context_id, jsonb_build_array(jsonb_build_object('role', 'user', 'parts', jsonb_build_array(c.part)))) a;

-- Calls without a result, results without a call

select fixture.context('natives') as natives \gset
select kata.append(:'natives', $$[
  {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function",
    "function": {"name": "computer_call", "arguments": "{\"action\": {\"type\": \"screenshot\"}}"},
    "responses": {"type": "computer_call", "id": "cu_1", "status": "completed", "pending_safety_checks": []}}]}]$$);
select is(pg_temp.input(:'natives'), $$[{"type": "computer_call", "call_id": "call_1", "id": "cu_1", "status": "completed",
  "pending_safety_checks": [], "action": {"type": "screenshot"}}]$$::jsonb, 'the call of a computer is open');
select kata.append(:'natives', '[{"role": "user", "content": "stop"}]');
select is(pg_temp.input(:'natives') - 2, $$[
  {"type": "function_call", "call_id": "call_1", "name": "computer_call", "arguments": "{\"action\": {\"type\": \"screenshot\"}}",
  "id": "cu_1", "status": "completed"},
  {"type": "function_call_output", "call_id": "call_1", "output": "[no result]"}]$$::jsonb, 'closed by text, it is one of a function');
select fixture.context('loose', '{"strict": false}') as loose \gset
select kata.append(:'loose', $$[{"role": "tool", "tool_call_id": "ghost", "content": "boo"},
  {"role": "tool", "tool_call_id": "ghost", "parts": [{"type": "text", "text": "boo"}]}]$$);
select is(pg_temp.input(:'loose'), $$[
  {"type": "message", "role": "user", "content": "[result of call ghost] boo"},
  {"type": "message", "role": "user", "content": [
    {"type": "input_text", "text": "[result of call ghost]"}, {"type": "input_text", "text": "boo"}]}]$$::jsonb,
  'a result whose call is not in the log is text of the user');

select * from finish();
rollback;
