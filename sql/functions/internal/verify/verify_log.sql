-- The log is replayed: an expected head, empty at first, advances entry by entry by the rules of an append, and each entry is compared with
-- it. In the end the stored head must be the expected one.
--
-- The expected head goes on from the totals, time and digest that an entry stores, so that each damage is reported once.
--
-- A rewind leads on with the state of the log where it goes: open calls, preamble, turn. States to which a later change returns are kept.
--
-- Most messages only follow from the one before, and a query compares all of a page so. Where it finds nothing, nothing but the groups of calls
-- is replayed, in less than half the time; else each entry is compared field by field, and findings come from there alone.

create or replace function kata_data.verify_log(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
declare
  v_head kata_data.head;
  v_expected kata_data.head;
  v_view kata_data.view := kata_data.empty_view();
  v_line kata_data.line_state;
  v_marks bigint[];
  v_states kata_data.line_state[] := '{}'::kata_data.line_state[];
  v_is_linked boolean := false;
  v_run kata_data.message;
  v_page record;
  v_entry record;
begin
  select h.* into v_head from kata_data.head h where h.context_id = verify_log.context_id;
  if not found then
    return next row(null, 'head counters', 'The context has no head.')::kata_data.finding;
    return;
  end if;
  v_marks := kata_data.returned_versions(context_id);
  v_expected := kata_data.first_head((select c from kata_data.context c where c.context_id = verify_log.context_id));
  for v_page in select p.* from kata_data.log_pages(verify_log.context_id, v_head.version) p order by p.low loop
    v_expected.framed_request := case when not v_page.is_first then v_expected.framed_request end;
    for v_entry in select e.* from kata_data.page_entries(v_page.segment_id, v_page.low, v_page.high, v_page.erased) e loop
      if v_is_linked and v_entry.follows and v_entry.is_plain and v_entry.version <= v_head.version
        and v_entry.oldest_open_group is not distinct from v_expected.oldest_open_group and v_expected.preamble_end is not null
        and (v_marks[cardinality(v_states) + 1] < v_entry.version) is not true then
        v_run := v_entry.message;
        continue;
      end if;
      v_expected := kata_data.head_after_run(v_expected, v_run);
      if v_entry.version > v_head.version or v_entry.version <= v_expected.version then
        return next kata_data.row_added(v_entry.version, v_head.version);
        v_is_linked := false;
        continue;
      elsif v_entry.version > v_expected.version + 1 then
        return next kata_data.rows_gone(v_expected.version + 1, v_entry.version - 1);
        v_expected := kata_data.head_before(v_expected, v_entry.version, v_entry.message, v_entry.change);
      end if;
      v_line.head := v_expected;
      while v_marks[cardinality(v_states) + 1] <= v_expected.version loop
        v_states := v_states || v_line;
      end loop;
      if (v_entry.message).version is null then
        v_line := kata_data.line_after(v_states, v_marks, v_line, v_view, v_entry.change);
        return query select f.* from kata_data.verify_change(verify_log.context_id, v_expected, v_line.head, v_view, v_entry.change) f;
        v_expected := v_line.head;
        v_view := kata_data.view_after(v_entry.change);
        -- The expected head, not the row of a change, says what the next message follows from.
        v_is_linked := false;
        continue;
      end if;
      v_expected := kata_data.head_after_message(v_expected, coalesce(v_line.last_message, 0), v_entry.message);
      v_line.last_message := v_entry.version;
      return query
      select m.* from kata_data.verify_follower(
        v_line.head, v_expected, v_entry.message, v_entry.version <@ v_page.erased, v_is_linked and v_entry.follows) m;
      v_is_linked := not found;
    end loop;
  end loop;
  return query select h.* from kata_data.verify_head(v_head, kata_data.head_after_run(v_expected, v_run), v_view) h;
end
$$;
comment on function kata_data.verify_log(uuid) is 'Damage in the log of a context and in its head. Cost: O(length of the path).';

create or replace function kata_data.verify_follower(
  before kata_data.head, after kata_data.head, message kata_data.message, is_erased boolean, follows boolean
) returns setof kata_data.finding
language plpgsql stable rows 1
as $$
begin
  if follows then
    return query select f.* from kata_data.verify_place(before, after, message) f;
  else
    return query select f.* from kata_data.verify_message(before, after, message, is_erased) f;
  end if;
end
$$;
comment on function kata_data.verify_follower(kata_data.head, kata_data.head, kata_data.message, boolean, boolean) is
'Damage in a message that is replayed, given the expected head before and after it.

follows: a query has compared it with the message before, and only its place is left.';

create or replace function kata_data.returned_versions(context_id uuid) returns bigint[]
language sql stable
as $$
  select array(
    select distinct kata_data.returned_version(c)
    from kata_data.path_changes(returned_versions.context_id, 1, 9223372036854775807) c
    where kata_data.returned_version(c) between 0 and c.version - 1
    order by 1)
$$;
comment on function kata_data.returned_versions(uuid) is
'The versions to which rewinds, and undos of the entry before them, of a path go back, ascending. Cost: O(view changes).';

create or replace function kata_data.line_after(
  states kata_data.line_state[], marks bigint[], state kata_data.line_state, view kata_data.view, change kata_data.view_change
) returns kata_data.line_state
language plpgsql immutable
as $$
begin
  if change.rewound <> view.rewound and kata_data.returned_version(change) < change.version then
    state := row(
      kata_data.head_after_change(state.head, (states[width_bucket(kata_data.returned_version(change), marks)]).head, change),
      (states[width_bucket(kata_data.returned_version(change), marks)]).last_message);
  else
    state.head := kata_data.head_after_change(state.head, state.head, change);
  end if;
  return state;
end
$$;
comment on function kata_data.line_after(
  kata_data.line_state[], bigint[], kata_data.line_state, kata_data.view, kata_data.view_change) is
'The state of a line after a view change: open calls, turn and preamble of the version to which a rewind goes, else as they were.

states: at the marks, which ascend. state, view: before the change.';

create or replace function kata_data.log_pages(context_id uuid, head_version bigint)
returns table (segment_id uuid, low bigint, high bigint, is_first boolean, erased int8multirange)
language sql stable
as $$
  select s.segment_id, p.low, p.high, p.low = s.first_version, kata_data.erased_versions(s.segment_id, p.low, p.high)
  from kata_data.segments(log_pages.context_id, 1, 9223372036854775807) s
  cross join lateral (
    -- The last one has no end: it takes what lies beyond the head.
    select l.low, lead(l.low - 1, 1, s.last_version) over (order by l.low) as high
    from generate_series(
      s.first_version, greatest(s.first_version, least(s.last_version, log_pages.head_version, kata_data.newest_entry(s.segment_id))), 1000) l(low)
    offset 0
  ) p
$$;
comment on function kata_data.log_pages(uuid, bigint) is
'The path of a context in ranges of 1,000 versions, clipped to the segments that hold them, and the erased versions of each. A page is sorted in
memory, however long the log. is_first: it begins a segment, whose requests are another context''s than those before.';

create or replace function kata_data.newest_entry(segment_id uuid) returns bigint
language sql stable
as $$
  select greatest(
    (select m.version from kata_data.message m where m.segment_id = newest_entry.segment_id order by m.version desc limit 1),
    (select v.version from kata_data.view_change v where v.segment_id = newest_entry.segment_id order by v.version desc limit 1),
    0)
$$;
comment on function kata_data.newest_entry(uuid) is 'The newest version of a segment that is there, whatever a head says; 0 for none.';

create or replace function kata_data.row_added(version bigint, head_version bigint) returns kata_data.finding
language sql stable
as $$
  select row(version, 'row added', case
      when version > head_version then format('The head is at version %s.', head_version)
      else 'A message and a view change have this version.'
    end)::kata_data.finding
$$;
comment on function kata_data.row_added(bigint, bigint) is 'The finding that an entry has a version that the head or another entry denies it.';

create or replace function kata_data.page_entries(segment_id uuid, low bigint, high bigint, erased int8multirange)
returns table (
  version bigint, is_plain boolean, follows boolean, role text, tokens_through bigint, created_at timestamptz, digest bytea,
  turn_version bigint, oldest_open_group bigint, message kata_data.message, change kata_data.view_change)
language sql stable
as $$
  select e.version, e.is_plain, (
      e.is_whole
      and e.version = lag(e.version) over w + 1
      and e.tokens_before = lag(e.tokens_through) over w
      and e.created_at >= lag(e.created_at) over w
      and e.turn_version is not distinct from case when e.role = 'user' then e.version else lag(e.turn_version) over w end
      and e.digest = kata_data.entry_digest(lag(e.digest) over w, e.frame, e.content_digest)),
    e.role, e.tokens_through, e.created_at, e.digest, e.turn_version, e.oldest_open_group, e.message, e.change
  from (
    select m.version,
      m.role <> 'tool' and m.tool_calls is null and m.request_id is null and m.group_version = m.version and m.group_tokens is null as is_plain,
      octet_length(m.salt) = 16 and (m.version <@ page_entries.erased) is not true as is_whole,
      m.role, m.tokens_through - m.token_count as tokens_before, m.tokens_through, m.created_at, m.turn_version, m.oldest_open_group,
      kata_data.frame_with(m, o.origin, r.requests) as frame, kata_data.content_digest_of(m) as content_digest, m.digest, m as message,
      null::kata_data.view_change as change
    from kata_data.message m
    left join lateral (
      select kata_data.origin_mark(o) as origin
      from kata_data.merge_origin o
      where o.segment_id = m.segment_id
        and o.version = m.version
      offset 0
    ) o on true
    -- Apart, so that the functions of the frame are inlined: an argument that calls a function would keep them from it.
    cross join lateral (
      select case when m.request_id is not null then kata_data.framed_requests(m.segment_id, m.request_id) end as requests
      offset 0
    ) r
    where m.segment_id = page_entries.segment_id
      and m.version between low and high
    union all
    select c.version, false, false, null, null, c.raw_tokens, c.created_at, c.turn_version, c.oldest_open_group, null, null, c.digest, null, c
    from kata_data.view_change c
    where c.segment_id = page_entries.segment_id
      and c.version between low and high
  ) e
  window w as (order by e.version)
  order by e.version
$$;
comment on function kata_data.page_entries(uuid, bigint, bigint, int8multirange) is
'The messages and view changes of a segment, by version.';

create or replace function kata_data.erased_versions(segment_id uuid, low bigint, high bigint) returns int8multirange
language sql stable
as $$
  select range_agg(int8range(e.version, e.version, '[]'))
  from kata_data.erasure e
  where e.segment_id = erased_versions.segment_id
    and e.version between low and high
$$;
comment on function kata_data.erased_versions(uuid, bigint, bigint) is 'The versions of a segment whose entries were erased; null where none was.';

create or replace function kata_data.rows_gone(first_version bigint, last_version bigint) returns kata_data.finding
language sql stable
as $$
  select row(first_version, 'row gone', format('Versions %s to %s are missing.', first_version, last_version))::kata_data.finding
$$;
comment on function kata_data.rows_gone(bigint, bigint) is 'The finding that a range of versions has no entries.';
