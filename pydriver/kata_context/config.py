"""Which database is meant: --dsn, or else DATABASE_URL, or else the embedded server."""

import os
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg
from psycopg.conninfo import conninfo_to_dict

from kata_context.errors import KataError

FORM = "write it as postgresql://user:password@host:port/database"


@dataclass(frozen=True, slots=True)
class Target:
    """A database to work on.

    Parameters
    ----------
    dsn : connection string for libpq, with the password if there is one
    embedded : whether it is on the embedded server
    description : what to show to people; never holds the password
    """

    dsn: str = field(repr=False)
    embedded: bool
    description: str


def choose(dsn: str | None, source: str = "--dsn") -> Target:
    """Return the database that is meant; starts nothing and connects to nothing.

    Parameters
    ----------
    dsn, source : a connection string or None, and the option or parameter that has it

    Raises
    ------
    KataError : the connection string is malformed
    """
    if dsn is not None:
        return Target(dsn, False, _describe(dsn, source))
    if from_environment := os.environ.get("DATABASE_URL"):
        return Target(from_environment, False, _describe(from_environment, "DATABASE_URL"))
    return embedded(start=False)


def resolve(dsn: str | None, source: str = "--dsn") -> Target:
    """Return the database that is meant, starting the embedded server where it is that one.

    Parameters
    ----------
    dsn, source : a connection string or None, and the option or parameter that has it

    Raises
    ------
    KataError : the connection string is malformed, or the embedded server does not start
    """
    target = choose(dsn, source)
    return embedded() if target.embedded else target


def embedded(*, start: bool = True) -> Target:
    """Return the database on the embedded server, which is started if need be, unless told not to.

    Raises
    ------
    KataError : the server does not start
    """
    # fcntl and pwd, which the launcher needs, are not on every system that can reach a server elsewhere.
    from kata_context.embedded import Server, default_home

    server = Server(default_home())
    return Target(server.start() if start else server.dsn(), True, f"embedded server ({server.home})")


def parse(dsn: str, source: str | None = None) -> dict[str, str]:
    """Return the parameters of a connection string.

    Parameters
    ----------
    source : where it was given, to be named in errors

    Raises
    ------
    KataError : it is malformed; what it says is not repeated, for a password may be in it anywhere
    """
    what = f"the connection string in {source}" if source else "the connection string"
    # libpq quotes the offending string in its message, password and all: the error has no context, either.
    parts = None
    with suppress(psycopg.ProgrammingError, AttributeError, UnicodeError):  # AttributeError: not a str
        parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    if parts is None:
        raise KataError(f"{what} is malformed", hint=FORM)
    # libpq ends a password in a URL at the first @, or takes what stands before a / for host and port.
    hosts, ports = parts.get("host", "").split(","), parts.get("port", "").split(",")
    if (
        any("@" in host and not host.startswith(("/", "@")) for host in hosts)
        or any(port and not port.isdecimal() for port in ports)
        or ("user" not in parts and "@" in parts.get("dbname", ""))
    ):
        raise KataError(f"{what} is malformed", hint="write @ as %40, / as %2F and : as %3A in a password")
    return parts


def _describe(dsn: str, source: str) -> str:
    parts = parse(dsn, source)
    if not parts:
        raise KataError(f"the connection string in {source} is empty", hint=FORM)
    if "service" in parts:
        return f"service {parts['service']}"
    host, port = parts.get("host", parts.get("hostaddr", "")), parts.get("port", "")
    user = f"{parts['user']}@" if "user" in parts else ""
    address, socket_folder = ("", f"?host={host}") if host.startswith("/") else (host, "")
    return f"postgresql://{user}{address}{port and f':{port}'}/{parts.get('dbname', '')}{socket_folder}"
