"""The connection of the runner: to a suitable server, with the rights it needs, one runner at a time."""

import re
import select
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import conninfo, errors, sql
from psycopg.rows import TupleRow

from kata_context.driver.transport import OLDEST_SERVER, secured
from kata_context.errors import KataError
from kata_context.migrate.files import OWNER, SqlFile, split_statements

Connection = psycopg.Connection[TupleRow]

# The one runner holds this name: a schema that its guard creates and never commits. A session needs the
# privilege CREATE on the database to take it.
GUARD = "kata_migrating"
_IS_GUARDED = f"select exists (select from pg_namespace n where n.nspname = '{GUARD}')"
# Postgres does not show which session made an uncommitted schema; its name and its transaction do.
_HOLDER = """
select format('process %s, connected since %s', a.pid,
  coalesce(date_trunc('second', a.backend_start)::text, 'unknown'))
from pg_stat_activity a
join pg_locks l on l.pid = a.pid and l.locktype = 'transactionid' and l.granted
where a.datname = current_database() and a.pid <> pg_backend_pid()
  and a.application_name = 'kata migrate: guard'
limit 1"""
_HAS_HISTORY = """exists (
  select
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'kata_data' and c.relname = 'migration')"""
# These override the settings of client, role and database, for the runner and for the bundle: the same bytes
# make the same functions, and a function is compared by the text that Postgres prints of it.
READING = {
    "search_path": "",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "escape_string_warning": "off",
    "backslash_quote": "safe_encoding",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "quote_all_identifiers": "off",
    "row_security": "on",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
}
# A migration may take long.
_SETTINGS = READING | {
    "check_function_bodies": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "idle_in_transaction_session_timeout": "0",
    "statement_timeout": "0",
    "transaction_timeout": "0",
}

# For the connection of the runner: its process, and the connection that keeps others out.
_guards: "WeakKeyDictionary[Connection, tuple[int, Connection]]" = WeakKeyDictionary()


@contextmanager
def connect_reader(dsn: str) -> Iterator[Connection]:
    """Open a connection that reads in one transaction, thus one snapshot; a pooler may be in between.

    Raises
    ------
    KataError : the server is unreachable or too old, or the role may not read the migration history
    """
    with _connect(dsn) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            _configure(connection, local=True)
            yield connection


@contextmanager
def _connect(dsn: str) -> Iterator[Connection]:
    """Open a connection; errors of Postgres are raised as KataError."""
    parameters, _ = secured(dsn)
    try:
        with closing(
            psycopg.connect(
                autocommit=True,
                prepare_threshold=None,
                **{
                    "connect_timeout": 10,
                    "fallback_application_name": "kata migrate",
                    **parameters,
                },
            )
        ) as connection:
            if connection.info.server_version < OLDEST_SERVER * 10000:
                version = connection.info.parameter_status("server_version")
                raise KataError(f"PostgreSQL {version} is too old: {OLDEST_SERVER} or newer is needed")
            encoding = connection.info.parameter_status("server_encoding")
            if encoding not in ("UTF8", None):  # a pooler may leave it out
                raise KataError(
                    f"the database {connection.info.dbname} has the encoding {encoding}: UTF8 is needed",
                    "create one: create database NAME encoding 'UTF8' template template0",
                )
            yield connection
    except errors.InsufficientPrivilege as error:
        raise KataError(
            explain(error)[0], "use the role that installed Kata Context, or a superuser"
        ) from error
    except psycopg.Error as error:
        raise KataError(*explain(error)) from error


def _configure(connection: Connection, *, local: bool) -> None:
    for name, setting in _SETTINGS.items():
        connection.execute(
            "select set_config(s.name, %s, %s) from pg_catalog.pg_settings s where s.name = %s",
            (setting, local, name),
        )


@contextmanager
def connect_runner(dsn: str, wait: float) -> Iterator[Connection]:
    """Open the connection of the one runner, which holds the lock until it is closed.

    Parameters
    ----------
    wait : seconds to wait for another runner

    Raises
    ------
    KataError : as for reading; or a transaction pooler is in between, the server is a standby, the role
        lacks rights, another runner took too long
    """
    with _connect(dsn) as connection:
        # First: behind such a pooler, a setting would change sessions of other clients.
        _refuse_transaction_pooler(connection, dsn)
        _configure(connection, local=False)
        if value(connection, "select pg_is_in_recovery()"):
            raise KataError("the server is a read-only standby", "use the URL of the primary")
        _refuse_lack_of_rights(connection)
        with _connect(dsn) as guard:
            _configure(guard, local=False)
            _take_lock(guard, wait)
            _guards[connection] = value(connection, "select pg_backend_pid()"), guard
            yield connection


@contextmanager
def transaction(connection: Connection, lock_timeout: str) -> Iterator[None]:
    """Open a transaction; refuse if a pooler moved it to a session without the lock."""
    with connection.transaction():
        connection.execute("select set_config('lock_timeout', %s, true)", (lock_timeout,))
        pid, guard = _guards[connection]
        if value(connection, "select pg_backend_pid()") != pid or not value(guard, _IS_GUARDED):
            raise KataError(
                "a pooler moved the migration to another session", "use the URL of the server itself"
            )
        yield


def value(connection: Connection, query: str, parameters: Sequence[object] | None = None) -> Any:
    """Return the first column of the first row, or None."""
    row = connection.execute(query.encode(), parameters).fetchone()
    return row[0] if row else None


def has_history(connection: Connection) -> bool:
    """Return whether a migration history exists; to_regclass would fail for a role without privileges."""
    return bool(value(connection, f"select {_HAS_HISTORY}"))


def literal(text: str) -> str:
    """Quote a string for SQL."""
    return "'" + text.replace("'", "''") + "'"


def explain(error: psycopg.Error, body: bytes = b"") -> tuple[str, str | None]:
    """Return an error of Postgres in one line, with the line of the file if it is known, and its hint."""
    message = error.diag.message_primary or " ".join(str(error).split()) or "the connection was lost"
    if body and error.diag.statement_position:
        before = body.decode()[: int(error.diag.statement_position) - 1]
        message = f"line {before.count(chr(10)) + 1}: {message}"
    if error.diag.message_detail:
        message += f" ({' '.join(error.diag.message_detail.split())})"
    return message, error.diag.message_hint


@contextmanager
def naming(connection: Connection, file: SqlFile, outcome: str) -> Iterator[None]:
    """Name the file in errors of the transaction or savepoint inside, and the sessions that block its locks.

    Those are the sessions that hold locks on our tables, the oldest transaction first.

    Parameters
    ----------
    outcome : the state of the database after a failure
    """
    try:
        yield
    except errors.LockNotAvailable as error:
        holders = value(
            connection,
            """
            select string_agg(h.holder, '; ')
            from (
              select format('process %s of %s, transaction open since %s', a.pid,
                coalesce(nullif(a.application_name, ''), a.usename, 'an unknown role'),
                coalesce(date_trunc('second', a.xact_start)::text, 'unknown')) as holder
              from pg_stat_activity a
              where a.pid <> pg_backend_pid()
                and exists (
                  select
                  from pg_locks l
                  join pg_class c on c.oid = l.relation
                  join pg_namespace n on n.oid = c.relnamespace
                  where l.pid = a.pid and l.granted and n.nspname in ('kata', 'kata_data')
                    and l.database = (select d.oid from pg_database d where d.datname = current_database()))
              order by a.xact_start
              limit 3
            ) h
            """,
        )
        raise KataError(
            f"{file.name} timed out waiting for locks, held by {holders or 'a session that has since ended'}",
            f"{outcome}; wait for that transaction or end it, then run again",
        ) from error
    except psycopg.Error as error:
        message, hint = explain(error, file.body)
        raise KataError(
            f"{file.name} failed: {message}", f"{outcome}; {hint or 'remove the cause, then run again'}"
        ) from error


def unmet(
    connection: Connection, file: SqlFile, *, create: bool = False, dry_run: bool = False
) -> str | None:
    """Return the reason why a file cannot run for lack of an extension, or None.

    Parameters
    ----------
    create : create the extensions that are available but not created
    dry_run : treat available extensions as created
    """
    for extension in file.extensions:
        if value(connection, "select true from pg_extension e where e.extname = %s", (extension,)):
            continue
        if not value(
            connection, "select true from pg_available_extensions a where a.name = %s", (extension,)
        ):
            return f"extension {extension} is not available on this server"
        if create:
            try:
                with connection.transaction():
                    connection.execute("set local search_path = public")
                    connection.execute(
                        sql.SQL("create extension if not exists {}").format(sql.Identifier(extension))
                    )
            except psycopg.Error as error:
                return f"extension {extension} could not be created: {explain(error)[0]}"
        elif not dry_run:
            return f"extension {extension} is not created in this database"
    return None


def extension_path(file: SqlFile) -> str:
    """Return an SQL expression for the search path of a file: the schemas of its extensions, if any.

    Temporary objects come last, so that a function may keep this path: `set search_path from current`.
    """
    names = ", ".join(map(literal, file.extensions))
    return (
        "(select coalesce(string_agg(distinct quote_ident(n.nspname), ', ') || ', pg_temp', '') "
        "from pg_extension e join pg_namespace n on n.oid = e.extnamespace "
        f"where e.extname = any (array[{names}]::name[]))"
    )


def run(connection: Connection, file: SqlFile, role: str | None) -> None:
    """Run a file in the open transaction as a role, then return to the connecting role."""
    if role:
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
    connection.execute(f"select set_config('search_path', {extension_path(file)}, true)".encode())
    connection.execute(file.body)
    connection.execute("set local role none")
    connection.execute("set local search_path = ''")


def run_apart(connection: Connection, file: SqlFile, lock_timeout: str) -> None:
    """Run the statements of a file one by one, outside a transaction."""
    statements = split_statements(file.body.decode())
    connection.execute(f"select set_config('search_path', {extension_path(file)}, false)".encode())
    connection.execute(sql.SQL("set role {}").format(sql.Identifier(OWNER)))
    try:
        for position, statement in enumerate(statements, start=1):
            # A concurrent build always waits for old transactions, and no session queues behind it.
            patience = "0" if re.search(r"\bconcurrently\b", statement, re.IGNORECASE) else lock_timeout
            connection.execute("select set_config('lock_timeout', %s, false)", (patience,))
            with naming(
                connection,
                SqlFile(f"statement {position} of {len(statements)} of {file.name}", statement.encode()),
                "earlier statements took effect, nothing is recorded, the next run starts with the first",
            ):
                connection.execute(statement.encode())
    finally:
        if not connection.broken:
            connection.execute("reset role")
            connection.execute("set lock_timeout = 0")
            connection.execute("set search_path = ''")


def _refuse_transaction_pooler(connection: Connection, dsn: str) -> None:
    """Refuse a pooler that hands the session to others between transactions.

    Behind any pooler the process id in the greeting of the protocol is not that of the server. A transaction
    pooler then shows itself: it gives the session of one client to another, or one client different sessions.
    """
    pid = "select pg_backend_pid()::text"
    own = {value(connection, pid)}
    if own == {str(connection.info.backend_pid)}:
        return
    others = set()
    try:
        with closing(
            psycopg.connect(
                autocommit=True, prepare_threshold=None, **secured(dsn)[0] | {"connect_timeout": 5}
            )
        ) as other:
            for _ in range(3):
                others.add(_ask(other, pid, seconds=2))
                own.add(value(connection, pid))
    except (psycopg.OperationalError, TimeoutError):
        pass  # A session pooler without a free session keeps the second client waiting.
    if len(own) == 1 and not own & others:
        return
    given = conninfo.conninfo_to_dict(dsn)
    address, port = connection.execute(
        "select host(inet_server_addr()), current_setting('port')"
    ).fetchone() or (None, 5432)
    host = address or str(given.get("host", "localhost")).replace("-pooler", "")
    raise KataError(
        f"{given.get('host', 'localhost')}, port {given.get('port', 5432)}, is a pooler in transaction mode, "
        "but migrations need one session",
        "use the URL of the server itself, which reports "
        f"postgresql://USER@{host}:{port}/{connection.info.dbname}",
    )


def _ask(connection: Connection, query: str, seconds: float) -> str:
    """Return the one value that a query yields, in time or not at all; psycopg would wait without limit."""
    pgconn = connection.pgconn
    pgconn.send_query(query.encode())
    deadline = time.monotonic() + seconds
    while pgconn.is_busy():
        if not select.select([pgconn.socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        pgconn.consume_input()
    result = pgconn.get_result()
    answer = result.get_value(0, 0) if result else None
    if answer is None:
        raise psycopg.OperationalError("the pooler gave no answer")
    while pgconn.get_result():
        pass
    return answer.decode()


def _take_lock(guard: Connection, wait: float) -> None:
    """Become the one runner, until the guard is closed: it holds a transaction open that keeps no snapshot.

    Polls: a session that waits holds a snapshot, for which a CREATE INDEX CONCURRENTLY of the active runner
    would wait in turn.
    """
    deadline = time.monotonic() + wait
    guard.execute("set application_name = 'kata migrate: guard'")
    guard.execute("set lock_timeout = '20ms'")
    while True:
        guard.execute("begin")
        try:
            guard.execute(f"create schema {GUARD}".encode())
            return
        except errors.DuplicateSchema as error:
            raise KataError(
                f"the database has a schema {GUARD}, whose name is the lock of migrations",
                f"as its owner: drop schema {GUARD}",
            ) from error
        except errors.LockNotAvailable as error:
            guard.execute("rollback")
            holder = value(guard, _HOLDER)
            if time.monotonic() > deadline:
                raise KataError(
                    f"another migration is running ({holder or 'it has just ended'})",
                    "wait for it, then run again",
                ) from error
        time.sleep(0.1)


def _refuse_lack_of_rights(connection: Connection) -> None:
    """Refuse early, and name the missing right, instead of failing later with 'permission denied'."""
    owners = [OWNER, "kata_eraser"]
    row = connection.execute(
        f"""
        select current_user, current_database(), r.rolcreaterole,
          has_database_privilege(current_database(), 'create'),
          array(select o.rolname::text from pg_roles o where o.rolname = any (%(owners)s)),
          array(
            select o.rolname::text
            from pg_roles o
            where o.rolname = any (%(owners)s)
              and not (pg_has_role(o.oid, 'set') and pg_has_role(o.oid, 'usage'))
              -- The first migration grants the role to a connecting role that may grant it.
              and not (pg_has_role(o.oid, 'member with admin option') and not {_HAS_HISTORY})
            order by 1 desc)
        from pg_roles r
        where r.rolname = current_user and not r.rolsuper
        """.encode(),
        {"owners": owners},
    ).fetchone()
    if row is None:
        return
    role, database, creates_roles, creates_schemas, present, closed = row
    if closed:
        raise KataError(
            f'role "{role}" may not act as {" and ".join(closed)}, the owners of Kata Context',
            f'as a superuser: grant {", ".join(closed)} to "{role}" with inherit true, set true',
        )
    if len(present) < len(owners) and not creates_roles:
        raise KataError(
            f'role "{role}" may not create roles', f'as a superuser: alter role "{role}" createrole'
        )
    if not creates_schemas:
        raise KataError(
            f'role "{role}" may not create schemas in the database "{database}"',
            f'as its owner: grant create on database "{database}" to "{role}"',
        )
