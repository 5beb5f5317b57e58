-- Prompt, recorded: the body of a call to a model, and the recipe of it. The recipe holds the decision, never the question: which
-- versions, in which words. The family is shared and the head not locked: appends go on, removals wait. Two requests at once take different
-- numbers; the second waits for the first to commit.
-- plans: writer

create or replace function kata.request(
  context_id uuid,
  budget integer default null,
  format text default null,
  model text default null,
  tools json default null,
  options json default null,
  cache text default null,
  stable_step integer default null,
  tokenizer text default null,
  at bigint default null,
  recall bigint[] default null,
  recall_budget integer default null,
  reserve integer default 0,
  system text default null,
  thinking text default null
)
returns table (request_id bigint, body text, token_count integer, start_version bigint, marks integer[], notes jsonb, body_digest bytea)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_asking record;
  v_context record;
  v_budget integer;
  v_step integer := coalesce(stable_step, 0);
  v_profile kata_data.request_profile;
  v_view kata_data.view;
  v_tools text;
  v_recall_budget integer;
  v_plan kata_data.plan;
  v_fitted record;
  v_request kata_data.request;
begin
  -- Against an erasure at this moment: it waits, and finds the request; or it is waited for, and seen.
  v_asking := kata_data.share_asking(context_id);
  v_context := kata_data.open_context(context_id, at, 'write');
  v_budget := case when reserve = 0 and v_step >= 0 and v_step < budget then budget
    else kata_data.messages_budget(context_id, budget, reserve, v_step) end;
  v_view := kata_data.view_of(context_id, v_context.at, v_context.view_version);
  v_tools := case when tools is null then kata_data.tools_in_force(context_id, v_view) else kata_data.tools_text(tools) end;
  v_profile := kata_data.profile_of(kata_data.asked_profile(v_asking.tenant, v_asking.policy, format, coalesce(system, 'wrapped'),
    thinking, model, tokenizer, cache, options, reserve, v_context.tokenizer), v_tools);
  if tools is null and v_profile.tokenizer = v_context.tokenizer then
    v_profile.tools_tokens := coalesce(v_view.tools_tokens, 0);
  end if;
  v_budget := v_budget - v_profile.tools_tokens;
  if v_budget > 0 and v_step >= v_budget then
    perform kata_data.refuse_budget(v_budget, v_step);
  end if;
  if recall is not null or recall_budget is not null then
    v_recall_budget := kata_data.recall_room(context_id, recall, recall_budget, v_budget, v_context.at);
  end if;
  v_plan := case when v_profile.cache is not null then kata_data.plan_of(context_id, v_context.at, v_view, v_profile, v_step) end;
  v_fitted := kata_data.fitted_rows(
    context_id, v_context.at, v_context.preamble_end, v_context.tokenizer, v_view, greatest(v_budget, 1), v_profile.format, v_step,
    v_profile.tokenizer, recall, v_recall_budget, v_plan);
  if v_fitted.least_budget is not null or v_budget <= 0 then
    perform kata_data.refuse_small_budget(
      coalesce(v_fitted.least_budget, 1), v_budget + v_profile.tools_tokens + reserve, reserve, v_profile.tools_tokens);
  end if;
  v_request := kata_data.recipe_of(context_id, v_context.at, v_context.preamble_end, v_view, v_fitted.rows);
  v_request.profile_id := v_profile.profile_id;
  v_request.budget := v_budget + v_profile.tools_tokens + reserve;
  v_request.stable_step := v_step;
  v_request.token_count := v_request.token_count + v_profile.tools_tokens;
  v_request.salt := kata_data.new_salt();
  v_request.hidden_thinking := case when v_profile.format = 'anthropic' or v_profile.thinking is not null
    then kata_data.hidden_thinking(v_request, v_profile, v_view) end;
  v_request.bridge := case when v_plan.until is not null then kata_data.bridge_of(v_plan, v_request, v_profile, v_fitted.rows) end;
  select b.body, case when b.stops_thinking then '{"thinking_off": true}'::jsonb else '{}' end into strict body, notes
  from kata_data.request_body(v_request, v_profile, v_tools, v_fitted.rows, v_fitted.kind) b;
  marks := case when v_profile.cache = 'anthropic' and v_profile.format = 'anthropic' then
    array_remove(array[case when v_request.bridge is not null then v_plan.until end, v_context.at], null) end;
  body_digest := sha256(v_request.salt || convert_to(body, 'UTF8'));
  v_request.body_digest := body_digest;
  request_id := kata_data.record_request(v_request);
  token_count := v_request.token_count;
  start_version := v_request.start_version;
  return next;
end
$$;
comment on function kata.request(uuid, integer, text, text, json, json, text, integer, text, bigint, bigint[], integer, integer, text, text) is
'Builds the body of a call to a model, and records it for kata.replay.

context_id: the context.
budget: the tokens of everything, reserve and tools included; null for the budget of the policy.
format: openai, responses, anthropic or gemini; null for the format of the policy.
model: the model, which the body names except in the Gemini form, where the URL does; null for the model of the policy.
tools: the tools as the provider takes them, a JSON array of objects, at most 1 MB; null for those of kata.set_tools, empty for none.
options: further keys of the body, a JSON object, for example {"max_tokens": 1000, "temperature": 0}; null for none. They go out as they
  are given, in their order. Give settings, not what changes from call to call: each new value is one more row that stays.
cache: the provider whose prompt cache is planned for: anthropic, openai or none; null for the cache of the policy. Without a stable_step the
  body starts where the request before it started, while that fits. It leaps where it does not fit or the cache has expired, to a rest of
  keep_tokens of the policy. In the Anthropic form anthropic sets at most three marks of 5 minutes and leaves one to the caller.
stable_step (null for 0), tokenizer, at, recall, recall_budget, system (null for wrapped): as for prompt.
thinking: which thinking of earlier answers goes out. In the Anthropic form null sends what is valid: signed blocks of answers that were
  tied to their request and have before them, byte by byte, what that request had. Of answers without a request it sends the open tool turn
  only; assume takes them to have seen the whole view, which a provider may refuse; keep sends all, drop none. In the other forms as for prompt.
reserve: tokens of the budget to keep for the answer. In the Anthropic form they are its max_tokens where options have none.

The body is text, because those bytes are recorded: post it as it is. Tools are text in it, byte for byte, because the order of keys in a schema is
part of what the model reads.

Returns one row: request_id (1, 2, 3 … in the context), body, token_count (of messages and tools), start_version (everything visible from
it on is in the body, beside the preamble), marks (the versions up to which a mark of the cache
reaches, beside that of the system prompt; null for none), notes (an object; thinking_off: the body turns
thinking off, because that of the open tool turn is not valid any more),
body_digest (SHA-256 over a random salt and the body).
Errors: KC001, KC002, KC006, KC017 an argument is out of range, the context has nothing to show, the model or max_tokens is missing, or
  options have a key that the function writes, KC020 the budget is too small (DETAIL has the least sufficient one), KC022 as for prompt.
Locks: shares the fork family; a second request of the context waits for the first to commit, so call it before an append in a transaction,
or in one of its own. Cost: as prompt, and one row of some 250 bytes.';
