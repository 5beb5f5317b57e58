-- Which messages the model sees.
--
-- Promises first: the newest group, the preamble and the pins. Then summaries, newest first, those that fit. The rest is the
-- longest run of whole groups, newest first, that fits what is left: everything visible from some start on, and whatever older
-- messages belong to groups met there.
--
-- With a stable step the rest starts at the oldest candidate at or after that start: a group one of whose messages carries
-- tokens_through past a multiple of the step. Candidates are facts of the log, so the start stays where it is until everything
-- from it no longer fits. Summaries are then chosen as if the newest group took a whole step, so that they stay, too.

create or replace function kata_data.select_window(
  context_id uuid,
  inout preamble_end bigint,
  budget integer,
  at bigint,
  view kata_data.view_change,
  stable_step integer,
  tokenizer text,
  tokens_factor double precision,
  mean_tokens bigint,
  out versions int8multirange,
  out pinned_groups bigint[],
  out newest_group bigint,
  out summaries bigint[],
  out over_budget boolean
)
language plpgsql stable
as $$
declare
  v_visible int8multirange := kata_data.visible_at(view, at);
  v_step integer := stable_step;
  v_preamble int8multirange;
  v_promised bigint[];
  v_left bigint;
  v_newest record;
  v_summary_tokens bigint;
  v_rest record;
begin
  preamble_end := least(coalesce(preamble_end, at), at);
  v_preamble := v_visible * int8multirange(int8range(1, preamble_end + 1));
  pinned_groups := kata_data.pinned_groups_at(context_id, view, at);
  v_newest := kata_data.newest_message(context_id, v_visible);
  newest_group := v_newest.group_version;
  v_promised := array_remove(pinned_groups || newest_group, null);
  versions := v_preamble + case
    when v_promised = array[at] then int8multirange(int8range(at, at + 1))
    else kata_data.group_members(context_id, v_promised, at)
  end;
  v_left := budget - kata_data.shown_tokens(context_id, versions, view.elisions, tokenizer, tokens_factor);
  over_budget := v_left < 0;
  if over_budget then
    return;
  end if;

  loop
    if view.replacements <> '{}' then
      select f.summaries, f.tokens into summaries, v_summary_tokens
      from kata_data.fitting_summaries(
        context_id, view,
        case when v_step = 0 then v_left else budget - v_step - kata_data.shown_tokens(
          context_id, v_preamble + kata_data.group_members(context_id, pinned_groups, at), view.elisions, tokenizer, tokens_factor)
        end,
        tokenizer, tokens_factor) f;
    end if;
    v_rest := kata_data.select_rest(
      context_id, v_visible - int8multirange(int8range(1, preamble_end + 1)), at, view.elisions, v_promised,
      v_left - coalesce(v_summary_tokens, 0), v_step, tokenizer, tokens_factor,
      kata_data.reach(context_id, v_visible, v_newest.tokens_through, (budget / coalesce(tokens_factor, 1))::bigint, mean_tokens));
    -- Where no candidate fits, all is as without a step.
    exit when v_step = 0 or v_rest.is_stable or view.replacements = '{}';
    v_step := 0;
  end loop;

  versions := versions + v_visible * int8multirange(int8range(v_rest.start, at + 1));
  if v_rest.older_groups <> '{}' then
    versions := versions + kata_data.group_members(context_id, v_rest.older_groups, at);
  end if;
end
$$;
comment on function kata_data.select_window(uuid, bigint, integer, bigint, kata_data.view_change, integer, text, double precision, bigint) is
'The versions of a window as of a version above 0, its summaries, and what was promised. preamble_end: as the head has it. view: what view_at has
for the version. tokenizer: null for the context''s own. mean_tokens: of the messages of the context.
Cost: O(log n + window + pins + pieces of the view + fork depth).';

create or replace function kata_data.newest_message(context_id uuid, versions int8multirange, out group_version bigint, out tokens_through bigint)
language plpgsql stable
as $$
declare
  v_piece int8range;
begin
  -- From the newest piece and segment down until there is a message: mostly the first look-up finds it.
  for v_piece in select r.piece from unnest(versions) r(piece) order by r.piece desc loop
    select m.group_version, m.tokens_through into newest_message.group_version, newest_message.tokens_through
    from (
      select s.segment_id, s.first_version, s.last_version
      from kata_data.segments(newest_message.context_id, lower(v_piece), upper(v_piece) - 1) s
      order by s.first_version desc
      offset 0
    ) s
    cross join lateral (
      select m.group_version, m.tokens_through
      from kata_data.message m
      where m.segment_id = s.segment_id
        and m.version between s.first_version and s.last_version
      order by m.version desc
      limit 1
    ) m
    limit 1;
    exit when found;
  end loop;
end
$$;
comment on function kata_data.newest_message(uuid, int8multirange) is 'The group and the running total of the newest message among some versions; null where there is none.';

create or replace function kata_data.reach(context_id uuid, versions int8multirange, tokens_through bigint, budget bigint, mean_tokens bigint)
returns bigint
language plpgsql stable
as $$
declare
  -- Not to cost much where the newest messages are much longer than most.
  v_reach bigint := least(16 + budget / greatest(mean_tokens, 1) * 1.2, 1000);
  v_edge int8multirange;
  v_before bigint;
begin
  -- Running totals tell how far back a budget goes, as long as nothing in between is out of view.
  loop
    v_edge := kata_data.edge(versions, v_reach, true);
    exit when v_edge = versions;
    select m.tokens_through into v_before
    from kata_data.lineage l
    join kata_data.message m on m.segment_id = l.segment_id
    where l.context_id = reach.context_id
      and lower(v_edge) between l.first_version and l.last_version
      and m.version = lower(v_edge);
    exit when (tokens_through - v_before <= budget) is not true;
    v_reach := v_reach * 2;
  end loop;
  return v_reach;
end
$$;
comment on function kata_data.reach(uuid, int8multirange, bigint, bigint, bigint) is
'About how many of the newest versions hold a budget, given the running total of the newest. Cost: O(log n), a few look-ups.';

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
  first_reach bigint,
  out start bigint,
  out older_groups bigint[],
  out is_stable boolean
)
language plpgsql stable
as $$
declare
  v_reach bigint := first_reach;
  v_edge int8multirange;
  v_needed bigint;
  v_results bigint[];
  v_result_groups bigint[];
  v_candidates bigint[];
begin
  -- As many of the newest versions as mostly fill the budget, then more if they do not. A group is paid for at its newest message: that row
  -- carries the tokens of the whole group, so nothing below is looked at.
  loop
    v_edge := kata_data.edge(versions, v_reach, true);
    select
      max(f.paid),
      min(f.version) filter (where f.paid <= budget),
      array_agg(f.version) filter (where f.paid <= budget and f.group_version < f.version),
      array_agg(f.group_version) filter (where f.paid <= budget and f.group_version < f.version),
      array_agg(f.group_version) filter (
        where f.paid <= budget
          and (f.tokens_through + stable_step - 1) / nullif(stable_step, 0)
            > (f.tokens_through - f.token_count + stable_step - 1) / nullif(stable_step, 0))
    into v_needed, start, v_results, v_result_groups, v_candidates
    from (
      select m.version, m.group_version, m.tokens_through, m.token_count, sum(m.cost) over (order by m.version desc) as paid
      from (
        select m.version, m.group_version, m.tokens_through, m.token_count,
          case
            when m.group_version = any (promised) then 0
            when m.version < max(m.version) over (partition by m.group_version) then 0
            -- More than any budget is enough; integers add up faster.
            when tokenizer is not null then least(kata_data.shown_tokens(
              select_rest.context_id, kata_data.group_members(select_rest.context_id, array[m.group_version], at), elisions, tokenizer, tokens_factor), 2147483647)::integer
            when elisions <> '{}' and m.role = 'tool'
              then least(coalesce(m.group_tokens, m.token_count) - kata_data.saved_tokens(select_rest.context_id, m.group_version, at, elisions), 2147483647)::integer
            else least(coalesce(m.group_tokens, m.token_count), 2147483647)::integer
          end as cost
        from unnest(v_edge) r(range)
        cross join lateral (
          select s.segment_id, s.first_version, s.last_version
          from kata_data.segments(select_rest.context_id, lower(r.range), upper(r.range) - 1) s
          offset 0
        ) s
        cross join lateral (
          select m.version, m.group_version, m.tokens_through, m.token_count, m.group_tokens, m.role
          from kata_data.message m
          where m.segment_id = s.segment_id
            and m.version between s.first_version and s.last_version
          offset 0
        ) m
      ) m
    ) f;
    exit when v_needed > budget or v_edge = versions;
    v_reach := v_reach * 4;
  end loop;

  is_stable := budget >= 0 and coalesce(v_needed, 0) <= budget;
  if not is_stable and stable_step > 0 then
    v_candidates := array(select c.version from unnest(v_candidates) c(version) where c.version >= start);
    is_stable := v_candidates <> '{}';
    if is_stable then
      start := (select min(c.version) from unnest(v_candidates) c(version));
    end if;
  end if;
  start := coalesce(start, at + 1);
  older_groups := array(
    select r.group_version
    from unnest(v_results, v_result_groups) r(version, group_version)
    where r.version >= start
      and r.group_version < start);
end
$$;
comment on function kata_data.select_rest(uuid, int8multirange, bigint, bigint[], bigint[], bigint, integer, text, double precision, bigint) is
'Where the rest of a window starts: the lowest of some versions from which everything fits the budget (which may be negative), above `at` where nothing
does; and the groups met there that begin below. is_stable: everything fits, or a candidate of the step was found. promised: groups that are paid for.
first_reach: how many rows to read at first. Cost: O(log n + rows that fit).';

create or replace function kata_data.fitting_summaries(
  context_id uuid,
  view kata_data.view_change,
  budget bigint,
  tokenizer text,
  tokens_factor double precision,
  out summaries bigint[],
  out tokens bigint
)
language plpgsql stable
as $$
declare
  v_summary record;
begin
  summaries := '{}';
  tokens := 0;
  for v_summary in
    select y.version, kata_data.converted_tokens(y.segment_id, y.version, y.token_count, tokenizer, tokens_factor) as token_count
    from unnest(view.replacements) r(version)
    cross join lateral kata_data.path_summaries(fitting_summaries.context_id, int8multirange(int8range(r.version, r.version, '[]'))) y
    order by y.version desc
  loop
    if tokens + v_summary.token_count <= budget then
      summaries := summaries || v_summary.version;
      tokens := tokens + v_summary.token_count;
    end if;
  end loop;
end
$$;
comment on function kata_data.fitting_summaries(uuid, kata_data.view_change, bigint, text, double precision) is
'The summaries of a view that fit a budget, newest first; one that does not is left out and the next tried.';

create or replace function kata_data.shown_tokens(
  context_id uuid,
  versions int8multirange,
  elisions bigint[],
  tokenizer text default null,
  tokens_factor double precision default null
) returns bigint
language plpgsql stable
as $$
begin
  return (
    select coalesce(sum(kata_data.tokens_in(m, s.token_count, tokenizer, tokens_factor)), 0)
    from kata_data.path_messages(shown_tokens.context_id, versions) m
    left join lateral kata_data.stub_of(m.segment_id, m.group_version, m.version, elisions) s on true);
end
$$;
comment on function kata_data.shown_tokens(uuid, int8multirange, bigint[], text, double precision) is
'The tokens of messages as they are shown while these elisions are in force, in a tokenizer or (null) the context''s own. Cost: O(messages).';

create or replace function kata_data.saved_tokens(context_id uuid, group_version bigint, at bigint, elisions bigint[]) returns bigint
language plpgsql stable
as $$
begin
  return (
    select coalesce(sum(s.saved_tokens), 0)
    from (
      select distinct on (s.version) s.saved_tokens
      from kata_data.segments(saved_tokens.context_id, saved_tokens.group_version, at) g
      cross join lateral (
        select s.version, s.change_id, s.saved_tokens
        from kata_data.stub s
        where s.segment_id = g.segment_id
          and s.group_version = saved_tokens.group_version
          and s.version between g.first_version and g.last_version
          and s.change_id + 0 = any (elisions)
        offset 0
      ) s
      order by s.version, s.change_id desc
    ) s);
end
$$;
comment on function kata_data.saved_tokens(uuid, bigint, bigint, bigint[]) is 'What these elisions save in a group, as of a version.';

create or replace function kata_data.tokens_in(message kata_data.message, stub_tokens integer, tokenizer text, tokens_factor double precision)
returns integer
language sql stable
as $$
  select case
    when tokenizer is null then coalesce(stub_tokens, message.token_count)
    when stub_tokens is not null then least(ceil(stub_tokens * tokens_factor), 2147483647)::integer
    else kata_data.converted_tokens(message.segment_id, message.version, message.token_count, tokenizer, tokens_factor)
  end
$$;
comment on function kata_data.tokens_in(kata_data.message, integer, text, double precision) is
'The tokens of a message, or of the stub it is shown as, in a tokenizer or (null) the context''s own.';

create or replace function kata_data.converted_tokens(segment_id uuid, version bigint, token_count integer, tokenizer text, tokens_factor double precision)
returns integer
language sql stable
as $$
  select case when tokenizer is null then token_count else coalesce(
    (select c.token_count
     from kata_data.token_count c
     where c.segment_id = converted_tokens.segment_id
       and c.version = converted_tokens.version
       and c.tokenizer = converted_tokens.tokenizer),
    least(ceil(token_count * tokens_factor), 2147483647)::integer) end
$$;
comment on function kata_data.converted_tokens(uuid, bigint, integer, text, double precision) is
'The tokens of a message or a summary in a tokenizer: the stored count, else its own count times tokens_factor; null stands for the context''s own.';

create or replace function kata_data.tokens_factor(own text, other text) returns double precision
language plpgsql stable
as $$
declare
  v_factor double precision;
begin
  select o.bytes_per_token / t.bytes_per_token * (1 + t.margin) into v_factor
  from kata_data.tokenizer o, kata_data.tokenizer t
  where o.name = own and t.name = other;
  if not found then
    raise exception using
      errcode = 'KC017',
      message = format('tokenizer "%s" is unknown', left(other, 100)),
      detail = 'Its ratio to other tokenizers is not registered.',
      hint = 'Register it with kata.register_tokenizer; kata.tokenizers lists the known ones.';
  end if;
  return v_factor;
end
$$;
comment on function kata_data.tokens_factor(text, text) is 'How many tokens of another tokenizer to reckon for one of a context''s own, padded. KC017.';
