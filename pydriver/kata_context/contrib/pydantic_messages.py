"""Messages of Pydantic AI as messages of the log, and back.

A request becomes one message per prompt and result, a response becomes one message. Text, calls and content
are those of the row, so windows, summaries, elisions and amendments work on them. All other fields are
metadata, under the key `pydantic_ai`.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
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
    from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter
except ImportError as error:
    raise KataError(
        "pydantic-ai is not installed", hint="run: pip install 'kata-context[pydantic-ai]'"
    ) from error

Fields = dict[str, Any]
OWN = "pydantic_ai"  # in the metadata of a message, and in parts: the other fields
ROLES = {
    "system-prompt": "system",
    "user-prompt": "user",
    "retry-feedback": "user",
    "retry-prompt": "user",
    "tool-return": "tool",
}


def to_kata(
    messages: Iterable[ModelMessage], thread: str | None = None, run: str | None = None
) -> list[Message]:
    """Convert messages of Pydantic AI into those of `append`; `from_kata` gives them back.

    A system prompt has an id of its text, so that `append` may skip one that is there.

    Parameters
    ----------
    thread, run : the conversation and the run that have them, kept in their metadata
    """
    drafts = [draft for message in messages for draft in _drafts(_dumped(message))]
    for draft in drafts:
        draft[OWN] |= {key: value for key, value in (("thread", thread), ("run", run)) if value}
    given = [_without(draft, "places") for draft in drafts]
    converted: list[Any] = list(from_openai(given, on_bad_text="escape"))
    for message, draft in zip(converted, drafts, strict=True):
        for call, place in zip(message.get("tool_calls") or [], draft.get("places", []), strict=True):
            if place < len(message.get("parts") or []):
                call["parts_before"] = place
    return converted


def _without(fields: Fields, *names: str) -> Fields:
    return {name: value for name, value in fields.items() if name not in names}


def _digest(*values: Any) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


def external_id(message: ModelMessage) -> str | None:
    """Return the id that the last row of a message has; None where the log has none of it."""
    drafts = _drafts(_dumped(message))
    return drafts[-1]["external_id"] if drafts else None


def _dumped(message: ModelMessage) -> Fields:
    dumped = ModelMessagesTypeAdapter.dump_python([message], mode="json", exclude_none=True, fallback=str)
    fields: Fields = dumped[0]
    return fields


def _drafts(message: Fields) -> list[Fields]:
    """Return a message as drafts in the OpenAI form."""
    if message["kind"] == "response":
        id = _digest(message.get("run_id"), message.get("timestamp"), message["parts"])
        return [_response(message) | {"external_id": id}]
    said = [part for part in message["parts"] if part["part_kind"] in ROLES]
    # Others say how instructions and tools changed, and may come later.
    others = [(place, part) for place, part in enumerate(message["parts"]) if part["part_kind"] not in ROLES]
    id, drafts = _digest(message.get("run_id"), said), [_prompt(part) for part in said]
    for number, draft in enumerate(drafts, start=1 - len(drafts)):
        is_system = draft["role"] == "system"
        draft["external_id"] = f"system-{_digest(draft['content'])}" if is_system else f"{id}{number or ''}"
        draft[OWN]["of"] = id
    if drafts:
        drafts[-1][OWN] |= {"message": _without(message, "parts", "kind"), "others": others}
    return drafts


def _prompt(part: Fields) -> Fields:
    """Return a part of a request as a draft."""
    content = part.get("content")
    own: Fields = {"part": _without(part, "content", "tool_name", "tool_call_id")}
    role = ROLES[part["part_kind"]]
    draft: Fields = {"role": role, OWN: own}
    if role == "tool" or (part["part_kind"] == "retry-prompt" and part.get("tool_name")):
        draft |= {"role": "tool", "tool_call_id": part["tool_call_id"]}
        own["tool_name"] = part["tool_name"]
    elif "tool_call_id" in part:
        own["part"]["tool_call_id"] = part["tool_call_id"]
    if isinstance(content, str):
        draft["content"] = content
    elif (
        isinstance(content, list) and (role == "user" or any(_is_file(item) for item in content)) and content
    ):
        draft["content"] = [_part(item) for item in content]
    elif _is_file(content):
        draft["content"] = [_part(content)]
        own["form"] = "one"
    else:
        draft["content"] = json.dumps(content, ensure_ascii=False)
        own["form"] = "json"
    return draft


def _is_file(item: Any) -> bool:
    return isinstance(item, dict) and (item.get("kind") == "binary" or str(item.get("kind")).endswith("-url"))


def _part(item: Any) -> Fields:
    """Return an item of content as a part, with the fields that are not in it under OWN."""
    if isinstance(item, str):
        return {"type": "text", "text": item}
    kind = item.get("kind") if isinstance(item, dict) else None
    if kind == "binary":
        media_type = str(item["media_type"])
        form = "image" if media_type.startswith("image/") else "document"
        if form == "image" or media_type == "application/pdf":
            source = {"type": "base64", "media_type": media_type, "data": item["data"]}
            return {"type": form, "source": source, OWN: _without(item, "data")}
        return {"type": "file", "data": item["data"], OWN: _without(item, "data")}
    if kind == "image-url":
        return {"type": "image_url", "image_url": {"url": item["url"]}, OWN: _without(item, "url")}
    if kind == "document-url":
        source = {"type": "url", "url": item["url"]}
        return {"type": "document", "source": source, OWN: _without(item, "url")}
    return {"type": OWN, "item": item}


def _item(part: Fields) -> Any:
    """Return a part as the item of content that it came from."""
    if part["type"] == "text" and OWN not in part:
        return part["text"]
    if OWN in part:
        where = part.get("image_url") or part.get("source") or part
        return part[OWN] | {key: where[key] for key in ("data", "url") if key in where}
    # Other clients have other parts.
    return part["item"] if part["type"] == OWN else json.dumps(part, ensure_ascii=False)


def _response(message: Fields) -> Fields:
    parts: list[Fields] = []
    calls: list[Fields] = []
    others: Fields = {}
    places: list[int] = []
    for part in message["parts"]:
        kind, rest = part["part_kind"], _without(part, "content", "part_kind")
        if kind == "tool-call":
            arguments = part.get("args")
            text = (
                arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
            )
            function = {"name": part["tool_name"], "arguments": text}
            calls.append({"id": part["tool_call_id"], "function": function})
            others[part["tool_call_id"]] = _without(part, "args", "tool_name", "tool_call_id") | (
                {"form": "text"} if isinstance(arguments, str) else {} if arguments else {"args": arguments}
            )
            places.append(len(parts))
        elif kind == "text":
            parts.append({"type": "text", "text": part["content"]} | ({OWN: rest} if rest else {}))
        elif kind == "thinking":
            signed = {"signature": part["signature"]} if part.get("provider_name") == "anthropic" else {}
            rest = _without(rest, *signed)
            parts.append({"type": "thinking", "thinking": part["content"], OWN: rest} | signed)
        else:
            parts.append({"type": OWN, "item": part})
    own = {"message": _without(message, "parts", "kind"), "calls": others}
    is_plain = len(parts) == 1 and parts[0].keys() == {"type", "text"}
    return {
        "role": "assistant",
        "content": parts[0]["text"] if is_plain else parts,
        "tool_calls": calls,
        "places": places,
        "model": message.get("model_name"),
        OWN: own,
    }


def from_kata(rows: Iterable[WindowRow | MessageRow]) -> list[ModelMessage]:
    """Convert rows of a window or a log into messages of Pydantic AI, as a model takes them.

    Results follow their call, a call without one is closed with "[no result]", and a result without a call
    is a prompt of the user.
    """
    messages: list[Fields] = []
    for row, calls in with_answers(rows):
        if row.role != "assistant" or row.kind == "summary":
            _add(messages, row, _request_part(row, is_orphan=row.role == "tool"))
            continue
        if not messages:
            messages.append({"kind": "request", "parts": [_user_prompt(BEGINNING)]})
        messages.append(_response_of(row))
        for call, answer in calls:
            _add(messages, answer or row, _request_part(answer) if answer else _closing(call))
    for message in messages:
        for place, part in message.pop("others", []):
            message["parts"].insert(place, part)
    validated: list[ModelMessage] = ModelMessagesTypeAdapter.validate_json(json.dumps(unescape(messages)))
    return validated


def _user_prompt(text: str) -> Fields:
    return {"part_kind": "user-prompt", "content": text}


def _add(messages: list[Fields], row: Any, part: Fields) -> None:
    """Add a part to the request that it came in, or else to one of its own."""
    own = (row.metadata or {}).get(OWN, {}) if row.role != "assistant" else {}
    of = own.get("of")
    if not messages or messages[-1]["kind"] != "request" or messages[-1].get("of") != of or of is None:
        messages.append({"kind": "request", "parts": [], "of": of})
    messages[-1]["parts"].append(part)
    messages[-1] |= own.get("message", {}) | {name: own[name] for name in ("others",) if name in own}


def _closing(call: Fields) -> Fields:
    tool = {"tool_name": body_of(call)[0], "tool_call_id": call["id"]}
    return {"part_kind": "tool-return", "content": NO_RESULT} | tool


def _request_part(row: Any, is_orphan: bool = False) -> Fields:
    own = (row.metadata or {}).get(OWN, {})
    content: Any = row.content or ""
    if row.kind == "summary" and row.role in ("user", "assistant"):
        return _user_prompt(SUMMARY + content)
    if is_orphan:
        return _user_prompt(orphan_text(row))
    if row.parts is not None:
        items = [_item(part) for part in row.parts]
        content = items[0] if own.get("form") == "one" else items
    elif own.get("form") == "json":
        with suppress(ValueError):  # it was shortened or amended
            content = json.loads(content)
    defaults = {"system": "system-prompt", "developer": "system-prompt", "tool": "tool-return"}
    part: Fields = (
        {"part_kind": defaults.get(row.role, "user-prompt")} | own.get("part", {}) | {"content": content}
    )
    if row.role == "tool":
        part |= {
            "tool_name": own.get("tool_name") or row.tool_name or "tool",
            "tool_call_id": row.tool_call_id,
        }
    return part


def _response_of(row: Any) -> Fields:
    own = (row.metadata or {}).get(OWN, {})
    texts = [{"type": "text", "text": row.content}] if row.content and row.parts is None else []
    parts: list[Fields] = []
    waiting = list(row.tool_calls or [])
    given = [*(row.parts or texts), None]
    for place, part in enumerate(given):
        while waiting and (part is None or waiting[0].get("parts_before", len(given)) <= place):
            parts.append(_call(waiting[0], own.get("calls", {}).get(waiting.pop(0)["id"], {})))
        if part is None:
            continue
        rest = part.get(OWN, {})
        if part["type"] == "thinking":
            signed = {"signature": part["signature"]} if "signature" in part else {}
            parts.append({"part_kind": "thinking", "content": part["thinking"]} | signed | rest)
        elif part["type"] == OWN:
            parts.append(part["item"])
        else:
            text = part["text"] if "text" in part else json.dumps(part, ensure_ascii=False)
            parts.append({"part_kind": "text", "content": text} | rest)
    response: Fields = {"kind": "response", "parts": parts} | own.get("message", {})
    return response


def _call(call: Fields, rest: Fields) -> Fields:
    name, arguments = body_of(call)
    if rest.get("form") == "text":
        arguments = call["function"]["arguments"]
    part = {"part_kind": "tool-call", "tool_name": name, "tool_call_id": call["id"]}
    return part | {"args": arguments} | _without(rest, "form")
