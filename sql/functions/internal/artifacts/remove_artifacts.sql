-- Removes from the index what an erased or purged message named. The caller holds the lock of the family, which extraction shares, so that
-- none brings back what is removed.

create or replace function kata_data.forget_artifacts(segment_id uuid, version bigint) returns void
language plpgsql volatile
as $$
declare
  v_touched bigint[];
begin
  v_touched := array(
    select a.artifact_id
    from kata_data.artifact a
    cross join lateral (
      select
      from kata_data.artifact_mention m
      where m.artifact_id = a.artifact_id
        and m.version = forget_artifacts.version
      offset 0
    ) m
    where a.segment_id = forget_artifacts.segment_id);
  delete from kata_data.artifact_mention m
  where m.artifact_id = any (v_touched)
    and m.version = forget_artifacts.version;
  perform kata_data.refold_artifacts(v_touched);

  -- Forks that share the version may have added artifacts to it, too.
  delete from kata_data.added_artifact d
  where d.version = forget_artifacts.version
    and d.segment_id = any (array(
      select r.context_id from kata_data.contexts_reading(forget_artifacts.segment_id, forget_artifacts.version) r));
end
$$;
comment on function kata_data.forget_artifacts(uuid, bigint) is
'Removes what a message, about to be erased, says of artifacts: they are as if it had said nothing.

Cost: O(artifacts of the segment).';

create or replace function kata_data.trim_artifacts(segment_id uuid, through bigint) returns void
language plpgsql volatile
as $$
declare
  v_touched bigint[];
begin
  v_touched := array(
    select a.artifact_id
    from kata_data.artifact a
    where a.segment_id = trim_artifacts.segment_id
      and a.last_version > through);
  delete from kata_data.artifact_mention m
  where m.artifact_id = any (v_touched)
    and m.version > through;
  perform kata_data.refold_artifacts(v_touched);
  delete from kata_data.added_artifact d
  where d.segment_id = trim_artifacts.segment_id
    and d.version > through;
  update kata_data.artifact_mark a
  set parsed_through = through
  where a.segment_id = trim_artifacts.segment_id
    and a.parsed_through > through;
  delete from kata_data.artifact_mark a
  where a.segment_id = trim_artifacts.segment_id
    and not exists (
      select from kata_data.message m
      where m.segment_id = trim_artifacts.segment_id
        and m.version <= through)
    and not exists (
      select from kata_data.view_change c
      where c.segment_id = trim_artifacts.segment_id
        and c.version <= through);
end
$$;
comment on function kata_data.trim_artifacts(uuid, bigint) is
'Removes the artifacts of a segment above a version, about to be purged; above -1, all.

Cost as forget_artifacts.';

create or replace function kata_data.refold_artifacts(artifacts bigint[]) returns void
language plpgsql volatile
as $$
begin
  update kata_data.artifact_mention m
  set mentions_through = f.mentions_through,
      detail_version = f.detail_version
  from (
    select m.artifact_id, m.version,
      sum(m.mentions) over w as mentions_through,
      kata_data.weighed_version(max(kata_data.weight_of(m.version, m.detail)) over w) as detail_version
    from kata_data.artifact_mention m
    where m.artifact_id = any (artifacts)
    window w as (partition by m.artifact_id order by m.version)
  ) f
  where m.artifact_id = f.artifact_id
    and m.version = f.version
    and (m.mentions_through, m.detail_version) is distinct from (f.mentions_through, f.detail_version);
  delete from kata_data.artifact a
  where a.artifact_id = any (artifacts)
    and not exists (select from kata_data.artifact_mention m where m.artifact_id = a.artifact_id);
  perform kata_data.update_artifacts(artifacts);
end
$$;
comment on function kata_data.refold_artifacts(bigint[]) is 'Adds up the mentions of some artifacts again, after some of these were removed.';
