"""The driver against the same calls through bare psycopg: time, and CPU of the client."""

import itertools
import json
from collections.abc import Iterator
from typing import cast

from harness import APPEND, APPEND_BATCH, WINDOW, Bench, as_row, connect, plain_batches
from kata_context import Kata
from kata_context.types import Message
from measure import Result, compare


def driver(bench: Bench) -> Iterator[Result]:
    """append_message and window through the driver against the same calls through bare psycopg."""
    rows = [as_row(message) for message in bench.messages]
    keywords = [{**message, "token_count": row[2]} for message, row in zip(bench.messages, rows, strict=True)]
    kata_dsn = f"{bench.dsn}&options=-c%20synchronous_commit%3Doff"
    with connect(bench.dsn, durable=False) as connection, Kata(kata_dsn) as kata:
        contexts = [kata.create_context() for _ in range(7)]
        ours_next, bare_next = itertools.cycle(keywords), itertools.cycle(rows)

        def ours(_: int) -> None:
            kata.append_message(contexts[0], **{"content": None, **next(ours_next)})

        def bare(_: int) -> None:
            connection.execute(APPEND, (contexts[1], *next(bare_next))).fetchone()

        yield compare(
            "driver: append_message", ours, "the same call, bare psycopg", bare,
            pairs=bench.pairs, calls=300, target=0.80,
        )  # fmt: skip
        uncounted = itertools.cycle([{**message, "token_count": None} for message in keywords])

        def counting(_: int) -> None:
            kata.append_message(contexts[2], **{"content": None, **next(uncounted)})

        yield compare(
            "driver: append_message, tokens counted", counting, "the same, tokens given", ours,
            pairs=bench.pairs, calls=300, target=None,
        )  # fmt: skip
        batches, bare_batches = (itertools.cycle(plain_batches(bench.messages, 20)) for _ in range(2))
        uncounted_batches = itertools.cycle(
            [
                [{"role": m["role"], "content": m["content"]} for m in batch]
                for batch in plain_batches(bench.messages, 20)
            ]
        )

        def batch(_: int) -> None:
            kata.append(contexts[4], cast("list[Message]", next(batches)))

        def bare_batch(_: int) -> None:
            document = json.dumps(next(bare_batches))
            connection.execute(APPEND_BATCH, (contexts[5], document)).fetchall()

        def counting_batch(_: int) -> None:
            kata.append(contexts[6], cast("list[Message]", next(uncounted_batches)))

        yield compare(
            "driver: append of 100", batch, "the same call, bare psycopg", bare_batch,
            pairs=bench.pairs, calls=20, target=0.80,
        )  # fmt: skip
        yield compare(
            "driver: append of 100, tokens counted", counting_batch, "the same, tokens given", batch,
            pairs=bench.pairs, calls=20, target=None,
        )  # fmt: skip
        kata.append(contexts[3], [cast("Message", message) for message in bench.messages[:1000]])

        def window(_: int) -> None:
            kata.window(contexts[3], 8000)

        def bare_window(_: int) -> None:
            connection.execute(WINDOW, (contexts[3],)).fetchall()

        yield compare(
            "driver: window(8000)", window, "the same call, bare psycopg", bare_window,
            pairs=bench.pairs, calls=60, target=0.80,
        )  # fmt: skip
