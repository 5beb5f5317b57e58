-- The short way to a prompt in the forms of OpenAI (usual_rows.sql).

create or replace function kata_data.usual_openai_prompt(rows kata_data.prompt_row[], kind text) returns jsonb
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
  -- An object of texts alone is made of an array for half of what it costs otherwise.
  return (
    select coalesce(to_jsonb(array_agg(case
        when r.tool_calls is not null then jsonb_build_object(
          'role', r.role, 'content', case when not r.is_blank then r.content end,
          'tool_calls', case when r.group_version <> all (v_renamed_groups) then r.tool_calls
            else kata_data.renamed_tool_calls(r.tool_calls, r.group_version, v_renamed) end)
        when r.tool_call_id is not null then jsonb_object(array[
          'role', r.role, 'content', case when r.is_blank then '[empty]' else r.content end,
          'tool_call_id', case when r.group_version <> all (v_renamed_groups) then r.tool_call_id
            else coalesce(v_renamed ->> (r.group_version || ' ' || r.tool_call_id), r.tool_call_id) end])
        else jsonb_object(array[
          'role', r.role, 'content', case when r.kind = 'summary' then kata_data.summary_text(r.role, r.content) else r.content end])
      end order by r.place, r.version)), '[]')
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
comment on function kata_data.usual_openai_prompt(kata_data.prompt_row[], text) is
'The prompt of usual rows in the OpenAI chat form. kind: as usual_kind has it.';

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
    select '[' || coalesce(string_agg(
        '{"role": "' || r.role || '", "content": ' || case
          when r.kind = 'summary' then to_json(kata_data.summary_text(r.role, r.content))::text
          when not r.is_blank then to_json(r.content)::text
          when r.tool_call_id is null then 'null'
          else '"[empty]"'
        end || case
          when r.tool_calls is not null then ', "tool_calls": ' || case when r.group_version <> all (v_renamed_groups) then r.tool_calls
            else kata_data.renamed_tool_calls(r.tool_calls, r.group_version, v_renamed) end::text || '}'
          when r.tool_call_id is not null then ', "tool_call_id": ' || to_json(case
            when r.group_version <> all (v_renamed_groups) then r.tool_call_id
            else coalesce(v_renamed ->> (r.group_version || ' ' || r.tool_call_id), r.tool_call_id) end)::text || '}'
          else '}'
        end, ', ' order by r.place, r.version), '') || ']'
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
'What usual_openai_prompt makes, as text. kind: as usual_kind has it.';

create or replace function kata_data.renamed_tool_calls(tool_calls jsonb, group_version bigint, renamed jsonb) returns jsonb
language plpgsql stable
as $$
begin
  return (
    select jsonb_agg(jsonb_set(c.call, '{id}', coalesce(renamed -> (group_version || ' ' || (c.call ->> 'id')), c.call -> 'id')) order by c.ordinality)
    from jsonb_array_elements(tool_calls) with ordinality c(call, ordinality));
end
$$;
comment on function kata_data.renamed_tool_calls(jsonb, bigint, jsonb) is
'The calls of a message with the ids that they go out with. renamed: as renamed_calls has it.';

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
    with message as materialized (
      select r.place, r.version, r.kind, r.role, r.content, r.tool_calls, r.tool_call_id, r.group_version, kata_data.is_blank(r.content) as is_blank,
        r.role = 'system' and r.kind = 'preamble' as is_instruction
      from unnest(rows) r
    )
    select jsonb_build_object(
      'instructions', (select string_agg(m.content, E'\n\n' order by m.place, m.version) filter (where not m.is_blank) from message m where m.is_instruction),
      'input', coalesce(to_jsonb(array_agg(i.item order by i.place, i.version, i.ordinality)), '[]'))
    from (
      select m.place, m.version, 0 as ordinality, case
        when m.tool_call_id is not null then jsonb_object(array[
          'type', 'function_call_output',
          'call_id', coalesce(v_renamed ->> (m.group_version || ' ' || m.tool_call_id), m.tool_call_id),
          'output', case when m.is_blank then '[empty]' else m.content end])
        when m.tool_calls is not null then jsonb_build_object('type', 'message', 'role', 'assistant', 'content', jsonb_build_array(
          jsonb_build_object('type', 'output_text', 'text', m.content, 'annotations', '[]'::jsonb)))
        else jsonb_object(array[
          'type', 'message', 'role', m.role,
          'content', case when m.kind = 'summary' then kata_data.summary_text(m.role, m.content) else m.content end])
      end as item
      from message m
      where not m.is_instruction
        and (not m.is_blank or m.tool_call_id is not null)
      union all
      select m.place, m.version, c.ordinality, jsonb_object(array[
        'type', 'function_call', 'call_id', coalesce(v_renamed ->> (m.group_version || ' ' || (c.call ->> 'id')), c.call ->> 'id'),
        'name', c.call #>> '{function,name}', 'arguments', c.call #>> '{function,arguments}'])
      from message m
      cross join lateral jsonb_array_elements(m.tool_calls) with ordinality c(call, ordinality)
      where m.tool_calls is not null
        and m.tool_call_id is null
    ) i);
end
$$;
comment on function kata_data.usual_responses_prompt(kata_data.prompt_row[], text) is
'The prompt of usual rows in the OpenAI Responses form. kind: as usual_kind has it.';
