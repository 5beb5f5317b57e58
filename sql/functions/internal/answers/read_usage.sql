-- Usage as providers report it. Tokens of the input count whole: those that came from a cache and those that went into one are part of them,
-- as OpenAI and Gemini count. Anthropic counts them apart.

create or replace function kata_data.read_usage(usage jsonb) returns kata_data.request
language plpgsql immutable
as $$
declare
  v_usage jsonb := kata_data.usual_usage(usage);
  v_request kata_data.request;
begin
  if v_usage = '{}' or v_usage - '{input,cached,written,output,duration_ms}'::text[] <> '{}' then
    v_usage := null;
  end if;
  if v_usage is null
    or jsonb_path_exists(v_usage, 'strict $.* ? (@ != null && !(@.type() == "number" && @ >= 0 && @ <= 2147483647))')
  then
    raise exception using
      errcode = 'KC017',
      message = 'usage cannot be read',
      detail = case
        when v_usage is null then format('It is %s, which is in no known form.', coalesce(left(usage::text, 200), 'null'))
        else format('Not every value is a number of tokens or milliseconds: %s.', left(v_usage::text, 200))
      end,
      hint = 'Pass {"input", "cached", "written", "output", "duration_ms"}, or the usage object of OpenAI, Anthropic or Gemini as it came.';
  end if;
  v_request.input_tokens := round((v_usage ->> 'input')::numeric);
  v_request.cached_tokens := round((v_usage ->> 'cached')::numeric);
  v_request.written_tokens := round((v_usage ->> 'written')::numeric);
  v_request.output_tokens := round((v_usage ->> 'output')::numeric);
  v_request.duration := round((v_usage ->> 'duration_ms')::numeric);
  return v_request;
end
$$;
comment on function kata_data.read_usage(jsonb) is
'A request with the numbers of a usage object and nothing else. KC017 where it is in no known form, or a value is not a number.';

create or replace function kata_data.usual_usage(usage jsonb) returns jsonb
language sql immutable
as $$
  select case
    when jsonb_typeof(usage) <> 'object' then null
    when usage ? 'prompt_tokens' then jsonb_build_object(
      'input', usage -> 'prompt_tokens', 'cached', usage #> '{prompt_tokens_details,cached_tokens}',
      'output', usage -> 'completion_tokens', 'duration_ms', usage -> 'duration_ms')
    when usage ?| '{cache_read_input_tokens,cache_creation_input_tokens}' then jsonb_build_object(
      'input', kata_data.usage_sum(usage, '{input_tokens,cache_read_input_tokens,cache_creation_input_tokens}'),
      'cached', usage -> 'cache_read_input_tokens', 'written', usage -> 'cache_creation_input_tokens',
      'output', usage -> 'output_tokens', 'duration_ms', usage -> 'duration_ms')
    when usage ? 'input_tokens' then jsonb_build_object(
      'input', usage -> 'input_tokens', 'cached', usage #> '{input_tokens_details,cached_tokens}',
      'output', usage -> 'output_tokens', 'duration_ms', usage -> 'duration_ms')
    when usage ? 'promptTokenCount' then jsonb_build_object(
      'input', kata_data.usage_sum(usage, '{promptTokenCount,toolUsePromptTokenCount}'), 'cached', usage -> 'cachedContentTokenCount',
      'output', kata_data.usage_sum(usage, '{candidatesTokenCount,thoughtsTokenCount}'), 'duration_ms', usage -> 'duration_ms')
    when usage ? 'prompt_token_count' then jsonb_build_object(
      'input', kata_data.usage_sum(usage, '{prompt_token_count,tool_use_prompt_token_count}'),
      'cached', usage -> 'cached_content_token_count',
      'output', kata_data.usage_sum(usage, '{candidates_token_count,thoughts_token_count}'), 'duration_ms', usage -> 'duration_ms')
    else usage
  end
$$;
comment on function kata_data.usual_usage(jsonb) is
'A usage object in the form {"input", "cached", "written", "output", "duration_ms"}, from that of OpenAI (chat or Responses), Anthropic
or Gemini (of the API or its SDK). Any other object as it is; null of what is not an object.';

create or replace function kata_data.usage_sum(usage jsonb, keys text[]) returns jsonb
language sql immutable
as $$
  -- Another value than a number is passed on, to be refused.
  select coalesce(
    (array_agg(usage -> k.key order by k.ordinality) filter (where jsonb_typeof(usage -> k.key) not in ('number', 'null')))[1],
    to_jsonb(sum((usage ->> k.key)::numeric) filter (where jsonb_typeof(usage -> k.key) = 'number')))
  from unnest(keys) with ordinality k(key, ordinality)
$$;
comment on function kata_data.usage_sum(jsonb, text[]) is 'The sum of the numbers under some keys; null where none is there.';
