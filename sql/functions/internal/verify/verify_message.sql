-- A message of the log is compared with the head before and after it.

create or replace function kata_data.verify_message(
  before kata_data.head, after kata_data.head, message kata_data.message, is_erased boolean
) returns setof kata_data.finding
language plpgsql stable rows 1
as $$
declare
  v_content_digest bytea;
begin
  return query select f.version, f.problem, f.detail from kata_data.verify_place(before, after, message) f;
  if message.tokens_through <> before.raw_tokens + message.token_count then
    return next kata_data.differs(
      message.version, 'running total', message.tokens_through::text, (before.raw_tokens + message.token_count)::text);
  end if;
  if message.created_at < before.last_at then
    return next row(
      message.version, 'time', format('It was created at %s, before the entry before it.', message.created_at))::kata_data.finding;
  end if;
  if message.turn_version is distinct from after.turn_version then
    return next kata_data.differs(message.version, 'turn', message.turn_version::text, after.turn_version::text);
  end if;
  -- A null condition would be evaluated to its end.
  if coalesce(is_erased, false) and message is distinct from kata_data.redacted(message) then
    return next row(message.version, 'erasure', 'The entry is not as the recorded erasure left it.')::kata_data.finding;
    return;
  end if;
  -- The record of an erasure keeps the digest of the content that is gone; the frame is there still.
  if is_erased then
    v_content_digest := (
      select e.content_digest
      from kata_data.erasure e
      where e.segment_id = message.segment_id
        and e.version = message.version
        and octet_length(e.content_digest) = 32);
  else
    v_content_digest := kata_data.content_digest_of(message);
    return query select f.version, f.problem, f.detail from kata_data.verify_salt(message.version, message.salt) f;
  end if;
  if message.digest is distinct from kata_data.entry_digest(before.last_digest, kata_data.frame_of(message), v_content_digest) then
    return next row(message.version, 'digest', 'The entry, or the digest before it, was changed.')::kata_data.finding;
  end if;
end
$$;
comment on function kata_data.verify_message(kata_data.head, kata_data.head, kata_data.message, boolean) is
'Damage in a message, given the expected head before and after it.';

create or replace function kata_data.verify_place(before kata_data.head, after kata_data.head, message kata_data.message)
returns setof kata_data.finding
language plpgsql stable rows 1
as $$
declare
  v_group bigint;
  v_group_tokens bigint;
begin
  v_group := kata_data.group_after(before.open_calls, case when message.role = 'tool' then message.tool_call_id end, message.version);
  if v_group < message.version then
    v_group_tokens := kata_data.group_tokens_after(before.open_groups, v_group, message.token_count);
  end if;
  if (message.group_version, message.group_tokens, message.oldest_open_group)
    is distinct from (v_group, v_group_tokens, after.oldest_open_group) then
    return next kata_data.differs(message.version, 'group',
      concat_ws(', ', 'group ' || message.group_version, 'its tokens ' || message.group_tokens, 'oldest open group ' || message.oldest_open_group),
      concat_ws(', ', 'group ' || v_group, 'its tokens ' || v_group_tokens, 'oldest open group ' || after.oldest_open_group));
  end if;
  if message.request_id is not null then
    return query select f.version, f.problem, f.detail from kata_data.verify_answer(message, before.framed_request) f;
  end if;
end
$$;
comment on function kata_data.verify_place(kata_data.head, kata_data.head, kata_data.message) is
'Damage in the group of a message and in what it answers, given the expected head before and after it.';
