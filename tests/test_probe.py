"""Probes on recorded conversations: questions that the covered messages answer; artifacts that are held."""

import uuid
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from kata_context.compaction import probe
from kata_context.compaction.probe import KINDS, Question, Score
from test_conversations import import_messages, recorded

pytestmark = pytest.mark.slow

Json = dict[str, Any]


def numbered(messages: list[Json]) -> list[Json]:
    """Return messages as rows, with their versions."""
    return [{"version": version, **message} for version, message in enumerate(messages, 1)]


def rows(conn: psycopg.Connection, statement: str, *arguments: Any) -> list[Json]:
    """Return the rows of a statement."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), arguments).fetchall()


def artifacts(conn: psycopg.Connection, context_id: uuid.UUID, at: int | None = None) -> list[Json]:
    """Return the artifact index."""
    return rows(conn, "select * from kata.artifacts(%s, at => %s)", context_id, at)


def test_questions_are_made_of_all_kinds_and_always_the_same() -> None:
    found = set()
    for name, messages in recorded():
        covered = numbered(messages)
        questions = probe.generate(covered)
        assert questions == probe.generate(covered), name
        for kind in KINDS:
            assert len([question for question in questions if question.kind == kind]) <= 10, name
        found |= {question.kind for question in questions}
        for question in questions:
            assert question.expected, f"{name}: {question.text}"
            assert all(1 <= version <= len(covered) for version in question.versions), (
                f"{name}: {question.text}"
            )
        assert len({question.text for question in questions}) == len(questions), name
    assert found == set(KINDS)


def test_who_has_the_messages_answers_everything_and_who_has_nothing_nothing() -> None:
    asked = 0
    for name, messages in recorded():
        covered = numbered(messages)
        questions = probe.generate(covered)
        asked += len(questions)
        informed = probe.evaluate(questions, probe.reads_all(covered, []))
        assert [score for score in informed.scores if score.score < 1] == [], name
        silent = probe.evaluate(questions, lambda _: "")
        assert not questions or silent.overall == 0, name
    assert asked > 1000


def test_a_question_is_answered_by_the_messages_that_it_names() -> None:
    for name, messages in recorded()[::10]:
        covered = numbered(messages)
        for question in probe.generate(covered):
            told = [covered[version - 1] for version in question.versions]
            (score,) = probe.evaluate([question], probe.reads_all(told, [])).scores
            assert score.score == 1, f"{name}: {question}"


def test_the_questions_of_a_conversation_are_those_that_a_person_would_ask() -> None:
    (messages,) = (messages for name, messages in recorded() if name.startswith("swe-agent"))
    questions = probe.generate(numbered(messages)[:26])
    asked = {question.text: question.expected for question in questions}
    assert asked["Which tools have been called so far?"] == (
        "bash",
        "open",
        "create",
        "insert",
        "find_file",
        "edit",
    )
    assert asked["Which files have been named so far?"] == (
        "setup.py",
        "reproduce.py",
        "fields.py",
        "src/marshmallow/fields.py",
    )
    assert asked["Which tool was called last, and with what?"] == ("bash", "rm reproduce.py")
    decided = "What was decided when create was called for time 1: with which arguments?"
    assert asked[decided] == ("reproduce.py",)
    assert not any("when open was called" in text for text in asked)


def test_a_report_has_a_score_for_each_kind_and_any_judge_may_give_it() -> None:
    questions = [
        Question("recall", "Which color?", ("red", "dark blue"), (1,)),
        Question("recall", "Which day?", ("Monday",), (2,)),
        Question("decision", "Which purchase?", ("a car",), (3,)),
    ]
    report = probe.evaluate(questions, lambda _: "Dark\nBLUE, on monday")
    assert [score.score for score in report.scores] == [0.5, 1, 0]
    assert (report.of_kind("recall"), report.of_kind("decision"), report.overall) == (0.75, 0, 0.5)
    assert report.of_kind("artifact") is None
    assert probe.evaluate([], lambda _: "").overall is None
    strict = probe.evaluate(
        questions,
        lambda question: question.text,
        judge=lambda question, answer: float(question.expected[0] in answer),
    )
    assert strict.scores[0] == Score(questions[0], "Which color?", 0)


def test_there_are_at_most_so_many_questions_spread_over_the_messages() -> None:
    messages = max((messages for _, messages in recorded()), key=len)
    covered = numbered(messages)
    few = [question for question in probe.generate(covered, per_kind=3) if question.kind == "recall"]
    assert len(few) == 3
    assert few[0].versions[0] < len(covered) / 3 < len(covered) * 2 / 3 < few[-1].versions[0]
    assert [question.kind for question in probe.generate(covered, per_kind=1)] == list(KINDS)


def test_the_index_holds_every_artifact_that_a_window_has_lost(conn: psycopg.Connection) -> None:
    lost = wanted = 0
    for name, messages in recorded():
        context_id = import_messages(conn, messages)
        (total,) = (row["raw_tokens"] for row in rows(conn, "select * from kata.usage(%s)", context_id))
        budget = total // 5
        shown = {
            row["version"] for row in rows(conn, 'select * from kata."window"(%s, %s)', context_id, budget)
        }
        hidden = [version for version in range(1, len(messages) + 1) if version not in shown]
        for _ in ("parsed on the fly", "extracted"):
            material = probe.load(conn, context_id, budget, hidden)
            assert [row["version"] for row in material.covered] == hidden
            held = probe.retention(material.covered, material.window, material.index, material.before)
            assert held.missing == (), name
            assert held.share == 1
            conn.execute("select kata_data.extract_artifacts(%s, %s)", [context_id, len(messages)])
        without = probe.retention(material.covered, material.window, [], material.before)
        lost += len(without.missing)
        wanted += len(without.wanted)
        # Tools and identifiers need no model.
        named = [question for question in probe.generate(material.covered) if question.kind == "artifact"]
        report = probe.evaluate(named, probe.reads_all(material.window, material.index))
        assert not named or report.overall == 1, name
    assert wanted > 1000
    assert lost > wanted / 4, "the windows alone have lost a good part"


def test_what_neither_window_nor_index_holds_is_named() -> None:
    call = {"id": "c", "function": {"name": "look", "arguments": '{"order_id": "A-1", "path": "./a.txt"}'}}
    covered = [
        {"version": 1, "role": "assistant", "content": None, "tool_calls": [call]},
        {"version": 2, "role": "tool", "content": "https://x.example/a.", "tool_call_id": "c"},
    ]
    index = [{"kind": "tool_call", "ref": "look", "detail": None, "first_version": 1, "last_version": 1}]
    held = probe.retention(covered, [{"content": "order A-1"}], index, [{"kind": "note", "ref": "n"}])
    assert held.wanted == (
        ("tool_call", "look"),
        ("id", "A-1"),
        ("file", "a.txt"),
        ("url", "https://x.example/a"),
        ("note", "n"),
    )
    assert held.missing == (("file", "a.txt"), ("url", "https://x.example/a"), ("note", "n"))
    assert held.share == pytest.approx(0.4)
    assert probe.retention([], [], []).share == 1
    assert probe.retention(covered[:1], [{"content": "order A-12"}], index).missing[0] == ("id", "A-1")


def test_before_any_compaction_nothing_is_covered(conn: psycopg.Connection) -> None:
    context_id = import_messages(conn, recorded()[0][1])
    material = probe.load(conn, context_id, 4000)
    assert (material.covered, material.before) == ((), ())
    assert material.window
    assert material.index
    past = probe.load(conn, context_id, 4000, versions=[2, 3], at=5)
    assert [row["version"] for row in past.covered] == [2, 3]
    assert past.window[-1]["version"] == 5
    empty = conn.execute("select kata.create_context()").fetchone()
    assert empty is not None
    assert probe.load(conn, empty[0], 4000).window == ()


def test_a_summary_is_placed_by_the_tokens_before_it() -> None:
    window = [
        {"kind": "message", "token_count": 10, "running_tokens": 10},
        {"kind": "summary", "token_count": 20, "running_tokens": 30},
        {"kind": "message", "token_count": 70, "running_tokens": 100},
    ]
    assert probe.summary_places(window) == [0.1]
    assert probe.summary_places([]) == []
