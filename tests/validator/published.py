"""The second judge: the request types that the providers publish in their Python packages.

TypedDicts are walked, and not given to pydantic, which lets unknown fields pass and checks an Iterable only
when it is read.
"""

import types
import typing
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Literal, Union, cast, get_args, get_origin

from typing_extensions import NotRequired, Required, get_type_hints, is_typeddict

# Servers that speak the form of OpenAI return these fields beside the answer, and take them back.
BESIDE = {"annotations", "reasoning_content", "reasoning", "reasoning_details"}


@cache
def _hints(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Return the fields of a TypedDict: their types, and whether they are required."""
    fields = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        is_required = name in kind.__required_keys__
        while (origin := cast("object", get_origin(hint))) in (Required, NotRequired):
            is_required = origin is Required
            (hint,) = get_args(hint)
        fields[name] = (hint, is_required)
    return fields


def mismatch(value: Any, hint: Any, path: str = "$") -> str | None:
    """Return what keeps a value from being of a published type; None where nothing does."""
    origin = get_origin(hint)
    if hint in (Any, object):
        return None
    if origin is typing.Annotated:
        return mismatch(value, get_args(hint)[0], path)
    if origin in (Union, types.UnionType):
        found = [mismatch(value, option, path) for option in get_args(hint)]
        # The option that goes furthest says most.
        return None if None in found else max((f for f in found if f), key=len)
    if origin is Literal:
        return None if value in get_args(hint) else f"{path}: {value!r:.60} is not one of {get_args(hint)}"
    if is_typeddict(hint):
        return _mismatch_of_fields(value, _hints(hint), path)
    if origin is dict:
        return None if isinstance(value, dict) else f"{path}: not an object"
    if isinstance(origin, type) and issubclass(origin, Iterable) and origin is not str:
        return _mismatch_of_elements(value, get_args(hint)[0], path)
    if hint is float:
        hint = (int, float)
    elif hint is None:
        hint = type(None)
    if isinstance(hint, (type, tuple)):
        fits = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
        return None if fits else f"{path}: {value!r:.60} is not a {hint}"
    # Files and the like, which JSON has not.
    return f"{path}: not a {hint}"


def _mismatch_of_fields(value: Any, fields: dict[str, tuple[Any, bool]], path: str) -> str | None:
    if not isinstance(value, dict):
        return f"{path}: not an object"
    for name, (hint, is_required) in fields.items():
        if name in value:
            if found := mismatch(value[name], hint, f"{path}.{name}"):
                return found
        elif is_required:
            return f"{path}.{name}: missing"
    unknown = value.keys() - fields.keys()
    return f"{path}: unknown fields {sorted(unknown)}" if unknown else None


def _mismatch_of_elements(value: Any, hint: Any, path: str) -> str | None:
    if not isinstance(value, list):
        return f"{path}: not a list"
    found = (mismatch(element, hint, f"{path}[{number}]") for number, element in enumerate(value))
    return next((f for f in found if f), None)


def refuse_openai(body: Any) -> str | None:
    from openai.types.chat import ChatCompletionMessageParam

    plain = [{name: value for name, value in message.items() if name not in BESIDE} for message in body]
    for message in plain:
        # The documents show a name there, the types do not.
        if message.get("role") == "tool":
            message.pop("name", None)
    return mismatch(plain, Sequence[ChatCompletionMessageParam])


def refuse_responses(body: Any) -> str | None:
    from openai.types.responses import ResponseInputItemParam

    return mismatch([_as_returned(item) for item in body["input"]], Sequence[ResponseInputItemParam])


def _as_returned(item: Any) -> Any:
    """Return an assistant's message as its type has it: with an id, a status and annotations.

    The API takes it without them.
    """
    if item.get("role") != "assistant" or not isinstance(item["content"], list):
        return item
    parts = [
        {"annotations": [], **part} if part["type"] == "output_text" else part for part in item["content"]
    ]
    return {"id": "msg_0", "status": "completed", **item, "content": parts}


def refuse_anthropic(body: Any) -> str | None:
    from anthropic.types import MessageParam, TextBlockParam

    system = body.get("system", "")
    if isinstance(system, list) and (found := mismatch(system, Sequence[TextBlockParam])):
        return found
    return mismatch(body["messages"], Sequence[MessageParam])


def refuse_gemini(body: Any) -> str | None:
    from google.genai.types import Content
    from pydantic import ValidationError

    instruction = body.get("systemInstruction")
    try:
        for content in [*body["contents"], *([instruction] if instruction else [])]:
            Content.model_validate(content)
    except ValidationError as error:
        return str(error)
    return None


PUBLISHED: dict[str, Callable[[Any], str | None]] = {
    "openai": refuse_openai,
    "responses": refuse_responses,
    "anthropic": refuse_anthropic,
    "gemini": refuse_gemini,
}
