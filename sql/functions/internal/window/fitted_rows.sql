-- The rows of a prompt: a window whose tokens, with those that the form adds to them (added_tokens.sql), fit the budget.

create or replace function kata_data.fitted_rows(
  context_id uuid, at bigint, preamble_end bigint, own_tokenizer text, view kata_data.view, budget integer, format text, stable_step integer,
  tokenizer text, recall bigint[], recall_budget integer, plan kata_data.plan default null,
  out rows kata_data.prompt_row[], out kind text, out window_budget integer, out least_budget bigint
)
language plpgsql stable
as $$
declare
  v_measure kata_data.measure;
  v_window kata_data.selection;
  v_tokens bigint;
  v_added bigint;
  v_factor double precision;
  v_sums record;
begin
  rows := '{}';
  window_budget := budget;
  if tokenizer <> own_tokenizer then
    v_measure := kata_data.measure_of(own_tokenizer, tokenizer);
  end if;
  while at > 0 loop
    v_window := kata_data.select_window(context_id, at, preamble_end, view, window_budget,
      case when plan.start is null and stable_step < window_budget then stable_step else 0 end, v_measure, coalesce(recall_budget, 0), plan);
    rows := kata_data.selected_rows(context_id, at, own_tokenizer, view, v_window, v_measure, window_budget, recall, recall_budget);
    exit when cardinality(rows) = 0;
    kind := kata_data.usual_kind(rows, format);
    v_added := null;
    if kind <> 'general' then
      select u.tokens, u.added_tokens into strict v_tokens, v_added from kata_data.usual_tokens(rows, format) u;
      exit when v_added = 0 and not v_window.over_budget;
    end if;
    v_factor := coalesce(v_factor, kata_data.added_factor(coalesce(v_measure.tokenizer, own_tokenizer)));
    exit when v_tokens + ceil(v_factor * v_added) <= budget;
    v_sums := kata_data.prompt_sums(rows, format, budget, v_factor, kind <> 'general');
    exit when (v_sums.tokens > budget) is not true;
    if stable_step = 0 and recall is null and plan.start is null and not v_window.over_budget then
      rows := array(select r from unnest(rows) r where r.group_version = any (v_sums.kept));
      exit when (v_sums.kept_tokens > budget) is not true;
      v_sums := kata_data.prompt_sums(rows, format, budget, v_factor, kind <> 'general');
      exit when v_sums.tokens <= budget;
    end if;
    if v_window.over_budget or window_budget = 1 then
      -- A window within 1 token is the smallest. It may show what a caller counted as nothing.
      rows := array(select r from unnest(rows) r where r.reason in ('preamble', 'pinned', 'newest'));
      v_sums := kata_data.prompt_sums(rows, format, budget, v_factor, kind <> 'general');
      least_budget := case when v_sums.tokens > budget then v_sums.tokens end;
      exit;
    end if;
    -- Where the start of the rest is kept for a step, or promised groups take more: the window gets that much less.
    window_budget := greatest(least(budget - v_sums.added_tokens, window_budget - 1), 1);
  end loop;
end
$$;
comment on function kata_data.fitted_rows(
  uuid, bigint, bigint, text, kata_data.view, integer, text, integer, text, bigint[], integer, kata_data.plan) is
'The rows of a window that a prompt in a form shows within a budget that holds the additions of the form, too.

at, preamble_end, own_tokenizer: as open_context has them. view: as of `at`. plan: of a request whose start is planned; null for none.
rows: in no order. kind: as usual_kind has it, of these or of more rows. window_budget: that of the window of which they are some groups.
least_budget: where even what always comes does not fit, the least sufficient budget; else null.';

create or replace function kata_data.prompt_sums(
  rows kata_data.prompt_row[], format text, budget integer, factor double precision, are_usual boolean,
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
comment on function kata_data.prompt_sums(kata_data.prompt_row[], text, integer, double precision, boolean) is
'The tokens of the rows of a window, at most so many that a form adds included, and what stays if they do not fit.

factor: from o200k_base to the tokenizer that counts. are_usual: as usual_kind has it. kept: groups that fit, the oldest of those that only
fill the window left out; promised ones stay, even if they do not fit. kept_tokens: at most so many tokens of these.';

create or replace function kata_data.fitted_window(
  context_id uuid, at bigint, preamble_end bigint, own_tokenizer text, view kata_data.view, budget integer, format text, stable_step integer,
  tokenizer text, recall bigint[], recall_budget integer
) returns setof kata_data.window_row
language plpgsql stable rows 100
as $$
declare
  v_fitted record;
  v_shown bigint[];
begin
  v_fitted := kata_data.fitted_rows(
    context_id, at, preamble_end, own_tokenizer, view, budget, format, stable_step, tokenizer, recall, recall_budget);
  v_shown := array(select r.version from unnest(v_fitted.rows) r);
  -- That window may be over its budget where the prompt is not over the whole one, or the other way round.
  return query
  select (row_number() over w)::integer, r.version, r."position", r.role, r.content, r.token_count, sum(r.token_count) over w, r.reason,
    v_fitted.least_budget is not null, r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, r.created_at, r.kind, r.name, r.parts,
    r.provider, r.group_version
  from kata."window"(
    fitted_window.context_id, v_fitted.window_budget, fitted_window.at,
    case when stable_step < v_fitted.window_budget then stable_step else 0 end, fitted_window.tokenizer, fitted_window.recall,
    fitted_window.recall_budget) r
  where r.version = any (v_shown)
  window w as (order by r.ordinal rows unbounded preceding);
end
$$;
comment on function kata_data.fitted_window(
  uuid, bigint, bigint, text, kata_data.view, integer, text, integer, text, bigint[], integer) is
'The window that a prompt in a form shows. The parameters are those of fitted_rows.';
