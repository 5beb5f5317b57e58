"""The connections of a client for threads: opened at the first call, shared by all tasks and tenants.

Written by tools/generate; `make generate` writes it anew.
"""

from time import monotonic
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from kata_context.database_errors import refusal
from kata_context.driver.concurrency import Lock, at_exit, blocking, sleep
from kata_context.driver.route import (
    EXAMINE,
    KEEP_TENANT,
    SET_TENANT,
    PlainInt,
    Route,
    find_route,
    is_passing,
    is_stale,
    refuse_tenant,
    watch_forks,
)
from kata_context.errors import KataError, MisuseError

Connection = psycopg.Connection[Any]
PsycopgPool = ConnectionPool[Connection]


class Pool:
    """The way to a database, and a few connections on it.

    Parameters
    ----------
    dsn, tenant, pooler, wait : as of Kata
    sizes : how many connections there are at least, and at most
    max_idle : seconds after which a connection beyond the least number is closed
    """

    def __init__(
        self,
        dsn: str | None,
        tenant: str | None,
        pooler: bool | None,
        wait: float,
        sizes: tuple[int, int],
        max_idle: float,
    ) -> None:
        self._given = (dsn, tenant, pooler, wait)
        self._wait = wait
        self._sizes = sizes
        self._max_idle = max_idle
        self._pool: PsycopgPool | None = None
        self._route: Route | None = None
        # Whether sessions are not ours alone, so that each call has to name its tenant.
        self.is_shared = False
        # Whether each call commits by itself, on a shard, and notifications stay there.
        self.is_proxy = False
        self._closed = False
        self._opening = Lock()
        _alive.add(self)

    @property
    def description(self) -> str:
        """What to show to people: the database, without a password."""
        return "not open" if self._route is None else self._route.description

    def close(self) -> None:
        """Close the connections, for good."""
        self._closed = True
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def take(self, pool: PsycopgPool) -> Connection:
        """Return a connection of the pool on which the server still listens, or raise PoolTimeoutError."""
        deadline = monotonic() + self._wait
        while True:
            try:
                connection = pool.getconn(max(0.001, deadline - monotonic()))
            except PoolTimeout:
                raise self._timed_out(pool) from None
            except PoolClosed:
                raise _closed() from None
            if not is_stale(connection):
                return connection
            connection.close()
            pool.putconn(connection)

    def listen(self, dsn: str | None) -> Connection | None:
        """Return a connection of its own that receives notifications; None where none arrive."""
        self.opened()
        route = self._route
        if dsn is not None:
            route = blocking(find_route, dsn, self._given[1], False, self._given[3])
        elif self.is_shared or self.is_proxy:
            return None
        assert route is not None
        try:
            connection = psycopg.Connection.connect(**route.connect_arguments(pooler=False))
            connection.execute("set idle_session_timeout = 0")
            connection.execute("listen kata")
        except psycopg.Error as error:
            raise route.unreachable(error) from error
        return connection

    def _timed_out(self, pool: PsycopgPool) -> KataError:
        """Return the error that says why there was no connection."""
        assert self._route is not None
        size = self._sizes[1]
        stats = pool.get_stats()
        if stats.get("pool_size", 0) >= size and not stats.get("connections_errors", 0):
            return self._route.timed_out(size, None)
        arguments = self._route.connect_arguments(pooler=self.is_shared)
        try:
            with psycopg.Connection.connect(**arguments | {"connect_timeout": 2}):
                return self._route.timed_out(size, None)
        except psycopg.Error as error:
            return self._route.timed_out(size, error)

    def opened(self) -> PsycopgPool:
        """Return the pool of psycopg, opened if need be."""
        if self._pool is not None:
            return self._pool
        with self._opening:
            if self._closed:
                raise _closed()
            if self._pool is None:
                self._pool = self._open_pool()
            return self._pool

    def _open_pool(self) -> PsycopgPool:
        """Examine the database on a first connection, then open the pool."""
        route = self._route = blocking(find_route, *self._given)
        self.is_shared = self._examine(route)
        pool: PsycopgPool = ConnectionPool(
            kwargs=route.connect_arguments(pooler=self.is_shared),
            min_size=self._sizes[0],
            max_size=self._sizes[1],
            open=False,
            configure=self._configure,
            name="kata",
            timeout=route.wait,
            max_idle=self._max_idle,
            reconnect_timeout=route.wait,
            num_workers=1,
        )
        pool.open()
        return pool

    def _examine(self, route: Route) -> bool:
        """Return whether a pooler is in between, once the server, the schema and the tenant are as needed."""
        deadline = monotonic() + route.wait
        pooler = bool(route.pooler)
        while True:
            try:
                with psycopg.Connection.connect(**route.connect_arguments(pooler=pooler)) as first:
                    row = first.execute(EXAMINE).fetchone()
                    found, self.is_proxy = route.examined(first, row)
                    # A tenant never becomes a setting of a session that may be another client's next.
                    obeys = route.pooler is not None and route.tenant is None
                    pooler = bool(route.pooler) if obeys else found or bool(route.pooler)
                    if route.tenant is not None:
                        act_for(first, route.tenant)
                    return pooler
            except KataError:
                raise
            except psycopg.Error as error:
                # A pooler answers so to options that it does not know.
                if "unsupported startup parameter" in str(error) and route.pooler is None:
                    pooler = True
                elif blocking(is_passing, error, route.parameters):
                    if monotonic() > deadline:
                        raise route.timed_out(self._sizes[1], error) from error
                    sleep(0.05)
                elif isinstance(error, psycopg.OperationalError):
                    raise route.unreachable(error) from error
                else:
                    raise refusal("current_tenant", error) from error

    def _configure(self, connection: Connection) -> None:
        """Prepare a new connection of the pool, which acts for the tenant if it is not shared."""
        connection.adapters.register_dumper(int, PlainInt)
        if self._given[1] is not None and not self.is_shared:
            act_for(connection, self._given[1], KEEP_TENANT)

    def forget(self) -> None:
        """Leave the connections to the parent process, of which this process is a fork."""
        if self._pool is not None:
            _of_parents.append(self._pool)
            self._pool = None
        self._opening = Lock()


def act_for(connection: Connection, tenant: str, statement: bytes = SET_TENANT) -> None:
    """Have the rest of a transaction, or the session, act for a tenant, or raise NotPermittedError."""
    cursor = connection.execute(statement, (tenant,))
    refuse_tenant(cursor.fetchone(), tenant)


def _closed() -> MisuseError:
    return MisuseError("this Kata is closed", hint="make another one")


_alive: "WeakSet[Pool]" = WeakSet()
# Never closed here and never collected: that would end the sessions of the parent.
_of_parents: list[PsycopgPool] = []


def _forget_all() -> None:
    for pool in _alive:
        pool.forget()


watch_forks(_forget_all)
# From Python 3.13 on, the end of a program would wait 10 s for the threads of an open pool.
at_exit(lambda: list(map(Pool.close, list(_alive))))
