"""The command line on compaction: policies, compactions and their undoing, pins, artifacts, probes."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from kata_context import Kata
from support.commands import Query, Run
from test_cli import complaint

CALL = [{"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path": "src/a.py"}'}}]


@pytest.fixture
def talk(database: str) -> str:
    """A context "talk": a request, a call with a long result, an answer, another request."""
    with Kata(database) as opened:
        context = opened.create("talk", policy={"preserve_recent_count": 1, "min_gain_tokens": 0})
        context.append(
            [
                {"role": "user", "content": "Fix TICKET-4711, see https://example.com/bug."},
                {"role": "assistant", "tool_calls": CALL},
                {"role": "tool", "tool_call_id": "c1", "tool_name": "read", "content": "code " * 3000},
                {"role": "assistant", "content": "It is in line 3."},
                {"role": "user", "content": "Go on."},
            ]
        )
    return "talk"


# Policies


def test_a_policy_is_shown_with_every_field_and_whether_it_is_due(run: Run, read: Query, talk: str) -> None:
    found = read("policy", "show", talk)
    assert (found["policy"]["preserve_recent_count"], found["policy"]["threshold"]) == (1, 0.8)
    assert found["status"]["due"] is False
    shown = run("policy", "show", talk)
    assert re.search(r"^every_messages +null$", shown.stdout, re.MULTILINE)
    assert len(shown.stdout.splitlines()) == len(found["policy"])
    assert "not due: the view has 2 % of the threshold" in shown.stderr


def test_fields_are_set_as_json_or_words(read: Query, run: Run, talk: str) -> None:
    patch = [
        "budget=32000",
        "threshold=0.5",
        "strategy=digest",
        "enabled=true",
        'preserve_roles=["system","user"]',
    ]
    found = read("policy", "set", talk, *patch, "every_messages=9")
    assert {name: found[name] for name in ("budget", "threshold", "strategy", "every_messages")} == {
        "budget": 32000, "threshold": 0.5, "strategy": "digest", "every_messages": 9,
    }  # fmt: skip
    assert found["preserve_roles"] == ["system", "user"]
    assert read("policy", "set", talk, "every_messages=null")["every_messages"] is None
    assert "budget" in run("policy", "set", talk, "budget=1000").stdout


def test_what_no_policy_takes_is_one_line_and_a_hint(run: Run, talk: str) -> None:
    message, hint = complaint(run("policy", "set", talk, "budgets=1", code=1))
    assert message.startswith('policy field "budgets" is unknown')
    assert "budget" in hint
    assert "hint: kata policy set --help" in run("policy", "set", talk, "budget", code=2).stderr


def test_presets_are_listed(run: Run, read: Query) -> None:
    assert {row["name"] for row in read("policy", "presets")} == {
        "default",
        "sequential",
        "multi_phase",
        "audit",
    }
    assert "Nothing is compacted unless a caller forces it." in run("policy", "presets").stdout


# Compaction


def test_compact_prints_the_version_and_says_what_it_gained(run: Run, read: Query, talk: str) -> None:
    message, hint = complaint(run("compact", talk, code=1))
    assert message.startswith("there is nothing to compact in context")
    assert "force" in hint
    done = run("compact", talk, "--force")
    assert done.stdout == "6\n"
    assert re.search(r"^4 messages: [\d,]+ tokens became [\d,]+$", done.stderr, re.MULTILINE)
    assert [row["kind"] for row in read("at", talk, "head")["messages"]] == ["summary", "message"]


@pytest.mark.parametrize(
    ("strategy", "kinds"),
    [("elide", ["message", "message", "stub", "message", "message"]), ("drop", ["message"])],
)
def test_compact_takes_every_strategy_that_needs_no_model(
    run: Run, read: Query, talk: str, strategy: str, kinds: list[str]
) -> None:
    assert read("compact", talk, "--strategy", strategy, "--force")["summary_version"] == 6
    assert [row["kind"] for row in read("at", talk, "head")["messages"]] == kinds
    run("compact", talk, "--strategy", "summarize", code=2)


def test_compactions_lists_what_was_tried(run: Run, read: Query, talk: str) -> None:
    assert "there were no attempts" in run("compactions", talk).stderr
    run("compact", talk, "--force")
    found = read("compactions", talk)
    assert [(row["status"], row["strategy"], row["summary_version"]) for row in found["compactions"]] == [
        ("committed", "digest", 6)
    ]
    assert found["status"]["due"] is False
    lines = run("compactions", talk).stdout.splitlines()
    assert lines[0].split() == [
        "version",
        "status",
        "strategy",
        "messages",
        "from",
        "to",
        "by",
        "started",
        "covered",
    ]


def test_an_undo_brings_back_and_its_undo_redoes(run: Run, read: Query, talk: str) -> None:
    before = read("at", talk, "head")["messages"]
    run("compact", talk, "--force")
    compacted = read("at", talk, "head")["messages"]
    assert run("undo", talk, "head").stdout == "7\n"
    assert read("at", talk, "head")["messages"] == before
    assert read("undo", talk, "7") == {"version": 8}
    assert read("at", talk, "head")["messages"] == compacted
    message, _ = complaint(run("undo", talk, "2", code=1))
    assert message.startswith("version 2 is not a view change")


def test_a_pin_keeps_a_group_and_an_unpin_lets_it_go(run: Run, read: Query, talk: str) -> None:
    assert run("pin", talk, "1").stdout == "6\n"
    run("compact", talk, "--force")
    assert [row["version"] for row in read("at", talk, "head")["messages"] if row["kind"] == "message"] == [
        1,
        5,
    ]
    assert read("unpin", talk, "1") == {"version": 8}
    complaint(run("unpin", talk, "1", code=1))


def test_elide_shortens_results_as_the_model_sees_them(run: Run, read: Query, talk: str) -> None:
    run("checkpoint", talk, "result", "--at", "3")
    assert read("elide", talk, "1", "head", "--keep", "50") == {"version": 6}
    shown = read("at", talk, "head")["messages"][2]
    assert (shown["version"], shown["kind"], shown["token_count"] < 120) == (3, "stub", True)
    assert read("show", talk, "result")["token_count"] > 3000
    complaint(run("elide", talk, "result", code=1))  # it is short already


def test_contexts_whose_compaction_fails_are_listed_and_doctor_says_so(
    run: Run, read: Query, talk: str, database: str
) -> None:
    assert "name a context" in run("compactions", code=2).stderr
    assert "no context fails" in run("compactions", "--failing").stderr
    with Kata(database) as opened:
        context = opened.context(talk)
        opened.abort_compaction(context.begin_compaction(force=True).compaction_id, "no model today")
    found = read("compactions", "--failing")
    assert [(row["failures"], row["error"]) for row in found] == [(1, "no model today")]
    checks = {check["name"]: check for check in read("doctor")["checks"]}
    assert (checks["failing compactions"]["value"], checks["failing compactions"]["level"]) == (1, "warning")


def test_artifacts_outlive_compaction(run: Run, read: Query, talk: str) -> None:
    before = read("artifacts", talk)
    assert {(row["kind"], row["ref"]) for row in before} == {
        ("id", "TICKET-4711"), ("url", "https://example.com/bug"), ("file", "src/a.py"),
        ("tool_call", "read"),
    }  # fmt: skip
    run("compact", talk, "--force")
    assert read("artifacts", talk) == before
    assert [row["ref"] for row in read("artifacts", talk, "--kind", "file")] == ["src/a.py"]
    assert [row["ref"] for row in read("artifacts", talk, "--at", "1", "--kind", "file")] == []
    assert re.search(r"^id +1 +1 +1 +TICKET-4711", run("artifacts", talk).stdout, re.MULTILINE)
    run("create", "empty")
    assert "there are no artifacts" in run("artifacts", "empty").stderr


# Probes


def test_a_probe_scores_what_can_still_be_answered(run: Run, read: Query, talk: str) -> None:
    assert "no message of this context is compacted" in run("probe", talk).stderr
    run("compact", talk, "--force")
    found = read("probe", talk, "--budget", "2000")
    assert (found["covered"], found["artifacts"]["share"], found["artifacts"]["missing"]) == (4, 1.0, [])
    assert {score["kind"] for score in found["scores"]} >= {"artifact", "continuation"}
    assert found["summary_places"] == [0.0]
    lines = run("probe", talk).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["recall", "artifact", "continuation", "decision"]
    assert "artifacts: 4 of 4 of the 4 covered messages are held (100%)" in lines


def test_a_probe_asks_any_program(run: Run, read: Query, talk: str, tmp_path: Path) -> None:
    run("compact", talk, "--force")
    script = tmp_path / "answerer.py"
    script.write_text("import json, sys; q = json.load(sys.stdin); print('src/a.py' if q['window'] else '')")
    answerer = shlex.join([sys.executable, str(script)])
    scores = read("probe", talk, "--answerer", answerer)["scores"]
    right = [score for score in scores if score["expected"] == ["src/a.py"]]
    assert right
    assert {score["score"] for score in right} == {1.0}
    assert {score["answer"] for score in scores} == {"src/a.py\n"}
    message, _ = complaint(run("probe", talk, "--answerer", "/nonexistent/model", code=2))
    assert message.endswith("/nonexistent/model cannot be run")
    script.write_text("import sys; sys.exit('no model')")
    said = run("probe", talk, "--answerer", answerer, code=1).stderr.splitlines()
    assert said[-1] == f"kata: {sys.executable} ended with exit code 1: no model"


def test_a_probe_fails_where_an_artifact_is_lost(run: Run, talk: str, database: str) -> None:
    import psycopg

    run("compact", talk, "--force", "--strategy", "drop")
    with psycopg.connect(database) as conn:
        conn.execute("delete from kata_data.artifact_mention")
        conn.execute("delete from kata_data.artifact")
    lost = run("probe", talk, code=1)
    assert "missing: file src/a.py" in lost.stdout


def test_the_worker_explains_how_to_call_it(run: Run) -> None:
    assert "it is empty" in run("worker", "--summarizer", " ", code=2).stderr
    assert "no closing quotation" in run("worker", "--summarizer", "'", code=2).stderr
    run("worker", "--lease", "0", code=2)
    run("worker", "--poll", "0", code=2)
