"""A program that has public calls and SHA-256 recomputes every digest, and finds what was changed."""

from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from support import digests

TABLES = ("act", "message", "view_change", "summary", "record", "stub", "erasure", "merge_origin")
CALL = {"id": "a", "type": "function", "function": {"name": "find", "arguments": '{"b": 1.50, "aa": "é"}'}}
CUSTOM = {"id": "c", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Ünder | a\nline", "name": "ann", "metadata": {"b": 1.5, "aa": None}},
    {"role": "assistant", "content": None, "model": "m", "tool_calls": [CALL], "provider": {"id": "\\"}},
    {"role": "tool", "content": "found " * 200, "tool_call_id": "a", "tool_name": "find"},
    {"role": "user", "parts": [{"type": "text", "text": "a secret|f|of mine"}], "pinned": True},
    {"role": "user", "content": "", "external_id": "x|y", "occurred_at": "1999-12-31T23:59:59.000001Z"},
    {"role": "assistant", "content": "words " * 50},
    {"role": "user", "content": "more"},
]


# An entry, its change by hand, and the problem that the verifier names. The content digest of a message is
# computed by the database, too, so a change of the content shows in the digest.
CHANGES = (
    ("2", "message set content = content || ' '", "digest"),
    ("2", 'message set metadata = \'{{"b": 1.50, "aa": null}}\'', "digest"),
    ("2", "message set name = null", "digest"),
    ("2", "message set salt = sha256(salt)", "salt"),
    ("2", "message set salt = decode(md5(salt::text), 'hex')", "digest"),
    ("2", "message set role = 'assistant'", "digest"),
    ("2", "message set created_at = created_at - interval '1 us'", "digest"),
    ("2", "message set token_count = token_count + 1", "digest"),
    ("4", "message set tool_name = 'look'", "digest"),
    ("6", "message set external_id = 'z'", "digest"),
    ("6", "message set occurred_at = null", "digest"),
    ("6", "message set digest = sha256(digest)", "digest"),
    ("5", "message set content = 'a secret|f|of yours'", "erasure"),
    ("5", "message set pinned = false", "digest"),
    ("5", "erasure set content_digest = sha256(content_digest)", "digest"),
    ("{note}", "record set data = '43'", "digest"),
    ("{note}", "record set salt = salt || '4', data = '2'", "salt"),
    ("{note}", "record set kind = 'state'", "digest"),
    ("{lost_note}", "record set external_id = 'z'", "digest"),
    ("{lost_note}", "record set data = '{{}}'", "erasure"),
    ("{elision}", "view_change set versions = '{{[4,6)}}'", "digest"),
    ("4", "stub set content = content || '.'", "content"),
    ("4", "stub set content = 'x', digest = sha256(salt || 'x')", "digest"),
    ("{pin}", "view_change set kind = 'unpin'", "digest"),
    ("{pin}", "view_change set turn_version = 2", "digest"),
    ("{summary}", "summary set content = 'all is lost'", "digest"),
    ("{summary}", "summary set salt = salt || '|f|all is well', content = 'all is lost'", "salt"),
    ("{lost_summary}", "summary set role = 'system'", "digest"),
    ("{lost_summary}", "summary set content = 'no secret'", "erasure"),
    ("{copy}", "merge_origin set source_version = 1", "digest"),
)


class Story:
    """A context with an entry of every kind, and a fork of it."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self.conn = conn
        policy = Jsonb({"preserve_recent_count": 1, "min_gain_tokens": 0})
        self.context: UUID = self.call("select kata.create_context(policy => %s)", policy)
        self.call("select count(*) from kata.append(%s, %s)", self.context, Jsonb(MESSAGES))
        change = "select kata.{}".format
        self.note = self.call(change("append_record(%s, 'note', '42', 'of|mine')"), self.context)
        self.lost_note = self.call(change("append_record(%s, 'note', '{}')"), self.context)
        self.elision = self.call(change("elide(%s, 4)"), self.context)
        deletion = self.call(change("delete_messages(%s, 2)"), self.context)
        self.call(change("undo(%s, %s)"), self.context, deletion)
        self.pin = self.call(change("pin(%s, 3)"), self.context)
        self.call(change("unpin(%s, 3)"), self.context)
        self.summary = self.compact("all is well|f|all is lost")
        self.call(change("append_message(%s, 'user', 'on we go')"), self.context)
        self.call(change("append_message(%s, 'assistant', 'yes')"), self.context)
        self.lost_summary = self.compact("a secret")
        self.fork: UUID = self.call(change("fork(%s, 8)"), self.context)
        self.call(change("append_message(%s, 'user', 'from the fork')"), self.fork)
        merged = "select max(version) from kata.merge(%s, %s)"
        self.copy = self.call(merged, self.context, self.fork)
        for version in (5, self.lost_note, self.lost_summary):
            self.call("select count(*) from kata.erase_message(%s, %s, 'asked to')", self.context, version)

    def call(self, statement: str, *arguments: object) -> Any:
        row = self.conn.execute(statement.encode(), arguments).fetchone()
        assert row
        return row[0]

    def compact(self, summary: str) -> int:
        begun = "select compaction_id from kata.begin_compaction(%s, 'summarize', force => true)"
        compaction = self.call(begun, self.context)
        commit = "select summary_version from kata.commit_compaction(%s, %s, 9, %s)"
        version: int = self.call(commit, compaction, summary, Jsonb({"a": 1}))
        return version

    def after(self, change: str) -> tuple[list[str], set[int]]:
        """Return the findings after a change by hand, and where kata.verify has some; undo it."""
        with self.conn.transaction(force_rollback=True):
            for table in TABLES:
                self.run(f"alter table kata_data.{table} disable trigger all")
                self.run(f"alter table kata_data.{table} drop constraint if exists {table}_salt_has_16_bytes")
            self.run(change)
            rows = self.conn.execute("select version from kata.verify(%s)", [self.context])
            return digests.damage(self.conn, self.context), {row[0] for row in rows}

    def run(self, statement: str) -> None:
        names = {name: f"'{value}'" for name, value in vars(self).items() if isinstance(value, UUID | int)}
        self.conn.execute(statement.format(**names).encode())


@pytest.fixture
def story(conn: psycopg.Connection[Any]) -> Story:
    return Story(conn)


def test_a_stranger_recomputes_the_digests_of_entries_of_every_kind(story: Story) -> None:
    rows = story.conn.execute("select version, kind, salt from kata.entry_digests(%s)", [story.context])
    entries = {version: (kind, salt) for version, kind, salt in rows}
    kinds = {kind for kind, _ in entries.values()}
    assert kinds == {"message", "record", "elision", "deletion", "undo", "pin", "unpin", "compaction"}
    texts = ("message", "record", "compaction")
    without = {version for version, (kind, salt) in entries.items() if salt is None and kind in texts}
    assert without == {5, story.lost_note, story.lost_summary}
    assert digests.damage(story.conn, story.context) == digests.damage(story.conn, story.fork) == []
    assert story.call("select count(*) from kata.verify(%s)", story.context) == 0


def test_a_page_of_digests_ends_where_it_is_asked_to(story: Story) -> None:
    page = "select array_agg(version) from kata.entry_digests(%s, %s, %s, %s)"
    for after, rows, at, expected in (
        (3, 4, 6, [4, 5, 6]),
        (None, 2, None, [1, 2]),
        (0, 3, None, [1, 2, 3]),
        (6, 9, 6, None),
        (-5, 1, None, [1]),
    ):
        assert story.call(page, story.context, after, rows, at) == expected


def test_a_stranger_finds_every_change(story: Story) -> None:
    missed = []
    for place, change, problem in CHANGES:
        version = int(place.format(**vars(story)))
        statement = (
            f"update kata_data.{change} where segment_id in ({{context}}, {{fork}}) and version = {version}"
        )
        found, by_verify = story.after(statement)
        shown_at = story.elision if change.startswith("stub") else version
        if f"{problem} at {shown_at}" not in found or shown_at not in by_verify:
            missed.append((version, change, found, by_verify))
    assert missed == []


def test_a_stranger_finds_another_name_of_a_call_in_an_erased_message(story: Story) -> None:
    calling = Jsonb([{"role": "assistant", "tool_calls": [CUSTOM, CALL]}])
    version = story.call("select version from kata.append(%s, %s)", story.context, calling)
    for _ in range(2):
        assert digests.damage(story.conn, story.context) == []
        for path in ("{{0,custom,name}}", "{{1,function,name}}"):
            change = f"tool_calls = jsonb_set(tool_calls, '{path}', '\"look\"')"
            found, by_verify = story.after(f"update kata_data.message set {change} where version = {version}")
            assert f"frame at {version}" in found or f"digest at {version}" in found, path
            assert version in by_verify, path
        story.call("select count(*) from kata.erase_message(%s, %s, 'asked to')", story.context, version)


def test_a_stranger_recomputes_the_acts_and_finds_what_was_changed(story: Story) -> None:
    kinds = [row[0] for row in story.conn.execute("select kind from kata.acts(%s)", [story.context])]
    assert kinds == ["create", "compaction", "compaction", "erase", "erase", "erase"]
    changes = {
        "content = '{{}}'": "act digest at 2",
        "salt = salt || salt": "salt at 2",
        "facts = '{{}}'": "act digest at 2",
        "acted_by = 'another'": "act digest at 2",
        "acted_at = acted_at - interval '1 us'": "act digest at 2",
        "digest = sha256(digest)": "act digest at 2",
    }
    for change, problem in changes.items():
        statement = f"update kata_data.act set {change} where context_id = {{context}} and number = 2"
        found, _ = story.after(statement)
        assert problem in found, change
    with story.conn.transaction(force_rollback=True):
        story.run("alter table kata_data.message disable trigger all")
        story.run(
            "update kata_data.message set digest = sha256(digest)"
            " where segment_id = {context} and version = 8"
        )
        assert "fork at 1" in digests.damage(story.conn, story.fork)


def test_a_stranger_finds_entries_that_are_gone_or_changed_places(story: Story) -> None:
    gone = "delete from kata_data.message where segment_id = {context} and version = 7"
    assert "gap at 7" in story.after(gone)[0]
    swapped = (
        "update kata_data.message m set content = o.content, salt = o.salt from kata_data.message o"
        " where m.segment_id = {context} and m.version = 7 and o.segment_id = {context} and o.version = 8"
    )
    assert story.after(swapped)[0] == ["digest at 7"]


def test_each_text_has_a_salt_of_its_own_that_only_a_superuser_chooses(conn: psycopg.Connection[Any]) -> None:
    def salts() -> list[bytes]:
        row = conn.execute("select kata.create_context()").fetchone()
        assert row
        messages = Jsonb([{"role": "user", "content": "yes"}] * 3)
        conn.execute("select kata.append(%s, %s)", [row[0], messages])
        conn.execute("select kata.append_message(%s, 'user', 'yes', 1)", [row[0]])
        return [salt for (salt,) in conn.execute("select salt from kata.entry_digests(%s)", row)]

    conn.execute("set local kata.salt = '000102030405060708090a0b0c0d0e0f'")
    assert salts() == [bytes(range(16))] * 4
    conn.execute("create role test_plain in role kata_writer")
    conn.execute("set local session authorization test_plain")
    chosen = salts()
    assert {len(salt) for salt in chosen} == {16}
    assert len({*chosen, bytes(range(16))}) == 5
