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
