-- The name of what a call calls, and its arguments: JSON as text for a function, any text for a custom tool.

create or replace function kata_data.call_name(call jsonb) returns text
language sql immutable
as $$
  select coalesce(call #>> '{function,name}', call #>> '{custom,name}')
$$;
comment on function kata_data.call_name(jsonb) is 'The name of what a call calls.';

create or replace function kata_data.call_arguments(call jsonb) returns text
language sql immutable
as $$
  select coalesce(call #>> '{function,arguments}', call #>> '{custom,input}')
$$;
comment on function kata_data.call_arguments(jsonb) is 'The arguments of a call as its text: mostly JSON, of a custom tool any text.';

create or replace function kata_data.named_calls(tool_calls jsonb) returns jsonb
language sql immutable
as $$
  select coalesce(
    (select jsonb_agg(jsonb_build_array(c.call ->> 'id', kata_data.call_name(c.call)) order by c.ordinality)
     from jsonb_array_elements(nullif(tool_calls, 'null')) with ordinality c(call, ordinality)),
    '[]')
$$;
comment on function kata_data.named_calls(jsonb) is 'The id and the name of each call, in order: what an amendment keeps. An empty array for no call.';
