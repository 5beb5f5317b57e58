"""Migrations and function files: `kata migrate`."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from conftest import FAST, CreateDatabase, LaunchServer, TestServer
from kata_context import migrate
from kata_context.cli.main import cli
from kata_context.embedded import find_account, find_binaries
from kata_context.errors import KataError
from kata_context.migrate import session
from kata_context.migrate.files import split_statements
from support.driver import PATIENCE
from support.pgbouncer import pgbouncer

pytestmark = pytest.mark.slow

REAL = migrate.sql_root()

# A small tree: the real first migration, then these.
EXAMPLE = {
    "migrations/0002_notes.up.sql": "create table kata_data.note (note_id integer primary key, body text);\n",
    "migrations/0002_notes.down.sql": "-- kata: destructive\ndrop table kata_data.note;\n",
    "migrations/0003_tags.up.sql": "alter table kata_data.note add column tag text default 'none';\n",
    "migrations/0003_tags.down.sql": "-- kata: destructive\nalter table kata_data.note drop column tag;\n",
    # A body that names a function of a later file, in a language that looks names up when it creates.
    "functions/internal/count_notes.sql": """
create or replace function kata_data.count_notes() returns bigint language sql stable as $$
  select count(*) from kata_data.note where kata.is_visible(note_id)
$$;
""",
    "functions/notes/is_visible.sql": """
create or replace function kata.is_visible(note_id integer) returns boolean language sql stable as $$
  select note_id > 0
$$;
""",
    "functions/notes/notes.sql": """
create or replace view kata.notes as select note_id, body from kata_data.note where kata.is_visible(note_id);
""",
    "functions/privileges.sql": "grant execute on all functions in schema kata to kata_reader;\n",
}


class Files:
    """A tree of SQL files that a test changes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, **texts: str) -> None:
        """Write files: `notes__f=…` is functions/notes/f.sql, `m0004_x=…` a migration."""
        for key, text in texts.items():
            if key.startswith("m0"):
                self.put(f"migrations/{key[1:]}.up.sql", text)
                self.put(f"migrations/{key[1:]}.down.sql", "select 1;\n")
            else:
                self.put(f"functions/{key.replace('__', '/')}.sql", text)

    def put(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def remove(self, name: str) -> None:
        (self.root / name).unlink()

    def move(self, name: str, new: str) -> None:
        (self.root / new).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).rename(self.root / new)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The example tree."""
    tree = Files(tmp_path / "sql")
    for name, text in EXAMPLE.items():
        tree.put(name, text)
    for path in (REAL / "migrations").glob("0001_*.sql"):
        shutil.copy(path, tree.root / "migrations")
    return tree


@pytest.fixture
def real_files(tmp_path: Path) -> Files:
    """A copy of the real tree."""
    shutil.copytree(REAL, tmp_path / "real")
    return Files(tmp_path / "real")


Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def query(empty_database: str) -> Iterator[Query]:
    """Ask the database under test."""
    with closing(psycopg.connect(empty_database, autocommit=True)) as connection:

        def ask(text: str) -> list[tuple[Any, ...]]:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

        yield ask


def function(signature: str, body: str = "select true") -> str:
    """Return the text of a file that creates a function in SQL."""
    return f"create or replace function {signature} language sql stable as $$ {body} $$;\n"


def refusal(call: Callable[..., object], *arguments: object, **options: object) -> str:
    """Return what a refused call says: the error and its hint."""
    with pytest.raises(KataError) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return f"{caught.value}\n{caught.value.hint}"


def history(query: Query) -> list[tuple[Any, ...]]:
    if query("select to_regclass('kata_data.migration')") == [(None,)]:
        return []
    return query("select number, status from kata_data.migration order by number")


def contents(dsn: str) -> dict[str, Any]:
    """Every row of every table of kata_data but those of the runner."""
    with closing(psycopg.connect(dsn, autocommit=True)) as connection:
        tables = connection.execute(
            "select c.oid::regclass::text from pg_class c where c.relnamespace = 'kata_data'::regnamespace "
            "and c.relkind = 'r' and c.relname not in ('migration', 'function_file', 'contract') order by 1"
        ).fetchall()
        return {
            table: connection.execute(
                f"select to_jsonb(t)::text from {table} t order by 1".encode()
            ).fetchall()
            for (table,) in tables
        }


def schema(dsn: str) -> str:
    """The schema as pg_dump writes it."""
    dump = subprocess.run(
        [str(find_binaries() / "pg_dump"), "--schema-only", "--schema=kata*", "-d", dsn],
        capture_output=True,
        text=True,
        check=True,
    )
    return "\n".join(line for line in dump.stdout.splitlines() if not line.startswith(("\\", "--")))


def run_psql(psql: Path, dsn: str, text: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", "-"],
        input=text,
        capture_output=True,
        text=True,
    )


# Migrations


def test_up_applies_everything_once(empty_database: str, query: Query) -> None:
    first = migrate.up(empty_database)
    assert len(first.names("applied")) == len(list((REAL / "migrations").glob("*.up.sql")))
    assert migrate.up(empty_database) == migrate.Report((), dry_run=False)
    assert migrate.status(empty_database).up_to_date
    assert query("select kata.version()") != []


def test_twenty_processes_started_at_once_all_succeed_and_one_applies(empty_database: str) -> None:
    script = "import sys; from kata_context import migrate; print(migrate.up(sys.argv[1]).changed)"
    processes = [
        subprocess.Popen([sys.executable, "-c", script, empty_database], stdout=subprocess.PIPE, text=True)
        for _ in range(20)
    ]
    answers = [process.communicate(timeout=PATIENCE)[0].strip() for process in processes]
    assert sorted(answers) == ["False"] * 19 + ["True"]
    assert migrate.status(empty_database).up_to_date


def test_a_second_runner_waits_for_a_bounded_time_and_names_the_first(
    empty_database: str, files: Files
) -> None:
    with session.connect_runner(empty_database, wait=1), psycopg.connect(empty_database) as conn:
        ask = """select pid from pg_stat_activity
            where datname = current_database() and application_name = 'kata migrate: guard'"""
        ((pid,),) = conn.execute(ask).fetchall()
        said = refusal(migrate.up, empty_database, root=files.root, wait=0.2)
        assert f"another migration is running (process {pid}" in said
    assert migrate.up(empty_database, root=files.root).changed


def test_a_schema_with_the_name_of_the_lock_is_refused_with_its_remedy(
    empty_database: str, files: Files
) -> None:
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute("create schema kata_migrating")
        said = refusal(migrate.up, empty_database, root=files.root)
        assert "the database has a schema kata_migrating" in said
        assert "drop schema kata_migrating" in said
        conn.execute("drop schema kata_migrating")
    assert migrate.up(empty_database, root=files.root).changed


def test_a_role_that_kata_context_has_not_made_is_not_adopted(
    launch_server: LaunchServer, files: Files
) -> None:
    server = launch_server("foreign-roles")
    server.execute("create role kata_service; create role outsider login; grant kata_service to outsider")
    said = refusal(migrate.up, server.url(), root=files.root)
    assert "the role kata_service exists, and Kata Context has not made it" in said
    assert "comment on role kata_service" in said
    with psycopg.connect(server.url()) as conn:
        found = conn.execute("select rolname from pg_roles where rolname like 'kata%'").fetchall()
        assert found == [("kata_service",)], "nothing was changed"
    server.execute("drop role kata_service")
    migrate.up(server.url(), root=files.root)
    server.execute("create database other")
    migrate.up(server.url("other"), root=files.root)
    server.execute("create database third")
    server.execute("alter role kata_reader login")
    assert "kata_reader exists" in refusal(migrate.up, server.url("third"), root=files.root)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_an_edited_file_of_an_applied_migration_is_refused_by_name(
    empty_database: str, query: Query, files: Files, direction: str
) -> None:
    migrate.up(empty_database, root=files.root)
    name = f"0002_notes.{direction}.sql"
    files.put(f"migrations/{name}", EXAMPLE[f"migrations/{name}"] + "-- a comment\n")
    files.write(m0004_more="create table kata_data.more ();")
    said = refusal(migrate.up, empty_database, root=files.root)
    assert f"{name} was edited" in said
    # A newcomer with a newer checkout reads how to go on.
    assert "KATA_HOME=<new folder>" in said
    assert f"{name} was edited" in refusal(migrate.down, empty_database, to=0, root=files.root)
    assert f"{name} was edited" in refusal(migrate.up, empty_database, root=files.root, dry_run=True)
    assert len(history(query)) == 3
    states = [migration.state for migration in migrate.status(empty_database, root=files.root).migrations]
    assert states == ["applied", "edited", "applied", "pending"]


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_missing_file_of_an_applied_migration_is_refused_by_name(
    empty_database: str, files: Files, direction: str
) -> None:
    migrate.up(empty_database, root=files.root)
    files.remove(f"migrations/0002_notes.{direction}.sql")
    said = refusal(migrate.up, empty_database, root=files.root)
    assert f"0002_notes.{direction}.sql is missing, but the migration was applied" in said


def test_a_renamed_migration_is_refused_by_name(empty_database: str, files: Files) -> None:
    migrate.up(empty_database, root=files.root)
    for direction in ("up", "down"):
        old = files.root / f"migrations/0002_notes.{direction}.sql"
        old.rename(old.with_name(f"0002_remarks.{direction}.sql"))
    assert "0002_notes.up.sql is missing" in refusal(migrate.up, empty_database, root=files.root)


def test_a_package_older_than_the_database_is_refused(empty_database: str, files: Files) -> None:
    migrate.up(empty_database, root=files.root)
    for direction in ("up", "down"):
        files.remove(f"migrations/0003_tags.{direction}.sql")
    said = refusal(migrate.up, empty_database, root=files.root)
    assert "older than the database: it lacks 0003_tags.up.sql" in said
    assert migrate.status(empty_database, root=files.root).migrations[-1].state == "newer"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("0005_late", "", "there is no migration 0004, but 0005_late comes after it"),
        ("0003_twice", "", "0003_tags and 0003_twice have the same number"),
        ("0004_typo", "-- kata: destructvie", '0004_typo.up.sql has an unknown mark "destructvie"'),
        ("4_short", "", "4_short.down.sql is not the name of a migration"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused_by_name(
    empty_database: str, query: Query, files: Files, name: str, text: str, problem: str
) -> None:
    files.put(f"migrations/{name}.up.sql", text)
    files.put(f"migrations/{name}.down.sql", "")
    assert problem in refusal(migrate.up, empty_database, root=files.root)
    assert history(query) == []


def test_an_up_file_without_its_down_file_is_refused_by_name(empty_database: str, files: Files) -> None:
    files.remove("migrations/0003_tags.down.sql")
    assert "0003_tags.down.sql is missing" in refusal(migrate.up, empty_database, root=files.root)


def test_a_migration_never_applied_below_applied_ones_is_refused_by_name(
    empty_database: str, query: Query, files: Files
) -> None:
    migrate.up(empty_database, root=files.root)
    query("delete from kata_data.migration where number = 2")
    assert "0002_notes was never applied, but 0003_tags was" in refusal(
        migrate.up, empty_database, root=files.root
    )


def test_a_failing_migration_leaves_nothing_of_itself_and_the_next_run_resumes(
    empty_database: str, query: Query, files: Files
) -> None:
    files.put("migrations/0003_tags.up.sql", "create table kata_data.half ();\nselect 1/0;\n")
    said = refusal(migrate.up, empty_database, root=files.root)
    assert said.startswith("0003_tags.up.sql failed: division by zero")
    assert history(query) == [(1, "applied"), (2, "applied")]
    assert query("select to_regclass('kata_data.half'), to_regprocedure('kata.is_visible(integer)')") == [
        (None, None)
    ]

    files.put("migrations/0003_tags.up.sql", EXAMPLE["migrations/0003_tags.up.sql"])
    assert migrate.up(empty_database, root=files.root).names("applied") == ["0003_tags"]
    assert migrate.status(empty_database, root=files.root).up_to_date


def test_an_error_names_the_line_of_the_file(empty_database: str, files: Files) -> None:
    files.put("migrations/0003_tags.up.sql", "select 1;\n\nselect tag\nfrom kata_data.note;\n")
    assert "0003_tags.up.sql failed: line 3: column" in refusal(migrate.up, empty_database, root=files.root)


def test_a_migration_does_not_queue_behind_a_long_transaction(
    empty_database: str, query: Query, files: Files
) -> None:
    migrate.up(empty_database, root=files.root, to=2)
    with closing(psycopg.connect(empty_database, application_name="nightly report")) as reader:
        reader.execute("select from kata_data.note")
        said = refusal(migrate.up, empty_database, root=files.root, lock_timeout="100ms")
        assert said.startswith("0003_tags.up.sql timed out waiting for locks, held by")
        assert f"process {reader.info.backend_pid} of nightly report" in said
        assert history(query) == [(1, "applied"), (2, "applied")]
    assert migrate.up(empty_database, root=files.root).names("applied") == ["0003_tags"]


def test_function_files_do_not_queue_behind_a_long_transaction_either(
    empty_database: str, files: Files
) -> None:
    migrate.up(empty_database, root=files.root)
    files.write(
        notes__row_security="create policy all_rows on kata_data.note using (true);",
        notes__added=function("kata.added() returns boolean"),
    )
    with closing(psycopg.connect(empty_database)) as reader:
        reader.execute("select from kata_data.note")
        said = refusal(migrate.up, empty_database, root=files.root, lock_timeout="100ms")
        assert "notes/row_security.sql timed out waiting for locks, held by process" in said
    assert len(migrate.status(empty_database, root=files.root).functions) == 3  # with privileges.sql
    migrate.up(empty_database, root=files.root)
    assert migrate.status(empty_database, root=files.root).up_to_date


def test_a_migration_may_run_outside_a_transaction(empty_database: str, query: Query, files: Files) -> None:
    files.write(
        m0004_index="-- kata: no-transaction\n-- One; two.\nset statement_timeout = '1min';\n"
        "create index concurrently note_tag on kata_data.note (tag);\n"
    )
    migrate.up(empty_database, root=files.root)
    assert query("select indisvalid from pg_index where indexrelid = 'kata_data.note_tag'::regclass") == [
        (True,)
    ]
    assert query("select relowner::regrole::text from pg_class where relname = 'note_tag'") == [
        ("kata_owner",)
    ]


def test_a_migration_outside_a_transaction_that_fails_says_where_and_starts_over(
    empty_database: str, query: Query, files: Files
) -> None:
    text = (
        "-- kata: no-transaction\n"
        "drop index concurrently if exists kata_data.note_tag;\n"
        "create unique index concurrently note_tag on kata_data.note (tag);\n"
    )
    files.write(m0004_index=text)
    migrate.up(empty_database, root=files.root, to=3)
    query("insert into kata_data.note values (1, 'a', 'same'), (2, 'b', 'same')")
    said = refusal(migrate.up, empty_database, root=files.root)
    assert "statement 2 of 2 of 0004_index.up.sql failed" in said
    assert "the next run starts with the first" in said
    assert history(query)[-1] == (3, "applied")
    query("update kata_data.note set tag = 'other' where note_id = 2")
    assert migrate.up(empty_database, root=files.root).names("applied") == ["0004_index"]
    assert query("select indisvalid from pg_index where indexrelid = 'kata_data.note_tag'::regclass") == [
        (True,)
    ]


def test_statements_are_split_at_semicolons_outside_quotes_and_comments() -> None:
    statements = [
        "select ';', E'\\';', \"a;b\";",
        "-- one; two\ndo $body$ begin perform 1; perform $$;$$; end $body$;",
        "/* ; */ select 1",
    ]
    assert split_statements("\n".join(statements) + "\n-- the end;\n") == [
        *statements[:2],
        "/* ; */ select 1\n-- the end;",
    ]
    assert split_statements("-- nothing;\n") == []


def test_a_file_that_lacks_an_extension_is_skipped_with_the_reason_and_applied_later(
    empty_database: str, query: Query, files: Files
) -> None:
    mark = "-- kata: requires extension"
    files.write(
        m0004_never=f"{mark} kata_no_such\nselect 1/0;\n",
        m0005_vectors=f"{mark} vector\nalter table kata_data.note add column embedding vector(3);\n",
        m0006_after="create table kata_data.after_all ();\n",
        notes__nearest=f"{mark} vector\n"
        + function(
            "kata.nearest(v vector) returns bigint", "select count(embedding <-> v) from kata_data.note"
        ),
    )
    query("drop schema public")
    first = migrate.up(empty_database, root=files.root)
    assert first.names("skipped") == ["0004_never", "0005_vectors"]
    assert first.names("skipped", "function") == ["notes/nearest.sql"]
    assert history(query)[3:] == [(4, "skipped"), (5, "skipped"), (6, "applied")]
    states = {m.number: m for m in migrate.status(empty_database, root=files.root).migrations}
    assert states[4].reason == "extension kata_no_such is not available on this server"
    assert states[5].reason is not None
    assert states[5].reason.startswith("extension vector could not be created: ")
    assert not migrate.up(empty_database, root=files.root).changed

    query("create schema public")
    query("grant usage on schema public to public")
    second = migrate.up(empty_database, root=files.root)
    assert second.names("applied") == ["0005_vectors"]
    assert second.names("skipped") == ["0004_never"]
    assert "notes/nearest.sql" in second.names("installed", "function")
    assert migrate.status(empty_database, root=files.root).up_to_date
    migrate.down(empty_database, root=files.root, to=3)
    assert history(query) == [(1, "applied"), (2, "applied"), (3, "applied")]


def test_down_refuses_to_lose_data_until_allowed_and_names_the_data(
    empty_database: str, query: Query, files: Files
) -> None:
    migrate.up(empty_database, root=files.root)
    said = refusal(migrate.down, empty_database, to=1, root=files.root)
    assert "0003 loses column tag" in said
    assert "0002 loses table kata_data.note (" in said
    assert "--allow-data-loss" in said
    assert len(history(query)) == 3
    dry = migrate.down(empty_database, to=1, root=files.root, dry_run=True)
    assert [step.name for step in dry.steps] == ["0003_tags", "0002_notes"]
    assert len(history(query)) == 3
    migrate.down(empty_database, to=1, root=files.root, allow_destructive=True)
    assert history(query) == [(1, "applied")]
    assert query("select to_regclass('kata_data.note')") == [(None,)]


def test_down_refuses_a_labeled_database_until_the_label_is_given(empty_database: str, query: Query) -> None:
    migrate.up(empty_database)
    query("select kata.set_environment('production')")
    for given in (None, "staging"):
        with pytest.raises(KataError, match='this database is labeled "production"') as caught:
            migrate.down(empty_database, to=0, allow_destructive=True, environment=given)
        assert caught.value.hint == "if this is the database that you mean, add --environment production"
    assert migrate.status(empty_database).up_to_date
    migrate.down(empty_database, to=0, allow_destructive=True, environment="production")
    assert migrate.read_environment(empty_database) is None


def test_down_to_nothing_removes_everything(empty_database: str, query: Query) -> None:
    migrate.up(empty_database)
    migrate.down(empty_database, to=0, allow_destructive=True)
    assert query("select nspname from pg_namespace where nspname like 'kata%'") == []
    migrate.up(empty_database)
    assert migrate.status(empty_database).up_to_date


def test_a_down_file_that_fails_changes_nothing(empty_database: str, query: Query, files: Files) -> None:
    files.put("migrations/0003_tags.down.sql", "select 1/0;\n")
    migrate.up(empty_database, root=files.root)
    said = refusal(migrate.down, empty_database, to=2, root=files.root)
    assert "0003_tags.down.sql failed: division by zero" in said
    assert migrate.status(empty_database, root=files.root).up_to_date


def test_numbers_that_do_not_exist_are_refused(empty_database: str, files: Files) -> None:
    assert "there is no migration 9" in refusal(migrate.up, empty_database, to=9, root=files.root)
    assert "there is no migration -1" in refusal(migrate.down, empty_database, to=-1, root=files.root)


def test_a_dry_run_names_the_steps_and_changes_nothing(
    empty_database: str, query: Query, files: Files
) -> None:
    report = migrate.up(empty_database, root=files.root, dry_run=True)
    assert report.names("applied") == ["0001_roles_and_schemas", "0002_notes", "0003_tags"]
    assert len(report.names("installed", "function")) == 4
    assert history(query) == []


def test_up_to_a_number_leaves_the_functions_for_the_last_one(
    empty_database: str, query: Query, files: Files
) -> None:
    assert migrate.up(empty_database, root=files.root, to=2).names("installed", "function") == []
    report = migrate.up(empty_database, root=files.root)
    assert report.names("applied") == ["0003_tags"]
    assert len(report.names("installed", "function")) == 4


# Data and schema over time


NEXT = {
    "up": "alter table kata_data.context add column note text;\n"
    "create index context_note on kata_data.context (note);\n",
    "down": "-- kata: destructive\nalter table kata_data.context drop column note;\n",
}


def fill(dsn: str) -> None:
    """Make rows in every table that clients write to."""
    with closing(psycopg.connect(dsn)) as connection:
        connection.execute("set kata.tenant = 'acme'")
        for name in ("a", "b"):
            row = connection.execute("select kata.create_context(name => %s)", (name,)).fetchone()
            assert row
            messages = [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": f"hello {name}"},
            ]
            connection.execute("select * from kata.append(%s, %s)", (row[0], json.dumps(messages)))
        connection.commit()


def test_up_fill_next_up_down_up_loses_nothing(empty_database: str, query: Query, real_files: Files) -> None:
    last = len(migrate.up(empty_database, root=real_files.root).names("applied"))
    fill(empty_database)
    filled = contents(empty_database)
    assert all(filled[f"kata_data.{table}"] for table in ("context", "head", "lineage", "message"))
    for direction, text in NEXT.items():
        real_files.put(f"migrations/{last + 1:04}_next.{direction}.sql", text)

    assert migrate.up(empty_database, root=real_files.root).names("applied") == [f"{last + 1:04}_next"]
    migrate.down(empty_database, to=last, root=real_files.root, allow_destructive=True)
    assert contents(empty_database) == filled
    migrate.up(empty_database, root=real_files.root)
    assert contents(empty_database).keys() == filled.keys()
    assert contents(empty_database)["kata_data.message"] == filled["kata_data.message"]
    assert query("select set_config('kata.tenant', '*', false)") == [("*",)]
    assert query("select * from kata.verify()") == []


def test_an_upgrade_gives_the_schema_of_a_fresh_install(
    create_database: CreateDatabase, real_files: Files
) -> None:
    upgraded, fresh = create_database(), create_database()
    last = len(migrate.up(upgraded, root=real_files.root).names("applied"))
    fill(upgraded)
    for direction, text in NEXT.items():
        real_files.put(f"migrations/{last + 1:04}_next.{direction}.sql", text)
    migrate.up(upgraded, root=real_files.root)
    migrate.up(fresh, root=real_files.root)
    assert schema(upgraded) == schema(fresh)


# Roles, clusters, servers


@pytest.fixture(scope="module")
def cluster(launch_server: LaunchServer) -> TestServer:
    """A server without the roles of Kata Context, and with an administrator as managed services have them."""
    server = launch_server("cluster", FAST)
    for role in ("admin", "stranger"):
        server.execute(f"create role {role} login createrole")
        server.execute(f"create database of_{role} owner {role}")
    server.execute("create database second owner admin")
    return server


def test_a_role_that_is_not_superuser_installs_it(cluster: TestServer, psql: Path) -> None:
    dsn = cluster.url("of_admin", "admin")
    migrate.up(dsn)
    assert migrate.status(dsn).up_to_date
    assert not migrate.up(dsn).changed
    fill(dsn)
    migrate.down(dsn, to=0, allow_destructive=True)
    done = run_psql(psql, dsn, migrate.bundle())
    assert done.returncode == 0, done.stderr
    assert not migrate.up(dsn).changed
    with closing(psycopg.connect(cluster.url("of_admin"))) as connection:
        owners = connection.execute(
            "select distinct relowner::regrole::text from pg_class "
            "where relnamespace = 'kata_data'::regnamespace"
        ).fetchall()
    assert owners == [("kata_owner",)]


def test_several_databases_of_one_cluster_share_the_roles(cluster: TestServer) -> None:
    first, second = cluster.url("of_admin", "admin"), cluster.url("second", "admin")
    migrate.up(first)
    migrate.up(second)
    assert migrate.status(second).up_to_date
    migrate.down(second, to=0, allow_destructive=True)
    # All of them stay as long as one database needs them.
    with closing(psycopg.connect(first)) as connection:
        roles = connection.execute("select count(*) from pg_roles where rolname like 'kata_%'").fetchone()
    assert roles == (7,)
    migrate.up(second)
    assert migrate.status(second).up_to_date


def test_a_role_that_may_not_act_as_the_owner_is_refused_with_the_grant_it_lacks(cluster: TestServer) -> None:
    migrate.up(cluster.url("of_admin", "admin"))
    dsn = cluster.url("of_stranger", "stranger")
    said = refusal(migrate.up, dsn)
    assert 'role "stranger" may not act as kata_owner and kata_eraser' in said
    assert 'grant kata_owner, kata_eraser to "stranger" with inherit true, set true' in said
    said = refusal(migrate.status, cluster.url("of_admin", "stranger"))
    assert "permission denied" in said
    assert "use the role that installed Kata Context" in said
    said = refusal(migrate.up, cluster.url("of_admin", "stranger"))
    assert 'role "stranger" may not act as kata_owner' in said
    cluster.execute(said.partition("superuser: ")[2])
    migrate.up(dsn)
    assert migrate.status(dsn).up_to_date
    cluster.execute("revoke kata_owner, kata_eraser from stranger")


def test_databases_of_one_cluster_may_be_migrated_at_the_same_time(launch_server: LaunchServer) -> None:
    server = launch_server("many", FAST)
    server.execute("create role admin login createrole")
    for number in range(4):
        server.execute(f"create database d{number} owner admin")
    script = "import sys; from kata_context import migrate; migrate.up(sys.argv[1])"
    processes = [
        subprocess.Popen([sys.executable, "-c", script, server.url(f"d{number}", "admin")])
        for number in range(4)
    ]
    assert [process.wait(PATIENCE) for process in processes] == [0] * 4


def test_a_role_without_the_rights_is_refused_by_name(
    launch_server: LaunchServer, server: TestServer
) -> None:
    plain = launch_server("plain", FAST)
    plain.execute("create role plain login")
    assert "may not create roles" in refusal(migrate.up, plain.url("postgres", "plain"))
    plain.execute("alter role plain createrole")
    assert 'may not create schemas in the database "postgres"' in refusal(
        migrate.up, plain.url("postgres", "plain")
    )


def test_a_server_that_is_too_old_is_refused_in_one_line(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "OLDEST_SERVER", 99)
    with pytest.raises(KataError, match=r"^PostgreSQL 1\d\.\d+ is too old: 99 or newer is needed$"):
        migrate.up(empty_database)


def test_a_database_of_another_encoding_is_refused_before_anything_is_made(
    server: TestServer, psql: Path
) -> None:
    server.execute("create database latin encoding 'LATIN1' locale 'C' template template0")
    try:
        said = refusal(migrate.up, server.url("latin"))
        assert said.startswith("the database latin has the encoding LATIN1: UTF8 is needed")
        assert "template template0" in said
        done = run_psql(psql, server.url("latin"), migrate.bundle())
        assert "ERROR:  the database latin has the encoding LATIN1: UTF8 is needed" in done.stderr
        with closing(psycopg.connect(server.url("latin"))) as conn:
            assert conn.execute("select from pg_namespace where nspname like 'kata%'").fetchall() == []
    finally:
        server.execute("drop database latin with (force)")


HOSTILE = {
    "array_nulls": "off",
    "backslash_quote": "off",
    "bytea_output": "escape",
    "client_encoding": "latin1",
    "datestyle": "German",
    "escape_string_warning": "on",
    "extra_float_digits": "-15",
    "intervalstyle": "iso_8601",
    "quote_all_identifiers": "on",
    "row_security": "off",
    "search_path": "kata_data, public",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
}


def test_settings_of_the_database_change_nothing_of_what_is_installed(
    create_database: CreateDatabase, server: TestServer, psql: Path
) -> None:
    plain, migrated, loaded = create_database(), create_database(), create_database()

    def configure(dsn: str, change: str) -> None:
        server.execute(f"alter database {dsn.split('@/')[1].split('?')[0]} {change}")

    for dsn in (migrated, loaded):
        for name, setting in HOSTILE.items():
            configure(dsn, f"set {name} = {setting}")
    migrate.up(plain)
    migrate.up(migrated)
    assert migrate.status(migrated).up_to_date
    assert migrate.drift(migrated) == migrate.drift(plain)
    done = run_psql(psql, loaded, migrate.bundle())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    configure(migrated, "reset all")
    configure(loaded, "reset all")
    assert migrate.drift(loaded) == migrate.drift(plain)
    assert schema(plain) == schema(migrated) == schema(loaded)


def test_a_malformed_connection_string_is_not_repeated() -> None:
    said = refusal(migrate.up, "postgresql//me:secret@host/database")
    assert said.startswith("the connection string is malformed")
    assert "secret" not in said


@pytest.mark.parametrize(
    "settings",
    [{}, {"default_pool_size": 1}, {"server_round_robin": 1, "min_pool_size": 4}, {"pool_mode": "statement"}],
    ids=["plain", "one session", "round robin", "statements"],
)
def test_a_pooler_in_transaction_mode_is_refused_with_the_url_to_use(
    empty_database: str, query: Query, scratch: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    with pgbouncer(scratch / tmp_path.name, empty_database, find_account(), **settings) as dsn:
        # Several sessions wait in the pool.
        with closing(psycopg.connect(dsn)) as one, closing(psycopg.connect(dsn)) as other:
            if not settings:
                one.execute("select 1")
                other.execute("select 1")
        said = refusal(migrate.up, dsn)
        # Reading is allowed, and neither leaves anything in a session that belongs to others.
        if settings.get("pool_mode") != "statement":
            assert not migrate.status(dsn).up_to_date
        with closing(psycopg.connect(dsn, autocommit=True)) as other:
            assert other.execute("show search_path").fetchone() == ('"$user", public',)
    assert "port 6432, is a pooler in transaction mode" in said
    assert "use the URL of the server itself" in said
    assert ":5432/" in said
    assert history(query) == []


# The runner has two sessions: one works, the other holds the lock.
@pytest.mark.parametrize("size", [2, 5])
def test_a_pooler_in_session_mode_is_accepted(
    empty_database: str, files: Files, scratch: Path, tmp_path: Path, size: int
) -> None:
    folder = scratch / tmp_path.name
    with pgbouncer(
        folder, empty_database, find_account(), pool_mode="session", default_pool_size=size
    ) as dsn:
        assert migrate.up(dsn, root=files.root).changed
        assert migrate.status(dsn, root=files.root).up_to_date


# Functions


def rows_of_functions(query: Query) -> dict[str, tuple[int, str]]:
    found = query(
        "select proname, oid, xmin::text from pg_proc where pronamespace in "
        "('kata'::regnamespace, 'kata_data'::regnamespace)"
    )
    return {name: (oid, xmin) for name, oid, xmin in found}


def test_a_function_file_that_has_not_changed_is_not_touched(
    empty_database: str, query: Query, files: Files
) -> None:
    migrate.up(empty_database, root=files.root)
    before = rows_of_functions(query)
    assert not migrate.up(empty_database, root=files.root).changed
    assert rows_of_functions(query) == before

    files.write(notes__is_visible=function("kata.is_visible(note_id integer) returns boolean"))
    report = migrate.up(empty_database, root=files.root)
    assert report.names("installed", "function") == ["notes/is_visible.sql", "privileges.sql"]
    after = rows_of_functions(query)
    assert after["count_notes"] == before["count_notes"]
    assert after["is_visible"][0] == before["is_visible"][0]
    assert after["is_visible"] != before["is_visible"]


def test_privileges_are_run_again_after_a_migration(empty_database: str, files: Files) -> None:
    migrate.up(empty_database, root=files.root)
    files.write(m0004_more="create table kata_data.more ();")
    report = migrate.up(empty_database, root=files.root)
    assert report.names("installed", "function") == ["privileges.sql"]


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("kata.is_visible(note_id integer) returns text", "select 'yes'"),
        ("kata.is_visible(id integer) returns boolean", "select true"),
        ("kata.is_visible(note_id integer, strict boolean default true) returns boolean", "select true"),
        ("kata.is_visible(note_id bigint) returns boolean", "select true"),
    ],
    ids=["other result", "other parameter name", "more arguments", "other argument type"],
)
def test_a_changed_signature_leaves_one_function_and_reinstalls_its_dependents(
    empty_database: str, query: Query, files: Files, signature: str, body: str
) -> None:
    migrate.up(empty_database, root=files.root)
    new = "is_visible(note_id) is not null"
    files.write(
        notes__is_visible=function(signature, body) + "comment on function kata.is_visible is 'new';\n",
        notes__notes=f"create or replace view kata.notes as select kata.{new} as v from kata_data.note;\n",
        internal__count_notes=function(
            "kata_data.count_notes() returns bigint", f"select count(*) from kata_data.note where kata.{new}"
        ),
    )
    migrate.up(empty_database, root=files.root)
    assert query(
        "select obj_description(oid, 'pg_proc'), has_function_privilege('kata_reader', oid, 'execute') "
        "from pg_proc where proname = 'is_visible'"
    ) == [("new", True)]
    assert query("select v from kata.notes") == []
    assert query("select kata_data.count_notes()") == [(0,)]
    assert migrate.status(empty_database, root=files.root).up_to_date


def test_unchanged_files_that_depend_on_a_changed_one_are_run_again(
    empty_database: str, query: Query, files: Files
) -> None:
    files.write(
        notes__security="drop policy if exists visible on kata_data.note;\n"
        "create policy visible on kata_data.note using (kata.is_visible(note_id));\n",
        notes__rows=function("kata.rows() returns setof kata.notes", "select note_id, body from kata.notes"),
    )
    migrate.up(empty_database, root=files.root)
    files.write(notes__is_visible=function("kata.is_visible(id integer) returns boolean"))
    migrate.up(empty_database, root=files.root)
    assert query("select policyname from pg_policies where schemaname = 'kata_data'") == [("visible",)]
    assert query("select * from kata.rows()") == []
    assert migrate.status(empty_database, root=files.root).up_to_date


def test_foreign_dependents_are_listed_and_nothing_is_changed(
    empty_database: str, query: Query, files: Files
) -> None:
    migrate.up(empty_database, root=files.root)
    query("create view public.report as select count(*) from kata.notes")
    query("create table public.t (a boolean default kata.is_visible(1))")
    before = rows_of_functions(query)
    files.write(
        internal__count_notes=function("kata_data.count_notes() returns bigint", "select 1::bigint"),
        notes__is_visible=function("kata.is_visible(id integer) returns boolean"),
    )
    said = refusal(migrate.up, empty_database, root=files.root)
    assert "kata.is_visible(integer) must be dropped" in said
    assert "default value for column a of table public.t, view public.report" in said
    assert "no function was changed" in said
    assert rows_of_functions(query) == before
    query("drop view public.report")
    query("drop table public.t")
    migrate.up(empty_database, root=files.root)
    assert migrate.status(empty_database, root=files.root).up_to_date


def test_a_function_whose_file_is_gone_is_dropped(empty_database: str, query: Query, files: Files) -> None:
    one = function("kata.one() returns integer", "select 1")
    four, five = (function(f"kata.{name}() returns boolean") for name in ("four", "five"))
    files.write(
        notes__split=four + five,
        notes__pair=f"{one}create or replace procedure kata.two() language sql as 'select 2';\n",
        notes__moved=function("kata.moved() returns integer", "select 3"),
    )
    migrate.up(empty_database, root=files.root)
    files.remove("functions/notes/notes.sql")
    files.remove("functions/notes/split.sql")
    files.write(notes__pair=one, notes__four=four, notes__five=five)
    files.move("functions/notes/moved.sql", "functions/notes/arrived.sql")
    report = migrate.up(empty_database, root=files.root)
    assert report.names("moved", "function") == ["notes/arrived.sql"]
    assert {step.name: step.reason for step in report.steps if step.action == "dropped"} == {
        "notes/notes.sql": "drops view kata.notes",
        "notes/split.sql": "drops nothing: other files define its objects",
    }
    assert query("select to_regclass('kata.notes'), to_regproc('kata.two')") == [(None, None)]
    assert query("select kata.one(), kata.moved()") == [(1, 3)]
    assert migrate.status(empty_database, root=files.root).up_to_date


def catalog_rows(query: Query) -> list[tuple[Any, ...]]:
    """Every function with its place on disk and its privileges: a function that is replaced has another."""
    return query(
        "select oid, xmin::text, ctid::text, proacl::text from pg_proc where pronamespace in "
        "('kata'::regnamespace, 'kata_data'::regnamespace) order by oid"
    )


def recorded_files(query: Query) -> dict[str, tuple[Any, ...]]:
    rows = query(
        "select path, checksum, functions, definition_checksum, applied_at from kata_data.function_file"
    )
    return {path: tuple(rest) for path, *rest in rows}


def test_a_tree_of_moved_function_files_costs_new_paths_and_nothing_else(
    empty_database: str, query: Query, real_files: Files
) -> None:
    migrate.up(empty_database, root=real_files.root)
    fill(empty_database)
    functions, recorded, filled = catalog_rows(query), recorded_files(query), contents(empty_database)

    folder = real_files.root / "functions"
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*.sql")]
    moved = {path: path.replace("/", "_") for path in paths if path.startswith("internal/")}
    moved |= {path: path.replace("log/", "journal/") for path in paths if path.startswith("log/")}
    for old, new in moved.items():
        real_files.move(f"functions/{old}", f"functions/{new}")

    planned = migrate.up(empty_database, root=real_files.root, dry_run=True)
    assert recorded_files(query) == recorded
    status = migrate.status(empty_database, root=real_files.root)
    assert status.functions == planned.steps
    assert status.up_to_date
    done = migrate.up(empty_database, root=real_files.root)
    assert done.steps == planned.steps
    assert {(step.action, step.name, step.reason) for step in done.steps} == {
        ("moved", new, f"from {old}") for old, new in moved.items()
    }
    assert catalog_rows(query) == functions
    assert recorded_files(query) == {moved.get(path, path): row for path, row in recorded.items()}
    assert contents(empty_database) == filled
    assert migrate.drift(empty_database) == []
    assert not migrate.up(empty_database, root=real_files.root).changed

    # Back to the package that has the files where they were.
    back = migrate.up(empty_database)
    assert {(step.action, step.name) for step in back.steps} == {("moved", old) for old in moved}
    assert catalog_rows(query) == functions
    assert recorded_files(query) == recorded
    assert migrate.status(empty_database).up_to_date
    assert query("select set_config('kata.tenant', '*', false)") == [("*",)]
    assert query("select * from kata.verify()") == []


def test_a_function_file_that_is_moved_and_edited_is_installed_at_its_new_path(
    empty_database: str, query: Query, files: Files
) -> None:
    migrate.up(empty_database, root=files.root)
    before = rows_of_functions(query)
    files.remove("functions/notes/is_visible.sql")
    files.write(seen__is_visible=function("kata.is_visible(note_id integer) returns boolean"))
    report = migrate.up(empty_database, root=files.root)
    assert {(step.action, step.name) for step in report.steps} == {
        ("moved", "seen/is_visible.sql"),
        ("installed", "seen/is_visible.sql"),
        ("installed", "privileges.sql"),
    }
    after = rows_of_functions(query)
    assert after["is_visible"][0] == before["is_visible"][0]
    assert after["count_notes"] == before["count_notes"]
    assert set(recorded_files(query)) == {
        "internal/count_notes.sql",
        "notes/notes.sql",
        "privileges.sql",
        "seen/is_visible.sql",
    }
    assert migrate.status(empty_database, root=files.root).up_to_date


def test_a_move_beside_an_edit_leaves_the_moved_file_alone(
    empty_database: str, query: Query, files: Files
) -> None:
    migrate.up(empty_database, root=files.root)
    recorded = recorded_files(query)
    files.move("functions/notes/is_visible.sql", "functions/first/is_visible.sql")
    files.write(internal__count_notes=function("kata_data.count_notes() returns bigint", "select 1::bigint"))
    report = migrate.up(empty_database, root=files.root)
    assert report.names("moved", "function") == ["first/is_visible.sql"]
    assert report.names("installed", "function") == ["internal/count_notes.sql", "privileges.sql"]
    assert recorded_files(query)["first/is_visible.sql"] == recorded["notes/is_visible.sql"]

    files.move("functions/first/is_visible.sql", "functions/notes/is_visible.sql")
    again = migrate.up(empty_database, root=files.root, reinstall=True)
    assert again.names("moved", "function") == ["notes/is_visible.sql"]
    assert len(again.names("installed", "function")) == len(recorded)
    assert recorded_files(query).keys() == recorded.keys()
    files.move("functions/notes/is_visible.sql", "functions/first/is_visible.sql")
    migrate.down(empty_database, root=files.root, to=1, allow_destructive=True)
    assert recorded_files(query) == {}
    migrate.up(empty_database, root=files.root)
    assert migrate.status(empty_database, root=files.root).up_to_date


def test_function_files_that_trade_places_are_moved(empty_database: str, query: Query, files: Files) -> None:
    for name in ("one", "two", "three"):
        files.write(**{f"notes__{name}": function(f"kata.{name}() returns text", f"select '{name}'")})
    migrate.up(empty_database, root=files.root)
    functions, recorded = catalog_rows(query), recorded_files(query)
    files.move("functions/notes/one.sql", "functions/notes/kept.sql")
    files.move("functions/notes/two.sql", "functions/notes/one.sql")
    files.move("functions/notes/three.sql", "functions/notes/two.sql")
    files.move("functions/notes/kept.sql", "functions/notes/three.sql")
    report = migrate.up(empty_database, root=files.root)
    assert [(step.action, step.name, step.reason) for step in report.steps] == [
        ("moved", "notes/three.sql", "from notes/one.sql"),
        ("moved", "notes/two.sql", "from notes/three.sql"),
        ("moved", "notes/one.sql", "from notes/two.sql"),
    ]
    assert catalog_rows(query) == functions
    assert recorded_files(query)["notes/three.sql"] == recorded["notes/one.sql"]
    assert not migrate.up(empty_database, root=files.root).changed


def test_a_file_moved_to_the_path_of_one_that_is_gone_takes_its_place(
    empty_database: str, query: Query, files: Files
) -> None:
    files.write(
        notes__old=function("kata.old() returns text", "select 'old'"),
        notes__new=function("kata.new() returns text", "select 'new'"),
    )
    migrate.up(empty_database, root=files.root)
    files.move("functions/notes/new.sql", "functions/notes/old.sql")
    report = migrate.up(empty_database, root=files.root)
    assert report.names("moved", "function") == ["notes/old.sql"]
    assert report.names("dropped", "function") == ["notes/old.sql"]
    assert query("select kata.new(), to_regproc('kata.old')") == [("new", None)]
    assert recorded_files(query)["notes/old.sql"][1] == ["kata.new()"]
    assert migrate.status(empty_database, root=files.root).up_to_date


@pytest.mark.parametrize("present", [True, False], ids=["present", "gone"])
@pytest.mark.parametrize("edited", [True, False], ids=["edited", "unchanged"])
def test_a_moved_function_file_keeps_its_functions_with_and_without_its_extension(
    empty_database: str, query: Query, files: Files, present: bool, edited: bool
) -> None:
    text = "-- kata: requires extension vector\n" + function("kata.nearest() returns integer", "select 1")
    files.write(notes__nearest=text)
    query("create extension vector")
    migrate.up(empty_database, root=files.root)
    if not present:
        query("drop extension vector")
    functions = catalog_rows(query)
    files.move("functions/notes/nearest.sql", "functions/recall/nearest.sql")
    if edited:
        files.write(recall__nearest=text.replace("select 1", "select 2"))
    report = migrate.up(empty_database, root=files.root)
    assert report.names("moved", "function") == ["recall/nearest.sql"]
    assert report.names("dropped", "function") == []
    assert report.names("skipped", "function") == ([] if present else ["recall/nearest.sql"])
    assert (catalog_rows(query) != functions) == (present and edited)
    assert query("select kata.nearest()") == [(2 if present and edited else 1,)]
    assert migrate.drift(empty_database) == []
    assert not migrate.up(empty_database, root=files.root).changed


def test_a_moved_file_whose_function_was_dropped_by_hand_is_installed(
    empty_database: str, query: Query, files: Files
) -> None:
    migrate.up(empty_database, root=files.root)
    query("drop function kata_data.count_notes()")
    files.move("functions/internal/count_notes.sql", "functions/internal/notes/count_notes.sql")
    report = migrate.up(empty_database, root=files.root)
    assert report.names("moved", "function") == ["internal/notes/count_notes.sql"]
    assert "internal/notes/count_notes.sql" in report.names("installed", "function")
    assert query("select kata_data.count_notes()") == [(0,)]
    assert migrate.status(empty_database, root=files.root).up_to_date


def test_a_body_that_is_not_valid_is_refused_with_nothing_changed(
    empty_database: str, query: Query, files: Files
) -> None:
    migrate.up(empty_database, root=files.root)
    before = rows_of_functions(query)
    broken = (
        "create or replace function kata.broken() returns int language plpgsql as 'begin retrun 1; end';\n"
    )
    files.write(notes__broken=broken)
    said = refusal(migrate.up, empty_database, root=files.root)
    assert "notes/broken.sql: kata.broken() is not valid: syntax error" in said
    assert rows_of_functions(query) == before

    # The file that did not change is the one that no longer works.
    for name in ("broken", "notes", "is_visible"):
        files.remove(f"functions/notes/{name}.sql")
    said = refusal(migrate.up, empty_database, root=files.root)
    assert "internal/count_notes.sql: kata_data.count_notes() is not valid: function kata.is_visible" in said
    assert rows_of_functions(query) == before


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (function("stray() returns boolean"), "creates stray outside the schemas"),
        (function("kata.is_visible() returns boolean"), "is defined in"),
        (
            function("kata.f() returns boolean") + function("kata.f(a int) returns boolean"),
            "leaves 2 signatures",
        ),
        ("select 1/0;", "notes/zz.sql failed: division by zero"),
    ],
)
def test_a_function_file_that_breaks_the_rules_is_refused_by_name(
    empty_database: str, files: Files, text: str, problem: str
) -> None:
    migrate.up(empty_database, root=files.root)
    files.write(notes__zz=text)
    said = refusal(migrate.up, empty_database, root=files.root)
    assert problem in said
    assert "notes/zz.sql" in said


def test_a_function_belongs_to_the_owner_that_its_file_names(
    empty_database: str, query: Query, files: Files
) -> None:
    text = function("kata.purge() returns boolean")
    owner = "select proowner::regrole::text from pg_proc where proname = 'purge'"
    files.write(notes__purge=text)
    migrate.up(empty_database, root=files.root)
    assert query(owner) == [("kata_owner",)]
    files.write(notes__purge=f"-- Why.\n-- kata: owner kata_eraser\n\n{text}")
    migrate.up(empty_database, root=files.root)
    assert query(owner) == [("kata_eraser",)]


def test_drift_is_named(empty_database: str, query: Query, files: Files) -> None:
    files.write(
        m0004_trigger="create function kata_data.refuse() returns trigger language plpgsql as $$\n"
        "begin return null; end $$;\n"
        "create trigger refuse before delete on kata_data.note\n"
        "  for each row execute function kata_data.refuse();\n"
    )
    migrate.up(empty_database, root=files.root)
    assert migrate.drift(empty_database) == []
    query(function("kata.is_visible(note_id integer) returns boolean"))
    query("drop function kata_data.count_notes()")
    query(function("kata.is_visible(note_id text) returns boolean"))
    query("create view kata.by_hand as select 1")
    assert migrate.drift(empty_database) == [
        migrate.Drift("kata_data.count_notes()", "missing", "internal/count_notes.sql"),
        migrate.Drift("kata.is_visible(integer)", "changed", "notes/is_visible.sql"),
        migrate.Drift("kata.is_visible(text)", "unknown", None),
        migrate.Drift("view kata.by_hand", "unknown", None),
    ]
    assert not migrate.status(empty_database, root=files.root).up_to_date

    # `up` restores a missing function, and with `reinstall` a changed one.
    migrate.up(empty_database, root=files.root)
    assert [drift.state for drift in migrate.drift(empty_database)] == ["changed", "unknown", "unknown"]
    query("drop view kata.by_hand")
    migrate.up(empty_database, root=files.root, reinstall=True)
    assert migrate.drift(empty_database) == []


def test_the_old_functions_answer_until_the_new_ones_are_all_there(
    empty_database: str, query: Query, files: Files
) -> None:
    files.write(
        notes__aa=function("kata.aa() returns text", "select 'old'"),
        notes__zz=function("kata.zz() returns text", "select 'old'"),
    )
    migrate.up(empty_database, root=files.root)
    files.write(
        notes__aa=function("kata.aa() returns varchar", "select 'new'"),
        notes__gate="select pg_advisory_xact_lock_shared(1);\n",
        notes__zz=function("kata.zz() returns text", "select 'new'"),
    )
    query("select pg_advisory_lock(1)")
    run = threading.Thread(target=migrate.up, args=(empty_database,), kwargs={"root": files.root})
    run.start()
    while not query("select 1 from pg_locks where locktype = 'advisory' and not granted"):
        assert run.is_alive()
    assert query("select kata.aa() || kata.zz()") == [("oldold",)]
    query("select pg_advisory_unlock(1)")
    run.join()
    assert query("select kata.aa() || kata.zz()") == [("newnew",)]


# One file for psql


def test_psql_alone_installs_everything(
    create_database: CreateDatabase, empty_database: str, psql: Path
) -> None:
    done = run_psql(psql, empty_database, migrate.bundle())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert migrate.up(empty_database) == migrate.Report((), dry_run=False)
    assert migrate.status(empty_database).up_to_date
    migrated = create_database()
    migrate.up(migrated)
    assert schema(empty_database) == schema(migrated)
    fill(empty_database)


def test_psql_refuses_to_install_over_an_installation(empty_database: str, psql: Path) -> None:
    migrate.up(empty_database)
    done = run_psql(psql, empty_database, migrate.bundle())
    assert done.returncode != 0
    assert "is already installed in this database" in done.stderr
    assert "kata migrate up" in done.stderr
    assert migrate.status(empty_database).up_to_date


def test_psql_installs_migrations_with_marks(
    empty_database: str, query: Query, files: Files, psql: Path
) -> None:
    mark = "-- kata: requires extension"
    files.write(
        m0004_index="-- kata: no-transaction\ncreate index concurrently note_tag on kata_data.note (tag);\n",
        m0005_never=f"{mark} kata_no_such\nselect 1/0;\n",
        m0006_vectors=f"{mark} vector\nalter table kata_data.note add column embedding vector(3);\n",
        notes__never=f"{mark} kata_no_such\nselect 1/0;\n",
        notes__nearest=f"{mark} vector\n"
        + function(
            "kata.nearest(v vector) returns bigint", "select count(embedding <-> v) from kata_data.note"
        ),
    )
    done = run_psql(psql, empty_database, migrate.bundle(files.root))
    assert done.returncode == 0, done.stderr
    assert history(query)[3:] == [(4, "applied"), (5, "skipped"), (6, "applied")]
    assert not migrate.up(empty_database, root=files.root).changed
    assert migrate.status(empty_database, root=files.root).up_to_date
    assert query("select kata.nearest('[1,2,3]')") == [(0,)]


# The command


def test_the_command_migrates_and_shows_the_state_of_the_database(empty_database: str) -> None:
    def kata(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(cli, ["--dsn", empty_database, "migrate", *arguments])
        assert result.exit_code == code, result.output
        return result

    assert "would apply     0001_roles_and_schemas" in kata("up", "--dry-run").stdout
    planned = json.loads(kata("up", "--dry-run", "--json").stdout)
    assert (planned["changed"], planned["steps"][0]["name"]) == (True, "0001_roles_and_schemas")
    assert kata("status", code=1).stdout.startswith("pending   0001_roles_and_schemas")
    applied = kata()
    assert applied.stdout.startswith("applied         0001_roles_and_schemas")
    assert "function files" in applied.stdout
    assert "database: postgresql://postgres@" in applied.stderr
    again = kata("up")
    assert again.stdout == ""
    assert "nothing to do" in again.stderr
    assert json.loads(kata("status", "--json").stdout)["up_to_date"] is True
    assert "kata: data would be lost: " in kata("down", "--to", "1", code=1).stderr
    kata("down", "--to", "1", "--allow-data-loss")
    assert "pending   functions" in kata("status", code=1).stdout


def test_the_command_says_that_function_files_are_moved(empty_database: str, query: Query) -> None:
    migrate.up(empty_database)
    functions = catalog_rows(query)
    query(
        "update kata_data.function_file set path = 'drawer/' || path "
        "where path ~ '^log/append(_message)?.sql'"
    )

    def kata(*arguments: str) -> Any:
        result = CliRunner().invoke(cli, ["--dsn", empty_database, "migrate", *arguments])
        assert result.exit_code == 0, result.output
        return result

    moves = [
        ("log/append.sql", "from drawer/log/append.sql"),
        ("log/append_message.sql", "from drawer/log/append_message.sql"),
    ]
    planned = kata("up", "--dry-run").stdout.splitlines()
    assert [line.split(maxsplit=3) for line in planned] == [["would", "move", *move] for move in moves]
    shown = kata("status").stdout.splitlines()[-len(moves) :]
    assert [line.split(maxsplit=3) for line in shown] == [["moved", "functions", *move] for move in moves]
    assert kata("up").stdout == f"{'moved':15} 2 function files\n"
    assert "nothing to do" in kata("up").stderr
    assert catalog_rows(query) == functions


def test_the_command_writes_the_bundle(tmp_path: Path) -> None:
    printed = CliRunner().invoke(cli, ["migrate", "bundle"])
    assert printed.stdout == migrate.bundle()
    CliRunner().invoke(cli, ["migrate", "bundle", "-o", str(tmp_path / "kata.sql")])
    assert (tmp_path / "kata.sql").read_text() == migrate.bundle()
