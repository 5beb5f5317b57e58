-- Which summaries of a view a window shows, and where; what the others cover.

create or replace function kata_data.newest_summary(context_id uuid, view kata_data.view, measure kata_data.measure)
returns kata_data.placed_summary[]
language plpgsql stable
as $$
begin
  view.replacements := view.replacements[cardinality(view.replacements):];
  view.covers := view.covers[cardinality(view.covers):];
  return kata_data.fitting_summaries(context_id, view, 9223372036854775807, 0, measure);
end
$$;
comment on function kata_data.newest_summary(uuid, kata_data.view, kata_data.measure) is
'The newest summary of a view that has one; total is its tokens.';

create or replace function kata_data.fitting_summaries(
  context_id uuid,
  view kata_data.view,
  budget bigint,
  tokens_before bigint,
  measure kata_data.measure
) returns kata_data.placed_summary[]
language plpgsql stable
as $$
declare
  v_summary record;
  v_left bigint := budget;
  v_fitting kata_data.placed_summary[];
begin
  for v_summary in
    select y.summary, coalesce(lower(r.covers), r.version) as place,
      kata_data.summary_tokens_in(y.summary, view.amendments, measure) as token_count
    from unnest(view.replacements, view.covers) r(version, covers)
    cross join lateral (
      select kata_data.amended_summary(y, view.amendments) as summary
      from kata_data.summary_of(fitting_summaries.context_id, r.version) y
      offset 0
    ) y
    order by r.version desc
  loop
    if v_summary.token_count <= v_left then
      v_left := v_left - v_summary.token_count;
      v_fitting := v_fitting || row(v_summary.summary, v_summary.place, v_summary.token_count)::kata_data.placed_summary;
    end if;
  end loop;
  return (
    select array_agg(row(f.summary, f.place, f.total)::kata_data.placed_summary order by f.place)
    from (
      select f.summary, f.place, tokens_before + sum(f.total) over (order by f.place)::bigint as total
      from unnest(v_fitting) f
    ) f);
end
$$;
comment on function kata_data.fitting_summaries(uuid, kata_data.view, bigint, bigint, kata_data.measure) is
'The summaries of a view that fit a budget, in reading order; null where none fits.

The newest are taken first; one that does not fit is left out, and the next is tried. tokens_before: of the messages that read before them.';

create or replace function kata_data.covered_by_others(view kata_data.view, summaries kata_data.placed_summary[]) returns int8multirange
language plpgsql immutable
as $$
begin
  if cardinality(summaries) = cardinality(view.replacements) then
    return null;
  end if;
  return (
    select range_agg(r.covers) - view.deleted
    from unnest(view.replacements, view.covers) r(version, covers)
    where r.version <> all (array(select (y.summary).version from unnest(summaries) y)));
end
$$;
comment on function kata_data.covered_by_others(kata_data.view, kata_data.placed_summary[]) is
'What the summaries of a view cover that are not among some, less what is deleted; null where all are.';
