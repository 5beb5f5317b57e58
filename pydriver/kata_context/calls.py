"""The statements that call the functions, columns and arguments by name.

Written by pydriver/generate.py; `make generate` writes it anew.
"""

from uuid import UUID

from kata_context import tokens
from kata_context.call import Call, record, scalar
from kata_context.rows import (
    AppendedRow,
    ArchiveInactiveRow,
    ContextRow,
    MessageRow,
    TokenizerRow,
    UsageRow,
    VerifyRow,
    WindowRow,
)
from kata_context.values import Json

ARCHIVE_CONTEXT: Call[None] = Call(
    "archive_context", b"select kata.archive_context(context_id => %s::uuid)", scalar
)
ARCHIVE_INACTIVE: Call[ArchiveInactiveRow] = Call(
    "archive_inactive",
    b"select r.context_id, r.name, r.updated_at from kata.archive_inactive(idle => %s::interval, "
    b"dry_run => %s::boolean) r",
    record(ArchiveInactiveRow),
)
CREATE_CONTEXT: Call[UUID] = Call(
    "create_context",
    b"select kata.create_context(name => %s::text, policy => %s::jsonb, metadata => "
    b"coalesce(%s::jsonb, '{}'::jsonb), tokenizer => %s::text, preset => %s::text, idempotency_key => "
    b"%s::text)",
    scalar,
    key=5,
)
DELETE_CONTEXT: Call[None] = Call(
    "delete_context", b"select kata.delete_context(context_id => %s::uuid)", scalar
)
FIND_CONTEXT: Call[UUID] = Call(
    "find_context", b"select kata.find_context(name => %s::text)", scalar, reads=True
)
GET_CONTEXT: Call[ContextRow] = Call(
    "get_context",
    b"select r.context_id, r.name, r.tenant, r.parent_id, r.fork_version, r.depth, r.version, "
    b"r.message_count, r.raw_tokens, r.view_tokens, r.tokenizer, r.open_calls, r.metadata, "
    b"r.created_at, r.updated_at, r.archived_at, r.deleted_at from kata.get_context(context_id => "
    b"%s::uuid) r",
    record(ContextRow),
    reads=True,
)
LIST_CONTEXTS: Call[ContextRow] = Call(
    "list_contexts",
    b"select r.context_id, r.name, r.tenant, r.parent_id, r.fork_version, r.depth, r.version, "
    b"r.message_count, r.raw_tokens, r.view_tokens, r.tokenizer, r.open_calls, r.metadata, "
    b"r.created_at, r.updated_at, r.archived_at, r.deleted_at from kata.list_contexts(after => "
    b"%s::uuid, max_rows => %s::integer, include_deleted => %s::boolean) r",
    record(ContextRow),
    reads=True,
)
RESOLVE_CONTEXT: Call[UUID] = Call(
    "resolve_context",
    b"select kata.resolve_context(selector => %s::text, include_deleted => %s::boolean)",
    scalar,
    reads=True,
)
RESTORE_CONTEXT: Call[None] = Call(
    "restore_context", b"select kata.restore_context(context_id => %s::uuid)", scalar
)
UNARCHIVE_CONTEXT: Call[None] = Call(
    "unarchive_context", b"select kata.unarchive_context(context_id => %s::uuid)", scalar
)
UPDATE_CONTEXT: Call[None] = Call(
    "update_context",
    b"select kata.update_context(context_id => %s::uuid, name => %s::text, metadata => %s::jsonb)",
    scalar,
)
APPEND: Call[AppendedRow] = Call(
    "append",
    b"select r.version, r.token_count, r.created_at from kata.append(context_id => %s::uuid, messages "
    b"=> %s::jsonb, expected_version => %s::bigint, idempotency_key => %s::text) r",
    record(AppendedRow),
    key=3,
    count=tokens.MESSAGES,
)
APPEND_MESSAGE: Call[int] = Call(
    "append_message",
    b"select kata.append_message(context_id => %s::uuid, role => %s::text, content => %s::text, "
    b"token_count => %s::integer, tool_call_id => %s::text, tool_name => %s::text, tool_calls => "
    b"%s::jsonb, model => %s::text, metadata => %s::jsonb, pinned => %s::boolean, expected_version => "
    b"%s::bigint, idempotency_key => %s::text, name => %s::text, parts => %s::jsonb, provider => "
    b"%s::jsonb, token_source => %s::text)",
    scalar,
    key=11,
    count=tokens.MESSAGE,
)
CLOSE_CALLS: Call[AppendedRow] = Call(
    "close_calls",
    b"select r.version, r.token_count, r.created_at from kata.close_calls(context_id => %s::uuid, "
    b"call_ids => %s::text[], reason => %s::text) r",
    record(AppendedRow),
)
GET_MESSAGE: Call[MessageRow] = Call(
    "get_message",
    b'select r.version, r."position", r.role, r.content, r.token_count, r.token_source, '
    b"r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, r.pinned, r.kind, "
    b"r.compacted_into, r.group_version, r.segment_id, r.created_at, r.name, r.parts, r.provider from "
    b"kata.get_message(context_id => %s::uuid, version => %s::bigint) r",
    record(MessageRow),
    reads=True,
)
MESSAGES: Call[MessageRow] = Call(
    "messages",
    b'select r.version, r."position", r.role, r.content, r.token_count, r.token_source, '
    b"r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, r.pinned, r.kind, "
    b"r.compacted_into, r.group_version, r.segment_id, r.created_at, r.name, r.parts, r.provider from "
    b"kata.messages(context_id => %s::uuid, after => %s::bigint, max_rows => %s::integer, descending "
    b"=> %s::boolean, visibility => %s::text, at => %s::bigint) r",
    record(MessageRow),
    reads=True,
)
USAGE: Call[UsageRow] = Call(
    "usage",
    b"select r.version, r.message_count, r.raw_tokens, r.view_tokens from kata.usage(context_id => "
    b"%s::uuid, at => %s::bigint) r",
    record(UsageRow),
    reads=True,
)
PROMPT: Call[Json] = Call(
    "prompt",
    b"select kata.prompt(context_id => %s::uuid, budget => %s::integer, format => %s::text, at => "
    b"%s::bigint, stable_step => %s::integer, tokenizer => %s::text)",
    scalar,
    reads=True,
)
WINDOW: Call[WindowRow] = Call(
    "window",
    b'select r.ordinal, r.version, r."position", r.role, r.content, r.token_count, r.running_tokens, '
    b"r.reason, r.over_budget, r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, "
    b'r.created_at, r.kind, r.name, r.parts, r.provider, r.group_version from kata."window"(context_id '
    b"=> %s::uuid, budget => %s::integer, at => %s::bigint, stable_step => %s::integer, tokenizer => "
    b"%s::text) r",
    record(WindowRow),
    reads=True,
)
CURRENT_TENANT: Call[str] = Call("current_tenant", b"select kata.current_tenant()", scalar, reads=True)
VERIFY: Call[VerifyRow] = Call(
    "verify",
    b"select r.context_id, r.version, r.problem, r.detail from kata.verify(context_id => %s::uuid) r",
    record(VerifyRow),
    reads=True,
)
ASSIGN_TENANT: Call[None] = Call(
    "assign_tenant", b"select kata.assign_tenant(role_name => %s::text, tenant => %s::text)", scalar
)
ENVIRONMENT: Call[str] = Call("environment", b"select kata.environment()", scalar, reads=True)
PUT_TOKEN_COUNTS: Call[int] = Call(
    "put_token_counts",
    b"select kata.put_token_counts(context_id => %s::uuid, tokenizer => %s::text, versions => "
    b"%s::bigint[], counts => %s::integer[])",
    scalar,
)
REGISTER_TOKENIZER: Call[None] = Call(
    "register_tokenizer",
    b"select kata.register_tokenizer(name => %s::text, bytes_per_token => %s::numeric, margin => "
    b"%s::numeric)",
    scalar,
)
SET_ENVIRONMENT: Call[None] = Call(
    "set_environment", b"select kata.set_environment(label => %s::text, current_label => %s::text)", scalar
)
STATS: Call[Json] = Call("stats", b"select kata.stats()", scalar, reads=True)
TOKENIZERS: Call[TokenizerRow] = Call(
    "tokenizers",
    b"select r.name, r.bytes_per_token, r.margin from kata.tokenizers() r",
    record(TokenizerRow),
    reads=True,
)
VERSION: Call[str] = Call("version", b"select kata.version()", scalar, reads=True)
