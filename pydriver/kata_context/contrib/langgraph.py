"""Checkpoints of LangGraph in Kata Context: `pip install 'kata-context[langgraph]'`.

A thread is a context whose name is the id of the thread. Messages in the state of a graph are messages of the
log, each stored once; a checkpoint names their versions. So windows, compaction, recall and forks work on the
context of a thread, and an erased message is erased in every checkpoint. Other values are stored as they are.
"""

import asyncio
import hashlib
import math
import random
import re
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import starmap
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from psycopg.types.json import Jsonb

from kata_context import AsyncKata, Kata
from kata_context.adapters import escape, unescape
from kata_context.contrib.escaping import escaped
from kata_context.contrib.langgraph_messages import Json, copied, is_list_of_messages
from kata_context.contrib.langgraph_values import LISTS, Incoming, Known, Outgoing
from kata_context.errors import KataError, MisuseError

try:
    from langchain_core.messages import BaseMessage
    from langgraph.checkpoint.base import (
        WRITES_IDX_MAP,
        BaseCheckpointSaver,
        CheckpointTuple,
        get_checkpoint_id,
        get_serializable_checkpoint_metadata,
    )
    from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
    from langgraph.checkpoint.serde.types import _DeltaSnapshot
except ImportError as error:  # pragma: no cover
    raise KataError(
        f"LangGraph is not installed: {error}", hint="pip install 'kata-context[langgraph]'"
    ) from error

__all__ = ["AsyncKataSaver", "KataSaver"]

SCHEMA = Path(__file__).with_suffix(".sql")
PAGE = 100  # checkpoints per call of list
THREADS = 1000  # of which the versions of messages are cached
UUID_TEXT = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

INSTALLED = "select obj_description(to_regnamespace('kata_langgraph'), 'pg_namespace')"
PUT = f"select * from kata_langgraph.put_checkpoint({', '.join(['%s'] * 16)})"
PUT_WRITES = f"select kata_langgraph.put_writes({', '.join(['%s'] * 13)})"
CHECKPOINTS = f"select * from kata_langgraph.checkpoints({', '.join(['%s'] * 9)})"
CONTENTS = "select * from kata_langgraph.contents(%s, %s::bigint[])"
DELETE_RUNS = "select kata_langgraph.delete_for_runs(%s::text[])"
PRUNE = "select kata_langgraph.prune(%s::text[], %s)"
DELETE = "select kata.delete_context(t.id) from kata.find_context(%s) t(id) where t.id is not null"
COPY = "select kata_langgraph.copy_thread(%s, %s, %s)"

T = TypeVar("T")


def packed(id: str) -> bytes:
    """Return an id as it is stored: UUIDs, which ascend with time, in the order of their texts."""
    if UUID_TEXT.fullmatch(id):
        return b"\x01" + bytes.fromhex(id.replace("-", ""))
    return b"\x00" + id.encode(errors="surrogatepass")


def unpacked(id: bytes) -> str:
    """Return an id from what is stored."""
    return str(UUID(bytes=id[1:])) if id[:1] == b"\x01" else id[1:].decode(errors="surrogatepass")


def version_key(version: Any) -> int:
    """Return the version of a channel as a number: of another value, which no arithmetic needs, a digest."""
    if type(version) is int and -(1 << 63) <= version < 1 << 63:
        return version
    digest = hashlib.blake2b(str(version).encode(errors="surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big", signed=True)


class Stored(NamedTuple):
    """The row of kata_langgraph.put_checkpoint."""

    context_id: UUID
    versions: list[int] | None


class Found(NamedTuple):
    """A row of kata_langgraph.checkpoints."""

    thread_id: str
    context_id: UUID
    stamp: str
    checkpoint_ns: str
    id: bytes
    parent_id: bytes | None
    type: str
    body: bytes
    metadata: Json
    channels: list[str] | None
    types: list[str] | None
    data: list[bytes] | None
    drafts: list[Json | None] | None
    write_tasks: list[bytes] | None
    write_channels: list[str] | None
    write_types: list[str] | None
    write_data: list[bytes] | None
    write_drafts: list[Json | None] | None


class Content(NamedTuple):
    """A row of kata_langgraph.contents."""

    version: int
    message: Json


class Single(NamedTuple):
    """A row with one value."""

    value: Any


class Statement(NamedTuple):
    """A statement, its arguments, and what its rows are; each is a transaction of its own."""

    text: str
    arguments: Sequence[Any]
    row: Callable[..., Any] = Single
    reads: bool = False


# A call: yields statements, receives their rows, returns its result.
Flow = Generator[Statement, Any, T]


class Put(NamedTuple):
    """The arguments of put."""

    config: Any
    checkpoint: Any
    metadata: Any
    new_versions: Any

    @property
    def result(self) -> Any:
        """The config of the checkpoint that is stored."""
        configurable = self.config["configurable"]
        names = {
            "thread_id": configurable["thread_id"],
            "checkpoint_ns": configurable.get("checkpoint_ns", ""),
        }
        return {"configurable": {**names, "checkpoint_id": self.checkpoint["id"]}}


class PutWrites(NamedTuple):
    """The arguments of put_writes."""

    config: Any
    writes: Sequence[tuple[str, Any]]
    task_id: str
    task_path: str


def thread_of(config: Any) -> str:
    """Return the id of the thread of a config."""
    return str(config["configurable"]["thread_id"])


def context_name(thread: str) -> str:
    """Return the name of the context of a thread: its id, or a digest of one that cannot be a name."""
    if 0 < len(thread) <= 255 and thread.isprintable() and escape(thread) == thread:
        return thread
    return f"langgraph-{hashlib.sha256(thread.encode(errors='surrogatepass')).hexdigest()}"


def arguments_of_get(config: Any) -> list[Any]:
    """Return the arguments of kata_langgraph.checkpoints, for one checkpoint."""
    configurable = config["configurable"]
    checkpoint_id, name = get_checkpoint_id(config), context_name(thread_of(config))
    found = None if checkpoint_id is None else packed(checkpoint_id)
    return [name, escape(configurable.get("checkpoint_ns", "")), found, None, None, 1, None, None, None]


class Pages:
    """The pages of a list.

    Parameters
    ----------
    config, filter, before, limit : as of list
    """

    def __init__(self, config: Any, filter: Json | None, before: Any, limit: int | None) -> None:
        configurable = config["configurable"] if config else {}
        namespace = configurable.get("checkpoint_ns")
        ids = (configurable.get("checkpoint_id"), before and get_checkpoint_id(before))
        self._given = [
            context_name(thread_of(config)) if config else None,
            None if namespace is None else escape(namespace),
            *(None if id is None else packed(id) for id in ids),
            Jsonb(escaped(filter)) if filter else None,
        ]
        self._last: tuple[Any, ...] = (None, None, None)
        self.left = math.inf if limit is None else max(limit, 0)

    def arguments(self) -> list[Any]:
        """Return the arguments of kata_langgraph.checkpoints for the next page."""
        return [*self._given, int(min(self.left, PAGE)), *self._last]

    def taken(self, made: list[CheckpointTuple], last: Any) -> list[CheckpointTuple]:
        """Return a page, and go on after its last row; there is none after the last page."""
        self.left = 0 if last is None else self.left - len(made)
        self._last = (None, None, None) if last is None else place_of(last)
        return made


def place_of(row: Any) -> tuple[Any, ...]:
    """Return the place of a row of kata_langgraph.checkpoints."""
    return row.id, row.context_id, row.checkpoint_ns


def copy_arguments(source: Any, target: Any) -> tuple[str, str, str]:
    """Return the arguments of kata_langgraph.copy_thread."""
    return context_name(str(source)), context_name(str(target)), escape(str(target))


def prune_arguments(thread_ids: Sequence[str], strategy: str) -> tuple[list[str], str]:
    """Return the arguments of kata_langgraph.prune."""
    if strategy not in ("keep_latest", "delete"):
        raise MisuseError(f'prune knows no strategy "{strategy}"', hint="pass keep_latest or delete")
    return [context_name(str(thread)) for thread in thread_ids], strategy


def sending(text: str, *arguments: Any) -> "Flow[None]":
    """Send one statement whose rows do not matter."""
    yield Statement(text, arguments)


def schema_statements() -> tuple[str, str]:
    """Return the SQL of the schema, and the mark that its comment has once it is installed."""
    text = SCHEMA.read_text("utf-8")
    mark = f"Checkpoints of LangGraph, {hashlib.sha256(text.encode()).hexdigest()}"
    opening = """
set local role kata_owner;
lock table kata_data.migration in share row exclusive mode;
reset role;
create schema if not exists kata_langgraph authorization kata_owner;
set local role kata_owner;
"""
    return f"{opening}{text}\ncomment on schema kata_langgraph is '{mark}';\nreset role;", mark


class _Saver(BaseCheckpointSaver[Any]):
    """What the savers share: which statements they send, and what they make of the rows."""

    def __init__(self, *, serde: Any = None) -> None:
        super().__init__(serde=serde)
        if isinstance(self.serde, EncryptedSerializer):
            raise MisuseError(
                "messages are not encrypted by a serializer",
                detail="They are text in the log, where windows and search read them.",
                hint="encrypt the disk of the server, or pass a serializer that does not encrypt",
            )
        self._known: dict[str, Known] = {}
        self._lock = Lock()

    def get_next_version(self, current: Any, channel: None) -> Any:
        """Return the next version of a channel, another one on each branch of a thread.

        It is of the type of the current one: threads that another checkpointer began may have texts.
        """
        if isinstance(current, str):
            return f"{int(current.split('.')[0]) + 1:032}.{random.random():016}"
        now = 0 if current is None else int(current)
        return (((now >> 32) if now >= 1 << 32 else now) + 1 << 32) + random.getrandbits(32)

    def _known_of(self, name: str) -> Known | None:
        with self._lock:
            return self._known.get(name)

    def _learn(self, name: str, known: Known, messages: Iterable[tuple[BaseMessage, int]]) -> None:
        """Remember messages of a thread."""
        with self._lock:
            found = self._known.pop(name, None)
            if (
                found is None
                or found.context_id != known.context_id
                or known.stamp not in (None, found.stamp)
            ):
                found = known
            for message, version in messages:
                found.learn(message, version)
            self._known[name] = found
            while len(self._known) > THREADS:
                del self._known[next(iter(self._known))]

    def _forget(self, name: str) -> None:
        with self._lock:
            self._known.pop(name, None)

    def _put(self, given: "Put", known: Known | None) -> tuple[Statement, Outgoing]:
        """Return the statement that stores a checkpoint."""
        configurable = given.config["configurable"]
        thread, namespace = thread_of(given.config), escape(configurable.get("checkpoint_ns", ""))
        outgoing = Outgoing(self.serde, known)
        body = {key: value for key, value in given.checkpoint.items() if key not in ("channel_values", "id")}
        values, versions = given.checkpoint["channel_values"], given.checkpoint["channel_versions"]
        channels = [channel for channel in values if channel in versions]
        lists: Json = {}
        stored: list[tuple[str | None, bytes | None]] = []
        for channel in channels:
            if channel not in given.new_versions:
                stored.append((None, None))
                continue
            value = values[channel]
            inner = value.value if isinstance(value, _DeltaSnapshot) else value
            if is_list_of_messages(inner):
                lists[escape(channel)] = outgoing.items(inner)
                stored.append((LISTS[inner is not value], None))
            else:
                stored.append(self.serde.dumps_typed(outgoing.encoded(value, channel)))
        metadata = escaped(get_serializable_checkpoint_metadata(given.config, given.metadata))
        parent = get_checkpoint_id(given.config)
        arguments = [
            context_name(thread), escape(thread), outgoing.context_id, namespace,
            packed(given.checkpoint["id"]), None if parent is None else packed(parent),
            *self.serde.dumps_typed(body), Jsonb(metadata),
            list(map(escape, channels)), [version_key(versions[channel]) for channel in channels],
            [kind for kind, _ in stored], [data for _, data in stored],
            Jsonb(lists), Jsonb(outgoing.placed), Jsonb(outgoing.drafts),
        ]  # fmt: skip
        return Statement(PUT, arguments, Stored), outgoing

    def _put_writes(self, given: "PutWrites", known: Known | None) -> tuple[Statement, Outgoing]:
        """Return the statement that stores writes."""
        configurable = given.config["configurable"]
        thread, namespace = thread_of(given.config), escape(configurable.get("checkpoint_ns", ""))
        outgoing = Outgoing(self.serde, known)
        encoded = [
            self.serde.dumps_typed(outgoing.encoded(value, channel)) for channel, value in given.writes
        ]
        channels = [channel for channel, _ in given.writes]
        arguments = [
            context_name(thread), escape(thread), outgoing.context_id, namespace,
            packed(configurable["checkpoint_id"]), packed(given.task_id), escape(given.task_path),
            [WRITES_IDX_MAP.get(channel, place) for place, channel in enumerate(channels)],
            list(map(escape, channels)), [kind for kind, _ in encoded], [data for _, data in encoded],
            Jsonb(outgoing.drafts), all(channel in WRITES_IDX_MAP for channel in channels),
        ]  # fmt: skip
        return Statement(PUT_WRITES, arguments), outgoing

    def _tuple(self, row: Found, values: list[Any], writes: list[Any]) -> CheckpointTuple:
        """Return a checkpoint from its row."""
        thread, namespace = unescape(row.thread_id), unescape(row.checkpoint_ns)

        def config(checkpoint_id: str) -> Any:
            names = {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}
            return {"configurable": names}

        channels = {}
        for channel, kind, value in zip(row.channels or (), row.types or (), values, strict=True):
            channels[unescape(channel)] = _DeltaSnapshot(value) if kind == "snapshot" else value
        checkpoint_id, body = unpacked(row.id), self.serde.loads_typed((row.type, row.body))
        return CheckpointTuple(
            config(checkpoint_id),
            {**body, "id": checkpoint_id, "channel_values": channels},
            unescape(row.metadata),
            None if row.parent_id is None else config(unpacked(row.parent_id)),
            [
                (unpacked(task), unescape(channel), value)
                for task, channel, value in zip(
                    row.write_tasks or (), row.write_channels or (), writes, strict=True
                )
            ],
        )

    def _page(self, rows: Sequence[Any]) -> list[Incoming]:
        """Return the values of rows, by context."""
        contexts: dict[UUID, list[Any]] = {}
        for row in rows:
            contexts.setdefault(row.context_id, []).append(row)
        return [
            Incoming(self.serde, found, self._known_of(context_name(unescape(found[0].thread_id))))
            for found in contexts.values()
        ]

    def _tuples(self, incoming: Incoming) -> list[CheckpointTuple]:
        """Return checkpoints of one context, and remember their messages."""
        rows = incoming.rows
        values = iter(incoming.decoded())
        made = [self._tuple(row, next(values), next(values)) for row in rows]
        learned = [
            (message, version)
            for version, message in sorted(incoming.versions.items())
            if incoming.known.messages.get(version) is not message
        ]
        self._learn(context_name(unescape(rows[0].thread_id)), incoming.known, learned)
        return made

    # The calls, as the statements that they send; each receives the rows.

    def _storing(
        self, make: Callable[[Known | None], tuple[Statement, Outgoing]], config: Any
    ) -> "Flow[None]":
        name = context_name(thread_of(config))
        statement, outgoing = make(self._known_of(name))
        rows = yield statement
        if rows[0][-1] in (None, False):  # the thread is another context by now
            self._forget(name)
            statement, outgoing = make(None)
            rows = yield statement
        if outgoing.messages:
            known = Known(rows[0].context_id)
            self._learn(name, known, zip(map(copied, outgoing.messages), rows[0].versions, strict=True))

    def _reading(self, arguments: list[Any]) -> "Flow[tuple[list[CheckpointTuple], Any]]":
        """Return a page of checkpoints, and its last row."""
        rows = yield Statement(CHECKPOINTS, arguments, Found, reads=True)
        found: dict[tuple[Any, ...], CheckpointTuple] = {}
        for incoming in self._page(rows):
            if wanted := incoming.wanted():
                context_id = incoming.rows[0].context_id
                incoming.read((yield Statement(CONTENTS, (context_id, wanted), Content, reads=True)))
            made = self._tuples(incoming)
            found.update(zip(map(place_of, incoming.rows), made, strict=True))
        return [found[place_of(row)] for row in rows], rows[-1] if len(rows) == arguments[5] else None


class KataSaver(_Saver):
    """A checkpointer that stores threads as contexts; its asynchronous methods run in threads.

    Threads and event loops share it, on the connections of one `Kata`.

    Parameters
    ----------
    kata : the store
    serde : serializes values that are not messages; None for the one of LangGraph
    """

    def __init__(self, kata: Kata, *, serde: Any = None) -> None:
        super().__init__(serde=serde)
        self.kata = kata

    @classmethod
    @contextmanager
    def from_conn_string(cls, dsn: str | None = None, **options: Any) -> Iterator["KataSaver"]:
        """Open a saver on a database, with the options of Kata, and close it."""
        with Kata(dsn, **options) as kata:
            yield cls(kata)

    def setup(self) -> None:
        """Create the tables, or bring them up to date; the role is one that migrates the database."""
        text, mark = schema_statements()
        with self.kata.transaction() as transaction:
            if transaction.select(INSTALLED) != [(mark,)]:
                transaction.connection.execute(text.encode())

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        """Return the checkpoint that a config names, or the newest of its thread."""
        made, _ = self._run(self._reading(arguments_of_get(config)))
        return made[0] if made else None

    def list(
        self, config: Any, *, filter: Json | None = None, before: Any = None, limit: int | None = None
    ) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, newest first."""
        pages = Pages(config, filter, before, limit)
        while pages.left:
            yield from pages.taken(*self._run(self._reading(pages.arguments())))

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Store a checkpoint; the messages that its state brings are appended to the log."""
        given = Put(config, checkpoint, metadata, new_versions)
        self._run(self._storing(partial(self._put, given), config))
        return given.result

    def put_writes(
        self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store writes of a task after a checkpoint."""
        given = PutWrites(config, writes, task_id, task_path)
        self._run(self._storing(partial(self._put_writes, given), config))

    def delete_thread(self, thread_id: str) -> None:
        """Delete the context of a thread, which kata.restore_context brings back until it is purged."""
        self._run(sending(DELETE, context_name(str(thread_id))))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints and writes of runs; their messages stay in the log."""
        self._run(sending(DELETE_RUNS, escaped(run_ids)))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread: the context of the copy is a fork, which shares the messages."""
        self._run(sending(COPY, *copy_arguments(source_thread_id, target_thread_id)))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove all checkpoints but the newest of each namespace, or all; messages stay in the log."""
        self._run(sending(PRUNE, *prune_arguments(thread_ids, strategy)))

    def _run(self, flow: "Flow[T]") -> T:
        """Send the statements of a call."""
        rows = None
        while True:
            try:
                text, arguments, row, reads = flow.send(rows)
            except StopIteration as ended:
                result: T = ended.value
                return result
            rows = list(starmap(row, self.kata.select(text, *arguments, reads=reads)))

    async def aget_tuple(self, config: Any) -> CheckpointTuple | None:
        """Return the checkpoint that a config names, or the newest of its thread."""
        return await asyncio.to_thread(self.get_tuple, config)

    async def alist(
        self, config: Any, *, filter: Json | None = None, before: Any = None, limit: int | None = None
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield checkpoints, newest first."""
        pages = Pages(config, filter, before, limit)
        while pages.left:
            for found in pages.taken(*await asyncio.to_thread(self._run, self._reading(pages.arguments()))):
                yield found

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Store a checkpoint; the messages that its state brings are appended to the log."""
        return await asyncio.to_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store writes of a task after a checkpoint."""
        await asyncio.to_thread(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete the context of a thread, which kata.restore_context brings back until it is purged."""
        await asyncio.to_thread(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints and writes of runs; their messages stay in the log."""
        await asyncio.to_thread(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread: the context of the copy is a fork, which shares the messages."""
        await asyncio.to_thread(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove all checkpoints but the newest of each namespace, or all; messages stay in the log."""
        await asyncio.to_thread(partial(self.prune, strategy=strategy), thread_ids)


class AsyncKataSaver(_Saver):
    """A checkpointer for one event loop, on the connections of an `AsyncKata`.

    Its synchronous methods serve the threads of that loop's program. A program with several loops takes a
    `KataSaver`, whose asynchronous methods serve all of them.

    Parameters
    ----------
    kata : the store
    serde : serializes values that are not messages; None for the one of LangGraph
    """

    def __init__(self, kata: AsyncKata, *, serde: Any = None) -> None:
        super().__init__(serde=serde)
        self.kata = kata
        self._loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls, dsn: str | None = None, **options: Any
    ) -> AsyncIterator["AsyncKataSaver"]:
        """Open a saver on a database, with the options of AsyncKata, and close it."""
        async with AsyncKata(dsn, **options) as kata:
            yield cls(kata)

    async def setup(self) -> None:
        """Create the tables, or bring them up to date; the role is one that migrates the database."""
        text, mark = schema_statements()
        async with self.kata.transaction() as transaction:
            if await transaction.select(INSTALLED) != [(mark,)]:
                await transaction.connection.execute(text.encode())

    async def aget_tuple(self, config: Any) -> CheckpointTuple | None:
        """Return the checkpoint that a config names, or the newest of its thread."""
        made, _ = await self._run(self._reading(arguments_of_get(config)))
        return made[0] if made else None

    async def alist(
        self, config: Any, *, filter: Json | None = None, before: Any = None, limit: int | None = None
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield checkpoints, newest first."""
        pages = Pages(config, filter, before, limit)
        while pages.left:
            for found in pages.taken(*await self._run(self._reading(pages.arguments()))):
                yield found

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Store a checkpoint; the messages that its state brings are appended to the log."""
        given = Put(config, checkpoint, metadata, new_versions)
        await self._run(self._storing(partial(self._put, given), config))
        return given.result

    async def aput_writes(
        self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store writes of a task after a checkpoint."""
        given = PutWrites(config, writes, task_id, task_path)
        await self._run(self._storing(partial(self._put_writes, given), config))

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete the context of a thread, which kata.restore_context brings back until it is purged."""
        await self._run(sending(DELETE, context_name(str(thread_id))))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints and writes of runs; their messages stay in the log."""
        await self._run(sending(DELETE_RUNS, escaped(run_ids)))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread: the context of the copy is a fork, which shares the messages."""
        await self._run(sending(COPY, *copy_arguments(source_thread_id, target_thread_id)))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove all checkpoints but the newest of each namespace, or all; messages stay in the log."""
        await self._run(sending(PRUNE, *prune_arguments(thread_ids, strategy)))

    async def _run(self, flow: "Flow[T]") -> T:
        """Send the statements of a call."""
        self._loop = asyncio.get_running_loop()
        rows = None
        while True:
            try:
                text, arguments, row, reads = flow.send(rows)
            except StopIteration as ended:
                result: T = ended.value
                return result
            rows = list(starmap(row, await self.kata.select(text, *arguments, reads=reads)))

    # From other threads than that of the loop.

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        """Return the checkpoint that a config names, or the newest of its thread."""
        return self._from_thread(self.aget_tuple(config))

    def list(
        self, config: Any, *, filter: Json | None = None, before: Any = None, limit: int | None = None
    ) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, newest first."""
        pages = Pages(config, filter, before, limit)
        while pages.left:
            yield from pages.taken(*self._from_thread(self._run(self._reading(pages.arguments()))))

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Store a checkpoint; the messages that its state brings are appended to the log."""
        return self._from_thread(self.aput(config, checkpoint, metadata, new_versions))

    def put_writes(
        self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store writes of a task after a checkpoint."""
        self._from_thread(self.aput_writes(config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        """Delete the context of a thread, which kata.restore_context brings back until it is purged."""
        self._from_thread(self.adelete_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints and writes of runs; their messages stay in the log."""
        self._from_thread(self.adelete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread: the context of the copy is a fork, which shares the messages."""
        self._from_thread(self.acopy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove all checkpoints but the newest of each namespace, or all; messages stay in the log."""
        self._from_thread(self.aprune(thread_ids, strategy=strategy))

    def _from_thread(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call in the event loop of the saver, and wait for it."""
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if self._loop is None or self._loop is running or not self._loop.is_running():
            call.close()
            raise MisuseError(
                "a synchronous call of AsyncKataSaver needs another thread than that of its event loop",
                hint="await the asynchronous method, or take a KataSaver",
            )
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()
