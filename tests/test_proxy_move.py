"""A shard moves to another server while its writers wait, and nothing is lost."""

import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest

from kata_context.database_errors import OtherShardError
from kata_context.embedded import as_account, child_environment
from kata_context.errors import KataError
from kata_context.proxy import shards
from support.commands import kata as command
from support.driver import wait_until
from support.proxies import LOGIN, Proxy
from support.traffic import Moving, one, traffic

Connection = psycopg.Connection[Any]
APPEND = "select kata.append_message(%s, 'user', 'hello')"


def shard_of(context: uuid.UUID) -> int:
    """Return the number of the shard of the fixture that holds a context."""
    return int(str(context)[15:18], 16) // 1024


@pytest.fixture
def conn(proxy: Proxy) -> Iterator[Connection]:
    """A connection to the proxy, for a tenant of this test alone."""
    with closing(proxy.connect(tenant=f"tenant {uuid.uuid4().hex[:8]}")) as connection:
        yield connection


@pytest.fixture
def context(conn: Connection) -> uuid.UUID:
    """A context."""
    made: uuid.UUID = one(conn, "kata.create_context()")
    return made


@pytest.fixture
def paused(proxy: Proxy, context: uuid.UUID) -> Iterator[Callable[..., None]]:
    """Pause the shard of the context, or let it go on, by the command."""
    front, number = proxy.server.url("proxy"), str(shard_of(context))

    def pause(*options: str) -> None:
        command("shard", "pause", number, *options, dsn=front)

    pause()
    yield pause
    pause("--resume")


def waits(proxy: Proxy, connection: Connection) -> bool:
    """Whether a session of the proxy waits for a shard."""
    statement = "select from pg_stat_activity where pid = %s and wait_event = 'PgSleep'"
    with closing(psycopg.connect(proxy.server.url("proxy"))) as observer:
        return observer.execute(statement, (connection.info.backend_pid,)).fetchone() is not None


def test_writes_of_a_paused_shard_wait_and_nothing_else_does(
    proxy: Proxy, conn: Connection, context: uuid.UUID, paused: Callable[..., None]
) -> None:
    found: list[Any] = []
    listed = command("shard", "list", dsn=proxy.server.url("proxy")).stdout.splitlines()
    assert [line.endswith("paused") for line in listed] == [n == shard_of(context) for n in range(4)]
    with closing(proxy.connect(tenant=one(conn, "kata.current_tenant()"))) as writer:
        thread = threading.Thread(
            target=lambda: found.append(writer.execute(APPEND.encode(), (context,)).fetchone())
        )
        thread.start()
        wait_until(lambda: waits(proxy, writer))
        assert conn.execute("select version from kata.usage(%s)", (context,)).fetchall() == [{"version": 0}]
        conn.execute("set kata.move_wait = '0'")
        made = [id_ for id_ in map(created, [conn] * 16) if id_]
        assert made != []
        assert shard_of(context) not in map(shard_of, made)
        assert conn.execute("select * from kata.claim_due_compaction('w')").fetchall() == []
        assert (found, len(conn.execute("select * from kata.list_contexts()").fetchall())) == (
            [],
            len(made) + 1,
        )
        paused("--resume")
        thread.join()
    assert found == [{"append_message": 1}]


def test_a_write_that_has_waited_too_long_is_refused_and_has_changed_nothing(
    conn: Connection, context: uuid.UUID, paused: Callable[..., None]
) -> None:
    conn.execute("set kata.move_wait = '20 ms'")
    with pytest.raises(psycopg.Error) as refused:
        conn.execute(APPEND.encode(), (context,))
    assert refused.value.sqlstate == "KC024"
    assert refused.value.diag.message_primary == "the shard moves to another server"
    assert (refused.value.diag.message_hint or "").startswith("Call again: nothing was changed.")
    # A name whose claim or call was refused is free.
    made: dict[str, Any] = {}
    while not any(made.values()) or all(made.values()):
        name = f"name {len(made)}"
        made[name] = created(conn, name)
    paused("--resume")
    for name, id_ in made.items():
        wanted = id_ or created(conn, name)
        assert wanted is not None
        assert one(conn, "kata.find_context(%s)", name) == wanted


def created(connection: Connection, name: str | None = None) -> Any:
    """Make a context, unless a shard that this needs is paused."""
    with suppress(OtherShardError):
        return one(connection, "kata.create_context(%s)", name)


@pytest.mark.parametrize("statement", [APPEND, "select version from kata.usage(%s)"], ids=["write", "read"])
def test_a_call_that_met_an_old_map_follows_the_new_one(
    proxy: Proxy, conn: Connection, context: uuid.UUID, statement: str
) -> None:
    own = shard_of(context)
    redraw = b"update kata_proxy.bucket_range set shard = %s where buckets @> %s::integer"
    found: list[Any] = []
    with (
        closing(proxy.connect("postgres")) as superuser,
        closing(proxy.connect(tenant=one(conn, "kata.current_tenant()"))) as caller,
    ):
        superuser.execute(redraw, ((own + 1) % 4, own * 1024))
        try:
            conn.execute("set kata.move_wait = '0'")
            with pytest.raises(OtherShardError, match="is on another shard"):
                conn.execute(statement.encode(), (context,))
            thread = threading.Thread(
                target=lambda: found.append(caller.execute(statement.encode(), (context,)).fetchone())
            )
            thread.start()
            wait_until(lambda: waits(proxy, caller))
        finally:
            superuser.execute(redraw, (own, own * 1024))
        thread.join()
    assert [list(row.values()) for row in found] == [[1 if statement == APPEND else 0]]


def test_a_shard_whose_calls_do_not_end_is_not_paused(
    proxy: Proxy, conn: Connection, context: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "PATIENCE", 0.0)
    address = proxy.dsns[shard_of(context)].replace(f"//{LOGIN}@", "//postgres@")
    with closing(psycopg.connect(address)) as shard, closing(proxy.connect("server_role")) as writer:
        shard.execute("select from kata_data.head where context_id = %s for update", (context,))
        writer.execute("select set_config('kata.tenant', %s, false)", (one(conn, "kata.current_tenant()"),))
        thread = threading.Thread(target=writer.execute, args=(APPEND.encode(), (context,)))
        thread.start()
        blocked = "select pid from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
        with closing(psycopg.connect(address, autocommit=True)) as observer:
            wait_until(lambda: observer.execute(blocked, (shard.info.backend_pid,)).fetchone())
        with pytest.raises(KataError, match="does not end"):
            shards.pause(proxy.server.url("proxy"), shard_of(context))
        shard.rollback()
        thread.join()
    conn.execute("set kata.move_wait = '0'")
    conn.execute(APPEND.encode(), (context,))


def test_a_small_shard_moves_by_dump_and_restore(proxy: Proxy) -> None:
    old, new = f"old_{uuid.uuid4().hex[:8]}", f"new_{uuid.uuid4().hex[:8]}"
    proxy.behind.execute(f"create database {old} template kata_template strategy file_copy")
    proxy.behind.execute(f"create database {new}")
    moving = Moving(proxy, proxy.behind.url(old, LOGIN))
    with traffic(moving.connect, moving.contexts) as done:
        done.go_on()
        command("shard", "pause", "1", dsn=moving.front)
        restore(proxy, old, new)
        command("shard", "move", "1", proxy.behind.url(new, LOGIN), dsn=moving.front)
        done.go_on()
    moving.check(done)
    # The old database takes no writes of a proxy that has not heard of the move.
    with closing(psycopg.connect(proxy.behind.url(old, LOGIN))) as stale:
        with pytest.raises(psycopg.Error) as refused:
            stale.execute("select kata_data.enter('acme', 'ann', writes => true)")
        assert refused.value.sqlstate == "KC024"
    moving.drop()
    for name in (old, new):
        proxy.behind.execute(f"drop database {name} with (force)")


def restore(proxy: Proxy, old: str, new: str) -> None:
    """Copy a database as docs/scale.md says."""
    programs = proxy.behind.binaries
    dump = as_account(
        None, [str(programs / "pg_dump"), "--dbname", proxy.behind.url(old), "--format", "custom"]
    )
    load = [str(programs / "pg_restore"), "--dbname", proxy.behind.url(new), "--exit-on-error"]
    found = subprocess.run(dump, env=child_environment(), check=True, capture_output=True)
    subprocess.run(load, env=child_environment(), check=True, input=found.stdout)


@pytest.fixture
def growing(proxy: Proxy) -> Iterator[Proxy]:
    """A proxy of two shards, and a database that may become the third."""
    proxy.server.execute("create database growing")
    for number in range(3):
        proxy.behind.execute(f"create database growing_{number} template kata_template strategy file_copy")
    dsns = [proxy.behind.url(f"growing_{number}", LOGIN) for number in range(3)]
    shards.init(proxy.server.url("growing"), dsns[:2])
    yield Proxy(proxy.server, proxy.behind, dsns, "growing")
    proxy.server.execute("drop database growing with (force)")
    for number in range(3):
        proxy.behind.execute(f"drop database growing_{number} with (force)")


def test_a_shard_is_added_while_there_are_no_contexts(growing: Proxy) -> None:
    front = growing.server.url("growing")
    added = command("shard", "add", growing.dsns[2], dsn=front).stdout
    assert added == command("shard", "list", dsn=front).stdout
    assert [line.split()[1] for line in added.splitlines()] == ["0-1364", "1365-2729", "2730-4095"]
    assert "paused" not in added
    with closing(growing.connect(tenant="acme")) as conn:
        made = [one(conn, "kata.create_context(%s)", f"name {number}") for number in range(40)]
        assert len({int(str(context)[15:18], 16) // 1365 for context in made}) == 3
        assert [one(conn, "kata.find_context(%s)", f"name {number}") for number in range(40)] == made
    again = command("shard", "add", growing.dsns[2], dsn=front, code=1).stderr
    assert "growing_2" in again
    assert "is a shard already" in again


def test_no_shard_is_added_once_there_is_a_context_even_a_deleted_one(growing: Proxy) -> None:
    front = growing.server.url("growing")
    with closing(growing.connect(tenant="acme")) as conn:
        one(conn, "kata.delete_context(%s)", one(conn, "kata.create_context()"))
        before = shards.listed(front)
        assert "has contexts already" in command("shard", "add", growing.dsns[2], dsn=front, code=1).stderr
        assert shards.listed(front) == before
        assert one(conn, "kata.create_context()")
