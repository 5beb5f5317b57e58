"""Agents of LangChain whose model sees windows of a context."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware, ModelRetryMiddleware
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from integrations import run_example
from kata_context import Compactor, Context, Kata
from kata_context.contrib.langchain import KataMiddleware, from_kata, to_kata
from kata_context.database_errors import BudgetTooSmallError
from kata_context.errors import KataError

CHAT = "langchain/support-4711"
THREAD: RunnableConfig = {"configurable": {"thread_id": "support-4711"}}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Fake(GenericFakeChatModel):
    """A model that says what it was given to say, and keeps what it saw."""

    seen: list[list[BaseMessage]]
    failures: int

    def bind_tools(self, tools: Any, **options: Any) -> "Fake":
        return self

    def _generate(self, messages: list[BaseMessage], *given: Any, **options: Any) -> Any:
        self.seen.append(list(messages))
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the model is not there")
        return super()._generate(messages, *given, **options)


def model(*answers: AIMessage | str, failures: int = 0) -> Fake:
    """Return a model with answers."""
    said = [AIMessage(answer) if isinstance(answer, str) else answer for answer in answers]
    return Fake(messages=iter(said), seen=[], failures=failures)


def calls(*pairs: tuple[str, dict[str, Any]], text: str = "") -> AIMessage:
    """Return an answer that calls look, with ids and arguments."""
    return AIMessage(text, tool_calls=[{"name": "look", "args": args, "id": id} for id, args in pairs])


def look(place: str) -> str:
    """Look at a place."""
    return f"nothing at {place}"


def turn(agent: Any, text: str, config: RunnableConfig = THREAD) -> str:
    """Have an agent answer a text."""
    found = agent.invoke({"messages": [HumanMessage(text)]}, config)
    return str(found["messages"][-1].content)


def shown(messages: Sequence[BaseMessage]) -> list[tuple[str, Any]]:
    """Return what a model saw, as types and contents."""
    return [(message.type, message.content) for message in messages]


def log(context: Context, visibility: Any = "raw") -> list[tuple[str, str | None]]:
    """Return the messages of a context, as roles and texts."""
    return [(row.role, row.content) for row in context.messages(visibility=visibility)]


@pytest.fixture
def context(kata: Kata) -> Context:
    """The context of the thread."""
    return kata.get_or_create(CHAT)


def test_the_log_has_every_message_and_the_state_stays_as_it_is(kata: Kata, context: Context) -> None:
    fake = model(calls(("c1", {"place": "lock"}), ("c2", {"place": "pot"})), "Nowhere.", "Bye.")
    agent = create_agent(
        fake, [look], system_prompt="Help.", middleware=[KataMiddleware(kata)], checkpointer=InMemorySaver()
    )
    assert turn(agent, "Where is the key?") == "Nowhere."
    assert turn(agent, "Thanks.") == "Bye."
    state = agent.get_state(THREAD).values["messages"]
    rows = context.messages()
    assert [row.external_id for row in rows] == [message.id for message in state]
    assert [row.role[0] for row in rows] == [*"uattaua"]
    assert len({row.group_version for row in rows[1:4]}) == 1
    assert from_kata(rows) == state
    assert fake.seen[-1] == [SystemMessage("Help."), *state[:-1]]


def test_the_model_sees_a_window_of_whole_groups_within_the_budget(kata: Kata, context: Context) -> None:
    answers = [
        answer
        for n in range(6)
        for answer in (calls((f"c{n}", {"place": "x " * 40})), f"answer {n} " + "y " * 30)
    ]
    fake = model(*answers)
    agent = create_agent(
        fake,
        [look],
        system_prompt="Help.",
        middleware=[KataMiddleware(kata, budget=600)],
        checkpointer=InMemorySaver(),
    )
    for n in range(6):
        turn(agent, f"question {n}")
    assert len(agent.get_state(THREAD).values["messages"]) == 24
    last = fake.seen[-1]
    assert len(last) < 20
    assert last[1].type == "human"
    for place, message in enumerate(last):
        if isinstance(message, AIMessage) and message.tool_calls:
            assert last[place + 1].type == "tool"
            assert last[place + 1].tool_call_id == message.tool_calls[0]["id"]
    assert ("human", "question 5") in shown(last)
    system_and_tools = 600 - sum(row.token_count for row in context.window(600))
    assert system_and_tools >= 0


def test_the_system_prompt_and_the_tools_are_part_of_the_budget(kata: Kata) -> None:
    agent = create_agent(
        model("Hi."), [look], system_prompt="word " * 300, middleware=[KataMiddleware(kata, budget=300)]
    )
    with pytest.raises(KataError):
        turn(agent, "Hello.")
    agent = create_agent(model("Hi."), [look], middleware=[KataMiddleware(kata, budget=300)])
    with pytest.raises(BudgetTooSmallError) as caught:
        turn(agent, "word " * 400)
    assert "budget of at least" in str(caught.value.hint)


def test_a_compaction_is_what_the_model_sees_afterwards(kata: Kata, context: Context) -> None:
    fake = model(*[f"answer {n} " + "y " * 30 for n in range(6)])
    agent = create_agent(fake, middleware=[KataMiddleware(kata)], checkpointer=InMemorySaver())
    for n in range(5):
        turn(agent, f"question {n} " + "x " * 60)
    context.set_policy({"preserve_recent_count": 2, "min_gain_tokens": 0, "budget": 400, "threshold": 0.5})
    Compactor(kata, lambda _: "They talked of four questions.").drain()
    turn(agent, "and now?")
    kinds = [row.kind for row in context.messages(visibility="effective")]
    assert kinds[0] == "summary"
    seen = shown(fake.seen[-1])
    assert seen[0] == ("human", "[summary of earlier messages]\nThey talked of four questions.")
    assert len(seen) < 8
    assert len(context.messages()) == 5


def test_earlier_words_are_found_again_and_a_fork_goes_its_own_way(kata: Kata, context: Context) -> None:
    fake = model("The key is under the pot.", "Yes.", "No.")
    agent = create_agent(fake, middleware=[KataMiddleware(kata, lambda runtime: runtime.context)])
    agent.invoke({"messages": "Where?"}, context=context)
    assert [row.version for row in context.search("pot")] == [2]
    assert [row.version for row in context.recall("key pot")][:1] == [2]
    fork = context.fork(2)
    agent.invoke({"messages": "Sure?"}, context=fork)
    agent.invoke({"messages": "Really?"}, context=context)
    assert log(fork)[2:] == [("user", "Sure?"), ("assistant", "Yes.")]
    assert log(context)[2:] == [("user", "Really?"), ("assistant", "No.")]
    assert shown(fake.seen[1])[:2] == [("human", "Where?"), ("ai", "The key is under the pot.")]


def test_without_a_checkpointer_the_log_is_the_memory(kata: Kata, context: Context) -> None:
    fake = model("Hello Ann.", "Ann.")
    agent = create_agent(fake, middleware=[KataMiddleware(kata, CHAT)])
    turn(agent, "I am Ann.", {})
    assert turn(agent, "Who am I?", {}) == "Ann."
    assert shown(fake.seen[-1]) == [("human", "I am Ann."), ("ai", "Hello Ann."), ("human", "Who am I?")]
    agent = create_agent(model("x"), middleware=[KataMiddleware(kata)])
    with pytest.raises(KataError, match="thread_id"):
        turn(agent, "Who am I?", {})


def test_an_asynchronous_agent_does_the_same(kata: Kata, context: Context) -> None:
    async def look_later(place: str) -> str:
        """Look at a place."""
        return f"nothing at {place}"

    answer = AIMessage("", tool_calls=[{"name": "look_later", "args": {"place": "lock"}, "id": "c1"}])
    fake = model(answer, "Nowhere.", "Bye.")
    agent = create_agent(fake, [look_later], middleware=[KataMiddleware(kata)], checkpointer=InMemorySaver())

    async def talk() -> None:
        await agent.ainvoke({"messages": "Where?"}, THREAD)
        async for _ in agent.astream({"messages": "Thanks."}, THREAD, stream_mode="messages"):
            pass

    asyncio.run(talk())
    state = agent.get_state(THREAD).values["messages"]
    assert [message.type for message in state] == ["human", "ai", "tool", "ai", "human", "ai"]
    assert [row.external_id for row in context.messages()] == [message.id for message in state]
    assert "".join(str(message.content) for message in from_kata(context.messages())[-1:]) == "Bye."


def test_tokens_that_are_streamed_become_one_message(kata: Kata, context: Context) -> None:
    fake = model("one two three")
    agent = create_agent(fake, middleware=[KataMiddleware(kata)], checkpointer=InMemorySaver())
    pieces = [piece for piece, _ in agent.stream({"messages": "Count."}, THREAD, stream_mode="messages")]
    assert len(pieces) > 1
    assert log(context) == [("user", "Count."), ("assistant", "one two three")]
    assert to_kata([AIMessageChunk("a", id="1") + AIMessageChunk("b", id="1")])[0]["content"] == "ab"


def test_an_answer_that_is_made_again_takes_the_place_of_the_old_one(kata: Kata, context: Context) -> None:
    fake = model("First.", "Second.", "Third.", "Fourth.")
    agent = create_agent(fake, middleware=[KataMiddleware(kata)], checkpointer=InMemorySaver())
    turn(agent, "Hello.")
    before = next(state for state in agent.get_state_history(THREAD) if state.next == ("model",))
    # Back in time.
    agent.invoke(None, before.config)
    assert log(context) == [("user", "Hello."), ("assistant", "Second.")]
    assert shown(fake.seen[-1]) == [("human", "Hello.")]
    # And by removal of the answer.
    last = agent.get_state(THREAD).values["messages"][-1]
    agent.invoke({"messages": [RemoveMessage(last.id)]}, THREAD)
    assert log(context) == [("user", "Hello."), ("assistant", "Third.")]
    turn(agent, "And?")
    assert shown(fake.seen[-1]) == [("human", "Hello."), ("ai", "Third."), ("human", "And?")]
    # Nothing is lost.
    assert [row.content for row in context.messages(visibility="all")][1] == "First."
    assert kata.verify(context.id) == []


def test_two_agents_take_part_in_one_context(kata: Kata, context: Context) -> None:
    first, second = model("I am first.", "Again first."), model("I am second.", "I am second.")
    agents = [
        create_agent(fake, middleware=[KataMiddleware(kata, CHAT)], checkpointer=InMemorySaver())
        for fake in (first, second)
    ]
    threads: list[RunnableConfig] = [{"configurable": {"thread_id": name}} for name in ("a", "b")]
    turn(agents[0], "One?", threads[0])
    turn(agents[1], "Two?", threads[1])
    turn(agents[0], "Three?", threads[0])
    assert shown(first.seen[-1]) == [
        ("human", "One?"),
        ("ai", "I am first."),
        ("human", "Two?"),
        ("ai", "I am second."),
        ("human", "Three?"),
    ]
    # An answer stays where one of them takes it back after the other went on.
    turn(agents[1], "Four?", threads[1])
    taken = agents[0].get_state(threads[0]).values["messages"][-1]
    first.messages = iter([AIMessage("Once more.")])
    agents[0].invoke({"messages": [RemoveMessage(taken.id)]}, threads[0])
    assert [text for _, text in log(context)[-4:]] == ["Again first.", "Four?", "I am second.", "Once more."]


def test_words_of_another_client_stay(kata: Kata, context: Context) -> None:
    fake = model("First.", "Second.")
    agent = create_agent(fake, middleware=[KataMiddleware(kata)], checkpointer=InMemorySaver())
    turn(agent, "Hello.")
    context.append_message("system", "Be kind.")
    turn(agent, "And?")
    assert [text for _, text in log(context)] == ["Hello.", "First.", "Be kind.", "And?", "Second."]


def test_runs_at_the_same_time_take_nothing_from_each_other(kata: Kata, context: Context) -> None:
    def meanwhile(place: str) -> str:
        """Look at a place."""
        inner = create_agent(model("Inner."), middleware=[KataMiddleware(kata)])
        turn(inner, "Other?", {**THREAD, "run_id": uuid4()})
        return "nothing"

    answer = AIMessage("", tool_calls=[{"name": "meanwhile", "args": {"place": "lock"}, "id": "c1"}])
    fake = model(answer, "Outer.")
    agent = create_agent(fake, [meanwhile], middleware=[KataMiddleware(kata)])
    turn(agent, "Where?", {**THREAD, "run_id": uuid4()})
    assert [text for _, text in log(context)] == ["Where?", None, "Other?", "Inner.", "nothing", "Outer."]
    assert [kind for kind, _ in shown(fake.seen[-1])] == ["human", "human", "ai", "ai", "tool"]


def test_a_history_that_begins_with_a_result_is_taken_over(kata: Kata) -> None:
    fake = model("Yes.")
    agent = create_agent(fake, middleware=[KataMiddleware(kata)])
    history = [ToolMessage("stray", tool_call_id="gone"), HumanMessage("Well?")]
    agent.invoke({"messages": history}, THREAD)
    assert shown(fake.seen[-1]) == [("human", "[result of call gone] stray"), ("human", "Well?")]


def test_a_run_that_broke_off_leaves_a_call_that_the_next_one_closes(kata: Kata, context: Context) -> None:
    def broken(place: str) -> str:
        """Look at a place."""
        raise KeyboardInterrupt

    answer = AIMessage("", tool_calls=[{"name": "broken", "args": {"place": "lock"}, "id": "c1"}])
    fake = model(answer, "Sorry.")
    agent = create_agent(fake, [broken], middleware=[KataMiddleware(kata, CHAT)])
    with pytest.raises(KeyboardInterrupt):
        turn(agent, "Where?", {})
    assert context.get_context().open_calls == ["c1"]
    assert turn(agent, "Go on.", {}) == "Sorry."
    assert shown(fake.seen[-1])[1:] == [("ai", ""), ("tool", "[no result]"), ("human", "Go on.")]


def test_a_model_that_is_called_again_adds_nothing_twice(kata: Kata, context: Context) -> None:
    fake = model("Here.", failures=2)
    retry = ModelRetryMiddleware(max_retries=3, initial_delay=0, jitter=False)
    agent = create_agent(fake, middleware=[KataMiddleware(kata), retry], checkpointer=InMemorySaver())
    assert turn(agent, "Where?") == "Here."
    assert log(context) == [("user", "Where?"), ("assistant", "Here.")]
    # A run that failed, and goes on from the checkpoint.
    fake.failures = 9
    retry.on_failure = "error"
    with pytest.raises(ConnectionError):
        turn(agent, "Sure?")
    fake.failures, fake.messages = 0, iter([AIMessage("Yes.")])
    agent.invoke(None, THREAD)
    assert log(context)[2:] == [("user", "Sure?"), ("assistant", "Yes.")]


def test_a_call_that_a_person_edits_is_kept_as_edited(kata: Kata, context: Context) -> None:
    fake = model(calls(("c1", {"place": "safe"})), "Done.")
    review = HumanInTheLoopMiddleware(interrupt_on={"look": True})
    layers = [KataMiddleware(kata), review]
    agent = create_agent(fake, [look], middleware=layers, checkpointer=InMemorySaver())
    agent.invoke({"messages": "Look."}, THREAD)
    edited = {"type": "edit", "edited_action": {"name": "look", "args": {"place": "pot"}}}
    agent.invoke(Command(resume={"decisions": [edited]}), THREAD)
    state = agent.get_state(THREAD).values["messages"]
    assert from_kata(context.messages()) == state
    assert str(log(context)[2][1]).endswith("nothing at pot")


def test_a_result_that_ends_a_run_is_kept(kata: Kata, context: Context) -> None:
    from langchain_core.tools import tool

    final = tool(return_direct=True)(look)
    fake = model(calls(("c1", {"place": "lock"})))
    agent = create_agent(fake, [final], middleware=[KataMiddleware(kata)], checkpointer=InMemorySaver())
    turn(agent, "Look.")
    assert log(context)[-1] == ("tool", "nothing at lock")
    assert context.get_context().open_calls == []


def test_a_call_that_cannot_be_read_is_answered(kata: Kata, context: Context) -> None:
    bad = {"name": "look", "args": "{place", "id": "c9", "error": "no JSON", "type": "invalid_tool_call"}
    fake = model(
        AIMessage(
            "", tool_calls=[{"name": "look", "args": {"place": "lock"}, "id": "c1"}], invalid_tool_calls=[bad]
        ),
        "Sorry.",
    )
    agent = create_agent(fake, [look], middleware=[KataMiddleware(kata)], checkpointer=InMemorySaver())
    turn(agent, "Look.")
    assert context.get_context().open_calls == []
    state = agent.get_state(THREAD).values["messages"]
    kept = from_kata(context.messages())
    assert kept[1] == state[1]
    assert {m.tool_call_id for m in kept if isinstance(m, ToolMessage)} == {"c1", "c9"}


def test_tenants_do_not_see_each_other(kata: Kata) -> None:
    fake = model("Hello Ann.", "Hello Bob.")
    agent = create_agent(
        fake,
        middleware=[
            KataMiddleware(kata, lambda runtime: kata.as_tenant(runtime.context).get_or_create("chat"))
        ],
    )
    agent.invoke({"messages": "I am Ann."}, context="a")
    agent.invoke({"messages": "I am Bob."}, context="b")
    assert shown(fake.seen[-1]) == [("human", "I am Bob.")]
    assert kata.find_context("chat") is None


def test_other_middleware_changes_what_the_model_gets_not_what_is_kept(kata: Kata, context: Context) -> None:
    class Reminder(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
            return handler(request.override(messages=[*request.messages, HumanMessage("Be short.")]))

    fake = model("Hi.")
    agent = create_agent(fake, middleware=[KataMiddleware(kata), Reminder()], checkpointer=InMemorySaver())
    turn(agent, "Hello.")
    assert shown(fake.seen[-1]) == [("human", "Hello."), ("human", "Be short.")]
    assert log(context) == [("user", "Hello."), ("assistant", "Hi.")]


MESSAGES: list[BaseMessage] = [
    SystemMessage("Help.", id="s"),
    HumanMessage(
        [
            {"type": "text", "text": "What is this?"},
            {"type": "image", "base64": PNG, "mime_type": "image/png"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
        ],
        id="h",
        name="ann",
        additional_kwargs={"seen": [1, None]},
    ),
    # As the package of Anthropic has it: a call is in the content, too.
    AIMessage(
        [
            {"type": "thinking", "thinking": "A dot.", "signature": "abc"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "t1", "name": "look", "input": {"place": "dot\x00"}},
            {"type": "text", "text": "Twice."},
            {"type": "tool_use", "id": "t2", "name": "look", "input": {"place": "dash", "n": 1.5}},
        ],
        id="a1",
        tool_calls=[
            {"name": "look", "args": {"place": "dot\x00"}, "id": "t1"},
            {"name": "look", "args": {"place": "dash", "n": 1.5}, "id": "t2"},
        ],
        response_metadata={"model_name": "claude", "stop_reason": "tool_use"},
        usage_metadata={"input_tokens": 5, "output_tokens": 7, "total_tokens": 12},
    ),
    ToolMessage("found\x00 it", id="r1", tool_call_id="t1", name="look", artifact={"raw": [1, 2]}),
    ToolMessage(
        [{"type": "text", "text": "no"}, {"type": "image", "url": "https://example.com/a.png"}],
        id="r2",
        tool_call_id="t2",
        status="error",
    ),
    # As OpenAI Responses has it.
    AIMessage(
        [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "xyz"},
            {"type": "text", "text": "A \ud83d dot.", "annotations": []},
            {"type": "function_call", "call_id": "t3", "id": "f1", "name": "look", "arguments": "{}"},
        ],
        id="a2" * 200,
        tool_calls=[{"name": "look", "args": {}, "id": "t3"}],
    ),
    ToolMessage("", id="r3", tool_call_id="t3"),
    AIMessage([{"type": "server_tool_call", "name": "web", "args": {}, "id": "w"}, {"new": "kind"}], id="a3"),
    ChatMessage("odd", role="critic", id="o"),
    HumanMessage("thanks \u241a0000", id="end"),
]  # fmt: skip


def test_messages_come_back_as_they_were(context: Context) -> None:
    context.append(to_kata(MESSAGES))
    assert from_kata(context.messages()) == MESSAGES
    assert from_kata(context.window(100000)) == MESSAGES
    assert len({row.group_version for row in context.messages()[2:5]}) == 1
    assert context.usage().raw_tokens > 2 * 85


@pytest.mark.parametrize("form", ["openai", "responses", "anthropic", "gemini"])
def test_prompts_of_every_form_take_what_the_adapter_wrote(context: Context, form: Any) -> None:
    context.append(to_kata([message for message in MESSAGES if message.id != "a3"]))
    prompt = str(context.prompt(100000, form))
    assert PNG in prompt
    assert "langchain" not in prompt
    assert "dash" in prompt


def test_erased_words_are_gone_and_the_agent_goes_on(kata: Kata, context: Context) -> None:
    fake = model(calls(("c1", {"place": "safe 1234"}), text="I look."), "Nothing at 1234.", "Fine.")
    agent = create_agent(fake, [look], middleware=[KataMiddleware(kata)], checkpointer=InMemorySaver())
    turn(agent, "The PIN is 1234.")
    for version in range(1, 5):
        context.erase_message(version, "private")
    turn(agent, "Thanks.")
    assert "1234" not in str(fake.seen[-1])
    assert len(log(context)) == 6


def test_what_other_clients_wrote_is_read(context: Context) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}
    custom = {"id": "c2", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    context.set_policy({"strict": False})
    context.append(
        [
            {"role": "developer", "content": "Help."},
            {"role": "tool", "tool_call_id": "old", "content": "stray"},
            {"role": "assistant", "tool_calls": [call, custom]},
            {"role": "user", "content": "Well?"},
            {"role": "tool", "tool_call_id": "c2", "content": "1"},
            {"role": "assistant", "content": "One."},
        ]
    )
    messages = from_kata(context.window(1000))
    assert shown(messages) == [
        ("system", "Help."),
        ("human", "[result of call old] stray"),
        ("ai", ""),
        ("tool", "[no result]"),
        ("tool", "1"),
        ("human", "Well?"),
        ("ai", "One."),
    ]
    assert isinstance(messages[2], AIMessage)
    assert [made["args"] for made in messages[2].tool_calls] == [{}, {"input": "select 1"}]
    assert shown(from_kata(context.messages(5)))[0] == ("human", "[beginning of the messages]")


def test_amended_and_elided_words_are_what_the_model_sees(context: Context) -> None:
    result = ToolMessage("word " * 500, tool_call_id="c1")
    said = [
        HumanMessage("Where?"),
        calls(("c1", {"place": "lock"})),
        result,
        AIMessage("At teh lock.", id="4"),
    ]
    context.append(to_kata(said))
    context.amend(4, {"content": "At the lock."})
    context.elide(3)
    messages = from_kata(context.window(1000))
    assert messages[-1] == AIMessage("At the lock.", id="4")
    assert len(str(messages[2].content)) < 1000


def test_the_example_of_the_docs_runs(database: str, tmp_path: Any) -> None:
    assert run_example("langchain", database, tmp_path) == "Hello Ann.\nYou are Ann.\n4 messages in the log\n"
