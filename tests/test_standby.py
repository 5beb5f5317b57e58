"""A hot standby answers what only reads; promoted, it takes the place of a shard."""

import json
import signal
from contextlib import closing
from typing import Any

import psycopg
import pytest

from kata_context import Kata
from kata_context.errors import ConnectionLostError, KataError, OutcomeUnknownError
from support.commands import kata as command
from support.proxies import LOGIN, Proxy
from support.standby import DATABASE, SHARD, Pair, pair  # noqa: F401  fixture
from support.traffic import Moving, is_on_second, traffic
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


def test_a_shard_that_has_died_is_a_lost_connection_until_it_is_back(
    proxy: Proxy,
    pair: Pair,  # noqa: F811
) -> None:
    pair.primary.execute(f"create database died template {SHARD} strategy file_copy")
    moving = Moving(proxy, pair.primary.url("died", LOGIN))
    gone = moving.kept
    with Kata(proxy.server.url(moving.name, "server_role"), tenant="acme") as kata:
        made = {row.context_id for row in kata.list_contexts()}
        here = next(id_ for id_ in made if not is_on_second(id_))
        kata.append_message(gone, "user", "before")
        pair.primary.stop(signal.SIGINT)
        with pytest.raises(ConnectionLostError):
            kata.usage(gone)
        with pytest.raises(OutcomeUnknownError):
            kata.append_message(gone, "user", "x")
        assert kata.append_message(here, "user", "x") == 1
        # A claim begins with a random shard.
        assert [kata.claim_due_compaction("worker") for _ in range(8)] == [None] * 8
        found = json.loads(command("shard", "list", "--json", dsn=moving.front, code=1).stdout)
        assert [shard["problem"] is None for shard in found] == [True, False]
        pair.primary.start()
        assert [row.content for row in kata.messages(gone)] == ["hello", "before"]
        # A session of the proxy may find only now that its connection is gone.
        assert kata.append_message(gone, "user", "after", idempotency_key="after") == 3
        assert {row.context_id for row in kata.list_contexts()} == made
    moving.drop()


def test_a_shard_moves_to_a_standby_that_is_promoted(proxy: Proxy, pair: Pair) -> None:  # noqa: F811
    """The last test of the pair: its primary stays down."""
    pair.primary.execute(f"create database moving template {SHARD} strategy file_copy")
    moving = Moving(proxy, pair.primary.url("moving", LOGIN))
    new = pair.standby.url("moving", LOGIN)
    with traffic(moving.connect, moving.contexts) as done:
        done.go_on()
        pair.wait()
        assert "standby" in command("shard", "move", "1", new, dsn=moving.front, code=1).stderr
        command("shard", "pause", "1", dsn=moving.front)
        pair.primary.stop(signal.SIGINT)
        pair.standby.execute("select pg_promote()")
        assert "has buckets" in command("shard", "move", "0", new, dsn=moving.front, code=1).stderr
        command("shard", "move", "1", new, dsn=moving.front)
        done.go_on()
    moving.check(done)
    assert command("proxy", "status", dsn=moving.front).stdout.count("ok") == 2
    moving.drop()
