-- The chain of digests. First the fields that cannot hold the separator, then the rest as one JSON array, which ends where its bracket
-- closes, then the content: two messages never frame to the same bytes, no setting of the session changes the bytes, and any language
-- with SHA-256 can rebuild them. One call of format, because every function of an expression costs anew in every transaction; %s of null
-- is empty.

create or replace function kata_data.message_digest(
  previous bytea, segment_id uuid, version bigint, created_at timestamptz, role text, content text, token_count integer,
  token_source text, group_version bigint, pinned boolean, rest jsonb
) returns bytea
language sql stable
as $$
  select sha256(previous || convert_to(format('%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s',
    segment_id, version, extract(epoch from created_at), role, token_count, token_source, group_version, pinned, content is null, rest,
    content), 'UTF8'))
$$;
comment on function kata_data.message_digest(bytea, uuid, bigint, timestamptz, text, text, integer, text, bigint, boolean, jsonb) is
'SHA-256 over the previous entry''s digest and the framed identity and content of a message.';

create or replace function kata_data.digest_fields(
  name text, tool_call_id text, tool_name text, model text, tool_calls jsonb, parts jsonb, provider jsonb, metadata jsonb
) returns jsonb
language sql stable
as $$
  select jsonb_build_array(name, tool_call_id, tool_name, model, tool_calls, parts, provider, metadata)
$$;
comment on function kata_data.digest_fields(text, text, text, text, jsonb, jsonb, jsonb, jsonb) is
'The fields that few messages have, as a digest frames them.';

create or replace function kata_data.digest_rest(
  name text, tool_call_id text, tool_name text, model text, tool_calls jsonb, parts jsonb, provider jsonb, metadata jsonb
) returns jsonb
language sql stable
as $$
  select case
    when num_nonnulls(name, tool_call_id, tool_name, model, tool_calls, parts, provider, metadata) > 0
      then kata_data.digest_fields(name, tool_call_id, tool_name, model, tool_calls, parts, provider, metadata)
  end
$$;
comment on function kata_data.digest_rest(text, text, text, text, jsonb, jsonb, jsonb, jsonb) is
'As digest_fields; null where a message has none of them.';

create or replace function kata_data.first_digest(family_id uuid) returns bytea
language sql immutable
as $$
  select sha256(uuid_send(family_id))
$$;
comment on function kata_data.first_digest(uuid) is 'The digest before version 1, the same for a whole fork family.';
