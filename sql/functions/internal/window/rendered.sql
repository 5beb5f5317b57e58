-- The renderer of a form and a number.

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

create or replace function kata_data.rendered_text(
  rows kata_data.prompt_row[], format text, system text, thinking text, hidden int8multirange, renderer integer, kind text
) returns text
language plpgsql stable
as $$
begin
  return case
    when renderer = 1 and format = 'openai' then kata_data.openai_text_1(rows, system, thinking, hidden, kind)
    else kata_data.rendered(rows, format, system, thinking, hidden, renderer, kind)::text
  end;
end
$$;
comment on function kata_data.rendered_text(kata_data.prompt_row[], text, text, text, int8multirange, integer, text) is
'What rendered makes, as text.';

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
