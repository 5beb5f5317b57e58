-- The marks are the locks of the index. An indexer passes over a mark that another session holds. A removal waits, and writes the mark: a
-- transaction whose snapshot is older then fails as one that may be repeated, instead of indexing a text that is gone. Both take marks by
-- ascending segment, so neither closes a circle.

create or replace function kata_data.lock_mark(segment_id uuid) returns kata_data.search_mark
language plpgsql volatile
as $$
declare
  v_mark kata_data.search_mark;
begin
  -- One statement cannot both make a row and pass over a locked one.
  if not exists (select from kata_data.search_mark m where m.segment_id = lock_mark.segment_id) then
    insert into kata_data.search_mark (segment_id, indexed_through, analyzer)
    values (lock_mark.segment_id, kata_data.segment_start(lock_mark.segment_id), '')
    on conflict on constraint search_mark_pkey do nothing;
  end if;
  select m.* into v_mark
  from kata_data.search_mark m
  where m.segment_id = lock_mark.segment_id
  for update skip locked;
  if not found then
    return null;
  end if;
  return v_mark;
end
$$;
comment on function kata_data.lock_mark(uuid) is
'The mark of a segment, made if there is none, and locked until the end of the transaction; null where another session holds it.';

create or replace function kata_data.lock_marks(segments uuid[]) returns void
language plpgsql volatile
as $$
begin
  insert into kata_data.search_mark as m (segment_id, indexed_through, analyzer)
  select s.segment_id, kata_data.segment_start(s.segment_id), ''
  from (
    select distinct s.segment_id
    from unnest(segments) s(segment_id)
    cross join lateral (
      select
      from kata_data.context c
      where c.context_id = s.segment_id
      offset 0
    ) c
    order by s.segment_id
  ) s
  on conflict on constraint search_mark_pkey do update
  set indexed_through = m.indexed_through
  -- Written once per transaction: each look-up of a mark passes over all versions that its own transaction wrote.
  where m.xmin <> pg_current_xact_id()::xid;
end
$$;
comment on function kata_data.lock_marks(uuid[]) is
'Keeps segments from being indexed until the end of the transaction. Waits for indexers. Call it before a head is locked.';

create or replace function kata_data.segment_start(segment_id uuid) returns bigint
language plpgsql stable
as $$
begin
  return (
    select coalesce(c.fork_version, 0)
    from kata_data.context c
    where c.context_id = segment_start.segment_id);
end
$$;
comment on function kata_data.segment_start(uuid) is 'The version before the first one of a segment.';
