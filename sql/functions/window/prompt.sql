-- The window, ready to send. The rows are put as every provider wants them, results behind their call, calls without result closed
-- (prompt_messages), and take the chat form of one.
-- plans: reader

create or replace function kata.prompt(
  context_id uuid,
  budget integer,
  format text default 'openai',
  at bigint default null,
  stable_step integer default 0,
  tokenizer text default null
) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_prompt record;
  v_budget integer := budget;
  v_factor double precision;
begin
  if coalesce(format, '') not in ('openai', 'responses', 'anthropic', 'gemini') then
    raise exception using
      errcode = 'KC017',
      message = pg_catalog.format('prompt format "%s" is unknown', coalesce(left(format, 100), 'null')),
      detail = 'It names the chat form of a provider.',
      hint = 'Pass openai, responses, anthropic or gemini.';
  end if;

  -- The form adds tokens to those of the window: prefixes, placeholders, names. Where they do not fit, the window gets that much less.
  loop
    v_prompt := kata_data.formatted_prompt(
      context_id, v_budget, format, at, case when stable_step < v_budget or v_budget = budget then stable_step else 0 end, tokenizer);
    if v_prompt.added_tokens > 0 then
      v_factor := coalesce(v_factor, kata_data.added_factor(context_id, tokenizer));
      v_prompt.added_tokens := ceil(v_prompt.added_tokens * v_factor);
    end if;
    exit when v_prompt.tokens + v_prompt.added_tokens <= budget or v_prompt.tokens is null;
    if v_prompt.over_budget then
      raise exception using
        errcode = 'KC020',
        message = pg_catalog.format('a budget of %s tokens is too small', budget),
        detail = pg_catalog.format('The newest group, the preamble and the pins take %s tokens, the least sufficient budget.',
          v_prompt.tokens + v_prompt.added_tokens),
        hint = 'Raise the budget to that, or unpin messages.';
    end if;
    v_budget := greatest(least(budget - v_prompt.added_tokens, v_budget - 1), 1);
  end loop;
  return v_prompt.prompt;
end
$$;
comment on function kata.prompt(uuid, integer, text, bigint, integer, text) is
'The window as one JSON document in the chat form of a provider, ready to send.

context_id, budget (tokens), at, stable_step, tokenizer: as for window. The budget holds the additions of the form, too, so a
  prompt may have fewer messages than the window.
format: openai (an array of messages), responses (an object with instructions, the system messages of the preamble or null, and input, an
  array of items), anthropic (an object with system and messages) or gemini (an object with contents, and with systemInstruction where there
  is a preamble). In the last two, roles alternate from user on, and system and developer messages after the preamble are text of the
  user''s turn, in <system_message> tags; such tags in the text of a user or a tool are escaped as <\system_message>.

Results follow their call directly. A call without result, outside the last group, is closed with "[no result]". A result whose call
is not in the log (policy strict false) becomes a message of the user. A call id that comes twice, and an id or a name that the form
does not take, is rewritten. Blank text is left out; fields that the form does not know are, too. Parts of another form are translated,
or dropped if they are thinking; the Anthropic form has the thinking of an open tool turn only.

Returns jsonb.
Errors: KC001, KC002, KC006, KC017, KC020 the budget is too small for the messages that always come (DETAIL has the least sufficient one),
  KC022 a part cannot be translated into the form (DETAIL names its version and type).
Cost: as window.';
