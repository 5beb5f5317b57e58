"""An archive gives families back as they were, in another database, and a damaged one gives back nothing."""

import io
import json
import os
import random
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from conftest import CreateDatabase
from kata_context import Kata, archive
from kata_context.archive import ArchiveError, is_archive, read_archive, write_archive
from kata_context.database_errors import InvalidArgumentError
from kata_context.types import Message
from support import scenario
from support.commands import Run
from support.commands import kata as command
from test_cli import complaint
from test_evidence import HONEST, House
from test_growth import connect, cost

# Statements beside those of test_evidence.py; the heads do not show all of them.
MORE = (
    "select kata.elide(%(context)s, %(version)s, keep_tokens => 1)",
    "select kata.undo(%(context)s, %(version)s)",
    "select kata.add_artifact(%(context)s, 'file', %(text)s, to_jsonb(%(version)s), %(version)s)",
    "select kata.put_token_counts(%(context)s, 'cl100k_base', array[%(version)s]::bigint[], '{7}')",
    "select kata.append(%(context)s, jsonb_build_array(jsonb_build_object('role', 'user', 'content', "
    "%(text)s::text, 'external_id', %(text)s::text)), idempotency_key => %(text)s::text)",
    'select kata.append(%(context)s, \'[{"role": "assistant", "content": "so"}]\', request_id => '
    "(select r.request_id from kata.request(%(context)s, 9000, 'openai', 'gpt') r))",
    "select kata.request(%(context)s, 9000, 'anthropic', 'claude', reserve => 100)",
    "select kata.merge(%(context)s, c.context_id) from kata.list_contexts(max_rows => 1) c",
    "select kata.begin_compaction(%(context)s, force => true)",
)
# Everything that is read of a tenant, at every version.
LIVE = "from kata.list_contexts(max_rows => 1000) c cross join lateral kata."
READS = (
    "select * from kata.heads() h",
    f"select c.*, h.* {LIVE}get_context(c.context_id) h",
    f"select c.context_id, v.version, w.* {LIVE}usage(c.context_id) u "
    "cross join generate_series(0, u.version) v(version) "
    'cross join lateral kata."window"(c.context_id, 60, v.version) w',
    f"select c.context_id, h.* {LIVE}history(c.context_id) h",
    f"select c.context_id, h.* {LIVE}artifacts(c.context_id) h",
    f"select c.context_id, h.* {LIVE}records(c.context_id) h",
    f"select c.context_id, h.* {LIVE}checkpoints(c.context_id) h",
    f"select c.context_id, h.* {LIVE}compactions(c.context_id) h",
    f"select c.context_id, h.* {LIVE}requests(c.context_id) h",
    f"select c.context_id, h.* {LIVE}entry_digests(c.context_id) h",
    "select k.context_id, h.* from kata.heads() k cross join lateral kata.acts(k.context_id) h",
    f"select c.context_id, h.* {LIVE}erasures(c.context_id) h",
)
# Rows that are made again from the rest, or belong to the database and not to a family.
DERIVED = {
    "artifact", "artifact_mark", "artifact_mention", "embedding", "embedding_mark", "embedding_model",
    "entry_id", "posting", "search_mark",
}  # fmt: skip
OF_THE_DATABASE = {
    "attachment", "bucket_range", "contract", "environment", "family_import", "function_file", "migration",
    "name_claim",
    "tenant_role", "tokenizer",
}  # fmt: skip
# Columns whose number means something in one database only, and the tenant, which the first line has.
NAMED_OTHERWISE = {
    "amendment": {"change_id", "base_change_id"},
    "idempotency": {"scope"},
    "request": {"profile_id"},
    # tools_tokens is counted again.
    "request_profile": {"profile_id", "tenant", "tools_tokens"},
    "stub": {"change_id", "amendment_id"},
    "tool_list": {"list_id", "tenant"},
    "view_change": {"change_id"},
}


@contextmanager
def at_work(dsn: str, tenant: str) -> Iterator[tuple[Kata, archive.Connection]]:
    """Yield the driver and a connection, both for a tenant."""
    with Kata(dsn, tenant=tenant) as kata, closing(psycopg.connect(dsn, autocommit=True)) as connection:
        yield kata, connection


def written(dsn: str, tenant: str, context: UUID | None = None) -> bytes:
    """Return the archive of a family, or of all of a tenant."""
    file = io.BytesIO()
    with at_work(dsn, tenant) as (kata, connection):
        write_archive(kata, connection, file, context)
    return file.getvalue()


def imported(dsn: str, tenant: str, data: bytes) -> archive.Imported:
    with at_work(dsn, tenant) as (kata, connection):
        return read_archive(kata, connection, io.BytesIO(data))


def everything(dsn: str, tenant: str) -> list[list[str]]:
    """Return all that is read of a tenant."""
    with closing(psycopg.connect(dsn)) as conn:
        conn.execute("select set_config('kata.tenant', %s, false)", [tenant])
        return [
            sorted(row[0] for row in conn.execute(f"select r::text from ({read}) r".encode()))
            for read in READS
        ]


def lived(dsn: str, seed: int, steps: int) -> None:
    """Make families with a random history, of tenant house."""
    with closing(psycopg.connect(dsn)) as conn:
        house = House(conn, seed)
        for _ in range(steps):
            house.live(*HONEST, *MORE * 2)
        conn.commit()


@pytest.fixture
def told(database: str) -> str:
    """A database with the scenario that does everything once."""
    with closing(psycopg.connect(database)) as conn:
        conn.execute(scenario.PREPARE.encode())
        for statement, arguments in scenario.WRITE:
            conn.execute(statement.encode(), arguments)
        conn.commit()
    return database


@pytest.fixture
def another(create_database: CreateDatabase, template: str) -> str:
    """A database without a context."""
    dsn = create_database(template)
    with Kata(dsn) as kata:
        kata.register_tokenizer("test-İ", 3.25, 1.5)
    return dsn


def test_families_come_back_as_they_were(database: str, another: str, seed: int, is_long: bool) -> None:
    """The clocks of the databases go on, the families do not."""
    for number in range(20 if is_long else 2):
        lived(database, seed + number, 400 if is_long else 80)
    data = written(database, "house")
    assert imported(another, "house", data).added
    assert everything(another, "house") == everything(database, "house")
    assert written(another, "house") == data
    with Kata(another, tenant="house") as kata:
        assert kata.verify() == []
    again = imported(another, "house", data)
    assert (again.added, again.lines) == ([], data.count(b"\n") - 1)
    assert again.present
    # They live on: change ids, requests, keys, digests go on where they were.
    with closing(psycopg.connect(another)) as conn:
        house = House(conn, seed)
        house.contexts = [
            row[0] for row in conn.execute("select context_id from kata.list_contexts(max_rows => 100)")
        ]
        for _ in range(40):
            house.live(*HONEST, *MORE)
        assert conn.execute("select * from kata.verify()").fetchall() == []


def test_an_archive_has_no_erased_text_and_comes_back_in_any_order(told: str, another: str) -> None:
    families = [written(told, "default", UUID(root)) for root in (scenario.LOOSE, scenario.FORK)]
    for data in families:
        assert b"exit code 1" not in data
        assert len(imported(another, "default", data).added) == 1
        with Kata(another) as kata:
            assert kata.verify() == []
    assert everything(another, "default") == everything(told, "default")
    whole = written(told, "default")
    assert imported(another, "default", whole).present
    assert written(another, "default") == whole


def test_an_erasure_reaches_a_copy_that_came_before_its_original(told: str, another: str) -> None:
    for root in (scenario.LOOSE, scenario.FORK):
        imported(another, "default", written(told, "default", UUID(root)))
    with Kata(another) as kata:
        kata.erase_message(scenario.FORK, 11, "asked to")
        assert kata.get_message(scenario.LOOSE, 6).content == ""
        assert kata.verify() == []


@pytest.mark.parametrize("how", ["flip", "cut", "lose a line", "repeat a line", "swap lines"])
def test_damage_anywhere_is_found_and_changes_nothing(
    told: str, another: str, seed: int, how: str, is_long: bool
) -> None:
    data = written(told, "default")
    rng = random.Random(seed)
    with at_work(another, "default") as (kata, connection):
        for _ in range(200 if is_long else 8):
            place = rng.randrange(len(data))
            lines = data.splitlines(keepends=True)
            one, other = sorted(rng.sample(range(len(lines)), 2))
            if how == "flip":
                damaged = data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
            elif how == "cut":
                damaged = data[:place]
            elif how == "lose a line":
                damaged = b"".join(lines[:one] + lines[one + 1 :])
            elif how == "repeat a line":
                damaged = b"".join(lines[: one + 1] + lines[one:])
            else:
                lines[one], lines[other] = lines[other], lines[one]
                damaged = b"".join(lines)
            with pytest.raises((ArchiveError, InvalidArgumentError)):
                read_archive(kata, connection, io.BytesIO(damaged))
        assert kata.heads() == []
        assert read_archive(kata, connection, io.BytesIO(data)).added


def test_a_transaction_that_ends_before_the_last_line_imports_nothing(told: str, another: str) -> None:
    lines = written(told, "default", UUID(scenario.LOOSE)).decode().splitlines()[:-1]
    with Kata(another) as kata:
        with pytest.raises(InvalidArgumentError, match="is not complete"):
            kata.import_family(lines[:-1])
        with pytest.raises(InvalidArgumentError, match="no archive has begun"):
            kata.import_family(lines[-1:])
        assert kata.heads() == []
        row = kata.import_family(lines)
        assert (row.is_new, row.missing) == (True, 0)


def test_two_imports_of_a_family_at_once_are_one(told: str, another: str) -> None:
    lines = written(told, "default", UUID(scenario.LOOSE)).decode().splitlines()[:-1]
    with Kata(another) as kata, closing(psycopg.connect(another)) as second:
        with kata.transaction() as first:
            first.import_family(lines)
            second.execute("set lock_timeout = '10ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                second.execute("select * from kata.import_family(%s)", [f"[{','.join(lines)}]"])
            second.rollback()
        assert not kata.import_family(lines).is_new


def test_an_administrator_without_superuser_rights_exports_and_imports(told: str, another: str) -> None:
    with closing(psycopg.connect(told, autocommit=True)) as conn:
        conn.execute("drop role if exists porter")
        conn.execute("create role porter login in role kata_admin")
    for dsn in (told, another):
        with closing(psycopg.connect(dsn, autocommit=True)) as conn:
            conn.execute("select kata.assign_tenant('porter', 'default')")
    as_porter: Callable[[str], str] = lambda dsn: psycopg.conninfo.make_conninfo(dsn, user="porter")  # noqa: E731
    with (
        Kata(as_porter(told)) as kata,
        closing(psycopg.connect(as_porter(told), autocommit=True)) as connection,
    ):
        file = io.BytesIO()
        assert write_archive(kata, connection, file) == 2
    with (
        Kata(as_porter(another)) as kata,
        closing(psycopg.connect(as_porter(another), autocommit=True)) as connection,
    ):
        assert len(read_archive(kata, connection, io.BytesIO(file.getvalue())).added) == 2
    assert everything(another, "default") == everything(told, "default")


def test_the_memory_of_the_client_does_not_grow_with_the_file(
    database: str, another: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(archive, "MOST_LINES", 100)
    peaks = []
    with at_work(database, "default") as (kata, connection), at_work(another, "default") as (other, target):
        for size in (500, 1_000, 3_000):  # what is loaded once comes with the first
            context = kata.create_context(tokenizer="o200k_base")
            message: Message = {"role": "user", "content": "word " * 100, "token_count": 100}
            for _ in range(size // 500):
                kata.append(context, [message] * 500)
            tracemalloc.start()
            with (tmp_path / "family.jsonl").open("wb") as file:
                write_archive(kata, connection, file, context)
            with (tmp_path / "family.jsonl").open("rb") as file:
                read_archive(other, target, file)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[2] < 1.3 * peaks[1], peaks


def test_the_export_of_a_family_costs_the_same_however_many_others_there_are(database: str) -> None:
    fill = """
        do $$ declare v_id uuid; begin
          for i in 1..%s loop
            v_id := kata.create_context();
            perform kata.set_tools(v_id, '[{"name": "a"}]'), kata.append_message(v_id, 'user', 'hi');
            perform kata.request(v_id, 10000, 'openai', 'gpt');
          end loop;
        end $$"""
    found: list[int] = []
    with closing(connect(database)) as conn:
        for others in (10, 290):
            conn.execute((fill % others).encode())
            conn.execute("vacuum analyze")
            first = conn.execute("select h.context_id from kata.heads(max_rows => 1) h").fetchone()
            assert first is not None
            export = "select * from kata.export_family(%(context)s)"
            found.append(min(cost(conn, export, context=first[0])[0] for _ in range(3)))
    # The indexes are a level deeper.
    assert found[1] < 1.5 * found[0], found


def test_a_line_without_an_end_is_not_read_into_memory(another: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LONGEST", 1000)
    with pytest.raises(ArchiveError):
        imported(another, "default", b'{"kata_archive": 1, ' + b" " * 100_000_000)


@pytest.mark.parametrize("data", [b"", b"\n", b"[]\n", b'{"end": {}}\n', b'{"kata_archive": \xff}\n'])
def test_what_is_not_an_archive_is_refused(another: str, data: bytes) -> None:
    with pytest.raises(ArchiveError):
        imported(another, "default", data)


def test_a_file_is_recognized_by_its_beginning(told: str) -> None:
    file = io.BytesIO(written(told, "default"))
    assert is_archive(file)
    assert is_archive(io.BufferedReader(file))
    assert not any(map(is_archive, (io.BytesIO(b'{"name": "x"}\n'), io.BytesIO())))
    read, write = os.pipe()
    with open(read, "rb") as pipe, open(write, "wb") as end:  # noqa: PTH123
        end.write(b'{"kata_archive": 1}')
        end.flush()
        assert is_archive(pipe)


def test_every_column_is_in_an_archive_or_known_not_to_be(conn: psycopg.Connection[Any]) -> None:
    def columns(relations: str) -> dict[str, set[str]]:
        rows = conn.execute(
            f"""
            select c.relname, array_agg(a.attname::text)
            from pg_class c
            join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            where c.relnamespace = 'kata_data'::regnamespace and c.relkind in ('r', 'v') and {relations}
            group by c.relname""".encode()
        )
        return {name: set(names) for name, names in rows}

    parts = dict(conn.execute("select p.part, p.source from kata_data.archive_parts() p").fetchall())
    tables, sources = columns("c.relkind = 'r'"), columns("true")
    assert tables.keys() - parts.keys() == DERIVED | OF_THE_DATABASE
    left_out = {
        part: missing
        for part, source in parts.items()
        if (missing := tables[part] - set(conn.execute(
            "select kata_data.archive_names(%s)", [source]).fetchone()[0]))  # type: ignore[index]
    }  # fmt: skip
    assert left_out == NAMED_OTHERWISE | {"purge": {"purge_id"}}
    assert sources["archived_change"] >= tables["view_change"] - {"change_id"}


def test_the_command_line_exports_and_imports(told: str, another: str, tmp_path: Path) -> None:
    file = tmp_path / "house.jsonl"
    assert "wrote" in command("export", "--tenant", "-o", str(file), dsn=told).stdout
    assert command("export", "--tenant", dsn=told).stdout_bytes == file.read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == ["house.jsonl"]
    assert "2 families of archives added" in command("import", str(file), dsn=another).stdout
    summary = json.loads(command("import", str(file), "--json", dsn=another).stdout)
    assert (summary["families"], summary["present"]) == (0, 2)
    assert "; 2 existed" in command("import", "-", dsn=another, input=file.read_bytes()).stdout
    file.write_bytes(file.read_bytes()[:-5])
    assert "not complete" in command("import", str(file), dsn=another, code=1).stderr
    assert "CONTEXT" in command("export", dsn=told, code=2).stderr
    assert "CONTEXT" in command("export", "x", "--tenant", dsn=told, code=2).stderr


@pytest.mark.parametrize("form", ["openai", "anthropic"])
def test_the_messages_of_a_context_are_exported_for_a_provider_and_imported(
    run: Run, tmp_path: Path, form: str
) -> None:
    run("create", "talk")
    run("append", "talk", "Where is my bag?")
    run("append", "talk", "Which flight?", "--role", "assistant")
    file = tmp_path / "copy.json"
    file.write_text(run("export", "talk", "--format", form).stdout)
    assert "2 messages" in run("import", str(file)).stdout
    assert "nosuch" in complaint(run("export", "nosuch", "--format", form, code=1))[0]
