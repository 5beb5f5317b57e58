"""`kata import`: what is in a file enters once, and what is wrong in it does not."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import Result

from conftest import ROOT, LaunchServer, TestServer
from kata_context.tokens import count_tokens
from support.commands import kata, read_terminal
from support.driver import PATIENCE, tool_call, wait_until
from test_cli import KATA, as_user, complaint, program

pytestmark = pytest.mark.slow

DATA = ROOT / "tests" / "data" / "conversations"
AIRLINE = DATA / "airline.jsonl"
Load = Callable[..., Any]

NOTHING: dict[str, Any] = {"refused": [], "compactions": 0, "skipped": {}, "families": 0}
USER = {"role": "user", "content": "hi"}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [tool_call("c1", "search")],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "found"}


def line(name: object, *messages: object, **more: object) -> bytes:
    return json.dumps({"name": name, "messages": messages, **more}).encode() + b"\n"


@pytest.fixture
def load(database: str) -> Load:
    """Import lines and return what became of them."""

    def load(*lines: bytes, code: int = 0) -> Any:
        result = kata("import", "-", "--json", dsn=database, code=code, input=b"".join(lines))
        return json.loads(result.stdout)

    return load


@pytest.fixture
def query(database: str) -> Load:
    """Return the rows of a query."""

    def query(statement: str, *parameters: object) -> list[Any]:
        with psycopg.connect(database) as conn:
            return conn.execute(statement.encode(), parameters).fetchall()

    return query


def counts(query: Load) -> Any:
    """Return how many contexts and messages there are."""
    return query("select (select count(*) from kata_data.context), (select count(*) from kata_data.message)")[
        0
    ]


def test_real_conversations_enter_as_they_are_with_exact_counts(database: str, query: Load) -> None:
    first = kata("import", str(AIRLINE), "--json", dsn=database)
    assert json.loads(first.stdout) == {"added": 100, "messages": 2658, "present": 0, **NOTHING}
    stored = query(
        """
        select c.name, m.role, m.content, m.tool_calls, m.tool_call_id, m.name, m.token_count, m.token_source
        from kata_data.context c
        join kata_data.message m on m.segment_id = c.context_id
        order by c.name, m.version"""
    )
    given = []
    for conversation in map(json.loads, AIRLINE.read_text("utf-8").splitlines()):
        for message in conversation["messages"]:
            functions = [call["function"] for call in message.get("tool_calls") or []]
            texts = [message["content"] or "", message.get("name") or ""]
            texts += (f[key] for f in functions for key in ("name", "arguments"))
            keys = ("role", "content", "tool_calls", "tool_call_id", "name")
            tokens = 4 + sum(count_tokens(text, "o200k_base") for text in texts)
            given.append((conversation["name"], *(message.get(key) for key in keys), tokens, "exact"))
    # Stable: within a conversation in order.
    assert stored == sorted(given, key=lambda row: row[0])
    assert query("select * from kata.verify()") == []


def test_a_second_run_adds_nothing(database: str, query: Load) -> None:
    kata("import", str(AIRLINE), dsn=database)
    before = counts(query)
    again = kata("import", str(AIRLINE), dsn=database)
    assert again.stdout == "0 conversations added, 0 messages; 100 existed\n"
    # Also when every idempotency key has expired, and conversations have gone on.
    query("delete from kata_data.idempotency returning 1")
    query("select kata.append_message(c.context_id, 'user', 'more') from kata.list_contexts(max_rows => 3) c")
    kata("import", str(AIRLINE), dsn=database)
    assert counts(query) == (before[0], before[1] + 3)


def test_runs_at_the_same_time_add_everything_once(database: str, query: Load) -> None:
    with ThreadPoolExecutor(3) as pool:
        runs = list(
            pool.map(lambda _: program("--dsn", database, "import", str(AIRLINE), "--json"), range(3))
        )
    assert [run.returncode for run in runs] == [0, 0, 0], runs
    said = [json.loads(run.stdout) for run in runs]
    assert sum(one["added"] for one in said) == 100
    assert [one["added"] + one["present"] for one in said] == [100, 100, 100]
    assert counts(query) == (100, 2658)


def test_an_import_that_was_killed_is_completed_by_the_next(database: str, query: Load) -> None:
    running = subprocess.Popen(
        [str(KATA), "--dsn", database, "import", str(AIRLINE)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: counts(query)[0] >= 5)
    running.kill()
    running.wait()
    assert counts(query)[0] > 0
    # A conversation is there with all its messages, or not at all.
    for name, messages in query("select c.name, c.message_count from kata.list_contexts(max_rows => 1000) c"):
        assert messages == next(
            len(conversation["messages"])
            for conversation in map(json.loads, AIRLINE.read_text("utf-8").splitlines())
            if conversation["name"] == name
        )
    kata("import", str(AIRLINE), dsn=database)
    assert counts(query) == (100, 2658)


def test_an_interrupted_import_reports_what_was_added(database: str, query: Load) -> None:
    with psycopg.connect(database) as conn:
        running = subprocess.Popen(
            [str(KATA), "--dsn", database, "import", "-", "--json"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert running.stdin
        running.stdin.write(b"".join(line(f"c{number}", USER) for number in range(20)))
        running.stdin.flush()
        conn.autocommit = True
        wait_until(lambda: conn.execute("select count(*) from kata_data.context").fetchone() == (20,))
    running.send_signal(signal.SIGINT)
    out, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert json.loads(out)["added"] == 20
    assert said.splitlines()[-1] == b"kata: interrupted"
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (b"{\n", "not JSON: Expecting property name enclosed in double quotes, column 2"),
        (b"[]\n", "not an object"),
        (b"3\n", "not an object"),
        (b'{"name": "bad", "messages": [NaN]}\n', "not JSON: NaN is not a number of JSON"),
        (b'{"name": "caf\xe9", "messages": []}\n', "not JSON: byte 14 is not UTF-8"),
        (b"[" * 100_000 + b"\n", "not JSON: it is nested too deep"),
        (b'{"name": "bad", "messages": [' + b"9" * 5000 + b"]}\n", "not JSON: Exceeds the limit"),
        (line("bad"), None),
        (line("", USER), "no name, which identifies the conversation in a second run"),
        (line(None, USER), "no name, which identifies the conversation in a second run"),
        (line(7, USER), "no name, which identifies the conversation in a second run"),
        (b'{"name": "bad"}\n', "no messages"),
        (b'{"name": "bad", "messages": {}}\n', "no messages"),
        (line("bad", USER, extra=1), 'unknown key "extra"'),
        (line("bad", USER, "text"), "message 2 is str, not an object"),
        (line("bad", USER, {"role": "function", "name": "f"}), "message 2 of the batch answers no open call"),
        (line("bad", USER, {"role": "narrator", "content": "x"}), "message 2 of the batch is invalid ("),
        (line("bad", USER, {"role": "user"}), "message 2 of the batch is invalid ("),
        (line("bad", USER, RESULT), "message 2 of the batch answers no open call ("),
        (line("bad", CALL, CALL), 'call id "c1" is open already ('),
        (line("bad", USER, metadata=[]), "metadata must be a dict, not list ("),
        (line("b" * 256, USER), "name is too long or empty ("),
        (line("bad", {"role": "user", "content": "\0"}), "a text holds the character NUL"),
        (line("b\0d", USER), "a text holds the character NUL"),
        (line("bad", {"role": "user", "content": "\ud800"}), "a text is not valid Unicode"),
        (line("b\ud800d", USER), "a text is not valid Unicode"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named_and_nothing_of_it_enters(
    load: Load, query: Load, bad: bytes, error: str | None
) -> None:
    good = [line("one", USER, CALL, RESULT), line("two", USER)]
    if error is None:  # a conversation may be empty
        assert load(good[0], bad, good[1])["added"] == 3
        return
    found = load(good[0], bad, b"\n", good[1], code=1)
    assert (found["added"], found["messages"], found["present"]) == (2, 4, 0)
    assert [refusal["line"] for refusal in found["refused"]] == [2]
    assert found["refused"][0]["error"].startswith(error)
    assert query("select name from kata_data.context order by name") == [("one",), ("two",)]
    assert load(good[0], good[1])["present"] == 2


def test_refused_lines_are_listed_on_standard_error(database: str) -> None:
    result = kata(
        "import", "-", dsn=database, code=1, input=line("a", USER) + b"x\x1b[31m\n" + line("a", USER)
    )
    assert result.stdout == "1 conversations added, 1 messages; 1 existed; 1 refused\n"
    assert "line 2: not JSON: Expecting value, column 1" in result.stderr.splitlines()


def test_another_conversation_of_the_same_name_is_refused(load: Load, query: Load) -> None:
    load(line("a", USER, CALL, RESULT))
    for other in (
        line("a", USER, CALL),  # the beginning of it: the same as far as it goes
        line("a", USER, CALL, RESULT),
    ):
        assert load(other)["present"] == 1
    for place, other in (
        (1, line("a", {"role": "user", "content": "ho"})),
        (2, line("a", USER, USER)),
        (3, line("a", USER, CALL, RESULT | {"content": "other"})),
        (3, line("a", USER, CALL, RESULT | {"name": "tool"})),
        (4, line("a", USER, CALL, RESULT, USER)),
    ):
        found = load(other, code=1)
        error = f'a context named "a" exists, and its message {place} differs'
        assert found["refused"][0]["error"] == error
    assert counts(query) == (1, 3)


def test_a_deleted_conversation_may_enter_again(load: Load, query: Load) -> None:
    load(line("a", USER))
    query("select kata.delete_context(kata.find_context('a'))")
    assert load(line("a", USER))["added"] == 1
    assert counts(query) == (2, 2)


def test_fields_and_parts_of_openai_enter_and_are_known_again(load: Load, query: Load) -> None:
    rich = line(
        "a",
        {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "url": "x"}]},
        {"role": "assistant", "content": "seen", "refusal": None, "annotations": []},
        metadata={"ticket": 7},
    )  # fmt: skip
    assert load(rich)["messages"] == 2
    assert load(rich)["present"] == 1
    assert query("select metadata from kata_data.context") == [({"ticket": 7},)]
    assert query("select content, parts is not null from kata_data.message where version = 1") == [
        ("look", True)
    ]


def test_files_of_other_systems_enter(load: Load) -> None:
    with_mark = b"\xef\xbb\xbf" + line("a", USER)
    no_end = line("c", USER).rstrip()
    assert load(with_mark, b"\r\n", line("b", USER).replace(b"\n", b"\r\n"), b"  \n", no_end)["added"] == 3
    assert load()["added"] == 0


def test_a_conversation_longer_than_a_batch_enters(load: Load, query: Load) -> None:
    long = line("long", *({"role": "user", "content": str(number)} for number in range(20_003)))
    assert load(long)["messages"] == 20_003
    assert load(long)["present"] == 1
    assert query("select count(*), max(version) from kata_data.message") == [(20_003, 20_003)]


def test_a_message_over_the_limit_is_refused_and_the_next_line_enters(load: Load, query: Load) -> None:
    long = {"role": "user", "content": "word " * 3_400_000}
    summary = load(line("long", long), line("short", USER), code=1)
    assert (summary["added"], [refusal["line"] for refusal in summary["refused"]]) == (1, [1])
    assert "16 MB" in summary["refused"][0]["error"]
    assert query("select c.name from kata_data.context c") == [("short",)]


def test_the_tokenizer_is_that_of_the_new_contexts(database: str, query: Load) -> None:
    kata("import", "-", "--tokenizer", "cl100k_base", dsn=database, input=line("a", USER))
    assert query("select tokenizer from kata_data.context") == [("cl100k_base",)]
    result = kata("import", "-", "--tokenizer", "none", dsn=database, code=1, input=line("b", USER))
    assert 'line 1: tokenizer "none" is unknown' in result.stderr


def test_a_file_that_cannot_be_read_is_one_line(database: str, tmp_path: Path) -> None:
    message, hint = complaint(kata("import", str(tmp_path / "none"), dsn=database, code=2))
    assert message == f"Invalid value for 'FILE...': '{tmp_path / 'none'}': No such file or directory"
    assert hint == "kata import --help"
    message, _ = complaint(kata("import", str(tmp_path), dsn=database, code=2))
    assert message.endswith("Is a directory")


def test_a_role_that_may_not_write_gets_one_error(database: str, server: TestServer) -> None:
    server.execute("create role cli_import login")
    server.execute("grant kata_reader to cli_import")
    try:
        result = kata("import", str(AIRLINE), dsn=as_user(database, "cli_import"), code=1)
    finally:
        server.execute("drop role cli_import")
    said = [text for text in result.stderr.splitlines() if text.startswith("kata: ")]
    assert said == ["kata: permission denied for function create_context"]
    assert result.stdout == "0 conversations added, 0 messages\n"


def test_progress_is_shown_at_a_terminal_only(database: str) -> None:
    assert "importing" not in kata("import", str(AIRLINE), dsn=database).stderr
    primary, secondary = os.openpty()
    running = subprocess.Popen(
        [str(KATA), "--dsn", database, "import", str(AIRLINE)], stdout=subprocess.PIPE, stderr=secondary
    )
    os.close(secondary)
    said = read_terminal(primary)
    out, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0
    assert out == b"0 conversations added, 0 messages; 100 existed\n"
    assert b"importing" in said
    assert b"100%" in said


def test_lines_enter_for_the_tenant(database: str, query: Load) -> None:
    def run(tenant: str) -> Result:
        return kata("--tenant", tenant, "import", "-", dsn=database, input=line("a", USER))

    assert run("acme").stdout == run("umbrella").stdout == "1 conversations added, 1 messages\n"
    assert query("select tenant from kata_data.context order by 1") == [("acme",), ("umbrella",)]


def test_what_is_said_to_have_entered_survives_a_crash(launch_server: LaunchServer) -> None:
    server = launch_server("import-crash")
    dsn = server.url("postgres")
    kata("migrate", dsn=dsn)
    assert json.loads(kata("import", str(AIRLINE), "--json", dsn=dsn).stdout)["added"] == 100
    server.crash()
    server.recover()
    assert json.loads(kata("import", str(AIRLINE), "--json", dsn=dsn).stdout)["present"] == 100
    kata("verify", dsn=dsn)
