"""A proxy on PL/Proxy in front of one database against the same calls without it, and what an error costs."""

import itertools
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from harness import APPEND, WINDOW, Bench, as_row, connect, scalar
from kata_context.embedded import Account, as_account, child_environment, find_account
from kata_context.proxy import shards
from measure import Result, compare

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
LOGIN = "bench_proxy"
PORT = 6432
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
    shard = re.sub(r"//\w+@", f"//{LOGIN}@", bench.dsn)
    with _front() as front:
        shards.init(front, [shard])
        with connect(bench.dsn, durable=True) as direct, connect(front, durable=True) as through:
            context = scalar(direct, "select kata.create_context()")
            rows = itertools.cycle([as_row(message) for message in bench.messages])
            for name, statement in CALLS.items():
                yield compare(
                    f"proxy: {name}", _run(through, statement, context, rows), "the same, without a proxy",
                    _run(direct, statement, context, rows), pairs=bench.pairs, calls=100, target=None,
                )  # fmt: skip
            refused = "proxy: a refused call and the next one"
            yield compare(
                refused, _refused(through, context), "the same, without a proxy", _refused(direct, context),
                pairs=bench.pairs, calls=30, target=None,
            )  # fmt: skip
            if not (program := shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")):
                print("proxy: left out with PgBouncer, which is missing: apt-get install pgbouncer")
                return
            with _bouncer(program, shard) as dsn:
                shards.move(front, 0, dsn)
                yield compare(
                    f"{refused}, PgBouncer between", _refused(through, context),
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
def _folder() -> Iterator[tuple[Path, Account | None]]:
    """Make a folder that belongs to the account of servers, and yield both."""
    account = find_account()
    with tempfile.TemporaryDirectory(prefix="kata-bench-proxy-") as name:
        if account:
            os.chown(name, account.uid, account.gid)
        yield Path(name), account


@contextmanager
def _front() -> Iterator[str]:
    """Run a server of PostgreSQL 15 and yield the connection string of its database."""
    with _folder() as (folder, account):

        def run(program: str, *arguments: str) -> None:
            command = as_account(account, [str(PROGRAMS / program), *arguments])
            subprocess.run(command, env=child_environment(), stdout=subprocess.DEVNULL, check=True)

        run("initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "--no-sync")
        options = f"-c listen_addresses= -k {folder}"
        run("pg_ctl", "start", "-w", "-D", f"{folder}/data", "-l", f"{folder}/log", "-o", options)
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            run("pg_ctl", "stop", "-w", "-m", "fast", "-D", f"{folder}/data")


@contextmanager
def _bouncer(program: str, dsn: str) -> Iterator[str]:
    """Run PgBouncer in front of a database and yield the connection string through it."""
    behind = conninfo_to_dict(dsn)
    with _folder() as (folder, account):
        (folder / "users").write_text(f'"{LOGIN}" ""\n')
        (folder / "configuration").write_text(
            f"[databases]\n* = host={behind['host']} port={behind.get('port', 5432)}\n[pgbouncer]\n"
            f"unix_socket_dir = {folder}\nlisten_port = {PORT}\nlogfile = {folder}/log\n"
            f"pool_mode = transaction\nauth_type = trust\nauth_file = {folder}/users\n"
        )
        command = as_account(account, [program, "-q", str(folder / "configuration")])
        with subprocess.Popen(command, env=child_environment()) as process:
            try:
                while not (folder / f".s.PGSQL.{PORT}").exists() and process.poll() is None:
                    time.sleep(0.01)
                yield f"postgresql://{LOGIN}@/{behind['dbname']}?host={folder}&port={PORT}"
            finally:
                process.terminate()
