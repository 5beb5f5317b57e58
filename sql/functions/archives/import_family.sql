-- Imports the archive of a family, in one call or in several of one transaction. It stores with chosen ids, times and digests what no other
-- function would: for administrators only, and nothing stays that verify objects to.
-- plans: writer

create or replace function kata.import_family(lines jsonb) returns table (family_id uuid, is_new boolean, missing bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off set timezone = 'UTC' set bytea_output = 'hex'
as $$
declare
  v_import kata_data.family_import;
begin
  if jsonb_typeof(lines) is distinct from 'array' or lines = '[]' then
    raise exception using
      errcode = 'KC017',
      message = 'lines must be an array of lines of an archive',
      detail = format('It is %s.', case when lines = '[]' then 'empty' else coalesce(jsonb_typeof(lines), 'null') end),
      hint = 'Pass lines of kata.export_family, in their order.';
  end if;
  perform kata_data.check_list('lines', jsonb_array_length(lines));
  begin
    v_import := kata_data.import_batch(lines);
  exception
    when data_exception or integrity_constraint_violation or program_limit_exceeded then
      perform kata_data.locate_line(lines);
      raise;
  end;
  return query
  select v_import.family_id, v_import.is_new, coalesce((select sum(m.value::bigint) from jsonb_each_text(v_import.missing) m), 0)::bigint;
end
$$;
comment on function kata.import_family(jsonb) is
'Imports a fork family from its archive, with the ids, versions, times, salts and digests of it.

With the last line the family is verified as kata.verify does it: digests are computed again, views folded again. A family that does not verify
is refused. Where the family exists, equal in all that is history, nothing happens; one that differs is refused. Pass the lines in their order,
in one transaction, in as many calls as you like; a transaction that ends before the last line is refused. Other sessions see the family when it
is committed.

lines: an array of at most 10,000 lines of kata.export_family; the first line of an archive begins a call.

The tokenizers of the family have to be registered, and its tenant is the caller''s. Digests show every change by a hand that cannot compute
them again; who may have computed them again is for a signature of the file to say.

Returns one row: family_id, is_new (whether the database lacks the family; else lines are compared), missing (how many lines are still to come).
Errors: KC013 a policy, KC017, KC024.
Locks: the key of the family, for which another import of it waits. Cost: O(lines), and with the last line O(length of the paths).';

create or replace function kata_data.locate_line(lines jsonb) returns void
language plpgsql volatile
as $$
declare
  v_line jsonb;
  v_number bigint;
  v_problem text;
begin
  for v_line in select l.line from jsonb_array_elements(lines) with ordinality l(line, place) order by l.place loop
    v_number := coalesce((select i.lines from kata_data.family_import i), 0) + 1;
    begin
      perform kata_data.import_batch(jsonb_build_array(v_line));
    exception
      when data_exception or integrity_constraint_violation or program_limit_exceeded then
        get stacked diagnostics v_problem = message_text;
        perform kata_data.refuse_archive(v_number, format('Postgres refuses it: %s.', left(v_problem, 500)));
    end;
  end loop;
end
$$;
comment on function kata_data.locate_line(jsonb) is 'Refuses the first of some lines that Postgres refuses, by its number: takes them one by one. KC017.';
