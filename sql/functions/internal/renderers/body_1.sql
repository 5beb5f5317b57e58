-- The layout of a body around a prompt. Model, options and tools are text and stay as they are given: the order of keys in them is part of
-- what a model reads.

create or replace function kata_data.body_1(format text, model text, options text, tools text, prompt jsonb) returns text
language plpgsql immutable
as $$
begin
  return concat(
    '{',
    '"model": ' || to_json(case when format <> 'gemini' then model end)::text || ', ',
    nullif(kata_data.object_members(options), '') || ', ',
    '"tools": ' || tools || ', ',
    case format
      when 'responses' then concat(
        '"instructions": ' || nullif((prompt -> 'instructions')::text, 'null') || ', ', '"input": ', (prompt -> 'input')::text)
      when 'anthropic' then concat('"system": ' || nullif((prompt -> 'system')::text, '""') || ', ', '"messages": ', (prompt -> 'messages')::text)
      when 'gemini' then concat('"systemInstruction": ' || (prompt -> 'systemInstruction')::text || ', ', '"contents": ', (prompt -> 'contents')::text)
    end,
    '}');
end
$$;
comment on function kata_data.body_1(text, text, text, text, jsonb) is
'The body of a request of the renderers 1, other than that of openai: model, options, tools, system, messages.

prompt: as the renderer of the form makes it.';

create or replace function kata_data.openai_body_1(model text, options text, tools text, messages text) returns text
language plpgsql immutable
as $$
begin
  return concat(
    '{',
    '"model": ' || to_json(model)::text || ', ',
    nullif(kata_data.object_members(options), '') || ', ',
    '"tools": ' || tools || ', ',
    '"messages": ', messages,
    '}');
end
$$;
comment on function kata_data.openai_body_1(text, text, text, text) is
'The body of a request in the OpenAI chat form, as body_1 makes the others. messages: as openai_text_1 makes them.';

create or replace function kata_data.options_without_thinking_1(options json) returns text
language sql immutable
as $$
  select '{' || string_agg(
    to_json(o.key)::text || ': ' || case o.key when 'thinking' then '{"type": "disabled"}' else o.value::text end, ', ' order by o.ordinality) || '}'
  from json_each(options) with ordinality o(key, value, ordinality)
$$;
comment on function kata_data.options_without_thinking_1(json) is 'Options that turn thinking off.';

create or replace function kata_data.object_members(object text) returns text
language sql immutable
as $$
  select btrim(substr(o.trimmed, 2, length(o.trimmed) - 2), E' \t\r\n') from btrim(object, E' \t\r\n') o(trimmed)
$$;
comment on function kata_data.object_members(text) is 'The text between the braces of a JSON object; empty for an empty object, null for null.';
