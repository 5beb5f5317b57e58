"""The statements that call the functions, columns and arguments by name.

Written by tools/generate; `make generate` writes it anew.
"""

from datetime import datetime
from uuid import UUID

from kata_context import tokens
from kata_context.driver.call import Call, record, scalar
from kata_context.driver.values import (
    Json,
    as_boolean,
    as_context,
    as_integer,
    as_interval,
    as_json,
    as_moment,
    as_number,
    as_numbers,
    as_object,
    as_objects,
    as_options,
    as_text,
    as_texts,
    as_tools,
    as_uuid,
    as_version,
    as_versions,
)
from kata_context.generated.rows import (
    ActRow,
    AncestryRow,
    AppendedRow,
    ArchiveInactiveRow,
    ArtifactRow,
    BuildEmbeddingIndexRow,
    CheckHeadRow,
    CheckpointRow,
    CommonAncestorRow,
    CompactedRow,
    CompactionLeaseRow,
    CompactionRow,
    CompactionStatusRow,
    ContextRow,
    DiffRequestRow,
    DiffRow,
    DiffVersionRow,
    EmbeddingModelRow,
    EntryDigestRow,
    EraseMessageRow,
    ErasureRow,
    ExplainWindowRow,
    ExportFamilyRow,
    FailingCompactionRow,
    ForkRow,
    FoundOrCreatedRow,
    HeadRow,
    HistoryRow,
    ImportFamilyRow,
    KeyResultRow,
    MessageRow,
    PendingEmbeddingRow,
    PendingSearchRow,
    PolicyPresetRow,
    PrewarmRow,
    PurgeContextRow,
    PurgeDeletedRow,
    PurgeRow,
    RecallRow,
    RecordedRequestRow,
    RecordRow,
    ReplayRow,
    RequestRow,
    SearchRow,
    ShownMessageRow,
    TokenizerRow,
    ToolRow,
    TreeRow,
    UsageRow,
    VerifyRow,
    WindowRow,
)
from kata_context.types import (
    AnthropicPrompt,
    GeminiPrompt,
    OpenAIMessage,
    ResponsesPrompt,
)

ARCHIVE_CONTEXT: Call[None] = Call(
    "archive_context",
    b"select kata.archive_context(context_id => %s::uuid)",
    scalar,
    (("context_id", as_context),),
)
ARCHIVE_INACTIVE: Call[ArchiveInactiveRow] = Call(
    "archive_inactive",
    b"select r.context_id, r.name, r.updated_at from kata.archive_inactive(idle => %s::interval, "
    b"dry_run => %s::boolean) r",
    record(ArchiveInactiveRow),
    (("idle", as_interval), ("dry_run", as_boolean)),
)
CREATE_CONTEXT: Call[UUID] = Call(
    "create_context",
    b"select kata.create_context(name => %s::text, policy => %s::jsonb, metadata => "
    b"coalesce(%s::jsonb, '{}'::jsonb), tokenizer => %s::text, preset => %s::text, idempotency_key => "
    b"%s::text)",
    scalar,
    (
        ("name", as_text),
        ("policy", as_object),
        ("metadata", as_object),
        ("tokenizer", as_text),
        ("preset", as_text),
        ("idempotency_key", as_text),
    ),
)
DELETE_CONTEXT: Call[None] = Call(
    "delete_context",
    b"select kata.delete_context(context_id => %s::uuid)",
    scalar,
    (("context_id", as_context),),
)
FIND_CONTEXT: Call[UUID] = Call(
    "find_context", b"select kata.find_context(name => %s::text)", scalar, (("name", as_text),), reads=True
)
GET_CONTEXT: Call[ContextRow] = Call(
    "get_context",
    b"select r.context_id, r.name, r.tenant, r.parent_id, r.fork_version, r.depth, r.version, "
    b"r.message_count, r.raw_tokens, r.view_tokens, r.tokenizer, r.open_calls, r.metadata, "
    b"r.created_at, r.updated_at, r.archived_at, r.deleted_at from kata.get_context(context_id => "
    b"%s::uuid) r",
    record(ContextRow),
    (("context_id", as_context),),
    reads=True,
)
GET_OR_CREATE_CONTEXT: Call[FoundOrCreatedRow] = Call(
    "get_or_create_context",
    b"select r.context_id, r.created from kata.get_or_create_context(name => %s::text, policy => "
    b"%s::jsonb, metadata => coalesce(%s::jsonb, '{}'::jsonb), tokenizer => %s::text, preset => "
    b"%s::text, idempotency_key => %s::text) r",
    record(FoundOrCreatedRow),
    (
        ("name", as_text),
        ("policy", as_object),
        ("metadata", as_object),
        ("tokenizer", as_text),
        ("preset", as_text),
        ("idempotency_key", as_text),
    ),
)
LIST_CONTEXTS: Call[ContextRow] = Call(
    "list_contexts",
    b"select r.context_id, r.name, r.tenant, r.parent_id, r.fork_version, r.depth, r.version, "
    b"r.message_count, r.raw_tokens, r.view_tokens, r.tokenizer, r.open_calls, r.metadata, "
    b"r.created_at, r.updated_at, r.archived_at, r.deleted_at from kata.list_contexts(after => "
    b"%s::uuid, max_rows => %s::integer, include_deleted => %s::boolean, metadata => %s::jsonb, "
    b"name_prefix => %s::text, order_by => %s::text, roots_only => %s::boolean) r",
    record(ContextRow),
    (
        ("after", as_context),
        ("max_rows", as_integer),
        ("include_deleted", as_boolean),
        ("metadata", as_object),
        ("name_prefix", as_text),
        ("order_by", as_text),
        ("roots_only", as_boolean),
    ),
    reads=True,
)
RESOLVE_CONTEXT: Call[UUID] = Call(
    "resolve_context",
    b"select kata.resolve_context(selector => %s::text, include_deleted => %s::boolean)",
    scalar,
    (("selector", as_text), ("include_deleted", as_boolean)),
    reads=True,
)
RESTORE_CONTEXT: Call[None] = Call(
    "restore_context",
    b"select kata.restore_context(context_id => %s::uuid)",
    scalar,
    (("context_id", as_context),),
)
UNARCHIVE_CONTEXT: Call[None] = Call(
    "unarchive_context",
    b"select kata.unarchive_context(context_id => %s::uuid)",
    scalar,
    (("context_id", as_context),),
)
UPDATE_CONTEXT: Call[None] = Call(
    "update_context",
    b"select kata.update_context(context_id => %s::uuid, name => %s::text, metadata => %s::jsonb, "
    b"merge => %s::boolean)",
    scalar,
    (("context_id", as_context), ("name", as_text), ("metadata", as_object), ("merge", as_boolean)),
)
APPEND: Call[AppendedRow] = Call(
    "append",
    b"select r.version, r.token_count, r.created_at, r.is_new from kata.append(context_id => %s::uuid, "
    b"messages => %s::jsonb, expected_version => %s::bigint, idempotency_key => %s::text, on_duplicate "
    b"=> %s::text, request_id => %s::bigint, usage => %s::jsonb) r",
    record(AppendedRow),
    (
        ("context_id", as_context),
        ("messages", as_objects),
        ("expected_version", as_integer),
        ("idempotency_key", as_text),
        ("on_duplicate", as_text),
        ("request_id", as_integer),
        ("usage", as_object),
    ),
    count=tokens.BatchCounter(messages=1),
)
APPEND_MESSAGE: Call[int] = Call(
    "append_message",
    b"select kata.append_message(context_id => %s::uuid, role => %s::text, content => %s::text, "
    b"token_count => %s::integer, tool_call_id => %s::text, tool_name => %s::text, tool_calls => "
    b"%s::jsonb, model => %s::text, metadata => %s::jsonb, pinned => %s::boolean, expected_version => "
    b"%s::bigint, idempotency_key => %s::text, name => %s::text, parts => %s::jsonb, provider => "
    b"%s::jsonb, token_source => %s::text, external_id => %s::text, occurred_at => %s::timestamp with "
    b"time zone, request_id => %s::bigint, usage => %s::jsonb)",
    scalar,
    (
        ("context_id", as_context),
        ("role", as_text),
        ("content", as_text),
        ("token_count", as_integer),
        ("tool_call_id", as_text),
        ("tool_name", as_text),
        ("tool_calls", as_objects),
        ("model", as_text),
        ("metadata", as_object),
        ("pinned", as_boolean),
        ("expected_version", as_integer),
        ("idempotency_key", as_text),
        ("name", as_text),
        ("parts", as_objects),
        ("provider", as_object),
        ("token_source", as_text),
        ("external_id", as_text),
        ("occurred_at", as_moment),
        ("request_id", as_integer),
        ("usage", as_object),
    ),
    count=tokens.MessageCounter(
        content=2, token_count=3, tool_calls=6, name=12, parts=13, provider=14, token_source=15
    ),
)
APPEND_RECORD: Call[int] = Call(
    "append_record",
    b"select kata.append_record(context_id => %s::uuid, kind => %s::text, data => %s::jsonb, "
    b"external_id => %s::text, idempotency_key => %s::text, on_duplicate => %s::text)",
    scalar,
    (
        ("context_id", as_context),
        ("kind", as_text),
        ("data", as_json),
        ("external_id", as_text),
        ("idempotency_key", as_text),
        ("on_duplicate", as_text),
    ),
)
CLOSE_CALLS: Call[AppendedRow] = Call(
    "close_calls",
    b"select r.version, r.token_count, r.created_at, r.is_new from kata.close_calls(context_id => "
    b"%s::uuid, call_ids => %s::text[], reason => %s::text) r",
    record(AppendedRow),
    (("context_id", as_context), ("call_ids", as_texts), ("reason", as_text)),
)
FIND_MESSAGE: Call[int] = Call(
    "find_message",
    b"select kata.find_message(context_id => %s::uuid, external_id => %s::text, at => %s::bigint)",
    scalar,
    (("context_id", as_context), ("external_id", as_text), ("at", as_version)),
    reads=True,
)
GET_MESSAGE: Call[MessageRow] = Call(
    "get_message",
    b'select r.version, r."position", r.role, r.content, r.token_count, r.token_source, '
    b"r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, r.pinned, r.kind, "
    b"r.compacted_into, r.group_version, r.segment_id, r.created_at, r.name, r.parts, r.provider, "
    b"r.in_view, r.external_id, r.occurred_at from kata.get_message(context_id => %s::uuid, version => "
    b"%s::bigint) r",
    record(MessageRow),
    (("context_id", as_context), ("version", as_version)),
    reads=True,
)
KEY_RESULT: Call[KeyResultRow] = Call(
    "key_result",
    b"select r.function_name, r.result, r.created_at, r.rewound_by from kata.key_result(context_id => "
    b"%s::uuid, idempotency_key => %s::text) r",
    record(KeyResultRow),
    (("context_id", as_context), ("idempotency_key", as_text)),
    reads=True,
)
MESSAGES: Call[MessageRow] = Call(
    "messages",
    b'select r.version, r."position", r.role, r.content, r.token_count, r.token_source, '
    b"r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, r.pinned, r.kind, "
    b"r.compacted_into, r.group_version, r.segment_id, r.created_at, r.name, r.parts, r.provider, "
    b"r.in_view, r.external_id, r.occurred_at from kata.messages(context_id => %s::uuid, after => "
    b"%s::bigint, max_rows => %s::integer, descending => %s::boolean, visibility => %s::text, at => "
    b"%s::bigint) r",
    record(MessageRow),
    (
        ("context_id", as_context),
        ("after", as_integer),
        ("max_rows", as_integer),
        ("descending", as_boolean),
        ("visibility", as_text),
        ("at", as_version),
    ),
    reads=True,
)
RECORDS: Call[RecordRow] = Call(
    "records",
    b"select r.version, r.kind, r.data, r.external_id, r.created_at from kata.records(context_id => "
    b"%s::uuid, kind => %s::text, after => %s::bigint, max_rows => %s::integer, at => %s::bigint) r",
    record(RecordRow),
    (
        ("context_id", as_context),
        ("kind", as_text),
        ("after", as_integer),
        ("max_rows", as_integer),
        ("at", as_version),
    ),
    reads=True,
)
USAGE: Call[UsageRow] = Call(
    "usage",
    b"select r.version, r.message_count, r.raw_tokens, r.view_tokens, r.tools_tokens from "
    b"kata.usage(context_id => %s::uuid, at => %s::bigint) r",
    record(UsageRow),
    (("context_id", as_context), ("at", as_version)),
    reads=True,
)
EXPLAIN_WINDOW: Call[ExplainWindowRow] = Call(
    "explain_window",
    b"select r.version, r.role, r.token_count, r.reason, r.shown, r.running_tokens from "
    b"kata.explain_window(context_id => %s::uuid, budget => %s::integer, at => %s::bigint, stable_step "
    b"=> %s::integer, tokenizer => %s::text, recall => %s::bigint[], recall_budget => %s::integer, "
    b"reserve => %s::integer, format => %s::text, max_rows => %s::integer, after => %s::bigint) r",
    record(ExplainWindowRow),
    (
        ("context_id", as_context),
        ("budget", as_integer),
        ("at", as_version),
        ("stable_step", as_integer),
        ("tokenizer", as_text),
        ("recall", as_numbers),
        ("recall_budget", as_integer),
        ("reserve", as_integer),
        ("format", as_text),
        ("max_rows", as_integer),
        ("after", as_integer),
    ),
    reads=True,
)
PROMPT: Call[list[OpenAIMessage] | ResponsesPrompt | AnthropicPrompt | GeminiPrompt] = Call(
    "prompt",
    b"select kata.prompt(context_id => %s::uuid, budget => %s::integer, format => %s::text, at => "
    b"%s::bigint, stable_step => %s::integer, tokenizer => %s::text, recall => %s::bigint[], "
    b"recall_budget => %s::integer, reserve => %s::integer, system => %s::text, thinking => %s::text, "
    b"renderer => %s::integer)",
    scalar,
    (
        ("context_id", as_context),
        ("budget", as_integer),
        ("format", as_text),
        ("at", as_version),
        ("stable_step", as_integer),
        ("tokenizer", as_text),
        ("recall", as_numbers),
        ("recall_budget", as_integer),
        ("reserve", as_integer),
        ("system", as_text),
        ("thinking", as_text),
        ("renderer", as_integer),
    ),
    reads=True,
)
WINDOW: Call[WindowRow] = Call(
    "window",
    b'select r.ordinal, r.version, r."position", r.role, r.content, r.token_count, r.running_tokens, '
    b"r.reason, r.over_budget, r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, "
    b'r.created_at, r.kind, r.name, r.parts, r.provider, r.group_version from kata."window"(context_id '
    b"=> %s::uuid, budget => %s::integer, at => %s::bigint, stable_step => %s::integer, tokenizer => "
    b"%s::text, recall => %s::bigint[], recall_budget => %s::integer, reserve => %s::integer, format "
    b"=> %s::text) r",
    record(WindowRow),
    (
        ("context_id", as_context),
        ("budget", as_integer),
        ("at", as_version),
        ("stable_step", as_integer),
        ("tokenizer", as_text),
        ("recall", as_numbers),
        ("recall_budget", as_integer),
        ("reserve", as_integer),
        ("format", as_text),
    ),
    reads=True,
)
COMPLETE_REQUEST: Call[None] = Call(
    "complete_request",
    b"select kata.complete_request(context_id => %s::uuid, request_id => %s::bigint, usage => "
    b"%s::jsonb, error => %s::text)",
    scalar,
    (("context_id", as_context), ("request_id", as_integer), ("usage", as_object), ("error", as_text)),
)
DIFF_REQUESTS: Call[DiffRequestRow] = Call(
    "diff_requests",
    b"select r.change, r.version, r.role, r.cause, r.cause_version, r.preview, r.token_count from "
    b"kata.diff_requests(context_id => %s::uuid, a => %s::bigint, b => %s::bigint, context_b => "
    b"%s::uuid) r",
    record(DiffRequestRow),
    (("context_id", as_context), ("a", as_integer), ("b", as_integer), ("context_b", as_context)),
    reads=True,
)
REPLAY: Call[ReplayRow] = Call(
    "replay",
    b"select r.body, r.body_digest, r.is_same from kata.replay(context_id => %s::uuid, request_id => "
    b"%s::bigint) r",
    record(ReplayRow),
    (("context_id", as_context), ("request_id", as_integer)),
    reads=True,
)
REQUEST: Call[RecordedRequestRow] = Call(
    "request",
    b"select r.request_id, r.body, r.token_count, r.start_version, r.marks, r.notes, r.body_digest "
    b"from kata.request(context_id => %s::uuid, budget => %s::integer, format => %s::text, model => "
    b"%s::text, tools => %s::json, options => %s::json, cache => %s::text, stable_step => %s::integer, "
    b"tokenizer => %s::text, at => %s::bigint, recall => %s::bigint[], recall_budget => %s::integer, "
    b"reserve => %s::integer, system => %s::text, thinking => %s::text) r",
    record(RecordedRequestRow),
    (
        ("context_id", as_context),
        ("budget", as_integer),
        ("format", as_text),
        ("model", as_text),
        ("tools", as_tools),
        ("options", as_options),
        ("cache", as_text),
        ("stable_step", as_integer),
        ("tokenizer", as_text),
        ("at", as_version),
        ("recall", as_numbers),
        ("recall_budget", as_integer),
        ("reserve", as_integer),
        ("system", as_text),
        ("thinking", as_text),
    ),
)
REQUEST_ROWS: Call[ShownMessageRow] = Call(
    "request_rows",
    b'select r.ordinal, r.version, r."position", r.role, r.content, r.reason, r.display, '
    b"r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, r.created_at, r.kind, r.name, "
    b"r.parts, r.provider, r.group_version from kata.request_rows(context_id => %s::uuid, request_id "
    b"=> %s::bigint) r",
    record(ShownMessageRow),
    (("context_id", as_context), ("request_id", as_integer)),
    reads=True,
)
REQUESTS: Call[RequestRow] = Call(
    "requests",
    b"select r.request_id, r.at, r.created_at, r.format, r.model, r.budget, r.token_count, "
    b"r.message_count, r.start_version, r.answer_version, r.input_tokens, r.cached_tokens, "
    b"r.written_tokens, r.output_tokens, r.duration_ms, r.error from kata.requests(context_id => "
    b"%s::uuid, before => %s::bigint, max_rows => %s::integer, showing => %s::bigint) r",
    record(RequestRow),
    (("context_id", as_context), ("before", as_integer), ("max_rows", as_integer), ("showing", as_integer)),
    reads=True,
)
ANCESTRY: Call[AncestryRow] = Call(
    "ancestry",
    b"select r.context_id, r.name, r.fork_version, r.depth, r.deleted_at, r.purged_at from "
    b"kata.ancestry(context_id => %s::uuid) r",
    record(AncestryRow),
    (("context_id", as_context),),
    reads=True,
)
COMMON_ANCESTOR: Call[CommonAncestorRow] = Call(
    "common_ancestor",
    b"select r.segment_id, r.version from kata.common_ancestor(context_a => %s::uuid, context_b => "
    b"%s::uuid) r",
    record(CommonAncestorRow),
    (("context_a", as_context), ("context_b", as_context)),
    reads=True,
)
DIFF: Call[DiffRow] = Call(
    "diff",
    b"select r.side, r.version, r.role, r.kind, r.preview, r.token_count, r.created_at from "
    b"kata.diff(context_a => %s::uuid, context_b => %s::uuid) r",
    record(DiffRow),
    (("context_a", as_context), ("context_b", as_context)),
    reads=True,
)
FORK: Call[UUID] = Call(
    "fork",
    b"select kata.fork(context_id => %s::uuid, at => %s::bigint, name => %s::text, policy => "
    b"%s::jsonb, metadata => %s::jsonb, idempotency_key => %s::text)",
    scalar,
    (
        ("context_id", as_context),
        ("at", as_version),
        ("name", as_text),
        ("policy", as_object),
        ("metadata", as_object),
        ("idempotency_key", as_text),
    ),
)
FORKS: Call[ForkRow] = Call(
    "forks",
    b"select r.context_id, r.name, r.fork_version, r.version, r.created_at, r.deleted_at from "
    b"kata.forks(context_id => %s::uuid) r",
    record(ForkRow),
    (("context_id", as_context),),
    reads=True,
)
MERGE: Call[AppendedRow] = Call(
    "merge",
    b"select r.version, r.token_count, r.created_at, r.is_new from kata.merge(target => %s::uuid, "
    b"source => %s::uuid, versions => %s::int8multirange, idempotency_key => %s::text) r",
    record(AppendedRow),
    (("target", as_context), ("source", as_context), ("versions", as_versions), ("idempotency_key", as_text)),
)
TREE: Call[TreeRow] = Call(
    "tree",
    b"select r.context_id, r.parent_id, r.name, r.fork_version, r.depth, r.version, r.view_tokens, "
    b"r.updated_at, r.archived_at, r.deleted_at, r.purged_at from kata.tree(context_id => %s::uuid) r",
    record(TreeRow),
    (("context_id", as_context),),
    reads=True,
)
ACTS: Call[ActRow] = Call(
    "acts",
    b"select r.number, r.kind, r.acted_at, r.acted_by, r.facts, r.content, r.digest, r.frame, "
    b"r.content_digest, r.salt from kata.acts(context_id => %s::uuid, after => %s::bigint, max_rows => "
    b"%s::integer) r",
    record(ActRow),
    (("context_id", as_context), ("after", as_integer), ("max_rows", as_integer)),
    reads=True,
)
CHECKPOINT: Call[int] = Call(
    "checkpoint",
    b"select kata.checkpoint(context_id => %s::uuid, name => %s::text, at => %s::bigint, note => %s::text)",
    scalar,
    (("context_id", as_context), ("name", as_text), ("at", as_version), ("note", as_text)),
)
CHECKPOINTS: Call[CheckpointRow] = Call(
    "checkpoints",
    b"select r.name, r.version, r.note, r.created_at from kata.checkpoints(context_id => %s::uuid) r",
    record(CheckpointRow),
    (("context_id", as_context),),
    reads=True,
)
DIFF_VERSIONS: Call[DiffVersionRow] = Call(
    "diff_versions",
    b"select r.change, r.version, r.role, r.kind, r.preview, r.token_count from "
    b"kata.diff_versions(context_id => %s::uuid, from_version => %s::bigint, to_version => %s::bigint) "
    b"r",
    record(DiffVersionRow),
    (("context_id", as_context), ("from_version", as_version), ("to_version", as_version)),
    reads=True,
)
DROP_CHECKPOINT: Call[None] = Call(
    "drop_checkpoint",
    b"select kata.drop_checkpoint(context_id => %s::uuid, name => %s::text)",
    scalar,
    (("context_id", as_context), ("name", as_text)),
)
ENTRY_DIGESTS: Call[EntryDigestRow] = Call(
    "entry_digests",
    b"select r.version, r.kind, r.digest, r.frame, r.content_digest, r.salt, r.stub_salts from "
    b"kata.entry_digests(context_id => %s::uuid, after => %s::bigint, max_rows => %s::integer, at => "
    b"%s::bigint) r",
    record(EntryDigestRow),
    (("context_id", as_context), ("after", as_integer), ("max_rows", as_integer), ("at", as_version)),
    reads=True,
)
HISTORY: Call[HistoryRow] = Call(
    "history",
    b"select r.version, r.kind, r.role, r.preview, r.token_count, r.view_tokens, r.checkpoints, "
    b"r.created_at, r.rewound_by from kata.history(context_id => %s::uuid, before => %s::bigint, "
    b"max_rows => %s::integer) r",
    record(HistoryRow),
    (("context_id", as_context), ("before", as_integer), ("max_rows", as_integer)),
    reads=True,
)
RESOLVE_VERSION: Call[int] = Call(
    "resolve_version",
    b"select kata.resolve_version(context_id => %s::uuid, selector => %s::text)",
    scalar,
    (("context_id", as_context), ("selector", as_text)),
    reads=True,
)
STATE_AT: Call[MessageRow] = Call(
    "state_at",
    b'select r.version, r."position", r.role, r.content, r.token_count, r.token_source, '
    b"r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, r.pinned, r.kind, "
    b"r.compacted_into, r.group_version, r.segment_id, r.created_at, r.name, r.parts, r.provider, "
    b"r.in_view, r.external_id, r.occurred_at from kata.state_at(context_id => %s::uuid, at => "
    b"%s::bigint, visibility => %s::text, after => %s::bigint, max_rows => %s::integer) r",
    record(MessageRow),
    (
        ("context_id", as_context),
        ("at", as_version),
        ("visibility", as_text),
        ("after", as_integer),
        ("max_rows", as_integer),
    ),
    reads=True,
)
AMEND: Call[int] = Call(
    "amend",
    b"select kata.amend(context_id => %s::uuid, version => %s::bigint, message => %s::jsonb, "
    b"expected_version => %s::bigint, idempotency_key => %s::text)",
    scalar,
    (
        ("context_id", as_context),
        ("version", as_version),
        ("message", as_object),
        ("expected_version", as_integer),
        ("idempotency_key", as_text),
    ),
)
DELETE_MESSAGES: Call[int] = Call(
    "delete_messages",
    b"select kata.delete_messages(context_id => %s::uuid, first_version => %s::bigint, last_version => "
    b"%s::bigint)",
    scalar,
    (("context_id", as_context), ("first_version", as_version), ("last_version", as_version)),
)
ELIDE: Call[int] = Call(
    "elide",
    b"select kata.elide(context_id => %s::uuid, first_version => %s::bigint, last_version => "
    b"%s::bigint, keep_tokens => %s::integer)",
    scalar,
    (
        ("context_id", as_context),
        ("first_version", as_version),
        ("last_version", as_version),
        ("keep_tokens", as_integer),
    ),
)
GET_TOOLS: Call[ToolRow] = Call(
    "get_tools",
    b"select r.tools, r.version, r.digest, r.token_count from kata.get_tools(context_id => %s::uuid, "
    b"at => %s::bigint) r",
    record(ToolRow),
    (("context_id", as_context), ("at", as_version)),
    reads=True,
)
PIN: Call[int] = Call(
    "pin",
    b"select kata.pin(context_id => %s::uuid, version => %s::bigint)",
    scalar,
    (("context_id", as_context), ("version", as_version)),
)
REWIND: Call[int] = Call(
    "rewind",
    b"select kata.rewind(context_id => %s::uuid, to_version => %s::bigint, expected_version => "
    b"%s::bigint, idempotency_key => %s::text)",
    scalar,
    (
        ("context_id", as_context),
        ("to_version", as_version),
        ("expected_version", as_integer),
        ("idempotency_key", as_text),
    ),
)
SET_TOOLS: Call[int] = Call(
    "set_tools",
    b"select kata.set_tools(context_id => %s::uuid, tools => %s::json, token_count => %s::integer, "
    b"expected_version => %s::bigint)",
    scalar,
    (
        ("context_id", as_context),
        ("tools", as_tools),
        ("token_count", as_integer),
        ("expected_version", as_integer),
    ),
)
UNDO: Call[int] = Call(
    "undo",
    b"select kata.undo(context_id => %s::uuid, version => %s::bigint)",
    scalar,
    (("context_id", as_context), ("version", as_version)),
)
UNPIN: Call[int] = Call(
    "unpin",
    b"select kata.unpin(context_id => %s::uuid, version => %s::bigint)",
    scalar,
    (("context_id", as_context), ("version", as_version)),
)
ABORT_COMPACTION: Call[None] = Call(
    "abort_compaction",
    b"select kata.abort_compaction(compaction_id => %s::uuid, reason => %s::text)",
    scalar,
    (("compaction_id", as_uuid), ("reason", as_text)),
)
BEGIN_COMPACTION: Call[CompactionLeaseRow] = Call(
    "begin_compaction",
    b"select r.context_id, r.compaction_id, r.covered, r.message_count, r.source_tokens, "
    b"r.previous_summary, r.lease_expires_at, r.needs_summary, r.tokenizer, r.summary_budget from "
    b"kata.begin_compaction(context_id => %s::uuid, strategy => %s::text, claimed_by => %s::text, "
    b"lease_seconds => %s::integer, force => %s::boolean) r",
    record(CompactionLeaseRow),
    (
        ("context_id", as_context),
        ("strategy", as_text),
        ("claimed_by", as_text),
        ("lease_seconds", as_integer),
        ("force", as_boolean),
    ),
)
CLAIM_DUE_COMPACTION: Call[CompactionLeaseRow] = Call(
    "claim_due_compaction",
    b"select r.context_id, r.compaction_id, r.covered, r.message_count, r.source_tokens, "
    b"r.previous_summary, r.lease_expires_at, r.needs_summary, r.tokenizer, r.summary_budget from "
    b"kata.claim_due_compaction(claimed_by => %s::text, lease_seconds => %s::integer, can_summarize => "
    b"%s::boolean) r",
    record(CompactionLeaseRow),
    (("claimed_by", as_text), ("lease_seconds", as_integer), ("can_summarize", as_boolean)),
)
COMMIT_COMPACTION: Call[CompactedRow] = Call(
    "commit_compaction",
    b"select r.summary_version, r.covered, r.message_count, r.source_tokens, r.result_tokens from "
    b"kata.commit_compaction(compaction_id => %s::uuid, summary => %s::text, token_count => "
    b"%s::integer, metadata => %s::jsonb) r",
    record(CompactedRow),
    (("compaction_id", as_uuid), ("summary", as_text), ("token_count", as_integer), ("metadata", as_object)),
)
COMPACT: Call[CompactedRow] = Call(
    "compact",
    b"select r.summary_version, r.covered, r.message_count, r.source_tokens, r.result_tokens from "
    b"kata.compact(context_id => %s::uuid, strategy => %s::text, force => %s::boolean) r",
    record(CompactedRow),
    (("context_id", as_context), ("strategy", as_text), ("force", as_boolean)),
)
COMPACTION_ARTIFACTS: Call[ArtifactRow] = Call(
    "compaction_artifacts",
    b"select r.kind, r.ref, r.detail, r.first_version, r.last_version, r.mentions from "
    b"kata.compaction_artifacts(compaction_id => %s::uuid, max_rows => %s::integer) r",
    record(ArtifactRow),
    (("compaction_id", as_uuid), ("max_rows", as_integer)),
    reads=True,
)
COMPACTION_SOURCE: Call[MessageRow] = Call(
    "compaction_source",
    b'select r.version, r."position", r.role, r.content, r.token_count, r.token_source, '
    b"r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, r.pinned, r.kind, "
    b"r.compacted_into, r.group_version, r.segment_id, r.created_at, r.name, r.parts, r.provider, "
    b"r.in_view, r.external_id, r.occurred_at from kata.compaction_source(compaction_id => %s::uuid) r",
    record(MessageRow),
    (("compaction_id", as_uuid),),
    reads=True,
)
COMPACTION_STATUS: Call[CompactionStatusRow] = Call(
    "compaction_status",
    b"select r.due, r.reason, r.view_tokens, r.threshold_tokens, r.budget, r.open_calls, "
    b"r.in_progress, r.failures, r.next_allowed_at, r.last_compacted_at, r.warning from "
    b"kata.compaction_status(context_id => %s::uuid) r",
    record(CompactionStatusRow),
    (("context_id", as_context),),
    reads=True,
)
COMPACTIONS: Call[CompactionRow] = Call(
    "compactions",
    b"select r.compaction_id, r.status, r.strategy, r.policy, r.covered, r.summary_version, "
    b"r.merged_summaries, r.message_count, r.source_tokens, r.result_tokens, r.claimed_by, "
    b"r.started_at, r.finished_at, r.error from kata.compactions(context_id => %s::uuid) r",
    record(CompactionRow),
    (("context_id", as_context),),
    reads=True,
)
FAILING_COMPACTIONS: Call[FailingCompactionRow] = Call(
    "failing_compactions",
    b"select r.context_id, r.tenant, r.name, r.failures, r.error, r.attempted_at, r.next_attempt_at "
    b"from kata.failing_compactions(max_rows => %s::integer) r",
    record(FailingCompactionRow),
    (("max_rows", as_integer),),
    reads=True,
)
GET_POLICY: Call[Json] = Call(
    "get_policy",
    b"select kata.get_policy(context_id => %s::uuid)",
    scalar,
    (("context_id", as_context),),
    reads=True,
)
POLICY_PRESETS: Call[PolicyPresetRow] = Call(
    "policy_presets",
    b"select r.name, r.description, r.policy from kata.policy_presets() r",
    record(PolicyPresetRow),
    (),
    reads=True,
)
RENEW_COMPACTION: Call[datetime] = Call(
    "renew_compaction",
    b"select kata.renew_compaction(compaction_id => %s::uuid, lease_seconds => %s::integer)",
    scalar,
    (("compaction_id", as_uuid), ("lease_seconds", as_integer)),
)
SET_POLICY: Call[Json] = Call(
    "set_policy",
    b"select kata.set_policy(context_id => %s::uuid, policy => %s::jsonb)",
    scalar,
    (("context_id", as_context), ("policy", as_object)),
)
ADD_ARTIFACT: Call[None] = Call(
    "add_artifact",
    b"select kata.add_artifact(context_id => %s::uuid, kind => %s::text, ref => %s::text, detail => "
    b"%s::jsonb, version => %s::bigint)",
    scalar,
    (
        ("context_id", as_context),
        ("kind", as_text),
        ("ref", as_text),
        ("detail", as_object),
        ("version", as_version),
    ),
)
ARTIFACTS: Call[ArtifactRow] = Call(
    "artifacts",
    b"select r.kind, r.ref, r.detail, r.first_version, r.last_version, r.mentions from "
    b"kata.artifacts(context_id => %s::uuid, kind => %s::text, at => %s::bigint) r",
    record(ArtifactRow),
    (("context_id", as_context), ("kind", as_text), ("at", as_version)),
    reads=True,
)
PUT_TOKEN_COUNTS: Call[int] = Call(
    "put_token_counts",
    b"select kata.put_token_counts(context_id => %s::uuid, tokenizer => %s::text, versions => "
    b"%s::bigint[], counts => %s::integer[])",
    scalar,
    (("context_id", as_context), ("tokenizer", as_text), ("versions", as_numbers), ("counts", as_numbers)),
)
REGISTER_TOKENIZER: Call[None] = Call(
    "register_tokenizer",
    b"select kata.register_tokenizer(name => %s::text, bytes_per_token => %s::numeric, margin => "
    b"%s::numeric)",
    scalar,
    (("name", as_text), ("bytes_per_token", as_number), ("margin", as_number)),
)
TOKENIZERS: Call[TokenizerRow] = Call(
    "tokenizers",
    b"select r.name, r.bytes_per_token, r.margin from kata.tokenizers() r",
    record(TokenizerRow),
    (),
    reads=True,
)
ERASE_MESSAGE: Call[EraseMessageRow] = Call(
    "erase_message",
    b"select r.segment_id, r.version, r.what from kata.erase_message(context_id => %s::uuid, version "
    b"=> %s::bigint, reason => %s::text) r",
    record(EraseMessageRow),
    (("context_id", as_context), ("version", as_version), ("reason", as_text)),
)
ERASURES: Call[ErasureRow] = Call(
    "erasures",
    b"select r.version, r.reason, r.erased_by, r.erased_at from kata.erasures(context_id => %s::uuid) r",
    record(ErasureRow),
    (("context_id", as_context),),
    reads=True,
)
PURGE_CONTEXT: Call[PurgeContextRow] = Call(
    "purge_context",
    b"select r.removed, r.kept from kata.purge_context(context_id => %s::uuid, dry_run => %s::boolean) r",
    record(PurgeContextRow),
    (("context_id", as_context), ("dry_run", as_boolean)),
)
PURGE_DELETED: Call[PurgeDeletedRow] = Call(
    "purge_deleted",
    b"select r.context_id, r.removed, r.kept from kata.purge_deleted(older_than => %s::interval, "
    b"dry_run => %s::boolean) r",
    record(PurgeDeletedRow),
    (("older_than", as_interval), ("dry_run", as_boolean)),
)
PURGES: Call[PurgeRow] = Call(
    "purges",
    b"select r.purged_at, r.purged_by, r.cause_id, r.removed, r.kept from kata.purges(context_id => "
    b"%s::uuid) r",
    record(PurgeRow),
    (("context_id", as_context),),
    reads=True,
)
EXPORT_FAMILY: Call[ExportFamilyRow] = Call(
    "export_family",
    b"select r.line from kata.export_family(context_id => %s::uuid, after => %s::text, max_rows => "
    b"%s::integer) r",
    record(ExportFamilyRow),
    (("context_id", as_context), ("after", as_text), ("max_rows", as_integer)),
    reads=True,
)
IMPORT_FAMILY: Call[ImportFamilyRow] = Call(
    "import_family",
    b"select r.family_id, r.is_new, r.missing from kata.import_family(lines => ('[' || "
    b"array_to_string(%s::text[], ',') || ']')::jsonb) r",
    record(ImportFamilyRow),
    (("lines", as_texts),),
)
BUILD_EMBEDDING_INDEX: Call[BuildEmbeddingIndexRow] = Call(
    "build_embedding_index",
    b"select r.index, r.bytes, r.seconds, r.recall_at_10, r.statement from "
    b"kata.build_embedding_index(model => %s::text, m => %s::integer, ef_construction => %s::integer, "
    b"dry_run => %s::boolean, method => %s::text) r",
    record(BuildEmbeddingIndexRow),
    (
        ("model", as_text),
        ("m", as_integer),
        ("ef_construction", as_integer),
        ("dry_run", as_boolean),
        ("method", as_text),
    ),
)
DROP_EMBEDDING_INDEX: Call[bool] = Call(
    "drop_embedding_index",
    b"select kata.drop_embedding_index(model => %s::text)",
    scalar,
    (("model", as_text),),
)
EMBEDDING_MODELS: Call[EmbeddingModelRow] = Call(
    "embedding_models",
    b"select r.name, r.dimensions, r.embeddings, r.bytes, r.index_state, r.tenant from "
    b"kata.embedding_models() r",
    record(EmbeddingModelRow),
    (),
    reads=True,
)
INDEX_SEARCH: Call[int] = Call(
    "index_search",
    b"select kata.index_search(context_id => %s::uuid, max_messages => %s::integer)",
    scalar,
    (("context_id", as_context), ("max_messages", as_integer)),
)
PENDING_EMBEDDINGS: Call[PendingEmbeddingRow] = Call(
    "pending_embeddings",
    b"select r.context_id, r.version, r.content, r.digest, r.tenant from kata.pending_embeddings(model "
    b"=> %s::text, max_rows => %s::integer, after_context => %s::uuid, after_version => %s::bigint) r",
    record(PendingEmbeddingRow),
    (
        ("model", as_text),
        ("max_rows", as_integer),
        ("after_context", as_context),
        ("after_version", as_version),
    ),
    reads=True,
)
PENDING_SEARCH: Call[PendingSearchRow] = Call(
    "pending_search",
    b"select r.context_id, r.messages, r.tenant from kata.pending_search(max_rows => %s::integer) r",
    record(PendingSearchRow),
    (("max_rows", as_integer),),
    reads=True,
)
PREWARM: Call[PrewarmRow] = Call(
    "prewarm",
    b"select r.relation, r.bytes from kata.prewarm(context_id => %s::uuid) r",
    record(PrewarmRow),
    (("context_id", as_context),),
    reads=True,
)
PUT_EMBEDDINGS: Call[int] = Call(
    "put_embeddings",
    b"select kata.put_embeddings(context_id => %s::uuid, model => %s::text, versions => %s::bigint[], "
    b"embeddings => %s::real[], digests => %s::text[])",
    scalar,
    (
        ("context_id", as_context),
        ("model", as_text),
        ("versions", as_numbers),
        ("embeddings", as_numbers),
        ("digests", as_texts),
    ),
)
RECALL: Call[RecallRow] = Call(
    "recall",
    b"select r.version, r.role, r.content, r.token_count, r.score, r.text_rank, r.vector_rank, "
    b"r.compacted_into, r.name, r.created_at, r.group_version, r.kind, r.preview from "
    b"kata.recall(context_id => %s::uuid, query => %s::text, embedding => %s::real[], model => "
    b"%s::text, max_rows => %s::integer, at => %s::bigint, max_tokens => %s::integer) r",
    record(RecallRow),
    (
        ("context_id", as_context),
        ("query", as_text),
        ("embedding", as_numbers),
        ("model", as_text),
        ("max_rows", as_integer),
        ("at", as_version),
        ("max_tokens", as_integer),
    ),
    reads=True,
)
SEARCH: Call[SearchRow] = Call(
    "search",
    b"select r.version, r.role, r.rank, r.headline, r.token_count, r.compacted_into, r.name, "
    b"r.created_at from kata.search(context_id => %s::uuid, query => %s::text, max_rows => "
    b"%s::integer, at => %s::bigint) r",
    record(SearchRow),
    (("context_id", as_context), ("query", as_text), ("max_rows", as_integer), ("at", as_version)),
    reads=True,
)
ASSIGN_TENANT: Call[None] = Call(
    "assign_tenant",
    b"select kata.assign_tenant(role_name => %s::text, tenant => %s::text)",
    scalar,
    (("role_name", as_text), ("tenant", as_text)),
)
CHECK_HEADS: Call[CheckHeadRow] = Call(
    "check_heads",
    b"select r.context_id, r.version, r.problem, r.detail from kata.check_heads(heads => %s::jsonb) r",
    record(CheckHeadRow),
    (("heads", as_objects),),
    reads=True,
)
CURRENT_TENANT: Call[str] = Call("current_tenant", b"select kata.current_tenant()", scalar, (), reads=True)
ENVIRONMENT: Call[str] = Call("environment", b"select kata.environment()", scalar, (), reads=True)
HEADS: Call[HeadRow] = Call(
    "heads",
    b"select r.context_id, r.version, r.digest, r.last_digest, r.acts, r.act_digest, r.requests from "
    b"kata.heads(after => %s::uuid, max_rows => %s::integer) r",
    record(HeadRow),
    (("after", as_context), ("max_rows", as_integer)),
    reads=True,
)
SET_ENVIRONMENT: Call[None] = Call(
    "set_environment",
    b"select kata.set_environment(label => %s::text, current_label => %s::text)",
    scalar,
    (("label", as_text), ("current_label", as_text)),
)
STATS: Call[Json] = Call("stats", b"select kata.stats()", scalar, (), reads=True)
VERIFY: Call[VerifyRow] = Call(
    "verify",
    b"select r.context_id, r.version, r.problem, r.detail from kata.verify(context_id => %s::uuid, "
    b"after => %s::uuid, max_contexts => %s::integer) r",
    record(VerifyRow),
    (("context_id", as_context), ("after", as_context), ("max_contexts", as_integer)),
    reads=True,
)
VERSION: Call[str] = Call("version", b"select kata.version()", scalar, (), reads=True)
