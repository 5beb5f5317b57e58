-- The calls that were open as of a version. The head knows those of now; for the past there are two ways, and the caller takes the
-- shorter. The entry at the version names the oldest group that was open after it: open_calls_at reads the index of tool groups from
-- there on, which is long if a call was abandoned long ago. open_calls_before goes back from now: calls that are still open, and calls
-- that were answered since.

create or replace function kata_data.open_calls_at(
  context_id uuid, at bigint, rewound int8multirange, inout oldest_open_group bigint, out open_calls jsonb, out open_groups jsonb
)
language plpgsql stable
as $$
begin
  open_calls := '{}';
  open_groups := '{}';
  if oldest_open_group is null then
    return;
  end if;
  with member as materialized (
    select m.version, m.group_version, m.token_count, m.tool_call_id, m.tool_calls
    from kata_data.segments(open_calls_at.context_id, open_calls_at.oldest_open_group, at) s
    cross join lateral (
      select m.version, m.group_version, m.token_count, m.tool_call_id, m.tool_calls
      from kata_data.message m
      where m.segment_id = s.segment_id
        and m.group_version between open_calls_at.oldest_open_group and s.last_version
        and m.version between s.first_version and s.last_version
        and (m.tool_calls is not null or m.tool_call_id is not null)
        and not rewound @> m.version
      offset 0
    ) m
  ),
  open_call as (
    select m.version, c.call ->> 'id' as id
    from member m
    cross join lateral jsonb_array_elements(case when kata_data.has_elements(m.tool_calls) then m.tool_calls else '[]' end) c(call)
    where not exists (
      select from member r
      where r.group_version = m.version
        and r.tool_call_id = c.call ->> 'id')
  ),
  open_group as (
    select m.group_version, sum(m.token_count) as tokens
    from member m
    where m.group_version in (select o.version from open_call o)
    group by m.group_version
  )
  select
    coalesce((select jsonb_object_agg(o.id, o.version) from open_call o), '{}'),
    coalesce((select jsonb_object_agg(g.group_version, g.tokens) from open_group g), '{}')
  into open_calls, open_groups;
end
$$;
comment on function kata_data.open_calls_at(uuid, bigint, int8multirange, bigint) is
'The open calls and groups of a context as of a version, as the head holds them.

rewound: of the view as of the version. oldest_open_group: as the entry at that version has it.
Cost: O(tool messages from the oldest open group to the version + fork depth).';

create or replace function kata_data.open_calls_before(
  head kata_data.head, at bigint, rewound int8multirange, out open_calls jsonb, out open_groups jsonb
)
language plpgsql stable
as $$
declare
  v_groups bigint[];
begin
  with open_call as materialized (
    select o.key as id, o.value::bigint as version
    from jsonb_each_text(head.open_calls) o
    where o.value::bigint <= open_calls_before.at
    union all
    select m.tool_call_id, m.group_version
    from kata_data.segments(head.context_id, open_calls_before.at + 1, head.version) s
    cross join lateral (
      select m.tool_call_id, m.group_version
      from kata_data.message m
      where m.segment_id = s.segment_id
        and m.version between s.first_version and s.last_version
        and m.tool_call_id is not null
        and m.group_version <= open_calls_before.at
      offset 0
    ) m
  )
  select coalesce(jsonb_object_agg(o.id, o.version), '{}'), array_agg(distinct o.version)
  into open_calls, v_groups
  from open_call o;
  open_groups := coalesce((
    select jsonb_object_agg(g.group_version, g.tokens)
    from (
      select m.group_version, sum(m.token_count) as tokens
      from kata_data.path_messages(head.context_id, kata_data.group_members(head.context_id, v_groups, open_calls_before.at, rewound)) m
      group by m.group_version
    ) g), '{}');
end
$$;
comment on function kata_data.open_calls_before(kata_data.head, bigint, int8multirange) is
'The open calls and groups of a context as of a version, from its head back; no rewind may lie between.

Cost: O(messages after the version + the groups that were open + fork depth).';
