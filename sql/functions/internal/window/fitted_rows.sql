-- The rows of a prompt: a window whose tokens, with those that the form adds to them (added_tokens.sql), fit the budget.

create or replace function kata_data.fitted_rows(
  context_id uuid, budget integer, format text, at bigint, stable_step integer, tokenizer text, recall bigint[], recall_budget integer,
  plan kata_data.plan default null, out rows kata_data.window_row[], out prompt kata_data.prompt_row[], out kind text,
  out least_budget bigint
)
language plpgsql stable
as $$
declare
  v_budget integer := budget;
  v_factor double precision;
  v_added bigint;
  v_sums record;
begin
  loop
    if plan.start is not null then
      rows := array(
        select row(w.*)::kata_data.window_row
        from kata_data.planned_rows(
          fitted_rows.context_id, v_budget, fitted_rows.at, fitted_rows.tokenizer, fitted_rows.recall, fitted_rows.recall_budget,
          fitted_rows.plan) w
        order by w.ordinal);
    else
      rows := array(
        select row(w.*)::kata_data.window_row
        from kata."window"(
          fitted_rows.context_id, v_budget, fitted_rows.at,
          case when stable_step < v_budget or v_budget = budget then stable_step else 0 end, fitted_rows.tokenizer,
          fitted_rows.recall, fitted_rows.recall_budget) w);
    end if;
    exit when rows = '{}';
    prompt := kata_data.prompt_rows(rows);
    kind := kata_data.usual_kind(prompt, format);
    v_added := case when kind <> 'general' then kata_data.usual_added_tokens(prompt, format) end;
    exit when v_added = 0 and not rows[1].over_budget;
    v_factor := coalesce(v_factor, kata_data.added_factor(context_id, tokenizer));
    exit when rows[cardinality(rows)].running_tokens + ceil(v_factor * v_added) <= budget;
    v_sums := kata_data.prompt_sums(rows, format, budget, v_factor, kind <> 'general');
    exit when (v_sums.tokens > budget) is not true;
    if stable_step = 0 and recall is null and plan.start is null and not rows[1].over_budget then
      rows := array(
        select r
        from unnest(rows) r
        where r.group_version = any (v_sums.kept)
        order by r.ordinal);
      prompt := kata_data.prompt_rows(rows);
      exit when (v_sums.kept_tokens > budget) is not true;
      v_sums := kata_data.prompt_sums(rows, format, budget, v_factor, kind <> 'general');
      exit when v_sums.tokens <= budget;
    end if;
    if rows[1].over_budget or v_budget = 1 then
      -- A window within 1 token is the smallest. It may show what a caller counted as nothing.
      rows := kata_data.promised_rows(rows);
      prompt := kata_data.prompt_rows(rows);
      v_sums := kata_data.prompt_sums(rows, format, budget, v_factor, kind <> 'general');
      least_budget := case when v_sums.tokens > budget then v_sums.tokens end;
      exit;
    end if;
    -- Where the start of the rest is kept for a step, or promised groups take more: the window gets that much less.
    v_budget := greatest(least(budget - v_sums.added_tokens, v_budget - 1), 1);
  end loop;
  -- The last window may have been asked for less than the budget.
  if rows[1].over_budget <> (least_budget is not null) then
    rows := kata_data.judged_rows(rows, least_budget is not null);
  end if;
end
$$;
comment on function kata_data.fitted_rows(uuid, integer, text, bigint, integer, text, bigint[], integer, kata_data.plan) is
'The rows of a window that a prompt in a form shows within a budget that holds the additions of the form, too.

plan: of a request whose start is planned; null for none. prompt: the rows as a renderer takes them. kind: as usual_kind has it, of these or of
more rows. least_budget: where even what always comes does not fit, the least sufficient budget; else null.';

create or replace function kata_data.prompt_sums(
  rows kata_data.window_row[], format text, budget integer, factor double precision, are_usual boolean,
  out tokens bigint, out added_tokens bigint, out kept bigint[], out kept_tokens bigint
)
language plpgsql stable
as $$
begin
  -- Groups pay at their newest message, as they do where the rest is chosen (select_rest). The first turn must be the user's.
  select sum(g.token_count),
    ceil(factor * (sum(g.added_tokens) + case
      when format in ('anthropic', 'gemini') and min(g.group_position) filter (where g.is_answer)
        < coalesce(min(g.group_position) filter (where not g.is_answer), 9223372036854775807) then 12
      else 0
    end)),
    array_agg(g.group_version) filter (where g.is_kept), max(g.running_tokens) filter (where g.is_kept)
  into tokens, added_tokens, kept, kept_tokens
  from (
    select g.*, not g.is_rest or g.running_tokens <= prompt_sums.budget as is_kept
    from (
      -- A sum of bigint is a numeric.
      select g.group_version, g.group_position, g.is_rest, g.is_answer, g.token_count::double precision, g.added_tokens::double precision,
        sum(g.token_count::double precision) over w
        + ceil(factor * (sum(g.added_tokens::double precision) over w + case when prompt_sums.format in ('anthropic', 'gemini') then 12 else 0 end)) as running_tokens
      from kata_data.prompt_groups(rows, prompt_sums.format, are_usual) g
      window w as (order by g.is_rest, g.newest_version desc rows unbounded preceding)
    ) g
    offset 0
  ) g;
  tokens := tokens + added_tokens;
end
$$;
comment on function kata_data.prompt_sums(kata_data.window_row[], text, integer, double precision, boolean) is
'The tokens of the rows of a window, at most so many that a form adds included, and what stays if they do not fit.

factor: from o200k_base to the tokenizer that counts. are_usual: as usual_kind has it. kept: groups that fit, the oldest of those that only
fill the window left out; promised ones stay, even if they do not fit. kept_tokens: at most so many tokens of these.';

create or replace function kata_data.promised_rows(rows kata_data.window_row[]) returns kata_data.window_row[]
language sql stable
as $$
  select array(
    select r
    from unnest(rows) r
    where r.reason in ('preamble', 'pinned', 'newest')
    order by r.ordinal)
$$;
comment on function kata_data.promised_rows(kata_data.window_row[]) is 'Of the rows of a window those that always come.';

create or replace function kata_data.judged_rows(rows kata_data.window_row[], is_over boolean) returns kata_data.window_row[]
language plpgsql stable
as $$
declare
  v_rows kata_data.window_row[] := rows;
begin
  for v_row in 1..cardinality(v_rows) loop
    v_rows[v_row].over_budget := is_over;
  end loop;
  return v_rows;
end
$$;
comment on function kata_data.judged_rows(kata_data.window_row[], boolean) is 'The rows of a window, each over its budget or none.';

create or replace function kata_data.numbered_rows(rows kata_data.window_row[]) returns setof kata_data.window_row
language sql stable rows 100
as $$
  select (row_number() over w)::integer, r.version, r."position", r.role, r.content, r.token_count, sum(r.token_count) over w, r.reason,
    r.over_budget, r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, r.created_at, r.kind, r.name, r.parts, r.provider,
    r.group_version
  from unnest(rows) r
  window w as (order by r.ordinal rows unbounded preceding)
$$;
comment on function kata_data.numbered_rows(kata_data.window_row[]) is 'Rows of a window, of which some are left out, with their numbers and running totals.';
