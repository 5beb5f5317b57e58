-- Checkpoints and the origins of merged messages point at versions that exist.

create or replace function kata_data.verify_marks(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
begin
  return query
  select k.version, 'dangling checkpoint', format('Checkpoint "%s" names a version beyond %s.', k.name, h.version)
  from kata_data.checkpoint k
  join kata_data.head h on h.context_id = k.context_id
  where k.context_id = verify_marks.context_id
    and k.version > h.version;
  return query
  select o.version, 'dangling origin', format('Version %s of segment %s, which it is a copy of, is not there.', c.version, c.segment_id)
  from kata_data.merge_origin o
  cross join lateral (values
    (o.source_segment_id, o.source_version),
    (o.origin_segment_id, o.origin_version)
  ) c(segment_id, version)
  where o.segment_id = verify_marks.context_id
    and not exists (
      select from kata_data.message m
      where m.segment_id = c.segment_id
        and m.version = c.version)
    -- A purge leaves the copies of what it removes. The family of an original need not be where that of a copy was imported.
    and exists (
      select from kata_data.context p
      where p.context_id = c.segment_id
        and p.purged_at is null)
  order by o.version;
end
$$;
comment on function kata_data.verify_marks(uuid) is 'Damage in the checkpoints of a context, and in the origins of its merged messages.';
