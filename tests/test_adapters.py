"""Messages of providers: in through the adapters, out through kata.prompt, the same."""

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from kata_context import Kata
from kata_context.adapters import from_anthropic, from_gemini, from_openai, from_responses
from kata_context.database_errors import InvalidInputError
from kata_context.errors import KataError
from support.as_sent import as_sent

pytestmark = pytest.mark.slow

DATA = Path(__file__).parent / "data" / "conversations"
HUGE = 2147483647

Json = dict[str, Any]


@pytest.fixture(scope="module")
def kata(server: Any, template: str) -> Iterator[Kata]:
    """The driver on a database that the tests of this file share."""
    server.execute(f"create database adapters template {template}")
    with Kata(server.url("adapters")) as client:
        yield client
    server.execute("drop database adapters with (force)")


def recorded() -> list[tuple[str, list[Json]]]:
    """Return the recorded conversations: name and messages in the OpenAI chat form."""
    lines = [line for file in sorted(DATA.glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()]
    return [(entry["name"], entry["messages"]) for entry in map(json.loads, lines)]


def openai_round_trip(kata: Kata, messages: list[Any]) -> Any:
    """Return what kata.prompt makes of messages in the OpenAI form."""
    context = kata.create()
    context.append(from_openai(messages))
    return context.prompt(HUGE)


def anthropic_round_trip(kata: Kata, messages: list[Any], system: Any = None) -> Any:
    """Return what kata.prompt makes of turns in the Anthropic form."""
    context = kata.create()
    context.append(from_anthropic(messages, system))
    return context.prompt(HUGE, "anthropic")


def test_recorded_conversations_go_round_in_the_openai_form(kata: Kata) -> None:
    conversations = recorded()
    assert len(conversations) >= 100
    for name, messages in conversations:
        assert as_sent(openai_round_trip(kata, messages)) == as_sent(messages), name


def test_recorded_conversations_go_round_in_the_anthropic_form(kata: Kata) -> None:
    for name, messages in recorded():
        context = kata.create()
        context.append(from_openai(messages))
        prompt = context.prompt(HUGE, "anthropic")
        returned = anthropic_round_trip(kata, prompt["messages"], prompt["system"])
        assert as_sent(returned) == as_sent(prompt), name


def test_what_the_openai_form_says_beyond_text_comes_back(kata: Kata) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "name": "ada",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            ],
        },
        {
            "role": "assistant", "content": None, "refusal": "no", "reasoning_content": "I look it up.",
            "tool_calls": [
                {"id": name, "type": "function", "function": {"name": "find", "arguments": "{not json"}}
                for name in "ab"
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "A flight."}]},
        {"role": "tool", "tool_call_id": "b", "name": "find", "content": "none"},
        {"role": "assistant", "content": "It is a flight.", "annotations": [{"type": "url_citation"}]},
    ]  # fmt: skip
    assert openai_round_trip(kata, messages) == messages


def test_what_the_anthropic_form_says_beyond_text_comes_back(kata: Kata) -> None:
    messages = [
        {"role": "user", "content": [
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "I look it up.", "signature": "c2ln"},
            {"type": "text", "text": "One moment."},
            {"type": "tool_use", "id": "a", "name": "find", "input": {"q": "é", "n": 1.5}},
            {"type": "tool_use", "id": "b", "name": "wait", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a", "is_error": True,
             "content": [{"type": "text", "text": "gone"}]},
            {"type": "tool_result", "tool_use_id": "b", "content": []},
        ]},
        {"role": "assistant", "content": [
            {"type": "redacted_thinking", "data": "eA=="},
            {"type": "tool_use", "id": "c", "name": "find", "input": {}},
        ]},
    ]  # fmt: skip
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    assert anthropic_round_trip(kata, messages, system) == {"system": system, "messages": messages}


def test_plain_text_of_the_anthropic_form_is_plain_text(kata: Kata) -> None:
    context = kata.create()
    context.append(
        from_anthropic(
            [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]},
                {"role": "user", "content": ""},
            ],
            "Be brief.",
        )
    )
    assert context.prompt(HUGE) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
    ]


def test_results_are_messages_of_their_own() -> None:
    use = {"type": "tool_use", "id": "a", "name": "f", "input": {"x": "é"}}
    (call, *rest) = from_anthropic(
        [
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [
                {"type": "text", "text": "before"},
                {"type": "tool_result", "tool_use_id": "a", "content": "done"},
                {"type": "text", "text": "after"},
            ]},
        ]
    )  # fmt: skip
    function = {"name": "f", "arguments": '{"x": "é"}'}
    calls = [{"id": "a", "type": "function", "function": function}]
    assert call == {"role": "assistant", "content": None, "tool_calls": calls}
    assert rest == [
        {"role": "user", "content": "before"},
        {"role": "tool", "content": "done", "tool_call_id": "a"},
        {"role": "user", "content": "after"},
    ]


class Model:
    """An object of a provider's Python package, as far as the adapters are concerned."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def model_dump(self, *, mode: str, exclude_none: bool, by_alias: bool) -> Json:
        """Return the object as JSON."""
        assert (mode, by_alias) == ("json", True)
        return {name: value for name, value in self.fields.items() if value is not None or not exclude_none}


def test_models_of_the_providers_packages_are_taken() -> None:
    assert from_openai([Model(role="assistant", content="Hi", refusal=None)]) == [
        {"role": "assistant", "content": "Hi"}
    ]
    assert from_anthropic(
        [{"role": "assistant", "content": [Model(type="text", text="Hi", citations=None)]}]
    ) == [{"role": "assistant", "content": "Hi"}]


@pytest.mark.parametrize(
    "convert",
    [
        lambda: from_openai(["text"]),
        lambda: from_openai([{"role": "user", "content": 5}]),
        lambda: from_openai([{"role": "user", "content": [{"text": "x"}]}]),
        lambda: from_openai([{"role": "user", "content": b"x"}]),
        lambda: from_openai([{"role": "user", "content": float("nan")}]),
        lambda: from_openai([{"role": "assistant", "tool_calls": ["x"]}]),
        lambda: from_openai([{"choices": [], "id": "x"}]),
        lambda: from_anthropic([{"role": "tool", "content": "x"}]),
        lambda: from_anthropic([{"role": "user", "content": [{"type": "tool_use", "id": "a"}]}]),
        lambda: from_anthropic([{"role": "assistant", "content": [{"type": "tool_result"}]}]),
        lambda: from_anthropic([{"role": "user", "content": 5}]),
        lambda: from_anthropic([{"role": "user", "content": [5]}]),
        lambda: from_anthropic([None]),
    ],
)
def test_a_value_that_is_not_a_message_is_refused_by_its_number(convert: Any) -> None:
    with pytest.raises(KataError, match="message 1"):
        convert()


def test_what_contains_itself_is_refused() -> None:
    part: Json = {"type": "text"}
    part["part"] = part
    for convert in (from_openai, from_anthropic, from_responses, from_gemini):
        with pytest.raises(InvalidInputError, match="contain themselves"):
            convert([{"role": "user", "content": [part], "parts": [part]}])


APPENDED: Json = {"external_id": "m-1", "occurred_at": "2026-11-29T12:00:00+00:00", "pinned": True}
# Of each form: its adapter, a message of the user and an answer, each with fields of append.
FORMS: dict[str, tuple[Any, Json, Json]] = {
    "openai": (
        from_openai,
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello", "refusal": None},
    ),
    "anthropic": (
        from_anthropic,
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
    ),
    "responses": (
        from_responses,
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
    ),
    "gemini": (
        from_gemini,
        {"role": "user", "parts": [{"text": "Hi"}]},
        {"role": "model", "parts": [{"text": "Hello"}]},
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("made", [dict, lambda fields: Model(**fields)], ids=["dicts", "objects"])
def test_fields_of_append_on_a_message_go_to_the_message(kata: Kata, form: Any, made: Any) -> None:
    convert, user, answer = FORMS[form]
    at = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
    context = kata.create()
    plain = kata.create()
    plain.append(convert([user, answer]))
    messages = convert(
        [
            made(user | APPENDED | {"occurred_at": at, "token_count": 9, "seen": True}),
            made(answer | {"external_id": "m-2", "model": "m", "pinned": "maybe"}),
        ]
    )
    context.append(messages)
    first, second = context.messages()
    assert (first.external_id, first.occurred_at, first.pinned, first.token_count) == ("m-1", at, True, 9)
    assert (second.external_id, second.occurred_at, second.pinned, second.model) == ("m-2", None, False, "m")
    assert first.metadata == {"seen": True}
    assert second.metadata == {"pinned": "maybe"}
    assert context.prompt(8000, form) == plain.prompt(8000, form)
    # An import that is repeated appends nothing.
    context.append(messages, on_duplicate="skip")
    assert len(context.messages()) == 2


def test_an_external_id_of_a_turn_is_numbered_on_its_other_messages(kata: Kata) -> None:
    calls: list[Json] = [{"type": "tool_use", "id": id, "name": "f", "input": {}} for id in ("a", "b")]
    results = [{"type": "tool_result", "tool_use_id": id, "content": "x"} for id in ("a", "b")]
    anthropic = from_anthropic(
        [
            {"role": "assistant", "id": "r", "content": calls[:1], "external_id": "t-1", "token_count": 5},
            {"role": "assistant", "id": "r", "content": calls[1:], "external_id": "t-2"},
            {
                "role": "user",
                "content": [*results, {"type": "text", "text": "Go on."}],
                "external_id": "t-3",
                "token_count": 7,
            },
        ]
    )
    assert [m.get("external_id") for m in anthropic] == ["t-1", "t-3", "t-3#2", "t-3#3"]
    assert not any("token_count" in message for message in anthropic)
    assert anthropic[1]["metadata"] == {"token_count": 7}
    kata.create().append(anthropic)
    items: list[Json] = [
        {
            "type": "function_call",
            "call_id": "a",
            "name": "f",
            "arguments": "{}",
            "external_id": "i-1",
            "token_count": 5,
        },
        {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}", "external_id": "i-2"},
        {
            "type": "function_call_output",
            "call_id": "a",
            "output": "x",
            "external_id": "i-3",
            "token_count": 6,
        },
        {"type": "function_call_output", "call_id": "b", "output": "x"},
    ]
    responses = from_responses(items)
    assert [m.get("external_id") for m in responses] == ["i-1", "i-3", None]
    assert [m.get("token_count") for m in responses] == [None, 6, None]
    assert "provider" not in responses[1]
    # None of these fields goes back to the provider.
    context = kata.create()
    context.append(responses)
    plain = [
        {name: value for name, value in item.items() if name not in (*APPENDED, "token_count")}
        for item in items
    ]
    assert context.prompt(8000, "responses")["input"] == plain


def test_the_token_count_of_a_candidate_of_gemini_is_metadata() -> None:
    from google.genai.types import GenerateContentResponse

    answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "token_count": 3}]}
    for given in (answer, GenerateContentResponse.model_validate(answer)):
        (message,) = from_gemini([given])
        assert message == {"role": "assistant", "content": "Hi", "metadata": {"tokenCount": 3}}
    (own,) = from_gemini([answer | {"token_count": 9, "external_id": "m"}])
    assert (own["token_count"], own["external_id"], own["metadata"]) == (9, "m", {"tokenCount": 3})
    (part,) = from_gemini([{"text": "Hi", "external_id": "m"}])
    assert part == {"role": "user", "content": "Hi", "external_id": "m"}
