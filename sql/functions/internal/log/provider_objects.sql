-- Objects of providers that were not converted: their calls and results, which groups would not see, and the adapter that converts them.

create or replace function kata_data.call_part(parts jsonb) returns text
language sql immutable
as $$
  select jsonb_path_query_first(parts, 'strict $[*].type ? (@ like_regex
    "^(tool_use|tool_result|tool-call|tool-result|((function|custom_tool|computer|local_shell|shell|apply_patch)_call(_output)?)|function_response)$")')
    #>> '{}'
$$;
comment on function kata_data.call_part(jsonb) is
'The type of the first part that is a call or its result in the form of a provider; null if there is none. parts: as parts_fit wants them.';

create or replace function kata_data.adapter_of(draft jsonb) returns text
language sql immutable
as $$
  select case
    when draft ->> 'role' = 'model' or jsonb_path_exists(draft, 'lax $.parts[*] ? (exists (@.text) || exists (@.functionCall)
        || exists (@.functionResponse) || exists (@.inlineData) || exists (@.fileData)) ? (!exists (@.type))')
      then 'from_gemini'
    when draft ? 'stop_reason' or jsonb_path_exists(draft, 'lax $.content[*].type ? (@ like_regex "^(tool_|thinking|redacted_|document|server_tool)")')
        or draft @? 'lax $.content[*].source' or draft @? 'lax $.parts[*].type ? (@ like_regex "^tool_(use|result)$")'
      then 'from_anthropic'
    when draft ? 'type' or draft @? 'lax $.content[*].type ? (@ like_regex "^(input|output)_(text|image|file)$")'
        or kata_data.call_part(case when kata_data.parts_fit(draft -> 'parts') then draft -> 'parts' end) ~ ('_call' collate "C")
      then 'from_responses'
    when jsonb_typeof(draft -> 'content') = 'array' or draft ->> 'role' = 'function'
        or draft ?| '{refusal,audio,function_call,annotations,reasoning_content,reasoning_details,choices}'
      then 'from_openai'
  end
$$;
comment on function kata_data.adapter_of(jsonb) is
'The adapter of the Python driver for what looks like a message of a provider; null for anything else.';
