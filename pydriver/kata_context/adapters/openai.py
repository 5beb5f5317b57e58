"""Messages of the OpenAI chat form."""

from collections.abc import Iterable
from typing import Any, cast

from kata_context.adapters.reading import Fields, object_of
from kata_context.errors import KataError
from kata_context.types import Message

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
    message = object_of(given, f"message {number}")
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
