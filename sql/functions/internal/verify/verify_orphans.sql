-- No row belongs to a context, segment or entry that does not exist. One anti-join per sentence: the sentence is the finding.

create or replace function kata_data.verify_orphans() returns table (segment_id uuid, version bigint, problem text, detail text)
language plpgsql stable rows 10
as $$
declare
  v_setting text := coalesce(current_setting('kata.tenant', true), '');
begin
  -- Only where contexts of all tenants are visible a missing one is missing; verify calls this for roles that may see them.
  perform set_config('kata.tenant', '*', true);
  return query select m.segment_id, m.version, 'orphan row', 'No context''s lineage reaches this message.' from kata_data.orphan_messages() m;
  return query select o.segment_id, o.version, 'orphan row', o.detail from kata_data.rows_without_context() o;
  return query select o.segment_id, o.version, 'orphan row', o.detail from kata_data.rows_without_entry(
    '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff') o;
  return query select o.segment_id, o.version, 'orphan row', o.detail from kata_data.artifacts_without_context() o;
  return query select o.segment_id, o.version, 'orphan row', o.detail from kata_data.search_rows_without_context() o;
  return query select o.segment_id, o.version, 'orphan row', o.detail from kata_data.embeddings_without_context() o;
  perform set_config('kata.tenant', v_setting, true);
end
$$;
comment on function kata_data.verify_orphans() is 'Rows of all tenants that belong to nothing; of messages the first of each segment.';

create or replace function kata_data.orphan_messages() returns table (segment_id uuid, version bigint)
language plpgsql stable rows 10
as $$
begin
  -- Skipping through the index finds each segment by one look-up. The context whose segment it is reads all of it, so its lineage decides.
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
    select min(m.version) into strict version
    from kata_data.message m
    where m.segment_id = orphan_messages.segment_id
      and not exists (
        select from kata_data.lineage l
        where l.context_id = m.segment_id
          and l.segment_id = m.segment_id
          and m.version between l.first_version and l.last_version);
    if version is not null then
      return next;
    end if;
  end loop;
end
$$;
comment on function kata_data.orphan_messages() is 'The first message of each segment that no lineage reaches.';

create or replace function kata_data.rows_without_context() returns table (segment_id uuid, version bigint, detail text)
language sql stable rows 10
as $$
  select h.context_id, null::bigint, 'A head belongs to no context.'
  from kata_data.head h
  where not exists (select from kata_data.context c where c.context_id = h.context_id)
  union all
  select l.context_id, null, 'A lineage belongs to no context.'
  from kata_data.lineage l
  where not exists (select from kata_data.context c where c.context_id = l.context_id)
  union all
  select a.context_id, null, format('Act %s belongs to no context.', a.number)
  from kata_data.act a
  where not exists (select from kata_data.context c where c.context_id = a.context_id)
  union all
  select k.context_id, k.version, format('Checkpoint "%s" belongs to no context.', k.name)
  from kata_data.checkpoint k
  where not exists (select from kata_data.context c where c.context_id = k.context_id)
  union all
  select v.segment_id, v.version, 'No context''s lineage reaches this view change.'
  from kata_data.view_change v
  where not exists (
    select from kata_data.lineage l
    where l.context_id = v.segment_id
      and l.segment_id = v.segment_id
      and v.version between l.first_version and l.last_version)
$$;
comment on function kata_data.rows_without_context() is 'Rows that belong to no context, except messages and artifacts.';

create or replace function kata_data.rows_without_entry(low uuid, high uuid) returns table (segment_id uuid, version bigint, detail text)
language sql stable rows 10
as $$
  select t.segment_id, t.version, format('A token count in %s belongs to no message.', t.tokenizer)
  from kata_data.token_count t
  where t.segment_id between low and high
    and not exists (select from kata_data.message m where m.segment_id = t.segment_id and m.version = t.version)
  union all
  select i.segment_id, i.version, format('The external id "%s" belongs to no entry.', left(i.external_id, 100))
  from kata_data.entry_id i
  where i.segment_id between low and high
    and not exists (
      select from kata_data.message m
      where m.segment_id = i.segment_id
        and m.version = i.version
        and m.external_id = i.external_id)
    and not exists (
      select from kata_data.record r
      where r.segment_id = i.segment_id
        and r.version = i.version
        and r.external_id = i.external_id)
  union all
  select r.segment_id, r.version, 'A record belongs to no view change.'
  from kata_data.record r
  where r.segment_id between low and high
    and not exists (
      select from kata_data.view_change v where v.segment_id = r.segment_id and v.version = r.version and v.kind = 'record')
  union all
  select y.segment_id, y.version, 'A summary belongs to no compaction.'
  from kata_data.summary y
  where y.segment_id between low and high
    and not exists (select from kata_data.view_change v where v.segment_id = y.segment_id and v.version = y.version)
  union all
  select s.segment_id, s.version, 'A stub belongs to no message, or to no elision.'
  from kata_data.stub s
  where s.segment_id between low and high
    and (not exists (
        select from kata_data.message m where m.segment_id = s.segment_id and m.version = s.version and m.group_version = s.group_version)
      or not exists (select from kata_data.view_change v where v.change_id = s.change_id and v.kind = 'elision'))
  union all
  select a.segment_id, a.version, 'Words of an amendment belong to no message, or to no amendment.'
  from kata_data.amendment a
  where a.segment_id between low and high
    and (not exists (
          select from kata_data.message m where m.segment_id = a.segment_id and m.version = a.version and m.group_version = a.group_version)
        and not exists (select from kata_data.summary y where y.segment_id = a.segment_id and y.version = a.version)
      or not exists (select from kata_data.view_change v where v.change_id = a.change_id and v.kind = 'amendment'))
  union all
  select e.segment_id, e.version, 'An erasure belongs to no message.'
  from kata_data.erasure e
  where e.segment_id between low and high
    and not exists (select from kata_data.message m where m.segment_id = e.segment_id and m.version = e.version)
    and not exists (select from kata_data.summary y where y.segment_id = e.segment_id and y.version = e.version)
    and not exists (select from kata_data.record r where r.segment_id = e.segment_id and r.version = e.version)
    and not exists (
      select from kata_data.view_change v where v.segment_id = e.segment_id and v.version = e.version and v.kind = 'amendment')
  union all
  -- A purge leaves the origins that lead to copies.
  select o.segment_id, o.version, 'An origin belongs to no message.'
  from kata_data.merge_origin o
  where o.segment_id between low and high
    and not exists (select from kata_data.message m where m.segment_id = o.segment_id and m.version = o.version)
    and not exists (select from kata_data.context c where c.context_id = o.segment_id and c.purged_at is not null)
$$;
comment on function kata_data.rows_without_entry(uuid, uuid) is
'Rows about a message, summary or view change that does not exist, of the segments from one id to another.';

create or replace function kata_data.artifacts_without_context() returns table (segment_id uuid, version bigint, detail text)
language sql stable rows 10
as $$
  select o.segment_id, null::bigint, format('%s belongs to no context.', o.what)
  from (
    select k.segment_id, 'A mark of parsed messages' as what from kata_data.artifact_mark k
    union all
    select a.segment_id, format('The %s "%s"', a.kind, left(a.ref, 100)) from kata_data.artifact a
    union all
    select d.segment_id, format('The added %s "%s"', d.kind, left(d.ref, 100)) from kata_data.added_artifact d
  ) o
  where not exists (select from kata_data.head h where h.context_id = o.segment_id)
  union all
  select null, m.version, format('A mention belongs to no artifact: %s is not there.', m.artifact_id)
  from kata_data.artifact_mention m
  where not exists (select from kata_data.artifact a where a.artifact_id = m.artifact_id)
$$;
comment on function kata_data.artifacts_without_context() is 'Rows of the artifact index that belong to nothing.';
