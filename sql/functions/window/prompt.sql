-- The window, ready to send. The rows are put as every provider wants them, results behind their call, calls without result closed
-- (prompt_messages), and take the chat form of one.
-- plans: reader

create or replace function kata.prompt(
  context_id uuid,
  budget integer,
  format text default 'openai',
  at bigint default null,
  stable_step integer default 0,
  tokenizer text default null,
  system text default 'wrapped',
  thinking text default null
) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_budget integer := budget;
  v_rows kata_data.window_row[];
  v_prompt record;
  v_tokens bigint;
begin
  perform kata_data.check_prompt_options(format, system, thinking);
  -- The form adds tokens to those of the window: prefixes, placeholders, names. Where they do not fit, the window gets that much less.
  loop
    v_rows := array(
      select row(w.*)::kata_data.window_row
      from kata."window"(
        prompt.context_id, v_budget, prompt.at, case when stable_step < v_budget or v_budget = budget then stable_step else 0 end, prompt.tokenizer) w);
    v_prompt := kata_data.formatted_prompt(v_rows, format, system, thinking);
    exit when v_rows = '{}';
    v_tokens := v_rows[cardinality(v_rows)].running_tokens;
    if v_prompt.added_tokens > 0 then
      v_prompt.added_tokens := ceil(v_prompt.added_tokens * kata_data.added_factor(context_id, tokenizer));
    end if;
    exit when v_tokens + v_prompt.added_tokens <= budget;
    if v_rows[1].over_budget then
      raise exception using
        errcode = 'KC020',
        message = pg_catalog.format('a budget of %s tokens is too small', budget),
        detail = pg_catalog.format('The newest group, the preamble and the pins take %s tokens, the least sufficient budget.',
          v_tokens + v_prompt.added_tokens),
        hint = 'Raise the budget to that, or unpin messages.';
    end if;
    v_budget := greatest(least(budget - v_prompt.added_tokens, v_budget - 1), 1);
  end loop;
  return v_prompt.prompt;
end
$$;
comment on function kata.prompt(uuid, integer, text, bigint, integer, text, text, text) is
'The window as one JSON document in the chat form of a provider, ready to send.

context_id, budget (tokens), at, stable_step, tokenizer: as for window. The budget holds the additions of the form, too, so a
  prompt may have fewer messages than the window.
format: openai (an array of messages), responses (an object with instructions, the system messages of the preamble or null, and input, an
  array of items), anthropic (an object with system and messages) or gemini (an object with contents, and with systemInstruction where there
  is a preamble). In the last two, roles alternate from user on, and system and developer messages after the preamble are text of the
  user''s turn, in <system_message> tags; such tags in the text of a user or a tool are escaped as <\system_message>.
system: how system messages after the preamble go out: wrapped, as above; native, as turns of the role system in the Anthropic form, which
  newer models take; joined, neighbors as one message in the forms of OpenAI, for servers that take one only.
thinking: which thinking of earlier answers goes out: assume or null, in the Anthropic form that of the open tool turn, in the others what
  came in them; keep, also that of finished turns; drop, none.

Results follow their call directly. A call without result, outside the last group, is closed with "[no result]". A result whose call
is not in the log (policy strict false) becomes a message of the user. A call id that comes twice, and an id or a name that the form
does not take, is rewritten. Blank text is left out; fields that the form does not know are, too. Parts of another form are translated,
or dropped if they are thinking.

Returns jsonb.
Errors: KC001, KC002, KC006, KC017, KC020 the budget is too small for the messages that always come (DETAIL has the least sufficient one),
  KC022 a part cannot be translated into the form (DETAIL names its version and type).
Cost: as window.';
