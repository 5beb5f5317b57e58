"""The functions as methods.

Written by pydriver/generate.py; `make generate` writes it anew.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from kata_context import calls
from kata_context.call import Call
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
from kata_context.values import Json, Numbers, as_json, as_numbers, as_texts, as_uuid

T = TypeVar("T")


class Methods(ABC):
    """A method for every function of schema kata."""

    @abstractmethod
    def _run(self, call: Call[T], arguments: tuple[Any, ...]) -> list[T]:
        """Run a call and return its rows."""

    def archive_context(self, context_id: UUID | str) -> None:
        """Archives a context: from then on it can be read and forked, not changed.

        One that is archived already stays as it is.

        Parameters
        ----------
        context_id : the context.

        Raises
        ------
        ContextNotFoundError, ContextClosedError deleted.

        Locks: the head of the context.
        Cost: O(1).
        """
        self._run(calls.ARCHIVE_CONTEXT, (context_id,))

    def archive_inactive(self, idle: timedelta, dry_run: bool = False) -> list[ArchiveInactiveRow]:
        """Archives the forks that nothing was appended to or changed in for a while; roots are left alone.

        Under kata.tenant '*' the forks of all tenants.

        Returns a row a fork: context_id, name, updated_at (before archiving).

        Parameters
        ----------
        idle : how long nothing happened.
        dry_run : only say which.

        Raises
        ------
        InvalidArgumentError.

        Locks: the heads of the forks, by id ascending.
        Cost: O(forks of the tenant).
        """
        return self._run(calls.ARCHIVE_INACTIVE, (idle, dry_run))

    def create_context(
        self,
        name: str | None = None,
        *,
        policy: Json = None,
        metadata: Json = None,
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
        tokenizer : the unit of its token counts and budgets; one that kata.tokenizers lists.
        idempotency_key : 1 to 255 characters; the same request again within seven days returns the first
            result.

        Raises
        ------
        NameTakenError name taken, InvalidPolicyError invalid policy, InvalidArgumentError,
            IdempotencyConflictError.

        Cost: O(1).
        """
        return self._run(
            calls.CREATE_CONTEXT,
            (name, as_json(policy), as_json(metadata), tokenizer, preset, idempotency_key),
        )[0]

    def create(
        self,
        name: str | None = None,
        *,
        policy: Json = None,
        metadata: Json = None,
        tokenizer: str = "o200k_base",
        preset: str | None = None,
        idempotency_key: str | None = None,
    ) -> "Context":
        """Creates an empty context in the caller's tenant.

        As create_context, but returns a handle of it.
        """
        return Context(
            self,
            self.create_context(
                name,
                policy=policy,
                metadata=metadata,
                tokenizer=tokenizer,
                preset=preset,
                idempotency_key=idempotency_key,
            ),
        )

    def delete_context(self, context_id: UUID | str) -> None:
        """Deletes a context softly: it can be restored, its name is free, its forks are not touched.

        Parameters
        ----------
        context_id : the context; an archived one too.

        Raises
        ------
        ContextNotFoundError, ContextClosedError deleted already.

        Locks: the head of the context.
        Cost: O(1).
        """
        self._run(calls.DELETE_CONTEXT, (context_id,))

    def find_context(self, name: str) -> UUID | None:
        """The id of the live context of this name in the caller's tenant; null when there is none.

        Parameters
        ----------
        name : the exact name.

        Cost: O(log contexts).
        """
        return next(iter(self._run(calls.FIND_CONTEXT, (name,))), None)

    def get_context(self, context_id: UUID | str) -> ContextRow:
        """One context, deleted or not.

        Returns one row: context_id, name, tenant, parent_id and fork_version (of a fork, else null), depth
        (0 for a root), version, message_count and raw_tokens (of the whole path), view_tokens (what a model
        would see), tokenizer, open_calls (ids of the tool calls without result, oldest first), metadata,
        created_at, updated_at (last append or change), archived_at, deleted_at.

        Parameters
        ----------
        context_id : the context.

        Raises
        ------
        ContextNotFoundError.

        Cost: O(1).
        """
        return self._run(calls.GET_CONTEXT, (context_id,))[0]

    def list_contexts(
        self, after: UUID | str | None = None, *, max_rows: int = 50, include_deleted: bool = False
    ) -> list[ContextRow]:
        """A page of the caller's contexts, newest first; under kata.tenant '*' those of all tenants.

        Returns rows as get_context.

        Parameters
        ----------
        after : the last context_id of the page before; null for the first page.
        max_rows : 1 to 1,000.
        include_deleted : deleted ones too.

        Raises
        ------
        InvalidArgumentError.

        Cost: O(log contexts + rows).
        """
        return self._run(calls.LIST_CONTEXTS, (after, max_rows, include_deleted))

    def resolve_context(self, selector: str, include_deleted: bool = False) -> UUID:
        """The context that a person means: by its id, its name, or the beginning of its id where only one
        begins so.

        Returns the id.

        Parameters
        ----------
        selector : an id, which finds a deleted context, too; or the name of a live context; or at least one
            digit of an id, hyphens as in an id or none.
        include_deleted : a beginning may be that of a deleted context's id.

        Raises
        ------
        ContextNotFoundError no such context, InvalidArgumentError the beginning of several ids.

        Cost: O(log contexts).
        """
        return self._run(calls.RESOLVE_CONTEXT, (selector, include_deleted))[0]

    def restore_context(self, context_id: UUID | str) -> None:
        """Brings a deleted context back; one that is not deleted stays as it is.

        Parameters
        ----------
        context_id : the context.

        Raises
        ------
        ContextNotFoundError, NameTakenError its name was taken meanwhile.

        Locks: the head of the context.
        Cost: O(1).
        """
        self._run(calls.RESTORE_CONTEXT, (context_id,))

    def unarchive_context(self, context_id: UUID | str) -> None:
        """Opens an archived context again; one that is not archived stays as it is.

        Parameters
        ----------
        context_id : the context.

        Raises
        ------
        ContextNotFoundError, ContextClosedError deleted.

        Locks: the head of the context.
        Cost: O(1).
        """
        self._run(calls.UNARCHIVE_CONTEXT, (context_id,))

    def update_context(
        self, context_id: UUID | str, name: str | None = None, *, metadata: Json = None
    ) -> None:
        """Changes name or metadata of a context.

        Parameters
        ----------
        context_id : the context.
        name : the new name; null keeps it, '' clears it.
        metadata : the new object, at most 64 kB; null keeps it.

        Raises
        ------
        ContextNotFoundError, ContextClosedError, NameTakenError name taken, InvalidArgumentError.

        Locks: the head of the context.
        Cost: O(1).
        """
        self._run(calls.UPDATE_CONTEXT, (context_id, name, as_json(metadata)))

    def append(
        self,
        context_id: UUID | str,
        messages: Json,
        expected_version: int | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> list[AppendedRow]:
        """Appends a batch of messages, whole or not at all.

        Returns a row a message, in order: version, token_count, created_at (the same for the whole batch).

        Parameters
        ----------
        context_id : the context.
        messages : an array of at most 10,000 objects with the keys role (system, developer, user,
            assistant, tool), content (text, at most 16 MB; null only beside tool_calls or parts),
            token_count (tokens of all that is sent; estimated when missing), tool_call_id, tool_name,
            tool_calls (OpenAI chat form), model, metadata, pinned, name, parts (provider content parts),
            provider (opaque fields), token_source ('exact' or 'given', of a token_count). An empty array
            appends nothing.
        expected_version : a version since which no message may have been appended or deleted.
        idempotency_key : 1 to 255 characters; the same request again within seven days returns the first
            result.

        Raises
        ------
        ContextNotFoundError, VersionConflictError version conflict, InvalidMessageError invalid message,
            OrphanToolResultError a tool result whose call is not open, ContextClosedError,
            InvalidArgumentError, IdempotencyConflictError.

        Locks: the head of the context, until the end of the transaction.
        Cost: O(batch), whatever the length of the log.
        """
        return self._run(calls.APPEND, (context_id, as_json(messages), expected_version, idempotency_key))

    def append_message(
        self,
        context_id: UUID | str,
        role: str,
        content: str | None,
        token_count: int | None = None,
        *,
        tool_call_id: str | None = None,
        tool_name: str | None = None,
        tool_calls: Json = None,
        model: str | None = None,
        metadata: Json = None,
        pinned: bool = False,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        name: str | None = None,
        parts: Json = None,
        provider: Json = None,
        token_source: str | None = None,
    ) -> int:
        """Appends one message.

        Returns the version that the message took.

        Parameters
        ----------
        context_id : the context.
        role : system, developer, user, assistant or tool.
        content : text, at most 16 MB; null only beside tool_calls or parts.
        token_count : tokens of all that is sent for the message, in the context's tokenizer; estimated when
            null.
        tool_call_id, tool_name : of a tool result, the open call that it answers.
        tool_calls : of an assistant, in the OpenAI chat form.
        model, metadata, name : kept as given.
        pinned : the message stays in every window.
        parts : provider content parts, verbatim.
        provider : opaque fields that go back to the provider as they came.
        expected_version : a version since which no message may have been appended or deleted.
        idempotency_key : 1 to 255 characters; the same request again within seven days returns the first
            result.
        token_source : 'exact' (counted with the context's tokenizer) or 'given', of a token_count.

        Raises
        ------
        ContextNotFoundError, VersionConflictError version conflict, InvalidMessageError invalid message,
            OrphanToolResultError a tool result whose call is not open, ContextClosedError,
            InvalidArgumentError, IdempotencyConflictError.

        Locks: the head of the context, until the end of the transaction.
        Cost: O(1), whatever the length of the log.
        """
        return self._run(
            calls.APPEND_MESSAGE,
            (
                context_id,
                role,
                content,
                token_count,
                tool_call_id,
                tool_name,
                as_json(tool_calls),
                model,
                as_json(metadata),
                pinned,
                expected_version,
                idempotency_key,
                name,
                as_json(parts),
                as_json(provider),
                token_source,
            ),
        )[0]

    def close_calls(
        self, context_id: UUID | str, call_ids: Iterable[str] | None = None, *, reason: str = "cancelled"
    ) -> list[AppendedRow]:
        """Answers open tool calls with a tool message each.

        Returns a row a message, as append; none where no call is open.

        Parameters
        ----------
        context_id : the context.
        call_ids : the calls to close; null: all that are open.
        reason : the content of the messages.

        Raises
        ------
        ContextNotFoundError, OrphanToolResultError where a call is not open, ContextClosedError.

        Locks: the head of the context.
        Cost: O(calls closed).
        """
        return self._run(calls.CLOSE_CALLS, (context_id, as_texts(call_ids), reason))

    def get_message(self, context_id: UUID | str, version: int) -> MessageRow:
        """One message, by its version, whatever compaction has done since.

        Returns one message row: version, position, role, content, token_count, token_source (exact, given,
        estimate), tool_call_id, tool_name, tool_calls, model, metadata, pinned, kind (message, summary,
        stub), compacted_into (the replacement that covers it, or null), group_version (the message whose
        call it answers, else itself), segment_id (the context that wrote it), created_at, name, parts,
        provider.

        Parameters
        ----------
        context_id : the context.
        version : the version that the message took.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError no message has this version, ContextClosedError.

        Cost: O(log n).
        """
        return self._run(calls.GET_MESSAGE, (context_id, version))[0]

    def messages(
        self,
        context_id: UUID | str,
        after: int | None = None,
        *,
        max_rows: int = 100,
        descending: bool = False,
        visibility: str = "effective",
        at: int | None = None,
    ) -> list[MessageRow]:
        """A page of the messages of a context.

        Returns message rows, as get_message.

        Parameters
        ----------
        context_id : the context.
        after : the last position (or version, under raw and all) of the page before; null for the first
            page.
        max_rows : 1 to 1,000.
        descending : newest first.
        visibility : effective (the view: what a model would see, in reading order), raw (every message but
            the deleted ones, by version), all (everything, by version).
        at : as of this version; null for now. Pages under a fixed `at` are exact whatever is appended
            meanwhile.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError.

        Cost: O(log n + rows + fork depth).
        """
        return self._run(calls.MESSAGES, (context_id, after, max_rows, descending, visibility, at))

    def usage(self, context_id: UUID | str, at: int | None = None) -> UsageRow:
        """How much a context holds.

        Returns one row: version, message_count and raw_tokens (all messages of the path, inherited, deleted
        and erased ones included, replacements not), view_tokens (what a model would see).

        Parameters
        ----------
        context_id : the context.
        at : as of this version; null for now.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError.

        Cost: O(log n).
        """
        return self._run(calls.USAGE, (context_id, at))[0]

    def prompt(
        self,
        context_id: UUID | str,
        budget: int,
        format: str = "openai",
        *,
        at: int | None = None,
        stable_step: int = 0,
        tokenizer: str | None = None,
    ) -> Json:
        """The window as one JSON document in the chat form of a provider, ready to send.

        Results stand right behind their call. A call without result, outside the newest group, is closed
        with "[no result]". A result whose call is not in the log (policy strict false) is shown as a
        message of the user.

        Returns jsonb.

        Parameters
        ----------
        context_id, budget (tokens), at, stable_step, tokenizer : as for window.
        format : openai (an array of messages) or anthropic (an object with system and messages, roles
            alternating from user on; system and developer messages after the preamble stand in place, as
            text of the user's turn in <system> tags).

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError,
            BudgetTooSmallError the budget is too small for what always comes (the least sufficient one in
            DETAIL).

        Cost: as window.
        """
        return self._run(calls.PROMPT, (context_id, budget, format, at, stable_step, tokenizer))[0]

    def window(
        self,
        context_id: UUID | str,
        budget: int,
        at: int | None = None,
        *,
        stable_step: int = 0,
        tokenizer: str | None = None,
    ) -> list[WindowRow]:
        """The messages that a model should see, within a token budget, in reading order.

        The newest group (an assistant message with tool calls and their results; any other message alone),
        the preamble (system and developer messages before the first of another role) and the pins always
        come; if they alone exceed the budget they are all that comes, every row over_budget. Then whole
        groups, newest first, until one does not fit.

        Returns: ordinal from 1, version, position, role, content, token_count, running_tokens, reason
        (newest, preamble, pinned, summary, recalled, recent), over_budget, tool_call_id, tool_name,
        tool_calls, model, metadata, created_at, kind, name, parts, provider, group_version (the message
        whose call it answers, else itself).

        Parameters
        ----------
        context_id : the context.
        budget : tokens that the messages may take together, positive.
        at : as of this version; null for now.
        stable_step : tokens for which the start of the window stays still, so that a provider's prompt
            cache is hit; 0 for none; smaller than the budget. Where what always comes leaves no room for a
            step, the window starts as without one.
        tokenizer : count in this one instead of the context's: stored counts where there are any, else a
            padded conversion.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError.

        Cost: O(log n + rows + pins + fork depth), whatever the length of the log and `at`.
        """
        return self._run(calls.WINDOW, (context_id, budget, at, stable_step, tokenizer))

    def current_tenant(self) -> str:
        """The tenant that the caller acts for: for a member of kata_service the setting kata.tenant (default:
        'default'), else what assign_tenant gave to the role, else the role's name.

        '*' is every tenant, for members of kata_service and kata_admin that set it.

        Cost: O(1).
        """
        return self._run(calls.CURRENT_TENANT, ())[0]

    def verify(self, context_id: UUID | str | None = None) -> list[VerifyRow]:
        """Looks for damage: recomputes versions, totals, groups, open calls and digests from the log and
        compares.

        No rows: sound.

        Returns a row a problem: context_id, version (null where it is not about one), problem (a short
        name), detail (a sentence).

        Parameters
        ----------
        context_id : one context, deleted or not; null for all of the caller's tenant (under kata.tenant '*'
            of all tenants) and, for administrators, for rows that belong to no context.

        Raises
        ------
        ContextNotFoundError.

        Cost: O(length of the paths verified); reads only, takes no lock.
        """
        return self._run(calls.VERIFY, (context_id,))

    def assign_tenant(self, role_name: str, tenant: str) -> None:
        """Gives a database role a tenant other than its own name.

        Members of kata_service are not bound to one.

        Parameters
        ----------
        role_name : an existing role.
        tenant : neither empty nor '*'.

        Raises
        ------
        InvalidArgumentError.

        Cost: O(1).
        """
        self._run(calls.ASSIGN_TENANT, (role_name, tenant))

    def environment(self) -> str | None:
        """The label of the environment that this database belongs to, production for example; null where it
        has none.

        Cost: O(1).
        """
        return next(iter(self._run(calls.ENVIRONMENT, ())), None)

    def put_token_counts(
        self, context_id: UUID | str, tokenizer: str, versions: Numbers[int], counts: Numbers[int]
    ) -> int:
        """Stores exact counts of messages in a tokenizer other than the context's, for windows asked for in
        it.

        Counts of inherited messages are shared with the context that wrote them.

        Returns how many messages have a new count.

        Parameters
        ----------
        context_id : the context.
        tokenizer : a registered one.
        versions, counts : one count a version; a later one for the same version wins.

        Raises
        ------
        ContextNotFoundError, VersionNotFoundError, ContextClosedError, InvalidArgumentError.

        Cost: O(versions).
        """
        return self._run(
            calls.PUT_TOKEN_COUNTS, (context_id, tokenizer, as_numbers(versions), as_numbers(counts))
        )[0]

    def register_tokenizer(
        self, name: str, bytes_per_token: Decimal | float, margin: Decimal | float = 0.15
    ) -> None:
        """Registers a tokenizer, or corrects one.

        Parameters
        ----------
        name : 1 to 255 characters.
        bytes_per_token : bytes of English text a token, 0.1 to 100.
        margin : what a conversion from another tokenizer is padded with, a fraction from 0 to 10.

        Raises
        ------
        InvalidArgumentError.

        Cost: O(1).
        """
        self._run(calls.REGISTER_TOKENIZER, (name, bytes_per_token, margin))

    def set_environment(self, label: str, current_label: str | None = None) -> None:
        """Labels this database with the environment that it belongs to, as production; commands that destroy
        then ask for the label.

        Nothing in the database itself behaves differently.

        Parameters
        ----------
        label : at most 63 characters, without control characters, nor spaces around; '' removes the label.
        current_label : the label that the database has, needed to change or remove one.

        Raises
        ------
        InvalidArgumentError, NotPermittedError the database has another label than current_label.

        Locks: the label.
        Cost: O(1).
        """
        self._run(calls.SET_ENVIRONMENT, (label, current_label))

    def stats(self) -> Json:
        """Counts of the caller's tenant, under kata.tenant '*' of every tenant.

        Returns an object, a key a tenant: contexts, live, archived, deleted, forks (contexts each), entries
        (log entries that its contexts wrote themselves), updated_at (last append or change).

        Cost: O(contexts).
        """
        return self._run(calls.STATS, ())[0]

    def tokenizers(self) -> list[TokenizerRow]:
        """The registered tokenizers.

        Returns name, bytes_per_token (of English text), margin (what a conversion from another tokenizer is
        padded with, a fraction).

        Cost: O(tokenizers).
        """
        return self._run(calls.TOKENIZERS, ())

    def version(self) -> str:
        """The version of Kata Context that this database carries."""
        return self._run(calls.VERSION, ())[0]


class Context:
    """A method for every function that takes a context first.

    Parameters
    ----------
    database : what runs the calls
    id : of the context
    """

    __slots__ = ("database", "id")

    def __init__(self, database: Methods, id: UUID | str) -> None:
        self.database = database
        self.id = as_uuid(id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.id)!r})"

    def archive_context(self) -> None:
        """Archives a context: from then on it can be read and forked, not changed.

        See Methods.archive_context.
        """
        self.database.archive_context(self.id)

    def delete_context(self) -> None:
        """Deletes a context softly: it can be restored, its name is free, its forks are not touched.

        See Methods.delete_context.
        """
        self.database.delete_context(self.id)

    def get_context(self) -> ContextRow:
        """One context, deleted or not.

        See Methods.get_context.
        """
        return self.database.get_context(self.id)

    def restore_context(self) -> None:
        """Brings a deleted context back; one that is not deleted stays as it is.

        See Methods.restore_context.
        """
        self.database.restore_context(self.id)

    def unarchive_context(self) -> None:
        """Opens an archived context again; one that is not archived stays as it is.

        See Methods.unarchive_context.
        """
        self.database.unarchive_context(self.id)

    def update_context(self, name: str | None = None, *, metadata: Json = None) -> None:
        """Changes name or metadata of a context.

        See Methods.update_context.
        """
        self.database.update_context(self.id, name, metadata=metadata)

    def append(
        self, messages: Json, expected_version: int | None = None, *, idempotency_key: str | None = None
    ) -> list[AppendedRow]:
        """Appends a batch of messages, whole or not at all.

        See Methods.append.
        """
        return self.database.append(self.id, messages, expected_version, idempotency_key=idempotency_key)

    def append_message(
        self,
        role: str,
        content: str | None,
        token_count: int | None = None,
        *,
        tool_call_id: str | None = None,
        tool_name: str | None = None,
        tool_calls: Json = None,
        model: str | None = None,
        metadata: Json = None,
        pinned: bool = False,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        name: str | None = None,
        parts: Json = None,
        provider: Json = None,
        token_source: str | None = None,
    ) -> int:
        """Appends one message.

        See Methods.append_message.
        """
        return self.database.append_message(
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
        )

    def close_calls(
        self, call_ids: Iterable[str] | None = None, *, reason: str = "cancelled"
    ) -> list[AppendedRow]:
        """Answers open tool calls with a tool message each.

        See Methods.close_calls.
        """
        return self.database.close_calls(self.id, call_ids, reason=reason)

    def get_message(self, version: int) -> MessageRow:
        """One message, by its version, whatever compaction has done since.

        See Methods.get_message.
        """
        return self.database.get_message(self.id, version)

    def messages(
        self,
        after: int | None = None,
        *,
        max_rows: int = 100,
        descending: bool = False,
        visibility: str = "effective",
        at: int | None = None,
    ) -> list[MessageRow]:
        """A page of the messages of a context.

        See Methods.messages.
        """
        return self.database.messages(
            self.id, after, max_rows=max_rows, descending=descending, visibility=visibility, at=at
        )

    def usage(self, at: int | None = None) -> UsageRow:
        """How much a context holds.

        See Methods.usage.
        """
        return self.database.usage(self.id, at)

    def prompt(
        self,
        budget: int,
        format: str = "openai",
        *,
        at: int | None = None,
        stable_step: int = 0,
        tokenizer: str | None = None,
    ) -> Json:
        """The window as one JSON document in the chat form of a provider, ready to send.

        See Methods.prompt.
        """
        return self.database.prompt(
            self.id, budget, format, at=at, stable_step=stable_step, tokenizer=tokenizer
        )

    def window(
        self, budget: int, at: int | None = None, *, stable_step: int = 0, tokenizer: str | None = None
    ) -> list[WindowRow]:
        """The messages that a model should see, within a token budget, in reading order.

        See Methods.window.
        """
        return self.database.window(self.id, budget, at, stable_step=stable_step, tokenizer=tokenizer)

    def verify(self) -> list[VerifyRow]:
        """Looks for damage: recomputes versions, totals, groups, open calls and digests from the log and
        compares.

        See Methods.verify.
        """
        return self.database.verify(self.id)

    def put_token_counts(self, tokenizer: str, versions: Numbers[int], counts: Numbers[int]) -> int:
        """Stores exact counts of messages in a tokenizer other than the context's, for windows asked for in
        it.

        See Methods.put_token_counts.
        """
        return self.database.put_token_counts(self.id, tokenizer, versions, counts)
