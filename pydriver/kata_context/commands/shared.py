"""What commands share: the database that is meant, connections to it, contexts by what a person types."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import click
import psycopg
from psycopg.rows import namedtuple_row

from kata_context import config
from kata_context.cli import Settings
from kata_context.errors import KataError

Connection = psycopg.Connection[Any]

environment_option = click.option(
    "--environment", metavar="LABEL", help="The label of the database, if it has one: shows that you mean it."
)


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
def connect(dsn: str) -> Iterator[Connection]:
    """Open a connection of its own, for what the API does not tell; each statement is a transaction."""
    with closing(
        psycopg.connect(
            dsn, autocommit=True, prepare_threshold=None, row_factory=namedtuple_row, client_encoding="utf8",
            fallback_application_name="kata",
        )
    ) as connection:  # fmt: skip
        yield connection


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
