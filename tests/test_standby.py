"""A hot standby answers what only reads; promoted, it takes the place of a shard."""

import json
import signal
from contextlib import closing
from typing import Any

import psycopg
import pytest

from kata_context import Kata
from kata_context.errors import ConnectionLostError, KataError, OutcomeUnknownError
from kata_context.proxy import shards
from support.commands import kata as command
from support.proxies import LOGIN, Proxy
from support.standby import DATABASE, SHARD, Pair, pair  # noqa: F401  fixture
from test_hostile import call, usual_calls

# Volatile, and with these arguments they change nothing.
CHANGE_NOTHING = {"build_embedding_index", "drop_embedding_index", "get_or_create_context"}


def test_a_standby_answers_every_function_that_reads_and_refuses_every_other(pair: Pair) -> None:  # noqa: F811
    with closing(psycopg.connect(pair.primary.url(DATABASE))) as connection:
        calls = usual_calls(connection)
        connection.commit()
    pair.wait()
    with closing(psycopg.connect(pair.standby.url(DATABASE))) as connection:
        volatile = {
            name
            for (name,) in connection.execute(
                "select proname from pg_proc where pronamespace = 'kata'::regnamespace and provolatile = 'v'"
            )
        }
        states: dict[str, Any] = {}
        for function, (types, arguments) in calls.items():
            found = call(connection, function, types, arguments)
            states[function] = found.sqlstate if isinstance(found, psycopg.Error) else None
    refused = {name for name, state in states.items() if state == "25006"}
    assert volatile - refused == CHANGE_NOTHING
    answered = {name: state for name, state in states.items() if name not in volatile}
    assert {name: state for name, state in answered.items() if state is not None} == {}


def test_a_version_that_was_written_shows_whether_a_standby_has_it(pair: Pair) -> None:  # noqa: F811
    """Documented in docs/scale.md: reads your own writes by passing the version as `at`."""
    with Kata(pair.primary.url(DATABASE)) as kata, Kata(pair.standby.url(DATABASE)) as replica:
        context = kata.create_context()
        pair.wait()
        with closing(psycopg.connect(pair.standby.url(), autocommit=True)) as connection:
            connection.execute("select pg_wal_replay_pause()")
            version = kata.append_message(context, "user", "hello")
            with pytest.raises(KataError) as behind:
                replica.window(context, 1000, at=version)
            assert behind.value.sqlstate == "KC002"
            connection.execute("select pg_wal_replay_resume()")
        pair.wait()
        assert [row.content for row in replica.window(context, 1000, at=version)] == ["hello"]


def test_a_shard_that_has_died_is_a_lost_connection_until_its_standby_takes_its_place(
    proxy: Proxy,
    pair: Pair,  # noqa: F811
) -> None:
    proxy.behind.execute("create database lone_0 template kata_template strategy file_copy")
    proxy.server.execute("create database lone")
    pair.primary.execute(f"create role {LOGIN} login")
    pair.primary.execute(f"grant kata_proxy to {LOGIN}")
    front = proxy.server.url("lone")
    dsns = [proxy.behind.url("lone_0", LOGIN), pair.primary.url(SHARD, LOGIN)]
    shards.init(front, dsns)
    with Kata(proxy.server.url("lone", "server_role"), tenant="acme") as kata:
        made = [kata.create_context()]
        while len(of_shard := {(c.int >> 64 & 0xFFF) // 2048: c for c in made}) < 2:
            made.append(kata.create_context())
        here, gone = of_shard[0], of_shard[1]
        kata.append_message(gone, "user", "before")
        pair.wait()
        pair.primary.stop(signal.SIGINT)
        with pytest.raises(ConnectionLostError):
            kata.usage(gone)
        with pytest.raises(OutcomeUnknownError):
            kata.append_message(gone, "user", "x")
        assert kata.append_message(here, "user", "x") == 1
        # A claim begins with a random shard.
        assert [kata.claim_due_compaction("worker") for _ in range(8)] == [None] * 8
        found = json.loads(command("shard", "list", "--json", dsn=front, code=1).stdout)
        assert [shard["problem"] is None for shard in found] == [True, False]

        new = pair.standby.url(SHARD, LOGIN)
        assert "standby" in command("shard", "move", "1", new, dsn=front, code=1).stderr
        pair.standby.execute("select pg_promote()")
        assert "has buckets" in command("shard", "move", "0", new, dsn=front, code=1).stderr
        command("shard", "move", "1", new, dsn=front)
        assert [row.content for row in kata.messages(gone)] == ["before"]
        # A session of the proxy may find only now that its connection to the old server is gone.
        assert kata.append_message(gone, "user", "after", idempotency_key="after") == 2
        assert {row.context_id for row in kata.list_contexts()} == set(made)
    assert command("proxy", "status", dsn=front).stdout.count("ok") == 2
    proxy.behind.execute("drop database lone_0 with (force)")
