"""A transaction of the driver: what is part of it, what is refused beside it, and when it has ended."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from kata_context import AsyncKata, AsyncTransaction, Kata
from kata_context.errors import KataError, MisuseError
from support.driver import PATIENCE
from support.interleaving import Connect


@pytest.fixture
def kata(database: str) -> Iterator[Kata]:
    """The driver on a database of its own."""
    with Kata(database) as client:
        yield client


def test_a_call_beside_an_open_transaction_is_refused_at_once(kata: Kata) -> None:
    context = kata.create("trip")
    beside: list[Callable[[], object]] = [
        lambda: context.append_message("user", "outside"),
        lambda: context.usage(),
        lambda: kata.append_message(context.id, "user", "outside"),
        lambda: kata.context("trip"),
        lambda: kata.transaction().__enter__(),
        lambda: kata.as_tenant("other").find_context("trip"),
    ]
    with kata.transaction() as tx:
        tx.append_message(context, "user", "inside")
        for call in beside:
            with pytest.raises(MisuseError, match="a transaction is open here") as caught:
                call()
            assert "transaction.context" in str(caught.value.hint)
        tx.context(context).append_message("user", "inside, too")
    assert [row.content for row in context.messages()] == ["inside", "inside, too"]
    context.append_message("user", "after")
    assert context.usage().version == 3


def test_a_transaction_that_fails_leaves_the_way_free(kata: Kata) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), kata.transaction():
            _ = 1 / 0
        assert kata.version()
    kata.close()
    with pytest.raises(MisuseError, match="closed"):
        kata.transaction().__enter__()


def test_other_threads_and_other_pools_go_on(kata: Kata, database: str, connect: Connect) -> None:
    context = kata.create()
    with Kata(database) as other, ThreadPoolExecutor(1) as thread, kata.transaction() as tx:
        tx.usage(context.id)
        assert thread.submit(context.append_message, "user", "by a thread").result(PATIENCE) == 1
        assert other.append_message(context.id, "user", "by another pool") == 2
        assert kata.using(connect(autocommit=True)).append_message(context.id, "user", "by a connection") == 3


def test_a_transaction_cannot_be_used_after_its_end(kata: Kata) -> None:
    with kata.transaction() as tx:
        handle = tx.create("trip")
    calls: list[Callable[[], object]] = [
        tx.version,
        handle.usage,
        lambda: tx.append_message(handle, "user", "x"),
    ]
    for call in calls:
        with pytest.raises(MisuseError, match="has ended"):
            call()
    assert kata.context(handle).usage().version == 0


def test_a_call_beside_the_transaction_of_its_task_is_refused(database: str) -> None:
    async def main() -> None:
        async with AsyncKata(database, max_size=2) as kata:
            context = await kata.create("trip")
            opened = asyncio.Event()

            async def elsewhere() -> int:
                await opened.wait()
                return await context.append_message("user", "by another task")

            other = asyncio.create_task(elsewhere())
            async with kata.transaction() as tx:
                with pytest.raises(MisuseError, match="a transaction is open here"):
                    await context.append_message("user", "outside")
                with pytest.raises(MisuseError, match="a transaction is open here"):
                    await asyncio.gather(kata.usage("trip"))
                opened.set()
                assert await other == 1
                assert await tx.append_message("trip", "user", "inside") == 2
            assert await context.append_message("user", "after") == 3
            with pytest.raises(MisuseError, match="has ended"):
                await tx.version()

    asyncio.run(main())


def test_everything_of_one_event_loop_is_refused_in_another(database: str) -> None:
    kata = AsyncKata(database)

    async def begin() -> tuple[AsyncTransaction, object]:
        context = await kata.create()
        manager = kata.transaction()
        opened.append(manager)
        return await manager.__aenter__(), context

    opened: list[object] = []
    first = asyncio.new_event_loop()
    try:
        transaction, context = first.run_until_complete(begin())
        for call in (
            kata.version,
            context.usage,  # type: ignore[attr-defined]
            transaction.version,
            lambda: kata.transaction().__aenter__(),
            kata.as_tenant("default").version,
            kata.open,
            kata.close,
        ):

            async def misuse(call: Callable[[], object] = call) -> None:
                await call()  # type: ignore[misc]

            with pytest.raises(MisuseError, match="another event loop") as caught:
                asyncio.run(misuse())
            assert "Kata, which threads may share" in str(caught.value.hint)
        first.run_until_complete(opened[0].__aexit__(None, None, None))  # type: ignore[attr-defined]
        first.run_until_complete(kata.close())
    finally:
        first.close()


def test_of_threads_with_event_loops_one_has_the_driver(database: str, connect: Connect) -> None:
    kata = AsyncKata(database)
    before = connect(autocommit=True)

    async def call() -> str:
        try:
            await kata.create()
        except KataError as error:
            return type(error).__name__
        await kata.close()
        return "created"

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: asyncio.run(call()), range(8)))
    assert outcomes.count("created") == 1
    assert set(outcomes) == {"created", "MisuseError"}
    row = before.execute("select count(*) from kata.list_contexts()").fetchone()
    assert row == (1,)
