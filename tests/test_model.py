"""The model of a context alone: what its rules of lines, rewinds, amendments and undos promise.

No database takes part: test_properties.py compares the store with the model.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from random import Random
from typing import Any

import pytest

from support.model import Change, Context, Draft, Message

NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
MESSAGES = ("say", "say", "call", "call", "answer", "answer", "answer", "answer", "answer", "record")
CHANGES = ("delete", "cover", "cover", "elide", "elide", "pin", "unpin", "unpin", "amend", "tools")
STEPS = (*MESSAGES, *CHANGES, "undo", "undo", "undo", "rewind", "rewind")
KINDS = {
    "deletion",
    "compaction",
    "elision",
    "pin",
    "unpin",
    "amendment",
    "tools",
    "record",
    "undo",
    "rewind",
}


class History:
    """Random steps of one context, each by the rules of the model."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.context = Context("root", strict=True)
        self.number = 0

    def step(self) -> None:
        """Take a step if the rules let it be taken."""
        if not self.context.log:
            return self.say()
        steps: dict[str, Callable[[], None]] = {name: getattr(self, name) for name in STEPS}
        return steps[self.random.choice(STEPS)]()

    def say(self) -> None:
        role = self.random.choice(["user", "user", "assistant", "system", "developer"])
        self._append({"role": role, "content": "…", "pinned": self.random.random() < 0.1})

    def call(self) -> None:
        calls = [
            {"id": f"c{self.number}-{n}", "function": {"name": "f", "arguments": "{}"}}
            for n in range(self.random.randint(1, 3))
        ]
        self._append({"role": "assistant", "tool_calls": calls})

    def answer(self) -> None:
        if self.context.open_calls:
            call = self.random.choice(self.context.calls_in_order())
            self._append({"role": "tool", "tool_call_id": call, "content": "…"})

    def delete(self) -> None:
        versions = self._group()
        fresh = versions - self.context.view(None).deleted
        if fresh and not self.context.is_open(versions):
            self._change("deletion", versions=versions)

    def cover(self) -> None:
        covered = self.context.coverable(self.random.randint(0, 3), {"system"})
        absorbed = set(self.context.view(None).covers)
        is_drop = self.random.random() < 0.3
        if covered:
            versions = frozenset(covered if is_drop else covered | absorbed)
            version = self.context.version + 1
            self._change("compaction", versions=versions, summary=None if is_drop else said_by(version))

    def elide(self) -> None:
        first = self._version()
        versions = self.context.elidable(range(first, first + 9), 2)
        if versions:
            self._change("elision", versions=frozenset(versions), stubs=dict.fromkeys(versions, 1))

    def pin(self) -> None:
        versions, view = self._group(), self.context.view(None)
        if versions and not versions & view.deleted and min(versions) not in view.pinned:
            self._change("pin", versions=versions)

    def unpin(self) -> None:
        pinned = sorted(self.context.view(None).pinned)
        versions = self.context.group(self.random.choice(pinned)) if pinned else None
        if versions:
            self._change("unpin", versions=versions)

    def amend(self) -> None:
        version = self._version()
        patch = {"content": "other words", "token_count": self.random.randint(1, 9)}
        if not self.context.amend_problems(version, patch, None):
            words = self.context.amended(version, patch)
            self._change("amendment", versions=frozenset({version}), words=words)

    def tools(self) -> None:
        self._change("tools", tools=self.random.choice([None, "[]", '[{"name": "f"}]']))

    def record(self) -> None:
        self._change("record")

    def undo(self) -> None:
        version = self.random.choice([self.context.version, self._version()])
        if not self.context.undo_problems(version):
            self._change("undo", undone_version=version)

    def rewind(self) -> None:
        newest = self.context.version
        to_version = self.random.choice([newest - self.random.randint(1, 6), self.random.randint(0, newest)])
        if not self.context.rewind_problems(to_version, None):
            self._change("rewind", to_version=to_version)

    def _version(self) -> int:
        return self.random.randint(1, self.context.version)

    def _group(self) -> frozenset[int]:
        return self.context.group(self._version())

    def _append(self, draft: Draft) -> None:
        self.number += 1
        tokens = self.random.randint(1, 9)
        assert not self.context.problems([draft], None, None)
        self.context.append([draft], NOON, [tokens], None)

    def _change(self, kind: str, **values: Any) -> None:
        self.context.change(kind, NOON, **values)


def said_by(version: int) -> Message:
    """Return a summary."""
    drafts: list[Draft] = [{"role": "user", "content": "so far", "token_count": 2}]
    scratch = Context("root")
    scratch.append(drafts, NOON, [0], None)
    return replace(scratch.messages_at(None)[0], version=version, group_version=version)


def windows(context: Context, at: int | None) -> list[Any]:
    """Return what windows of several sizes show."""
    queries = [(3, 0), (12, 0), (30, 0), (30, 7), (1000, 0), (1000, 20)]
    return [context.window(budget, at, step) for budget, step in queries]


def check(context: Context) -> None:
    """Hold the invariants of a view against its newest version."""
    view, newest = context.view(None), context.version
    line = context.messages_on_line(None)
    rewound = context.rewound(None)
    assert sorted([*rewound, *(entry.version for entry in context.line(None)[0])]) == list(
        range(1, newest + 1)
    )
    assert not view.visible & (view.deleted | rewound.keys())
    assert context.open_calls == context.calls_open_at(None)

    answers = [(m.group_version, m.tool_call_id) for m in line if m.role == "tool"]
    assert len(set(answers)) == len(answers), "a call has two results"
    for group in {m.group_version for m in line if m.version in view.visible}:
        assert {m.version for m in line if m.group_version == group} <= view.visible, "half a group is shown"
    assert {m.version for m in line if m.group_version in view.pinned} <= view.visible
    covered = [version for covers in view.covers.values() for version in covers]
    assert len(set(covered)) == len(covered), "two summaries cover one message"
    assert not set(covered) & view.visible
    assert {row["version"] for row in context.rows("effective", None)} == view.visible | view.covers.keys()


@pytest.fixture(scope="module")
def histories(is_long: bool, seed: int) -> list[History]:
    """Histories that have not begun."""
    return [History(seed + number) for number in range(3000 if is_long else 70)]


def test_the_invariants_hold_after_each_step_and_a_rewind_is_exact(
    histories: list[History],
) -> None:
    kinds: dict[str, int] = {}
    for history in histories:
        context = history.context
        for _ in range(60):
            before = context.version
            history.step()
            if context.version == before:
                continue
            check(context)
            newest = context.log[-1]
            if isinstance(newest, Change):
                kinds[newest.kind] = kinds.get(newest.kind, 0) + 1
            if isinstance(newest, Change) and newest.to_version is not None:
                to_version = newest.to_version
                assert context.view(None) == context.view(to_version)
                assert context.open_calls == context.calls_open_at(to_version)
                assert context.rows("effective", None) == context.rows("effective", to_version)
                assert context.rows("raw", None) == context.rows("raw", to_version)
                assert context.ids(None) == context.ids(to_version)
                assert windows(context, None) == windows(context, to_version)
    assert kinds.keys() == KINDS
    assert min(kinds.values()) > len(histories) // 4, kinds


def test_an_undo_that_is_undone_at_once_changes_nothing_and_a_fork_sees_the_same(seed: int) -> None:
    for number in range(60):
        history = History(seed + number)
        context = history.context
        for _ in range(40):
            history.step()
        seen = [context.view(at) for at in range(context.version + 1)]
        for version in range(1, context.version + 1):
            if isinstance(context.log[version - 1], Change) and not context.undo_problems(version):
                fork = context.fork("fork", context.version)
                fork.change("undo", NOON, undone_version=version)
                check(fork)
                assert not fork.undo_problems(fork.version)
                fork.change("undo", NOON, undone_version=fork.version)
                assert fork.view(None) == seen[-1]
                assert fork.open_calls == context.open_calls
        for at in range(context.version + 1):
            fork = context.fork("fork", at)
            assert fork.view(None) == seen[at]
            assert fork.open_calls == context.calls_open_at(at)
