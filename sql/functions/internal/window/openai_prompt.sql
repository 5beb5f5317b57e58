-- The OpenAI chat form. Messages leave as they came: content or parts, calls, ids, names, and the provider's own fields.

create or replace function kata_data.openai_prompt(
  context_id uuid, budget integer, at bigint, stable_step integer, tokenizer text, out messages jsonb, out promised_tokens bigint
)
language plpgsql stable
as $$
begin
  select
    coalesce(jsonb_agg(
      kata_data.openai_message(m.role, m.content, m.name, m.tool_call_id, m.tool_calls, m.parts, m.provider, m.is_orphan)
      order by m.group_position, m.place, m.ordinality), '[]'),
    max(m.promised_tokens)
  into messages, promised_tokens
  from kata_data.prompt_messages(
    openai_prompt.context_id, openai_prompt.budget, openai_prompt.at, openai_prompt.stable_step, openai_prompt.tokenizer) m;
end
$$;
comment on function kata_data.openai_prompt(uuid, integer, bigint, integer, text) is
'A prompt in the OpenAI chat form; promised_tokens: as prompt_messages has it.';

create or replace function kata_data.openai_message(
  role text, content text, name text, tool_call_id text, tool_calls jsonb, parts jsonb, provider jsonb, is_orphan boolean
) returns jsonb
language sql stable
as $$
  select case
    when is_orphan then coalesce(provider, '{}') || jsonb_build_object('role', 'user', 'content', kata_data.orphan_text(tool_call_id, content))
    -- Most messages: one object, without another to add to it.
    when provider is null and name is null and parts is null and not kata_data.has_elements(tool_calls) then case
      when tool_call_id is null then jsonb_build_object('role', role, 'content', content)
      else jsonb_build_object('role', role, 'content', content, 'tool_call_id', tool_call_id)
    end
    when provider is null and name is null and parts is null and tool_call_id is null
      then jsonb_build_object('role', role, 'content', content, 'tool_calls', tool_calls)
    else coalesce(provider, '{}')
      || jsonb_build_object('role', role, 'content', case when kata_data.has_elements(parts) then parts else to_jsonb(content) end)
      || case when name is not null then jsonb_build_object('name', name) else '{}' end
      || case when kata_data.has_elements(tool_calls) then jsonb_build_object('tool_calls', tool_calls) else '{}' end
      || case when tool_call_id is not null then jsonb_build_object('tool_call_id', tool_call_id) else '{}' end
  end
$$;
comment on function kata_data.openai_message(text, text, text, text, jsonb, jsonb, jsonb, boolean) is 'A message in the OpenAI chat form.';

create or replace function kata_data.orphan_text(tool_call_id text, content text) returns text
language sql stable
as $$
  select format('[result of call %s] %s', tool_call_id, content)
$$;
comment on function kata_data.orphan_text(text, text) is 'A tool result whose call is not known, as text.';
