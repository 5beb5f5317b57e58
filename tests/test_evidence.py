"""Heads that were kept elsewhere show damage to a database since, and take nothing honest for damage."""

import random
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import psycopg
import pytest

from kata_context import Kata, evidence
from support.commands import Query, Run
from test_cli import complaint

POLICY = '{"preserve_recent_count": 1, "min_gain_tokens": 0}'
CREATE = f"select kata.create_context(%(text)s, '{POLICY}')"
APPEND = "select kata.append_message(%(context)s, 'user', %(text)s)"
FORK = "select kata.fork(%(context)s, %(version)s)"
# Honest statements. Where the state of a context forbids one, another is tried.
HONEST = (
    *[APPEND] * 12,
    *[CREATE] * 2,
    "select kata.append_record(%(context)s, 'note', '1')",
    "select kata.pin(%(context)s, %(version)s)",
    "select kata.amend(%(context)s, %(version)s, jsonb_build_object('content', %(text)s::text))",
    "select kata.set_tools(%(context)s, json_build_array(json_build_object('name', %(text)s::text)))",
    "select kata.rewind(%(context)s, %(version)s)",
    "select kata.delete_messages(%(context)s, %(version)s)",
    FORK,
    "select kata.checkpoint(%(context)s, %(text)s, %(version)s, 'a note')",
    "select kata.update_context(%(context)s, %(text)s)",
    "select kata.set_policy(%(context)s, '{\"budget\": 5000}')",
    "select kata.commit_compaction(b.compaction_id, 'so far', 5) "
    "from kata.begin_compaction(%(context)s, 'summarize', force => true) b",
    "select kata.abort_compaction(b.compaction_id, 'no') "
    "from kata.begin_compaction(%(context)s, 'drop', force => true) b",
    "select kata.erase_message(%(context)s, %(version)s, 'asked to')",
    "select kata.archive_context(%(context)s)",
    "select kata.unarchive_context(%(context)s)",
    "select kata.delete_context(%(context)s)",
    "select kata.restore_context(%(context)s)",
    "select kata.purge_context(%(context)s)",
)
HEADS = """
select jsonb_agg(to_jsonb(h) || jsonb_build_object(
  'digest', encode(h.digest, 'hex'),
  'last_digest', encode(h.last_digest, 'hex'),
  'act_digest', encode(h.act_digest, 'hex')))::text
from kata.heads() h
"""
# Messages and amendments of a context's own log, not erased, that its kept head covers.
OWN = """
select h.context_id, e.version
from jsonb_to_recordset(%s) h(context_id uuid, version bigint)
join kata_data.context c on c.context_id = h.context_id and c.deleted_at is null
join (
  select m.segment_id, m.version from kata_data.message m where m.salt is not null
  union all
  select c.segment_id, c.version
  from kata_data.view_change c
  join kata_data.amendment a on a.change_id = c.change_id
  where a.salt is not null
) e on e.segment_id = h.context_id and e.version <= h.version
"""
TABLES = (
    "act", "amendment", "context", "head", "lineage", "message", "record", "stub", "summary",
    "tool_list", "view_change",
)  # fmt: skip
PLACES = 100
TRIGGERS = "select tgname from pg_trigger where tgrelid = 'kata_data.message'::regclass and not tgisinternal"


class House:
    """Contexts that live on in one transaction."""

    def __init__(self, conn: psycopg.Connection[Any], seed: int) -> None:
        self.conn = conn
        self.random = random.Random(seed)
        self.contexts: list[UUID] = []
        self.done: set[str] = set()
        self.conn.execute("set local kata.tenant = 'house'")
        for _ in range(4):
            self.live(CREATE)

    def live(self, *statements: str) -> None:
        """Do something honest that the heads show."""
        before = self.heads()
        while self.heads() == before:
            statement = self.random.choice(statements or HONEST)
            context = self.random.choice(self.contexts or [UUID(int=0)])
            newest = self.conn.execute(
                "select max(version) from kata.heads() where context_id = %s", [context]
            )
            version = self.random.randint(0, newest.fetchone()[0] or 0)  # type: ignore[index]
            values = {"context": context, "version": version}
            try:
                with self.conn.transaction():
                    text = f"text {self.random.getrandbits(40)}"
                    row = self.conn.execute(statement.encode(), values | {"text": text}).fetchone()
            except psycopg.Error as error:
                if not (error.sqlstate or "").startswith("KC"):
                    raise
            else:
                self.done.add(statement)
                if statement in (CREATE, FORK):
                    self.contexts.append(row[0])  # type: ignore[index]

    def heads(self) -> str | None:
        heads: str | None = self.conn.execute(HEADS).fetchone()[0]  # type: ignore[index]
        return heads

    def check(self, heads: str | None) -> list[tuple[UUID, str]]:
        """Return what is wrong with heads that were kept."""
        rows = self.conn.execute("select context_id, problem from kata.check_heads(%s)", [heads])
        return [(row[0], row[1]) for row in rows]

    def places(self, heads: str | None) -> list[tuple[UUID, int]]:
        """Return random messages and amendments that heads cover."""
        rows = self.conn.execute(OWN, [heads]).fetchall()
        rows.sort(key=lambda row: (self.contexts.index(row[0]), row[1]))
        return self.random.choices(rows, k=PLACES)

    def after(self, heads: str | None, harm: Callable[[], object]) -> list[tuple[UUID, str]]:
        """Return what is wrong after harm; undo it."""
        with self.conn.transaction(force_rollback=True):
            harm()
            return self.check(heads)

    def disarm(self) -> None:
        """Let nothing hinder harm."""
        for table in TABLES:
            self.conn.execute(f"alter table kata_data.{table} disable trigger all".encode())

    def rewrite(self, context: UUID, version: int) -> None:
        """Change a message or an amendment, and all digests of the context from there on."""
        change = (
            "update kata_data.message set content = upper(content) where segment_id = %s and version = %s"
        )
        self.conn.execute(change, [context, version])
        change = """
            update kata_data.amendment a set content = upper(a.content) from kata_data.view_change c
            where c.change_id = a.change_id and c.segment_id = %s and c.version = %s
        """
        self.conn.execute(change, [context, version])
        entries = "select version, frame, content_digest, digest from kata.entry_digests(%s, null, 1000)"
        digest = before = b""
        for at, frame, content_digest, stored in self.conn.execute(entries, [context]).fetchall():
            digest = stored
            if at >= version:
                first = b"" if before else sha256(self.family(context).bytes).digest()
                digest = sha256((before or first) + frame.encode() + (content_digest or b"")).digest()
                for table in ("message", "view_change"):
                    change = (
                        f"update kata_data.{table} set digest = %s where segment_id = %s and version = %s"
                    )
                    self.conn.execute(change.encode(), [digest, context, at])
            before = digest
        change = "update kata_data.head set last_digest = %s where context_id = %s"
        self.conn.execute(change, [digest, context])

    def cut(self, context: UUID, version: int) -> None:
        """Remove a message and what follows, and set the head back."""
        change = """
            update kata_data.head h
            set version = %(v)s - 1, last_digest = kata_data.digest_at(h.context_id, %(v)s - 1)
            where h.context_id = %(c)s
        """
        self.conn.execute(change, {"c": context, "v": version})
        for table in ("message", "view_change"):
            change = f"delete from kata_data.{table} where segment_id = %s and version >= %s"
            self.conn.execute(change.encode(), [context, version])

    def drop(self, context: UUID) -> None:
        """Remove a context with all that belongs to it."""
        self.conn.execute("set local session_replication_role = replica")
        for table in TABLES:
            key = "context_id" if table in ("act", "context", "head", "lineage") else "segment_id"
            if table not in ("amendment", "stub", "tool_list"):
                self.conn.execute(f"delete from kata_data.{table} where {key} = %s".encode(), [context])
        self.conn.execute("set local session_replication_role = origin")

    def family(self, context: UUID) -> UUID:
        row = self.conn.execute("select family_id from kata_data.context where context_id = %s", [context])
        found: UUID = row.fetchone()[0]  # type: ignore[index]
        return found


@pytest.fixture
def house(conn: psycopg.Connection[Any], seed: int) -> House:
    return House(conn, seed)


def test_what_may_happen_is_never_damage(house: House) -> None:
    kept: list[str | None] = []
    while len(kept) < 15 or house.done != set(HONEST):
        kept.append(house.heads())
        for _ in range(20):
            house.live()
            assert house.check(house.random.choice(kept)) == []
    assert [house.check(heads) for heads in kept] == [[]] * len(kept)
    assert house.conn.execute("select * from kata.verify()").fetchall() == []


@pytest.mark.parametrize("harm", ["rewrite", "cut", "drop"])
def test_a_log_that_was_rewritten_cut_or_dropped_is_found(
    house: House, harm: Literal["rewrite", "cut", "drop"]
) -> None:
    for _ in range(60):
        house.live()
    heads = house.heads()
    for _ in range(20):
        house.live()
    house.disarm()
    problem = {"rewrite": "log rewritten", "cut": "log cut", "drop": "context gone"}[harm]
    missed = []
    for context, version in house.places(heads):
        arguments = (context,) if harm == "drop" else (context, version)
        found = house.after(heads, partial(getattr(house, harm), *arguments))
        if (context, problem) not in found:
            missed.append((context, version, found))
    assert missed == []


def test_a_database_that_was_set_back_is_found(house: House) -> None:
    for number in range(PLACES):
        house.conn.execute(f"savepoint s{number}".encode())
        house.live()
    heads = house.heads()
    assert house.check(heads) == []
    for number in reversed(range(PLACES)):
        house.conn.execute(f"rollback to savepoint s{number}".encode())
        assert house.check(heads), number
        if number % 10 == 0:
            house.live()
            assert house.check(heads), number


@pytest.mark.parametrize("version", [2, 6], ids=["message", "amendment"])
def test_verify_alone_does_not_find_words_rewritten_with_all_digests(house: House, version: int) -> None:
    statement = "select context_id from kata.list_contexts() limit 1"
    context = house.conn.execute(statement).fetchone()[0]  # type: ignore[index]
    for number in range(5):
        house.conn.execute(APPEND, {"context": context, "text": f"text {number}"})
    house.conn.execute('select kata.amend(%s, 3, \'{"content": "other words"}\')', [context])
    heads = house.heads()
    house.disarm()

    def harm() -> None:
        house.rewrite(context, version)
        found = house.conn.execute("select problem from kata.verify() where problem <> 'security'")
        assert found.fetchall() == []

    assert house.after(heads, harm) == [(context, "log rewritten")]


# The command line and the driver


@pytest.fixture
def contexts(kata: Kata) -> list[UUID]:
    """Seven contexts of three messages each."""
    made = [kata.create_context(f"talk {number}") for number in range(7)]
    for context in made:
        kata.append(context, [{"role": "user", "content": f"word {number}"} for number in range(3)])
    return made


def damage(database: str, *contexts: UUID) -> None:
    """Change a digest in each of some contexts."""
    change = (
        "update kata_data.message set digest = sha256(digest) where version = 2 and segment_id = any (%s)"
    )
    with psycopg.connect(database) as conn:
        conn.execute("alter table kata_data.message disable trigger all")
        conn.execute(change, [list(contexts)])
        for trigger in conn.execute(TRIGGERS).fetchall():
            conn.execute(f"alter table kata_data.message enable always trigger {trigger[0]}".encode())


def test_a_file_of_heads_is_checked(
    run: Run, read: Query, kata: Kata, contexts: list[UUID], tmp_path: Path
) -> None:
    file = tmp_path / "heads"
    file.write_text(run("heads").stdout, "utf-8")
    lines = file.read_text("utf-8").splitlines()
    assert lines[0] == "kata heads 1"
    assert [line.split()[0] for line in lines[1:-1]] == [str(context) for context in sorted(contexts)]
    digests = [bytes.fromhex(line.split()[2]) for line in lines[1:-1]]
    assert lines[-1] == f"root 7 {sha256(bytes([1]) + b''.join(digests)).hexdigest()}"
    kata.append_message(contexts[0], "user", "more")
    assert read("verify", "--against", str(file), "--jobs", "2") == []
    assert read("verify", str(contexts[0]), "--against", str(file)) == []

    forged = lines[1].replace(digests[0].hex(), "0" * 64)
    for text in (
        "", "kata heads 2", "\n".join(lines[:-1]), "\n".join([lines[0], *lines[2:]]),
        "\n".join([*lines, "x"]),
        "\n".join([lines[0], forged, *lines[2:]]), "\n".join([lines[0], "x y", *lines[1:]]),
    ):  # fmt: skip
        other = tmp_path / "other"
        other.write_text(text, "utf-8")
        message, hint = complaint(run("verify", "--against", str(other), code=1))
        assert message.startswith(("this is not a file of heads", "the file of heads was changed")), message
        assert hint


def test_the_command_line_shows_what_heads_show(
    run: Run, read: Query, database: str, contexts: list[UUID], tmp_path: Path
) -> None:
    file = tmp_path / "heads"
    file.write_text(run("heads").stdout, "utf-8")
    with psycopg.connect(database) as conn:
        conn.execute("update kata_data.head set version = 2 where context_id = %s", [contexts[3]])
    found = read("verify", "--against", str(file), code=1)
    assert (str(contexts[3]), "log cut") in {(row["context_id"], row["problem"]) for row in found}


def test_verification_in_steps_finds_what_one_call_finds(
    database: str, contexts: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(database, contexts[0], contexts[4], contexts[6])
    with psycopg.connect(database) as conn:
        conn.execute("grant select on kata_data.message to public")
        conn.execute("set session_replication_role = replica")
        conn.execute("insert into kata_data.lineage values (gen_random_uuid(), 1, 9, gen_random_uuid())")
    with Kata(database, tenant="*", max_size=2) as kata:
        whole = kata.verify()
        assert {"security", "orphan row"} <= {row.problem for row in whole}
        assert len({row.context_id for row in whole} & set(contexts)) == 3
        for limits in ((1, 20_000), (2, 20_000), (7, 20_000), (200, 4), (200, 6), (200, 20_000)):
            monkeypatch.setattr(evidence, "STEP_CONTEXTS", limits[0])
            monkeypatch.setattr(evidence, "STEP_ENTRIES", limits[1])
            for jobs in (1, 2):
                steps: list[tuple[int, int]] = []
                found = evidence.verify_in_steps(kata, jobs, lambda *step, steps=steps: steps.append(step))
                assert sorted(map(str, found)) == sorted(map(str, whole)), limits
                assert [done for done, _ in steps] == list(range(1, steps[-1][1] + 1))


def test_a_cursor_leads_on_and_ends(kata: Kata, contexts: list[UUID]) -> None:
    ordered = sorted(contexts)
    (row,) = kata.verify(max_contexts=3)
    assert (row.context_id, row.problem) == (ordered[2], "cursor")
    (row,) = kata.verify(after=row.context_id, max_contexts=3)
    assert (row.context_id, row.problem) == (ordered[5], "cursor")
    assert kata.verify(after=row.context_id, max_contexts=3) == []
    assert kata.verify(after=ordered[6], max_contexts=1) == []
