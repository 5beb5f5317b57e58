-- A message of the log is compared with the head before and after it.

create or replace function kata_data.verify_message(
  before kata_data.head, after kata_data.head, message kata_data.message, is_erased boolean
) returns setof kata_data.finding
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
  if message.tokens_through <> before.raw_tokens + message.token_count then
    return next kata_data.differs(
      message.version, 'running total', message.tokens_through::text, (before.raw_tokens + message.token_count)::text);
  end if;
  if message.created_at < before.last_at then
    return next row(
      message.version, 'time', format('It was created at %s, before the entry before it.', message.created_at))::kata_data.finding;
  end if;
  if is_erased then
    if not kata_data.is_redacted_as_recorded(message) then
      return next row(message.version, 'erasure', 'The entry is not as the recorded erasure left it.')::kata_data.finding;
    end if;
  elsif message.digest <> kata_data.message_digest(
    before.last_digest, message.segment_id, message.version, message.created_at, message.role, message.content, message.token_count,
    message.token_source, message.group_version, message.pinned,
    kata_data.digest_rest(message.name, message.tool_call_id, message.tool_name, message.model, message.tool_calls,
      message.parts, message.provider, message.metadata)) then
    return next row(message.version, 'digest', 'The entry, or the digest before it, was changed.')::kata_data.finding;
  end if;
end
$$;
comment on function kata_data.verify_message(kata_data.head, kata_data.head, kata_data.message, boolean) is
'Damage in a message, given the expected head before and after it.';

create or replace function kata_data.is_redacted_as_recorded(message kata_data.message) returns boolean
language plpgsql stable
as $$
begin
  -- The words cannot be digested any more: the next entry, or the head, has the digest of the message, and the record one of the rest.
  return message is not distinct from kata_data.redacted(message) and exists (
    select from kata_data.erasure e
    where e.segment_id = message.segment_id
      and e.version = message.version
      and e.remainder_digest = kata_data.remainder_digest(message));
end
$$;
comment on function kata_data.is_redacted_as_recorded(kata_data.message) is
'Whether an erased message has lost its words, and the rest is as recorded.';
