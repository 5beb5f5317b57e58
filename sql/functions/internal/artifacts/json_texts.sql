-- JSON among the texts of messages: what is JSON, and which strings it holds.

create or replace function kata_data.as_json(body text) returns jsonb
language plpgsql immutable
as $$
begin
  if ascii(ltrim(left(body, 100), E' \t\r\n')) in (91, 123) and octet_length(body) <= 4194304 then
    begin
      return body::jsonb;
    exception
      -- Not JSON, or not such as jsonb can hold: \u0000, too large a number, nested too deep.
      when data_exception or program_limit_exceeded then
        return null;
    end;
  end if;
  return null;
end
$$;
comment on function kata_data.as_json(text) is 'A text as JSON, if it is an object or an array of at most 4 MB; else null.';

create or replace function kata_data.may_be_json(body text) returns boolean
language sql immutable
as $$
  -- White space, or a bracket that opens: cheaper than a call of as_json, which most texts do not need.
  select ascii(body) in (9, 10, 13, 32, 91, 123)
$$;
comment on function kata_data.may_be_json(text) is 'Whether a text may be an object or an array in JSON, by its first character.';

create or replace function kata_data.may_escape(body text) returns boolean
language sql immutable
as $$
  select position(E'\\' in body) > 0 or position('"{' in body) > 0 or position('"[' in body) > 0
$$;
comment on function kata_data.may_escape(text) is
'Whether strings in a JSON text may be escaped, or JSON themselves.

Where none is, the strings read as they are written.';

create or replace function kata_data.joined_strings(strings jsonb) returns text
language sql immutable
as $$
  select replace(substr(left(strings::text, -2), 3), '", "', E'\n')
$$;
comment on function kata_data.joined_strings(jsonb) is
'An array of strings as one text, a line each, where none of them is escaped.

It is the array as written, without the quotes: faster than one row per string.';

create or replace function kata_data.texts_among(strings jsonb) returns table (string text)
language sql immutable
as $$
  select t.string
  from jsonb_array_elements_text(strings) t(string)
  where case when left(t.string, 1) in ('{', '[') then kata_data.as_json(t.string) is null else true end
$$;
comment on function kata_data.texts_among(jsonb) is 'Those of an array of strings that are not JSON themselves.';
