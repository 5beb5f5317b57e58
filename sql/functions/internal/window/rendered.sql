-- From a window to the renderers. They see rows of their own, so that what a window shows may change and a prompt does not.

create or replace function kata_data.prompt_rows(rows kata_data.window_row[]) returns kata_data.prompt_row[]
language plpgsql stable
as $$
begin
  return array(
    select row(
      r.version, r.group_version, case when r.kind = 'summary' or r.reason = 'recalled' then r."position" else r.group_version end,
      case when r.reason in ('recalled', 'preamble') then r.reason when r.kind = 'summary' then r.kind else 'message' end, r.role, r.content,
      case when r.reason = 'recalled' then coalesce(r.name, r.tool_name) else r.name end, r.tool_call_id, r.tool_calls, r.parts, r.provider,
      case when r.reason = 'recalled' then r.created_at end)::kata_data.prompt_row
    from unnest(rows) r);
end
$$;
comment on function kata_data.prompt_rows(kata_data.window_row[]) is 'The rows of a window as renderers take them.';

create or replace function kata_data.rendered(
  rows kata_data.prompt_row[], format text, system text, thinking text, hidden int8multirange, renderer integer, kind text default null
) returns jsonb
language plpgsql stable
as $$
begin
  return case when renderer = 1 then
    case format
      when 'openai' then kata_data.openai_1(rows, system, thinking, hidden, kind)
      when 'responses' then kata_data.responses_1(rows, system, thinking, hidden, kind)
      when 'anthropic' then kata_data.anthropic_1(rows, system, thinking, hidden, kind)
      when 'gemini' then kata_data.gemini_1(rows, system, thinking, hidden, kind)
    end
  end;
end
$$;
comment on function kata_data.rendered(kata_data.prompt_row[], text, text, text, int8multirange, integer, text) is
'Rows as a prompt in a form, by a numbered renderer; null for a number that the form has not.

hidden: versions whose thinking does not go out; null for none. kind: what usual_kind has for these rows, or for others that they are some
groups of; null to look.';

create or replace function kata_data.newest_renderer(format text) returns integer
language sql immutable
as $$
  select case when format in ('openai', 'responses', 'anthropic', 'gemini') then 1 end
$$;
comment on function kata_data.newest_renderer(text) is 'The renderer of a form that new prompts and requests take.';

create or replace function kata_data.refuse_renderer(format text, renderer integer) returns void
language plpgsql immutable
as $$
begin
  raise exception using
    errcode = 'KC017',
    message = pg_catalog.format('renderer %s is unknown', renderer),
    detail = pg_catalog.format('The newest renderer of the form %s is %s.', format, kata_data.newest_renderer(format)),
    hint = 'Pass null for the newest, or the number of an older one.';
end
$$;
comment on function kata_data.refuse_renderer(text, integer) is 'Refuses the number of a renderer that a form has not. KC017.';
