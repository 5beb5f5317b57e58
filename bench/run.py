"""`make bench`: our calls against bare SQL on the same server, both through bare psycopg.

Prints a line a comparison, and JSON lines with --json. Durable means that a commit waits for the disk.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from forks import forks
from kata_context import Kata, migrate
from kata_context.server import Server
from measure import Comparison, Limit, compare
from probe import retention

DATA = Path(__file__).parent.parent / "tests" / "data" / "conversations" / "airline.jsonl"
COLUMNS = """version, role, content, token_count, tool_call_id, tool_name, tool_calls, model, metadata,
  created_at, name, parts, provider"""
# The limit: the same rows in a table with nothing but its key.
INSERT = """insert into bare.message (
  segment_id, version, role, content, token_count, tool_call_id, tool_calls,
  tokens_through, group_version, created_at, pinned, token_source, digest)"""
BARE = f"""
create schema bare;
create table bare.message (like kata_data.message, primary key (segment_id, version));
create table bare.counter (context_id uuid primary key, version bigint not null) with (fillfactor = 50);
create function bare.append(
  context_id uuid, role text, content text, token_count integer, tool_call_id text, tool_calls jsonb
) returns bigint language plpgsql as $$
declare
  v_version bigint;
begin
  update bare.counter c
  set version = c.version + 1
  where c.context_id = append.context_id
  returning c.version into v_version;
  {INSERT}
  values (
    append.context_id, v_version, append.role, append.content, append.token_count, append.tool_call_id,
    append.tool_calls, v_version, v_version, clock_timestamp(), false, 'given', sha256(''));
  return v_version;
end $$;
"""
APPEND = "select kata.append_message(%s, %s, %s, %s, tool_call_id => %s, tool_calls => %s)"
BARE_APPEND = "select bare.append(%s, %s, %s, %s, %s, %s)"
VALUES = "(%s, %s, %s, %s, %s, %s, %s, 1, 1, clock_timestamp(), false, 'given', sha256(''))"

Message = dict[str, Any]
Row = tuple[str, str | None, int, str | None, str | None]


def real_messages() -> list[Message]:
    """Return the messages of real conversations as one, with token counts and one system prompt."""
    conversations = [json.loads(line)["messages"] for line in DATA.read_text("utf-8").splitlines()]
    messages = [
        {
            key: message[key]
            for key in ("role", "content", "tool_call_id", "tool_calls")
            if message.get(key) is not None
        }
        for number, conversation in enumerate(conversations)
        for message in conversation
        if number == 0 or message["role"] != "system"
    ]
    return [{**message, "token_count": 4 + len(json.dumps(message)) // 4} for message in messages]


def as_row(message: Message) -> Row:
    """Return a message as the parameters of append_message after the context."""
    calls = message.get("tool_calls")
    return (
        message["role"], message.get("content"), message["token_count"], message.get("tool_call_id"),
        None if calls is None else json.dumps(calls),
    )  # fmt: skip


def connect(dsn: str, durable: bool) -> psycopg.Connection:
    """Return a connection that prepares every statement and commits each."""
    connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=0)
    connection.execute(f"set synchronous_commit = {'on' if durable else 'off'}")
    return connection


def scalar(connection: psycopg.Connection, query: Any, *parameters: object) -> Any:
    """The only value of a query."""
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


class Appends:
    """Appending one message in three ways: ours, a bare INSERT, a PL/pgSQL function with a counter."""

    def __init__(self, connection: psycopg.Connection, messages: list[Message]) -> None:
        self.connection = connection
        self.rows = itertools.cycle([as_row(message) for message in messages])
        self.context_id = scalar(connection, "select kata.create_context()")
        self.bare_id = scalar(
            connection, "insert into bare.counter values (gen_random_uuid(), 0) returning context_id"
        )
        self.insert_id = scalar(connection, "select gen_random_uuid()")
        # Both sides get the same rows; a call is answered before its id comes again.
        self.ours_rows, self.bare_rows = itertools.tee(self.rows)

    def ours(self, _: int) -> None:
        """Append with kata.append_message."""
        self.connection.execute(APPEND, (self.context_id, *next(self.ours_rows)))

    def bare_insert(self, number: int) -> None:
        """Insert the row, its version given."""
        self.connection.execute(f"{INSERT} values {VALUES}", (self.insert_id, number, *next(self.bare_rows)))

    def bare_function(self, _: int) -> None:
        """Insert the row and count, in a function."""
        self.connection.execute(BARE_APPEND, (self.bare_id, *next(self.bare_rows)))


def append_one(dsn: str, messages: list[Message], pairs: int) -> Iterator[Comparison]:
    """append_message, durable against a bare INSERT, not durable against the PL/pgSQL floor."""
    with connect(dsn, durable=True) as connection:
        appends = Appends(connection, messages)
        yield compare(
            "append_message, durable", appends.ours, "bare INSERT", appends.bare_insert,
            pairs=pairs, calls=50, target=0.75,
        )  # fmt: skip
    with connect(dsn, durable=False) as connection:
        appends = Appends(connection, messages)
        yield compare(
            "append_message, synchronous_commit off", appends.ours,
            "PL/pgSQL insert + counter", appends.bare_function, pairs=pairs, calls=300, target=0.50,
        )  # fmt: skip
        appends = Appends(connection, [{**message, "token_count": None} for message in messages])
        counted = Appends(connection, messages)
        yield compare(
            "append_message, tokens estimated", appends.ours, "append_message, tokens given", counted.ours,
            pairs=pairs, calls=300, target=None,
        )  # fmt: skip


def append_hundred(dsn: str, messages: list[Message], pairs: int) -> Iterator[Comparison]:
    """Append of 100 against one INSERT of the same 100 rows."""
    batches = [messages[start : start + 100] for start in range(0, len(messages) - 99, 100)]
    # A batch that ends inside a tool group would leave its call open.
    while any("tool_calls" in batch[-1] for batch in batches):
        batches = [batch[:-1] if "tool_calls" in batch[-1] else batch for batch in batches]
    batches = [batch for batch in batches if batch[0]["role"] != "tool"]
    documents = [json.dumps(batch) for batch in batches]
    rows = [[as_row(message) for message in batch] for batch in batches]
    with connect(dsn, durable=True) as connection:
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
            "append of 100, durable", ours, "one INSERT of 100 rows", bare, pairs=pairs, calls=10, target=0.50
        )


def windows(dsn: str, messages: list[Message], pairs: int) -> Iterator[Comparison]:
    """window(8000) at n = 1,000 and 100,000 against ORDER BY version DESC LIMIT of the same rows."""
    with connect(dsn, durable=False) as connection:
        for length in (1_000, 100_000):
            context_id = scalar(connection, "select kata.create_context()")
            endless = itertools.cycle(messages)
            for start in range(0, length, 1_000):
                batch = [next(endless) for _ in range(min(1_000, length - start))]
                connection.execute(
                    "select count(*) from kata.append(%s, %s)", (context_id, json.dumps(batch))
                )
            connection.execute(
                "insert into bare.message select m.* from kata_data.message m where m.segment_id = %s",
                (context_id,),
            )
            connection.execute("vacuum analyze kata_data.message", prepare=False)
            connection.execute("vacuum analyze bare.message", prepare=False)
            count = len(connection.execute("select * from kata.window(%s, 8000)", (context_id,)).fetchall())
            limit_query = (
                f"select {COLUMNS} from bare.message where segment_id = %s order by version desc limit %s"
            )

            def ours(_: int, context_id: Any = context_id) -> None:
                connection.execute("select * from kata.window(%s, 8000)", (context_id,)).fetchall()

            def bare(_: int, query: Any = limit_query, parameters: Any = (context_id, count)) -> None:
                connection.execute(query, parameters).fetchall()

            yield compare(
                f"window(8000), n = {length:,}", ours, f"ORDER BY version DESC LIMIT {count}", bare,
                pairs=pairs, calls=60, target=1 / 3,
            )  # fmt: skip


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
    """Return the calls a second of several clients that start together, durable."""
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


def concurrency(dsn: str, messages: list[Message], calls: int = 400) -> Iterator[dict[str, Any]]:
    """4 clients on 4 contexts beside bare INSERTs; 4 on one, counting what is lost, doubled or reordered."""
    plain = [
        as_row(message)
        for message in messages
        if message["role"] in ("user", "assistant") and "tool_calls" not in message
    ]
    texts = list(itertools.islice(itertools.cycle(plain), calls))
    with connect(dsn, durable=False) as connection:
        contexts = [scalar(connection, "select kata.create_context()") for _ in range(6)]
        ids = [scalar(connection, "select gen_random_uuid()") for _ in range(5)]
        ours = [[(context_id, *row) for row in texts] for context_id in contexts]
        bare = [[(insert_id, number, *row) for number, row in enumerate(texts)] for insert_id in ids]
        ours_one, bare_one = (
            throughput(dsn, APPEND, ours[4:5]),
            throughput(dsn, f"{INSERT} values {VALUES}", bare[4:5]),
        )
        ours_four, bare_four = (
            throughput(dsn, APPEND, ours[:4]),
            throughput(dsn, f"{INSERT} values {VALUES}", bare[:4]),
        )
        yield {
            "name": "4 clients on 4 contexts, durable",
            "ours_per_second": round(ours_four), "bare_per_second": round(bare_four),
            "ours_scale": round(ours_four / ours_one, 2), "bare_scale": round(bare_four / bare_one, 2),
        }  # fmt: skip

        shared = contexts[5]
        marked = [
            [(shared, "user", f"{worker}:{number}", 5, None, None) for number in range(calls)]
            for worker in range(4)
        ]
        per_second = throughput(dsn, APPEND, marked)
        stored = [
            row[0].split(":")
            for row in connection.execute(
                "select content from kata_data.message where segment_id = %s order by version", (shared,)
            )
        ]
        different = {tuple(mark) for mark in stored}
        by_worker = [[int(number) for worker, number in stored if worker == str(w)] for w in range(4)]
        yield {
            "name": "4 clients on one context, durable", "ours_per_second": round(per_second),
            "lost": 4 * calls - len(different), "doubled": len(stored) - len(different),
            "reordered": sum(numbers != sorted(numbers) for numbers in by_worker),
            "versions": scalar(connection, "select version from kata.get_context(%s)", shared),
        }  # fmt: skip


def command_line(dsn: str, _: list[Message]) -> Iterator[dict[str, Any]]:
    """Time the command `kata` as its user does: the help, and an import of real conversations."""
    kata = Path(sys.executable).parent / "kata"

    def seconds(*arguments: str, runs: int) -> float:
        times = []
        for _ in range(runs):
            began = time.perf_counter()
            subprocess.run([kata, "--dsn", dsn, *arguments], check=True, capture_output=True)
            times.append(time.perf_counter() - began)
        return statistics.median(times)

    yield {"name": "kata --help", "seconds": round(seconds("--help", runs=15), 3), "target": "below 0.3"}

    tenants = itertools.count(1)

    def importing(file: Path) -> float:
        # Each run for a tenant of its own, so that there is always everything to do.
        return statistics.median(
            seconds("--tenant", f"import-{next(tenants)}", "import", str(file), runs=1) for _ in range(5)
        )

    conversations = [json.loads(line) for line in DATA.read_text("utf-8").splitlines()]
    count = sum(len(conversation["messages"]) for conversation in conversations)
    with tempfile.TemporaryDirectory(prefix="kata-bench-") as folder:
        tenfold = Path(folder) / "tenfold.jsonl"
        with tenfold.open("w") as file:
            for copy, conversation in itertools.product(range(10), conversations):
                file.write(json.dumps(conversation | {"name": f"{conversation['name']}-{copy}"}) + "\n")
        once, ten_times = importing(DATA), importing(tenfold)
    yield {
        "name": f"kata import of {count:,} messages, exact counts", "seconds": round(once, 2),
        "per_second": round(count / once), "of_tenfold": round(10 * count / ten_times),
        "per_second_once_started": round(9 * count / (ten_times - once)), "target": "5000 or more",
    }  # fmt: skip


def driver(dsn: str, messages: list[Message], pairs: int) -> Iterator[Comparison]:
    """append_message and window through the driver against the same calls through bare psycopg."""
    rows = [as_row(message) for message in messages]
    keywords = [{**message, "token_count": row[2]} for message, row in zip(messages, rows, strict=True)]
    kata_dsn = f"{dsn}&options=-c%20synchronous_commit%3Doff"
    with connect(dsn, durable=False) as connection, Kata(kata_dsn) as kata:
        contexts = [kata.create_context() for _ in range(4)]
        ours_next, bare_next = itertools.cycle(keywords), itertools.cycle(rows)

        def ours(_: int) -> None:
            kata.append_message(contexts[0], **{"content": None, **next(ours_next)})

        def bare(_: int) -> None:
            connection.execute(APPEND, (contexts[1], *next(bare_next))).fetchone()

        yield compare(
            "driver: append_message", ours, "the same call, bare psycopg", bare,
            pairs=pairs, calls=300, target=0.80,
        )  # fmt: skip
        uncounted = itertools.cycle([{**message, "token_count": None} for message in keywords])

        def counting(_: int) -> None:
            kata.append_message(contexts[2], **{"content": None, **next(uncounted)})

        yield compare(
            "driver: append_message, tokens counted", counting, "the same, tokens given", ours,
            pairs=pairs, calls=300, target=None,
        )  # fmt: skip
        kata.append(contexts[3], messages[:1000])

        def window(_: int) -> None:
            kata.window(contexts[3], 8000)

        def bare_window(_: int) -> None:
            connection.execute("select * from kata.window(%s, 8000)", (contexts[3],)).fetchall()

        yield compare(
            "driver: window(8000)", window, "the same call, bare psycopg", bare_window,
            pairs=pairs, calls=60, target=0.80,
        )  # fmt: skip


BENCHMARKS: dict[str, Callable[[str, list[Message], int], Iterator[Comparison | Limit]]] = {
    "append": append_one,
    "batch": append_hundred,
    "window": windows,
    "driver": driver,
    "forks": forks,
}
# What is counted rather than compared.
SCENES: dict[str, Callable[[str, list[Message]], Iterator[dict[str, Any]]]] = {
    "concurrency": concurrency,
    "cli": command_line,
    "probe": retention,
}


def main() -> None:
    """Run the benchmarks on a server of their own, with the settings of Postgres as they come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", choices=[*BENCHMARKS, *SCENES, []], help="which; default: all")
    parser.add_argument("--pairs", type=int, default=30, help="pairs of runs a comparison (default 30)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write JSON lines to this file")
    options = parser.parse_args()
    chosen = options.only or [*BENCHMARKS, *SCENES]

    with tempfile.TemporaryDirectory(prefix="kata-bench-") as folder:
        Path(folder).chmod(0o755)  # the account of the server passes through
        server = Server(Path(folder) / "home")
        dsn = server.start()
        try:
            migrate.up(dsn)
            lines = []
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(BARE)
                version = scalar(connection, "show server_version")
            print(
                f"PostgreSQL {version}, Python {platform.python_version()}, "
                f"{os.cpu_count()} cores, {options.pairs} pairs"
            )
            messages = real_messages()
            for name in chosen:
                if name in SCENES:
                    for result in SCENES[name](dsn, messages):
                        lines.append(json.dumps(result))
                        print(
                            "  ".join(
                                f"{key} {value}" if key != "name" else f"{value:<44}"
                                for key, value in result.items()
                            ),
                            flush=True,
                        )
                else:
                    for comparison in BENCHMARKS[name](dsn, messages, options.pairs):
                        lines.append(comparison.as_json())
                        print(comparison.show(), flush=True)
            if options.json:
                options.json.write_text("".join(line + "\n" for line in lines))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
