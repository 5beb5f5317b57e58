-- How a view change moves the number of tokens in the view: what comes and goes is counted, never the view as a whole.

create or replace function kata_data.view_tokens_after(context_id uuid, before kata_data.view, after kata_data.view, view_tokens bigint)
returns bigint
language plpgsql stable
as $$
declare
  v_before int8multirange := kata_data.visible_at(before, after.version);
  v_gone int8multirange := v_before - after.visible;
  v_come int8multirange := after.visible - v_before;
  v_restubbed int8multirange;
  v_total bigint := view_tokens;
begin
  v_restubbed := kata_data.restubbed(before, after) * v_before * after.visible;
  if before.replacements <> after.replacements then
    v_total := v_total - kata_data.summary_tokens(context_id, before.replacements) + kata_data.summary_tokens(context_id, after.replacements);
  end if;
  return v_total
    - kata_data.shown_tokens(context_id, v_gone + v_restubbed, before.elisions)
    + kata_data.shown_tokens(context_id, v_come + v_restubbed, after.elisions);
end
$$;
comment on function kata_data.view_tokens_after(uuid, kata_data.view, kata_data.view, bigint) is
'The tokens of the view after a view change.

view_tokens: those of the view before, with all messages up to the change.
Cost: O(messages that come, go or change their length).';

create or replace function kata_data.restubbed(view_a kata_data.view, view_b kata_data.view) returns int8multirange
language plpgsql stable
as $$
declare
  v_elisions bigint[];
begin
  if view_a.elisions = view_b.elisions then
    return '{}'::int8multirange;
  end if;
  v_elisions := array(
    select e.change_id from unnest(view_a.elisions || view_b.elisions) e(change_id) group by e.change_id having count(*) = 1);
  return coalesce((
    select range_agg(int8range(s.version, s.version + 1))
    from kata_data.stub s
    where s.change_id = any (v_elisions)), '{}');
end
$$;
comment on function kata_data.restubbed(kata_data.view, kata_data.view) is
'The messages that have a stub of an elision which is in force in only one of two views.';

create or replace function kata_data.summary_tokens(context_id uuid, versions bigint[]) returns bigint
language sql stable
as $$
  select coalesce(sum(y.token_count), 0)
  from unnest(versions) v(version)
  cross join lateral kata_data.summary_of(summary_tokens.context_id, v.version) y
$$;
comment on function kata_data.summary_tokens(uuid, bigint[]) is 'The tokens of some summaries of a path.';
