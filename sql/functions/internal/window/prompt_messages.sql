-- The messages of a prompt, before they take the form of a provider.

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
    from kata."window"(
      prompt_messages.context_id, prompt_messages.budget, prompt_messages.at, prompt_messages.stable_step, prompt_messages.tokenizer) w
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
'The rows of a window, and a result for each call outside the newest group that has none.

group_position, place, ordinality: the order in which results follow their call. is_orphan: a result whose call is not known. promised_tokens: where
the window is over budget, its running total.';
