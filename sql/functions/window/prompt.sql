-- The window, ready to send. The rows are put as every provider wants them, results behind their call, calls without result closed
-- (prompt_messages), and take the chat form of one.

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
Errors: KC001, KC002, KC006, KC017, KC020 the budget is too small for the messages that always come (DETAIL has the least sufficient one).
Cost: as window.';

create or replace function kata_data.prompt_messages(context_id uuid, budget integer, at bigint, stable_step integer, tokenizer text)
returns table (
  group_position bigint, place bigint, ordinality bigint, role text, content text, name text, tool_call_id text, tool_calls jsonb, parts jsonb,
  provider jsonb, in_preamble boolean, is_orphan boolean, promised_tokens bigint
)
language sql stable rows 100
as $$
  with message as materialized (
    select w.version, w.role, w.content, w.name, w.tool_call_id, w.tool_calls, w.parts, w.provider, w.group_version, w.running_tokens, w.over_budget,
      w.kind, w.reason = 'preamble' as in_preamble, case w.kind when 'summary' then w."position" else w.group_version end as group_position
    from kata."window"(prompt_messages.context_id, prompt_messages.budget, prompt_messages.at, prompt_messages.stable_step, prompt_messages.tokenizer) w
  ),
  open_call as (
    select m.group_position, c.call ->> 'id' as id, c.ordinality
    from message m
    cross join lateral jsonb_array_elements(m.tool_calls) with ordinality c(call, ordinality)
    where m.group_version <> (select n.group_version from message n order by n.kind = 'summary', n.version desc limit 1)
      and not exists (
        select from message r
        where r.group_version = m.group_version
          and r.tool_call_id = c.call ->> 'id')
  )
  select m.group_position, m.version, 0::bigint, m.role, m.content, m.name, m.tool_call_id, m.tool_calls, m.parts, m.provider, m.in_preamble,
    m.role = 'tool' and m.group_version = m.version, case when m.over_budget then m.running_tokens end
  from message m
  union all
  select o.group_position, 9223372036854775807, o.ordinality, 'tool', '[no result]', null, o.id, null, null, null, false, false, null
  from open_call o
$$;
comment on function kata_data.prompt_messages(uuid, integer, bigint, integer, text) is
'The rows of a window, and a result for each call without one outside the newest group. Ordered by group_position, place and ordinality, results follow
their call. is_orphan: a result whose call is not known. promised_tokens: if the window is over budget, its running total.';
