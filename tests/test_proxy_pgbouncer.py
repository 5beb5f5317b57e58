"""PgBouncer between a proxy and its shards: calls go through it, and errors keep the session of the shard."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kata_context.proxy import shards
from support.pgbouncer import pgbouncer
from support.proxies import LOGIN, Proxy

ERRORS = 60
Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def bounced(proxy: Proxy, scratch: Path) -> Iterator[Proxy]:
    """A proxy that reaches two shards through PgBouncer, which has one session for each."""
    proxy.server.execute("create database bounced")
    for number in range(2):
        proxy.behind.execute(f"create database bounced_{number} template kata_template strategy file_copy")
    behind = proxy.behind.url("bounced_0", LOGIN)
    with pgbouncer(
        scratch / "between", behind, proxy.behind.account, default_pool_size=1, max_client_conn=100
    ) as dsn:
        dsns = [dsn.replace("bounced_0", f"bounced_{number}") for number in range(2)]
        shards.init(proxy.server.url("bounced"), dsns)
        proxy.server.execute("alter database bounced set client_min_messages = warning")
        yield Proxy(proxy.server, proxy.behind, dsns, "bounced")
    proxy.server.execute("drop database bounced with (force)")
    for number in range(2):
        proxy.behind.execute(f"drop database bounced_{number} with (force)")


def call(connection: Connection, text: str, *arguments: object) -> Any:
    """Return the only value of a call."""
    row = connection.execute(f"select {text} as value".encode(), arguments).fetchone()
    return row and row["value"]


def test_calls_go_through_pgbouncer(bounced: Proxy) -> None:
    with closing(bounced.connect(tenant="acme")) as conn, closing(bounced.connect("ann")) as ann:
        made = [call(conn, "kata.create_context(%s)", f"name {number}") for number in range(8)]
        for number, context in enumerate(made):
            assert call(conn, "kata.append_message(%s, 'user', 'hello')", context) == 1
            assert call(conn, "kata.find_context(%s)", f"name {number}") == context
            with pytest.raises(psycopg.Error) as refused:
                ann.execute("select * from kata.usage(%s)", (context,))
            assert refused.value.sqlstate == "KC001"
        fork = call(conn, "kata.fork(%s)", made[0])
        rows = conn.execute("select content from kata.window(%s, 1000)", (fork,)).fetchall()
        assert rows == [{"content": "hello"}]
        listed = conn.execute("select context_id from kata.list_contexts()").fetchall()
        assert {row["context_id"] for row in listed} == {*made, fork}
        assert call(conn, "kata.stats()")["acme"]["contexts"] == 9
        # The tenant of a call does not stay in a session that others share.
        assert ann.execute("select * from kata.list_contexts()").fetchall() == []
        assert call(ann, "kata.create_context('name 0')") not in made


def test_errors_in_a_row_cost_a_new_session_of_the_shard_without_pgbouncer_only(
    bounced: Proxy, proxy: Proxy
) -> None:
    with closing(bounced.connect(tenant="acme")) as conn:
        kept = sessions_used(bounced, conn, "^bounced_")
    with closing(proxy.connect(tenant=f"tenant {uuid.uuid4().hex[:8]}")) as conn:
        opened = sessions_used(proxy, conn, "^shard_")
    # PL/Proxy drops its connection after each; PgBouncer closes a session whose answer was not read up.
    assert kept < ERRORS <= opened


def sessions_used(proxy: Proxy, connection: Connection, databases: str) -> int:
    """Return how many sessions of the shards errors in a row take; each next call is answered."""
    context = call(connection, "kata.create_context()")
    used: set[int] = set()
    running = "select pid from pg_stat_activity where datname ~ %s and usename = %s"
    with closing(psycopg.connect(proxy.behind.url(), autocommit=True)) as observer:
        for _ in range(ERRORS):
            with pytest.raises(psycopg.Error) as refused:
                connection.execute("select * from kata.usage(%s, 99)", (context,))
            assert refused.value.sqlstate == "KC002"
            assert call(connection, "(kata.usage(%s)).version", context) == 0
            used |= {pid for (pid,) in observer.execute(running, (databases, LOGIN))}
    return len(used)
