-- The index of artifacts agrees with itself and with the log. Messages are not parsed again: a later parser may find more than an earlier
-- one did, and that is not damage.

create or replace function kata_data.verify_artifacts(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
begin
  return query
  select null::bigint, 'artifact mark',
    format('Its messages are parsed up to version %s, and its head is at version %s.', k.parsed_through, h.version)
  from kata_data.artifact_mark k
  join kata_data.head h on h.context_id = k.segment_id
  where k.segment_id = verify_artifacts.context_id
    and k.parsed_through > h.version;
  return query
  select d.version, d.problem, d.detail
  from (
    select a.kind, a.ref, a.first_version, a.last_version, a.mentions, a.detail_version, a.detail,
      m.mentioned_first, m.mentioned_last, m.mentioned, m.detailed, m.newest_detail, m.is_running
    from kata_data.artifact a
    cross join lateral (
      select min(m.version) as mentioned_first, max(m.version) as mentioned_last, sum(m.mentions) as mentioned,
        kata_data.weighed_version(max(kata_data.weight_of(m.version, m.detail))) as detailed,
        (array_agg(m.detail order by kata_data.weight_of(m.version, m.detail) desc nulls last))[1] as newest_detail,
        bool_and((m.mentions_through, m.detail_version) is not distinct from (m.through, m.detailed)) as is_running
      from (
        select m.version, m.mentions, m.mentions_through, m.detail_version, m.detail,
          sum(m.mentions) over w as through,
          kata_data.weighed_version(max(kata_data.weight_of(m.version, m.detail)) over w) as detailed
        from kata_data.artifact_mention m
        where m.artifact_id = a.artifact_id
        window w as (order by m.version)
      ) m
    ) m
    where a.segment_id = verify_artifacts.context_id
  ) f
  cross join lateral kata_data.differs(f.last_version, 'artifact',
    concat_ws(', ', format('%s "%s"', f.kind, left(f.ref, 100)), 'versions ' || f.first_version || ' to ' || f.last_version,
      f.mentions || ' mentions', 'detail of ' || f.detail_version),
    concat_ws(', ', 'versions ' || f.mentioned_first || ' to ' || f.mentioned_last,
      f.mentioned || ' mentions', 'detail of ' || f.detailed)) d
  where (f.first_version, f.last_version, f.mentions, f.detail_version, f.detail, true)
    is distinct from (f.mentioned_first, f.mentioned_last, f.mentioned, f.detailed, f.newest_detail, f.is_running);
  return query
  select m.version, 'artifact', format('A mention of %s "%s" is stored, and no message or amendment of this version is parsed.', a.kind, left(a.ref, 100))
  from kata_data.artifact a
  cross join lateral (
    select m.version
    from kata_data.artifact_mention m
    where m.artifact_id = a.artifact_id
    offset 0
  ) m
  where a.segment_id = verify_artifacts.context_id
    and not kata_data.is_parsed(a.segment_id, m.version);
  return query
  select d.version, 'artifact', format('The %s "%s" was added to a version that does not exist.', d.kind, left(d.ref, 100))
  from kata_data.added_artifact d
  join kata_data.head h on h.context_id = d.segment_id
  where d.segment_id = verify_artifacts.context_id
    and d.version not between 0 and h.version;
end
$$;
comment on function kata_data.verify_artifacts(uuid) is 'Damage in the artifacts of what a context wrote itself. Cost: O(mentions).';

create or replace function kata_data.is_parsed(segment_id uuid, version bigint) returns boolean
language plpgsql stable
as $$
begin
  return exists (
    select
    from kata_data.artifact_mark k
    where k.segment_id = is_parsed.segment_id
      and k.parsed_through >= is_parsed.version)
    and (exists (select from kata_data.message m where m.segment_id = is_parsed.segment_id and m.version = is_parsed.version)
      or exists (
        select
        from kata_data.view_change c
        where c.segment_id = is_parsed.segment_id
          and c.version = is_parsed.version
          and c.kind = 'amendment'));
end
$$;
comment on function kata_data.is_parsed(uuid, bigint) is 'Whether a version of a segment is a message or an amendment that is parsed for artifacts.';
