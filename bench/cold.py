"""The first call: of a connection, of a process, after a start of the server."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg

from harness import APPEND, WINDOW, Bench, connect, fill, scalar
from measure import Finding, Result, seconds

# A program that starts, reads a window and ends.
PROGRAM = """
import sys, time
start = time.perf_counter()
from kata_context import Kata
imported = time.perf_counter()
with Kata(sys.argv[1]) as kata:
    kata.window(sys.argv[2], 8000)
    called = time.perf_counter()
    kata.window(sys.argv[2], 8000)
    print(imported - start, called - imported, time.perf_counter() - called)
"""


def cold(bench: Bench) -> Iterator[Result]:
    """Milliseconds of first calls beside second ones."""
    with connect(bench.dsn, durable=False) as connection:
        context_id = scalar(connection, "select kata.create_context()")
        fill(connection, context_id, iter(bench.messages), 1_000)
    row = (context_id, "user", "Hello", 5, None, None)
    calls: dict[str, Callable[[psycopg.Connection], Any]] = {
        "append_message": lambda connection: connection.execute(APPEND, row),
        "window(8000)": lambda connection: connection.execute(WINDOW, (context_id,)).fetchall(),
    }
    for name, call in calls.items():
        found = []
        for _ in range(bench.pairs):
            start = time.perf_counter()
            with connect(bench.dsn, durable=False) as connection:
                connected = time.perf_counter() - start
                first = seconds(lambda: call(connection))  # noqa: B023
                again = statistics.median(seconds(lambda: call(connection)) for _ in range(5))  # noqa: B023
                found.append((connected, first, again))
        yield milliseconds(f"{name}, first call of a connection", "connect", found)

    command = [sys.executable, "-c", PROGRAM, bench.dsn, str(context_id)]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(7)]
    yield milliseconds(
        "driver: window(8000), first call of a process", "import",
        [tuple(map(float, run.split())) for run in runs],
    )  # fmt: skip

    found = []
    for _ in range(3):
        bench.server.stop()
        start = time.perf_counter()
        bench.server.start()
        started = time.perf_counter() - start
        with connect(bench.dsn, durable=False) as connection:
            first = seconds(lambda: calls["window(8000)"](connection))
            again = seconds(lambda: calls["window(8000)"](connection))
        found.append((started, first, again))
    yield milliseconds("window(8000), first call after a start of the server", "start", found)


def milliseconds(name: str, before: str, found: Sequence[tuple[float, ...]]) -> Finding:
    """Return the medians of what came before, the first call and the second, in milliseconds."""
    medians = [round(statistics.median(column) * 1e3, 2) for column in zip(*found, strict=True)]
    return Finding(name, dict(zip((f"{before} ms", "first call ms", "second call ms"), medians, strict=True)))
