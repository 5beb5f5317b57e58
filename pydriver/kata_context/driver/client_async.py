"""The driver for asyncio: a small pool of connections, and every function of schema kata as a method.

kata_context/generated/client.py is made from this file by `make generate`.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from types import TracebackType
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakSet

import psycopg
from psycopg import pq
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from kata_context.database_errors import ContextNotFoundError, InvalidInputError, invalid_input
from kata_context.driver.call import Call
from kata_context.driver.concurrency import AsyncLock, blocking_async, sleep_async
from kata_context.driver.route import (
    EXAMINE,
    SET_TENANT,
    PlainInt,
    Route,
    find_route,
    has_stale_plan,
    is_passing,
    is_stale,
    outcome_unknown,
    refuses_options,
    watch_forks,
)
from kata_context.errors import KataError, MisuseError
from kata_context.generated import statements
from kata_context.generated.methods_async import AsyncContext, AsyncMethods

T = TypeVar("T")

Connection = psycopg.AsyncConnection[Any]
Pool = AsyncConnectionPool[Connection]

ATTEMPTS = 3  # how often a call that can be repeated is sent
REMEMBERED = 10_000  # contexts whose tokenizer is kept in mind


class AsyncDatabase(AsyncMethods):
    """What a pool and a transaction have in common."""

    _counts: bool
    _tokenizers: dict[UUID | str, str]

    async def context(self, context: UUID | str) -> AsyncContext:
        """Return a handle of a context, whose methods are the functions that take a context.

        Parameters
        ----------
        context : the id, which is not looked up, or the name

        Raises
        ------
        ContextNotFoundError : the caller's tenant has no live context of this name
        """
        if isinstance(context, UUID):
            return AsyncContext(self, context)
        try:
            return AsyncContext(self, UUID(context))
        except ValueError:
            found = await self.find_context(context)
        if found is None:
            raise ContextNotFoundError(
                f'context "{context}" not found',
                detail="No live context of the tenant has this name.",
                hint="kata.list_contexts lists what there is.",
            )
        return AsyncContext(self, found)

    async def _counted(self, call: Call[T], arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments of a call, with exact counts of tokens where the caller gave none."""
        counter = call.count
        if counter is None or not self._counts or not counter.is_needed(arguments):
            return arguments
        tokenizer = self._tokenizers.get(arguments[0])
        if tokenizer is None:
            tokenizer = (await self.get_context(arguments[0])).tokenizer
            self._remember(arguments[0], tokenizer)
        if True:  # ASYNC
            if counter.takes_long(arguments):
                return await blocking_async(counter.fill, arguments, tokenizer)
        return counter.fill(arguments, tokenizer)

    def _remember(self, context_id: UUID | str, tokenizer: str) -> None:
        """Keep in mind in which tokenizer a context counts; it never changes."""
        if len(self._tokenizers) >= REMEMBERED:
            self._tokenizers.clear()
        self._tokenizers[context_id] = tokenizer


class AsyncKata(AsyncDatabase):
    """A database with Kata Context: every function of schema kata is a method, a call a transaction of
    its own.

    The pool opens with the first call, or with `async with`. Threads may share it. After a fork the child
    opens one of its own. Calls that are safe to repeat (reads, and changes with an idempotency_key) are
    repeated on another connection when theirs is lost.

    Parameters
    ----------
    dsn : a connection string; None for DATABASE_URL, or else the embedded server, started and migrated
    tenant : whose contexts are meant, for members of kata_service; None for what the role says
    pooler : whether a transaction pooler stands in between; None to find out
    min_size : connections that are opened at once and kept
    max_size : most connections
    wait : seconds to wait for a free connection
    max_idle : seconds after which a connection beyond min_size is closed
    count_tokens : whether tokens are counted exactly where a caller gives no count; else they are estimated
    """

    def __init__(
        self,
        dsn: str | None = None,
        *,
        tenant: str | None = None,
        pooler: bool | None = None,
        min_size: int = 1,
        max_size: int = 4,
        wait: float = 10.0,
        max_idle: float = 10.0,
        count_tokens: bool = True,
    ) -> None:
        self._given = (dsn, tenant, pooler, wait)
        self._asked_tenant = tenant
        self._wait = wait
        self._sizes = (min_size, max_size)
        self._max_idle = max_idle
        self._counts = count_tokens
        self._tokenizers: dict[UUID | str, str] = {}
        self._pool: Pool | None = None
        self._route: Route | None = None
        self._pooler = False
        self._tenant: str | None = None  # that every call has to name, because the session does not
        self._closed = False
        self._opening = AsyncLock()
        if True:  # ASYNC
            self._loop: asyncio.AbstractEventLoop | None = None
        _alive.add(self)

    async def open(self) -> None:
        """Connect, and open the minimum of connections; without this the first call does.

        Raises
        ------
        UnreachableError : there is no such database
        NotInstalledError : Kata Context is not installed in it
        UnsafeConnectionError : the connection would be in plain text to another machine
        """
        await self._opened()

    async def close(self) -> None:
        """Close the connections; the object cannot be used again."""
        self._closed = True
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def __aenter__(self) -> "AsyncKata":
        await self._opened()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["AsyncTransaction"]:
        """Open a transaction: the methods of what is yielded take part in it, and so may its `connection`.

        It is committed at the end of the block, and rolled back if that is left by an exception.
        """
        pool = await self._opened()
        connection = await self._take(pool)
        try:
            async with connection.transaction():
                if self._tenant is not None:
                    await connection.execute(SET_TENANT, (self._tenant,))
                yield AsyncTransaction(connection, None, self._counts, self._tokenizers)
        finally:
            await pool.putconn(connection)

    def using(self, connection: Connection) -> "AsyncTransaction":
        """Return the methods on a connection of the caller's, in whatever transaction it is.

        Parameters
        ----------
        connection : to the same database; nothing on it is committed or closed here
        """
        return AsyncTransaction(connection, self._asked_tenant, self._counts, self._tokenizers)

    async def _listen(self, dsn: str | None) -> Connection | None:
        """Open a connection of its own that hears what contexts notify of, for as long as it is open.

        Parameters
        ----------
        dsn : a way to the same database on which sessions are stable; None for that of the pool

        Returns
        -------
        The connection; None behind a transaction pooler, through which nothing would be heard.
        """
        await self._opened()
        route = self._route
        if dsn is not None:
            route = await blocking_async(find_route, dsn, self._given[1], False, self._given[3])
        elif self._pooler:
            return None
        assert route is not None
        connection = await psycopg.AsyncConnection.connect(**route.connect_arguments(pooler=False))
        await connection.execute("set idle_session_timeout = 0")
        await connection.execute("listen kata")
        return connection

    async def _run(self, call: Call[T], arguments: tuple[Any, ...]) -> list[T]:
        """Run a call, in a transaction of its own."""
        if call.count is not None:
            arguments = await self._counted(call, arguments)
        losses = 0
        while True:
            pool = await self._opened()
            connection = await self._take(pool)
            try:
                rows = await _execute(connection, self._tenant, call, arguments)
            except psycopg.Error as error:
                if has_stale_plan(error):
                    await connection.close()
                elif not connection.closed:
                    raise
                elif not call.is_repeatable(arguments):
                    raise outcome_unknown(call.name, error) from error
                else:
                    losses += 1
                    if losses == ATTEMPTS:
                        raise
            else:
                if call is statements.CREATE_CONTEXT:
                    self._remember(rows[0], arguments[3])  # type: ignore[arg-type]
                return rows
            finally:
                await pool.putconn(connection)

    async def _take(self, pool: Pool) -> Connection:
        """Return a connection of the pool on which the server still listens."""
        deadline = monotonic() + self._wait
        while True:
            try:
                connection = await pool.getconn(max(0.001, deadline - monotonic()))
            except PoolTimeout:
                raise await self._timed_out(pool) from None
            if not is_stale(connection):
                return connection
            await connection.close()
            await pool.putconn(connection)

    async def _timed_out(self, pool: Pool) -> KataError:
        """Return the error that says why there was no connection."""
        assert self._route is not None
        size = self._sizes[1]
        stats = pool.get_stats()
        if stats.get("pool_size", 0) >= size and not stats.get("connections_errors", 0):
            return self._route.timed_out(size, None)
        arguments = self._route.connect_arguments(pooler=self._pooler)
        try:
            connection = await psycopg.AsyncConnection.connect(**arguments | {"connect_timeout": 2})
        except psycopg.OperationalError as error:
            return self._route.timed_out(size, error)
        await connection.close()
        return self._route.timed_out(size, None)

    async def _opened(self) -> Pool:
        """Return the pool, opened if need be."""
        if True:  # ASYNC
            if self._loop is not asyncio.get_running_loop() and self._loop is not None:
                raise MisuseError(
                    "this AsyncKata belongs to another event loop",
                    hint="make one in each event loop, or use Kata",
                )
        if self._pool is not None:
            return self._pool
        async with self._opening:
            if self._closed:
                raise MisuseError("this Kata is closed", hint="make another one")
            if self._pool is None:
                if True:  # ASYNC
                    self._loop = asyncio.get_running_loop()
                self._pool = await self._open_pool()
            return self._pool

    async def _open_pool(self) -> Pool:
        """Find out about the database with a first connection, then open the pool."""
        route = self._route = await blocking_async(find_route, *self._given)
        self._pooler = await self._examine(route)
        self._tenant = route.tenant if self._pooler else None
        pool: Pool = AsyncConnectionPool(
            kwargs=route.connect_arguments(pooler=self._pooler),
            min_size=self._sizes[0],
            max_size=self._sizes[1],
            open=False,
            configure=_configure,
            name="kata",
            timeout=route.wait,
            max_idle=self._max_idle,
            reconnect_timeout=route.wait,
            num_workers=1,
        )
        await pool.open()
        return pool

    async def _examine(self, route: Route) -> bool:
        """Return whether a pooler stands in between, once all else is found to be well."""
        deadline = monotonic() + route.wait
        pooler = bool(route.pooler)
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    **route.connect_arguments(pooler=pooler)
                ) as first:
                    found = route.examined(first, await (await first.execute(EXAMINE)).fetchone())
                    return found if route.pooler is None else route.pooler
            except psycopg.OperationalError as error:
                if refuses_options(error) and route.pooler is None:
                    pooler = True
                elif is_passing(error):
                    if monotonic() > deadline:
                        raise route.timed_out(self._sizes[1], error) from error
                    await sleep_async(0.05)
                else:
                    raise route.unreachable(error) from error

    def _forget(self) -> None:
        """Leave the pool to the parent process, of which this is a fork: the connections are the parent's."""
        if self._pool is not None:
            _of_parents.append(self._pool)
            self._pool = None
        self._opening = AsyncLock()
        if True:  # ASYNC
            self._loop = None


class AsyncTransaction(AsyncDatabase):
    """Every function of schema kata as a method, on one connection, in the transaction that it is in.

    Attributes
    ----------
    connection : of psycopg, for SQL of the caller's in the same transaction
    """

    def __init__(
        self,
        connection: Connection,
        tenant: str | None,
        count_tokens: bool,
        tokenizers: dict[UUID | str, str],
    ) -> None:
        self.connection = connection
        self._tenant = tenant
        self._counts = count_tokens
        self._tokenizers = tokenizers
        self._process = os.getpid()

    async def _run(self, call: Call[T], arguments: tuple[Any, ...]) -> list[T]:
        """Run a call, in the transaction."""
        if self._process != os.getpid():
            raise MisuseError(
                "this transaction belongs to the parent process", hint="open another one after the fork"
            )
        if call.count is not None:
            arguments = await self._counted(call, arguments)
        if self._tenant is None:
            return await _execute(self.connection, None, call, arguments)
        if (
            self.connection.info.transaction_status != pq.TransactionStatus.IDLE
            or not self.connection.autocommit
        ):
            await self.connection.execute(SET_TENANT, (self._tenant,))
            return await _execute(self.connection, None, call, arguments)
        return await _execute(self.connection, self._tenant, call, arguments)


async def _execute(
    connection: Connection, tenant: str | None, call: Call[T], arguments: tuple[Any, ...]
) -> list[T]:
    """Run a call on a connection, for a tenant where the connection does not say for which."""
    cursor = connection.cursor(row_factory=call.row_factory)
    try:
        if tenant is None:
            await cursor.execute(call.sql, arguments)
            return await cursor.fetchall()
        # All is sent at once; what is set is gone with the transaction, whoever gets the session next.
        async with connection.pipeline(), connection.transaction():
            await connection.execute(SET_TENANT, (tenant,))
            await cursor.execute(call.sql, arguments)
            return await cursor.fetchall()
    except (UnicodeEncodeError, psycopg.DataError, psycopg.ProgrammingError) as error:
        refused = None if isinstance(error, InvalidInputError) else invalid_input(call.name, error)
        if refused is None:
            raise
        raise refused from error


async def _configure(connection: Connection) -> None:
    """Prepare a new connection of the pool."""
    connection.adapters.register_dumper(int, PlainInt)


_alive: "WeakSet[AsyncKata]" = WeakSet()
# Never closed here and never collected: that would end the sessions of the parent.
_of_parents: list[Pool] = []


def _forget_all() -> None:
    for client in _alive:
        client._forget()


watch_forks(_forget_all)
