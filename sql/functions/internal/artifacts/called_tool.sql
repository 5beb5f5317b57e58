-- Which tool a result comes from, where the result itself does not name it.

create or replace function kata_data.called_tool(segment_id uuid, group_version bigint, tool_call_id text) returns text
language sql stable
as $$
  select kata_data.call_name(c.call)
  from kata_data.segments(called_tool.segment_id, called_tool.group_version, called_tool.group_version) s
  cross join lateral (
    select m.tool_calls
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version = s.first_version
    offset 0
  ) m
  cross join lateral jsonb_array_elements(m.tool_calls) c(call)
  where c.call ->> 'id' = called_tool.tool_call_id
  limit 1
$$;
comment on function kata_data.called_tool(uuid, bigint, text) is
'The tool whose call a result answers; the call may be in an ancestor of the segment.';
