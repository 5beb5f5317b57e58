-- One place that knows the forms.

create or replace function kata_data.formatted_prompt(
  rows kata_data.window_row[], format text, system text, thinking text, usual_kind text
) returns jsonb
language plpgsql stable
as $$
declare
  v_marked integer[] := kata_data.marked_summaries(rows);
begin
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

create or replace function kata_data.joined_systems(messages jsonb) returns jsonb
language plpgsql immutable
as $$
declare
  v_message jsonb;
  v_last jsonb;
  v_joined jsonb[] := '{}'::jsonb[];
begin
  for v_message in select m.message from jsonb_array_elements(messages) with ordinality m(message, ordinality) order by m.ordinality
  loop
    v_last := v_joined[cardinality(v_joined)];
    if v_message ->> 'role' in ('system', 'developer') and v_last ->> 'role' in ('system', 'developer') then
      v_joined[cardinality(v_joined)] := jsonb_set(v_last, '{content}', kata_data.joined_contents(v_last -> 'content', v_message -> 'content')) - 'name';
    else
      v_joined := v_joined || v_message;
    end if;
  end loop;
  return to_jsonb(v_joined);
end
$$;
comment on function kata_data.joined_systems(jsonb) is
'The messages of a form of OpenAI with neighboring system and developer messages as one, of the role of the first.';

create or replace function kata_data.joined_contents(content jsonb, added jsonb) returns jsonb
language sql stable
as $$
  select case
    when jsonb_typeof(content) = 'string' and jsonb_typeof(added) = 'string' then to_jsonb((content #>> '{}') || E'\n\n' || (added #>> '{}'))
    else (
      select case jsonb_typeof(content) when 'array' then content else jsonb_build_array(jsonb_build_object('type', t.type, 'text', content)) end
        || case jsonb_typeof(added) when 'array' then added else jsonb_build_array(jsonb_build_object('type', t.type, 'text', added)) end
      from (select coalesce(content #>> '{0,type}', added #>> '{0,type}') as type) t)
  end
$$;
comment on function kata_data.joined_contents(jsonb, jsonb) is 'The contents of two messages as one, texts with a blank line between.';
