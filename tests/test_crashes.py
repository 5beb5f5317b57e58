"""Kills of the server, of one session, of every process: what was acknowledged is there, once and whole."""

import os
import signal
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from random import Random
from time import sleep
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from conftest import DURABLE, LaunchServer, TestServer
from kata_context import migrate
from support.driver import PATIENCE
from support.interleaving import outcome, rows

pytestmark = pytest.mark.slow

ROUNDS = 3
ROUNDS_LONG = int(os.environ.get("KATA_CRASH_ROUNDS", "300"))
WRITERS = 4
CALLS_BEFORE = 120  # at most so many calls before a kill
# The log of the server wraps while the rounds last, so that some recoveries begin at a checkpoint of its own.
SETTINGS = (*DURABLE, "max_wal_size=32MB", "checkpoint_timeout=30s")

CREATE = "select kata.create_context(policy => '{\"max_fork_depth\": 1000}', idempotency_key => %s)"
CALLS = {
    "append": "select version from kata.append(%s, %s, idempotency_key => %s)",
    "fork": "select kata.fork(%s, idempotency_key => %s)",
    "rewind": "select kata.rewind(%s, %s, idempotency_key => %s)",
    "amend": "select kata.amend(%s, %s, %s, idempotency_key => %s)",
    "erase": "select version from kata.erase_message(%s, %s, 'by request')",
    "compact": "select summary_version from kata.compact(%s, force => true)",
    "request": "select request_id, body from kata.request(%s, 1000000, model => 'm')",
}
WEIGHTS = {"append": 8, "fork": 1, "rewind": 1, "amend": 2, "erase": 1, "compact": 1, "request": 3}
KINDS = {"append": "message", "rewind": "rewind", "amend": "amendment", "compact": "compaction"}
# The context has nothing of the kind, or another writer was faster.
REFUSALS = {"KC002", "KC009", "KC010", "KC011", "KC012", "KC017"}


@dataclass
class Call:
    """A call that was sent.

    Parameters
    ----------
    step : key of CALLS
    context_id : the context that it is about
    arguments : all of its arguments, with its idempotency key last if it has any
    answer : the rows that it returned, None if the session was lost before
    """

    step: str
    context_id: uuid.UUID
    arguments: tuple[Any, ...]
    answer: list[Any] | None = None


@dataclass
class Writer:
    """A session that writes until it is lost, and remembers what it sent and what came back."""

    conn: psycopg.Connection
    name: str
    random: Random
    contexts: list[uuid.UUID]
    calls: list[Call] = field(default_factory=list)
    own: list[tuple[uuid.UUID, int]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Take random steps until the session is lost."""
        with suppress(psycopg.OperationalError):
            while True:
                call = self.next_call()
                self.calls.append(call)
                try:
                    call.answer = rows(self.conn, CALLS[call.step], *call.arguments)
                except psycopg.Error as error:
                    if error.sqlstate not in REFUSALS:
                        raise
                    self.calls.pop()
                else:
                    self.learn(call)

    def next_call(self) -> Call:
        """Choose a step and what it is about."""
        step = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        context_id = self.random.choice(self.contexts)
        key = f"{self.name}:{len(self.calls)}:{len(self.texts)}"
        if step in ("amend", "erase") and not self.own:
            step = "append"
        if step == "append":
            texts = [f"{key}:{number}" for number in range(self.random.randint(1, 3))]
            self.texts += texts
            drafts = Jsonb([{"role": "user", "content": text} for text in texts])
            return Call(step, context_id, (context_id, drafts, key))
        if step == "fork":
            return Call(step, context_id, (context_id, key))
        if step == "rewind":
            return Call(step, context_id, (context_id, 3, f"{key}:rewind"))
        if step in ("compact", "request"):
            return Call(step, context_id, (context_id,))
        context_id, version = self.random.choice(self.own)
        if step == "erase":
            return Call(step, context_id, (context_id, version))
        words = Jsonb({"content": f"{key} amended"})
        return Call(step, context_id, (context_id, version, words, f"{key}:amend"))

    def learn(self, call: Call) -> None:
        """Have later steps use what a call made."""
        if call.step == "fork" and call.answer:
            self.contexts.append(call.answer[0][0])
        elif call.step == "append" and call.answer:
            self.own += [(call.context_id, version) for (version,) in call.answer]


class Crashes:
    """A server, and rounds of writing, killing and looking."""

    def __init__(self, server: TestServer, seed: int) -> None:
        self.server = server
        self.seed = seed
        self.random = Random(seed)
        self.done: Counter[str] = Counter()
        server.execute("create database app")
        self.dsn = server.url("app")
        migrate.up(self.dsn)

    def round(self, number: int) -> None:
        """Write with several sessions, kill, start again and look at everything that was written."""
        with closing(psycopg.connect(self.dsn, autocommit=True)) as conn:
            ((root,),) = rows(conn, CREATE, f"{number}")
            rows(conn, CALLS["append"], root, Jsonb([{"role": "user", "content": "x"}] * 5), "opening")
        writers = [
            Writer(psycopg.connect(self.dsn, autocommit=True), name, Random(f"{self.seed}:{name}"), [root])
            for name in (f"{number}:{place}" for place in range(WRITERS))
        ]
        # The death of one session ends all others: the server cannot know what it left in shared memory.
        with ThreadPoolExecutor(WRITERS) as pool:
            running = [pool.submit(writer.run) for writer in writers]
            # A number of calls, not a time: a busy machine would kill sessions that have hardly begun.
            wanted = self.random.randint(1, CALLS_BEFORE)
            while not any(future.done() for future in running):
                if sum(len(writer.calls) for writer in writers) >= wanted:
                    break
                sleep(0.001)
            self.kill(("everything", "session", "server")[number % 3], writers)
            for future in running:
                future.result(PATIENCE)
        self.server.recover()
        with closing(psycopg.connect(self.dsn, autocommit=True)) as conn:
            for writer in writers:
                writer.conn.close()
                self.look(conn, writer)
            for context_id in {context_id for writer in writers for context_id in writer.contexts}:
                assert rows(conn, "select * from kata.verify(%s)", context_id) == []

    def kill(self, what: str, writers: list[Writer]) -> None:
        """Kill one session, the server, or every process of it."""
        sessions = [writer.conn.info.backend_pid for writer in writers]
        if what == "session":
            os.kill(self.random.choice(sessions), signal.SIGKILL)
        elif what == "server":
            os.kill(self.server.server_pid, signal.SIGQUIT)
            self.server.terminate()
        else:
            self.server.crash()

    def look(self, conn: psycopg.Connection, writer: Writer) -> None:
        """Send again the calls without an answer, and assert that each call took effect once, and whole."""
        erased = {call.arguments for call in writer.calls if call.step == "erase"}
        for call in writer.calls:
            if call.step in ("append", "fork", "rewind", "amend"):
                self.send_again(conn, call)
            if call.answer is None:
                self.done["lost " + call.step] += 1
                continue
            self.done[call.step] += 1
            if call.step in KINDS:
                versions = [version for (version,) in call.answer]
                history = "select version, kind from kata.history(%s, %s, %s)"
                found = rows(conn, history, call.context_id, versions[-1] + 1, len(versions))
                assert found == [(version, KINDS[call.step]) for version in reversed(versions)], call
            if call.step == "append":
                self.look_at_messages(conn, call, erased)
            elif call.step == "erase":
                assert self.content(conn, *call.arguments) in ("", None)
            elif call.step == "request":
                self.look_at_request(conn, call)

    def send_again(self, conn: psycopg.Connection, call: Call) -> None:
        """Send a call again; its key returns what it did, if it did anything."""
        answer = outcome(conn, CALLS[call.step], *call.arguments)
        # A rewind took back what the key had led to: it is in the log all the same.
        if answer != "KC021":
            if call.answer is None and isinstance(answer, list):
                call.answer = answer
            assert answer == call.answer or (call.answer is None and answer in REFUSALS), call

    def content(self, conn: psycopg.Connection, context_id: uuid.UUID, version: int) -> str | None:
        """Return the words of a message."""
        ((content,),) = rows(conn, "select content from kata.get_message(%s, %s)", context_id, version)
        return content if content is None else str(content)

    def look_at_messages(self, conn: psycopg.Connection, call: Call, erased: set[tuple[Any, ...]]) -> None:
        """Assert that each message of an append is in the log, once."""
        _, drafts, _ = call.arguments
        for (version,), draft in zip(call.answer or [], drafts.obj, strict=True):
            found = self.content(conn, call.context_id, version)
            assert found == draft["content"] or (call.context_id, version) in erased
            copies = "select count(*) from kata_data.message m where m.segment_id = %s and m.content = %s"
            ((count,),) = rows(conn, copies, call.context_id, draft["content"])
            assert count == 1 or (found != draft["content"] and count == 0), draft

    def look_at_request(self, conn: psycopg.Connection, call: Call) -> None:
        """Assert that a request that was sent is recorded, as it was sent."""
        ((request_id, body),) = call.answer or []
        replayed = outcome(conn, "select body, is_same from kata.replay(%s, %s)", call.context_id, request_id)
        assert replayed in ([(body, True)], "KC023"), "only an erasure takes a body away"


@pytest.fixture
def crashes(launch_server: LaunchServer, seed: int) -> Crashes:
    """A server that may be killed."""
    return Crashes(launch_server("crashes", SETTINGS), seed)


def test_a_kill_at_any_moment_loses_doubles_and_halves_nothing(
    crashes: Crashes, is_long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(ROUNDS_LONG if is_long else ROUNDS):
        crashes.round(number)
        if is_long and number % 50 == 49:
            with capsys.disabled():
                print(number + 1, dict(crashes.done), flush=True)
    with closing(psycopg.connect(crashes.dsn, autocommit=True)) as conn:
        assert rows(conn, "select * from kata.verify()") == []
    assert crashes.done["append"] > 0
    assert not is_long or all(crashes.done[step] for step in CALLS), crashes.done
