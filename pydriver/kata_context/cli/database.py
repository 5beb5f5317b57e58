"""The database of a command: its target, connections, contexts and versions as typed, its label."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, overload
from uuid import UUID

import click
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import namedtuple_row

from kata_context import Kata, config
from kata_context.cli.parameters import refuse_surrogates
from kata_context.cli.settings import settings
from kata_context.driver.transport import secured
from kata_context.generated.rows import MessageRow

Connection = psycopg.Connection[Any]


def announce(ctx: click.Context) -> config.Target:
    """Return the target database, started if it is the embedded one, and print which it is."""
    target = config.resolve(settings(ctx).dsn)
    click.echo(f"database: {target.description}", err=True)
    return target


@contextmanager
def open_kata(ctx: click.Context, connections: int = 1, at_once: bool = True) -> Iterator[Kata]:
    """Open the driver on the target database, for the tenant of the command.

    Parameters
    ----------
    connections : most connections
    at_once : whether to connect now; else the first call does

    Raises
    ------
    KataError : there is no such database, or the role may not act for the tenant
    """
    target, tenant = announce(ctx), settings(ctx).tenant
    dsn = make_conninfo(target.dsn, fallback_application_name=f"kata {ctx.command_path.partition(' ')[2]}")
    # The driver migrates the embedded database.
    with closing(Kata(None if target.embedded else dsn, tenant=tenant, max_size=connections)) as kata:
        if at_once:
            kata.open()
        yield kata


@contextmanager
def connect(dsn: str) -> Iterator[Connection]:
    """Open a connection in autocommit mode, for queries beyond the API."""
    parameters, _ = secured(dsn)
    defaults: dict[str, Any] = {"client_encoding": "utf8", "application_name": "kata", "connect_timeout": 10}
    connection = psycopg.connect(autocommit=True, prepare_threshold=None, **defaults | parameters)
    connection.row_factory = namedtuple_row
    with closing(connection):
        yield connection


def resolve(kata: Kata, context: str, *, deleted: bool = False) -> UUID:
    """Return the id of a context as typed.

    Parameters
    ----------
    deleted : whether a deleted one counts
    """
    refuse_surrogates(context)
    return kata.resolve_context(context, deleted)


@contextmanager
def open_context(ctx: click.Context, context: str, *, deleted: bool = False) -> Iterator[tuple[Kata, UUID]]:
    """Open the driver, and yield it with the id of a context as typed; see open_kata and resolve."""
    with open_kata(ctx) as kata:
        yield kata, resolve(kata, context, deleted=deleted)


def log_pages(kata: Kata, context_id: UUID, at: int | None = None) -> Iterator[list[MessageRow]]:
    """Yield the messages of a context as appended, in pages."""
    after = 0
    while rows := kata.messages(context_id, after, max_rows=1000, visibility="all", at=at):
        if page := [row for row in rows if row.kind == "message"]:
            yield page
        after = rows[-1].version


@overload
def version_at(kata: Kata, context_id: UUID, selector: str) -> int: ...
@overload
def version_at(kata: Kata, context_id: UUID, selector: str | None) -> int | None: ...
def version_at(kata: Kata, context_id: UUID, selector: str | None) -> int | None:
    """Return the version of a selector; None for None."""
    return None if selector is None else kata.resolve_version(context_id, refuse_surrogates(selector))


def confirm(kata: Kata, given: str | None) -> None:
    """Require the label of the database; see confirm_environment."""
    confirm_environment(kata.environment(), given)


def confirm_environment(label: str | None, given: str | None) -> str | None:
    """Return the label of the database if the command line, or the answer at a terminal, is the same.

    Parameters
    ----------
    label : of the database, None where it has none
    given : the label on the command line

    Raises
    ------
    KataError : no label was given, or another one
    """
    if label is None or label == given:
        return label
    if given is None and sys.stdin.isatty() and sys.stderr.isatty():
        given = click.prompt(f'This database is labeled "{label}". Type the label to go on', err=True)
    from kata_context import migrate

    migrate.check_environment(label, given)
    return label
