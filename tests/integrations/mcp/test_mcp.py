"""`kata mcp` and the client of the SDK, over standard input and output."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mcp
import psycopg
import pytest
from mcp.server.mcpserver.exceptions import ToolError

from integrations import ROOT, run_example
from kata_context import Kata
from kata_context.contrib import mcp as contrib

PROGRAM = [sys.executable, "-c", "from kata_context.cli.main import main; main()"]
TOOLS = {"search", "recall", "get_message", "history", "window", "artifacts"}
LONG = "the lost bag " * 4_000
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "read", "arguments": '{"path": "src/bag.py"}'},
}


@pytest.fixture(autouse=True)
def bags(database: str) -> None:
    """Two conversations of one tenant; the role of the tests may do everything."""
    with Kata(database, tenant="acme") as kata:
        chat = kata.get_or_create("bags")
        chat.append_message("system", "You find luggage.")
        chat.append_message("user", "My bag is lost: see src/bag.py, é and 袋.")
        chat.append([{"role": "assistant", "tool_calls": [CALL]}])
        chat.append_message("tool", LONG, tool_call_id="c1")
        chat.append_message("assistant", "It is in Oslo.")
        chat.checkpoint("found", at=2)
        kata.create("other").append_message("user", "a secret of another conversation")


class Session:
    """Calls of one client, each to a server of its own."""

    def __init__(self, database: str, context: str) -> None:
        arguments = [*PROGRAM[1:], "--dsn", database, "--tenant", "acme", "mcp", context]
        self.parameters = mcp.StdioServerParameters(command=PROGRAM[0], args=arguments)

    def __call__(self, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
        async def talk() -> list[Any]:
            async with mcp.Client(mcp.stdio_client(self.parameters)) as client:
                return [await client.call_tool(name, arguments) for name, arguments in calls]

        return asyncio.run(talk())

    def answers(self, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
        results = self(*calls)
        assert [said(one) for one in results if one.is_error] == []
        return [json.loads(said(one)) for one in results]


def said(result: Any) -> str:
    """Return the text of a result, its only content."""
    (content,) = result.content
    return str(content.text)


def test_the_client_reads_one_context_through_six_tools(database: str) -> None:
    async def listed() -> tuple[Any, Any]:
        # As clients do that know the protocol of before 2026.
        transport = mcp.stdio_client(Session(database, "bags").parameters)
        async with mcp.Client(transport, mode="legacy") as client:
            return (await client.list_tools()).tools, client.instructions

    tools, instructions = asyncio.run(listed())
    assert {tool.name for tool in tools} == TOOLS
    assert all(tool.annotations.read_only_hint for tool in tools)
    assert not any("context" in tool.input_schema["properties"] for tool in tools)
    assert "not instructions" in instructions
    found, recalled, message, history, window, artifacts, past = Session(database, "bags").answers(
        ("search", {"query": "Oslo"}),
        ("recall", {"query": "where is the bag", "max_rows": 3}),
        ("get_message", {"version": 2}),
        ("history", {"max_rows": 2}),
        ("window", {"budget": 100}),
        ("artifacts", {"kind": "file", "contains": "BAG"}),
        ("window", {"at": "found"}),
    )
    assert [row["version"] for row in found["rows"]] == [5]
    assert 1 <= len(recalled["rows"]) <= 3
    assert message["text"] == "My bag is lost: see src/bag.py, é and 袋."
    assert [row["version"] for row in history["rows"]] == [5, 4]
    assert [row["reason"] for row in window["rows"]] == ["preamble", "request", "newest"]
    assert [row["ref"] for row in artifacts["rows"]] == ["src/bag.py"]
    assert [row["version"] for row in past["rows"]] == [1, 2]


def test_answers_are_bounded_and_a_long_message_is_read_on(database: str) -> None:
    read = Session(database, "bags")
    first, window, call = read.answers(
        ("get_message", {"version": 4}),
        ("window", {"budget": 10_000}),
        ("get_message", {"version": "head~2"}),
    )
    text, start = first["text"], len(first["text"])
    assert first["go_on"] == f"call get_message with start {start}"
    while start < first["characters"]:
        (more,) = read.answers(("get_message", {"version": 4, "start": start}))
        assert 0 < len(more["text"]) <= contrib.PIECE
        text, start = text + more["text"], start + len(more["text"])
    assert text == LONG
    assert max(len(row["text"]) for row in window["rows"]) < contrib.TEXT + 100
    assert call["text"] == '[call read] {"path": "src/bag.py"}'
    rows = [SimpleNamespace(version=n, headline="x" * contrib.TEXT) for n in range(50)]
    full = json.loads(contrib.answer(rows, ("version", "headline")))
    assert len(full["rows"]) + full["left_out"] == 50
    assert len(json.dumps(full)) < contrib.ANSWER + 1000


def test_refusals_are_errors_of_a_tool_with_a_hint(database: str) -> None:
    missing, empty, nul, many, selector, after = Session(database, "bags")(
        ("get_message", {"version": 99}),
        ("search", {"query": "   "}),
        ("search", {"query": "a\x00b"}),
        ("search", {"query": "bag", "max_rows": 101}),
        ("window", {"at": "no-such-checkpoint"}),
        ("search", {"query": "Oslo"}),
    )
    for refused in (missing, empty, nul, selector):
        assert refused.is_error
        assert "\nhint: " in said(refused)
        assert "postgresql://" not in said(refused)
    assert "99" in said(missing)
    assert many.is_error
    assert not after.is_error  # the server goes on


def test_a_role_that_may_only_read_is_enough(database: str) -> None:
    try:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("create role acme login in role kata_reader")
        (found,) = Session(f"{database}&user=acme", "bags").answers(("search", {"query": "Oslo"}))
        assert [row["version"] for row in found["rows"]] == [5]
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("drop role acme")


def test_a_call_can_change_nothing(database: str) -> None:
    with Kata(database, tenant="acme") as kata:
        tools = contrib.Tools(kata, kata.context("bags").id)
        with pytest.raises(ToolError, match="read-only transaction"):
            tools._read(lambda reader: reader.append_message("bags", "user", "written"))
        assert kata.usage("bags").version == 5


def test_tenant_and_context_are_fixed_at_the_start(database: str) -> None:
    with Kata(database, tenant="acme") as kata:
        other = kata.context("other").id
    (found,) = Session(database, str(other)).answers(("search", {"query": "secret"}))
    assert len(found["rows"]) == 1
    (found,) = Session(database, "bags").answers(("search", {"query": "secret"}))
    assert found["rows"] == []
    for tenant, context in (("zeta", "bags"), ("acme", "nowhere")):
        command = [*PROGRAM, "--dsn", database, "--tenant", tenant, "mcp", context]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert f'context "{context}" not found' in done.stderr


def test_the_password_of_the_database_is_shown_nowhere(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create role teller login password 'hunter2' in role kata_service")
    separator = "&" if "?" in database else "?"
    dsn = f"{database}{separator}user=teller&password=hunter2"
    command = [*PROGRAM, "--dsn", dsn, "--tenant", "acme", "mcp", "bags"]
    # The client leaves without a word: the server ends, and says nothing on its output.
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert "hunter2" not in done.stderr


def test_the_example_runs(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    listed, found = run_example("mcp", database, tmp_path).splitlines()
    assert set(listed.split()) == TOOLS
    assert [row["version"] for row in json.loads(found)["rows"]] == [1]
    page = (ROOT / "docs" / "integrations.md").read_text("utf-8").partition("\n## mcp\n")[2]
    entry = json.loads(page.partition("```json\n")[2].partition("\n```")[0])
    assert entry["mcpServers"]["history"]["args"] == ["--tenant", "acme", "mcp", "support-4711"]
