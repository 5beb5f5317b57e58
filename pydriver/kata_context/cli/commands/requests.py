"""`kata requests` and `kata replay`: the requests to models, and their bodies."""

import sys
from datetime import datetime, timezone
from pathlib import Path

import click

from kata_context.cli.commands.contexts import limit_option, pages
from kata_context.cli.commands.forks import age
from kata_context.cli.database import open_context, version_at
from kata_context.cli.parameters import SELECTOR, context_argument
from kata_context.cli.terminal import json_option, print_rows
from kata_context.cli.text import escape_control_characters
from kata_context.errors import KataError
from kata_context.generated.rows import RequestRow


@click.command()
@context_argument
@limit_option
@click.option("--before", type=int, metavar="ID", help="Only requests before this one.")
@click.option("--showing", metavar="VERSION", help=f"Only requests that showed {SELECTOR}.")
@json_option
@click.pass_context
def requests(
    ctx: click.Context, context: str, limit: int, before: int | None, showing: str | None, as_json: bool
) -> None:
    """List the recorded requests of CONTEXT, newest first: what was asked, what came, what it cost."""
    with open_context(ctx, context) as (kata, context_id):
        version = version_at(kata, context_id, showing)

        def page(cursor: int | None, rows: int) -> list[RequestRow]:
            return kata.requests(context_id, cursor, max_rows=rows, showing=version)

        rows = list(pages(page, limit, before, lambda row: row.request_id))
    now = datetime.now(timezone.utc)
    print_rows(
        rows,
        as_json,
        [
            ("id", lambda row: row.request_id),
            "at",
            "model",
            ("tokens", lambda row: row.token_count),
            ("messages", lambda row: row.message_count),
            ("answer", lambda row: row.answer_version),
            ("usage", used),
            ("age", lambda row: age(now, row.created_at)),
            "error",
        ],
        empty="there are no requests",
    )


def used(row: RequestRow) -> str:
    """Return the tokens that the provider reported."""
    reported = {
        "in": row.input_tokens,
        "cached": row.cached_tokens,
        "written": row.written_tokens,
        "out": row.output_tokens,
    }
    return ", ".join(f"{tokens:,} {name}" for name, tokens in reported.items() if tokens)


@click.command()
@context_argument
@click.argument("request_id", type=int, metavar="ID")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write the body to this file.",
)  # fmt: skip
@click.pass_context
def replay(ctx: click.Context, context: str, request_id: int, output: Path | None) -> None:
    """Print the body of request ID of CONTEXT again, byte for byte.

    A terminal gets control characters escaped. Exits with 1 if an entry in the body was erased, or if the
    body is not the one that was recorded.
    """
    with open_context(ctx, context) as (kata, context_id):
        found = kata.replay(context_id, request_id)
    if output:
        output.write_bytes(found.body.encode())
        click.echo(f"wrote {output}", err=True)
    elif sys.stdout.isatty():
        click.echo(escape_control_characters(found.body))
    else:
        click.echo(found.body.encode(), nl=False)
    if not found.is_same:
        raise KataError(
            f"this is not the body that request {request_id} recorded: stored data were changed",
            f"kata verify {context}",
        )
