"""The command line: what it says of a database, and how it fails."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import Result
from psycopg import sql

from conftest import FAST, LaunchServer, TestServer
from kata_context import __version__
from kata_context.cli.main import COMMANDS
from support.commands import Run, kata, read_terminal
from support.driver import PATIENCE, insist, wait_until

KATA = Path(sys.executable).parent / "kata"


def program(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run the program itself."""
    return subprocess.run(
        [str(KATA), *arguments], capture_output=True, text=True, timeout=PATIENCE, **options
    )


def complaint(result: Any) -> tuple[str, str]:
    """Return what is wrong and what to do, from the only two lines that say so."""
    said = [line for line in result.stderr.splitlines() if not line.startswith("database: ")]
    assert len(said) == 2, result.stderr
    assert said[0].startswith("kata: ")
    assert said[1].startswith("hint: ")
    return said[0][6:], said[1][6:]


@pytest.fixture
def checks(database: str) -> Callable[..., dict[str, dict[str, Any]]]:
    """Return what `kata doctor` finds, by topic and name."""

    def examine(dsn: str = database, code: int = 0, *options: str) -> dict[str, dict[str, Any]]:
        found = json.loads(kata(*options, "doctor", "--json", dsn=dsn, code=code).stdout)
        return {f"{check['topic']}/{check['name']}": check for check in found["checks"]}

    return examine


# Help


def test_help_lists_every_command_with_a_sentence() -> None:
    shown = kata("--help").stdout
    for name, (_, text) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text.split()[0])}", shown, re.MULTILINE)
    assert "Exit codes: 0 success;" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(name: str) -> None:
    shown = kata(name, "--help").stdout if name != "psql" else "Usage: kata psql"
    assert shown.startswith(f"Usage: kata {name}")


def test_help_loads_nothing_that_only_commands_need() -> None:
    script = """
import sys
from kata_context.cli.main import cli
try:
    cli(["--help"], prog_name="kata")
except SystemExit:
    pass
heavy = {"asyncio", "psycopg", "psycopg_pool", "tiktoken"}
light = {f"kata_context.cli{name}" for name in ("", ".exit_codes", ".main", ".settings", ".text")}
ours = {name for name in sys.modules if name.startswith("kata_context.")} - light
print(sorted((heavy & sys.modules.keys()) | ours), file=sys.stderr)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE)
    assert found.stderr == "[]\n"


def test_the_version_is_that_of_the_package() -> None:
    assert program("--version").stdout == f"kata, version {__version__}\n"


# Which database, and how it stands


def test_standard_error_names_the_database_in_use(database: str) -> None:
    host = re.escape(str(psycopg.conninfo.conninfo_to_dict(database)["host"]))
    said = kata("status", dsn=database).stderr
    assert re.search(rf"^database: postgresql://postgres@:5432/test_\d+\?host={host}$", said, re.MULTILINE)
    with_variable = program("status", env=os.environ | {"DATABASE_URL": database})
    assert with_variable.returncode == 0
    assert with_variable.stderr.startswith("database: postgresql://postgres@")


def test_status_of_an_embedded_server_that_does_not_run_starts_nothing(scratch: Path, tmp_path: Path) -> None:
    home = scratch / "never"
    stopped = kata("status", "--json", code=3, env={"KATA_HOME": str(home)})
    found = json.loads(stopped.stdout)
    assert (found["embedded"], found["running"], found["server"]) == (True, False, None)
    assert "hint: kata up" in stopped.stderr
    assert not home.exists()


def test_status_shows_the_state_of_a_database(run: Run, database: str) -> None:
    with psycopg.connect(database) as conn:
        conn.execute(
            "select kata.append_message(kata.create_context('one'), 'user', 'x'), kata.create_context()"
        )
        conn.execute("select kata.set_environment('staging')")
    found = json.loads(run("status", "--json").stdout)
    assert found["migrated"] == found["package"] == __version__
    assert (found["up_to_date"], found["environment"], found["tenant"]) == (True, "staging", "default")
    assert (found["contexts"], found["entries"]) == (2, 1)
    of_another = json.loads(kata("--tenant", "acme", "status", "--json", dsn=database).stdout)
    assert (of_another["tenant"], of_another["contexts"]) == ("acme", 0)
    assert re.search(r"^environment +staging$", run("status").stdout, re.MULTILINE)


def test_status_of_a_database_that_is_not_migrated(empty_database: str) -> None:
    result = kata("status", "--json", dsn=empty_database, code=4)
    assert json.loads(result.stdout)["migrated"] is None
    assert "hint: kata migrate" in result.stderr


def test_status_works_for_a_role_that_only_reads(database: str, server: TestServer, reader: str) -> None:
    found = json.loads(kata("status", "--json", dsn=as_user(database, reader)).stdout)
    assert (found["up_to_date"], found["tenant"], found["migrated"]) == (None, reader, __version__)


# Doctor


@pytest.fixture
def reader(server: TestServer, template: str) -> Iterator[str]:
    """A role that may log in and read."""
    server.execute("create role cli_reader login")
    server.execute("grant kata_reader to cli_reader")
    yield "cli_reader"
    server.execute("drop role cli_reader")


def as_user(dsn: str, user: str) -> str:
    return dsn.replace("postgresql://postgres@", f"postgresql://{user}@")


def test_doctor_finds_nothing_wrong_with_a_fresh_database(checks: Callable[..., Any]) -> None:
    found = checks()
    assert found["versions/package"]["value"] == found["versions/database"]["value"] == __version__
    assert found["session/tenant"]["value"] == "default"
    assert found["schema/drift"]["value"] == []
    assert re.fullmatch(r"\d+ of 97", found["connections/server"]["value"])
    wrong = [name for name, check in found.items() if check["level"] != "ok"]
    assert wrong == ["timeouts/idle_in_transaction_session_timeout"]


def test_doctor_counts_connections_against_the_limits(database: str, checks: Callable[..., Any]) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    with psycopg.connect(database, autocommit=True) as first, psycopg.connect(database) as second:
        second.execute("select 1")
        first.execute(sql.SQL("alter database {} connection limit 3").format(sql.Identifier(str(name))))
        found = checks(database, 1)
    # These two, and its own.
    assert found["connections/database"] == {
        "topic": "connections", "name": "database", "value": "3 of 3", "level": "problem",
        "advice": "close idle clients, lower the pools, or put a pooler between",
    }  # fmt: skip
    assert found["connections/idle in transaction"]["value"] >= 1


def test_doctor_names_what_was_changed_by_hand(database: str, checks: Callable[..., Any]) -> None:
    with psycopg.connect(database) as conn:
        conn.execute(
            "create or replace function kata.version() returns text language sql immutable as $$select 'x'$$"
        )
        conn.execute("create function kata.stray() returns void language sql as ''")
    found = checks(database, 1)
    assert sorted(found["schema/drift"]["value"]) == [
        "kata.stray() unknown",
        "kata.version() changed",
        "routine kata.stray(): privileges of public unexpected",
    ]
    assert "--reinstall" in found["schema/drift"]["advice"]


def test_doctor_names_what_is_pending(empty_database: str, checks: Callable[..., Any]) -> None:
    found = checks(empty_database, 1)
    assert found["schema/pending migrations"]["value"][0] == "0001_roles_and_schemas"
    assert found["schema/pending migrations"]["level"] == "problem"
    assert found["session/tenant"]["level"] == "warning"


def test_doctor_counts_moved_function_files_and_finds_nothing_wrong_with_them(
    database: str, checks: Callable[..., Any]
) -> None:
    with psycopg.connect(database) as conn:
        conn.execute(
            "update kata_data.function_file set path = 'drawer/' || path "
            "where path ~ '^log/append(_message)?.sql'"
        )
    found = checks(database)
    assert found["schema/moved function files"] == {
        "topic": "schema", "name": "moved function files", "value": 2, "level": "ok",
        "advice": "record their paths: kata migrate",
    }  # fmt: skip
    assert found["schema/pending function files"]["value"] == 0


def test_doctor_shows_label_tenant_and_members(
    database: str, reader: str, checks: Callable[..., Any]
) -> None:
    with psycopg.connect(database) as conn:
        conn.execute("select kata.set_environment('production')")
    found = checks(database, 0, "--tenant", "acme")
    assert found["schema/environment"]["value"] == "production"
    assert found["session/tenant"]["value"] == "acme"
    assert found["roles/members of kata_reader"]["value"] == [reader]
    rights = ["kata_reader", "kata_writer", "kata_admin", "kata_service"]
    assert found["roles/this role has the rights of"]["value"] == rights


def test_doctor_works_for_a_role_that_only_reads(
    database: str, reader: str, checks: Callable[..., Any]
) -> None:
    with psycopg.connect(database):
        found = checks(as_user(database, reader))
    assert found["schema/migrations"]["value"] == "not for this role to read"
    assert found["schema/migrations"]["level"] == "warning"
    assert found["roles/this role has the rights of"]["value"] == ["kata_reader"]
    # It may not see what others do, but that they are there.
    assert found["connections/database"]["value"] == "2, no limit"


def test_doctor_says_which_rights_a_role_lacks(
    database: str, server: TestServer, checks: Callable[..., Any]
) -> None:
    server.execute("create role cli_stranger login")
    try:
        found = checks(as_user(database, "cli_stranger"), 1)
    finally:
        server.execute("drop role cli_stranger")
    rights = found["roles/this role has the rights of"]
    assert (rights["value"], rights["level"]) == ([], "problem")
    assert rights["advice"] == "grant kata_reader, or more, to the role"


def test_doctor_warns_of_a_server_that_never_gives_up_hanging_clients(
    database: str, checks: Callable[..., Any]
) -> None:
    found = checks()["timeouts/idle_in_transaction_session_timeout"]
    assert (found["value"], found["level"]) == ("off", "warning")
    with psycopg.connect(database) as conn:
        name = sql.Identifier(conn.info.dbname)
        conn.execute(
            sql.SQL("alter database {} set idle_in_transaction_session_timeout = '1min'").format(name)
        )
    found = checks()["timeouts/idle_in_transaction_session_timeout"]
    assert (found["value"], found["level"]) == ("1min", "ok")


def test_doctor_prints_advice_for_people(run: Run) -> None:
    shown = run("doctor")
    assert re.search(r"^schema$", shown.stdout, re.MULTILINE)
    assert re.search(r"^  ok       drift +none$", shown.stdout, re.MULTILINE)
    assert "problems: 0, warnings: 1" in shown.stderr


# The label of a database


def test_a_database_gets_a_label_and_keeps_it_against_those_who_do_not_know_it(run: Run) -> None:
    assert "has no label" in run("environment").stderr
    assert run("environment", "staging").stdout == "staging\n"
    message, hint = complaint(run("environment", "production", code=1))
    assert message == 'this database is labeled "staging", and no label was given'
    assert hint == "if this is the database that you mean, add --environment staging"
    message, _ = complaint(run("environment", "--clear", "--environment", "test", code=1))
    assert message == 'this database is labeled "staging", and the label was given as "test"'
    assert json.loads(run("environment", "--json").stdout) == {"environment": "staging"}
    run("environment", "production", "--environment", "staging")
    run("environment", "production")
    run("environment", "--clear", "--environment", "production")
    assert json.loads(run("environment", "--json").stdout) == {"environment": None}


def test_rolling_back_a_labeled_database_asks_for_the_label(empty_database: str) -> None:
    def run(*arguments: str, code: int = 0) -> Result:
        return kata(*arguments, dsn=empty_database, code=code)

    run("migrate")
    run("environment", "production")
    down = ("migrate", "down", "--to", "0", "--allow-data-loss")
    message, _ = complaint(run(*down, code=1))
    assert message == 'this database is labeled "production", and no label was given'
    assert "0001_roles_and_schemas" in run(*down, "--dry-run").stdout
    assert json.loads(run("status", "--json").stdout)["up_to_date"]
    run(*down, "--environment", "production")
    run("status", code=4)


def test_a_terminal_is_asked_for_the_label(database: str) -> None:
    kata("environment", "production", dsn=database)
    answers = {"staging\n": 1, "production\n": 0}
    for answer, code in answers.items():
        primary, secondary = os.openpty()
        clear = subprocess.Popen(
            [str(KATA), "--dsn", database, "environment", "--clear"],
            stdin=secondary,
            stdout=subprocess.PIPE,
            stderr=secondary,
            text=True,
        )
        os.write(primary, answer.encode())
        assert clear.wait(PATIENCE) == code
        os.close(secondary)
        said = read_terminal(primary).decode()
        assert 'This database is labeled "production". Type the label to go on' in said
        assert clear.stdout
        clear.stdout.close()


# Failures


@pytest.fixture(scope="module")
def locked(launch_server: LaunchServer) -> TestServer:
    """A server that asks the role "locked" for its password, and takes 4 connections of mere users."""
    server = launch_server("locked", (*FAST, "max_connections=7"))
    server.execute("create role locked login password 'right'")
    hba = server.folder / "data" / "pg_hba.conf"
    hba.write_text("local all locked scram-sha-256\n" + hba.read_text())
    server.execute("select pg_reload_conf()")
    return server


CONNECTING = (("status",), ("doctor",), ("migrate",), ("environment",))
by_command = pytest.mark.parametrize("command", CONNECTING, ids=" ".join)


@by_command
def test_an_unknown_host_is_named(command: tuple[str, ...]) -> None:
    result = kata(*command, dsn="postgresql://me:secret@no-such-host.invalid/db", code=3)
    message, hint = complaint(result)
    assert message.startswith("no connection to the database: ")
    assert "no-such-host.invalid" in message
    assert hint == "check the name of the host"
    assert "secret" not in result.output


@by_command
def test_a_server_that_is_down_is_named(command: tuple[str, ...], tmp_path: Path) -> None:
    result = kata(*command, dsn=f"postgresql://me:secret@/db?host={tmp_path}", code=3)
    message, hint = complaint(result)
    assert f'socket "{tmp_path}/.s.PGSQL.5432" failed: No such file or directory' in message
    assert hint == "start the server, or check the folder of its socket"
    refused = kata(*command, dsn="postgresql://me:secret@127.0.0.1:1/db", code=3)
    assert complaint(refused)[1] == "start the server, or check host and port"
    assert "secret" not in result.output + refused.output


@by_command
def test_a_missing_database_is_named(command: tuple[str, ...], server: TestServer) -> None:
    message, hint = complaint(kata(*command, dsn=server.url("nowhere"), code=3))
    assert 'database "nowhere" does not exist' in message
    assert hint == "create the database, or check its name"


@by_command
def test_a_wrong_password_is_not_repeated(command: tuple[str, ...], locked: TestServer) -> None:
    dsn = locked.url("postgres", "locked").replace("locked@", "locked:wr0ng@", 1)
    result = kata(*command, dsn=dsn, code=3)
    message, hint = complaint(result)
    assert 'password authentication failed for user "locked"' in message
    assert hint == "check user and password"
    assert "wr0ng" not in result.output


@by_command
def test_a_server_without_a_free_connection_is_named(command: tuple[str, ...], locked: TestServer) -> None:
    locked.execute("create role crowd login")
    try:
        # The sessions of the test before may be there for a moment yet.
        dsn = locked.url("postgres", "crowd")
        crowd = [insist(lambda: psycopg.connect(dsn), psycopg.OperationalError) for _ in range(4)]
        message, hint = complaint(kata(*command, dsn=dsn, code=3))
        assert "connection slots" in message
        assert hint == "close other clients, or raise max_connections"
    finally:
        for connection in crowd:
            connection.close()
        locked.execute("drop role crowd")


@pytest.mark.parametrize("dsn", ["postgresql//me:secret@h/db", "", "mysql://me:secret@h/db", "secret"])
def test_a_malformed_url_is_not_repeated(dsn: str) -> None:
    result = kata("--dsn", dsn, "status", code=1)
    assert complaint(result)[1] == "write it as postgresql://user:password@host:port/database"
    assert "secret" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("nosuch",), "No such command 'nosuch'.", "kata --help"),
        (("--nosuch",), "No such option '--nosuch'.", "kata --help"),
        (("migrate", "down"), "Missing option '--to'.", "kata migrate down --help"),
        (("environment", "a", "--clear"), "give a LABEL or --clear, not both", "kata environment --help"),
        (("status", "x\n\x1b[31m"), "Got unexpected extra argument", "kata status --help"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_a_hint(
    arguments: tuple[str, ...], message: str, hint: str
) -> None:
    said = complaint(kata(*arguments, code=2))
    assert said[0].startswith(message)
    assert said[1] == hint
    assert "\x1b" not in said[0]


def test_a_package_that_a_command_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    monkeypatch.delitem(sys.modules, "kata_context.contrib.mcp", raising=False)
    result = kata("mcp", "plan", code=1)
    assert complaint(result) == ("the package mcp 2 is not installed", "pip install 'kata-context[mcp]'")


def test_without_a_command_the_help_goes_to_standard_error() -> None:
    result = kata(code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("Usage: kata ")


def test_a_reader_that_leaves_is_not_a_failure(database: str) -> None:
    run = subprocess.run(
        [
            "/bin/sh",
            "-c",
            '"$0" --dsn "$1" doctor --json 2>"$2" | true; exit ${PIPESTATUS:-0}',
            str(KATA),
            database,
            os.devnull,
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.stderr == ""
    reading, writing = os.pipe()
    os.close(reading)
    closed = subprocess.run(
        [str(KATA), "migrate", "bundle"], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=PATIENCE
    )
    os.close(writing)
    assert (closed.returncode, closed.stderr) == (141, "")


def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [str(KATA), "migrate", "bundle"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE
        )
    assert run.returncode == 1
    assert run.stderr == "kata: No space left on device\n"


def test_closed_streams_are_not_a_failure(database: str) -> None:
    command = f"'{KATA}' --dsn '{database}' doctor --json"
    for closed in (">&-", "2>&-", "<&-", "<&- >&- 2>&-"):
        run = subprocess.run(
            ["/bin/sh", "-c", f"{command} {closed}"], capture_output=True, text=True, timeout=PATIENCE
        )
        assert run.returncode == 0, closed
        assert "Traceback" not in run.stderr


def test_an_interrupt_is_one_line(database: str) -> None:
    with psycopg.connect(database) as conn:
        conn.execute("lock table kata_data.environment")
        waiting = subprocess.Popen(
            [str(KATA), "--dsn", database, "environment"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        waits = "select from pg_locks where not granted and relation = 'kata_data.environment'::regclass"
        wait_until(lambda: conn.execute(waits).fetchall())
        waiting.send_signal(signal.SIGINT)
        _, said = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 130
    assert said.splitlines()[-1] == "kata: interrupted"
    assert "Traceback" not in said
