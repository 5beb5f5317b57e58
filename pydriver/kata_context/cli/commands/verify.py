"""`kata verify`: the integrity of the log."""

import click

from kata_context.cli.database import open_kata, resolve
from kata_context.cli.parameters import complete_context
from kata_context.cli.terminal import json_option, print_rows


@click.command()
@click.argument("context", required=False, shell_complete=complete_context)
@json_option
@click.pass_context
def verify(ctx: click.Context, context: str | None, as_json: bool) -> None:
    """Verify the log of CONTEXT, or of all contexts of the tenant; exits with 1 if it finds a problem.

    It recomputes versions, totals, groups and digests from every message, so a large store takes a while.
    """
    with open_kata(ctx) as kata:
        rows = kata.verify(None if context is None else resolve(kata, context))
    print_rows(rows, as_json, ["context_id", "version", "problem", "detail"], empty="sound")
    if rows:
        ctx.exit(1)
