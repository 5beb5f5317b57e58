"""A store of the Claude Agent SDK: a session is a context, its turns are messages.

    options = ClaudeAgentOptions(session_store=KataSessionStore(kata))

The program of the SDK keeps transcripts of its own, and mirrors each entry to the store. Windows, compaction,
search and forks of the context do not change what `load` returns.
"""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

from kata_context import Context, ContextRow, Kata, MessageRow, RecordRow, Transaction
from kata_context.adapters import escape, unescape
from kata_context.contrib.changes import changed
from kata_context.contrib.claude_agent_sdk_entries import OWN, Draft, Fields, draft, entries
from kata_context.database_errors import (
    ContextClosedError,
    InvalidArgumentError,
    InvalidInputError,
    InvalidMessageError,
    KataDatabaseError,
)
from kata_context.errors import KataError

try:
    from anyio.to_thread import run_sync
    from claude_agent_sdk import SessionStore, fold_session_summary
except ImportError as error:
    raise KataError(
        "claude-agent-sdk is not installed", hint="run: pip install 'kata-context[claude-agent-sdk]'"
    ) from error

T = TypeVar("T")
PAGE = 1000
BATCH = 5_000  # messages of an append
LONGEST_SUMMARY = 50_000  # bytes of JSON in the metadata of a context, which hold 64 kB
ERASURES = (
    "select c.id, count(*) from unnest(%s::uuid[]) c(id) cross join lateral kata.erasures(c.id) group by c.id"
)
# Most characters of project, session and subpath in a name, which has 255 with the prefix.
PARTS = (90, 60, 85)


class KataSessionStore(SessionStore):
    """Transcripts in contexts, one per session and one per subagent.

    An entry is appended once: its uuid is the external id of its message or record. Entries without one are
    always appended, as the SDK asks. No entry is refused: one that messages cannot hold is a record, and
    texts that Postgres does not store are escaped and come back.

    Parameters
    ----------
    kata : a client, which the store does not close; its calls run in threads
    tokenizer : in which new contexts count
    """

    def __init__(self, kata: Kata, *, tokenizer: str = "o200k_base") -> None:
        if not isinstance(kata, Kata):
            raise KataError(
                f"kata is {type(kata).__name__}, not Kata", hint="pass a Kata, also in a coroutine"
            )
        self._kata = kata
        self._tokenizer = tokenizer

    def context(self, key: Any) -> Context:
        """Return the handle of a session's context.

        Raises
        ------
        ContextNotFoundError : on its first call, if the session was never written
        """
        return self._kata.context(_name(key))

    async def append(self, key: Any, entries: list[Any]) -> None:
        """Append entries in one transaction, without those that are there."""
        if entries:
            drafts = await run_sync(lambda: [draft(entry) for entry in entries])
            await run_sync(self._append, key, drafts)

    async def load(self, key: Any) -> list[Any] | None:
        """Return the entries in the order in which they were appended; None if there are none."""
        return await run_sync(self._load, key)

    async def list_sessions(self, project_key: str) -> list[Any]:
        """Return the sessions of a project, with the time of the last change of each."""
        rows = await run_sync(self._sessions, project_key)
        return [{"session_id": _key(row)["session_id"], "mtime": _mtime(row)} for row in rows]

    async def list_session_summaries(self, project_key: str) -> list[Any]:
        """Return the summaries of a project's sessions.

        One that grew too long is left out, or may have words of an entry that was erased since; the SDK loads
        that session instead.
        """
        return await run_sync(self._summaries, project_key)

    async def delete(self, key: Any) -> None:
        """Delete a session with its subagents, or one subagent.

        `kata.restore_context` brings them back until they are purged.
        """
        await run_sync(self._delete, key)

    async def list_subkeys(self, key: Any) -> list[str]:
        """Return the subpaths of a session's subagents."""
        return [_key(row)["subpath"] for row in await run_sync(self._subkeys, key)]

    def _append(self, key: Any, drafts: list[Draft]) -> None:
        try:
            changed(self._kata, lambda transaction: self._write(transaction, key, drafts))
        except (InvalidMessageError, InvalidArgumentError, InvalidInputError):
            # One that does not fit among the messages, for example a second open call of one id.
            changed(self._kata, lambda transaction: self._write(transaction, key, drafts, one_by_one=True))

    def _write(
        self, transaction: Transaction, key: Any, drafts: list[Draft], one_by_one: bool = False
    ) -> None:
        made = transaction.get_or_create_context(
            _name(key), policy={"strict": False}, metadata={OWN: _metadata(key)}, tokenizer=self._tokenizer
        )
        new: list[Fields] = []
        waiting: list[Draft] = []
        for one in drafts:
            size = sum(len(other.messages) for other in waiting)
            if waiting and (one_by_one or not one.messages or size + len(one.messages) > BATCH):
                new += _append_messages(transaction, made.context_id, waiting, one_by_one)
                waiting = []
            if one.messages:
                waiting.append(one)
            else:
                new += _append_records(transaction, made.context_id, one)
        new += _append_messages(transaction, made.context_id, waiting, one_by_one)
        if new and not key.get("subpath"):
            _fold(transaction, made.context_id, key, new)

    def _load(self, key: Any) -> list[Any] | None:
        id = self._kata.find_context(_name(key))
        if id is None:
            return None
        return _entries(self._kata, id) or None

    def _delete(self, key: Any) -> None:
        def delete(transaction: Transaction) -> None:
            rows = [] if key.get("subpath") else self._subkeys(key, transaction)
            own = transaction.find_context(_name(key))
            for id in [*([own] if own else []), *(row.context_id for row in rows)]:
                transaction.delete_context(id)

        changed(self._kata, delete)

    def _sessions(self, project_key: str) -> list[ContextRow]:
        own = {"project_key": escape(project_key), "subpath": None}
        return self._contexts(_name({"project_key": project_key}) + "/", own)

    def _summaries(self, project_key: str) -> list[Any]:
        rows = self._sessions(project_key)
        try:
            erased = dict(self._kata.select(ERASURES, [row.context_id for row in rows], reads=True))
        except ContextClosedError:  # deleted in between
            return self._summaries(project_key)
        found = []
        for row in rows:
            own = row.metadata[OWN]
            if own.get("erasures", 0) != erased.get(row.context_id, 0):
                with suppress(KataDatabaseError):  # an archived one stays as it is
                    changed(self._kata, partial(_fold_anew, row))
            elif data := unescape(own.get("summary")):
                found.append({"session_id": _key(row)["session_id"], "mtime": _mtime(row), "data": data})
        return found

    def _subkeys(self, key: Any, kata: Kata | Transaction | None = None) -> list[ContextRow]:
        key = {"project_key": key["project_key"], "session_id": key["session_id"]}
        own = _metadata(key)
        del own["subpath"]
        return self._contexts(_name(key) + "/", own, kata)

    def _contexts(self, prefix: str, own: Fields, kata: Kata | Transaction | None = None) -> list[ContextRow]:
        found: list[ContextRow] = []
        while True:
            after = found[-1].context_id if found else None
            page = (kata or self._kata).list_contexts(
                after, max_rows=PAGE, name_prefix=prefix, metadata={OWN: own}
            )
            found += page
            if len(page) < PAGE:
                return found


def _append_messages(
    transaction: Transaction, id: UUID, drafts: list[Draft], one_by_one: bool
) -> list[Fields]:
    """Append the messages of entries, and return the entries that are new."""
    messages = [message for one in drafts for message in one.messages]
    if not messages:
        return []
    try:
        with transaction.connection.transaction():  # a savepoint
            rows = transaction.append(id, messages, on_duplicate="skip")
    except (KataDatabaseError, InvalidInputError):
        if not one_by_one:
            raise
        return [entry for one in drafts for entry in _append_records(transaction, id, one)]
    firsts, place = [], 0
    for one in drafts:
        firsts.append(rows[place].is_new)
        place += len(one.messages)
    return [one.entry for one, is_new in zip(drafts, firsts, strict=True) if is_new]


def _append_records(transaction: Transaction, id: UUID, one: Draft) -> list[Fields]:
    """Append an entry as records, and return it if it is new."""
    before = transaction.usage(id).version
    for number, data in enumerate(one.records):
        external_id = one.id if number == 0 else None
        version = transaction.append_record(id, OWN, data, external_id=external_id, on_duplicate="skip")
        if version <= before:
            return []
    return [one.entry]


def _entries(kata: Kata | Transaction, id: UUID) -> list[Any]:
    at = kata.usage(id).version
    rows = _pages(lambda after: kata.messages(id, after, max_rows=PAGE, visibility="raw", at=at))
    records = _pages(lambda after: kata.records(id, OWN, after=after, max_rows=PAGE, at=at))
    return entries(rows, records)


def _fold_anew(row: ContextRow, transaction: Transaction) -> None:
    transaction.update_context(row.context_id)  # for its lock
    _fold(transaction, row.context_id, _key(row), [])


def _fold(transaction: Transaction, id: UUID, key: Any, new: list[Fields]) -> None:
    """Bring the summary of a session up to date; the lock of the append keeps others from it."""
    metadata = transaction.get_context(id).metadata
    own = metadata.get(OWN) or _metadata(key)
    if own.get("summary", {}) is None:
        return  # it grew too long
    before = unescape(own.get("summary"))
    erasures = len(transaction.erasures(id))
    if own.get("erasures", 0) != erasures:  # it may have words of what was erased
        before, new = None, _entries(transaction, id)
        own |= {"erasures": erasures, "summary": {}}
    session = {"session_id": key["session_id"], "mtime": 0, "data": before} if before else None
    try:
        data = fold_session_summary(session, key, [entry for entry in new if isinstance(entry, dict)])["data"]
    except Exception:  # of an entry that the SDK does not expect: it reads the session instead
        data = None
    if data != before:
        kept = {
            name: escape(value) if isinstance(value, str) else value for name, value in (data or {}).items()
        }
        fits = data is not None and len(json.dumps(kept)) <= LONGEST_SUMMARY
        transaction.update_context(id, metadata=metadata | {OWN: own | {"summary": kept if fits else None}})


def _name(key: Any) -> str:
    """Return the name of a context: parts are quoted, so that none can be taken for several."""
    parts = [key[part] for part in ("project_key", "session_id", "subpath") if key.get(part)]
    named = []
    for part, longest in zip(parts, PARTS, strict=False):
        text = quote(part, safe="", errors="surrogatepass")
        if len(text) > longest:
            digest = sha256(part.encode("utf-8", "surrogatepass")).hexdigest()[:32]
            text = f"{text[: longest - 33]}!{digest}"  # no quoted part has an exclamation mark
        named.append(text)
    return "/".join(["claude", *named])


def _metadata(key: Any) -> Fields:
    """Return what the metadata of a session's context say of it."""
    own: Fields = {part: escape(key[part]) for part in ("project_key", "session_id")}
    return own | {"subpath": escape(key["subpath"]) if key.get("subpath") else None}


def _key(row: ContextRow) -> Any:
    return unescape({part: row.metadata[OWN][part] for part in ("project_key", "session_id", "subpath")})


def _mtime(row: ContextRow) -> int:
    return int(row.updated_at.timestamp() * 1000)


Row = TypeVar("Row", MessageRow, RecordRow)


def _pages(read: Callable[[int | None], list[Row]]) -> Iterable[Row]:
    after: int | None = None
    while True:
        page = read(after)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].version
