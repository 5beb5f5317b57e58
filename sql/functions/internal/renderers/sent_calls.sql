-- The ids and names of calls as a provider takes them. Ids are unique in a prompt, although a log may hold one twice; ids and names have
-- the letters and the length of the form. Later messages change no id.

create or replace function kata_data.sent_call_id(id text, use bigint, version bigint, ordinality bigint, format text) returns text
language sql stable
as $$
  select case
    -- Ids that look like rewritten ones, or like those of a provider's own tools, are rewritten, too, so that they never meet.
    when use = 1 and id !~ ('_v[0-9]+n[0-9]+$|^srvtoolu_' collate "C")
      and case when format = 'openai' then length(id) <= 40 when format in ('responses', 'gemini') then length(id) <= 64 else id ~ ('^[a-zA-Z0-9_-]+$' collate "C") end then id
    else left(regexp_replace(id, '[^a-zA-Z0-9_-]' collate "C", '_', 'g'), 37 - length(version::text || ordinality::text))
      || format('_v%sn%s', version, ordinality)
  end
$$;
comment on function kata_data.sent_call_id(text, bigint, bigint, bigint, text) is
'The id of a call in a prompt of this format.

use: how often the id has been used in the prompt, this time included. version, ordinality: of the calling message, and of the call in it.';

create or replace function kata_data.longest_call_name(format text) returns integer
language sql immutable
as $$
  select case format when 'anthropic' then 128 else 64 end
$$;
comment on function kata_data.longest_call_name(text) is 'How many characters the name of a called function may have in a prompt of this format.';

create or replace function kata_data.sent_call_name(name text, format text) returns text
language sql immutable
as $$
  select left(case format
      when 'gemini' then regexp_replace(regexp_replace(name, '[^a-zA-Z0-9_.:-]' collate "C", '_', 'g'), '^([^a-zA-Z_])' collate "C", E'_\\1')
      else regexp_replace(name, '[^a-zA-Z0-9_-]' collate "C", '_', 'g')
    end, kata_data.longest_call_name(format))
$$;
comment on function kata_data.sent_call_name(text, text) is 'The name of a called function in a prompt of this format.';

create or replace function kata_data.is_sent_as_stored(call jsonb, sent_id text, format text) returns boolean
language sql immutable
as $$
  select call ->> 'type' = 'function'
    and call ->> 'id' = sent_id
    and call - '{id,type,function}'::text[] = '{}'
    and (call -> 'function') - '{name,arguments}'::text[] = '{}'
    and call #>> '{function,name}' ~ (case format when 'gemini' then '^[a-zA-Z_][a-zA-Z0-9_-]*$' else '^[a-zA-Z0-9_-]*$' end collate "C")
    and length(call #>> '{function,name}') <= kata_data.longest_call_name(format)
$$;
comment on function kata_data.is_sent_as_stored(jsonb, text, text) is 'Whether a prompt of this format has a call just as it is stored; null counts as false.';

create or replace function kata_data.sent_call(call jsonb, sent_id text, sent_type text, format text) returns jsonb
language sql stable
as $$
  select jsonb_build_object('id', sent_id, 'type', sent_type)
    || case
      when sent_type = 'custom' then jsonb_build_object('custom', jsonb_build_object(
        'name', kata_data.sent_call_name(kata_data.call_name(call), format), 'input', call #> '{custom,input}'))
      else jsonb_build_object('function', jsonb_build_object(
        'name', kata_data.sent_call_name(kata_data.call_name(call), format),
        'arguments', coalesce(call #>> '{function,arguments}', jsonb_build_object('input', call #> '{custom,input}')::text)))
    end
    -- The place of the call, and what only its own form has; the OpenAI chat form has no place for either.
    || case when format = 'openai' then '{}' else jsonb_strip_nulls(jsonb_build_object('parts_before', call -> 'parts_before'))
      || case when jsonb_typeof(call -> format) = 'object' then jsonb_build_object(format, call -> format) else '{}' end end
$$;
comment on function kata_data.sent_call(jsonb, text, text, text) is
'A call with nothing that a prompt of this format does not need. sent_type: function, custom, or a type of the Responses form.';
