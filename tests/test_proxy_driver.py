"""The driver on a proxy: it runs unchanged."""

from contextlib import suppress

from kata_context import Kata
from support.proxies import Proxy


def test_the_driver_runs_on_a_proxy_of_postgres_15(proxy: Proxy) -> None:
    with Kata(proxy.dsn(), tenant="driver") as kata:
        context = kata.get_or_create_context("a name").context_id
        assert kata.append_message(context, "user", "hello") == 1
        assert [row.content for row in kata.window(context, 1000)] == ["hello"]
        assert kata.find_context("a name") == context
        with kata.transaction() as transaction:
            assert transaction.usage(context).message_count == 1


def test_what_a_transaction_of_the_proxy_takes_back_stays_on_the_shard(proxy: Proxy) -> None:
    """Documented in docs/scale.md: each call commits by itself."""
    with Kata(proxy.dsn(), tenant="driver") as kata:
        context = kata.create_context()
        with suppress(RuntimeError), kata.transaction() as transaction:
            transaction.append_message(context, "user", "hello")
            raise RuntimeError
        assert kata.usage(context).message_count == 1
