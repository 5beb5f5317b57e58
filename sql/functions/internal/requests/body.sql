-- The body of a request: what the caller gives, as text, and the prompt. Nothing that a model reads goes through jsonb on the way, which would
-- change the order of keys.

create or replace function kata_data.request_body(
  request kata_data.request, profile kata_data.request_profile, tools text, rows kata_data.prompt_row[], kind text default null,
  out body text, out stops_thinking boolean
)
language plpgsql stable
as $$
declare
  v_options text := profile.options;
  v_prompt jsonb;
begin
  stops_thinking := request.hidden_thinking is not null and kata_data.must_not_think(request, profile, rows);
  if profile.format = 'openai' then
    body := kata_data.openai_body_1(profile.model, v_options, tools, kata_data.rendered_text(
      rows, profile.format, profile.system, profile.thinking, null, profile.renderer, kind));
    return;
  elsif stops_thinking then
    v_options := kata_data.options_without_thinking_1(profile.options::json);
  end if;
  -- The recipe says which thinking is hidden.
  v_prompt := case
    when profile.format = 'anthropic'
      then kata_data.rendered(rows, profile.format, profile.system, 'keep', coalesce(request.hidden_thinking, '{}'), profile.renderer, kind)
    else kata_data.rendered(rows, profile.format, profile.system, profile.thinking, null, profile.renderer, kind)
  end;
  body := case
    when profile.cache = 'anthropic' and profile.format = 'anthropic'
      then kata_data.anthropic_marked_body_1(profile.model, v_options, tools, v_prompt, request.bridge)
    else kata_data.body_1(profile.format, profile.model, v_options, tools, v_prompt)
  end;
end
$$;
comment on function kata_data.request_body(kata_data.request, kata_data.request_profile, text, kata_data.prompt_row[], text) is
'The body of a request, from its recipe, its profile and its rows. kind: as usual_kind has it; null to look.
stops_thinking: whether the body turns the thinking off that the options ask for.';

create or replace function kata_data.must_not_think(request kata_data.request, profile kata_data.request_profile, rows kata_data.prompt_row[])
returns boolean
language plpgsql immutable
as $$
begin
  return profile.format = 'anthropic'
    and coalesce(profile.options::json #>> '{thinking,type}' <> 'disabled', false)
    and kata_data.stops_thinking_1(rows, request.hidden_thinking);
end
$$;
comment on function kata_data.must_not_think(kata_data.request, kata_data.request_profile, kata_data.prompt_row[]) is
'Whether a request with hidden thinking turns the thinking off that its options ask for.';

create or replace function kata_data.tools_text(tools json) returns text
language sql immutable
as $$
  select case when tools::text !~ E'^[ \t\r\n]*\\[[ \t\r\n]*\\][ \t\r\n]*$' collate "C" then tools::text end
$$;
comment on function kata_data.tools_text(json) is 'A list of tools as text; null for an empty list.';

create or replace function kata_data.check_tools(tools text) returns void
language plpgsql immutable
as $$
declare
  v_detail text;
begin
  v_detail := case
    when tools is null then null
    when octet_length(tools) > 1048576 then format('They have %s bytes.', octet_length(tools))
    when not pg_input_is_valid(tools, 'jsonb') then 'They hold a character or a number that PostgreSQL cannot store.'
    when json_typeof(tools::json) <> 'array' then format('They are %s.', json_typeof(tools::json))
    when exists (select from json_array_elements(tools::json) e(tool) where json_typeof(e.tool) <> 'object') then 'An element is not an object.'
    when not kata_data.json_fits(tools::jsonb) then 'They nest more than 100 deep, or hold a number beyond 1e308.'
  end;
  if v_detail is null then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = 'tools must be an array of objects of at most 1 MB',
    detail = v_detail,
    hint = 'Pass them as the provider takes them, or null for none.';
end
$$;
comment on function kata_data.check_tools(text) is 'Refuses tools that are not a JSON array of objects, or over 1 MB. KC017.';

create or replace function kata_data.check_options(options text) returns void
language plpgsql immutable
as $$
declare
  v_key text;
  v_detail text;
begin
  if options is null then
    return;
  end if;
  v_detail := case
    when octet_length(options) > 1048576 then format('They have %s bytes.', octet_length(options))
    when not pg_input_is_valid(options, 'jsonb') then 'They hold a character or a number that PostgreSQL cannot store.'
    when json_typeof(options::json) <> 'object' then format('They are %s.', json_typeof(options::json))
    when not kata_data.json_fits(options::jsonb) then 'They nest more than 100 deep, or hold a number beyond 1e308.'
  end;
  if v_detail is null then
    v_key := (
      select min(o.key collate "C")
      from json_object_keys(options::json) o(key)
      where o.key = any ('{model,tools,system,instructions,systemInstruction,system_instruction,messages,input,contents}'));
    v_detail := 'The key "' || v_key || '" is written by kata.request.';
  end if;
  if v_detail is null then
    v_key := (select min(o.key collate "C") from (select o.key from json_object_keys(options::json) o(key) group by o.key having count(*) > 1) o);
    v_detail := 'The key "' || left(v_key, 100) || '" comes twice.';
  end if;
  if v_detail is null then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = 'options must be an object of further keys of the body, at most 1 MB',
    detail = v_detail,
    hint = 'Pass model and tools as parameters; system and messages come from the context.';
end
$$;
comment on function kata_data.check_options(text) is
'Refuses options that are not an object, are over 1 MB, or have a key that the body has already. KC017.';

create or replace function kata_data.prompt_options(options json) returns text
language sql immutable
as $$
  select string_agg(
    to_json(o.key)::text || ': ' || case
      when o.key = 'generationConfig' and json_typeof(o.value) = 'object' then '{' || coalesce(kata_data.prompt_options(o.value), '') || '}'
      else o.value::text
    end, ', ' order by o.ordinality)
  from json_each(options) with ordinality o(key, value, ordinality)
  where o.key <> all ('{max_tokens,max_completion_tokens,max_output_tokens,temperature,top_p,top_k,seed,stop,stop_sequences,stream,
    stream_options,user,metadata,service_tier,store,timeout,n,maxOutputTokens,topP,topK,stopSequences,candidateCount}')
$$;
comment on function kata_data.prompt_options(json) is
'The options that act on the prompt, as text; null for none. The others change the answer, and neither thinking nor a cache of the prompt.';
