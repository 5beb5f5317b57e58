-- Forms whose turns alternate and start with the user: Anthropic Messages and Gemini. Neighbors of one role merge into one turn; the results of
-- calls open the turn after them, because prompt_messages puts results behind their call.

create or replace function kata_data.turns(
  rows kata_data.window_row[], format text, system text, thinking text,
  out preamble jsonb, out has_parts boolean, out turns jsonb, out added_tokens bigint
)
language plpgsql stable
as $$
declare
  v_names text[] := case format when 'gemini' then '{model,parts}' else '{assistant,content}' end;
begin
  with written as materialized (
    select w.role, w.block, w.block ->> 'type' as type, w.ordinality, w.place, w.has_parts, w.added_tokens
    from kata_data.turn_blocks(turns.rows, turns.format, turns.system) w
  ),
  block as (
    select w.block, w.ordinality, w.place, w.role
    from written w
    where w.role <> 'preamble'
      and w.block is not null
      and (turns.thinking is distinct from 'drop' or not w.block ? 'thought')
      -- Asked only where there is thinking: whether its turn is open, because its last calls wait for results, or just got them.
      and (w.type not in ('thinking', 'redacted_thinking') or w.type is null or turns.thinking = 'keep' or w.ordinality > (
        select case when max(s.ordinality) filter (where s.role = 'assistant') = max(s.ordinality) filter (where s.type = 'tool_use')
          then coalesce(max(s.ordinality) filter (where s.role in ('user', 'system') and s.type <> 'tool_result'), 0) end
        from written s
        where s.block is not null
          and turns.thinking is distinct from 'drop'))
  ),
  -- The first turn must be the user's.
  opened as (
    select b.block, b.ordinality, b.place, b.role
    from block b
    union all
    select case turns.format when 'gemini' then '{}' else '{"type": "text"}' end::jsonb || '{"text": "[beginning of the messages]"}', 0, 1, 'user'
    from (select b.role from block b order by b.ordinality, b.place limit 1) f
    where f.role <> 'user'
  ),
  -- A turn ends where the role changes.
  numbered as (
    select o.*, o.role is distinct from lag(o.role) over (order by o.ordinality, o.place) as opens_turn
    from opened o
  ),
  placed as (
    select n.*, count(*) filter (where n.opens_turn) over (order by n.ordinality, n.place) as turn
    from numbered n
  ),
  turn as (
    select p.turn, jsonb_build_object(
      'role', case p.role when 'assistant' then v_names[1] else p.role end, v_names[2], jsonb_agg(p.block order by p.ordinality, p.place)) as message
    from placed p
    group by p.turn, p.role
  )
  select coalesce((select jsonb_agg(t.message order by t.turn) from turn t), '[]'),
    jsonb_agg(w.block order by w.ordinality, w.place) filter (where w.role = 'preamble' and w.block is not null),
    bool_or(w.has_parts) filter (where w.role = 'preamble'),
    sum(w.added_tokens) + case when (select o.ordinality from opened o order by o.ordinality limit 1) = 0 then 12 else 0 end
  into turns, preamble, has_parts, added_tokens
  from written w;
end
$$;
comment on function kata_data.turns(kata_data.window_row[], text, text, text) is
'A prompt as turns that alternate. preamble: its blocks, null for none; has_parts: whether any came as a part. added_tokens: at most so many
that the form adds.';

create or replace function kata_data.turn_blocks(rows kata_data.window_row[], format text, system text)
returns table (role text, block jsonb, ordinality bigint, place bigint, has_parts boolean, added_tokens integer)
language sql stable rows 100
as $$
  select case
      when m.in_preamble then 'preamble'
      when m.role = 'assistant' then 'assistant'
      when turn_blocks.system = 'native' and m.role in ('system', 'developer') then 'system'
      else 'user'
    end, b.block, m.ordinality, b.ordinality, kata_data.has_elements(m.parts),
    case when b.ordinality > 1 then 0 else m.added_tokens end + coalesce(case format
      when 'gemini' then kata_data.added_gemini_tokens(b.block)
      else kata_data.added_block_tokens(b.block, m.role = 'assistant') end, 0)
  from (
    select m.role, m.content, m.tool_call_id, m.tool_calls, m.parts, m.provider, m.in_preamble, m.is_orphan, m.answered, m.version,
      m.added_tokens, row_number() over (order by m.group_position, m.place, m.ordinality) as ordinality
    from kata_data.prompt_messages(turn_blocks.rows, turn_blocks.format) m
  ) m
  left join lateral jsonb_array_elements(case
    when format = 'gemini' then case
      when m.in_preamble then kata_data.gemini_content('system', m.content, m.parts, m.version)
      else kata_data.gemini_parts(
        m.role, m.content, m.tool_call_id, m.tool_calls, m.parts, m.provider, m.is_orphan, m.answered, m.version) end
    when m.in_preamble then kata_data.anthropic_content('system', m.content, m.parts, m.version)
    when turn_blocks.system = 'native' and m.role in ('system', 'developer') then kata_data.anthropic_content('system', m.content, m.parts, m.version)
    else kata_data.anthropic_blocks(m.role, m.content, m.tool_call_id, m.tool_calls, m.parts, m.provider, m.is_orphan, m.version)
  end) with ordinality b(block, ordinality) on true
$$;
comment on function kata_data.turn_blocks(kata_data.window_row[], text, text) is
'The messages of a prompt as blocks, in reading order: role is that of the turn, or preamble.

block: null for a message of which nothing is left. added_tokens: at most so many that the form adds.';
