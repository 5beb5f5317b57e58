"""Transcripts of the Claude Agent SDK in contexts."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import claude_agent_sdk as sdk
import psycopg
import pytest
from claude_agent_sdk.testing import run_session_store_conformance
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations import run_example
from kata_context import AsyncKata, Kata
from kata_context.contrib.claude_agent_sdk import KataSessionStore
from kata_context.errors import KataError

Entry = dict[str, Any]
KEY: Any = {"project_key": "-home-ann-code", "session_id": "5b1c6f0e-0000-4000-8000-000000000001"}
NUMBERS = count()


def run(*awaitables: Any) -> Any:
    async def each() -> Any:
        return [await one for one in awaitables][-1]

    return asyncio.run(each())


def entry(kind: str, content: Any, uuid: str | None = None, **fields: Any) -> Entry:
    made = {
        "type": kind,
        "timestamp": "2026-01-31T12:00:00.000Z",
        "message": {"role": kind, "content": content},
    }
    return made | ({"uuid": uuid} if uuid else {}) | fields


def asked(text: str, uuid: str | None = None, **fields: Any) -> Entry:
    return entry("user", text, uuid, parentUuid=None, isSidechain=False, cwd="/home/ann/code") | fields


def answered(*blocks: Entry, uuid: str | None = None, id: str = "msg_1") -> Entry:
    made = entry("assistant", list(blocks), uuid, requestId="req_1")
    made["message"] |= {"id": id, "model": "claude-opus", "usage": {"output_tokens": 7}, "stop_reason": None}
    return made


def text(words: str) -> Entry:
    return {"type": "text", "text": words}


def use(id: str, name: str = "Bash", **input: Any) -> Entry:
    return {"type": "tool_use", "id": id, "name": name, "input": input}


def result(id: str, content: Any, **fields: Any) -> Entry:
    return {"type": "tool_result", "tool_use_id": id, "content": content} | fields


# A turn with parallel calls, as the program writes it: an entry per block.
TURN = [
    asked("List the files.", "u1"),
    answered({"type": "thinking", "thinking": "ls", "signature": "abc="}, uuid="u2"),
    answered(use("t1", command="ls src"), uuid="u3"),
    answered(use("t2", "Read", file_path="/src/main.py"), uuid="u4"),
    entry("user", [result("t1", "main.py")], "u5", toolUseResult={"stdout": "main.py", "stderr": ""}),
    entry("user", [result("t2", [text("print(1)")], is_error=False)], "u6"),
    answered(text("There is main.py."), uuid="u7", id="msg_2"),
]
KINDS: list[Any] = [
    *TURN,
    {"type": "summary", "summary": "Files", "leafUuid": "u7"},
    {"type": "custom-title", "customTitle": "Files of Ann", "sessionId": "x"},
    {"type": "system", "subtype": "compact_boundary", "uuid": "s1", "compactMetadata": {"trigger": "auto"}},
    {"type": "file-history-snapshot", "snapshot": {"trackedFileBackups": {}}, "isSnapshotUpdate": False},
    {"type": "progress", "data": [1, 2.5, None, True, 1e308], "uuid": "s2"},
    asked("typed\n", "u8", isMeta=True),
    entry("user", [text("one block")], "u9"),
    entry("user", [text("two"), text("blocks")], "u10"),
    entry("user", [result("t3", "a"), result("t4", [text("b")]), text("and"), result("t5", None)], "u11"),
    entry("user", [result("t6", []), result("t7", "")], "u12"),
    entry("user", [{"type": "tool_result", "tool_use_id": "t8"}], "u13"),
    entry("user", [{"type": "image", "source": {"type": "url", "url": "https://example.com/x.png"}}], "u14"),
    answered(text("first"), use("t9", a={"b": [1.0, 1, None]}), text("between"), use("t10"), uuid="u15"),
    answered(use("t11") | {"input": {}, "caller": None}, uuid="u16"),
    # Entries that do not fit into messages.
    entry("user", "", "v1"),
    entry("user", [], "v2"),
    entry("user", None, "v3"),
    entry("user", {"a": 1}, "v4"),
    entry("user", [{"no": "type"}], "v5"),
    entry("user", [use("t12")], "v6"),
    entry("assistant", [result("t13", "x")], "v7"),
    entry("assistant", "plain", "v8"),
    {"type": "user", "uuid": "v9", "message": {"role": "assistant", "content": "x"}},
    {"type": "user", "uuid": 7, "message": "no object"},
    # Output of tools, and names as long as they come.
    entry("user", [result("t14", "NUL \x00, half a pair \ud83d, \u241a0000")], "w1", toolUseResult="\x00"),
    {"type": "x\x00", "uuid": "w\x002", "\ud800": "\x00"},
    asked("long id", "w" * 300),
    {"type": "attachment", "uuid": "w3", "data": "x" * 1_200_000},
    {"type": "deep", "uuid": "w4", "data": json.loads("[" * 150 + "]" * 150)},
    {"type": "big", "data": 10**400},
    "a text",
    [1],
    None,
    {"no": "type"},
]  # fmt: skip


@pytest.fixture
def store(kata: Kata) -> KataSessionStore:
    return KataSessionStore(kata)


def uuid_of(entry: Any) -> Any:
    return entry.get("uuid") if isinstance(entry, dict) else None


def ids(entries: list[Any]) -> list[Any]:
    return [uuid_of(one) for one in entries]


def test_the_conformance_suite_of_the_sdk_passes_whole(kata: Kata) -> None:
    def make() -> KataSessionStore:
        return KataSessionStore(kata.as_tenant(f"contract {next(NUMBERS)}"))

    asyncio.run(run_session_store_conformance(make))
    assert next(NUMBERS) == 15  # one to look at, and one for each of the 14 contracts


def test_an_entry_of_every_kind_comes_back_as_it_was(store: KataSessionStore) -> None:
    run(store.append(KEY, KINDS))
    assert json.dumps(run(store.load(KEY)), sort_keys=True) == json.dumps(KINDS, sort_keys=True)


def test_turns_are_messages_with_groups_tokens_times_and_models(store: KataSessionStore) -> None:
    run(store.append(KEY, TURN[:4]), store.append(KEY, TURN[4:]))
    context = store.context(KEY)
    rows = context.messages()
    assert [(row.role, row.group_version, row.external_id) for row in rows] == [
        ("user", 1, "u1"), ("assistant", 2, "u2"), ("assistant", 3, "u3"), ("assistant", 4, "u4"),
        ("tool", 3, "u5"), ("tool", 4, "u6"), ("assistant", 7, "u7"),
    ]  # fmt: skip
    assert {row.model for row in rows if row.role == "assistant"} == {"claude-opus"}
    assert rows[0].occurred_at is not None
    assert rows[0].occurred_at.isoformat() == "2026-01-31T12:00:00+00:00"
    assert all(row.token_count > 4 for row in rows)
    # The words are stored once: the metadata have what the message has not.
    assert "List the files." not in str(rows[0].metadata)
    prompt = context.prompt(8000, "anthropic")
    blocks = [[block["type"] for block in turn["content"]] for turn in prompt["messages"][1:5]]
    assert blocks == [["tool_use"], ["tool_result"], ["tool_use"], ["tool_result"]]


def test_windows_forks_search_artifacts_and_compaction_work_on_a_session(store: KataSessionStore) -> None:
    many = [asked(f"question {n} " + "word " * 30, f"q{n}") for n in range(40)]
    run(store.append(KEY, TURN), store.append(KEY, many))
    context = store.context(KEY)
    window = context.window(300)
    assert 0 < len(window) < 40
    fork = context.fork(7)
    assert [row.external_id for row in fork.messages()] == ids(TURN)
    assert {row.ref for row in context.artifacts("tool_call")} == {"Bash", "Read"}
    assert "/src/main.py" in {row.ref for row in context.artifacts("file")}
    context.index_search()
    assert context.search("main.py")
    assert context.recall("Which files are there?")
    context.compact(force=True)
    assert len(context.messages()) < 47
    assert context.find_message("u5") == 5
    # A compaction leaves the transcript whole; a rewind takes entries out of it.
    assert run(store.load(KEY)) == TURN + many
    context.rewind(9)
    assert run(store.load(KEY)) == TURN + many[:2]
    assert run(store.list_sessions(KEY["project_key"]))[0]["session_id"] == KEY["session_id"]


def test_an_entry_enters_once_however_batches_overlap(store: KataSessionStore) -> None:
    named = [one for one in KINDS if isinstance(uuid_of(one), str)]
    run(store.append(KEY, named[:20]), store.append(KEY, named[10:] + named[:5]), store.append(KEY, named))
    assert run(store.load(KEY)) == named
    title = {"type": "custom-title", "customTitle": "again"}
    run(store.append(KEY, [title, title]), store.append(KEY, [title]))
    assert run(store.load(KEY)) == [*named, title, title, title]
    before = store.context(KEY).usage()
    run(store.append(KEY, named))
    assert store.context(KEY).usage() == before


def test_calls_of_one_id_that_are_open_lose_no_batch(store: KataSessionStore) -> None:
    batch = [*TURN[:3], answered(use("t1"), uuid="again"), asked("well?", "u99")]
    run(store.append(KEY, batch), store.append(KEY, batch), store.append(KEY, TURN[4:5]))
    assert run(store.load(KEY)) == [*batch, TURN[4]]
    huge = entry("user", "x" * (16 * 1024 * 1024 + 1), "huge")
    run(store.append(KEY, [asked("before", "u100"), huge, asked("after", "u101")]))
    assert ids(run(store.load(KEY))[-3:]) == ["u100", "huge", "u101"]
    assert run(store.load(KEY))[-2] == huge


STEPS = st.lists(
    st.tuples(st.sampled_from(["main", "agent"]), st.lists(st.sampled_from(range(len(KINDS))), max_size=8)),
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(steps=STEPS)
def test_a_transcript_is_a_list_of_entries_without_those_of_a_uuid_that_it_has(
    kata: Kata, steps: list[tuple[str, list[int]]]
) -> None:
    store = KataSessionStore(kata)
    keys: dict[str, Any] = {"main": KEY | {"session_id": f"session {next(NUMBERS)}"}}
    keys["agent"] = keys["main"] | {"subpath": "subagents/agent-1"}
    model: dict[str, list[Entry]] = {"main": [], "agent": []}
    for where, places in steps:
        batch = [KINDS[place] for place in places]
        run(store.append(keys[where], batch))
        for one in batch:
            id = uuid_of(one)
            if not (isinstance(id, str) and id) or id not in ids(model[where]):
                model[where].append(one)
    for where, key in keys.items():
        assert json.dumps(run(store.load(key))) is not None
        assert run(store.load(key)) == (model[where] or None)
    assert run(store.list_subkeys(keys["main"])) == (["subagents/agent-1"] if model["agent"] else [])


def test_an_entry_that_the_summary_cannot_hold_loses_no_batch(store: KataSessionStore) -> None:
    odd = [
        asked("x", "u1") | {"timestamp": "0001-01-01T00:00:00"},
        "a text",
        asked("x", "u2") | {"cwd": ["a"]},
    ]
    run(store.append(KEY, odd), store.append(KEY, [asked("y", "u3")]))
    assert run(store.load(KEY)) == [*odd, asked("y", "u3")]
    run(store.list_session_summaries(KEY["project_key"]))


def test_writers_at_once_lose_no_entry_and_fold_one_summary(store: KataSessionStore) -> None:
    def mirror(number: int) -> None:
        for n in range(4):
            run(store.append(KEY, [asked(f"{number} {n}", f"{number}-{n}"), asked("shared", f"shared {n}")]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(mirror, range(4)))
    loaded = run(store.load(KEY))
    assert sorted(ids(loaded)) == sorted(
        {*(f"{a}-{b}" for a in range(4) for b in range(4)), *(f"shared {n}" for n in range(4))}
    )
    (summary,) = run(store.list_session_summaries(KEY["project_key"]))
    folded = sdk.fold_session_summary(None, KEY, loaded)
    assert summary["data"] == folded["data"]


def test_the_functions_of_the_sdk_read_and_change_sessions(store: KataSessionStore) -> None:
    project = sdk.project_key_for_directory("/home/ann/code")
    key: Any = {"project_key": project, "session_id": "5b1c6f0e-0000-4000-8000-000000000002"}
    chained, parent = [], None
    for one in TURN:
        id = f"5b1c6f0e-0000-4000-9000-00000000000{one['uuid'][1:]}"
        chained.append(one | {"uuid": id, "parentUuid": parent, "sessionId": key["session_id"]})
        parent = id
    run(store.append(key, chained))
    where = {"directory": "/home/ann/code"}
    (info,) = run(sdk.list_sessions_from_store(store, **where))
    assert (info.session_id, info.first_prompt) == (key["session_id"], "List the files.")
    seen = run(sdk.get_session_messages_from_store(store, key["session_id"], **where))
    assert [message.uuid for message in seen] == ids(chained)
    run(sdk.rename_session_via_store(store, key["session_id"], "Files", **where))
    run(sdk.tag_session_via_store(store, key["session_id"], "work", **where))
    info = run(sdk.get_session_info_from_store(store, key["session_id"], **where))
    assert (info.custom_title, info.tag) == ("Files", "work")
    forked = run(sdk.fork_session_via_store(store, key["session_id"], **where))
    assert len(run(store.load(key | {"session_id": forked.session_id}))) >= len(TURN)
    run(sdk.delete_session_via_store(store, key["session_id"], **where))
    assert [one.session_id for one in run(sdk.list_sessions_from_store(store, **where))] == [
        forked.session_id
    ]


def test_a_summary_has_no_words_of_an_erased_entry(store: KataSessionStore, kata: Kata) -> None:
    ann, ben = (KEY | {"session_id": name} for name in ("ann", "ben"))
    for key in (ann, ben):
        first = asked("the secret prompt", f"{key['session_id']}-1") | {"lastPrompt": "the secret prompt"}
        run(store.append(key, [first, asked("the second prompt", f"{key['session_id']}-2")]))
        context = store.context(key)
        context.erase_message(context.find_message(f"{key['session_id']}-1") or 0, "asked for")
    run(store.append(ben, [asked("the third prompt", "ben-3")]))
    (summary,) = run(store.list_session_summaries(KEY["project_key"]))
    assert summary["session_id"] == "ben"
    summaries = run(store.list_session_summaries(KEY["project_key"]))
    assert {one["session_id"]: one["data"]["first_prompt"] for one in summaries} == {
        "ann": "the second prompt",
        "ben": "the second prompt",
    }
    assert "secret" not in str(kata.list_contexts())


def test_a_summary_that_grows_too_long_is_left_to_the_sdk(store: KataSessionStore) -> None:
    long = asked("hello", "u1") | {"lastPrompt": "x\x00" * 40_000}
    run(
        store.append(KEY, [asked("first", "u0")]),
        store.append(KEY, [long]),
        store.append(KEY, [asked("x", "u2")]),
    )
    assert run(store.list_session_summaries(KEY["project_key"])) == []
    assert ids(run(store.load(KEY))) == ["u0", "u1", "u2"]
    other = KEY | {"session_id": "nul"}
    run(store.append(other, [asked("say \x00", "u0") | {"summary": "\ud800"}]))
    (summary,) = run(store.list_session_summaries(KEY["project_key"]))
    assert summary["data"]["summary_hint"] == "\ud800"


KEYS = [
    {"project_key": "a/b", "session_id": "c"}, {"project_key": "a", "session_id": "b/c"},
    {"project_key": "a", "session_id": "b", "subpath": "c"}, {"project_key": "a", "session_id": "b"},
    {"project_key": "a%2Fb", "session_id": "c"},
    {"project_key": "é" * 200, "session_id": "s" * 200, "subpath": "x" * 500},
    {"project_key": "é" * 201, "session_id": "s" * 200}, {"project_key": "\udce9\x00", "session_id": "!"},
]  # fmt: skip


def test_no_key_is_taken_for_another(store: KataSessionStore) -> None:
    for number, key in enumerate(KEYS):
        run(store.append(key, [asked(str(number), "same")]))
    for number, key in enumerate(KEYS):
        (loaded,) = run(store.load(key))
        assert loaded["message"]["content"] == str(number)
    assert run(store.list_sessions("a")) != []
    assert {one["session_id"] for one in run(store.list_sessions("a"))} == {"b/c", "b"}
    assert [one["session_id"] for one in run(store.list_sessions("é" * 201))] == ["s" * 200]
    assert [one["session_id"] for one in run(store.list_sessions("\udce9\x00"))] == ["!"]


def test_tenants_do_not_see_each_others_sessions(kata: Kata) -> None:
    acme, other = KataSessionStore(kata.as_tenant("acme")), KataSessionStore(kata.as_tenant("other"))
    run(acme.append(KEY, TURN))
    assert run(other.load(KEY)) is None
    assert (
        run(other.list_sessions(KEY["project_key"]))
        == run(other.list_session_summaries(KEY["project_key"]))
        == []
    )
    run(other.delete(KEY), other.append(KEY, [asked("x", "u1")]))
    assert run(acme.load(KEY)) == TURN


def test_an_append_to_a_long_session_costs_what_it_did(store: KataSessionStore, kata: Kata) -> None:
    run(store.append(KEY, [asked("x", f"e{n}") for n in range(3000)]))
    with kata.transaction() as transaction:
        connection = transaction.connection
        connection.execute("select pg_stat_force_next_flush()")
    read = "select sum(idx_tup_fetch + seq_tup_read) from pg_stat_all_tables where schemaname = 'kata_data'"
    costs = []
    for n in range(3):
        with kata.transaction() as transaction:
            transaction.connection.execute("select pg_stat_force_next_flush()")
        with kata.transaction() as transaction:
            before = transaction.connection.execute(read).fetchone()
        run(store.append(KEY, [asked("x", f"more {n}"), {"type": "mode", "mode": "plan"}]))
        with kata.transaction() as transaction:
            transaction.connection.execute("select pg_stat_force_next_flush()")
        with kata.transaction() as transaction:
            after = transaction.connection.execute(read).fetchone()
        assert before is not None
        assert after is not None
        costs.append(after[0] - before[0])
    assert max(costs) < 300


def test_a_store_outlives_its_connections(store: KataSessionStore, database: str) -> None:
    run(store.append(KEY, TURN[:2]))
    with psycopg.connect(database, autocommit=True) as other:
        other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where pid <> pg_backend_pid() and datname = current_database()"
        )
    run(store.append(KEY, TURN))
    assert run(store.load(KEY)) == TURN


def test_a_client_for_asyncio_is_refused() -> None:
    with pytest.raises(KataError, match="not Kata"):
        KataSessionStore(AsyncKata("postgresql:///x"))  # type: ignore[arg-type]


def test_the_example_of_the_page_runs(database: str, tmp_path: Path) -> None:
    assert run_example("claude-agent-sdk", database, tmp_path) == EXAMPLE


EXAMPLE = """\
Which flights go to Oslo?
[('user', 1), ('assistant', 2), ('tool', 2)]
"""
