-- A message as append_message is given it, in the form in which append takes one: absent fields are left out, so that the two forms have
-- one fingerprint.

create or replace function kata_data.draft(
  role text, content text, token_count integer, token_source text, tool_call_id text, tool_name text, tool_calls jsonb, model text,
  metadata jsonb, pinned boolean, name text, parts jsonb, provider jsonb, external_id text, occurred_at timestamptz
) returns jsonb
language plpgsql stable
as $$
declare
  v_draft jsonb := jsonb_build_object(
    'role', role, 'content', content, 'token_count', token_count, 'token_source', token_source, 'tool_call_id', tool_call_id,
    'tool_name', tool_name, 'tool_calls', tool_calls, 'model', model, 'metadata', metadata, 'pinned', pinned, 'name', name,
    'parts', parts, 'provider', provider, 'external_id', external_id,
    -- In UTC: a retry from a session of another time zone has the same fingerprint.
    'occurred_at', (to_jsonb(occurred_at at time zone 'UTC') #>> '{}') || 'Z');
begin
  -- At the top level only: a null within tool_calls or metadata is the caller's.
  return v_draft - array(select d.key from jsonb_each(v_draft) d where d.value = 'null');
end
$$;
comment on function kata_data.draft(text, text, integer, text, text, text, jsonb, text, jsonb, boolean, text, jsonb, jsonb, text, timestamptz) is
'The JSON object of a message with the fields that a caller gives; JSON null counts as absent.';

create or replace function kata_data.draft_of(message kata_data.message) returns jsonb
language plpgsql stable
as $$
begin
  return kata_data.draft(
    message.role, message.content, message.token_count, message.token_source, message.tool_call_id, message.tool_name, message.tool_calls,
    message.model, message.metadata, message.pinned, message.name, message.parts, message.provider, message.external_id,
    message.occurred_at);
end
$$;
comment on function kata_data.draft_of(kata_data.message) is 'The JSON object of a stored message, to append it again.';
