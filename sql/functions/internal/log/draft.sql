-- A message as a caller gives it, before it has a version. The one place that relies on the order of the columns: Postgres refuses to
-- create this function where the row does not fit the table. Inlined, so that a draft costs as much as a row written out.

create or replace function kata_data.draft(
  role text, content text, token_count integer, token_source text, tool_call_id text, tool_name text, tool_calls jsonb, model text,
  metadata jsonb, pinned boolean, name text, parts jsonb, provider jsonb
) returns kata_data.message
language sql immutable
as $$
  select row(
    null,  -- segment_id
    null,  -- version
    null,  -- tokens_through
    null,  -- group_version
    null,  -- created_at
    null,  -- oldest_open_group
    null,  -- turn_version
    null,  -- group_tokens
    null,  -- request_id
    null,  -- occurred_at
    token_count,
    pinned,
    role,
    token_source,
    null,  -- digest
    null,  -- salt
    null,  -- external_id
    content,
    name,
    tool_call_id,
    tool_name,
    model,
    nullif(tool_calls, 'null'),
    nullif(parts, 'null'),
    nullif(provider, 'null'),
    nullif(metadata, 'null')
  )::kata_data.message
$$;
comment on function kata_data.draft(text, text, integer, text, text, text, jsonb, text, jsonb, boolean, text, jsonb, jsonb) is
'The draft of a message: the fields that a caller gives; JSON null counts as absent.';
