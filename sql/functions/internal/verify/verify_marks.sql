-- Verification: the marks of the artifact index lie within their segments.

create or replace function kata_data.verify_marks(context_id uuid)
returns table (version bigint, problem text, detail text)
language plpgsql stable rows 10
as $$
declare
  v_newest bigint := (select h.version from kata_data.head h where h.context_id = verify_marks.context_id);
begin
  return query
  select k.version, 'dangling checkpoint', format('Checkpoint "%s" names a version beyond %s.', k.name, v_newest)
  from kata_data.checkpoint k
  where k.context_id = verify_marks.context_id
    and k.version > v_newest;
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
    -- What was purged left its copies.
    and not exists (
      select from kata_data.context p
      where p.context_id = c.segment_id
        and p.purged_at is not null)
  order by o.version;
end
$$;
comment on function kata_data.verify_marks(uuid) is 'Damage in what points at versions of a context: checkpoints, and the origins of merged messages.';
