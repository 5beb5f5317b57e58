-- The head that a log leads to, entry by entry. Open calls and groups follow from the functions that an append calls.

create or replace function kata_data.first_head(context kata_data.context) returns kata_data.head
language plpgsql stable
as $$
declare
  v_head kata_data.head;
begin
  v_head.tenant := context.tenant;
  v_head.tokenizer := context.tokenizer;
  v_head.closed := context.archived_at is not null or context.deleted_at is not null;
  v_head.is_strict := coalesce((context.policy -> 'strict')::boolean, true);
  v_head.notifies := coalesce((context.policy -> 'notify')::boolean, false);
  v_head.summarizes := coalesce(context.policy ->> 'strategy', 'summarize') = 'summarize';
  v_head.context_id := context.context_id;
  v_head.version := 0;
  v_head.message_count := 0;
  v_head.raw_tokens := 0;
  v_head.view_tokens := 0;
  v_head.content_version := 0;
  v_head.last_at := '-infinity';
  v_head.last_digest := kata_data.first_digest(context.family_id);
  v_head.open_calls := '{}';
  v_head.open_groups := '{}';
  v_head.has_older_preamble := false;
  return v_head;
end
$$;
comment on function kata_data.first_head(kata_data.context) is 'The head of a context before version 1 of its path.';

create or replace function kata_data.head_after_message(head kata_data.head, last_message bigint, message kata_data.message)
returns kata_data.head
language plpgsql immutable
as $$
declare
  v_head kata_data.head := head;
  v_group bigint;
begin
  v_head.version := message.version;
  v_head.message_count := head.message_count + 1;
  v_head.view_tokens := head.view_tokens + message.tokens_through - head.raw_tokens;
  v_head.raw_tokens := message.tokens_through;
  v_head.content_version := message.version;
  v_head.last_at := message.created_at;
  v_head.last_digest := message.digest;
  v_head.turn_version := case when message.role = 'user' then message.version else head.turn_version end;
  v_head.framed_request := greatest(head.framed_request, message.request_id);
  if head.preamble_end is null and message.role not in ('system', 'developer') then
    v_head.preamble_end := last_message;
  end if;
  if message.role = 'tool' then
    v_group := kata_data.group_after(head.open_calls, message.tool_call_id, message.version);
    if v_group < message.version then
      v_head.open_calls := head.open_calls - message.tool_call_id;
      v_head.open_groups := kata_data.open_groups_after(
        head.open_groups, v_head.open_calls, v_group, kata_data.group_tokens_after(head.open_groups, v_group, message.token_count));
      v_head.oldest_open_group := kata_data.oldest_group(v_head.open_groups);
    end if;
  elsif kata_data.has_elements(message.tool_calls) then
    v_head.open_calls := head.open_calls || (
      select jsonb_object_agg(c.call ->> 'id', message.version) from jsonb_array_elements(message.tool_calls) c(call));
    v_head.open_groups := head.open_groups || jsonb_build_object(message.version, message.token_count);
    v_head.oldest_open_group := kata_data.oldest_group(v_head.open_groups);
  end if;
  return v_head;
end
$$;
comment on function kata_data.head_after_message(kata_data.head, bigint, kata_data.message) is
'The head after a message, with the totals, time and digest that the message stores.

last_message: the version of the message before it, or 0.';

create or replace function kata_data.head_after_run(head kata_data.head, message kata_data.message) returns kata_data.head
language plpgsql immutable
as $$
declare
  v_head kata_data.head := head;
begin
  if (message.version > head.version) is not true then
    return head;
  end if;
  v_head.version := message.version;
  v_head.message_count := head.message_count + message.version - head.version;
  v_head.view_tokens := head.view_tokens + message.tokens_through - head.raw_tokens;
  v_head.raw_tokens := message.tokens_through;
  v_head.content_version := message.version;
  v_head.last_at := message.created_at;
  v_head.last_digest := message.digest;
  v_head.turn_version := message.turn_version;
  return v_head;
end
$$;
comment on function kata_data.head_after_run(kata_data.head, kata_data.message) is
'The head after messages without calls, behind the preamble, the last of which is given. One that the head has passed changes nothing.';

create or replace function kata_data.head_after_change(head kata_data.head, line kata_data.head, change kata_data.view_change)
returns kata_data.head
language plpgsql immutable
as $$
declare
  v_head kata_data.head := head;
begin
  v_head.preamble_end := line.preamble_end;
  v_head.has_older_preamble := head.has_older_preamble or line.preamble_end is distinct from head.preamble_end
    or change.rewound_to is not null and head.preamble_end is null;
  v_head.turn_version := line.turn_version;
  v_head.open_calls := line.open_calls;
  v_head.open_groups := line.open_groups;
  v_head.oldest_open_group := line.oldest_open_group;
  v_head.version := change.version;
  v_head.message_count := change.message_count;
  v_head.view_tokens := head.raw_tokens + change.view_tokens - change.raw_tokens;
  v_head.content_version := change.content_version;
  v_head.view_version := change.version;
  v_head.last_at := change.created_at;
  v_head.last_digest := change.digest;
  return v_head;
end
$$;
comment on function kata_data.head_after_change(kata_data.head, kata_data.head, kata_data.view_change) is
'The head after a view change, with the totals, time and digest that the change stores.

line: the head where the line goes on: that of the version that a rewind goes to, else the head before the change.';

create or replace function kata_data.head_before(
  head kata_data.head, version bigint, message kata_data.message, change kata_data.view_change
) returns kata_data.head
language plpgsql immutable
as $$
declare
  v_head kata_data.head := head;
begin
  v_head.version := version - 1;
  v_head.message_count := head.message_count + version - 1 - head.version;
  v_head.raw_tokens := coalesce(message.tokens_through - message.token_count, change.raw_tokens);
  v_head.turn_version := case
    when message.role = 'user' then head.turn_version
    else coalesce(message.turn_version, change.turn_version)
  end;
  v_head.view_tokens := head.view_tokens + v_head.raw_tokens - head.raw_tokens;
  return v_head;
end
$$;
comment on function kata_data.head_before(kata_data.head, bigint, kata_data.message, kata_data.view_change) is
'The head past missing entries, which cannot be recomputed.

It is as the next entry, a message or a view change, claims it to be.';
