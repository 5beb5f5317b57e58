"""No error, traceback, log line or representation shows the password of a connection string."""

import asyncio
import logging
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from conftest import TestServer
from kata_context import AsyncKata, Kata, KataError, config, migrate
from kata_context.cli.main import cli
from kata_context.driver.route import find_route
from kata_context.errors import PoolTimeoutError
from support.driver import PATIENCE, insist

PASSWORD = "S3cretpw"
HERE = f"u:{PASSWORD}@127.0.0.1:1/db"
MALFORMED = [
    f"postgresql://u:{PASSWORD}%zz@127.0.0.1:1/db",
    f"postgresql://u:a@{PASSWORD}@127.0.0.1:1/db",
    f"postgresql://u:a/{PASSWORD}@127.0.0.1:1/db",
    f"postgresql://127.0.0.1:1/db?user=u&password={PASSWORD}&x",
    f"postgresql+psycopg://{HERE}",
    f"postgres//{HERE}",
    f"mysql://{HERE}",
    f"host=h user=u password={PASSWORD} garbage",
    f"host=h user=u passwort={PASSWORD}",
    f"host=h user=u password='{PASSWORD}",
]
UNREACHABLE = [
    f"postgresql://{HERE}",
    f"postgresql://{HERE}?sslmode=bogus",
    f"postgresql://{HERE}?options=-c",
    f"postgresql://u:{PASSWORD}@no-such-host.invalid/db",
    f"postgresql://u:{PASSWORD}@127.0.0.1:99999/db",
    f"host=127.0.0.1 port=1 user=u password='{PASSWORD} \\' %41'",
    f"postgresql://u:%20{PASSWORD}%2F%40@127.0.0.1:1/db",
]


def with_driver(dsn: str) -> None:
    """Call a function."""
    with Kata(dsn, wait=1) as kata:
        kata.list_contexts()


def with_event_loop(dsn: str) -> None:
    """Call a function in an event loop."""

    async def called() -> None:
        async with AsyncKata(dsn, wait=1) as kata:
            await kata.list_contexts()

    asyncio.run(called())


CALLS: list[Callable[[str], object]] = [
    with_driver,
    with_event_loop,
    migrate.up,
    migrate.status,
    migrate.read_environment,
]


def told(error: BaseException) -> str:
    """Return all that is shown of an error by whom it reaches: tracebacks, notes, and what led to it."""
    texts = ["".join(traceback.format_exception(error))]
    seen: list[BaseException | None] = [error]
    for one in seen:
        if one is not None:
            texts += [str(one), repr(one), repr(getattr(one, "__notes__", None)), repr(one.args)]
            texts += [repr(getattr(one, name, None)) for name in ("message", "detail", "hint")]
            seen += [other for other in (one.__cause__, one.__context__) if other not in seen]
    return "\n".join(texts)


@pytest.fixture(autouse=True)
def _no_log_line(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Look at the log lines of every level, too."""
    caplog.set_level(logging.DEBUG)
    yield
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_connection_that_fails_does_not_show_it(call: Callable[[str], object]) -> None:
    for dsn in MALFORMED + UNREACHABLE:
        with pytest.raises(KataError) as caught:
            call(dsn)
        assert PASSWORD not in told(caught.value), dsn
        assert "malformed" in str(caught.value) or dsn in UNREACHABLE


@pytest.mark.parametrize("command", ["status", "doctor", "migrate", "environment", "worker --once"])
def test_no_command_shows_it(command: str) -> None:
    for dsn in (*MALFORMED, *UNREACHABLE[:2]):
        result = CliRunner().invoke(cli, ["--dsn", dsn, *command.split()])
        assert result.exit_code in (1, 3), dsn
        assert PASSWORD not in result.output, dsn


def test_nothing_that_describes_a_connection_shows_it() -> None:
    for dsn in UNREACHABLE:
        shown = (
            f"{config.choose(dsn)!r} {find_route(dsn, None, False, 1)!r} {Kata(dsn)!r} {vars(Kata(dsn))!r}"
        )
        assert PASSWORD not in shown


@pytest.fixture
def locked(server: TestServer) -> Iterator[str]:
    """The DSN of a role that the server asks for its password, without it."""
    server.execute(f"create role my_locked login password '{PASSWORD}'")
    hba = server.folder / "data" / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text("local all my_locked scram-sha-256\n" + before)
    server.execute("select pg_reload_conf()")
    yield server.url("postgres", "my_locked")
    hba.write_text(before)
    server.execute("select pg_reload_conf()")
    server.execute("drop role my_locked")


@pytest.mark.parametrize("way", ["url", "words", "environment", "service"])
def test_a_password_that_is_refused_is_not_shown(
    way: str, locked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = f"not{PASSWORD}"
    parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(locked)
    dsn = {
        "url": locked.replace("my_locked@", f"my_locked:{wrong}@"),
        "words": psycopg.conninfo.make_conninfo(**parts, password=wrong),
        "environment": locked,
        "service": "service=mine",
    }[way]
    if way == "environment":
        monkeypatch.setenv("PGPASSWORD", wrong)
    if way == "service":
        lines = [f"{name}={value}" for name, value in (parts | {"password": wrong}).items()]
        (tmp_path / "services").write_text("\n".join(["[mine]", *lines]))
        monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    for call in CALLS:
        with pytest.raises(KataError, match="password authentication failed") as caught:
            call(dsn)
        assert PASSWORD not in told(caught.value)


def test_a_service_file_that_is_malformed_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    for line in (f"password {PASSWORD}", f"passwort={PASSWORD}"):
        (tmp_path / "services").write_text(f"[mine]\nhost=127.0.0.1\nuser=u\n{line}\n")
        for call in CALLS:
            with pytest.raises(KataError) as caught:
                call("service=mine")
            assert PASSWORD not in told(caught.value), line


def test_a_pool_that_is_exhausted_or_loses_its_connections_does_not_show_it(
    database: str, server: TestServer, locked: str
) -> None:
    dsn = psycopg.conninfo.make_conninfo(database, user="my_locked", password=PASSWORD)
    with psycopg.connect(database, autocommit=True) as admin, Kata(dsn, max_size=1, wait=0.3) as kata:
        admin.execute("grant kata_writer to my_locked")
        insist(kata.version, PoolTimeoutError)
        with ThreadPoolExecutor(1) as other, kata.transaction() as transaction:
            transaction.list_contexts()
            with pytest.raises(PoolTimeoutError) as exhausted:
                other.submit(kata.list_contexts).result()
            admin.execute(
                "select pg_terminate_backend(pid, %s) from pg_stat_activity where usename = 'my_locked'",
                [PATIENCE * 1000],
            )
            with pytest.raises(KataError) as lost:
                transaction.create_context()
        admin.execute("revoke kata_writer from my_locked")
    assert PASSWORD not in told(exhausted.value) + told(lost.value)
