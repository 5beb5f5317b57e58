"""Items of the Responses form as messages, and back: each item as it was, once.

    context.append(to_kata(items))
    from_kata(context.messages())

A message holds what a model sees of its items. The metadata keep what it lacks, such as an explicit null,
under `OWN`; most items need nothing there. So words are stored once, and a shortened or
amended message gives items with the words that a model sees.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, TypeAlias, cast

from kata_context import MessageRow, WindowRow
from kata_context.adapters import from_responses, unescape
from kata_context.contrib.escaping import escaped
from kata_context.types import Message

Item: TypeAlias = dict[str, Any]
Row: TypeAlias = MessageRow | WindowRow

OWN = "openai_agents"  # key of the metadata
LONGEST = 100  # items of one message: one that is popped has the others written again
APPENDED = ("external_id", "occurred_at", "pinned", "token_count")  # from_responses would take them out
CONTENT = ("output_text", "refusal", "input_text", "input_image", "input_file", "text", "summary_text")
# Characters that Postgres does not store, as json.dumps writes them, and the one that escapes them.
BAD = re.compile("\\\\u0000|[\ud800-\udfff\u241a]")


def to_kata(items: Iterable[Item]) -> list[Message]:
    """Convert items of a session.

    Neighboring items of the assistant are one message: parallel calls, and the reasoning before them.

    Raises
    ------
    TypeError, ValueError : an item is not JSON
    """
    given = json.loads(json.dumps(list(items)))
    return [message for run in _runs(given) for message in _converted(run)]


def from_kata(rows: Iterable[Row]) -> list[Item]:
    """Convert rows of `messages` and `window`; a summary is a message of its role."""
    return [item for row in rows for item in items_of(row)]


def items_of(row: Row) -> list[Item]:
    """Return the items of one row."""
    items = _rebuilt(row.role, row.content, row.parts, row.tool_calls, row.tool_call_id, row.provider)
    own = row.metadata.get(OWN) if isinstance(row.metadata, dict) else None
    if not isinstance(own, dict):
        return items
    fits = own.get("items", [{}] * len(items))
    if row.kind != "message":
        # Other words than those that were kept beside it: the form stays.
        fits = [{k: v for k, v in fit.items() if k != "set"} for fit in fits]
    elif len(fits) != len(items):
        items = [{}] * len(fits)
    if len(fits) == len(items):
        items = [_fitted(item, fit) for item, fit in zip(items, fits, strict=True)]
    return cast("list[Item]", unescape(items)) if own.get("escaped") else items


def rename_open(messages: list[Message], open_calls: Iterable[str]) -> list[Message]:
    """Give calls whose id is open another id; their items keep the one that they have."""
    taken, renamed = set(open_calls), []
    for message in messages:
        taken.discard(message.get("tool_call_id") or "")
        calls = []
        for call in message.get("tool_calls") or []:
            number, id = 2, call["id"]
            while id in taken:
                id, number = f"{call['id']}_{number}", number + 1
            taken.add(id)
            calls.append({**call, "id": id})
        if calls and calls != message["tool_calls"]:
            items = items_of(_row(message))
            is_escaped = bool((message.get("metadata") or {}).get(OWN, {}).get("escaped"))
            message = cast("Message", {**message, "tool_calls": calls})
            _note(cast("Item", message), items, is_escaped)
        renamed.append(message)
    return renamed


def _runs(items: list[Item]) -> Iterable[list[Item]]:
    """Yield the items of each message."""
    run: list[Item] = []
    for item in items:
        is_assistants = isinstance(item, dict) and (
            item["role"] == "assistant"
            if item.get("type") in (None, "message") and "role" in item
            else item.get("type") != "mcp_approval_response" and not str(item.get("type")).endswith("_output")
        )
        if run and (not is_assistants or len(run) == LONGEST):
            yield run
            run = []
        if is_assistants:
            run.append(item)
        else:
            yield [item]
    if run:
        yield run


def _converted(run: list[Item]) -> Iterable[Message]:
    """Return the message of a run; more than one if from_responses tells its items apart."""
    shown = [
        {k: v for k, v in item.items() if k not in APPENDED} if isinstance(item, dict) else item
        for item in run
    ]
    is_escaped = bool(BAD.search(json.dumps(run, ensure_ascii=False)))
    messages = cast("list[Item]", from_responses(shown, on_bad_text="escape" if is_escaped else "refuse"))
    if len(run) > 1 and len(messages) != 1:
        return [message for item in run for message in _converted([item])]
    message = messages[0] if messages else {"role": "assistant", "content": ""}
    message.pop("metadata", None)
    _note(message, run, is_escaped)
    return [cast("Message", message)]


def _note(message: Item, items: list[Item], is_escaped: bool) -> None:
    """Keep in the metadata of a message what makes its items what they were."""
    message.pop("metadata", None)
    row = _row(message)
    rebuilt = _rebuilt(row.role, row.content, row.parts, row.tool_calls, row.tool_call_id, row.provider)
    wanted = cast("list[Item]", escaped(items)) if is_escaped else items
    if len(rebuilt) != len(wanted):
        rebuilt = [{}] * len(wanted)
    fits = [_fit(before, after) for before, after in zip(rebuilt, wanted, strict=True)]
    own: Item = {"items": fits} if any(fits) else {}
    if is_escaped:
        own["escaped"] = True
    if own:
        message["metadata"] = {OWN: own}


def _fit(rebuilt: Item, wanted: Item) -> Item:
    """Return what makes one item the other."""
    fit: Item = {}
    if "role" in rebuilt and "role" in wanted:
        if ("type" in wanted) != ("type" in rebuilt):
            fit["typed"] = "type" in wanted
        if isinstance(wanted.get("content"), list) != isinstance(rebuilt["content"], list):
            fit["listed"] = isinstance(wanted.get("content"), list)
    rebuilt = _fitted(rebuilt, fit)
    changed = {k: v for k, v in wanted.items() if k not in rebuilt or _differs(rebuilt[k], v)}
    left_out = [k for k in rebuilt if k not in wanted]
    return fit | ({"set": changed} if changed else {}) | ({"drop": left_out} if left_out else {})


def _differs(one: Any, other: Any) -> bool:
    """Whether two values are different JSON: True is not 1."""
    return json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True)


def _fitted(item: Item, fit: Item) -> Item:
    item = dict(item)
    if "typed" in fit:
        item.pop("type", None)
        item |= {"type": "message"} if fit["typed"] else {}
    if fit.get("listed") and isinstance(item["content"], str):
        kind = "output_text" if item["role"] == "assistant" else "input_text"
        item["content"] = [{"type": kind, "text": item["content"]}]
    return {k: v for k, v in (item | fit.get("set", {})).items() if k not in fit.get("drop", ())}


def _rebuilt(
    role: str, content: str | None, parts: Any, calls: Any, call_id: str | None, provider: Any
) -> list[Item]:
    """Return the items that a message has without what its metadata keep."""
    provider = provider or {}
    if role == "assistant":
        return _assistants(content, parts or [], calls or [])
    if role == "tool":
        output = parts or (json.loads(content or "null") if provider.get("output_is_json") else content)
        own = {k: v for k, v in provider.items() if k != "output_is_json"}
        return [{"type": "function_call_output", "call_id": call_id, "output": output} | own]
    if parts and parts[0].get("type") == "mcp_approval_response":
        return list(parts)
    return [{"role": role, "content": parts or content} | provider]


def _assistants(content: str | None, parts: list[Item], calls: list[Item]) -> list[Item]:
    items: list[Item] = []
    if not parts and (content or not calls):
        items.append({"role": "assistant", "content": content})
    message: Item | None = None
    for place, part in enumerate(parts):
        before = [call for call in calls if call.get("parts_before") == place]
        items += map(_call, before)
        if before:
            message = None
        if "item" in part or (part.get("type") in CONTENT and message is None):
            message = {"type": "message", "role": "assistant", "content": []} | part.get("item", {})
            items.append(message)
        elif part.get("type") not in CONTENT:
            message = None
        if message is None:
            items.append(part)
        else:
            message["content"].append({k: v for k, v in part.items() if k != "item"})
    last = [call for call in calls if call.get("parts_before") is None or call["parts_before"] >= len(parts)]
    return [*items, *map(_call, last)]


def _call(call: Item) -> Item:
    own = call.get("responses", {})
    if call.get("type") == "custom":
        return {"type": "custom_tool_call", "call_id": call["id"], **call["custom"], **own}
    function = call["function"]
    if "type" not in own:
        return {"type": "function_call", "call_id": call["id"], **function, **own}
    try:
        asked = json.loads(function["arguments"])
    except ValueError:
        asked = None
    return {"call_id": call["id"], **(asked if isinstance(asked, dict) else {}), **own}


class _Shown:
    """A message of `append` as a row."""

    kind = "message"

    def __init__(self, message: Item) -> None:
        self.role = message["role"]
        self.content = message.get("content")
        self.parts = message.get("parts")
        self.tool_calls = message.get("tool_calls")
        self.tool_call_id = message.get("tool_call_id")
        self.provider = message.get("provider")
        self.metadata = message.get("metadata")


def _row(message: Any) -> Any:
    return _Shown(message)
