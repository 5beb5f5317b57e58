"""What compactions cost, and what they leave behind."""

import itertools
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

from harness import WINDOW, Bench, buffers_and_wal, connect, fill, plain, scalar
from measure import Finding, Result, compare, held

MANY = 1_000
COVERED = 1_000
SUMMARY = (
    "The conversation so far, in short: the customer asked, the agent looked it up, and both agreed. " * 4
)
BEGIN = "select compaction_id, message_count from kata.begin_compaction(%s, force => true)"
COMMIT = "select summary_version from kata.commit_compaction(%s, %s)"


def compactions(bench: Bench) -> Iterator[Result]:
    """begin and commit of 1,000 messages, extraction of artifacts, and a window after 1,000 compactions."""
    with connect(bench.dsn, durable=False) as connection:
        yield from phases(connection, bench)
        texts = itertools.cycle(plain(bench.messages))
        policy = json.dumps({"preserve_recent_count": 5, "min_gain_tokens": 0})
        compacted, untouched = (
            scalar(connection, "select kata.create_context(policy => %s)", policy) for _ in range(2)
        )
        # 100,000 messages in all, compacted every hundred of them.
        for _ in range(MANY):
            fill(connection, compacted, texts, 100)
            compaction_id = scalar(connection, BEGIN, compacted)
            scalar(connection, COMMIT, compaction_id, SUMMARY)
        fill(connection, untouched, texts, 100 * MANY)
        tail = list(itertools.islice(texts, 1_000))
        for context_id in (compacted, untouched):
            fill(connection, context_id, iter(tail), len(tail))
        connection.execute("vacuum analyze kata_data.message, kata_data.view_change", prepare=False)

        def window(context_id: object) -> None:
            connection.execute(WINDOW, (context_id,)).fetchall()

        yield compare(
            f"window(8000) after {MANY:,} compactions", lambda _: window(compacted),
            "window(8000), none", lambda _: window(untouched),
            pairs=bench.pairs, calls=40, target=1 / 1.3,
        )  # fmt: skip
        touched = [
            statistics.median(buffers_and_wal(connection, WINDOW, context_id)[0] for _ in range(9))
            for context_id in (compacted, untouched)
        ]
        yield Finding(
            f"buffers of window(8000) after {MANY:,} compactions",
            {"compacted": touched[0], "none": touched[1]},
            target="no more than 20 above none", met=touched[0] <= touched[1] + 20,
        )  # fmt: skip


def phases(connection: Any, bench: Bench) -> Iterator[Result]:
    """begin + commit of 1,000 messages whose artifacts are extracted already; extraction by itself."""
    both, extraction = [], []
    for number in range(-2, max(10, bench.pairs // 2)):
        context_id = scalar(connection, "select kata.create_context()")
        # As many as are covered, and a few more: the newest stay.
        fill(connection, context_id, iter(bench.messages), COVERED + 30)
        megabytes = scalar(
            connection,
            """select sum(octet_length(concat(m.content, m.tool_calls)))
            from kata_data.message m where m.segment_id = %s""",
            context_id,
        )
        start = time.perf_counter()
        scalar(connection, "select kata_data.extract_artifacts(%s, %s)", context_id, COVERED + 30)
        extracted = time.perf_counter()
        compaction_id, covered = connection.execute(BEGIN, (context_id,)).fetchone()
        scalar(connection, COMMIT, compaction_id, SUMMARY)
        if number >= 0:  # two to warm up
            assert covered >= COVERED
            both.append((time.perf_counter() - extracted) * 1e3)
            extraction.append((extracted - start) * 1e3 / float(megabytes) * 1e6)
    yield held(f"begin + commit of {COVERED:,} messages", both, 50, "ms")
    yield held("extraction of artifacts, per MB of text", extraction, 150, "ms")
