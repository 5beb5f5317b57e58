-- Changing a label requires the current one (compare-and-set), so that a script pointed at the wrong database fails here. The table is
-- locked first: of two sessions that label at once, the second meets the label of the first.
-- plans: lookup

create or replace function kata.set_environment(label text, current_label text default null) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_label text;
begin
  if label is null or length(label) > 63 or label ~ '[[:cntrl:]]' collate kata_data.c_utf8 or label <> btrim(label) then
    raise exception using
      errcode = 'KC017',
      message = 'environment label is invalid',
      detail = case when label is null then 'It is null.' else format('It is "%s".', left(label, 100)) end,
      hint = 'Pass at most 63 characters on one line, production for example; an empty text removes the label.';
  end if;
  lock table kata_data.environment in share row exclusive mode;
  v_label := (select e.label from kata_data.environment e);
  if v_label <> label and v_label is distinct from current_label then
    raise exception using
      errcode = 'KC018',
      message = format('this database is labeled "%s"', v_label),
      detail = case
        when current_label is null then 'No current label was given.'
        else format('The current label was given as "%s".', current_label)
      end,
      hint = 'If this is the intended database, pass its label as current_label.';
  end if;
  if label = '' then
    delete from kata_data.environment e where e.is_set;
  else
    insert into kata_data.environment as e (label, set_at, set_by)
    values (set_environment.label, kata_data.clock(), kata_data.caller())
    on conflict on constraint environment_pkey do update
    set label = excluded.label, set_at = excluded.set_at, set_by = excluded.set_by
    where e.label <> excluded.label;
  end if;
end
$$;
comment on function kata.set_environment(text, text) is
'Labels this database with its environment, for example production.

Destructive commands then require the label. Nothing in the database itself behaves differently.

label: at most 63 characters, without control characters, nor spaces around; '''' removes the label.
current_label: the present label, required to change or remove it.

Errors: KC017, KC018 the database has another label than current_label. Locks: the label. Cost: O(1).';
