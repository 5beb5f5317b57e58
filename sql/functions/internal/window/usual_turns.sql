-- The short way to a prompt whose turns alternate (usual_prompt.sql), in the Anthropic Messages and the Gemini form.

create or replace function kata_data.usual_turns(rows kata_data.window_row[], format text, out preamble jsonb, out turns jsonb)
language plpgsql stable
as $$
declare
  v_names text[] := case format when 'gemini' then array['model', 'parts'] else array['assistant', 'content'] end;
begin
  select
    jsonb_agg(t.blocks order by t.turn) filter (where t.role = 'preamble') #> '{0}',
    coalesce(jsonb_agg(jsonb_build_object('role', case t.role when 'assistant' then v_names[1] else t.role end, v_names[2], t.blocks) order by t.turn)
      filter (where t.role <> 'preamble'), '[]')
  into preamble, turns
  from (
    select b.turn, b.role, jsonb_agg(b.block order by b.group_position, b.version, b.ordinality) as blocks
    from (
      select b.*, count(*) filter (where b.starts) over (order by b.group_position, b.version, b.ordinality rows unbounded preceding) as turn
      from (
        select b.*, b.role is distinct from lag(b.role) over (order by b.group_position, b.version, b.ordinality) as starts
        from kata_data.usual_blocks(rows, format) b
      ) b
    ) b
    group by b.turn, b.role
  ) t;
  -- The first turn must be the user's.
  if turns #>> '{0,role}' <> 'user' then
    turns := jsonb_build_array(kata_data.turn('user', kata_data.opening_blocks(format), v_names)) || turns;
  end if;
end
$$;
comment on function kata_data.usual_turns(kata_data.window_row[], text) is
'A usual window as turns. preamble: its blocks, null for none.';

create or replace function kata_data.usual_blocks(rows kata_data.window_row[], format text)
returns table (role text, group_position bigint, version bigint, ordinality bigint, block jsonb)
language plpgsql stable rows 100
as $$
begin
  if format = 'anthropic' then
    return query
    select m.turn_role, m.group_position, m.version, m.ordinality, m.block
    from (
      select m.*, case
          when m.call is not null then jsonb_build_object('type', 'tool_use', 'id', m.call -> 'id', 'name', m.call #> '{function,name}',
            'input', kata_data.tool_input(m.call #>> '{function,arguments}'))
          when m.tool_call_id is null then jsonb_build_object('type', 'text', 'text', m.content)
          else jsonb_build_object('type', 'tool_result', 'tool_use_id', m.tool_call_id, 'content',
            case when kata_data.is_blank(m.content) then '[]' else jsonb_build_array(jsonb_build_object('type', 'text', 'text', m.content)) end)
        end as block
      from kata_data.usual_messages(rows) m
      offset 0
    ) m;
    return;
  end if;
  return query
  with message as materialized (
    select m.* from kata_data.usual_messages(rows) m
  ),
  called as materialized (
    select jsonb_object_agg(m.call ->> 'id', m.call #> '{function,name}') as names from message m where m.call is not null
  )
  select m.turn_role, m.group_position, m.version, m.ordinality, m.block
  from (
    select m.*, case
        when m.call is not null then jsonb_build_object('functionCall', jsonb_build_object('id', m.call -> 'id', 'name', m.call #> '{function,name}',
          'args', kata_data.tool_input(m.call #>> '{function,arguments}')))
        when m.tool_call_id is null then jsonb_build_object('text', m.content)
        else jsonb_build_object('functionResponse', jsonb_build_object('id', m.tool_call_id, 'name', (select c.names from called c) -> m.tool_call_id,
          'response', coalesce(kata_data.gemini_object(m.content), jsonb_build_object('output', m.content))))
      end as block
    from message m
    offset 0
  ) m;
end
$$;
comment on function kata_data.usual_blocks(kata_data.window_row[], text) is
'The messages of a usual window as blocks of a form; role is that of the turn, or preamble.';

create or replace function kata_data.usual_messages(rows kata_data.window_row[])
returns table (turn_role text, group_position bigint, version bigint, ordinality bigint, content text, tool_call_id text, call jsonb)
language sql stable rows 100
as $$
  select case when r.reason = 'preamble' then 'preamble' when r.role = 'assistant' then 'assistant' else 'user' end,
    case r.kind when 'summary' then r."position" else r.group_version end, r.version, 0::bigint, r.content, r.tool_call_id, null::jsonb
  from unnest(rows) r
  where r.role = 'tool'
    or not kata_data.is_blank(r.content)
  union all
  select 'assistant', r.group_version, r.version, e.ordinality, null, null, e.call
  from unnest(rows) r
  cross join lateral jsonb_array_elements(r.tool_calls) with ordinality e(call, ordinality)
  where r.tool_calls is not null
$$;
comment on function kata_data.usual_messages(kata_data.window_row[]) is
'The texts, the calls and the results of a usual window, one per row; role is that of the turn, or preamble.';

create or replace function kata_data.usual_anthropic_prompt(rows kata_data.window_row[]) returns jsonb
language plpgsql stable
as $$
declare
  v_turns record := kata_data.usual_turns(rows, 'anthropic');
begin
  return jsonb_build_object('system', kata_data.joined_texts(v_turns.preamble), 'messages', v_turns.turns);
end
$$;
comment on function kata_data.usual_anthropic_prompt(kata_data.window_row[]) is 'The prompt of a usual window in the Anthropic Messages form.';

create or replace function kata_data.usual_gemini_prompt(rows kata_data.window_row[]) returns jsonb
language plpgsql stable
as $$
declare
  v_turns record := kata_data.usual_turns(rows, 'gemini');
begin
  return jsonb_build_object('contents', v_turns.turns)
    || case when v_turns.preamble is null then '{}' else jsonb_build_object('systemInstruction', jsonb_build_object('parts', v_turns.preamble)) end;
end
$$;
comment on function kata_data.usual_gemini_prompt(kata_data.window_row[]) is 'The prompt of a usual window in the Gemini form.';
