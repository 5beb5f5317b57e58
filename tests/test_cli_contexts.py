"""The command line on contexts: what it prints is what the functions say."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.shell_completion import BashComplete
from psycopg import sql

from conftest import ROOT, TestServer
from kata_context.cli.main import cli
from support.commands import Query, Run, kata
from support.driver import PATIENCE
from test_cli import KATA, as_user, complaint, program
from test_driver import RELAY, relay

pytestmark = pytest.mark.slow

AIRLINE = ROOT / "tests" / "data" / "conversations" / "airline.jsonl"
CALLS = '[{"id": "c1", "type": "function", "function": {"name": "search", "arguments": "{}"}}]'


@pytest.fixture
def talk(run: Run, read: Query) -> str:
    """The id of a context named "talk" with a system prompt, a question, a call, its result and an answer."""
    context_id: str = run("create", "talk", "--metadata", '{"ticket": 7}').stdout.strip()
    for role, text, *options in (
        ("system", "Be brief.", "--tokens", "10"),
        ("user", "Which flights?\nTo Seattle \N{AIRPLANE}", "--tokens", "20"),
        ("assistant", "", "--tokens", "30", "--tool-calls", CALLS),
        ("tool", "HAT083", "--tokens", "40", "--tool-call-id", "c1", "--tool-name", "search"),
        ("assistant", "HAT083 \x1b[31mflies\x07.", "--tokens", "50"),
    ):
        read("append", "talk", text, "--role", role, *options)
    return context_id


# Creating and finding


def test_create_prints_the_id_and_nothing_else(run: Run) -> None:
    created = run("create", "support")
    assert re.fullmatch(r"[0-9a-f-]{36}\n", created.stdout)
    nameless = run("create")
    assert re.fullmatch(r"[0-9a-f-]{36}\n", nameless.stdout)


def test_create_takes_all_that_the_function_takes(read: Query) -> None:
    options = ("--metadata", '{"a": [1]}', "--policy", '{"budget": 9000}', "--tokenizer", "cl100k_base")
    made = read("create", "x", *options, "--key", "once")
    assert made["name"] == "x"
    found = read("show", "x", "-n", "0")["context"]
    assert (found["context_id"], found["metadata"]) == (made["context_id"], {"a": [1]})
    assert found["tokenizer"] == "cl100k_base"
    assert read("create", "x", *options, "--key", "once") == made


def test_a_context_goes_by_name_by_id_and_by_the_beginning_of_its_id(read: Query, talk: str) -> None:
    for selector in ("talk", talk, talk.upper(), talk.replace("-", ""), talk[:20], talk[:8]):
        assert read("usage", selector)["version"] == 5


def test_a_beginning_of_several_ids_is_refused(run: Run, talk: str) -> None:
    run("create")
    message, hint = complaint(run("usage", talk[0], code=1))
    assert message.startswith(f'several contexts match "{talk[0]}" (Two of them are ')
    assert hint == "Pass the id."


@pytest.mark.parametrize("command", ["show", "usage", "verify", "window", "prompt", "append"])
def test_an_unknown_context_is_one_line_and_a_hint(run: Run, command: str) -> None:
    rest = {"window": ["100"], "prompt": ["100"], "append": ["x"]}.get(command, [])
    message, hint = complaint(run(command, "missing\x1b", *rest, code=1))
    assert message.startswith(
        'context "missing\N{REPLACEMENT CHARACTER}" not found (Tenant "default" has no live'
    )
    assert hint == "List what there is with kata.list_contexts."


def test_list_shows_the_newest_first(run: Run, read: Query, database: str) -> None:
    ids = [run("create", name).stdout.strip() for name in ("a", "b", "c")]
    with psycopg.connect(database) as conn:
        conn.execute("select kata.delete_context(%s), kata.archive_context(%s)", (ids[1], ids[2]))
    assert [row["name"] for row in read("list")] == ["c", "a"]
    assert [row["name"] for row in read("list", "--deleted")] == ["c", "b", "a"]
    assert [row["name"] for row in read("list", "-n", "1")] == ["c"]
    assert [row["name"] for row in read("list", "--after", "c")] == ["a"]
    lines = run("list", "--deleted").stdout.splitlines()
    assert re.fullmatch(r"name +messages +tokens +changed +state +context_id", lines[0])
    assert [(line.split()[0], *line.split()[-2:]) for line in lines[1:3]] == [
        ("c", "archived", ids[2]),
        ("b", "deleted", ids[1]),
    ]


def test_a_long_name_does_not_push_the_id_off_the_line(run: Run) -> None:
    context_id = run("create", "n" * 255).stdout.strip()
    line = run("list").stdout.splitlines()[1]
    assert (line.startswith("nnn"), line.endswith(context_id), len(line)) == (True, True, 160)


def test_list_reads_more_than_a_page(read: Query, database: str) -> None:
    with psycopg.connect(database) as conn:
        conn.execute("select kata.create_context() from generate_series(1, 1203)")
    assert len(read("list", "-n", "1100")) == 1100
    assert len({row["context_id"] for row in read("list", "-n", "5000")}) == 1203


def test_an_empty_list_says_so_beside_the_data(run: Run) -> None:
    result = run("list")
    assert result.stdout == ""
    assert "there are no contexts" in result.stderr
    assert run("list", "--json").stdout == "[]\n"


# Appending


def test_append_prints_the_version(run: Run, read: Query) -> None:
    run("create", "c")
    rows = read("append", "c", "hello world")
    assert [(row["version"], row["token_count"]) for row in rows] == [(1, 6)]  # 2, and 4 of framing
    assert run("append", "c", "again").stdout.split()[:4] == ["version", "tokens", "created", "2"]
    message = read("show", "c", "1")
    assert (message["role"], message["content"], message["token_source"]) == ("user", "hello world", "exact")


def test_append_takes_all_fields_of_a_message(read: Query, talk: str) -> None:
    options = ("--name", "ann", "--model", "m", "--metadata", '{"k": 1}', "--pinned", "--tokens", "0")
    read("append", "talk", "x", *options)
    message = read("show", "talk", "6")
    assert (message["name"], message["model"], message["metadata"]) == ("ann", "m", {"k": 1})
    assert (message["pinned"], message["token_count"], message["token_source"]) == (True, 0, "given")
    assert read("show", "talk", "3")["tool_calls"] == json.loads(CALLS)
    result = read("show", "talk", "4")
    assert (result["tool_call_id"], result["tool_name"]) == ("c1", "search")


@pytest.mark.parametrize("argument", [[], ["-"]])
@pytest.mark.parametrize("text", ["a\n", "\N{SNOWMAN}\r\n\tx", "line\n" * 10_000])
def test_append_reads_standard_input_as_it_is(read: Query, argument: list[str], text: str) -> None:
    read("create", "c")
    read("append", "c", *argument, input=text.encode())
    assert read("show", "c", "1")["content"] == text


@pytest.mark.parametrize(
    "text",
    [
        '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]',
        '{"role": "user", "content": "a"}\n\n{"role": "assistant", "content": "b"}\n',
        '\ufeff {"role": "user",\n "content": "a\u2028"}',
    ],
)
def test_append_takes_a_batch_from_a_file_or_standard_input(
    run: Run, read: Query, tmp_path: Path, text: str
) -> None:
    read("create", "c")
    count = text.count("role")
    assert len(read("append", "c", "--messages", "-", input=text.encode())) == count
    file = tmp_path / "messages.json"
    file.write_text(text, encoding="utf-8")
    assert len(read("append", "c", "--messages", str(file))) == count
    assert read("usage", "c")["message_count"] == 2 * count


def test_append_takes_messages_in_openai_form(read: Query) -> None:
    read("create", "c")
    parts = [{"type": "text", "text": "a"}]
    read(
        "append",
        "c",
        "--openai",
        "--messages",
        "-",
        input=json.dumps([{"role": "user", "content": parts}]).encode(),
    )
    message = read("show", "c", "1")
    assert (message["parts"], message["content"]) == (parts, "a")


def test_a_batch_enters_whole_or_not_at_all(run: Run, read: Query) -> None:
    read("create", "c")
    batch = '{"role": "user", "content": "a"}\n{"role": "narrator", "content": "b"}'
    message, _ = complaint(run("append", "c", "--messages", "-", input=batch.encode(), code=1))
    assert message.startswith("message 2 of the batch is invalid (")
    assert read("usage", "c")["version"] == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"[{", "standard input is not JSON: Expecting property name enclosed in double quotes, column 3"),
        (b'{"role": "user"}\nx\n', "standard input is not JSON: line 2: Expecting value, column 1"),
        (b"", "standard input is not JSON: Expecting value, column 1"),
        (b'{"role": NaN}', "standard input is not JSON: NaN is not a number of JSON"),
        (b"[" * 100_000, "standard input is not JSON: it is nested too deep"),
        (b"ab\xff", "standard input is not UTF-8: byte 3 is 0xff"),
        (b"3", "messages[0] must be a dict, not int (3 was passed.)"),
        (b'{"role": "user", "content": "\\ud800"}', "a text is not valid Unicode: "),
        (b'{"role": "user", "content": "\\u0000"}', "a text holds the character NUL"),
    ],
)
def test_a_batch_that_is_none_is_one_line(run: Run, read: Query, given: bytes, message: str) -> None:
    read("create", "c")
    said = run("append", "c", "--messages", "-", input=given, code=1).stderr.splitlines()
    told = [line for line in said if not line.startswith(("database: ", "hint: "))]
    assert len(told) == 1
    assert told[0].startswith(f"kata: {message}")
    assert read("usage", "c")["version"] == 0


def test_an_empty_input_is_not_an_empty_message(run: Run, read: Query) -> None:
    run("create", "c")
    assert "give CONTENT, or pipe it in" in run("append", "c", input=b"", code=2).stderr
    assert len(read("append", "c", "")) == 1
    assert len(read("append", "c", "-", input=b"")) == 1


def test_text_that_is_not_utf8_is_refused(run: Run, database: str) -> None:
    run("create", "c")
    message, hint = complaint(run("append", "c", input=b"caf\xe9", code=1))
    assert message == "standard input is not UTF-8: byte 4 is 0xe9"
    assert hint == "convert it, with iconv for example"
    given = subprocess.run(
        [os.fsencode(KATA), b"--dsn", database.encode(), b"append", b"c", b"caf\xe9"],
        capture_output=True,
        timeout=PATIENCE,
    )
    assert (given.returncode, given.stderr.splitlines()[-2]) == (1, b"kata: an argument is not UTF-8")
    message, _ = complaint(run("append", "c", input=b"a\0b", code=1))
    assert message.startswith("a text holds the character NUL, which Postgres does not store")


def test_a_key_and_an_expected_version_make_appending_safe(run: Run, read: Query, talk: str) -> None:
    first = read("append", "talk", "x", "--key", "k", "--expected-version", "5")
    assert read("append", "talk", "x", "--key", "k", "--expected-version", "5") == first
    message, hint = complaint(run("append", "talk", "y", "--expected-version", "5", code=1))
    assert message.startswith(f"version conflict on context {talk} (Version 5 was expected; ")
    assert hint == "Read what came in between, then try again with the new version."


def test_an_unreadable_file_is_named(run: Run, tmp_path: Path) -> None:
    run("create", "c")
    result = run("append", "c", "--messages", str(tmp_path / "none"), code=1)
    assert f"kata: {tmp_path / 'none'}: No such file or directory" in result.stderr
    assert "Is a directory" in run("append", "c", "--messages", str(tmp_path), code=1).stderr
    assert "Traceback" not in result.stderr


# Reading


def test_show_prints_a_context_and_its_newest_messages(run: Run, read: Query, talk: str) -> None:
    shown = run("show", "talk", "-n", "2").stdout
    assert re.search(rf"^context id +{talk}$", shown, re.MULTILINE)
    assert re.search(r'^metadata +\{"ticket": 7\}$', shown, re.MULTILINE)
    assert re.search(r"^ +4 +tool +40 +HAT083$", shown, re.MULTILINE)
    assert "Which flights" not in shown
    found = read("show", "talk")
    assert [message["version"] for message in found["messages"]] == [1, 2, 3, 4, 5]
    assert [message["version"] for message in read("show", "talk", "--at", "3", "-n", "2")["messages"]] == [
        2,
        3,
    ]
    assert found["context"]["raw_tokens"] == 150


def test_show_reads_more_than_a_page(read: Query, database: str) -> None:
    read("create", "long")
    batch = "\n".join(json.dumps({"role": "user", "content": str(n), "token_count": 1}) for n in range(2345))
    read("append", "long", "--messages", "-", input=batch.encode())
    for visibility in ("effective", "raw", "all"):
        found = read("show", "long", "-n", "9999", "--visibility", visibility)["messages"]
        assert [message["version"] for message in found] == list(range(1, 2346))


def test_what_a_terminal_would_obey_is_not_printed(run: Run, talk: str) -> None:
    for arguments in (("show", "talk"), ("show", "talk", "5"), ("window", "talk", "1000")):
        shown = run(*arguments).stdout
        assert "\N{REPLACEMENT CHARACTER}[31mflies" in shown
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", shown)


def test_a_message_is_shown_in_full(run: Run, read: Query, talk: str) -> None:
    shown = run("show", "talk", "2").stdout
    assert re.search(r"^role +user$", shown, re.MULTILINE)
    assert shown.endswith("\n\nWhich flights?\nTo Seattle \N{AIRPLANE}\n")
    assert read("show", "talk", "2")["content"] == "Which flights?\nTo Seattle \N{AIRPLANE}"
    message, _ = complaint(run("show", "talk", "6", code=1))
    assert message.startswith('version "6" not found (')


def test_a_deleted_context_is_shown_without_its_messages(
    run: Run, read: Query, database: str, talk: str
) -> None:
    with psycopg.connect(database) as conn:
        conn.execute("select kata.delete_context(%s)", (talk,))
    found = read("show", talk)
    assert found["context"]["deleted_at"]
    assert found["messages"] == []
    message, hint = complaint(run("usage", talk, code=1))
    assert message.startswith(f"context {talk} is deleted (")
    assert hint == "Restore it with kata.restore_context."


def test_window_prints_the_rows_of_the_function(run: Run, read: Query, database: str, talk: str) -> None:
    query = "select to_jsonb(w) - 'created_at' from kata.window(%s, %s, at => %s) w"
    with psycopg.connect(database) as conn:
        for budget, at in ((1000, None), (100, None), (60, None), (1, None), (1000, 3)):
            rows = [row[0] for row in conn.execute(query, (talk, budget, at))]
            printed = read("window", "talk", str(budget), *([] if at is None else ["--at", str(at)]))
            assert [{k: v for k, v in row.items() if k != "created_at"} for row in printed] == rows
    shown = run("window", "talk", "1000")
    assert re.search(r"^ +3 +assistant +30 +60 +recent +→ search\(\{\}\)$", shown.stdout, re.MULTILINE)
    assert "5 messages, 150 of 1,000 tokens" in shown.stderr
    assert "5 messages, 150 of 128,000 tokens" in run("window", "talk").stderr, "the budget of the policy"
    assert "the messages that always come exceed the budget" in run("window", "talk", "1").stderr


def test_prompt_prints_what_can_be_sent(run: Run, database: str, talk: str) -> None:
    with psycopg.connect(database) as conn:
        for form in ("openai", "anthropic"):
            row = conn.execute("select kata.prompt(%s, 1000, %s)", (talk, form)).fetchone()
            assert row
            for options in ((), ("--json",)):
                assert json.loads(run("prompt", "talk", "1000", "--format", form, *options).stdout) == row[0]
    assert run("prompt", "talk").stdout == run("prompt", "talk", "128000").stdout, "the budget of the policy"
    message, _ = complaint(run("prompt", "talk", "1", code=1))
    assert "budget" in message
    assert run("prompt", "talk", "1", code=1).stdout == ""


@pytest.mark.parametrize("budget", ["0", "-1"])
def test_a_budget_that_is_none_is_refused(run: Run, talk: str, budget: str) -> None:
    message, _ = complaint(run("window", "talk", "--", budget, code=1))
    assert "budget" in message


def test_usage_shows_counts_now_and_at_a_version(run: Run, read: Query, talk: str) -> None:
    counts = {"version": 5, "message_count": 5, "raw_tokens": 150, "view_tokens": 150, "tools_tokens": 0}
    assert read("usage", "talk") == counts
    assert read("usage", "talk", "--at", "2")["raw_tokens"] == 30
    assert re.search(r"^raw tokens +150$", run("usage", "talk").stdout, re.MULTILINE)
    message, _ = complaint(run("usage", "talk", "--at", "6", code=1))
    assert message.startswith('version "6" not found (')


def test_verify_says_sound_or_what_is_wrong_and_exits_with_1(
    run: Run, read: Query, database: str, talk: str
) -> None:
    assert "sound" in run("verify").stderr
    assert read("verify", "talk") == []
    with psycopg.connect(database) as conn:
        conn.execute("update kata_data.head set raw_tokens = 1 where context_id = %s", (talk,))
    for arguments in ((), ("talk",)):
        problems = read("verify", *arguments, code=1)
        assert {problem["context_id"] for problem in problems} == {talk}
    assert re.search(rf"^{talk} ", run("verify", code=1).stdout, re.MULTILINE)


def test_json_holds_every_character(database: str, talk: str) -> None:
    for encoding in ("utf-8", "ascii", "latin-1"):
        environment = os.environ | {"PYTHONIOENCODING": encoding}
        as_json = program("--dsn", database, "show", "talk", "2", "--json", env=environment)
        assert json.loads(as_json.stdout)["content"] == "Which flights?\nTo Seattle \N{AIRPLANE}"
    plain = program("--dsn", database, "show", "talk", "2", env=os.environ | {"PYTHONIOENCODING": "latin-1"})
    assert plain.returncode == 0
    assert "To Seattle ?" in plain.stdout


# Tenants


# Tenants


def test_a_tenant_has_contexts_of_its_own(database: str) -> None:
    kata("--tenant", "acme", "create", "plan", dsn=database)
    kata("create", "plan", dsn=database, env={"KATA_TENANT": "umbrella"})
    kata("create", "plan", dsn=database)
    for tenant in ("acme", "umbrella", "default"):
        rows = json.loads(kata("--tenant", tenant, "list", "--json", dsn=database).stdout)
        assert [row["tenant"] for row in rows] == [tenant]
    every = kata("--tenant", "*", "list", dsn=database).stdout
    assert re.search(r"^name +tenant ", every)
    assert len(every.splitlines()) == 4


def test_a_role_that_may_not_act_for_a_tenant_gets_an_error(database: str, server: TestServer) -> None:
    server.execute("create role cli_writer login")
    server.execute("grant kata_writer to cli_writer")
    try:
        dsn = as_user(database, "cli_writer")
        kata("create", "own", dsn=dsn)
        kata("--tenant", "cli_writer", "show", "own", dsn=dsn)
        message, hint = complaint(kata("--tenant", "acme", "list", dsn=dsn, code=1))
        assert message == 'this role acts for tenant "cli_writer", not for "acme"'
        assert hint == "leave out the tenant, or grant kata_service to the role"
        denied, hint = complaint(kata("environment", "x", dsn=dsn, code=1))
        assert denied == "permission denied for function set_environment"
        assert hint == "grant kata_reader, kata_writer or kata_admin to the role"
    finally:
        server.execute("drop role cli_writer")


# Failures of every command that needs the schema


COMMANDS = (
    ("create",), ("list",), ("show", "x"), ("append", "x", "y"), ("usage", "x"), ("verify",),
    ("window", "x", "9"), ("prompt", "x", "9"), ("import", str(AIRLINE)),
)  # fmt: skip
by_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])


@by_command
def test_a_database_that_is_not_migrated_is_told_apart(command: tuple[str, ...], empty_database: str) -> None:
    message, hint = complaint(kata(*command, dsn=empty_database, code=4))
    assert message == "the database is not migrated: Kata Context is not installed in it"
    assert hint == "kata migrate"


@by_command
def test_a_database_of_an_older_version_is_told_apart(command: tuple[str, ...], database: str) -> None:
    with psycopg.connect(database) as conn:
        for name in ("create_context", "list_contexts", "resolve_context", "verify", "find_context"):
            conn.execute(
                sql.SQL("alter function kata.{} rename to {}").format(
                    sql.Identifier(name), sql.Identifier(f"no_{name}")
                )
            )
    message, hint = complaint(kata(*command, dsn=database, code=4))
    assert message.startswith("the database is migrated to another version than this one: function kata.")
    assert hint == "kata migrate"


@by_command
def test_a_host_that_is_not_there_is_named(command: tuple[str, ...]) -> None:
    result = kata(*command, dsn="postgresql://me:secret@no-such-host.invalid/db", code=3)
    message, hint = complaint(result)
    assert message.startswith("no connection to the database: ")
    assert hint == "check the name of the host"
    assert "secret" not in result.output


def test_to_another_machine_every_command_speaks_encrypted_or_not_at_all(database: str) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(database)
    with relay("-c", RELAY, f"{parts['host']}/.s.PGSQL.5432") as port:
        dsn = f"postgresql://postgres@0.0.0.0:{port}/{parts['dbname']}"
        for command in ("list", "migrate", "status", "environment"):
            message, hint = complaint(kata(command, dsn=dsn, code=3))
            assert "server does not support SSL, but SSL was required" in message
            assert hint == "say how to encrypt: sslmode=require, verify-full, or disable for plain text"
            kata(command, dsn=f"{dsn}?sslmode=disable")
        transport = json.loads(kata("doctor", "--json", dsn=f"{dsn}?sslmode=disable", code=1).stdout)[
            "checks"
        ]
        assert [check["value"] for check in transport if check["level"] == "problem"] == ["plain text"]


# Completion


# Completion


@pytest.fixture
def complete(database: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return what the shell would offer."""

    def complete(*words: str, dsn: str = database) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", " ".join(["kata", "--dsn", dsn, *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words) + 2))
        completion = BashComplete(cli, {}, "kata", "_KATA_COMPLETE")
        args, incomplete = completion.get_completion_args()
        return [item.value for item in completion.get_completions(args, incomplete)]

    return complete


def test_the_shell_completes_commands_names_and_ids(
    complete: Callable[..., list[str]], talk: str, run: Run
) -> None:
    assert complete("mi") == ["migrate"]
    assert complete("show", "t") == ["talk"]
    assert complete("window", "ta") == ["talk"]
    assert complete("verify", talk[:10]) == [talk]
    assert complete("show", "missing") == []


def test_completion_says_nothing_where_there_is_no_database(
    complete: Callable[..., list[str]], tmp_path: Path
) -> None:
    assert complete("show", "t", dsn="postgresql:///x?host=/nowhere") == []


def test_the_program_completes_for_the_shell(database: str, talk: str) -> None:
    words = {
        "COMP_WORDS": "kata show t",
        "COMP_CWORD": "2",
        "_KATA_COMPLETE": "bash_complete",
        "DATABASE_URL": database,
    }
    assert program(env=os.environ | words).stdout == "plain,talk\n"
    script = program(env=os.environ | {"_KATA_COMPLETE": "bash_source"})
    assert "complete" in script.stdout


def test_json_holds_nothing_that_a_terminal_would_obey(run: Run) -> None:
    run("create", "x")
    text = "\x9b31m red \x7f \u202e backwards \x1b[2J \u00e9"
    run("append", "x", text)
    for command in (("show", "x", "--json"), ("window", "x", "1000", "--json"), ("prompt", "x", "1000")):
        printed = run(*command).stdout
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", printed)
        assert "\u00e9" in printed
        assert text in _strings(json.loads(printed))


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        values = value.values() if isinstance(value, dict) else value
        return [text for item in values for text in _strings(item)]
    return [value] if isinstance(value, str) else []
