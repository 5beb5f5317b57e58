"""What forks and time travel cost, beside the same in a root and now."""

import json
import random
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import psycopg

from harness import Bench, connect, fill, plain, scalar, table_bytes
from measure import Limit, Result, compare, held, limit

LONG = 100_000
DEPTH = 50
CONTEXTS = 10_000
POLICY = json.dumps({"max_fork_depth": DEPTH})
WINDOW = "select * from kata.window(%s, 8000, %s)"
STATE = "select * from kata.state_at(%s, %s, after => %s::bigint - 50, max_rows => 50)"


def forks(bench: Bench) -> Iterator[Result]:
    """Forks by length and depth, reads of the past, differences, lists; bytes of a fork."""
    with connect(bench.dsn, durable=False) as connection:
        texts = plain(bench.messages)

        def value(query: str, *parameters: object) -> Any:
            return scalar(connection, query, *parameters)

        def read(query: str, *parameters: object) -> None:
            connection.execute(query.encode(), parameters).fetchall()

        short, long = (value("select kata.create_context(policy => %s)", POLICY) for _ in range(2))
        fill(connection, short, cycle(bench.messages), 100)
        fill(connection, long, cycle(bench.messages), LONG)
        deep = long
        for _ in range(DEPTH):
            deep = value("select kata.fork(%s)", deep)
            fill(connection, deep, iter(texts), 10)
        connection.execute("vacuum analyze", prepare=False)
        newest = value("select version from kata.get_context(%s)", long)
        moments = [value("select created_at from kata.get_message(%s, %s)", long, at) for at in (newest, 1)]

        def past(number: int) -> int:
            return random.Random(number).randrange(100, newest)

        yield compare(
            f"fork, n = {LONG:,}", lambda _: value("select kata.fork(%s)", long),
            "fork, n = 100", lambda _: value("select kata.fork(%s)", short),
            pairs=bench.pairs, calls=20, target=0.80,
        )  # fmt: skip
        yield compare(
            f"fork of the past, n = {LONG:,}", lambda n: value("select kata.fork(%s, %s)", long, past(n)),
            "fork of the past, n = 100", lambda n: value("select kata.fork(%s, %s)", short, n % 100),
            pairs=bench.pairs, calls=20, target=None,
        )  # fmt: skip
        yield compare(
            f"window(8000), {DEPTH} forks deep", lambda _: read(WINDOW, deep, None),
            "window(8000) in the root", lambda _: read(WINDOW, long, None),
            pairs=bench.pairs, calls=20, target=1 / 1.5,
        )  # fmt: skip
        yield compare(
            "window(8000) as of a version", lambda n: read(WINDOW, long, past(n)),
            "window(8000) now", lambda _: read(WINDOW, long, None),
            pairs=bench.pairs, calls=20, target=None,
        )  # fmt: skip
        yield compare(
            "50 rows of state_at a version", lambda n: read(STATE, long, past(n), past(n)),
            "50 rows of state_at now", lambda _: read(STATE, long, newest, newest),
            pairs=bench.pairs, calls=20, target=None,
        )  # fmt: skip
        resolve = "select kata.resolve_version(%s, (%s + random() * (%s - %s))::text)"
        first, last = moments[1], moments[0]
        yield compare(
            "resolve_version of a time", lambda _: value(resolve, long, first, last, first),
            "resolve_version of head", lambda _: value("select kata.resolve_version(%s, 'head')", long),
            pairs=bench.pairs, calls=20, target=None,
        )  # fmt: skip

        one, other = (value("select kata.fork(%s)", long) for _ in range(2))
        fill(connection, one, iter(texts), 10)
        fill(connection, other, iter(texts), 10)
        yield limit(
            f"diff of 10 + 10 after {LONG:,}", lambda _: read("select * from kata.diff(%s, %s)", one, other),
            runs=bench.pairs * 10, milliseconds=5,
        )  # fmt: skip

        yield from sizes(connection, value, deep)
        value(f"select count(kata.create_context()) from generate_series(1, {CONTEXTS})")
        connection.execute("vacuum analyze kata_data.context, kata_data.head", prepare=False)
        middle = f"select context_id from kata_data.context order by 1 desc offset {CONTEXTS // 2} limit 1"
        after = value(middle)
        yield limit(
            f"page of list_contexts among {CONTEXTS:,}",
            lambda _: read("select * from kata.list_contexts(%s)", after),
            runs=bench.pairs * 10, milliseconds=5,
        )  # fmt: skip


def sizes(connection: psycopg.Connection, value: Callable[..., Any], deep: object) -> Iterator[Limit]:
    """Bytes on disk that a fork takes, at depth 1 and more for each level."""
    ours = "t.relnamespace = 'kata_data'::regnamespace"
    root = value("select kata.create_context()")
    # The parent of the deepest fork, whose forks are as deep as its policy allows.
    parent = value("select context_id from kata.ancestry(%s) limit 1", deep)
    taken = []
    for context_id in (root, parent):
        before = table_bytes(connection, ours)
        value(f"select count(kata.fork(%s)) from generate_series(1, {CONTEXTS})", context_id)
        taken.append((table_bytes(connection, ours) - before) / CONTEXTS)
    shallow, below = taken
    yield held(f"bytes per fork, mean of {CONTEXTS:,}", [shallow], 2_000, "bytes")
    yield held("bytes per fork and level more", [(below - shallow) / (DEPTH - 1)], 200, "bytes")
