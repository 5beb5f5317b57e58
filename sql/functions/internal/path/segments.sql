-- Reads along a path. A range of versions is clipped to the segments that hold it, and each piece is an index range scan:
-- LATERAL and OFFSET 0 leave the planner no other way, so that the cost follows the rows read, never the length of the log.

create or replace function kata_data.segments(context_id uuid, low bigint, high bigint)
returns table (segment_id uuid, first_version bigint, last_version bigint)
language sql stable rows 1
as $$
  select l.segment_id, greatest(l.first_version, low), least(l.last_version, high)
  from kata_data.lineage l
  where l.context_id = segments.context_id
    and l.first_version <= high
    and l.last_version >= low
$$;
comment on function kata_data.segments(uuid, bigint, bigint) is 'The segments that hold the versions low to high of a context''s path, clipped to these.';

create or replace function kata_data.path_messages(context_id uuid, versions int8multirange)
returns setof kata_data.message
language sql stable rows 100
as $$
  select m.*
  from unnest(versions) r(range)
  cross join lateral (
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(path_messages.context_id, lower(r.range), upper(r.range) - 1) s
    offset 0
  ) s
  cross join lateral (
    select m.*
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version between s.first_version and s.last_version
    order by m.version
    offset 0
  ) m
$$;
comment on function kata_data.path_messages(uuid, int8multirange) is 'The messages of a context''s path at some versions, in no order. Cost: O(messages + ranges × depth).';

create or replace function kata_data.message_of(context_id uuid, version bigint)
returns table (group_version bigint, group_tokens bigint, tokens_through bigint)
language sql stable rows 1
as $$
  select m.group_version, m.group_tokens, m.tokens_through
  from kata_data.segments(message_of.context_id, message_of.version, message_of.version) s
  cross join lateral (
    select m.group_version, coalesce(m.group_tokens, m.token_count) as group_tokens, m.tokens_through
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version = s.first_version
    offset 0
  ) m
$$;
comment on function kata_data.message_of(uuid, bigint) is
'What a window asks of the message of a context''s path that took a version; no row where none did. group_tokens: of its group, up to and including it.
Cost: O(log n + fork depth).';

create or replace function kata_data.group_members(context_id uuid, groups bigint[], at bigint) returns int8multirange
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
    ) x);
end
$$;
comment on function kata_data.group_members(uuid, bigint[], bigint) is 'The versions up to `at` of the messages of some groups. Cost: O(members + groups × depth).';
