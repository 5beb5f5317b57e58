"""What tests of several connections share.

A call that has to wait runs in a thread; the test goes on when Postgres says that it waits.
"""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import psycopg
import pytest
from psycopg.types.json import Jsonb

from support.driver import PATIENCE, wait_until

WRITERS = 8

Connect = Callable[..., psycopg.Connection]

APPEND = "select version from kata.append(%s, %s)"


class Start(Protocol):
    """Runs a statement in a thread and returns what will be its rows."""

    def __call__(self, conn: psycopg.Connection, statement: str, *arguments: Any) -> "Future[list[Any]]": ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Start statements that may have to wait; the threads end with the test."""
    with ThreadPoolExecutor(WRITERS) as pool:

        def submit(conn: psycopg.Connection, statement: str, *arguments: Any) -> "Future[list[Any]]":
            # So that a test that fails does not hang.
            conn.execute(f"set lock_timeout = '{PATIENCE}s'".encode())
            return pool.submit(rows, conn, statement, *arguments)

        yield submit


@pytest.fixture
def observer(connect: Connect) -> psycopg.Connection:
    """A connection that looks on."""
    return connect(autocommit=True)


def rows(conn: psycopg.Connection, statement: str, *arguments: Any) -> list[Any]:
    """Return the rows of a statement."""
    return conn.execute(statement.encode(), arguments).fetchall()


def outcome(conn: psycopg.Connection, statement: str, *arguments: Any) -> Any:
    """Return the rows of a statement, or else its SQLSTATE."""
    try:
        return rows(conn, statement, *arguments)
    except psycopg.Error as error:
        return error.sqlstate


def batch(size: int, content: str = "x") -> Jsonb:
    """Return messages of one token each."""
    return Jsonb([{"role": "user", "content": content, "token_count": 1}] * size)


def append(conn: psycopg.Connection, context_id: uuid.UUID, size: int) -> list[int]:
    """Append messages and return their versions."""
    return [version for (version,) in rows(conn, APPEND, context_id, batch(size))]


def wait_until_blocked(observer: psycopg.Connection, *waiting: psycopg.Connection) -> None:
    """Return once each of the connections waits for a lock."""
    pids = [conn.info.backend_pid for conn in waiting]
    blocked = "select bool_and(cardinality(pg_blocking_pids(pid)) > 0) from unnest(%s::integer[]) pid"
    wait_until(lambda: rows(observer, blocked, pids) == [(True,)])


def at_once(connect: Connect, work: Callable[[psycopg.Connection, int], Any]) -> list[Any]:
    """Run the work in eight threads, each with a connection of its own, let go at the same moment."""
    barrier = threading.Barrier(WRITERS)
    connections = [connect(autocommit=True, options=f"-c lock_timeout={PATIENCE}s") for _ in range(WRITERS)]

    def run(number: int) -> Any:
        barrier.wait(PATIENCE)
        return work(connections[number], number)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(run, range(WRITERS)))
