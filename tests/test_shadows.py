"""What runs as an owner takes no type for its own that a client has made.

Every role may make temporary objects, and Postgres looks for types among them first unless the search path
says otherwise. A function of ours that took a client's domain for text would run the client's check as the
owner of all data.
"""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

pytestmark = pytest.mark.slow

TYPES = (
    *("bool", "bytea", "int4", "int8", "int8multirange", "int8range", "jsonb", "name", "numeric"),
    *("text", "timestamptz", "uuid"),
)

TRAP = """
create function pg_temp.trap() returns pg_catalog.bool language plpgsql as $$
begin
  if current_user in ('kata_owner', 'kata_eraser') then
    raise exception using errcode = 'XX999', message = 'a client''s code runs as ' || current_user;
  end if;
  return true;
end
$$
"""

NULL_CALLS = """
select format('select from kata.%I(%s)', p.proname, (
  select string_agg(format('null::%s.%I', n.nspname, t.typname), ', ' order by a.place)
  from unnest(p.proargtypes::pg_catalog.oid[]) with ordinality a(type, place)
  join pg_type t on t.oid = a.type
  join pg_namespace n on n.oid = t.typnamespace))
from pg_proc p
where p.pronamespace = 'kata'::regnamespace
order by p.proname
"""

# One context's life.
CALLS = (
    """kata.append(%(context)s, (
         select jsonb_agg(jsonb_build_object('role', 'user', 'content', repeat('/tmp/a.txt ', 200)))
         from generate_series(1, 30)))""",
    "kata.pin(%(context)s, 3)",
    "kata.compact(%(context)s, 'digest', true)",
    'kata."window"(%(context)s, 5000)',
    "kata.prompt(%(context)s, 50000)",
    "kata.merge(kata.fork(%(context)s, 2), %(context)s)",
    "kata.history(%(context)s)",
    "kata.artifacts(%(context)s)",
    "kata.undo(%(context)s, 32)",
    "kata.erase_message(%(context)s, 4, 'asked to')",
    "kata.verify(%(context)s)",
)


@pytest.fixture
def trapper(connect: Callable[..., psycopg.Connection]) -> Iterator[psycopg.Connection]:
    """A client whose temporary types have the names of built-in ones, and record calls that use them."""
    conn = connect(autocommit=True)
    conn.execute("create role trapper in role kata_admin, kata_service")
    try:
        conn.execute("set role trapper")
        conn.execute(TRAP)
        for name in TYPES:
            conn.execute(
                sql.SQL("create domain pg_temp.{0} as pg_catalog.{0} check (pg_temp.trap())").format(
                    sql.Identifier(name)
                )
            )
        yield conn
    finally:
        conn.execute("reset role")
        conn.execute("discard temp")
        conn.execute("drop role trapper")


def outcome(conn: psycopg.Connection, call: str, **values: Any) -> str | None:
    """Return the SQLSTATE of a call."""
    try:
        conn.execute(call.encode(), values)
    except psycopg.Error as error:
        return error.sqlstate
    return "00000"


def test_no_public_function_takes_a_clients_type_for_its_own(trapper: psycopg.Connection) -> None:
    calls = [call for (call,) in trapper.execute(NULL_CALLS).fetchall()]
    assert len(calls) > 50
    assert [call for call in calls if outcome(trapper, call) == "XX999"] == []


def test_nor_does_what_it_calls(trapper: psycopg.Connection) -> None:
    row = trapper.execute("select kata.create_context('trap')").fetchone()
    assert row
    for call in CALLS:
        assert (call, outcome(trapper, f"select from {call}", context=row[0])) == (call, "00000")
