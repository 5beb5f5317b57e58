-- One place that knows the forms, and how much of a budget is left beside what a form adds.

create or replace function kata_data.formatted_prompt(
  rows kata_data.window_row[], format text, system text, thinking text, out prompt jsonb, out added_tokens bigint
)
language plpgsql stable
as $$
declare
  v_marked integer[] := kata_data.marked_summaries(rows);
  v_marks bigint := 0;
  v_rows kata_data.window_row[];
begin
  if v_marked <> '{}' then
    select m.rows, m.added_tokens into strict rows, v_marks from kata_data.with_marked_summaries(rows, v_marked, format) m;
  end if;
  if system <> 'joined' or format not in ('openai', 'responses') then
    v_rows := kata_data.usual_rows(rows, format);
  end if;
  if v_rows is not null then
    case format
      when 'openai' then
        select p.prompt, p.added_tokens into strict prompt, added_tokens from kata_data.usual_openai_prompt(v_rows) p;
      when 'responses' then
        select p.prompt, p.added_tokens into strict prompt, added_tokens from kata_data.usual_responses_prompt(v_rows) p;
      when 'anthropic' then
        select p.prompt, p.added_tokens into strict prompt, added_tokens from kata_data.usual_anthropic_prompt(v_rows) p;
      when 'gemini' then
        select p.prompt, p.added_tokens into strict prompt, added_tokens from kata_data.usual_gemini_prompt(v_rows) p;
    end case;
    added_tokens := added_tokens + v_marks;
    return;
  end if;
  case format
    when 'openai' then
      select p.prompt, p.added_tokens into strict prompt, added_tokens from kata_data.openai_prompt(rows, system) p;
    when 'responses' then
      select p.prompt, p.added_tokens into strict prompt, added_tokens from kata_data.responses_prompt(rows, system, thinking) p;
    when 'anthropic' then
      select p.prompt, p.added_tokens into strict prompt, added_tokens from kata_data.anthropic_prompt(rows, system, thinking) p;
    when 'gemini' then
      select p.prompt, p.added_tokens into strict prompt, added_tokens from kata_data.gemini_prompt(rows, system, thinking) p;
  end case;
  added_tokens := added_tokens + v_marks;
end
$$;
comment on function kata_data.formatted_prompt(kata_data.window_row[], text, text, text) is
'The rows of a window as a prompt in a form. added_tokens: at most so many that the form adds, in o200k_base.';

create or replace function kata_data.added_factor(context_id uuid, tokenizer text) returns double precision
language plpgsql stable
as $$
declare
  v_factor double precision;
begin
  -- A null factor would compare as null, so that no prompt would ever fit.
  v_factor := kata_data.tokenizer_factor(case
    when tokenizer is not null then kata_data.tokenizer_of(tokenizer)
    else (
      select c.tokenizer
      from kata_data.context c
      where c.context_id = added_factor.context_id)
  end);
  if v_factor is null then
    perform kata_data.refuse_tokenizer(tokenizer);
  end if;
  return v_factor;
end
$$;
comment on function kata_data.added_factor(uuid, text) is
'The factor by which tokens that a form adds are converted to the tokenizer of a prompt, which may be named by a model. KC017.';

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

create or replace function kata_data.fitted_prompt(
  context_id uuid, budget integer, format text, at bigint, stable_step integer, tokenizer text, system text, thinking text,
  recall bigint[], recall_budget integer, out prompt jsonb, out window_budget integer, out least_budget bigint
)
language plpgsql stable
as $$
declare
  v_rows kata_data.window_row[];
  v_prompt record;
  v_tokens bigint;
begin
  -- The form adds tokens to those of the window: prefixes, placeholders, names. Where they do not fit, the window gets that much less.
  window_budget := budget;
  loop
    v_rows := array(
      select row(w.*)::kata_data.window_row
      from kata."window"(
        fitted_prompt.context_id, fitted_prompt.window_budget, fitted_prompt.at,
        case when stable_step < window_budget or window_budget = budget then stable_step else 0 end, fitted_prompt.tokenizer,
        fitted_prompt.recall, fitted_prompt.recall_budget) w);
    v_prompt := kata_data.formatted_prompt(case when recall <> '{}' then kata_data.with_recalled_block(v_rows) else v_rows end, format, system, thinking);
    exit when v_rows = '{}';
    v_tokens := v_rows[cardinality(v_rows)].running_tokens;
    if v_prompt.added_tokens > 0 then
      v_prompt.added_tokens := ceil(v_prompt.added_tokens * kata_data.added_factor(context_id, tokenizer));
    end if;
    exit when (v_tokens + v_prompt.added_tokens > budget) is not true;
    if v_rows[1].over_budget then
      least_budget := v_tokens + v_prompt.added_tokens;
      return;
    end if;
    window_budget := greatest(least(budget - v_prompt.added_tokens, window_budget - 1), 1);
  end loop;
  prompt := v_prompt.prompt;
end
$$;
comment on function kata_data.fitted_prompt(uuid, integer, text, bigint, integer, text, text, text, bigint[], integer) is
'A prompt in a form, within a budget that holds the additions of the form, too.

window_budget: what the window of the prompt gets. least_budget: of a prompt that does not fit, the least sufficient budget; else null.';
