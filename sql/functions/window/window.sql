-- The main question: which messages should the model see? window is a reserved word, hence $1 to $5 for its parameters.

create or replace function kata."window"(
  context_id uuid,
  budget integer,
  at bigint default null,
  stable_step integer default 0,
  tokenizer text default null
)
returns table (
  ordinal integer, version bigint, "position" bigint, role text, content text, token_count integer, running_tokens bigint,
  reason text, over_budget boolean, tool_call_id text, tool_name text, tool_calls jsonb, model text, metadata jsonb,
  created_at timestamptz, kind text, name text, parts jsonb, provider jsonb, group_version bigint
)
language plpgsql stable rows 100 security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record := kata_data.open_context(context_id, at);
  v_tokenizer text := nullif(tokenizer, v_context.tokenizer);
  v_factor double precision := case when v_tokenizer is not null then kata_data.tokens_factor(v_context.tokenizer, v_tokenizer) end;
  v_view kata_data.view := kata_data.view_of(context_id, v_context.at, v_context.view_version);
  v_elisions bigint[];
  v_window record;
begin
  if budget is null or budget <= 0 then
    raise exception using
      errcode = 'KC017',
      message = 'budget must be a positive number of tokens',
      detail = format('It is %s.', coalesce(budget::text, 'null')),
      hint = 'Pass how many tokens the messages may take, for example 8000.';
  end if;
  if stable_step is null or stable_step < 0 or stable_step >= budget then
    raise exception using
      errcode = 'KC017',
      message = 'stable_step must be smaller than the budget',
      detail = format('It is %s, the budget is %s.', coalesce(stable_step::text, 'null'), budget),
      hint = 'Pass a fraction of the budget, a quarter for example, or 0 for none.';
  end if;
  if v_context.at = 0 then
    return;
  end if;
  v_window := kata_data.select_window(context_id, v_context.preamble_end, budget, v_context.at, v_view, stable_step, v_tokenizer, v_factor);
  if v_window.hidden_tokens is not null and v_view.version = 0 then
    return query
    select m.*
    from kata_data.numbered_messages($1, v_window.versions, v_window.preamble_end, v_window.newest_group, v_window.hidden_versions, v_window.hidden_tokens, null) m
    order by m."position";
    return;
  elsif v_window.hidden_tokens is not null then
    return query
    select m.*
    from kata_data.numbered_messages(
      $1, v_window.versions, v_window.preamble_end, v_window.newest_group, v_window.hidden_versions, v_window.hidden_tokens, v_window.changes) m
    union all
    select (v_window.preamble_end - coalesce(width_bucket(v_window.preamble_end, v_window.changes), 0) + y.ordinality)::integer, y.version,
      v_window.places[y.ordinality], y.role, y.content, y.token_count, v_window.totals[y.ordinality], 'summary', false,
      null, null, null, null, y.metadata, y.created_at, 'summary', null, null, null, y.version
    from unnest(v_window.summaries) with ordinality y
    order by "position";
    return;
  end if;
  -- Taken out of the row once, not for every message.
  v_elisions := v_view.elisions;
  return query
  select (row_number() over w)::integer, m.version, m."position", m.role, m.content, m.token_count, sum(m.token_count) over w,
    kata_data.window_reason(m.kind, m.version, m.group_version, v_window.preamble_end, v_window.pinned_groups, v_window.newest_group),
    v_window.over_budget, m.tool_call_id, m.tool_name, m.tool_calls, m.model, m.metadata, m.created_at, m.kind, m.name, m.parts, m.provider, m.group_version
  from (
    select m.version, m.version as "position", m.role, coalesce((m.stub).content, m.content) as content,
      kata_data.tokens_in(m.segment_id, m.version, m.token_count, (m.stub).token_count, v_tokenizer, v_factor) as token_count,
      m.tool_call_id, m.tool_name, m.tool_calls, m.model, m.metadata, m.created_at,
      case when (m.stub).version is null then 'message' else 'stub' end as kind, m.name, case when (m.stub).version is null then m.parts end as parts,
      m.provider, m.group_version
    from (
      select m.*, case when v_elisions <> '{}' then (
        select s from kata_data.stub_of(m.segment_id, m.group_version, m.version, v_elisions) s) end as stub
      from kata_data.path_messages($1, v_window.versions) m
      offset 0
    ) m
    union all
    select y.version, v_window.places[y.ordinality], y.role, y.content,
      kata_data.tokens_in(y.segment_id, y.version, y.token_count, null, v_tokenizer, v_factor), null, null, null, null, y.metadata,
      y.created_at, 'summary', null, null, null, y.version
    from unnest(v_window.summaries) with ordinality y
  ) m
  window w as (order by m."position" rows unbounded preceding)
  order by m."position";
end
$$;
comment on function kata."window"(uuid, integer, bigint, integer, text) is
'The messages that a model should see, within a token budget, in reading order.

context_id: the context.
budget: tokens that the messages may take together, positive.
at: as of this version; null for now.
stable_step: tokens for which the start of the window stays still, so that a provider''s prompt cache is hit; 0 for none; smaller
  than the budget. Where what always comes leaves no room for a step, the window starts as without one.
tokenizer: count in this one instead of the context''s: stored counts where there are any, else a padded conversion.

The newest group (an assistant message with tool calls and their results; any other message alone), the preamble (system and developer
messages before the first of another role) and the pins always come; if they alone exceed the budget they are all that comes, every
row over_budget. Then summaries, newest first, those that fit, each at the place of what it stands for. Then whole groups, newest first,
until one does not fit. A message that is shortened comes as its stub.

Returns: ordinal from 1, version, position, role, content, token_count, running_tokens, reason (newest, preamble, pinned, summary,
recalled, recent), over_budget, tool_call_id, tool_name, tool_calls, model, metadata, created_at, kind (message, summary, stub), name,
parts, provider, group_version (the message whose call it answers, else itself).
Errors: KC001, KC002, KC006, KC017. Cost: O(log n + rows + pieces of the view + fork depth), whatever the length of the log and `at`.';

create or replace function kata_data.numbered_messages(
  context_id uuid, versions int8multirange, preamble_end bigint, newest_group bigint, hidden_versions bigint, hidden_tokens bigint, changes bigint[]
)
returns table (
  ordinal integer, version bigint, "position" bigint, role text, content text, token_count integer, running_tokens bigint,
  reason text, over_budget boolean, tool_call_id text, tool_name text, tool_calls jsonb, model text, metadata jsonb,
  created_at timestamptz, kind text, name text, parts jsonb, provider jsonb, group_version bigint
)
language sql stable rows 100
as $$
  select
    (m.version - case when m.version > preamble_end then hidden_versions else 0 end - coalesce(width_bucket(m.version, changes), 0))::integer,
    m.version, m.version, m.role, m.content, m.token_count,
    m.tokens_through - case when m.version > preamble_end then hidden_tokens else 0 end,
    kata_data.window_reason('message', m.version, m.group_version, preamble_end, '{}', newest_group), false,
    m.tool_call_id, m.tool_name, m.tool_calls, m.model, m.metadata, m.created_at, 'message', m.name, m.parts, m.provider, m.group_version
  from kata_data.path_messages(numbered_messages.context_id, versions) m
$$;
comment on function kata_data.numbered_messages(uuid, int8multirange, bigint, bigint, bigint, bigint, bigint[]) is
'The messages of a window that is the preamble and the newest rest, in no order: versions number the rows and running totals add them up, which spares half
the cost of counting. hidden_versions, hidden_tokens, changes: as select_window has them.';
