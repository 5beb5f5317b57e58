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
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record := kata_data.open_context(context_id, at);
  v_tokenizer text := nullif(tokenizer, v_context.tokenizer);
  v_factor double precision := case when v_tokenizer is not null then kata_data.tokens_factor(v_context.tokenizer, v_tokenizer) end;
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
  v_window := kata_data.select_window(context_id, v_context.preamble_end, budget, v_context.at, stable_step, v_tokenizer, v_factor,
    v_context.raw_tokens / greatest(v_context.message_count, 1));
  return query
  select (row_number() over w)::integer, m.version, m.version, m.role, m.content, m.shown_tokens, sum(m.shown_tokens) over w,
    case
      when m.version <= v_window.preamble_end then 'preamble'
      when m.group_version = any (v_window.pinned_groups) then 'pinned'
      when m.group_version = v_window.newest_group then 'newest'
      else 'recent'
    end,
    v_window.over_budget, m.tool_call_id, m.tool_name, m.tool_calls, m.model, m.metadata, m.created_at, 'message',
    m.name, m.parts, m.provider, m.group_version
  from (
    select m.*, kata_data.tokens_in(m, v_tokenizer, v_factor) as shown_tokens
    from kata_data.path_messages($1, v_window.versions) m
  ) m
  window w as (order by m.version)
  order by m.version;
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
row over_budget. Then whole groups, newest first, until one does not fit.

Returns: ordinal from 1, version, position, role, content, token_count, running_tokens, reason (newest, preamble, pinned, summary,
recalled, recent), over_budget, tool_call_id, tool_name, tool_calls, model, metadata, created_at, kind, name, parts, provider,
group_version (the message whose call it answers, else itself).
Errors: KC001, KC002, KC006, KC017. Cost: O(log n + rows + pins + fork depth), whatever the length of the log and `at`.';
