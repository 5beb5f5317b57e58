-- Which messages the model sees.
--
-- Promises first: the newest group, the preamble and the pins. Then summaries, newest first, those that fit. The rest is the
-- longest run of whole groups, newest first, that fits what is left: everything visible from some start on, and whatever older
-- messages belong to groups met there. One scan from the newest message back finds the start, and ends there.
--
-- With a stable step the rest starts at the oldest candidate at or after that start: a group one of whose messages carries
-- tokens_through past a multiple of the step. Candidates are facts of the log, so the start stays where it is until everything
-- from it no longer fits. Summaries are then chosen as if the newest group took a whole step, so that they stay, too.

create or replace function kata_data.select_window(
  context_id uuid,
  inout preamble_end bigint,
  budget integer,
  at bigint,
  view kata_data.view,
  stable_step integer,
  tokenizer text,
  tokens_factor double precision,
  out versions int8multirange,
  out pinned_groups bigint[],
  out newest_group bigint,
  out summaries kata_data.summary[],
  out places bigint[],
  out totals bigint[],
  out over_budget boolean,
  out hidden_versions bigint,
  out hidden_tokens bigint,
  out changes bigint[]
)
language plpgsql stable
as $$
declare
  v_visible int8multirange := kata_data.visible_at(view, at);
  v_step integer := stable_step;
  v_newest record;
  v_promised bigint[];
  v_is_as_counted boolean;
  v_left bigint;
  v_summary_tokens bigint := 0;
  v_rest record;
begin
  preamble_end := least(coalesce(preamble_end, at), at);
  versions := v_visible * int8multirange(int8range(1, preamble_end + 1));
  pinned_groups := view.pinned_groups || array(
    select distinct p.group_version from kata_data.pins_between(select_window.context_id, view.version + 1, at) p);
  select upper(v_visible) - 1 as version, n.group_version, n.group_tokens, p.tokens_through as preamble_tokens into v_newest
  from kata_data.message_of(select_window.context_id, upper(v_visible) - 1) n
  left join kata_data.message_of(select_window.context_id, select_window.preamble_end) p on true;
  if not found then
    -- A view change took that version.
    select n.version, n.group_version, n.group_tokens, p.tokens_through as preamble_tokens into v_newest
    from kata_data.newest_first(select_window.context_id, v_visible) n
    left join kata_data.message_of(select_window.context_id, select_window.preamble_end) p on true
    limit 1;
  end if;
  newest_group := v_newest.group_version;
  v_promised := array_remove(pinned_groups || newest_group, null);

  v_is_as_counted := tokenizer is null and pinned_groups = '{}' and view.elisions = '{}' and v_newest.version > preamble_end
    and versions = int8multirange(int8range(1, preamble_end + 1));
  if v_is_as_counted then
    -- Running totals tell what is promised.
    v_left := budget - coalesce(v_newest.preamble_tokens, 0) - v_newest.group_tokens;
  else
    v_left := budget - kata_data.shown_tokens(
      context_id, versions + kata_data.group_members(context_id, v_promised, at), view.elisions, tokenizer, tokens_factor);
  end if;
  over_budget := v_left < 0;
  if over_budget then
    versions := versions + kata_data.group_members(context_id, v_promised, at);
    return;
  end if;

  loop
    if view.replacements <> '{}' then
      select f.summaries, f.places, f.totals into summaries, places, totals
      from kata_data.fitting_summaries(
        context_id, view,
        case when v_step = 0 then v_left else budget - v_step - kata_data.shown_tokens(
          context_id, versions + kata_data.group_members(context_id, pinned_groups, at), view.elisions, tokenizer, tokens_factor)
        end,
        coalesce(v_newest.preamble_tokens, 0), tokenizer, tokens_factor) f;
      v_summary_tokens := coalesce(totals[cardinality(totals)] - coalesce(v_newest.preamble_tokens, 0), 0);
    end if;
    v_rest := kata_data.select_rest(
      context_id, v_visible - int8multirange(int8range(1, preamble_end + 1)), at, view.elisions, v_promised,
      v_left - v_summary_tokens, v_step, tokenizer, tokens_factor);
    -- Where no candidate fits, all is as without a step.
    exit when v_step = 0 or v_rest.is_stable or view.replacements = '{}';
    v_step := 0;
  end loop;

  versions := versions + v_visible * int8multirange(int8range(v_rest.start, at + 1));
  if v_rest.older_groups <> '{}' then
    versions := versions + kata_data.group_members(context_id, v_rest.older_groups, at);
  elsif v_is_as_counted and view.version = 0 then
    hidden_versions := v_rest.start - 1 - preamble_end;
    hidden_tokens := v_rest.tokens_before - coalesce(v_newest.preamble_tokens, 0);
  elsif v_is_as_counted and v_visible @> int8range(v_rest.start, at + 1) then
    -- The preamble begins and ends with a message. Of many changes, which take no row, the list would cost more than it spares.
    if view.version >= v_rest.start or preamble_end > 2 then
      changes := array(
        select c.version
        from (select c.version from kata_data.changes_among(select_window.context_id, select_window.versions) c limit 10) c
        order by c.version);
    end if;
    if coalesce(cardinality(changes), 0) < 10 and coalesce(places[1] > preamble_end and places[cardinality(places)] < v_rest.start, true) then
      hidden_versions := v_rest.start - 1 - preamble_end - coalesce(cardinality(summaries), 0);
      hidden_tokens := v_rest.tokens_before - coalesce(v_newest.preamble_tokens, 0) - v_summary_tokens;
    end if;
  end if;
end
$$;
comment on function kata_data.select_window(uuid, bigint, integer, bigint, kata_data.view, integer, text, double precision) is
'The versions of a window as of a version above 0, its summaries, and what was promised. preamble_end: as the head has it. view: what view_at has
for the version. tokenizer: null for the context''s own. places: where the summaries read. Where the window is the preamble, the summaries and
everything from some start on, shown as it was counted: hidden_versions and hidden_tokens, by which the versions of the rest are ahead of their numbers
and its running totals of those of the window; changes, the versions among these that view changes took (null: none); totals, what each summary adds up
to. Else hidden_tokens is null.
Cost: O(log n + window + pins + pieces of the view + fork depth).';

create or replace function kata_data.window_reason(
  kind text, version bigint, group_version bigint, preamble_end bigint, pinned_groups bigint[], newest_group bigint
) returns text
language sql immutable
as $$
  select case
    when kind = 'summary' then 'summary'
    when version <= preamble_end then 'preamble'
    when group_version = any (pinned_groups) then 'pinned'
    when group_version = newest_group then 'newest'
    else 'recent'
  end
$$;
comment on function kata_data.window_reason(text, bigint, bigint, bigint, bigint[], bigint) is 'Why a message is in a window.';

create or replace function kata_data.select_rest(
  context_id uuid,
  versions int8multirange,
  at bigint,
  elisions bigint[],
  promised bigint[],
  budget bigint,
  stable_step integer,
  tokenizer text,
  tokens_factor double precision,
  out start bigint,
  out tokens_before bigint,
  out older_groups bigint[],
  out is_stable boolean
)
language plpgsql stable
as $$
declare
  v_is_as_counted boolean := tokenizer is null and elisions = '{}';
  v_message record;
  v_left bigint := budget;
  v_candidate bigint;
begin
  -- Groups that are paid for, and whose first message was not met yet.
  older_groups := promised;
  is_stable := budget >= 0;
  for v_message in
    select n.version, n.group_version, n.group_tokens, n.tokens_through, n.role
    from kata_data.newest_first(select_rest.context_id, select_rest.versions) n
  loop
    -- A group is paid for at its newest message, whose row carries the tokens of the whole group.
    if v_message.group_version <> all (older_groups) then
      if v_is_as_counted then
        v_left := v_left - v_message.group_tokens;
      elsif tokenizer is not null then
        v_left := v_left - kata_data.shown_tokens(
          context_id, kata_data.group_members(context_id, array[v_message.group_version], at), elisions, tokenizer, tokens_factor);
      else
        v_left := v_left - v_message.group_tokens + case
          when v_message.role = 'tool' then kata_data.saved_tokens(context_id, v_message.group_version, at, elisions)
          else 0
        end;
      end if;
      if v_left < 0 then
        start := v_message.version + 1;
        tokens_before := v_message.tokens_through;
        is_stable := false;
        exit;
      end if;
      if v_message.group_version < v_message.version then
        older_groups := older_groups || v_message.group_version;
      end if;
    elsif v_message.group_version = v_message.version then
      older_groups := array_remove(older_groups, v_message.version);
    end if;
  end loop;
  if not found then
    start := at + 1;
  elsif start is null then
    -- All fit, or are paid for. The oldest opens its group.
    start := v_message.version;
    tokens_before := v_message.tokens_through - v_message.group_tokens;
  end if;

  if not is_stable and budget >= 0 and stable_step > 0 then
    v_candidate := (
      select min(m.group_version)
      from kata_data.path_messages(select_rest.context_id, select_rest.versions * int8multirange(int8range(start, null))) m
      where m.group_version >= start
        and (m.tokens_through + stable_step - 1) / stable_step > (m.tokens_through - m.token_count + stable_step - 1) / stable_step);
    if v_candidate is not null then
      start := v_candidate;
      tokens_before := (select m.tokens_through - m.group_tokens from kata_data.message_of(select_rest.context_id, start) m);
      older_groups := array(
        select m.group_version
        from kata_data.path_messages(select_rest.context_id, select_rest.versions * int8multirange(int8range(start, null))) m
        where m.group_version < start
        union
        select p.group_version from unnest(promised) p(group_version) where p.group_version < start);
      is_stable := true;
    end if;
  end if;
end
$$;
comment on function kata_data.select_rest(uuid, int8multirange, bigint, bigint[], bigint[], bigint, integer, text, double precision) is
'Where the rest of a window starts: right after the newest of some versions whose group does not fit the budget (which may be negative) any more, or where
everything fits with the oldest; the running total below it (null where there is no message); and the groups, promised ones or met there, that may have messages
below. is_stable: everything fits, or a candidate of the step was found. promised: groups that are paid for. Cost: O(log n + rows that fit).';

create or replace function kata_data.newest_first(context_id uuid, versions int8multirange)
returns table (version bigint, group_version bigint, group_tokens bigint, tokens_through bigint, role text)
language sql stable rows 100
as $$
  select m.version, m.group_version, m.group_tokens, m.tokens_through, m.role
  from (select r.range from unnest(versions) r(range) order by r.range desc offset 0) r
  cross join lateral (
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(newest_first.context_id, lower(r.range), upper(r.range) - 1) s
    order by s.first_version desc
    offset 0
  ) s
  cross join lateral (
    select m.version, m.group_version, coalesce(m.group_tokens, m.token_count) as group_tokens, m.tokens_through, m.role
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version between s.first_version and s.last_version
    order by m.version desc
    offset 0
  ) m
$$;
comment on function kata_data.newest_first(uuid, int8multirange) is
'The messages of a context''s path at some versions, newest first, as far as the caller reads, which is all that it costs: nothing is sorted, the loops
nest in this order. group_tokens: of the message''s group, up to and including it.';

create or replace function kata_data.fitting_summaries(
  context_id uuid,
  view kata_data.view,
  budget bigint,
  tokens_before bigint,
  tokenizer text,
  tokens_factor double precision,
  out summaries kata_data.summary[],
  out places bigint[],
  out totals bigint[]
)
language plpgsql stable
as $$
declare
  v_summary record;
  v_tokens bigint := 0;
begin
  for v_summary in
    select y as summary, coalesce(lower(r.covers), r.version) as place,
      kata_data.tokens_in(y.segment_id, y.version, y.token_count, null, tokenizer, tokens_factor) as token_count
    from unnest(view.replacements, view.covers) r(version, covers)
    cross join lateral kata_data.summary_of(fitting_summaries.context_id, r.version) y
    order by y.version desc
  loop
    if v_tokens + v_summary.token_count <= budget then
      v_tokens := v_tokens + v_summary.token_count;
      summaries := summaries || v_summary.summary;
      places := places || v_summary.place;
      totals := totals || tokens_before + v_tokens;
    end if;
  end loop;
  if cardinality(summaries) > 1 then
    select
      array_agg(s.summary order by s.place), array_agg(s.place order by s.place), array_agg(s.total order by s.place)
    into summaries, places, totals
    from (
      select summaries[p.ordinality] as summary, p.place,
        tokens_before + sum(totals[p.ordinality] - coalesce(totals[p.ordinality - 1], tokens_before)) over (order by p.place)::bigint as total
      from unnest(places) with ordinality p(place, ordinality)
    ) s;
  end if;
end
$$;
comment on function kata_data.fitting_summaries(uuid, kata_data.view, bigint, bigint, text, double precision) is
'The summaries of a view that fit a budget, taken newest first; one that does not is left out and the next tried. In reading order, each with its
place and the tokens up to and including it; all null where none fits.';
