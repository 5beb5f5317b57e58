-- The Anthropic Messages form: the preamble apart as system, then turns that alternate and start with the user. Neighbors of one role
-- merge into one turn; the results of calls open the turn after them, because prompt_messages puts results behind their call.

create or replace function kata_data.anthropic_prompt(
  context_id uuid, budget integer, at bigint, stable_step integer, tokenizer text, out messages jsonb, out promised_tokens bigint
)
language plpgsql stable
as $$
begin
  with message as materialized (
    select m.role, m.content, m.tool_call_id, m.tool_calls, m.parts, m.provider, m.in_preamble, m.is_orphan, m.promised_tokens,
      row_number() over (order by m.group_position, m.place, m.ordinality) as ordinality
    from kata_data.prompt_messages(
      anthropic_prompt.context_id, anthropic_prompt.budget, anthropic_prompt.at, anthropic_prompt.stable_step, anthropic_prompt.tokenizer) m
  ),
  block as (
    select b.block, m.ordinality, b.ordinality as place, case m.role when 'assistant' then 'assistant' else 'user' end as role
    from message m
    cross join lateral jsonb_array_elements(
      kata_data.anthropic_blocks(m.role, m.content, m.tool_call_id, m.tool_calls, m.parts, m.provider, m.is_orphan)) with ordinality b(block, ordinality)
    where not m.in_preamble
  ),
  -- The first turn must be the user's.
  opened as (
    select b.block, b.ordinality, b.place, b.role
    from block b
    union all
    select jsonb_build_object('type', 'text', 'text', '[beginning of the messages]'), 0, 1, 'user'
    from (select b.role from block b order by b.ordinality, b.place limit 1) f
    where f.role = 'assistant'
  ),
  -- A turn ends where the role changes.
  numbered as (
    select o.*, o.role is distinct from lag(o.role) over (order by o.ordinality, o.place) as opens_turn
    from opened o
  ),
  turn as (
    select n.*, count(*) filter (where n.opens_turn) over (order by n.ordinality, n.place) as turn
    from numbered n
  )
  select
    jsonb_build_object(
      'system', coalesce((
        select case
          when bool_or(kata_data.has_elements(m.parts)) then (
            select jsonb_agg(b.block order by p.ordinality, b.ordinality)
            from message p
            cross join lateral jsonb_array_elements(kata_data.anthropic_content(p.content, p.parts)) with ordinality b(block, ordinality)
            where p.in_preamble)
          else to_jsonb(string_agg(m.content, E'\n\n' order by m.ordinality))
        end
        from message m
        where m.in_preamble), '""'),
      'messages', coalesce((
        select jsonb_agg(jsonb_build_object('role', t.role, 'content', t.content) order by t.turn)
        from (
          select t.turn, t.role, jsonb_agg(t.block order by t.ordinality, t.place) as content
          from turn t
          group by t.turn, t.role
        ) t), '[]')),
    (select max(m.promised_tokens) from message m)
  into messages, promised_tokens;
end
$$;
comment on function kata_data.anthropic_prompt(uuid, integer, bigint, integer, text) is
'A prompt in the Anthropic Messages form; promised_tokens: as prompt_messages has it.';

create or replace function kata_data.anthropic_content(content text, parts jsonb) returns jsonb
language sql stable
as $$
  select case
    when kata_data.has_elements(parts) then parts
    -- The API refuses empty text blocks.
    when coalesce(content, '') = '' then '[]'
    else jsonb_build_array(jsonb_build_object('type', 'text', 'text', content))
  end
$$;
comment on function kata_data.anthropic_content(text, jsonb) is 'The content of a message as blocks.';

create or replace function kata_data.anthropic_blocks(
  role text, content text, tool_call_id text, tool_calls jsonb, parts jsonb, provider jsonb, is_orphan boolean
) returns jsonb
language sql stable
as $$
  select case
    when is_orphan then jsonb_build_array(jsonb_build_object(
      'type', 'text', 'text', kata_data.escape_system_tags(kata_data.orphan_text(tool_call_id, content))))
    when role = 'assistant'
      then kata_data.anthropic_content(content, parts)
        || case when kata_data.has_elements(tool_calls) then kata_data.tool_uses(tool_calls) else '[]' end
    when role = 'tool'
      then jsonb_build_array(
        coalesce(provider, '{}')
        || jsonb_build_object('type', 'tool_result', 'tool_use_id', tool_call_id,
          'content', kata_data.escape_blocks(kata_data.anthropic_content(content, parts))))
    when role in ('system', 'developer')
      -- Closing tags in the text are escaped, so that it cannot leave its wrapper.
      then jsonb_build_array(jsonb_build_object('type', 'text', 'text',
        E'<system_message>\n' || regexp_replace(coalesce(content, ''), '<(\s*/\s*system_message)', '<\\\1', 'gi') || E'\n</system_message>'))
    -- Only the system opens such tags: those in the words of a user or a tool are escaped.
    else kata_data.escape_blocks(kata_data.anthropic_content(content, parts))
  end
$$;
comment on function kata_data.anthropic_blocks(text, text, text, jsonb, jsonb, jsonb, boolean) is 'A message as the blocks of a turn.';
