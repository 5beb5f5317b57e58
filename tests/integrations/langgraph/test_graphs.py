"""Graphs of LangGraph on the savers, and what Kata Context does with the contexts of their threads."""

import asyncio
import operator
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypedDict
from zlib import crc32

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt

from integrations import run_example
from kata_context import AsyncKata, Kata
from kata_context.contrib.langgraph import AsyncKataSaver, KataSaver
from kata_context.contrib.langgraph_messages import digest_of, to_draft

Config = dict[str, Any]


@pytest.fixture
def saver(kata: Kata) -> KataSaver:
    """A saver on a database for this test alone."""
    made = KataSaver(kata)
    made.setup()
    return made


def of(thread: str, **more: Any) -> Config:
    """Return the config of a thread."""
    return {"configurable": {"thread_id": thread, **more}}


def said(messages: list[BaseMessage]) -> list[str]:
    """Return the texts of messages."""
    return [str(message.content) for message in messages]


def shown(kata: Kata, thread: str, budget: int = 100_000) -> list[str]:
    """Return the texts of the window of a thread."""
    return [row.content or "" for row in kata.window(thread, budget)]


def answer(state: MessagesState) -> dict[str, Any]:
    """Answer the last message, as a model would."""
    text = str(state["messages"][-1].content)
    return {"messages": [AIMessage(f"{text}?", id=f"ai-{len(state['messages'])}-{crc32(text.encode())}")]}


def chat(saver: Any) -> Any:
    """A graph that answers."""
    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", END)
    return builder.compile(checkpointer=saver)


def agent(saver: Any, **options: Any) -> Any:
    """A graph that calls a tool, and answers with its result."""

    def model(state: MessagesState) -> dict[str, Any]:
        last = state["messages"][-1]
        if isinstance(last, ToolMessage):
            return {"messages": [AIMessage(f"It is {last.content}.", id=f"ai-{len(state['messages'])}")]}
        call = {
            "name": "weather",
            "args": {"city": "Bern"},
            "id": f"call-{len(state['messages'])}",
            "type": "tool_call",
        }
        return {"messages": [AIMessage("", tool_calls=[call], id=f"ai-{len(state['messages'])}")]}

    def tools(state: MessagesState) -> dict[str, Any]:
        (call,) = state["messages"][-1].tool_calls
        return {
            "messages": [
                ToolMessage("sunny", tool_call_id=call["id"], name=call["name"], id=f"r-{call['id']}")
            ]
        }

    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges(
        "model", lambda s: "tools" if s["messages"][-1].tool_calls else END, ["tools", END]
    )
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver, **options)


def test_a_conversation_goes_on_in_another_process_and_its_messages_are_in_the_log_once(
    saver: KataSaver, kata: Kata, database: str
) -> None:
    chat(saver).invoke({"messages": [HumanMessage("one", id="h1")]}, of("t"))
    with Kata(database) as other:  # knows nothing of what the first has stored
        state = chat(KataSaver(other)).invoke({"messages": [("user", "two")]}, of("t"))
    texts = ["one", "one?", "two", "two?"]
    assert said(state["messages"]) == texts
    assert [row.content for row in kata.messages("t", visibility="all")] == texts
    assert shown(kata, "t") == texts
    assert kata.find_message("t", "h1") == 1
    assert said(chat(saver).get_state(of("t")).values["messages"]) == texts
    assert kata.verify() == []


def test_a_state_is_equal_to_that_of_the_saver_in_memory(saver: KataSaver) -> None:
    states = []
    for one in (saver, InMemorySaver()):
        graph = agent(one)
        for text in ("Weather?", "Again?"):
            graph.invoke({"messages": [HumanMessage(text, id=text)]}, of("t"))
        history = list(graph.get_state_history(of("t")))
        states.append([(s.values, s.next, s.metadata["step"], [t.result for t in s.tasks]) for s in history])
    assert states[0] == states[1]


def test_tool_calls_and_results_are_groups_of_the_window(saver: KataSaver, kata: Kata) -> None:
    agent(saver).invoke({"messages": [HumanMessage("Weather?")]}, of("t"))
    rows = kata.messages("t")
    assert [row.role for row in rows] == ["user", "assistant", "tool", "assistant"]
    assert rows[1].group_version == rows[2].group_version == 2
    assert kata.prompt("t", 10_000)[1]["tool_calls"][0]["function"]["name"] == "weather"


def test_an_interrupt_resumes(saver: KataSaver) -> None:
    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(f"You said {interrupt('Really?')}.", id="a")]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    graph = builder.compile(checkpointer=saver)
    paused = graph.invoke({"messages": [("user", "Go")]}, of("t"))
    assert paused["__interrupt__"][0].value == "Really?"
    assert said(graph.invoke(Command(resume="yes"), of("t"))["messages"]) == ["Go", "You said yes."]


def test_time_travel_shows_the_branch_and_both_branches_stay(saver: KataSaver, kata: Kata) -> None:
    graph = chat(saver)
    graph.invoke({"messages": [HumanMessage("one", id="h1")]}, of("t"))
    graph.invoke({"messages": [HumanMessage("two", id="h2")]}, of("t"))
    first_tip = graph.get_state(of("t")).config
    before_two = next(
        s
        for s in graph.get_state_history(of("t"))
        if said(s.values["messages"]) == ["one", "one?"] and not s.next
    )
    graph.invoke({"messages": [HumanMessage("three", id="h3")]}, before_two.config)
    assert shown(kata, "t") == ["one", "one?", "three", "three?"]
    assert said(graph.get_state(of("t")).values["messages"]) == ["one", "one?", "three", "three?"]
    # Back to the first branch, and on.
    graph.invoke({"messages": [HumanMessage("four", id="h4")]}, first_tip)
    assert shown(kata, "t") == ["one", "one?", "two", "two?", "four", "four?"]
    assert kata.verify() == []


def test_messages_that_leave_the_state_leave_the_view(saver: KataSaver, kata: Kata) -> None:
    graph = chat(saver)
    graph.invoke({"messages": [HumanMessage("one", id="h1")]}, of("t"))
    graph.invoke({"messages": [HumanMessage("two", id="h2")]}, of("t"))
    before = graph.get_state(of("t")).config
    graph.update_state(of("t"), {"messages": [RemoveMessage(id="h1")]})
    assert said(graph.get_state(of("t")).values["messages"]) == shown(kata, "t") == ["one?", "two", "two?"]
    last = graph.get_state(of("t")).values["messages"][-1]
    graph.update_state(of("t"), {"messages": [AIMessage("Rather this.", id=last.id)]})
    expected = ["one?", "two", "Rather this."]
    assert said(graph.get_state(of("t")).values["messages"]) == shown(kata, "t") == expected
    assert said(graph.get_state(before).values["messages"]) == ["one", "one?", "two", "two?"]


def test_a_call_that_a_person_edits_before_it_runs_is_the_one_that_is_shown(
    saver: KataSaver, kata: Kata
) -> None:
    graph = agent(saver, interrupt_before=["tools"])
    graph.invoke({"messages": [HumanMessage("Weather?", id="h1")]}, of("t"))
    asked = graph.get_state(of("t")).values["messages"][-1]
    (call,) = asked.tool_calls
    edited = AIMessage("", id=asked.id, tool_calls=[{**call, "args": {"city": "Basel"}}])
    graph.update_state(of("t"), {"messages": [edited]})
    state = graph.invoke(None, of("t"))
    assert state["messages"][1].tool_calls[0]["args"] == {"city": "Basel"}
    roles = [
        (row.role, row.tool_calls and row.tool_calls[0]["function"]["arguments"])
        for row in kata.window("t", 10_000)
    ]
    assert roles == [("user", None), ("assistant", '{"city": "Basel"}'), ("tool", None), ("assistant", None)]


def test_subgraphs_share_messages_and_resume(saver: KataSaver, kata: Kata) -> None:
    inner = StateGraph(MessagesState)
    inner.add_node("ask", lambda _: {"messages": [AIMessage(str(interrupt("?")), id="inner")]})
    inner.add_node("more", lambda _: {"messages": [AIMessage("more", id="more")]})
    inner.add_edge(START, "ask")
    inner.add_edge("ask", "more")
    outer = StateGraph(MessagesState)
    outer.add_node("inner", inner.compile(checkpointer=True))
    outer.add_edge(START, "inner")
    graph = outer.compile(checkpointer=saver)
    graph.invoke({"messages": [HumanMessage("go", id="h")]}, of("t"))
    state = graph.get_state(of("t"), subgraphs=True)
    assert state.tasks[0].state.values["messages"][0].content == "go"
    state = graph.invoke(Command(resume="inner"), of("t"))
    assert said(state["messages"]) == ["go", "inner", "more"]
    assert shown(kata, "t") == ["go", "inner", "more"]
    assert len(kata.messages("t", visibility="all")) == 3


def test_parallel_tasks_and_what_is_sent_to_them_come_back(saver: KataSaver) -> None:
    class State(TypedDict):
        found: Annotated[list[Any], operator.add]
        messages: Annotated[list[BaseMessage], operator.add]

    builder = StateGraph(State)
    builder.add_node("plan", lambda _: {"messages": [AIMessage("plan", id="p")]})
    builder.add_node("work", lambda s: {"found": [(s["number"], s["state"]["messages"][-1].content)]})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges(
        "plan", lambda s: [Send("work", {"number": n, "state": s}) for n in range(3)], ["work"]
    )
    graph = builder.compile(checkpointer=saver, interrupt_before=["work"])
    graph.invoke({"messages": [HumanMessage("go", id="h")], "found": []}, of("t"))
    assert graph.invoke(None, of("t"))["found"] == [(n, "plan") for n in range(3)]


def test_a_copy_is_a_fork_that_goes_its_own_way(saver: KataSaver, kata: Kata) -> None:
    graph = chat(saver)
    graph.invoke({"messages": [HumanMessage("one", id="h1")]}, of("t"))
    saver.copy_thread("t", "copy")
    assert said(graph.invoke({"messages": [HumanMessage("two", id="h2")]}, of("copy"))["messages"])[2:] == [
        "two",
        "two?",
    ]
    assert shown(kata, "t") == ["one", "one?"]
    assert kata.context("copy").get_context().fork_version == 2
    kata.fork("t", name="by hand")
    assert shown(kata, "by hand") == ["one", "one?"]


def test_a_graph_resumes_after_a_compaction_and_recall_finds_what_it_covers(
    saver: KataSaver, kata: Kata
) -> None:
    graph = chat(saver)
    for number in range(8):
        graph.invoke(
            {"messages": [HumanMessage(f"The code of gate {number} is {number}{number}.", id=f"h{number}")]},
            of("t"),
        )
    kata.set_policy("t", {"preserve_recent_count": 2, "min_gain_tokens": 1})
    done = kata.compact("t", force=True)
    assert done.message_count > 8
    state = graph.invoke({"messages": [HumanMessage("And now?", id="now")]}, of("t"))
    assert len(state["messages"]) == 18
    view = shown(kata, "t")
    assert len(view) < 10
    assert view[-2:] == ["And now?", "And now??"]
    assert 1 in {row.version for row in kata.recall("t", "code of gate 0")}
    assert kata.verify() == []


def made_call(arguments: str) -> dict[str, Any]:
    """Return a call in the form of OpenAI."""
    return {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}


FORMS: list[Any] = [
    [HumanMessage("my PIN is mellon", id="h2")],
    [HumanMessage("my PIN is mellon")],
    [{"role": "user", "content": "PIN mellon"}],
    [{"role": "user", "content": [{"type": "text", "text": "PIN mellon"}]}],
    [{"role": "user", "content": "PIN mellon", "id": "h2"}],
    [{"role": "user", "content": "PIN mellon", "name": "ann"}],
    [{"type": "human", "content": "PIN mellon", "response_metadata": {"x": "mellon"}}],
    {"role": "human", "content": "PIN mellon", "more": "mellon"},
    [{"role": "assistant", "content": None, "tool_calls": [made_call('{"pin": "mellon"}')]}],
    [{"role": "assistant", "content": "", "tool_calls": [made_call('{"pin":["mellon",1]}')]}],
    "PIN mellon",
    ["PIN mellon"],
    ("user", "PIN mellon"),
    [("user", "PIN mellon")],
    [("user", [{"type": "text", "text": "PIN mellon"}])],
]


def test_an_erased_message_is_blank_in_every_checkpoint_and_nowhere_in_the_tables(
    saver: KataSaver, kata: Kata
) -> None:
    for number, given in enumerate(FORMS):
        thread = of(f"t{number}")
        graph = chat(saver)
        graph.invoke({"messages": [HumanMessage("first", id="h1")]}, thread)
        for _ in range(2):  # the second time some are known
            graph.invoke({"messages": given}, thread)
        for row in kata.messages(f"t{number}", visibility="all"):
            kata.erase_message(f"t{number}", row.version, "asked for")
        history = list(graph.get_state_history(thread))
        assert {text for state in history for text in said(state.values.get("messages", []))} == {""}
        found = [re.findall(".{60}mellon.{20}", str(state)) for state in history]
        assert [one for one in found if one] == [], given
        state = chat(KataSaver(kata)).invoke({"messages": [HumanMessage("next", id="h3")]}, thread)
        assert said(state["messages"])[-3:] == ["", "next", "next?"]
    with kata.transaction() as tx:
        for table in ("thread", "checkpoint", "write"):
            rows = tx.connection.execute(
                f"select to_jsonb(t)::text from kata_langgraph.{table} t".encode()
            ).fetchall()
            assert [row for (row,) in rows if "mellon" in row or b"mellon".hex() in row] == []


def test_no_digest_of_an_erased_message_confirms_a_guess(saver: KataSaver, kata: Kata) -> None:
    class State(TypedDict):
        said: Annotated[list[BaseMessage], operator.add]

    builder = StateGraph(State)
    builder.add_node("answer", lambda _: {"said": [AIMessage("mellon too")]})
    builder.add_edge(START, "answer")
    graph: Any = builder.compile(checkpointer=saver)
    texts = []
    for thread in ("t", "u"):
        graph.invoke({"said": [HumanMessage("mellon")]}, of(thread))
        for row in kata.messages(thread, visibility="all"):
            texts.append(row.external_id)
            kata.erase_message(thread, row.version, "asked for")
    assert len(set(texts)) == 4  # the same words have another id in another thread
    guesses = [
        digest_of(to_draft(guess, saver.serde)) for guess in (HumanMessage("mellon"), AIMessage("mellon too"))
    ]
    with kata.transaction() as tx:
        tables = [f"kata_langgraph.{name}" for name in ("thread", "checkpoint", "write")]
        for table in [*tables, "kata_data.message"]:
            rows = tx.connection.execute(f"select to_jsonb(t)::text from {table} t".encode()).fetchall()
            for guess in guesses:
                assert [row for (row,) in rows if guess in row or guess.encode().hex() in row] == []


def test_a_deleted_thread_is_gone_and_its_id_begins_anew(saver: KataSaver, kata: Kata, database: str) -> None:
    graph = chat(saver)
    graph.invoke({"messages": [HumanMessage("one", id="h1")]}, of("t"))
    old = kata.find_context("t")
    with Kata(database) as other:
        KataSaver(other).delete_thread("t")
    assert graph.get_state(of("t")).values == {}
    assert list(saver.list(None)) == []
    # The saver knows versions of the context that was deleted; they are not those of the new one.
    assert said(graph.invoke({"messages": [HumanMessage("one", id="h1")]}, of("t"))["messages"]) == [
        "one",
        "one?",
    ]
    assert shown(kata, "t") == ["one", "one?"]
    assert old is not None
    kata.purge_context(old)
    with kata.transaction() as tx:
        rows = tx.connection.execute(
            "select count(*) from kata_langgraph.checkpoint where context_id = %s", (old,)
        ).fetchall()
    assert rows == [(0,)]


def test_each_loop_and_thread_shares_the_connections_of_one_saver(saver: KataSaver) -> None:
    graph = chat(saver)

    def run(number: int) -> list[str]:
        async def turn() -> Any:
            return await graph.ainvoke({"messages": [HumanMessage("one", id="h")]}, of(f"t{number}"))

        return said(asyncio.run(turn())["messages"])

    with ThreadPoolExecutor(8) as executor:
        assert list(executor.map(run, range(16))) == [["one", "one?"]] * 16


def test_the_saver_of_a_loop_serves_other_threads_too(database: str) -> None:
    async def main() -> list[str]:
        async with AsyncKata(database) as kata:
            saver = AsyncKataSaver(kata)
            await saver.setup()
            graph = chat(saver)
            await graph.ainvoke({"messages": [HumanMessage("one", id="h1")]}, of("t"))
            state = await asyncio.to_thread(
                graph.invoke, {"messages": [HumanMessage("two", id="h2")]}, of("t")
            )
            assert len([found async for found in saver.alist(of("t"))]) == 6
            return said(state["messages"])

    assert asyncio.run(main()) == ["one", "one?", "two", "two?"]


def test_the_example_of_the_docs_runs_twice(database: str, tmp_path: Path) -> None:
    assert run_example("langgraph", database, tmp_path).splitlines() == [
        "1 user My bag is lost.",
        "2 assistant You said: My bag is lost.",
        "3 user It is blue.",
        "4 assistant You said: It is blue.",
    ]
    assert len(run_example("langgraph", database, tmp_path).splitlines()) == 8


@pytest.fixture
def tables(saver: KataSaver, kata: Kata) -> Callable[[str], Any]:
    """Run a query on the tables."""

    def query(text: str) -> Any:
        with kata.transaction() as tx:
            return tx.connection.execute(text.encode()).fetchone()[0]  # type: ignore[index]

    return query


def test_what_a_turn_stores_does_not_grow(saver: KataSaver, tables: Any) -> None:
    graph = chat(saver)
    sizes = []
    for turn in range(24):
        graph.invoke({"messages": [HumanMessage(f"Message number {turn:03}.", id=f"h{turn:03}")]}, of("t"))
        sizes.append(
            tables(
                "select (select sum(pg_column_size(t.*)) from kata_langgraph.checkpoint t)"
                " + (select sum(pg_column_size(t.*)) from kata_langgraph.write t)"
                " + (select sum(pg_column_size(t.*)) from kata_data.message t)"
            )
        )
    steps = [after - before for before, after in pairwise(sizes)]
    assert max(steps[12:]) <= 1.05 * max(steps[:12])
    # Three checkpoints, two rows of writes, two short messages: what their columns take.
    assert max(steps) < 3200


def test_each_call_of_a_turn_is_one_statement(saver: KataSaver, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    select = saver.kata.select

    def noted(sql: str, *values: Any, **options: Any) -> Any:
        sent.append(sql.partition("kata_langgraph.")[2].partition("(")[0])
        return select(sql, *values, **options)

    monkeypatch.setattr(saver.kata, "select", noted)
    graph = chat(saver)
    for text in ("one", "two", "three"):  # the second one reads the messages of the first
        sent.clear()
        graph.invoke({"messages": [HumanMessage(text, id=text)]}, of("t"))
    assert sorted(sent) == ["checkpoints"] + 3 * ["put_checkpoint"] + 2 * ["put_writes"]
