-- The log is replayed: an expected head, empty at first, advances entry by entry by the rules of an append, and each entry is compared with
-- it. In the end the stored head must be the expected one.
--
-- The expected head goes on from the totals, time and digest that an entry stores, so that each damage is reported once.

create or replace function kata_data.verify_log(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
declare
  v_context kata_data.context;
  v_head kata_data.head;
  v_expected kata_data.head;
  v_before kata_data.head;
  v_view kata_data.view := kata_data.empty_view();
  v_last_message bigint := 0;
  v_segment record;
  v_entry record;
begin
  select c.* into strict v_context from kata_data.context c where c.context_id = verify_log.context_id;
  select h.* into v_head from kata_data.head h where h.context_id = verify_log.context_id;
  if not found then
    return next row(null, 'head counters', 'The context has no head.')::kata_data.finding;
    return;
  end if;
  v_expected := kata_data.first_head(v_context);
  for v_segment in
    select s.segment_id, s.first_version, s.last_version, kata_data.erased_versions(s.segment_id, s.first_version, s.last_version) as erased
    from kata_data.segments(verify_log.context_id, 1, 9223372036854775807) s
    order by s.first_version
  loop
    for v_entry in
      select e.version, e.message, e.change
      from kata_data.segment_entries(v_segment.segment_id, v_segment.first_version, v_segment.last_version) e
    loop
      if v_entry.version > v_head.version then
        return next row(v_entry.version, 'row added', format('The head is at version %s.', v_head.version))::kata_data.finding;
        continue;
      elsif v_entry.version <= v_expected.version then
        return next row(v_entry.version, 'row added', 'A message and a view change have this version.')::kata_data.finding;
        continue;
      elsif v_entry.version > v_expected.version + 1 then
        return next kata_data.rows_gone(v_expected.version + 1, v_entry.version - 1);
        v_expected := kata_data.head_before(v_expected, v_entry.version, v_entry.message, v_entry.change);
      end if;
      v_before := v_expected;
      if (v_entry.message).version is not null then
        v_expected := kata_data.head_after_message(v_before, v_last_message, v_entry.message);
        v_last_message := v_entry.version;
        return query
        select m.version, m.problem, m.detail
        from kata_data.verify_message(v_before, v_expected, v_entry.message, v_entry.version <@ v_segment.erased) m;
      else
        return query
        select c.version, c.problem, c.detail from kata_data.verify_change(verify_log.context_id, v_before, v_view, v_entry.change) c;
        v_expected := kata_data.head_after_change(v_before, v_entry.change);
        v_view := kata_data.view_after(v_entry.change);
      end if;
    end loop;
  end loop;
  if v_expected.version < v_head.version then
    return next kata_data.rows_gone(v_expected.version + 1, v_head.version);
  end if;
  return query select h.version, h.problem, h.detail from kata_data.verify_head(v_head, v_expected, v_view) h;
end
$$;
comment on function kata_data.verify_log(uuid) is 'Damage in the log of a context and in its head. Cost: O(length of the path).';

create or replace function kata_data.segment_entries(segment_id uuid, low bigint, high bigint)
returns table (version bigint, message kata_data.message, change kata_data.view_change)
language sql stable
as $$
  select m.version, m, null::kata_data.view_change
  from kata_data.message m
  where m.segment_id = segment_entries.segment_id
    and m.version between low and high
  union all
  select c.version, null, c
  from kata_data.view_change c
  where c.segment_id = segment_entries.segment_id
    and c.version between low and high
  order by version
$$;
comment on function kata_data.segment_entries(uuid, bigint, bigint) is 'The messages and view changes of a segment, by version.';

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
