-- Writes what a chunk of messages names, as rows that hold the running state of each artifact: so the state as of any version is one
-- look-up. The caller holds the lock of the segment.
-- plans: artifacts

create or replace function kata_data.index_artifacts(segment_id uuid, low bigint, high bigint) returns bigint[]
language plpgsql volatile set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off set jit = off
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
      kata_data.weighed_version(max(kata_data.weight_of(f.version, f.detail))) as detail_version
    from found f
    group by f.kind, f.ref
  ),
  known as materialized (
    select a.artifact_id, t.kind, t.ref, m.mentions_through, kata_data.weight_of(m.detail_version, d.detail) as weight
    from total t
    cross join lateral (
      select a.artifact_id
      from kata_data.artifact a
      where a.segment_id = index_artifacts.segment_id
        and a.kind = t.kind
        and a.ref = t.ref
      offset 0
    ) a
    cross join lateral kata_data.last_mention(a.artifact_id, 9223372036854775807) m
    left join lateral kata_data.detail_at(a.artifact_id, m.detail_version) d on true
  ),
  -- The lock leaves room for a conflict only in a transaction that looks at an old snapshot: it then fails as one that may be repeated.
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
    select k.artifact_id, k.kind, k.ref, k.mentions_through, k.weight from known k
    union all
    select n.artifact_id, n.kind, n.ref, 0, null from new n
  ),
  mention as (
    insert into kata_data.artifact_mention (artifact_id, version, mentions, mentions_through, detail_version, detail)
    select a.artifact_id, f.version, f.mentions,
      a.mentions_through + sum(f.mentions) over (partition by a.artifact_id order by f.version),
      kata_data.weighed_version(
        greatest(max(kata_data.weight_of(f.version, f.detail)) over (partition by a.artifact_id order by f.version), a.weight)),
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
'Writes what messages of a segment name, and returns the artifacts that were known before.

segment_id: the segment. low, high: the messages that follow what is parsed, up to a version.

The caller brings the artifacts returned up to date with kata_data.update_artifacts, once for all chunks.';

create or replace function kata_data.update_artifacts(artifacts bigint[]) returns void
language plpgsql volatile set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off set jit = off
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
    cross join lateral kata_data.last_mention(t.artifact_id, 9223372036854775807) l
    left join lateral kata_data.detail_at(t.artifact_id, l.detail_version) d on true
  ) m
  where a.artifact_id = m.artifact_id;
end
$$;
comment on function kata_data.update_artifacts(bigint[]) is 'Brings artifacts up to date with their first and last mention. Cost: O(log n) each.';

create or replace function kata_data.last_mention(artifact_id bigint, up_to bigint)
returns table (version bigint, mentions_through bigint, detail_version bigint)
language sql stable rows 1
as $$
  select m.version, m.mentions_through, m.detail_version
  from kata_data.artifact_mention m
  where m.artifact_id = last_mention.artifact_id
    and m.version <= up_to
  order by m.version desc
  limit 1
$$;
comment on function kata_data.last_mention(bigint, bigint) is 'The newest mention of an artifact up to a version, with its running state.';

create or replace function kata_data.detail_at(artifact_id bigint, version bigint) returns table (detail jsonb)
language sql stable rows 1
as $$
  select m.detail
  from kata_data.artifact_mention m
  where m.artifact_id = detail_at.artifact_id
    and m.version = detail_at.version
  offset 0
$$;
comment on function kata_data.detail_at(bigint, bigint) is 'The detail of an artifact that a message gives.';
