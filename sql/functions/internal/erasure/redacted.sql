-- The rest of an erased message is what others rely on: its place, role, tokens, ids and digest. The words are gone.

create or replace function kata_data.redacted(message kata_data.message) returns kata_data.message
language plpgsql immutable
as $$
declare
  v_rest kata_data.message := message;
begin
  v_rest.content := case when message.content is not null or message.parts is not null then '' end;
  v_rest.name := null;
  v_rest.model := null;
  v_rest.parts := null;
  v_rest.provider := null;
  v_rest.metadata := null;
  if kata_data.has_elements(message.tool_calls) then
    v_rest.tool_calls := (
      select jsonb_agg(jsonb_build_object(
        'id', c.call -> 'id', 'type', 'function',
        'function', jsonb_build_object('name', c.call #> '{function,name}', 'arguments', '{}')) order by c.ordinality)
      from jsonb_array_elements(message.tool_calls) with ordinality c(call, ordinality));
  end if;
  return v_rest;
end
$$;
comment on function kata_data.redacted(kata_data.message) is
'A message without its words: content, parts, arguments of calls, name, model, provider, metadata.

Calls keep id and function, so that results find them.';

create or replace function kata_data.remainder_digest(message kata_data.message) returns bytea
language plpgsql stable
as $$
begin
  return kata_data.message_digest(
    message.digest, message.segment_id, message.version, message.created_at, message.role, message.content, message.token_count,
    message.token_source, message.group_version, message.pinned,
    kata_data.digest_rest(message.name, message.tool_call_id, message.tool_name, message.model, message.tool_calls,
      message.parts, message.provider, message.metadata));
end
$$;
comment on function kata_data.remainder_digest(kata_data.message) is
'SHA-256 over an erased message, its own digest first.

That one covers the words that are gone and cannot be recomputed; this one can.';
