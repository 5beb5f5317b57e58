"""The same calls give the same bytes under every setting of a session and in a database of every locale."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import psycopg
import pytest

from conftest import TestServer
from kata_context import migrate
from support import scenario
from support.locales import LOCALES, create_or_skip

pytestmark = pytest.mark.slow

# Why these settings are left as they are: they refuse the scenario itself.
LEFT = {
    "default_transaction_isolation": "removals ask for read committed",
    "default_transaction_read_only": "the scenario writes",
    "exit_on_error": "the scenario meets errors",
    "row_security": "off refuses each call, by 42501",
    "transaction_deferrable": "before PostgreSQL 17 no connection starts with it; its default is flipped",
    "transaction_isolation": "as its default",
    "transaction_read_only": "as its default",
}
OTHERS = {
    "DateStyle": ("SQL, DMY", "German", "Postgres, MDY"),
    "TimeZone": ("Asia/Kathmandu", "America/St_Johns"),
    "debug_parallel_query": ("on", "regress"),
    "cursor_tuple_fraction": ("0.001",),
    "default_text_search_config": ("pg_catalog.german", "pg_catalog.simple"),
    "extra_float_digits": ("-15", "3"),
    "from_collapse_limit": ("1",),
    "geqo_threshold": ("2",),
    "jit_above_cost": ("0",),
    "join_collapse_limit": ("1",),
    "lc_messages": ("C.UTF-8",),
    "lc_monetary": ("C.UTF-8",),
    "lc_numeric": ("C.UTF-8",),
    "lc_time": ("C.UTF-8",),
    "plpgsql.extra_errors": ("all",),
    "plpgsql.extra_warnings": ("all",),
    "random_page_cost": ("1000",),
    "search_path": ("kata_data, kata, public", ""),
    "timezone_abbreviations": ("India",),
    "work_mem": ("64kB",),
}
BATCH = 20


@pytest.fixture
def store(database: str) -> str:
    """A database in which ids repeat themselves, too."""
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        conn.execute(scenario.PREPARE.encode())
    return database


def found(dsn: str, settings: dict[str, str] | None = None) -> scenario.Found:
    """Return what the scenario gives in a session that has these settings from its beginning."""
    options = " ".join(f"-c {name}={escaped(value)}" for name, value in (settings or {}).items())
    with closing(psycopg.connect(dsn, autocommit=True, options=options)) as conn:
        return scenario.run(conn)


def escaped(value: str) -> str:
    """Return a value as the options of a connection take it."""
    return value.replace(" ", "\\ ")


def differing(base: scenario.Found, other: scenario.Found) -> list[str]:
    """Return the steps that gave something else."""
    return [step for step, rows in base.items() if other[step] != rows]


def changes(dsn: str) -> dict[str, list[str]]:
    """Return every setting of a session that is on or off or has a list of values, with its other values."""
    with closing(psycopg.connect(dsn)) as conn:
        settings = conn.execute(
            """
            select name, case vartype when 'bool' then array['on', 'off'] else enumvals end, setting
            from pg_settings
            where context in ('user', 'superuser') and vartype in ('bool', 'enum')
              and category !~ '^(Reporting and Logging|Statistics|Developer Options)'"""
        ).fetchall()
    changes = {name: [value for value in values if value != setting] for name, values, setting in settings}
    return {name: values for name, values in changes.items() if name not in LEFT} | {
        name: list(values) for name, values in OTHERS.items()
    }


def batches(settings: dict[str, list[str]], size: int) -> Iterator[dict[str, str]]:
    """Yield all values of all settings, so many settings at once, each at most once in a batch."""
    pending = {name: list(values) for name, values in sorted(settings.items())}
    while pending := {name: values for name, values in pending.items() if values}:
        yield {name: pending[name].pop() for name in list(islice(pending, size))}


def test_no_setting_of_a_session_changes_what_is_stored_or_shown(store: str, is_long: bool) -> None:
    """Several at once; one by one in `make test-long`."""
    base = found(store)
    settings = changes(store)
    assert len(settings) > 60, "the test knows no settings"
    offenders = {
        str(batch): differing(base, found(store, batch))
        for batch in batches(settings, 1 if is_long else BATCH)
    }
    assert {batch: steps for batch, steps in offenders.items() if steps} == {}


def test_a_setting_that_changes_results_is_noticed(store: str) -> None:
    with closing(psycopg.connect(store, autocommit=True)) as conn:
        conn.execute(
            "create or replace function kata_data.search_form(body text) returns text immutable language sql "
            "as $$select replace(body, '\\u0041', 'x')$$"
        )
    base = found(store)
    assert not differing(base, found(store))
    assert differing(base, found(store, {"standard_conforming_strings": "off"}))


def test_a_client_of_another_encoding_reads_and_writes_the_same(store: str) -> None:
    def spelled(text: str) -> str:
        return text.encode("latin1", "replace").decode("latin1")

    with closing(psycopg.connect(store, autocommit=True)) as conn:
        base = scenario.run(conn, spelled)
    with closing(psycopg.connect(store, autocommit=True, client_encoding="latin1")) as conn:
        other = scenario.run(conn, spelled)
    # A character that the client cannot read, the … of a stub for example, is an error of Postgres.
    refused = [step for step, rows in other.items() if rows == ("22P05",)]
    assert refused
    assert all(str(base[step]) != spelled(str(base[step])) for step in refused)
    assert sorted(differing(base, other)) == sorted(refused)


@pytest.mark.parametrize("locale", LOCALES)
def test_the_locale_of_the_database_changes_nothing(store: str, foreign: TestServer, locale: str) -> None:
    name = f"locale_{list(LOCALES).index(locale)}"
    dsn = create_or_skip(foreign, name, locale)
    migrate.up(dsn)
    with closing(psycopg.connect(dsn, autocommit=True)) as conn:
        conn.execute(scenario.PREPARE.encode())
    assert differing(found(store), found(dsn)) == []
