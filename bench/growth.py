"""One context that grows and grows: nothing may grow with it but its table."""

import itertools
import statistics
from collections.abc import Iterator
from functools import partial

from harness import (
    APPEND,
    WINDOW,
    Bench,
    as_row,
    buffers_and_wal,
    connect,
    fill,
    plain,
    scalar,
    table_bytes,
    undisturbed,
    wal_position,
)
from measure import Finding, Result, seconds

CALLS = 200
MESSAGE = "t.oid = 'kata_data.message'::regclass"
OTHERS = "t.relnamespace = 'kata_data'::regnamespace and t.oid <> 'kata_data.message'::regclass"


def growth(bench: Bench) -> Iterator[Result]:
    """What a call costs, and what lies on disk, at n = 1,000, 10,000 … up to --size."""
    steps = [size for size in (1_000, 10_000, 100_000, 300_000, 1_000_000) if size < bench.size] + [
        bench.size
    ]
    # After a vacuum, appends would fill what batches left free here and there: windows of scattered rows.
    with connect(bench.dsn, durable=False) as connection, undisturbed(connection):
        context_id = scalar(connection, "select kata.create_context(policy => %s)", '{"enabled": false}')
        messages = itertools.cycle(bench.messages)
        filled = 0
        start, others, first = table_bytes(connection, MESSAGE), table_bytes(connection, OTHERS), None
        for step in steps:
            wal = wal_position(connection)
            took = seconds(partial(fill, connection, context_id, messages, step - filled))
            batches_wal = (wal_position(connection) - wal) / (step - filled)
            per_second, filled = (step - filled) / took, step
            connection.execute("analyze kata_data.message", prepare=False)
            # The window holds the same messages at every n.
            texts = itertools.cycle(map(as_row, plain(bench.messages)))
            append_us = 1e6 * statistics.median(
                seconds(partial(connection.execute, APPEND, (context_id, *row)))
                for row in itertools.islice(texts, CALLS)
            )
            window_us = 1e6 * statistics.median(
                seconds(lambda: connection.execute(WINDOW, (context_id,)).fetchall())
                for _ in range(CALLS // 4)
            )
            costs = [buffers_and_wal(connection, APPEND, context_id, *next(texts)) for _ in range(9)]
            buffers, append_wal = (statistics.median(column) for column in zip(*costs, strict=True))
            window_buffers = statistics.median(
                buffers_and_wal(connection, WINDOW, context_id)[0] for _ in range(9)
            )
            first = first or (buffers, window_buffers)
            yield Finding(
                f"one context, n = {step:,}",
                {
                    "n": step, "append_message µs": round(append_us, 1), "buffers": buffers,
                    "WAL bytes": append_wal, "window(8000) µs": round(window_us),
                    "window buffers": window_buffers, "messages per second in batches": round(per_second),
                    "WAL bytes per message in batches": round(batches_wal),
                    "bytes per message": round((table_bytes(connection, MESSAGE) - start) / (step + CALLS)),
                    "bytes of all else": table_bytes(connection, OTHERS) - others,
                },
                target="no more than 10 buffers above n = 1,000",
                met=buffers <= first[0] + 10 and window_buffers <= first[1] + 10,
            )  # fmt: skip
