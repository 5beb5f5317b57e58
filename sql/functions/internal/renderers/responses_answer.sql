-- An answer of the assistant as items of the OpenAI Responses form, in the order in which it came: reasoning, messages, calls, tools that the
-- provider runs. Reasoning goes out with the items that it came with, or not at all: an item whose reasoning is missing is refused by its id.

create or replace function kata_data.responses_answer(
  content text, parts jsonb, tool_calls jsonb, provider jsonb, thinking text, version bigint
) returns jsonb
language plpgsql stable
as $$
declare
  v_entry record;
  v_item jsonb;
  v_message jsonb;
  v_items jsonb[] := '{}'::jsonb[];
  v_is_whole boolean := kata_data.has_whole_reasoning(parts, thinking);
begin
  for v_entry in select e.part, e.call from kata_data.turn_entries(content, parts, tool_calls) e
  loop
    v_item := case when v_entry.part is null then kata_data.responses_call(v_entry.call) else kata_data.responses_answer_part(v_entry.part, version) end;
    if v_item ? 'text' or v_item ? 'refusal' then
      if v_message is not null and v_entry.part ? 'item' then
        v_items := v_items || v_message;
        v_message := null;
      end if;
      v_message := coalesce(v_message, kata_data.responses_said(v_entry.part -> 'item'));
      v_message := jsonb_set(v_message, '{content}', (v_message -> 'content') || jsonb_build_array(v_item));
      continue;
    end if;
    if v_item is not null and (v_is_whole or v_item ->> 'type' <> 'reasoning') then
      v_items := v_items || v_message || v_item;
      v_message := null;
    end if;
  end loop;
  v_items := array_remove(v_items || v_message, null);
  if v_items = '{}' then
    v_items := array_remove(array[kata_data.responses_beside(provider)], null);
  end if;
  -- Nothing of the answer follows.
  while v_items[cardinality(v_items)] ->> 'type' = 'reasoning' loop
    v_items := trim_array(v_items, 1);
  end loop;
  if not v_is_whole then
    v_items := array(
      select i.item - 'id'
      from unnest(v_items) with ordinality i(item, ordinality)
      where i.item ->> 'type' in ('message', 'function_call', 'custom_tool_call', 'shell_call', 'apply_patch_call', 'compaction')
      order by i.ordinality);
  end if;
  return to_jsonb(v_items);
end
$$;
comment on function kata_data.responses_answer(text, jsonb, jsonb, jsonb, text, bigint) is
'An assistant''s message as items.

Where its reasoning cannot go out, what refers to it by an id has none, and what needs an id is left out.';

create or replace function kata_data.has_whole_reasoning(parts jsonb, thinking text default null) returns boolean
language sql immutable
as $$
  select parts is null or not exists (
    select
    from jsonb_array_elements(parts) p(part)
    where p.part ->> 'type' = 'reasoning'
      and not coalesce(p.part ->> 'encrypted_content' <> '' and p.part ->> 'id' <> '' and thinking is distinct from 'drop', false))
$$;
comment on function kata_data.has_whole_reasoning(jsonb, text) is
'Whether each reasoning item among some parts can go out: the provider keeps nothing, so its encrypted content is all that there is.';

create or replace function kata_data.responses_said(item jsonb) returns jsonb
language sql stable
as $$
  select '{"type": "message", "role": "assistant", "content": []}'::jsonb
    || kata_data.responses_status(item)
    || case when item ->> 'id' <> '' then jsonb_build_object('id', item -> 'id') else '{}' end
    || case when item ->> 'phase' in ('commentary', 'final_answer') then jsonb_build_object('phase', item -> 'phase') else '{}' end
$$;
comment on function kata_data.responses_said(jsonb) is 'A message of the assistant without content. item: the fields that it had, null for none.';

create or replace function kata_data.responses_beside(provider jsonb) returns jsonb
language sql stable
as $$
  select jsonb_build_object('type', 'message', 'role', 'assistant', 'content', jsonb_build_array(case
    when not kata_data.is_blank(provider ->> 'refusal') then jsonb_build_object('type', 'refusal', 'refusal', provider -> 'refusal')
    else '{"type": "output_text", "text": "[audio]", "annotations": []}' end))
  where not kata_data.is_blank(provider ->> 'refusal') or jsonb_typeof(provider -> 'audio') = 'object'
$$;
comment on function kata_data.responses_beside(jsonb) is
'An answer that has neither content nor calls as a message: the refusal or the sound beside it; null without them.';

create or replace function kata_data.responses_answer_part(part jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_read record := kata_data.read_part(part);
  v_item jsonb;
begin
  if part ->> 'type' = 'reasoning' then
    return '{"summary": []}'::jsonb || kata_data.with_fields(part, '{id,encrypted_content}', '{summary,content,status}');
  elsif v_read.kind = 'thinking' then
    return null;
  elsif v_read.kind = 'refusal' then
    return case when not kata_data.is_blank(v_read.words) then jsonb_build_object('type', 'refusal', 'refusal', v_read.words) end;
  elsif v_read.words is not null then
    return case when not kata_data.is_blank(v_read.words) then
      jsonb_build_object('type', 'output_text', 'text', v_read.words) || kata_data.sent_annotations(case when v_read.kind = 'text' then part end)
    end;
  elsif v_read.kind = 'audio' then
    return '{"type": "output_text", "text": "[audio]", "annotations": []}'::jsonb;
  end if;
  v_item := kata_data.responses_hosted(part);
  if v_item is null then
    perform kata_data.refuse_part(part, version, 'responses');
  end if;
  return v_item;
end
$$;
comment on function kata_data.responses_answer_part(jsonb, bigint) is
'A part of an answer: a part of a message, or an item; null for one that is left out: blank text, thinking of others. KC022.';

create or replace function kata_data.responses_hosted(part jsonb) returns jsonb
language sql immutable
as $$
  select case part ->> 'type'
    when 'web_search_call' then kata_data.with_fields(part, '{id,status,action}', '{}')
    when 'file_search_call' then kata_data.with_fields(part, '{id,status,queries}', '{results}')
    when 'code_interpreter_call' then
      '{"code": null, "outputs": null}'::jsonb || kata_data.with_fields(part, '{id,status,container_id}', '{code,outputs}')
    when 'image_generation_call' then
      '{"result": null}'::jsonb || kata_data.with_fields(
        part, '{id,status}', '{result,action,background,error,output_format,quality,revised_prompt,size,svg_usage}')
    when 'mcp_call' then kata_data.with_fields(part, '{id,name,arguments,server_label}', '{approval_request_id,error,output,status}')
    when 'mcp_list_tools' then kata_data.with_fields(part, '{id,server_label,tools}', '{error}')
    when 'compaction' then kata_data.with_fields(part, '{encrypted_content}', '{id}')
  end
$$;
comment on function kata_data.responses_hosted(jsonb) is 'A call of a tool that the provider runs, with its result, or a compaction; null for other parts.';

create or replace function kata_data.responses_call(call jsonb) returns jsonb
language plpgsql stable
as $$
declare
  v_fields jsonb := coalesce(call -> 'responses', '{}');
  v_kept jsonb := kata_data.responses_status(v_fields)
    || case when v_fields ->> 'id' <> '' then jsonb_build_object('id', v_fields -> 'id') else '{}' end
    || kata_data.sent_caller(v_fields, 'responses')
    || case when v_fields ->> 'namespace' <> '' then jsonb_build_object('namespace', v_fields -> 'namespace') else '{}' end;
begin
  return case call ->> 'type'
    when 'function' then jsonb_build_object(
      'type', 'function_call', 'call_id', call -> 'id', 'name', call #> '{function,name}', 'arguments', call #> '{function,arguments}') || v_kept
    when 'custom' then jsonb_build_object(
      'type', 'custom_tool_call', 'call_id', call -> 'id', 'name', call #> '{custom,name}', 'input', call #> '{custom,input}') || (v_kept - 'status')
    else kata_data.responses_native_call(call)
  end;
end
$$;
comment on function kata_data.responses_call(jsonb) is 'A call as an item. call: as prompt_messages has it.';
