-- The ids and names of calls as a provider takes them. Ids are unique in a prompt, although a log may hold one twice; ids and names have
-- the letters and the length of the form. Later messages change no id.

create or replace function kata_data.sent_call_id(id text, use bigint, version bigint, ordinality bigint, format text) returns text
language sql stable
as $$
  select case
    -- Ids that look like rewritten ones, or like those of a provider's own tools, are rewritten, too, so that they never meet.
    when use = 1 and id !~ ('_v[0-9]+n[0-9]+$|^srvtoolu_' collate "C")
      and case format when 'openai' then length(id) <= 40 else id ~ ('^[a-zA-Z0-9_-]+$' collate "C") end then id
    else left(regexp_replace(id, '[^a-zA-Z0-9_-]' collate "C", '_', 'g'), 37 - length(version::text || ordinality::text))
      || format('_v%sn%s', version, ordinality)
  end
$$;
comment on function kata_data.sent_call_id(text, bigint, bigint, bigint, text) is
'The id of a call in a prompt of this format.

use: how often the id has been used in the prompt, this time included. version, ordinality: of the calling message, and of the call in it.';

create or replace function kata_data.sent_call_name(name text, format text) returns text
language sql immutable
as $$
  select left(regexp_replace(name, '[^a-zA-Z0-9_-]' collate "C", '_', 'g'), case format when 'openai' then 64 else 128 end)
$$;
comment on function kata_data.sent_call_name(text, text) is 'The name of a called function in a prompt of this format.';

create or replace function kata_data.is_sent_as_stored(call jsonb, sent_id text, format text) returns boolean
language sql immutable
as $$
  select call ->> 'type' = 'function'
    and call ->> 'id' = sent_id
    and call - '{id,type,function}'::text[] = '{}'
    and (call -> 'function') - '{name,arguments}'::text[] = '{}'
    and call #>> '{function,name}' !~ ('[^a-zA-Z0-9_-]' collate "C")
    and length(call #>> '{function,name}') <= case format when 'openai' then 64 else 128 end
$$;
comment on function kata_data.is_sent_as_stored(jsonb, text, text) is 'Whether a prompt of this format has a call just as it is stored; null counts as false.';

create or replace function kata_data.sent_call(call jsonb, sent_id text, format text) returns jsonb
language sql immutable
as $$
  select jsonb_build_object('id', sent_id, 'type', 'function', 'function', jsonb_build_object(
    'name', kata_data.sent_call_name(call #>> '{function,name}', format), 'arguments', call #> '{function,arguments}'))
$$;
comment on function kata_data.sent_call(jsonb, text, text) is 'A call in the OpenAI chat form, with nothing that the form does not know.';
