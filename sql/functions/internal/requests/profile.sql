-- The way to ask: form, renderer, model, tools, options. It stays the same from turn to turn and is stored once. Model, cache, tools and
-- options are checked where a profile is stored: one that is found was checked before.

create or replace function kata_data.asked_profile(
  tenant text, policy jsonb, format text, system text, thinking text, model text, tokenizer text, cache text, options json, reserve integer,
  own_tokenizer text
) returns kata_data.request_profile
language plpgsql stable
as $$
declare
  v_profile kata_data.request_profile;
  v_max_tokens text;
begin
  v_profile.tenant := tenant;
  v_profile.format := coalesce(format, kata_data.policy_value(policy, 'format') #>> '{}');
  v_profile.system := system;
  v_profile.thinking := thinking;
  perform kata_data.check_prompt_options(v_profile.format, system, thinking);
  v_profile.renderer := kata_data.newest_renderer(v_profile.format);
  v_profile.model := coalesce(model, kata_data.policy_value(policy, 'model') #>> '{}');
  v_profile.tokenizer := own_tokenizer;
  if tokenizer <> own_tokenizer then
    v_profile.tokenizer := kata_data.tokenizer_of(tokenizer);
    if v_profile.tokenizer is null then
      perform kata_data.refuse_tokenizer(tokenizer);
    end if;
  end if;
  v_profile.cache := nullif(coalesce(cache, kata_data.policy_value(policy, 'cache') #>> '{}'), 'none');
  v_profile.options := options::text;
  if v_profile.format = 'anthropic' and coalesce(json_typeof(options), 'object') = 'object' then
    if position(E'\\u' in v_profile.options) > 0 then
      -- An escape that PostgreSQL cannot store would be an error of another code.
      perform kata_data.check_options(v_profile.options);
    end if;
    v_max_tokens := (options -> 'max_tokens')::text;
    if v_max_tokens !~ '^[1-9][0-9]*$' or (v_max_tokens is null and (reserve > 0) is not true) then
      raise exception using
        errcode = 'KC017',
        message = case when v_max_tokens is null then 'max_tokens is missing' else 'max_tokens must be a positive integer' end,
        detail = coalesce('It is ' || left(v_max_tokens, 100) || '.', 'The Anthropic form requires it.'),
        hint = 'Pass it in options, or a reserve, which then is max_tokens.';
    elsif v_max_tokens is null then
      v_profile.options := pg_catalog.format('{"max_tokens": %s}', concat_ws(', ', reserve, nullif(kata_data.object_members(v_profile.options), '')));
    end if;
  end if;
  return v_profile;
end
$$;
comment on function kata_data.asked_profile(text, jsonb, text, text, text, text, text, text, json, integer, text) is
'The profile of a request as it is asked for, what is null taken from the policy. KC017.

tenant, policy, own_tokenizer: those of the context. Tools, digests and number are not in it.';

create or replace function kata_data.check_profile(profile kata_data.request_profile) returns void
language plpgsql immutable
as $$
begin
  if profile.cache not in ('anthropic', 'openai') then
    raise exception using
      errcode = 'KC017',
      message = format('cache "%s" is unknown', left(profile.cache, 100)),
      detail = 'It names the provider whose prompt cache is planned for.',
      hint = 'Pass anthropic, openai or none.';
  elsif (profile.model is null and profile.format <> 'gemini') or (length(profile.model) between 1 and 255) is false then
    raise exception using
      errcode = 'KC017',
      message = 'model is missing, empty or too long',
      detail = format('It is %s, and the policy names none.', coalesce('"' || left(profile.model, 100) || '"', 'null')),
      hint = 'Pass the name of the model, at most 255 characters, or set it in the policy.';
  end if;
end
$$;
comment on function kata_data.check_profile(kata_data.request_profile) is 'Refuses a profile without a model or with an unknown cache. KC017.';

create or replace function kata_data.profile_of(profile kata_data.request_profile, tools text) returns kata_data.request_profile
language plpgsql volatile
as $$
declare
  v_profile kata_data.request_profile := profile;
  v_stored kata_data.request_profile;
begin
  v_profile.tools_digest := sha256(convert_to(tools, 'UTF8'));
  v_profile.digest := kata_data.profile_digest(v_profile);
  -- Held against a purge; one that is being purged is stored once more.
  select p.* into v_stored
  from kata_data.request_profile p
  where p.tenant = v_profile.tenant
    and p.digest = v_profile.digest
  order by p.profile_id
  limit 1
  for key share skip locked;
  if not found then
    v_stored := kata_data.stored_as_new(v_profile, tools);
  end if;
  -- Stored in o200k_base: the factor of a tokenizer may change.
  if tools is not null then
    v_stored.tools_tokens := kata_data.estimate_in(v_stored.tools_tokens, v_stored.tokenizer);
  end if;
  return v_stored;
end
$$;
comment on function kata_data.profile_of(kata_data.request_profile, text) is
'A profile as it is stored, with its tools; it is stored where it is not yet. KC017 tools or options are malformed.';

create or replace function kata_data.stored_as_new(profile kata_data.request_profile, tools text) returns kata_data.request_profile
language plpgsql volatile
as $$
declare
  v_profile kata_data.request_profile := profile;
begin
  perform kata_data.check_profile(profile);
  perform kata_data.check_tools(tools);
  perform kata_data.check_options(profile.options);
  v_profile.created_at := kata_data.clock();
  v_profile.tools_tokens := 0;
  if tools is not null then
    v_profile.tools_tokens := kata_data.estimate_tokens(tools);
    perform kata_data.kept_tools(profile.tenant, tools);
  end if;
  v_profile.prefix_digest := kata_data.prefix_digest(profile);
  insert into kata_data.request_profile as p (
    renderer, tools_tokens, created_at, tenant, format, system, thinking, tokenizer, model, cache, digest, prefix_digest, tools_digest, options)
  values (
    profile.renderer, v_profile.tools_tokens, v_profile.created_at, profile.tenant, profile.format, profile.system, profile.thinking,
    profile.tokenizer, profile.model, profile.cache, profile.digest, v_profile.prefix_digest, profile.tools_digest, profile.options)
  returning p.profile_id into v_profile.profile_id;
  return v_profile;
end
$$;
comment on function kata_data.stored_as_new(kata_data.request_profile, text) is 'Stores a profile and its tools. KC017 tools or options are malformed.';

create or replace function kata_data.prefix_digest(profile kata_data.request_profile) returns bytea
language sql stable
as $$
  select substr(sha256(convert_to(jsonb_strip_nulls(jsonb_build_object(
    'renderer', profile.renderer, 'format', profile.format, 'system', profile.system, 'model', profile.model,
    'tools', encode(profile.tools_digest, 'hex'), 'options', kata_data.prompt_options(profile.options::json)))::text, 'UTF8')), 1, 16)
$$;
comment on function kata_data.prefix_digest(kata_data.request_profile) is
'The digest of what comes before the messages in a profile, and of the options that act on the prompt.';

create or replace function kata_data.listed_tools(profile kata_data.request_profile) returns text
language sql stable
as $$
  select kata_data.tool_text(profile.tenant, profile.tools_digest)
$$;
comment on function kata_data.listed_tools(kata_data.request_profile) is 'The tools of a profile, as text; null for none.';
