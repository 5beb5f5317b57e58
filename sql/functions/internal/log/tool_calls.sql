-- The form of tool calls: a short look for the usual one, a close look for the others. Ids and names are limited, because the head holds
-- the ids of open calls, and every append reads it.

create or replace function kata_data.tool_calls_fit(tool_calls jsonb) returns boolean
language sql stable
as $$
  select case jsonb_typeof(tool_calls)
    when 'array' then jsonb_array_length(tool_calls) = jsonb_array_length(jsonb_path_query_array(tool_calls,
      'strict $[*] ? (@.type() == "object" && @.id.type() == "string" && @.id != "" && (
        (!(@.keyvalue().key == "type") || @.type == "function") && @.function.type() == "object"
          && @.function.name.type() == "string" && @.function.name != "" && @.function.arguments.type() == "string"
        || @.type == "custom" && @.custom.type() == "object"
          && @.custom.name.type() == "string" && @.custom.name != "" && @.custom.input.type() == "string"))'))
      -- As json_fits, without writing the value out: arguments are long.
      and not jsonb_path_exists(tool_calls, 'strict $.**{101}')
      and not jsonb_path_exists(tool_calls, 'strict $.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))')
      -- In a function of its own, so that this one stays a single expression and is inlined.
      and (pg_column_size(tool_calls) <= 65536 or kata_data.call_ids_fit(tool_calls))
    else tool_calls is null
  end
$$;
comment on function kata_data.tool_calls_fit(jsonb) is
'Whether tool calls, of functions or custom ones, are in the OpenAI chat form, with ids and names of at most 64 kB, or absent.';

create or replace function kata_data.is_single_function_call(tool_calls jsonb) returns boolean
language sql stable
as $$
  select pg_column_size(tool_calls) <= 65536
    and tool_calls @@ 'strict $.size() == 1 && $[0].id != "" && $[0].type == "function" && $[0].function.name != ""
      && $[0].function.arguments.type() == "string" && !exists($[*].** ? (@.type() != "string" && @.type() != "object"))
      && !exists($[*].**{3 to last})'
$$;
comment on function kata_data.is_single_function_call(jsonb) is
'Whether tool calls are a single function call in the plainest OpenAI chat form: strings only, no further level, at most 64 kB, so that
tool_calls_fit need not look closer. Null where the value is not an array.';

create or replace function kata_data.call_ids_fit(tool_calls jsonb) returns boolean
language plpgsql immutable
as $$
begin
  return not exists (
    select
    from jsonb_array_elements(tool_calls) c(call)
    where greatest(octet_length(c.call ->> 'id'), octet_length(c.call #>> '{function,name}'), octet_length(c.call #>> '{custom,name}')) > 65536);
end
$$;
comment on function kata_data.call_ids_fit(jsonb) is
'Whether the ids and names of tool calls in the OpenAI chat form have at most 64 kB.';
