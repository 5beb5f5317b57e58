-- A path is read piece by piece: a range of versions is clipped to the segments that hold it, and each piece is an index range scan.
-- LATERAL and OFFSET 0 leave the planner no other way, so that the cost follows the rows read, never the length of the log.

create or replace function kata_data.segments(context_id uuid, low bigint, high bigint)
returns table (segment_id uuid, first_version bigint, last_version bigint)
language sql stable rows 1
as $$
  select l.segment_id, greatest(l.first_version, low), least(l.last_version, high)
  from kata_data.lineage l
  where l.context_id = segments.context_id
    and l.first_version <= high
    and l.last_version >= low
$$;
comment on function kata_data.segments(uuid, bigint, bigint) is
'The segments that hold the versions low to high of a context''s path, clipped to these.';
