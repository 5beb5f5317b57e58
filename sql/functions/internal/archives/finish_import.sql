-- A family that was imported is verified as any other: what does not verify is not imported. A family that exists is compared line by line.

create or replace function kata_data.finish_import(import kata_data.family_import) returns void
language plpgsql volatile
as $$
declare
  v_context kata_data.context;
  v_finding kata_data.finding;
begin
  delete from kata_data.family_import i where i.family_id = import.family_id;
  if not import.is_new then
    return;
  end if;
  perform kata_data.keep_tenant(import.tenant);
  for v_context in
    select c.*
    from kata_data.family_contexts(import.family_id) f
    join kata_data.context c on c.context_id = f.context_id
    order by c.depth, c.context_id
  loop
    select f.* into v_finding
    from (
      select f.version, f.problem, f.detail from kata_data.verify_context(v_context) f
      union all
      select o.version, 'orphan row', o.detail from kata_data.rows_without_entry(v_context.context_id, v_context.context_id) o
    ) f
    limit 1;
    if found then
      raise exception using
        errcode = 'KC017',
        message = format('the archive of family %s does not verify', import.family_id),
        detail = format('Context %s%s, %s: %s.', v_context.context_id, ', version ' || v_finding.version, v_finding.problem, rtrim(v_finding.detail, '.')),
        hint = 'Nothing is imported: the family was changed after it was exported, or was damaged before, which kata.verify shows there.';
    end if;
  end loop;
end
$$;
comment on function kata_data.finish_import(kata_data.family_import) is 'Ends an import with its last line: verifies a family that is new. KC017.';

create or replace function kata_data.compare_counts(family_id uuid, counts jsonb) returns void
language plpgsql stable
as $$
declare
  v_part record;
begin
  select p.part, coalesce(counts ->> p.part, '0') as given, coalesce(s.stored ->> p.part, '0') as stored into v_part
  from kata_data.archive_counts(family_id) s(stored)
  cross join kata_data.archive_parts() p
  where p.is_compared
    and counts -> p.part is distinct from s.stored -> p.part
  order by p.place
  limit 1;
  if found then
    perform kata_data.refuse_difference(
      family_id, format('Rows of %s: %s in the archive, %s in the database.', v_part.part, v_part.given, v_part.stored));
  end if;
end
$$;
comment on function kata_data.compare_counts(uuid, jsonb) is 'Refuses an archive with other numbers of rows than a family that exists. KC017.';

create or replace function kata_data.compare_lines(import kata_data.family_import, part kata_data.archive_part, lines jsonb) returns void
language plpgsql stable
as $$
declare
  v_line jsonb;
begin
  -- A subquery of one row, which the planner runs for each line: a join would make a view for all families.
  execute format(
    'select l.line from jsonb_array_elements($1) with ordinality l(line, place)
    where (select %s from kata_data.%I t where (%s) = (%s) limit 1) is distinct from jsonb_build_object(%L, l.line)
    order by l.place limit 1',
    kata_data.archive_line(part.part, part.source), part.source, kata_data.archive_key(part.source, part.owner, part.keys),
    kata_data.archive_key(part.source, part.owner, part.keys, 'l.line'), part.part)
  into v_line using lines;
  if v_line is not null then
    perform kata_data.refuse_difference(import.family_id, format('A row of %s is another one: %s.', part.part, (
      select string_agg(k.name || ' ' || left(v_line ->> k.name, 100), ', ' order by k.place)
      from unnest(part.owner || part.keys) with ordinality k(name, place))));
  end if;
end
$$;
comment on function kata_data.compare_lines(kata_data.family_import, kata_data.archive_part, jsonb) is
'Refuses lines of a part that differ from the rows of a family that exists. KC017.';

create or replace function kata_data.refuse_difference(family_id uuid, difference text) returns void
language plpgsql immutable
as $$
begin
  raise exception using
    errcode = 'KC017',
    message = format('family %s exists, and is not as in the archive', family_id),
    detail = difference,
    hint = 'An archive is imported where its family is not, or is the same: import it into another database.';
end
$$;
comment on function kata_data.refuse_difference(uuid, text) is 'Refuses an archive that differs from the family that exists. KC017.';
