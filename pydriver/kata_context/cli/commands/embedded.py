"""`kata up`, `kata down` and `kata psql`."""

import os

import click
from psycopg.conninfo import make_conninfo

from kata_context import migrate
from kata_context.cli.database import announce, connect
from kata_context.cli.settings import settings
from kata_context.cli.terminal import json_option, print_one
from kata_context.driver.route import refuse_tenant
from kata_context.driver.transport import checked_tenant, escaped, secured
from kata_context.embedded import Server, default_home, find_psql


@click.command()
@json_option
@click.pass_context
def up(ctx: click.Context, as_json: bool) -> None:
    """Start the embedded server, migrate its database, and print its DSN."""
    server = Server(default_home())
    dsn = server.start()
    click.echo(f"the embedded server runs; its data are in {server.home}", err=True)
    migrate.up(dsn)
    if settings(ctx).dsn or os.environ.get("DATABASE_URL"):
        elsewhere = "--dsn is given" if settings(ctx).dsn else "DATABASE_URL is set"
        click.echo(f"{elsewhere}: other commands use that database, not this server", err=True)
    print_one({"dsn": dsn, "home": str(server.home)}, as_json, dsn)


@click.command()
def down() -> None:
    """Stop the embedded server and keep its data."""
    server = Server(default_home())
    stopped = server.stop()
    click.echo(f"the embedded server {'stopped' if stopped else 'was not running'}: {server.home}", err=True)


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def psql(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Open psql on the database, with ARGUMENTS of psql."""
    target = announce(ctx)
    program = find_psql()
    # Every account of the machine can read command lines, so the password goes into the environment.
    parts = {name: value for name, value in secured(target.dsn)[0].items() if name != "client_encoding"}
    if (tenant := settings(ctx).tenant) is not None:
        setting = escaped(checked_tenant(tenant))
        parts["options"] = f"{parts.get('options', '')} -c kata.tenant={setting}".strip()
        with connect(make_conninfo(**parts)) as connection:
            refuse_tenant(connection.execute("select kata.current_tenant()").fetchone(), tenant)
    password = {"PGPASSWORD": parts.pop("password")} if "password" in parts else {}
    os.execve(program, [program, "-d", make_conninfo(**parts), *arguments], os.environ | password)
