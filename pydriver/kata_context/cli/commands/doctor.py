"""`kata doctor`: checks of the database, each problem with advice."""

from collections.abc import Iterator
from dataclasses import dataclass

import click
from psycopg import errors, sql

from kata_context import __version__, migrate
from kata_context.cli.database import Connection, announce, connect
from kata_context.cli.problems import explain
from kata_context.cli.settings import settings
from kata_context.cli.terminal import json_option, print_json
from kata_context.driver.transport import OLDEST_SERVER, is_local
from kata_context.errors import KataError

OK, WARNING, PROBLEM = "ok", "warning", "problem"
COLORS = {OK: "green", WARNING: "yellow", PROBLEM: "red"}
GROUPS = ("kata_reader", "kata_writer", "kata_admin", "kata_service")
OWNERS = ("kata_owner", "kata_eraser")
CROWDED, FULL = 0.8, 0.95  # shares of the connections that a server allows
LONG_SECONDS = 300
FAILING = "see why: kata compactions --failing"
GRANT = "grant kata_reader, or more, to the role"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing examined.

    Parameters
    ----------
    topic, name : the thing examined
    value : the finding: a text, a number, a list or None
    level : ok, warning, problem
    advice : the remedy, or None
    """

    topic: str
    name: str
    value: str | int | list[str] | None
    level: str = OK
    advice: str | None = None


def judge(
    topic: str, name: str, value: str | int | list[str] | None, wrong: bool, advice: str, level: str = PROBLEM
) -> Check:
    """Return a check, of this level and with this advice if something is wrong."""
    return Check(topic, name, value, level if wrong else OK, advice if wrong else None)


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Examine the database; exits with 1 where there is a problem.

    Shows versions, pending migrations, functions changed by hand, connections against their limits, roles and
    their members, timeouts and the environment label. It changes nothing.
    """
    target = announce(ctx)
    checks = list(examine(target.dsn, settings(ctx).tenant))
    counts = {level: sum(check.level == level for check in checks) for level in (PROBLEM, WARNING)}
    if as_json:
        found = {"problems": counts[PROBLEM], "warnings": counts[WARNING], "checks": checks}
        print_json({"database": target.description, **found})
    else:
        show(checks)
        click.echo(f"problems: {counts[PROBLEM]}, warnings: {counts[WARNING]}", err=True)
    if counts[PROBLEM]:
        ctx.exit(1)


def show(checks: list[Check]) -> None:
    """Print the checks under their topics."""
    width = max(len(check.name) for check in checks)
    topic = ""
    for check in checks:
        if check.topic != topic:
            topic = check.topic
            click.secho(topic, bold=True)
        value = ", ".join(check.value) if isinstance(check.value, list) else check.value
        mark = click.style(f"{check.level:8}", fg=COLORS[check.level])
        click.echo(f"  {mark} {check.name.ljust(width)}  {'none' if value in (None, '') else value}")
        if check.advice:
            click.echo(f"  {'':8} {'':{width}}  → {check.advice}")


def examine(dsn: str, tenant: str | None) -> Iterator[Check]:
    """Yield every check."""
    with connect(dsn) as connection:
        yield from versions(connection)
        yield from schema(dsn)
        yield from session(connection, tenant)
        yield from connections(connection)
        yield from timeouts(connection)
        yield from roles(connection)


def versions(connection: Connection) -> Iterator[Check]:
    """Versions of package, server and installed functions."""
    topic = "versions"
    yield Check(topic, "package", __version__)
    server = connection.info.parameter_status("server_version") or str(connection.info.server_version)
    too_old = connection.info.server_version < OLDEST_SERVER * 10000
    yield judge(topic, "server", server, too_old, f"upgrade to PostgreSQL {OLDEST_SERVER} or newer")
    try:
        carried = ask(connection, "select kata.version()")
    except (errors.InvalidSchemaName, errors.UndefinedFunction):
        yield Check(topic, "database", None, PROBLEM, "install Kata Context: kata migrate")
        return
    except errors.InsufficientPrivilege:
        yield Check(topic, "database", "not for this role", PROBLEM, GRANT)
        return
    advice = "bring package and database to one version: kata migrate, or upgrade the package"
    yield judge(topic, "database", carried, carried != __version__, advice, WARNING)


def schema(dsn: str) -> Iterator[Check]:
    """Migrations, functions, drift and the label, read as the runner reads them."""
    topic = "schema"
    try:
        found = migrate.status(dsn)
        label = migrate.read_environment(dsn)
    except KataError as error:
        problem = explain(error)
        refused = isinstance(error.__cause__, errors.InsufficientPrivilege)
        reason = "not for this role to read" if refused else problem.message if problem else str(error)
        yield Check(topic, "migrations", reason, WARNING if refused else PROBLEM, error.hint)
        return
    latest = [migration.name for migration in found.migrations if migration.state == "applied"][-1:]
    yield Check(topic, "latest migration", latest[0] if latest else None)
    for state, level, advice in (
        ("pending", PROBLEM, "apply them: kata migrate"),
        ("skipped", WARNING, "install the extension that they need, then: kata migrate"),
        ("edited", PROBLEM, "put the files back as they were, by reinstalling the package"),
        ("missing", PROBLEM, "put the files back as they were, by reinstalling the package"),
        ("newer", PROBLEM, "upgrade the package: the database is ahead of it"),
    ):
        names = [migration.name for migration in found.migrations if migration.state == state]
        if names or state == "pending":
            yield judge(topic, f"{state} migrations", names, bool(names), advice, level)
    pending = [step.name for step in found.functions if step.action in ("installed", "dropped")]
    yield judge(topic, "pending function files", len(pending), bool(pending), "install them: kata migrate")
    if moved := [step.name for step in found.functions if step.action == "moved"]:
        yield Check(topic, "moved function files", len(moved), advice="record their paths: kata migrate")
    drift = [f"{one.name} {one.state}" for one in found.drift]
    advice = "kata migrate up --reinstall restores what was changed; drop what is unknown"
    yield judge(topic, "drift", drift, bool(drift), advice)
    yield Check(topic, "environment", label)


def session(connection: Connection, tenant: str | None) -> Iterator[Check]:
    """Current role, tenant and transport."""
    topic = "session"
    row = connection.execute(
        """
        select current_user::text as role, r.rolsuper as superuser, pg_is_in_recovery() as standby,
          pg_backend_pid() as pid
        from pg_roles r
        where r.rolname = current_user
        """
    ).fetchone()
    assert row is not None
    yield Check(topic, "role", f"{row.role}, superuser" if row.superuser else row.role)
    try:
        with connection.transaction():
            connection.execute("select set_config('kata.tenant', %s, true)", (tenant or "",))
            acts_for = ask(connection, "select kata.current_tenant()")
            failing = ask(connection, "select count(*) from kata.failing_compactions(1000)")
        yield Check(topic, "tenant", acts_for)
        yield judge(topic, "failing compactions", failing, bool(failing), FAILING, WARNING)
    except (errors.InvalidSchemaName, errors.UndefinedFunction, errors.InsufficientPrivilege):
        yield Check(topic, "tenant", None, WARNING, "see the versions above")
    # Up to the next hop, which may be a pooler.
    host = connection.info.hostaddr or connection.info.host
    on_socket = "a socket of this machine" if host.startswith("/") else "plain text"
    way = "encrypted" if connection.pgconn.ssl_in_use else on_socket
    plain = way == "plain text" and not is_local({"host": host})
    yield judge(topic, "transport", way, plain, "require encryption: sslmode=require in the URL")
    # Behind a pooler the process in the greeting of the protocol is not the one that answers.
    pooled = row.pid != connection.info.backend_pid
    yield Check(topic, "pooler", "yes; migrations need the URL of the server" if pooled else "no")
    if row.standby:
        yield Check(topic, "standby", "read-only", WARNING, "use the URL of the primary to write")


def connections(connection: Connection) -> Iterator[Check]:
    """Connections against the limits of server, database and role."""
    topic = "connections"
    row = connection.execute(
        """
        with client as (
          select a.datname, a.usename, a.state, a.xact_start
          from pg_stat_activity a
          -- A role without pg_read_all_stats sees database and role of other sessions, but no backend type.
          where a.datname is not null and a.usename is not null
            and coalesce(a.backend_type, 'client backend') = 'client backend'
        )
        select count(*) as used,
          current_setting('max_connections')::integer
            - current_setting('superuser_reserved_connections')::integer
            - coalesce(current_setting('reserved_connections', true)::integer, 0) as server_limit,
          count(*) filter (where c.datname = current_database()) as in_database,
          (select d.datconnlimit from pg_database d where d.datname = current_database()) as database_limit,
          count(*) filter (where c.usename = current_user) as of_role,
          (select r.rolconnlimit from pg_roles r where r.rolname = current_user) as role_limit,
          count(*) filter (where c.state = 'active') as active,
          count(*) filter (where c.state = 'idle') as idle,
          count(*) filter (where starts_with(c.state, 'idle in transaction')) as idle_in_transaction,
          coalesce(extract(epoch from clock_timestamp() - min(c.xact_start)), 0)::integer as oldest_seconds
        from client c
        """
    ).fetchone()
    assert row is not None
    for name, used, limit in (
        ("server", row.used, row.server_limit),
        ("database", row.in_database, row.database_limit),
        ("role", row.of_role, row.role_limit),
    ):
        if limit < 0:
            yield Check(topic, name, f"{used}, no limit")
            continue
        level = OK if used < CROWDED * limit else WARNING if used < FULL * limit else PROBLEM
        advice = "close idle clients, lower the pools, or put a pooler between" if level != OK else None
        yield Check(topic, name, f"{used} of {limit}", level, advice)
    yield Check(topic, "active", row.active)
    yield Check(topic, "idle", row.idle)
    yield Check(topic, "idle in transaction", row.idle_in_transaction)
    advice = "end it: it keeps vacuum from cleaning up behind every append"
    is_long = row.oldest_seconds > LONG_SECONDS
    yield judge(topic, "oldest transaction", f"{row.oldest_seconds} s", is_long, advice, WARNING)


def timeouts(connection: Connection) -> Iterator[Check]:
    """Timeouts of the server for clients that set none."""
    rows = connection.execute(
        """
        select s.name, s.setting::bigint as setting, current_setting(s.name) as shown
        from pg_settings s
        where s.name in ('idle_in_transaction_session_timeout', 'idle_session_timeout', 'lock_timeout',
          'statement_timeout', 'transaction_timeout')
        order by s.name
        """
    )
    for row in rows:
        risky = row.name == "idle_in_transaction_session_timeout" and row.setting == 0
        role = sql.Identifier(connection.info.user).as_string(connection)
        advice = f"clients that hang keep their locks: alter role {role} set {row.name} = '1min'"
        shown = "off" if row.setting == 0 else row.shown
        yield judge("timeouts", row.name, shown, risky, advice, WARNING)


def roles(connection: Connection) -> Iterator[Check]:
    """Group roles, their members, and the groups of the current role."""
    topic = "roles"
    rows = connection.execute(
        """
        select g.rolname::text as name, g.rolcanlogin or g.rolsuper or g.rolbypassrls as is_more,
          array(
            select m.rolname::text
            from pg_auth_members a
            join pg_roles m on m.oid = a.member
            where a.roleid = g.oid and not starts_with(m.rolname, 'kata_')
            order by m.rolname) as members
        from pg_roles g
        where g.rolname = any (%s)
        """,
        ([*GROUPS, *OWNERS],),
    ).fetchall()
    found = {row.name: row for row in rows}
    for group in (*GROUPS, *OWNERS):
        row = found.get(group)
        if row is None:
            yield Check(topic, group, "missing", PROBLEM, "kata migrate creates it")
        elif row.is_more:
            yield Check(
                topic, group, "can log in, or is above row-level security", PROBLEM,
                f"alter role {group} nologin nosuperuser nobypassrls",
            )  # fmt: skip
        else:
            many = group in OWNERS and len(row.members) > 1
            advice = f"they can change history: revoke {group} from all except the role that migrates"
            yield judge(topic, f"members of {group}", row.members, many, advice, WARNING)
    if not found.keys() >= set(GROUPS):
        return
    own = ask(
        connection,
        """
        select array_agg(g.name order by g.ordinality) from unnest(%s::text[]) with ordinality g(name)
        where pg_has_role(g.name, 'usage')""",
        (list(GROUPS),),
    )
    yield judge(topic, "this role has the rights of", own or [], not own, GRANT)


def ask(connection: Connection, query: str, parameters: tuple[object, ...] = ()) -> str | list[str] | None:
    """Return the one value of a query."""
    row = connection.execute(query.encode(), parameters).fetchone()
    value: str | list[str] | None = row[0] if row else None
    return value
