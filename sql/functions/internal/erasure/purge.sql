-- What a purge takes and what it leaves. What a context wrote is kept up to the highest version at which somebody who is not purged
-- forked it, directly or by way of purged forks. That is found by walking down the tree of forks, through purged ones only.

create or replace function kata_data.segment_reach(segment_id uuid, assumed uuid[] default '{}') returns bigint
language plpgsql stable
as $$
begin
  return (
    with recursive reader(context_id, reach, is_purged) as (
      select c.context_id, 9223372036854775807, c.purged_at is not null or c.context_id = any (assumed)
      from kata_data.context c
      where c.context_id = segment_reach.segment_id
      union all
      select c.context_id, least(r.reach, c.fork_version), c.purged_at is not null or c.context_id = any (assumed)
      from reader r
      join kata_data.context c on c.parent_id = r.context_id
      where r.is_purged
    )
    select coalesce(max(r.reach) filter (where not r.is_purged), -1)
    from reader r);
end
$$;
comment on function kata_data.segment_reach(uuid, uuid[]) is
'The highest version up to which a context that is not purged reads what a context wrote: the largest bigint where that is not purged
itself, -1 where there is none. assumed: contexts to take for purged. Cost: O(forks of the context and of its purged forks).';

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
    join kata_data.context c on c.context_id = a.context_id
    join kata_data.head h on h.context_id = c.context_id
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
'What the purge of a context comes to: a row for itself and for every ancestor purged before, with the version up to which what it wrote
is still read, and the entries of it that go and stay. assumed: other contexts to take for purged before.';

create or replace function kata_data.cut_segment(segment_id uuid, reach bigint) returns void
language plpgsql volatile
as $$
begin
  delete from kata_data.message m where m.segment_id = cut_segment.segment_id and m.version > reach;
  delete from kata_data.token_count t where t.segment_id = cut_segment.segment_id and t.version > reach;
  -- An origin is what leads from an original to the copies of its copies, so that an erasure finds them.
  delete from kata_data.merge_origin o
  where o.segment_id = cut_segment.segment_id
    and o.version > reach
    and not exists (
      select from kata_data.merge_origin c
      where c.origin_segment_id = o.origin_segment_id
        and c.origin_version = o.origin_version
        and c.source_segment_id = o.segment_id
        and c.source_version = o.version);
  delete from kata_data.stub s
  where s.segment_id = cut_segment.segment_id
    and s.version > reach;
  -- What a fork shortened may belong to an ancestor.
  delete from kata_data.stub s
  using kata_data.view_change v
  where v.segment_id = cut_segment.segment_id
    and v.version > reach
    and s.change_id = v.change_id;
  delete from kata_data.summary y where y.segment_id = cut_segment.segment_id and y.version > reach;
  delete from kata_data.view_change v where v.segment_id = cut_segment.segment_id and v.version > reach;
  delete from kata_data.compaction n
  where n.context_id = cut_segment.segment_id
    and (n.summary_version <= reach) is not true;
  perform kata_data.trim_artifacts(cut_segment.segment_id, reach);
  delete from kata_data.erasure e where e.segment_id = cut_segment.segment_id and e.version > reach;
  delete from kata_data.checkpoint p where p.context_id = cut_segment.segment_id and p.version > reach;
end
$$;
comment on function kata_data.cut_segment(uuid, bigint) is
'Removes what a context wrote above a version, and what was derived from it: a statement for each table that has such rows. Runs as
kata_eraser, whom alone the tables of the log let through.';

-- A fork or a copy made since an older snapshot would be missed: they only share the lock, which no later check finds.
create or replace function kata_data.check_isolation() returns void
language plpgsql stable
as $$
begin
  if current_setting('transaction_isolation') in ('read committed', 'read uncommitted') then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = 'history is removed at isolation level read committed only',
    detail = format('The transaction is at level %s, whose snapshot may hide a fork or a copy made meanwhile.', current_setting('transaction_isolation')),
    hint = 'Call the function in a transaction of its own, at level read committed.';
end
$$;
comment on function kata_data.check_isolation() is 'Refuses a transaction that could not see what others commit before it has its locks. KC017.';

create or replace function kata_data.hold_artifacts(contexts uuid[]) returns void
language plpgsql volatile
as $$
begin
  -- Purges and erasures, which hold several segments and find more of them as they go, come one after the other.
  perform pg_advisory_xact_lock(hashtextextended('kata removal', 0));
  perform pg_advisory_xact_lock(kata_data.artifact_lock(s.segment_id))
  from (
    select c.context_id as segment_id
    from unnest(contexts) c(context_id)
    union
    select a.ancestor_id
    from unnest(contexts) c(context_id)
    cross join lateral kata_data.ancestors(c.context_id) a
    order by segment_id
  ) s;
end
$$;
comment on function kata_data.hold_artifacts(uuid[]) is
'Keeps other purges and erasures out, and the segments of some contexts and of their ancestors from being parsed, until the end of the transaction.
To be called before a head is locked.';
