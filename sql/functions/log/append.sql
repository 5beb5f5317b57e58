-- Appends a batch: one lock, one created_at, all or nothing. kata_data.append_batch does the work.
-- plans: writer

create or replace function kata.append(
  context_id uuid,
  messages jsonb,
  expected_version bigint default null,
  idempotency_key text default null,
  on_duplicate text default 'error',
  request_id bigint default null,
  usage jsonb default null
) returns table (version bigint, token_count integer, created_at timestamptz, is_new boolean)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
begin
  perform kata_data.check_on_duplicate(on_duplicate);
  if jsonb_typeof(messages) is distinct from 'array' or jsonb_array_length(messages) > 10000 then
    raise exception using
      errcode = 'KC004',
      message = 'messages must be an array of at most 10000 messages',
      detail = case jsonb_typeof(messages)
        when 'array' then format('It has %s elements.', jsonb_array_length(messages))
        else format('It is %s.', coalesce(jsonb_typeof(messages), 'null'))
      end,
      hint = 'Pass a JSON array of message objects; split a longer one, each call is one batch.';
  end if;
  perform kata_data.check_drafts(messages);
  return query
  select b.version, b.token_count, b.created_at, b.is_new
  from kata_data.append_batch(
    context_id, messages, expected_version, idempotency_key, null, on_duplicate, append.request_id, append.usage) b;
end
$$;
comment on function kata.append(uuid, jsonb, bigint, text, text, bigint, jsonb) is
'Appends a batch of messages: all of them or none.

context_id: the context.
messages: an array of at most 10,000 objects with the keys role (system, developer, user, assistant, tool), content (text, at most
  16 MB; null only beside tool_calls or parts), token_count (tokens of all that is sent; estimated when missing), tool_call_id,
  tool_name, tool_calls (OpenAI chat form, at most 1,000, and 1,000 open ones in a context), model, metadata, pinned, name, parts
  (provider content parts), provider (opaque fields), token_source (''exact'' or ''given'', of a token_count), external_id (1 to 255 characters, unique among the messages and records of
  the line), occurred_at (when it happened, ISO 8601 with an offset; it orders nothing). tool_call_id, tool_name, model and name have at
  most 64 kB each. An erasure leaves external_id and occurred_at: put no personal data
  into an external id. An empty array appends nothing.
expected_version: a version since which no message may have been appended, deleted, amended or rewound.
idempotency_key: 1 to 255 characters; the same request again within seven days returns the first result.
on_duplicate: of a message whose external id is taken: ''error'' refuses the batch; ''skip'' leaves the message out. Contents are not
  compared. Of two messages in the batch the first has the id.
request_id: the request of this context, from kata.request, that the batch answers: its first message of an assistant is the answer.
  Answers may come in any order, each request has one. A retry by idempotency key returns the first result, whatever request it names.
usage: of the request, as kata.complete_request takes it.

Returns one row per given message, in order: version, token_count, created_at (the same for all that are appended), is_new (false:
skipped; the row is about the entry that has the external id, and a record counts 0 tokens).
Errors: KC001, KC003 version conflict, KC004 invalid message or a taken external id (DETAIL names the version), KC005 a tool result
whose call is not open, KC006, KC017 among others a request that is not there, has an answer, or
gets none here, KC019 among others a request with other usage, KC021 what the key has
done is rewound.
Locks: the head of the context, then the request, until the end of the transaction. Cost: O(batch), whatever the length of the log; of external ids
O(ids × fork depth); of an answer O(requests since the last one that was answered).';
