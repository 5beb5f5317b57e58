-- The log: one immutable entry after the other.
--
-- message has one row per message and is the record from which all else is derived. A context's own rows form its segment
-- (segment_id is the context_id); a fork reads its ancestors' segments through lineage and copies nothing. Appends write
-- here, under the lock of the head, which hands out the version and the running totals. Rows are immutable: triggers refuse
-- every change, except by kata_eraser, which redacts an erased message and deletes the rows of a purged context.
--
-- entry_id has one row per entry to which the caller gave an id. The append writes it after looking the id up under the same
-- lock, segment by segment. An append without an id does not touch it.
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
  turn_version bigint,
  group_tokens bigint,
  request_id bigint,
  occurred_at timestamptz,
  token_count integer not null,
  pinned boolean not null,
  role text not null,
  token_source text not null,
  digest bytea not null,
  salt bytea,
  external_id text,
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
comment on table kata_data.message is
'One row per message. Immutable, except that kata_eraser redacts erased messages and deletes purged ones.';
comment on column kata_data.message.segment_id is 'The context that wrote it.';
comment on column kata_data.message.version is 'Its place in the path: dense, and never used again.';
comment on column kata_data.message.tokens_through is 'The tokens of all messages of the path up to and including this one.';
comment on column kata_data.message.group_version is 'The version of the assistant message whose call this answers; otherwise its own.';
comment on column kata_data.message.created_at is 'The time of its batch, later than that of the batch before.';
comment on column kata_data.message.oldest_open_group is 'The oldest group with an open call after this message; null if no call is open.';
comment on column kata_data.message.turn_version is
'The newest user message of the line up to and including this one; null before the first.';
comment on column kata_data.message.group_tokens is
'Of a tool result: the tokens of its group up to and including it. Null for other messages.';
comment on column kata_data.message.request_id is 'The request that it answers; null for none.';
comment on column kata_data.message.occurred_at is 'The time that the caller gave; it orders nothing.';
comment on column kata_data.message.token_count is 'Its tokens, in the tokenizer of the context.';
comment on column kata_data.message.pinned is 'Whether it was pinned when it was appended. Later pins are view changes.';
comment on column kata_data.message.role is 'system, developer, user, assistant or tool.';
comment on column kata_data.message.token_source is 'The source of token_count: exact, given or estimate.';
comment on column kata_data.message.digest is 'SHA-256 over the digest of the entry before it and this message: kata_data.entry_digest.';
-- No constraint holds the length: it would cost each append 4 % of its instructions (20,000 of 477,000). kata.verify looks at it.
comment on column kata_data.message.salt is '16 random bytes that the digest of the content begins with; null after an erasure.';
comment on column kata_data.message.external_id is 'The id that the caller gave; entry_id finds the message by it.';
comment on column kata_data.message.content is 'Its text; empty after an erasure.';
comment on column kata_data.message.name is 'The name of the author, if the caller gave one.';
comment on column kata_data.message.tool_call_id is 'Of a tool result: the id of the call.';
comment on column kata_data.message.tool_name is 'Of a tool result: the name of the tool.';
comment on column kata_data.message.model is 'The model that wrote it.';
comment on column kata_data.message.tool_calls is
'Of an assistant message: its calls, a JSON array in the form of OpenAI. An erasure removes their arguments.';
comment on column kata_data.message.parts is 'Content beside the text, a JSON array.';
comment on column kata_data.message.provider is 'Fields of the provider that are passed on as they came.';
comment on column kata_data.message.metadata is 'A JSON object that callers set and only they read.';

-- Statistics would keep what an erasure or a purge removes, also after VACUUM. Look-ups are by whole keys and need none.
alter table kata_data.message
  alter column digest set statistics 0,
  alter column salt set statistics 0,
  alter column external_id set statistics 0,
  alter column content set statistics 0,
  alter column name set statistics 0,
  alter column tool_call_id set statistics 0,
  alter column tool_name set statistics 0,
  alter column model set statistics 0,
  alter column tool_calls set statistics 0,
  alter column parts set statistics 0,
  alter column provider set statistics 0,
  alter column metadata set statistics 0;

create index message_tool_group on kata_data.message (segment_id, group_version, version)
  where tool_calls is not null or tool_call_id is not null;
comment on index kata_data.message_tool_group is 'The members of a tool group, and the groups from the oldest open one on.';
create index message_pinned on kata_data.message (segment_id, version) where pinned;
comment on index kata_data.message_pinned is 'The messages that were pinned when they were appended.';

create table kata_data.entry_id (
  segment_id uuid,
  external_id text,
  version bigint,
  constraint entry_id_pkey primary key (segment_id, external_id, version)
);
comment on table kata_data.entry_id is
'One row per entry with an external id. Immutable. An id is unique on a line, not in a segment: what is rewound may come again.';
comment on column kata_data.entry_id.segment_id is 'With version: the entry.';
comment on column kata_data.entry_id.external_id is 'The id that the caller gave, at most 255 characters.';
comment on column kata_data.entry_id.version is 'The version of the entry.';

alter table kata_data.entry_id
  alter column external_id set statistics 0;

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
    hint = 'Go back with kata.rewind or kata.fork, hide with kata.delete_messages, redact with kata.erase_message.';
end
$$;
comment on function kata_data.refuse_change() is
'Trigger: refuses every change of history, except by kata_eraser, the role that purge_context and erase_message run as.';

create trigger message_is_immutable before update or delete on kata_data.message
  for each row execute function kata_data.refuse_change();
create trigger message_is_immutable_as_a_whole before update or delete or truncate on kata_data.message
  for each statement execute function kata_data.refuse_change();
-- Always: session_replication_role does not switch them off.
alter table kata_data.message enable always trigger message_is_immutable;
alter table kata_data.message enable always trigger message_is_immutable_as_a_whole;
create trigger entry_id_is_immutable before update or delete on kata_data.entry_id
  for each row execute function kata_data.refuse_change();
create trigger entry_id_is_immutable_as_a_whole before update or delete or truncate on kata_data.entry_id
  for each statement execute function kata_data.refuse_change();
alter table kata_data.entry_id enable always trigger entry_id_is_immutable;
alter table kata_data.entry_id enable always trigger entry_id_is_immutable_as_a_whole;

grant select, update (salt, content, name, model, tool_calls, parts, provider, metadata), delete on kata_data.message to kata_eraser;
grant select, delete on kata_data.entry_id to kata_eraser;

create type kata_data.batch_groups as (
  group_versions bigint[],
  group_tokens bigint[],
  oldest_open_groups bigint[],
  token_counts integer[],
  open_calls jsonb,
  open_groups jsonb,
  oldest_open_group bigint
);
comment on type kata_data.batch_groups is
'The groups of the messages of a batch, one element for each message, and the open calls after the batch, as in head. group_versions,
group_tokens: of results. token_counts: of calls and results without a count. oldest_open_groups is null where the batch has neither.';

create type kata_data.batch_ids as (
  versions bigint[],
  is_new boolean[],
  external_ids text[],
  places bigint[]
);
comment on type kata_data.batch_ids is
'The messages of a batch of which one has an external id, one element for each: the version that it takes or that has its id already,
whether it is new, the id. places are those of the new ones. A key of a batch remembers versions and is_new.';

create type kata_data.message_row as (
  version bigint,
  "position" bigint,
  role text,
  content text,
  token_count integer,
  token_source text,
  tool_call_id text,
  tool_name text,
  tool_calls jsonb,
  model text,
  metadata jsonb,
  pinned boolean,
  kind text,
  compacted_into bigint,
  group_version bigint,
  segment_id uuid,
  created_at timestamptz,
  name text,
  parts jsonb,
  provider jsonb,
  in_view boolean,
  external_id text,
  occurred_at timestamptz
);
comment on type kata_data.message_row is 'A message, or a summary in its place, as kata.messages lists it.';
