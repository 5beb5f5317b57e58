"""What commands share: the database that is meant, the driver on it, contexts by what is typed, input."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, overload
from uuid import UUID

import click
import psycopg
from psycopg.rows import namedtuple_row

from kata_context import Kata, config
from kata_context.cli.parameters import refuse_surrogates
from kata_context.cli.settings import settings
from kata_context.driver.transport import secured
from kata_context.errors import KataError

Connection = psycopg.Connection[Any]


def announce(ctx: click.Context) -> config.Target:
    """Return the database that is meant, started if it is the embedded one, and say which it is."""
    target = config.resolve(settings(ctx).dsn)
    click.echo(f"database: {target.description}", err=True)
    return target


@contextmanager
def open_kata(ctx: click.Context, connections: int = 1) -> Iterator[Kata]:
    """Open the driver on the database that is meant, acting for the tenant that is.

    Parameters
    ----------
    connections : how many there may be

    Raises
    ------
    KataError : there is no such database, or the role may not act for the tenant
    """
    target, tenant = announce(ctx), settings(ctx).tenant
    # The embedded one is known to run; that it is migrated is the driver's business.
    with Kata(None if target.embedded else target.dsn, tenant=tenant, max_size=connections) as kata:
        if tenant is not None and (own := kata.current_tenant()) != tenant:
            raise KataError(
                f'this role acts for tenant "{own}", not for "{tenant}"',
                "leave out --tenant and KATA_TENANT, or grant kata_service to the role",
            )
        yield kata


@contextmanager
def connect(dsn: str) -> Iterator[Connection]:
    """Open a connection of its own, for what the API does not tell; each statement is a transaction."""
    parameters, _ = secured(dsn)
    defaults: dict[str, Any] = {"client_encoding": "utf8", "application_name": "kata", "connect_timeout": 10}
    connection = psycopg.connect(autocommit=True, prepare_threshold=None, **defaults | parameters)
    connection.row_factory = namedtuple_row
    with closing(connection):
        yield connection


def resolve(kata: Kata, context: str, *, deleted: bool = False) -> UUID:
    """Return the id of the context that a person means.

    Parameters
    ----------
    deleted : whether it may be a deleted one
    """
    refuse_surrogates(context)
    return kata.resolve_context(context, deleted)


@overload
def version_at(kata: Kata, context_id: UUID, selector: str) -> int: ...
@overload
def version_at(kata: Kata, context_id: UUID, selector: str | None) -> int | None: ...
def version_at(kata: Kata, context_id: UUID, selector: str | None) -> int | None:
    """Return the version that a person means; None where he means now."""
    return None if selector is None else kata.resolve_version(context_id, refuse_surrogates(selector))


def confirm(kata: Kata, given: str | None) -> None:
    """Have the person show that it is this database that he means; see confirm_environment."""
    confirm_environment(kata.environment(), given)


def confirm_environment(label: str | None, given: str | None) -> str | None:
    """Return the label, if the person knows it; at a terminal he is asked.

    Parameters
    ----------
    label : of the database, None where it has none
    given : what the person has given on the command line

    Raises
    ------
    KataError : the label was not given, or another one
    """
    if label is None or label == given:
        return label
    if given is None and sys.stdin.isatty() and sys.stderr.isatty():
        given = click.prompt(f'This database is labelled "{label}". Type the label to go on', err=True)
        if given == label:
            return label
    said = "no label was given" if given is None else f'the label was given as "{given}"'
    raise KataError(
        f'this database is labelled "{label}", and {said}',
        f'if it is the database that you mean, add --environment "{label}"',
    )
