"""Compacted again and again: pins stay word for word, references stay good, summaries are merged and kept."""

import json

import pytest

from conftest import ROOT
from kata_context import Compactor, Context, Kata, Source
from kata_context.compaction import probe
from kata_context.generated.rows import MessageRow

pytestmark = pytest.mark.slow

CYCLES = 50
POLICY = {
    "budget": 1000, "threshold": 0.5, "preserve_recent_count": 2, "min_gain_tokens": 0,
    "min_interval_seconds": 0, "max_fork_depth": 3,
}  # fmt: skip


def turn(context: Context, number: int) -> None:
    """Append a question that names a ticket, and a long answer."""
    context.append(
        [
            {"role": "user", "content": f"What of TICKET-{number:04}?", "token_count": 10},
            {"role": "assistant", "content": f"It is in hand ({number}).", "token_count": 600},
        ]
    )


def numbered(source: Source) -> str:
    """Write a summary that says which it is."""
    before = int((source.previous_summary or "summary 0").split()[1])
    return f"summary {before + 1}"


def same(row: MessageRow) -> tuple[object, ...]:
    """Return what a message is, whatever the view has made of it."""
    return (row.version, row.role, row.content, row.token_count, row.created_at)


def test_through_fifty_compactions_pins_and_references_hold_and_no_summary_is_lost(kata: Kata) -> None:
    context = kata.create("c", policy=POLICY)
    context.append([{"role": "system", "content": "Be brief."}])
    pinned = context.append_message("user", "Never call me before nine.", pinned=True)
    turn(context, 0)
    compactor = Compactor(kata, numbered)
    returned: dict[int, tuple[object, ...]] = {}
    cursor = context.messages(max_rows=1)[-1].position
    for number in range(1, CYCLES + 1):
        turn(context, number)
        returned |= {row.version: same(row) for row in context.messages(max_rows=1000)}
        outcomes = compactor.drain()
        assert [outcome.status for outcome in outcomes] == ["committed"]
        window = context.window(1000)
        assert [row.content for row in window if row.version == pinned] == ["Never call me before nine."]
        summaries = [row.content for row in window if row.kind == "summary"]
        assert summaries == [f"summary {number}"]  # one, merged, not one behind the other

    for version, message in returned.items():
        assert same(context.get_message(version)) == message
    committed = [row for row in context.compactions() if row.status == "committed"]
    assert len(committed) == CYCLES
    for number, row in enumerate(reversed(committed), start=1):
        assert row.summary_version is not None
        assert context.get_message(row.summary_version).content == f"summary {number}"
        assert len(row.merged_summaries) == (number > 1)
    raw = [row.version for row in context.state_at(visibility="raw")]
    assert raw == sorted(set(raw))
    assert len(raw) == 2 + 2 * (CYCLES + 1)
    # A cursor from before the first compaction goes on.
    assert [row.version for row in context.messages(cursor, visibility="raw", max_rows=1000)] == raw[1:]
    assert {row.ref for row in context.artifacts("id")} == {
        f"TICKET-{number:04}" for number in range(CYCLES + 1)
    }
    assert kata.verify(context.id) == []


def test_parent_and_fork_are_compared_after_both_were_compacted(kata: Kata) -> None:
    parent = kata.create("parent", policy=POLICY)
    for number in range(3):
        turn(parent, number)
    fork = parent.fork(at=4)
    turn(fork, 7)
    Compactor(kata, numbered).drain()
    turn(parent, 8)
    turn(fork, 9)
    Compactor(kata, numbered).drain()
    ancestor = kata.common_ancestor(parent.id, fork.id)
    assert (ancestor.segment_id, ancestor.version) == (parent.id, 4)
    sides: dict[str, list[str | None]] = {"a": [], "b": []}
    for row in kata.diff(parent.id, fork.id):
        if row.kind == "message":
            sides[row.side].append(row.preview)
    assert [text for text in sides["a"] if text and "TICKET" in text] == [
        "What of TICKET-0002?",
        "What of TICKET-0008?",
    ]
    assert [text for text in sides["b"] if text and "TICKET" in text] == [
        "What of TICKET-0007?",
        "What of TICKET-0009?",
    ]
    for version in range(1, 5):
        assert same(parent.get_message(version)) == same(fork.get_message(version))
    assert list(kata.verify()) == []


def test_on_real_conversations_all_artifacts_are_held_and_the_summary_comes_early(kata: Kata) -> None:
    """A share of the conversations of `bench/run.py probe`, which reports the figures over all of them."""
    lines = (ROOT / "tests/data/conversations/airline.jsonl").read_text("utf-8").splitlines()[::12]
    lines += (
        (ROOT / "tests/data/conversations/swe-agent-marshmallow-1867.jsonl").read_text("utf-8").splitlines()
    )
    compactor = Compactor(
        kata, lambda _: "All went on as planned."
    )  # as a bad model writes, which names nothing
    placed = 0
    for line in lines:
        messages = json.loads(line)["messages"]
        whole = kata.create()
        whole.append(messages)
        preamble = sum(row.token_count for row in whole.window(1) if row.reason == "preamble")
        budget = preamble + (whole.usage().raw_tokens - preamble) * 15 // 100
        context = kata.create(policy=POLICY | {"budget": budget, "threshold": 0.8, "min_gain_tokens": 50})
        for message in messages:
            context.append([message])
            if compactor.drain():
                rows = context.window(budget)
                total = rows[-1].running_tokens
                # An agent with one long request has nothing of it covered: it comes before all summaries.
                asked = sum(row.role == "user" for row in context.messages(visibility="raw"))
                for row in rows[:-1]:
                    if row.kind == "summary" and asked > 1:
                        placed += 1
                        assert row.running_tokens - row.token_count <= preamble + (total - preamble) / 4
        with kata.transaction() as transaction:
            found = probe.load(transaction.connection, context.id, budget)
        kept = probe.retention(found.covered, found.window, found.index, found.before)
        assert kept.missing == ()
    assert placed > 5
