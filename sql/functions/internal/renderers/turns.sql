-- Forms whose turns alternate and start with the user: Anthropic Messages and Gemini. Neighbors of one role merge into one turn; the results of
-- calls open the turn after them, because prompt_messages puts results behind their call.

create or replace function kata_data.turns(
  rows kata_data.prompt_row[], format text, system text, thinking text,
  out preamble jsonb, out has_parts boolean, out turns jsonb
)
language plpgsql stable
as $$
declare
  v_names text[] := case format when 'gemini' then array['model', 'parts'] else array['assistant', 'content'] end;
  v_messages record;
  v_open integer;
begin
  select array_agg(b.role order by b.ordinality) as roles, array_agg(b.blocks order by b.ordinality) as blocks, bool_or(b.has_thinking) as has_thinking,
    bool_or(b.has_parts) filter (where b.role = 'preamble') as has_parts into strict v_messages
  from kata_data.turn_blocks(rows, format, system) b;
  has_parts := v_messages.has_parts;
  if v_messages.has_thinking then
    v_open := case thinking when 'keep' then 0 when 'drop' then cardinality(v_messages.roles) else kata_data.open_turn(v_messages.roles, v_messages.blocks) end;
    v_messages.blocks := kata_data.without_thinking(v_messages.blocks, v_open, format, thinking);
  end if;

  -- A turn ends where the role changes. One aggregate each: appended one by one, blocks would be copied as often as a turn has messages.
  select
    jsonb_agg(t.blocks) filter (where t.role = 'preamble') #> '{0}',
    coalesce(jsonb_agg(kata_data.turn(t.role, t.blocks, v_names) order by t.turn) filter (where t.role <> 'preamble'), '[]')
  into preamble, turns
  from (
    select b.turn, b.role, jsonb_agg(e.block order by b.place, e.ordinality) as blocks
    from (
      select m.role, m.blocks, m.place,
        count(*) filter (where m.starts) over (partition by m.role = 'preamble' order by m.place rows unbounded preceding) as turn
      from (
        select m.role, m.blocks, m.place, m.role is distinct from lag(m.role) over (partition by m.role = 'preamble' order by m.place) as starts
        from unnest(v_messages.roles, v_messages.blocks) with ordinality m(role, blocks, place)
        where m.blocks <> '[]'
      ) m
    ) b
    cross join lateral jsonb_array_elements(b.blocks) with ordinality e(block, ordinality)
    group by b.turn, b.role
  ) t;
  -- The first turn must be the user's.
  if turns #>> '{0,role}' <> 'user' then
    turns := jsonb_build_array(kata_data.turn('user', kata_data.opening_blocks(format), v_names)) || turns;
  end if;
end
$$;
comment on function kata_data.turns(kata_data.prompt_row[], text, text, text) is
'A prompt as turns that alternate. preamble: its blocks, null for none; has_parts: whether any came as a part.';

create or replace function kata_data.turn(role text, blocks jsonb, names text[]) returns jsonb
language sql stable
as $$
  select case when role is not null then jsonb_build_object('role', case role when 'assistant' then names[1] else role end, names[2], blocks) end
$$;
comment on function kata_data.turn(text, jsonb, text[]) is 'A turn; null without a role. names: of the role of the assistant, and of the field of its blocks.';

create or replace function kata_data.opening_blocks(format text) returns jsonb
language sql immutable
as $$
  select case format
    when 'gemini' then '[{"text": "[beginning of the messages]"}]'::jsonb
    else '[{"type": "text", "text": "[beginning of the messages]"}]'
  end
$$;
comment on function kata_data.opening_blocks(text) is 'The turn of the user before an answer that comes first.';

create or replace function kata_data.open_turn(roles text[], blocks jsonb[]) returns integer
language plpgsql stable
as $$
declare
  v_is_asked boolean := false;
begin
  for v_place in reverse cardinality(roles)..1 loop
    if roles[v_place] = 'assistant' and blocks[v_place] <> '[]' and not v_is_asked then
      v_is_asked := blocks[v_place] @> '[{"type": "tool_use"}]';
      if not v_is_asked then
        return cardinality(roles);
      end if;
    elsif roles[v_place] in ('user', 'system') and blocks[v_place] @? '$[*] ? (@.type != "tool_result")' then
      return v_place;
    end if;
  end loop;
  return 0;
end
$$;
comment on function kata_data.open_turn(text[], jsonb[]) is
'The place of the message before the turn that is open, because its last calls wait for results, or just got them; all messages where none is.';

create or replace function kata_data.without_thinking(blocks jsonb[], finished integer, format text, thinking text) returns jsonb[]
language sql stable
as $$
  select array_agg(case
      -- Gemini takes its own thoughts at any place.
      when m.ordinality > finished or (format = 'gemini' and thinking is distinct from 'drop') then m.blocks
      else jsonb_path_query_array(m.blocks, '$[*] ? (!(@.type == "thinking" || @.type == "redacted_thinking" || @.thought == true))')
    end order by m.ordinality)
  from unnest(blocks) with ordinality m(blocks, ordinality)
$$;
comment on function kata_data.without_thinking(jsonb[], integer, text, text) is
'The blocks of messages without the thinking of those that are finished. finished: how many.';

create or replace function kata_data.turn_blocks(rows kata_data.prompt_row[], format text, system text)
returns table (role text, blocks jsonb, ordinality bigint, has_thinking boolean, has_parts boolean)
language sql stable rows 100
as $$
  select m.turn_role, m.blocks, row_number() over (order by m.group_position, m.place, m.ordinality),
    m.role = 'assistant' and m.parts is not null and m.parts @? '$[*] ? (@.type == "thinking" || @.type == "redacted_thinking")',
    kata_data.has_elements(m.parts)
  from (
    select m.role, m.group_position, m.place, m.ordinality, m.parts, case
        when m.in_preamble then 'preamble'
        when m.role = 'assistant' then 'assistant'
        when turn_blocks.system = 'native' and m.role in ('system', 'developer') then 'system'
        else 'user'
      end as turn_role,
      case
        when m.in_preamble or (turn_blocks.system = 'native' and m.role in ('system', 'developer')) then case format
          when 'gemini' then kata_data.gemini_content('system', m.content, m.parts, m.version)
          else kata_data.anthropic_content('system', m.content, m.parts, m.version) end
        when format = 'gemini' then kata_data.gemini_parts(
          m.role, m.content, m.tool_call_id, m.tool_calls, m.parts, m.provider, m.is_orphan, m.answered, m.version)
        else kata_data.anthropic_blocks(m.role, m.content, m.tool_call_id, m.tool_calls, m.parts, m.provider, m.is_orphan, m.version)
      end as blocks
    from kata_data.prompt_messages(turn_blocks.rows, turn_blocks.format) m
    offset 0
  ) m
$$;
comment on function kata_data.turn_blocks(kata_data.prompt_row[], text, text) is
'The messages of a prompt as blocks, in reading order: role is that of the turn, or preamble.

blocks: an empty array for a message of which nothing is left.';
