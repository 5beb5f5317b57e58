-- The content of a message that has only parts: what a reader of plain text is shown.

create or replace function kata_data.parts_text(parts jsonb) returns text
language sql immutable
as $$
  select string_agg(p.part ->> 'text', E'\n' order by p.ordinality)
  from jsonb_array_elements(parts) with ordinality p(part, ordinality)
  where p.part ->> 'type' in ('text', 'input_text', 'output_text')
$$;
comment on function kata_data.parts_text(jsonb) is 'The text of content parts, a line break between two.';
