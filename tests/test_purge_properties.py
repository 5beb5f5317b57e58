"""Families of contexts that are forked, merged, deleted, purged and erased at random, and a model in memory.

In the model a context is the list of the entries that it reads, and forks hold the very same entries. So what
must be stored is plain: whatever is in the list of a context that is not purged, once.

`make test-long` runs far more of it, by a seed that it prints.
"""

import uuid
from dataclasses import dataclass, field
from typing import Any, ClassVar

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg.types.json import Jsonb

from support import digests

pytestmark = pytest.mark.slow


@dataclass(eq=False, slots=True)
class Entry:
    """A message: whose it is, what it says, what it was copied from, and the copies of it."""

    writer: "Context"
    version: int
    content: str
    origin: "Entry | None" = None
    copies: list["Entry"] = field(default_factory=list)
    is_erased: bool = False

    @property
    def root(self) -> "Entry":
        """The first of a chain of copies, or the entry itself."""
        return self.origin.root if self.origin else self

    @property
    def is_stored(self) -> bool:
        """Whether a context reads it."""
        return any(self in context.path for context in self.writer.family)

    @property
    def source(self) -> "Entry | None":
        """What it was copied from, or else, if that is gone, what that was copied from."""
        return self.origin if not self.origin or self.origin.is_stored else self.origin.source

    def erase(self) -> int:
        """Blank it and its copies, and return how many entries that are there were concerned."""
        self.content = ""
        self.is_erased = True
        return self.is_stored + sum(copy.erase() for copy in self.copies)


@dataclass(eq=False, slots=True)
class Context:
    """A context and the entries that it reads; nothing once it is purged."""

    context_id: uuid.UUID
    family: list["Context"]
    path: list[Entry] = field(default_factory=list)
    parent: "Context | None" = None
    fork_version: int = 0
    checkpoints: dict[str, int] = field(default_factory=dict)
    state: str = "live"

    def append(self, content: str, origin: Entry | None = None) -> None:
        """Append an entry, perhaps a copy."""
        self.path.append(Entry(self, len(self.path) + 1, content, origin))
        if origin:
            origin.copies.append(self.path[-1])

    def named(self, name: str) -> int | None:
        """Return the version of a checkpoint: its own, or that of an ancestor up to the fork."""
        context: Context | None = self
        reach = len(self.path)
        while context:
            if context.checkpoints.get(name, reach + 1) <= reach:
                return context.checkpoints[name]
            reach = min(reach, context.fork_version)
            context = context.parent
        return None

    def to_merge(self, source: "Context") -> list[Entry]:
        """Return what a merge copies: what comes after the shared history and has not come yet."""
        shared = sum(mine is theirs for mine, theirs in zip(self.path, source.path, strict=False))
        present = {entry.root for entry in self.path}
        return [entry for entry in source.path[shared:] if entry.root not in present]


class FamilyMachine(RuleBasedStateMachine):
    """Takes random steps in the database and in memory, and compares."""

    connection: ClassVar[psycopg.Connection]
    """A superuser's; every run is rolled back."""

    def __init__(self) -> None:
        super().__init__()
        self.contexts: list[Context] = []
        self.number = 0

    @initialize()
    def create(self) -> None:
        self.create_a_root()
        self.create_a_root()

    def teardown(self) -> None:
        for context in self.contexts:
            self._check(context)
            if context.state == "live":
                assert digests.damage(self.connection, context.context_id) == []
        assert self._rows("select * from kata.verify()") == []
        self.connection.rollback()

    # Steps

    @precondition(lambda self: len(self.contexts) < 20)
    @rule()
    def create_a_root(self) -> None:
        made = self._value("select kata.create_context(policy => %s)", Jsonb({"max_fork_depth": 100}))
        self.contexts.append(Context(made, []))
        self.contexts[-1].family.append(self.contexts[-1])

    @rule(data=st.data(), size=st.integers(1, 4))
    def append(self, data: st.DataObject, size: int) -> None:
        if context := self._draw(data, "live"):
            contents = [self._text() for _ in range(size)]
            messages = Jsonb([{"role": "user", "content": content} for content in contents])
            self._rows("select * from kata.append(%s, %s)", context.context_id, messages)
            for content in contents:
                context.append(content)

    @precondition(lambda self: len(self.contexts) < 40)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        if parent := self._draw(data, "live"):
            at = data.draw(st.integers(0, len(parent.path)))
            made = self._value("select kata.fork(%s, %s)", parent.context_id, at)
            self.contexts.append(Context(made, parent.family, parent.path[:at], parent, at))
            parent.family.append(self.contexts[-1])

    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        target, source = self._draw(data, "live"), self._draw(data, "live")
        if target and source and target is not source:
            found = self._rows("select * from kata.merge(%s, %s)", target.context_id, source.context_id)
            copied = target.to_merge(source)
            assert len(found) == len(copied)
            for entry in copied:
                target.append(entry.content, entry)

    @rule(data=st.data(), name=st.sampled_from(["a", "b", "c"]))
    def checkpoint(self, data: st.DataObject, name: str) -> None:
        context = self._draw(data, "live")
        if context and name not in context.checkpoints:
            at = data.draw(st.integers(0, len(context.path)))
            context.checkpoints[name] = self._value(
                "select kata.checkpoint(%s, %s, %s)", context.context_id, name, at
            )

    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        context = self._draw(data, "live")
        if context and context.path:
            entry = data.draw(st.sampled_from(context.path))
            found = self._rows(
                "select what from kata.erase_message(%s, %s, 'by request')", context.context_id, entry.version
            )
            expected = ["message"] + ["copy"] * (entry.erase() - 1) + ["original"] * bool(entry.source)
            assert [what for (what,) in found] == expected

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        if context := self._draw(data, "live"):
            self._rows("select kata.delete_context(%s)", context.context_id)
            context.state = "deleted"

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        if context := self._draw(data, "deleted"):
            self._rows("select kata.restore_context(%s)", context.context_id)
            context.state = "live"

    @rule(data=st.data())
    def purge(self, data: st.DataObject) -> None:
        if context := self._draw(data, "deleted"):
            before = len(self._stored())
            self._purge(context)
            kept = sum(entry.writer is context for entry in self._stored())
            expected = [(before - len(self._stored()), kept)]
            for dry_run in (True, False):
                statement = "select * from kata.purge_context(%s, %s)"
                assert self._rows(statement, context.context_id, dry_run) == expected
            assert self._rows(statement, context.context_id, False) == [(0, kept)]

    @rule()
    def purge_deleted(self) -> None:
        statement = "select * from kata.purge_deleted(interval '0', %s)"
        doomed = [context for context in self.contexts if context.state == "deleted"]
        before = len(self._stored())
        for context in doomed:
            self._purge(context)
        foretold = self._rows(statement, True)
        assert self._rows(statement, False) == foretold
        assert {row[0] for row in foretold} == {context.context_id for context in doomed}
        assert sum(row[1] for row in foretold) == before - len(self._stored())

    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        self._check(data.draw(st.sampled_from(self.contexts)))

    @invariant()
    def what_is_read_is_stored_and_nothing_else(self) -> None:
        found = self._rows(
            "select segment_id, version, content from kata_data.message where segment_id = any (%s)",
            [context.context_id for context in self.contexts],
        )
        assert set(found) == {
            (entry.writer.context_id, entry.version, entry.content) for entry in self._stored()
        }

    # Help

    def _check(self, context: Context) -> None:
        """Look at a context from every side."""
        (found,) = self._rows(
            "select version, deleted_at is null from kata.get_context(%s)", context.context_id
        )
        assert found[1] == (context.state == "live")
        if context.state != "live":
            with pytest.raises(psycopg.Error) as refused, self.connection.transaction():
                self._rows("select kata.messages(%s)", context.context_id)
            assert refused.value.sqlstate == "KC006"
            return
        assert found[0] == len(context.path)
        rows = self._rows(
            """
            select a.at, array(
              select m.content from kata.messages(%s, max_rows => 1000, at => a.at) m order by m.version)
            from generate_series(0, %s) a(at)
            order by a.at
            """,
            context.context_id,
            len(context.path),
        )
        contents = [entry.content for entry in context.path]
        assert [row[1] for row in rows] == [contents[:at] for at in range(len(contents) + 1)]
        erased = self._rows("select version from kata.erasures(%s)", context.context_id)
        assert [version for (version,) in erased] == [e.version for e in context.path if e.is_erased]
        seen = dict(self._rows("select name, version from kata.checkpoints(%s)", context.context_id))
        assert seen == {name: at for name in "abc" if (at := context.named(name)) is not None}

    def _purge(self, context: Context) -> None:
        context.state = "purged"
        context.path = []

    def _stored(self) -> set[Entry]:
        """Return the entries that a context reads."""
        return {entry for context in self.contexts for entry in context.path}

    def _draw(self, data: st.DataObject, state: str) -> Context | None:
        """Return a context in a state, if there is one."""
        found = [context for context in self.contexts if context.state == state]
        return data.draw(st.sampled_from(found)) if found else None

    def _text(self) -> str:
        self.number += 1
        return f"message {self.number}"

    def _rows(self, statement: str, *arguments: Any) -> list[Any]:
        return self.connection.execute(statement.encode(), arguments).fetchall()

    def _value(self, statement: str, *arguments: Any) -> Any:
        ((value,),) = self._rows(statement, *arguments)
        return value


def test_families_are_read_and_stored_as_the_model_says(conn: psycopg.Connection, is_long: bool) -> None:
    class Machine(FamilyMachine):
        connection = conn

    profile = settings(max_examples=1500 if is_long else 60, stateful_step_count=150 if is_long else 80)
    run_state_machine_as_test(Machine, settings=profile)
