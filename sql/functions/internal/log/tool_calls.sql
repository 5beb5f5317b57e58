-- What tool calls and parts of a message may be.

create or replace function kata_data.has_elements(value jsonb) returns boolean
language sql immutable
as $$
  select case jsonb_typeof(value) when 'array' then value <> '[]' else false end
$$;
comment on function kata_data.has_elements(jsonb) is 'Whether a value is an array that is not empty.';

create or replace function kata_data.tool_calls_fit(tool_calls jsonb) returns boolean
language sql stable
as $$
  select case jsonb_typeof(tool_calls)
    when 'array' then jsonb_array_length(tool_calls) = jsonb_array_length(jsonb_path_query_array(tool_calls,
      'strict $[*] ? (@.type() == "object" && @.id.type() == "string" && @.id != "" && (!(@.keyvalue().key == "type") || @.type == "function")
        && @.function.type() == "object" && @.function.name.type() == "string" && @.function.name != "" && @.function.arguments.type() == "string")'))
      -- As json_fits, but for no writing out: arguments are long.
      and not jsonb_path_exists(tool_calls, 'strict $.**{101}')
      and not jsonb_path_exists(tool_calls, 'strict $.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))')
      -- Apart, so that this function stays one expression, which is inlined.
      and (pg_column_size(tool_calls) <= 65536 or kata_data.call_ids_fit(tool_calls))
    else tool_calls is null
  end
$$;
comment on function kata_data.tool_calls_fit(jsonb) is 'Whether tool calls are in the OpenAI chat form, with ids and names of at most 64 kB, or absent.';

create or replace function kata_data.is_usual_call(tool_calls jsonb) returns boolean
language sql stable
as $$
  select pg_column_size(tool_calls) <= 65536
    and tool_calls @@ 'strict $.size() == 1 && $[0].id != "" && $[0].type == "function" && $[0].function.name != ""
      && $[0].function.arguments.type() == "string" && !exists($[*].** ? (@.type() != "string" && @.type() != "object"))
      && !exists($[*].**{3 to last})'
$$;
comment on function kata_data.is_usual_call(jsonb) is
'Whether tool calls are a single one in the OpenAI chat form with nothing unusual in it, an id of unusual length included, so that
tool_calls_fit need not look closer. Null where it is no array.';

create or replace function kata_data.call_ids_fit(tool_calls jsonb) returns boolean
language plpgsql immutable
as $$
begin
  -- The head holds the ids of open calls, and every append reads it.
  return not exists (
    select
    from jsonb_array_elements(tool_calls) c(call)
    where greatest(octet_length(c.call ->> 'id'), octet_length(c.call #>> '{function,name}')) > 65536);
end
$$;
comment on function kata_data.call_ids_fit(jsonb) is 'Whether the ids and names of tool calls, which are in the OpenAI chat form, have at most 64 kB.';

create or replace function kata_data.parts_fit(parts jsonb) returns boolean
language sql immutable
as $$
  select case jsonb_typeof(parts)
    when 'array' then jsonb_array_length(parts) = jsonb_array_length(jsonb_path_query_array(parts, 'strict $[*] ? (@.type() == "object" && @.type.type() == "string")'))
    else parts is null
  end
$$;
comment on function kata_data.parts_fit(jsonb) is 'Whether content parts are an array of objects with a type, or absent.';
