"""A server with two migrated databases, and a hot standby of it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from kata_context.embedded import as_account, child_environment, find_account, usable_binaries
from support import pgtap
from support.driver import wait_until
from support.proxies import LOGIN

if TYPE_CHECKING:
    from conftest import LaunchServer, TestServer

DATABASE = "reads"
SHARD = "shard"  # a template of shards, without contexts
FIXTURES = Path(__file__).parents[2] / "sql" / "tests" / "_fixtures.sql"


@dataclass(frozen=True)
class Pair:
    """A primary and its standby."""

    primary: "TestServer"
    standby: "TestServer"

    def wait(self) -> None:
        """Wait until the standby has replayed what the primary has written."""
        with closing(psycopg.connect(self.primary.url())) as connection:
            row = connection.execute("select pg_current_wal_insert_lsn()").fetchone()
        replayed = "select pg_last_wal_replay_lsn() >= %s"
        with closing(psycopg.connect(self.standby.url(), autocommit=True)) as connection:
            wait_until(lambda: connection.execute(replayed, row).fetchone() == (True,))


@pytest.fixture(scope="module")
def pair(launch_server: "LaunchServer", scratch: Path, psql: Path) -> Iterator[Pair]:
    """Start both; a test may stop the primary and promote the standby."""
    from conftest import FAST, TestServer
    from kata_context import migrate

    primary = launch_server("primary", FAST)
    primary.execute(f"create database {DATABASE}")
    migrate.up(primary.url(DATABASE))
    assert pgtap.execute(psql, primary.url(DATABASE), FIXTURES.read_text()).returncode == 0
    primary.execute(f"create database {SHARD} template {DATABASE} strategy file_copy")
    primary.execute(f"create role {LOGIN} login")
    primary.execute(f"grant kata_proxy to {LOGIN}")

    class Standby(TestServer):
        """A copy of the primary, which follows it."""

        def initialize_database(self) -> None:
            """Take a base backup."""
            for name in self.subdirectories:
                if self.account:
                    os.chown(self.folder / name, self.account.uid, self.account.gid)
            command = [str(self.binaries / "pg_basebackup"), "-D", self.get_data_directory()]
            command += ["-d", primary.url(), "-R", "-X", "stream", "-c", "fast", "--no-sync"]
            subprocess.run(as_account(self.account, command), env=child_environment(), check=True)

    account = find_account()
    folder = scratch / "standby"
    folder.mkdir(mode=0o711)
    standby = Standby(folder, usable_binaries(account, scratch), account, FAST)
    yield Pair(primary, standby)
    standby.stop()
