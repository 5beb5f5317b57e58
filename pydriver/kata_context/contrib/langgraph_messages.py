"""Messages of LangChain as messages of the log, and back, each equal to what it was."""

import base64
import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from kata_context.adapters import escape, unescape
from kata_context.contrib.langchain_messages import REFUSED
from kata_context.errors import KataError

try:
    import langchain_core.messages as messages_module
    from langchain_core.messages import BaseMessage, RemoveMessage
except ImportError as error:  # pragma: no cover
    raise KataError(
        f"LangGraph is not installed: {error}", hint="pip install 'kata-context[langgraph]'"
    ) from error

ROLES = {"HumanMessage": "user", "AIMessage": "assistant", "SystemMessage": "system", "ToolMessage": "tool"}
CLASSES = {role: name for name, role in ROLES.items()} | {"developer": "SystemMessage"}
# The log has columns for these; the rest is stored beside, in provider.
COLUMNS = frozenset(("content", "id", "name", "tool_call_id", "tool_calls", "type"))
CALL_BLOCKS = ("tool_use", "tool_call", "function_call")
TEXTS = ("text", "input_text", "output_text")
# Limits of the log: levels of JSON less those around it, bytes of names and ids, calls of a message.
DEEPEST, LONGEST, MOST = 90, 1 << 16, 1000

Json = dict[str, Any]


class NotPlainError(Exception):
    """A value is not one that JSON gives back equal."""


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON that Postgres gives back equal, its texts escaped, or raise NotPlainError."""
    if isinstance(value, str) and type(value) is str:
        return escape(value)
    if value is None or type(value) is bool:
        return value
    # Postgres writes larger floats without an exponent, and Python reads an integer then.
    if (type(value) is float and abs(value) < 1e15) or (type(value) is int and abs(value) < 1 << 1000):
        return value
    if depth < DEEPEST and type(value) is list:
        return [plain(inner, depth + 1) for inner in value]
    if depth < DEEPEST and type(value) is dict and all(type(name) is str for name in value):
        return {escape(name): plain(inner, depth + 1) for name, inner in value.items()}
    raise NotPlainError(type(value).__name__)


def to_draft(message: BaseMessage, serde: Any) -> Json:
    """Return a message of LangChain as one that kata.append takes."""
    try:
        draft = usual_draft(message)
        if fits(draft) and equal(to_message(draft, serde), message):
            return draft
    except (NotPlainError, KeyError, TypeError, ValueError):
        pass
    # Of a class, or with values, that columns do not give back: whole, as LangGraph serializes it.
    kind, data = serde.dumps_typed(message)
    role = ROLES.get(type(message).__name__, "user")
    return {
        "role": "user" if role == "tool" else role,
        "content": escape(str(message.text)),
        "provider": {"langgraph": {"whole": [kind, base64.b64encode(data).decode("ascii")]}},
    }


def fits(draft: Json) -> bool:
    """Whether the log takes the calls, parts and names of a message."""
    calls, parts = draft.get("tool_calls", ()), draft.get("parts", ())
    needed = [
        draft.get("tool_call_id", "none"),
        *(name for call in calls for name in (call["id"], call["function"]["name"])),
    ]
    names = [*needed, draft.get("name") or "", draft.get("model") or ""]
    return (
        len(calls) <= MOST
        and all(needed)
        and all(len(name.encode()) <= LONGEST for name in names)
        and not any(REFUSED.fullmatch(part["type"]) for part in parts)
        and all(isinstance(part.get("text"), str) for part in parts if part["type"] in TEXTS)
    )


def usual_draft(message: BaseMessage) -> Json:
    """Return a message of a class of LangChain in columns, or raise NotPlainError."""
    name = type(message).__name__
    if getattr(messages_module, name, None) is not type(message):
        raise NotPlainError(name)
    defaults = type(message).model_fields
    rest = {
        key: plain(value)
        for key, value in message
        if key not in COLUMNS
        and (key not in defaults or value != defaults[key].get_default(call_default_factory=True))
    }
    role = ROLES.get(name) or role_of(getattr(message, "role", None), name)
    beside: Json = {} if CLASSES[role] == name else {"class": name}
    if rest:
        beside["fields"] = rest
    draft: Json = {"role": role, **content_of(message.content, beside)}
    if message.name is not None:
        draft["name"] = plain(message.name)
    if calls := getattr(message, "tool_calls", None):
        draft["tool_calls"] = [call_of(call) for call in calls]
        if draft["content"] == "":
            draft["content"] = None
    if role == "tool":
        draft["tool_call_id"] = plain(getattr(message, "tool_call_id"))  # noqa: B009
    if isinstance(model := message.response_metadata.get("model_name"), str):
        draft["model"] = plain(model)
    beside_id(draft, beside, message.id)
    if beside:
        draft["provider"] = {"langgraph": beside}
    return draft


def role_of(given: Any, name: str) -> str:
    """Return the role in the log of a class that has one of its own, or none."""
    if name.startswith("AIMessage"):
        return "assistant"
    return {"ai": "assistant", "assistant": "assistant", "system": "system"}.get(str(given), "user")


def content_of(content: str | list[Any], beside: Json) -> Json:
    """Return content and parts; `beside` receives what they leave out of a list of blocks."""
    if isinstance(content, str):
        return {"content": plain(content)}
    parts, texts = [], []
    for place, block in enumerate(plain(content)):
        if isinstance(block, str):
            texts.append(place)
            parts.append({"type": "text", "text": block})
        elif not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise NotPlainError("block")
        elif block["type"] in CALL_BLOCKS:  # its call is a column of its own
            beside.setdefault("blocks", []).append([place, block])
        else:
            parts.append(block)
    if texts:
        beside["texts"] = texts
    if not parts:
        beside["list"] = True
        return {"content": ""}
    shown = [part["text"] for part in parts if part["type"] == "text" and isinstance(part.get("text"), str)]
    return {"content": "\n".join(shown), "parts": parts}


def call_of(call: Mapping[str, Any]) -> Json:
    """Return a call of a tool in the chat form of OpenAI."""
    if (
        set(call) != {"name", "args", "id", "type"}
        or not isinstance(call["id"], str)
        or call["type"] != "tool_call"
    ):
        raise NotPlainError("call")
    arguments = json.dumps(plain(call["args"]), ensure_ascii=False)
    return {
        "id": plain(call["id"]),
        "type": "function",
        "function": {"name": plain(call["name"]), "arguments": arguments},
    }


def beside_id(draft: Json, beside: Json, given: str | None) -> None:
    """Set the external id, which is the id of the message where it has one that can be."""
    if given is not None and 0 < len(given) <= 255 and escape(given) == given and not given.startswith("#"):
        draft["external_id"] = given
    else:
        beside["id"] = plain(given)
        draft["external_id"] = f"#{digest_of(draft, beside)}"


def digest_of(draft: Json, beside: Json | None = None) -> str:
    """Return a digest of a message that does not depend on its id, unless `beside` has it."""
    known = {
        key: value
        for key, value in draft.items()
        if key not in ("external_id", "token_count", "token_source")
    }
    if beside is not None:
        known["provider"] = beside
    elif own := known.get("provider", {}).get("langgraph"):
        known["provider"] = {key: value for key, value in own.items() if key != "id"}
        if not known["provider"]:
            del known["provider"]
    text = json.dumps(known, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def to_message(row: Json, serde: Any) -> BaseMessage:
    """Return a message of LangChain from one of the log, or from a draft."""
    beside = (row.get("provider") or {}).get("langgraph") or {}
    if whole := beside.get("whole"):
        revived: BaseMessage = serde.loads_typed((whole[0], base64.b64decode(whole[1])))
        return revived
    calls = row.get("tool_calls") or beside.get("tool_calls")
    row, beside = unescape(row), unescape(beside)
    name = beside.get("class") or CLASSES[row["role"]]
    fields: Json = dict(beside.get("fields", {}))
    fields["content"] = blocks_of(row, beside)
    fields["id"] = beside["id"] if "id" in beside else row.get("external_id")
    if row.get("name") is not None:
        fields["name"] = row["name"]
    if calls:  # escaped texts inside of JSON
        fields["tool_calls"] = [unescape(made_call(call)) for call in calls]
    if row["role"] == "tool":
        fields["tool_call_id"] = row.get("tool_call_id") or ""
    made: BaseMessage = getattr(messages_module, name)(**fields)
    return made


def blocks_of(row: Json, beside: Json) -> Any:
    """Return the content of a message of LangChain: a text, or a list of blocks."""
    parts = list(row.get("parts") or ())
    if not parts and "blocks" not in beside and "list" not in beside:
        return row.get("content") or ""
    for place, block in beside.get("blocks", ()):
        parts.insert(place, block)
    for place in beside.get("texts", ()):
        parts[place] = parts[place]["text"]
    return parts


def made_call(call: Json) -> Json:
    """Return a call of a tool as LangChain has it."""
    made = call.get("function") or {}
    try:
        arguments = json.loads(made.get("arguments") or "{}")
    except ValueError:
        arguments = {}
    return {"name": made.get("name", ""), "args": arguments, "id": call.get("id"), "type": "tool_call"}


def equal(one: BaseMessage, other: BaseMessage) -> bool:
    """Whether two messages are the same."""
    return type(one) is type(other) and bool(one == other)


def copied(message: BaseMessage) -> BaseMessage:
    """Return a copy of a message that shares nothing with it which could be changed in place."""
    made = message.model_copy()
    fields = made.__dict__
    for name, value in fields.items():
        if value.__class__ is not str and value is not None:
            fields[name] = copied_value(value)
    return made


def copied_value(value: Any) -> Any:
    """Return a copy of a value; copy.deepcopy takes ten times as long for what messages mostly have."""
    kind = value.__class__
    if kind in (str, int, float, bool) or value is None:
        return value
    if kind is dict:
        return {name: copied_value(inner) for name, inner in value.items()}
    if kind is list:
        return [copied_value(inner) for inner in value]
    return copy.deepcopy(value)


def is_list_of_messages(value: Any) -> bool:
    """Whether a value is a list of messages, and of nothing else."""
    return (
        type(value) is list
        and bool(value)
        and all(isinstance(one, BaseMessage) and not isinstance(one, RemoveMessage) for one in value)
    )
