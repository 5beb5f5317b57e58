"""`kata verify`: is the history what it was."""

import click

from kata_context.cli.database import open_kata, resolve
from kata_context.cli.parameters import complete_context
from kata_context.cli.terminal import json_option, print_rows


@click.command()
@click.argument("context", required=False, shell_complete=complete_context)
@json_option
@click.pass_context
def verify(ctx: click.Context, context: str | None, as_json: bool) -> None:
    """Check the history of CONTEXT, or of all contexts of the tenant; exits with 1 where it is not sound.

    Versions, totals, groups and digests are computed anew from every message, so a large store takes a while.
    """
    with open_kata(ctx) as kata:
        rows = kata.verify(None if context is None else resolve(kata, context))
    print_rows(rows, as_json, ["context_id", "version", "problem", "detail"], empty="sound")
    if rows:
        ctx.exit(1)
