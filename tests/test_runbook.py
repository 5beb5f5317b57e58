"""The procedures of docs/runbook.md for whole servers, run as they stand: recovery, failover, removal."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from conftest import ROOT
from kata_context import Kata, migrate
from kata_context.database_errors import ReadOnlyError
from kata_context.embedded import (
    SUPERUSER,
    Account,
    as_account,
    child_environment,
    find_account,
    initdb_options,
    usable_binaries,
)
from support.driver import PATIENCE, wait_until
from test_contract import DIGESTS
from test_docs import PRELUDE, blocks
from test_worker import due, story, working

pytestmark = pytest.mark.slow

PORTS = {"PGDATA": 5432, "RESTORED": 5433, "STANDBY": 5433}
# As the servers of conftest, but with what the procedures need of the log.
CONFIGURATION = "listen_addresses = ''\nfsync = off\ncheckpoint_timeout = 1h\nautovacuum = off\n"


class Cluster(NamedTuple):
    """A folder with a server that has a database `app`, and room for the copies that a procedure makes."""

    folder: Path
    account: Account | None
    environment: dict[str, str]

    def url(self, *names: str, database: str = "app") -> str:
        """Return the URL of the servers in the named folders."""
        hosts, ports = ",".join([str(self.folder)] * len(names)), ",".join(str(PORTS[name]) for name in names)
        return f"postgresql://{SUPERUSER}@/{database}?host={hosts}&port={ports}"

    def bash(self, text: str, account: Account | None = None) -> str:
        """Run commands, as the account of the server if it is given, and return what they printed."""
        command = as_account(account, ["/bin/bash", "-c", PRELUDE + text])
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=self.environment, timeout=PATIENCE
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def section(self, title: str) -> Iterator[str]:
        """Run the commands of a section of the page, block by block."""
        for language, text in blocks(ROOT / "docs" / "runbook.md", title):
            if language != "text":
                assert language == "sh"
                # Programs of the server run as its account, which need not reach ours.
                yield self.bash(text, None if re.search(r"^kata ", text, re.MULTILINE) else self.account)

    def query(self, name: str, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a statement on one of the servers."""
        with closing(psycopg.connect(self.url(name), autocommit=True)) as conn:
            return conn.execute(statement.encode()).fetchall()


@pytest.fixture(scope="module")
def stopped(scratch: Path) -> Cluster:
    """A cluster that tests copy: migrated, with contexts of two tenants."""
    account = find_account()
    binaries = usable_binaries(account, scratch)
    folder = scratch / "runbook"
    folder.mkdir()
    path = os.pathsep.join([str(Path(sys.executable).parent), str(binaries), os.environ["PATH"]])
    named = {"PATH": path, "ROOT": str(ROOT), "PGUSER": SUPERUSER, "PGDATA": str(folder / "production")}
    cluster = Cluster(folder, account, child_environment() | named)
    if account:
        os.chown(folder, account.uid, account.gid)
    cluster.bash(f"initdb --no-sync {' '.join(initdb_options(binaries))} > initdb.log", account)
    with (folder / "production" / "postgresql.conf").open("a") as file:
        file.write(f"{CONFIGURATION}unix_socket_directories = '{folder}'\n")
    cluster.bash('pg_ctl start -l "$PGDATA/server.log"', account)
    try:
        with closing(psycopg.connect(cluster.url("PGDATA", database="postgres"), autocommit=True)) as conn:
            conn.execute("create database app")
        migrate.up(cluster.url("PGDATA"))
        for tenant in ("one", "other"):
            with Kata(cluster.url("PGDATA"), tenant=tenant) as kata:
                kata.create("talk").append([{"role": "user", "content": f"of {tenant}"}] * 3)
    finally:
        cluster.bash("pg_ctl stop -m fast", account)
    return cluster


@pytest.fixture
def cluster(stopped: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, running, in a folder of this test's own."""
    folder = stopped.folder.with_name(f"runbook-{len(list(stopped.folder.parent.glob('runbook-*')))}")
    folder.mkdir()
    if stopped.account:
        os.chown(folder, stopped.account.uid, stopped.account.gid)
    names = {name: str(folder / name.lower()) for name in (*PORTS, "ARCHIVE", "BACKUP")}
    cluster = Cluster(folder, stopped.account, stopped.environment | names | {"PGHOST": str(folder)})
    cluster.environment["PGDATABASE"] = "app"
    for name in PORTS:
        cluster.environment["DATABASE_URL" if name == "PGDATA" else f"{name}_URL"] = cluster.url(name)
    cluster.bash(
        f'cp -a {stopped.folder}/production "$PGDATA"\n'
        f'echo "unix_socket_directories = \'{folder}\'" >> "$PGDATA/postgresql.conf"\n'
        'pg_ctl start -l "$PGDATA/server.log"',
        cluster.account,
    )
    yield cluster
    for name in PORTS:
        if (Path(names[name]) / "postmaster.pid").exists():
            cluster.bash(f'pg_ctl stop -m immediate -D "${name}"', cluster.account)
    shutil.rmtree(folder)


def test_a_server_is_recovered_to_a_moment_before_the_damage(cluster: Cluster) -> None:
    steps = cluster.section("Point-in-time recovery")
    next(steps)  # archiving
    next(steps)  # the base backup
    with Kata(cluster.url("PGDATA"), tenant="one") as kata:
        talk = kata.context("talk")
        talk.append_message("user", "after the backup")
        fork = talk.fork(name="side")
        fork.append_message("user", "on the side")
        kept = set(cluster.query("PGDATA", DIGESTS))
        [(moment,)] = cluster.query("PGDATA", "select clock_timestamp()")
        cluster.environment["MOMENT"] = str(moment)
        talk.erase_message(1, "a mistake")
        kata.create("a mistake").append_message("user", "too late")
        assert talk.get_message(1).content != "of one"

    assert len(list(steps)) == 2  # recovery, and its checks

    assert set(cluster.query("RESTORED", DIGESTS)) == kept
    with Kata(cluster.url("RESTORED"), tenant="one") as kata:
        assert kata.context("talk").get_message(1).content == "of one"
        assert kata.context("talk").append_message("user", "goes on") == 5
        assert [row.content for row in kata.context("side").messages(3)] == [
            "after the backup",
            "on the side",
        ]


def test_a_standby_serves_reads_and_takes_over(cluster: Cluster) -> None:
    steps = cluster.section("Failover")
    next(steps)  # the standby
    both = f"{cluster.url('PGDATA', 'STANDBY')}&target_session_attrs=read-write"
    with Kata(both, wait=60) as kata, working(both, "--poll", "0.1") as worker:
        talk = kata.as_tenant("one").context("talk")
        talk.append_message("user", "hello", idempotency_key="before")
        [(written,)] = cluster.query("PGDATA", "select pg_current_wal_lsn()")
        wait_until(
            lambda: cluster.query("STANDBY", f"select pg_last_wal_replay_lsn() >= '{written}'") == [(True,)]
        )
        assert next(steps).count("hello") == 2  # window and search, after verify
        with Kata(cluster.url("STANDBY"), tenant="one") as reader, pytest.raises(ReadOnlyError):
            reader.context("talk").append_message("user", "refused")
        kept = set(cluster.query("PGDATA", DIGESTS))

        cluster.bash("pg_ctl stop --mode=immediate", cluster.account)
        assert "promoted" in "".join(steps)

        assert set(cluster.query("STANDBY", DIGESTS)) == kept
        assert talk.append_message("user", "hello", idempotency_key="before") == 4
        assert talk.append_message("user", "goes on", idempotency_key="after") == 5
        context = due(kata, "long", strategy="digest")
        wait_until(lambda: story(context) == ["committed"])
        assert worker.poll() is None
        assert list(kata.verify()) == []


def test_nothing_is_left_of_it(cluster: Cluster) -> None:
    cluster.bash("psql --command='create role my_agent login in role kata_writer'", cluster.account)

    assert list(cluster.section("Uninstall"))

    left = """select n.nspname from pg_namespace n where starts_with(n.nspname, 'kata')
        union all select r.rolname from pg_roles r where starts_with(r.rolname, 'kata')"""
    assert cluster.query("PGDATA", left) == []
    assert (cluster.folder / "last.dump").stat().st_size > 100_000
