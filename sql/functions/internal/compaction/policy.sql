-- Policies: the fields, the values that each may have, the presets. A context stores only the fields that differ from the defaults.

create or replace function kata_data.policy_fields()
returns table (name text, kind text, fallback jsonb, low numeric, high numeric, choices text[])
language sql immutable rows 20
as $$
  values
    ('enabled', 'boolean', 'true'::jsonb, null::numeric, null::numeric, null::text[]),
    ('budget', 'integer', '128000', 1, 2147483647, null),
    ('threshold', 'number', '0.8', 0.01, 1, null),
    ('preserve_recent_count', 'integer', '10', 0, 100000, null),
    ('preserve_roles', 'choices', '["system"]', null, null, '{system,developer,user,assistant,tool}'),
    ('strategy', 'choice', '"summarize"', null, null, '{summarize,digest,elide,drop}'),
    ('every_messages', 'integer', 'null', 1, 2147483647, null),
    ('min_interval_seconds', 'integer', '60', 0, 31536000, null),
    ('debounce_seconds', 'integer', '0', 0, 31536000, null),
    ('min_gain_tokens', 'integer', '500', 0, 2147483647, null),
    ('open_call_grace_seconds', 'integer', '600', 0, 31536000, null),
    ('summary_role', 'choice', '"user"', null, null, '{system,developer,user,assistant}'),
    ('elide_over_tokens', 'integer', '2000', 1, 2147483647, null),
    ('max_fork_depth', 'integer', '10', 0, 1000, null),
    ('max_failures', 'integer', '3', 1, 1000, null),
    ('strict', 'boolean', 'true', null, null, null),
    ('notify', 'boolean', 'false', null, null, null),
    -- The configurations that every PostgreSQL from 14 on has.
    ('search_config', 'choice', '"english"', null, null,
      '{arabic,armenian,basque,catalan,danish,dutch,english,finnish,french,german,greek,hindi,hungarian,indonesian,irish,italian,lithuanian,'
        'nepali,norwegian,portuguese,romanian,russian,serbian,simple,spanish,swedish,tamil,turkish,yiddish}'),
    ('format', 'choice', '"openai"', null, null, '{openai,responses,anthropic,gemini}'),
    ('model', 'text', 'null', null, null, null),
    ('cache', 'choice', 'null', null, null, '{anthropic,openai}'),
    ('keep_tokens', 'integer', 'null', 1, 2147483647, null)
$$;
comment on function kata_data.policy_fields() is 'The fields of a policy: type, default and range or choices.';

create or replace function kata_data.default_policy() returns jsonb
language sql immutable
as $$
  select jsonb_object_agg(f.name, f.fallback) from kata_data.policy_fields() f
$$;
comment on function kata_data.default_policy() is
'The defaults of all fields of a policy.

Immutable without parameters, so a plan holds it as a constant.';

create or replace function kata_data.policy_value(policy jsonb, field text) returns jsonb
language plpgsql immutable
as $$
begin
  return coalesce(policy -> field, kata_data.default_policy() -> field);
end
$$;
comment on function kata_data.policy_value(jsonb, text) is 'The value of a field of a stored policy, or else its default.';

create or replace function kata_data.resolved_policy(context_id uuid) returns jsonb
language plpgsql stable
as $$
begin
  return (
    select jsonb_object_agg(f.name, coalesce(c.policy -> f.name, f.fallback))
    from kata_data.context c
    cross join kata_data.policy_fields() f
    where c.context_id = resolved_policy.context_id);
end
$$;
comment on function kata_data.resolved_policy(uuid) is 'The policy of a context, every field resolved.';

create or replace function kata_data.check_policy(policy jsonb) returns jsonb
language plpgsql stable
as $$
declare
  v_field record;
begin
  if policy is null then
    return '{}'::jsonb;
  end if;
  if jsonb_typeof(policy) <> 'object' then
    raise exception using
      errcode = 'KC013',
      message = 'policy must be an object',
      detail = format('It is %s.', jsonb_typeof(policy)),
      hint = 'Pass for example {"budget": 32000, "threshold": 0.7}.';
  end if;
  select e.key, e.value, f.* into v_field
  from jsonb_each(policy) e
  left join kata_data.policy_fields() f on f.name = e.key
  where not coalesce(kata_data.policy_value_fits(e.value, f.kind, f.low, f.high, f.choices), false)
  order by e.key collate "C"
  limit 1;
  if found then
    raise exception using
      errcode = 'KC013',
      message = case
        when v_field.name is null then format('policy field "%s" is unknown', left(v_field.key, 100))
        else format('policy field "%s" is out of range or of the wrong type', v_field.key)
      end,
      detail = format('Its value is %s.', left(v_field.value::text, 100)),
      hint = case
        when v_field.name is null then 'Known fields are ' || (select string_agg(f.name, ', ') from kata_data.policy_fields() f) || '.'
        when v_field.choices is not null then format('Pass %s of %s.',
          case v_field.kind when 'choice' then 'one' else 'an array' end, array_to_string(v_field.choices, ', '))
        when v_field.kind = 'text' then 'Pass a string of 1 to 255 characters, or null for the default.'
        when v_field.low is not null then format('Pass %s from %s to %s, or null for the default.',
          case v_field.kind when 'integer' then 'an integer' else 'a number' end, v_field.low, v_field.high)
        else 'Pass true or false, or null for the default.'
      end;
  end if;
  return policy;
end
$$;
comment on function kata_data.check_policy(jsonb) is
'The policy, or an empty one for null. KC013 where a field is unknown, out of range or of the wrong type.';

create or replace function kata_data.policy_value_fits(value jsonb, kind text, low numeric, high numeric, choices text[]) returns boolean
language sql immutable
as $$
  select case
    when kind is null then false
    -- Every claim reads the policy: no value is longer than all choices together.
    when octet_length(value::text) > 1000 then false
    when jsonb_typeof(value) = 'null' then true
    when kind = 'boolean' then jsonb_typeof(value) = 'boolean'
    when kind in ('integer', 'number') then
      jsonb_typeof(value) = 'number' and case jsonb_typeof(value) when 'number' then
        value::numeric between low and high and (kind = 'number' or value::numeric % 1 = 0)
      end
    when kind = 'text' then jsonb_typeof(value) = 'string' and length(value #>> '{}') between 1 and 255
    when kind = 'choice' then jsonb_typeof(value) = 'string' and value #>> '{}' = any (choices)
    when kind = 'choices' then
      jsonb_typeof(value) = 'array' and value <@ to_jsonb(choices)
  end
$$;
comment on function kata_data.policy_value_fits(jsonb, text, numeric, numeric, text[]) is
'Whether a policy field may have a value; null means the default.';

create or replace function kata_data.policy_preset(preset text) returns jsonb
language plpgsql stable
as $$
declare
  v_policy jsonb;
begin
  if preset is null then
    return '{}'::jsonb;
  end if;
  select p.policy into v_policy from kata_data.policy_presets() p where p.name = preset;
  if not found then
    raise exception using
      errcode = 'KC013',
      message = format('policy preset "%s" is unknown', left(preset, 100)),
      detail = 'No preset has this name.',
      hint = 'Presets are ' || (select string_agg(p.name, ', ') from kata_data.policy_presets() p) || '.';
  end if;
  return v_policy;
end
$$;
comment on function kata_data.policy_preset(text) is 'The policy of a preset. KC013.';

create or replace function kata_data.policy_presets() returns table (name text, description text, policy jsonb)
language sql immutable rows 4
as $$
  values
    ('default', 'The defaults.', '{}'::jsonb),
    ('sequential', 'One long task: summarize often, keep a long verbatim tail.',
      '{"threshold": 0.7, "preserve_recent_count": 20}'::jsonb),
    ('multi_phase', 'Tasks in phases: a short tail, large tool results elided early.',
      '{"threshold": 0.6, "preserve_recent_count": 6, "elide_over_tokens": 1000}'::jsonb),
    ('audit', 'Nothing is compacted unless a caller forces it.', '{"enabled": false}'::jsonb)
$$;
comment on function kata_data.policy_presets() is 'The presets.';
