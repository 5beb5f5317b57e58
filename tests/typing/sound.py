"""A program without faults: mypy --strict finds none."""

from datetime import datetime, timezone
from uuid import UUID

from kata_context import AsyncKata, Context, Kata
from kata_context.adapters import from_anthropic, from_openai
from kata_context.types import AnthropicPrompt, Message, OpenAIMessage


def converse(kata: Kata, context_id: UUID) -> str | None:
    context: Context = kata.create("trip", metadata={"customer": 7}, policy={"budget": 8000})
    version: int = context.append_message("user", "Where to?")
    messages: list[Message] = [{"role": "assistant", "content": "There.", "metadata": {"a": [1]}}]
    messages[0]["pinned"] = True
    context.append(messages, version, idempotency_key="k1")
    context.append([{"role": "tool", "content": "x", "tool_call_id": "c1"}])
    context.append(from_openai([{"role": "user", "content": "x"}]))
    context.append(from_anthropic([{"role": "user", "content": "x"}]))
    openai: list[OpenAIMessage] = context.prompt(8000)
    same: list[OpenAIMessage] = kata.prompt(context, 8000, "openai", at="head~1")
    anthropic: AnthropicPrompt = context.prompt(8000, "anthropic", stable_step=100)
    for turn in anthropic["messages"]:
        print(turn["role"], turn["content"][0]["type"])
    print(openai[0]["role"], same[0].get("name"), anthropic["system"])
    kata.window(context_id, 8000)
    kata.window("trip", 8000, at=datetime.now(timezone.utc))
    kata.merge(context, kata.context("other"), [1, range(3, 5)])
    with kata.transaction() as transaction:
        transaction.context(context).pin("before-booking")
    return context.window(100)[0].content


async def await_everything(kata: AsyncKata) -> int:
    context = await kata.create()
    async with kata.transaction() as transaction:
        await transaction.append_message(context, "user", "x")
    return (await context.usage()).version
