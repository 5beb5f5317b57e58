-- Entries of a path, as history and comparisons list them. A version is taken by one entry, so a page is a range of versions.

create or replace function kata_data.entries(context_id uuid, low bigint, high bigint)
returns table (version bigint, kind text, role text, preview text, token_count integer, view_tokens bigint, created_at timestamptz)
language plpgsql stable rows 100
as $$
declare
  v_before kata_data.view_change := kata_data.view_at(context_id, low - 1);
begin
  if low > high then
    return;
  end if;
  return query
  -- Between two view changes the view grows with the messages: its tokens are those of the raw log, off by a constant.
  select e.version, e.kind, e.role, e.preview, e.token_count,
    e.raw_tokens + coalesce(max(e.ahead) over (partition by e.era), v_before.view_tokens - v_before.raw_tokens), e.created_at
  from (
    select e.version, e.kind, e.role, e.preview, e.token_count, e.raw_tokens, e.ahead, e.created_at, count(e.ahead) over (order by e.version) as era
    from (
      select m.version, 'message' as kind, m.role, kata_data.preview(m.content, m.tool_calls) as preview, m.token_count, m.tokens_through as raw_tokens,
        null::bigint as ahead, m.created_at
      from kata_data.path_messages(entries.context_id, int8multirange(int8range(low, high, '[]'))) m
      union all
      select c.version, c.kind, y.role,
        left(coalesce(y.content, case when c.kind = 'undo' then format('version %s', c.undone_version) else format('versions %s', c.versions) end), 100),
        y.token_count, c.raw_tokens, c.view_tokens - c.raw_tokens, c.created_at
      from kata_data.path_changes(entries.context_id, low, high) c
      left join lateral (
        select y.role, y.content, y.token_count
        from kata_data.summary y
        where y.segment_id = c.segment_id
          and y.version = c.version
        offset 0
      ) y on true
    ) e
  ) e
  order by e.version;
end
$$;
comment on function kata_data.entries(uuid, bigint, bigint) is
'The entries low to high of a context''s path, oldest first. view_tokens: of the view as of the entry.
Cost: O(log n + entries + fork depth).';

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
  union all
  select c.version, c.created_at
  from kata_data.view_change c
  where c.segment_id = entry_times.segment_id
    and c.version between low and high
$$;
comment on function kata_data.entry_times(uuid, bigint, bigint) is 'When the entries low to high of a segment were created.';

create or replace function kata_data.entry_time(segment_id uuid, version bigint) returns timestamptz
language plpgsql stable
as $$
declare
  v_created_at timestamptz;
begin
  -- Most entries are messages.
  select m.created_at into v_created_at
  from kata_data.message m
  where m.segment_id = entry_time.segment_id
    and m.version = entry_time.version;
  if not found then
    select c.created_at into v_created_at
    from kata_data.view_change c
    where c.segment_id = entry_time.segment_id
      and c.version = entry_time.version;
  end if;
  return v_created_at;
end
$$;
comment on function kata_data.entry_time(uuid, bigint) is 'When an entry of a segment was created.';
