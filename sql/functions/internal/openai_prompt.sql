-- The OpenAI chat form. What came in comes out: content or parts, calls, ids, names, and the provider's own fields.

create or replace function kata_data.openai_prompt(messages jsonb) returns jsonb
language sql immutable
as $$
  select coalesce(jsonb_agg(
    case when jsonb_typeof(m.value -> 'provider') = 'object' then m.value -> 'provider' else '{}' end
    || case when (m.value -> 'orphan')::boolean
      then jsonb_build_object('role', 'user', 'content', kata_data.orphan_text(m.value))
      else jsonb_build_object(
        'role', m.value -> 'role',
        'content', case when kata_data.has_elements(m.value -> 'parts') then m.value -> 'parts' else m.value -> 'content' end)
        || case when m.value ->> 'name' is not null then jsonb_build_object('name', m.value -> 'name') else '{}' end
        || case when kata_data.has_elements(m.value -> 'tool_calls') then jsonb_build_object('tool_calls', m.value -> 'tool_calls') else '{}' end
        || case when m.value ->> 'tool_call_id' is not null then jsonb_build_object('tool_call_id', m.value -> 'tool_call_id') else '{}' end
    end
    order by m.ordinality), '[]')
  from jsonb_array_elements(messages) with ordinality m(value, ordinality)
$$;
comment on function kata_data.openai_prompt(jsonb) is 'Messages of a prompt in the OpenAI chat form.';

create or replace function kata_data.orphan_text(message jsonb) returns text
language sql immutable
as $$
  select format('[result of call %s] %s', message ->> 'tool_call_id', message ->> 'content')
$$;
comment on function kata_data.orphan_text(jsonb) is 'A tool result whose call is not known, as text.';
