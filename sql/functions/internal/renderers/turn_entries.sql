-- The blocks of an assistant's turn. Calls are stored beside the parts; parts_before says where a call stood among them.

create or replace function kata_data.turn_entries(content text, parts jsonb, tool_calls jsonb)
returns table (part jsonb, call jsonb)
language plpgsql immutable rows 4
as $$
begin
  if not kata_data.has_elements(parts) then
    if not kata_data.is_blank(content) then
      part := jsonb_build_object('type', 'text', 'text', content);
      return next;
      part := null;
    end if;
    return query
    select null::jsonb, c.call
    from jsonb_array_elements(tool_calls) with ordinality c(call, ordinality)
    order by c.ordinality;
    return;
  end if;
  return query
  select e.part, e.call
  from (
    select p.part, null::jsonb as call, p.ordinality as place, 0::bigint as ordinality
    from jsonb_array_elements(parts) with ordinality p(part, ordinality)
    union all
    select null, c.call, case
        when jsonb_typeof(c.call -> 'parts_before') = 'number' then floor((c.call ->> 'parts_before')::numeric)
        else 2147483647
      end, c.ordinality
    from jsonb_array_elements(tool_calls) with ordinality c(call, ordinality)
  ) e
  order by e.place, e.ordinality;
end
$$;
comment on function kata_data.turn_entries(text, jsonb, jsonb) is
'The parts and the calls of an assistant''s message in their order, one of both per row; its text, unless that is blank, where it has no parts.';
