-- The form of content parts: any provider's, as long as each says its type.

create or replace function kata_data.parts_fit(parts jsonb) returns boolean
language sql immutable
as $$
  select case jsonb_typeof(parts)
    when 'array' then jsonb_array_length(parts) = jsonb_array_length(jsonb_path_query_array(
      parts, 'strict $[*] ? (@.type() == "object" && @.type.type() == "string")'))
    else parts is null
  end
$$;
comment on function kata_data.parts_fit(jsonb) is 'Whether content parts are an array of objects with a type, or absent.';
