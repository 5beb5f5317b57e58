-- Tool groups: an assistant message with its calls, and their results. Any other message is a group of its own.

create or replace function kata_data.group_members(
  context_id uuid, groups bigint[], at bigint, rewound int8multirange
) returns int8multirange
language plpgsql stable
as $$
begin
  return (
    select coalesce(range_agg(int8range(x.version, x.version + 1)), '{}')
    from (
      select g.version from unnest(groups) g(version)
      union all
      select m.version
      from kata_data.segments(group_members.context_id, (select min(g.version) from unnest(groups) g(version)), at) s
      -- A join rather than = any (groups), which PostgreSQL 16 takes for a filter over the whole segment.
      cross join unnest(groups) g(version)
      cross join lateral (
        select m.version
        from kata_data.message m
        where m.segment_id = s.segment_id
          and m.group_version = g.version
          and m.version between s.first_version and s.last_version
          and (m.tool_calls is not null or m.tool_call_id is not null)
        offset 0
      ) m
    ) x) - rewound;
end
$$;
comment on function kata_data.group_members(uuid, bigint[], bigint, int8multirange) is
'The versions up to `at` of the messages of some groups.

rewound: of the view; they are left out, for a rewind may go back into a group. Cost: O(members + groups × depth).';

create or replace function kata_data.whole_groups(
  context_id uuid, versions int8multirange, at bigint, rewound int8multirange
) returns int8multirange
language plpgsql stable
as $$
begin
  return versions - rewound + kata_data.group_members(context_id, array(
    select distinct m.group_version
    from kata_data.path_messages(whole_groups.context_id, versions - rewound) m
    where m.group_version < m.version or m.tool_calls is not null), at, rewound);
end
$$;
comment on function kata_data.whole_groups(uuid, int8multirange, bigint, int8multirange) is
'Some versions, and the rest up to `at` of the groups that they touch, all less what is rewound.

Cost: O(messages + groups × fork depth).';
