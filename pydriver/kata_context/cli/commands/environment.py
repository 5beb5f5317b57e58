"""`kata environment`: the label of a database, which destructive commands require."""

import click

from kata_context.cli.database import announce, confirm_environment, connect
from kata_context.cli.parameters import environment_option
from kata_context.cli.terminal import json_option, print_json


@click.command()
@click.argument("label", required=False)
@click.option("--clear", is_flag=True, help="Remove the label.")
@environment_option
@json_option
@click.pass_context
def environment(
    ctx: click.Context, label: str | None, clear: bool, environment: str | None, as_json: bool
) -> None:
    """Show the environment label of the database, or set it to LABEL.

    Destructive commands such as `kata migrate down` require the label of a database that has one. To change
    or remove a label, give the current one with --environment.
    """
    if clear and label is not None:
        raise click.UsageError("give a LABEL or --clear, not both")
    with connect(announce(ctx).dsn) as connection:
        (current,) = connection.execute("select kata.environment()").fetchone() or (None,)
        new = "" if clear else label
        if new is not None:
            known = confirm_environment(current, environment) if current != new else current
            connection.execute("select kata.set_environment(%s, %s)", (new, known))
            current = new or None
    if as_json:
        print_json({"environment": current})
    else:
        click.echo(current or "the database has no label", err=current is None)
