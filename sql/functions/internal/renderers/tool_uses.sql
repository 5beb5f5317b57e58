-- Tool calls in the Anthropic form, which takes their arguments as an object.

create or replace function kata_data.tool_use(call jsonb) returns jsonb
language sql stable
as $$
  select jsonb_build_object(
      'type', 'tool_use', 'id', call -> 'id', 'name', call #> '{function,name}', 'input', kata_data.tool_input(call #>> '{function,arguments}'))
    || case when call ? 'anthropic' then kata_data.sent_caller(call -> 'anthropic', 'anthropic')
      || kata_data.object_field(call -> 'anthropic', 'cache_control')
      || case when call #>> '{anthropic,toolset_name}' <> '' then jsonb_build_object('toolset_name', call #> '{anthropic,toolset_name}') else '{}' end
    else '{}' end
$$;
comment on function kata_data.tool_use(jsonb) is 'A call as a block of the Anthropic form.';

create or replace function kata_data.tool_input(arguments text) returns jsonb
language plpgsql stable
as $$
declare
  v_input jsonb := kata_data.read_json(arguments);
begin
  if jsonb_typeof(v_input) = 'object' then
    return v_input;
  elsif kata_data.is_blank(arguments) then
    return '{}'::jsonb;
  end if;
  return jsonb_build_object('arguments', arguments);
end
$$;
comment on function kata_data.tool_input(text) is
'The arguments of a call as an object.

Text that is not a JSON object, or not one that every client can read, becomes its field "arguments".';

create or replace function kata_data.read_json(content text) returns jsonb
language plpgsql stable
as $$
declare
  v_value jsonb;
begin
  v_value := content::jsonb;
  return case when kata_data.json_fits(v_value) then v_value end;
exception
  -- Not JSON, or JSON that jsonb cannot hold: \u0000, too large a number, nested too deep.
  when data_exception or program_limit_exceeded then
    return null;
end
$$;
comment on function kata_data.read_json(text) is 'A text as JSON; null if it is not JSON, or not such that every client can read.';

create or replace function kata_data.is_plain_object(content text) returns boolean
language sql immutable
as $$
  select case
    -- jsonb refuses some escaped characters, and they may hide tags.
    when ascii(content) <> 123 or strpos(content, E'\\u') > 0 then false
    -- So few characters are neither too deep nor, without an exponent, too large.
    when octet_length(content) <= 200 then content !~ ('[0-9][eE][-+]?[0-9]' collate "C") and content is json object
    -- Each level opens a bracket, and a number beyond 1e308 has an exponent or many digits.
    when octet_length(content) > octet_length(replace(content, '{', '')) + 50 then false
    when octet_length(content) > octet_length(replace(content, '[', '')) + 50 then false
    when content ~ ('[0-9]([eE][-+]?[0-9]|[0-9]{24})' collate "C") then false
    else content is json object
  end
$$;
comment on function kata_data.is_plain_object(text) is
'Whether a text is a JSON object that goes into a document as it is, without being read. Few that read_json can read do not.';

create or replace function kata_data.is_json_object(content text) returns boolean
language plpgsql stable
as $$
begin
  -- The first character excludes most other texts.
  return case
    when ascii(content) <> 123 and content !~ (E'^[ \\t\\n\\r]*[{]' collate "C") then false
    when kata_data.is_plain_object(content) then true
    else coalesce(jsonb_typeof(kata_data.read_json(content)) = 'object', false)
  end;
end
$$;
comment on function kata_data.is_json_object(text) is 'Whether a text is a JSON object that every client can read.';
