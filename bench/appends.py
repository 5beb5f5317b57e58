"""Appending: one message, one under a policy or behind an old snapshot, a hundred, ten thousand."""

import itertools
import json
import re
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from harness import (
    APPEND,
    APPEND_BATCH,
    INSERT,
    INSERT_BATCH,
    VALUES,
    Bench,
    Message,
    as_row,
    connect,
    plain,
    plain_batches,
    scalar,
    tool_batches,
)
from measure import Finding, Result, compare

BARE_APPEND = "select bare.append(%s, %s, %s, %s, %s, %s)"


class Appends:
    """Appending one message in three ways: ours, a bare INSERT, a PL/pgSQL function with a counter."""

    def __init__(self, connection: psycopg.Connection, messages: list[Message], policy: str = "{}") -> None:
        self.connection = connection
        rows = [as_row(message) for message in messages]
        self.context_id = scalar(connection, "select kata.create_context(policy => %s)", policy)
        self.bare_id = scalar(
            connection, "insert into bare.counter values (gen_random_uuid(), 0) returning context_id"
        )
        self.insert_id = scalar(connection, "select gen_random_uuid()")
        # Both sides get the same rows; a call is answered before its id comes again.
        self.ours_rows, self.bare_rows = itertools.cycle(rows), itertools.cycle(rows)

    def ours(self, _: int) -> None:
        """Append with kata.append_message."""
        self.connection.execute(APPEND, (self.context_id, *next(self.ours_rows)))

    def bare_insert(self, number: int) -> None:
        """Insert the row, its version given."""
        self.connection.execute(f"{INSERT} values {VALUES}", (self.insert_id, number, *next(self.bare_rows)))

    def bare_function(self, _: int) -> None:
        """Insert the row and count, in a function."""
        self.connection.execute(BARE_APPEND, (self.bare_id, *next(self.bare_rows)))


def append_one(bench: Bench) -> Iterator[Result]:
    """append_message, durable against a bare INSERT, not durable against the PL/pgSQL floor."""
    with connect(bench.dsn, durable=True) as connection:
        appends = Appends(connection, bench.messages)
        yield compare(
            "append_message, durable", appends.ours, "bare INSERT", appends.bare_insert,
            pairs=bench.pairs, calls=50, target=1 / 1.33,
        )  # fmt: skip
    with connect(bench.dsn, durable=False) as connection:
        appends = Appends(connection, bench.messages)
        yield compare(
            "append_message, synchronous_commit off", appends.ours,
            "PL/pgSQL insert + counter", appends.bare_function, pairs=bench.pairs, calls=300, target=0.65,
        )  # fmt: skip
        appends = Appends(connection, [{**message, "token_count": None} for message in bench.messages])
        counted = Appends(connection, bench.messages)
        yield compare(
            "append_message, tokens estimated", appends.ours, "append_message, tokens given", counted.ours,
            pairs=bench.pairs, calls=300, target=None,
        )  # fmt: skip


def append_under_policy(bench: Bench) -> Iterator[Result]:
    """append_message into a context that compaction watches against one that it does not."""
    with connect(bench.dsn, durable=False) as connection:
        # The default budget: the threshold is crossed on the way.
        watched = Appends(connection, bench.messages, '{"enabled": true}')
        unwatched = Appends(connection, bench.messages, '{"enabled": false}')
        yield compare(
            "append_message, policy enabled", watched.ours, "append_message, policy disabled", unwatched.ours,
            pairs=bench.pairs, calls=300, target=0.95,
        )  # fmt: skip


class Batches:
    """Appending batches in two ways: ours, and an INSERT of the same JSON."""

    def __init__(self, connection: psycopg.Connection, batches: list[list[Message]]) -> None:
        self.connection = connection
        self.context_id = scalar(connection, "select kata.create_context()")
        self.insert_id = scalar(connection, "select gen_random_uuid()")
        documents = [json.dumps(batch) for batch in batches]
        self.ours_documents, self.bare_documents = itertools.cycle(documents), itertools.cycle(documents)

    def ours(self, _: int) -> None:
        """Append with kata.append."""
        self.connection.execute(APPEND_BATCH, (self.context_id, next(self.ours_documents))).fetchall()

    def bare_insert(self, number: int) -> None:
        """Insert the rows, their versions given."""
        parameters = (self.insert_id, number * 1_000, next(self.bare_documents))
        self.connection.execute(INSERT_BATCH, parameters).fetchall()


def append_hundred(bench: Bench) -> Iterator[Result]:
    """Append of 100 against one INSERT of the same JSON: texts, and mostly calls and results."""
    for name, batches, target in (
        ("append of 100 texts, durable", plain_batches(bench.messages, 20), 1 / 2.2),
        ("append of 40 calls, 40 results, 20 texts", tool_batches(bench.messages, 20), 1 / 3),
    ):
        with connect(bench.dsn, durable=True) as connection:
            appends = Batches(connection, batches)
            yield compare(
                name, appends.ours, "one INSERT of the same JSON", appends.bare_insert,
                pairs=bench.pairs, calls=10, target=target,
            )  # fmt: skip


def append_behind_a_snapshot(bench: Bench, appends: int = 20_000, timed: int = 2_000) -> Iterator[Result]:
    """The rate after 20,000 appends to one context behind one old snapshot, beside the rate without."""
    rows = itertools.cycle([as_row(message) for message in plain(bench.messages)])
    with connect(bench.dsn, durable=False) as connection, connect(bench.dsn, durable=False) as reader:

        def rate() -> float:
            context_id = scalar(connection, "select kata.create_context()")
            for _ in range(appends):
                connection.execute(APPEND, (context_id, *next(rows)))
            began = time.perf_counter()
            for _ in range(timed):
                connection.execute(APPEND, (context_id, *next(rows)))
            return timed / (time.perf_counter() - began)

        before = rate()
        with reader.transaction():
            reader.execute("set transaction isolation level repeatable read")
            reader.execute("select count(*) from kata_data.head")
            behind = rate()
        without = (before + rate()) / 2
        yield Finding(
            f"appends per second after {appends:,} behind an old snapshot",
            {"behind": round(behind), "without": round(without), "ratio": round(behind / without, 2)},
            target="half the rate without", met=behind >= without / 2,
        )  # fmt: skip


def append_ten_thousand(bench: Bench) -> Iterator[Result]:
    """The memory that batches of 2,500, 5,000 and 10,000 messages take at most, beyond what a backend has."""
    taken: dict[int, float] = {}
    values: dict[str, float] = {}
    messages = itertools.cycle(plain(bench.messages))
    for count in (2_500, 5_000, 10_000):
        document = json.dumps(list(itertools.islice(messages, count)))
        peaks = []
        for _ in range(3):
            with connect(bench.dsn, durable=False) as connection:
                context_id = scalar(connection, "select kata.create_context()")
                # Plans and caches are there before.
                connection.execute(APPEND_BATCH, (context_id, json.dumps(bench.messages[:1])))
                with Memory(connection.info.backend_pid) as memory:
                    scalar(connection, "select count(*) from kata.append(%s, %s)", context_id, document)
                peaks.append(memory.peak)
        taken[count] = statistics.median(peaks) / len(document)
        values[f"bytes of {count:,}"] = len(document)
        values[f"peak per byte of {count:,}"] = round(taken[count], 1)
    yield Finding(
        "memory of a batch",
        values,
        target="per byte no more of 10,000 than 1.3 times that of 2,500",
        met=taken[10_000] <= 1.3 * taken[2_500],
    )


class Memory:
    """Watches how many bytes of its own a process has, and how many more at most than in the beginning."""

    def __init__(self, process: int) -> None:
        self.status = Path(f"/proc/{process}/status")
        self.peak = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def now(self) -> int:
        """Bytes that the process does not share."""
        found = re.search(r"^RssAnon:\s+(\d+) kB$", self.status.read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0

    def watch(self) -> None:
        """Look every millisecond."""
        first = self.now()
        while not self.done.wait(0.001):
            self.peak = max(self.peak, self.now() - first)

    def __enter__(self) -> "Memory":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()
