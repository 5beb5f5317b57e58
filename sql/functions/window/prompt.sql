-- The window, ready to send. The rows are put as every provider wants them, results behind their call, calls without result closed
-- (prompt_messages), and take the chat form of one.
-- plans: lookup

create or replace function kata.prompt(
  context_id uuid,
  budget integer,
  format text default 'openai',
  at bigint default null,
  stable_step integer default 0,
  tokenizer text default null
) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_messages jsonb;
  v_promised bigint;
begin
  if coalesce(format, '') not in ('openai', 'anthropic') then
    raise exception using
      errcode = 'KC017',
      message = pg_catalog.format('prompt format "%s" is unknown', coalesce(left(format, 100), 'null')),
      detail = 'It names the chat form of a provider.',
      hint = 'Pass openai or anthropic.';
  end if;

  if format = 'openai' then
    select p.messages, p.promised_tokens into v_messages, v_promised
    from kata_data.openai_prompt(prompt.context_id, prompt.budget, prompt.at, prompt.stable_step, prompt.tokenizer) p;
  else
    select p.messages, p.promised_tokens into v_messages, v_promised
    from kata_data.anthropic_prompt(prompt.context_id, prompt.budget, prompt.at, prompt.stable_step, prompt.tokenizer) p;
  end if;
  if v_promised is not null then
    raise exception using
      errcode = 'KC020',
      message = pg_catalog.format('a budget of %s tokens is too small', budget),
      detail = pg_catalog.format('The newest group, the preamble and the pins take %s tokens, the least sufficient budget.', v_promised),
      hint = 'Raise the budget to that, or unpin messages.';
  end if;
  return v_messages;
end
$$;
comment on function kata.prompt(uuid, integer, text, bigint, integer, text) is
'The window as one JSON document in the chat form of a provider, ready to send.

context_id, budget (tokens), at, stable_step, tokenizer: as for window.
format: openai (an array of messages) or anthropic (an object with system and messages, roles alternating from user on; system and
  developer messages after the preamble are text of the user''s turn, in <system_message> tags; such tags in the text of a user or a
  tool are escaped as <\system_message>).

Results follow their call directly. A call without result, outside the newest group, is closed with "[no result]". A result whose call
is not in the log (policy strict false) becomes a message of the user.

Returns jsonb.
Errors: KC001, KC002, KC006, KC017, KC020 the budget is too small for the messages that always come (DETAIL has the least sufficient one),
  KC022 a part cannot be translated into the form (DETAIL names its version and type).
Cost: as window.';
