"""plpgsql_check over every function, on PostgreSQL 15, and how much of them the pgTAP files reach."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from conftest import DURABLE, ROOT, LaunchServer
from kata_context.embedded import find_binaries
from support import pgtap, plpgsql_check

# Of all statements of PL/pgSQL, as landed; it only grows.
COVERED = 0.98

# Warnings that are not about a mistake, and why.
DYNAMIC = 'OUT variable "{}" is maybe unmodified'
COMPOSITE = 'composite OUT variable "{}" is not single argument'
EXPECTED = {
    **{
        (function, DYNAMIC.format(column)): "a statement that is built returns it"
        for function in ("near_by_index", "similarities")
        for column in ("version", "similarity")
    },
    ("open_calls_at", 'unmodified OUT variable "oldest_open_group"'): "it is handed in, and back",
    ("head_digests", 'unmodified OUT variable "context_id"'): "it is handed in, and back",
    # The check runs on PostgreSQL 15, which has no IS JSON; inlined, the test is in its callers.
    **{
        (function, 'syntax error at or near "json"'): "PostgreSQL 16 has it"
        for function in ("is_json_object", "prompt_sums", "usual_tokens", "usual_turns")
    },
    ("open_compaction", COMPOSITE.format("compaction")): "its fields are set one by one",
    ("open_compaction", COMPOSITE.format("head")): "its fields are set one by one",
    ("guarded_claim", COMPOSITE.format("compaction")): "its fields are set one by one",
    ("try_claim", COMPOSITE.format("compaction")): "its fields are set one by one",
}

OURS = """
  select p.oid, p.proname,
    (select coalesce(min(t.tgrelid), 0) from pg_trigger t where t.tgfoid = p.oid) as relation
  from pg_proc p
  join pg_language l on l.oid = p.prolang
  where l.lanname = 'plpgsql' and p.pronamespace in ('kata'::regnamespace, 'kata_data'::regnamespace)
"""


@pytest.fixture(scope="module")
def checked(launch_server: LaunchServer, scratch: Path) -> str:
    """A database with our functions on a server that has plpgsql_check and counts what runs."""
    try:
        package = plpgsql_check.find()
    except plpgsql_check.UnavailableError as error:
        pytest.skip(f"plpgsql_check cannot be had: {error}")
    library = plpgsql_check.copy_library(package, scratch)
    settings = (*DURABLE, "fsync=off", f"shared_preload_libraries={library}", "plpgsql_check.profiler=on")
    server = launch_server("plpgsql_check", settings, plpgsql_check.BINARIES)
    dsn = server.url()
    for script in (plpgsql_check.load(package, library), plpgsql_check.install()):
        done = pgtap.execute(plpgsql_check.BINARIES / "psql", dsn, script)
        assert done.returncode == 0, done.stderr.decode()
    return dsn


@pytest.fixture
def conn(checked: str) -> Iterator[psycopg.Connection]:
    """A connection that finds the functions of plpgsql_check."""
    with closing(psycopg.connect(checked, autocommit=True)) as connection:
        connection.execute(f"set search_path = {plpgsql_check.SCHEMA}, pg_catalog".encode())
        yield connection


def test_plpgsql_check_warns_of_nothing(conn: psycopg.Connection) -> None:
    found = conn.execute(
        f"""
        select f.proname, c.message,
          format('%s, line %s: %s: %s. %s', f.proname, c.lineno, c.level, c.message, c.detail)
        from ({OURS}) f
        cross join lateral plpgsql_check_function_tb(f.oid, f.relation, fatal_errors => false) c
        order by f.proname, c.lineno
        """.encode()
    ).fetchall()
    assert [text for name, message, text in found if (name, message) not in EXPECTED] == []
    assert EXPECTED.keys() <= {(name, message) for name, message, _ in found}


@pytest.mark.report
def test_the_pgtap_files_reach_the_statements_of_the_functions(
    checked: str, conn: psycopg.Connection
) -> None:
    psql = plpgsql_check.BINARIES / "psql"
    assert pgtap.execute(psql, checked, pgtap.load(pgtap.find_script(find_binaries()))).returncode == 0
    for file in sorted((ROOT / "sql" / "tests").glob("*.sql")):
        # The files are proved elsewhere; here they only run.
        pgtap.execute(psql, checked, file.read_text())
    reached = conn.execute(
        f"""
        select f.proname, plpgsql_coverage_statements(f.oid) as share,
          (select count(*) from plpgsql_profiler_function_statements_tb(f.oid)) as statements
        from ({OURS}) f
        order by 2, 1
        """.encode()
    ).fetchall()
    covered = sum(share * count for _, share, count in reached) / sum(count for _, _, count in reached)
    print(f"\nstatements that the pgTAP files reach: {covered:.1%}; functions of which some are not reached:")
    for name, share, _ in reached:
        if share < 1:
            print(f"  {share:4.0%} {name}")
    assert covered >= COVERED
