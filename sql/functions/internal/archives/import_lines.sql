-- The import of a family: lines are taken in batches, in one transaction, which verifies the family with the last line. Nothing is staged: rows
-- that no other session sees before the commit are stage enough, and a constraint trigger on family_import refuses to commit a part of them.

create or replace function kata_data.import_batch(lines jsonb) returns kata_data.family_import
language plpgsql volatile
as $$
declare
  v_lines jsonb := lines;
  v_import kata_data.family_import;
begin
  if lines #> '{0}' ? 'kata_archive' then
    perform kata_data.begin_import(lines -> 0);
    v_lines := lines - 0;
  end if;
  select i.* into v_import from kata_data.family_import i;
  if not found then
    raise exception using
      errcode = 'KC017',
      message = 'no archive has begun',
      detail = 'The first line of an archive has the key kata_archive, and this transaction has passed none that is still open.',
      hint = 'Pass the lines of an archive in their order, beginning with the first.';
  end if;
  if v_lines <> '[]' then
    v_import := kata_data.take_lines(v_import, v_lines);
    update kata_data.family_import i
    set missing = v_import.missing,
        lines = v_import.lines,
        place = v_import.place,
        depth = v_import.depth,
        context_id = v_import.context_id,
        version = v_import.version
    where i.family_id = v_import.family_id;
  end if;
  if v_import.missing = '{}' then
    perform kata_data.finish_import(v_import);
  end if;
  return v_import;
end
$$;
comment on function kata_data.import_batch(jsonb) is 'Takes lines of an archive, and returns how far its import is. KC013, KC017, KC024.';

create or replace function kata_data.begin_import(header jsonb) returns void
language plpgsql volatile
as $$
declare
  v_import kata_data.family_import := jsonb_populate_record(null::kata_data.family_import, header);
  v_problem text;
begin
  v_problem := case
    when header -> 'kata_archive' is distinct from '1' then format('Its format is %s; this release reads 1.', left(header ->> 'kata_archive', 100))
    when exists (select from kata_data.family_import) then 'The archive before it has lines that are missing.'
    when v_import.tenant is distinct from kata_data.current_tenant()
      then format('It is of tenant "%s", and you act for tenant "%s".', left(v_import.tenant, 100), kata_data.current_tenant())
    when kata_data.counts_problem(header -> 'counts') then 'Its counts are not an object from parts to numbers of lines.'
  end;
  if v_problem is null and jsonb_typeof(header -> 'tokenizers') = 'array' then
    v_problem := (
      select format('Its tokenizer "%s" is unknown here: register it first, by kata.register_tokenizer with %s.', left(t.value ->> 'name', 100), left(t.value::text, 300))
      from jsonb_array_elements(header -> 'tokenizers') t
      where not exists (select from kata_data.tokenizer k where k.name = t.value ->> 'name')
      limit 1);
  end if;
  if v_problem is not null then
    perform kata_data.refuse_archive(1, v_problem);
  end if;
  perform kata_data.check_bucket(kata_data.bucket(v_import.family_id));
  insert into kata_data.family_import (family_id, tenant, is_new, missing, lines, place, depth, context_id, version)
  values (v_import.family_id, v_import.tenant, true, header -> 'counts', 1, 0, 0, v_import.family_id, 0);
  -- Looked up after an import of another session, for which the insert waited.
  if exists (select from kata_data.context c where c.context_id = v_import.family_id) then
    update kata_data.family_import i set is_new = false where i.family_id = v_import.family_id;
    perform kata_data.compare_counts(v_import.family_id, header -> 'counts');
  end if;
end
$$;
comment on function kata_data.begin_import(jsonb) is 'Begins the import of a family, or the comparison with one that exists, by the first line. KC017, KC024.';

create or replace function kata_data.counts_problem(counts jsonb) returns boolean
language plpgsql stable
as $$
begin
  return jsonb_typeof(counts) is distinct from 'object' or not counts ? 'context' or exists (
    select
    from jsonb_each(counts) e
    left join kata_data.archive_parts() p on p.part = e.key
    where p.part is null
      or jsonb_typeof(e.value) <> 'number'
      or e.value::text !~ '^[1-9][0-9]{0,15}$' collate "C");
end
$$;
comment on function kata_data.counts_problem(jsonb) is 'Whether a value is not the counts of an archive: positive numbers by part.';

create or replace function kata_data.take_lines(import kata_data.family_import, lines jsonb) returns kata_data.family_import
language plpgsql volatile
as $$
declare
  v_import kata_data.family_import := import;
  v_parts text[];
  v_names text[];
  v_found record;
  v_part kata_data.archive_part;
  v_wrong record;
begin
  v_parts := array(select p.part from kata_data.archive_parts() p);
  select l.place into v_wrong
  from jsonb_array_elements(lines) with ordinality l(line, place)
  where case when jsonb_typeof(l.line) = 'object' then not l.line ?| v_parts or (select count(*) from jsonb_object_keys(l.line)) > 1 else true end
  limit 1;
  if found then
    perform kata_data.refuse_archive(import.lines + v_wrong.place, 'It is not an object with the name of a part as its one key.');
  end if;
  for v_found in
    select p as part, jsonb_agg(l.line -> p.part order by l.place) as lines, array_agg(l.place order by l.place) as numbers
    from jsonb_array_elements(lines) with ordinality l(line, place)
    join kata_data.archive_parts() p on l.line ? p.part
    group by p, p.place
    order by p.place
  loop
    v_part := v_found.part;
    v_names := kata_data.archive_names(v_part.source);
    select v_found.numbers[l.place] as place, p.problem into v_wrong
    from jsonb_array_elements(v_found.lines) with ordinality l(line, place)
    cross join lateral kata_data.line_problem(v_part.part, l.line, v_names) p(problem)
    where p.problem is not null
    order by l.place
    limit 1;
    if found then
      perform kata_data.refuse_archive(import.lines + v_wrong.place, v_wrong.problem);
    end if;
    if import.is_new then
      perform kata_data.store_lines(import, v_part, v_found.lines, v_found.numbers);
    elsif v_part.is_compared then
      perform kata_data.compare_lines(import, v_part, v_found.lines);
    end if;
    v_import.missing := kata_data.missing_after(v_import, v_part.part, cardinality(v_found.numbers));
  end loop;
  return kata_data.place_after(v_import, lines);
end
$$;
comment on function kata_data.take_lines(kata_data.family_import, jsonb) is
'Stores lines of an archive, or compares them, and returns how far its import is then. KC013, KC017.';

create or replace function kata_data.missing_after(import kata_data.family_import, part text, lines integer) returns jsonb
language plpgsql stable
as $$
declare
  v_missing bigint;
begin
  v_missing := coalesce((import.missing -> part)::bigint, 0) - lines;
  if v_missing < 0 then
    perform kata_data.refuse_archive(import.lines, format('More lines of "%s" follow than the first line says.', part));
  end if;
  return case when v_missing = 0 then import.missing - part else import.missing || jsonb_build_object(part, v_missing) end;
end
$$;
comment on function kata_data.missing_after(kata_data.family_import, text, integer) is
'How many lines of each part are missing after some lines of one. KC017.';

create or replace function kata_data.place_after(import kata_data.family_import, lines jsonb) returns kata_data.family_import
language plpgsql stable
as $$
declare
  v_import kata_data.family_import := import;
  v_line record;
begin
  for v_line in
    select l.place as number, p.part, p.place, c.depth, c.context_id, c.fork_version,
      case when jsonb_typeof(k.value) = 'number' then k.value::numeric else 0 end as version
    from jsonb_array_elements(lines) with ordinality l(line, place)
    cross join lateral jsonb_each(l.line) e
    join kata_data.archive_parts() p on p.part = e.key
    cross join lateral (select e.value -> p.keys[1]) k(value)
    left join kata_data.context c on c.context_id = (e.value ->> p.owner)::uuid and c.family_id = import.family_id and c.tenant = import.tenant
    order by l.place
  loop
    if v_line.context_id is null then
      perform kata_data.refuse_archive(import.lines + v_line.number, 'Its context is not one of the family.');
    elsif (v_line.place, v_line.depth, v_line.context_id, v_line.version)
      < (v_import.place, v_import.depth, v_import.context_id, v_import.version) then
      perform kata_data.refuse_archive(import.lines + v_line.number, 'It is not in the order of an archive.');
    elsif v_line.part in ('message', 'view_change') and v_line.version <= coalesce(v_line.fork_version, 0) then
      perform kata_data.refuse_archive(import.lines + v_line.number, 'Its version is not after the fork.');
    end if;
    v_import.place := v_line.place;
    v_import.depth := v_line.depth;
    v_import.context_id := v_line.context_id;
    v_import.version := v_line.version;
  end loop;
  v_import.lines := import.lines + jsonb_array_length(lines);
  return v_import;
end
$$;
comment on function kata_data.place_after(kata_data.family_import, jsonb) is
'How far an import is after lines, which are stored. Refuses those of another family, and those that are not in order. KC017.';

create or replace function kata_data.refuse_archive(line bigint, problem text) returns void
language plpgsql immutable
as $$
begin
  raise exception using
    errcode = 'KC017',
    message = format('line %s of the archive of a family is refused', line),
    detail = problem,
    hint = 'Nothing is imported: pass the archive as kata.export_family wrote it.';
end
$$;
comment on function kata_data.refuse_archive(bigint, text) is 'Refuses a line of an archive, by its number from 1. KC017.';
