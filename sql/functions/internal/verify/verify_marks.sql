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
  return query
  select o.version, 'wrong origin', p.problem
  from kata_data.merge_origin o
  cross join lateral kata_data.origin_problem(o) p(problem)
  where o.segment_id = verify_marks.context_id
    and p.problem is not null
  order by o.version;
end
$$;
comment on function kata_data.verify_marks(uuid) is 'Damage in the checkpoints of a context, and in the origins of its merged messages.';

create or replace function kata_data.origin_problem(origin kata_data.merge_origin) returns text
language plpgsql stable
as $$
declare
  v_source kata_data.merge_origin;
  v_is_copy boolean;
begin
  if exists (
    select
    from unnest(array[origin.source_segment_id, origin.origin_segment_id, origin.amendment_segment_id]) c(context_id)
    where not kata_data.are_of_one_tenant(c.context_id, origin.segment_id)) then
    return 'It is a copy of a message of another tenant.';
  end if;
  select o.* into v_source
  from kata_data.merge_origin o
  where o.segment_id = origin.source_segment_id
    and o.version = origin.source_version;
  v_is_copy := found;
  if not v_is_copy and exists (
    select from kata_data.message m where m.segment_id = origin.source_segment_id and m.version = origin.source_version) then
    v_source.origin_segment_id := origin.source_segment_id;
    v_source.origin_version := origin.source_version;
  end if;
  return case
    when (origin.origin_segment_id, origin.origin_version) <> (v_source.origin_segment_id, v_source.origin_version)
      then format('It goes back to version %s of segment %s, and the message that it is a copy of does not.',
        origin.origin_version, origin.origin_segment_id)
    when (origin.source_segment_id, origin.source_version) = (origin.segment_id, origin.version)
      or v_is_copy and kata_data.comes_back(origin)
      then 'It is a copy of itself.'
    else kata_data.origin_words_problem(origin)
  end;
end
$$;
comment on function kata_data.origin_problem(kata_data.merge_origin) is
'A sentence on what is wrong with the origin of a copy beside that its messages are there; null if nothing is.';

create or replace function kata_data.comes_back(origin kata_data.merge_origin) returns boolean
language sql stable
as $$
  with recursive source as (
    select origin.source_segment_id, origin.source_version
    union
    select o.source_segment_id, o.source_version
    from source s
    cross join lateral (
      select o.source_segment_id, o.source_version
      from kata_data.merge_origin o
      where o.segment_id = s.source_segment_id
        and o.version = s.source_version
      offset 0
    ) o
  )
  select exists (select from source s where (s.source_segment_id, s.source_version) = (origin.segment_id, origin.version))
$$;
comment on function kata_data.comes_back(kata_data.merge_origin) is
'Whether a copy is a copy of itself, by way of others. Cost: O(copies of copies that lead to it).';

create or replace function kata_data.origin_words_problem(origin kata_data.merge_origin) returns text
language plpgsql stable
as $$
declare
  v_copy kata_data.message;
  v_source kata_data.message;
  v_amendment kata_data.amendment;
begin
  v_copy := (select m from kata_data.message m where m.segment_id = origin.segment_id and m.version = origin.version);
  v_source := (
    select m
    from kata_data.message m
    where m.segment_id = origin.source_segment_id
      and m.version = origin.source_version);
  if origin.amendment_version is not null then
    select a.* into v_amendment
    from kata_data.view_change c
    join kata_data.amendment a on a.change_id = c.change_id
    where c.segment_id = origin.amendment_segment_id
      and c.version = origin.amendment_version;
    -- A purge leaves the copies of what it removes, and a family need not be where that of a copy is.
    if not found then
      return null;
    elsif (v_amendment.segment_id, v_amendment.version) <> (origin.source_segment_id, origin.source_version) then
      return format('Version %s of segment %s does not amend the message that it is a copy of.',
        origin.amendment_version, origin.amendment_segment_id);
    end if;
    v_source.salt := v_amendment.salt;
    v_source.content := v_amendment.content;
  end if;
  -- Erased words have no salt.
  return case
    when num_nonnulls(v_copy.salt, v_source.salt) = 2 and v_copy.content is distinct from v_source.content
      then 'It has other words than the message or the amendment that it is a copy of.'
  end;
end
$$;
comment on function kata_data.origin_words_problem(kata_data.merge_origin) is
'A sentence on a copy that has other words than its message, or than the amendment that is said to have them; null if it has not.';
