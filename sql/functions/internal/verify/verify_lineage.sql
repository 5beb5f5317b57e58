-- Verification: the lineage of a context has neither gaps nor overlaps.

create or replace function kata_data.verify_lineage(context_id uuid)
returns table (version bigint, problem text, detail text)
language plpgsql stable rows 10
as $$
declare
  v_context kata_data.context;
  v_parent_version bigint;
  v_next bigint := 1;
  v_last_segment uuid;
  v_last_start bigint;
  v_last_end bigint;
  v_segment record;
begin
  select c.* into strict v_context from kata_data.context c where c.context_id = verify_lineage.context_id;
  for v_segment in
    select l.first_version, l.last_version, l.segment_id
    from kata_data.lineage l
    where l.context_id = verify_lineage.context_id
    order by l.first_version
  loop
    if v_segment.first_version > v_next then
      return query select v_next, 'lineage gap', format('Versions %s to %s belong to no segment.', v_next, v_segment.first_version - 1);
    elsif v_segment.first_version < v_next then
      return query select v_segment.first_version, 'lineage overlap', format('Segment %s starts at version %s, the one before ends at %s.',
        v_segment.segment_id, v_segment.first_version, v_next - 1);
    end if;
    if v_segment.last_version = 9223372036854775807 then
      v_next := v_segment.last_version;
    else
      v_next := v_segment.last_version + 1;
    end if;
    v_last_segment := v_segment.segment_id;
    v_last_start := v_segment.first_version;
    v_last_end := v_segment.last_version;
  end loop;
  if (v_last_segment, v_last_start, v_last_end)
    is distinct from (context_id, coalesce(v_context.fork_version, 0) + 1, 9223372036854775807) then
    return query select null::bigint, 'lineage gap', 'The last segment is not the context''s own and open-ended from the version after the fork on.';
  end if;

  if v_context.parent_id is not null then
    select h.version into v_parent_version
    from kata_data.head h
    join kata_data.context p on p.context_id = h.context_id
    where p.context_id = v_context.parent_id
      and p.tenant = v_context.tenant
      and p.family_id = v_context.family_id
      and p.depth = v_context.depth - 1
      and kata_data.bucket(p.context_id) = kata_data.bucket(v_context.context_id);
    if v_parent_version is null or v_parent_version < v_context.fork_version then
      return query select null::bigint, 'broken parent', format('Context %s, forked at version %s, is not its parent by tenant, family, depth, bucket and version.',
        v_context.parent_id, v_context.fork_version);
    elsif exists (
      select from kata_data.segments(v_context.parent_id, 1, v_context.fork_version) p
      full join (
        select s.segment_id, s.first_version, s.last_version
        from kata_data.segments(verify_lineage.context_id, 1, v_context.fork_version) s
      ) s using (segment_id, first_version, last_version)
      where p.segment_id is null or s.segment_id is null) then
      return query select null::bigint, 'broken parent', format('Its lineage up to version %s is not that of its parent %s.',
        v_context.fork_version, v_context.parent_id);
    end if;
  end if;
end
$$;
comment on function kata_data.verify_lineage(uuid) is 'Damage in the lineage of a context and in its tie to its parent.';
