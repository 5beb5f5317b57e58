-- The OpenAI Responses form: the preamble apart as instructions, then a list of items, one per block of a turn. The provider keeps nothing
-- between requests.

create or replace function kata_data.responses_1(
  rows kata_data.prompt_row[], system text, thinking text, hidden int8multirange default null, kind text default null
) returns jsonb
language plpgsql immutable
as $$
declare
  v_kind text := coalesce(kind, kata_data.usual_kind(rows, 'responses'));
begin
  if v_kind <> 'general' and system <> 'joined' then
    return kata_data.usual_responses_prompt(rows, v_kind);
  end if;
  return kata_data.responses_prompt(kata_data.prepared_rows(rows, 'responses', hidden), system, thinking);
end
$$;
comment on function kata_data.responses_1(kata_data.prompt_row[], text, text, int8multirange, text) is
'Renderer 1 of the OpenAI Responses form.

hidden: versions whose thinking does not go out; null for none. kind: what usual_kind has for these rows, or for others that they are some
groups of; null to look.';

create or replace function kata_data.responses_prompt(rows kata_data.prompt_row[], system text, thinking text) returns jsonb
language plpgsql stable
as $$
declare
  v_instructions text;
  v_input jsonb;
begin
  with written as materialized (
    select m.group_position, m.place, m.ordinality, m.version,
      case when m.is_instruction then m.content end as instruction,
      case when not m.is_instruction then kata_data.responses_items(
        m.role, m.content, m.tool_call_id, m.tool_calls, m.parts, m.provider, m.is_orphan, m.answered, responses_prompt.thinking, m.version) end as items
    from (
      select m.*, m.in_preamble and m.role = 'system' and not coalesce(kata_data.has_elements(m.parts), false) as is_instruction
      from kata_data.prompt_messages(responses_prompt.rows, 'responses') m
    ) m
    offset 0
  )
  select
    string_agg(w.instruction, E'\n\n' order by w.group_position) filter (where not kata_data.is_blank(w.instruction)),
    (
      select jsonb_agg(i.item order by o.group_position, o.place, o.ordinality, o.version, i.ordinality)
      from written o
      cross join lateral jsonb_array_elements(o.items) with ordinality i(item, ordinality))
  into v_instructions, v_input
  from written w;
  v_input := kata_data.unique_item_ids(coalesce(v_input, '[]'));
  return jsonb_build_object('instructions', v_instructions, 'input', kata_data.limit_marks(
    case when system = 'joined' then kata_data.joined_systems(v_input) else v_input end, 'prompt_cache_breakpoint'));
end
$$;
comment on function kata_data.responses_prompt(kata_data.prompt_row[], text, text) is 'A prompt in the OpenAI Responses form.';

create or replace function kata_data.unique_item_ids(input jsonb) returns jsonb
language plpgsql stable
as $$
begin
  if not input @? '$[*].id' then
    return input;
  end if;
  return (
    select jsonb_agg(case
      when n.use = 1 or n.id is null or n.item ->> 'type' = 'local_shell_call_output' then n.item
      else n.item || jsonb_build_object('id', format('%s_u%s', n.id, n.use))
    end order by n.ordinality)
    from (
      select i.item, i.ordinality, i.item ->> 'id' as id,
        row_number() over (partition by i.item ->> 'id' collate "C" order by i.ordinality) as use
      from jsonb_array_elements(input) with ordinality i(item, ordinality)
    ) n);
end
$$;
comment on function kata_data.unique_item_ids(jsonb) is
'Items whose ids are unique: a log may hold an id twice, for example after an import of the same answer.';
