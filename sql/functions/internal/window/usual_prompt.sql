-- The short way to a prompt. Most windows hold only texts, calls of functions and their results, each call answered; their messages go out
-- as they are stored, and nothing has to be renamed, closed or translated. A prompt of such a window is one pass over its rows, and the same
-- to the byte as what the general way makes.

create or replace function kata_data.usual_kind(rows kata_data.window_row[], format text, out kind text, out added_tokens bigint)
language plpgsql stable
as $$
declare
  v_rows record;
  v_calls record;
begin
  select
    bool_and(r.is_usual) as are_usual, bool_or(r.has_calls) as have_calls, bool_or(r.is_summary) as have_summaries,
    array_agg(r.group_version order by r.group_version) filter (where r.is_result) as answered,
    max(r.group_position) as last_group, sum(r.added_tokens) as added_tokens
  into v_rows
  from (
    -- Apart, so that no content is sorted.
    select r.group_version, r.tool_calls is not null as has_calls, r.kind = 'summary' as is_summary, r.role = 'tool' as is_result,
      r.parts is null and r.provider is null and r.name is null and r.tool_calls is distinct from '[]'
        and (r.role <> 'tool' or r.group_version <> r.version)
        and (format in ('openai', 'responses')
          or (not coalesce(kata_data.has_system_tag(r.content), false) and (r.role not in ('system', 'developer') or r.reason = 'preamble'))) as is_usual,
      case r.kind when 'summary' then r."position" else r.group_version end as group_position,
      case
        when format not in ('openai', 'responses') then null
        when r.role = 'tool' then 3 * kata_data.is_blank(r.content)::integer
        when r.kind = 'summary' then 8 * (r.role in ('user', 'assistant'))::integer
        when format = 'openai' or r.tool_calls is null then 0
        else 4 * (jsonb_array_length(r.tool_calls) - kata_data.is_blank(r.content)::integer)
      end as added_tokens
    from unnest(rows) r
    offset 0
  ) r;
  if v_rows.are_usual is not true then
    return;
  end if;
  kind := case when v_rows.have_summaries then 'as stored' else 'bare' end;
  if v_rows.have_calls then
    select bool_and(kata_data.is_sent_as_stored(c.call, c.id, usual_kind.format) is true) as are_usual,
      count(distinct c.id collate "C") = count(*) as are_unique,
      bool_and(kata_data.sent_call_id(c.id, 1, 1, 1, usual_kind.format) = c.id) as fit,
      array_agg(c.group_version order by c.group_version) as called
    into v_calls
    from (
      select r.group_version, e.call, e.call ->> 'id' as id
      from unnest(rows) r
      cross join lateral jsonb_array_elements(r.tool_calls) e(call)
      where r.tool_calls is not null
      offset 0
    ) c;
    kind := case
      when not v_calls.are_usual
        or array_remove(v_calls.called, v_rows.last_group) <> coalesce(array_remove(v_rows.answered, v_rows.last_group), '{}') then null
      when v_calls.are_unique and v_calls.fit then kind
      when v_calls.are_unique or kata_data.ids_differ_in_groups(rows) then 'renamed'
    end;
  end if;
  if kind is not null then
    added_tokens := case
      when format in ('openai', 'responses') then v_rows.added_tokens
      -- Texts alone: at most the first turn, which must be the user's.
      when not v_rows.have_calls and not v_rows.have_summaries and v_rows.answered is null then 12
    end;
  end if;
end
$$;
comment on function kata_data.usual_kind(kata_data.window_row[], text) is
'Whether the rows of a window hold only texts, calls that go out as they are stored, and one result of each, the last group aside.
Where turns alternate, a message of the system after the preamble is not usual, nor are its tags.

kind: bare if all messages and ids of calls go out as they are, as stored if summaries get a mark, renamed if some ids become others; null for
rows that are not usual. It holds for a window and for the same window less some groups. added_tokens: at most how many the forms of OpenAI
add, or the others to texts alone; null where the groups must be measured.';

create or replace function kata_data.ids_differ_in_groups(rows kata_data.window_row[]) returns boolean
language plpgsql stable
as $$
begin
  return (
    select count(distinct (r.group_version, e.call ->> 'id' collate "C")) = count(*)
    from unnest(rows) r
    cross join lateral jsonb_array_elements(r.tool_calls) e(call)
    -- A group has one message that calls, and most have one call.
    where jsonb_array_length(r.tool_calls) > 1);
end
$$;
comment on function kata_data.ids_differ_in_groups(kata_data.window_row[]) is 'Whether no two calls of a group have the same id.';

create or replace function kata_data.renamed_calls(rows kata_data.window_row[], format text) returns jsonb
language plpgsql stable
as $$
begin
  return (
    select jsonb_object_agg(c.group_version || ' ' || c.id, c.sent_id)
    from (
      select c.group_version, c.id,
        kata_data.sent_call_id(c.id, row_number() over (partition by c.id collate "C" order by c.group_version, c.ordinality), c.version, c.ordinality,
          renamed_calls.format) as sent_id
      from (
        select r.group_version, r.version, e.ordinality, e.call ->> 'id' as id
        from unnest(rows) r
        cross join lateral jsonb_array_elements(r.tool_calls) with ordinality e(call, ordinality)
        where r.tool_calls is not null
      ) c
    ) c
    where c.sent_id <> c.id);
end
$$;
comment on function kata_data.renamed_calls(kata_data.window_row[], text) is 'Other ids of calls in a usual window, by group and stored id; null for none.';

create or replace function kata_data.usual_prompt(rows kata_data.window_row[], format text, kind text) returns jsonb
language plpgsql stable
as $$
declare
  v_renamed jsonb;
begin
  if kind = 'renamed' then
    v_renamed := kata_data.renamed_calls(rows, format);
    if v_renamed is not null then
      rows := kata_data.renamed_rows(rows, v_renamed);
    end if;
  end if;
  return case format
    when 'openai' then kata_data.usual_openai_prompt(rows)
    when 'responses' then kata_data.usual_responses_prompt(rows)
    when 'anthropic' then kata_data.usual_anthropic_prompt(rows)
    when 'gemini' then kata_data.usual_gemini_prompt(rows)
  end;
end
$$;
comment on function kata_data.usual_prompt(kata_data.window_row[], text, text) is 'The prompt of a usual window. kind: as usual_kind has it.';

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
        end order by r.group_position, r.version), '[]')
    from (
      select r.role, r.content, r.tool_calls, r.tool_call_id, r.version, kata_data.is_blank(r.content) as is_blank,
        case r.kind when 'summary' then r."position" else r.group_version end as group_position
      from unnest(rows) r
      offset 0
    ) r
    where not r.is_blank
      or r.tool_calls is not null
      or r.tool_call_id is not null);
end
$$;
comment on function kata_data.usual_openai_prompt(kata_data.window_row[]) is 'The prompt of a usual window in the OpenAI chat form.';

create or replace function kata_data.usual_responses_prompt(rows kata_data.window_row[]) returns jsonb
language plpgsql stable
as $$
begin
  return (
    select ('{"instructions":' || coalesce(to_json(
        string_agg(r.content, E'\n\n' order by r.group_position, r.version) filter (where r.is_instruction and not r.is_blank))::text, 'null')
      || ',"input":[' || coalesce(string_agg(case
          when r.tool_call_id is not null then '{"type":"function_call_output","call_id":' || to_json(r.tool_call_id)::text || ',"output":'
            || case when r.is_blank then '"[empty]"' else to_json(r.content)::text end || '}'
          when r.tool_calls is not null then
            case when r.is_blank then '' else '{"type":"message","role":"assistant","content":[{"type":"output_text","text":' || to_json(r.content)::text
              || ',"annotations":[]}]},' end || (
              select string_agg(
                concat('{"type":"function_call","call_id":', c.call -> 'id', ',"name":', c.call #> '{function,name}', ',"arguments":',
                  c.call #> '{function,arguments}', '}'),
                ',' order by c.ordinality)
              from jsonb_array_elements(r.tool_calls) with ordinality c(call, ordinality))
          else '{"type":"message","role":"' || r.role || '","content":' || to_json(r.content)::text || '}'
        end, ',' order by r.group_position, r.version) filter (where not r.is_instruction), '')
      || ']}')::jsonb
    from (
      select r.role, r.content, r.tool_calls, r.tool_call_id, r.version, kata_data.is_blank(r.content) as is_blank,
        r.role = 'system' and r.reason = 'preamble' as is_instruction,
        case r.kind when 'summary' then r."position" else r.group_version end as group_position
      from unnest(rows) r
      offset 0
    ) r
    where not r.is_blank
      or r.tool_calls is not null
      or r.tool_call_id is not null);
end
$$;
comment on function kata_data.usual_responses_prompt(kata_data.window_row[]) is 'The prompt of a usual window in the OpenAI Responses form.';
