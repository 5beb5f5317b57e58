-- Verification: no row belongs to a context, segment or entry that does not exist.

create or replace function kata_data.verify_orphans()
returns table (segment_id uuid, version bigint, problem text, detail text)
language plpgsql stable rows 10
as $$
declare
  v_setting text := coalesce(current_setting('kata.tenant', true), '');
begin
  -- Contexts of all tenants must be seen to say that one is missing; verify lets only those come here who may.
  perform set_config('kata.tenant', '*', true);
  -- Segments are found by skipping through the index, one look-up each. Whose segment it is reads all of it, so nobody else need be asked.
  for segment_id in
    with recursive segment as (
      (select m.segment_id from kata_data.message m order by m.segment_id limit 1)
      union all
      select (select m.segment_id from kata_data.message m where m.segment_id > s.segment_id order by m.segment_id limit 1)
      from segment s
      where s.segment_id is not null
    )
    select s.segment_id from segment s where s.segment_id is not null
  loop
    return query
    select m.segment_id, m.version, 'orphan row', 'No context''s lineage reaches this message.'
    from (
      select m.segment_id, min(m.version) as version
      from kata_data.message m
      where m.segment_id = verify_orphans.segment_id
        and not exists (
          select from kata_data.lineage l
          where l.context_id = m.segment_id
            and l.segment_id = m.segment_id
            and m.version between l.first_version and l.last_version)
      group by m.segment_id
    ) m;
  end loop;
  return query
  select e.segment_id, e.version, 'orphan row', 'An erasure belongs to no message.'
  from kata_data.erasure e
  where not exists (
      select from kata_data.message m
      where m.segment_id = e.segment_id
        and m.version = e.version)
    and not exists (
      select from kata_data.summary y
      where y.segment_id = e.segment_id
        and y.version = e.version);
  return query
  select h.context_id, null::bigint, 'orphan row', 'A head belongs to no context.'
  from kata_data.head h
  where not exists (select from kata_data.context c where c.context_id = h.context_id);
  return query
  select l.context_id, null::bigint, 'orphan row', 'A lineage belongs to no context.'
  from kata_data.lineage l
  where not exists (select from kata_data.context c where c.context_id = l.context_id);
  return query
  select c.segment_id, c.version, 'orphan row', 'No context''s lineage reaches this view change.'
  from kata_data.view_change c
  where not exists (
    select from kata_data.lineage l
    where l.context_id = c.segment_id
      and l.segment_id = c.segment_id
      and c.version between l.first_version and l.last_version);
  return query
  select y.segment_id, y.version, 'orphan row', 'A summary belongs to no compaction.'
  from kata_data.summary y
  where not exists (
    select from kata_data.view_change c
    where c.segment_id = y.segment_id
      and c.version = y.version);
  return query
  select s.segment_id, s.version, 'orphan row', 'A stub belongs to no message, or to no elision.'
  from kata_data.stub s
  where not exists (
      select from kata_data.message m
      where m.segment_id = s.segment_id
        and m.version = s.version
        and m.group_version = s.group_version)
    or not exists (select from kata_data.view_change c where c.change_id = s.change_id and c.kind = 'elision');
  return query
  select t.segment_id, t.version, 'orphan row', format('A token count in %s belongs to no message.', t.tokenizer)
  from kata_data.token_count t
  where not exists (
    select from kata_data.message m
    where m.segment_id = t.segment_id
      and m.version = t.version);
  return query
  select o.segment_id, o.version, 'orphan row', 'An origin belongs to no message.'
  from kata_data.merge_origin o
  where not exists (
      select from kata_data.message m
      where m.segment_id = o.segment_id
        and m.version = o.version)
    -- A purge leaves what leads to copies.
    and not exists (
      select from kata_data.context c
      where c.context_id = o.segment_id
        and c.purged_at is not null);
  return query
  select k.context_id, k.version, 'orphan row', format('Checkpoint "%s" belongs to no context.', k.name)
  from kata_data.checkpoint k
  where not exists (select from kata_data.context c where c.context_id = k.context_id);
  perform set_config('kata.tenant', v_setting, true);
end
$$;
comment on function kata_data.verify_orphans() is 'Rows that no context owns, the first of each segment.';

create or replace function kata_data.verify_artifact_orphans()
returns table (segment_id uuid, version bigint, problem text, detail text)
language plpgsql stable rows 10
as $$
begin
  return query
  select o.segment_id, null::bigint, 'orphan row', format('%s belongs to no context.', o.what)
  from (
    select k.segment_id, 'A mark of parsed messages' as what from kata_data.artifact_mark k
    union all
    select a.segment_id, format('The %s "%s"', a.kind, left(a.ref, 100)) from kata_data.artifact a
    union all
    select d.segment_id, format('The added %s "%s"', d.kind, left(d.ref, 100)) from kata_data.added_artifact d
  ) o
  where not exists (select from kata_data.head h where h.context_id = o.segment_id);
  return query
  select null::uuid, m.version, 'orphan row', format('A mention belongs to no artifact: %s is not there.', m.artifact_id)
  from kata_data.artifact_mention m
  where not exists (select from kata_data.artifact a where a.artifact_id = m.artifact_id);
end
$$;
comment on function kata_data.verify_artifact_orphans() is 'Rows of the artifact index that belong to nothing.';
