-- The main question: which messages should the model see? window is a reserved word, hence $1 for a parameter that a column has the name of.
-- plans: reader

create or replace function kata."window"(
  context_id uuid,
  budget integer default null,
  at bigint default null,
  stable_step integer default 0,
  tokenizer text default null,
  recall bigint[] default null,
  recall_budget integer default null,
  reserve integer default 0,
  format text default null
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
  v_context record;
  v_budget integer := budget;
  v_recall_budget integer;
  v_measure kata_data.measure;
  v_view kata_data.view;
  v_window kata_data.selection;
  v_numbering kata_data.numbering;
begin
  v_context := kata_data.open_context(context_id, at);
  if tokenizer <> v_context.tokenizer then
    v_measure := kata_data.measure_of(v_context.tokenizer, tokenizer);
  end if;
  if (budget > 0 and stable_step >= 0 and stable_step < budget and reserve = 0) is not true then
    v_budget := kata_data.messages_budget(context_id, budget, reserve, stable_step);
  end if;
  if recall is not null or recall_budget is not null then
    v_recall_budget := kata_data.recall_room(context_id, recall, recall_budget, v_budget, v_context.at);
  end if;
  v_view := kata_data.view_of(context_id, v_context.at, v_context.view_version);
  if format is not null then
    perform kata_data.check_prompt_options(format, 'wrapped', null);
    return query
    select r.* from kata_data.fitted_window(
      $1, v_context.at, v_context.preamble_end, v_context.tokenizer, v_view, v_budget, $9, $4, $5, $6, v_recall_budget) r;
  end if;
  if format is not null or v_context.at = 0 then
    return;
  end if;
  v_window := kata_data.select_window(context_id, v_context.at, v_context.preamble_end, v_view, v_budget,
    case when stable_step < v_budget then stable_step else 0 end, v_measure, coalesce(v_recall_budget, 0));
  v_numbering := v_window.numbering;
  if recall <> '{}' and not v_window.over_budget then
    return query
    select m.* from kata_data.rows_with_recalled(
      $1, v_context.at, v_context.tokenizer, v_view, v_window, v_measure, v_budget, recall, v_recall_budget) m
    order by m.ordinal;
  elsif v_numbering.hidden_tokens is null then
    return query
    select m.* from kata_data.counted_rows(
      $1, v_window, v_window.elisions, v_window.amendments, v_window.reworded, v_window.covered, v_measure) m order by m."position";
  elsif v_window.reworded && int8range(1, v_numbering.preamble_end + 1) then
    return query
    select m.* from kata_data.numbered_behind_preamble($1, v_window) m order by m."position";
  elsif v_window.summaries is null then
    return query
    select m.* from kata_data.numbered_messages(
      $1, v_window.versions, v_window.newest_group, v_window.request, v_numbering.preamble_end, v_numbering.rest_start,
      v_numbering.hidden_versions, v_numbering.hidden_tokens, v_numbering.request_total, v_numbering.changes) m
    order by m."position";
  else
    return query
    select m.* from kata_data.numbered_messages(
      $1, v_window.versions, v_window.newest_group, v_window.request, v_numbering.preamble_end, v_numbering.rest_start,
      v_numbering.hidden_versions, v_numbering.hidden_tokens, v_numbering.request_total, v_numbering.changes) m
    union all
    select y.* from kata_data.numbered_summaries(v_window.summaries, v_numbering) y
    order by "position";
  end if;
end
$$;
comment on function kata."window"(uuid, integer, bigint, integer, text, bigint[], integer, integer, text) is
'The messages that a model should see within a token budget, in reading order.

context_id: the context.
budget: the most tokens that the messages may take together, positive; null for the budget of the policy, which compaction keeps.
at: as of this version; null for now.
stable_step: tokens for which the start of the window stays still, so that a provider''s prompt cache is hit; 0 for none; smaller
  than the budget. If the rows that always come leave no room for a step, the window starts as without one.
tokenizer: count in this one instead of the context''s, with stored counts, or else a padded conversion.
recall: at most 10,000 versions whose messages come whatever else fits, best first, for example those that kata.recall returns.
recall_budget: tokens of the budget to keep for them, used or not; null for an eighth of the budget, at most 2,000, where recall is given.
reserve: tokens of the budget to keep for the answer and the tools; from 0 to below the budget.
format: select as prompt does in this form (openai, responses, anthropic, gemini), whose additions take part of the budget; null counts
  messages only.

The newest group (an assistant message with tool calls and their results; any other message alone), the preamble (system and developer
messages before the first of another role) and the pins always come; if they alone exceed the budget, nothing else comes, and every row is
over_budget. Then the user''s last request (the newest visible message of role user), if it fits. Then summaries, newest first, those that
fit, each at its position. Then whole groups, newest first, until one does not fit; the messages that a left-out summary covers are among
them. An elided message comes as its stub.

Recalled messages come as one block directly before the user''s last request, or before the rest where that is not shown. They come by
whole groups, in their own words where a summary covers them; a group that does not fit is left out, and a long result of a tool is cut
(kind stub). Messages that the window shows anyway, deleted, rewound and erased ones, summaries and records are left out. Their budget gives way to what
always comes, the request and the summaries. token_count includes what prompt adds around them.

Returns: ordinal from 1, version, position, role, content, token_count, running_tokens, reason (preamble, pinned, newest, request,
recalled, summary, covered, recent; the first that holds), over_budget, tool_call_id, tool_name, tool_calls, model, metadata, created_at, kind (message,
summary, stub), name, parts, provider, group_version (the message whose call it answers, else itself).
Errors: KC001, KC002 `at` or a version to recall is not on the path, KC006, KC017.
Cost: O(log n + rows + pieces of the view + fork depth), whatever the length of the log and `at`; with recall also O(erasures of the path).';
