"""What a call costs does not depend on how much was appended before: buffers touched and WAL written, counted by Postgres."""

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from statistics import mean
from typing import Any

import psycopg
import pytest
from conftest import TestServer
from psycopg.types.json import Jsonb

SHORT, LONG = 1_000, 100_000
BATCH = 1_000

# Ten messages of a conversation, 1,600 tokens, over and over: a window looks the same wherever it lies.
CALL = [{"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
TURNS: list[dict[str, Any]] = [
    {"role": "user", "token_count": 120},
    {"role": "assistant", "token_count": 60, "tool_calls": CALL},
    {"role": "tool", "token_count": 400, "tool_call_id": "c", "tool_name": "look"},
    {"role": "assistant", "token_count": 180},
    {"role": "user", "token_count": 90},
    {"role": "assistant", "token_count": 70, "tool_calls": CALL},
    {"role": "tool", "token_count": 350, "tool_call_id": "c", "tool_name": "look"},
    {"role": "assistant", "token_count": 200},
    {"role": "user", "token_count": 50},
    {"role": "assistant", "token_count": 80},
]
MESSAGES = [turn | {"content": "word " * (turn["token_count"] // 2)} for turn in TURNS]

READS = {
    "the window": 'select * from kata."window"(%(context)s, 8000)',
    "a window of the past": 'select * from kata."window"(%(context)s, 8000, %(at)s)',
    "a window with a stable step": 'select * from kata."window"(%(context)s, 8000, %(at)s, 2000)',
    "a prompt": "select kata.prompt(%(context)s, 8000, 'anthropic', %(at)s)",
    "the first page": "select * from kata.messages(%(context)s)",
    "a page": "select * from kata.messages(%(context)s, %(at)s - 100, 50)",
    "a page backwards": "select * from kata.messages(%(context)s, %(at)s, 50, true)",
    "a page of the past": "select * from kata.messages(%(context)s, %(at)s - 60, 50, at => %(at)s)",
    "usage": "select * from kata.usage(%(context)s)",
    "usage of the past": "select * from kata.usage(%(context)s, %(at)s)",
    "a message": "select * from kata.get_message(%(context)s, %(at)s)",
    "a context": "select * from kata.get_context(%(context)s)",
}
APPEND_MESSAGE = "select kata.append_message(%(context)s, 'user', repeat('word ', 40), 60)"
APPEND = "select count(*) from kata.append(%(context)s, %(batch)s)"


@dataclass(frozen=True)
class Log:
    """A database with a context of some length, with the messages of another one between its own."""

    dsn: str
    context_id: uuid.UUID
    length: int
    early: psycopg.Connection
    """A connection that called every function when the context had ten messages, and none since."""

    def buffers(self, conn: psycopg.Connection, statement: str, seed: int) -> int:
        """Run a read and return the buffers that it touched; the seed chooses the past version."""
        at = random.Random(seed).randrange(200, self.length)
        return cost(conn, statement, context=self.context_id, at=at)[0]


OpenOn = Callable[[Log], psycopg.Connection]


def connect(dsn: str) -> psycopg.Connection:
    """Return a connection that writes values into the statement, as EXPLAIN wants them."""
    return psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor)


def cost(conn: psycopg.Connection, statement: str, **values: Any) -> tuple[int, int]:
    """Run a statement and return what it cost, planning included: buffers touched and bytes of WAL written."""
    explain = f"explain (analyze, buffers, wal, format json) {statement}"
    row = conn.execute(explain.encode(), values).fetchone()
    assert row is not None
    plan, planning = row[0][0]["Plan"], row[0][0].get("Planning", {})
    assert plan["WAL FPI"] == 0, "full-page images hide the cost of a call; the test server writes none"
    kinds = ("Shared Hit Blocks", "Shared Read Blocks")
    return sum(part.get(kind, 0) for part in (plan, planning) for kind in kinds), plan["WAL Bytes"]


def create_two(conn: psycopg.Connection) -> tuple[uuid.UUID, uuid.UUID]:
    """Create two contexts of which the second has the greater id: its rows follow in every index."""
    while True:
        row = conn.execute("select kata.create_context(), kata.create_context()").fetchone()
        assert row is not None
        if row[0] < row[1]:
            return row[0], row[1]


@pytest.fixture(scope="module")
def grow(server: TestServer, template: str) -> Iterator[Callable[[int], Log]]:
    """Make a database with two contexts of a length."""
    made: list[str] = []
    opened: list[psycopg.Connection] = []

    def make(length: int) -> Log:
        made.append(f"growth_{length}")
        server.execute(f"create database {made[-1]} template {template}")
        dsn = server.url(made[-1])
        early = connect(dsn)
        opened.append(early)
        with connect(dsn) as conn:
            contexts = create_two(conn)
            batch = Jsonb(MESSAGES)
            for context_id in contexts:
                conn.execute(APPEND, {"context": context_id, "batch": batch})
            for _ in range(10):
                for statement in READS.values():
                    early.execute(statement.encode(), {"context": contexts[0], "at": 10})
                early.execute(APPEND_MESSAGE, {"context": contexts[1]})
            batch = Jsonb(MESSAGES * (BATCH // len(MESSAGES)))
            for _ in range(length // BATCH):
                for context_id in contexts:
                    conn.execute(APPEND, {"context": context_id, "batch": batch})
        # The first connection after a catalogue change rebuilds files of the catalogue cache.
        connect(dsn).close()
        return Log(dsn, contexts[0], length + len(MESSAGES), early)

    yield make
    for conn in opened:
        conn.close()
    for name in made:
        server.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def short(grow: Callable[[int], Log]) -> Log:
    """A context of 1,000 messages in a small database."""
    return grow(SHORT)


@pytest.fixture(scope="module")
def long(grow: Callable[[int], Log]) -> Log:
    """A context of 100,000 messages in a large database."""
    return grow(LONG)


@pytest.fixture
def open_on() -> Iterator[OpenOn]:
    """Open connections to the database of a log."""
    with ExitStack() as stack:
        yield lambda log: stack.enter_context(closing(connect(log.dsn)))


def assert_grown_by_ten_at_most(short: list[int], long: list[int]) -> None:
    """Assert that the long log costs at most ten buffers more than the short one, on average and at worst."""
    assert mean(long) <= mean(short) + 10, f"{short} grew to {long}"
    assert max(long) <= max(short) + 10, f"{short} grew to {long}"


def settled(log: Log, conn: psycopg.Connection, statement: str) -> list[int]:
    """Return the buffers of reads at ten past versions, by a connection that has made them before.

    What else Postgres does in a call counts too: it refills a catalogue cache, it prunes a page. Neither happens
    twice in a row, so each read is made twice, and the lesser figure is taken.
    """
    return [min(log.buffers(conn, statement, seed) for _ in range(2)) for seed in range(10)]


@pytest.mark.parametrize("name", READS)
def test_a_read_costs_the_same_however_long_the_log(
    short: Log, long: Log, open_on: OpenOn, name: str
) -> None:
    costs = [settled(log, open_on(log), READS[name]) for log in (short, long)]
    assert_grown_by_ten_at_most(*costs)


@pytest.mark.parametrize("name", READS)
def test_the_first_read_of_a_connection_costs_the_same_however_long_the_log(
    short: Log, long: Log, open_on: OpenOn, name: str
) -> None:
    costs = [
        [min(log.buffers(open_on(log), READS[name], seed) for _ in range(2)) for seed in range(4)]
        for log in (short, long)
    ]
    assert_grown_by_ten_at_most(*costs)


@pytest.mark.parametrize("name", READS)
def test_a_read_planned_when_the_log_was_tiny_costs_the_same_when_it_is_long(
    short: Log, long: Log, open_on: OpenOn, name: str
) -> None:
    costs = [settled(short, open_on(short), READS[name]), settled(long, long.early, READS[name])]
    assert_grown_by_ten_at_most(*costs)


@pytest.fixture(scope="module")
def statistics(short: Log, long: Log) -> None:
    """Let Postgres gather statistics."""
    for log in (short, long):
        with closing(connect(log.dsn)) as conn:
            conn.execute("vacuum analyze")


@pytest.mark.usefixtures("statistics")
@pytest.mark.parametrize("name", READS)
def test_a_read_planned_with_statistics_costs_the_same_however_long_the_log(
    short: Log, long: Log, open_on: OpenOn, name: str
) -> None:
    costs = [settled(log, open_on(log), READS[name]) for log in (short, long)]
    assert_grown_by_ten_at_most(*costs)


@dataclass(frozen=True)
class Appending:
    """What appending a message cost, on average: buffers touched and bytes of WAL written."""

    buffers: float
    wal_bytes: float


def appending(conn: psycopg.Connection, statement: str, context_id: uuid.UUID | None = None) -> Appending:
    """Append 600 messages to a context, or 200 to each of three new ones, and return the cost of one.

    Of three rounds the least counts: a catalogue cache that is filled again is not the cost of appending.
    """
    batch = Jsonb(MESSAGES * 10)
    size = 100 if statement == APPEND else 1
    warm, _ = create_two(conn)
    for _ in range(6):
        cost(conn, statement, context=warm, batch=batch)
    rounds = []
    for _ in range(3):
        own = context_id
        if own is None:
            own, other = create_two(conn)
            cost(conn, statement, context=other, batch=batch)
        calls = [cost(conn, statement, context=own, batch=batch) for _ in range(1000 // size // 5 or 10)]
        rounds.append(
            Appending(
                mean(buffers for buffers, _ in calls) / size, mean(wal_bytes for _, wal_bytes in calls) / size
            )
        )
    return Appending(min(r.buffers for r in rounds), min(r.wal_bytes for r in rounds))


@pytest.mark.parametrize("statement", [APPEND_MESSAGE, APPEND], ids=["one by one", "100 at once"])
def test_appending_costs_the_same_however_long_the_log(
    short: Log, long: Log, open_on: OpenOn, statement: str
) -> None:
    new_in_small = appending(open_on(short), statement)
    new_in_large = appending(open_on(long), statement)
    grown = appending(open_on(long), statement, long.context_id)
    planned_early = appending(long.early, statement, long.context_id)
    print(new_in_small, new_in_large, grown, planned_early)
