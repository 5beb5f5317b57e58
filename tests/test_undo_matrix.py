"""Which change may be undone after which other: every pair of kinds, by the model and by the store."""

from datetime import datetime, timezone
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from support.model import Context, Draft, Message

NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
CALL = {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
MESSAGES: list[Draft] = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "first"},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "a", "content": "found " * 300, "token_count": 300},
    {"role": "assistant", "content": "kept", "pinned": True},
    {"role": "user", "content": "last"},
]
GROUP, RESULT, KEPT = 3, 4, 5
"""The group that every change is about, where there is a choice; a message that came pinned."""

# Rows: the change that is undone. Columns: the change that came after. A dot: it is undone. 17, 21: it is
# refused, KC017 or KC021. A dash: the later change is not possible there. "undo_of": an undo is undone.
TABLE = """
                 message tools amend elide pin unpin delete compact drop rewind come_back
tools            .       .     .     .     .   .     .      .       .    17     .
amend            .       .     .     21    .   .     .      21      21   17     .
elide            .       .     .     .     .   .     .      .       .    17     .
pin              .       .     .     -     -   .     .      .       .    17     .
pin_back         .       .     .     -     -   .     .      .       .    17     .
unpin            .       .     .     .     .   .     .      21      21   17     .
delete           .       .     -     -     -   .     -      .       .    17     .
compact          .       .     .     -     .   .     .      21      .    17     .
drop             .       .     .     -     .   .     .      .       .    17     .
rewind           21      21    21    21    21  21    21     21      21   17     21
undo_of_tools    .       .     .     .     .   .     .      .       .    17     .
undo_of_amend    .       .     .     21    .   .     .      21      21   17     .
undo_of_elide    .       .     .     .     .   .     .      .       .    17     .
undo_of_pin      .       .     .     .     .   .     .      21      21   17     .
undo_of_pin_back .       .     .     -     .   .     .      .       .    17     .
undo_of_unpin    .       .     .     -     -   .     .      .       .    17     .
undo_of_delete   .       .     .     .     .   .     .      21      21   17     .
undo_of_compact  .       .     .     .     .   .     .      21      21   17     .
undo_of_drop     .       .     .     .     .   .     .      21      21   17     .
undo_of_rewind   21      21    21    21    21  21    21     21      21   17     21
"""


class Steps:
    """A context in memory, and where there is a connection the same in the database."""

    def __init__(self, conn: psycopg.Connection | None) -> None:
        self.conn = conn
        policy = {"preserve_recent_count": 0, "min_gain_tokens": 0, "summary_role": "user"}
        self.context_id = self.value("kata.create_context(policy => %s)", Jsonb(policy))
        self.model = Context(self.context_id)
        self.append(MESSAGES)

    def value(self, call: str, *arguments: Any) -> Any:
        """Return what a function returns, or else None."""
        if not self.conn:
            return None
        row = self.conn.execute(f"select {call}".encode(), arguments).fetchone()
        assert row
        return row[0]

    def append(self, drafts: list[Draft]) -> None:
        self.value("count(*) from kata.append(%s, %s)", self.context_id, Jsonb(drafts))
        self.model.append(drafts, NOON, [1] * len(drafts), None)

    def change(self, kind: str, call: str, *arguments: Any, **values: Any) -> None:
        version = self.value(call, *arguments)
        assert self.model.change(kind, NOON, **values) == version or not self.conn

    def message(self) -> None:
        self.append([{"role": "assistant", "content": "well"}])

    def tools(self) -> None:
        tools = f'[{{"name": "f{self.model.version}"}}]'
        self.change("tools", "kata.set_tools(%s, %s)", self.context_id, tools, tools=tools)

    def amend(self) -> None:
        patch = {"content": "found " * 150 + str(self.model.version), "token_count": 200}
        assert not self.model.amend_problems(RESULT, patch, None)
        words = self.model.amended(RESULT, patch)
        call = "kata.amend(%s, %s, %s)"
        arguments = (self.context_id, RESULT, Jsonb(patch))
        self.change("amendment", call, *arguments, versions=frozenset({RESULT}), words=words)

    def elide(self) -> None:
        keep = 60 if RESULT in self.model.view(None).stubs else 120
        assert self.model.elidable([RESULT], keep) == {RESULT}
        values: Draft = {"versions": frozenset({RESULT}), "stubs": {RESULT: keep}}
        self.change("elision", "kata.elide(%s, %s, null, %s)", self.context_id, RESULT, keep, **values)

    def pin(self) -> None:
        view = self.model.view(None)
        assert GROUP not in view.pinned | view.deleted
        self.change("pin", "kata.pin(%s, %s)", self.context_id, GROUP, versions=self.model.group(GROUP))

    def unpin(self) -> None:
        pinned = self.model.view(None).pinned
        group = GROUP if GROUP in pinned else KEPT
        assert group in pinned
        self.change("unpin", "kata.unpin(%s, %s)", self.context_id, group, versions=self.model.group(group))

    def delete(self) -> None:
        versions = self.model.group(GROUP)
        assert versions - self.model.view(None).deleted
        self.change("deletion", "kata.delete_messages(%s, %s)", self.context_id, GROUP, versions=versions)

    def compact(self) -> None:
        covered = self._coverable()
        covered |= self.model.view(None).covers.keys()
        begun = self.value(
            "b.compaction_id from kata.begin_compaction(%s, 'summarize', force => true) b", self.context_id
        )
        self.model.append([{"role": "user", "content": "so far", "token_count": 1}], NOON, [1], None)
        said = self.model.log.pop()
        assert isinstance(said, Message)
        call = "c.summary_version from kata.commit_compaction(%s, 'so far', 1) c"
        self.change("compaction", call, begun, versions=frozenset(covered), summary=said)

    def drop(self) -> None:
        covered = self._coverable()
        call = "c.summary_version from kata.compact(%s, 'drop', true) c"
        self.change("compaction", call, self.context_id, versions=frozenset(covered))

    def _coverable(self) -> set[int]:
        """Return what a compaction covers, of new messages where nothing else is left."""
        if not self.model.coverable(0, {"system"}):
            self.append(MESSAGES[1:2] * 2)
        return self.model.coverable(0, {"system"})

    def undo(self) -> None:
        self.undo_at(self.model.version)

    def rewind(self) -> None:
        self.rewind_to(self.model.version - 1)

    def rewind_to(self, to_version: int) -> None:
        self.change("rewind", "kata.rewind(%s, %s)", self.context_id, to_version, to_version=to_version)

    def come_back(self) -> None:
        """Say something and take it back."""
        self.message()
        self.rewind()

    def undo_at(self, version: int) -> None:
        self.change("undo", "kata.undo(%s, %s)", self.context_id, version, undone_version=version)


def steps_to(row: str) -> list[str]:
    """Return the steps before the later change; the last one is undone in the end."""
    kind = row.removeprefix("undo_of_")
    steps = {"unpin": ["pin", "unpin"], "pin_back": ["compact", "pin"]}.get(kind, [kind])
    return [*steps, "undo"] if row.startswith("undo_of_") else steps


def outcome(conn: psycopg.Connection | None, row: str, column: str) -> str:
    """Return the cell of the table for a pair."""
    steps = Steps(conn)
    for name in steps_to(row):
        getattr(steps, name)()
    version = steps.model.version
    try:
        getattr(steps, column)()
    except AssertionError:
        return "-"
    if conn:
        try:
            with conn.transaction():
                steps.undo_at(version)
        except psycopg.Error as error:
            return (error.sqlstate or "").removeprefix("KC0")
        return "."
    problems = steps.model.undo_problems(version)
    return problems.pop().removeprefix("KC0") if problems else "."


def compare(conn: psycopg.Connection | None) -> None:
    """Compare every pair with the table."""
    header, *lines = TABLE.strip().splitlines()
    found = [
        [row, *(outcome(conn, row, column) for column in header.split())]
        for row in (line.split()[0] for line in lines)
    ]
    assert found == [line.split() for line in lines]


def test_the_model_undoes_what_the_table_allows() -> None:
    compare(None)


def test_the_store_undoes_what_the_table_allows(conn: psycopg.Connection) -> None:
    compare(conn)
    assert conn.execute("select * from kata.verify()").fetchall() == []
