"""`kata history`, `at`, `checkpoint` and `checkpoints`: time travel."""

from typing import TYPE_CHECKING

import click

from kata_context.cli.commands.contexts import MESSAGE_COLUMNS, limit_option, pages
from kata_context.cli.database import open_context, open_kata, resolve, version_at
from kata_context.cli.parameters import SELECTOR, context_argument, refuse_surrogates
from kata_context.cli.terminal import (
    cell,
    json_option,
    moment,
    print_json,
    print_one,
    print_rows,
    print_table,
)
from kata_context.generated.rows import HistoryRow

if TYPE_CHECKING:
    from kata_context.types import Visibility


@click.command()
@context_argument
@limit_option
@click.option("--before", metavar="VERSION", help=f"Only rows before {SELECTOR}.")
@json_option
@click.pass_context
def history(ctx: click.Context, context: str, limit: int, before: str | None, as_json: bool) -> None:
    """List the messages and view changes of CONTEXT, newest first."""
    with open_context(ctx, context) as (kata, context_id):

        def page(cursor: int | None, rows: int) -> list[HistoryRow]:
            return kata.history(context_id, cursor, max_rows=rows)

        rows = list(pages(page, limit, version_at(kata, context_id, before), lambda row: row.version))
    print_rows(
        rows,
        as_json,
        [
            "version",
            "kind",
            "role",
            ("tokens", lambda row: row.token_count),
            ("view", lambda row: row.view_tokens),
            ("created", lambda row: moment(row.created_at)),
            ("checkpoints", lambda row: ", ".join(row.checkpoints)),
            ("text", lambda row: cell(row.preview)),
        ],
        empty="the context is empty",
    )


@click.command("at")
@context_argument
@click.argument("version")
@click.option(
    "--visibility", type=click.Choice(["effective", "raw", "all"]), default="effective", show_default=True,
    help="What a model saw; or the log without deleted messages; or the whole log.",
)  # fmt: skip
@json_option
@click.pass_context
def state_at(ctx: click.Context, context: str, version: str, visibility: "Visibility", as_json: bool) -> None:
    """Show CONTEXT as of VERSION: a version, head, head~3, a checkpoint, or an ISO 8601 timestamp."""
    with open_context(ctx, context) as (kata, context_id):
        at = version_at(kata, context_id, version)
        rows = kata.state_at(context_id, at, visibility=visibility)
    if as_json:
        print_json({"version": at, "messages": rows})
        return
    click.echo(f"as of version {at}", err=True)
    print_table(rows, MESSAGE_COLUMNS, empty="there were no messages")


@click.command()
@context_argument
@click.argument("name")
@click.option("--at", metavar="VERSION", help=f"Version to name: {SELECTOR}; default: head.")
@click.option("--note", help="Description to keep with the checkpoint.")
@click.option("--drop", is_flag=True, help="Drop the checkpoint.")
@json_option
@click.pass_context
def checkpoint(
    ctx: click.Context, context: str, name: str, at: str | None, note: str | None, drop: bool, as_json: bool
) -> None:
    """Give a version of CONTEXT a NAME, which every command takes in place of the version."""
    if drop and (at is not None or note is not None):
        raise click.UsageError("--drop takes neither --at nor --note")
    refuse_surrogates(name)
    with open_context(ctx, context) as (kata, context_id):
        if drop:
            version = version_at(kata, context_id, name)
            kata.drop_checkpoint(context_id, name)
        else:
            version = kata.checkpoint(context_id, name, at=version_at(kata, context_id, at), note=note)
    print_one({"name": name, "version": version, "dropped": drop}, as_json, version)


@click.command()
@context_argument
@json_option
@click.pass_context
def checkpoints(ctx: click.Context, context: str, as_json: bool) -> None:
    """List the checkpoints of CONTEXT, inherited ones included."""
    with open_kata(ctx) as kata:
        rows = kata.checkpoints(resolve(kata, context))
    print_rows(rows, as_json, ["name", "version", "created_at", "note"], empty="there are no checkpoints")
