-- Messages and view changes of a path in one list, for history and diff. A version is taken by one entry, so a page is a range of
-- versions.

create or replace function kata_data.entries(context_id uuid, low bigint, high bigint)
returns table (version bigint, kind text, role text, preview text, token_count integer, view_tokens bigint, created_at timestamptz)
language plpgsql stable rows 100
as $$
declare
  v_ahead bigint;
begin
  if low > high then
    return;
  end if;
  -- Between two view changes the view grows with the messages: its tokens are those of the raw log, off by a constant.
  select c.view_tokens - c.raw_tokens into v_ahead from kata_data.change_at(entries.context_id, low - 1) c;
  if not found then
    v_ahead := 0;
  end if;
  return query
  select e.version, e.kind, e.role, e.preview, e.token_count,
    e.raw_tokens + coalesce(max(e.ahead) over (partition by e.era), v_ahead), e.created_at
  from (
    select e.version, e.kind, e.role, e.preview, e.token_count, e.raw_tokens, e.ahead, e.created_at, count(e.ahead) over (order by e.version) as era
    from (
      select m.version, 'message' as kind, m.role, kata_data.preview(m.content, m.tool_calls, m.parts) as preview, m.token_count,
        m.tokens_through as raw_tokens,
        null::bigint as ahead, m.created_at
      from kata_data.path_messages(entries.context_id, int8multirange(int8range(low, high, '[]'))) m
      union all
      select c.version, c.kind, coalesce(y.role, a.role),
        left(coalesce(
          y.content, r.preview, a.preview,
          case c.kind
            when 'undo' then format('version %s', c.undone_version)
            when 'rewind' then format('to version %s', c.rewound_to)
            when 'tools' then coalesce(c.tools_tokens || ' tokens', 'none')
            else format('versions %s', c.versions)
          end), 100),
        coalesce(y.token_count, a.token_count, case c.kind when 'tools' then c.tools_tokens end), c.raw_tokens, c.view_tokens - c.raw_tokens, c.created_at
      from kata_data.path_changes(entries.context_id, low, high) c
      left join lateral (
        select y.role, y.content, y.token_count
        from kata_data.summary y
        where y.segment_id = c.segment_id
          and y.version = c.version
        offset 0
      ) y on true
      left join lateral (
        select concat_ws(' ', r.kind, left(r.data::text, 100)) as preview
        from kata_data.record r
        where r.segment_id = c.segment_id
          and r.version = c.version
        offset 0
      ) r on c.kind = 'record'
      left join lateral (
        select m.role, kata_data.preview(a.content, a.tool_calls, a.parts) as preview, a.token_count
        from kata_data.amendment a
        left join kata_data.message m on m.segment_id = a.segment_id and m.version = a.version
        where a.change_id = c.change_id
        offset 0
      ) a on c.kind = 'amendment'
    ) e
  ) e
  order by e.version;
end
$$;
comment on function kata_data.entries(uuid, bigint, bigint) is
'The entries low to high of a context''s path, oldest first.

view_tokens: of the view as of the entry.
Cost: O(log n + entries + fork depth).';
