"""Agents of Pydantic AI whose model sees windows of a context."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelRetry
from pydantic_ai.messages import (
    BinaryContent,
    DocumentUrl,
    FilePart,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    NativeToolCallPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
    VideoUrl,
)
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.test import TestModel

from integrations import run_example
from kata_context import Compactor, Context, Kata
from kata_context.contrib.pydantic_ai import KataHistory, from_kata, to_kata
from kata_context.database_errors import BudgetTooSmallError

CHAT = "support-4711"
IMAGE = BinaryContent(
    bytes.fromhex("89504e470d0a1a0a0000000d494844520000000100000001"), media_type="image/png"
)


class Model:
    """A model that says what it was given to say, and keeps what it saw."""

    def __init__(self, *answers: str | list[Any] | Exception) -> None:
        self.answers = list(answers)
        self.seen: list[list[ModelMessage]] = []
        self.model = FunctionModel(self.answer, stream_function=self.stream)

    def answer(self, messages: list[ModelMessage], info: Any) -> ModelResponse:
        self.seen.append(list(messages))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return ModelResponse([TextPart(answer)] if isinstance(answer, str) else answer)

    async def stream(self, messages: list[ModelMessage], info: Any) -> Any:
        self.seen.append(list(messages))
        for word in str(self.answers.pop(0)).split(" "):
            yield word + " "

    def agent(self, kata: Kata, context: Any = None, **options: Any) -> Any:
        settings = {"budget": options.pop("budget", None)}
        return Agent(self.model, capabilities=[KataHistory(kata, context, **settings)], **options)


def calls(*pairs: tuple[str, dict[str, Any]]) -> list[Any]:
    """Return an answer that calls look, with ids and arguments."""
    return [ToolCallPart("look", args, tool_call_id=id) for id, args in pairs]


def look(place: str) -> str:
    """Look at a place."""
    return f"nothing at {place}"


def shown(messages: list[ModelMessage]) -> list[tuple[str, Any]]:
    """Return what a model saw, as kinds and contents of parts."""
    return [
        (part.part_kind, getattr(part, "content", getattr(part, "args", None)))
        for message in messages
        for part in message.parts
    ]


def log(context: Context) -> list[tuple[str, str | None]]:
    """Return the messages of a context, as roles and texts."""
    return [(row.role, row.content) for row in context.messages(visibility="raw")]


@pytest.fixture
def context(kata: Kata) -> Context:
    """The context of the conversation."""
    return kata.get_or_create(CHAT)


def test_the_log_has_every_message_and_the_run_keeps_its_own(kata: Kata, context: Context) -> None:
    fake = Model(calls(("c1", {"place": "lock"}), ("c2", {"place": "pot"})), "Nowhere.", "Bye.")
    agent = fake.agent(kata, tools=[look], system_prompt="Help.", instructions="Be short.")
    first = agent.run_sync("Where is the key?", conversation_id=CHAT)
    second = agent.run_sync("Thanks.", message_history=first.all_messages())
    rows = context.messages()
    assert [row.role[0] for row in rows] == [*"suattaua"]
    assert len({row.group_version for row in rows[2:5]}) == 1
    assert from_kata(rows) == second.all_messages()
    assert fake.seen[-1] == second.all_messages()[:-1]
    # Once more, with nothing new, nothing is appended.
    before = context.usage().message_count
    context.append(to_kata(second.all_messages()), on_duplicate="skip")
    assert context.usage().message_count == before


def test_without_a_history_the_log_is_the_memory(kata: Kata, context: Context) -> None:
    fake = Model("Hello Ann.", "Ann.")
    agent = fake.agent(kata, system_prompt="Help.")
    agent.run_sync("I am Ann.", conversation_id=CHAT)
    assert agent.run_sync("Who am I?", conversation_id=CHAT).output == "Ann."
    assert shown(fake.seen[-1]) == [
        ("system-prompt", "Help."),
        ("user-prompt", "I am Ann."),
        ("text", "Hello Ann."),
        ("user-prompt", "Who am I?"),
    ]


def test_the_model_sees_a_window_of_whole_groups_within_the_budget(kata: Kata, context: Context) -> None:
    answers = [a for n in range(6) for a in (calls((f"c{n}", {"place": "x " * 40})), f"{n} " + "y " * 30)]
    fake = Model(*answers)
    agent = fake.agent(kata, tools=[look], budget=600)
    history: list[ModelMessage] = []
    for n in range(6):
        history = agent.run_sync(
            f"question {n}", message_history=history, conversation_id=CHAT
        ).all_messages()
    assert len(history) == 24
    last = fake.seen[-1]
    assert len(last) < 20
    assert isinstance(last[0], ModelRequest)
    for message, after in pairwise(last):
        asked = {part.tool_call_id for part in message.parts if isinstance(part, ToolCallPart)}
        got = {part.tool_call_id for part in after.parts if isinstance(part, ToolReturnPart)}
        assert asked == got
    assert ("user-prompt", "question 5") in shown(last)
    with pytest.raises(BudgetTooSmallError, match=r"\d+ tokens"):
        Model("x").agent(kata, budget=50).run_sync("word " * 100, conversation_id="other")


def test_a_compaction_is_what_the_model_sees_afterwards(kata: Kata, context: Context) -> None:
    fake = Model(*[f"answer {n} " + "y " * 30 for n in range(6)])
    agent = fake.agent(kata)
    for n in range(5):
        agent.run_sync(f"question {n} " + "x " * 60, conversation_id=CHAT)
    context.set_policy({"preserve_recent_count": 2, "min_gain_tokens": 0, "budget": 400, "threshold": 0.5})
    Compactor(kata, lambda _: "They talked of four questions.").drain()
    agent.run_sync("and now?", conversation_id=CHAT)
    seen = shown(fake.seen[-1])
    assert seen[0] == ("user-prompt", "[summary of earlier messages]\nThey talked of four questions.")
    assert len(seen) < 8


def test_earlier_words_are_found_again_and_a_fork_goes_its_own_way(kata: Kata, context: Context) -> None:
    fake = Model("The key is under the pot.", "Yes.", "No.")
    agent = fake.agent(kata, lambda run: run.deps, deps_type=Context)
    agent.run_sync("Where?", deps=context)
    assert [row.version for row in context.search("pot")] == [2]
    fork = context.fork(2)
    agent.run_sync("Sure?", deps=fork)
    agent.run_sync("Really?", deps=context)
    assert log(fork)[2:] == [("user", "Sure?"), ("assistant", "Yes.")]
    assert log(context)[2:] == [("user", "Really?"), ("assistant", "No.")]


def test_an_answer_that_is_made_again_takes_the_place_of_the_old_one(kata: Kata, context: Context) -> None:
    fake = Model("First.", "Second.", "Third.")
    agent = fake.agent(kata)
    first = agent.run_sync("Hello.", conversation_id=CHAT)
    agent.run_sync(message_history=first.all_messages()[:-1])
    assert log(context) == [("user", "Hello."), ("assistant", "Second.")]
    assert shown(fake.seen[-1]) == [("user-prompt", "Hello.")]
    assert [row.content for row in context.messages(visibility="all")][1] == "First."
    assert kata.verify(context.id) == []


def test_two_agents_take_part_in_one_context(kata: Kata, context: Context) -> None:
    first, second = Model("I am first.", "Again."), Model("I am second.")
    agents = first.agent(kata, CHAT), second.agent(kata, CHAT)
    history = agents[0].run_sync("One?").all_messages()
    agents[1].run_sync("Two?")
    agents[0].run_sync("Three?", message_history=history)
    assert [text for _, text in shown(first.seen[-1])] == [
        "One?",
        "I am first.",
        "Two?",
        "I am second.",
        "Three?",
    ]
    assert len(log(context)) == 6


def test_runs_at_the_same_time_take_nothing_from_each_other(kata: Kata, context: Context) -> None:
    async def meanwhile(place: str) -> str:
        """Look at a place."""
        await Model("Inner.").agent(kata).run("Other?", conversation_id=CHAT)
        return "nothing"

    fake = Model([ToolCallPart("meanwhile", {"place": "lock"}, tool_call_id="c1")], "Outer.")
    fake.agent(kata, tools=[meanwhile]).run_sync("Where?", conversation_id=CHAT)
    assert [text for _, text in log(context)] == ["Where?", None, "Other?", "Inner.", "nothing", "Outer."]


def test_a_run_that_broke_off_is_in_the_log_and_the_next_one_goes_on(kata: Kata, context: Context) -> None:
    def broken(place: str) -> str:
        """Look at a place."""
        raise ConnectionError("gone")

    fake = Model([ToolCallPart("broken", {"place": "lock"}, tool_call_id="c1")], "Sorry.")
    agent = fake.agent(kata, tools=[broken])
    with pytest.raises(ConnectionError):
        agent.run_sync("Where?", conversation_id=CHAT)
    assert log(context)[:2] == [("user", "Where?"), ("assistant", None)]
    assert agent.run_sync("Go on.", conversation_id=CHAT).output == "Sorry."
    assert shown(fake.seen[-1])[1] == ("tool-call", {"place": "lock"})
    assert shown(fake.seen[-1])[2][0] == "tool-return"
    assert shown(fake.seen[-1])[-1] == ("user-prompt", "Go on.")


def test_a_call_that_a_tool_refuses_is_made_again(kata: Kata, context: Context) -> None:
    def picky(place: str) -> str:
        """Look at a place."""
        if place == "lock":
            raise ModelRetry("not there")
        return "found"

    def call(id: str, place: str) -> list[Any]:
        return [ToolCallPart("picky", {"place": place}, tool_call_id=id)]

    fake = Model(
        call("c1", "lock"), [ToolCallPart("picky", {"x": 1}, tool_call_id="c2")], call("c3", "pot"), "Yes."
    )
    result = fake.agent(kata, tools=[picky], retries=3).run_sync("Where?", conversation_id=CHAT)
    assert result.output == "Yes."
    assert from_kata(context.messages()) == result.all_messages()
    assert context.get_context().open_calls == []


def test_streams_and_structured_output_are_kept(kata: Kata, context: Context) -> None:
    fake = Model("one two three")
    agent = fake.agent(kata)

    async def talk() -> None:
        async with agent.run_stream("Count.", conversation_id=CHAT) as stream:
            assert [piece async for piece in stream.stream_text(delta=True)]

    asyncio.run(talk())
    assert log(context) == [("user", "Count."), ("assistant", "one two three ")]
    typed: Any = Agent(TestModel(), output_type=dict[str, int], capabilities=[KataHistory(kata, "typed")])
    result = typed.run_sync("Go.")
    assert from_kata(kata.context("typed").messages()) == result.all_messages()
    tested: Any = Agent(TestModel(), tools=[look], capabilities=[KataHistory(kata, "tested")])
    result = tested.run_sync("Go.")
    assert from_kata(kata.context("tested").messages()) == result.all_messages()


def test_tenants_do_not_see_each_other(kata: Kata) -> None:
    fake = Model("Hello Ann.", "Hello Bob.")
    chats: Callable[[Any], Context] = lambda run: kata.as_tenant(run.deps).get_or_create("chat")  # noqa: E731
    agent = fake.agent(kata, chats, deps_type=str)
    agent.run_sync("I am Ann.", deps="a")
    agent.run_sync("I am Bob.", deps="b")
    assert shown(fake.seen[-1]) == [("user-prompt", "I am Bob.")]
    assert kata.find_context("chat") is None


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
MESSAGES: list[ModelMessage] = [
    ModelRequest(
        [
            SystemPromptPart("Help.", timestamp=NOW),
            UserPromptPart(
                [
                    "What is\x00 this?",
                    IMAGE,
                    BinaryContent(b"%PDF", media_type="application/pdf", vendor_metadata={"a": [1, None]}),
                    BinaryContent(b"RIFF", media_type="audio/wav"),
                    ImageUrl("https://example.com/a.png", force_download=True),
                    DocumentUrl("https://example.com/a.pdf"),
                    VideoUrl("https://example.com/a.mp4"),
                    "And this? \u241a0000",
                ],
                timestamp=NOW,
            ),
        ],
        instructions="Be short.",
        run_id="r1",
        timestamp=NOW,
        metadata={"a": None},
    ),
    ModelResponse(
        [
            ThinkingPart("A dot.", signature="abc", provider_name="anthropic"),
            TextPart("I look.", id="t"),
            ToolCallPart("look", {"place": "dot", "n": None}, tool_call_id="c1"),
            TextPart("Twice."),
            ToolCallPart("look", '{"place":  "dash"}', tool_call_id="c2"),
            ToolCallPart("look", None, tool_call_id="c3", provider_details={"x": 1}),
            ToolCallPart("look", "{broken", tool_call_id="c4"),
            NativeToolCallPart("web_search", {"query": "dot"}, tool_call_id="n1", provider_name="openai"),
            FilePart(IMAGE),
        ],
        model_name="claude",
        timestamp=NOW,
        run_id="r1",
    ),
    ModelRequest(
        [
            ToolReturnPart("look", {"found": [1, None]}, tool_call_id="c1", timestamp=NOW),
            ToolReturnPart("look", ["seen", IMAGE], tool_call_id="c2", timestamp=NOW),
            ToolReturnPart("look", IMAGE, tool_call_id="c3", timestamp=NOW),
            ToolReturnPart("look", "no JSON", tool_call_id="c4", timestamp=NOW, outcome="retried"),
            UserPromptPart("And?", timestamp=NOW),
        ],
        timestamp=NOW,
    ),
    ModelResponse([], timestamp=NOW, finish_reason="length"),
    ModelRequest([UserPromptPart("", timestamp=NOW)]),
    ModelResponse([TextPart("Yes.")], timestamp=NOW),
]  # fmt: skip


def test_messages_come_back_as_they_were(context: Context) -> None:
    # As they are after a round trip through their own JSON.
    messages = ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(MESSAGES))
    context.append(to_kata(messages))
    assert from_kata(context.messages()) == messages
    assert from_kata(context.window(100000)) == messages
    assert len({row.group_version for row in context.messages()[2:7]}) == 1


@pytest.mark.parametrize("form", ["openai", "responses", "anthropic", "gemini"])
def test_prompts_of_every_form_take_what_the_capability_wrote(context: Context, form: Any) -> None:
    opaque = (FilePart, NativeToolCallPart)
    messages = [
        replace(message, parts=[part for part in message.parts if not isinstance(part, opaque)])
        for message in MESSAGES[1:]
    ]
    said = UserPromptPart(["See.", IMAGE, ImageUrl("https://example.com/a.png")])
    context.append(to_kata([ModelRequest([said]), *messages]))
    prompt = str(context.prompt(100000, form))
    assert IMAGE.base64 in prompt
    assert "pydantic_ai" not in prompt
    assert "dash" in prompt


def test_erased_words_are_gone_and_the_agent_goes_on(kata: Kata, context: Context) -> None:
    fake = Model([TextPart("I look."), *calls(("c1", {"place": "safe 1234"}))], "Nothing at 1234.", "Fine.")
    agent = fake.agent(kata, tools=[look])
    history = agent.run_sync("The PIN is 1234.", conversation_id=CHAT).all_messages()
    for version in range(1, 5):
        context.erase_message(version, "private")
    agent.run_sync("Thanks.", message_history=history)
    assert "1234" not in str(fake.seen[-1])
    assert len(log(context)) == 6


def test_what_other_clients_wrote_is_read(context: Context) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}
    context.set_policy({"strict": False})
    context.append(
        [
            {"role": "developer", "content": "Help."},
            {"role": "tool", "tool_call_id": "old", "content": "stray"},
            {"role": "assistant", "parts": [{"type": "text", "text": "I look."}], "tool_calls": [call]},
            {"role": "user", "content": "Well?"},
            {"role": "assistant", "content": "One."},
        ]
    )
    assert shown(from_kata(context.window(1000))) == [
        ("system-prompt", "Help."),
        ("user-prompt", "[result of call old] stray"),
        ("text", "I look."),
        ("tool-call", {}),
        ("tool-return", "[no result]"),
        ("user-prompt", "Well?"),
        ("text", "One."),
    ]
    assert shown(from_kata(context.messages(4)))[0] == ("user-prompt", "[beginning of the messages]")


def test_amended_and_elided_words_are_what_the_model_sees(context: Context) -> None:
    result = ToolReturnPart("look", {"found": "word " * 500}, tool_call_id="c1")
    said = [
        ModelResponse(calls(("c1", {}))),
        ModelRequest([result]),
        ModelResponse([TextPart("At teh lock.")]),
    ]
    context.append(to_kata([ModelRequest([UserPromptPart("Where?")]), *said]))
    context.amend(4, {"content": "At the lock."})
    context.elide(3)
    seen = shown(from_kata(context.window(1000)))
    assert seen[-1] == ("text", "At the lock.")
    assert len(str(seen[2][1])) < 1000


def test_the_example_of_the_docs_runs(database: str, tmp_path: Path) -> None:
    assert (
        run_example("pydantic-ai", database, tmp_path) == "success (no tool calls)\n4 messages in the log\n"
    )
