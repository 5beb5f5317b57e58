"""Bytes on disk and WAL of a message, beside the same in bare tables."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import psycopg

from harness import (
    APPEND,
    INSERT,
    PAYLOAD,
    VALUES,
    Bench,
    as_row,
    connect,
    scalar,
    table_bytes,
    undisturbed,
    wal_position,
)
from measure import Finding, Result

COUNT = 10_000
OURS = "t.oid = 'kata_data.message'::regclass"
ALL_OURS = "t.relnamespace = 'kata_data'::regnamespace"
SAME = "t.oid = 'bare.message'::regclass"
BARE = "t.oid = 'bare.payload'::regclass"


def sizes(bench: Bench) -> Iterator[Result]:
    """Bytes of a message: ours, a bare table of the same payload, a bare table of the same columns."""
    rows = list(itertools.islice(itertools.cycle(map(as_row, bench.messages)), COUNT))
    with connect(bench.dsn, durable=False) as connection:

        def measured(where: str, append: Callable[[int], object]) -> tuple[float, float]:
            with undisturbed(connection):
                disk, wal = table_bytes(connection, where), wal_position(connection)
                for number in range(COUNT):
                    append(number)
                disk, wal = table_bytes(connection, where) - disk, wal_position(connection) - wal
            return disk / COUNT, wal / COUNT

        context_id = scalar(connection, "select kata.create_context()")
        everything = table_bytes(connection, ALL_OURS)
        ours, ours_wal = measured(OURS, lambda n: connection.execute(APPEND, (context_id, *rows[n])))
        others = (table_bytes(connection, ALL_OURS) - everything) / COUNT - ours

        bare_id = scalar(connection, "select gen_random_uuid()")
        insert = partial(execute_bare, connection, bare_id, rows)
        payload, payload_wal = measured(BARE, partial(insert, PAYLOAD))
        same, same_wal = measured(SAME, partial(insert, f"{INSERT} values {VALUES}"))
        yield Finding(
            "bytes per message, table and its indexes",
            {
                "ours": round(ours), "bare table of the same payload": round(payload),
                "ratio": round(ours / payload, 2),
                "bare table of the same columns": round(same), "ours, all other tables": round(others, 1),
            },
            target="ratio 1.3 or less", met=ours <= 1.3 * payload,
        )  # fmt: skip
        yield Finding(
            "bytes of WAL per message, appended one by one",
            {
                "ours": round(ours_wal), "bare table of the same payload": round(payload_wal),
                "ratio": round(ours_wal / payload_wal, 2), "bare table of the same columns": round(same_wal),
            },
        )  # fmt: skip


def execute_bare(
    connection: psycopg.Connection, key: object, rows: Sequence[tuple[object, ...]], query: str, number: int
) -> None:
    """Insert a row into a bare table."""
    connection.execute(query.encode(), (key, number, *rows[number]))
