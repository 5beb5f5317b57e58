"""The driver for threads: every function of schema kata as a method, on a small pool of connections.

Written by tools/generate; `make generate` writes it anew.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg import pq

from kata_context.database_errors import ContextNotFoundError, DeadlockError, SerializationError, refusal
from kata_context.driver.call import Call
from kata_context.driver.concurrency import sleep
from kata_context.driver.route import (
    SET_TENANT,
    connection_lost,
    has_stale_plan,
    outcome_unknown,
    refuse_tenant,
)
from kata_context.driver.transport import checked_tenant
from kata_context.driver.values import ContextId, as_context, as_integer, as_number, as_value
from kata_context.errors import KataError, MisuseError
from kata_context.generated import statements
from kata_context.generated.methods import Context, Methods
from kata_context.generated.pool import Connection, Pool, act_for
from kata_context.tokens import ENCODINGS

T = TypeVar("T")

ATTEMPTS = 3  # how often a repeatable call is sent while connections are lost
CONFLICTS = 10  # how often a call is sent that Postgres rolls back for a conflict with another one
REMEMBERED = 10_000  # contexts whose tokenizer is cached


class Database(Methods):
    """The methods that a pool and a transaction have in common."""

    _counts: bool
    _tokenizers: dict[UUID, str]

    def context(self, context: ContextId) -> Context:
        """Return a handle of a context, whose methods are the functions that take a context.

        Parameters
        ----------
        context : an id or another handle, which is not looked up, or a name, which is looked up once

        Raises
        ------
        ContextNotFoundError : the caller's tenant has no live context of this name
        """
        found = as_context("context", context)
        return Context(self, self._find(found) if isinstance(found, str) else found)

    def select(self, sql: str, *values: Any, reads: bool = False) -> list[tuple[Any, ...]]:
        """Run a SELECT of the caller's as methods run theirs, in one round trip.

        Parameters
        ----------
        sql : with %s in place of each value; functions that it calls may write
        reads : whether it changes nothing, so it is sent again where the connection is lost
        """
        named = (("a value", as_value),) * len(values)
        return self._run(Call("select", sql.encode(), tuple, named, reads=reads), values)

    def _find(self, name: str) -> UUID:
        """Return the id of the context of a name."""
        found = self.find_context(name)
        if found is None:
            raise ContextNotFoundError(
                f'context "{name:.255}" not found',
                detail="No live context of the tenant has this id or name.",
                hint="list the contexts with kata.list_contexts, or call kata.get_or_create",
            )
        return found

    def _prepared(self, call: Call[T], given: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments of a call as they are sent: checked, looked up, with counts of tokens."""
        arguments = call.adapted(given)
        for place in call.contexts:
            if isinstance(name := arguments[place], str):
                arguments = (*arguments[:place], self._find(name), *arguments[place + 1 :])
        for place in call.versions:
            if isinstance(selector := arguments[place], str):
                version = self.resolve_version(arguments[0], selector)
                arguments = (*arguments[:place], version, *arguments[place + 1 :])
        return arguments if call.count is None else self._counted(call, arguments)

    def _counted(self, call: Call[T], arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments of a call, with exact counts of tokens where the caller gave none."""
        counter = call.count
        if counter is None or not self._counts or not counter.is_needed(arguments):
            return arguments
        tokenizer = self._tokenizers.get(arguments[0])
        if tokenizer is None:
            tokenizer = self.get_context(arguments[0]).tokenizer
            self._remember(arguments[0], tokenizer)
        return counter.fill(arguments, tokenizer)

    def _learn(self, call: Call[Any], arguments: tuple[Any, ...], rows: list[Any]) -> None:
        """Cache the tokenizer of a context that a call created: its first append needs no look-up."""
        if call is statements.CREATE_CONTEXT and arguments[3] in ENCODINGS:
            self._remember(rows[0], arguments[3])
        elif call is statements.GET_OR_CREATE_CONTEXT and rows[0].created and arguments[3] in ENCODINGS:
            self._remember(rows[0].context_id, arguments[3])
        elif call is statements.FORK and arguments[0] in self._tokenizers:
            self._remember(rows[0], self._tokenizers[arguments[0]])

    def _remember(self, context_id: UUID, tokenizer: str) -> None:
        """Cache the tokenizer of a context, which never changes."""
        if len(self._tokenizers) >= REMEMBERED:
            self._tokenizers.clear()
        self._tokenizers[context_id] = tokenizer


class Kata(Database):
    """A database with Kata Context: every function of schema kata is a method, and each call a transaction.

    The pool opens with the first call, or with `with`, and takes calls concurrently. After a fork the
    child opens one of its own. A call whose connection is lost is sent again on another one if that is safe:
    it only reads, or it has an idempotency_key. A call that Postgres rolls back for a conflict with another
    one (40001, 40P01) is sent again.

    Parameters
    ----------
    dsn : a connection string; None for DATABASE_URL, or else the embedded server, started and migrated
    tenant : whose contexts are meant, for members of kata_service; None for the tenant of the role
    pooler : whether a transaction pooler is in between; None to detect it
    min_size : connections that are opened at once and kept
    max_size : most connections
    wait : seconds to wait for a free connection
    max_idle : seconds after which a connection beyond min_size is closed
    count_tokens : whether the driver counts tokens where a call gives no count; else the database estimates
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
        least, most = as_integer("min_size", min_size), as_integer("max_size", max_size)
        if not 0 <= least <= most > 0:
            raise MisuseError(f"a pool cannot hold {least} to {most} connections", hint="raise max_size")
        if not as_number("wait", wait) > 0 or not as_number("max_idle", max_idle) >= 0:
            raise MisuseError("wait must be above 0, and max_idle at least 0", hint="pass seconds")
        self._tenant = None if tenant is None else checked_tenant(tenant)
        self._pool = Pool(dsn, self._tenant, pooler, wait, (min_size, max_size), max_idle)
        self._is_view = False
        self._counts = count_tokens
        self._tokenizers: dict[UUID, str] = {}

    def __repr__(self) -> str:
        tenant = "" if self._tenant is None else f", tenant {self._tenant!r}"
        return f"<{type(self).__name__} {self._pool.description}{tenant}>"

    def open(self) -> None:
        """Connect, and open the least number of connections; without this the first call does.

        Raises
        ------
        UnreachableError : there is no such database
        NotInstalledError : Kata Context is not installed in it
        UnsafeConnectionError : the connection would be in plain text to another machine
        NotPermittedError : the role may not act for the tenant
        """
        self._pool.opened()

    def close(self) -> None:
        """Close the connections for good; a view of another tenant leaves them open."""
        if not self._is_view:
            self._pool.close()

    def __enter__(self) -> "Kata":
        self._pool.opened()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def as_tenant(self, tenant: str) -> "Kata":
        """Return a view that acts for a tenant, on the same connections.

        The tenant travels with each call and ends with its transaction, so a connection carries nothing over
        to its next user. Each call fails with NotPermittedError if the role may not act for the tenant.

        Parameters
        ----------
        tenant : whose contexts are meant; the role needs kata_service, unless it is its own tenant
        """
        view = copy(self)
        view._tenant = checked_tenant(tenant)
        view._is_view = True
        return view

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Open a transaction: the methods of the object yielded are part of it, and so is its `connection`.

        The end of the block commits it; an exception that leaves the block rolls it back. Inside the block a
        call on this Kata or a handle of it raises MisuseError: it would not be part of the transaction, and
        could wait for its locks. A proxy in front of several databases has no transactions.

        Raises
        ------
        MisuseError : the database is a proxy
        """
        self._refuse_inside()
        pool = self._pool.opened()
        if self._pool.is_proxy:
            raise MisuseError(
                "a proxy has no transactions: each call commits by itself, on a shard",
                hint="call the methods of this object, and make writes safe with idempotency_key and "
                "expected_version; or connect to the shard",
            )
        connection = self._pool.take(pool)
        stage = "begin"
        transaction = Transaction(connection, None, self._counts, self._tokenizers, self._pool)
        try:
            with connection.transaction():
                if (tenant := self._call_tenant()) is not None:
                    act_for(connection, tenant)
                stage = "block"
                _open.set((*_open.get(), transaction))
                yield transaction
                stage = "commit"
        except psycopg.Error as error:
            if stage == "block" or isinstance(error, KataError):
                raise
            if not connection.closed:
                raise refusal(stage, error) from error
            raise (outcome_unknown if stage == "commit" else connection_lost)(stage, error) from error
        finally:
            transaction.is_open = False
            _open.set(tuple(other for other in _open.get() if other is not transaction))
            pool.putconn(connection)

    def using(self, connection: Connection) -> "Transaction":
        """Return the methods on a connection of the caller, in its present transaction.

        Parameters
        ----------
        connection : to the same database; the driver commits and closes nothing on it. If that is a proxy,
            each call commits by itself all the same
        """
        return Transaction(connection, self._tenant, self._counts, self._tokenizers)

    def _call_tenant(self) -> str | None:
        """Return the tenant that each call has to name, because the session does not."""
        return self._tenant if self._is_view or self._pool.is_shared else None

    def _refuse_inside(self) -> None:
        """Refuse a call in the block of a transaction that it would not be part of."""
        for transaction in _open.get():
            if transaction.is_of(self._pool):
                raise MisuseError(
                    "a transaction is open here, and this call would not be part of it",
                    hint="call the method of the transaction, or of a handle from transaction.context(…)",
                )

    def _run(self, call: Call[T], given: tuple[Any, ...]) -> list[T]:
        """Run a call, in a transaction of its own."""
        self._refuse_inside()
        arguments = self._prepared(call, given)
        losses = conflicts = 0
        while True:
            try:
                pool = self._pool.opened()
                connection = self._pool.take(pool)
            except KataError as error:
                # The call that was lost may have been committed.
                if losses and not call.reads:
                    raise outcome_unknown(call.name, error) from error
                raise
            try:
                rows = _execute(connection, self._call_tenant(), call, arguments)
            except KataError:
                raise
            except (UnicodeEncodeError, psycopg.Error) as error:
                if isinstance(error, psycopg.Error) and has_stale_plan(error):
                    connection.close()
                elif connection.closed or str(getattr(error, "sqlstate", "")).startswith("08"):
                    losses += 1
                    if not call.is_repeatable(arguments) or (losses == ATTEMPTS and not call.reads):
                        raise outcome_unknown(call.name, error) from error
                    if losses == ATTEMPTS:
                        raise connection_lost(call.name, error) from error
                else:
                    conflicts += 1
                    refused = refusal(call.name, error, call.named(arguments))
                    if refused.sqlstate == "25006":
                        connection.close()  # the next one may lead to the primary
                    if conflicts == CONFLICTS or not isinstance(refused, (SerializationError, DeadlockError)):
                        raise refused from error
            except (Exception, KeyboardInterrupt, SystemExit):  # psycopg may be between any two steps
                connection.close()
                raise
            else:
                self._learn(call, arguments, rows)
                return rows
            finally:
                pool.putconn(connection)
            if conflicts:
                sleep(random.random() * 0.01 * conflicts)


class Transaction(Database):
    """Every function of schema kata as a method, on one connection, in its present transaction.

    Attributes
    ----------
    connection : of psycopg, for SQL of the caller's in the same transaction
    is_open : whether the block of the transaction has not ended yet
    """

    def __init__(
        self,
        connection: Connection,
        tenant: str | None,
        count_tokens: bool,
        tokenizers: dict[UUID, str],
        pool: Pool | None = None,
    ) -> None:
        self.connection = connection
        self.is_open = True
        self._tenant = tenant
        self._counts = count_tokens
        self._tokenizers = tokenizers
        self._pool = pool
        self._process = os.getpid()

    def is_of(self, pool: Pool) -> bool:
        """Whether it is an open transaction of this process on a connection of a pool."""
        return self.is_open and self._pool is pool and self._process == os.getpid()

    def _run(self, call: Call[T], given: tuple[Any, ...]) -> list[T]:
        """Run a call, in the transaction."""
        if self._process != os.getpid():
            raise MisuseError(
                "this transaction belongs to the parent process", hint="open another one after the fork"
            )
        if not self.is_open:
            raise MisuseError(
                "this transaction has ended",
                hint="open another one, or take a handle of kata.context(…), whose calls need none",
            )
        arguments = self._prepared(call, given)
        alone = (
            self.connection.info.transaction_status == pq.TransactionStatus.IDLE
            and self.connection.autocommit
        )
        try:
            if self._tenant is not None and not alone:
                act_for(self.connection, self._tenant)
            rows = _execute(self.connection, self._tenant if alone else None, call, arguments)
        except KataError:
            raise
        except (UnicodeEncodeError, psycopg.Error) as error:
            if not self.connection.closed:
                raise refusal(call.name, error, call.named(arguments)) from error
            lost = outcome_unknown if alone and not call.reads else connection_lost
            raise lost(call.name, error) from error
        self._learn(call, arguments, rows)
        return rows


def _execute(
    connection: Connection, tenant: str | None, call: Call[T], arguments: tuple[Any, ...]
) -> list[T]:
    """Run a call on a connection, for a tenant where the connection does not name one."""
    cursor = connection.cursor(row_factory=call.row_factory)
    if tenant is None:
        cursor.execute(call.sql, arguments)
        return cursor.fetchall()
    # All is sent at once; the setting ends with the transaction, so the next user of the session has its own.
    with connection.pipeline(), connection.transaction():
        setting = connection.execute(SET_TENANT, (tenant,))
        cursor.execute(call.sql, arguments)
        try:
            return cursor.fetchall()
        finally:
            # Before the commit, and before an error of the call, which another tenant may be the cause of.
            if setting.pgresult is not None:
                refuse_tenant(setting.fetchone(), tenant)


# The transactions that the present task or thread has open.
_open: ContextVar[tuple[Transaction, ...]] = ContextVar("kata_open_transactions", default=())
