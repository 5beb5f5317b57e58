"""`kata call`: every function can be reached from the command line."""

import inspect
import json
from typing import Any
from uuid import UUID

import psycopg
import pytest
from click.shell_completion import ShellComplete

from generate import catalog
from kata_context import Kata
from kata_context.cli.commands.call import PARSERS
from kata_context.cli.main import cli
from kata_context.generated.functions import FUNCTIONS
from support.commands import Run
from support.driver import tool_call

CALLS = [tool_call("a", "look")]


def called(run: Run, *arguments: str) -> Any:
    """Call a function and return what it prints."""
    return json.loads(run("call", *arguments).stdout)


def completed(*words: str) -> list[str]:
    """Return what the shell offers for the last word."""
    completion = ShellComplete(cli, {}, "kata", "_KATA_COMPLETE")
    return [item.value for item in completion.get_completions(list(words[:-1]), words[-1])]


def test_every_function_is_listed_with_its_parameters(conn: psycopg.Connection, run: Run) -> None:
    described = {function.name: function for function in catalog.describe(conn)}
    assert FUNCTIONS.keys() == described.keys()
    for name, function in FUNCTIONS.items():
        assert list(function.parameters) == [parameter.name for parameter in described[name].parameters]
        assert list(inspect.signature(getattr(Kata, name)).parameters)[1:] == list(function.parameters)
        assert {parameter.type for parameter in function.parameters.values()} <= PARSERS.keys(), name
    listed = run("call", "--list").stdout
    assert all(f"\n{name} " in listed for name in FUNCTIONS)
    assert [line.split() for line in run("call", "--list", "usage").stdout.splitlines()[1:]] == [
        ["parameter", "type", "required"],
        ["context_id", "context", "yes"],
        ["at", "version", "no"],
    ]


def test_values_have_the_types_of_the_parameters(run: Run, kata: Kata) -> None:
    context = kata.create("support")
    assert (
        called(run, "append_message", "context_id=support", "role=user", "content=a = b", "pinned=true") == 1
    )
    batch = json.dumps([{"role": "assistant", "content": None, "tool_calls": CALLS}])
    assert [
        row["version"] for row in called(run, "append", f"context_id={context.id}", f"messages={batch}")
    ] == [2]
    closed = called(run, "close_calls", "context_id=support", "reason=gave up", "call_ids=a")
    assert [row["version"] for row in closed] == [3]
    (first,) = called(run, "messages", "context_id=support", "at=head~2", "max_rows=1")
    assert (first["content"], first["pinned"]) == ("a = b", True)
    counts = ["tokenizer=cl100k_base", "versions=1,2", "counts=[5, 6]"]
    assert called(run, "put_token_counts", "context_id=support", *counts) == 2
    fork = called(run, "fork", "context_id=support", "name=trial", "at=head")
    assert [
        row["role"] for row in called(run, "merge", "target=support", f"source={fork}", "versions=1-3")
    ] == []
    assert called(run, "archive_inactive", "idle=30d", "dry_run=true") == []
    assert called(run, "register_tokenizer", "name=own", "bytes_per_token=3.5", "margin=0") is None
    assert called(run, "find_context", "name=null") is None


def test_an_external_id_and_a_moment_are_given_by_name(run: Run, kata: Kata) -> None:
    kata.create("c")
    message = ["context_id=c", "role=user", "content=x", "external_id=m-1"]
    assert called(run, "append_message", *message, "occurred_at=2026-01-31T12:00:00Z") == 1
    assert called(run, "find_message", "context_id=c", "external_id=m-1") == 1
    assert called(run, "find_message", "context_id=c", "external_id=m-2") is None
    batch = json.dumps([{"role": "user", "content": "x", "external_id": id_} for id_ in ("m-1", "m-2")])
    rows = called(run, "append", "context_id=c", f"messages={batch}", "on_duplicate=skip")
    assert [(row["version"], row["is_new"]) for row in rows] == [(1, False), (2, True)]


def test_what_a_key_has_done_is_shown(run: Run, kata: Kata) -> None:
    kata.create("c")
    assert called(run, "key_result", "context_id=c", "idempotency_key=k") is None
    assert called(run, "append_message", "context_id=c", "role=user", "content=x", "idempotency_key=k") == 1
    done = called(run, "key_result", "context_id=c", "idempotency_key=k")
    assert (done["function_name"], done["result"]) == ("append", {"versions": [1], "is_new": [True]})


def test_content_that_may_be_null_may_be_left_out(run: Run, kata: Kata) -> None:
    context = kata.create("c")
    arguments = ["context_id=c", "role=assistant", f"tool_calls={json.dumps(CALLS)}"]
    assert called(run, "append_message", *arguments) == 1
    assert context.get_message(1).content is None


def test_a_deleted_context_is_found_by_its_name(run: Run, kata: Kata) -> None:
    context = kata.create("gone")
    assert called(run, "delete_context", "context_id=gone") is None
    assert UUID(called(run, "get_context", "context_id=gone")["context_id"]) == context.id
    assert called(run, "restore_context", "context_id=gone") is None


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "name a FUNCTION; --list shows them"),
        (["usages"], "there is no function usages; --list shows them"),
        (["usage"], "usage needs context_id"),
        (["usage", "c"], '"c" is not NAME=VALUE'),
        (["usage", "context=c"], "usage has no parameter context; its parameters: context_id, at"),
        (["usage", "context_id=c", "context_id=d"], "context_id is given twice"),
        (["messages", "context_id=c", "max_rows=many"], 'max_rows: "many" is not of type integer'),
        (
            ["append_message", "occurred_at=noon"],
            'occurred_at: "noon" is not of type timestamp with time zone',
        ),
        (["append", "context_id=c", "messages={"], 'messages: "{" is not of type jsonb'),
        (["archive_inactive", "idle=long"], 'idle: "long" is not a duration; write 30d or 12h for example'),
    ],
)
def test_a_wrong_argument_is_named_before_the_database_is_asked(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli(["--dsn", "postgresql://nowhere.invalid/db", "call", *arguments], prog_name="kata")
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"kata: {problem}\n")


def test_errors_of_functions_are_those_of_other_commands(run: Run) -> None:
    refused = run("call", "usage", "context_id=none", code=1)
    assert refused.stderr.splitlines()[-2].startswith('kata: context "none" not found')
    assert refused.stdout == ""


def test_what_cannot_be_undone_asks_for_the_label_of_the_database(run: Run, kata: Kata) -> None:
    context = kata.create("c")
    context.append_message("user", "secret")
    kata.set_environment("production", None)
    erase = ["call", "erase_message", "context_id=c", "version=1", "reason=asked for"]
    assert 'this database is labeled "production"' in run(*erase, code=1).stderr
    assert context.get_message(1).content == "secret"
    assert json.loads(run(*erase, "--environment", "production").stdout)[0]["version"] == 1
    kata.delete_context(context.id)
    purge = ["call", "purge_context", "context_id=c"]
    run(*purge, code=1)
    assert json.loads(run(*purge, "dry_run=true").stdout)["removed"] == 1


def test_the_shell_completes_functions_parameters_and_contexts(kata: Kata, database: str) -> None:
    kata.create("support")
    assert completed("call", "append") == ["append", "append_message", "append_record"]
    assert completed("call", "usage", "") == ["context_id=", "at="]
    assert completed("call", "usage", "context_id=x", "") == ["at="]
    assert completed("--dsn", database, "call", "usage", "context_id=sup") == ["context_id=support"]
    assert completed("call", "usage", "at=") == []


def test_bytes_are_printed_in_hex(database: str, run: Run) -> None:
    with Kata(database) as kata:
        kata.create("digests").append_message("user", "hi", 1)
    assert called(run, "entry_digests", "context_id=digests")[0]["digest"].startswith("\\x")
