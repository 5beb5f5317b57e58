-- The window, ready to send. The rows are put as every provider wants them, results behind their call, calls without result closed
-- (prompt_messages), and take the chat form of one.
-- plans: reader

create or replace function kata.prompt(
  context_id uuid,
  budget integer default null,
  format text default 'openai',
  at bigint default null,
  stable_step integer default 0,
  tokenizer text default null,
  recall bigint[] default null,
  recall_budget integer default null,
  reserve integer default 0,
  system text default 'wrapped',
  thinking text default null,
  renderer integer default null
) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record;
  v_budget integer := budget;
  v_recall_budget integer;
  v_fitted record;
  v_prompt jsonb;
begin
  perform kata_data.check_prompt_options(format, system, thinking);
  v_context := kata_data.open_context(context_id, at);
  if (budget > 0 and stable_step >= 0 and stable_step < budget and reserve = 0) is not true then
    v_budget := kata_data.messages_budget(context_id, budget, reserve, stable_step);
  end if;
  if recall is not null or recall_budget is not null then
    v_recall_budget := kata_data.recall_room(context_id, recall, recall_budget, v_budget, v_context.at);
  end if;
  v_fitted := kata_data.fitted_rows(
    context_id, v_context.at, v_context.preamble_end, v_context.tokenizer,
    kata_data.view_of(context_id, v_context.at, v_context.view_version), v_budget, format, stable_step, tokenizer, recall, v_recall_budget);
  if v_fitted.least_budget is not null then
    perform kata_data.refuse_small_budget(v_fitted.least_budget, v_budget + reserve, reserve, 0);
  end if;
  v_prompt := kata_data.rendered(
    v_fitted.rows, format, system, thinking, null, coalesce(renderer, kata_data.newest_renderer(format)), v_fitted.kind);
  if v_prompt is null then
    perform kata_data.refuse_renderer(format, renderer);
  end if;
  return v_prompt;
end
$$;
comment on function kata.prompt(uuid, integer, text, bigint, integer, text, bigint[], integer, integer, text, text, integer) is
E'The window as one JSON document in the chat form of a provider, ready to send.

context_id, budget (tokens), at, stable_step, tokenizer, recall, recall_budget, reserve: as for window. The budget holds the additions of the form, too, so a
  prompt may have fewer messages than the window.
format: openai (an array of messages), responses (an object with instructions, the system messages of the preamble or null, and input, an
  array of items), anthropic (an object with system and messages) or gemini (an object with contents, and with systemInstruction where there
  is a preamble). In the last two, roles alternate from user on, and system and developer messages after the preamble are text of the
  user''s turn, in <system_message> tags; such tags in the text of a user or a tool are escaped as <\\system_message>.
system: how system messages after the preamble go out: wrapped, as above; native, as turns of the role system in the Anthropic form, which
  newer models take; joined, neighbors as one message in the forms of OpenAI, for servers that take one only.
thinking: which thinking of earlier answers goes out: assume or null, in the Anthropic form that of the open tool turn, in the others what
  came in them; keep, also that of finished turns; drop, none.
renderer: the number of the renderer, which makes the same bytes of the same window in every release; null for the newest.

Recalled messages are one message of the user, in <recalled> tags, with version, role, name and time of each. `&`, `<` and quotation marks
in them are escaped. The messages before it are the same with any recall and the same recall_budget.

Results follow their call directly. A call without result, outside the last group, is closed with "[no result]". A result whose call
is not in the log (policy strict false) becomes a message of the user. A call id that comes twice, and an id or a name that the form
does not take, is rewritten. Blank text is left out; fields that the form does not know are, too. Parts of another form are translated,
or dropped if they are thinking.

Returns jsonb.
Errors: KC001, KC002, KC006, KC017, KC020 the budget is too small for the messages that always come (DETAIL has the least sufficient one, the
  reserve included),
  KC022 a part cannot be translated into the form (DETAIL names its version and type).
Cost: as window.';
