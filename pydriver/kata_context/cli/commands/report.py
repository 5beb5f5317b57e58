"""`kata report`: a page to look at."""

from pathlib import Path

import click

from kata_context.cli.commands.window import budget_argument
from kata_context.cli.database import open_context, version_at
from kata_context.cli.parameters import at_option, context_argument


@click.command()
@context_argument
@budget_argument
@at_option
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE",
    help="The page to write.",
)  # fmt: skip
@click.pass_context
def report(ctx: click.Context, context: str, budget: int | None, at: str | None, output: Path) -> None:
    """Write a page about CONTEXT: its family, its log, and what a model sees within BUDGET tokens.

    The page is one HTML file without scripts. The default of BUDGET is that of the policy.
    """
    from kata_context.contrib.report import report as pieces

    with open_context(ctx, context) as (kata, context_id):
        page = pieces(kata, context_id, at=version_at(kata, context_id, at), budget=budget)
        # A context that is not there leaves no file.
        first = next(page)
        with output.open("w", encoding="utf-8") as file:
            file.write(first)
            file.writelines(page)
    click.echo(f"wrote {output}")
