"""`kata create`, `kata list` and `kata show`."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click

from kata_context import Kata
from kata_context.cli.database import open_context, open_kata, resolve, version_at
from kata_context.cli.parameters import Json, at_option, context_argument, refuse_surrogates
from kata_context.cli.terminal import (
    Columns,
    json_option,
    moment,
    preview,
    print_fields,
    print_json,
    print_one,
    print_rows,
    print_table,
)
from kata_context.cli.text import strip_control_characters
from kata_context.generated.rows import ContextRow, MessageRow

if TYPE_CHECKING:
    from kata_context.types import Visibility

T = TypeVar("T")

PAGE = 1000  # most rows per call
MESSAGE_COLUMNS: Columns = (
    "version",
    "role",
    ("tokens", lambda row: row.token_count),
    # Empty for an ordinary message.
    ("kind", lambda row: "pinned" if row.pinned else "" if row.kind == "message" else row.kind),
    ("text", lambda row: preview(row.content, row.tool_calls)),
)
limit_option = click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Number of rows."
)


@click.command()
@click.argument("name", required=False)
@click.option("--metadata", type=Json(), help="Object to keep with the context.")
@click.option("--policy", type=Json(), help="Fields of the compaction policy that differ from the defaults.")
@click.option("--preset", metavar="NAME", help="Preset that the policy patches.")
@click.option(
    "--tokenizer", default="o200k_base", show_default=True, metavar="NAME", help="Unit of the token budgets."
)
@click.option("--key", metavar="KEY", help="Idempotency key: a repeated call does nothing.")
@json_option
@click.pass_context
def create(
    ctx: click.Context, name: str | None, metadata: Any, policy: Any, preset: str | None, tokenizer: str,
    key: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Create an empty context, with or without a NAME, and print its id."""
    if name is not None:
        refuse_surrogates(name)
    with open_kata(ctx) as kata:
        context_id = kata.create_context(
            name, policy=policy, metadata=metadata, tokenizer=tokenizer, preset=preset, idempotency_key=key
        )
    print_one({"context_id": context_id, "name": name}, as_json, context_id)


@click.command("list")
@limit_option
@click.option("--after", metavar="CONTEXT", help="Only contexts that are older than this one.")
@click.option("--deleted", is_flag=True, help="Also list deleted contexts.")
@json_option
@click.pass_context
def list_contexts(ctx: click.Context, limit: int, after: str | None, deleted: bool, as_json: bool) -> None:
    """List contexts, newest first."""
    with open_kata(ctx) as kata:
        cursor = None if after is None else resolve(kata, after)

        def page(cursor: UUID | None, rows: int) -> list[ContextRow]:
            return kata.list_contexts(cursor, max_rows=rows, include_deleted=deleted)

        rows = list(pages(page, limit, cursor, lambda row: row.context_id))
    several = len({row.tenant for row in rows}) > 1
    columns: Columns = [
        "name",
        *(["tenant"] if several else []),
        ("messages", lambda row: row.message_count),
        ("tokens", lambda row: row.view_tokens),
        ("changed", lambda row: row.updated_at),
        ("state", state),
        "context_id",
    ]
    print_rows(rows, as_json, columns, empty="there are no contexts", flexible=0)


def state(row: ContextRow) -> str:
    """Return the state of a context in one word; empty for an ordinary one."""
    if row.deleted_at:
        return "deleted"
    if row.archived_at:
        return "archived"
    return f"{len(row.open_calls)} open" if row.open_calls else ""


@click.command()
@context_argument
@click.argument("version", required=False)
@click.option(
    "-n", "--messages", "limit", type=click.IntRange(min=0), default=20, show_default=True,
    help="Number of the newest messages.",
)  # fmt: skip
@click.option(
    "--visibility", type=click.Choice(["effective", "raw", "all"]), default="effective", show_default=True,
    help="What a model sees; or the log without deleted messages; or the whole log.",
)  # fmt: skip
@at_option
@json_option
@click.pass_context
def show(
    ctx: click.Context, context: str, version: str | None, limit: int, visibility: "Visibility",
    at: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Show CONTEXT and its newest messages, or the message at VERSION in full."""
    with open_context(ctx, context) as (kata, context_id):
        if version is not None:
            show_message(kata.get_message(context_id, version_at(kata, context_id, version)), as_json)
            return
        found = kata.get_context(context_id)
        messages = []
        if found.deleted_at is None:
            messages = newest(kata, context_id, limit, visibility, version_at(kata, context_id, at))
    if as_json:
        print_json({"context": found, "messages": messages})
        return
    print_fields((name.replace("_", " "), getattr(found, name)) for name in ContextRow.__slots__)
    if limit == 0:
        return
    click.echo()
    print_table(messages, MESSAGE_COLUMNS, empty="there are no messages")


def show_message(row: MessageRow, as_json: bool) -> None:
    """Print a message in full."""
    if as_json:
        print_json(row)
        return
    shown = [(name.replace("_", " "), getattr(row, name)) for name in MessageRow.__slots__]
    print_fields(
        (name, moment(value) if isinstance(value, datetime) else value)
        for name, value in shown
        if name != "content"
    )
    if row.content is not None:
        click.echo()
        click.echo(strip_control_characters(row.content))


def newest(
    kata: Kata, context_id: UUID, limit: int, visibility: "Visibility", at: int | None
) -> list[MessageRow]:
    """Return the newest messages, oldest first."""
    # Every page as of one version, also while others append.
    at = kata.usage(context_id).version if at is None else at

    def page(cursor: int | None, rows: int) -> list[MessageRow]:
        return kata.messages(context_id, cursor, max_rows=rows, descending=True, visibility=visibility, at=at)

    found = pages(page, limit, None, lambda row: row.position if visibility == "effective" else row.version)
    return list(found)[::-1]


def pages(
    page: Callable[[Any, int], list[T]], limit: int, cursor: Any, next_cursor: Callable[[T], Any]
) -> Iterator[T]:
    """Yield rows, page by page, up to a limit."""
    while limit > 0:
        rows = page(cursor, min(limit, PAGE))
        yield from rows
        if len(rows) < min(limit, PAGE):
            return
        limit -= len(rows)
        cursor = next_cursor(rows[-1])
