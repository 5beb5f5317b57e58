"""Parameters of commands: contexts, versions, JSON, text, the label of a database."""

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any, NoReturn

import click
import psycopg
from click.shell_completion import CompletionItem

from kata_context import Kata, config
from kata_context.cli.settings import settings
from kata_context.errors import KataError
from kata_context.programs import PASSED

COMPLETED = 1000  # the newest contexts, which completion looks through


def complete_context(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names and ids of contexts that begin with a text; never starts a server."""
    given = ctx.find_root().params
    try:
        target = config.choose(given.get("dsn"))
        if target.embedded:
            from kata_context.embedded import Server, default_home

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

at_option = click.option("--at", metavar="VERSION", help=f"As of {SELECTOR}.")


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


class Command(click.ParamType[list[str]]):
    """An option that is a program and its arguments, as a shell splits them."""

    name = "CMD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """Split it; a mistyped one is refused before there is any work."""
        try:
            command = shlex.split(value)
        except ValueError as error:
            self.fail(f"{str(error).lower()}: {value}", param, ctx)
        if not command or shutil.which(command[0]) is None:
            self.fail(f"{command[0]} cannot be run" if command else "it is empty", param, ctx)
        PASSED.update(settings(ctx).pass_env if ctx else ())
        return command


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that the database takes.

    Raises
    ------
    ValueError : the text is not JSON; the message is one line
    """
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise ValueError(f"{error.msg}, {place}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def read_text(source: Path | None) -> str:
    """Return the text of a file, or of standard input.

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
    """Refuse an argument that was not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise KataError("an argument is not UTF-8", "convert it, with iconv for example") from None
    return text


environment_option = click.option(
    "--environment", metavar="LABEL", help="The label of the database, required if it has one."
)
