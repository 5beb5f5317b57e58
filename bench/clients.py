"""Several clients at once."""

import itertools
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from typing import Any

from harness import APPEND, INSERT, VALUES, Bench, as_row, connect, plain, scalar
from measure import Finding, Result


def client(
    dsn: str, query: str, parameters: list[tuple[Any, ...]], start: Any, durable: bool, report: Any
) -> None:
    """Run one client of a concurrent workload and report its seconds."""
    with connect(dsn, durable) as connection:
        connection.execute("select 1")
        start.wait()
        began = time.perf_counter()
        for values in parameters:
            connection.execute(query, values)
        report.put(time.perf_counter() - began)


def throughput(dsn: str, query: str, clients: list[list[tuple[Any, ...]]]) -> float:
    """Return the calls per second of several clients that start together, durable."""
    processes = multiprocessing.get_context("spawn")
    start, report = processes.Barrier(len(clients)), processes.Queue()
    workers = [
        processes.Process(target=client, args=(dsn, query, calls, start, True, report)) for calls in clients
    ]
    for worker in workers:
        worker.start()
    seconds: float = max(report.get() for _ in workers)
    for worker in workers:
        worker.join()
    return sum(map(len, clients)) / seconds


def concurrency(bench: Bench, calls: int = 400, rounds: int = 3) -> Iterator[Result]:
    """4 clients on 4 contexts beside bare INSERTs; 4 on one, counting what is lost, doubled or reordered."""
    rows = [as_row(message) for message in plain(bench.messages)]
    texts = list(itertools.islice(itertools.cycle(rows), calls))
    with connect(bench.dsn, durable=False) as connection:

        def ours(clients: int) -> float:
            contexts = [scalar(connection, "select kata.create_context()") for _ in range(clients)]
            return throughput(
                bench.dsn, APPEND, [[(context_id, *row) for row in texts] for context_id in contexts]
            )

        def bare(clients: int) -> float:
            ids = [scalar(connection, "select gen_random_uuid()") for _ in range(clients)]
            values = [[(insert_id, number, *row) for number, row in enumerate(texts)] for insert_id in ids]
            return throughput(bench.dsn, f"{INSERT} values {VALUES}", values)

        ours_one, bare_one, ours_four, bare_four = (
            statistics.median(column)
            for column in zip(*[(ours(1), bare(1), ours(4), bare(4)) for _ in range(rounds)], strict=True)
        )
        yield Finding(
            "4 clients on 4 contexts, durable",
            {
                "appends per second": round(ours_four), "bare INSERTs per second": round(bare_four),
                "times one client": round(ours_four / ours_one, 2),
                "bare INSERTs times one client": round(bare_four / bare_one, 2),
            },
        )  # fmt: skip

        shared = scalar(connection, "select kata.create_context()")
        marked = [
            [(shared, "user", f"{worker}:{number}", 5, None, None) for number in range(calls)]
            for worker in range(4)
        ]
        per_second = throughput(bench.dsn, APPEND, marked)
        stored = [
            row[0].split(":")
            for row in connection.execute(
                "select content from kata_data.message where segment_id = %s order by version", (shared,)
            )
        ]
        different = {tuple(mark) for mark in stored}
        by_worker = [[int(number) for worker, number in stored if worker == str(w)] for w in range(4)]
        lost, doubled = 4 * calls - len(different), len(stored) - len(different)
        reordered = sum(numbers != sorted(numbers) for numbers in by_worker)
        versions = scalar(connection, "select version from kata.get_context(%s)", shared)
        yield Finding(
            "4 clients on one context, durable",
            {
                "appends per second": round(per_second), "lost": lost, "doubled": doubled,
                "clients out of order": reordered, "versions": versions,
            },
            target="nothing lost, doubled or out of order",
            met=lost == doubled == reordered == 0 and versions == 4 * calls,
        )  # fmt: skip
