"""Throw-away databases with a clock, for tests of programs that use Kata Context.

    # conftest.py
    import pytest
    from kata_context.testing import TemporaryServer

    @pytest.fixture(scope="session")
    def server():
        with TemporaryServer() as server:
            yield server

    @pytest.fixture
    def database(server):
        with server.database() as database:
            yield database

    # test_reminders.py
    def test_an_idle_conversation_is_archived(database):
        with Kata(database.dsn) as kata:
            ...
            database.clock.advance(days=30)

The extra [server] has the programs of the server. Nothing of it outlives the block, and no other server is
touched.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from psycopg import sql

from kata_context import migrate
from kata_context.embedded import DATABASE, Server
from kata_context.errors import KataError

PATIENCE = 10_000  # milliseconds for a session to end


class Clock:
    """The time of a database, as its functions see it: the real time until it is set, then a fixed one."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._frozen: datetime | None = None

    @property
    def now(self) -> datetime:
        """The time."""
        return self._frozen or datetime.now(timezone.utc)

    def set(self, moment: datetime) -> None:
        """Stop the clock at a moment.

        It ends the sessions in the database, as each keeps its time: call it between transactions. A `Kata`
        and an `AsyncKata` then connect again by themselves.

        Parameters
        ----------
        moment : with a time zone

        Raises
        ------
        KataError : the moment has no time zone
        """
        if moment.tzinfo is None:
            raise KataError("the moment has no time zone", hint="pass datetime(..., tzinfo=timezone.utc)")
        setting = sql.SQL("set kata.clock = {}").format(moment.isoformat())
        self._alter(setting)
        self._frozen = moment

    def advance(self, by: timedelta | None = None, /, **units: float) -> None:
        """Stop the clock at a later moment; see `set`.

        Parameters
        ----------
        by : how much later
        units : the same as arguments of timedelta, such as minutes=5
        """
        self.set(self.now + (timedelta(**units) if by is None else by))

    def release(self) -> None:
        """Return to the real time; see `set`."""
        self._alter(sql.SQL("reset kata.clock"))
        self._frozen = None

    def _alter(self, setting: sql.Composable) -> None:
        with closing(psycopg.connect(self._dsn, autocommit=True)) as connection:
            database = sql.Identifier(connection.info.dbname)
            connection.execute(sql.SQL("alter database {} {}").format(database, setting))
            connection.execute(
                "select pg_terminate_backend(pid, %s) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()",
                [PATIENCE],
            )


@dataclass(frozen=True, slots=True)
class TemporaryDatabase:
    """A migrated database.

    Parameters
    ----------
    dsn : its connection string, for Kata, AsyncKata or psycopg
    clock : its time
    """

    dsn: str
    clock: Clock = field(repr=False)


class TemporaryServer:
    """A server of its own in a temporary folder, from the start of the block to its end.

    Raises
    ------
    KataError : the extra [server] is not installed, or the server does not start
    """

    def __init__(self) -> None:
        self._server: Server | None = None
        self._numbers = count(1)

    def __enter__(self) -> "TemporaryServer":
        folder = Path(tempfile.mkdtemp(prefix="kata-"))
        folder.chmod(0o711)  # for the account that runs the server where this process is root's
        server = Server(folder / "home")
        try:
            _forgo_durability(server.start())
            migrate.up(server.dsn())
        except BaseException:
            server.stop()
            shutil.rmtree(folder)
            raise
        self._server = server
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.stop()
        shutil.rmtree(self._server.home.parent)
        self._server = None

    @contextmanager
    def database(self) -> Iterator[TemporaryDatabase]:
        """Create an empty, migrated database, which takes a fraction of a second; drop it after the block."""
        if self._server is None:
            raise KataError("the server is not running", hint="use it inside `with TemporaryServer()`")
        name = f"test_{next(self._numbers)}"
        with closing(psycopg.connect(self._server.dsn("postgres"), autocommit=True)) as connection:
            _execute(connection, "create database {} template {}", name, DATABASE)
            dsn = self._server.dsn(name)
            try:
                yield TemporaryDatabase(dsn, Clock(dsn))
            finally:
                _execute(connection, "drop database {} with (force)", name)


def _forgo_durability(dsn: str) -> None:
    """Let the server skip all waits for the disk: its data need not survive a crash."""
    with closing(psycopg.connect(dsn, autocommit=True)) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            _execute(connection, "alter system set {} = off", setting)
        connection.execute("select pg_reload_conf()")


def _execute(connection: psycopg.Connection[Any], statement: str, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
