-- The short way to a prompt in the forms of OpenAI (usual_rows.sql).

create or replace function kata_data.usual_openai_text(rows kata_data.prompt_row[], kind text) returns text
language plpgsql stable
as $$
declare
  v_renamed jsonb;
  v_renamed_groups bigint[] := '{}'::bigint[];
begin
  if kind = 'renamed' then
    v_renamed := kata_data.renamed_calls(rows, 'openai');
    v_renamed_groups := kata_data.renamed_groups(v_renamed);
  end if;
  -- In the layout of jsonb, because a body has it as it is.
  return (
    select concat('[', string_agg(concat(
        '{"role": "', r.role, '", "content": ', case
          when r.kind = 'summary' then to_json(kata_data.summary_text(r.role, r.content))
          when not r.is_blank then to_json(r.content)
          when r.tool_call_id is null then 'null'
          else '"[empty]"'
        end,
        ', "tool_calls": ' || case when r.group_version <> all (v_renamed_groups) then r.tool_calls else (
          select jsonb_agg(jsonb_set(c.call, '{id}', coalesce(v_renamed -> (r.group_version || ' ' || (c.call ->> 'id')), c.call -> 'id')) order by c.ordinality)
          from jsonb_array_elements(r.tool_calls) with ordinality c(call, ordinality)) end::text,
        ', "tool_call_id": ' || to_json(case
          when r.group_version <> all (v_renamed_groups) then r.tool_call_id
          else coalesce(v_renamed ->> (r.group_version || ' ' || r.tool_call_id), r.tool_call_id) end)::text,
        '}'), ', ' order by r.place, r.version), ']')
    from (
      select r.place, r.version, r.kind, r.role, r.content, r.tool_calls, r.tool_call_id, r.group_version, kata_data.is_blank(r.content) as is_blank
      from unnest(rows) r
      offset 0
    ) r
    where not r.is_blank
      or r.tool_calls is not null
      or r.tool_call_id is not null);
end
$$;
comment on function kata_data.usual_openai_text(kata_data.prompt_row[], text) is
'The prompt of usual rows in the OpenAI chat form. kind: as usual_kind has it.';

create or replace function kata_data.usual_responses_prompt(rows kata_data.prompt_row[], kind text) returns jsonb
language plpgsql stable
as $$
declare
  v_renamed jsonb;
begin
  if kind = 'renamed' then
    v_renamed := coalesce(kata_data.renamed_calls(rows, 'responses'), '{}');
  end if;
  return (
    select ('{"instructions":' || coalesce(to_json(
        string_agg(r.content, E'\n\n' order by r.place, r.version) filter (where r.is_instruction and not r.is_blank))::text, 'null')
      || ',"input":[' || coalesce(string_agg(case
          when r.tool_call_id is not null then '{"type":"function_call_output","call_id":'
            || coalesce((v_renamed -> (r.group_version || ' ' || r.tool_call_id))::text, to_json(r.tool_call_id)::text)
            || ',"output":' || case when r.is_blank then '"[empty]"' else to_json(r.content)::text end || '}'
          when r.tool_calls is not null then
            case when r.is_blank then '' else '{"type":"message","role":"assistant","content":[{"type":"output_text","text":' || to_json(r.content)::text
              || ',"annotations":[]}]},' end || (
              select string_agg(
                '{"type":"function_call","call_id":'
                  || coalesce(v_renamed -> (r.group_version || ' ' || (c.call ->> 'id')), c.call -> 'id')::text || ',"name":' || (c.call #> '{function,name}')::text
                  || ',"arguments":' || (c.call #> '{function,arguments}')::text || '}',
                ',' order by c.ordinality)
              from jsonb_array_elements(r.tool_calls) with ordinality c(call, ordinality))
          else '{"type":"message","role":"' || r.role || '","content":' || to_json(
            case when r.kind = 'summary' then kata_data.summary_text(r.role, r.content) else r.content end)::text || '}'
        end, ',' order by r.place, r.version) filter (where not r.is_instruction), '')
      || ']}')::jsonb
    from (
      select r.place, r.version, r.kind, r.role, r.content, r.tool_calls, r.tool_call_id, r.group_version, kata_data.is_blank(r.content) as is_blank,
        r.role = 'system' and r.kind = 'preamble' as is_instruction
      from unnest(rows) r
      offset 0
    ) r
    where not r.is_blank
      or r.tool_calls is not null
      or r.tool_call_id is not null);
end
$$;
comment on function kata_data.usual_responses_prompt(kata_data.prompt_row[], text) is
'The prompt of usual rows in the OpenAI Responses form. kind: as usual_kind has it.';
