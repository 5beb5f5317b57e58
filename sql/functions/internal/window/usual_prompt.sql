-- The short way to a prompt. Most windows hold only texts, calls of functions and their results, each call answered; their messages go out
-- as they are stored, and nothing has to be renamed, closed or translated. A prompt of such a window is one pass over its rows, and the same
-- to the byte as what the general way makes.

create or replace function kata_data.usual_rows(rows kata_data.window_row[], format text) returns kata_data.window_row[]
language plpgsql stable
as $$
declare
  v_rows record;
  v_calls record;
begin
  select
    bool_and(r.parts is null and r.provider is null and r.name is null and r.tool_calls is distinct from '[]'
      and (r.role <> 'tool' or r.group_version <> r.version)
      and (format in ('openai', 'responses')
        or (not coalesce(kata_data.has_system_tag(r.content), false) and (r.role not in ('system', 'developer') or r.reason = 'preamble')))) as are_usual,
    bool_or(r.tool_calls is not null) as have_calls,
    max(case r.kind when 'summary' then r."position" else r.group_version end) as last_group
  into v_rows
  from unnest(rows) r;
  if v_rows.are_usual is not true or not v_rows.have_calls then
    return case when v_rows.are_usual then rows end;
  end if;

  select
    bool_and(kata_data.is_sent_as_stored(c.call, c.id, usual_rows.format)) and count(distinct c.key collate "C") = count(*) as are_usual,
    array_agg(c.key order by c.key collate "C") filter (where c.group_version <> v_rows.last_group) as closed,
    jsonb_object_agg(c.key, c.sent_id) filter (where c.sent_id <> c.id) as renamed
  into v_calls
  from (
    select c.group_version, c.call, c.id, c.group_version || ' ' || c.id as key,
      kata_data.sent_call_id(c.id, row_number() over (partition by c.id collate "C" order by c.group_version, c.ordinality), c.version, c.ordinality,
        usual_rows.format) as sent_id
    from (
      select r.group_version, r.version, e.ordinality, e.call, e.call ->> 'id' as id
      from unnest(rows) r
      cross join lateral jsonb_array_elements(r.tool_calls) with ordinality e(call, ordinality)
      where r.tool_calls is not null
    ) c
  ) c;
  if v_calls.are_usual is not true or v_calls.closed is distinct from (
    select array_agg(r.group_version || ' ' || r.tool_call_id order by (r.group_version || ' ' || r.tool_call_id) collate "C")
    from unnest(rows) r
    where r.role = 'tool'
      and r.group_version <> v_rows.last_group
  ) then
    return null;
  end if;
  return case when v_calls.renamed is null then rows else kata_data.renamed_rows(rows, v_calls.renamed) end;
end
$$;
comment on function kata_data.usual_rows(kata_data.window_row[], text) is
'The rows of a window, their calls with the ids that the form takes; null unless they hold only texts, calls that go out as they are stored, and
one result of each, the last group aside. Where turns alternate, a message of the system after the preamble is not usual, nor are its tags.';

create or replace function kata_data.renamed_rows(rows kata_data.window_row[], renamed jsonb) returns kata_data.window_row[]
language plpgsql stable
as $$
declare
  v_row record;
begin
  for v_row in
    select r.ordinality as place, renamed -> (r.group_version || ' ' || r.tool_call_id) #>> '{}' as tool_call_id, (
      select jsonb_agg(c.call || jsonb_build_object('id', coalesce(renamed -> (r.group_version || ' ' || (c.call ->> 'id')), c.call -> 'id'))
        order by c.ordinality)
      from jsonb_array_elements(r.tool_calls) with ordinality c(call, ordinality)) as tool_calls
    from unnest(rows) with ordinality r
    where r.role in ('assistant', 'tool')
      and r.group_version in (
        select split_part(k.key, ' ', 1)::bigint
        from jsonb_object_keys(renamed) k(key))
  loop
    if v_row.tool_calls is not null then
      rows[v_row.place].tool_calls := v_row.tool_calls;
    elsif v_row.tool_call_id is not null then
      rows[v_row.place].tool_call_id := v_row.tool_call_id;
    end if;
  end loop;
  return rows;
end
$$;
comment on function kata_data.renamed_rows(kata_data.window_row[], jsonb) is
'The rows of a window with other ids of calls. renamed: the ids, by group and stored id.';

create or replace function kata_data.usual_openai_prompt(rows kata_data.window_row[]) returns jsonb
language plpgsql stable
as $$
begin
  return (
    select coalesce(jsonb_agg(
      case
        when r.tool_calls is not null then jsonb_build_object('role', r.role, 'content', case when not r.is_blank then r.content end, 'tool_calls', r.tool_calls)
        when r.tool_call_id is not null
          then jsonb_build_object('role', r.role, 'content', case when r.is_blank then '[empty]' else r.content end, 'tool_call_id', r.tool_call_id)
        else jsonb_build_object('role', r.role, 'content', r.content)
      end order by r.group_position, r.version)
      filter (where not r.is_blank or r.tool_calls is not null or r.tool_call_id is not null), '[]')
  from (
    select r.role, r.content, r.tool_calls, r.tool_call_id, r.version, kata_data.is_blank(r.content) as is_blank,
      case r.kind when 'summary' then r."position" else r.group_version end as group_position
    from unnest(rows) r
    offset 0
  ) r);
end
$$;
comment on function kata_data.usual_openai_prompt(kata_data.window_row[]) is 'The prompt of a usual window in the OpenAI chat form.';

create or replace function kata_data.usual_responses_prompt(rows kata_data.window_row[]) returns jsonb
language plpgsql stable
as $$
begin
  return (
    select jsonb_build_object(
      'instructions', string_agg(i.content, E'\n\n' order by i.group_position) filter (where i.is_instruction and not i.is_blank),
      'input', coalesce(jsonb_agg(
        case
          when i.call is not null then jsonb_build_object(
            'type', 'function_call', 'call_id', i.call -> 'id', 'name', i.call #> '{function,name}', 'arguments', i.call #> '{function,arguments}')
          when i.tool_call_id is not null then jsonb_build_object(
            'type', 'function_call_output', 'call_id', i.tool_call_id, 'output', case when i.is_blank then '[empty]' else i.content end)
          when i.tool_calls is not null then jsonb_build_object('type', 'message', 'role', i.role, 'content',
            jsonb_build_array(jsonb_build_object('type', 'output_text', 'text', i.content, 'annotations', jsonb_build_array())))
          else jsonb_build_object('type', 'message', 'role', i.role, 'content', i.content)
        end order by i.group_position, i.version, i.ordinality)
        filter (where not i.is_instruction and (not i.is_blank or i.call is not null or i.tool_call_id is not null)), '[]'))
  from (
    select r.role, r.content, r.tool_calls, r.tool_call_id, r.version, null::jsonb as call, 0 as ordinality,
      kata_data.is_blank(r.content) as is_blank, r.role = 'system' and r.reason = 'preamble' as is_instruction,
      case r.kind when 'summary' then r."position" else r.group_version end as group_position
    from unnest(rows) r
    union all
    select r.role, null, null, null, r.version, e.call, e.ordinality, true, false, r.group_version
    from unnest(rows) r
    cross join lateral jsonb_array_elements(r.tool_calls) with ordinality e(call, ordinality)
    where r.tool_calls is not null
  ) i);
end
$$;
comment on function kata_data.usual_responses_prompt(kata_data.window_row[]) is 'The prompt of a usual window in the OpenAI Responses form.';
