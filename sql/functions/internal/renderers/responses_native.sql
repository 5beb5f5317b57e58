-- Calls of the OpenAI Responses form that are not of functions: a computer, a shell, a patch. They are stored as calls of a function with the
-- name of their type (internal/log/README.md). Where a result of another form answers one, both go out as those of a function.

create or replace function kata_data.responses_native_type(
  call jsonb, parts jsonb, is_open boolean, result_content text, result_provider jsonb
) returns text
language plpgsql stable
as $$
declare
  v_type text := call #>> '{responses,type}';
begin
  if v_type in ('computer_call', 'local_shell_call', 'shell_call', 'apply_patch_call')
    and kata_data.has_whole_reasoning(parts)
    and kata_data.responses_native_call(call || jsonb_build_object('type', v_type)) is not null
    and (is_open or kata_data.responses_native_output(v_type, result_content, '', result_provider) is not null)
  then
    return v_type;
  end if;
  return null;
end
$$;
comment on function kata_data.responses_native_type(jsonb, jsonb, boolean, text, jsonb) is
'The type of a call that is not of a function; null for one that has to go out as one.

parts: beside the call. is_open: whether the result may still come. result_content, result_provider: of the result, if there is one.';

create or replace function kata_data.responses_native_call(call jsonb) returns jsonb
language plpgsql stable
as $$
declare
  v_fields jsonb := ((call -> 'responses') - '{type,call_id}'::text[]) || kata_data.tool_input(call #>> '{function,arguments}')
    || jsonb_build_object('type', call -> 'type', 'call_id', call -> 'id');
begin
  return case call ->> 'type'
    when 'computer_call' then kata_data.with_fields(v_fields, '{call_id,id,status,pending_safety_checks}', '{action,actions}')
    when 'local_shell_call' then kata_data.with_fields(v_fields, '{call_id,id,status,action}', '{}')
    when 'shell_call' then kata_data.with_fields(v_fields, '{call_id,action}', '{id,status,caller,environment}')
    when 'apply_patch_call' then kata_data.with_fields(v_fields, '{call_id,operation,status}', '{id,caller}')
  end;
end
$$;
comment on function kata_data.responses_native_call(jsonb) is 'A call that is not of a function as an item; null where a field is missing.';

create or replace function kata_data.responses_native_output(kind text, content text, tool_call_id text, provider jsonb) returns jsonb
language plpgsql stable
as $$
declare
  v_output jsonb := case when provider -> 'output_is_json' = 'true' then kata_data.read_json(content) else to_jsonb(nullif(content, '')) end;
  v_item jsonb := jsonb_build_object('type', kind || '_output', 'call_id', tool_call_id, 'output', v_output);
begin
  if provider ->> 'type' <> kind || '_output' then
    return null;
  end if;
  return case kind || ' ' || coalesce(jsonb_typeof(v_output), 'none')
    when 'local_shell_call string' then (v_item - 'call_id') || jsonb_build_object('id', tool_call_id) || kata_data.responses_status(provider)
    when 'apply_patch_call string' then v_item || kata_data.with_fields(provider, '{status}', '{id,caller}')
    when 'apply_patch_call none' then (v_item - 'output') || kata_data.with_fields(provider, '{status}', '{id,caller}')
    when 'shell_call array' then v_item || kata_data.with_fields(provider, '{type}', '{id,status,caller,max_output_length}')
    when 'computer_call object' then v_item || kata_data.with_fields(provider, '{type}', '{id,status,acknowledged_safety_checks}')
  end;
end
$$;
comment on function kata_data.responses_native_output(text, text, text, jsonb) is
'The result of a call that is not of a function as an item; null if it is not one. kind: the type of the call.';
