-- The view: an overlay on the log that a model sees.
--
-- view_change has one row per change of what is seen: compaction, deletion, elision, pin, unpin, undo, rewind. It takes a version of
-- its own in the log and holds what it does and the whole view after it, so the view as of any version is the newest change
-- up to it and the messages since. summary has one row per compaction that put a message in the place of what it covers, stub
-- one row per message that an elision shortens, amendment one row per amendment: the words that it shows. A record is stored as a
-- change that leaves the view as it was; its data are a row of record.
-- kata_data.add_change writes the first three, kata.append_record the last, under the lock of the head. Rows are
-- immutable as those of the log are; kata_eraser redacts what an erased message left in them and deletes those of a purged
-- context.
--
-- Invariants: visible shares no version with deleted or rewound; covers never overlap each other or visible; replacements, elisions,
-- amendments and pinned_groups ascend; a view has at most 1,000 pieces, so a change costs the same however long the log.

create sequence kata_data.change_id;
comment on sequence kata_data.change_id is 'Numbers view changes; a later change of a path has a greater number.';

create table kata_data.view_change (
  segment_id uuid,
  version bigint,
  change_id bigint not null constraint view_change_change_id_key unique,
  kind text not null constraint view_change_kind_known check (
    kind in ('compaction', 'deletion', 'elision', 'pin', 'unpin', 'undo', 'rewind', 'record', 'tools', 'amendment')),
  created_at timestamptz not null,
  digest bytea not null,
  versions int8multirange not null,
  undone_version bigint,
  rewound_to bigint,
  is_summarized boolean not null,
  content_version bigint not null,
  message_count bigint not null,
  raw_tokens bigint not null,
  view_tokens bigint not null,
  preamble_end bigint,
  oldest_open_group bigint,
  turn_version bigint,
  visible int8multirange not null,
  deleted int8multirange not null,
  rewound int8multirange not null,
  pinned_groups bigint[] not null,
  elisions bigint[] not null,
  replacements bigint[] not null,
  covers int8multirange[] not null,
  amendments bigint[] not null,
  amended_from bigint,
  reworded int8multirange,
  tools_version bigint,
  tools_digest bytea constraint view_change_tools_digest_has_32_bytes check (octet_length(tools_digest) = 32),
  tools_tokens integer constraint view_change_tools_tokens_not_negative check (tools_tokens >= 0),
  constraint view_change_pkey primary key (segment_id, version),
  constraint view_change_undo_is_whole check ((kind = 'undo') = (undone_version is not null)),
  constraint view_change_tools_are_counted check ((tools_digest is null) = (tools_tokens is null)),
  constraint view_change_rewind_is_whole check ((kind = 'rewind') = (rewound_to is not null)),
  constraint view_change_visible_is_not_hidden check (not (visible && deleted or visible && rewound))
);
comment on table kata_data.view_change is
'One row per view change: the change (kind, versions, undone_version) and the whole view after it. Immutable.';
comment on column kata_data.view_change.segment_id is 'The context that wrote it.';
comment on column kata_data.view_change.version is 'Its version; the log has no message of that version.';
comment on column kata_data.view_change.change_id is
'Its number in stub, amendment, elisions and amendments; a later change of a path has a greater one.';
comment on column kata_data.view_change.kind is
'compaction, deletion, elision, pin, unpin, undo, rewind, record, tools or amendment.';
comment on column kata_data.view_change.created_at is 'The time of the change.';
comment on column kata_data.view_change.digest is
'SHA-256 over the digest of the entry before it and this change, with its summary and stubs.';
comment on column kata_data.view_change.versions is
'The messages that it covers, deletes, shortens, amends, pins (a whole group) or unpins. A compaction includes the summaries that it
absorbs.';
comment on column kata_data.view_change.undone_version is 'Of an undo: the view change that it reverts.';
comment on column kata_data.view_change.rewound_to is 'Of a rewind: the version whose view it brings back; 0 for the empty context.';
comment on column kata_data.view_change.is_summarized is 'Of a compaction: whether a summary replaces the covered messages.';
comment on column kata_data.view_change.content_version is 'As of this change: the version of the last message appended or deleted.';
comment on column kata_data.view_change.message_count is 'As of this change: the messages of the path.';
comment on column kata_data.view_change.raw_tokens is 'As of this change: the tokens of all messages of the path.';
comment on column kata_data.view_change.view_tokens is 'As of this change: the tokens of the view.';
comment on column kata_data.view_change.preamble_end is 'preamble_end of the head before this change.';
comment on column kata_data.view_change.oldest_open_group is
'The oldest group with an open call after this change; null if no call is open.';
comment on column kata_data.view_change.turn_version is
'The newest user message of the line as of this change; null before the first.';
comment on column kata_data.view_change.visible is
'The versions up to this one that are in the view. They include the versions of view changes, which have no message: leaving those
out would cut the ranges.';
comment on column kata_data.view_change.deleted is 'The versions whose messages are deleted.';
comment on column kata_data.view_change.rewound is
'The versions that rewinds took off the line, those of the rewinds included: they have no message, and leaving them out would cut the
ranges.';
comment on column kata_data.view_change.pinned_groups is 'The pinned groups, ascending.';
comment on column kata_data.view_change.elisions is
'The change_id of each elision in force, ascending. A message is shortened by the last one that has a stub of it.';
comment on column kata_data.view_change.replacements is 'The versions of the summaries in the view, ascending.';
comment on column kata_data.view_change.covers is
'Of each of the replacements: the messages that it replaces, those of absorbed summaries included. Never visible, never shared; the
lowest is the place of the summary.';

comment on column kata_data.view_change.amendments is
'The change_id of each amendment in force of a message in the view, ascending. A message has the words of its last one.';
comment on column kata_data.view_change.amended_from is
'The version of the oldest amendment in force, of a hidden message, too; null for none.';
comment on column kata_data.view_change.reworded is
'Versions among which are those of all messages in the view that a stub or an amendment shows in other words; null for none. At most 100
ranges: older ones are joined.';
comment on column kata_data.view_change.tools_version is 'The change that put the list of tools in force; null before the first.';
comment on column kata_data.view_change.tools_digest is 'The digest of the tool list in force; null for none.';
comment on column kata_data.view_change.tools_tokens is 'The tokens of that list; null for none.';

-- Statistics would keep what an erasure or a purge removes, also after VACUUM. Look-ups are by whole keys and need none.
alter table kata_data.view_change
  alter column digest set statistics 0,
  alter column tools_digest set statistics 0;
comment on constraint view_change_undo_is_whole on kata_data.view_change is 'An undo, and nothing else, names the change that it reverts.';
comment on constraint view_change_rewind_is_whole on kata_data.view_change is 'A rewind, and nothing else, names the version that it goes to.';
comment on constraint view_change_visible_is_not_hidden on kata_data.view_change is 'A message that is deleted or rewound is not visible.';

comment on constraint view_change_tools_are_counted on kata_data.view_change is 'A list of tools has a number of tokens, no list none.';

create index view_change_tools on kata_data.view_change (tools_digest) where kind = 'tools';
comment on index kata_data.view_change_tools is 'kata.purge_context: whether a change names a list of tools.';
create index view_change_undo on kata_data.view_change (segment_id, version) where undone_version is not null;
comment on index kata_data.view_change_undo is 'The changes that are undone as of a version.';
create index view_change_amendment on kata_data.view_change (segment_id, version) where kind = 'amendment';
comment on index kata_data.view_change_amendment is 'The amendments of a path, whose words have embeddings of their own.';

create table kata_data.summary (
  segment_id uuid,
  version bigint,
  role text not null,
  salt bytea constraint summary_salt_has_16_bytes check (octet_length(salt) = 16),
  content text not null,
  token_count integer not null constraint summary_token_count_positive check (token_count >= 0),
  token_source text not null,
  covered int8multirange not null,
  created_at timestamptz not null,
  metadata jsonb,
  constraint summary_pkey primary key (segment_id, version)
);
comment on table kata_data.summary is
'One row per summary: the message with which a compaction replaces what it covers. Immutable, with the version of its view change.';
comment on column kata_data.summary.segment_id is 'The context that wrote it.';
comment on column kata_data.summary.version is 'The version of its view change.';
comment on column kata_data.summary.role is 'The role that a model sees.';
comment on column kata_data.summary.salt is '16 random bytes that the digest of the summary begins with; null after an erasure.';
comment on column kata_data.summary.content is 'Its text; empty after an erasure.';
comment on column kata_data.summary.token_count is 'Its tokens, in the tokenizer of the context.';
comment on column kata_data.summary.token_source is 'The source of token_count: exact, given or estimate.';
comment on column kata_data.summary.covered is 'The messages that it replaced at first, those of absorbed summaries included.';
comment on column kata_data.summary.created_at is 'The time of its view change.';
comment on column kata_data.summary.metadata is 'A JSON object of the caller that committed it; null after an erasure.';

alter table kata_data.summary
  alter column content set statistics 0,
  alter column metadata set statistics 0,
  alter column salt set statistics 0;

create table kata_data.stub (
  segment_id uuid,
  group_version bigint,
  version bigint,
  change_id bigint constraint stub_change_fkey references kata_data.view_change (change_id),
  amendment_id bigint,
  saved_tokens integer not null,
  token_count integer not null constraint stub_token_count_positive check (token_count >= 0),
  digest bytea not null,
  salt bytea constraint stub_salt_has_16_bytes check (octet_length(salt) = 16),
  content text,
  constraint stub_pkey primary key (segment_id, group_version, version, change_id)
);
comment on table kata_data.stub is 'One row per message that an elision shortens: its short form while the elision is in force. Immutable.';
comment on column kata_data.stub.segment_id is 'With version: the message.';
comment on column kata_data.stub.group_version is 'The group of the message.';
comment on column kata_data.stub.version is 'The version of the message.';
comment on column kata_data.stub.change_id is 'The elision, by the change_id of its view change.';
comment on column kata_data.stub.amendment_id is
'The amendment whose words it shortens, by the change_id of its view change; null for the words of the message.';
comment on column kata_data.stub.saved_tokens is 'The tokens of the message minus those of the stub.';
comment on column kata_data.stub.token_count is 'The tokens of the stub.';
comment on column kata_data.stub.digest is 'SHA-256 over the salt and the content; the digest of the elision covers it.';
comment on column kata_data.stub.salt is '16 random bytes that the digest begins with; null after an erasure of the words.';
comment on column kata_data.stub.content is 'The short text; null after an erasure of the words.';

alter table kata_data.stub
  alter column content set statistics 0,
  alter column digest set statistics 0,
  alter column salt set statistics 0;

create index stub_change on kata_data.stub (change_id, version);
comment on index kata_data.stub_change is 'Whether an elision still shortens anything; the stubs of a purged change.';

create table kata_data.amendment (
  segment_id uuid,
  group_version bigint,
  version bigint,
  change_id bigint constraint amendment_change_fkey references kata_data.view_change (change_id),
  base_change_id bigint,
  saved_tokens integer not null,
  token_count integer not null constraint amendment_token_count_positive check (token_count >= 0),
  token_source text not null,
  salt bytea constraint amendment_salt_has_16_bytes check (octet_length(salt) = 16),
  content text,
  name text,
  metadata jsonb,
  tool_calls jsonb,
  parts jsonb,
  provider jsonb,
  constraint amendment_pkey primary key (segment_id, group_version, version, change_id)
);
comment on table kata_data.amendment is
'One row per amendment: the words that a message has while the amendment is in force, whole. Immutable.';
comment on column kata_data.amendment.segment_id is 'With version: the message, or the summary.';
comment on column kata_data.amendment.group_version is 'The group of the message; of a summary its version.';
comment on column kata_data.amendment.version is 'The version of the message.';
comment on column kata_data.amendment.change_id is 'The amendment, by the change_id of its view change.';
comment on column kata_data.amendment.base_change_id is
'The earlier amendment of the message from which it took words that it left as they were; null where it took none.';
comment on column kata_data.amendment.saved_tokens is 'The tokens of the message minus those of the amendment; negative where it is longer.';
comment on column kata_data.amendment.token_count is 'The tokens of the amended message.';
comment on column kata_data.amendment.token_source is 'The source of token_count: exact, given or estimate.';
comment on column kata_data.amendment.salt is '16 random bytes that the digest of the words begins with; null after an erasure.';
comment on column kata_data.amendment.content is 'The text; blank after an erasure.';
comment on column kata_data.amendment.name is 'The name of the author; null after an erasure.';
comment on column kata_data.amendment.metadata is 'A JSON object of the caller; null after an erasure.';
comment on column kata_data.amendment.tool_calls is 'The calls, with the ids and names of those of the message; without arguments after an erasure.';
comment on column kata_data.amendment.parts is 'Content parts of a provider; null after an erasure.';
comment on column kata_data.amendment.provider is 'Opaque fields of a provider; null after an erasure.';

alter table kata_data.amendment
  alter column salt set statistics 0,
  alter column content set statistics 0,
  alter column name set statistics 0,
  alter column metadata set statistics 0,
  alter column tool_calls set statistics 0,
  alter column parts set statistics 0,
  alter column provider set statistics 0;

create index amendment_change on kata_data.amendment (change_id);
comment on index kata_data.amendment_change is 'The words of an amendment by its view change; the foreign key.';

create table kata_data.record (
  segment_id uuid,
  version bigint,
  kind text not null,
  external_id text,
  salt bytea constraint record_salt_has_16_bytes check (octet_length(salt) = 16),
  data jsonb,
  constraint record_pkey primary key (segment_id, version)
);
comment on table kata_data.record is 'One row per record: an entry of the log that no model sees. Immutable, with the version of its view change.';
comment on column kata_data.record.segment_id is 'The context that wrote it.';
comment on column kata_data.record.version is 'The version of its view change.';
comment on column kata_data.record.kind is 'The kind that the caller gave.';
comment on column kata_data.record.external_id is 'The id that the caller gave; entry_id finds the record by it.';
comment on column kata_data.record.salt is '16 random bytes that the digest of the record begins with; null after an erasure.';
comment on column kata_data.record.data is 'Its data; null after an erasure.';

alter table kata_data.record
  alter column kind set statistics 0,
  alter column data set statistics 0,
  alter column external_id set statistics 0,
  alter column salt set statistics 0;

create index record_kind on kata_data.record (segment_id, kind, version);
comment on index kata_data.record_kind is 'kata.records of one kind.';

create trigger view_change_is_immutable before update or delete on kata_data.view_change
  for each row execute function kata_data.refuse_change();
create trigger view_change_is_immutable_as_a_whole before update or delete or truncate on kata_data.view_change
  for each statement execute function kata_data.refuse_change();
create trigger summary_is_immutable before update or delete on kata_data.summary
  for each row execute function kata_data.refuse_change();
create trigger summary_is_immutable_as_a_whole before update or delete or truncate on kata_data.summary
  for each statement execute function kata_data.refuse_change();
create trigger stub_is_immutable before update or delete on kata_data.stub
  for each row execute function kata_data.refuse_change();
create trigger stub_is_immutable_as_a_whole before update or delete or truncate on kata_data.stub
  for each statement execute function kata_data.refuse_change();
create trigger amendment_is_immutable before update or delete on kata_data.amendment
  for each row execute function kata_data.refuse_change();
create trigger amendment_is_immutable_as_a_whole before update or delete or truncate on kata_data.amendment
  for each statement execute function kata_data.refuse_change();
alter table kata_data.amendment enable always trigger amendment_is_immutable;
alter table kata_data.amendment enable always trigger amendment_is_immutable_as_a_whole;
create trigger record_is_immutable before update or delete on kata_data.record
  for each row execute function kata_data.refuse_change();
create trigger record_is_immutable_as_a_whole before update or delete or truncate on kata_data.record
  for each statement execute function kata_data.refuse_change();
alter table kata_data.record enable always trigger record_is_immutable;
alter table kata_data.record enable always trigger record_is_immutable_as_a_whole;
alter table kata_data.view_change enable always trigger view_change_is_immutable;
alter table kata_data.view_change enable always trigger view_change_is_immutable_as_a_whole;
alter table kata_data.summary enable always trigger summary_is_immutable;
alter table kata_data.summary enable always trigger summary_is_immutable_as_a_whole;
alter table kata_data.stub enable always trigger stub_is_immutable;
alter table kata_data.stub enable always trigger stub_is_immutable_as_a_whole;

grant select, update, delete on kata_data.view_change, kata_data.summary, kata_data.stub, kata_data.amendment, kata_data.record
  to kata_eraser;

-- Functions pass a view in this shape: the columns of view_change that describe it, by the same names.
create type kata_data.view as (
  version bigint,
  change_id bigint,
  visible int8multirange,
  deleted int8multirange,
  rewound int8multirange,
  pinned_groups bigint[],
  elisions bigint[],
  replacements bigint[],
  covers int8multirange[],
  amendments bigint[],
  amended_from bigint,
  reworded int8multirange,
  tools_version bigint,
  tools_digest bytea,
  tools_tokens integer
);
comment on type kata_data.view is
'A view as of its newest view change. version and change_id are those of the change; the other fields are columns of view_change.';

create type kata_data.line_state as (
  head kata_data.head,
  last_message bigint
);
comment on type kata_data.line_state is
'The state of a line as kata.verify keeps it: the expected head, and the version of the newest message; null before the first.';

-- The shapes that a window takes on the way from the budget to its rows.
create type kata_data.placed_summary as (
  summary kata_data.summary,
  place bigint,
  total bigint
);
comment on type kata_data.placed_summary is 'A summary in a window.';
comment on column kata_data.placed_summary.place is 'The position at which it reads.';
comment on column kata_data.placed_summary.total is 'The tokens of the window up to and including it.';

create type kata_data.numbering as (
  preamble_end bigint,
  rest_start bigint,
  hidden_versions bigint,
  hidden_tokens bigint,
  request_total bigint,
  changes bigint[]
);
comment on type kata_data.numbering is
'The terms that turn versions and running totals of the log into those of a window, so that its rows need not be counted.';
comment on column kata_data.numbering.rest_start is
'The version from which on everything is in the window; of the messages between it and the preamble the request alone is.';
comment on column kata_data.numbering.hidden_versions is 'The number to subtract from versions of the rest.';
comment on column kata_data.numbering.hidden_tokens is 'The tokens to subtract from running totals of the rest.';
comment on column kata_data.numbering.request_total is 'The tokens of the window up to and including a request below the rest.';
comment on column kata_data.numbering.changes is 'The versions of view changes in the window; null for none.';

create type kata_data.selection as (
  versions int8multirange,
  preamble_end bigint,
  pinned_groups bigint[],
  newest_group bigint,
  request bigint,
  elisions bigint[],
  amendments bigint[],
  reworded int8multirange,
  covered int8multirange,
  summaries kata_data.placed_summary[],
  over_budget boolean,
  numbering kata_data.numbering
);
comment on type kata_data.selection is
'The content of a window: messages by version, summaries in reading order, and the facts from which the reasons follow.';
comment on column kata_data.selection.request is 'The newest visible message of the user; null if there is none, or if it does not fit.';
comment on column kata_data.selection.elisions is 'Those of the view, and of covered messages that are shown.';
comment on column kata_data.selection.amendments is 'Those of the view, and of covered messages that are shown.';
comment on column kata_data.selection.reworded is 'As the view has it, and what is covered; null for none.';
comment on column kata_data.selection.covered is 'The versions that left-out summaries cover; null for none.';
comment on column kata_data.selection.numbering is 'Null if the rows must be counted.';

create type kata_data.plan as (
  start bigint,
  keep_tokens integer,
  is_cold boolean,
  until bigint
);
comment on type kata_data.plan is 'Where a request starts, so that a provider''s cache is read.';
comment on column kata_data.plan.start is 'Where the request before it started; 0 for none.';
comment on column kata_data.plan.keep_tokens is 'The tokens that a leap leaves of the rest; null for half of what fits.';
comment on column kata_data.plan.is_cold is 'Whether no cache has what that request sent.';
comment on column kata_data.plan.until is 'The version as of which that request showed the context; null for none.';

create type kata_data.window_row as (
  ordinal integer,
  version bigint,
  "position" bigint,
  role text,
  content text,
  token_count integer,
  running_tokens bigint,
  reason text,
  over_budget boolean,
  tool_call_id text,
  tool_name text,
  tool_calls jsonb,
  model text,
  metadata jsonb,
  created_at timestamptz,
  kind text,
  name text,
  parts jsonb,
  provider jsonb,
  group_version bigint
);
comment on type kata_data.window_row is 'A row of kata."window".';

create type kata_data.prompt_row as (
  version bigint,
  group_version bigint,
  place bigint,
  kind text,
  role text,
  content text,
  name text,
  tool_call_id text,
  tool_calls jsonb,
  parts jsonb,
  provider jsonb,
  created_at timestamptz,
  reason text,
  token_count integer
);
comment on type kata_data.prompt_row is
'A message of a prompt before it takes the form of a provider: all that a renderer sees, so that the same rows make the same bytes.';
comment on column kata_data.prompt_row.reason is 'As the window has it; renderers do not look at it.';
comment on column kata_data.prompt_row.token_count is 'As the window has it; renderers do not look at it.';
comment on column kata_data.prompt_row.place is 'Where the group reads: the version of a message''s group, the position of a summary or of recalled messages.';
comment on column kata_data.prompt_row.kind is 'preamble, message, summary or recalled. A stub is a message with other words.';
comment on column kata_data.prompt_row.name is 'The name of the speaker; of a recalled result without one, that of the tool.';
comment on column kata_data.prompt_row.created_at is 'Set for recalled messages, whose times are printed.';
