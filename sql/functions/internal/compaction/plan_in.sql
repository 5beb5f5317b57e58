-- The plan of an agent: a list of steps that it sends to a tool, whatever the tool is called.

create or replace function kata_data.plan_in(tool_calls jsonb) returns text
language plpgsql immutable
as $$
begin
  if tool_calls is null or position('status' in tool_calls::text) = 0 then
    return null;
  end if;
  return (
    select string_agg(
      concat(
        case
          when s.step ->> 'status' in ('completed', 'complete', 'done', 'finished') then '[x] '
          when s.step ->> 'status' in ('in_progress', 'in-progress', 'active', 'doing') then '[>] '
          else '[ ] '
        end,
        kata_data.indented(s.text)),
      E'\n' order by c.place, s.place)
    from jsonb_array_elements(tool_calls) with ordinality c(call, place)
    cross join lateral (select kata_data.as_json(c.call #>> '{function,arguments}') as body offset 0) b
    cross join lateral jsonb_path_query(b.body, 'strict $.* ? (@.type() == "array")', silent => true) l(list)
    cross join lateral (
      select s.step, s.place, coalesce(s.step ->> 'content', s.step ->> 'step', s.step ->> 'task', s.step ->> 'title', s.step ->> 'text') as text
      from jsonb_array_elements(l.list) with ordinality s(step, place)
      where jsonb_typeof(s.step) = 'object'
        and jsonb_typeof(s.step -> 'status') = 'string'
    ) s
    where s.text is not null);
end
$$;
comment on function kata_data.plan_in(jsonb) is
'The steps of a plan among the arguments of calls, a line each with its state; null where there is none.

A plan is an array of objects, each with a status and a text: content, step, task, title or text.';
