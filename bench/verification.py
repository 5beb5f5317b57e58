"""Verifying everything in steps, by one worker and by two."""

import itertools
import statistics
from collections.abc import Iterator

from harness import Bench, connect, fill, scalar, tool_batches
from kata_context import Kata
from kata_context.evidence import verify_in_steps
from measure import Finding, Result, seconds

TENANT = "verification"
LENGTH = 10_000
# Half of what one call over everything took before verification had steps: 50 to 78 s.
GOAL = 25.0


def verification(bench: Bench) -> Iterator[Result]:
    """Seconds for each million entries, in contexts of 10,000 messages; --size says how many entries."""
    with connect(bench.dsn, durable=False) as connection:
        connection.execute(f"set kata.tenant = '{TENANT}'")
        messages = itertools.cycle(itertools.chain(*tool_batches(bench.messages, 100)))
        for start in range(0, bench.size, LENGTH):
            context_id = scalar(connection, "select kata.create_context()")
            fill(connection, context_id, messages, min(LENGTH, bench.size - start))
        connection.execute("vacuum analyze", prepare=False)

    def verify(workers: int) -> float:
        with Kata(bench.dsn, tenant=TENANT, max_size=workers) as kata:
            found = seconds(lambda: list(verify_in_steps(kata, workers)))
        return found / bench.size * 1e6

    # In alternation, so that both meet the machine in the same state.
    runs = [(verify(1), verify(2)) for _ in range(3)]
    one, two = (statistics.median(column) for column in zip(*runs, strict=True))
    ratio = statistics.median(alone / both for alone, both in runs)
    yield Finding(
        f"verify, {bench.size:,} entries, seconds per million",
        {"one worker": round(one, 1), "two workers": round(two, 1), "ratio": round(ratio, 2)},
        target=f"two workers: at most {GOAL:g} s",
        met=two <= GOAL,
    )
