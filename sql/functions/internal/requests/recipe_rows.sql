-- From a recipe to the rows of its body. Messages, stubs and summaries come in the words that were in force as of the request. Nothing is chosen
-- or counted, and no policy, tokenizer or count is read.

create or replace function kata_data.request_at(context_id uuid, request_id bigint) returns kata_data.request
language plpgsql stable
as $$
declare
  v_request kata_data.request;
begin
  select r.* into v_request
  from kata_data.request r
  where r.context_id = request_at.context_id
    and r.request_id = request_at.request_id;
  if not found then
    raise exception using
      errcode = 'KC017',
      message = format('request %s not found', coalesce(request_id::text, 'null')),
      detail = format('Context %s has no request of this number. A fork does not inherit requests.', context_id),
      hint = 'List them with kata.requests.';
  end if;
  return v_request;
end
$$;
comment on function kata_data.request_at(uuid, bigint) is 'A request of a context by its number. KC017.';

create or replace function kata_data.recipe_versions(request kata_data.request, view kata_data.view) returns int8multirange
language sql immutable
as $$
  select coalesce(request.shown, kata_data.plainly_shown(
    view, request.at, request.preamble_end, request.start_version, request.turn_version))
$$;
comment on function kata_data.recipe_versions(kata_data.request, kata_data.view) is
'The versions that a recipe names or, in its short form, means; changes of the view are among them. view: as of the request.';

create or replace function kata_data.recipe_rows(request kata_data.request) returns kata_data.window_row[]
language plpgsql stable
as $$
declare
  v_view kata_data.view;
  v_window kata_data.selection;
  v_elisions bigint[];
  v_amendments bigint[];
  v_reworded int8multirange;
  v_covered int8multirange;
  v_rows kata_data.window_row[];
begin
  v_view := kata_data.view_at(request.context_id, request.at);
  v_window.preamble_end := request.preamble_end;
  v_window.pinned_groups := '{}';
  v_window.over_budget := false;
  v_window.versions := kata_data.recipe_versions(request, v_view);
  v_window.summaries := kata_data.summaries_shown(request.context_id, v_view, request.shown);
  v_elisions := v_view.elisions;
  v_amendments := v_view.amendments;
  v_covered := request.shown - kata_data.visible_at(v_view, request.at);
  if v_covered <> '{}' then
    -- Covered messages come in the words that they had in the view: the view does not list their elisions and amendments any more.
    v_elisions := v_elisions || kata_data.elisions_of(request.context_id, v_covered, request.at + 1, request.at, v_view.rewound, null);
    v_amendments := v_amendments || kata_data.amendments_at(request.context_id, v_view, v_covered, request.at);
  end if;
  v_reworded := coalesce(v_view.reworded + v_covered, v_view.reworded, v_covered);
  if (v_reworded && v_window.versions) is not true and v_window.summaries is null then
    v_rows := array(
      select row(m.*)::kata_data.window_row
      from kata_data.numbered_messages(request.context_id, v_window.versions, null, null, request.preamble_end, 1, 0, 0, 0, null) m
      order by m.version);
  else
    v_rows := array(
      select row(m.*)::kata_data.window_row
      from kata_data.counted_rows(request.context_id, v_window, v_elisions, v_amendments, v_reworded, null, null) m
      order by m.ordinal);
  end if;
  if request.recalled is not null then
    return kata_data.with_recalled(request, v_rows);
  end if;
  return v_rows;
end
$$;
comment on function kata_data.recipe_rows(kata_data.request) is
'The rows that a request showed, numbered in reading order, though not without gaps. Their counts and running totals mean nothing.';

create or replace function kata_data.summaries_shown(context_id uuid, view kata_data.view, shown int8multirange) returns kata_data.placed_summary[]
language plpgsql stable
as $$
begin
  if view.replacements = '{}' then
    return null;
  end if;
  return (
    select array_agg(row(kata_data.amended_summary(y, view.amendments), coalesce(lower(r.covers), r.version), null)::kata_data.placed_summary)
    from unnest(view.replacements, view.covers) r(version, covers)
    cross join lateral kata_data.summary_of(summaries_shown.context_id, r.version) y
    where (shown @> r.version) is not false);
end
$$;
comment on function kata_data.summaries_shown(uuid, kata_data.view, int8multirange) is
'The summaries of a view that are among some versions, all for null, with their places; null for none.';

create or replace function kata_data.with_recalled(request kata_data.request, rows kata_data.window_row[]) returns kata_data.window_row[]
language plpgsql stable
as $$
begin
  return array(
    select row(
      row_number() over (order by r."position", r.reason = 'recalled' desc, r.version), r.version, r."position", r.role, r.content, r.token_count,
      r.running_tokens, r.reason, r.over_budget, r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, r.created_at, r.kind, r.name,
      r.parts, r.provider, r.group_version)::kata_data.window_row
    from unnest(rows || array(
      select kata_data.recalled_row(m, request.recall_place, 1, null, false)
      from kata_data.words_at(request.context_id, request.at, request.recalled) m)) r
    order by r."position", r.reason = 'recalled' desc, r.version);
end
$$;
comment on function kata_data.with_recalled(kata_data.request, kata_data.window_row[]) is
'The rows that a request showed with those that it recalled, numbered in reading order.';

create or replace function kata_data.shows(request kata_data.request, version bigint) returns boolean
language plpgsql stable
as $$
declare
  v_view kata_data.view;
begin
  if request.recalled @> version then
    return request.at >= version;
  elsif request.at < version or not request.shown @> version then
    return false;
  end if;
  v_view := kata_data.view_at(request.context_id, request.at);
  if version = any (v_view.replacements) then
    return true;
  end if;
  -- Among what is visible are changes, too, and summaries that are not in the view.
  return kata_data.recipe_versions(request, v_view) @> version
    and exists (select from kata_data.message_of(request.context_id, shows.version));
end
$$;
comment on function kata_data.shows(kata_data.request, bigint) is
'Whether a request showed a version of its path, that of a message or of a summary. Cost: O(log n).';

create or replace function kata_data.refuse_replay(request kata_data.request) returns void
language plpgsql stable
as $$
declare
  v_detail text;
begin
  v_detail := (
    select format('Version %s in it (%s) was erased at %s.', e.version, case when y.version is null then e.what else 'summary' end, e.erased_at)
    from kata_data.segments(request.context_id, 1, request.at) s
    join kata_data.erasure e on e.segment_id = s.segment_id and e.version between s.first_version and s.last_version
    left join kata_data.summary y on y.segment_id = e.segment_id and y.version = e.version
    left join kata_data.view_change c on c.segment_id = e.segment_id and c.version = e.version
    left join kata_data.amendment a on a.change_id = c.change_id
    -- An amendment that was erased is not a row of the body; its message is.
    where kata_data.shows(request, coalesce(a.version, e.version))
    order by e.erased_at desc, e.version
    limit 1);
  raise exception using
    errcode = 'KC023',
    message = format('request %s cannot be replayed', request.request_id),
    detail = coalesce(v_detail, 'An entry that it showed was erased.'),
    hint = 'kata.request_rows shows what is left of it; its counts and its usage are in kata.requests.';
end
$$;
comment on function kata_data.refuse_replay(kata_data.request) is
'Refuses to replay a request that showed an entry which was erased, the newest erasure first. KC023.

Cost: O(erasures of the path × log n).';
