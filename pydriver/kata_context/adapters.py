"""Messages of providers, in the form of `append`.

    context.append(from_openai(messages))
    context.append(from_anthropic(messages, system))

The way back is `prompt`, which returns content parts and fields of the provider unchanged.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from kata_context.errors import KataError
from kata_context.types import Message

Fields = dict[str, Any]

_OPENAI_FIELDS = ("role", "content", "tool_calls", "tool_call_id", "name")


def from_openai(messages: Iterable[Any]) -> list[Message]:
    """Convert messages of the OpenAI chat form.

    Parameters
    ----------
    messages : objects of the chat completions API: mappings, or the models of its Python package

    Raises
    ------
    KataError : a message is not an object, or has the role `function`, which answers a name and not an id
    """
    return cast("list[Message]", [_from_openai(*given) for given in enumerate(messages, start=1)])


def _from_openai(number: int, given: Any) -> Fields:
    message = _mapping(given, f"message {number}")
    if message.get("role") == "function":
        raise KataError(
            f"message {number} has the role function, which has no id of the call that it answers",
            hint="write calls as tool_calls, and results as messages of the role tool with a tool_call_id",
        )
    content = message.get("content")
    converted: Fields = {"role": message.get("role")}
    if isinstance(content, list):
        converted["parts"] = content
    else:
        converted["content"] = content
    for field in ("tool_calls", "tool_call_id", "name"):
        if message.get(field):
            converted[field] = message[field]
    provider = {field: value for field, value in message.items() if field not in _OPENAI_FIELDS}
    if provider:
        converted["provider"] = provider
    return converted


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
    converted = [_message("system", _blocks(system, "the system prompt"))] if system else []
    for number, given in enumerate(messages, start=1):
        turn = _mapping(given, f"message {number}")
        role, blocks = turn.get("role"), _blocks(turn.get("content"), f"message {number}")
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
    message = _message("assistant", [block for block in blocks if block.get("type") != "tool_use"])
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
            yield _message("user", own)
            own = []
        result = _message("tool", _blocks(block.get("content"), "a tool result"))
        provider = {
            field: value for field, value in block.items() if field not in ("type", "tool_use_id", "content")
        }
        result["tool_call_id"] = block.get("tool_use_id")
        yield result | ({"provider": provider} if provider else {})
    if own or not has_results:
        yield _message("user", own)


def _message(role: str, blocks: list[Fields]) -> Fields:
    """Return a message: plain text as content, anything else as parts."""
    if not blocks:
        return {"role": role, "content": ""}
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"} and blocks[0]["type"] == "text":
        return {"role": role, "content": blocks[0]["text"]}
    return {"role": role, "parts": blocks}


def _blocks(content: Any, where: str) -> list[Fields]:
    """Return content as a list of blocks."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, Iterable) or isinstance(content, Mapping):
        raise KataError(f"the content of {where} is neither text nor a list of blocks")
    return [_mapping(block, f"a block of {where}") for block in content]


def _mapping(value: Any, what: str) -> Fields:
    """Return an object of JSON; models of the providers' Python packages convert themselves."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json", exclude_none=True)
    if not isinstance(value, Mapping):
        raise KataError(
            f"{what} is {type(value).__name__}, not an object", hint="pass what the provider's API takes"
        )
    return dict(value)
