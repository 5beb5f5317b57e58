-- The artifact index is a cache of what kata_data.parse_artifacts finds: each message is parsed once in its life, into rows that
-- tell the state of an artifact as of any version. A mark for each segment says how far this has come, so forks share the work.
--
-- Locks: an advisory one for each segment, until the end of the transaction. Extraction never waits for it: who does not get it
-- leaves the segment to who has it, and nothing is lost, since readers parse what lies above the mark. Removing waits, so that
-- no extraction brings back what is removed; it comes before any lock on a head.

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
    if not pg_try_advisory_xact_lock(kata_data.artifact_lock(v_segment.segment_id)) then
      v_left := v_left + v_segment.last_version - v_through;
      continue;
    end if;
    -- Once more: somebody may have parsed it before the lock was free.
    v_through := kata_data.parsed_through(v_segment.segment_id, v_segment.first_version);
    v_touched := '{}';
    while v_through < v_segment.last_version loop
      v_chunk_end := kata_data.artifact_chunk_end(v_segment.segment_id, v_through + 1, v_segment.last_version);
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
'Parses the messages of a context''s path up to a version that have not been parsed yet, inherited ones included. Returns how many
versions are left because another session is parsing them: 0, almost always. Never waits. Cost: linear in the length of these messages.';

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
'Up to which version a segment that begins at first_version is parsed. Volatile, so that it sees what others committed meanwhile.';

create or replace function kata_data.artifact_lock(segment_id uuid) returns bigint
language sql immutable
as $$
  select hashtextextended('kata artifacts ' || segment_id, 0)
$$;
comment on function kata_data.artifact_lock(uuid) is 'The key of the advisory lock on the artifacts of a segment.';

create or replace function kata_data.artifact_chunk_end(segment_id uuid, low bigint, high bigint) returns bigint
language plpgsql stable
as $$
declare
  v_end bigint;
  v_count bigint;
begin
  select max(m.version) filter (where m.bytes_before < 1048576), count(*) filter (where m.bytes_before < 1048576)
  into v_end, v_count
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
comment on function kata_data.artifact_chunk_end(uuid, bigint, bigint) is 'Where a chunk of messages from low on ends: after about a megabyte or four thousand messages, at the latest at high.';

create or replace function kata_data.index_artifacts(segment_id uuid, low bigint, high bigint) returns bigint[]
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
  v_touched bigint[];
begin
  with found as materialized (
    select p.version, p.kind, p.ref, p.mentions, p.detail
    from kata_data.parse_artifacts(index_artifacts.segment_id, low, high) p
  ),
  total as materialized (
    select f.kind, f.ref, min(f.version) as first_version, max(f.version) as last_version, sum(f.mentions) as mentions,
      max(f.version) filter (where f.detail is not null) as detail_version
    from found f
    group by f.kind, f.ref
  ),
  known as materialized (
    select a.artifact_id, t.kind, t.ref, m.mentions_through, m.detail_version
    from total t
    cross join lateral (
      select a.artifact_id
      from kata_data.artifact a
      where a.segment_id = index_artifacts.segment_id
        and a.kind = t.kind
        and a.ref = t.ref
      offset 0
    ) a
    cross join lateral (
      select m.mentions_through, m.detail_version
      from kata_data.artifact_mention m
      where m.artifact_id = a.artifact_id
      order by m.version desc
      limit 1
    ) m
  ),
  -- The lock leaves no room for a conflict, but for a transaction that looks at an old snapshot: this makes it fail as one that may be
  -- tried again.
  new as (
    insert into kata_data.artifact (segment_id, kind, ref, first_version, last_version, mentions, detail_version, detail)
    select index_artifacts.segment_id, t.kind, t.ref, t.first_version, t.last_version, t.mentions, t.detail_version, f.detail
    from total t
    left join found f on f.kind = t.kind and f.ref = t.ref and f.version = t.detail_version
    where not exists (select from known k where k.kind = t.kind and k.ref = t.ref)
    on conflict on constraint artifact_ref_unique do nothing
    returning artifact_id, kind, ref
  ),
  artifact as materialized (
    select k.artifact_id, k.kind, k.ref, k.mentions_through, k.detail_version from known k
    union all
    select n.artifact_id, n.kind, n.ref, 0, null from new n
  ),
  mention as (
    insert into kata_data.artifact_mention (artifact_id, version, mentions, mentions_through, detail_version, detail)
    select a.artifact_id, f.version, f.mentions,
      a.mentions_through + sum(f.mentions) over (partition by a.artifact_id order by f.version),
      coalesce(max(f.version) filter (where f.detail is not null) over (partition by a.artifact_id order by f.version), a.detail_version),
      f.detail
    from found f
    join artifact a on a.kind = f.kind and a.ref = f.ref
  )
  select coalesce(array_agg(k.artifact_id), '{}') into v_touched
  from known k;
  return v_touched;
end
$$;
comment on function kata_data.index_artifacts(uuid, bigint, bigint) is
'Writes what the messages low to high of a segment, the next after what is parsed, mention, and returns the artifacts that were
known before: kata_data.update_artifacts is to bring them up to date, once for all chunks. The caller holds the segment''s advisory lock.';

create or replace function kata_data.update_artifacts(artifacts bigint[]) returns void
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
begin
  update kata_data.artifact a
  set first_version = m.first_version,
      last_version = m.last_version,
      mentions = m.mentions,
      detail_version = m.detail_version,
      detail = m.detail
  from (
    select t.artifact_id, f.version as first_version, l.version as last_version, l.mentions_through as mentions, l.detail_version, d.detail
    from (select distinct t.artifact_id from unnest(artifacts) t(artifact_id) offset 0) t
    cross join lateral (
      select m.version
      from kata_data.artifact_mention m
      where m.artifact_id = t.artifact_id
      order by m.version
      limit 1
    ) f
    cross join lateral (
      select m.version, m.mentions_through, m.detail_version
      from kata_data.artifact_mention m
      where m.artifact_id = t.artifact_id
      order by m.version desc
      limit 1
    ) l
    left join lateral (
      select m.detail
      from kata_data.artifact_mention m
      where m.artifact_id = t.artifact_id
        and m.version = l.detail_version
      offset 0
    ) d on true
  ) m
  where a.artifact_id = m.artifact_id;
end
$$;
comment on function kata_data.update_artifacts(bigint[]) is 'Brings artifacts up to date with their first and last mention. Cost: O(log n) each.';

create or replace function kata_data.forget_artifacts(segment_id uuid, version bigint) returns void
language plpgsql volatile
as $$
declare
  v_touched bigint[];
begin
  perform pg_advisory_xact_lock(kata_data.artifact_lock(segment_id));
  v_touched := array(
    select a.artifact_id
    from kata_data.artifact a
    cross join lateral (
      select
      from kata_data.artifact_mention m
      where m.artifact_id = a.artifact_id
        and m.version = forget_artifacts.version
      offset 0
    ) m
    where a.segment_id = forget_artifacts.segment_id);
  delete from kata_data.artifact_mention m
  where m.artifact_id = any (v_touched)
    and m.version = forget_artifacts.version;
  perform kata_data.refold_artifacts(v_touched);

  -- What callers added to this version, in the forks that share it, too.
  delete from kata_data.added_artifact d
  where d.version = forget_artifacts.version
    and d.segment_id = any (array(
      select r.context_id from kata_data.readers(forget_artifacts.segment_id, forget_artifacts.version) r));
end
$$;
comment on function kata_data.forget_artifacts(uuid, bigint) is
'Removes what a message, about to be erased, told of artifacts: they are as if it had said nothing. Waits for a session that parses the
segment, and keeps it from being parsed until the end of the transaction: call it before the head is locked. Cost: O(artifacts of the segment).';

create or replace function kata_data.trim_artifacts(segment_id uuid, through bigint) returns void
language plpgsql volatile
as $$
declare
  v_touched bigint[];
begin
  perform pg_advisory_xact_lock(kata_data.artifact_lock(segment_id));
  v_touched := array(
    select a.artifact_id
    from kata_data.artifact a
    where a.segment_id = trim_artifacts.segment_id
      and a.last_version > through);
  delete from kata_data.artifact_mention m
  where m.artifact_id = any (v_touched)
    and m.version > through;
  perform kata_data.refold_artifacts(v_touched);
  delete from kata_data.added_artifact d
  where d.segment_id = trim_artifacts.segment_id
    and d.version > through;
  update kata_data.artifact_mark a
  set parsed_through = through
  where a.segment_id = trim_artifacts.segment_id
    and a.parsed_through > through;
  delete from kata_data.artifact_mark a
  where a.segment_id = trim_artifacts.segment_id
    and not exists (
      select from kata_data.message m
      where m.segment_id = trim_artifacts.segment_id
        and m.version <= through);
end
$$;
comment on function kata_data.trim_artifacts(uuid, bigint) is
'Removes the artifacts of a segment above a version, about to be purged; above -1, all. Locks and cost as forget_artifacts.';

create or replace function kata_data.refold_artifacts(artifacts bigint[]) returns void
language plpgsql volatile
as $$
begin
  update kata_data.artifact_mention m
  set mentions_through = f.mentions_through,
      detail_version = f.detail_version
  from (
    select m.artifact_id, m.version,
      sum(m.mentions) over w as mentions_through,
      max(m.version) filter (where m.detail is not null) over w as detail_version
    from kata_data.artifact_mention m
    where m.artifact_id = any (artifacts)
    window w as (partition by m.artifact_id order by m.version)
  ) f
  where m.artifact_id = f.artifact_id
    and m.version = f.version
    and (m.mentions_through, m.detail_version) is distinct from (f.mentions_through, f.detail_version);
  delete from kata_data.artifact a
  where a.artifact_id = any (artifacts)
    and not exists (select from kata_data.artifact_mention m where m.artifact_id = a.artifact_id);
  perform kata_data.update_artifacts(artifacts);
end
$$;
comment on function kata_data.refold_artifacts(bigint[]) is 'Adds up again what the mentions of some artifacts tell, after some of these were removed.';
