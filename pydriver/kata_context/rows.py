"""What the functions return as rows.

Written by pydriver/generate.py; `make generate` writes it anew.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from kata_context.values import Json


@dataclass(frozen=True, slots=True)
class ArchiveInactiveRow:
    """A row of archive_inactive."""

    context_id: UUID
    name: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ContextRow:
    """A row of get_context and list_contexts."""

    context_id: UUID
    name: str | None
    tenant: str
    parent_id: UUID | None
    fork_version: int | None
    depth: int
    version: int
    message_count: int
    raw_tokens: int
    view_tokens: int
    tokenizer: str
    open_calls: list[str]
    metadata: Json
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class AppendedRow:
    """A row of append and close_calls."""

    version: int
    token_count: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A row of get_message and messages."""

    version: int
    position: int
    role: str
    content: str | None
    token_count: int
    token_source: str
    tool_call_id: str | None
    tool_name: str | None
    tool_calls: Json
    model: str | None
    metadata: Json
    pinned: bool
    kind: str
    compacted_into: int | None
    group_version: int
    segment_id: UUID
    created_at: datetime
    name: str | None
    parts: Json
    provider: Json


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A row of usage."""

    version: int
    message_count: int
    raw_tokens: int
    view_tokens: int


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A row of window."""

    ordinal: int
    version: int
    position: int
    role: str
    content: str | None
    token_count: int
    running_tokens: int
    reason: str
    over_budget: bool
    tool_call_id: str | None
    tool_name: str | None
    tool_calls: Json
    model: str | None
    metadata: Json
    created_at: datetime
    kind: str
    name: str | None
    parts: Json
    provider: Json
    group_version: int


@dataclass(frozen=True, slots=True)
class VerifyRow:
    """A row of verify."""

    context_id: UUID
    version: int | None
    problem: str
    detail: str | None


@dataclass(frozen=True, slots=True)
class TokenizerRow:
    """A row of tokenizers."""

    name: str | None
    bytes_per_token: Decimal
    margin: Decimal
