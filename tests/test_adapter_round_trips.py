"""What a provider takes and gives comes back from kata.prompt block by block, in its form."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kata_context import Kata
from kata_context.adapters import from_anthropic, from_gemini, from_openai, from_responses
from kata_context.database_errors import UntranslatableError
from kata_context.types import Message
from support import provider_talk
from validator import judge

pytestmark = pytest.mark.slow

HUGE = 2147483647

Json = dict[str, Any]


@pytest.fixture(scope="module")
def kata(server: Any, template: str) -> Iterator[Kata]:
    """The driver on a database that the tests of this file share."""
    server.execute(f"create database round_trips template {template}")
    with Kata(server.url("round_trips")) as client:
        yield client
    server.execute("drop database round_trips with (force)")


@given(messages=provider_talk.chat())
def test_messages_of_openai_come_back(kata: Kata, messages: list[Json]) -> None:
    context = kata.create()
    context.append(from_openai(messages))
    assert context.prompt(HUGE) == messages


@given(turns=provider_talk.turns())
def test_turns_of_anthropic_come_back(kata: Kata, turns: Json) -> None:
    context = kata.create()
    context.append(from_anthropic(turns["messages"], turns["system"]))
    assert context.prompt(HUGE, "anthropic") == provider_talk.without_finished_thinking(turns)


@given(given=provider_talk.items())
def test_items_of_responses_come_back(kata: Kata, given: Json) -> None:
    context = kata.create()
    context.append(from_responses(given["input"], given["instructions"]))
    assert kata.prompt(context, HUGE, "responses") == given


@given(given=provider_talk.contents())
def test_contents_of_gemini_come_back(kata: Kata, given: Json) -> None:
    context = kata.create()
    context.append(from_gemini(given["contents"], given["systemInstruction"]))
    assert kata.prompt(context, HUGE, "gemini") == given


ANY = st.one_of(
    provider_talk.chat().map(from_openai),
    provider_talk.turns().map(lambda given: from_anthropic(given["messages"], given["system"])),
    provider_talk.items().map(lambda given: from_responses(given["input"], given["instructions"])),
    provider_talk.contents().map(lambda given: from_gemini(given["contents"], given["systemInstruction"])),
)


@given(messages=ANY)
def test_every_form_of_every_conversation_is_valid_or_refused(kata: Kata, messages: list[Message]) -> None:
    context = kata.create()
    context.append(messages)
    for form in ("openai", "responses", "anthropic", "gemini"):
        try:
            prompt = kata.prompt(context, HUGE, form)
        except UntranslatableError:
            continue
        assert judge(form, prompt) == [], form
