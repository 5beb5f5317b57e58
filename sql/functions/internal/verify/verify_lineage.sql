-- The lineage of a context has neither gaps nor overlaps, and up to the fork it is that of its parent.

create or replace function kata_data.verify_lineage(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
declare
  v_context kata_data.context;
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
      return next row(
        v_next, 'lineage gap', format('Versions %s to %s belong to no segment.', v_next, v_segment.first_version - 1))::kata_data.finding;
    elsif v_segment.first_version < v_next then
      return next row(v_segment.first_version, 'lineage overlap', format(
        'Segment %s starts at version %s, the one before ends at %s.',
        v_segment.segment_id, v_segment.first_version, v_next - 1))::kata_data.finding;
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
    return next row(
      null, 'lineage gap', 'The last segment is not the context''s own, open-ended from the version after the fork.')::kata_data.finding;
  end if;
  return query select p.version, p.problem, p.detail from kata_data.verify_parent(v_context) p;
end
$$;
comment on function kata_data.verify_lineage(uuid) is 'Damage in the lineage of a context and in its tie to its parent.';

create or replace function kata_data.verify_parent(context kata_data.context) returns setof kata_data.finding
language plpgsql stable rows 1
as $$
declare
  v_parent_version bigint;
begin
  if context.parent_id is null then
    return;
  end if;
  select h.version into v_parent_version
  from kata_data.head h
  join kata_data.context p on p.context_id = h.context_id
  where p.context_id = context.parent_id
    and p.tenant = context.tenant
    and p.tokenizer = context.tokenizer
    and p.family_id = context.family_id
    and p.depth = context.depth - 1
    and kata_data.bucket(p.context_id) = kata_data.bucket(context.context_id);
  if v_parent_version is null or v_parent_version < context.fork_version then
    return next row(null, 'broken parent', format(
      'Context %s, forked at version %s, is not its parent by tenant, tokenizer, family, depth, bucket and version.',
      context.parent_id, context.fork_version))::kata_data.finding;
  elsif exists (
    select from kata_data.segments(context.parent_id, 1, context.fork_version) p
    full join (
      select s.segment_id, s.first_version, s.last_version
      from kata_data.segments(context.context_id, 1, context.fork_version) s
    ) s using (segment_id, first_version, last_version)
    where p.segment_id is null or s.segment_id is null) then
    return next row(null, 'broken parent', format(
      'Its lineage up to version %s is not that of its parent %s.', context.fork_version, context.parent_id))::kata_data.finding;
  end if;
end
$$;
comment on function kata_data.verify_parent(kata_data.context) is 'Damage in the tie of a fork to its parent.';
