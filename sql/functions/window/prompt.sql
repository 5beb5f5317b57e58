-- The window, ready to send. First the rows are put as every provider wants them (results behind their call, calls without result
-- closed), then they take the chat form of one.

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

  with message as materialized (
    select w.version, w.role, w.content, w.name, w.tool_call_id, w.tool_calls, w.parts, w.provider, w.group_version, w.running_tokens, w.over_budget,
      w.reason = 'preamble' as in_preamble,
      w.group_version = first_value(w.group_version) over (order by w.kind = 'summary', w.version desc) as in_newest_group,
      case w.kind when 'summary' then w."position" else w.group_version end as group_position
    from kata."window"(prompt.context_id, prompt.budget, prompt.at, prompt.stable_step, prompt.tokenizer) w
  ),
  open_call as (
    select m.group_position, c.call ->> 'id' as id, c.ordinality
    from message m
    cross join lateral jsonb_array_elements(m.tool_calls) with ordinality c(call, ordinality)
    where not m.in_newest_group
      and not exists (
        select from message r
        where r.group_version = m.group_version
          and r.tool_call_id = c.call ->> 'id')
  )
  select
    jsonb_agg(e.entry order by e.group_position, e.place, e.ordinality),
    max(e.running_tokens) filter (where e.over_budget)
  into v_messages, v_promised
  from (
    select m.group_position, m.version as place, 0 as ordinality, m.running_tokens, m.over_budget, jsonb_build_object(
      'role', m.role, 'content', m.content, 'name', m.name, 'tool_call_id', m.tool_call_id, 'tool_calls', m.tool_calls,
      'parts', m.parts, 'provider', m.provider, 'preamble', m.in_preamble, 'orphan', m.role = 'tool' and m.group_version = m.version) as entry
    from message m
    union all
    select o.group_position, 9223372036854775807, o.ordinality, null, null, jsonb_build_object(
      'role', 'tool', 'content', '[no result]', 'tool_call_id', o.id)
    from open_call o
  ) e;

  if v_promised is not null then
    raise exception using
      errcode = 'KC020',
      message = pg_catalog.format('a budget of %s tokens is too small', budget),
      detail = pg_catalog.format('The newest group, the preamble and the pins take %s tokens, the least sufficient budget.', v_promised),
      hint = 'Raise the budget to that, or unpin messages.';
  end if;
  v_messages := coalesce(v_messages, '[]');
  return case format
    when 'openai' then kata_data.openai_prompt(v_messages)
    else kata_data.anthropic_prompt(v_messages)
  end;
end
$$;
comment on function kata.prompt(uuid, integer, text, bigint, integer, text) is
'The window as one JSON document in the chat form of a provider, ready to send.

context_id, budget (tokens), at, stable_step, tokenizer: as for window.
format: openai (an array of messages) or anthropic (an object with system and messages, roles alternating from user on; system and
  developer messages after the preamble stand in place, as text of the user''s turn in <system> tags; such tags in what a user or
  a tool says are broken up, as <\system>, so that none is taken for these).

Results stand right behind their call. A call without result, outside the newest group, is closed with "[no result]". A result whose call
is not in the log (policy strict false) is shown as a message of the user.

Returns jsonb.
Errors: KC001, KC002, KC006, KC017, KC020 the budget is too small for what always comes (the least sufficient one in DETAIL).
Cost: as window.';
