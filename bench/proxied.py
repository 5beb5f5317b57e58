"""A proxy on PL/Proxy in front of one database against the same calls without it, and what an error costs."""

import itertools
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from harness import APPEND, WINDOW, Bench, as_row, connect, scalar
from kata_context.embedded import as_account, child_environment, find_account
from kata_context.proxy import shards
from measure import Result, compare

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
LOGIN = "bench_proxy"
CALLS = {
    "append_message": APPEND,
    "usage": "select * from kata.usage(%s)",
    "window(8000)": WINDOW,
    "list_contexts": "select context_id from kata.list_contexts() where %s::uuid is not null",
}


def proxied(bench: Bench) -> Iterator[Result]:
    """append_message, usage, window and list_contexts, and a refused call, through a proxy and without."""
    if not (PROGRAMS.parent / "lib" / "plproxy.so").is_file():
        print("proxy: left out, PL/Proxy is missing: apt-get install postgresql-15-plproxy")
        return
    with closing(psycopg.connect(bench.dsn, autocommit=True)) as connection:
        connection.execute(f"create role {LOGIN} login in role kata_proxy".encode())
    with _front() as front:
        shards.init(front, [re.sub(r"//\w+@", f"//{LOGIN}@", bench.dsn)])
        with connect(bench.dsn, durable=True) as direct, connect(front, durable=True) as through:
            context = scalar(direct, "select kata.create_context()")
            rows = itertools.cycle([as_row(message) for message in bench.messages])
            for name, statement in CALLS.items():
                yield compare(
                    f"proxy: {name}", _run(through, statement, context, rows), "the same, without a proxy",
                    _run(direct, statement, context, rows), pairs=bench.pairs, calls=100, target=None,
                )  # fmt: skip
            yield compare(
                "proxy: a refused call and the next one", _refused(through, context),
                "the same, without a proxy", _refused(direct, context),
                pairs=bench.pairs, calls=30, target=None,
            )  # fmt: skip


def _run(
    connection: psycopg.Connection, statement: str, context: object, rows: Iterator[Any]
) -> Callable[[int], None]:
    def run(_: int) -> None:
        given = (context, *next(rows)) if statement == APPEND else (context,)
        connection.execute(statement.encode(), given).fetchall()

    return run


def _refused(connection: psycopg.Connection, context: object) -> Callable[[int], None]:
    def run(_: int) -> None:
        with suppress(psycopg.Error):
            connection.execute("select kata.usage(%s, 999999999)", (context,))
        connection.execute("select kata.usage(%s)", (context,)).fetchall()

    return run


@contextmanager
def _front() -> Iterator[str]:
    """Run a server of PostgreSQL 15 and yield the connection string of its database."""
    account = find_account()
    with tempfile.TemporaryDirectory(prefix="kata-bench-proxy-") as name:
        folder = Path(name)
        if account:
            os.chown(folder, account.uid, account.gid)

        def run(program: str, *arguments: str) -> None:
            command = as_account(account, [str(PROGRAMS / program), *arguments])
            subprocess.run(command, env=child_environment(), stdout=subprocess.DEVNULL, check=True)

        run("initdb", "-D", f"{name}/data", "-U", "postgres", "-A", "trust", "--no-sync")
        options = f"-c listen_addresses= -k {name}"
        run("pg_ctl", "start", "-w", "-D", f"{name}/data", "-l", f"{name}/log", "-o", options)
        try:
            yield f"postgresql://postgres@/postgres?host={name}"
        finally:
            run("pg_ctl", "stop", "-w", "-m", "fast", "-D", f"{name}/data")
