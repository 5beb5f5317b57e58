-- The log: what was said.
--
-- message has one row per message and is the record that everything else is derived from. A context's own rows form its
-- segment (segment_id is the context_id); a fork reads its ancestors' segments through lineage and copies nothing. Appends
-- write here, under the lock of the head, which hands out the version and the running totals. Rows are immutable: triggers
-- refuse every change, except by kata_eraser, which blanks the content of an erased message and deletes the rows of a purged
-- context.
--
-- Invariants: versions along a path are dense, and each is a message or a view change; tokens_through is exact; digest chains
-- each entry to the one before it. No constraint states them, for an append would pay for it: the append path keeps them, and
-- kata.verify recomputes them. No foreign key leads to context either: it would lock that row at every append.

create table kata_data.message (
  segment_id uuid,
  version bigint,
  tokens_through bigint not null,
  group_version bigint not null,
  created_at timestamptz not null,
  oldest_open_group bigint,
  group_tokens bigint,
  token_count integer not null,
  pinned boolean not null,
  role text not null,
  token_source text not null,
  digest bytea not null,
  content text,
  name text,
  tool_call_id text,
  tool_name text,
  model text,
  tool_calls jsonb,
  parts jsonb,
  provider jsonb,
  metadata jsonb,
  constraint message_pkey primary key (segment_id, version)
);
comment on table kata_data.message is 'The log: one immutable row a message.';
comment on column kata_data.message.role is 'system, developer, user, assistant or tool.';
comment on column kata_data.message.token_source is 'exact, given or estimate.';
comment on column kata_data.message.tokens_through is 'Tokens of all messages of the path up to and including this one.';
comment on column kata_data.message.group_version is 'The assistant message whose call this answers; else the message itself.';
comment on column kata_data.message.oldest_open_group is 'The oldest group with an open call after this message; null where no call is open.';
comment on column kata_data.message.group_tokens is 'Of a tool result: the tokens of its group up to and including it.';
comment on column kata_data.message.digest is 'SHA-256 over the previous entry''s digest and this entry: kata_data.message_digest.';

-- The members of a tool group, and the groups from the oldest open one on.
create index message_tool_group on kata_data.message (segment_id, group_version, version)
  where tool_calls is not null or tool_call_id is not null;
-- The pins that came with their message.
create index message_pinned on kata_data.message (segment_id, version) where pinned;

create function kata_data.refuse_change() returns trigger
language plpgsql
as $$
begin
  if current_user = 'kata_eraser' then
    return case tg_op when 'DELETE' then old else new end;
  end if;
  raise exception using
    errcode = 'KC015',
    message = format('history is immutable: %s on %I.%I refused', lower(tg_op), tg_table_schema, tg_table_name),
    detail = format('Role "%s" is not the eraser.', current_user),
    hint = 'Rewind with kata.fork, hide with kata.delete_messages, blank with kata.erase_message.';
end
$$;
comment on function kata_data.refuse_change() is 'Trigger: refuses every change of history to everybody but kata_eraser, which only purge_context and erase_message run as.';

create trigger message_is_immutable before update or delete on kata_data.message
  for each row execute function kata_data.refuse_change();
create trigger message_is_immutable_as_a_whole before update or delete or truncate on kata_data.message
  for each statement execute function kata_data.refuse_change();
-- Always: session_replication_role does not switch them off.
alter table kata_data.message enable always trigger message_is_immutable;
alter table kata_data.message enable always trigger message_is_immutable_as_a_whole;

grant select, update (content, name, model, tool_calls, parts, provider, metadata), delete on kata_data.message to kata_eraser;
