"""The security contract: recorded by each run, compared with the catalog, restored."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from kata_context.errors import KataError
from kata_context.migrate.files import OWNER
from kata_context.migrate.session import Connection, explain, transaction, value

RECORD_CONTRACT = "kata_data.record_contract"
# The functions are missing before the first installation and after a rollback.
_IS_INSTALLED = f"""
select exists (
  select
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  where format('%s.%s', n.nspname, p.proname) = '{RECORD_CONTRACT}')"""
_FACTS = "select coalesce(jsonb_agg(to_jsonb(f)), '[]')::text from kata_data.contract_facts() f"


def facts(connection: Connection) -> str:
    """Return the contract as it is, as a JSON array; `[]` where its functions are not installed."""
    if not value(connection, _IS_INSTALLED):
        return "[]"
    return str(value(connection, _FACTS))


def record(connection: Connection, before: str) -> None:
    """Record in the open transaction what has changed since `before`, which `facts` returned."""
    if value(connection, _IS_INSTALLED):
        connection.execute(f"set local role {OWNER}".encode())
        connection.execute(f"select {RECORD_CONTRACT}(%s::jsonb)".encode(), (before,))
        connection.execute("set local role none")


def find_breaches(connection: Connection) -> list[tuple[str, str]]:
    """Compare the contract in the database with the recorded one.

    Returns
    -------
    what differs, and how: missing, changed or unexpected
    """
    if not value(connection, _IS_INSTALLED):
        return []
    return [(f"{name}: {aspect}", state) for name, aspect, state, _ in _problems(connection)]


def repair(connection: Connection, lock_timeout: str) -> int:
    """Restore the recorded contract, all of it or nothing.

    Returns
    -------
    how many facts were restored

    Raises
    ------
    KataError : a statement fails; nothing was changed
    """
    if not value(connection, _IS_INSTALLED):
        return 0
    repaired = 0
    with transaction(connection, lock_timeout):
        # A repair may undo another: enabling the triggers of foreign keys also enables the others.
        for _ in range(3):
            problems = [problem for problem in _problems(connection) if problem[3]]
            for name, aspect, _, statements in problems:
                with _naming(f"{name}: {aspect}", statements):
                    connection.execute(statements.encode())
            repaired = repaired or len(problems)
            if not problems:
                break
    return repaired


def _problems(connection: Connection) -> list[tuple[str, str, str, str]]:
    rows = connection.execute(
        """
        select p.object, p.aspect,
          case
            when p.expected is null then 'unexpected'
            when p.found is null then 'missing'
            else 'changed'
          end,
          p.repair
        from kata_data.contract_problems() p
        """
    )
    return [(str(name), str(aspect), str(state), str(statements)) for name, aspect, state, statements in rows]


@contextmanager
def _naming(name: str, statements: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise KataError(
            f"{name} cannot be restored: {explain(error)[0]}",
            f"nothing was changed; remove the cause, then run again; the statement is: {statements}",
        ) from error
