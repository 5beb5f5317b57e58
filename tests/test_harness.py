"""The judge of pgTAP files, and the fixtures that the other tests rest on."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from conftest import ROOT, LaunchServer
from support import guard, pgtap
from support.driver import PATIENCE, wait_until

LeftBehind = Callable[..., "subprocess.Popen[bytes]"]

# A test process that is killed while it has a guard.
IMPORTS = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
WATCHING = """
import pathlib, sys, time
from support import guard
guard.watch(pathlib.Path(sys.argv[1]))
print(flush=True)
time.sleep(600)
"""


@pytest.fixture
def judged(tmp_path: Path, psql: Path, dsn: str) -> Callable[[str], list[str]]:
    """Run a body of SQL as a pgTAP file and return what the judge holds against it."""

    def run(body: str) -> list[str]:
        file = tmp_path / "case.sql"
        file.write_text(f"begin;\n{body}\nrollback;\n")
        return pgtap.run(psql, dsn, file)

    return run


def test_a_file_that_meets_its_plan_passes(judged: Callable[[str], list[str]]) -> None:
    assert (
        judged("select plan(2); select ok(true, 'one'); select is(1, 1, '二'); select * from finish();") == []
    )


def test_a_plan_may_come_last(judged: Callable[[str], list[str]]) -> None:
    assert judged("select * from no_plan(); select ok(true); select * from finish();") == []


def test_a_failing_test_that_is_marked_todo_passes(judged: Callable[[str], list[str]]) -> None:
    assert (
        judged(
            "select plan(1); select todo('later', 1); select ok(false, 'not yet'); select * from finish();"
        )
        == []
    )


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("select ok(true);", "You tried to run a test without a plan"),
        ("select 'ok 1 - by hand';", "this one has 0"),
        ("select plan(2); select ok(true); select * from finish();", "2 tests were planned, 1 ran"),
        (
            "select plan(1); select ok(true); select ok(true); select * from finish();",
            "1 tests were planned, 2 ran",
        ),
        ("select * from no_plan(); select * from finish();", "No tests run!"),
        ("select '1..0 # SKIP';", "0 tests were planned, 0 ran"),
        ("select plan(1); select is(1, 2, 'one is two'); select * from finish();", "not ok 1 - one is two"),
        ("select plan(1); select is(1, 2, 'one is two'); select * from finish();", "have: 1"),
        ("select plan(1); select ok(true); select 1 / 0; select * from finish();", "division by zero"),
        ("\\set ON_ERROR_STOP 0\nselect 1..1; select ok(true);", "ERROR: "),
        ("select '1..1'; select 'ok 2 - twice';", "test 1 is numbered 2"),
        ("select '1..1'; select 'not ok';", "not ok"),
        ("select '1..1'; select '1..1'; select 'ok 1';", "this one has 2"),
        ("select '1..1'; select 'ok 1'; select 'Bail out!';", "Bail out!"),
    ],
)
def test_the_judge_rejects(judged: Callable[[str], list[str]], body: str, problem: str) -> None:
    assert problem in "\n".join(judged(body))


def test_a_file_that_would_commit_is_rejected(tmp_path: Path, psql: Path, dsn: str) -> None:
    file = tmp_path / "case.sql"
    file.write_text("select plan(1); select ok(true);\n")
    assert pgtap.run(psql, dsn, file) == ["a test file is one transaction: begin; … rollback;"]


def test_damage_that_a_file_leaves_is_found(judged: Callable[[str], list[str]]) -> None:
    body = """
        select plan(1);
        select ok(true);
        create or replace function kata.verify(
          inout context_id uuid default null, after uuid default null, max_contexts integer default null,
          out version bigint, out problem text, out detail text) returns setof record
        language sql as $$ select null::uuid, 7::bigint, 'row gone'::text, 'told by the test'::text $$;
    """
    assert "verify: , version 7: row gone (told by the test)" in judged(body)


def test_pgtap_that_cannot_be_had_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KATA_PGTAP", str(tmp_path / "gone.sql"))
    with pytest.raises(pgtap.PgtapMissingError, match="KATA_PGTAP names no file"):
        pgtap.find_script(tmp_path)


def test_a_cached_script_that_was_changed_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "pgtap-1.3.5.sql").write_text("select 1;")
    assert pgtap._cached(tmp_path) is None


def test_a_database_of_a_test_is_migrated_and_its_own(
    database: str, dsn: str, connect: Callable[..., psycopg.Connection]
) -> None:
    with connect() as conn:
        conn.execute("create table public.mine ()")
    with connect() as conn, psycopg.connect(dsn) as shared:
        seen = "select to_regclass('public.mine') is not null, to_regclass('kata_data.context') is not null"
        assert conn.execute(seen).fetchone() == (True, True)
        assert shared.execute(seen).fetchone() == (False, True)


def test_an_empty_database_has_nothing_installed(empty_database: str) -> None:
    with psycopg.connect(empty_database) as conn:
        assert conn.execute("select to_regnamespace('kata') is null").fetchone() == (True,)


@pytest.fixture
def left_behind(tmp_path: Path) -> Iterator[LeftBehind]:
    """Leave a postmaster.pid behind that names a process, which works in a folder of its own choice."""
    data = tmp_path / "left" / "server" / "data"
    data.mkdir(parents=True)
    started: list[subprocess.Popen[bytes]] = []

    def start(folder: Path, code: str = "") -> "subprocess.Popen[bytes]":
        program = f"import signal, time\n{code}\nprint(flush=True)\ntime.sleep(600)"
        process = subprocess.Popen([sys.executable, "-c", program], cwd=folder, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout
        process.stdout.readline()
        (data / "postmaster.pid").write_text(f"{process.pid}\n{data}\n")
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def gone(folder: Path) -> bool:
    """Return whether a folder is removed within the tests' patience."""
    wait_until(lambda: not folder.exists())
    return True


def test_the_guard_signals_no_process_that_has_the_pid_of_a_server_by_now(
    tmp_path: Path, left_behind: LeftBehind
) -> None:
    foreign = left_behind(tmp_path)
    guard.watch(tmp_path / "left")()
    assert gone(tmp_path / "left")
    assert foreign.poll() is None


@pytest.mark.parametrize("seconds", [0, 3600])
def test_the_guard_stops_a_server_that_does_not_listen_and_the_tests_do_not_wait_for_it(
    tmp_path: Path, left_behind: LeftBehind, seconds: int
) -> None:
    server = left_behind(
        tmp_path / "left" / "server" / "data", "signal.signal(signal.SIGQUIT, signal.SIG_IGN)"
    )
    guard.watch(tmp_path / "left", seconds)()
    if seconds:
        assert server.poll() is None, "it has an hour"
        server.kill()
    assert server.wait(PATIENCE) == -signal.SIGKILL
    assert gone(tmp_path / "left")


def test_the_guard_stops_the_servers_of_tests_that_were_killed(
    launch_server: LaunchServer,
) -> None:
    server = launch_server("guarded")
    process = server.child_process
    tests = subprocess.Popen(
        [sys.executable, "-c", WATCHING, str(server.folder)], stdout=subprocess.PIPE, env=IMPORTS
    )
    assert tests.stdout
    tests.stdout.readline()
    assert process.poll() is None
    tests.kill()
    tests.communicate()
    process.wait(PATIENCE)
    assert gone(server.folder)
