-- The chain of digests: digest = sha256(digest of the entry before ‖ frame ‖ content digest), content digest = sha256(salt ‖ content).
--
-- The frame is what an erasure leaves: the number 1 of this form, the kind, the fields that every message has and that cannot hold the
-- separator, and the marks, one JSON object of what else there is. A field that comes later is a further key, and changes no old digest.
-- The content is what an erasure removes, salt included: from the content digest alone the shortest text cannot be guessed.
-- No setting of the session changes the bytes, and any language with SHA-256 can rebuild them. One call of format each, because every
-- function of an expression costs anew in every transaction; %s of null is empty.

create or replace function kata_data.message_frame(
  segment_id uuid, version bigint, created_at timestamptz, role text, token_count integer, token_source text, group_version bigint,
  pinned boolean, marks jsonb
) returns text
language sql stable
as $$
  select format('1|message|%s|%s|%s|%s|%s|%s|%s|%s|%s',
    segment_id, version, (extract(epoch from created_at) * 1000000)::bigint, role, token_count, token_source, group_version, pinned, marks)
$$;
comment on function kata_data.message_frame(uuid, bigint, timestamptz, text, integer, text, bigint, boolean, jsonb) is
'What the digest of a message covers beside its content. created_at counts in microseconds.';

create or replace function kata_data.message_marks(
  tool_call_id text, tool_name text, tool_calls jsonb, external_id text, occurred_at timestamptz, origin jsonb, requests text
) returns jsonb
language sql stable
as $$
  select case
    when num_nonnulls(tool_call_id, tool_name, tool_calls, external_id, occurred_at, origin, requests) > 0 then jsonb_strip_nulls(jsonb_build_object(
      'tool_call_id', tool_call_id,
      'tool_name', tool_name,
      'call_ids', jsonb_path_query_array(tool_calls, 'strict $[*].id', silent => true),
      'call_names', case
        when tool_calls @? 'strict $[*] ? (@.type == "custom")' then kata_data.call_names(tool_calls)
        else jsonb_path_query_array(tool_calls, 'strict $[*].function.name', silent => true)
      end,
      'external_id', external_id,
      'occurred_at', (extract(epoch from occurred_at) * 1000000)::bigint,
      'origin', origin,
      'requests', requests))
  end
$$;
comment on function kata_data.message_marks(text, text, jsonb, text, timestamptz, jsonb, text) is
'The fields of a frame that few messages have; null where a message has none of them.

origin: of a merged copy, as kata_data.origin_mark makes it. requests: of an answer, as kata_data.requests_digest makes it.';

create or replace function kata_data.call_names(tool_calls jsonb) returns jsonb
language plpgsql immutable
as $$
begin
  -- By the type, as an erasure keeps them: a custom call may have a stray function.
  return (
    select jsonb_agg(case c.call ->> 'type' when 'custom' then c.call #> '{custom,name}' else c.call #> '{function,name}' end order by c.ordinality)
    from jsonb_array_elements(tool_calls) with ordinality c(call, ordinality));
end
$$;
comment on function kata_data.call_names(jsonb) is 'The names of the functions and custom tools that tool calls call, one for each call, in order.';

create or replace function kata_data.message_content(
  content text, name text, model text, tool_calls jsonb, parts jsonb, provider jsonb, metadata jsonb
) returns text
language sql stable
as $$
  -- Apart, because an expression prepares all of its branches, and most messages need only this one.
  select case
    when content is not null and name is null and model is null and tool_calls is null and parts is null and provider is null
      and metadata is null then '|f|' || content
    else kata_data.content_with_fields(content, name, model, tool_calls, parts, provider, metadata)
  end
$$;
comment on function kata_data.message_content(text, text, text, jsonb, jsonb, jsonb, jsonb) is
'What an erasure removes from a message, as its content digest covers it: the other fields as one JSON object, whether the content is
null, the content.';

create or replace function kata_data.content_with_fields(
  content text, name text, model text, tool_calls jsonb, parts jsonb, provider jsonb, metadata jsonb
) returns text
language plpgsql stable
as $$
begin
  return format('%s|%s|%s',
    nullif(jsonb_build_object(
        'name', name, 'model', model, 'tool_calls', tool_calls, 'parts', parts, 'provider', provider, 'metadata', metadata)
      - array[
        case when name is null then 'name' end,
        case when model is null then 'model' end,
        case when tool_calls is null then 'tool_calls' end,
        case when parts is null then 'parts' end,
        case when provider is null then 'provider' end,
        case when metadata is null then 'metadata' end], '{}'),
    content is null, content);
end
$$;
comment on function kata_data.content_with_fields(text, text, text, jsonb, jsonb, jsonb, jsonb) is
'message_content of a message with fields beside its content, or without content.';

create or replace function kata_data.content_digest(salt bytea, content text) returns bytea
language sql stable
as $$
  select sha256(salt || convert_to(content, 'UTF8'))
$$;
comment on function kata_data.content_digest(bytea, text) is 'SHA-256 over a salt and a text.';

create or replace function kata_data.entry_digest(previous bytea, frame text, content_digest bytea) returns bytea
language sql stable
as $$
  select sha256(previous || convert_to(frame, 'UTF8') || content_digest)
$$;
comment on function kata_data.entry_digest(bytea, text, bytea) is
'SHA-256 over the digest of the entry before, the frame of this one, and the digest of its content.';

create or replace function kata_data.frame_with(message kata_data.message, origin jsonb, requests text) returns text
language sql stable
as $$
  select kata_data.message_frame(
    message.segment_id, message.version, message.created_at, message.role, message.token_count, message.token_source,
    message.group_version, message.pinned, kata_data.message_marks(
      message.tool_call_id, message.tool_name, message.tool_calls, message.external_id, message.occurred_at, origin, requests))
$$;
comment on function kata_data.frame_with(kata_data.message, jsonb, text) is
'The frame of a stored message, erased or not, given its origin and its requests as message_marks takes them. Queries inline it.';

create or replace function kata_data.frame_of(message kata_data.message) returns text
language plpgsql stable
as $$
begin
  return kata_data.frame_with(
    message,
    (
      select kata_data.origin_mark(o)
      from kata_data.merge_origin o
      where o.segment_id = message.segment_id
        and o.version = message.version),
    case when message.request_id is not null then kata_data.framed_requests(message.segment_id, message.request_id) end);
end
$$;
comment on function kata_data.frame_of(kata_data.message) is 'The frame of a stored message, erased or not.';

create or replace function kata_data.content_digest_of(message kata_data.message) returns bytea
language sql stable
as $$
  select kata_data.content_digest(message.salt, kata_data.message_content(
    message.content, message.name, message.model, message.tool_calls, message.parts, message.provider, message.metadata))
$$;
comment on function kata_data.content_digest_of(kata_data.message) is
'The content digest of a stored message; null of an erased one. Queries inline it.';

create or replace function kata_data.origin_mark(origin kata_data.merge_origin) returns jsonb
language sql immutable
as $$
  select jsonb_build_array(origin.source_segment_id, origin.source_version, origin.origin_segment_id, origin.origin_version)
    || case
      when num_nonnulls(origin.amendment_segment_id, origin.amendment_version) > 0
        then jsonb_build_array(origin.amendment_segment_id, origin.amendment_version)
      else '[]'
    end
$$;
comment on function kata_data.origin_mark(kata_data.merge_origin) is
'The origin of a merged copy as its frame has it: the message that was copied, the one that all copies go back to, and the amendment that its
words are of, if any.';

create or replace function kata_data.first_digest(family_id uuid) returns bytea
language sql immutable
as $$
  select sha256(uuid_send(family_id))
$$;
comment on function kata_data.first_digest(uuid) is 'The digest before version 1, the same for a whole fork family.';
