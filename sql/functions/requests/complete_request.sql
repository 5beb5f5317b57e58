-- Records what came of a request where no answer did, or usage that comes later than the answer. Each value is set once.
--
-- Locks: the head is shared, so that a purge waits and appends do not; then the request, so that of two calls the second compares.
-- plans: lookup

create or replace function kata.complete_request(
  context_id uuid, request_id bigint, usage jsonb default null, error text default null
) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_request kata_data.request;
  v_given kata_data.request;
  v_now kata_data.request;
begin
  perform kata_data.share_context(context_id, 'write');
  if usage is not null then
    v_given := kata_data.read_usage(usage);
  end if;
  if octet_length(error) > 65536 then
    raise exception using
      errcode = 'KC017',
      message = 'an error has at most 64 kB',
      detail = format('It has %s bytes.', octet_length(error)),
      hint = 'Pass the message of the provider without what it repeats of the request.';
  end if;
  select r.* into v_request
  from kata_data.request r
  where r.context_id = complete_request.context_id
    and r.request_id = complete_request.request_id
  for no key update;
  if not found then
    perform kata_data.refuse_request(context_id, request_id);
  end if;
  -- After an erasure an error could bring the text back.
  v_given.error := case when v_request.salt is not null then error end;
  perform kata_data.check_completion(v_request, v_given);
  v_now := v_request;
  v_now.input_tokens := coalesce(v_request.input_tokens, v_given.input_tokens);
  v_now.cached_tokens := coalesce(v_request.cached_tokens, v_given.cached_tokens);
  v_now.written_tokens := coalesce(v_request.written_tokens, v_given.written_tokens);
  v_now.output_tokens := coalesce(v_request.output_tokens, v_given.output_tokens);
  v_now.duration := coalesce(v_request.duration, v_given.duration);
  v_now.error := coalesce(v_request.error, v_given.error);
  if v_now is distinct from v_request then
    update kata_data.request r
    set input_tokens = v_now.input_tokens, cached_tokens = v_now.cached_tokens, written_tokens = v_now.written_tokens,
        output_tokens = v_now.output_tokens, duration = v_now.duration, error = v_now.error
    where r.context_id = complete_request.context_id
      and r.request_id = complete_request.request_id;
  end if;
end
$$;
comment on function kata.complete_request(uuid, bigint, jsonb, text) is
'Records the usage of a request, or the error that came instead of an answer.

kata.append and kata.append_message tie an answer to its request and take usage with it; this is for what comes later, or without an
answer. Each value is set once: the same again changes nothing. A request with an error may still be answered, by a retry of the call for example.

context_id: the context that asked; a fork does not inherit requests. request_id: that of kata.request.
usage: {"input", "cached", "written", "output", "duration_ms"}, each optional, where input counts the tokens of a cache, too; or the usage
  object of OpenAI (chat or Responses), Anthropic or Gemini as it came. duration_ms may be added to these.
error: what came instead of an answer, at most 64 kB; an erasure of an entry that the request showed removes it, and none is kept after.

Errors: KC001, KC006, KC017 no such request, or usage in no known form, KC019 completed with other values.
Locks: the head of the context (FOR KEY SHARE), the request. Cost: O(log n).';
