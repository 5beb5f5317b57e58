"""`kata export`: a fork family, or all of a tenant, as an archive; or a context in the form of a provider."""

import sys
from pathlib import Path
from typing import Literal

import click

from kata_context import config
from kata_context.cli.database import connect, open_kata, resolve
from kata_context.cli.parameters import complete_context
from kata_context.cli.settings import settings
from kata_context.cli.terminal import print_json

EVERYTHING = 2**31 - 1  # tokens, more than any context holds


@click.command()
@click.argument("context", required=False, shell_complete=complete_context)
@click.option("--family", "scope", flag_value="family", default=True, help="The family of CONTEXT.")
@click.option("--tenant", "scope", flag_value="tenant", help="All families of the tenant.")
@click.option(
    "--format", "form", type=click.Choice(["openai", "anthropic"]),
    help="Print what a model sees of CONTEXT as the body of a request, instead of an archive.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="The archive to write, instead of standard output.",
)  # fmt: skip
@click.pass_context
def export(
    ctx: click.Context,
    context: str | None,
    scope: str,
    form: Literal["openai", "anthropic"] | None,
    output: Path | None,
) -> None:
    """Export the fork family of CONTEXT, or all families of the tenant, to an archive for kata import.

    The archive is lossless: ids, versions, times, digests, views and receipts come back as they were.
    It holds salts, so the command needs the role kata_admin; keep the file as you keep the database.
    """
    from kata_context.archive import write_archive

    if (context is None) == (scope == "family"):
        raise click.UsageError("name either a CONTEXT or --tenant, not both")
    with open_kata(ctx) as kata:
        context_id = resolve(kata, context, deleted=form is None) if context else None
        if form and context_id:
            messages = kata.prompt(context_id, EVERYTHING, form)
            print_json({"messages": messages} if form == "openai" else messages)
            return
        with connect(config.resolve(settings(ctx).dsn).dsn) as connection:
            if output is None:
                write_archive(kata, connection, sys.stdout.buffer, context_id)
                return
            # An earlier file stays until the archive is complete.
            part = output.with_name(f"{output.name}.part")
            with part.open("wb") as file:
                families = write_archive(kata, connection, file, context_id)
            part.replace(output)
    click.echo(f"wrote {output}: {families:,} {'family' if families == 1 else 'families'}")
