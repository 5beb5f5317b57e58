"""`kata status`: the database in use, and its state."""

import click
from psycopg import errors

from kata_context import __version__, config, migrate
from kata_context.cli.database import connect
from kata_context.cli.exit_codes import NOT_MIGRATED, UNREACHABLE
from kata_context.cli.settings import settings
from kata_context.cli.terminal import json_option, print_fields, print_json
from kata_context.errors import KataError


@click.command()
@json_option
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show the database in use, and its state; starts nothing.

    Exits with 3 if the embedded server does not run, with 4 if the database is not migrated to this version.
    """
    given = settings(ctx)
    target = config.choose(given.dsn)
    click.echo(f"database: {target.description}", err=True)
    found: dict[str, object] = {"database": target.description, "embedded": target.embedded, "running": True}
    found["package"] = __version__
    unknown = ("server", "migrated", "up_to_date", "environment", "tenant", "contexts", "entries")
    found |= dict.fromkeys(unknown)
    code = 0
    if target.embedded and not _is_running():
        found["running"], code = False, UNREACHABLE
    else:
        with connect(target.dsn) as connection:
            found["server"] = connection.info.parameter_status("server_version")
            try:
                with connection.transaction():
                    connection.execute("select set_config('kata.tenant', %s, true)", (given.tenant or "",))
                    row = connection.execute(
                        """
                        select kata.version() as migrated, kata.environment() as environment,
                          kata.current_tenant() as tenant, kata.stats() as stats"""
                    ).fetchone()
                assert row is not None
                own = row.stats.values()
                found |= {
                    "migrated": row.migrated,
                    "environment": row.environment,
                    "tenant": row.tenant,
                    "contexts": sum(one["live"] for one in own),
                    "entries": sum(one["entries"] for one in own),
                }
            except (errors.InvalidSchemaName, errors.UndefinedFunction):
                code = NOT_MIGRATED
            try:
                found["up_to_date"] = migrate.status(target.dsn).up_to_date
            except KataError as error:
                # Only administrators may read the migration history; for others the version has to do.
                if not isinstance(error.__cause__, errors.InsufficientPrivilege):
                    raise
        if found["up_to_date"] is False:
            code = NOT_MIGRATED
    if as_json:
        print_json(found)
    else:
        print_fields((name.replace("_", " "), value) for name, value in found.items())
    if code == NOT_MIGRATED:
        click.echo("hint: kata migrate", err=True)
    elif code == UNREACHABLE:
        click.echo("hint: kata up", err=True)
    ctx.exit(code)


def _is_running() -> bool:
    from kata_context.embedded import Server, default_home

    return Server(default_home()).is_running()
