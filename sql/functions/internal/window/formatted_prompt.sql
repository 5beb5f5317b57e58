-- One place that knows the forms.

create or replace function kata_data.formatted_prompt(
  rows kata_data.window_row[], format text, system text, thinking text, usual_kind text
) returns jsonb
language plpgsql stable
as $$
declare
  v_marked integer[];
begin
  if usual_kind is distinct from 'bare' then
    v_marked := kata_data.marked_summaries(rows);
  end if;
  if v_marked <> '{}' then
    rows := kata_data.with_marked_summaries(rows, v_marked, format);
  end if;
  if usual_kind is not null and (system <> 'joined' or format not in ('openai', 'responses')) then
    return case format
      when 'anthropic' then kata_data.without_trailing_space(kata_data.usual_prompt(rows, format, usual_kind))
      else kata_data.usual_prompt(rows, format, usual_kind)
    end;
  end if;
  return case format
    when 'openai' then kata_data.openai_prompt(rows, system)
    when 'responses' then kata_data.responses_prompt(rows, system, thinking)
    when 'anthropic' then kata_data.without_trailing_space(kata_data.anthropic_prompt(rows, system, thinking))
    when 'gemini' then kata_data.gemini_prompt(rows, system, thinking)
  end;
end
$$;
comment on function kata_data.formatted_prompt(kata_data.window_row[], text, text, text, text) is
'The rows of a window as a prompt in a form. usual_kind: of these rows.';

create or replace function kata_data.check_prompt_options(format text, system text, thinking text) returns void
language plpgsql immutable
as $$
begin
  if coalesce(format, '') not in ('openai', 'responses', 'anthropic', 'gemini') then
    raise exception using
      errcode = 'KC017',
      message = pg_catalog.format('prompt format "%s" is unknown', coalesce(left(format, 100), 'null')),
      detail = 'It names the chat form of a provider.',
      hint = 'Pass openai, responses, anthropic or gemini.';
  elsif coalesce(system, '') not in ('wrapped', 'native', 'joined') then
    raise exception using
      errcode = 'KC017',
      message = pg_catalog.format('system "%s" is unknown', coalesce(left(system, 100), 'null')),
      detail = 'It says how system messages after the preamble go out.',
      hint = 'Pass wrapped, native or joined.';
  elsif format = 'gemini' and system = 'native' then
    raise exception using
      errcode = 'KC017',
      message = 'system "native" does not exist in the form gemini',
      detail = 'Its contents have the roles user and model only.',
      hint = 'Pass wrapped.';
  elsif thinking not in ('keep', 'drop', 'assume') then
    raise exception using
      errcode = 'KC017',
      message = pg_catalog.format('thinking "%s" is unknown', left(thinking, 100)),
      detail = 'It says which thinking of earlier answers goes out.',
      hint = 'Pass keep, drop or assume.';
  end if;
end
$$;
comment on function kata_data.check_prompt_options(text, text, text) is 'Refuses a form, or a way to send system messages or thinking, that prompt does not know. KC017.';
