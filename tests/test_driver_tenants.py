"""One pool for many tenants: a view acts for its tenant, and leaves nothing behind on the connection."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import pytest

from conftest import TestServer
from kata_context import AsyncKata, Kata
from kata_context.database_errors import ContextNotFoundError, InvalidInputError, NotPermittedError
from kata_context.driver.transport import escaped
from support.interleaving import Connect


@pytest.fixture
def kata(database: str) -> Iterator[Kata]:
    """The driver on a database of its own, as a role that may act for every tenant."""
    with Kata(database, max_size=2) as client:
        yield client


@pytest.fixture
def writer(database: str, server: TestServer) -> Iterator[str]:
    """The DSN of a role that may write, and act for its own tenant alone."""
    server.execute("create role driver_writer login")
    server.execute("grant kata_writer to driver_writer")
    yield database.replace("postgres@", "driver_writer@")
    server.execute("drop role driver_writer")


def test_views_share_a_pool_and_see_their_own(kata: Kata) -> None:
    tenants = ["acme", "globex", "initech"]
    views = [kata.as_tenant(tenant) for tenant in tenants]
    contexts = [view.create("same name") for view in views]
    mine = kata.create("same name")

    def work(number: int) -> None:
        view, context = views[number % 3], contexts[number % 3]
        for step in range(5):
            assert view.context("same name").id == context.id
            context.append_message("user", f"{number}:{step}")
            with view.transaction() as tx:
                tx.append_message("same name", "user", f"{number}:{step}")
            assert kata.context("same name").id == mine.id

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(6)))
    for view, context, tenant in zip(views, contexts, tenants, strict=True):
        assert [row.context_id for row in view.list_contexts()] == [context.id]
        assert context.get_context().tenant == view.current_tenant() == tenant
        assert context.usage().version == 20
        with pytest.raises(ContextNotFoundError):
            kata.usage(context)
    assert (kata.current_tenant(), mine.usage().version) == ("default", 0)


def test_nothing_of_a_view_stays_on_the_connection(database: str) -> None:
    with Kata(database, max_size=1, tenant="own") as kata:
        view = kata.as_tenant("acme")
        view.create("theirs")
        with pytest.raises(ContextNotFoundError):
            view.usage("unknown")
        with view.transaction() as tx:
            assert tx.current_tenant() == "acme"
        with pytest.raises(ZeroDivisionError), view.transaction():
            _ = 1 / 0
        assert kata.current_tenant() == "own"
        with kata.transaction() as tx:
            found = tx.connection.execute("select current_setting('kata.tenant')").fetchone()
        assert found == ("own",)


def test_a_canceled_call_of_a_view_leaves_nothing_behind(database: str, connect: Connect) -> None:
    async def main() -> None:
        async with AsyncKata(database, max_size=1) as kata:
            view = kata.as_tenant("acme")
            context = await view.create()
            holder = connect()
            holder.execute("set kata.tenant = 'acme'")
            holder.execute("select kata.append_message(%s, 'user', 'never')", [context.id])
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(context.append_message("user", "late", 5), 0.3)
            holder.rollback()
            assert await kata.current_tenant() == "default"
            assert await context.append_message("user", "next") == 1
            async with view.transaction() as tx:
                assert await tx.current_tenant() == "acme"

    asyncio.run(main())


@pytest.mark.parametrize(
    "function",
    ["_enter_gen", "_exit_gen", "_push_savepoint", "_pop_savepoint", "_fetch_pipeline", "_sync_gen"],
)
def test_an_interrupt_inside_psycopg_does_not_reach_the_next_call(database: str, function: str) -> None:
    def interrupt(frame: FrameType, *_: Any) -> None:
        if frame.f_code.co_name == function and "/psycopg/" in frame.f_code.co_filename:
            raise KeyboardInterrupt

    with Kata(database, max_size=1, wait=2) as kata:
        view = kata.as_tenant("acme")
        assert view.current_tenant() == "acme"
        before = sys.gettrace()
        sys.settrace(interrupt)
        try:
            with pytest.raises((KeyboardInterrupt, psycopg.Error)):
                view.current_tenant()
        finally:
            sys.settrace(before)
        assert (kata.current_tenant(), view.current_tenant()) == ("default", "acme")


def test_a_view_closes_nothing(kata: Kata) -> None:
    with kata.as_tenant("acme") as view:
        assert view.as_tenant("globex").current_tenant() == "globex"
    assert kata.version()
    assert view.current_tenant() == "acme"


def test_a_view_joins_a_transaction_of_the_caller(kata: Kata, connect: Connect) -> None:
    view = kata.as_tenant("acme")
    for connection in (connect(), connect(autocommit=True)):
        assert view.using(connection).current_tenant() == "acme"
        connection.rollback()
        assert kata.using(connection).current_tenant() == "default"


def test_a_role_that_may_not_act_for_the_tenant_changes_nothing(writer: str) -> None:
    with Kata(writer) as kata:
        own = kata.create("mine")
        view = kata.as_tenant("acme")
        for call in (
            lambda: view.create("theirs"),
            lambda: view.append_message(own.id, "user", "x"),
            lambda: view.usage("unknown"),
            lambda: view.transaction().__enter__(),
        ):
            with pytest.raises(
                NotPermittedError, match='acts for tenant "driver_writer", not for "acme"'
            ) as caught:
                call()
            assert "kata_service" in str(caught.value.hint)
        assert [row.name for row in kata.list_contexts()] == ["mine"]
        assert own.usage().version == 0
        assert kata.as_tenant("driver_writer").context("mine").id == own.id
    with pytest.raises(NotPermittedError, match='not for "acme"'):
        Kata(writer, tenant="acme").open()
    with Kata(writer, tenant="driver_writer") as same:
        assert same.context("mine").id == own.id


@pytest.mark.parametrize(
    "tenant",
    [
        "",
        " a",
        "a ",
        "a\tb",
        "cust-1\t-c\tkata.tenant=B",
        "a\nb",
        "a\u00a0b",
        "a\u2028b",
        "a\0b",
        "a\ud800",
        "x" * 256,
    ],
)
def test_a_tenant_with_hidden_characters_is_refused(kata: Kata, tenant: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a name") as caught:
        kata.as_tenant(tenant)
    assert caught.value.hint
    with pytest.raises(InvalidInputError, match="is not a name"):
        Kata(tenant=tenant)


def test_a_missing_tenant_is_never_the_default_one(kata: Kata) -> None:
    with pytest.raises(InvalidInputError, match="tenant must be a str, not NoneType"):
        kata.as_tenant(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["a b", "a\\b", "a\\ b", "\t\n\v\f\r -c kata.tenant=B", "ж ö"])
def test_a_value_arrives_in_an_option_as_it_is(database: str, value: str) -> None:
    with psycopg.connect(database, options=f"-c kata.tenant={escaped(value)}") as connection:
        assert connection.execute("show kata.tenant").fetchone() == (value,)


def test_each_connection_acts_for_the_tenant_asked_for_whatever_else_sets_one(
    database: str, connect: Connect
) -> None:
    connect(autocommit=True).execute("alter role postgres set kata.tenant = 'of the role'")
    try:
        for tenant in ("a", "\u00e0 -ckata.tenant=B", "a\\", "*"):
            for dsn in (database, f"{database}&options=-c%20kata.tenant%3DB%20-ckata.tenant_x%3D1"):
                with (
                    Kata(dsn, tenant=tenant, min_size=2, max_size=2) as kata,
                    ThreadPoolExecutor(2) as threads,
                ):
                    assert set(threads.map(lambda _: kata.current_tenant(), range(20))) == {tenant}
                    assert kata.as_tenant("b").current_tenant() == "b"
                    assert kata.current_tenant() == tenant
    finally:
        connect(autocommit=True).execute("alter role postgres reset kata.tenant")


def test_psql_acts_for_the_tenant_asked_for_or_not_at_all(writer: str, database: str) -> None:
    def ask(dsn: str, tenant: str) -> str:
        given = ["--dsn", dsn, "--tenant", tenant, "psql", "-tAc", "select kata.current_tenant()"]
        done = subprocess.run(
            [Path(sys.executable).with_name("kata"), *given], capture_output=True, text=True
        )
        return done.stdout.strip() if done.returncode == 0 else done.stderr

    for tenant in ("a", "\u00e0 b", "a\\b"):
        assert ask(database, tenant) == tenant
    for tenant in ("a\t-c\tkata.tenant=B", "a\u00a0b"):
        assert "is not a name" in ask(database, tenant)
    assert 'acts for tenant "driver_writer", not for "acme"' in ask(writer, "acme")
    assert ask(writer, "driver_writer") == "driver_writer"
