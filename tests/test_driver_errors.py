"""Whatever goes wrong leaves the driver as a KataError, with its SQLSTATE, a hint, and whether to retry."""

import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from conftest import ROOT, TestServer
from kata_context import AsyncKata, Context, Kata, database_errors, errors
from kata_context.database_errors import (
    REFUSALS,
    AbortedTransactionError,
    AccessDeniedError,
    CanceledError,
    DeadlockError,
    InvalidInputError,
    KataDatabaseError,
    LockTimeoutError,
    PostgresError,
    ReadOnlyError,
    SerializationError,
    refusal,
)
from kata_context.errors import (
    ConnectionLostError,
    KataError,
    NotInstalledError,
    OutcomeUnknownError,
    PoolTimeoutError,
)
from support.driver import PATIENCE, insist, wait_until
from support.interleaving import Connect

# Connections of the driver that wait for a lock.
WAITING = """select count(*) from pg_stat_activity
where datname = current_database() and application_name = 'kata-context'
  and cardinality(pg_blocking_pids(pid)) > 0"""


def options(dsn: str, **settings: object) -> str:
    """Return a DSN whose sessions have settings."""
    return f"{dsn}&options=" + "%20".join(f"-c%20{name}%3D{value}" for name, value in settings.items())


def wait_until_waiting(observer: psycopg.Connection, sessions: int = 1) -> None:
    """Return once so many sessions of the driver wait for a lock."""
    wait_until(lambda: observer.execute(WAITING).fetchone() == (sessions,))


def terminate(observer: psycopg.Connection) -> None:
    """End every session of the driver, as an administrator would."""
    observer.execute(
        """select pg_terminate_backend(pid, %s) from pg_stat_activity
        where datname = current_database() and application_name = 'kata-context'""",
        [PATIENCE * 1000],
    )


# Errors of Postgres


@pytest.mark.parametrize("state", [*REFUSALS, "23505", "53100", "XX000"])
def test_an_error_of_postgres_is_of_the_class_of_its_sqlstate(conn: psycopg.Connection, state: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(
            f"""do $$ begin raise exception using errcode = '{state}', message = 'it failed',
            detail = 'It is 5.'; end $$""".encode()
        )
    error = refusal("append", caught.value)
    assert type(error) is REFUSALS.get(state, PostgresError)
    assert isinstance(error, type(caught.value) if state in REFUSALS else psycopg.DatabaseError)
    assert (error.sqlstate, error.message, error.detail) == (state, "it failed", "It is 5.")
    assert error.hint
    assert error.as_problem()["type"] == f"urn:kata-context:error:{state}"


def test_row_security_that_is_off_is_named_in_the_hint(conn: psycopg.Connection, dsn: str) -> None:
    conn.execute("set local row_security = off")
    with pytest.raises(AccessDeniedError) as caught:
        Kata(dsn).using(conn).create()
    assert "row_security = on" in str(caught.value.hint)


def test_a_character_that_the_client_cannot_read_is_not_a_nul(conn: psycopg.Connection, dsn: str) -> None:
    kata = Kata(dsn).using(conn)
    context = kata.create("東京")
    conn.execute("set local client_encoding = 'latin1'")
    with pytest.raises(InvalidInputError, match="has no equivalent in encoding") as caught:
        kata.get_context(context.id)
    assert caught.value.hint == "set client_encoding to UTF8"


def test_settings_of_role_and_database_do_not_reach_the_driver(
    server: TestServer, database: str, observer: psycopg.Connection
) -> None:
    settings = {"client_encoding": "latin1", "datestyle": "German", "row_security": "off"}
    for name, setting in settings.items():
        server.execute(f"alter database {observer.info.dbname} set {name} = {setting}")
    with Kata(database) as kata:
        context = kata.create("東京", metadata={"İ": "\\"})
        context.append_message("user", "\\ İ", 5)
        assert context.get_context().name == "東京"
        assert context.get_context().created_at.tzinfo
        assert context.get_message(1).content == "\\ İ"


def test_a_call_that_is_rolled_back_for_a_conflict_is_sent_again(
    database: str, connect: Connect, observer: psycopg.Connection
) -> None:
    strict = options(database, default_transaction_isolation="repeatable\\%20read")
    with Kata(strict) as kata, ThreadPoolExecutor(2) as threads:
        context = kata.create()
        holder = connect()
        holder.execute("select kata.append_message(%s, 'user', 'first')", [context.id])
        running = [threads.submit(context.append_message, "user", "later", 5) for _ in range(2)]
        wait_until_waiting(observer, 2)
        holder.commit()
        assert sorted(future.result(PATIENCE) for future in running) == [2, 3]


def test_a_caller_repeats_a_transaction_that_meets_a_conflict(database: str, connect: Connect) -> None:
    strict = options(database, default_transaction_isolation="repeatable\\%20read")
    with Kata(strict) as kata:
        context = kata.create()

        def conflict() -> None:
            with kata.transaction() as tx:
                tx.usage(context.id)
                other.execute("select kata.append_message(%s, 'user', 'between')", [context.id])
                tx.append_message(context.id, "user", "late", 5)

        other = connect(autocommit=True)
        with pytest.raises(SerializationError) as caught:
            conflict()
        assert caught.value.sqlstate == "40001"
        assert caught.value.may_retry
        assert isinstance(caught.value, psycopg.errors.SerializationFailure)
        assert context.usage().version == 1


def test_a_deadlock_ends_one_of_two_transactions(database: str, observer: psycopg.Connection) -> None:
    with Kata(options(database, deadlock_timeout="100ms")) as kata, ThreadPoolExecutor(1) as thread:
        first, second = kata.create(), kata.create()

        def append_to(one: Context, other: Context, between: Callable[[], object]) -> str | None:
            try:
                with kata.transaction() as tx:
                    tx.append_message(one.id, "user", "x", 5)
                    between()
                    tx.append_message(other.id, "user", "x", 5)
            except DeadlockError as error:
                return error.sqlstate
            return "committed"

        running: list[Future[str | None]] = []

        def go_against() -> None:
            running.append(thread.submit(append_to, second, first, lambda: None))
            wait_until_waiting(observer)

        outcomes = {append_to(first, second, go_against), running[0].result(PATIENCE)}
        assert outcomes == {"40P01", "committed"}


@pytest.mark.parametrize(
    ("setting", "expected"), [("lock_timeout", LockTimeoutError), ("statement_timeout", CanceledError)]
)
def test_a_wait_for_a_lock_ends_with_an_error_of_the_driver(
    database: str, connect: Connect, setting: str, expected: type[PostgresError]
) -> None:
    with Kata(options(database, **{setting: "100ms"})) as kata:
        context = insist(kata.create, CanceledError)
        holder = connect()
        holder.execute("select kata.append_message(%s, 'user', 'x')", [context.id])
        with pytest.raises(expected) as caught:
            context.append_message("user", "late", 5)
        assert caught.value.hint
        assert caught.value.may_retry == (expected is LockTimeoutError)


def test_a_change_on_a_server_that_only_reads_is_said_to_be_one(database: str) -> None:
    with (
        Kata(options(database, default_transaction_read_only="on")) as kata,
        pytest.raises(ReadOnlyError, match="read-only") as caught,
    ):
        kata.create()
    assert "primary" in str(caught.value.hint)


def test_a_role_without_grants_is_denied_with_a_hint(database: str, server: TestServer) -> None:
    server.execute("create role driver_stranger login")
    try:
        with (
            Kata(database.replace("postgres@", "driver_stranger@")) as kata,
            pytest.raises(AccessDeniedError) as caught,
        ):
            kata.create()
        assert "kata_writer" in str(caught.value.hint)
    finally:
        server.execute("drop role driver_stranger")


def test_after_an_error_a_transaction_can_only_be_left(kata: Kata) -> None:
    with kata.transaction() as tx:
        with pytest.raises(KataDatabaseError):
            tx.window(tx.create_context(), -1)
        with pytest.raises(AbortedTransactionError):
            tx.version()


def test_an_error_of_the_commit_is_one_of_the_driver(kata: Kata, connect: Connect) -> None:
    connect(autocommit=True).execute(
        "create table public.ticket (id int primary key deferrable initially deferred)"
    )

    def insert_twice() -> None:
        with kata.transaction() as tx:
            tx.create("never")
            tx.connection.execute("insert into public.ticket values (1), (1)")

    with pytest.raises(PostgresError) as caught:
        insert_twice()
    assert caught.value.sqlstate == "23505"
    assert kata.find_context("never") is None


def test_an_error_of_the_callers_sql_stays_as_it_is(kata: Kata) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable) as caught, kata.transaction() as tx:
        tx.connection.execute("select * from nothing_of_this_name")
    assert not isinstance(caught.value, KataError)


def test_a_schema_without_the_function_is_said_to_be_old(kata: Kata, connect: Connect) -> None:
    connect(autocommit=True).execute("alter function kata.stats() rename to stats_of_old")
    with pytest.raises(NotInstalledError, match=r"kata\.stats") as caught:
        kata.stats()
    assert caught.value.hint == "run: kata migrate up"


@pytest.mark.parametrize(
    ("installed", "hint"),
    [
        ("0.1.7", None),
        ("0.2.0", None),
        ("0.2.3rc1", None),
        ("0.3.0", "upgrade the package kata-context"),
        ("1.0.0", "upgrade the package kata-context"),
    ],
)
def test_a_package_works_one_release_behind_and_says_what_to_upgrade(
    database: str, connect: Connect, installed: str, hint: str | None
) -> None:
    with connect(autocommit=True) as admin:
        admin.execute(
            f"create or replace function kata.version() returns text language sql "
            f"as $$ select '{installed}' $$"
        )
    if hint is None:
        with Kata(database) as kata:
            assert kata.version() == installed
        return
    message = rf"{installed} .* is too new for the package, 0\.1"
    with pytest.raises(NotInstalledError, match=message) as caught, Kata(database):
        pass
    assert caught.value.hint == hint


@pytest.mark.parametrize("package", ["0.2.0", "0.3.0", "1.0.0"])
def test_a_package_works_one_release_ahead_and_says_what_to_upgrade(
    database: str, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setattr("kata_context.driver.route.__version__", package)
    if package == "0.2.0":
        with Kata(database) as kata:
            assert kata.usage(kata.create().id).version == 0
        return
    message = rf"0\.1.* is too old for the package, {package}"
    with pytest.raises(NotInstalledError, match=message) as caught, Kata(database):
        pass
    assert caught.value.hint == "run: kata migrate up"


# Lost connections


def test_a_connection_lost_in_a_transaction_changes_nothing(kata: Kata, observer: psycopg.Connection) -> None:
    context = kata.create()

    def lose() -> None:
        with kata.transaction() as tx:
            tx.append_message(context.id, "user", "never")
            terminate(observer)
            tx.append_message(context.id, "user", "never")

    with pytest.raises(ConnectionLostError) as caught:
        lose()
    assert caught.value.may_retry
    assert context.usage().version == 0


def test_a_connection_lost_at_the_commit_leaves_the_outcome_open(
    kata: Kata, observer: psycopg.Connection
) -> None:
    def lose() -> None:
        with kata.transaction() as tx:
            tx.create("never")
            terminate(observer)

    with pytest.raises(OutcomeUnknownError, match="commit") as caught:
        lose()
    assert not caught.value.may_retry
    assert kata.find_context("never") is None


def test_a_lost_connection_of_the_caller_is_one_of_the_driver(kata: Kata, connect: Connect) -> None:
    context = kata.create()
    cases: list[tuple[bool, Callable[[Kata], object], type[KataError]]] = [
        (True, lambda joined: joined.append_message(context.id, "user", "x"), OutcomeUnknownError),
        (True, lambda joined: joined.usage(context.id), ConnectionLostError),
        (False, lambda joined: joined.append_message(context.id, "user", "x"), ConnectionLostError),
    ]
    for autocommit, call, expected in cases:
        connection = connect(autocommit=autocommit)
        connection.execute("select 1")
        connect(autocommit=True).execute(
            "select pg_terminate_backend(%s, %s)", [connection.info.backend_pid, PATIENCE * 1000]
        )
        with pytest.raises(expected):
            call(kata.using(connection))  # type: ignore[arg-type]
        with pytest.raises(KataError):
            kata.using(connection).version()


def test_a_pool_without_connections_never_hides_that_a_call_was_sent(
    database: str, connect: Connect, server: TestServer, observer: psycopg.Connection
) -> None:
    name = observer.info.dbname
    with Kata(database, max_size=1, wait=0.3) as kata, ThreadPoolExecutor(1) as thread:
        context = insist(kata.create, PoolTimeoutError)
        holder = connect()
        holder.execute("select kata.append_message(%s, 'user', 'x')", [context.id])
        append = thread.submit(context.append_message, "user", "sent", 5, idempotency_key="k")
        wait_until_waiting(observer)
        server.execute(f"alter database {name} allow_connections false")
        terminate(observer)
        with pytest.raises(OutcomeUnknownError, match="append_message") as caught:
            append.result(PATIENCE)
        assert isinstance(caught.value.__cause__, PoolTimeoutError)
        with pytest.raises(PoolTimeoutError):
            context.usage()
        server.execute(f"alter database {name} allow_connections true")


INTERRUPTED = """
import sys
from kata_context import Kata

with Kata(sys.argv[1], max_size=1) as kata:
    print("ready", flush=True)
    try:
        kata.append_message(sys.argv[2], "user", "never", 5)
    except KeyboardInterrupt:
        print(kata.usage(sys.argv[2]).version, flush=True)
"""


def test_an_interrupt_passes_and_leaves_the_pool_usable(
    kata: Kata, database: str, connect: Connect, observer: psycopg.Connection
) -> None:
    context = kata.create()
    holder = connect()
    holder.execute("select kata.append_message(%s, 'user', 'x')", [context.id])
    command = [sys.executable, "-c", INTERRUPTED, database, str(context.id)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        wait_until_waiting(observer)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "0\n"
        assert process.wait(PATIENCE) == 0


# Texts of errors


@pytest.mark.parametrize(
    "dsn", ["nonsense", "mysql://h/db", "postgresql+psycopg://h/db", 5, b"host=h", "h\ud800"]
)
def test_a_dsn_that_is_none_is_refused_by_the_name_of_the_parameter(dsn: Any) -> None:
    with pytest.raises(errors.KataError) as caught:
        Kata(dsn).list_contexts()
    assert str(caught.value) == "the connection string in dsn is malformed"
    assert caught.value.hint == "write it as postgresql://user:password@host:port/database"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have notes from Python 3.11 on")
def test_a_traceback_shows_the_hint(kata: Kata) -> None:
    for call in (lambda: kata.window(kata.create_context(), -1), lambda: Kata("nonsense=1").open()):
        with pytest.raises(KataError) as caught:
            call()
        shown = "".join(traceback.format_exception(caught.value))
        assert f"hint: {caught.value.hint}" in shown
        assert str(caught.value) in shown
    lost = OutcomeUnknownError("it may have happened", "look", "The server went away.")
    assert "it may have happened (The server went away.)\nhint: look" in "".join(
        traceback.format_exception(lost)
    )


def documented() -> dict[str, str]:
    """Return what the hand-written tables of docs/errors.md say of retrying, by exception."""
    text = (ROOT / "docs" / "errors.md").read_text().split("<!-- end of errors -->")[1]
    found: dict[str, str] = {}
    for line in text.splitlines():
        cells = line.strip("| ").split(" | ")
        names = [cell.strip("`") for cell in cells if re.fullmatch(r"`\w+Error`", cell)]
        found |= {name: re.split(r"\W", cells[-1])[0] for name in names}
    return found


def test_the_documentation_lists_what_may_be_retried() -> None:
    classes = {
        name: found
        for module in (errors, database_errors)
        for name, found in vars(module).items()
        if isinstance(found, type) and issubclass(found, KataError) and found.__module__ == module.__name__
    }
    expected = {
        name: "yes" if found.may_retry else "no"
        for name, found in classes.items()
        if not issubclass(found, KataDatabaseError) and found is not KataError
    }
    assert documented() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_size": 5}, "a pool cannot hold 5 to 4 connections"),
        ({"min_size": -1}, "a pool cannot hold -1 to 4 connections"),
        ({"min_size": 0, "max_size": 0}, "a pool cannot hold 0 to 0 connections"),
        ({"max_size": "4"}, "max_size must be an int, not str"),
        ({"wait": "x"}, "wait must be a number, not str"),
        ({"wait": 0}, "wait must be above 0, and max_idle at least 0"),
        ({"wait": float("nan")}, "wait must be above 0, and max_idle at least 0"),
        ({"max_idle": -1}, "wait must be above 0, and max_idle at least 0"),
    ],
)
def test_a_pool_that_cannot_be_is_refused_at_once(options: dict[str, Any], message: str) -> None:
    for client in (Kata, AsyncKata):
        with pytest.raises(KataError, match=message):
            client(**options)
