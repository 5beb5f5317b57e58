-- Entries of a path, as history and comparisons list them. A version is taken by one entry, so a page is a range of versions.

create or replace function kata_data.entries(context_id uuid, low bigint, high bigint)
returns table (version bigint, kind text, role text, preview text, token_count integer, view_tokens bigint, created_at timestamptz)
language plpgsql stable rows 100
as $$
begin
  if low > high then
    return;
  end if;
  return query
  select m.version, 'message', m.role, kata_data.preview(m.content, m.tool_calls), m.token_count, m.tokens_through, m.created_at
  from kata_data.path_messages(entries.context_id, int8multirange(int8range(low, high, '[]'))) m
  order by m.version;
end
$$;
comment on function kata_data.entries(uuid, bigint, bigint) is
'The entries low to high of a context''s path, oldest first. view_tokens: of the view as of the entry.';

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

create or replace function kata_data.entry_times(segment_id uuid, low bigint, high bigint)
returns table (version bigint, created_at timestamptz)
language sql stable rows 1
as $$
  select m.version, m.created_at
  from kata_data.message m
  where m.segment_id = entry_times.segment_id
    and m.version between low and high
$$;
comment on function kata_data.entry_times(uuid, bigint, bigint) is 'When the entries low to high of a segment were created.';
