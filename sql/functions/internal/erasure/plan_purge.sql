-- How much a purge removes. The segment of a context is kept up to the highest version at which another context that is not purged forked
-- it, directly or through purged forks. Walking down the tree of forks, through purged ones only, finds that version.

create or replace function kata_data.segment_reach(segment_id uuid, assumed uuid[] default '{}') returns bigint
language plpgsql stable
as $$
begin
  return (
    with recursive reader(context_id, depth, reach, is_purged) as (
      select c.context_id, c.depth, 9223372036854775807, c.purged_at is not null or c.context_id = any (assumed)
      from kata_data.context c
      where c.context_id = segment_reach.segment_id
      union all
      select c.context_id, c.depth, least(r.reach, c.fork_version), c.purged_at is not null or c.context_id = any (assumed)
      from reader r
      cross join lateral (
        select c.context_id, c.depth, c.fork_version, c.purged_at
        from kata_data.context c
        where c.parent_id = r.context_id
          -- Forks that damage has put in a circle end.
          and c.depth > r.depth
        offset 0
      ) c
      where r.is_purged
    )
    select coalesce(max(r.reach) filter (where not r.is_purged), -1)
    from reader r);
end
$$;
comment on function kata_data.segment_reach(uuid, uuid[]) is
'The highest version up to which a context that is not purged reads a segment.

assumed: contexts to take for purged.

Returns the largest bigint where the context itself is not purged, -1 where no context reads it.
Cost: O(forks of the context and of its purged forks).';

create or replace function kata_data.plan_purge(context_id uuid, assumed uuid[] default '{}')
returns table (segment_id uuid, reach bigint, removed bigint, kept bigint)
language plpgsql stable rows 10
as $$
declare
  v_assumed uuid[] := assumed || context_id;
  v_start bigint;
  v_end bigint;
begin
  for segment_id, v_start, v_end in
    select c.context_id, coalesce(c.fork_version, 0), least(h.version, kata_data.segment_reach(c.context_id, assumed))
    from (
      select plan_purge.context_id, 0 as distance
      union all
      select a.ancestor_id, a.distance
      from kata_data.ancestors(plan_purge.context_id) a
    ) a
    cross join lateral (
      select c.context_id, c.fork_version, c.purged_at
      from kata_data.context c
      where c.context_id = a.context_id
      offset 0
    ) c
    cross join lateral (
      select h.version
      from kata_data.head h
      where h.context_id = a.context_id
      offset 0
    ) h
    where c.purged_at is not null or c.context_id = any (v_assumed)
    order by a.distance
  loop
    -- Every version is one entry, so none need be counted.
    reach := kata_data.segment_reach(segment_id, v_assumed);
    removed := greatest(v_end, v_start) - greatest(reach, v_start);
    kept := greatest(reach, v_start) - v_start;
    return next;
  end loop;
end
$$;
comment on function kata_data.plan_purge(uuid, uuid[]) is
'The effect of a purge: one row for the context and one per ancestor purged before.

assumed: other contexts to take for purged before.

Returns segment_id, reach (the version up to which what it wrote is still read), removed and kept (entries of it that go and stay).';
