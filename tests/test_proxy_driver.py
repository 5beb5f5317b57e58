"""The driver on a proxy: what works there runs unchanged, and what cannot is refused."""

import asyncio
from contextlib import closing

import psycopg
import pytest

from kata_context import AsyncKata, Kata
from kata_context.errors import MisuseError
from support.commands import kata as command
from support.proxies import Proxy

REFUSED = "a proxy has no transactions: each call commits by itself"


def test_the_driver_runs_on_a_proxy_of_postgres_15(proxy: Proxy) -> None:
    with Kata(proxy.dsn(), tenant="driver") as kata:
        context = kata.get_or_create_context("a name").context_id
        assert kata.append_message(context, "user", "hello") == 1
        assert [row.content for row in kata.window(context, 1000)] == ["hello"]
        assert kata.find_context("a name") == context
        assert kata.as_tenant("driver").usage(context).message_count == 1


def test_a_transaction_over_several_calls_is_refused(proxy: Proxy) -> None:
    with Kata(proxy.dsn(), tenant="driver") as kata:
        with pytest.raises(MisuseError, match=REFUSED) as refused, kata.transaction():
            pass
        assert "idempotency_key" in (refused.value.hint or "")

    async def begin() -> None:
        async with AsyncKata(proxy.dsn(), tenant="driver") as kata:
            with pytest.raises(MisuseError, match=REFUSED):
                async with kata.transaction():
                    pass

    asyncio.run(begin())
    with Kata(proxy.dsn()) as kata:
        context = kata.create_context()
    assert REFUSED in command("probe", str(context), dsn=proxy.dsn(), code=1).stderr


def test_what_a_transaction_of_the_caller_takes_back_stays_on_the_shard(proxy: Proxy) -> None:
    """Documented in docs/scale.md: each call commits by itself."""
    with Kata(proxy.dsn(), tenant="driver") as kata:
        context = kata.create_context()
        with closing(psycopg.connect(proxy.dsn())) as connection:
            kata.using(connection).append_message(context, "user", "hello")
            connection.rollback()
        assert kata.usage(context).message_count == 1


def test_a_worker_at_a_proxy_looks_by_itself_because_no_notification_arrives_there(proxy: Proxy) -> None:
    with Kata(proxy.dsn(), tenant="driver") as kata, Kata(proxy.behind.url("shard_0")) as shard:
        assert kata._pool.listen(None) is None
        for listener in (shard._pool.listen(None), kata._pool.listen(proxy.behind.url("shard_1"))):
            assert listener is not None
            listener.close()
