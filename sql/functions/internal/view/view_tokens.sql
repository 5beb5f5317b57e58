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
  if (before.replacements, before.amendments) is distinct from (after.replacements, after.amendments) then
    v_total := v_total - kata_data.summary_tokens(context_id, before.replacements, before.amendments)
      + kata_data.summary_tokens(context_id, after.replacements, after.amendments);
  end if;
  return v_total
    - kata_data.shown_tokens(context_id, v_gone + v_restubbed, before.elisions, before.amendments)
    + kata_data.shown_tokens(context_id, v_come + v_restubbed, after.elisions, after.amendments);
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
  v_changes bigint[];
begin
  if (view_a.elisions, view_a.amendments) is not distinct from (view_b.elisions, view_b.amendments) then
    return '{}'::int8multirange;
  end if;
  v_changes := array(
    select e.change_id
    from unnest(view_a.elisions || view_b.elisions || view_a.amendments || view_b.amendments) e(change_id)
    group by e.change_id
    having count(*) = 1);
  return coalesce((
    select range_agg(int8range(s.version, s.version + 1))
    from (
      select s.version from kata_data.stub s where s.change_id = any (v_changes)
      union all
      select a.version from kata_data.amendment a where a.change_id = any (v_changes)
    ) s), '{}');
end
$$;
comment on function kata_data.restubbed(kata_data.view, kata_data.view) is
'The messages that have a stub of an elision, or an amendment, which is in force in only one of two views.';

create or replace function kata_data.summary_tokens(context_id uuid, versions bigint[], amendments bigint[]) returns bigint
language sql stable
as $$
  select coalesce(sum(coalesce(a.token_count, y.token_count)), 0)
  from unnest(versions) v(version)
  cross join lateral kata_data.summary_of(summary_tokens.context_id, v.version) y
  left join lateral kata_data.amendment_of(y.segment_id, y.version, y.version, amendments) a on true
$$;
comment on function kata_data.summary_tokens(uuid, bigint[], bigint[]) is 'The tokens of some summaries of a path under some amendments.';
