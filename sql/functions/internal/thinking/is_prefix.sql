-- Whether what a request showed is, row by row and word by word, what comes before an answer in another one. The versions of a request and
-- of its view are facts of the log; words change by elisions and amendments, and by erasures after the request was made.

create or replace function kata_data.is_prefix(
  asked kata_data.request, request kata_data.request, view kata_data.view, before int8multirange
) returns boolean
language plpgsql stable
as $$
declare
  v_view kata_data.view;
  v_shown int8multirange;
  v_difference int8multirange;
begin
  v_view := kata_data.view_at(request.context_id, asked.at);
  -- The request may be an ancestor's: the path is that of the context that asks now.
  asked.context_id := request.context_id;
  v_shown := kata_data.shown_by(asked, v_view);
  v_difference := (before - v_shown) + (v_shown - before);
  -- Versions of view changes have no row: only rows count.
  if not isempty(v_difference) and kata_data.holds_messages(request.context_id, v_difference) then
    return false;
  end if;
  if v_view.version <> view.version and not kata_data.has_same_words(request.context_id, v_shown, asked.at, v_view, request.at, view) then
    return false;
  end if;
  return not exists (
    select from unnest(v_shown + coalesce(asked.recalled, '{}')) x(range)
    cross join lateral kata_data.segments(request.context_id, lower(x.range), upper(x.range) - 1) s
    cross join lateral (
      select
      from kata_data.erasure e
      where e.segment_id = s.segment_id
        and e.version between s.first_version and s.last_version
        and e.erased_at > asked.created_at
      limit 1
    ) e);
end
$$;
comment on function kata_data.is_prefix(kata_data.request, kata_data.request, kata_data.view, int8multirange) is
'Whether a request showed the same rows, in the same words and order, as another one has before an answer.

asked: on the path of the other one. view, before: of the other one; before has the versions of its rows before the answer.
Cost: O(pieces + erasures of the path).';

create or replace function kata_data.shown_by(request kata_data.request, view kata_data.view) returns int8multirange
language plpgsql stable
as $$
declare
  v_shown int8multirange := kata_data.recipe_versions(request, view);
begin
  if view.version = 0 then
    return v_shown;
  end if;
  -- The version of a summary that was absorbed, or did not fit, may be among what is visible; it has no row.
  return v_shown - coalesce((
    select range_agg(int8range(y.version, y.version, '[]'))
    from kata_data.path_summaries(request.context_id, v_shown) y), '{}')
    + coalesce(kata_data.versions_of(view.replacements) * request.shown, kata_data.versions_of(view.replacements));
end
$$;
comment on function kata_data.shown_by(kata_data.request, kata_data.view) is
'The versions of the messages and summaries that a request shows, with some of view changes, which show nothing. view: as of the request.';

create or replace function kata_data.has_same_words(
  context_id uuid, shown int8multirange, at_then bigint, view_then kata_data.view, at bigint, view kata_data.view
) returns boolean
language plpgsql stable
as $$
begin
  -- A pin, then a deletion can move a summary: the same rows in another order.
  if exists (
    select
    from unnest(view_then.replacements, view_then.covers) a(version, covers)
    left join unnest(view.replacements, view.covers) b(version, covers) on b.version = a.version
    where shown @> a.version
      and lower(a.covers) is distinct from lower(b.covers)) then
    return false;
  end if;
  -- A view lists the elisions and amendments of what is in it. Messages that a summary covers and a window shows nevertheless
  -- have others.
  if shown && (kata_data.all_covered(view_then) + kata_data.all_covered(view)) then
    return kata_data.elisions_of(context_id, shown, at_then + 1, at_then, view_then.rewound, null)
        = kata_data.elisions_of(context_id, shown, at + 1, at, view.rewound, null)
      and kata_data.amendments_at(context_id, view_then, shown, at_then) = kata_data.amendments_at(context_id, view, shown, at);
  end if;
  return not shown && kata_data.restubbed(view_then, view);
end
$$;
comment on function kata_data.has_same_words(uuid, int8multirange, bigint, kata_data.view, bigint, kata_data.view) is
'Whether some messages and summaries read in the same words and the same order as of two versions. shown: their versions.';

create or replace function kata_data.all_covered(view kata_data.view) returns int8multirange
language sql immutable
as $$
  select coalesce(range_agg(c.covers), '{}') from unnest(view.covers) c(covers)
$$;
comment on function kata_data.all_covered(kata_data.view) is 'The versions that summaries of a view cover.';

create or replace function kata_data.has_same_recalled(asked kata_data.request, request kata_data.request, version bigint) returns boolean
language sql immutable
as $$
  select case
    when version < request.recall_place then asked.recalled is null
    else asked.recalled is not distinct from request.recalled and asked.recall_place is not distinct from request.recall_place
  end
$$;
comment on function kata_data.has_same_recalled(kata_data.request, kata_data.request, bigint) is
'Whether what another request recalls before an answer is what the request of the answer had. version: of the answer.';
