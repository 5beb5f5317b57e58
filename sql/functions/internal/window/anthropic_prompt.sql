-- The Anthropic Messages form: the preamble apart as system, then turns that alternate and start with the user. Neighbours of one
-- role merge into one turn; the results of calls open the turn after them, because the rows come with results behind their call.

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
    when is_orphan then jsonb_build_array(jsonb_build_object('type', 'text', 'text', kata_data.without_system_tags(kata_data.orphan_text(tool_call_id, content))))
    when role = 'assistant'
      then kata_data.anthropic_content(content, parts) || case when kata_data.has_elements(tool_calls) then kata_data.tool_uses(tool_calls) else '[]' end
    when role = 'tool'
      then jsonb_build_array(
        coalesce(provider, '{}')
        || jsonb_build_object('type', 'tool_result', 'tool_use_id', tool_call_id,
          'content', kata_data.unforged(kata_data.anthropic_content(content, parts))))
    when role in ('system', 'developer')
      -- Closing tags in the text are broken up, so that it cannot leave its wrapper.
      then jsonb_build_array(jsonb_build_object('type', 'text', 'text',
        E'<system_message>\n' || regexp_replace(coalesce(content, ''), '<(\s*/\s*system_message)', '<\\\1', 'gi') || E'\n</system_message>'))
    -- And nobody else opens one: what a user or a tool says in such tags is not what the system says.
    else kata_data.unforged(kata_data.anthropic_content(content, parts))
  end
$$;
comment on function kata_data.anthropic_blocks(text, text, text, jsonb, jsonb, jsonb, boolean) is 'A message as the blocks of a turn.';

create or replace function kata_data.tool_uses(tool_calls jsonb) returns jsonb
language plpgsql stable
as $$
begin
  return (
    select jsonb_agg(jsonb_build_object(
      'type', 'tool_use', 'id', c.call -> 'id', 'name', c.call #> '{function,name}',
      'input', kata_data.tool_input(c.call #>> '{function,arguments}')) order by c.ordinality)
    from jsonb_array_elements(tool_calls) with ordinality c(call, ordinality));
end
$$;
comment on function kata_data.tool_uses(jsonb) is 'Calls as blocks.';

create or replace function kata_data.unforged(blocks jsonb) returns jsonb
language plpgsql immutable
as $$
begin
  if blocks::text !~* 'system_message' then
    return blocks;
  end if;
  return (
    select jsonb_agg(
      case
        when jsonb_typeof(b.block -> 'text') = 'string'
          then b.block || jsonb_build_object('text', kata_data.without_system_tags(b.block ->> 'text'))
        else b.block
      end order by b.ordinality)
    from jsonb_array_elements(blocks) with ordinality b(block, ordinality));
end
$$;
comment on function kata_data.unforged(jsonb) is 'Blocks of what a user or a tool said, without system tags in their text.';

create or replace function kata_data.without_system_tags(content text) returns text
language sql immutable
as $$
  select regexp_replace(content, '<(\s*/?\s*system_message(?:[\s/>]|$))', '<\\\1', 'gi')
$$;
comment on function kata_data.without_system_tags(text) is
'A text whose tags system_message, opening and closing, are broken up with a backslash, so that they are not taken for those of a prompt.';

create or replace function kata_data.tool_input(arguments text) returns jsonb
language plpgsql stable
as $$
declare
  v_input jsonb;
begin
  begin
    v_input := arguments::jsonb;
  exception
    -- No JSON, or none that jsonb can hold: \u0000, too large a number, nested too deep.
    when data_exception or program_limit_exceeded then
      v_input := null;
  end;
  if jsonb_typeof(v_input) = 'object' and kata_data.json_fits(v_input) then
    return v_input;
  elsif arguments ~ '^\s*$' then
    return '{}'::jsonb;
  end if;
  return jsonb_build_object('arguments', arguments);
end
$$;
comment on function kata_data.tool_input(text) is 'The arguments of a call as an object; text that is no JSON object, or none that every client can read, stands under "arguments".';
