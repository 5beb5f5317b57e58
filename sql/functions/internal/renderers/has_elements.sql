-- tool_calls and parts may be empty arrays, which count as absent.

create or replace function kata_data.has_elements(value jsonb) returns boolean
language sql immutable
as $$
  select case jsonb_typeof(value) when 'array' then value <> '[]' else false end
$$;
comment on function kata_data.has_elements(jsonb) is 'Whether a value is an array that is not empty.';
