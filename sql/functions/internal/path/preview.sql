-- The first characters of a message, for lists.

create or replace function kata_data.preview(content text, tool_calls jsonb) returns text
language sql immutable
as $$
  select left(case
    when coalesce(content, '') = '' and kata_data.has_elements(tool_calls) then (
      select string_agg(format('%s(%s)', c.call #>> '{function,name}', c.call #>> '{function,arguments}'), ', ' order by c.ordinality)
      from jsonb_array_elements(tool_calls) with ordinality c(call, ordinality))
    else coalesce(content, '')
  end, 100)
$$;
comment on function kata_data.preview(text, jsonb) is 'The first 100 characters of a message: of its text, or else of its calls.';
