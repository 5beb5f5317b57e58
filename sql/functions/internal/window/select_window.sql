-- Which messages the model sees.
--
-- First what is promised: the newest group, the preamble and the pins, and the user's last request where it fits beside them. Then
-- summaries, newest first, those that fit. The rest is the longest run of whole groups, newest first, that fits what is left:
-- everything visible from some start on, and the older messages of groups met there. One scan from the newest message back finds the
-- start, and ends there.
--
-- With a stable step, summaries are chosen as if the newest group and the request took a whole step, so that they stay, too. Where no
-- start holds for the step, all is chosen as without one.
--
-- Recalled messages have a budget of their own. It gives way to what is promised and to summaries; the rest does without it.
--
-- A summary that does not fit does not take its history with it: the messages that it covers are part of the rest.

create or replace function kata_data.select_window(
  context_id uuid,
  at bigint,
  preamble_end bigint,
  view kata_data.view,
  budget integer,
  stable_step integer,
  measure kata_data.measure,
  recall_budget integer default 0,
  plan kata_data.plan default null
) returns kata_data.selection
language plpgsql stable
as $$
declare
  v_window kata_data.selection;
  v_visible int8multirange := kata_data.visible_at(view, at);
  v_preamble int8multirange;
  v_newest record;
  v_promised bigint[];
  v_is_as_counted boolean;
  v_left bigint;
begin
  v_window.preamble_end := least(coalesce(preamble_end, at), at);
  v_preamble := int8multirange(int8range(1, v_window.preamble_end + 1));
  v_window.versions := v_visible * v_preamble;
  v_window.elisions := view.elisions;
  v_window.amendments := view.amendments;
  v_window.reworded := view.reworded;
  v_window.pinned_groups := kata_data.pinned_groups_at(context_id, view, at);
  v_newest := kata_data.newest_message(context_id, v_visible, v_window.preamble_end);
  if v_newest.version is null and view.replacements <> '{}' then
    return kata_data.select_summaries(context_id, at, v_window, view, v_visible, budget, measure, recall_budget, plan);
  end if;
  v_window.newest_group := v_newest.group_version;
  v_window.request := v_newest.turn_version;
  if not v_visible @> v_window.request then
    v_window.request := kata_data.request_before(context_id, v_visible, v_window.request);
  end if;
  v_promised := array_remove(v_window.pinned_groups || v_newest.group_version, null);
  -- Where all is shown as it was counted, running totals are the sums.
  v_is_as_counted := measure.tokenizer is null and v_window.pinned_groups = '{}' and v_newest.version > v_window.preamble_end
    and v_window.versions = v_preamble and (view.reworded && int8range(v_newest.group_version, v_newest.version, '[]')) is not true;
  if v_is_as_counted and view.reworded && v_preamble then
    v_newest.preamble_tokens := kata_data.shown_tokens(context_id, v_preamble, view.elisions, view.amendments);
  end if;
  v_left := budget - case
    when v_is_as_counted then v_newest.preamble_tokens + v_newest.group_tokens
    else kata_data.shown_tokens(
      context_id, v_window.versions + kata_data.group_members(context_id, v_promised, at, view.rewound), view.elisions, view.amendments, measure)
  end;
  v_window.over_budget := v_left < 0;
  if v_window.over_budget then
    v_window.versions := v_window.versions + kata_data.group_members(context_id, v_promised, at, view.rewound);
    return v_window;
  end if;
  return kata_data.select_more(
    context_id, at, v_window, view, v_visible, v_promised, v_left, budget, stable_step, v_newest.preamble_tokens, v_is_as_counted, measure,
    recall_budget, plan);
end
$$;
comment on function kata_data.select_window(
  uuid, bigint, bigint, kata_data.view, integer, integer, kata_data.measure, integer, kata_data.plan) is
'What a window shows as of a version above 0.

preamble_end: as the head has it. view: as view_at returns it for the version. measure: null for the context''s own tokenizer. recall_budget: tokens that the rest leaves for recalled messages.
plan: of a request whose start is planned; null for none.
Cost: O(log n + window + pins + pieces of the view + fork depth).';

create or replace function kata_data.select_more(
  context_id uuid,
  at bigint,
  selection kata_data.selection,
  view kata_data.view,
  visible int8multirange,
  promised bigint[],
  room bigint,
  budget integer,
  stable_step integer,
  preamble_tokens bigint,
  is_as_counted boolean,
  measure kata_data.measure,
  recall_budget integer,
  plan kata_data.plan
) returns kata_data.selection
language plpgsql stable
as $$
declare
  v_window kata_data.selection := selection;
  v_body int8multirange := visible - int8multirange(int8range(1, selection.preamble_end + 1));
  v_promised bigint[] := promised;
  v_left bigint := room;
  v_step integer := stable_step;
  v_request_tokens bigint := 0;
  v_summary_tokens bigint := 0;
  v_rest record;
  v_start bigint;
  v_is_below boolean;
begin
  loop
    -- A request that is near comes with the rest, and is looked up only where it does not, or where summaries depend on it.
    if v_window.request is not null and v_window.request <> all (v_promised)
      and (view.replacements <> '{}' or v_window.request < greatest(v_start, at - 50)) then
      v_request_tokens := kata_data.request_tokens(context_id, v_window.request, view, measure);
      if v_request_tokens <= v_left then
        v_promised := v_promised || v_window.request;
        v_left := v_left - v_request_tokens;
      else
        v_window.request := null;
      end if;
    end if;
    if view.replacements <> '{}' then
      v_window.summaries := kata_data.fitting_summaries(
        context_id, view, case when v_step = 0 then v_left else budget - v_step - kata_data.shown_tokens(
          context_id, v_window.versions + kata_data.group_members(context_id, v_window.pinned_groups, at, view.rewound), view.elisions,
          view.amendments, measure) end,
        preamble_tokens, measure);
      v_summary_tokens := coalesce((v_window.summaries[cardinality(v_window.summaries)]).total - preamble_tokens, 0);
      v_window.covered := kata_data.covered_by_others(view, v_window.summaries);
    end if;
    v_rest := kata_data.select_rest(context_id, v_body, v_window.covered, at, view.elisions, view.amendments, view.amended_from is not null,
      v_promised, v_left - v_summary_tokens - least(recall_budget, greatest(v_left - v_summary_tokens, 0)), v_step, measure,
      kata_data.plan_beside(plan, budget - preamble_tokens, v_left), view.rewound, view.reworded);
    v_start := v_rest.start;
    continue when v_window.request < v_start and v_window.request <> all (v_promised);
    exit when v_step = 0 or v_rest.is_stable or view.replacements = '{}';
    v_step := 0;
  end loop;

  v_is_below := coalesce(v_window.request < v_start, false);
  select v_rest.elisions, v_rest.amendments, coalesce(view.reworded + v_window.covered, view.reworded, v_window.covered)
  into v_window.elisions, v_window.amendments, v_window.reworded;
  v_window.versions := v_window.versions + (v_body + coalesce(v_window.covered, '{}')) * int8multirange(int8range(v_start, at + 1));
  if v_is_below then
    v_window.versions := v_window.versions + int8multirange(int8range(v_window.request, v_window.request, '[]'));
  end if;
  if array_remove(v_rest.older_groups, v_window.request) <> '{}' then
    v_window.versions := v_window.versions + kata_data.group_members(context_id, v_rest.older_groups, at, view.rewound);
  elsif is_as_counted and (view.reworded is null or not view.reworded && v_window.versions * v_body)
    and (view.version = 0 or visible @> int8range(v_start, at + 1) and not (v_is_below and v_window.summaries is not null)) then
    v_window.numbering := kata_data.window_numbering(
      context_id, v_window, view.version, v_start, v_is_below, preamble_tokens + v_request_tokens,
      v_rest.tokens_before - preamble_tokens - v_summary_tokens - case when v_is_below then v_request_tokens else 0 end);
  end if;
  return v_window;
end
$$;
comment on function kata_data.select_more(
  uuid, bigint, kata_data.selection, kata_data.view, int8multirange, bigint[], bigint, integer, integer, bigint, boolean, kata_data.measure,
  integer, kata_data.plan) is
'A window that has what is promised, with all else that fits: the request, summaries, the rest.

promised: the groups that are paid for. room: what they leave of the budget. preamble_tokens: of the preamble as it is shown.
is_as_counted: whether all that is promised is shown as it was counted, the preamble aside.';

create or replace function kata_data.request_tokens(context_id uuid, request bigint, view kata_data.view, measure kata_data.measure)
returns bigint
language plpgsql stable
as $$
begin
  return case
    when measure.tokenizer is null and (view.reworded @> request) is not true
      then (select m.group_tokens from kata_data.message_of(request_tokens.context_id, request_tokens.request) m)
    else kata_data.shown_tokens(context_id, int8multirange(int8range(request, request, '[]')), '{}', view.amendments, measure)
  end;
end
$$;
comment on function kata_data.request_tokens(uuid, bigint, kata_data.view, kata_data.measure) is
'The tokens of a message of the user as a view shows it. measure: null for the context''s own tokenizer.';

create or replace function kata_data.select_summaries(
  context_id uuid, at bigint, selection kata_data.selection, view kata_data.view, visible int8multirange, budget integer,
  measure kata_data.measure, recall_budget integer, plan kata_data.plan
) returns kata_data.selection
language plpgsql stable
as $$
begin
  -- The newest summary takes the place of the newest group.
  selection.newest_group := view.replacements[cardinality(view.replacements)];
  selection.summaries := kata_data.newest_summary(context_id, view, measure);
  selection.over_budget := (selection.summaries[1]).total > budget;
  if selection.over_budget then
    return selection;
  end if;
  return kata_data.select_more(context_id, at, selection, view, visible, '{}', budget, budget, 0, 0, false, measure, recall_budget, plan);
end
$$;
comment on function kata_data.select_summaries(
  uuid, bigint, kata_data.selection, kata_data.view, int8multirange, integer, kata_data.measure, integer, kata_data.plan) is
'A window of a view that has summaries and no message: the newest one always comes.';

create or replace function kata_data.newest_message(
  context_id uuid, visible int8multirange, preamble_end bigint,
  out version bigint, out group_version bigint, out group_tokens bigint, out turn_version bigint, out preamble_tokens bigint
)
language plpgsql stable
as $$
begin
  version := upper(visible) - 1;
  select n.group_version, n.group_tokens, n.turn_version, coalesce(p.tokens_through, 0)
  into group_version, group_tokens, turn_version, preamble_tokens
  from kata_data.message_of(newest_message.context_id, newest_message.version) n
  left join kata_data.message_of(newest_message.context_id, newest_message.preamble_end) p on true;
  if not found then
    -- A view change took that version.
    select n.version, n.group_version, n.group_tokens, n.turn_version, coalesce(p.tokens_through, 0)
    into version, group_version, group_tokens, turn_version, preamble_tokens
    from kata_data.newest_first(newest_message.context_id, visible) n
    left join kata_data.message_of(newest_message.context_id, newest_message.preamble_end) p on true
    limit 1;
  end if;
  preamble_tokens := coalesce(preamble_tokens, 0);
end
$$;
comment on function kata_data.newest_message(uuid, int8multirange, bigint) is
'The newest visible message with the tokens of its group, and the tokens of the preamble.

The message is null where there is none.';

create or replace function kata_data.request_before(context_id uuid, visible int8multirange, version bigint) returns bigint
language plpgsql stable
as $$
declare
  v_request bigint := version;
  v_below bigint;
begin
  while v_request is not null and not visible @> v_request loop
    v_below := upper(visible * int8multirange(int8range(null, v_request))) - 1;
    v_request := (select m.turn_version from kata_data.message_at(request_before.context_id, v_below) m);
  end loop;
  return v_request;
end
$$;
comment on function kata_data.request_before(uuid, int8multirange, bigint) is
'The newest visible message of the user up to a version that one took; null where there is none.

Cost: O(log n) for each gap in what is visible.';

create or replace function kata_data.window_numbering(
  context_id uuid, selection kata_data.selection, view_version bigint, rest_start bigint, has_request_below boolean,
  request_total bigint, hidden_tokens bigint
) returns kata_data.numbering
language plpgsql stable
as $$
declare
  v_summaries kata_data.placed_summary[] := selection.summaries;
  v_numbering kata_data.numbering;
begin
  -- The preamble ends with a message. Changes and records take a version, and no row.
  if view_version > 0 and (view_version >= rest_start or selection.preamble_end > 1) then
    v_numbering.changes := array(
      select c.version from kata_data.changes_among(window_numbering.context_id, selection.versions) c order by c.version);
  end if;
  -- Summaries read between the preamble and the rest, or their neighbors' totals are off.
  if v_summaries[1].place <= selection.preamble_end or v_summaries[cardinality(v_summaries)].place >= rest_start then
    return null;
  end if;
  v_numbering.preamble_end := selection.preamble_end;
  v_numbering.rest_start := rest_start;
  v_numbering.hidden_versions := rest_start - 1 - selection.preamble_end - coalesce(cardinality(v_summaries), 0) - has_request_below::integer;
  v_numbering.hidden_tokens := hidden_tokens;
  v_numbering.request_total := request_total;
  return v_numbering;
end
$$;
comment on function kata_data.window_numbering(uuid, kata_data.selection, bigint, bigint, boolean, bigint, bigint) is
'How to number a window of the preamble, the request, summaries and everything from a start on.

All of it is shown as it was counted. has_request_below: whether the request is below the start. Null where its rows must be counted
nevertheless.';
