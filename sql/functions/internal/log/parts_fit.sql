-- The form of content parts: any provider's, as long as each says its type, and one of text has its text.

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

create or replace function kata_data.text_problem(parts jsonb) returns text
language sql immutable
as $$
  select format(
    'Its part %s is of type %s, and its text is %s.', p.ordinality, p.part ->> 'type',
    coalesce(jsonb_typeof(p.part -> 'text') || ', not a string', 'missing'))
  from jsonb_array_elements(parts) with ordinality p(part, ordinality)
  where p.part ->> 'type' in ('text', 'input_text', 'output_text')
    and jsonb_typeof(p.part -> 'text') is distinct from 'string'
  order by p.ordinality
  limit 1
$$;
comment on function kata_data.text_problem(jsonb) is
'A sentence on the first part of text without a text; null if there is none.

parts: an array of objects.';
