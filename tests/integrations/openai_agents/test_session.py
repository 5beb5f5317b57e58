"""Sessions of the OpenAI Agents SDK in contexts."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from agents import (
    Agent,
    MaxTurnsExceeded,
    Model,
    ModelResponse,
    Runner,
    SessionSettings,
    Usage,
    function_tool,
)
from agents.memory import OpenAIResponsesCompactionAwareSession, Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.responses import ResponseOutputItem
from pydantic import TypeAdapter

from integrations import run_example
from kata_context import AsyncKata, Kata
from kata_context.contrib.openai_agents import KataSession
from kata_context.contrib.openai_agents_items import OWN, from_kata, to_kata
from kata_context.database_errors import ContextClosedError, InvalidMessageError
from kata_context.errors import KataError

Item = dict[str, Any]
QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def call(call_id: str, name: str = "f", **fields: Any) -> Item:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"} | fields


def out(id: str, output: Any = "done") -> Item:
    return {"type": "function_call_output", "call_id": id, "output": output}


def user(text: str) -> Item:
    return {"role": "user", "content": text}


def said(text: str, id: str = "msg_1") -> Item:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    return {"type": "message", "id": id, "role": "assistant", "status": "completed", "content": content}


# One of each kind; a second of some with other fields.
KINDS: list[Item] = [
    user("Hello"),
    {"type": "message", "role": "user", "content": "typed"},
    {"role": "user", "content": [{"type": "input_text", "text": "one part"}]},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "look"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
        ],
    },
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": "Be brief.", "status": None},
    {"role": "assistant", "content": "easy"},
    {"role": "assistant", "content": ""},
    {"role": "assistant", "content": [{"type": "output_text", "text": "listed"}]},
    said("Hello"),
    said("Again", "msg_2") | {"phase": "final"},
    {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": []},
    {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "content": None},
    {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "AAAA", "status": None},
    call("a", id="fc_1", status="completed"),
    call("b", "g", arguments='{"x": 1}'),
    out("a"),
    out("b", [{"type": "input_text", "text": "part"}, {"type": "input_text", "text": "part 2"}]),
    out("b", [{"type": "input_text", "text": "only one"}]),
    {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "select 1", "id": "ctc_1"},
    {"type": "custom_tool_call_output", "call_id": "c", "output": "1"},
    {"type": "computer_call", "call_id": "d", "id": "cu", "action": {"type": "click", "x": 1, "y": 2},
     "pending_safety_checks": [], "status": "completed"},
    {"type": "computer_call_output", "call_id": "d",
     "output": {"type": "computer_screenshot", "image_url": "data:,"}},
    {"type": "local_shell_call", "id": "ls", "call_id": "e", "status": "completed",
     "action": {"type": "exec", "command": ["ls"], "env": {}}},
    {"type": "local_shell_call_output", "id": "e", "output": "README.md"},
    {"type": "shell_call", "call_id": "f", "action": {"commands": ["ls"], "timeout_ms": None}},
    {"type": "shell_call_output", "call_id": "f",
     "output": [{"stdout": "x", "stderr": "", "outcome": {"type": "exit"}}]},
    {"type": "apply_patch_call", "call_id": "g", "status": "completed",
     "operation": {"type": "delete_file", "path": "x"}},
    {"type": "apply_patch_call_output", "call_id": "g", "status": "completed", "output": None},
    {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "x"}},
    {"type": "mcp_approval_request", "id": "mcpr", "name": "x", "arguments": "{}", "server_label": "s"},
    {"type": "mcp_approval_response", "approval_request_id": "mcpr", "approve": True},
    {"type": "mcp_call", "id": "mcp_1", "name": "x", "arguments": "{}", "server_label": "s", "output": None},
    {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AA=="},
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "AAAA"},
    {"type": "item_reference", "id": "msg_9"},
    {"id": "msg_9"},
    # Output of a tool, and fields that mean something else to append.
    out("b", "NUL \x00, half a pair \ud83d, and \u241a0000"),
    {"role": "user", "content": "\x00", "external_id": "same", "token_count": "?", "pinned": 1, "model": "m"},
    {"role": "user", "content": "\u241a0041", "name\x00": {"\ud800": "\x00"}},
]  # fmt: skip
ITEMS = st.sampled_from(KINDS)


@pytest.fixture
def session(kata: Kata) -> KataSession:
    return KataSession("support-4711", kata)


def run(*awaitables: Any) -> Any:
    async def each() -> Any:
        return [await one for one in awaitables][-1]

    return asyncio.run(each())


def test_an_item_of_every_kind_comes_back_as_it_was(session: KataSession) -> None:
    run(session.add_items(KINDS))
    assert run(session.get_items()) == KINDS
    assert json.dumps(run(session.get_items()), sort_keys=True) == json.dumps(KINDS, sort_keys=True)


def test_items_are_messages_with_their_words_stored_once(session: KataSession) -> None:
    turn = [
        user("Weather?"),
        KINDS[14],
        call("a"),
        call("b"),
        out("a", "sun"),
        out("b", "rain"),
        said("Mixed."),
    ]
    run(session.add_items(turn))
    rows = session.context.messages()
    assert [(row.role, row.tool_call_id, row.group_version) for row in rows] == [
        ("user", None, 1), ("assistant", None, 2), ("tool", "a", 2), ("tool", "b", 2), ("assistant", None, 5),
    ]  # fmt: skip
    assert [made["id"] for made in rows[1].tool_calls] == ["a", "b"]
    # The explicit null of the reasoning, and nothing else.
    own = {"items": [{"set": {"status": None}}, {}, {}]}
    assert [row.metadata for row in rows] == [None, {OWN: own}, None, None, None]
    assert [one["role"] for one in session.context.prompt(8000)] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
    ]


def test_a_call_of_parallel_ones_is_popped_and_the_others_stay_in_order(session: KataSession) -> None:
    items = [user("Go"), KINDS[13], call("a"), call("b"), out("a"), out("b")]
    run(session.add_items(items))
    while items:
        assert run(session.pop_item()) == items.pop()
        assert run(session.get_items()) == items
    assert run(session.pop_item()) is None
    again = [call("a"), call("b"), out("b"), out("a")]
    run(session.add_items(again[:2]), session.pop_item(), session.add_items(again[1:]))
    assert run(session.get_items()) == again
    assert session.context.get_context().open_calls == []


STEPS = st.lists(
    st.one_of(
        st.lists(ITEMS, min_size=1, max_size=6).map(lambda items: ("add", items)),
        st.just(("pop", None)),
        st.just(("pop", None)),
        st.tuples(st.just("get"), st.one_of(st.none(), st.integers(-1, 5))),
        st.tuples(st.just("settings"), st.integers(0, 5)),
        st.just(("clear", None)),
    ),
    max_size=15,
)


@QUICK
@given(steps=STEPS)
def test_a_session_is_a_list(kata: Kata, steps: list[tuple[str, Any]]) -> None:
    name = f"session {next(NUMBERS)}"
    session, model = KataSession(name, kata), list[Item]()
    for what, given_ in steps:
        if what == "add":
            run(session.add_items(given_))
            model += given_
        elif what == "pop":
            assert run(session.pop_item()) == (model.pop() if model else None)
        elif what == "clear":
            run(session.clear_session())
            model = []
        elif what == "settings":
            limited = KataSession(name, kata, session_settings=SessionSettings(limit=given_))
            assert run(limited.get_items()) == (model[-given_:] if given_ else [])
        else:
            wanted = model if given_ in (None, -1) else model[-given_:] if given_ else []
            assert run(session.get_items(given_)) == wanted
    assert run(KataSession(name, kata).get_items()) == model
    assert list(kata.verify(session.context.id)) == []


def test_a_budget_gives_the_window_of_the_context(kata: Kata) -> None:
    session = KataSession("long", kata, budget=300)
    pairs = [item for n in range(20) for item in (user(f"{n} " + "word " * 20), call(f"c{n}"), out(f"c{n}"))]
    run(session.add_items(pairs))
    seen = run(session.get_items())
    assert 0 < len(seen) < len(pairs)
    assert seen == pairs[-len(seen) :]
    assert sum(row.token_count for row in session.context.window(300)) <= 300
    assert run(KataSession("long", kata).get_items()) == pairs
    assert run(session.get_items(2)) == pairs[-2:]


def test_a_compacted_session_has_a_summary_and_pops_keep_it(kata: Kata) -> None:
    sources: list[Any] = []

    def summarize(source: Any) -> str:
        sources.append(source)
        return "They said hello."

    session = KataSession("compacted", kata, summarize=summarize)
    items = [item for n in range(30) for item in (user(f"{n} " + "word " * 40), said(f"answer {n}", f"m{n}"))]
    run(session.add_items(items), session.run_compaction())
    assert run(session.get_items()) == items  # not due
    run(session.run_compaction({"force": True}), session.run_compaction({"force": True, "response_id": "r"}))
    seen = run(session.get_items())
    assert len(sources) == 1
    assert [item for item in seen if item not in items] == [user("They said hello.")]
    for _ in range(4):
        assert run(session.pop_item()) == seen.pop()
        assert run(session.get_items()) == seen
    run(session.add_items([call("x"), call("y")]))
    assert [run(session.pop_item()) for _ in range(3)] == [call("y"), call("x"), seen.pop()]
    assert run(session.get_items()) == seen
    run(session.clear_session())
    assert run(session.get_items()) == []
    session.context.undo(session.context.usage().version)
    assert run(session.get_items()) == seen


def test_without_a_summarizer_a_compaction_is_a_digest(kata: Kata) -> None:
    session = KataSession("digest", kata)
    run(session.run_compaction({"force": True}))
    assert kata.find_context("digest") is None
    items = [item for n in range(40) for item in (user(f"{n} " + "word " * 40), said(f"answer {n}", f"m{n}"))]
    run(session.add_items(items), session.run_compaction({"force": True}))
    assert len(run(session.get_items())) < len(items)


def test_a_shortened_result_and_other_words_are_what_a_model_sees(session: KataSession) -> None:
    long, listed = (
        out("a", "word " * 500),
        {"role": "user", "content": [{"type": "input_text", "text": "My PIN is 1234"}]},
    )
    run(session.add_items([listed, call("a"), long, KINDS[13], user("Next"), call("b", note="secret 1")]))
    session.context.elide(1, 3, keep_tokens=10)
    session.context.amend(1, {"content": "My PIN is ****"})
    seen = run(session.get_items())
    assert seen[0] == {"role": "user", "content": [{"type": "input_text", "text": "My PIN is ****"}]}
    assert seen[2]["call_id"] == "a"
    assert "shortened" in seen[2]["output"]
    assert seen[3:] == [KINDS[13], user("Next"), call("b", note="secret 1")]
    session.context.erase_message(6, "wrong")
    assert "secret" not in str(run(session.get_items()))


def test_a_fork_goes_on_by_itself(session: KataSession) -> None:
    run(session.add_items([user("Hello"), call("a")]))
    other = run(session.fork("other"))
    run(other.add_items([out("a"), said("One")]), session.add_items([out("a"), said("Two")]))
    assert run(other.get_items()) == [user("Hello"), call("a"), out("a"), said("One")]
    assert run(session.get_items()) == [user("Hello"), call("a"), out("a"), said("Two")]
    early = run(session.fork("early", 1))
    assert run(early.get_items()) == [user("Hello")]
    assert run(early.pop_item(), other.get_items())[-1] == said("One")
    assert {row.name for row in session.context.tree()} == {"support-4711", "other", "early"}


def test_two_calls_of_one_id_are_both_kept(session: KataSession) -> None:
    items = [
        call("a"),
        user("Well?"),
        call("a"),
        call("a"),
        out("a", "1"),
        out("a", "2"),
        user("x"),
        call("a"),
    ]
    for item in items:
        run(session.add_items([item]))
    assert run(session.get_items()) == items
    run(session.clear_session(), session.add_items(items))
    assert run(session.get_items()) == items
    assert session.context.prompt(8000)


def test_an_item_that_is_refused_changes_nothing(session: KataSession) -> None:
    refused: list[tuple[Any, type[Exception]]] = [
        (object(), TypeError), ("text", KataError), ({"role": "critic", "content": "x"}, InvalidMessageError),
        ({"role": "user", "content": {"a": 1}}, KataError),
        ({"role": "user", "content": float("nan")}, KataError),
        ({"role": "user", "content": "x" * (16 * 1024 * 1024 + 1)}, InvalidMessageError),
    ]  # fmt: skip
    for item, error in refused:
        with pytest.raises(error):
            run(session.add_items([user("before"), item]))
        assert run(session.get_items()) == []


def test_a_huge_batch_is_one(session: KataSession) -> None:
    items = [user(str(n)) for n in range(10_050)]
    run(session.add_items(items))
    assert run(session.get_items()) == items
    assert run(session.get_items(2_500)) == items[-2_500:]
    calls = [call(f"c{n}") for n in range(250)]
    run(session.clear_session(), session.add_items(calls), session.pop_item())
    assert run(session.get_items()) == calls[:-1]


def test_sessions_of_one_id_in_threads_pop_each_item_once(kata: Kata) -> None:
    items = [item for n in range(10) for item in (call(f"a{n}"), call(f"b{n}"), out(f"a{n}"), out(f"b{n}"))]
    run(KataSession("race", kata).add_items(items))

    def pops(_: int) -> list[Item]:
        session = KataSession("race", kata)  # of an event loop of its own, too
        return [run(session.pop_item()) for _ in range(9)]

    with ThreadPoolExecutor(4) as pool:
        popped = [item for found in pool.map(pops, range(4)) for item in found]
    assert sorted(popped, key=str) == sorted(items[-36:], key=str)
    assert run(KataSession("race", kata).get_items()) == items[:4]


def test_sessions_of_one_id_in_threads_lose_no_item(kata: Kata) -> None:
    def adds(number: int) -> None:
        session = KataSession("new", kata)
        for n in range(5):
            run(session.add_items([call(f"{number}-{n}"), out(f"{number}-{n}")]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(adds, range(4)))
    found = run(KataSession("new", kata).get_items())
    assert len(found) == 40
    assert all(found[n + 1]["call_id"] == found[n]["call_id"] for n in range(0, 40, 2))


def test_a_cancelled_change_ends_before_its_task(session: KataSession) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(session.add_items([user("kept")]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert run(session.get_items()) == [user("kept")]


def test_a_session_outlives_its_connections(session: KataSession, database: str) -> None:
    def end() -> None:
        with psycopg.connect(database, autocommit=True) as other:
            other.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where pid <> pg_backend_pid() and datname = current_database()"
            )

    run(session.add_items([user("1")]))
    end()
    run(session.add_items([user("2")]))
    end()
    assert run(session.pop_item()) == user("2")
    end()
    assert run(session.get_items()) == [user("1")]


def test_a_session_whose_context_was_deleted_begins_anew(session: KataSession, kata: Kata) -> None:
    for call_again in (session.get_items, session.pop_item, session.clear_session):
        run(session.add_items([user("old")]))
        kata.delete_context("support-4711")
        assert not run(call_again())
    run(session.add_items([user("new")]))
    kata.archive_context("support-4711")
    assert run(session.get_items()) == [user("new")]
    with pytest.raises(ContextClosedError):
        run(session.add_items([user("more")]))


def test_a_session_of_another_tenant_is_another_one(kata: Kata) -> None:
    acme, other = KataSession("chat", kata.as_tenant("acme")), KataSession("chat", kata.as_tenant("other"))
    run(acme.add_items([user("secret")]))
    assert run(other.get_items()) == []
    assert run(other.pop_item()) is None
    run(other.add_items([user("x")]), other.clear_session())
    assert run(acme.get_items()) == [user("secret")]


class Fake(Model):
    """A model that answers with what it was given, and keeps what it saw."""

    def __init__(self, *answers: list[Any]) -> None:
        self.answers = list(answers)
        self.seen: list[Any] = []

    async def get_response(
        self, system_instructions: Any, input: Any, *_: Any, **options: Any
    ) -> ModelResponse:
        self.seen.append(input)
        adapter = TypeAdapter(list[ResponseOutputItem])
        output = adapter.validate_python(self.answers.pop(0))
        return ModelResponse(output=output, usage=Usage(), response_id="resp_1")

    def stream_response(self, *given: Any, **options: Any) -> Any:
        raise NotImplementedError


@function_tool
def weather(city: str) -> str:
    """Return the weather."""
    return f"rain in {city}"


def calls(*ids: str) -> list[Item]:
    return [
        call(id, "weather", id=f"fc_{id}", arguments='{"city": "Oslo"}', status="completed") for id in ids
    ]


def test_runs_of_an_agent_go_on_with_the_items_of_the_session(session: KataSession) -> None:
    assert isinstance(session, Session)
    assert isinstance(session, OpenAIResponsesCompactionAwareSession)
    model = Fake(calls("a", "b"), [said("Rain.", "m1")], [said("Still rain.", "m2")])
    agent = Agent("weather", model=model, tools=[weather])
    assert run(Runner.run(agent, "Weather?", session=session)).final_output == "Rain."
    assert Runner.run_sync(agent, "And now?", session=session).final_output == "Still rain."
    items = run(session.get_items())
    assert [item.get("type") or item["role"] for item in items] == [
        "user", "function_call", "function_call", "function_call_output", "function_call_output", "message",
        "user", "message",
    ]  # fmt: skip
    assert model.seen[2][:-1] == items[:6]
    # One message has both calls; the results are of its group.
    assert [row.group_version for row in session.context.messages()][:4] == [1, 2, 2, 2]
    assert {row.ref for row in session.context.artifacts("tool_call")} == {"weather"}
    session.context.index_search()
    assert session.context.search("rain")


def test_an_agent_whose_session_has_a_budget_sees_a_window_and_keeps_all(kata: Kata) -> None:
    session = KataSession("budget", kata, budget=200)
    model = Fake(*[[said("word " * 30, f"m{n}")] for n in range(10)])
    for n in range(10):
        run(Runner.run(Agent("echo", model=model), f"question {n}", session=session))
    assert len(model.seen[9]) < 10
    assert model.seen[9][-1]["content"] == "question 9"
    assert len(run(KataSession("budget", kata).get_items())) == 20


def test_a_run_that_ends_early_leaves_a_session_that_goes_on(session: KataSession) -> None:
    agent = Agent("weather", model=Fake(calls("a"), calls("b"), [said("Rain.")]), tools=[weather])
    with pytest.raises(MaxTurnsExceeded):
        run(Runner.run(agent, "Weather?", session=session, max_turns=2))
    assert run(Runner.run(agent, "Well?", session=session)).final_output == "Rain."
    assert session.context.get_context().open_calls == []


def test_the_example_of_the_page_runs(database: str, tmp_path: Path) -> None:
    assert run_example("openai-agents", database, tmp_path) == EXAMPLE


EXAMPLE = """\
You are Ann.
4 items, 4 messages
Ann?
"""


def test_a_client_for_asyncio_is_refused() -> None:
    with pytest.raises(KataError, match="not Kata"):
        KataSession("x", AsyncKata("postgresql:///x"))  # type: ignore[arg-type]


def test_rows_of_other_programs_are_items(kata: Kata) -> None:
    context = kata.create("other")
    context.append_message("user", "\u241a0041")
    context.append_message("assistant", "yes", metadata={OWN: "no dict"})
    assert from_kata(context.messages()) == [user("\u241a0041"), {"role": "assistant", "content": "yes"}]
    assert to_kata([user("x")]) == [{"role": "user", "content": "x"}]


NUMBERS = iter(range(10**9))
