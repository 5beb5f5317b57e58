-- Which message of a batch answers a request: the first one of an assistant. A batch with external ids may have it already.

create or replace function kata_data.batch_answer(
  head kata_data.head, messages jsonb, ids kata_data.batch_ids, request_id bigint, usage jsonb
) returns kata_data.answer
language plpgsql volatile
as $$
declare
  v_place bigint;
  v_version bigint;
  v_answer kata_data.answer;
begin
  perform kata_data.check_usage(request_id);
  v_place := (
    select min(d.ordinality)
    from jsonb_array_elements(messages) with ordinality d(draft, ordinality)
    where d.draft ->> 'role' = 'assistant');
  if v_place is null then
    perform kata_data.refuse_no_answer(request_id);
  end if;
  v_version := coalesce(ids.versions[v_place], head.version + v_place);
  if v_version > head.version then
    v_answer := kata_data.tie_answer(head.context_id, request_id, usage, v_version, head.framed_request);
    v_answer.place := v_version - head.version;
  elsif not exists (
    select
    from kata_data.request r
    where r.context_id = head.context_id
      and r.request_id = batch_answer.request_id
      and r.answer_version = v_version)
  then
    perform kata_data.refuse_answered(request_id, v_version);
  end if;
  return v_answer;
end
$$;
comment on function kata_data.batch_answer(kata_data.head, jsonb, kata_data.batch_ids, bigint, jsonb) is
'Ties the answer of a batch to its request.

ids: null where no message has an external id.

Returns the answer among the new messages; null where it is not one of them, and tied already. KC017, KC019.';

create or replace function kata_data.refuse_no_answer(request_id bigint) returns void
language plpgsql immutable
as $$
begin
  raise exception using
    errcode = 'KC017',
    message = format('no message answers request %s', request_id),
    detail = 'The first message of an assistant is the answer, and there is none.',
    hint = 'Append the answer with its request_id, or complete the request with kata.complete_request.';
end
$$;
comment on function kata_data.refuse_no_answer(bigint) is 'Refuses a request_id beside messages that hold no answer. KC017.';

create or replace function kata_data.refuse_answered(request_id bigint, version bigint) returns void
language plpgsql immutable
as $$
begin
  raise exception using
    errcode = 'KC017',
    message = format('version %s does not answer request %s', version, request_id),
    detail = 'It has the external id of the answer, and was appended without this request.',
    hint = 'An answer is tied to its request when it is appended; append without request_id.';
end
$$;
comment on function kata_data.refuse_answered(bigint, bigint) is
'Refuses to tie a message to a request that was appended before. KC017.';
