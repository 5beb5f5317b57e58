"""Conversations of other programs: every record is imported or counted, and nothing enters twice."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kata_context import Kata, Transaction
from kata_context.contrib import importers
from kata_context.contrib.importers import registry
from kata_context.contrib.importers.conversation import Conversation, Source
from kata_context.contrib.importers.loading import paths
from support.commands import kata as command

pytestmark = pytest.mark.slow

Write = Callable[..., Path]
AT = "2026-05-01T10:00:0{}Z"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of lines, or of one JSON text."""

    def write(*values: Any, name: str = "log.jsonl") -> Path:
        path = tmp_path / name
        lines = [value if isinstance(value, str) else json.dumps(value) for value in values]
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    return write


def read(path: Path) -> list[Conversation]:
    source = Source(path)
    return list(importers.recognize(source).read(source))


def load(kata: Kata, path: Path) -> list[importers.Loaded]:
    return [importers.load(kata, conversation) for conversation in read(path) if conversation.entries]


def shown(kata: Kata, name: str) -> list[tuple[str, str | None]]:
    """Return the messages of a context."""
    context_id = kata.find_context(name)
    assert context_id is not None
    rows = kata.messages(context_id, visibility="raw", max_rows=1000)
    return [(row.role, row.content or ",".join(call["id"] for call in row.tool_calls or [])) for row in rows]


# Claude Code


def cc(id: Any, parent: Any, kind: str, content: Any, answer: str | None = None, **more: Any) -> Any:
    message = {"role": kind, "content": content} | (
        {"id": answer, "model": "m-1", "usage": {"input_tokens": 5}} if answer else {}
    )
    return {
        "type": kind, "uuid": id, "parentUuid": parent, "sessionId": "s-1", "timestamp": AT.format(1),
        "isSidechain": False, "message": message,
    } | more  # fmt: skip


def use(id: str) -> Any:
    return {"type": "tool_use", "id": id, "name": "Read", "input": {"file_path": "/a"}}


def told(id: str, text: str = "done") -> Any:
    return [{"type": "tool_result", "tool_use_id": id, "content": text}]


SESSION = [
    {"type": "summary", "summary": "A title", "leafUuid": "a9"},
    {"type": "file-history-snapshot", "messageId": "x", "snapshot": {}},
    cc("u1", None, "user", "Read two files."),
    # One answer in three records; its results hang on the calls.
    cc("a1", "u1", "assistant", [{"type": "text", "text": "I do."}], "msg-1"),
    cc("a2", "a1", "assistant", [use("c1")], "msg-1"),
    cc("a3", "a2", "assistant", [use("c2")], "msg-1"),
    cc("r1", "a2", "user", told("c1", "one")),
    cc("r2", "a3", "user", told("c2", "two")),
    {"type": "progress", "uuid": "p1", "parentUuid": "r2", "sessionId": "s-1"},
    cc("a4", "p1", "assistant", [{"type": "text", "text": "Both read."}], "msg-2"),
    # The user went back, and asked something else.
    cc("u2", "a4", "user", "Thanks, now delete them."),
    cc("u3", "a4", "user", "Thanks, now keep them."),
    cc("a5", "u3", "assistant", [{"type": "text", "text": "Kept."}], "msg-3"),
    cc("s1", None, "user", "Look around.", isSidechain=True),
    cc("s2", "s1", "assistant", [{"type": "text", "text": "Nothing."}], "msg-4", isSidechain=True),
    '{"type": "user", "uuid": "broken',
    "17",
    cc("u4", "a5", "user", None),
]


def test_a_session_of_claude_code_becomes_a_context_with_forks(database: str, write: Write) -> None:
    path = write(*SESSION)
    conversations = read(path)
    assert sum(one.records for one in conversations) == len(SESSION)
    assert [one.name for one in conversations] == ["s-1", "s-1/s1"]
    assert conversations[0].skipped == {
        "summary": 1, "file-history-snapshot": 1, "progress": 1, "not an object": 1, "user without content": 1
    }  # fmt: skip
    assert [place for place, _ in conversations[0].wrong] == ["line 16"]
    with Kata(database) as kata:
        loaded = load(kata, path)
        assert [(one.name, one.contexts) for one in loaded] == [("s-1", 2), ("s-1/s1", 1)]
        begun = [
            ("user", "Read two files."),
            ("assistant", "I do."),
            ("tool", "one"),
            ("tool", "two"),
            ("assistant", "Both read."),
        ]
        assert shown(kata, "s-1") == [*begun, ("user", "Thanks, now keep them."), ("assistant", "Kept.")]
        assert shown(kata, "s-1/u2") == [*begun, ("user", "Thanks, now delete them.")]
        assert shown(kata, "s-1/s1") == [("user", "Look around."), ("assistant", "Nothing.")]
        root = kata.find_context("s-1")
        assert root is not None
        answer = kata.get_message(root, 2)
        assert [call["id"] for call in answer.tool_calls or []] == ["c1", "c2"]
        assert (answer.model, answer.external_id) == ("m-1", "a1")
        assert answer.occurred_at is not None
        assert answer.occurred_at.year == 2026
        assert (answer.metadata or {})["usage"] == {"input_tokens": 5}
        assert kata.get_context(root).metadata["titles"] == ["A title"]
        assert kata.get_context(kata.find_context("s-1/u2") or root).parent_id == root


def test_a_second_run_adds_nothing_and_a_grown_file_what_is_new(database: str, write: Write) -> None:
    with Kata(database) as kata:
        load(kata, write(*SESSION))
        again = load(kata, write(*SESSION))
        assert all(not (one.contexts or one.messages or one.compactions) for one in again)
        assert sum(one.present for one in again) == 10
        # The session went on, and the user went back once more, to before its end.
        grown = [
            *SESSION,
            cc("u5", "a5", "user", "And now?"),
            cc("u6", "u1", "user", "Stop."),
        ]
        later = load(kata, write(*grown))
        assert [(one.contexts, one.messages) for one in later] == [(1, 2), (0, 0)]
        assert shown(kata, "s-1")[-1] == ("user", "And now?")
        assert shown(kata, "s-1/u6") == [("user", "Read two files."), ("user", "Stop.")]
        with psycopg.connect(database) as conn:
            assert conn.execute("select * from kata.verify()").fetchall() == []


def test_a_new_end_of_the_file_is_a_fork_where_the_context_went_another_way(
    database: str, write: Write
) -> None:
    first = [
        cc("u1", None, "user", "Hello."),
        cc("a1", "u1", "assistant", [{"type": "text", "text": "Hi."}], "m"),
    ]
    with Kata(database) as kata:
        load(kata, write(*first))
        load(kata, write(*first, cc("u2", "u1", "user", "Better.")))
        assert shown(kata, "s-1") == [("user", "Hello."), ("assistant", "Hi.")]
        assert shown(kata, "s-1/u2") == [("user", "Hello."), ("user", "Better.")]


def test_a_context_of_another_conversation_is_not_touched(database: str, write: Write) -> None:
    with Kata(database) as kata:
        mine = kata.create_context("s-1")
        kata.append_message(mine, "user", "My own.")
    result = command("import", str(write(*SESSION)), dsn=database, code=1)
    assert 's-1: a context named "s-1" exists, and is another conversation' in result.stderr
    with Kata(database) as kata:
        assert shown(kata, "s-1") == [("user", "My own.")]
        assert kata.find_context("s-1/u2") is None


def resumed(*more: Any) -> list[Any]:
    """Return the records of SESSION as a file that goes on with them has them, and what comes after."""
    return [
        record | {"sessionId": "s-2"} if isinstance(record, dict) else record for record in (*SESSION, *more)
    ]


@pytest.mark.parametrize("in_order", [True, False])
def test_a_resumed_session_enters_once_as_a_fork(database: str, write: Write, in_order: bool) -> None:
    files = [write(*SESSION), write(*resumed(cc("u5", "a5", "user", "And now?")), name="resumed.jsonl")]
    with Kata(database) as kata:
        for path in files if in_order else files[::-1]:
            load(kata, path)
        before = [row.name for row in kata.list_contexts()]
        end = "s-2" if in_order else "s-2/u2"
        assert sorted(name or "" for name in before) == sorted(
            ["s-1", "s-1/s1", "s-1/u2", "s-2"] if in_order else ["s-2", "s-2/s1", "s-2/u2"]
        )
        assert shown(kata, "s-2")[-1] == ("user", "And now?")
        assert kata.get_context(kata.find_context(end) or "").parent_id is not None
        again = [one for path in files for one in load(kata, path)]
        assert not any(one.contexts or one.messages for one in again)
        assert [row.name for row in kata.list_contexts()] == before
        with psycopg.connect(database) as conn:
            stored = conn.execute("select external_id from kata_data.message").fetchall()
        assert len(stored) == len(set(stored)) == 11


def test_branches_are_placed_without_looking_into_each_other(
    database: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Counter[str] = Counter()

    def counted(name: str) -> Any:
        method = getattr(Transaction, name)

        def call(*given: Any, **options: Any) -> Any:
            asked[name] += 1
            return method(*given, **options)

        return call

    for name in ("list_contexts", "find_message"):
        monkeypatch.setattr(Transaction, name, counted(name))
    looks = []
    with Kata(database) as kata:
        for count in (8, 16):
            asked.clear()
            trunk = [
                cc(f"{count} {number}", f"{count} {number - 1}" if number else None, "user", "Go on.")
                for number in range(count)
            ]
            others = [
                cc(f"{count} {number}b", f"{count} {number}", "user", "Not so.") for number in range(count)
            ]
            records = [record | {"sessionId": f"s-{count}"} for record in (*trunk, *others)]
            (loaded,) = load(kata, write(*records, name=f"{count}.jsonl"))
            assert loaded.contexts == count
            assert asked["list_contexts"] == 1
            looks.append(asked["find_message"] / count)
        assert looks[1] <= looks[0] + 2  # one more for the depth, however many branches there are


def test_sessions_without_ids_are_conversations_of_their_own(database: str, write: Write) -> None:
    said = [{"type": "user", "message": {"role": "user", "content": "Hello."}}]
    with Kata(database) as kata:
        for name in ("one", "two"):
            load(kata, write({"loglines": [*said, *said]}, name=f"{name}.json"))
            assert shown(kata, name) == [("user", "Hello."), ("user", "Hello.")]


def test_a_file_of_an_unknown_form_keeps_no_other_from_its_import(database: str, write: Write) -> None:
    unknown, session = write("# Notes", name="notes.md"), write(*SESSION[2:8])
    result = command("import", str(unknown), str(session), dsn=database, code=1)
    assert result.stdout.startswith("1 conversations added, 4 messages; 1 refused\n")
    assert (
        f"{unknown}: the file: the format of notes.md is not known; the known ones are adk, " in result.stderr
    )
    again = command("import", str(session), dsn=database)
    assert again.stdout.startswith("0 conversations added, 0 messages; 1 existed\n")


def test_a_message_that_the_database_refuses_leaves_a_record_and_all_others_enter(
    database: str, write: Write
) -> None:
    messages = [{"role": "user", "content": f"message {number}"} for number in range(20)]
    messages[7]["content"] = "word " * 3_400_000
    path = write({"messages": messages}, name="long.json")
    result = command("import", str(path), dsn=database, code=1)
    assert result.stdout == "1 conversations added, 19 messages; 1 refused\n"
    (line,) = [line for line in result.stderr.splitlines() if "16 MB" in line]
    assert line.startswith("long, record 8-")
    with Kata(database) as kata:
        assert shown(kata, "long") == [("user", one["content"]) for one in messages if one != messages[7]]
        (record,) = kata.records("long")
        assert (record.version, record.kind) == (8, "refused")
        assert "16 MB" in record.data["problem"]
    again = command("import", str(path), "--json", dsn=database)
    assert json.loads(again.stdout)["added"] == json.loads(again.stdout)["messages"] == 0


def test_names_ids_and_titles_that_postgres_does_not_store_are_escaped(database: str, write: Write) -> None:
    path = write(
        {"type": "summary", "summary": "a\u0000title", "leafUuid": "u1"},
        cc("u\u00001", None, "user", "Hello.", sessionId="s\u0000\ud83d"),
        cc("u2", "u\u00001", "user", "Hi.", sessionId="s\u0000\ud83d"),
    )
    with Kata(database) as kata:
        (loaded,) = load(kata, path)
        assert loaded.name == "s␚0000␚d83d"
        assert shown(kata, loaded.name) == [("user", "Hello."), ("user", "Hi.")]
        assert kata.context(loaded.name).get_context().metadata["titles"] == ["a␚0000title"]
        assert load(kata, path)[0].messages == 0


def test_a_recorded_compaction_covers_what_stood_before_it(database: str, write: Write) -> None:
    boundary = {
        "type": "system", "subtype": "compact_boundary", "uuid": "b1", "parentUuid": None,
        "logicalParentUuid": "a1", "sessionId": "s-1", "compactMetadata": {"trigger": "auto"},
    }  # fmt: skip
    path = write(
        cc("u0", None, "user", "word " * 50),
        cc("a0", "u0", "assistant", [{"type": "text", "text": "word " * 50}], "m0"),
        cc("u1", "a0", "user", "And so on."),
        cc("a1", "u1", "assistant", [{"type": "text", "text": "word " * 50}], "m1"),
        boundary,
        cc("k1", "b1", "user", "They said words.", isCompactSummary=True),
        cc("u2", "k1", "user", "Go on."),
    )
    assert [one.records for one in read(path)] == [7]
    with Kata(database) as kata:
        (loaded,) = load(kata, path)
        assert (loaded.messages, loaded.compactions) == (5, 1)
        context_id = kata.find_context("s-1")
        assert context_id is not None
        view = kata.messages(context_id)
        assert [(row.kind, row.content) for row in view] == [
            ("summary", "They said words."), ("message", "And so on."), ("message", "Go on.")
        ]  # fmt: skip
        assert kata.get_policy(context_id)["preserve_recent_count"] == 10
        assert load(kata, path)[0].compactions == 0


def test_an_interrupted_call_is_closed_and_a_second_result_is_kept_as_a_record(
    database: str, write: Write
) -> None:
    path = write(
        cc("u1", None, "user", "Read."),
        cc("a1", "u1", "assistant", [use("c1"), use("c2")], "m1"),
        cc("r1", "a1", "user", told("c1", "one")),
        cc("r2", "r1", "user", told("c1", "one again")),
        cc("u2", "r2", "user", "Stop."),
        cc("a2", "u2", "assistant", [use("c3")], "m2"),
    )
    with Kata(database) as kata:
        (loaded,) = load(kata, path)
        assert loaded.left_out == {"second result of a call": 1}
        context_id = kata.find_context("s-1")
        assert context_id is not None
        assert shown(kata, "s-1")[2:] == [
            ("tool", "one"), ("tool", "[interrupted]"), ("user", "Stop."), ("assistant", "c3")
        ]  # fmt: skip
        assert [row.external_id for row in kata.records(context_id)] == ["r2"]
        # The last call may still be answered.
        assert kata.get_context(context_id).open_calls == ["c3"]
        assert load(kata, path)[0].messages == 0


# Codex and Responses


def item(payload: Any, kind: str = "response_item") -> Any:
    return {"timestamp": AT.format(2), "type": kind, "payload": payload}


ROLLOUT = [
    item({"id": "rollout-1", "cwd": "/w", "instructions": "Be brief."}, "session_meta"),
    item({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "List."}]}),
    item({"model": "m-2", "effort": "low"}, "turn_context"),
    item({"type": "reasoning", "summary": [], "encrypted_content": "e"}),
    item({"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c1"}),
    item({"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c2"}),
    item({"type": "agent_message", "message": "I list."}, "event_msg"),
    item({"type": "function_call_output", "call_id": "c1", "output": "a"}),
    item({"type": "function_call_output", "call_id": "c2", "output": "b"}),
    item({"message": "They listed."}, "compacted"),
    item({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a, b"}]}),
    "[]",
]  # fmt: skip


def test_a_rollout_of_codex_keeps_reasoning_with_its_calls(database: str, write: Write) -> None:
    path = write(*ROLLOUT)
    (conversation,) = read(path)
    assert conversation.records == len(ROLLOUT)
    assert conversation.skipped == {"turn_context": 1, "event_msg agent_message": 1, "no payload": 1}
    with Kata(database) as kata:
        (loaded,) = load(kata, path)
        assert (loaded.name, loaded.messages, loaded.compactions) == ("rollout-1", 6, 1)
        assert shown(kata, "rollout-1") == [
            ("system", "Be brief."), ("user", "List."), ("assistant", "c1,c2"), ("tool", "a"), ("tool", "b"),
            ("assistant", "a, b"),
        ]  # fmt: skip
        context_id = kata.find_context("rollout-1")
        assert context_id is not None
        answer = kata.get_message(context_id, 3)
        assert [part["type"] for part in answer.parts or []] == ["reasoning"]
        assert answer.model == "m-2"
        assert load(kata, path)[0].messages == 0


# What has no branches


def event(id: str, author: str, part: Any, **content: Any) -> Any:
    content["parts"] = [part]
    return {"id": id, "author": author, "timestamp": 1741218414.9, "content": content}


CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi\u0000!"}]
FLAT = {
    "openai": {"messages": CHAT, "source": "set-1"},
    "anthropic": {
        "model": "m-3", "system": "Be brief.", "max_tokens": 10,
        "messages": [{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": [use("c1")]}],
    },
    "responses": {
        "instructions": "Be brief.",
        "input": "Hi!",
        "output": [{"type": "message", "role": "assistant", "content": "Yes?"}],
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi!"}]}, {"role": "model", "parts": [{"text": "Yes?"}]}
        ],
    },
    "adk": {
        "id": "session-1", "app_name": "shop", "user_id": "u", "state": {"n": 1},
        "events": [
            event("e1", "user", {"text": "Hi!"}, role="user"),
            event("e2", "shop", {"function_call": {"name": "find", "args": {}}}),
            event("e3", "shop", {"function_response": {"name": "find", "response": {"n": 1}}}, role="user"),
            {"id": "e4", "author": "shop", "actions": {"state_delta": {"n": 2}}},
        ],
    },
}  # fmt: skip
RECORDS = {"openai": 2, "anthropic": 2, "responses": 2, "gemini": 2, "adk": 4}


@pytest.mark.parametrize("form", FLAT)
def test_a_file_is_recognized_and_every_record_accounted_for(form: str, database: str, write: Write) -> None:
    path = write(FLAT[form], name=f"{form}.json")
    source = Source(path)
    assert importers.recognize(source).name == form
    (conversation,) = read(path)
    assert conversation.records == RECORDS[form]
    with Kata(database) as kata:
        (loaded,) = load(kata, path)
        assert loaded.name == ("session-1" if form == "adk" else form)
        has_system = form != "adk"
        assert loaded.messages == RECORDS[form] - (form == "adk") + (has_system and form != "openai")
        if has_system:
            assert shown(kata, loaded.name)[0] == ("system", "Be brief.")
        assert load(kata, path)[0].messages == 0
        assert command("import", str(path), dsn=database).stdout.startswith("0 conversations added")


def test_events_keep_their_time_and_their_author(database: str, write: Write) -> None:
    with Kata(database) as kata:
        load(kata, write(FLAT["adk"], name="session.json"))
        context_id = kata.find_context("session-1")
        assert context_id is not None
        call, result = (kata.get_message(context_id, version) for version in (2, 3))
        assert call.external_id == "e2"
        assert call.occurred_at is not None
        assert call.occurred_at.isoformat().startswith("2025-03-05")
        assert (call.metadata or {})["author"] == "shop"
        assert [result.tool_call_id] == [one["id"] for one in call.tool_calls or []]


# ChatGPT


def node(id: str, parent: str | None, role: str, kind: str, **content: Any) -> Any:
    message = {
        "author": {"role": role, "name": content.pop("name", None)}, "recipient": content.pop("to", "all"),
        "create_time": 1700000000.5, "metadata": content.pop("metadata", {}),
        "content": {"content_type": kind} | content,
    }  # fmt: skip
    return {"id": id, "parent": parent, "children": [], "message": message}


NODES = [
    {"id": "n0", "parent": None, "children": [], "message": None},
    node("n1", "n0", "system", "text", parts=[""]),
    node("n2", "n1", "user", "text", parts=["Plot it."]),
    node("n3", "n2", "assistant", "code", text="plot()", to="python", metadata={"model_slug": "m-4"}),
    node("n4", "n3", "tool", "execution_output", text="<plot>", name="python"),
    node("n5", "n4", "assistant", "text", parts=["There."]),
    node("n6", "n2", "assistant", "text", parts=["I cannot."]),
    node("n7", "n5", "user", "multimodal_text", parts=[
        {"content_type": "image_asset_pointer", "asset_pointer": "file-service://f1"}, "And this?"]),
    node("n8", "n7", "user", "text", parts=["x"], metadata={"is_visually_hidden_from_conversation": True}),
]  # fmt: skip
EXPORT = [
    {
        "title": "Plot",
        "conversation_id": "chat-1",
        "current_node": "n8",
        "mapping": {n["id"]: n for n in NODES},
    }
]


def test_an_export_of_chatgpt_has_its_branches_as_forks(database: str, write: Write) -> None:
    path = write(EXPORT, name="conversations.json")
    (conversation,) = read(path)
    assert conversation.records == len(NODES)
    assert conversation.skipped == {"node without message": 1, "empty message": 1, "hidden message": 1}
    with Kata(database) as kata:
        load(kata, path)
        assert shown(kata, "chat-1") == [
            ("user", "Plot it."), ("assistant", "n3"), ("tool", "<plot>"), ("assistant", "There."),
            ("user", "And this?"),
        ]  # fmt: skip
        assert shown(kata, "chat-1/n6") == [("user", "Plot it."), ("assistant", "I cannot.")]
        assert all(one.messages == 0 for one in load(kata, path))


# The command, and importers of others


def test_the_command_counts_what_it_skipped_and_names_what_is_wrong(database: str, write: Write) -> None:
    named = write({"name": "a", "messages": [{"role": "user", "content": "hi"}]}, name="named.jsonl")
    session = write(*SESSION)
    result = command("import", str(named), str(session), dsn=database, code=1)
    assert "4 conversations added, 11 messages; 1 refused" in result.stdout
    assert "skipped: 1 × file-history-snapshot" in result.stdout
    assert f"\n{session}: line 16: not JSON: " in result.stderr
    again = json.loads(command("import", str(session), "--json", dsn=database, code=1).stdout)
    assert (again["added"], again["messages"], again["present"]) == (0, 0, 3)
    assert again["skipped"]["progress"] == 1


def test_an_unknown_form_is_refused_with_those_that_are_known(database: str, write: Write) -> None:
    path = write({"weather": "fine"}, name="odd.json")
    result = command("import", str(path), dsn=database, code=1)
    assert "the format of odd.json is not known" in result.stderr
    assert "adk, anthropic, chatgpt, claude-code, codex, gemini, openai, responses" in result.stderr
    result = command("import", str(path), "--format", "nothing", dsn=database, code=1)
    assert 'no importer is named "nothing"' in result.stderr


def test_a_package_adds_a_format_of_its_own(
    database: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Diary:
        name = "diary"

        def recognizes(self, source: Source) -> bool:
            return source.path.suffix == ".diary"

        def read(self, source: Source) -> Any:
            entries = [
                importers.Entry(
                    f"{number}", f"{number - 1}" if number else None, [{"role": "user", "content": line}]
                )
                for number, line in enumerate(source.path.read_text("utf-8").splitlines())
            ]
            yield Conversation("my diary", entries)

    class Point:
        name = "diary"

        def load(self) -> Any:
            return Diary

    monkeypatch.setattr(registry, "entry_points", lambda **_: [Point()])
    path = write("Monday.", "Tuesday.", name="2026.diary")
    assert "1 conversations added, 2 messages" in command("import", str(path), dsn=database).stdout
    with Kata(database) as kata:
        assert shown(kata, "my diary") == [("user", "Monday."), ("user", "Tuesday.")]


# Files that are not what they seem


def chat(id: str, role: str = "user", text: Any = "Hello.", parent: Any = None, **more: Any) -> Any:
    content = {"content_type": "text", "parts": [text]}
    return {id: {"parent": parent, "message": {"author": {"role": role}, "content": content} | more}}


def rollout(kind: str, payload: Any, at: str = "2026-05-01T10:00:01Z") -> Any:
    return {"timestamp": at, "type": kind, "payload": payload}


SAID = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}
ODD: list[tuple[list[Any], list[str], int]] = [
    # records, places that are wrong, entries that are read
    ([cc("u1", None, "user", "a"), cc(["x"], "u1", "user", "b"), cc("u3", {}, "user", "c")], ["line 2"], 2),
    ([cc("u1", None, "user", "a"), cc("u2", 5, "user", "b")], ["line 2"], 1),
    ([cc("u1", None, "user", True), cc("u2", "u1", "assistant", [1, "x"])], ["line 1", "line 2"], 0),
    ([cc("u1", None, "user", 5, isCompactSummary=True), cc("u2", "u1", "user", "b")], ["line 1"], 1),
    ([cc("u1", None, "user", "a", timestamp="soon"), cc("u2", "u1", "user", "b", timestamp=5)],
     ["line 1", "line 2"], 0),
    # Circles of parents.
    ([cc("u1", "u1", "user", "a")], [], 1),
    ([cc("u1", "a1", "user", "a"), cc("a1", "u1", "assistant", "b")], [], 2),
    ([cc("u0", None, "user", "a"), cc("r1", "r3", "user", told("c1")), cc("r2", "r1", "user", told("c1")),
      cc("r3", "r2", "user", told("c1")), cc("u4", "r3", "user", "b")], [], 5),
    ([rollout("session_meta", {"id": 5, "instructions": ["x"]}), rollout("response_item", SAID),
      rollout("response_item", SAID, at="soon"), rollout("response_item", SAID | {"content": 5}),
      {"type": ["x"], "payload": {}}], ["line 3", "line 4"], 1),
    ([{"mapping": chat("a", create_time=1e40) | chat("b", create_time=float("nan"))
       | chat("c", author=None) | chat("d", author={}) | chat("e", metadata=5) | chat("f")}],
     [f"the file, node {id}" for id in "abcde"], 1),
    ([{"mapping": chat("a", parent="b") | chat("b", parent="a"), "current_node": "b"}], [], 0),
    ([{"mapping": chat("a", parent=["b"])}], ["the file"], 0),
    ([{"app_name": "a", "events": [{"content": {"parts": [{"text": "x"}]}, "timestamp": 1e40}]}],
     ["the file"], 0),
    ([{"input": "Hello.", "output": 5}], ["the file"], 0),
    ([{"input": "Hello.", "response": 5}], ["the file"], 0),
    ([{"messages": [{"role": "user", "content": "Hello."}], "metadata": 5, "name": 7}], [], 1),
]  # fmt: skip


@pytest.mark.parametrize(("records", "wrong", "entries"), ODD, ids=range(len(ODD)))
def test_a_record_of_another_shape_is_named_and_the_rest_is_read(
    write: Write, records: list[Any], wrong: list[str], entries: int
) -> None:
    conversations = read(write(*records))
    assert [place for one in conversations for place, _ in one.wrong] == wrong
    assert sum(len(one.entries) for one in conversations) == entries
    for one in conversations:
        paths(one)  # ends


def test_an_export_in_one_line_is_imported(database: str, write: Write) -> None:
    nodes = chat("a") | chat("b", "assistant", parent="a")
    export = [{"id": id, "mapping": nodes} for id in ("g-1", "g-2")]
    path = write(export, name="conversations.json")
    result = command("import", str(path), str(path), dsn=database)
    assert "2 conversations added, 4 messages; 2 existed" in result.stdout, result.stderr


def test_another_file_of_the_same_name_is_another_conversation(database: str, tmp_path: Path) -> None:
    files = [tmp_path / "one" / "chat.json", tmp_path / "two" / "chat.json"]
    for text, file in zip(("Hello.", "Good bye."), files, strict=True):
        file.parent.mkdir()
        file.write_text(json.dumps({"messages": [{"role": "user", "content": text}]}))
    for added in ("2 conversations added, 2 messages", "0 conversations added, 0 messages; 2 existed"):
        assert command("import", *map(str, files), dsn=database).stdout.startswith(added)
    with Kata(database) as kata:
        found = {row.content for one in kata.list_contexts() for row in kata.messages(one.context_id)}
    assert found == {"Hello.", "Good bye."}


def test_standard_input_of_another_form_is_refused(database: str) -> None:
    for arguments in (("--format", "openai"), ()):
        result = command("import", *arguments, "-", dsn=database, code=1, input='[{"mapping": {}}]')
        assert "standard input holds another form than named lines" in result.stderr
