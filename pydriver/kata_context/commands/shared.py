"""What commands share: the database that is meant, the driver on it, contexts by what is typed, input."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NoReturn, overload
from uuid import UUID

import click
import psycopg
from click.shell_completion import CompletionItem
from psycopg.rows import namedtuple_row

from kata_context import Kata, config
from kata_context.cli import Settings
from kata_context.connection import secured
from kata_context.errors import KataError

Connection = psycopg.Connection[Any]

COMPLETED = 1000  # contexts that completion looks through, the newest


def settings(ctx: click.Context) -> Settings:
    """Return the options that stand before the command."""
    found = ctx.find_root().obj
    assert isinstance(found, Settings)
    return found


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


# Contexts


def complete_context(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names and ids of contexts that begin so; a server that is down is left alone."""
    given = ctx.find_root().params
    try:
        target = config.choose(given.get("dsn"))
        if target.embedded:
            from kata_context.server import Server, default_home

            if not Server(default_home()).is_running():
                return []
        with Kata(target.dsn, tenant=given.get("tenant") or None, max_size=1, wait=2) as kata:
            rows = kata.list_contexts(max_rows=COMPLETED)
    except (KataError, psycopg.Error):
        return []
    named = [CompletionItem(row.name) for row in rows if row.name and row.name.startswith(incomplete)]
    ids = [row for row in rows if incomplete and str(row.context_id).startswith(incomplete.lower())]
    return named + [CompletionItem(str(row.context_id), help=row.name) for row in ids]


context_argument = click.argument("context", shell_complete=complete_context)

SELECTOR = "a version, head, head~3, a checkpoint, or an ISO 8601 timestamp"

at_option = click.option("--at", metavar="VERSION", help=f"As of then: {SELECTOR}.")


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


# Input


class Json(click.ParamType[Any]):
    """An option that is JSON."""

    name = "JSON"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it."""
        if not isinstance(value, str):
            return value
        try:
            return parse_json(value)
        except ValueError as error:
            self.fail(f"this is not JSON: {error}", param, ctx)


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that the database takes.

    Raises
    ------
    ValueError : it is none; the message is one line
    """
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise ValueError(f"{error.msg}, {place}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is no UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def read_text(source: Path | None) -> str:
    """Return what a file says, or standard input, as it is.

    Parameters
    ----------
    source : the file, None for standard input
    """
    data = sys.stdin.buffer.read() if source is None else source.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        where = "standard input" if source is None else str(source)
        raise KataError(
            f"{where} is not UTF-8: byte {error.start + 1} is {data[error.start]:#04x}",
            "convert it, with iconv for example",
        ) from None


def refuse_surrogates(text: str) -> str:
    """Refuse an argument that was no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise KataError("an argument is not UTF-8", "convert it, with iconv for example") from None
    return text


# Labels

environment_option = click.option(
    "--environment", metavar="LABEL", help="The label of the database, if it has one: shows that you mean it."
)


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
