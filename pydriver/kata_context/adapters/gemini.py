"""Contents of the Gemini form."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from kata_context.adapters.reading import (
    APPENDED,
    Call,
    CallIds,
    Fields,
    OnBadText,
    Reader,
    add_fields,
    add_metadata,
    as_text,
    assistant_message,
    call_of,
    message_of,
    refuses_depth,
    rest,
)
from kata_context.errors import KataError
from kata_context.types import Message

# The fields that say what a part is.
_KINDS = (
    "text",
    "functionCall",
    "functionResponse",
    "inlineData",
    "fileData",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
)


@refuses_depth
def from_gemini(
    contents: str | Iterable[Any], system_instruction: Any = None, *, on_bad_text: OnBadText = "refuse"
) -> list[Message]:
    """Convert contents of the Gemini form.

    A function response without an id answers the first call of its name that waits.

    Parameters
    ----------
    contents : what the Gemini API takes: a text, or texts, mappings, models of its package, and whole answers
    system_instruction : a text, a content, or its parts, None for none
    on_bad_text : escape what Postgres does not store (NUL, lone surrogates), or let `append` refuse it

    Raises
    ------
    KataError : a content or a part is not an object, or a part says nothing
    """
    reader, ids = Reader(on_bad_text), CallIds()
    converted = []
    if system_instruction:
        where, parts = "the system instruction", []
        for content in _contents(reader.json(_in_base64(system_instruction), where), where):
            parts += _parts(content, where)
        converted.append(message_of("system", parts))
    for place, given in enumerate([contents] if isinstance(contents, (str, Mapping)) else contents, start=1):
        where = f"message {place}"
        for content in _contents(reader.json(_in_base64(given), where), where):
            parts = _parts(content, where)
            is_models = content.get("role") == "model"
            messages = [_models_message(parts, ids)] if is_models else [*_users_messages(parts, ids)]
            converted += add_metadata(messages, rest(content, ("role", "parts")))
    return cast("list[Message]", converted)


def _in_base64(given: Any) -> Any:
    """Return what is given with bytes as base64; the models of the package do so themselves."""
    if isinstance(given, bytes):
        return base64.b64encode(given).decode()
    if isinstance(given, Mapping):
        return {name: _in_base64(inner) for name, inner in given.items()}
    if isinstance(given, (list, tuple)):
        return [_in_base64(inner) for inner in given]
    return given


def _contents(given: Any, where: str) -> list[Fields]:
    """Return a text, a part, parts, a content or an answer as contents."""
    if isinstance(given, str):
        return [{"parts": [{"text": given}]}]
    if isinstance(given, list):
        return [{"parts": given}]
    if not isinstance(given, dict):
        raise KataError(f"{where} is {type(given).__name__}, not an object", hint="pass what the API takes")
    own = {name: given[name] for name in APPENDED if name in given}
    given = _camel(rest(given, own))
    if isinstance(candidates := given.get("candidates"), list):
        if len(candidates) != 1:
            raise KataError(
                f"{where} has {len(candidates)} candidates", hint="pass the content of the one that you keep"
            )
        said = rest(given, ("candidates", "modelVersion")) | rest(_camel(candidates[0]), ("content", "index"))
        said |= {"model": given["modelVersion"]} if given.get("modelVersion") else {}
        return [_camel(candidates[0].get("content") or {}) | said | own]
    return [({"parts": [given]} if "parts" not in given and _kind(given) else given) | own]


def _camel(given: Fields) -> Fields:
    """Return the fields of an object by the names of the API; Python's have underscores."""
    return {re.sub("_([a-z])", lambda found: found[1].upper(), name): value for name, value in given.items()}


def _kind(part: Fields) -> str | None:
    return next((name for name in _KINDS if part.get(name) is not None), None)


def _parts(content: Fields, where: str) -> list[Fields]:
    """Return the parts of a content, each with a type."""
    given = content.get("parts") or []
    if not isinstance(given, list):
        raise KataError(f"the parts of {where} are not a list")
    parts = []
    for said in given:
        part: Fields = (
            {"text": said} if isinstance(said, str) else _camel(said) if isinstance(said, dict) else {}
        )
        kind = _kind(part)
        if kind is None:
            raise KataError(f"{where} has a part that says nothing", hint="pass what the Gemini API takes")
        if kind == "text" and part.get("thought"):
            part["thinking"] = part.pop("text")
            kind = "thinking"
        elif kind != "text":
            part[kind] = _camel(part[kind])
        parts.append({"type": re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", kind)} | part)
    return parts


def _models_message(given: list[Fields], ids: CallIds) -> Fields:
    parts: list[Fields] = []
    calls = []
    for part in given:
        if part["type"] != "function_call":
            parts.append(part)
            continue
        called = part["functionCall"]
        id = called.get("id") or ""
        other = rest(part, ("type", "functionCall")) | rest(called, ("id", "name", "args"))
        other |= {} if id else {"made_id": True}
        call = call_of(called.get("name"), called.get("args")) | ({"gemini": other} if other else {})
        calls.append(Call(id, str(called.get("name")), call, len(parts)))
    return assistant_message(parts, calls, ids)


def _users_messages(given: list[Fields], ids: CallIds) -> Iterator[Fields]:
    own: list[Fields] = []
    has_results = False
    for part in given:
        if part["type"] != "function_response":
            own.append(part)
            continue
        has_results = True
        if own:
            yield message_of("user", own)
            own = []
        yield _result(part, ids)
    if own or not has_results:
        yield message_of("user", own)


def _result(part: Fields, ids: CallIds) -> Fields:
    answer = part["functionResponse"]
    response = answer.get("response") or {}
    provider = rest(part, ("type", "functionResponse")) | rest(answer, ("id", "name", "response", "parts"))
    result: Fields = {"role": "tool", "content": as_text(response)}
    if len(response) == 1 and isinstance(text := next(iter(response.values())), str):
        result["content"] = text
        provider["response_key"] = next(iter(response))
    if answer.get("parts"):
        result["parts"] = [
            {"type": "text", "text": result["content"]},
            *_parts(answer, "a function response"),
        ]
    result["tool_call_id"] = ids.name_result(answer.get("id") or "", str(answer.get("name")))
    result["tool_name"] = answer.get("name")
    return add_fields(result, provider=provider)
