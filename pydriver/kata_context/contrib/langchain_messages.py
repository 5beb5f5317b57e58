"""Messages of LangChain as messages of the log, and back.

Text, calls and parts are those of the row, so windows, summaries, elisions and amendments work on them. All
other fields are metadata, under the key `langchain`.
"""

import json
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from kata_context import MessageRow, WindowRow
from kata_context.adapters import from_openai, unescape
from kata_context.contrib.following import (
    BEGINNING,
    NO_RESULT,
    SUMMARY,
    body_of,
    orphan_text,
    with_answers,
)
from kata_context.errors import KataError
from kata_context.types import Message

try:
    from langchain_core.messages import (
        AIMessage,
        BaseMessage,
        BaseMessageChunk,
        ChatMessage,
        HumanMessage,
        SystemMessage,
        ToolMessage,
        message_chunk_to_message,
    )
except ImportError as error:
    raise KataError(
        "langchain-core is not installed", hint="run: pip install 'kata-context[langchain]'"
    ) from error

Fields = dict[str, Any]
# Types that `append` takes for calls and results, which are not parts.
REFUSED = re.compile(
    "tool[-_](use|call|result)|function_response"
    "|(function|custom_tool|computer|local_shell|shell|apply_patch)_call(_output)?"
)
OWN = "langchain"  # in the metadata of a message: its other fields
LONGEST = 255  # characters of an external id
ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
CLASSES = {"user": HumanMessage, "assistant": AIMessage, "system": SystemMessage, "developer": SystemMessage}
# Blocks of content that are a call, and where they have its arguments.
CALLS = {
    "tool_use": "input",
    "function_call": "arguments",
    "tool_call": "args",
    "custom_tool_call": "input",
}


def external_id(message: BaseMessage) -> str:
    """Return the id of a message as the log has it: a long one as its digest."""
    id = str(message.id)
    return id if len(id) <= LONGEST else sha256(id.encode()).hexdigest()


def to_kata(
    messages: Iterable[BaseMessage], thread: str | None = None, run: str | None = None
) -> list[Message]:
    """Convert messages of LangChain into those of `append`; `from_kata` gives them back.

    Parameters
    ----------
    thread, run : of the agent whose state has them, kept in their metadata
    """
    whole = [message_chunk_to_message(m) if isinstance(m, BaseMessageChunk) else m for m in messages]
    given = [_given(message, {"thread": thread, "run": run}) for message in whole]
    converted: list[Any] = list(from_openai([fields for fields, _ in given], on_bad_text="escape"))
    for message, (_, before) in zip(converted, given, strict=True):
        for call, place in zip(message.get("tool_calls") or [], before, strict=True):
            if place is not None and place < len(message.get("parts") or []):
                call["parts_before"] = place
    return converted


def _given(message: BaseMessage, beside: Fields) -> tuple[Fields, list[int | None]]:
    """Return a message in the OpenAI form, and how many parts stand before each call, if content says so."""
    is_chat = isinstance(message, ChatMessage) and message.role in ROLES.values()
    role = message.role if is_chat else ROLES.get(message.type, "user")
    calls = [(call, False) for call in getattr(message, "tool_calls", [])]
    calls += [(call, True) for call in getattr(message, "invalid_tool_calls", []) if call.get("id")]
    given: Fields = {
        "role": role,
        "external_id": external_id(message) if message.id else None,
        "name": message.name,
        "tool_call_id": getattr(message, "tool_call_id", None),
        "tool_calls": [
            {"id": call["id"], "function": {"name": call.get("name") or "unknown", "arguments": call["args"]}}
            for call, _ in calls
        ],
        "model": message.response_metadata.get("model_name"),
    }
    before: dict[str, int] = {}
    blocks: Fields = {}
    given["content"] = message.content
    if not isinstance(message.content, str):
        given["content"], blocks, before = _parts(message.content, [call["id"] for call, _ in calls])
    kept = beside | {
        "type": message.type,
        "invalid": {call["id"]: call for call, is_invalid in calls if is_invalid},
        "blocks": blocks,
    }
    given[OWN] = _other_fields(message) | {key: value for key, value in kept.items() if value}
    return given, [before.get(call["id"]) for call, _ in calls]


def _other_fields(message: BaseMessage) -> Fields:
    """Return the fields of a message that the log has no column for; what JSON does not have, as text."""
    known = {"content", "type", "name", "tool_call_id", "tool_calls", "invalid_tool_calls"}
    values = message.model_dump(exclude=known, exclude_defaults=True)
    if unanswerable := [call for call in getattr(message, "invalid_tool_calls", []) if not call.get("id")]:
        values["invalid_tool_calls"] = unanswerable
    text = json.dumps(values, default=str, skipkeys=True)
    fields: Fields = json.loads(text, parse_constant=lambda _: None)
    return fields


def _parts(content: list[Any], ids: list[str]) -> tuple[list[Fields], Fields, dict[str, int]]:
    """Return content without its calls; the blocks of those by id; how many parts stand before each."""
    parts: list[Fields] = []
    blocks: Fields = {}
    before: dict[str, int] = {}
    for block in content:
        if isinstance(block, str):
            parts.append({"type": "text", "text": block})
            continue
        kind = block.get("type")
        id = block.get("call_id") or block.get("id")
        if kind in CALLS and id in ids:
            before[id] = len(parts)
            # The arguments are the call's, unless a stream left them in pieces.
            parsed = isinstance(block.get(CALLS[kind]), dict)
            blocks[id] = {key: value for key, value in block.items() if not parsed or key != CALLS[kind]}
        elif isinstance(kind, str) and not REFUSED.fullmatch(kind):
            parts.append(_medium(block))
        else:
            parts.append({"type": OWN, "block": block})
    return parts, blocks, before


def _medium(block: Fields) -> Fields:
    """Return a standard block of an image or a file as a part that prompts translate; any other as it is."""
    form = {"image": "image", "file": "document"}.get(block["type"])
    where = next((key for key in ("base64", "url") if isinstance(block.get(key), str)), None)
    if form is None or where is None:
        return block
    source = {"type": where, "url": block[where]}
    if where == "base64":
        source = {"type": where, "media_type": block.get("mime_type"), "data": block[where]}
    return {"type": form, "source": source, OWN: {k: v for k, v in block.items() if k != where}}


def _block(part: Fields) -> Fields:
    """Return the block of content that a part came from."""
    if part["type"] == OWN:
        block: Fields = part["block"]
        return block
    if OWN not in part:
        return part
    kind = part["source"]["type"]
    return {**part[OWN], kind: part["source"]["data" if kind == "base64" else "url"]}


def from_kata(rows: Iterable[WindowRow | MessageRow]) -> list[BaseMessage]:
    """Convert rows of a window or a log into messages of LangChain, as a model takes them.

    Results follow their call, a call without one is closed with "[no result]", and a result without a call
    is text of the user.
    """
    messages: list[BaseMessage] = []
    for row, calls in with_answers(rows):
        if row.role == "tool":
            messages.append(HumanMessage(unescape(orphan_text(row))))
        elif row.content or row.parts or calls or row.role not in ("user", "assistant"):
            messages.append(_message(row))
        for call, answer in calls:
            messages.append(_message(answer) if answer else ToolMessage(NO_RESULT, tool_call_id=call["id"]))
    start = next((n for n, message in enumerate(messages) if not isinstance(message, SystemMessage)), 0)
    if messages and not isinstance(messages[start], (HumanMessage, SystemMessage)):
        messages.insert(start, HumanMessage(BEGINNING))
    return messages


def _message(row: WindowRow | MessageRow) -> BaseMessage:
    """Return the message of a row: words and calls are the row's, so amended and elided ones are."""
    own = dict(unescape((row.metadata or {}).get(OWN) or {}))
    kind = own.pop("type", None)
    for key in ("thread", "run"):
        own.pop(key, None)
    invalid, blocks = own.pop("invalid", {}), own.pop("blocks", {})
    calls: list[Fields] = row.tool_calls or []
    content: Any = row.content or ""
    if row.kind == "summary" and row.role in ("user", "assistant"):
        content = f"{SUMMARY}{content}"
    if row.parts is not None or blocks:
        content = _content(row.parts or [], calls, blocks)
    fields: Fields = own | {"content": unescape(content), "name": unescape(row.name)}
    if row.role == "tool":
        return ToolMessage(**fields, tool_call_id=row.tool_call_id)
    if row.role == "assistant" and kind != "chat":
        bad = own.get("invalid_tool_calls", [])
        fields["invalid_tool_calls"] = [invalid[call["id"]] for call in calls if call["id"] in invalid] + bad
        fields["tool_calls"] = [_call(call) for call in calls if call["id"] not in invalid]
        return AIMessage(**fields)
    return ChatMessage(**fields) if kind == "chat" else CLASSES[row.role](**fields)


def _call(call: Fields) -> Fields:
    name, arguments = body_of(call)
    return {**unescape({"name": name, "args": arguments, "id": call["id"]}), "type": "tool_call"}


def _content(parts: list[Fields], calls: list[Fields], blocks: Fields) -> list[Fields]:
    """Return parts with the blocks of calls where they stood."""
    content: list[Fields] = []
    waiting = [call for call in calls if call["id"] in blocks]
    for place, part in enumerate([*parts, None]):
        while waiting and (part is None or waiting[0].get("parts_before", len(parts)) <= place):
            call = waiting.pop(0)
            block = blocks[call["id"]]
            key = CALLS[block["type"]]
            content.append(block if key in block else {**block, key: _call(call)["args"]})
        if part is not None:
            content.append(_block(part))
    return content
