"""Output of commands: rows as JSON for programs, as a table for people."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import click
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from kata_context.cli.text import cut, escape_control_characters, one_line, pad, text_width

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
Columns = Sequence[str | tuple[str, Callable[[Any], object]]]
PIPED_WIDTH = 160  # columns, where standard output is not a terminal


def print_json(value: object) -> None:
    """Print a value as JSON: rows as objects, times in ISO 8601, bytes in hex, ids and ranges as text."""
    # An encoding other than UTF-8 may lack a character; JSON can escape it.
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    indent = 2 if sys.stdout.isatty() else None
    click.echo(
        escape_control_characters(
            json.dumps(value, default=_plain, ensure_ascii=not is_unicode, indent=indent)
        )
    )


def _plain(value: Any) -> object:
    if is_dataclass(value):
        # Not asdict, which copies deeply what json walks through anyway.
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, UUID | Range | Multirange | timedelta):
        return str(value)
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(f"{type(value).__name__} is not JSON")


def print_table(rows: Iterable[Any], columns: Columns, empty: str, *, flexible: int = -1) -> None:
    """Print rows for people: one line per row, numbers to the right, one column cut to fit.

    Parameters
    ----------
    columns : names of attributes, or pairs of a heading and what makes the cell from the row
    empty : what is printed on standard error where there is no row
    flexible : the place of the column that is cut
    """
    headings = [column if isinstance(column, str) else column[0] for column in columns]
    values = [
        [getattr(row, column) if isinstance(column, str) else column[1](row) for column in columns]
        for row in rows
    ]
    if not values:
        click.echo(empty, err=True)
        return
    cells = [[cell(value) for value in row] for row in values]
    is_number = [
        all(value is None or (isinstance(value, int) and not isinstance(value, bool)) for value in column)
        for column in zip(*values, strict=True)
    ]
    widths = [max(map(text_width, column)) for column in zip(headings, *cells, strict=True)]
    left = screen_width() - sum(widths) + widths[flexible] - 2 * (len(widths) - 1)
    widths[flexible] = min(widths[flexible], max(left, 20))
    for line, row in enumerate([headings, *cells]):
        row = [*row]
        row[flexible] = cut(row[flexible], widths[flexible])
        padded = [pad(*item) for item in zip(row, widths, is_number, strict=True)]
        click.secho("  ".join(padded).rstrip(), bold=line == 0)


def print_rows(
    rows: Sequence[Any], as_json: bool, columns: Columns, empty: str, *, flexible: int = -1
) -> None:
    """Print rows, as JSON for programs or as a table for people; see print_table."""
    if as_json:
        print_json(rows)
    else:
        print_table(rows, columns, empty, flexible=flexible)


def print_one(value: object, as_json: bool, text: object) -> None:
    """Print a value as JSON for programs, or a text for people."""
    if as_json:
        print_json(value)
    else:
        click.echo(text)


def print_fields(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one per line; names without a value are left out."""
    shown = [(name, cell(value)) for name, value in pairs if value not in (None, [], {}, "")]
    width = max(len(name) for name, _ in shown)
    for name, text in shown:
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {text}")


class Drawn(str):
    """A cell that keeps its spaces; text of users in it is on one line already."""


def cell(value: object) -> str:
    """Return a value as people read it, on one line."""
    if isinstance(value, Drawn):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone().isoformat(sep=" ", timespec="seconds")
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value))
    if isinstance(value, dict):
        return one_line(json.dumps(value, ensure_ascii=False))
    return one_line(str(value))


def moment(value: datetime) -> str:
    """Return a time to the microsecond and in one word, so that --at finds the version that it belongs to."""
    return value.astimezone().isoformat(timespec="microseconds")


def preview(content: str | None, calls: Sequence[dict[str, Any]] | None = None) -> str:
    """Return the start of a message on one line, its tool calls after it."""
    made = [call.get("function") or call["custom"] for call in calls or []]
    called = " ".join(f"→ {it['name']}({cut(it.get('arguments') or it.get('input', ''), 60)})" for it in made)
    return " ".join(filter(None, [one_line((content or "")[:500]), one_line(called)]))


def screen_width() -> int:
    """Return the columns that a line may have."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPED_WIDTH
