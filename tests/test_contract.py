"""The security contract: what weakens it is found, and what a restore lost comes back."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from conftest import FAST, ROOT, LaunchServer, TestServer
from kata_context import migrate
from kata_context.embedded import SUPERUSER, find_binaries
from kata_context.errors import KataError
from support.commands import Run

PROGRAMS = find_binaries()
PROBLEMS = "select p.object, p.aspect, p.expected, p.found, p.repair from kata_data.contract_problems() p"
FACTS = "select f.object, f.aspect, f.statement from kata_data.contract_facts() f"
# Roles with a tenant, which a dump names.
KEPT_ROLES = {"kept_app", 'kept "App"'}
DIGESTS = "select h.context_id, h.version, h.last_digest from kata_data.head h"

# Damage that a hand or a restore does, and the findings: the beginnings of object and aspect.
DAMAGES = {
    "triggers made ordinary ones, as a restore of data does": (
        "alter table kata_data.message disable trigger all; alter table kata_data.message enable trigger all",
        {"trigger message_is_immutable on kata_data.message: state",
         "trigger message_is_immutable_as_a_whole on kata_data.message: state"},
    ),
    "a trigger off": (
        "alter table kata_data.erasure disable trigger erasure_is_immutable",
        {"trigger erasure_is_immutable on kata_data.erasure: state"},
    ),
    "a trigger lost": (
        "drop trigger summary_is_immutable on kata_data.summary",
        {"trigger summary_is_immutable on kata_data.summary: definition",
         "trigger summary_is_immutable on kata_data.summary: state"},
    ),
    "foreign keys off": (
        "alter table kata_data.head disable trigger all",
        {"table kata_data.head: foreign keys"},
    ),
    "a trigger added": (
        """create function pg_temp.t() returns trigger language plpgsql as 'begin return null; end';
           create trigger aaa before insert on kata_data.message for each row execute function pg_temp.t()""",
        {"trigger aaa on kata_data.message: definition"},
    ),
    "a rule added": (
        "create rule r as on insert to kata_data.erasure do instead nothing",
        {"rule r on kata_data.erasure: definition"},
    ),
    "row security off": (
        "alter table kata_data.context disable row level security",
        {"table kata_data.context: row security"},
    ),
    "row security not forced": (
        "alter table kata_data.context no force row level security",
        {"table kata_data.context: forced row security"},
    ),
    "a policy added": (
        "create policy evil on kata_data.context using (true)",
        {"policy evil on kata_data.context: definition"},
    ),
    "a policy widened": (
        "alter policy context_of_tenant on kata_data.context using (true)",
        {"policy context_of_tenant on kata_data.context: definition"},
    ),
    "a table owned by another": (
        "alter table kata_data.message owner to current_user",
        {"table kata_data.message: owner"},
    ),
    "a function owned by another": (
        "alter function kata_data.draft_keys() owner to kata_eraser",
        {"routine kata_data.draft_keys(): owner"},
    ),
    "a schema owned by another": ("alter schema kata_data owner to kata_admin", {"schema kata_data: owner"}),
    "a type owned by another": (
        "alter type kata_data.finding owner to kata_admin",
        {"type kata_data.finding: owner"},
    ),
    "a function for all roles": (
        "grant execute on function kata.purge_deleted to public",
        {"routine kata.purge_deleted(interval,boolean): privileges of public"},
    ),
    "more for a role of ours": (
        "grant execute on function kata.purge_deleted to kata_reader",
        {"routine kata.purge_deleted(interval,boolean): privileges of kata_reader"},
    ),
    "less for a role of ours": (
        'revoke execute on function kata."window" from kata_reader',
        {"routine kata.\"window\"("},
    ),
    "a table for a stranger": (
        "create role stranger; grant select on kata_data.message to stranger",
        {"table kata_data.message: privileges of stranger"},
    ),
    "a column for a stranger": (
        "create role stranger; grant select (content), update (content) on kata_data.message to stranger",
        {"column kata_data.message.content: privileges of stranger"},
    ),
    "a schema for a stranger": (
        "create role stranger; grant usage on schema kata_data to stranger",
        {"schema kata_data: privileges of stranger"},
    ),
    "the default privileges": (
        "alter default privileges for role kata_owner grant execute on functions to public",
        {"default privileges of kata_owner: functions"},
    ),
    "a role above row security": ("alter role kata_service bypassrls", {"role kata_service: attributes"}),
    "a role that logs in": ("alter role kata_owner login", {"role kata_owner: attributes"}),
    "a reader who administers": ("revoke kata_writer from kata_admin; grant kata_admin to kata_reader",
        {"role kata_admin: member kata_reader", "role kata_writer: member kata_admin"}),
    "a constraint lost": (
        "alter table kata_data.context drop constraint context_tenant_is_one",
        {"constraint context_tenant_is_one on kata_data.context: definition"},
    ),
    "a constraint not valid": (
        """alter table kata_data.context drop constraint context_tenant_is_one;
           alter table kata_data.context add constraint context_tenant_is_one
             check (tenant <> '' and tenant <> '*') not valid""",
        {"constraint context_tenant_is_one on kata_data.context: definition"},
    ),
    "a column that may be null": (
        "alter table kata_data.message alter column digest drop not null",
        {"column kata_data.message.digest: not null"},
    ),
    "a default lost": (
        "alter table kata_data.migration alter column applied_by drop default",
        {"column kata_data.migration.applied_by: default"},
    ),
    "an index lost": (
        "drop index kata_data.context_live_name",
        {"index kata_data.context_live_name: definition"},
    ),
    "an index not valid": (
        "update pg_index set indisvalid = false where indexrelid = 'kata_data.context_live_name'::regclass",
        {"index kata_data.context_live_name: definition"},
    ),
    "an index that a failed build left": (
        """create index left_behind on kata_data.message (role);
           update pg_index set indisvalid = false where indexrelid = 'kata_data.left_behind'::regclass""",
        {"index kata_data.left_behind: definition"},
    ),
}  # fmt: skip
# Additions that an administrator may make.
HARMLESS = (
    "create role stranger; grant usage on schema kata to stranger; "
    "grant execute on function kata.version to stranger",
    "create index of_theirs on kata_data.message (role)",
    "create role stranger; grant kata_reader to stranger",
    "alter table kata_data.message set (autovacuum_vacuum_scale_factor = 0.01)",
    "comment on table kata_data.message is 'ours'",
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_weakens_it_is_found_and_repaired(conn: psycopg.Connection, damage: str) -> None:
    statements, expected = DAMAGES[damage]
    assert conn.execute(PROBLEMS).fetchall() == []

    conn.execute(statements.encode())
    found = conn.execute(PROBLEMS).fetchall()

    names = [f"{name}: {aspect}" for name, aspect, *_ in found]
    assert len(names) == len(expected), names
    for name in expected:
        assert any(one.startswith(name) for one in names), names
    for _ in range(2):
        for *_, repair in conn.execute(PROBLEMS).fetchall():
            conn.execute(repair.encode())
    assert conn.execute(PROBLEMS).fetchall() == []


@pytest.mark.parametrize("statements", HARMLESS)
def test_an_addition_of_an_administrator_is_not_a_breach(conn: psycopg.Connection, statements: str) -> None:
    conn.execute(statements.encode())

    assert conn.execute(PROBLEMS).fetchall() == []


def test_verify_shows_breaches_to_administrators(conn: psycopg.Connection) -> None:
    conn.execute("alter table kata_data.context disable row level security")
    conn.execute("create role someone in role kata_admin; set local role someone")

    assert conn.execute("select v.problem, v.detail from kata.verify() v").fetchall() == [
        (
            "security",
            "table kata_data.context, row security: expected alter table kata_data.context enable row level "
            "security; found nothing.",
        )
    ]


def test_verify_shows_no_breach_to_a_reader(conn: psycopg.Connection) -> None:
    conn.execute("alter table kata_data.context disable row level security")
    conn.execute("create role someone in role kata_reader; set local role someone")

    assert conn.execute("select v.problem from kata.verify() v").fetchall() == []


def test_an_upgrade_does_not_make_a_breach_lawful(database: str, tmp_path: Path) -> None:
    root = tmp_path / "sql"
    shutil.copytree(migrate.sql_root(), root)
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        conn.execute(
            "alter table kata_data.message disable trigger message_is_immutable; "
            "grant select on kata_data.message to public"
        )
    number = len(list((root / "migrations").glob("*.up.sql"))) + 1
    (root / f"migrations/{number:04}_more.up.sql").write_text(
        "create table kata_data.more (n integer constraint more_pkey primary key);\n"
        "grant select on kata_data.more to kata_eraser;\n"
        "revoke select on kata_data.head from kata_eraser;\n"
    )
    (root / f"migrations/{number:04}_more.down.sql").write_text("drop table kata_data.more;\n")
    breaches = {
        "table kata_data.message: privileges of public unexpected",
        "trigger message_is_immutable on kata_data.message: state changed",
    }

    migrate.up(database, root=root)

    assert {f"{one.name} {one.state}" for one in migrate.drift(database)} == breaches
    migrate.up(database, root=root, reinstall=True)
    assert migrate.drift(database) == []
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        conn.execute("revoke select on kata_data.more from kata_eraser")
    assert [one.name for one in migrate.drift(database)] == [
        "table kata_data.more: privileges of kata_eraser"
    ]


def test_after_a_rollback_the_contract_is_recorded_anew(database: str) -> None:
    last = len(migrate.status(database).migrations)
    migrate.down(database, to=last - 1, allow_destructive=True)

    assert migrate.drift(database) == []
    migrate.up(database)

    assert migrate.drift(database) == []
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        conn.execute("alter table kata_data.context disable row level security")
    assert [one.name for one in migrate.drift(database)] == ["table kata_data.context: row security"]


def test_the_command_line_finds_and_restores(database: str, run: Run) -> None:
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        conn.execute("alter table kata_data.context disable row level security")

    doctor = run("doctor", code=1).stdout
    assert "table kata_data.context: row security missing" in doctor
    assert "kata migrate up --reinstall" in doctor
    assert "missing   table kata_data.context: row security" in run("migrate", "status", code=1).stdout
    assert "1 fact of the security contract" in run("migrate", "up", "--reinstall").stdout
    run("migrate", "status")


def test_what_cannot_be_restored_is_named(database: str) -> None:
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        conn.execute("alter table kata_data.context drop constraint context_metadata_is_object")
        conn.execute("select kata.create_context()")
        conn.execute("update kata_data.context set metadata = '[]'")

    with pytest.raises(KataError, match=r"constraint context_metadata_is_object on .*cannot be restored"):
        migrate.up(database, reinstall=True)


def program(name: str, *arguments: str, code: int = 0, **environment: str) -> str:
    """Run a program of PostgreSQL; return what it says of errors."""
    done = subprocess.run(
        [str(PROGRAMS / name), *arguments], env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    return done.stderr


def state(dsn: str) -> set[Any]:
    """Return contract and digests of a database, after a look for problems."""
    assert migrate.drift(dsn) == []
    with closing(psycopg.connect(dsn, autocommit=True)) as conn:
        conn.execute("set kata.tenant = '*'")
        assert conn.execute("select * from kata.verify()").fetchall() == []
        return {*conn.execute(FACTS).fetchall(), *conn.execute(DIGESTS).fetchall()}


class Kept(NamedTuple):
    """A database of two tenants with forks and a compaction, its dump, and what a restore must bring back."""

    dsn: str
    dump: str
    state: set[Any]


@pytest.fixture(scope="module")
def kept(server: TestServer, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """A database that was dumped."""
    server.execute(f"create database kept template {template} strategy file_copy")
    with closing(psycopg.connect(server.url("kept"), autocommit=True)) as conn:
        for role in ("kept_app", '"kept ""App"""', "kept_gone"):
            conn.execute(f"create role {role} login".encode())
        conn.execute(
            "select kata.assign_tenant(r, 'one') from unnest(%s::text[]) r", ([*KEPT_ROLES, "kept_gone"],)
        )
        conn.execute("drop role kept_gone")
        for tenant in ("one", "other"):
            conn.execute("select set_config('kata.tenant', %s, false)", (tenant,))
            conn.execute(
                """
                create temp table made as select kata.create_context(
                  'talk', policy => '{"preserve_recent_count": 1, "min_gain_tokens": 0}') as context_id;
                select kata.append_message(m.context_id, 'user', 'deploy 8f3e1c') from made m;
                select kata.append_message(m.context_id, 'assistant', 'done') from made m;
                select kata.append_message(m.context_id, 'user', 'and the log?') from made m;
                select kata.compact(m.context_id, 'drop', force => true) from made m;
                select kata.append_message(kata.fork(m.context_id, 2), 'user', 'again') from made m;
                select kata.checkpoint(m.context_id, 'good') from made m;
                drop table made;
                """
            )
    dump = str(tmp_path_factory.mktemp("kept") / "kata.dump")
    program("pg_dump", "--format=custom", f"--file={dump}", server.url("kept"))
    yield Kept(server.url("kept"), dump, state(server.url("kept")))
    server.execute("drop database kept with (force)")
    server.execute('drop role kept_app, "kept ""App"""')


@pytest.mark.slow
def test_a_restore_by_a_superuser_comes_back_whole(kept: Kept, empty_database: str) -> None:
    program("pg_restore", "--exit-on-error", f"--dbname={empty_database}", kept.dump)

    assert state(empty_database) ^ kept.state == set()


@pytest.mark.slow
def test_reinstall_gives_back_owners_and_privileges(kept: Kept, empty_database: str) -> None:
    program(
        "pg_restore",
        "--exit-on-error",
        "--no-owner",
        "--no-privileges",
        f"--dbname={empty_database}",
        kept.dump,
    )

    assert len(migrate.drift(empty_database)) > 500
    migrate.up(empty_database, reinstall=True)
    assert state(empty_database) ^ kept.state == set()


@pytest.mark.slow
def test_a_restore_into_another_cluster_comes_back_whole(kept: Kept, launch_server: LaunchServer) -> None:
    elsewhere = launch_server("elsewhere", FAST)
    # The roles belong to the cluster: an installation makes them.
    elsewhere.execute("create database first")
    migrate.up(elsewhere.url("first"))
    elsewhere.execute("drop database first")
    elsewhere.execute("create database restored")
    restore = ("pg_restore", "--exit-on-error", f"--dbname={elsewhere.url('restored')}", kept.dump)
    assert re.search(r'role "kept.* does not exist', program(*restore, code=1))
    elsewhere.execute("drop database restored")

    # The query of docs/operations.md.
    listing = re.search(r"select format\('create role .*", (ROOT / "docs/operations.md").read_text())
    assert listing
    with closing(psycopg.connect(kept.dsn)) as conn:
        for (statement,) in conn.execute(listing[0].encode()).fetchall():
            elsewhere.execute(statement)
    elsewhere.execute("create database restored")
    program(*restore)

    assert state(elsewhere.url("restored")) ^ kept.state == set()
    with closing(psycopg.connect(elsewhere.url("restored"))) as conn:
        tenants = """
            select t.role_name::text from kata_data.tenant_role t
            join pg_roles r on r.oid = t.role and r.rolname = t.role_name"""
        assert {role for (role,) in conn.execute(tenants)} == KEPT_ROLES


@pytest.mark.slow
def test_an_owner_without_superuser_dumps_and_restores(
    kept: Kept, server: TestServer, empty_database: str, tmp_path: Path
) -> None:
    dump, contents = str(tmp_path / "kata.dump"), tmp_path / "contents"
    server.execute("create role owner_of_kept login createrole")
    server.execute("grant kata_owner, kata_eraser, kata_service to owner_of_kept with inherit true, set true")
    server.execute(f"alter database {conninfo_to_dict(empty_database)['dbname']} owner to owner_of_kept")
    with closing(psycopg.connect(empty_database, autocommit=True)) as conn:
        conn.execute("create extension vector")
    source, target = (dsn.replace(f"{SUPERUSER}@", "owner_of_kept@") for dsn in (kept.dsn, empty_database))

    assert "row-level security" in program("pg_dump", f"--file={dump}", source, code=1)
    program(
        "pg_dump", "--format=custom", "--enable-row-security", f"--file={dump}", source,
        PGOPTIONS="-c kata.tenant=*",
    )  # fmt: skip
    program("pg_restore", "--list", f"--file={contents}", dump)
    without_extensions = [line for line in contents.read_text().splitlines() if " EXTENSION " not in line]
    contents.write_text("\n".join(without_extensions))
    program(
        "pg_restore", "--exit-on-error", "--no-owner", "--no-privileges", f"--use-list={contents}",
        f"--dbname={target}", dump,
    )  # fmt: skip
    migrate.up(target, reinstall=True)

    assert state(empty_database) ^ kept.state == set()


@pytest.mark.slow
def test_a_dump_that_left_tenants_out_is_not_restored(
    kept: Kept, empty_database: str, tmp_path: Path
) -> None:
    dump = str(tmp_path / "kata.dump")
    program(
        "pg_dump", "--format=custom", "--enable-row-security", f"--file={dump}",
        kept.dsn, PGOPTIONS="-c role=kata_owner -c kata.tenant=one",
    )  # fmt: skip

    refused = program("pg_restore", "--exit-on-error", f"--dbname={empty_database}", dump, code=1)

    assert "violates foreign key constraint" in refused
