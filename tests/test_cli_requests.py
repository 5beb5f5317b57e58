"""Recorded requests from the command line: their list, and their bodies as they were sent."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from kata_context import Kata
from support.commands import Query, Run, read_terminal
from support.driver import PATIENCE

# Control characters that JSON leaves as they are, and a character of four bytes.
TEXT = "hello \x9b31m \u202e \x7f \U0001f600"


@pytest.fixture
def bodies(database: str) -> list[str]:
    """The bodies of three requests of context "talk": answered, failed, open."""
    with Kata(database) as kata:
        context = kata.create("talk")
        context.append_message("user", TEXT)
        answered = context.request(1000, "openai", model="gpt-5")
        answered.answer(
            {"role": "assistant", "content": "yes"}, usage={"input": 1900, "cached": 800, "output": 12}
        )
        failed = context.request(1000, "anthropic", model="claude", reserve=100)
        failed.fail("over\nloaded")
        context.append_message("user", "another")
        return [answered.body, failed.body, context.request(1000, "openai", model="gpt-5").body]


def test_requests_are_listed_newest_first(run: Run, read: Query, bodies: list[str]) -> None:
    shown = run("requests", "talk").stdout.splitlines()
    assert re.split(" +", shown[0]) == [
        "id", "at", "model", "tokens", "messages", "answer", "usage", "age", "error"
    ]  # fmt: skip
    assert [line.split()[0] for line in shown[1:]] == ["3", "2", "1"]
    assert re.fullmatch(r" 3 +3 +gpt-5 +\d+ +3 +\d+ (s|min) ago", shown[1])
    assert re.fullmatch(r" 2 +2 +claude +\d+ +2 +\d+ (s|min) ago +over loaded", shown[2])
    usage = "1,900 in, 800 cached, 12 out"
    assert re.fullmatch(rf" 1 +1 +gpt-5 +\d+ +1 +2 +{usage} +\d+ (s|min) ago", shown[3])

    rows = read("requests", "talk")
    assert [row["request_id"] for row in rows] == [3, 2, 1]
    assert (rows[2]["answer_version"], rows[2]["input_tokens"], rows[1]["error"]) == (2, 1900, "over\nloaded")
    assert read("requests", "talk", "--limit", "1", "--before", "3") == rows[1:2]
    assert read("requests", "talk", "--showing", "head") == rows[:1]
    assert read("requests", "talk", "--showing", "head~1") == rows[:2]
    run("create", "empty")
    assert "there are no requests" in run("requests", "empty").stderr


def test_a_replay_prints_the_bytes_that_were_sent(run: Run, bodies: list[str], tmp_path: Path) -> None:
    for request_id, body in enumerate(bodies, 1):
        assert run("replay", "talk", str(request_id)).stdout_bytes == body.encode()
    file = tmp_path / "body.json"
    assert run("replay", "talk", "1", "-o", str(file)).stdout == ""
    assert file.read_bytes() == bodies[0].encode()
    assert "kata: request 9 not found (" in run("replay", "talk", "9", code=1).stderr


def test_a_terminal_gets_control_characters_of_a_replay_escaped(bodies: list[str], database: str) -> None:
    command = [str(Path(sys.executable).parent / "kata"), "--dsn", database, "replay", "talk", "1"]
    primary, secondary = os.openpty()
    subprocess.run(command, stdout=secondary, stderr=subprocess.PIPE, check=True, timeout=PATIENCE)
    os.close(secondary)
    shown = read_terminal(primary).decode()
    assert "\\u009b31m \\u202e \\u007f \U0001f600" in shown
    assert json.loads(shown) == json.loads(bodies[0])


def test_a_request_of_an_erased_message_is_listed_and_not_replayed(
    run: Run, bodies: list[str], database: str, tmp_path: Path
) -> None:
    with psycopg.connect(database) as conn:
        conn.execute("select kata.erase_message(kata.resolve_context('talk'), 2, 'test')")
    assert run("replay", "talk", "1").stdout_bytes == bodies[0].encode()
    file = tmp_path / "body.json"
    for options in ((), ("-o", str(file))):
        refused = run("replay", "talk", "3", *options, code=1)
        assert refused.stdout == ""
        assert "kata: request 3 cannot be replayed (Version 2 in it (message) was erased at" in refused.stderr
        assert "hint: kata.request_rows" in refused.stderr
    assert not file.exists()
    assert run("requests", "talk").stdout.count("\n") == 4


def test_a_replay_of_changed_data_says_so(run: Run, bodies: list[str], database: str, tmp_path: Path) -> None:
    with psycopg.connect(database) as conn:
        conn.execute("alter table kata_data.message disable trigger all")
        conn.execute("update kata_data.message set content = 'no' where content = 'yes'")
    changed = run("replay", "talk", "3", code=1)
    assert changed.stdout == bodies[2].replace('"yes"', '"no"')
    assert "kata: this is not the body that request 3 recorded" in changed.stderr
    assert "hint: kata verify talk" in changed.stderr
    file = tmp_path / "body.json"
    run("replay", "talk", "3", "-o", str(file), code=1)
    assert file.read_text() == changed.stdout
