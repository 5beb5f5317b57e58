-- The short way to a prompt whose turns alternate (usual_rows.sql), in the Anthropic Messages and the Gemini form.

create or replace function kata_data.usual_turns(rows kata_data.prompt_row[], format text, renamed jsonb) returns text
language plpgsql stable
as $$
declare
  v_names jsonb;
  v_text text := case format when 'gemini' then '{"text":' else '{"type":"text","text":' end;
  v_field text := case format when 'gemini' then '","parts":[' else '","content":[' end;
  v_call text := case format when 'gemini' then '{"functionCall":{"id":' else '{"type":"tool_use","id":' end;
  v_input text := case format when 'gemini' then ',"args":' else ',"input":' end;
  v_end text := case format when 'gemini' then '}}' else '}' end;
  v_opening text := case format
    when 'gemini' then '{"role":"user","parts":[{"text":"[beginning of the messages]"}]},'
    else '{"role":"user","content":[{"type":"text","text":"[beginning of the messages]"}]},'
  end;
begin
  if format = 'gemini' then
    v_names := kata_data.usual_names(rows);
  end if;
  return (
    -- The first turn must be the user's.
    select '[' || case when min(t.role) filter (where t.role_before is null) <> 'user' then v_opening else '' end
      || coalesce(string_agg(case
            when t.role = t.role_before then ','
            when t.role_before is null then '{"role":"' || t.role || v_field
            else ']},{"role":"' || t.role || v_field
          end || t.blocks, '' order by t.place, t.version) || ']}', '') || ']'
    from (
      select m.role, m.place, m.version, lag(m.role) over (order by m.place, m.version) as role_before,
        case
          when m.tool_call_id is not null and format = 'gemini' then '{"functionResponse":{"id":'
            || coalesce((renamed -> (m.group_version || ' ' || m.tool_call_id))::text, to_json(m.tool_call_id)::text)
            || ',"name":' || (v_names -> (m.group_version || ' ' || m.tool_call_id))::text || ',"response":' || case
              when kata_data.is_plain_object(m.content) then m.content
              else coalesce(kata_data.gemini_object(m.content)::text, '{"output":' || to_json(m.content)::text || '}') end || '}}'
          when m.tool_call_id is not null then '{"type":"tool_result","tool_use_id":'
            || coalesce((renamed -> (m.group_version || ' ' || m.tool_call_id))::text, to_json(m.tool_call_id)::text) || ',"content":['
            || case when m.is_blank then ']}' else '{"type":"text","text":' || to_json(m.content)::text || '}]}' end
          when m.tool_calls is null then v_text || to_json(m.content)::text || '}'
          else case when m.is_blank then '' else v_text || to_json(m.content)::text || '},' end || (
            select string_agg(v_call || coalesce(renamed -> (m.group_version || ' ' || (c.call ->> 'id')), c.call -> 'id')::text
                || ',"name":' || (c.call #> '{function,name}')::text || v_input
                || case when kata_data.is_plain_object(c.arguments) then c.arguments else kata_data.tool_input(c.arguments)::text end || v_end,
              ',' order by c.ordinality)
            from (
              select e.ordinality, e.call, e.call #>> '{function,arguments}' as arguments
              from jsonb_array_elements(m.tool_calls) with ordinality e(call, ordinality)
              offset 0
            ) c)
        end as blocks
      from (
        select case when r.role <> 'assistant' then 'user' when usual_turns.format = 'gemini' then 'model' else 'assistant' end as role,
          r.place, r.version, r.group_version, case when r.kind = 'summary' then kata_data.summary_text(r.role, r.content) else r.content end as content,
          r.tool_call_id, r.tool_calls, kata_data.is_blank(r.content) as is_blank
        from unnest(rows) r
        where r.kind <> 'preamble'
        offset 0
      ) m
      where not m.is_blank
        or m.tool_calls is not null
        or m.tool_call_id is not null
    ) t);
end
$$;
comment on function kata_data.usual_turns(kata_data.prompt_row[], text, jsonb) is
'The turns of usual rows behind their preamble, as JSON. renamed: as renamed_calls has it.';

create or replace function kata_data.usual_names(rows kata_data.prompt_row[]) returns jsonb
language plpgsql stable
as $$
begin
  return (
    select jsonb_object_agg(r.group_version || ' ' || (c.call ->> 'id'), c.call #> '{function,name}')
    from unnest(rows) r
    cross join lateral jsonb_array_elements(r.tool_calls) c(call)
    where r.tool_calls is not null);
end
$$;
comment on function kata_data.usual_names(kata_data.prompt_row[]) is 'The names of what the calls of usual rows call, by group and stored id.';

create or replace function kata_data.usual_anthropic_prompt(rows kata_data.prompt_row[], kind text) returns jsonb
language plpgsql stable
as $$
begin
  return ('{"system":' || to_json(coalesce((
      select string_agg(r.content, E'\n\n' order by r.version)
      from unnest(rows) r
      where r.kind = 'preamble'
        and not kata_data.is_blank(r.content)), ''))::text
    || ',"messages":' || kata_data.usual_turns(rows, 'anthropic', case when kind = 'renamed' then kata_data.renamed_calls(rows, 'anthropic') end)
    || '}')::jsonb;
end
$$;
comment on function kata_data.usual_anthropic_prompt(kata_data.prompt_row[], text) is
'The prompt of usual rows in the Anthropic Messages form. kind: as usual_kind has it.';

create or replace function kata_data.usual_gemini_prompt(rows kata_data.prompt_row[], kind text) returns jsonb
language plpgsql stable
as $$
begin
  return ('{' || coalesce((
      select '"systemInstruction":{"parts":[' || string_agg('{"text":' || to_json(r.content)::text || '}', ',' order by r.version) || ']},'
      from unnest(rows) r
      where r.kind = 'preamble'
        and not kata_data.is_blank(r.content)), '')
    || '"contents":' || kata_data.usual_turns(rows, 'gemini', case when kind = 'renamed' then kata_data.renamed_calls(rows, 'gemini') end)
    || '}')::jsonb;
end
$$;
comment on function kata_data.usual_gemini_prompt(kata_data.prompt_row[], text) is
'The prompt of usual rows in the Gemini form. kind: as usual_kind has it.';
