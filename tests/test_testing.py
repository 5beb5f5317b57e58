"""`kata_context.testing`: databases and a clock for the tests of users."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from kata_context import AsyncKata, Kata, KataError, testing
from kata_context.testing import TemporaryDatabase, TemporaryServer
from support.driver import PATIENCE

pytestmark = pytest.mark.slow

NOON = datetime(2099, 1, 1, 12, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def temporary_server() -> Iterator[TemporaryServer]:
    """One server for this module."""
    with TemporaryServer() as server:
        yield server


@pytest.fixture
def temporary(temporary_server: TemporaryServer) -> Iterator[TemporaryDatabase]:
    """A database for each test."""
    with temporary_server.database() as database:
        yield database


def test_a_database_is_migrated_and_empty_and_gone_after_its_block(temporary_server: TemporaryServer) -> None:
    with temporary_server.database() as first, Kata(first.dsn) as kata:
        kata.create("c").append_message("user", "hello")
    with temporary_server.database() as second, Kata(second.dsn) as kata:
        assert kata.list_contexts() == []
        assert second.dsn != first.dsn
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first.dsn)


def test_the_clock_stands_still_where_it_is_set_and_goes_on_by_steps(temporary: TemporaryDatabase) -> None:
    clock = temporary.clock
    with Kata(temporary.dsn) as kata:
        context = kata.create("c")
        clock.set(NOON)
        versions = [context.append_message("user", text) for text in "ab"]
        clock.advance(minutes=5)
        versions.append(context.append_message("user", "c"))
        clock.advance(timedelta(days=1))
        versions.append(context.append_message("user", "d"))
        times = [context.get_message(version).created_at for version in versions]
        moved = NOON + timedelta(minutes=5)
        microsecond = timedelta(microseconds=1)
        assert times == [NOON, NOON + microsecond, moved, moved + timedelta(days=1)]
        assert clock.now == moved + timedelta(days=1)


def test_the_example_of_the_documentation_holds(temporary: TemporaryDatabase) -> None:
    blocks = (Path(__file__).parents[1] / "docs" / "python.md").read_text("utf-8").split("```python\n")
    (example,) = [block.split("```")[0] for block in blocks if "def test_an_idle_branch" in block]
    names: dict[str, Any] = {"Kata": Kata, "timedelta": timedelta}
    exec(example, names)
    names["test_an_idle_branch_is_archived"](temporary)


def test_the_clock_of_one_database_is_not_that_of_another(temporary_server: TemporaryServer) -> None:
    with temporary_server.database() as one, temporary_server.database() as other:
        one.clock.set(NOON)
        with Kata(one.dsn) as kata, Kata(other.dsn) as real:
            assert kata.get_context(kata.create_context("c")).created_at == NOON
            assert real.get_context(real.create_context("c")).created_at < NOON


def test_a_released_clock_shows_the_real_time(temporary: TemporaryDatabase) -> None:
    with Kata(temporary.dsn) as kata:
        temporary.clock.set(NOON)
        assert kata.get_context(kata.create_context("frozen")).created_at == NOON
        temporary.clock.release()
        now = datetime.now(timezone.utc)
        assert abs(kata.get_context(kata.create_context("real")).created_at - now) < timedelta(hours=1)
        assert abs(temporary.clock.now - now) < timedelta(hours=1)


def test_an_expired_lease_is_taken_over_without_waiting(temporary: TemporaryDatabase) -> None:
    policy = {"budget": 1000, "threshold": 0.5, "preserve_recent_count": 1, "min_gain_tokens": 0}
    temporary.clock.set(NOON)
    with Kata(temporary.dsn) as kata:
        context = kata.create("c", policy=policy)
        context.append([{"role": "user", "content": "x", "token_count": 400} for _ in range(3)])
        assert kata.claim_due_compaction("first", 60) is not None
        assert kata.claim_due_compaction("second", 60) is None
        temporary.clock.advance(seconds=61)
        assert kata.claim_due_compaction("second", 60) is not None


def test_an_asynchronous_pool_connects_again_when_the_clock_is_set(temporary: TemporaryDatabase) -> None:
    async def main() -> datetime:
        async with AsyncKata(temporary.dsn) as kata:
            context = await kata.create("c")
            temporary.clock.set(NOON)
            return (await context.get_message(await context.append_message("user", "x"))).created_at

    assert asyncio.run(main()) == NOON


def test_a_moment_without_a_time_zone_is_refused(temporary: TemporaryDatabase) -> None:
    with pytest.raises(KataError, match="the moment has no time zone"):
        temporary.clock.set(datetime(2030, 1, 1))


def test_a_server_that_is_not_running_is_refused() -> None:
    with pytest.raises(KataError, match="the server is not running"), TemporaryServer().database():
        pass


def test_the_fixtures_of_the_documentation_work_and_leave_nothing(tmp_path: Path) -> None:
    assert testing.__doc__
    text = "\n".join(line.removeprefix("    ") for line in testing.__doc__.splitlines())
    fixtures = text.split("# conftest.py\n")[1].split("# test_reminders.py")[0]
    (tmp_path / "conftest.py").write_text(fixtures)
    (tmp_path / "test_program.py").write_text(
        "from kata_context import Kata\n"
        "def test_days(database):\n"
        "    with Kata(database.dsn) as kata:\n"
        "        context = kata.create('c')\n"
        "        database.clock.advance(days=30)\n"
        "        added = context.get_message(context.append_message('user', 'x')).created_at\n"
        "        assert 29 <= (added - context.get_context().created_at).days <= 30\n"
        "    with open('dsn', 'w') as file:\n"
        "        file.write(database.dsn)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout
    folder = Path(str(conninfo_to_dict((tmp_path / "dsn").read_text())["host"]))
    assert folder.name == "run"
    assert not folder.parent.parent.exists()
