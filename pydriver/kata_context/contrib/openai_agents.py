"""A session of the OpenAI Agents SDK in a context: items are messages, with windows, forks and compaction.

    session = KataSession("support-4711", kata, budget=8000)
    await Runner.run(agent, "Book it.", session=session)

The calls of a session run in threads on a `Kata`, which event loops share: a pool per loop, as `AsyncKata`
has, would be one per thread of `Runner.run_sync`.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID, uuid4

from kata_context import Compactor, Context, Kata, MessageRow, Transaction
from kata_context.contrib.changes import changed
from kata_context.contrib.openai_agents_items import Item, from_kata, items_of, rename_open, to_kata
from kata_context.database_errors import (
    BusyError,
    CompactionInProgressError,
    ContextClosedError,
    ContextNotFoundError,
    InvalidMessageError,
    NoGainError,
    NothingToCompactError,
    StaleCompactionError,
)
from kata_context.errors import KataError
from kata_context.types import Message

try:
    from agents.memory import SessionSettings
    from agents.memory.session_settings import coerce_session_settings
except ImportError as error:
    raise KataError(
        "openai-agents is not installed", hint="run: pip install 'kata-context[openai-agents]'"
    ) from error

T = TypeVar("T")
PAGE = 1000
BATCH = 10_000  # most messages of an append
# Another worker is at it, or there is nothing to gain.
UNNEEDED = (BusyError, CompactionInProgressError, NoGainError, NothingToCompactError, StaleCompactionError)


class KataSession:
    """The items of a session are the messages of the context that has its id as name.

    The context is made by the first item. Calls that have no result, and results without a call, are kept:
    its policy is not strict.

    Parameters
    ----------
    session_id : the name of the context, 1 to 255 characters
    kata : a client, which the session does not close
    session_settings : `limit` is the number of items that get_items returns at most
    budget : most tokens of what get_items returns, the window of the context; None for all of the view
    summarize : writes the summaries of run_compaction, as for `Compactor`; None for digests without a model
    """

    def __init__(
        self,
        session_id: str,
        kata: Kata,
        *,
        session_settings: SessionSettings | dict[str, Any] | None = None,
        budget: int | None = None,
        summarize: Callable[[Any], str] | None = None,
    ) -> None:
        if not isinstance(kata, Kata):
            raise KataError(
                f"kata is {type(kata).__name__}, not Kata", hint="pass a Kata, also in a coroutine"
            )
        self.session_id = session_id
        self.session_settings: SessionSettings | None = coerce_session_settings(session_settings or {})
        self.budget = budget
        self._kata = kata
        self._name = session_id  # of the context
        self._summarize = summarize
        self._id: UUID | None = None

    @property
    def context(self) -> Context:
        """The handle of the context, made if it is not there."""
        return self._kata.context(self._made())

    async def get_items(self, limit: int | None = None) -> list[Any]:
        """Return what a model is to see, oldest first.

        Parameters
        ----------
        limit : the newest items only; None for that of the settings, a negative one for all
        """
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        newest = None if limit is None or limit < 0 else limit
        return await asyncio.to_thread(self._again, lambda: self._items(newest))

    async def add_items(self, items: list[Any]) -> None:
        """Append items: all of them or none.

        Raises
        ------
        TypeError : an item is not JSON
        KataError : an item has a role that no provider has, or is over 16 MB
        """
        if items:
            messages = to_kata(items)
            await _finished(lambda: self._again(lambda: self._append(messages)))

    async def pop_item(self) -> Any | None:
        """Take back the newest item and return it; None if there is none.

        The log keeps it: `context.rewind` brings it back.
        """
        return await _finished(lambda: self._again(self._pop))

    async def clear_session(self) -> None:
        """Take back all items. The log keeps them, and `context.undo` brings them back at once."""
        await _finished(lambda: self._again(self._clear))

    async def run_compaction(self, args: Any = None) -> None:
        """Compact the context if it is due by its policy; the SDK calls this after a turn.

        Parameters
        ----------
        args : `force` has it compacted although it is not due; the ids of responses are of no use here
        """
        await _finished(lambda: self._again(lambda: self._compact(bool((args or {}).get("force")))))

    async def fork(self, session_id: str, at: int | str | None = None) -> "KataSession":
        """Return a session that has the items of this one, and goes on by itself.

        Parameters
        ----------
        session_id : its name, a new one
        at : as of this version of the context, or a selector; None for now
        """
        await _finished(lambda: self._kata.fork(self._made(), at, name=session_id))
        return KataSession(
            session_id,
            self._kata,
            session_settings=self.session_settings,
            budget=self.budget,
            summarize=self._summarize,
        )

    def _found(self) -> UUID | None:
        if self._id is None:
            self._id = self._kata.find_context(self._name)
        return self._id

    def _made(self) -> UUID:
        if self._id is None:
            made = self._kata.get_or_create_context(self._name, policy={"strict": False})
            self._id = made.context_id
        return self._id

    def _again(self, call: Callable[[], T]) -> T:
        """Make a call, and once more if the context was deleted: another one may have its name."""
        try:
            return call()
        except (ContextClosedError, ContextNotFoundError):
            if self._id is None:
                raise
            self._id = None
            return call()

    def _items(self, limit: int | None) -> list[Item]:
        id = self._found()
        if id is None or limit == 0:
            return []
        if self.budget is not None:
            items = from_kata(self._kata.window(id, self.budget))
        else:
            items = from_kata(self._rows(id, limit))
        return items if limit is None else items[-limit:]

    def _rows(self, id: UUID, limit: int | None) -> list[MessageRow]:
        """Return the rows of the view, or the newest ones: as many as items, since each has one or more."""
        wanted = PAGE if limit is None else min(limit, PAGE)
        rows = self._kata.messages(id, max_rows=wanted, descending=True)
        if len(rows) == wanted and limit != len(rows):
            # Further pages are of the same version as the first one.
            at = self._kata.usage(id).version
            rows = page = self._kata.messages(id, max_rows=wanted, descending=True, at=at)
            while len(page) == wanted and (limit is None or len(rows) < limit):
                page = self._kata.messages(
                    id, after=page[-1].position, max_rows=wanted, descending=True, at=at
                )
                rows = [*rows, *page]
        return rows[::-1]

    def _append(self, messages: list[Message]) -> None:
        id = self._made()
        try:
            self._write(id, messages)
        except InvalidMessageError:
            # A call may have the id of one that is open.
            renamed = rename_open(messages, self._kata.get_context(id).open_calls)
            if renamed == messages:
                raise
            self._write(id, renamed)

    def _write(self, id: UUID, messages: list[Message]) -> None:
        if len(messages) <= BATCH:
            self._kata.append(id, messages, idempotency_key=str(uuid4()))
            return

        def write(transaction: Transaction) -> None:
            for start in range(0, len(messages), BATCH):
                transaction.append(id, messages[start : start + BATCH])

        changed(self._kata, write)

    def _pop(self) -> Item | None:
        id = self._found()
        return None if id is None else changed(self._kata, lambda transaction: _take_back(transaction, id))

    def _clear(self) -> None:
        id = self._found()
        if id is not None and self._kata.messages(id, max_rows=1):
            self._kata.rewind(id, 0, idempotency_key=str(uuid4()))

    def _compact(self, force: bool) -> None:
        id = self._found()
        if id is None:
            return
        try:
            if self._summarize is not None:
                Compactor(self._kata, self._summarize).compact(id, force=force)
            else:
                self._kata.compact(id, force=force)
        except UNNEEDED:
            pass


def _take_back(transaction: Transaction, id: UUID) -> Item | None:
    """Take the newest item out of the view: go back to before its message, and append what else that had."""
    now = transaction.usage(id)
    rows = transaction.messages(id, max_rows=1, descending=True, at=now.version)
    if not rows:
        return None
    (row,) = rows
    items = items_of(row)
    then = transaction.usage(id, at=row.version)
    is_alone = row.kind == "message" and row.role != "tool" and not row.tool_calls
    if is_alone and (then.view_tokens, then.tools_tokens) != (now.view_tokens, now.tools_tokens):
        # Another change of the view came later, such as a compaction; it stays.
        transaction.append(id, [], expected_version=now.version)
        transaction.delete_messages(id, row.version)
    else:
        transaction.rewind(id, row.position - 1, expected_version=now.version)
    if items[:-1]:
        transaction.append(id, to_kata(items[:-1]))
    return items[-1]


async def _finished(change: Callable[[], T]) -> T:
    """Run a change in a thread, and see its end before a cancellation goes on."""
    task = asyncio.ensure_future(asyncio.to_thread(change))
    is_cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        task.exception()
        raise asyncio.CancelledError
    return task.result()
