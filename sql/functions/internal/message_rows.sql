-- A page of messages as get_message and messages show them: the ranges are walked in order, each piece by its index, until the
-- page is full.

create or replace function kata_data.message_rows(context_id uuid, low bigint, high bigint, max_rows integer, descending boolean)
returns table (
  version bigint, "position" bigint, role text, content text, token_count integer, token_source text, tool_call_id text,
  tool_name text, tool_calls jsonb, model text, metadata jsonb, pinned boolean, kind text, compacted_into bigint,
  group_version bigint, segment_id uuid, created_at timestamptz, name text, parts jsonb, provider jsonb
)
language plpgsql stable rows 100
as $$
declare
  v_low bigint := low;
  v_high bigint := high;
begin
  -- Every version of a path is one entry, so a page is a range of versions.
  if descending then
    v_low := greatest(low, high - max_rows + 1);
  else
    v_high := least(high, low + max_rows - 1);
  end if;
  if v_low > v_high then
    return;
  end if;
  return query
  select m.version, m.version, m.role, m.content, m.token_count, m.token_source, m.tool_call_id,
    m.tool_name, m.tool_calls, m.model, m.metadata, m.pinned, 'message', null::bigint,
    m.group_version, m.segment_id, m.created_at, m.name, m.parts, m.provider
  from kata_data.path_messages(message_rows.context_id, int8multirange(int8range(v_low, v_high, '[]'))) m
  order by case when descending then -m.version else m.version end;
end
$$;
comment on function kata_data.message_rows(uuid, bigint, bigint, integer, boolean) is 'At most max_rows messages (null: all) of the versions low to high, from the low end or, descending, from the high one.';
