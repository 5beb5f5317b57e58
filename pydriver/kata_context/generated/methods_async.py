"""The functions as methods.

Written by tools/generate; `make generate` writes it anew.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeVar, overload
from uuid import UUID

from kata_context.driver.call import Call
from kata_context.driver.values import (
    ContextId,
    Handle,
    Json,
    Numbers,
    Version,
    Versions,
    as_uuid,
)
from kata_context.generated import statements
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
from kata_context.requests import AsyncRequest
from kata_context.types import (
    AnthropicPrompt,
    Format,
    GeminiPrompt,
    Message,
    OpenAIMessage,
    ResponsesPrompt,
    Role,
    TokenSource,
    Visibility,
)

T = TypeVar("T")


class AsyncMethods(ABC):
    """A method for every function of schema kata."""

    @abstractmethod
    async def _run(self, call: Call[T], given: tuple[Any, ...]) -> list[T]:
        """Run a call with what the caller passed, and return its rows."""

    async def archive_context(self, context_id: ContextId) -> None:
        """Archives a context: it can be read and forked, not changed.

        Archiving an archived context changes nothing.

        Parameters
        ----------
        context_id : the context.

        Raises
        ------
        ContextNotFoundError, ContextClosedError deleted.

        Locks: the head of the context.
        Cost: O(1).
        """
        await self._run(statements.ARCHIVE_CONTEXT, (context_id,))

    async def archive_inactive(self, idle: timedelta, dry_run: bool = False) -> list[ArchiveInactiveRow]:
        """Archives forks without recent activity; roots are left alone.

        Under kata.tenant '*' it looks at the forks of all tenants.

        Returns one row per fork: context_id, name, updated_at (before archiving).

        Parameters
        ----------
        idle : for how long nothing was appended or changed.
        dry_run : report only.

        Raises
        ------
        InvalidArgumentError.

        Locks: the heads of the forks that it archives, by id ascending.
        Cost: O(forks of the tenant that are older than idle and not archived).
        """
        return await self._run(statements.ARCHIVE_INACTIVE, (idle, dry_run))

    async def create_context(
        self,
        name: str | None = None,
        *,
        policy: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        tokenizer: str = "o200k_base",
        preset: str | None = None,
        idempotency_key: str | None = None,
    ) -> UUID:
        """Creates an empty context in the caller's tenant.

        Returns the id: a UUID in the version 7 layout, so ids sort by creation; the 12 bits after the
        version nibble are the bucket of its fork family.

        Parameters
        ----------
        name : 1 to 255 characters, unique among the tenant's live contexts; null for none.
        policy : compaction policy, an object of the fields that differ from the defaults.
        preset : a preset that policy patches.
        metadata : an object of at most 64 kB.
        tokenizer : the unit of its token counts and budgets; one that kata.tokenizers lists, or a
            model, for example claude-sonnet-4-5.
        idempotency_key : 1 to 255 characters; the same request again within seven days returns the
            first result.

        Raises
        ------
        NameTakenError name taken, InvalidPolicyError invalid policy, InvalidArgumentError,
            IdempotencyConflictError.

        Cost: O(1).
        """
        return (
            await self._run(
                statements.CREATE_CONTEXT, (name, policy, metadata, tokenizer, preset, idempotency_key)
            )
        )[0]

    async def create(
        self,
        name: str | None = None,
        *,
        policy: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        tokenizer: str = "o200k_base",
        preset: str | None = None,
        idempotency_key: str | None = None,
    ) -> "AsyncContext":
        """Creates an empty context in the caller's tenant.

        As create_context, but returns a handle of it.
        """
        return AsyncContext(
            self,
            await self.create_context(
                name,
                policy=policy,
                metadata=metadata,
                tokenizer=tokenizer,
                preset=preset,
                idempotency_key=idempotency_key,
            ),
        )

    async def delete_context(self, context_id: ContextId) -> None:
        """Deletes a context softly: it can be restored, its name is free, its forks are not affected.

        Parameters
        ----------
        context_id : the context; it may be archived.

        Raises
        ------
        ContextNotFoundError, ContextClosedError deleted already.

        Locks: the head of the context.
        Cost: O(1).
        """
        await self._run(statements.DELETE_CONTEXT, (context_id,))

    async def find_context(self, name: str) -> UUID | None:
        """Returns the id of the live context of a name in the caller's tenant; null when there is none.

        Parameters
        ----------
        name : the exact name.

        Cost: O(log contexts).
        """
        return next(iter(await self._run(statements.FIND_CONTEXT, (name,))), None)

    async def get_context(self, context_id: ContextId) -> ContextRow:
        """Returns one context, deleted or not.

        Returns one row: context_id, name, tenant, parent_id and fork_version (of a fork, else null),
        depth (0 for a root), version, message_count and raw_tokens (of the whole path), view_tokens
        (what a model would see), tokenizer, open_calls (ids of the tool calls without result, oldest
        first), metadata, created_at, updated_at (last append or change), archived_at, deleted_at.

        Parameters
        ----------
        context_id : the context.

        Raises
        ------
        ContextNotFoundError.

        Cost: O(1).
        """
        return (await self._run(statements.GET_CONTEXT, (context_id,)))[0]

    async def get_or_create_context(
        self,
        name: str,
        policy: Mapping[str, Any] | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        tokenizer: str = "o200k_base",
        preset: str | None = None,
        idempotency_key: str | None = None,
    ) -> FoundOrCreatedRow:
        """Returns the live context of a name in the caller's tenant, and creates it where there is none.

        Sessions that call it at the same moment get the same context, and one of them creates it. A
        context that exists is returned as it is, an archived one too: policy, preset, metadata and
        tokenizer are checked, and used only for a new one.

        Returns one row: context_id, created (whether this call created it).

        Parameters
        ----------
        name : 1 to 255 characters.
        policy : compaction policy, an object of the fields that differ from the defaults.
        preset : a preset that policy patches.
        metadata : an object of at most 64 kB.
        tokenizer : the unit of its token counts and budgets; one that kata.tokenizers lists, or a
            model, for example claude-sonnet-4-5.
        idempotency_key : 1 to 255 characters; the same request again within seven days returns the
            first result, although the context may have been deleted or renamed since.

        Raises
        ------
        InvalidPolicyError invalid policy, InvalidArgumentError, IdempotencyConflictError.

        Locks: waits for a transaction that is about to give this name to a context; one that a
            transaction is just deleting or renaming is returned; with a key, one that is found is kept
            from being purged.
        Cost: O(log contexts).
        """
        return (
            await self._run(
                statements.GET_OR_CREATE_CONTEXT, (name, policy, metadata, tokenizer, preset, idempotency_key)
            )
        )[0]

    async def get_or_create(
        self,
        name: str,
        policy: Mapping[str, Any] | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        tokenizer: str = "o200k_base",
        preset: str | None = None,
        idempotency_key: str | None = None,
    ) -> "AsyncContext":
        """Returns the live context of a name in the caller's tenant, and creates it where there is none.

        As get_or_create_context, but returns a handle of it.
        """
        return AsyncContext(
            self,
            (
                await self.get_or_create_context(
                    name,
                    policy,
                    metadata=metadata,
                    tokenizer=tokenizer,
                    preset=preset,
                    idempotency_key=idempotency_key,
                )
            ).context_id,
        )

    async def list_contexts(
        self,
        after: ContextId | None = None,
        *,
        max_rows: int = 50,
        include_deleted: bool = False,
        metadata: Mapping[str, Any] | None = None,
        name_prefix: str | None = None,
        order_by: str = "created",
        roots_only: bool = False,
    ) -> list[ContextRow]:
        """Lists the caller's contexts, newest first, in pages.

        Under kata.tenant '*' it lists those of all tenants.

        Returns rows as get_context.

        Parameters
        ----------
        after : the last context_id of the page before; null for the first page.
        max_rows : 1 to 1,000.
        include_deleted : list deleted contexts, too.
        metadata : only contexts whose metadata contain this object; null for any.
        name_prefix : only contexts whose name begins with this text; null for any.
        order_by : 'created' or 'updated', the last append or change, newest first. Under 'updated' a
            context that changes between two pages may come twice or be missed.
        roots_only : leave forks out.

        Raises
        ------
        InvalidArgumentError.

        Cost: O(log contexts + rows), and with metadata or roots_only the contexts that are passed over;
        with name_prefix or 'updated' O(contexts that match).
        """
        return await self._run(
            statements.LIST_CONTEXTS,
            (after, max_rows, include_deleted, metadata, name_prefix, order_by, roots_only),
        )

    async def resolve_context(self, selector: str, include_deleted: bool = False) -> UUID:
        """Finds the context with an id, a name, or a unique beginning of an id.

        Returns the id.

        Parameters
        ----------
        selector : an id, which finds a deleted context, too; or the name of a live context; or at least
            one digit of an id, hyphens as in an id or none.
        include_deleted : also accept the name, or the beginning of the id, of a deleted context. A live
            context of that name goes first.

        Raises
        ------
        ContextNotFoundError no such context, InvalidArgumentError several match: as deleted contexts of
            that name, or by the beginning of their ids.

        Cost: O(log contexts).
        """
        return (await self._run(statements.RESOLVE_CONTEXT, (selector, include_deleted)))[0]

    async def restore_context(self, context_id: ContextId) -> None:
        """Restores a deleted context.

        Restoring a context that is not deleted changes nothing.

        Parameters
        ----------
        context_id : the context.

        Raises
        ------
        ContextNotFoundError, ContextClosedError purged, NameTakenError another live context has its
            name.

        Locks: the head of the context.
        Cost: O(1).
        """
        await self._run(statements.RESTORE_CONTEXT, (context_id,))

    async def unarchive_context(self, context_id: ContextId) -> None:
        """Opens an archived context for changes again.

        Unarchiving a context that is not archived changes nothing.

        Parameters
        ----------
        context_id : the context.

        Raises
        ------
        ContextNotFoundError, ContextClosedError deleted.

        Locks: the head of the context.
        Cost: O(1).
        """
        await self._run(statements.UNARCHIVE_CONTEXT, (context_id,))

    async def update_context(
        self,
        context_id: ContextId,
        name: str | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        merge: bool = False,
    ) -> None:
        """Changes the name or the metadata of a context.

        Parameters
        ----------
        context_id : the context.
        name : the new name; null keeps it, '' clears it.
        metadata : the new object, at most 64 kB; null keeps it.
        merge : whether metadata is a merge patch (RFC 7396): fields that it names are set, in objects
            inside of it, too, those that it sets to null are removed, and the others stay.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, NameTakenError name taken, InvalidArgumentError.

        Locks: the head of the context.
        Cost: O(1).
        """
        await self._run(statements.UPDATE_CONTEXT, (context_id, name, metadata, merge))

    async def append(
        self,
        context_id: ContextId,
        messages: Sequence[Message],
        expected_version: int | None = None,
        *,
        idempotency_key: str | None = None,
        on_duplicate: str = "error",
        request_id: int | None = None,
        usage: Mapping[str, Any] | None = None,
    ) -> list[AppendedRow]:
        """Appends a batch of messages: all of them or none.

        Returns one row per given message, in order: version, token_count, created_at (the same for all
        that are appended), is_new (false: skipped; the row is about the entry that has the external id,
        and a record counts 0 tokens).

        Parameters
        ----------
        context_id : the context.
        messages : an array of at most 10,000 objects with the keys role (system, developer, user,
            assistant, tool), content (text, at most 16 MB; null only beside tool_calls or parts),
            token_count (tokens of all that is sent; estimated when missing), tool_call_id, tool_name,
            tool_calls (OpenAI chat form, at most 1,000, and 1,000 open ones in a context), model,
            metadata, pinned, name, parts (provider content parts), provider (opaque fields),
            token_source ('exact' or 'given', of a token_count), external_id (1 to 255 characters,
            unique among the messages and records of the line), occurred_at (when it happened, ISO 8601
            with an offset; it orders nothing). tool_call_id, tool_name, model and name have at most 64
            kB each. An erasure leaves external_id and occurred_at: put no personal data into an
            external id. An empty array appends nothing.
        expected_version : a version since which no message may have been appended, deleted, amended or
            rewound.
        idempotency_key : 1 to 255 characters; the same request again within seven days returns the
            first result.
        on_duplicate : of a message whose external id is taken: 'error' refuses the batch; 'skip' leaves
            the message out. Contents are not compared. Of two messages in the batch the first has the
            id.
        request_id : the request of this context, from kata.request, that the batch answers: its first
            message of an assistant is the answer. Answers may come in any order, each request has one.
            A retry by idempotency key returns the first result, whatever request it names.
        usage : of the request, as kata.complete_request takes it.

        Raises
        ------
        ContextNotFoundError, VersionConflictError version conflict, InvalidMessageError invalid message
            or a taken external id (DETAIL names the version), OrphanToolResultError a tool result whose
            call is not open, ContextClosedError, InvalidArgumentError among others a request that is
            not there, has an answer, or gets none here, IdempotencyConflictError among others a request
            with other usage, SupersededError what the key has done is rewound.

        Locks: the head of the context, then the request, until the end of the transaction.
        Cost: O(batch), whatever the length of the log; of external ids O(ids × fork depth); of an
            answer O(requests since the last one that was answered).
        """
        return await self._run(
            statements.APPEND,
            (context_id, messages, expected_version, idempotency_key, on_duplicate, request_id, usage),
        )

    async def append_message(
        self,
        context_id: ContextId,
        role: Role,
        content: str | None,
        token_count: int | None = None,
        *,
        tool_call_id: str | None = None,
        tool_name: str | None = None,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
        model: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        pinned: bool = False,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        name: str | None = None,
        parts: Sequence[Mapping[str, Any]] | None = None,
        provider: Mapping[str, Any] | None = None,
        token_source: TokenSource | None = None,
        external_id: str | None = None,
        occurred_at: datetime | None = None,
        request_id: int | None = None,
        usage: Mapping[str, Any] | None = None,
    ) -> int:
        """Appends one message and returns its version.

        Returns the version that the message took.

        Parameters
        ----------
        context_id : the context.
        role : system, developer, user, assistant or tool.
        content : text, at most 16 MB; null only beside tool_calls or parts.
        token_count : tokens of all that is sent for the message, in the context's tokenizer; estimated
            when null.
        tool_call_id, tool_name : of a tool result, the open call that it answers, at most 64 kB each.
        tool_calls : of an assistant, in the OpenAI chat form, at most 1,000, and 1,000 open ones in a
            context.
        model, metadata, name : kept as given, model and name of at most 64 kB.
        pinned : the message stays in every window.
        parts : provider content parts, verbatim.
        provider : opaque fields that go back to the provider as they came.
        expected_version : a version since which no message may have been appended, deleted, amended or
            rewound.
        idempotency_key : 1 to 255 characters; the same request again within seven days returns the
            first result.
        token_source : 'exact' (counted with the context's tokenizer) or 'given', of a token_count.
        external_id : 1 to 255 characters, unique among the messages and records of the line;
            kata.find_message finds the version. An erasure leaves it: put no personal data into it.
        occurred_at : when it happened, as the caller knows it; it orders nothing.
        request_id : of an assistant's answer, the request of this context that it answers, from
            kata.request. Answers may come in any order, each request has one.
        usage : of the request, as kata.complete_request takes it.

        Raises
        ------
        ContextNotFoundError, VersionConflictError version conflict, InvalidMessageError invalid message
            or a taken external id (DETAIL names the version), OrphanToolResultError a tool result whose
            call is not open, ContextClosedError, InvalidArgumentError among others a request that is
            not there or has an answer, IdempotencyConflictError among others a request with other
            usage, SupersededError what the key has done is rewound.

        Locks: the head of the context, then the request, until the end of the transaction.
        Cost: O(1), whatever the length of the log; of an answer O(requests since the last one that was
            answered).
        """
        return (
            await self._run(
                statements.APPEND_MESSAGE,
                (
                    context_id,
                    role,
                    content,
                    token_count,
                    tool_call_id,
                    tool_name,
                    tool_calls,
                    model,
                    metadata,
                    pinned,
                    expected_version,
                    idempotency_key,
                    name,
                    parts,
                    provider,
                    token_source,
                    external_id,
                    occurred_at,
                    request_id,
                    usage,
                ),
            )
        )[0]

    async def append_record(
        self,
        context_id: ContextId,
        kind: str,
        data: Json,
        external_id: str | None = None,
        *,
        idempotency_key: str | None = None,
        on_duplicate: str = "error",
    ) -> int:
        """Appends a record: an entry of the log that no window, prompt or count shows.

        A record takes a version and is part of forks, history and the chain of digests. It does not
        conflict with expected_version, makes no compaction due, and cannot be undone;
        kata.erase_message removes its data.

        Returns the version that the record took, or that of the entry which has the external id.

        Parameters
        ----------
        context_id : the context.
        kind : 1 to 255 characters, by which kata.records filters.
        data : any JSON, at most 1 MB.
        external_id : 1 to 255 characters, unique among the messages and records of the line; null for
            none. An erasure leaves kind and external id: put no personal data into them.
        idempotency_key : 1 to 255 characters; the same request again within seven days returns the
            first result.
        on_duplicate : where the external id is taken, 'error' refuses the record, 'skip' appends
            nothing.

        Raises
        ------
        ContextNotFoundError, InvalidMessageError the external id is taken (DETAIL names the version),
            ContextClosedError, InvalidArgumentError, IdempotencyConflictError, SupersededError what the
            key has done is rewound.

        Locks: the head of the context.
        Cost: O(size + pieces of the view + fork depth).
        """
        return (
            await self._run(
                statements.APPEND_RECORD, (context_id, kind, data, external_id, idempotency_key, on_duplicate)
            )
        )[0]

    async def close_calls(
        self, context_id: ContextId, call_ids: Iterable[str] | None = None, *, reason: str = "cancelled"
    ) -> list[AppendedRow]:
        """Answers open tool calls with one tool message each.

        Returns one row per message, as append; none where no call is open.

        Parameters
        ----------
        context_id : the context.
        call_ids : the calls to close, at most 10,000; null: all that are open, at most 1,000.
        reason : the content of the messages.

        Raises
        ------
        ContextNotFoundError, OrphanToolResultError a call is not open, ContextClosedError,
            InvalidArgumentError.

        Locks: the head of the context.
        Cost: O(calls closed × open calls).
        """
        return await self._run(statements.CLOSE_CALLS, (context_id, call_ids, reason))

    async def find_message(
        self, context_id: ContextId, external_id: str, at: Version | None = None
    ) -> int | None:
        """Returns the version of the message or record that has an external id; null when there is none.

        An entry keeps its id when it is deleted from the view, covered by a compaction or erased; one
        that is rewound is not found.

        Parameters
        ----------
        context_id : the context; entries that it inherits are found, too.
        external_id : the exact id.
        at : as of this version; null for now.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError.

        Cost: one look-up per segment of the path.
        """
        return next(iter(await self._run(statements.FIND_MESSAGE, (context_id, external_id, at))), None)

    async def get_message(self, context_id: ContextId, version: Version) -> MessageRow:
        """Returns one message, by its version, whatever compaction has done since.

        Returns one message row: version, position, role, content, token_count, token_source (exact,
        given, estimate), tool_call_id, tool_name, tool_calls, model, metadata, pinned, kind (message,
        summary, stub), compacted_into (the replacement that covers it, or null), group_version (the
        message whose call it answers, else itself), segment_id (the context that wrote it), created_at,
        name, parts, provider, in_view (whether a model would see it, in its own words or shortened),
        external_id, occurred_at.

        Parameters
        ----------
        context_id : the context.
        version : the version that the message took.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError no message has this version, ContextClosedError.

        Cost: O(log n).
        """
        return (await self._run(statements.GET_MESSAGE, (context_id, version)))[0]

    async def key_result(self, context_id: ContextId, idempotency_key: str) -> KeyResultRow | None:
        """Returns what an idempotency key of a context has done, without doing it.

        A caller whose attempt was cut off asks before it pays a model again. A call that is not
        committed yet has done nothing.

        Returns one row, or none where the key is free: function_name (append, for append_message, too;
        append_record, merge, rewind, fork), result, created_at, rewound_by (the rewind that took the
        result back, or null: the same request again with the key is KC021). The result of append and
        merge is an object with the arrays versions and is_new, that of append_record and rewind a
        version, that of fork the id of the new context.

        Parameters
        ----------
        context_id : the context that the call was about; of kata.fork the parent, of kata.merge the
            target.
        idempotency_key : of a call of the last seven days.

        Raises
        ------
        ContextNotFoundError, ContextClosedError deleted.

        Cost: O(1).
        """
        return next(iter(await self._run(statements.KEY_RESULT, (context_id, idempotency_key))), None)

    async def messages(
        self,
        context_id: ContextId,
        after: int | None = None,
        *,
        max_rows: int = 100,
        descending: bool = False,
        visibility: Visibility = "effective",
        at: Version | None = None,
    ) -> list[MessageRow]:
        """Lists the messages of a context, in pages.

        Returns message rows, as get_message. Under raw and all, in_view is false of what a deletion, a
        rewind or a compaction has taken from the model.

        Parameters
        ----------
        context_id : the context.
        after : the last position (or version, under raw and all) of the page before; null for the first
            page.
        max_rows : 1 to 1,000.
        descending : newest first.
        visibility : effective (the view: what a model would see, in reading order), raw (every message
            except deleted and rewound ones, by version), all (every message, by version).
        at : as of this version; null for now. Pages under a fixed `at` are exact whatever is appended
            meanwhile.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError.

        Cost: O(log n + rows + fork depth).
        """
        return await self._run(statements.MESSAGES, (context_id, after, max_rows, descending, visibility, at))

    async def records(
        self,
        context_id: ContextId,
        kind: str | None = None,
        *,
        after: int | None = None,
        max_rows: int = 100,
        at: Version | None = None,
    ) -> list[RecordRow]:
        """Lists the records of a context, oldest first, inherited ones included.

        Those that are rewound are left out.

        Returns rows: version, kind, data (null after an erasure), external_id, created_at.

        Parameters
        ----------
        context_id : the context.
        kind : only records of this kind; null for all.
        after : the last version of the previous page; null for the first.
        max_rows : 1 to 1,000.
        at : as of this version; null for now.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError.

        Cost: O(log n + rows + rewound ranges + fork depth).
        """
        return await self._run(statements.RECORDS, (context_id, kind, after, max_rows, at))

    async def usage(self, context_id: ContextId, at: Version | None = None) -> UsageRow:
        """Returns the size of a context in messages and tokens.

        Returns one row: version, message_count and raw_tokens (all messages of the path; inherited,
        deleted and erased ones included, replacements not), view_tokens (the messages that a model
        would see), tools_tokens (of the tools that kata.set_tools has set).

        Parameters
        ----------
        context_id : the context.
        at : as of this version; null for now.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError.

        Cost: O(log n).
        """
        return (await self._run(statements.USAGE, (context_id, at)))[0]

    async def explain_window(
        self,
        context_id: ContextId,
        budget: int | None = None,
        at: Version | None = None,
        *,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        format: Format | None = None,
        max_rows: int = 100,
        after: int | None = None,
    ) -> list[ExplainWindowRow]:
        """Lists the messages of a path, newest first, each with why a window has it or leaves it out.

        Returns rows: version, role, token_count (as the window counts it; of rows that it does not
        show, in the context's tokenizer), reason, shown, running_tokens (null where not shown). Reasons
        of what is shown are those of kata.window. Of the others: budget (it is in the view and does not
        fit), covered (a compaction took it), deleted, rewound. In total a window leaves out view_tokens
        of kata.usage less its last running_tokens.

        Parameters
        ----------
        context_id, budget, at, stable_step, tokenizer, recall, recall_budget, reserve, format : as
            kata.window.
        max_rows : 1 to 1,000 rows.
        after : the last version seen, to go on below it; null for the first page. Pages are exact under
            a fixed `at`.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError.

        Cost: O(log n + rows of the window + max_rows).
        """
        return await self._run(
            statements.EXPLAIN_WINDOW,
            (
                context_id,
                budget,
                at,
                stable_step,
                tokenizer,
                recall,
                recall_budget,
                reserve,
                format,
                max_rows,
                after,
            ),
        )

    @overload
    async def prompt(
        self,
        context_id: ContextId,
        budget: int | None = None,
        format: Literal["openai"] = "openai",
        *,
        at: Version | None = None,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        system: str = "wrapped",
        thinking: str | None = None,
        renderer: int | None = None,
    ) -> list[OpenAIMessage]: ...

    @overload
    async def prompt(
        self,
        context_id: ContextId,
        budget: int | None,
        format: Literal["responses"],
        *,
        at: Version | None = None,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        system: str = "wrapped",
        thinking: str | None = None,
        renderer: int | None = None,
    ) -> ResponsesPrompt: ...

    @overload
    async def prompt(
        self,
        context_id: ContextId,
        budget: int | None,
        format: Literal["anthropic"],
        *,
        at: Version | None = None,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        system: str = "wrapped",
        thinking: str | None = None,
        renderer: int | None = None,
    ) -> AnthropicPrompt: ...

    @overload
    async def prompt(
        self,
        context_id: ContextId,
        budget: int | None,
        format: Literal["gemini"],
        *,
        at: Version | None = None,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        system: str = "wrapped",
        thinking: str | None = None,
        renderer: int | None = None,
    ) -> GeminiPrompt: ...

    @overload
    async def prompt(
        self,
        context_id: ContextId,
        budget: int | None = None,
        format: Format = "openai",
        *,
        at: Version | None = None,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        system: str = "wrapped",
        thinking: str | None = None,
        renderer: int | None = None,
    ) -> list[OpenAIMessage] | ResponsesPrompt | AnthropicPrompt | GeminiPrompt: ...

    async def prompt(
        self,
        context_id: ContextId,
        budget: int | None = None,
        format: Format = "openai",
        *,
        at: Version | None = None,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        system: str = "wrapped",
        thinking: str | None = None,
        renderer: int | None = None,
    ) -> list[OpenAIMessage] | ResponsesPrompt | AnthropicPrompt | GeminiPrompt:
        """The window as one JSON document in the chat form of a provider, ready to send.

        Recalled messages are one message of the user, in <recalled> tags, with version, role, name and
        time of each. `&`, `<` and quotation marks in them are escaped. The messages before it are the
        same with any recall and the same recall_budget.

        Results follow their call directly. A call without result, outside the last group, is closed
        with "[no result]". A result whose call is not in the log (policy strict false) becomes a
        message of the user. A call id that comes twice, and an id or a name that the form does not
        take, is rewritten. Blank text is left out; fields that the form does not know are, too. Parts
        of another form are translated, or dropped if they are thinking.

        Returns jsonb.

        Parameters
        ----------
        context_id, budget (tokens), at, stable_step, tokenizer, recall, recall_budget, reserve : as for
            window. The budget holds the additions of the form, too, so a prompt may have fewer messages
            than the window.
        format : openai (an array of messages), responses (an object with instructions, the system
            messages of the preamble or null, and input, an array of items), anthropic (an object with
            system and messages) or gemini (an object with contents, and with systemInstruction where
            there is a preamble). In the last two, roles alternate from user on, and system and
            developer messages after the preamble are text of the user's turn, in <system_message> tags;
            such tags in the text of a user or a tool are escaped as <\\system_message>.
        system : how system messages after the preamble go out: wrapped, as above; native, as turns of
            the role system in the Anthropic form, which newer models take; joined, neighbors as one
            message in the forms of OpenAI, for servers that take one only.
        thinking : which thinking of earlier answers goes out: assume or null, in the Anthropic form
            that of the open tool turn, in the others what came in them; keep, also that of finished
            turns; drop, none.
        renderer : the number of the renderer, which makes the same bytes of the same window in every
            release; null for the newest.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError,
            BudgetTooSmallError the budget is too small for the messages that always come (DETAIL has
            the least sufficient one, the reserve included), UntranslatableError a part cannot be
            translated into the form (DETAIL names its version and type).

        Cost: as window.
        """
        return (
            await self._run(
                statements.PROMPT,
                (
                    context_id,
                    budget,
                    format,
                    at,
                    stable_step,
                    tokenizer,
                    recall,
                    recall_budget,
                    reserve,
                    system,
                    thinking,
                    renderer,
                ),
            )
        )[0]

    async def window(
        self,
        context_id: ContextId,
        budget: int | None = None,
        at: Version | None = None,
        *,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        format: Format | None = None,
    ) -> list[WindowRow]:
        """The messages that a model should see within a token budget, in reading order.

        The newest group (an assistant message with tool calls and their results; any other message
        alone), the preamble (system and developer messages before the first of another role) and the
        pins always come; if they alone exceed the budget, nothing else comes, and every row is
        over_budget. Then the user's last request (the newest visible message of role user), if it fits.
        Then summaries, newest first, those that fit, each at its position. Then whole groups, newest
        first, until one does not fit; the messages that a left-out summary covers are among them. An
        elided message comes as its stub.

        Recalled messages come as one block directly before the user's last request, or before the rest
        where that is not shown. They come by whole groups, in their own words where a summary covers
        them; a group that does not fit is left out, and a long result of a tool is cut (kind stub).
        Messages that the window shows anyway, deleted, rewound and erased ones, summaries and records
        are left out. Their budget gives way to what always comes, the request and the summaries.
        token_count includes what prompt adds around them.

        Returns: ordinal from 1, version, position, role, content, token_count, running_tokens, reason
        (preamble, pinned, newest, request, recalled, summary, covered, recent; the first that holds),
        over_budget, tool_call_id, tool_name, tool_calls, model, metadata, created_at, kind (message,
        summary, stub), name, parts, provider, group_version (the message whose call it answers, else
        itself).

        Parameters
        ----------
        context_id : the context.
        budget : the most tokens that the messages may take together, positive; null for the budget of
            the policy, which compaction keeps.
        at : as of this version; null for now.
        stable_step : tokens for which the start of the window stays still, so that a provider's prompt
            cache is hit; 0 for none; smaller than the budget. If the rows that always come leave no
            room for a step, the window starts as without one.
        tokenizer : count in this one instead of the context's, with stored counts, or else a padded
            conversion.
        recall : at most 10,000 versions whose messages come whatever else fits, best first, for example
            those that kata.recall returns.
        recall_budget : tokens of the budget to keep for them, used or not; null for an eighth of the
            budget, at most 2,000, where recall is given.
        reserve : tokens of the budget to keep for the answer and the tools; from 0 to below the budget.
        format : select as prompt does in this form (openai, responses, anthropic, gemini), whose
            additions take part of the budget; null counts messages only.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError `at` or a version to recall is not on the path,
            ContextClosedError, InvalidArgumentError.

        Cost: O(log n + rows + pieces of the view + fork depth), whatever the length of the log and
        `at`; with recall also O(erasures of the path).
        """
        return await self._run(
            statements.WINDOW,
            (context_id, budget, at, stable_step, tokenizer, recall, recall_budget, reserve, format),
        )

    async def complete_request(
        self,
        context_id: ContextId,
        request_id: int,
        usage: Mapping[str, Any] | None = None,
        *,
        error: str | None = None,
    ) -> None:
        """Records the usage of a request, or the error that came instead of an answer.

        kata.append and kata.append_message tie an answer to its request and take usage with it; this is
        for what comes later, or without an answer. Each value is set once: the same again changes
        nothing. A request with an error may still be answered, by a retry of the call for example.

        Parameters
        ----------
        context_id : the context that asked; a fork does not inherit requests.
        request_id : that of kata.request.
        usage : {"input", "cached", "written", "output", "duration_ms"}, each optional, where input
            counts the tokens of a cache, too; or the usage object of OpenAI (chat or Responses),
            Anthropic or Gemini as it came. duration_ms may be added to these.
        error : what came instead of an answer, at most 64 kB; an erasure of an entry that the request
            showed removes it, and none is kept after.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, InvalidArgumentError no such request, or usage in no
            known form, IdempotencyConflictError completed with other values.

        Locks: the head of the context (FOR KEY SHARE), the request.
        Cost: O(log n).
        """
        await self._run(statements.COMPLETE_REQUEST, (context_id, request_id, usage, error))

    async def diff_requests(
        self, context_id: ContextId, a: int, b: int, context_b: ContextId | None = None
    ) -> list[DiffRequestRow]:
        """Compares two recorded requests and names the cause of each difference.

        Returns rows, first those without a version, then by version: change, version, role, cause,
        cause_version, preview (100 characters), token_count (null where there is no version). Changes
        of what stands around the messages: tools, options, prefix (what else stands before the
        messages: format, renderer, model, system). Of a message or summary: added, removed, shortened,
        restored, amended, moved (the same words at another place), thinking (its thinking is in one of
        the two only). cause is the kind of the view change at cause_version (compaction, deletion,
        elision, pin, unpin, undo and so on); append (a message after the other request); budget
        (another budget or step), start (the same budget, and the start moved to cause_version), recall;
        erasure (between the two requests); for tools request (they came with the call); else the option
        or column of the profile. Of thinking it is prefix or, where the messages before differ,
        messages, from cause_version on.

        Parameters
        ----------
        context_id : the context of the first request.
        a : the first request.
        b : the second request.
        context_b : its context, a fork for example; null for the same.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, InvalidArgumentError no such request.

        Cost: O(rows of both × (log n + view changes between them)).
        """
        return await self._run(statements.DIFF_REQUESTS, (context_id, a, b, context_b))

    async def replay(self, context_id: ContextId, request_id: int) -> ReplayRow:
        """Makes the body of a recorded request again, byte for byte.

        Neither changes of the context since then nor other token counts, tokenizers or policies matter.

        Returns one row: body, body_digest (SHA-256 over the salt of the request and the body), is_same
        (whether it is the digest that was recorded; false means that stored data were changed outside
        of the functions).

        Parameters
        ----------
        context_id : the context.
        request_id : the request, as kata.request returned it.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, InvalidArgumentError the context has no such request,
            NotReplayableError an entry in it was erased (DETAIL has its version and the time).

        Cost: as prompt.
        """
        return (await self._run(statements.REPLAY, (context_id, request_id)))[0]

    async def request(
        self,
        context_id: ContextId,
        budget: int | None = None,
        format: Format | None = None,
        *,
        model: str | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        options: Mapping[str, Any] | None = None,
        cache: str | None = None,
        stable_step: int | None = None,
        tokenizer: str | None = None,
        at: Version | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        system: str | None = None,
        thinking: str | None = None,
    ) -> RecordedRequestRow:
        """Builds the body of a call to a model, and records it for kata.replay.

        The body is text, because those bytes are recorded: post it as it is. Tools are text in it, byte
        for byte, because the order of keys in a schema is part of what the model reads.

        Returns one row: request_id (1, 2, 3 … in the context), body, token_count (of messages and
        tools), start_version (everything visible from it on is in the body, beside the preamble), marks
        (the versions up to which a mark of the cache reaches, beside that of the system prompt; null
        for none), notes (an object; thinking_off: the body turns thinking off, because that of the open
        tool turn is not valid any more), body_digest (SHA-256 over a random salt and the body).

        Parameters
        ----------
        context_id : the context.
        budget : the tokens of everything, reserve and tools included; null for the budget of the
            policy.
        format : openai, responses, anthropic or gemini; null for the format of the policy.
        model : the model, which the body names except in the Gemini form, where the URL does; null for
            the model of the policy.
        tools : the tools as the provider takes them, a JSON array of objects, at most 1 MB; null for
            those of kata.set_tools, empty for none.
        options : further keys of the body, a JSON object, for example {"max_tokens": 1000,
            "temperature": 0}; null for none. They go out as they are given, in their order. Give
            settings, not what changes from call to call: each new value is one more row that stays.
        cache : the provider whose prompt cache is planned for: anthropic, openai or none; null for the
            cache of the policy. Without a stable_step the body starts where the request before it
            started, while that fits. It leaps where it does not fit or the cache has expired, to a rest
            of keep_tokens of the policy. In the Anthropic form anthropic sets at most three marks of 5
            minutes and leaves one to the caller.
        stable_step (null for 0), tokenizer, at, recall, recall_budget, system (null for wrapped) : as
            for prompt.
        thinking : which thinking of earlier answers goes out. In the Anthropic form null sends what is
            valid: signed blocks of answers that were tied to their request and have before them, byte
            by byte, what that request had. Of answers without a request it sends the open tool turn
            only; assume takes them to have seen the whole view, which a provider may refuse; keep sends
            all, drop none. In the other forms as for prompt.
        reserve : tokens of the budget to keep for the answer. In the Anthropic form they are its
            max_tokens where options have none.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError an argument
            is out of range, the context has nothing to show, the model or max_tokens is missing, or
            options have a key that the function writes, BudgetTooSmallError the budget is too small
            (DETAIL has the least sufficient one), UntranslatableError as for prompt.

        Locks: shares the fork family; a second request of the context waits for the first to commit, so
            call it before an append in a transaction, or in one of its own.
        Cost: as prompt, and one row of some 250 bytes.
        """
        return (
            await self._run(
                statements.REQUEST,
                (
                    context_id,
                    budget,
                    format,
                    model,
                    tools,
                    options,
                    cache,
                    stable_step,
                    tokenizer,
                    at,
                    recall,
                    recall_budget,
                    reserve,
                    system,
                    thinking,
                ),
            )
        )[0]

    async def request_rows(self, context_id: ContextId, request_id: int) -> list[ShownMessageRow]:
        """Lists the messages and summaries that a recorded request showed, in reading order.

        Returns rows: ordinal from 1, version, position, role, content (empty if it was erased since),
        reason (preamble, summary, recalled, or recent for all else), display (whole, stub if it was
        shortened, amended, or without thinking), tool_call_id, tool_name, tool_calls, model, metadata,
        created_at, kind (message, summary, stub, amended), name, parts, provider, group_version. There
        are no counts, because a recipe has none.

        Parameters
        ----------
        context_id : the context.
        request_id : the request.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, InvalidArgumentError the context has no such request.

        Cost: O(log n + rows).
        """
        return await self._run(statements.REQUEST_ROWS, (context_id, request_id))

    async def requests(
        self,
        context_id: ContextId,
        before: int | None = None,
        *,
        max_rows: int = 50,
        showing: int | None = None,
    ) -> list[RequestRow]:
        """Lists the requests of a context, newest first: what was asked, what came, what it cost.

        Returns rows: request_id, at (the version as of which it shows the context), created_at, format,
        model, budget, token_count (as counted then), message_count, start_version, answer_version (null
        without an answer), input_tokens, cached_tokens, written_tokens, output_tokens and duration_ms
        (as the caller reported them; null if not), error (what came instead of an answer).

        Parameters
        ----------
        context_id : the context. A fork begins its own list.
        before : only requests below this number, to go on from the last one seen; null for the newest.
        max_rows : 1 to 1,000 rows.
        showing : only requests whose body showed this version, a message or a summary; null for all.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError.

        Cost: O(log n + rows); with showing O(requests) at most.
        """
        return await self._run(statements.REQUESTS, (context_id, before, max_rows, showing))

    async def ancestry(self, context_id: ContextId) -> list[AncestryRow]:
        """The ancestors of a context, from its parent to the root; deleted and purged ones too.

        Returns rows: context_id, name, fork_version (at which the ancestor itself was forked; null for
        the root), depth (0 for the root), deleted_at, purged_at.

        Parameters
        ----------
        context_id : the context; it may be deleted.

        Raises
        ------
        ContextNotFoundError.

        Cost: O(fork depth).
        """
        return await self._run(statements.ANCESTRY, (context_id,))

    async def common_ancestor(self, context_a: ContextId, context_b: ContextId) -> CommonAncestorRow:
        """The last entry that two contexts share.

        Returns one row: segment_id (the context that wrote the entry) and version; null and 0 if they
        share nothing.

        Parameters
        ----------
        context_a, context_b : the contexts.

        Raises
        ------
        ContextNotFoundError, ContextClosedError.

        Cost: O(fork depth), whatever the length of the logs.
        """
        return (await self._run(statements.COMMON_ANCESTOR, (context_a, context_b)))[0]

    async def diff(self, context_a: ContextId, context_b: ContextId) -> list[DiffRow]:
        """The entries of two contexts after their common ancestor.

        The entries of the first context come first, those of the second after them, each by version.

        Returns rows: side (a or b), version, role, kind (as in kata.history), preview (100 characters),
        token_count, created_at.

        Parameters
        ----------
        context_a, context_b : the contexts.

        Raises
        ------
        ContextNotFoundError, ContextClosedError.

        Cost: O(fork depth + rows), whatever the length of the shared history.
        """
        return await self._run(statements.DIFF, (context_a, context_b))

    async def fork(
        self,
        context_id: ContextId,
        at: Version | None = None,
        *,
        name: str | None = None,
        policy: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> UUID:
        """Forks a context: creates one that shares its history up to a version.

        Both continue independently: the next entry of each takes the version after it. Calls that are
        open at the version are open in the fork.

        Returns the id of the fork. It belongs to the parent's tenant, and has its tokenizer and bucket.

        Parameters
        ----------
        context_id : the parent; it may be archived.
        at : the version to fork at, 0 for an empty fork; null for the newest.
        name : 1 to 255 characters, unique among the tenant's live contexts; null for none.
        policy : a patch of the parent's policy; a null in it resets a field to the default.
        metadata : an object of at most 64 kB; null for an empty one.
        idempotency_key : 1 to 255 characters; the same request again within seven days returns the
            first result.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError deleted, NameTakenError name
            taken, ForkTooDeepError too deep for max_fork_depth of the parent's policy,
            InvalidPolicyError invalid policy, InvalidArgumentError, IdempotencyConflictError.

        Locks: the head of the parent (FOR KEY SHARE): neither fork nor append waits for the other.
        Cost: O(fork depth + open calls), whatever the length of the log; if a call is open at the
            version, O(messages from its group, or from the newest one back, whichever is nearer).
        """
        return (await self._run(statements.FORK, (context_id, at, name, policy, metadata, idempotency_key)))[
            0
        ]

    async def forks(self, context_id: ContextId) -> list[ForkRow]:
        """The direct forks of a context, deleted ones too.

        They are ordered by fork version, then oldest first.

        Returns rows: context_id, name, fork_version, version, created_at, deleted_at.

        Parameters
        ----------
        context_id : the parent.

        Raises
        ------
        ContextNotFoundError, ContextClosedError.

        Cost: O(forks).
        """
        return await self._run(statements.FORKS, (context_id,))

    async def merge(
        self,
        target: ContextId,
        source: ContextId,
        versions: Versions | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> list[AppendedRow]:
        """Appends messages of one context to another, as one batch.

        These are the messages of the source after the common ancestor, in whole groups, in order.
        Deleted and rewound messages and summaries are left out, and so are messages that the target
        already has, from its history or an earlier merge; a copy that it has rewound is copied again.
        Results of calls that were made before the common ancestor are left out, too: the target has
        answered these calls itself.

        A copy has the words in force. It keeps its external id where no entry of the target's line has
        it, else it has none. Token counts are kept if both contexts count in one tokenizer; else stored
        counts are used, or new estimates.

        Returns one row per message, as append; none if there is nothing to merge.

        Parameters
        ----------
        target : the context to append to.
        source : the context to copy from; it may be archived.
        versions : the messages of the source to copy, at most 10,000 with their groups, which come as a
            whole; a range that is open at an end begins at the first version, or ends at the newest;
            null for all after the common ancestor.
        idempotency_key : 1 to 255 characters; the same request again within seven days returns the
            first result.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, InvalidMessageError over 10,000 messages,
            OrphanToolResultError the target, or a group of the choice, has open calls,
            ContextClosedError, InvalidArgumentError, IdempotencyConflictError, SupersededError what the
            key has done is rewound.

        Locks: the head of the target and that of the source (FOR KEY SHARE), by id ascending, then the
            copied messages and their amendments (FOR KEY SHARE).
        Cost: O(messages after the common ancestor × fork depth).
        """
        return await self._run(statements.MERGE, (target, source, versions, idempotency_key))

    async def tree(self, context_id: ContextId) -> list[TreeRow]:
        """The whole fork family of a context.

        Each parent comes before its forks, forks by fork version, then oldest first.

        Returns rows: context_id, parent_id (null for the root), name, fork_version, depth (0 for the
        root), version, view_tokens (what a model would see), updated_at (last append or change),
        archived_at, deleted_at, purged_at.

        Parameters
        ----------
        context_id : any member of the family; it may be deleted.

        Raises
        ------
        ContextNotFoundError.

        Cost: O(family).
        """
        return await self._run(statements.TREE, (context_id,))

    async def acts(
        self, context_id: ContextId, after: int | None = None, *, max_rows: int = 100
    ) -> list[ActRow]:
        """Lists the acts of a context, the changes that take no version of its log, oldest first.

        Acts are its creation, a new name or policy, a checkpoint made or dropped, the end of a
        compaction, archiving, deletion and their reversal, erasure and purge. Metadata are not among
        them. Each act continues a chain of digests; docs/concepts.md describes the form.

        Returns rows: number, kind (create, fork, rename, policy, checkpoint, drop, compaction, archive,
        unarchive, delete, restore, erase, purge), acted_at, acted_by (the role), facts (what a removal
        leaves), content (names, policies, notes, reasons; null for none, and where an erasure or a
        purge removed them), digest, frame (what the digest covers beside the content), content_digest
        (null for an act that never had content), salt (of the content; null without).

        Parameters
        ----------
        context_id : the context, deleted or purged ones too.
        after : the last number of the previous page; null for the first.
        max_rows : 1 to 1,000.

        Raises
        ------
        ContextNotFoundError, InvalidArgumentError.

        Cost: O(log n + rows).
        """
        return await self._run(statements.ACTS, (context_id, after, max_rows))

    async def checkpoint(
        self, context_id: ContextId, name: str, at: Version | None = None, *, note: str | None = None
    ) -> int:
        """Names a version of a context, for use in selectors.

        Returns the version.

        Parameters
        ----------
        context_id : the context.
        name : 1 to 255 characters, unique among the context's own checkpoints; it may hide a checkpoint
            of an ancestor. A name that reads as a version, as head or as a timestamp is refused.
        at : the version, 0 included; null for the newest.
        note : stored as given.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, CheckpointError the context has
            a checkpoint of this name, InvalidArgumentError.

        Locks: the head of the context.
        Cost: O(log checkpoints).
        """
        return (await self._run(statements.CHECKPOINT, (context_id, name, at, note)))[0]

    async def checkpoints(self, context_id: ContextId) -> list[CheckpointRow]:
        """The checkpoints of a context, its own and inherited ones.

        They are ordered by version. A checkpoint of an ancestor is listed if it lies before the fork
        and no nearer one of the same name hides it.

        Returns rows: name, version, note, created_at.

        Parameters
        ----------
        context_id : the context.

        Raises
        ------
        ContextNotFoundError, ContextClosedError.

        Cost: O(checkpoints × fork depth).
        """
        return await self._run(statements.CHECKPOINTS, (context_id,))

    async def diff_versions(
        self, context_id: ContextId, from_version: Version, to_version: Version
    ) -> list[DiffVersionRow]:
        """The changes from the view of a context at one version to the view at another.

        Returns rows by version: change (added, removed, shortened, amended, restored: whole, or in its
        own words, again), version, role, kind, preview (100 characters), token_count.

        Parameters
        ----------
        context_id : the context.
        from_version, to_version : in any order; null for now.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError.

        Cost: O(log n + rows + fork depth).
        """
        return await self._run(statements.DIFF_VERSIONS, (context_id, from_version, to_version))

    async def drop_checkpoint(self, context_id: ContextId, name: str) -> None:
        """Drops a checkpoint of a context.

        Its version stays, and a checkpoint of an ancestor that it hid is visible again.

        Parameters
        ----------
        context_id : the context.
        name : one of its own checkpoints.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, CheckpointError unknown, or an ancestor's.

        Locks: the head of the context.
        Cost: O(log checkpoints).
        """
        await self._run(statements.DROP_CHECKPOINT, (context_id, name))

    async def entry_digests(
        self,
        context_id: ContextId,
        after: int | None = None,
        *,
        max_rows: int = 100,
        at: Version | None = None,
    ) -> list[EntryDigestRow]:
        """Lists what the digests of a context are made of, oldest entry first, inherited entries included.

        With the texts that kata.messages, kata.get_message and kata.records return, a program with
        SHA-256 recomputes every digest. docs/concepts.md describes the form.

        Returns rows: version, kind (message, or that of the view change), digest, frame (what the
        digest covers beside the content), content_digest (null where the entry has no text of its own),
        salt (of the text; null after an erasure), stub_salts (of an elision: for each stub in the frame
        its salt, null after an erasure; else null).

        Parameters
        ----------
        context_id : the context.
        after : the last version of the previous page; null for the first.
        max_rows : 1 to 1,000.
        at : as of this version; null for now.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError.

        Cost: O(log n + bytes of the entries + fork depth).
        """
        return await self._run(statements.ENTRY_DIGESTS, (context_id, after, max_rows, at))

    async def history(
        self, context_id: ContextId, before: int | None = None, *, max_rows: int = 50
    ) -> list[HistoryRow]:
        """A page of the entries of a context, newest first, inherited ones included.

        Returns rows: version, kind (message, compaction, elision, deletion, pin, unpin, undo, rewind,
        record, amendment, tools), role, preview (100 characters), token_count (of the entry),
        view_tokens (of what a model would see as of the entry), checkpoints (the names of the version),
        created_at, rewound_by (the rewind that hides the entry, or null).

        Parameters
        ----------
        context_id : the context.
        before : the last version of the previous page; null for the newest.
        max_rows : 1 to 1,000.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, InvalidArgumentError.

        Cost: O(log n + rows + checkpoints of the page + fork depth + later rewinds that adjoin those of
        the page).
        """
        return await self._run(statements.HISTORY, (context_id, before, max_rows))

    async def resolve_version(self, context_id: ContextId, selector: str) -> int:
        """The version that a selector resolves to.

        Returns the version.

        Parameters
        ----------
        context_id : the context.
        selector : a version (42), head, head~3 (three versions before the newest), the name of a
            checkpoint (of the context, or of an ancestor at or before the fork; the nearest counts), or
            an ISO 8601 timestamp: the last version that was created at that time or before, 0 if there
            is none. A timestamp without offset is in the time zone of the session, a date is its
            midnight. A timestamp before the newest entry always resolves to the same version.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, CheckpointError no checkpoint
            has this name, InvalidArgumentError.

        Cost: O(log n + fork depth).
        """
        return (await self._run(statements.RESOLVE_VERSION, (context_id, selector)))[0]

    async def state_at(
        self,
        context_id: ContextId,
        at: Version | None = None,
        *,
        visibility: Visibility = "effective",
        after: int | None = None,
        max_rows: int | None = None,
    ) -> list[MessageRow]:
        """Lists the messages of a context as of a version.

        Returns message rows, as get_message.

        Parameters
        ----------
        context_id : the context.
        at : as of this version; null for now.
        visibility : effective (the view: what a model would have seen, in reading order), raw (every
            message except deleted and rewound ones, by version), all (everything, by version).
        after : the last position (or version, under raw and all) of the page before; null for the first
            page.
        max_rows : 1 to 1,000; null for all.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError.

        Cost: O(log n + rows + fork depth), whatever `at` is.
        """
        return await self._run(statements.STATE_AT, (context_id, at, visibility, after, max_rows))

    async def amend(
        self,
        context_id: ContextId,
        version: Version,
        message: Mapping[str, Any],
        expected_version: int | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> int:
        """Shows other words for a message, in its place.

        The log keeps the first words: kata.get_message and the lists raw and all return them, kata.undo
        brings them back. Windows, prompts, the list effective, digests, searches and merges have the
        new words. Forks made before keep the old ones. A late or final result of a tool is recorded so;
        a summary can be amended, too. To take a message out, use kata.delete_messages; to remove text
        permanently, kata.erase_message.

        Returns the version that the amendment took. It conflicts with expected_version of others,
        except where it is of a system or developer message. A summary that covers the message may still
        repeat its old words.

        Parameters
        ----------
        context_id : the context.
        version : of a message or a summary, not deleted; covered, shortened and erased ones may be
            amended.
        message : an object with any of content, parts, tool_calls, provider, name, metadata,
            token_count; a key that is absent stays as it is shown now, and null removes it. Role,
            tool_call_id, and ids and names of calls stay; the message is never blank. A summary takes
            content, metadata and token_count. A token_count that is absent is estimated where the words
            change.
        expected_version : a version since which no message may have been appended, deleted, amended or
            rewound.
        idempotency_key : 1 to 255 characters; the same request again within seven days returns the
            first result.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError no message or summary has this version,
            VersionConflictError version conflict, InvalidMessageError the message is invalid,
            ContextClosedError, InvalidArgumentError deleted, or too many pieces,
            IdempotencyConflictError, SupersededError what the key has done is rewound.

        Locks: the head of the context, then the message and the amendment in force (FOR KEY SHARE).
        Cost: O(size + pieces of the view + fork depth).
        """
        return (
            await self._run(
                statements.AMEND, (context_id, version, message, expected_version, idempotency_key)
            )
        )[0]

    async def delete_messages(
        self, context_id: ContextId, first_version: Version, last_version: Version | None = None
    ) -> int:
        """Deletes messages from the view of a context.

        Neither a model nor the list raw shows them any more, here and in later forks; other contexts
        are not affected. They keep their versions, count in raw_tokens, and kata.undo brings them back.
        To remove text permanently, use kata.erase_message.

        Returns the version that the deletion took.

        Parameters
        ----------
        context_id : the context.
        first_version, last_version : the range of versions, widened to whole tool groups; last_version
            null: just the first. A summary in the range leaves the view, too; the messages that it
            covers stay covered.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, OrphanToolResultError a call in the range is open,
            ContextClosedError, InvalidArgumentError nothing would change, or the view would fall into
            too many pieces.

        Locks: the head of the context.
        Cost: O(messages in the range).
        """
        return (await self._run(statements.DELETE_MESSAGES, (context_id, first_version, last_version)))[0]

    async def elide(
        self,
        context_id: ContextId,
        first_version: Version,
        last_version: Version | None = None,
        *,
        keep_tokens: int = 100,
    ) -> int:
        """Shortens the tool results of a range in the view.

        Each is shown as its beginning and a note where the whole is. Pinned results stay whole.

        Returns the version that the elision took. kata.get_message returns the whole result by its
        version.

        Parameters
        ----------
        context_id : the context.
        first_version, last_version : the range of versions; last_version null: just the first.
        keep_tokens : results longer than this are shortened to about this many tokens.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError nothing
            would change, or too many elisions are in force: shorten more at once, or compact.

        Locks: the head of the context.
        Cost: O(messages in the range).
        """
        return (await self._run(statements.ELIDE, (context_id, first_version, last_version, keep_tokens)))[0]

    async def get_tools(self, context_id: ContextId, at: Version | None = None) -> ToolRow:
        """Returns the list of tools in force in a context.

        Returns one row: tools (as it was given, byte for byte; null for none), version (since which it
        is in force; 0 where none was ever set), digest (SHA-256 of the text), token_count (in the
        context's tokenizer).

        Parameters
        ----------
        context_id : the context.
        at : as of this version; null for now.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError.

        Cost: O(log n + length).
        """
        return (await self._run(statements.GET_TOOLS, (context_id, at)))[0]

    async def pin(self, context_id: ContextId, version: Version) -> int:
        """Pins a message with its tool group.

        The group comes in every window and is never compacted; a deleted message cannot be pinned. A
        compacted one comes back into the view at its own position, and what an elision has shortened of
        it comes back shortened.

        Returns the version that the pin took.

        Parameters
        ----------
        context_id : the context.
        version : that of the message.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError no message has this version, ContextClosedError,
            InvalidArgumentError pinned already, deleted, or too many pieces.

        Locks: the head of the context.
        Cost: O(log n + pins + pieces of the view).
        """
        return (await self._run(statements.PIN, (context_id, version)))[0]

    async def rewind(
        self,
        context_id: ContextId,
        to_version: Version,
        expected_version: int | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> int:
        """Goes back to the state of an earlier version.

        A model sees again exactly what it saw then: messages, summaries, pins, elisions and deletions
        are those of that version, and calls that were open then are open. Later entries are rewound:
        hidden, and not destroyed. kata.get_message reads them, the list all and kata.history name them,
        and a rewind to one of their versions brings them back. To remove text permanently, use
        kata.erase_message; to continue from a version and keep the present, use kata.fork.

        Returns the version that the rewind took. kata.undo takes it back while it is the newest entry.

        Parameters
        ----------
        context_id : the context.
        to_version : any version below the newest, 0 for the empty context; one that is rewound goes
            forward again.
        expected_version : a version since which no message may have been appended, deleted, amended or
            rewound.
        idempotency_key : 1 to 255 characters; the same request again within seven days returns the
            first result.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, VersionConflictError version conflict,
            ContextClosedError, InvalidArgumentError the context is at this version,
            IdempotencyConflictError, SupersededError what the key has done is rewound.

        Locks: the head of the context.
        Cost: O(log n + pieces of the view); if a call was open at the version, as kata.fork.
        """
        return (
            await self._run(statements.REWIND, (context_id, to_version, expected_version, idempotency_key))
        )[0]

    async def set_tools(
        self,
        context_id: ContextId,
        tools: Sequence[Mapping[str, Any]] | None,
        token_count: int | None = None,
        *,
        expected_version: int | None = None,
    ) -> int:
        """Sets the list of tools that a model may call in a context.

        kata.request sends it, and kata.get_tools returns it, byte for byte. Forks inherit it, kata.undo
        brings the earlier list back, and a change of it does not conflict with expected_version of
        others. It breaks the prompt cache and the thinking of a provider from the first byte on.

        Returns the version since which the list is in force: of this change, or of the earlier one that
        set the same list with the same count, or with any where none is given; 0 where none was ever
        set.

        Parameters
        ----------
        context_id : the context.
        tools : a JSON array of objects, as the provider takes them, at most 1 MB; null or empty for
            none.
        token_count : its tokens in the context's tokenizer; estimated when null. They come off the
            budget of a request, and compaction is due that much earlier.
        expected_version : a version since which no message may have been appended, deleted or amended.

        Raises
        ------
        ContextNotFoundError, VersionConflictError version conflict, ContextClosedError,
            InvalidArgumentError tools is not an array of objects, or too long, or token_count is
            negative.

        Locks: the head of the context.
        Cost: O(length + pieces of the view).
        """
        return (await self._run(statements.SET_TOOLS, (context_id, tools, token_count, expected_version)))[0]

    async def undo(self, context_id: ContextId, version: Version) -> int:
        """Undoes the view change at a version.

        Messages that it covered, deleted, shortened or amended come back, except those deleted since.
        The undo takes a version itself, and undoing it is redo. The views of past versions stay as they
        are. A rewind is undone only while it is the newest entry.

        Returns the version that the undo took.

        Parameters
        ----------
        context_id : the context; a change that a fork inherited is undone in the fork only.
        version : that of the view change.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, InvalidArgumentError not a view change, undone
            already, or rewound, SupersededError a later compaction in force covers a message that the
            undo would bring back, take away or reword, a later elision is made of the amended words
            (DETAIL names it), or a rewind that is not the newest entry.

        Locks: the head of the context.
        Cost: O(view changes since the oldest one that is undone + messages that come or go).
        """
        return (await self._run(statements.UNDO, (context_id, version)))[0]

    async def unpin(self, context_id: ContextId, version: Version) -> int:
        """Unpins a message and its tool group.

        The group stays in the view until a compaction covers it.

        Returns the version that the change took.

        Parameters
        ----------
        context_id : the context.
        version : that of the message.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError no message has this version, ContextClosedError,
            InvalidArgumentError not pinned.

        Locks: the head of the context.
        Cost: O(log n + pins + pieces of the view).
        """
        return (await self._run(statements.UNPIN, (context_id, version)))[0]

    async def abort_compaction(self, compaction_id: UUID | str, reason: str | None = None) -> None:
        """Gives up a compaction that was begun: nothing is covered.

        Aborting it again changes nothing.

        Parameters
        ----------
        compaction_id : as begin_compaction returned it.
        reason : what failed. The attempt then counts as a failure, and after max_failures failures in a
            row the context is no longer due; a digest that gains nothing is not tried again before the
            view has grown by min_gain_tokens. Null: not a failure; a worker stops, for example.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, StaleCompactionError it was committed.

        Locks: the head of the context, then the compaction.
        Cost: O(1); of a digest that failed O(covered).
        """
        await self._run(statements.ABORT_COMPACTION, (compaction_id, reason))

    async def begin_compaction(
        self,
        context_id: ContextId,
        strategy: str | None = None,
        *,
        claimed_by: str | None = None,
        lease_seconds: int = 300,
        force: bool = False,
    ) -> CompactionLeaseRow:
        """Begins a compaction: takes the lease on a context and fixes which messages are covered.

        Then read kata.compaction_source, summarize, and call kata.commit_compaction or
        kata.abort_compaction. Messages that are appended meanwhile are not covered. Never covered,
        forced or not: the preamble, the newest preserve_recent_count messages, the last request of the
        user, preserved roles, pins, groups with an open call, and half of any group.

        Returns one row: context_id, compaction_id, covered (versions), message_count (messages
        covered), source_tokens (as they are shown, absorbed summaries included), previous_summary (the
        text of the summaries that it absorbs, to merge into; null: none), lease_expires_at,
        needs_summary (false where the strategy is not summarize: commit_compaction takes null),
        tokenizer (of the context), summary_budget (the tokens that a good summary takes at most: a
        third of source_tokens, and a tenth of the budget of the policy; commit_compaction insists only
        that the view shrinks).

        Parameters
        ----------
        context_id : the context.
        strategy : summarize, digest, elide or drop; null for that of the policy.
        claimed_by : a name of the worker, for people; null for the role.
        lease_seconds : 1 to 86,400; after it another worker may take over.
        force : begin although the context is not due.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, CompactionInProgressError another holds the lease,
            NothingToCompactError not due or nothing to cover, InvalidArgumentError.

        Locks: the family against removals, the head of the context; both until the end of the
            transaction. Artifacts are extracted before the head is locked.
        Cost: O(view); extraction O(messages that are new).
        """
        return (
            await self._run(
                statements.BEGIN_COMPACTION, (context_id, strategy, claimed_by, lease_seconds, force)
            )
        )[0]

    async def claim_due_compaction(
        self, claimed_by: str, lease_seconds: int = 300, *, can_summarize: bool = True
    ) -> CompactionLeaseRow | None:
        """Begins the compaction of a context that is due, by its policy; each worker gets another context.

        Under kata.tenant '*' tenants are served in turn, each with the context that has been due
        longest; calls by compaction_id then need no tenant. A call looks at 32 contexts at most. It
        records as failed the attempts that would gain nothing, raise an error or exceed
        statement_timeout, and goes on with the next context.

        Returns one row, or none where nothing was found: context_id, compaction_id, covered,
        message_count, source_tokens, previous_summary, lease_expires_at, needs_summary, tokenizer and
        summary_budget, as begin_compaction.

        Parameters
        ----------
        claimed_by : a name of the worker, for people.
        lease_seconds : 1 to 86,400; after it another worker may take over.
        can_summarize : whether the worker has a model; false leaves alone the contexts whose strategy
            is summarize, which kata.stats counts.

        Raises
        ------
        InvalidArgumentError.

        Locks: the family against removals, the head of the context, and at the end the heads of
            contexts that have nothing to gain, fail or are due later; contexts that are locked or being
            erased are skipped.
        Cost: as begin_compaction, and O(view) for each of the contexts that it records.
        """
        return next(
            iter(
                await self._run(statements.CLAIM_DUE_COMPACTION, (claimed_by, lease_seconds, can_summarize))
            ),
            None,
        )

    async def commit_compaction(
        self,
        compaction_id: UUID | str,
        summary: str | None,
        token_count: int | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> CompactedRow:
        """Commits a compaction: in one step the messages that it covers leave the view and the summary
        enters.

        Committing again with the same summary returns the first result. A lease that ran out does not
        matter unless another worker took over.

        Returns one row: summary_version (the version that the compaction took; of the summary, where
        one entered), covered, message_count, source_tokens (the tokens of the covered messages in the
        view before), result_tokens (the tokens of the summary or the stubs now).

        Parameters
        ----------
        compaction_id : as begin_compaction returned it.
        summary : the text, fewer tokens than it replaces; null for the strategies elide and drop, which
            have none, and for digest, which is made here.
        token_count : of the summary, in the context's tokenizer; estimated when null.
        metadata : an object, kept with the summary.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, StaleCompactionError stale: a covered message has left
            the view, is pinned now, was shortened or erased since, another worker took over, the
            compaction was given up, or it was committed with another summary; NoGainError the summary
            is blank or does not shrink the view, InvalidArgumentError.

        Locks: the head of the context, then the compaction.
        Cost: O(covered + pieces of the view).
        """
        return (
            await self._run(statements.COMMIT_COMPACTION, (compaction_id, summary, token_count, metadata))
        )[0]

    async def compact(
        self, context_id: ContextId, strategy: str = "digest", *, force: bool = False
    ) -> CompactedRow:
        """Compacts a context without a model.

        Returns one row, as commit_compaction: summary_version (the version that it took), covered,
        message_count, source_tokens, result_tokens.

        Parameters
        ----------
        context_id : the context.
        strategy : digest (a text made here replaces the covered messages: the first and the last five
            messages of the user, the artifacts, and counts), elide (tool results over elide_over_tokens
            of the policy are shortened), drop (the old messages leave the view, without a replacement).
        force : compact although the context is not due.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, CompactionInProgressError, NothingToCompactError not
            due or nothing to cover, NoGainError nothing gained, InvalidArgumentError.

        Locks: the head of the context.
        Cost: O(view).
        """
        return (await self._run(statements.COMPACT, (context_id, strategy, force)))[0]

    async def compaction_artifacts(self, compaction_id: UUID | str, max_rows: int = 200) -> list[ArtifactRow]:
        """The artifacts that a summary should name: those of the context as of the last covered version.

        They come last mentioned first. Later mentions stay in the view; kata.artifacts lists all
        artifacts.

        Returns rows as artifacts: kind, ref, detail, first_version, last_version, mentions.

        Parameters
        ----------
        compaction_id : as begin_compaction or claim_due_compaction returned it.
        max_rows : 1 to 1,000.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, InvalidArgumentError.

        Cost: as artifacts; takes no lock.
        """
        return await self._run(statements.COMPACTION_ARTIFACTS, (compaction_id, max_rows))

    async def compaction_source(self, compaction_id: UUID | str) -> list[MessageRow]:
        """The messages that a compaction covers, as the view showed them when the compaction began.

        Shortened messages come in their short form. The summaries that it absorbs are among them;
        previous_summary of begin_compaction has their text, too.

        Returns message rows, as get_message, in reading order.

        Parameters
        ----------
        compaction_id : as begin_compaction or claim_due_compaction returned it.

        Raises
        ------
        ContextNotFoundError, ContextClosedError.

        Cost: O(view); takes no lock.
        """
        return await self._run(statements.COMPACTION_SOURCE, (compaction_id,))

    async def compaction_status(self, context_id: ContextId) -> CompactionStatusRow:
        """Reports whether a context is due for compaction, and how near it is.

        Returns one row: due, reason (why it is due or not, and how near), view_tokens, threshold_tokens
        (below this many tokens of the view it is not due by size: budget · threshold less the tokens of
        the tools; null where the policy is disabled) and budget of the policy, open_calls (how many
        tool calls have no result), in_progress, failures (failed or gainless attempts in a row),
        next_allowed_at (not before then; null: no bar), last_compacted_at, warning (the view has
        reached 80 % of threshold_tokens; it stays true beyond, and is false where the policy is
        disabled).

        Parameters
        ----------
        context_id : the context.

        Raises
        ------
        ContextNotFoundError, ContextClosedError.

        Cost: O(log n).
        """
        return (await self._run(statements.COMPACTION_STATUS, (context_id,)))[0]

    async def compactions(self, context_id: ContextId) -> list[CompactionRow]:
        """The compactions that were begun in a context, newest first; an ancestor lists its own.

        Returns compaction_id, status (running, committed, aborted, failed, expired), strategy, policy
        (in force when it began), covered (versions), summary_version (the version that it took),
        merged_summaries (the summaries that it absorbed), message_count and source_tokens (of the
        covered messages), result_tokens, claimed_by, started_at, finished_at, error.

        Parameters
        ----------
        context_id : the context.

        Raises
        ------
        ContextNotFoundError, ContextClosedError.

        Cost: O(rows).
        """
        return await self._run(statements.COMPACTIONS, (context_id,))

    async def failing_compactions(self, max_rows: int = 100) -> list[FailingCompactionRow]:
        """Lists the contexts whose last compaction failed or gained nothing, those with most failures
        first.

        Under kata.tenant '*' those of all tenants. kata.compactions lists the attempts of one.

        Returns rows: context_id, tenant, name, failures (in a row), error (of the last), attempted_at,
        next_attempt_at (null: not before the view has grown, or the policy is changed).

        Parameters
        ----------
        max_rows : 1 to 1,000.

        Raises
        ------
        InvalidArgumentError.

        Cost: O(failing contexts).
        """
        return await self._run(statements.FAILING_COMPACTIONS, (max_rows,))

    async def get_policy(self, context_id: ContextId) -> Json:
        """The compaction policy of a context, every field resolved.

        Returns an object: enabled; budget (tokens) and threshold (a fraction of it, from which on
        compaction is due); every_messages (due after so many, or null); preserve_recent_count (newest
        messages that are never covered) and preserve_roles; strategy (summarize, digest, elide, drop);
        min_interval_seconds, debounce_seconds, min_gain_tokens, open_call_grace_seconds, max_failures
        (limits on when it is due); summary_role; elide_over_tokens; max_fork_depth; strict; notify;
        search_config (the text search configuration of kata.search); format, model and cache (of
        kata.request; null: none); keep_tokens (that a window keeps where it starts anew, null: half of
        what fits).

        Parameters
        ----------
        context_id : the context.

        Raises
        ------
        ContextNotFoundError, ContextClosedError.

        Cost: O(1).
        """
        return (await self._run(statements.GET_POLICY, (context_id,)))[0]

    async def policy_presets(self) -> list[PolicyPresetRow]:
        """The policy presets that create_context knows.

        Returns name, description, policy (the fields that differ from the defaults).

        Cost: O(1).
        """
        return await self._run(statements.POLICY_PRESETS, ())

    async def renew_compaction(self, compaction_id: UUID | str, lease_seconds: int = 300) -> datetime:
        """Extends the lease of a running compaction, even one that ran out, if no other worker took over.

        Returns when the lease expires.

        Parameters
        ----------
        compaction_id : as begin_compaction returned it.
        lease_seconds : from now, 1 to 86,400.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, StaleCompactionError it is not running any more,
            InvalidArgumentError.

        Locks: the head of the context, then the compaction.
        Cost: O(1).
        """
        return (await self._run(statements.RENEW_COMPACTION, (compaction_id, lease_seconds)))[0]

    async def set_policy(self, context_id: ContextId, policy: Mapping[str, Any]) -> Json:
        """Changes the compaction policy of a context, and resets its failure counter.

        Each change is kept: kata.acts lists it.

        Returns the policy, every field resolved.

        Parameters
        ----------
        context_id : the context.
        policy : a patch, an object of fields as get_policy names them; null resets a field to its
            default.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, InvalidPolicyError unknown field, wrong type or out of
            range.

        Locks: the head of the context.
        Cost: O(1).
        """
        return (await self._run(statements.SET_POLICY, (context_id, policy)))[0]

    async def add_artifact(
        self,
        context_id: ContextId,
        kind: str,
        ref: str,
        detail: Mapping[str, Any] | None = None,
        *,
        version: Version | None = None,
    ) -> None:
        """Adds an artifact to the index of a context, or detail to one.

        A second call for the same version counts once, and the details are merged.

        Parameters
        ----------
        context_id : the context. A fork that reads messages of its own, that version among what it
            inherits, sees the artifact; its ancestors do not.
        kind : any, of 1 to 64 characters; the parser uses tool_call, file, url and id.
        ref : the name of the artifact, 1 to 2,000 bytes.
        detail : an object of at most 64 kB, shown over what the parser found. "access": "modified" of a
            file stays.
        version : the version that it belongs to; null for the newest.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError.

        Locks: the head of the context (FOR KEY SHARE), the row that it writes.
        Cost: O(1).
        """
        await self._run(statements.ADD_ARTIFACT, (context_id, kind, ref, detail, version))

    async def artifacts(
        self, context_id: ContextId, kind: str | None = None, *, at: Version | None = None
    ) -> list[ArtifactRow]:
        """The artifacts that the messages of a context name, compacted or not.

        Returns rows by kind, newest mention first: kind, ref (the tool's name, the path, the URL, the
        identifier), detail, first_version and last_version (that name it), mentions (calls of a tool;
        messages that name anything else; additions). detail of a tool_call: arguments (of the last
        call, the first 200 characters). Of a file: access (the first of modified, read, listed and
        mentioned that ever held: read by a call, a line of a result, or a word of a text), and of its
        last change deleted, renamed_to, renamed_from. Of files in folders of dependencies
        (node_modules, .git) that are only listed or mentioned, the folder. Of an id: key (its name in
        JSON), where it has one. The detail that a caller added comes over it. Of one message at most
        1,000 artifacts of a kind are kept. Messages are parsed when a compaction begins; of those not
        parsed yet, the newest 1,000 are parsed by this call. Messages that are rewound name nothing;
        those that are amended, what the words in force name, under the version of the amendment. URLs
        lose their credentials; keys and tokens that grant access are not listed.

        Parameters
        ----------
        context_id : the context.
        kind : tool_call, file, url, id, or one that a caller added; null for all.
        at : as of this version; null for now.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError.

        Cost: O(log n) per artifact and ancestor, and the length of what is not parsed yet; after a
        rewind or an amendment O(mentions).
        """
        return await self._run(statements.ARTIFACTS, (context_id, kind, at))

    async def put_token_counts(
        self, context_id: ContextId, tokenizer: str, versions: Numbers[int], counts: Numbers[int]
    ) -> int:
        """Stores exact token counts of messages in a tokenizer other than the context's.

        A window in that tokenizer uses them. Counts of inherited messages are shared with the context
        that wrote the messages.

        Returns how many messages have a new count.

        Parameters
        ----------
        context_id : the context.
        tokenizer : a registered one, or a model of one.
        versions, counts : one count per version, at most 10,000; a later one for the same version wins.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError.

        Locks: the head of the context (FOR KEY SHARE).
        Cost: O(versions).
        """
        return (await self._run(statements.PUT_TOKEN_COUNTS, (context_id, tokenizer, versions, counts)))[0]

    async def register_tokenizer(
        self, name: str, bytes_per_token: Decimal | float, margin: Decimal | float = 0.15
    ) -> None:
        """Registers a tokenizer, or corrects one.

        Parameters
        ----------
        name : 1 to 255 characters.
        bytes_per_token : bytes of English text per token, 0.1 to 100.
        margin : the fraction by which a conversion from another tokenizer is padded, 0 to 10.

        Raises
        ------
        InvalidArgumentError.

        Cost: O(1).
        """
        await self._run(statements.REGISTER_TOKENIZER, (name, bytes_per_token, margin))

    async def tokenizers(self) -> list[TokenizerRow]:
        """The registered tokenizers.

        Returns name, bytes_per_token (of English text), margin (the fraction by which a conversion from
        another tokenizer is padded).

        Cost: O(tokenizers).
        """
        return await self._run(statements.TOKENIZERS, ())

    async def erase_message(
        self, context_id: ContextId, version: Version, reason: str
    ) -> list[EraseMessageRow]:
        """Redacts a message permanently, for its context, its forks and the copies that merges have made.

        Content, parts, arguments of calls, name, model, provider fields and metadata are removed, with
        the stubs and artifacts made of them. Version, role, token counts, times, pin, ids of calls, the
        external id, the kind of a record and the digest stay, so no total, group or window changes, and
        kata.verify still verifies the chain. A second erasure changes nothing and keeps the first
        record. An idempotency key whose result names the message answers it to any request from then
        on, for nothing is kept to compare a request with. Of requests that showed the message the salt
        of the body's digest and the error are removed, so that no guess of the text can be confirmed;
        they cannot be replayed (KC023). A running compaction that may repeat the message is ended: its
        commit is refused as stale, and the next one reads the redacted message.

        Returns one row per entry concerned: segment_id (the context that wrote it), version, what:
        message or copy (redacted), original (the message that this one is a copy of: named, not
        redacted), summary (one that may repeat a redacted message, because it covers the message or
        later ones: named, not rewritten).

        Parameters
        ----------
        context_id : a context that reads the message, inherited or its own.
        version : of the message; a summary or the data of a record is erased by its own.
        reason : why, kept with the record; not blank.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError no message has this version, ContextClosedError
            (restore a deleted context first, erase through a fork, or purge it), InvalidArgumentError
            no reason, or the transaction is not at isolation level read committed, BusyError another
            session holds a lock for longer than lock_timeout, or 10 seconds where that is not set, or
            waits for this one in turn.

        Locks: other purges, erasures, new compactions and requests of the family wait; then the head of
            the context, the compactions that it ends, the message and its copies, keys that name them.
        Cost: O(copies + family + keys of the last seven days + requests since the message of the
            contexts that read it). The bytes leave the tables with the next VACUUM FULL; backups keep
            them until they expire (docs/runbook.md).
        """
        return await self._run(statements.ERASE_MESSAGE, (context_id, version, reason))

    async def erasures(self, context_id: ContextId) -> list[ErasureRow]:
        """The erased messages of a context.

        Returns rows by version: version, reason, erased_by (the role), erased_at.

        Parameters
        ----------
        context_id : the context. Erasures through its forks and ancestors are listed, too.

        Raises
        ------
        ContextNotFoundError, ContextClosedError.

        Cost: O(rows + fork depth).
        """
        return await self._run(statements.ERASURES, (context_id,))

    async def purge_context(self, context_id: ContextId, dry_run: bool = False) -> PurgeContextRow:
        """Permanently removes what a deleted context wrote, except messages that forks still need.

        The log stays up to the highest version at which a context that is not purged, deleted or not,
        forked it; the rest is removed, with everything derived from it. Of its requests those stay that
        the digests of kept answers cover, without salt and error. Then ancestors that were purged
        before are examined again: they may be needed less. A tombstone without name, metadata and
        policy, except the search_config that forks search with, remains, so that forks know their
        origin, and kata.purges lists the receipt. A purged context stays as it is.

        Returns one row: removed (log entries that are removed, of purged ancestors too), kept (entries
        that the context itself wrote and that stay).

        Parameters
        ----------
        context_id : a deleted context; under kata.tenant '*' of any tenant.
        dry_run : only report what would be removed.

        Raises
        ------
        ContextNotFoundError, InvalidArgumentError not deleted, or the transaction is not at isolation
            level read committed, BusyError another session holds a lock for longer than lock_timeout,
            or 10 seconds where that is not set, or waits for this one in turn.

        Locks: other purges, erasures and new compactions of the family wait; then the head of the
            context (FOR UPDATE); a dry run takes none.
        Cost: O(entries removed + forks of the context and of its purged forks, for every purged
            ancestor + idempotency keys of the tenant and of the parent). The bytes leave the tables
            with the next VACUUM FULL (docs/runbook.md).
        """
        return (await self._run(statements.PURGE_CONTEXT, (context_id, dry_run)))[0]

    async def purge_deleted(self, older_than: timedelta, dry_run: bool = False) -> list[PurgeDeletedRow]:
        """Purges the contexts that were deleted a while ago, as purge_context does.

        Those deleted longest ago come first, at most 1,000 per call, and as many as hold 100,000
        entries together: call again until it returns no row. A context that another session holds is
        passed over, counts toward neither, and is left to a later call. Under kata.tenant '*' contexts
        of all tenants are purged. Returns one row per context, forks before their parents: context_id,
        removed and kept, as purge_context.

        Parameters
        ----------
        older_than : how long ago they were deleted.
        dry_run : only report which, and what would be removed.

        Raises
        ------
        InvalidArgumentError older_than is negative, or the transaction is not at isolation level read
            committed.

        Locks: of each context those of purge_context, without waiting for families, search marks and
            heads; a dry run takes none.
        Cost: that of purge_context for each, and O(contexts passed over).
        """
        return await self._run(statements.PURGE_DELETED, (older_than, dry_run))

    async def purges(self, context_id: ContextId) -> list[PurgeRow]:
        """The receipts of a purged context.

        The first receipt is of its own purge, the others of later purges of forks, since which less of
        it is needed. Returns rows, oldest first: purged_at, purged_by (the role), cause_id (the context
        whose purge it was), removed and kept (entries that this context wrote, removed by that purge
        and still kept).

        Parameters
        ----------
        context_id : the context, purged or not.

        Raises
        ------
        ContextNotFoundError.

        Cost: O(rows).
        """
        return await self._run(statements.PURGES, (context_id,))

    async def export_family(
        self, context_id: ContextId, after: str | None = None, *, max_rows: int = 1000
    ) -> list[ExportFamilyRow]:
        """Lists the lines of the archive of a fork family, from which kata.import_family makes it again.

        The archive holds all that the log of the family is: entries with their ids, versions, times,
        salts and digests, forks, views, acts, receipts, requests, artifacts that callers added. Erased
        texts are gone from it, too. The indexes of artifacts and searches and embeddings are left out:
        they are made again. Deleted and purged contexts are part of it.

        Read all pages in one transaction that is repeatable read, so that they belong together; an
        archive is complete with the page that is empty.

        Returns rows: line, a JSON object. The first one says what follows. Pass a line on as the text
        that it is: another program may print its numbers in another way.

        Parameters
        ----------
        context_id : any member of the family; it may be deleted.
        after : the last line of the previous page; null for the first.
        max_rows : 1 to 1,000; a page ends behind 4 MB, too.

        Raises
        ------
        ContextNotFoundError, InvalidArgumentError.

        Cost: O(contexts of the family + rows) per page, and for the first line O(family).
        """
        return await self._run(statements.EXPORT_FAMILY, (context_id, after, max_rows))

    async def import_family(self, lines: Iterable[str]) -> ImportFamilyRow:
        """Imports a fork family from its archive, with the ids, versions, times, salts and digests of it.

        With the last line the family is verified as kata.verify does it: digests are computed again,
        views folded again. A family that does not verify is refused. Where the family exists, equal in
        all that is history, nothing happens; one that differs is refused. Pass the lines in their
        order, in one transaction, in as many calls as you like; a transaction that ends before the last
        line is refused. Other sessions see the family when it is committed.

        The tokenizers of the family have to be registered, and its tenant is the caller's. Digests show
        every change by a hand that cannot compute them again; who may have computed them again is for a
        signature of the file to say.

        Returns one row: family_id, is_new (whether the database lacks the family; else lines are
        compared), missing (how many lines are still to come).

        Parameters
        ----------
        lines : an array of at most 10,000 lines of kata.export_family; the first line of an archive
            begins a call.

        Raises
        ------
        InvalidPolicyError a policy, InvalidArgumentError, OtherShardError.

        Locks: the key of the family, for which another import of it waits.
        Cost: O(lines), and with the last line O(length of the paths).
        """
        return (await self._run(statements.IMPORT_FAMILY, (lines,)))[0]

    async def build_embedding_index(
        self,
        model: str,
        m: int = 16,
        *,
        ef_construction: int = 64,
        dry_run: bool = False,
        method: str = "hnsw",
    ) -> BuildEmbeddingIndexRow:
        """Builds an HNSW index on the embeddings of a model, or measures the one that is there.

        Recall does not need one: it re-scores what the words find, and looks at every embedding of a
        path otherwise. The index serves queries without a word in common on paths of more than 20,000
        versions.

        Returns one row: index (its name), bytes (of the index; in a dry run the memory that the build
        takes), seconds (of the build; null where there was none), recall_at_10 (the share of the exact
        ten nearest that it finds), statement (which builds it; `kata index --vectors` runs it
        concurrently).

        Parameters
        ----------
        model : a model of the tenant.
        m : links per embedding, 2 to 100.
        ef_construction : candidates per link, 2 m to 1,000.
        dry_run : only estimate and return the statement.
        method : hnsw.

        Raises
        ------
        InvalidArgumentError model is unknown, its graph does not fit into maintenance_work_mem, the
            extension vector is missing or older than 0.8, another method, BusyError another session
            writes embeddings for longer than lock_timeout, or 10 seconds where that is not set.

        Locks: put_embeddings, erasures and purges wait for a build.
        Cost: O(embeddings).
        """
        return (
            await self._run(statements.BUILD_EMBEDDING_INDEX, (model, m, ef_construction, dry_run, method))
        )[0]

    async def drop_embedding_index(self, model: str) -> bool:
        """Drops the index on the embeddings of a model; the embeddings stay.

        An owner of the tables can drop it without making others wait: drop index concurrently, with the
        name that kata.build_embedding_index returns.

        Returns whether there was one.

        Parameters
        ----------
        model : a model of the tenant.

        Raises
        ------
        InvalidArgumentError model is unknown, BusyError another session uses the embeddings for longer
            than lock_timeout, or 10 seconds where that is not set.

        Locks: the table of embeddings, exclusively, until the end of the transaction; readers wait,
            too.
        Cost: O(1).
        """
        return (await self._run(statements.DROP_EMBEDDING_INDEX, (model,)))[0]

    async def embedding_models(self) -> list[EmbeddingModelRow]:
        """Lists the embedding models that the tenant has embeddings of.

        Under kata.tenant '*' those of all tenants.

        Returns rows by name: name, dimensions, embeddings (how many), bytes (of the embeddings),
        index_state (null without an index; valid; invalid while it is being built, or if its build was
        interrupted), tenant.

        Cost: O(embeddings of the tenant).
        """
        return await self._run(statements.EMBEDDING_MODELS, ())

    async def index_search(self, context_id: ContextId, max_messages: int | None = None) -> int:
        """Indexes the messages of a context, inherited ones included, for kata.search and kata.recall.

        Both find the same without it, but parse every message that is not indexed. A message is indexed
        once, for all forks that read it.

        Returns how many versions are left: because of max_messages, or because another session is
        indexing them.

        Parameters
        ----------
        context_id : the context.
        max_messages : how many versions to index at most; null for all.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, InvalidArgumentError max_messages is not positive.

        Locks: the marks of the segments (rows of the index); appends and readers never wait, nor do
            other indexers, except while a first mark is made; erasures and purges of these messages do.
        Cost: linear in the length of the messages.
        """
        return (await self._run(statements.INDEX_SEARCH, (context_id, max_messages)))[0]

    async def pending_embeddings(
        self,
        model: str,
        max_rows: int = 100,
        *,
        after_context: ContextId | None = None,
        after_version: Version | None = None,
    ) -> list[PendingEmbeddingRow]:
        """Lists the texts of messages that have no embedding of a model yet, for kata.put_embeddings.

        Each message is listed once, for all forks that read it; messages without a text and erased ones
        are not. An amendment is listed under its own version, with the words that it shows. Under
        kata.tenant '*' those of all tenants. Texts that the model refuses stay listed: go on behind
        them.

        Returns rows, those of the newest context first, and of each context the newest message first:
        context_id, version, content (the speaker, the message, and the beginning of the message before
        it, which helps to find an answer by its question), digest (of content, to hand to
        kata.put_embeddings), tenant.

        Parameters
        ----------
        model : the name of the embedding model; one that is not known yet has no embeddings.
        max_rows : 1 to 1,000.
        after_context, after_version : those of the last row of the page before; both null for the first
            page.

        Raises
        ------
        InvalidArgumentError max_rows is out of range, or only one of after_context and after_version is
            null.

        Cost: O(contexts of the tenant + rows), and per segment that is not done, the messages above the
        oldest one without an embedding.
        """
        return await self._run(statements.PENDING_EMBEDDINGS, (model, max_rows, after_context, after_version))

    async def pending_search(self, max_rows: int = 100) -> list[PendingSearchRow]:
        """Lists the contexts with 64 or more versions that are not indexed yet, the most first.

        Under kata.tenant '*' those of all tenants, in turn: of each the first, then of each the second.
        kata.index_search indexes one. Fewer versions are parsed by each search instead.

        Returns rows: context_id, messages (versions of its path that are not indexed), tenant.

        Parameters
        ----------
        max_rows : 1 to 1,000.

        Raises
        ------
        InvalidArgumentError.

        Cost: O(contexts of the tenant), of which those with fewer versions take a look-up each.
        """
        return await self._run(statements.PENDING_SEARCH, (max_rows,))

    async def prewarm(self, context_id: ContextId | None = None) -> list[PrewarmRow]:
        """Reads the rows into memory that the first window and the first search of a context need.

        For use after a restart or a long pause.

        Its head, newest view change and newest thousand versions, and the index for searches and the
        embeddings of its path. Returns rows by relation: relation, bytes (of the rows that were read).

        Parameters
        ----------
        context_id : the context; null for the hundred newest of the tenant.

        Raises
        ------
        ContextNotFoundError, ContextClosedError.

        Cost: O(bytes).
        """
        return await self._run(statements.PREWARM, (context_id,))

    async def put_embeddings(
        self,
        context_id: ContextId,
        model: str,
        versions: Numbers[int],
        embeddings: Numbers[float],
        digests: Iterable[str] | None = None,
    ) -> int:
        """Stores the embeddings of messages, for kata.recall.

        Embeddings of inherited messages are shared with the context that wrote them. They are stored
        with length 1, so only their direction counts. Their first use makes the model, which belongs to
        the tenant.

        Returns how many embeddings were stored.

        Parameters
        ----------
        context_id : the context.
        model : a name of the embedding model, 1 to 255 characters. All of its embeddings have the
            dimensions of the first.
        versions, embeddings : one embedding for every version, of a message or an amendment, at most
            10,000, an array of arrays; a later one for the same version wins. It replaces an earlier
            embedding.
        digests : what kata.pending_embeddings returned with the texts; null to store in any case. Where
            the text is another one now, because it or the message before was erased, the embedding is
            passed over.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError no message or amendment with a text has this version,
            ContextClosedError, InvalidArgumentError arrays do not match or are too long, other
            dimensions, a zero vector, NaN.

        Locks: the messages and those before them (FOR KEY SHARE); a model while another session makes
            it.
        Cost: O(numbers).
        """
        return (
            await self._run(statements.PUT_EMBEDDINGS, (context_id, model, versions, embeddings, digests))
        )[0]

    async def recall(
        self,
        context_id: ContextId,
        query: str | None = None,
        *,
        embedding: Numbers[float] | None = None,
        model: str | None = None,
        max_rows: int = 10,
        at: Version | None = None,
        max_tokens: int | None = None,
    ) -> list[RecallRow]:
        """Finds the messages of a context that help to answer a query, best first, their neighbors
        included.

        A message that holds terms of the query lends part of its score to those around it, so an answer
        is found by the words of its question. Covered, deleted and erased messages and what is not
        indexed yet: as kata.search.

        Returns rows by score, then newest first: version, role, content, token_count, score (1 for the
        best), text_rank and vector_rank (place by words and by embedding, null for none),
        compacted_into (the summary that covers it, or null), name, created_at, group_version (the
        message whose call it answers, else itself), kind (message), preview (100 characters of its
        text, its calls or its parts).

        Parameters
        ----------
        context_id : the context.
        query : a question or its words; at most 65,536 characters, and of more than 64 terms the 64
            rarest. Null where there is an embedding.
        embedding, model : of the query, by a model whose embeddings kata.put_embeddings has stored;
            null for words alone. The embedding re-scores the best 200 by words, with weight 0.4, and
            brings other messages where there are fewer.
        max_rows : 1 to 1,000.
        at : as of this version; null for now.
        max_tokens : takes rows by score as long as their groups fit together, and passes over those
            that do not; null for no limit.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError max_rows or
            max_tokens is out of range, query is empty or too long, model is unknown, or embedding has
            other dimensions or no direction.

        Cost: O(messages that hold a term + erasures and view changes of the path), and the length of
        what is not indexed yet; with an embedding and few words that hit, O(embeddings of the path).
        """
        return await self._run(
            statements.RECALL, (context_id, query, embedding, model, max_rows, at, max_tokens)
        )

    async def search(
        self, context_id: ContextId, query: str, max_rows: int = 20, *, at: Version | None = None
    ) -> list[SearchRow]:
        """Finds the messages of a context that hold words of a query, best first: where something was
        said.

        Covered messages are found with the summary that covers them; deleted, rewound and erased ones
        are not, nor are summaries. Every message is found from the moment it is appended: what
        kata.index_search has not indexed yet is parsed by this call.

        Returns rows by rank, then newest first: version, role, rank (BM25 over the path as of the
        version), headline (160 characters around the rarest term), token_count, compacted_into (the
        summary that covers it, or null), name, created_at.

        Parameters
        ----------
        context_id : the context.
        query : words, identifiers, paths; at most 65,536 characters, and of more than 64 terms the 64
            rarest. "Quoted" text must occur as it is written.
        max_rows : 1 to 1,000.
        at : as of this version; null for now.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError max_rows is
            out of range, or query is empty or too long.

        Cost: O(messages that hold a term + erasures and view changes of the path), and the length of
        what is not indexed yet.
        """
        return await self._run(statements.SEARCH, (context_id, query, max_rows, at))

    async def assign_tenant(self, role_name: str, tenant: str) -> None:
        """Assigns a tenant to a database role, in place of the one named like the role.

        Members of kata_service may act for any tenant all the same. A role that is dropped and made
        again starts without its tenant: assign it again.

        Parameters
        ----------
        role_name : an existing role.
        tenant : 1 to 255 characters, not '*'.

        Raises
        ------
        InvalidArgumentError.

        Cost: O(1).
        """
        await self._run(statements.ASSIGN_TENANT, (role_name, tenant))

    async def check_heads(self, heads: Sequence[Mapping[str, Any]]) -> list[CheckHeadRow]:
        """Compares rows of kata.heads that were kept elsewhere with the database as it is now.

        A message that was rewritten together with all later digests, a log or acts that were cut, a
        context that is gone, and a database that was set back to an earlier state are found. Appends,
        view changes, forks, erasures, deletions and purges since are sound. It looks at the digests of
        the rows only: kata.verify looks whether everything before agrees with them.

        Returns one row per problem, none if all heads are still part of the database: context_id,
        version, problem (a short name), detail (a sentence).

        Parameters
        ----------
        heads : an array of at most 1,000 objects with the columns of kata.heads, digests in
            hexadecimal; of the tenants that the caller sees.

        Raises
        ------
        InvalidArgumentError.

        Cost: O(heads × log n); takes no lock.
        """
        return await self._run(statements.CHECK_HEADS, (heads,))

    async def current_tenant(self) -> str:
        """The tenant that the caller acts for.

        For a member of kata_service it is the setting kata.tenant, or 'default' if that is not set; for
        any other role the tenant of kata.assign_tenant, or else the name of the role. '*' means every
        tenant, for members of kata_service and kata_admin that set it.

        Cost: O(1).
        """
        return (await self._run(statements.CURRENT_TENANT, ()))[0]

    async def environment(self) -> str | None:
        """The environment label of this database, for example production; null if it has none.

        Cost: O(1).
        """
        return next(iter(await self._run(statements.ENVIRONMENT, ())), None)

    async def heads(self, after: ContextId | None = None, *, max_rows: int = 1000) -> list[HeadRow]:
        """Lists the digest of every context of the caller's tenant, to be kept elsewhere as evidence.

        Under kata.tenant '*' it lists those of all tenants. Deleted and purged contexts are among them.
        kata.check_heads compares rows that were kept with what the database holds later; kata heads
        writes a file of them.

        Returns rows by context_id: context_id, version, digest (SHA-256 over the rest of the row:
        docs/concepts.md), last_digest (of the newest entry), acts (how many), act_digest (of the newest
        act), requests (how many).

        Parameters
        ----------
        after : the last context_id of the previous page; null for the first.
        max_rows : 1 to 1,000.

        Raises
        ------
        InvalidArgumentError.

        Cost: O(log n + rows).
        """
        return await self._run(statements.HEADS, (after, max_rows))

    async def set_environment(self, label: str, current_label: str | None = None) -> None:
        """Labels this database with its environment, for example production.

        Destructive commands then require the label. Nothing in the database itself behaves differently.

        Parameters
        ----------
        label : at most 63 characters, without control characters, nor spaces around; '' removes the
            label.
        current_label : the present label, required to change or remove it.

        Raises
        ------
        InvalidArgumentError, NotPermittedError the database has another label than current_label.

        Locks: the label.
        Cost: O(1).
        """
        await self._run(statements.SET_ENVIRONMENT, (label, current_label))

    async def stats(self) -> Json:
        """Counts the contexts and entries of the caller's tenant.

        Under kata.tenant '*' it counts those of every tenant. Returns an object with one key per
        tenant: contexts, live, archived, deleted, purged (of the deleted), forks (contexts each),
        entries (log entries that its contexts wrote themselves, purged ones too), updated_at (last
        append or change), due (contexts that are due for compaction), due_for_model (of those, the ones
        whose strategy is summarize), oldest_due_at, leases (compactions that run), failing (contexts
        whose last attempt failed or gained nothing), with_open_calls (contexts with a call without a
        result).

        Cost: O(contexts).
        """
        return (await self._run(statements.STATS, ()))[0]

    async def verify(
        self,
        context_id: ContextId | None = None,
        *,
        after: ContextId | None = None,
        max_contexts: int | None = None,
    ) -> list[VerifyRow]:
        """Verifies the integrity of the log: one row per problem found, none if it is sound.

        A call is one snapshot. With max_contexts a large store is verified in steps, on several
        connections if need be: where contexts are left, the last row has the problem "cursor" and the
        context_id to pass as after. The step without after looks at the security contract, the last one
        at rows that belong to no context.

        Recomputes versions, totals, groups, open calls and digests from the log and compares, and
        follows every reference to a version. Where damage keeps Postgres from reading a context, its
        problem is "unreadable", and the others are verified all the same. Returns one row per problem:
        context_id, version (null where it is not about one), problem (a short name), detail (a
        sentence).

        Parameters
        ----------
        context_id : one context, deleted or not; null for all of the caller's tenant (under kata.tenant
            '*' of all tenants) and, for administrators, for rows that belong to no context and the
            security contract: owners, privileges, triggers, constraints and the like.
        after : verify the contexts after this one, by id; null for all.
        max_contexts : verify at most so many; null for all.

        Raises
        ------
        ContextNotFoundError, InvalidArgumentError.

        Cost: O(length of the paths verified); reads only, takes no lock.
        """
        return await self._run(statements.VERIFY, (context_id, after, max_contexts))

    async def version(self) -> str:
        """The version of Kata Context in this database."""
        return (await self._run(statements.VERSION, ()))[0]


class AsyncContext(Handle):
    """A method for every function that takes a context first.

    Parameters
    ----------
    database : what runs the calls
    id : of the context
    """

    __slots__ = ("database", "id")

    def __init__(self, database: AsyncMethods, id: UUID | str) -> None:
        self.database = database
        self.id = as_uuid("id", id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.id)!r})"

    async def archive_context(self) -> None:
        """Archives a context: it can be read and forked, not changed.

        See AsyncKata.archive_context.
        """
        await self.database.archive_context(self.id)

    async def delete_context(self) -> None:
        """Deletes a context softly: it can be restored, its name is free, its forks are not affected.

        See AsyncKata.delete_context.
        """
        await self.database.delete_context(self.id)

    async def get_context(self) -> ContextRow:
        """Returns one context, deleted or not.

        See AsyncKata.get_context.
        """
        return await self.database.get_context(self.id)

    async def restore_context(self) -> None:
        """Restores a deleted context.

        See AsyncKata.restore_context.
        """
        await self.database.restore_context(self.id)

    async def unarchive_context(self) -> None:
        """Opens an archived context for changes again.

        See AsyncKata.unarchive_context.
        """
        await self.database.unarchive_context(self.id)

    async def update_context(
        self, name: str | None = None, *, metadata: Mapping[str, Any] | None = None, merge: bool = False
    ) -> None:
        """Changes the name or the metadata of a context.

        See AsyncKata.update_context.
        """
        await self.database.update_context(self.id, name, metadata=metadata, merge=merge)

    async def append(
        self,
        messages: Sequence[Message],
        expected_version: int | None = None,
        *,
        idempotency_key: str | None = None,
        on_duplicate: str = "error",
        request_id: int | None = None,
        usage: Mapping[str, Any] | None = None,
    ) -> list[AppendedRow]:
        """Appends a batch of messages: all of them or none.

        See AsyncKata.append.
        """
        return await self.database.append(
            self.id,
            messages,
            expected_version,
            idempotency_key=idempotency_key,
            on_duplicate=on_duplicate,
            request_id=request_id,
            usage=usage,
        )

    async def append_message(
        self,
        role: Role,
        content: str | None,
        token_count: int | None = None,
        *,
        tool_call_id: str | None = None,
        tool_name: str | None = None,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
        model: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        pinned: bool = False,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        name: str | None = None,
        parts: Sequence[Mapping[str, Any]] | None = None,
        provider: Mapping[str, Any] | None = None,
        token_source: TokenSource | None = None,
        external_id: str | None = None,
        occurred_at: datetime | None = None,
        request_id: int | None = None,
        usage: Mapping[str, Any] | None = None,
    ) -> int:
        """Appends one message and returns its version.

        See AsyncKata.append_message.
        """
        return await self.database.append_message(
            self.id,
            role,
            content,
            token_count,
            tool_call_id=tool_call_id,
            tool_name=tool_name,
            tool_calls=tool_calls,
            model=model,
            metadata=metadata,
            pinned=pinned,
            expected_version=expected_version,
            idempotency_key=idempotency_key,
            name=name,
            parts=parts,
            provider=provider,
            token_source=token_source,
            external_id=external_id,
            occurred_at=occurred_at,
            request_id=request_id,
            usage=usage,
        )

    async def append_record(
        self,
        kind: str,
        data: Json,
        external_id: str | None = None,
        *,
        idempotency_key: str | None = None,
        on_duplicate: str = "error",
    ) -> int:
        """Appends a record: an entry of the log that no window, prompt or count shows.

        See AsyncKata.append_record.
        """
        return await self.database.append_record(
            self.id, kind, data, external_id, idempotency_key=idempotency_key, on_duplicate=on_duplicate
        )

    async def close_calls(
        self, call_ids: Iterable[str] | None = None, *, reason: str = "cancelled"
    ) -> list[AppendedRow]:
        """Answers open tool calls with one tool message each.

        See AsyncKata.close_calls.
        """
        return await self.database.close_calls(self.id, call_ids, reason=reason)

    async def find_message(self, external_id: str, at: Version | None = None) -> int | None:
        """Returns the version of the message or record that has an external id; null when there is none.

        See AsyncKata.find_message.
        """
        return await self.database.find_message(self.id, external_id, at)

    async def get_message(self, version: Version) -> MessageRow:
        """Returns one message, by its version, whatever compaction has done since.

        See AsyncKata.get_message.
        """
        return await self.database.get_message(self.id, version)

    async def key_result(self, idempotency_key: str) -> KeyResultRow | None:
        """Returns what an idempotency key of a context has done, without doing it.

        See AsyncKata.key_result.
        """
        return await self.database.key_result(self.id, idempotency_key)

    async def messages(
        self,
        after: int | None = None,
        *,
        max_rows: int = 100,
        descending: bool = False,
        visibility: Visibility = "effective",
        at: Version | None = None,
    ) -> list[MessageRow]:
        """Lists the messages of a context, in pages.

        See AsyncKata.messages.
        """
        return await self.database.messages(
            self.id, after, max_rows=max_rows, descending=descending, visibility=visibility, at=at
        )

    async def records(
        self,
        kind: str | None = None,
        *,
        after: int | None = None,
        max_rows: int = 100,
        at: Version | None = None,
    ) -> list[RecordRow]:
        """Lists the records of a context, oldest first, inherited ones included.

        See AsyncKata.records.
        """
        return await self.database.records(self.id, kind, after=after, max_rows=max_rows, at=at)

    async def usage(self, at: Version | None = None) -> UsageRow:
        """Returns the size of a context in messages and tokens.

        See AsyncKata.usage.
        """
        return await self.database.usage(self.id, at)

    async def explain_window(
        self,
        budget: int | None = None,
        at: Version | None = None,
        *,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        format: Format | None = None,
        max_rows: int = 100,
        after: int | None = None,
    ) -> list[ExplainWindowRow]:
        """Lists the messages of a path, newest first, each with why a window has it or leaves it out.

        See AsyncKata.explain_window.
        """
        return await self.database.explain_window(
            self.id,
            budget,
            at=at,
            stable_step=stable_step,
            tokenizer=tokenizer,
            recall=recall,
            recall_budget=recall_budget,
            reserve=reserve,
            format=format,
            max_rows=max_rows,
            after=after,
        )

    @overload
    async def prompt(
        self,
        budget: int | None = None,
        format: Literal["openai"] = "openai",
        *,
        at: Version | None = None,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        system: str = "wrapped",
        thinking: str | None = None,
        renderer: int | None = None,
    ) -> list[OpenAIMessage]: ...

    @overload
    async def prompt(
        self,
        budget: int | None,
        format: Literal["responses"],
        *,
        at: Version | None = None,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        system: str = "wrapped",
        thinking: str | None = None,
        renderer: int | None = None,
    ) -> ResponsesPrompt: ...

    @overload
    async def prompt(
        self,
        budget: int | None,
        format: Literal["anthropic"],
        *,
        at: Version | None = None,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        system: str = "wrapped",
        thinking: str | None = None,
        renderer: int | None = None,
    ) -> AnthropicPrompt: ...

    @overload
    async def prompt(
        self,
        budget: int | None,
        format: Literal["gemini"],
        *,
        at: Version | None = None,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        system: str = "wrapped",
        thinking: str | None = None,
        renderer: int | None = None,
    ) -> GeminiPrompt: ...

    @overload
    async def prompt(
        self,
        budget: int | None = None,
        format: Format = "openai",
        *,
        at: Version | None = None,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        system: str = "wrapped",
        thinking: str | None = None,
        renderer: int | None = None,
    ) -> list[OpenAIMessage] | ResponsesPrompt | AnthropicPrompt | GeminiPrompt: ...

    async def prompt(
        self,
        budget: int | None = None,
        format: Format = "openai",
        *,
        at: Version | None = None,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        system: str = "wrapped",
        thinking: str | None = None,
        renderer: int | None = None,
    ) -> list[OpenAIMessage] | ResponsesPrompt | AnthropicPrompt | GeminiPrompt:
        """The window as one JSON document in the chat form of a provider, ready to send.

        See AsyncKata.prompt.
        """
        return await self.database.prompt(
            self.id,
            budget,
            format=format,
            at=at,
            stable_step=stable_step,
            tokenizer=tokenizer,
            recall=recall,
            recall_budget=recall_budget,
            reserve=reserve,
            system=system,
            thinking=thinking,
            renderer=renderer,
        )

    async def window(
        self,
        budget: int | None = None,
        at: Version | None = None,
        *,
        stable_step: int = 0,
        tokenizer: str | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        format: Format | None = None,
    ) -> list[WindowRow]:
        """The messages that a model should see within a token budget, in reading order.

        See AsyncKata.window.
        """
        return await self.database.window(
            self.id,
            budget,
            at=at,
            stable_step=stable_step,
            tokenizer=tokenizer,
            recall=recall,
            recall_budget=recall_budget,
            reserve=reserve,
            format=format,
        )

    async def complete_request(
        self, request_id: int, usage: Mapping[str, Any] | None = None, *, error: str | None = None
    ) -> None:
        """Records the usage of a request, or the error that came instead of an answer.

        See AsyncKata.complete_request.
        """
        await self.database.complete_request(self.id, request_id, usage, error=error)

    async def diff_requests(self, a: int, b: int, context_b: ContextId | None = None) -> list[DiffRequestRow]:
        """Compares two recorded requests and names the cause of each difference.

        See AsyncKata.diff_requests.
        """
        return await self.database.diff_requests(self.id, a, b, context_b)

    async def replay(self, request_id: int) -> ReplayRow:
        """Makes the body of a recorded request again, byte for byte.

        See AsyncKata.replay.
        """
        return await self.database.replay(self.id, request_id)

    async def request(
        self,
        budget: int | None = None,
        format: Format | None = None,
        *,
        model: str | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        options: Mapping[str, Any] | None = None,
        cache: str | None = None,
        stable_step: int | None = None,
        tokenizer: str | None = None,
        at: Version | None = None,
        recall: Numbers[int] | None = None,
        recall_budget: int | None = None,
        reserve: int = 0,
        system: str | None = None,
        thinking: str | None = None,
    ) -> AsyncRequest:
        """Builds the body of a call to a model, and records it for kata.replay.

        See AsyncKata.request.
        """
        return AsyncRequest(
            await self.database.request(
                self.id,
                budget,
                format=format,
                model=model,
                tools=tools,
                options=options,
                cache=cache,
                stable_step=stable_step,
                tokenizer=tokenizer,
                at=at,
                recall=recall,
                recall_budget=recall_budget,
                reserve=reserve,
                system=system,
                thinking=thinking,
            ),
            self,
        )

    async def request_rows(self, request_id: int) -> list[ShownMessageRow]:
        """Lists the messages and summaries that a recorded request showed, in reading order.

        See AsyncKata.request_rows.
        """
        return await self.database.request_rows(self.id, request_id)

    async def requests(
        self, before: int | None = None, *, max_rows: int = 50, showing: int | None = None
    ) -> list[RequestRow]:
        """Lists the requests of a context, newest first: what was asked, what came, what it cost.

        See AsyncKata.requests.
        """
        return await self.database.requests(self.id, before, max_rows=max_rows, showing=showing)

    async def ancestry(self) -> list[AncestryRow]:
        """The ancestors of a context, from its parent to the root; deleted and purged ones too.

        See AsyncKata.ancestry.
        """
        return await self.database.ancestry(self.id)

    async def fork(
        self,
        at: Version | None = None,
        *,
        name: str | None = None,
        policy: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> "AsyncContext":
        """Forks a context: creates one that shares its history up to a version.

        See AsyncKata.fork.
        """
        return AsyncContext(
            self.database,
            await self.database.fork(
                self.id, at, name=name, policy=policy, metadata=metadata, idempotency_key=idempotency_key
            ),
        )

    async def forks(self) -> list[ForkRow]:
        """The direct forks of a context, deleted ones too.

        See AsyncKata.forks.
        """
        return await self.database.forks(self.id)

    async def tree(self) -> list[TreeRow]:
        """The whole fork family of a context.

        See AsyncKata.tree.
        """
        return await self.database.tree(self.id)

    async def acts(self, after: int | None = None, *, max_rows: int = 100) -> list[ActRow]:
        """Lists the acts of a context, the changes that take no version of its log, oldest first.

        See AsyncKata.acts.
        """
        return await self.database.acts(self.id, after, max_rows=max_rows)

    async def checkpoint(self, name: str, at: Version | None = None, *, note: str | None = None) -> int:
        """Names a version of a context, for use in selectors.

        See AsyncKata.checkpoint.
        """
        return await self.database.checkpoint(self.id, name, at, note=note)

    async def checkpoints(self) -> list[CheckpointRow]:
        """The checkpoints of a context, its own and inherited ones.

        See AsyncKata.checkpoints.
        """
        return await self.database.checkpoints(self.id)

    async def diff_versions(self, from_version: Version, to_version: Version) -> list[DiffVersionRow]:
        """The changes from the view of a context at one version to the view at another.

        See AsyncKata.diff_versions.
        """
        return await self.database.diff_versions(self.id, from_version, to_version)

    async def drop_checkpoint(self, name: str) -> None:
        """Drops a checkpoint of a context.

        See AsyncKata.drop_checkpoint.
        """
        await self.database.drop_checkpoint(self.id, name)

    async def entry_digests(
        self, after: int | None = None, *, max_rows: int = 100, at: Version | None = None
    ) -> list[EntryDigestRow]:
        """Lists what the digests of a context are made of, oldest entry first, inherited entries included.

        See AsyncKata.entry_digests.
        """
        return await self.database.entry_digests(self.id, after, max_rows=max_rows, at=at)

    async def history(self, before: int | None = None, *, max_rows: int = 50) -> list[HistoryRow]:
        """A page of the entries of a context, newest first, inherited ones included.

        See AsyncKata.history.
        """
        return await self.database.history(self.id, before, max_rows=max_rows)

    async def resolve_version(self, selector: str) -> int:
        """The version that a selector resolves to.

        See AsyncKata.resolve_version.
        """
        return await self.database.resolve_version(self.id, selector)

    async def state_at(
        self,
        at: Version | None = None,
        *,
        visibility: Visibility = "effective",
        after: int | None = None,
        max_rows: int | None = None,
    ) -> list[MessageRow]:
        """Lists the messages of a context as of a version.

        See AsyncKata.state_at.
        """
        return await self.database.state_at(
            self.id, at, visibility=visibility, after=after, max_rows=max_rows
        )

    async def amend(
        self,
        version: Version,
        message: Mapping[str, Any],
        expected_version: int | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> int:
        """Shows other words for a message, in its place.

        See AsyncKata.amend.
        """
        return await self.database.amend(
            self.id, version, message, expected_version, idempotency_key=idempotency_key
        )

    async def delete_messages(self, first_version: Version, last_version: Version | None = None) -> int:
        """Deletes messages from the view of a context.

        See AsyncKata.delete_messages.
        """
        return await self.database.delete_messages(self.id, first_version, last_version)

    async def elide(
        self, first_version: Version, last_version: Version | None = None, *, keep_tokens: int = 100
    ) -> int:
        """Shortens the tool results of a range in the view.

        See AsyncKata.elide.
        """
        return await self.database.elide(self.id, first_version, last_version, keep_tokens=keep_tokens)

    async def get_tools(self, at: Version | None = None) -> ToolRow:
        """Returns the list of tools in force in a context.

        See AsyncKata.get_tools.
        """
        return await self.database.get_tools(self.id, at)

    async def pin(self, version: Version) -> int:
        """Pins a message with its tool group.

        See AsyncKata.pin.
        """
        return await self.database.pin(self.id, version)

    async def rewind(
        self, to_version: Version, expected_version: int | None = None, *, idempotency_key: str | None = None
    ) -> int:
        """Goes back to the state of an earlier version.

        See AsyncKata.rewind.
        """
        return await self.database.rewind(
            self.id, to_version, expected_version, idempotency_key=idempotency_key
        )

    async def set_tools(
        self,
        tools: Sequence[Mapping[str, Any]] | None,
        token_count: int | None = None,
        *,
        expected_version: int | None = None,
    ) -> int:
        """Sets the list of tools that a model may call in a context.

        See AsyncKata.set_tools.
        """
        return await self.database.set_tools(self.id, tools, token_count, expected_version=expected_version)

    async def undo(self, version: Version) -> int:
        """Undoes the view change at a version.

        See AsyncKata.undo.
        """
        return await self.database.undo(self.id, version)

    async def unpin(self, version: Version) -> int:
        """Unpins a message and its tool group.

        See AsyncKata.unpin.
        """
        return await self.database.unpin(self.id, version)

    async def begin_compaction(
        self,
        strategy: str | None = None,
        *,
        claimed_by: str | None = None,
        lease_seconds: int = 300,
        force: bool = False,
    ) -> CompactionLeaseRow:
        """Begins a compaction: takes the lease on a context and fixes which messages are covered.

        See AsyncKata.begin_compaction.
        """
        return await self.database.begin_compaction(
            self.id, strategy, claimed_by=claimed_by, lease_seconds=lease_seconds, force=force
        )

    async def compact(self, strategy: str = "digest", *, force: bool = False) -> CompactedRow:
        """Compacts a context without a model.

        See AsyncKata.compact.
        """
        return await self.database.compact(self.id, strategy, force=force)

    async def compaction_status(self) -> CompactionStatusRow:
        """Reports whether a context is due for compaction, and how near it is.

        See AsyncKata.compaction_status.
        """
        return await self.database.compaction_status(self.id)

    async def compactions(self) -> list[CompactionRow]:
        """The compactions that were begun in a context, newest first; an ancestor lists its own.

        See AsyncKata.compactions.
        """
        return await self.database.compactions(self.id)

    async def get_policy(self) -> Json:
        """The compaction policy of a context, every field resolved.

        See AsyncKata.get_policy.
        """
        return await self.database.get_policy(self.id)

    async def set_policy(self, policy: Mapping[str, Any]) -> Json:
        """Changes the compaction policy of a context, and resets its failure counter.

        See AsyncKata.set_policy.
        """
        return await self.database.set_policy(self.id, policy)

    async def add_artifact(
        self, kind: str, ref: str, detail: Mapping[str, Any] | None = None, *, version: Version | None = None
    ) -> None:
        """Adds an artifact to the index of a context, or detail to one.

        See AsyncKata.add_artifact.
        """
        await self.database.add_artifact(self.id, kind, ref, detail, version=version)

    async def artifacts(self, kind: str | None = None, *, at: Version | None = None) -> list[ArtifactRow]:
        """The artifacts that the messages of a context name, compacted or not.

        See AsyncKata.artifacts.
        """
        return await self.database.artifacts(self.id, kind, at=at)

    async def put_token_counts(self, tokenizer: str, versions: Numbers[int], counts: Numbers[int]) -> int:
        """Stores exact token counts of messages in a tokenizer other than the context's.

        See AsyncKata.put_token_counts.
        """
        return await self.database.put_token_counts(self.id, tokenizer, versions, counts)

    async def erase_message(self, version: Version, reason: str) -> list[EraseMessageRow]:
        """Redacts a message permanently, for its context, its forks and the copies that merges have made.

        See AsyncKata.erase_message.
        """
        return await self.database.erase_message(self.id, version, reason)

    async def erasures(self) -> list[ErasureRow]:
        """The erased messages of a context.

        See AsyncKata.erasures.
        """
        return await self.database.erasures(self.id)

    async def purge_context(self, dry_run: bool = False) -> PurgeContextRow:
        """Permanently removes what a deleted context wrote, except messages that forks still need.

        See AsyncKata.purge_context.
        """
        return await self.database.purge_context(self.id, dry_run)

    async def purges(self) -> list[PurgeRow]:
        """The receipts of a purged context.

        See AsyncKata.purges.
        """
        return await self.database.purges(self.id)

    async def export_family(self, after: str | None = None, *, max_rows: int = 1000) -> list[ExportFamilyRow]:
        """Lists the lines of the archive of a fork family, from which kata.import_family makes it again.

        See AsyncKata.export_family.
        """
        return await self.database.export_family(self.id, after, max_rows=max_rows)

    async def index_search(self, max_messages: int | None = None) -> int:
        """Indexes the messages of a context, inherited ones included, for kata.search and kata.recall.

        See AsyncKata.index_search.
        """
        return await self.database.index_search(self.id, max_messages)

    async def prewarm(self) -> list[PrewarmRow]:
        """Reads the rows into memory that the first window and the first search of a context need.

        See AsyncKata.prewarm.
        """
        return await self.database.prewarm(self.id)

    async def put_embeddings(
        self,
        model: str,
        versions: Numbers[int],
        embeddings: Numbers[float],
        digests: Iterable[str] | None = None,
    ) -> int:
        """Stores the embeddings of messages, for kata.recall.

        See AsyncKata.put_embeddings.
        """
        return await self.database.put_embeddings(self.id, model, versions, embeddings, digests)

    async def recall(
        self,
        query: str | None = None,
        *,
        embedding: Numbers[float] | None = None,
        model: str | None = None,
        max_rows: int = 10,
        at: Version | None = None,
        max_tokens: int | None = None,
    ) -> list[RecallRow]:
        """Finds the messages of a context that help to answer a query, best first, their neighbors
        included.

        See AsyncKata.recall.
        """
        return await self.database.recall(
            self.id, query, embedding=embedding, model=model, max_rows=max_rows, at=at, max_tokens=max_tokens
        )

    async def search(self, query: str, max_rows: int = 20, *, at: Version | None = None) -> list[SearchRow]:
        """Finds the messages of a context that hold words of a query, best first: where something was
        said.

        See AsyncKata.search.
        """
        return await self.database.search(self.id, query, max_rows, at=at)

    async def verify(
        self, after: ContextId | None = None, *, max_contexts: int | None = None
    ) -> list[VerifyRow]:
        """Verifies the integrity of the log: one row per problem found, none if it is sound.

        See AsyncKata.verify.
        """
        return await self.database.verify(self.id, after=after, max_contexts=max_contexts)
