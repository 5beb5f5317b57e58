"""Appending: one message, one under a policy, a hundred."""

import itertools
import json
from collections.abc import Iterator

import psycopg

from harness import APPEND, INSERT, VALUES, Bench, Message, as_row, connect, scalar
from measure import Result, compare

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
            pairs=bench.pairs, calls=50, target=0.85,
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


def append_hundred(bench: Bench) -> Iterator[Result]:
    """Append of 100 against one INSERT of the same 100 rows."""
    batches = [bench.messages[start : start + 100] for start in range(0, len(bench.messages) - 99, 100)]
    # A batch that ends inside a tool group would leave its call open.
    while any("tool_calls" in batch[-1] for batch in batches):
        batches = [batch[:-1] if "tool_calls" in batch[-1] else batch for batch in batches]
    batches = [batch for batch in batches if batch[0]["role"] != "tool"]
    documents = [json.dumps(batch) for batch in batches]
    rows = [[as_row(message) for message in batch] for batch in batches]
    with connect(bench.dsn, durable=True) as connection:
        context_id = scalar(connection, "select kata.create_context()")
        insert_id = scalar(connection, "select gen_random_uuid()")

        def ours(number: int) -> None:
            connection.execute(
                "select * from kata.append(%s, %s)", (context_id, documents[number % len(documents)])
            )

        def bare(number: int) -> None:
            batch = rows[number % len(rows)]
            values = ", ".join([VALUES] * len(batch))
            query = f"{INSERT} values {values}"
            parameters = [
                value
                for offset, row in enumerate(batch)
                for value in (insert_id, number * 1000 + offset, *row)
            ]
            connection.execute(query, parameters)

        yield compare(
            "append of 100, durable",
            ours,
            "one INSERT of 100 rows",
            bare,
            pairs=bench.pairs,
            calls=10,
            target=0.50,
        )
