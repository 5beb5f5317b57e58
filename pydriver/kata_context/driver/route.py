"""How the driver connects: encrypted, with time-outs on the server, directly or through a pooler."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import adapt, pq
from psycopg.conninfo import make_conninfo

from kata_context import __version__, config
from kata_context.database_errors import NotPermittedError
from kata_context.driver.transport import OLDEST_SERVER, SETTINGS, is_local, secured
from kata_context.errors import (
    ConnectionLostError,
    KataError,
    NotInstalledError,
    OutcomeUnknownError,
    PoolTimeoutError,
    UnreachableError,
    UnsafeConnectionError,
)

# One round trip: is a pooler in between (it greets with a process id of its own), is this a proxy in front of
# several databases, and which release of Kata Context is there? Read from the catalog, where no privilege is
# needed.
EXAMINE = b"""
select pg_backend_pid(), current_setting('server_version_num')::integer / 10000,
  to_regnamespace('kata_proxy') is not null, (
  select split_part(p.prosrc, '''', 2)
  from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  where n.nspname = 'kata' and p.proname = 'version')"""
# Sets the tenant for the rest of the transaction, and returns the one that the role may act for.
SET_TENANT = b"select kata.current_tenant() from pg_catalog.set_config('kata.tenant', %s, true)"
# The same for the session. Options of a connection would do, but poolers drop them, and servers split them.
KEEP_TENANT = SET_TENANT.replace(b"true", b"false")
CERTIFY = "give the server a certificate; or write sslmode=disable in the DSN to do without"


class PlainInt(adapt.Dumper):
    """Sends an integer without a type; psycopg's own depends on the size, and each type is prepared anew."""

    oid = 0

    def dump(self, obj: Any) -> bytes:
        """Return the digits."""
        try:
            return b"%d" % obj
        except ValueError as error:  # more digits than Python writes
            raise psycopg.DataError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a database.

    Parameters
    ----------
    parameters : of libpq
    description : what to show to people; never holds the password
    tenant : whose contexts are meant, None for what the role says
    pooler : whether sessions are not ours alone, None when that is not known yet
    must_encrypt : whether plain text to another machine is refused
    wait : seconds to wait for a connection
    """

    parameters: dict[str, Any] = field(repr=False)
    description: str
    tenant: str | None
    pooler: bool | None
    must_encrypt: bool
    wait: float

    def connect_arguments(self, *, pooler: bool) -> dict[str, Any]:
        """Return the arguments of psycopg.connect."""
        arguments = self.parameters | {"autocommit": True}
        if pooler:
            return arguments | {"prepare_threshold": None}
        given = str(arguments.get("options", ""))
        ours = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items() if name not in given)
        return arguments | {"options": f"{ours} {given}".strip()}

    def examined(
        self, connection: "psycopg.Connection[Any] | psycopg.AsyncConnection[Any]", row: Any
    ) -> tuple[bool, bool]:
        """Refuse an unsafe connection and a database without Kata Context.

        Return whether a pooler is in between, and whether the database is a proxy.
        """
        in_plain_text = not connection.pgconn.ssl_in_use and not is_local({"host": connection.info.hostaddr})
        if self.must_encrypt and in_plain_text:
            raise UnsafeConnectionError(f"the connection to {self.description} is not encrypted", CERTIFY)
        process, version, is_proxy, installed = row
        # PL/Proxy has packages for one release more.
        if version < (oldest := OLDEST_SERVER - is_proxy):
            raise UnreachableError(f"PostgreSQL {version} is too old: {oldest} or newer is needed")
        migrate = "run: kata migrate up"
        if not installed:
            raise NotInstalledError(f"Kata Context is not installed in {self.description}", hint=migrate)
        ahead = releases_ahead(installed)
        if abs(ahead) > 1:
            raise NotInstalledError(
                f"Kata Context {installed} in {self.description} is too {'old' if ahead > 0 else 'new'} for "
                f"the package, {__version__}",
                hint=migrate if ahead > 0 else "upgrade the package kata-context",
            )
        return process != connection.info.backend_pid, is_proxy

    def unreachable(self, error: psycopg.Error) -> KataError:
        """Return the error that says why the database cannot be reached."""
        reason = " ".join(str(error).split()) or "the connection was lost"
        if self.must_encrypt and "SSL" in reason:
            message = f"{self.description} does not take encrypted connections"
            return UnsafeConnectionError(message, CERTIFY, reason)
        return UnreachableError(
            f"cannot connect to {self.description}: {reason}",
            hint="check the DSN, and whether the server runs",
        )

    def timed_out(self, size: int, error: psycopg.Error | None) -> PoolTimeoutError:
        """Return the error that no connection of the pool was free in time, or why the server gave none."""
        if error is None:
            return PoolTimeoutError(
                f"no connection was free within {self.wait:g} s: all {size} of the pool are in use",
                hint="run fewer calls at once, or pass a larger max_size or a longer wait",
            )
        return PoolTimeoutError(
            f"the server gave no connection to the pool of {size} within {self.wait:g} s",
            hint="look whether the server runs and how many connections it takes, or pass a longer wait",
            detail=" ".join(str(error).split()),
        )


def find_route(dsn: str | None, tenant: str | None, pooler: bool | None, wait: float) -> Route:
    """Return the way to a database, by the parameters of AsyncKata; the embedded one is started and migrated.

    Raises
    ------
    KataError : the connection string is malformed, or the embedded server does not start
    """
    target = config.resolve(dsn, "dsn")
    if target.embedded:
        from kata_context import migrate

        migrate.up(target.dsn)
    parameters, must_encrypt = secured(target.dsn)
    defaults = {
        "fallback_application_name": "kata-context",
        "connect_timeout": max(1, int(wait)),
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }
    return Route(defaults | parameters, target.description, tenant, pooler, must_encrypt, wait)


def releases_ahead(database: str) -> int:
    """Return how many minor releases the package is ahead of a version in a database."""
    ours, theirs = ([int(number) for number in text.split(".")[:2]] for text in (__version__, database))
    return 100 * (ours[0] - theirs[0]) + ours[1] - theirs[1]


def refuse_tenant(row: Any, tenant: str) -> None:
    """Refuse to act for another tenant than the one named; the row has that of the session."""
    (own,) = row
    if own != tenant:
        raise NotPermittedError(
            f'this role acts for tenant "{own}", not for "{tenant}"',
            hint="leave out the tenant, or grant kata_service to the role",
        )


def is_passing(error: psycopg.Error, parameters: dict[str, Any]) -> bool:
    """Whether a server that refused a connection may take one in a moment: it is full, or starts."""
    # libpq keeps the SQLSTATE of a refusal; a ping shows whether it was 57P03, in whatever language.
    ping = pq.PGconn.ping(make_conninfo(**parameters).encode())
    full = re.search("too many c|remaining connection slots|no more connections allowed", str(error))
    return ping == pq.Ping.REJECT or full is not None


def is_stale(connection: "psycopg.Connection[Any] | psycopg.AsyncConnection[Any]") -> bool:
    """Whether an idle connection was closed by the other side; looks without asking the server.

    The last messages of the server are read first, then the end of the connection.
    """
    try:
        connection.pgconn.consume_input()
        connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return True
    return connection.closed


def has_stale_plan(error: psycopg.Error) -> bool:
    """Whether a prepared statement no longer fits, because the function was replaced; nothing was done."""
    return error.sqlstate == "0A000" and error.diag.source_function == "RevalidateCachedQuery"


def outcome_unknown(name: str, error: Exception) -> OutcomeUnknownError:
    """Return the error of a call that the database may have committed or not."""
    return OutcomeUnknownError(
        f"the connection was lost during {name}, which was done or was not",
        hint="read before trying again; a call with an idempotency_key may be repeated with the same key",
        detail=" ".join(str(error).split()) or None,
    )


def connection_lost(name: str, error: Exception) -> ConnectionLostError:
    """Return the error of a call whose connection was lost before it changed anything."""
    return ConnectionLostError(
        f"the connection was lost during {name}, which changed nothing",
        hint="try again; an open transaction is rolled back, and starts from its first call",
        detail=" ".join(str(error).split()) or None,
    )


def watch_forks(reset: Callable[[], None]) -> None:
    """Have something called in every child of this process, before it does anything else."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=reset)
