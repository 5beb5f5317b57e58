-- From a window to the renderers. They see rows of their own, so that what a window shows may change and a prompt does not.

create or replace function kata_data.prompt_rows(rows kata_data.window_row[]) returns kata_data.prompt_row[]
language plpgsql stable
as $$
begin
  return array(
    select row(
      r.version, r.group_version, case when r.kind = 'summary' or r.reason = 'recalled' then r."position" else r.group_version end,
      case when r.reason = 'recalled' then 'recalled' when r.kind = 'summary' then 'summary' when r.reason = 'preamble' then 'preamble' else 'message' end,
      r.role, r.content, case when r.reason = 'recalled' then coalesce(r.name, r.tool_name) else r.name end, r.tool_call_id, r.tool_calls, r.parts,
      r.provider, case when r.reason = 'recalled' then r.created_at end)::kata_data.prompt_row
    from unnest(rows) r
    order by r.ordinal);
end
$$;
comment on function kata_data.prompt_rows(kata_data.window_row[]) is 'The rows of a window as renderers take them.';

create or replace function kata_data.rendered(
  rows kata_data.prompt_row[], format text, system text, thinking text, hidden int8multirange, renderer integer
) returns jsonb
language plpgsql stable
as $$
begin
  return case when renderer = 1 then
    case format
      when 'openai' then kata_data.openai_1(rows, system, thinking, hidden)
      when 'responses' then kata_data.responses_1(rows, system, thinking, hidden)
      when 'anthropic' then kata_data.anthropic_1(rows, system, thinking, hidden)
      when 'gemini' then kata_data.gemini_1(rows, system, thinking, hidden)
    end
  end;
end
$$;
comment on function kata_data.rendered(kata_data.prompt_row[], text, text, text, int8multirange, integer) is
'Rows as a prompt in a form, by a numbered renderer; null for a number that the form has not.';

create or replace function kata_data.newest_renderer(format text) returns integer
language sql immutable
as $$
  select case when format in ('openai', 'responses', 'anthropic', 'gemini') then 1 end
$$;
comment on function kata_data.newest_renderer(text) is 'The renderer of a form that new prompts and requests take.';

create or replace function kata_data.form_of_rows(rows kata_data.prompt_row[], format text, system text, thinking text, hidden int8multirange)
returns jsonb
language plpgsql stable
as $$
declare
  v_rows kata_data.window_row[];
begin
  v_rows := array(
    select row(
      r.ordinality, r.version, r.place, r.role, r.content, 0, 0, case r.kind when 'message' then 'recent' else r.kind end, false, r.tool_call_id,
      null, r.tool_calls, null, null, r.created_at, case r.kind when 'summary' then 'summary' else 'message' end, r.name,
      case when r.version <@ hidden then kata_data.parts_without_thinking(r.parts) else r.parts end, r.provider, r.group_version)::kata_data.window_row
    from unnest(rows) with ordinality r);
  return kata_data.formatted_prompt(
    kata_data.with_recalled_block(v_rows), format, system, thinking,
    case when exists (select from unnest(rows) r where r.kind = 'recalled') then null else (kata_data.usual_kind(v_rows, format)).kind end);
end
$$;
comment on function kata_data.form_of_rows(kata_data.prompt_row[], text, text, text, int8multirange) is 'Rows of a prompt in a form.';

create or replace function kata_data.parts_without_thinking(parts jsonb) returns jsonb
language sql immutable
as $$
  select nullif(jsonb_path_query_array(parts, '$[*] ? (!(@.type == "thinking" || @.type == "redacted_thinking" || @.type == "reasoning"))'), '[]')
$$;
comment on function kata_data.parts_without_thinking(jsonb) is 'Parts less the thinking among them; null where none is left.';
