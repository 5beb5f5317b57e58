-- An answer is tied to its request when it is appended, or never: the digest of the answer covers the request, and neither changes after.
-- Answers come in any order. The lock of the head makes them come one after the other, so each knows what is covered already.

create or replace function kata_data.tie_answer(
  context_id uuid, request_id bigint, usage jsonb, version bigint, framed bigint
) returns kata_data.answer
language plpgsql volatile
as $$
declare
  v_given kata_data.request;
  v_framed_from bigint;
  v_answer kata_data.answer;
begin
  if usage is not null then
    perform kata_data.check_usage(request_id);
    v_given := kata_data.read_usage(usage);
  end if;
  update kata_data.request r
  set answer_version = tie_answer.version,
      framed_from = least(coalesce(framed, 0) + 1, r.request_id),
      input_tokens = coalesce(r.input_tokens, v_given.input_tokens),
      cached_tokens = coalesce(r.cached_tokens, v_given.cached_tokens),
      written_tokens = coalesce(r.written_tokens, v_given.written_tokens),
      output_tokens = coalesce(r.output_tokens, v_given.output_tokens),
      duration = coalesce(r.duration, v_given.duration)
  where r.context_id = tie_answer.context_id
    and r.request_id = tie_answer.request_id
    and r.answer_version is null
  returning
    r.framed_from,
    -- The usual case, as requests_digest makes it: another statement would be a tenth of the price of an answer.
    case when r.framed_from = r.request_id then kata_data.frames_digest(kata_data.request_frame(
      r, (select p.digest from kata_data.request_profile p where p.profile_id = r.profile_id))) end
  into v_framed_from, v_answer.requests;
  if not found then
    perform kata_data.refuse_answer(context_id, request_id);
  end if;
  if usage is not null then
    perform kata_data.check_completion(r, v_given)
    from kata_data.request r
    where r.context_id = tie_answer.context_id
      and r.request_id = tie_answer.request_id;
  end if;
  v_answer.request_id := request_id;
  v_answer.framed := greatest(framed, request_id);
  if v_answer.requests is null then
    v_answer.requests := kata_data.requests_digest(context_id, v_framed_from, request_id);
  end if;
  return v_answer;
end
$$;
comment on function kata_data.tie_answer(uuid, bigint, jsonb, bigint, bigint) is
'Makes a message the answer to a request, under the lock of the head, and completes the request with usage.

version: that the message takes. framed: the greatest request that the digest of an earlier answer covers; null for none.

Returns the answer without its place. KC017, KC019.
Cost: O(log n + requests since framed).';

create or replace function kata_data.check_usage(request_id bigint) returns void
language plpgsql immutable
as $$
begin
  if request_id is null then
    raise exception using
      errcode = 'KC017',
      message = 'usage is given without a request',
      detail = 'Usage is kept with the request that it is of.',
      hint = 'Pass request_id, too: kata.request returns it.';
  end if;
end
$$;
comment on function kata_data.check_usage(bigint) is 'Refuses usage where there is no request. KC017.';

create or replace function kata_data.refuse_answer(context_id uuid, request_id bigint) returns void
language plpgsql stable
as $$
declare
  v_answer bigint;
begin
  select r.answer_version into v_answer
  from kata_data.request r
  where r.context_id = refuse_answer.context_id
    and r.request_id = refuse_answer.request_id;
  if not found then
    perform kata_data.refuse_request(context_id, request_id);
  end if;
  raise exception using
    errcode = 'KC017',
    message = format('request %s is answered already', request_id),
    detail = format('Version %s of context %s answers it.', v_answer, context_id),
    hint = 'Each answer needs a request of its own: ask with kata.request, or append without request_id.';
end
$$;
comment on function kata_data.refuse_answer(uuid, bigint) is 'Refuses an answer to a request that is not there or that has one. KC017.';

create or replace function kata_data.refuse_request(context_id uuid, request_id bigint) returns void
language plpgsql stable
as $$
declare
  v_last bigint;
begin
  v_last := (
    select r.request_id from kata_data.request r where r.context_id = refuse_request.context_id order by r.request_id desc limit 1);
  raise exception using
    errcode = 'KC017',
    message = format('request %s not found', coalesce(request_id::text, 'null')),
    detail = format('The newest request of context %s is %s.', context_id, coalesce(v_last::text, 'none')),
    hint = case
      when exists (select from kata_data.context c where c.context_id = refuse_request.context_id and c.parent_id is not null)
        then 'Requests belong to the context that asked, and a fork inherits none: ask in the fork with kata.request.'
      else 'Pass the request_id that kata.request returned for this context.'
    end;
end
$$;
comment on function kata_data.refuse_request(uuid, bigint) is 'Refuses a request that a context has not made. KC017.';

create or replace function kata_data.check_completion(request kata_data.request, given kata_data.request) returns void
language plpgsql immutable
as $$
begin
  if (request.input_tokens <> given.input_tokens or request.cached_tokens <> given.cached_tokens
    or request.written_tokens <> given.written_tokens or request.output_tokens <> given.output_tokens
    or request.duration <> given.duration or request.error <> given.error) is true
  then
    raise exception using
      errcode = 'KC019',
      message = format('request %s is completed with other values', request.request_id),
      detail = format('It has %s; given: %s.', kata_data.completion_text(request), kata_data.completion_text(given)),
      hint = 'Usage and error are set once; kata.requests lists them.';
  end if;
end
$$;
comment on function kata_data.check_completion(kata_data.request, kata_data.request) is
'Refuses usage and error that contradict what a request has. KC019.';

create or replace function kata_data.completion_text(request kata_data.request) returns text
language sql immutable
as $$
  select coalesce(nullif(concat_ws(', ',
    'input ' || request.input_tokens, 'cached ' || request.cached_tokens, 'written ' || request.written_tokens,
    'output ' || request.output_tokens, request.duration || ' ms', 'error "' || left(request.error, 100) || '"'), ''), 'nothing')
$$;
comment on function kata_data.completion_text(kata_data.request) is 'Usage and error of a request, in words.';
