-- A page of an archive. Lines ascend by part, depth, context and key, so the last line of a page says where the next one begins, and ancestors
-- come before what forks of them need.

create or replace function kata_data.export_page(family_id uuid, after jsonb, max_rows integer) returns setof text
language plpgsql stable
as $$
declare
  v_part kata_data.archive_part;
  v_is_begun boolean;
  v_after record;
  v_context_id uuid;
  v_line text;
  v_rows integer := 0;
  v_bytes bigint := 0;
begin
  select p.place, c.context_id, c.depth, after -> p.part as value into v_after
  from kata_data.archive_parts() p
  join kata_data.context c on c.context_id = case when kata_data.names_key(p, after -> p.part) then (after #>> array[p.part, p.owner])::uuid end
  where after ? p.part
    and c.family_id = export_page.family_id;
  if not found and after is not null and not after ? 'kata_archive' then
    perform kata_data.refuse_line(after);
  end if;
  for v_part in
    select p.*
    from kata_data.archive_parts() p
    where p.place >= coalesce(v_after.place, 1)
    order by p.place
  loop
    v_is_begun := v_part.place is not distinct from v_after.place;
    for v_context_id in
      execute kata_data.export_contexts(v_part)
      using family_id, case when v_is_begun then v_after.depth end, case when v_is_begun then v_after.context_id end
    loop
      for v_line in
        execute kata_data.export_lines(v_part, v_is_begun and v_context_id = v_after.context_id)
        using v_context_id, v_after.value, max_rows - v_rows
      loop
        return next v_line;
        v_rows := v_rows + 1;
        v_bytes := v_bytes + octet_length(v_line);
        if v_rows = max_rows or v_bytes > 4000000 then
          return;
        end if;
      end loop;
    end loop;
  end loop;
end
$$;
comment on function kata_data.export_page(uuid, jsonb, integer) is
'A page of the lines of a family, behind a line: at most so many, and none behind 4 MB. KC017.';

create or replace function kata_data.names_key(part kata_data.archive_part, line jsonb) returns boolean
language plpgsql stable
as $$
begin
  return not exists (
    select
    from unnest(part.owner || part.keys) k(name)
    join kata_data.archive_columns(part.source) c on c.name = k.name
    where pg_input_is_valid(line ->> k.name, c.type) is not true);
end
$$;
comment on function kata_data.names_key(kata_data.archive_part, jsonb) is 'Whether a JSON object has a value of the right type for each column of the key of a part.';

create or replace function kata_data.export_contexts(part kata_data.archive_part) returns text
language plpgsql stable
as $$
begin
  -- Subqueries with a limit, which the planner runs for each context: a join would make a view for all families.
  return format(
    'select f.context_id from kata_data.family_contexts($1) f
    where ($2 is null or (f.depth, f.context_id) >= ($2, $3)) and (select true from kata_data.%I t where t.%I = f.context_id limit 1)
    order by f.depth, f.context_id',
    part.source, part.owner);
end
$$;
comment on function kata_data.export_contexts(kata_data.archive_part) is
'The query of the contexts of family $1 that have lines of a part, from context $3 of depth $2 on, where these are not null.';

create or replace function kata_data.export_lines(part kata_data.archive_part, is_rest boolean) returns text
language plpgsql stable
as $$
declare
  v_key text := kata_data.archive_key(part.source, part.owner, part.keys);
begin
  return format(
    'select (%s)::text from kata_data.%I t where t.%I = $1 %s order by %s limit $3',
    kata_data.archive_line(part.part, part.source), part.source, part.owner,
    case when is_rest then format('and (%s) > (%s)', v_key, kata_data.archive_key(part.source, part.owner, part.keys, '$2')) end, v_key);
end
$$;
comment on function kata_data.export_lines(kata_data.archive_part, boolean) is
'The query of the lines that context $1 has of a part, at most $3; is_rest: of those behind the key of $2.';

create or replace function kata_data.refuse_line(line jsonb) returns void
language plpgsql immutable
as $$
begin
  raise exception using
    errcode = 'KC017',
    message = 'after is not a line of the archive of this family',
    detail = format('It is %s.', left(line::text, 100)),
    hint = 'Pass the last line of the page before, unchanged, or null for the first page.';
end
$$;
comment on function kata_data.refuse_line(jsonb) is 'Refuses a line that does not say where a page begins. KC017.';

create or replace function kata_data.archive_header(family_id uuid) returns json
language plpgsql stable
as $$
declare
  v_tenant text;
  v_counts jsonb;
  v_tokenizers jsonb;
begin
  v_tenant := (select c.tenant from kata_data.context c where c.context_id = archive_header.family_id);
  v_counts := kata_data.archive_counts(family_id);
  v_tokenizers := (
    select jsonb_agg(to_jsonb(t) order by t.name collate "C")
    from kata_data.tokenizer t
    where t.name in (
      select c.tokenizer from kata_data.context c where c.context_id = archive_header.family_id
      union
      select n.tokenizer
      from kata_data.family_contexts(archive_header.family_id) c
      join kata_data.token_count n on n.segment_id = c.context_id));
  -- Not jsonb, which orders keys: a reader finds the number of the format where the file begins.
  return json_build_object(
    'kata_archive', 1, 'family_id', family_id, 'tenant', v_tenant, 'tokenizers', v_tokenizers, 'counts', v_counts);
end
$$;
comment on function kata_data.archive_header(uuid) is
'The first line of the archive of a family: the number of the format, tenant, tokenizers, and how many lines of each part follow.';

create or replace function kata_data.archive_counts(family_id uuid) returns jsonb
language plpgsql stable
as $$
declare
  v_part kata_data.archive_part;
  v_count bigint;
  v_counts jsonb := '{}'::jsonb;
begin
  for v_part in select p.* from kata_data.archive_parts() p loop
    execute format(
      'select coalesce(sum(l.lines), 0) from kata_data.family_contexts($1) f
      cross join lateral (select count(*) as lines from kata_data.%I t where t.%I = f.context_id offset 0) l', v_part.source, v_part.owner)
    into strict v_count using family_id;
    if v_count > 0 then
      v_counts := v_counts || jsonb_build_object(v_part.part, v_count);
    end if;
  end loop;
  return v_counts;
end
$$;
comment on function kata_data.archive_counts(uuid) is 'How many lines of each part the archive of a family has; parts without a line are left out.';
