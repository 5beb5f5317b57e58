"""The driver where things go wrong: forks, killed clients, a server that restarts or is full, PgBouncer."""

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from conftest import FAST, LaunchServer
from kata_context import AsyncKata, Kata, migrate
from kata_context.database_errors import ContextNotFoundError, InvalidArgumentError
from kata_context.driver.route import is_passing
from kata_context.embedded import find_account
from kata_context.errors import KataError, UnreachableError
from support.driver import PATIENCE, TooSlowError, in_time, wait_until
from support.pgbouncer import pgbouncer

pytestmark = pytest.mark.slow

Connect = Callable[..., psycopg.Connection]


def sessions(observer: psycopg.Connection, *, waiting: bool = False) -> int:
    """Return how many sessions of the driver there are, or how many of them wait for a lock."""
    row = observer.execute(
        """select count(*) from pg_stat_activity
        where datname = current_database() and application_name = 'kata-context'
          and (not %s or cardinality(pg_blocking_pids(pid)) > 0)""",
        [waiting],
    ).fetchone()
    assert row
    return int(row[0])


@contextmanager
def client(script: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """Run a script in a process of its own; it is killed at the end."""
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def output(process: "subprocess.Popen[str]") -> str:
    """Return the next line that a process writes."""
    assert process.stdout
    return process.stdout.readline().strip()


# Forks

FORK = """
import os, sys
from kata_context import Kata
from kata_context.errors import MisuseError

kata = Kata(sys.argv[1])
context = kata.create("shared")
with kata.transaction() as tx:
    tx.append_message(context.id, "user", "before")
    child = os.fork()
    if child == 0:
        try:
            tx.version()
        except MisuseError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    tx.append_message(context.id, "user", "after")
children = []
for child in range(2):
    children.append(os.fork())
    if children[-1] == 0:
        for number in range(10):
            context.append_message("user", f"child {child}: {number}")
        sys.exit()  # with everything that the interpreter does at its end
for number in range(10):
    context.append_message("user", f"parent: {number}")
for child in children:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
for number in range(10):
    context.append_message("user", f"parent: {number + 10}")
print(context.usage().version)
kata.close()
"""


def test_a_child_opens_connections_of_its_own_and_leaves_the_parents_alone(
    database: str, observer: psycopg.Connection
) -> None:
    with client(FORK, database) as process:
        assert output(process) == "42"
        assert process.wait(PATIENCE) == 0
    with Kata(database) as kata:
        contents = [row.content for row in kata.context("shared").messages()]
    assert len(set(contents)) == 42
    assert [c for c in contents if c and c.startswith("parent")] == [f"parent: {n}" for n in range(20)]
    for child in range(2):
        ours = [c for c in contents if c and c.startswith(f"child {child}")]
        assert ours == [f"child {child}: {n}" for n in range(10)]
    wait_until(lambda: sessions(observer) == 0)


# Killed clients

HOLD = """
import sys
from kata_context import Kata

with Kata(sys.argv[1]).transaction() as tx:
    tx.append_message(sys.argv[2], "user", "of the killed")
    print("holds", flush=True)
    sys.stdin.read()
"""

WAIT = """
import sys
from kata_context import Kata

kata = Kata(sys.argv[1])
kata.open()
print("appends", flush=True)
kata.append_message(sys.argv[2], "user", "of the killed", 5)
"""


def test_the_lock_of_a_killed_client_is_gone_with_it(database: str, observer: psycopg.Connection) -> None:
    with Kata(database, max_size=1, max_idle=0.1) as kata, ThreadPoolExecutor(1) as thread:
        context = kata.create()
        # The server ends no session for being idle.
        patient = f"{database}&options=-c%20idle_in_transaction_session_timeout%3D0"
        with client(HOLD, patient, context.id) as process:
            assert output(process) == "holds"
            append = thread.submit(context.append_message, "user", "of the living", 5)
            wait_until(lambda: sessions(observer, waiting=True) == 1)
            process.kill()
            assert append.result(PATIENCE) == 1
    wait_until(lambda: sessions(observer) == 0)


# Suspended clients, and those that keep a transaction open

IDLE = """
import sys
from kata_context import Kata

kata = Kata(sys.argv[1], max_idle=0.1)
kata.append_message(sys.argv[2], "user", "of the suspended")
print("idles", flush=True)
sys.stdin.read()
"""


def impatient(dsn: str, seconds: float) -> str:
    """Return a DSN with some seconds in place of the minute that the driver asks for."""
    milliseconds = f"{1000 * seconds:.0f}"
    settings = f"-c idle_session_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds}"
    return f"{dsn}&options={quote(settings, safe='')}"


@pytest.mark.parametrize(("script", "word", "kept"), [(IDLE, "idles", 2), (HOLD, "holds", 1)])
def test_a_suspended_client_loses_its_connection_and_its_lock_within_the_bound(
    database: str, observer: psycopg.Connection, script: str, word: str, kept: int
) -> None:
    def attempt(seconds: float) -> None:
        with Kata(database) as kata:
            context_id = kata.create_context()
        wait_until(lambda: sessions(observer) == 0)
        with client(script, impatient(database, seconds), context_id) as process:
            said = output(process)
            process.send_signal(signal.SIGSTOP)
            if said != word or sessions(observer) == 0:
                raise TooSlowError
            observer.execute("select kata.append_message(%s, 'user', 'of the others')", [context_id])
            wait_until(lambda: sessions(observer) == 0)
            assert process.poll() is None
        assert observer.execute("select version from kata.usage(%s)", [context_id]).fetchone() == (kept,)

    in_time(attempt, 1)


def test_a_transaction_that_is_kept_open_between_requests_ends_without_a_trace_and_says_so(
    database: str, observer: psycopg.Connection
) -> None:
    def attempt(seconds: float) -> None:
        has_appended = False
        with Kata(impatient(database, seconds)) as kata:
            context = kata.create()
            with pytest.raises(KataError), kata.transaction() as tx:  # noqa: PT012
                tx.append_message(context.id, "user", "before a model answers")
                has_appended = True
                wait_until(lambda: idle_in_transaction(observer) == 0)
                observer.execute("select kata.append_message(%s, 'user', 'of the others')", [context.id])
                tx.append_message(context.id, "assistant", "the answer")
            if not has_appended:
                raise TooSlowError
            assert [row.content for row in context.messages()] == ["of the others"]

    in_time(attempt, 0.5)


def idle_in_transaction(observer: psycopg.Connection) -> int:
    """Return how many sessions of the driver keep a transaction open."""
    row = observer.execute(
        """select count(*) from pg_stat_activity
        where datname = current_database() and application_name = 'kata-context'
          and state = 'idle in transaction'"""
    ).fetchone()
    assert row
    return int(row[0])


# Calls whose client is gone


def test_the_server_gives_up_a_call_whose_client_was_killed(
    database: str, connect: Connect, observer: psycopg.Connection
) -> None:
    with Kata(database) as kata:
        context_id = kata.create_context()
    holder = connect()
    holder.execute("select kata.append_message(%s, 'user', 'x')", [context_id])
    # The call waits for the lock until then.
    dsn = f"{database}&options=-c%20client_connection_check_interval%3D100%20-c%20lock_timeout%3D1h"
    with client(WAIT, dsn, context_id) as process:
        assert output(process) == "appends"
        wait_until(lambda: sessions(observer, waiting=True) == 1)
        process.kill()
        wait_until(lambda: sessions(observer) == 0)
    holder.commit()
    assert observer.execute("select version from kata.usage(%s)", [context_id]).fetchone() == (1,)


# A server that restarts, and one that is full


def test_a_restart_of_the_server_loses_and_doubles_nothing(launch_server: LaunchServer) -> None:
    server = launch_server("restarts", FAST)
    server.execute("create database app")
    dsn = server.url("app")
    migrate.up(dsn)
    marks = [f"{worker}:{step}" for worker in range(4) for step in range(100)]
    with Kata(dsn, wait=PATIENCE) as kata, ThreadPoolExecutor(4) as threads:
        context = kata.create()

        def work(worker: int) -> None:
            for mark in marks[worker * 100 : (worker + 1) * 100]:
                context.append_message("user", mark, 5, idempotency_key=mark)
                context.usage()

        running = [threads.submit(work, worker) for worker in range(4)]
        wait_until(lambda: context.usage().version > 50)
        server.terminate()
        server.start()
        for future in running:
            future.result(PATIENCE)
        found = [row.content for after in range(0, len(marks), 100) for row in context.messages(after)]
        assert kata.verify(context.id) == []
    assert sorted(map(str, found)) == sorted(marks)
    for worker in range(4):
        of_worker = [mark for mark in found if mark and mark.startswith(f"{worker}:")]
        assert of_worker == marks[worker * 100 : (worker + 1) * 100]


def test_a_server_that_stops_is_known_in_any_language(launch_server: LaunchServer) -> None:
    server = launch_server("stops", FAST)
    parameters = conninfo_to_dict(server.url())
    refused = psycopg.OperationalError("FATAL:  das Datenbanksystem wird heruntergefahren")
    assert not is_passing(refused, parameters)
    assert server.child_process is not None
    with closing(psycopg.connect(server.url())):
        server.child_process.terminate()  # waits for the session
        wait_until(lambda: is_passing(refused, parameters))
    server.child_process.wait(PATIENCE)


MANY = """
import json, sys, threading
from kata_context import Kata
from kata_context.errors import PoolTimeoutError

kata = Kata(sys.argv[1], wait=60)
done, timed_out = [], []

def work(thread):
    for step in range(15):
        mark = f"{sys.argv[3]}:{thread}:{step}"
        try:
            kata.append_message(sys.argv[2], "user", mark, 5)
            done.append(mark)
        except PoolTimeoutError:
            timed_out.append(mark)

threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
kata.close()
print(json.dumps([done, timed_out]), flush=True)
"""


def test_many_threads_of_many_processes_share_a_server_with_few_slots(launch_server: LaunchServer) -> None:
    settings = [setting for setting in FAST if not setting.startswith("max_connections")]
    server = launch_server("few", (*settings, "max_connections=8", "max_wal_senders=0"))
    server.execute("create database app")
    dsn = server.url("app")
    migrate.up(dsn)
    with Kata(dsn) as kata:
        context_id = kata.create_context()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MANY, dsn, str(context_id), str(number)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(5)
    ]  # fmt: skip
    done: list[str] = []
    for process in processes:
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        assert "Exception in thread" not in err, err
        finished, timed_out = json.loads(out)
        assert len(finished) + len(timed_out) == 60
        done += finished
    with closing(psycopg.connect(dsn)) as connection:
        stored = connection.execute(
            "select content from kata_data.message where segment_id = %s", [context_id]
        ).fetchall()
        versions = connection.execute("select version from kata.usage(%s)", [context_id]).fetchone()
    assert sorted(content for (content,) in stored) == sorted(done)
    assert versions == (len(done),)


# PgBouncer


@pytest.fixture(params=[{}, {"ignore_startup_parameters": "options"}], ids=["strict", "lenient"])
def pooled(request: pytest.FixtureRequest, scratch: Path, database: str) -> Iterator[str]:
    """A database behind PgBouncer in transaction mode: one that refuses options, or one that drops them."""
    folder = scratch / f"pgbouncer-{uuid.uuid4().hex[:8]}"
    with pgbouncer(folder, database, find_account(), default_pool_size=2, **request.param) as dsn:
        yield dsn


def test_threads_share_sessions_behind_a_transaction_pooler(pooled: str) -> None:
    with (
        Kata(pooled, tenant="a") as first,
        Kata(pooled, tenant="b") as second,
        Kata(pooled) as third,
        ThreadPoolExecutor(12) as threads,
    ):
        contexts = [first.create("same name"), second.create("same name"), third.create("same name")]

        def work(number: int) -> None:
            context = contexts[number % 3]
            for step in range(15):
                context.append_message("user", f"{number}:{step}", idempotency_key=f"{number}:{step}")
                context.window(1000)

        list(threads.map(work, range(12)))
        for kata, context, tenant in zip(
            (first, second, third), contexts, ("a", "b", "default"), strict=True
        ):
            assert [row.context_id for row in kata.list_contexts()] == [context.id]
            assert kata.get_context(context.id).tenant == tenant
            assert context.usage().version == 60
            assert kata.context("same name").id == context.id


# False: the caller takes it for no pooler.
@pytest.mark.parametrize("pooler", [None, False])
def test_nothing_of_a_tenant_stays_in_a_session_of_the_pooler(pooled: str, pooler: bool | None) -> None:
    with suppress(UnreachableError), Kata(pooled, tenant="a", pooler=pooler) as kata:
        kata.create("mine")
        with kata.transaction() as tx:
            tx.create("mine, too")
            assert tx.find_context("mine") is not None
        with pytest.raises(ContextNotFoundError):
            kata.usage(uuid.uuid4())
        with pytest.raises(InvalidArgumentError):
            kata.context("mine").window(-1)
        assert kata.find_context("mine, too") is not None
        for _ in range(4):
            with closing(psycopg.connect(pooled, prepare_threshold=None)) as connection:
                setting = connection.execute("select current_setting('kata.tenant', true)").fetchone()
                assert setting in ((None,), ("",))
                assert connection.execute("select kata.find_context('mine')").fetchone() == (None,)


def test_an_event_loop_works_behind_a_transaction_pooler(pooled: str) -> None:
    async def main() -> None:
        async with AsyncKata(pooled, tenant="a") as kata:
            context = await kata.create()
            await asyncio.gather(*(context.append_message("user", f"{number}") for number in range(20)))
            assert (await context.usage()).version == 20
            with pytest.raises(ContextNotFoundError):
                await kata.usage(uuid.uuid4())

    asyncio.run(main())


def test_views_of_tenants_share_sessions_of_the_pooler(pooled: str) -> None:
    with Kata(pooled, tenant="own") as kata, ThreadPoolExecutor(6) as threads:
        views = [kata.as_tenant("a"), kata.as_tenant("b"), kata]

        def work(number: int) -> None:
            view = views[number % 3]
            for step in range(10):
                view.get_or_create("same name").append_message("user", f"{number}:{step}")
                with view.transaction() as tx:
                    tx.append_message("same name", "user", "in a transaction")

        list(threads.map(work, range(6)))
        for view, tenant in zip(views, ("a", "b", "own"), strict=True):
            (row,) = view.list_contexts()
            assert (row.tenant, row.version) == (tenant, 40)
