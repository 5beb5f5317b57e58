"""Writers and a reader that go on while a shard of a proxy moves."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from kata_context.proxy import shards
from support.driver import wait_until
from support.proxies import LOGIN, Proxy

WRITERS = 3
APPEND = b"select kata.append_message(%s, 'user', 'hello')"


class Traffic:
    """What came of the calls.

    Attributes
    ----------
    written : texts of each context whose append was acknowledged, in order
    errors : of any call
    longest : seconds of the longest call
    """

    def __init__(self) -> None:
        self.written: dict[UUID, list[str]] = {}
        self.reads = 0
        self.errors: list[psycopg.Error] = []
        self.longest = 0.0
        self.stopping = threading.Event()

    def go_on(self, calls: int = 10) -> None:
        """Wait until each writer and the reader have done more calls."""
        before = [self.reads, *map(len, self.written.values())]

        def has_gone_on() -> bool:
            now = [self.reads, *map(len, self.written.values())]
            return bool(self.errors) or all(n >= b + calls for b, n in zip(before, now, strict=True))

        wait_until(has_gone_on)

    def write(self, connection: psycopg.Connection[Any], context: UUID) -> None:
        """Append to a context, one message after the other."""
        while not self.stopping.is_set():
            text = f"message {len(self.written[context])}"
            self._call(connection, "select kata.append_message(%s, 'user', %s)", context, text)
            self.written[context].append(text)

    def read(self, connection: psycopg.Connection[Any], context: UUID) -> None:
        """Count the messages of a context again and again."""
        while not self.stopping.is_set():
            self._call(connection, "select * from kata.usage(%s)", context)
            self.reads += 1

    def _call(self, connection: psycopg.Connection[Any], statement: str, *arguments: object) -> None:
        began = monotonic()
        connection.execute(statement.encode(), arguments)
        self.longest = max(self.longest, monotonic() - began)


@contextmanager
def traffic(connect: Callable[[], psycopg.Connection[Any]], contexts: list[UUID]) -> Iterator[Traffic]:
    """Have one writer per context and a reader of the first at work; they have ended after the block."""
    found = Traffic()
    threads = []

    def begin(action: Callable[[psycopg.Connection[Any], UUID], None], context: UUID) -> None:
        def run() -> None:
            try:
                with connect() as connection:
                    action(connection, context)
            except psycopg.Error as error:
                found.errors.append(error)

        threads.append(threading.Thread(target=run))

    for context in contexts[:WRITERS]:
        found.written[context] = []
        begin(found.write, context)
    begin(found.read, contexts[0])
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.stopping.set()
        for thread in threads:
            thread.join()


def said(connection: psycopg.Connection[Any], context: UUID) -> list[str]:
    """Return the texts of a context, in order."""
    texts: list[str] = []
    after = 0
    page = "select version, content from kata.messages(%s, after => %s, max_rows => 1000)"
    while rows := connection.execute(page, (context, after)).fetchall():
        texts += [row["content"] for row in rows]
        after = rows[-1]["version"]
    return texts


def one(connection: psycopg.Connection[Any], call: str, *arguments: object) -> Any:
    """Return the only value of a call."""
    row = connection.execute(f"select {call} as value".encode(), arguments).fetchone()
    return row and row["value"]


def is_on_second(context: UUID) -> bool:
    """Whether the second of two shards has a context."""
    return int(str(context)[15:18], 16) >= 2048


class Moving:
    """A proxy of its own in front of two shards, whose second one moves."""

    def __init__(self, proxy: Proxy, second: str) -> None:
        self.proxy = proxy
        self.name = f"moving_{uuid4().hex[:8]}"
        self.front = proxy.server.url(self.name)
        proxy.server.execute(f"create database {self.name}")
        proxy.behind.execute(f"create database {self.name} template kata_template strategy file_copy")
        shards.init(self.front, [proxy.behind.url(self.name, LOGIN), second])
        proxy.server.execute(f"alter database {self.name} set client_min_messages = warning")
        # However busy the machine is.
        proxy.server.execute(f"alter database {self.name} set kata.move_wait = '2 min'")
        with self.connect() as connection:
            made: list[UUID] = []
            while (on_second := sum(map(is_on_second, made))) <= WRITERS or on_second == len(made):
                made.append(one(connection, "kata.create_context()"))
            self.kept, *self.contexts = filter(is_on_second, made)
            connection.execute(APPEND, (self.kept,))
            one(connection, "kata.fork(%s, name => 'a fork')", self.kept)

    def connect(self) -> psycopg.Connection[Any]:
        """Connect to the proxy, for tenant acme."""
        connection = psycopg.connect(
            self.proxy.server.url(self.name, "server_role"), autocommit=True, row_factory=dict_row
        )
        connection.execute("set kata.tenant = 'acme'")
        return connection

    def check(self, done: Traffic) -> None:
        """Compare the log with what was acknowledged."""
        assert [str(error) for error in done.errors] == [], done.errors[0].sqlstate
        assert len(done.written) == WRITERS
        with self.connect() as connection:
            assert {id_: said(connection, id_) for id_ in done.written} == done.written
            assert said(connection, self.kept) == ["hello"]
            assert said(connection, one(connection, "kata.find_context('a fork')")) == ["hello"]
            assert connection.execute("select * from kata.verify()").fetchall() == []
        print(f"the longest call took {done.longest:.2f} s")

    def drop(self) -> None:
        """Remove the database of the proxy and of its first shard."""
        self.proxy.server.execute(f"drop database {self.name} with (force)")
        self.proxy.behind.execute(f"drop database {self.name} with (force)")
