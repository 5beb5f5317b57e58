-- The Anthropic Messages form: the preamble apart as system, then turns that alternate and start with the user. Neighbours of one
-- role merge into one turn; the results of calls open the turn after them, because the rows come with results behind their call.

create or replace function kata_data.anthropic_prompt(messages jsonb) returns jsonb
language sql stable
as $$
  with message as (
    select m.value, m.ordinality, coalesce((m.value -> 'preamble')::boolean, false) as in_preamble
    from jsonb_array_elements(messages) with ordinality m(value, ordinality)
  ),
  block as (
    select b.block, m.ordinality, b.ordinality as place, case m.value ->> 'role' when 'assistant' then 'assistant' else 'user' end as role
    from message m
    cross join lateral jsonb_array_elements(kata_data.anthropic_blocks(m.value)) with ordinality b(block, ordinality)
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
  select jsonb_build_object(
    'system', coalesce((
      select case
        when bool_or(kata_data.has_elements(m.value -> 'parts')) then (
          select jsonb_agg(b.block order by p.ordinality, b.ordinality)
          from message p
          cross join lateral jsonb_array_elements(kata_data.anthropic_content(p.value)) with ordinality b(block, ordinality)
          where p.in_preamble)
        else to_jsonb(string_agg(m.value ->> 'content', E'\n\n' order by m.ordinality))
      end
      from message m
      where m.in_preamble), '""'),
    'messages', coalesce((
      select jsonb_agg(jsonb_build_object('role', t.role, 'content', t.content) order by t.turn)
      from (
        select t.turn, t.role, jsonb_agg(t.block order by t.ordinality, t.place) as content
        from turn t
        group by t.turn, t.role
      ) t), '[]'))
$$;
comment on function kata_data.anthropic_prompt(jsonb) is 'Messages of a prompt in the Anthropic Messages form.';

create or replace function kata_data.anthropic_content(message jsonb) returns jsonb
language sql immutable
as $$
  select case
    when kata_data.has_elements(message -> 'parts') then message -> 'parts'
    -- The API refuses empty text blocks.
    when coalesce(message ->> 'content', '') = '' then '[]'
    else jsonb_build_array(jsonb_build_object('type', 'text', 'text', message -> 'content'))
  end
$$;
comment on function kata_data.anthropic_content(jsonb) is 'The content of a message as blocks.';

create or replace function kata_data.anthropic_blocks(message jsonb) returns jsonb
language sql stable
as $$
  select case
    when (message -> 'orphan')::boolean
      then jsonb_build_array(jsonb_build_object('type', 'text', 'text', kata_data.without_system_tags(kata_data.orphan_text(message))))
    when message ->> 'role' = 'assistant'
      then kata_data.anthropic_content(message) || coalesce((
        select jsonb_agg(jsonb_build_object(
          'type', 'tool_use', 'id', c.call -> 'id', 'name', c.call #> '{function,name}',
          'input', kata_data.tool_input(c.call #>> '{function,arguments}')) order by c.ordinality)
        from jsonb_array_elements(case when kata_data.has_elements(message -> 'tool_calls') then message -> 'tool_calls' else '[]' end)
          with ordinality c(call, ordinality)), '[]')
    when message ->> 'role' = 'tool'
      then jsonb_build_array(
        case when jsonb_typeof(message -> 'provider') = 'object' then message -> 'provider' else '{}' end
        || jsonb_build_object('type', 'tool_result', 'tool_use_id', message -> 'tool_call_id',
          'content', kata_data.unforged(kata_data.anthropic_content(message))))
    when message ->> 'role' in ('system', 'developer')
      -- Closing tags in the text are broken up, so that it cannot leave its wrapper.
      then jsonb_build_array(jsonb_build_object('type', 'text', 'text',
        E'<system>\n' || regexp_replace(coalesce(message ->> 'content', ''), '<(\s*/\s*system)', '<\\\1', 'gi') || E'\n</system>'))
    -- And nobody else opens one: what a user or a tool says in such tags is not what the system says.
    else kata_data.unforged(kata_data.anthropic_content(message))
  end
$$;
comment on function kata_data.anthropic_blocks(jsonb) is 'A message as the blocks of a turn.';

create or replace function kata_data.unforged(blocks jsonb) returns jsonb
language plpgsql immutable
as $$
begin
  if blocks::text !~* 'system' then
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
  select regexp_replace(content, '<(\s*/?\s*system(?:[\s/>]|$))', '<\\\1', 'gi')
$$;
comment on function kata_data.without_system_tags(text) is
'A text whose system tags, opening and closing, are broken up with a backslash, so that they are not taken for those of a prompt.';

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
    return '{}';
  end if;
  return jsonb_build_object('arguments', arguments);
end
$$;
comment on function kata_data.tool_input(text) is 'The arguments of a call as an object; text that is no JSON object, or none that every client can read, stands under "arguments".';
