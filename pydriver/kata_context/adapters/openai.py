"""Messages of the OpenAI chat form."""

from collections.abc import Iterable
from typing import Any, cast

from kata_context.adapters.reading import (
    Call,
    CallIds,
    Fields,
    OnBadText,
    Reader,
    add_fields,
    call_of,
    parts_of,
    refuses_depth,
    rest,
    set_calls,
)
from kata_context.errors import KataError
from kata_context.types import Message

# Fields that go back to the provider; those of servers that are compatible are among them.
_PROVIDER = (
    "refusal",
    "audio",
    "function_call",
    "annotations",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
)
_OWN = ("role", "content", "tool_calls", "tool_call_id", "name")


@refuses_depth
def from_openai(messages: Iterable[Any], *, on_bad_text: OnBadText = "refuse") -> list[Message]:
    """Convert messages of the OpenAI chat form.

    A message of the role `function` answers the `function_call` before it; both become a call with an id.

    Parameters
    ----------
    messages : objects of the chat completions API: mappings, or the models of its package, and whole answers
    on_bad_text : escape what Postgres does not store (NUL, lone surrogates), or let `append` refuse it

    Raises
    ------
    KataError : a message is not an object, or its content is neither text nor parts
    """
    ids = CallIds()
    given = [_opened(*message) for message in Reader(on_bad_text).messages(messages)]
    answered = {place for place, message in enumerate(given[1:]) if message.get("role") == "function"}
    return cast(
        "list[Message]",
        [
            _converted(f"message {place + 1}", message, place in answered, ids)
            for place, message in enumerate(given)
        ],
    )


def _opened(where: str, given: Fields) -> Fields:
    """Return a message; an answer of the API is opened, and what it says besides is metadata."""
    choices = given.get("choices")
    if not isinstance(choices, list):
        return given
    if len(choices) != 1:
        raise KataError(
            f"{where} has {len(choices)} choices", hint="pass the message of the one that you keep"
        )
    said = rest(given, ("choices", "object")) | rest(choices[0], ("message", "index"))
    message: Fields = choices[0]["message"]
    return message | said


def _converted(where: str, given: Fields, is_answered: bool, ids: CallIds) -> Fields:
    role, content = given.get("role"), given.get("content")
    message: Fields = {"role": "tool" if role == "function" else role}
    if isinstance(content, list) and content:
        message["parts"] = parts_of(content, where)
    elif content is None or isinstance(content, (str, list)):
        message["content"] = content or (
            "" if content == [] or message["role"] in ("assistant", "tool") else content
        )
    else:
        raise KataError(f"the content of {where} is neither text nor a list")
    if given.get("name"):
        message["name"] = given["name"]
    if message["role"] == "tool":
        prefix = "function_call" if role == "function" else "call"
        message["tool_call_id"] = ids.name_result(given.get("tool_call_id") or "", prefix)
    elif given.get("tool_call_id"):
        message["tool_call_id"] = given["tool_call_id"]
    calls = [_call(call, where) for call in given.get("tool_calls") or []]
    if is_answered and isinstance(given.get("function_call"), dict):
        legacy = given.pop("function_call")
        calls = [Call("", "function_call", call_of(legacy.get("name"), legacy.get("arguments")))]
    set_calls(message, calls, ids)
    return add_fields(
        message,
        provider={name: given[name] for name in _PROVIDER if given.get(name) is not None},
        metadata=rest(given, (*_OWN, *_PROVIDER)),
    )


def _call(given: Any, where: str) -> Call:
    kind = "custom" if isinstance(given, dict) and "custom" in given else "function"
    body = given.get(kind) if isinstance(given, dict) else None
    if not isinstance(body, dict):
        raise KataError(
            f"{where} has a call that is not an object", hint="pass what the provider's API takes"
        )
    call = (
        {"type": kind, kind: body} if kind == "custom" else call_of(body.get("name"), body.get("arguments"))
    )
    other = rest(given, ("id", "type", kind, "index"))
    return Call(given.get("id") or "", "call", call | ({"openai": other} if other else {}))
