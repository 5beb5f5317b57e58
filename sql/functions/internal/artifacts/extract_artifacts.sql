-- Parses the messages of a path that are new since the last time, in chunks, and moves the mark of each segment on. The mark belongs to
-- the segment, so forks share the work, and each message is parsed once in its life.
--
-- Locks: the row of lineage in which a segment reads itself, until the end of the transaction. Extraction never waits for it: a session that
-- does not get it leaves the segment to the one that has it, and nothing is lost, because readers parse what lies above the mark. The
-- caller shares the lock of the family. A transaction with an old snapshot also shares what it parses.

create or replace function kata_data.extract_artifacts(context_id uuid, up_to bigint) returns bigint
language plpgsql volatile
as $$
declare
  v_left bigint := 0;
  v_segment record;
  v_through bigint;
  v_chunk_end bigint;
  v_touched bigint[];
begin
  for v_segment in
    select s.segment_id, s.first_version, s.last_version
    from kata_data.head h
    cross join lateral kata_data.segments(h.context_id, 1, least(up_to, h.version)) s
    where h.context_id = extract_artifacts.context_id
    order by s.first_version
  loop
    v_through := kata_data.parsed_through(v_segment.segment_id, v_segment.first_version);
    continue when v_through >= v_segment.last_version;
    if not kata_data.try_lock_segment(v_segment.segment_id) then
      v_left := v_left + v_segment.last_version - v_through;
      continue;
    end if;
    -- Once more: another session may have parsed the segment before the lock was free.
    v_through := kata_data.parsed_through(v_segment.segment_id, v_segment.first_version);
    v_touched := '{}';
    while v_through < v_segment.last_version loop
      v_chunk_end := kata_data.artifact_chunk_end(v_segment.segment_id, v_through + 1, v_segment.last_version);
      perform kata_data.share_chunk(v_segment.segment_id, v_through + 1, v_chunk_end);
      v_touched := v_touched || kata_data.index_artifacts(v_segment.segment_id, v_through + 1, v_chunk_end);
      v_through := v_chunk_end;
    end loop;
    perform kata_data.update_artifacts(v_touched);
    insert into kata_data.artifact_mark as a (segment_id, parsed_through)
    values (v_segment.segment_id, v_through)
    on conflict on constraint artifact_mark_pkey do update
    set parsed_through = excluded.parsed_through
    where a.parsed_through < excluded.parsed_through;
  end loop;
  return v_left;
end
$$;
comment on function kata_data.extract_artifacts(uuid, bigint) is
'Parses the messages of a context''s path up to a version that are not parsed yet.

Inherited ones included.
Returns how many versions are left because another session is parsing them: 0, almost always. Never waits.
Cost: linear in the length of these messages.';

create or replace function kata_data.share_chunk(segment_id uuid, low bigint, high bigint) returns void
language plpgsql volatile
as $$
begin
  if current_setting('transaction_isolation') in ('read committed', 'read uncommitted') then
    return;
  end if;
  perform
  from kata_data.message m
  where m.segment_id = share_chunk.segment_id
    and m.version between low and high
  for key share;
  perform
  from kata_data.view_change c
  cross join lateral (
    select from kata_data.amendment a where a.change_id = c.change_id for key share
  ) a
  where c.segment_id = share_chunk.segment_id
    and c.version between low and high
    and c.kind = 'amendment';
end
$$;
comment on function kata_data.share_chunk(uuid, bigint, bigint) is
'Makes a transaction with an old snapshot fail, as one to be tried again, where a text that it is to parse was erased since. At read
committed the lock of the family is enough.';

create or replace function kata_data.parsed_through(segment_id uuid, first_version bigint) returns bigint
language plpgsql volatile
as $$
begin
  return coalesce(
    (select a.parsed_through from kata_data.artifact_mark a where a.segment_id = parsed_through.segment_id),
    first_version - 1);
end
$$;
comment on function kata_data.parsed_through(uuid, bigint) is
'Up to which version a segment that begins at first_version is parsed.

Volatile, so that it sees what was committed since the statement began.';

create or replace function kata_data.try_lock_segment(segment_id uuid) returns boolean
language plpgsql volatile
as $$
begin
  perform
  from kata_data.lineage l
  where l.context_id = try_lock_segment.segment_id
    and l.segment_id = try_lock_segment.segment_id
  for no key update skip locked;
  return found;
end
$$;
comment on function kata_data.try_lock_segment(uuid) is
'Keeps other sessions from parsing a segment, until the end of the transaction. Returns whether it did. Never waits.';

create or replace function kata_data.artifact_chunk_end(segment_id uuid, low bigint, high bigint) returns bigint
language plpgsql stable
as $$
declare
  v_end bigint;
begin
  select max(m.version) filter (where m.bytes_before < 1048576) into v_end
  from (
    select m.version, sum(m.bytes) over (order by m.version) - m.bytes as bytes_before
    from (
      select m.version, coalesce(octet_length(m.content), 0) + coalesce(pg_column_size(m.tool_calls), 0) as bytes
      from kata_data.message m
      where m.segment_id = artifact_chunk_end.segment_id
        and m.version between low and high
      order by m.version
      limit 4001
    ) m
  ) m;
  -- Not every version is a message: the last chunk ends where the range ends.
  return case
    when v_end is null or not exists (
      select from kata_data.message m
      where m.segment_id = artifact_chunk_end.segment_id
        and m.version > v_end
        and m.version <= high) then high
    else v_end
  end;
end
$$;
comment on function kata_data.artifact_chunk_end(uuid, bigint, bigint) is
'Where a chunk of messages from low on ends, at the latest at high.

After about a megabyte or four thousand messages.';
