"""What the functions return as rows.

Written by tools/generate; `make generate` writes it anew.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from psycopg.types.multirange import Multirange

from kata_context.driver.values import (
    Json,
)

__all__ = [
    "ActRow",
    "AncestryRow",
    "AppendedRow",
    "ArchiveInactiveRow",
    "ArtifactRow",
    "BuildEmbeddingIndexRow",
    "CheckHeadRow",
    "CheckpointRow",
    "CommonAncestorRow",
    "CompactedRow",
    "CompactionLeaseRow",
    "CompactionRow",
    "CompactionStatusRow",
    "ContextRow",
    "DiffRequestRow",
    "DiffRow",
    "DiffVersionRow",
    "EmbeddingModelRow",
    "EntryDigestRow",
    "EraseMessageRow",
    "ErasureRow",
    "ExplainWindowRow",
    "ExportFamilyRow",
    "FailingCompactionRow",
    "ForkRow",
    "FoundOrCreatedRow",
    "HeadRow",
    "HistoryRow",
    "ImportFamilyRow",
    "KeyResultRow",
    "MessageRow",
    "PendingEmbeddingRow",
    "PendingSearchRow",
    "PolicyPresetRow",
    "PrewarmRow",
    "PurgeContextRow",
    "PurgeDeletedRow",
    "PurgeRow",
    "RecallRow",
    "RecordRow",
    "RecordedRequestRow",
    "ReplayRow",
    "RequestRow",
    "SearchRow",
    "ShownMessageRow",
    "TokenizerRow",
    "ToolRow",
    "TreeRow",
    "UsageRow",
    "VerifyRow",
    "WindowRow",
]


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
class FoundOrCreatedRow:
    """A row of get_or_create_context."""

    context_id: UUID
    created: bool


@dataclass(frozen=True, slots=True)
class AppendedRow:
    """A row of append, close_calls and merge."""

    version: int
    token_count: int
    created_at: datetime
    is_new: bool


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A row of get_message, messages, state_at and compaction_source."""

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
    in_view: bool
    external_id: str | None
    occurred_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyResultRow:
    """A row of key_result."""

    function_name: str | None
    result: Json
    created_at: datetime
    rewound_by: int | None


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A row of records."""

    version: int
    kind: str
    data: Json
    external_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A row of usage."""

    version: int
    message_count: int
    raw_tokens: int
    view_tokens: int
    tools_tokens: int


@dataclass(frozen=True, slots=True)
class ExplainWindowRow:
    """A row of explain_window."""

    version: int
    role: str
    token_count: int
    reason: str
    shown: bool | None
    running_tokens: int


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
class DiffRequestRow:
    """A row of diff_requests."""

    change: str
    version: int
    role: str
    cause: str | None
    cause_version: int | None
    preview: str | None
    token_count: int


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """A row of replay."""

    body: str
    body_digest: bytes
    is_same: bool


@dataclass(frozen=True, slots=True)
class RecordedRequestRow:
    """A row of request."""

    request_id: int
    body: str
    token_count: int
    start_version: int
    marks: list[int] | None
    notes: Json
    body_digest: bytes


@dataclass(frozen=True, slots=True)
class ShownMessageRow:
    """A row of request_rows."""

    ordinal: int
    version: int
    position: int
    role: str
    content: str | None
    reason: str
    display: str
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
class RequestRow:
    """A row of requests."""

    request_id: int
    at: int
    created_at: datetime
    format: str
    model: str | None
    budget: int
    token_count: int
    message_count: int
    start_version: int
    answer_version: int | None
    input_tokens: int | None
    cached_tokens: int | None
    written_tokens: int | None
    output_tokens: int | None
    duration_ms: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class AncestryRow:
    """A row of ancestry."""

    context_id: UUID
    name: str | None
    fork_version: int | None
    depth: int
    deleted_at: datetime | None
    purged_at: datetime | None


@dataclass(frozen=True, slots=True)
class CommonAncestorRow:
    """A row of common_ancestor."""

    segment_id: UUID | None
    version: int


@dataclass(frozen=True, slots=True)
class DiffRow:
    """A row of diff."""

    side: str
    version: int
    role: str
    kind: str
    preview: str | None
    token_count: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ForkRow:
    """A row of forks."""

    context_id: UUID
    name: str | None
    fork_version: int
    version: int
    created_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A row of tree."""

    context_id: UUID
    parent_id: UUID | None
    name: str | None
    fork_version: int | None
    depth: int
    version: int
    view_tokens: int
    updated_at: datetime
    archived_at: datetime | None
    deleted_at: datetime | None
    purged_at: datetime | None


@dataclass(frozen=True, slots=True)
class ActRow:
    """A row of acts."""

    number: int
    kind: str
    acted_at: datetime
    acted_by: str
    facts: Json
    content: Json
    digest: bytes
    frame: str
    content_digest: bytes | None
    salt: bytes | None


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A row of checkpoints."""

    name: str
    version: int
    note: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DiffVersionRow:
    """A row of diff_versions."""

    change: str
    version: int
    role: str
    kind: str
    preview: str | None
    token_count: int


@dataclass(frozen=True, slots=True)
class EntryDigestRow:
    """A row of entry_digests."""

    version: int
    kind: str
    digest: bytes
    frame: str
    content_digest: bytes | None
    salt: bytes | None
    stub_salts: list[bytes] | None


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A row of history."""

    version: int
    kind: str
    role: str | None
    preview: str | None
    token_count: int | None
    view_tokens: int
    checkpoints: list[str]
    created_at: datetime
    rewound_by: int | None


@dataclass(frozen=True, slots=True)
class ToolRow:
    """A row of get_tools."""

    tools: Json
    version: int
    digest: bytes | None
    token_count: int | None


@dataclass(frozen=True, slots=True)
class CompactionLeaseRow:
    """A row of begin_compaction and claim_due_compaction."""

    context_id: UUID
    compaction_id: UUID
    covered: Multirange[int]
    message_count: int
    source_tokens: int
    previous_summary: str | None
    lease_expires_at: datetime
    needs_summary: bool
    tokenizer: str
    summary_budget: int


@dataclass(frozen=True, slots=True)
class CompactedRow:
    """A row of commit_compaction and compact."""

    summary_version: int | None
    covered: Multirange[int]
    message_count: int
    source_tokens: int
    result_tokens: int


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """A row of compaction_artifacts and artifacts."""

    kind: str
    ref: str
    detail: Json
    first_version: int
    last_version: int
    mentions: int


@dataclass(frozen=True, slots=True)
class CompactionStatusRow:
    """A row of compaction_status."""

    due: bool
    reason: str
    view_tokens: int
    threshold_tokens: int | None
    budget: int
    open_calls: int
    in_progress: bool
    failures: int
    next_allowed_at: datetime | None
    last_compacted_at: datetime | None
    warning: bool


@dataclass(frozen=True, slots=True)
class CompactionRow:
    """A row of compactions."""

    compaction_id: UUID
    status: str
    strategy: str
    policy: Json
    covered: Multirange[int]
    summary_version: int | None
    merged_summaries: list[int]
    message_count: int
    source_tokens: int
    result_tokens: int | None
    claimed_by: str
    started_at: datetime
    finished_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class FailingCompactionRow:
    """A row of failing_compactions."""

    context_id: UUID
    tenant: str
    name: str | None
    failures: int
    error: str | None
    attempted_at: datetime | None
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class PolicyPresetRow:
    """A row of policy_presets."""

    name: str
    description: str
    policy: Json


@dataclass(frozen=True, slots=True)
class TokenizerRow:
    """A row of tokenizers."""

    name: str
    bytes_per_token: Decimal
    margin: Decimal


@dataclass(frozen=True, slots=True)
class EraseMessageRow:
    """A row of erase_message."""

    segment_id: UUID
    version: int
    what: str


@dataclass(frozen=True, slots=True)
class ErasureRow:
    """A row of erasures."""

    version: int
    reason: str
    erased_by: str
    erased_at: datetime


@dataclass(frozen=True, slots=True)
class PurgeContextRow:
    """A row of purge_context."""

    removed: int
    kept: int


@dataclass(frozen=True, slots=True)
class PurgeDeletedRow:
    """A row of purge_deleted."""

    context_id: UUID
    removed: int
    kept: int


@dataclass(frozen=True, slots=True)
class PurgeRow:
    """A row of purges."""

    purged_at: datetime
    purged_by: str
    cause_id: UUID
    removed: int
    kept: int


@dataclass(frozen=True, slots=True)
class ExportFamilyRow:
    """A row of export_family."""

    line: str


@dataclass(frozen=True, slots=True)
class ImportFamilyRow:
    """A row of import_family."""

    family_id: UUID
    is_new: bool
    missing: int


@dataclass(frozen=True, slots=True)
class BuildEmbeddingIndexRow:
    """A row of build_embedding_index."""

    index: str
    bytes: int
    seconds: float | None
    recall_at_10: float | None
    statement: str


@dataclass(frozen=True, slots=True)
class EmbeddingModelRow:
    """A row of embedding_models."""

    name: str
    dimensions: int
    embeddings: int
    bytes: int
    index_state: str | None
    tenant: str


@dataclass(frozen=True, slots=True)
class PendingEmbeddingRow:
    """A row of pending_embeddings."""

    context_id: UUID
    version: int
    content: str
    digest: str
    tenant: str


@dataclass(frozen=True, slots=True)
class PendingSearchRow:
    """A row of pending_search."""

    context_id: UUID
    messages: int | None
    tenant: str


@dataclass(frozen=True, slots=True)
class PrewarmRow:
    """A row of prewarm."""

    relation: str
    bytes: int


@dataclass(frozen=True, slots=True)
class RecallRow:
    """A row of recall."""

    version: int
    role: str
    content: str | None
    token_count: int
    score: float | None
    text_rank: int | None
    vector_rank: int | None
    compacted_into: int | None
    name: str | None
    created_at: datetime
    group_version: int
    kind: str
    preview: str | None


@dataclass(frozen=True, slots=True)
class SearchRow:
    """A row of search."""

    version: int
    role: str
    rank: float | None
    headline: str | None
    token_count: int
    compacted_into: int | None
    name: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CheckHeadRow:
    """A row of check_heads."""

    context_id: UUID
    version: int
    problem: str
    detail: str | None


@dataclass(frozen=True, slots=True)
class HeadRow:
    """A row of heads."""

    context_id: UUID
    version: int
    digest: bytes
    last_digest: bytes
    acts: int
    act_digest: bytes
    requests: int


@dataclass(frozen=True, slots=True)
class VerifyRow:
    """A row of verify."""

    context_id: UUID
    version: int | None
    problem: str
    detail: str
