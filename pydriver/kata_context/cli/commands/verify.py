"""`kata verify` and `kata heads`: the integrity of the log, and evidence of it."""

import click

from kata_context.cli.database import open_kata, resolve
from kata_context.cli.parameters import complete_context
from kata_context.cli.terminal import json_option, print_rows
from kata_context.evidence import Lines, file_lines, findings


@click.command()
@click.argument("context", required=False, shell_complete=complete_context)
@click.option("--against", metavar="FILE", type=click.File(), help="Check a file of kata heads, too.")
@click.option("--jobs", metavar="N", type=click.IntRange(1, 64), default=1, help="Use N connections.")
@json_option
@click.pass_context
def verify(ctx: click.Context, context: str | None, against: Lines | None, jobs: int, as_json: bool) -> None:
    """Verify the log of CONTEXT, or of all contexts of the tenant; exits with 1 if it finds a problem."""
    with open_kata(ctx, jobs) as kata:
        rows = findings(kata, resolve(kata, context) if context else None, against, jobs)
    print_rows(rows, as_json, ["context_id", "version", "problem", "detail"], empty="sound")
    ctx.exit(bool(rows))


@click.command()
@click.pass_context
def heads(ctx: click.Context) -> None:
    """Print the digest of every context of the tenant, and a root over all: evidence to sign and keep."""
    with open_kata(ctx) as kata:
        click.echo("".join(file_lines(kata)), nl=False)
