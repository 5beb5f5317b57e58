-- Appends one message and returns its version: a batch of one, so that there is one write path. See kata_data.append_batch.

create or replace function kata.append_message(
  context_id uuid,
  role text,
  content text,
  token_count integer default null,
  tool_call_id text default null,
  tool_name text default null,
  tool_calls jsonb default null,
  model text default null,
  metadata jsonb default null,
  pinned boolean default false,
  expected_version bigint default null,
  idempotency_key text default null,
  name text default null,
  parts jsonb default null,
  provider jsonb default null,
  token_source text default null
) returns bigint
language plpgsql volatile security definer set search_path = '' set enable_seqscan = off
as $$
begin
  -- The columns of a draft that a caller gives, in the order of the table.
  return (kata_data.append_batch(
    context_id,
    array[row(
      null, null, null, null, null, null, null, token_count, pinned, role, token_source, null, content, name, tool_call_id, tool_name,
      model, nullif(tool_calls, 'null'), nullif(parts, 'null'), nullif(provider, 'null'), nullif(metadata, 'null'))::kata_data.message],
    expected_version,
    idempotency_key)).first_version;
end
$$;
comment on function kata.append_message(uuid, text, text, integer, text, text, jsonb, text, jsonb, boolean, bigint, text, text, jsonb, jsonb, text) is
'Appends one message.

context_id: the context.
role: system, developer, user, assistant or tool. content: text, at most 16 MB; null only beside tool_calls or parts.
token_count: tokens of all that is sent for the message, in the context''s tokenizer; estimated when null.
tool_call_id, tool_name: of a tool result, the open call that it answers. tool_calls: of an assistant, in the OpenAI chat form.
model, metadata, name: kept as given. pinned: the message stays in every window.
parts: provider content parts, verbatim. provider: opaque fields that go back to the provider as they came.
expected_version: a version since which no message may have been appended or deleted.
idempotency_key: 1 to 255 characters; the same request again within seven days returns the first result.
token_source: ''exact'' (counted with the context''s tokenizer) or ''given'', of a token_count.

Returns the version that the message took.
Errors: KC001, KC003 version conflict, KC004 invalid message, KC005 a tool result whose call is not open, KC006, KC017, KC019.
Locks: the head of the context, until the end of the transaction. Cost: O(1), whatever the length of the log.';
