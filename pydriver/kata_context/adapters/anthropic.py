"""Turns of the Anthropic Messages form."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

from kata_context.adapters.reading import Fields, blocks_of, message_of, object_of
from kata_context.errors import KataError
from kata_context.types import Message


def from_anthropic(messages: Iterable[Any], system: str | list[Any] | None = None) -> list[Message]:
    """Convert messages of the Anthropic form.

    A turn of the user with results of tools becomes one message per result, and one per run of other blocks.

    Parameters
    ----------
    messages : turns of the Messages API: mappings, or the models of its Python package
    system : the system prompt, text or blocks, None for none

    Raises
    ------
    KataError : a turn or a block is not an object, or a turn has another role than user and assistant
    """
    converted = [message_of("system", blocks_of(system, "the system prompt"))] if system else []
    for number, given in enumerate(messages, start=1):
        turn = object_of(given, f"message {number}")
        role, blocks = turn.get("role"), blocks_of(turn.get("content"), f"message {number}")
        if role == "assistant":
            converted.append(_from_assistant(blocks))
        elif role == "user":
            converted += _from_user(blocks)
        else:
            raise KataError(
                f"message {number} has the role {role!r}",
                hint="pass turns of user and assistant, and the system prompt as system",
            )
    return cast("list[Message]", converted)


def _from_assistant(blocks: list[Fields]) -> Fields:
    message = message_of("assistant", [block for block in blocks if block.get("type") != "tool_use"])
    calls = [
        {
            "id": block.get("id"),
            "type": "function",
            "function": {
                "name": block.get("name"),
                "arguments": json.dumps(block.get("input") or {}, ensure_ascii=False),
            },
        }
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    if calls:
        message["tool_calls"] = calls
        if message.get("content") == "":
            message["content"] = None
    return message


def _from_user(blocks: list[Fields]) -> Iterator[Fields]:
    own: list[Fields] = []
    has_results = False
    for block in blocks:
        if block.get("type") != "tool_result":
            own.append(block)
            continue
        has_results = True
        if own:
            yield message_of("user", own)
            own = []
        result = message_of("tool", blocks_of(block.get("content"), "a tool result"))
        provider = {
            field: value for field, value in block.items() if field not in ("type", "tool_use_id", "content")
        }
        result["tool_call_id"] = block.get("tool_use_id")
        yield result | ({"provider": provider} if provider else {})
    if own or not has_results:
        yield message_of("user", own)
