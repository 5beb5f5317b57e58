-- Time grows along a path, so the entry of a moment is found by halving: first among the segments, then among the versions of one.
-- An index on time would cost every append. The last sixteen versions are read together, from neighboring rows.

create or replace function kata_data.version_at_time(context_id uuid, newest bigint, moment timestamptz) returns bigint
language plpgsql stable
as $$
declare
  v_segment record;
  v_low bigint;
  v_high bigint;
  v_middle bigint;
begin
  for v_segment in
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(version_at_time.context_id, 1, newest) s
    order by s.first_version desc
  loop
    v_low := v_segment.first_version;
    if kata_data.entry_time(v_segment.segment_id, v_low) <= moment then
      v_high := v_segment.last_version;
      exit;
    end if;
  end loop;
  if v_high is null then
    return 0;
  end if;
  while v_high - v_low > 16 loop
    v_middle := (v_low + v_high) / 2;
    if kata_data.entry_time(v_segment.segment_id, v_middle) <= moment then
      v_low := v_middle;
    else
      v_high := v_middle - 1;
    end if;
  end loop;
  return (
    select max(e.version)
    from kata_data.entry_times(v_segment.segment_id, v_low, v_high) e
    where e.created_at <= moment);
end
$$;
comment on function kata_data.version_at_time(uuid, bigint, timestamptz) is
'The last version that was created at or before a moment; 0 where there is none.

Cost: O(log n + fork depth).';

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
