"""Items of the OpenAI Responses form."""

from collections.abc import Iterable
from typing import Any, cast

from kata_context.adapters.reading import (
    APPENDED,
    Call,
    CallIds,
    Fields,
    OnBadText,
    Reader,
    add_fields,
    as_text,
    assistant_message,
    call_of,
    message_of,
    parts_of,
    refuses_depth,
    rest,
)
from kata_context.types import Message

# Calls whose results are items of their own, and what they ask for.
_CALLS = {
    "function_call": ("name", "arguments"),
    "custom_tool_call": ("name", "input"),
    "computer_call": ("action", "actions"),
    "local_shell_call": ("action",),
    "shell_call": ("action", "environment"),
    "apply_patch_call": ("operation",),
}
_RESULTS = {f"{kind}_output": kind for kind in _CALLS} | {"custom_tool_call_output": "custom_tool_call"}


@refuses_depth
def from_responses(
    items: str | Iterable[Any], instructions: str | None = None, *, on_bad_text: OnBadText = "refuse"
) -> list[Message]:
    """Convert items of the OpenAI Responses form.

    Neighboring items of the assistant become one message, so that reasoning stays with what it led to.

    Parameters
    ----------
    items : what the Responses API takes: a text, or mappings, models of its package, and whole answers
    instructions : the instructions, None for none
    on_bad_text : escape what Postgres does not store (NUL, lone surrogates), or let `append` refuse it

    Raises
    ------
    KataError : an item is not an object, or its content is neither text nor parts
    """
    reader, ids = Reader(on_bad_text), CallIds()
    converted: list[Fields] = []
    if instructions:
        converted.append({"role": "system", "content": reader.json(instructions, "instructions")})
    turn = _Turn(ids)
    given = [{"role": "user", "content": items}] if isinstance(items, str) else items
    for where, item in reader.messages(given):
        if isinstance(item.get("output"), list) and item.get("object") == "response":
            converted += turn.ended()
            for place, inner in enumerate(item["output"]):
                turn.add(inner, f"{where}, output[{place}]")
            turn.metadata, turn.items = rest(item, ("object", "output", "instructions", "tools")), 1
            converted += turn.ended()
        elif _is_assistants(item):
            turn.add(item, where)
        else:
            converted += [*turn.ended(), _message(item, where, ids)]
    return cast("list[Message]", [*converted, *turn.ended()])


def _is_assistants(item: Fields) -> bool:
    if item.get("type") in (None, "message") and "role" in item:
        return bool(item["role"] == "assistant")
    return item.get("type") not in _RESULTS and item.get("type") != "mcp_approval_response"


class _Turn:
    """Neighboring items of the assistant."""

    def __init__(self, ids: CallIds) -> None:
        self._ids = ids
        self._clear()

    def _clear(self) -> None:
        self._parts: list[Fields] = []
        self._calls: list[Call] = []
        self.metadata: Fields = {}
        self.items = 0

    def add(self, item: Fields, where: str) -> None:
        """Add an item."""
        self.items += 1
        self.metadata = {name: item[name] for name in APPENDED if name in item} | self.metadata
        item = rest(item, APPENDED)
        kind = item.get("type") or ("message" if "role" in item else "item_reference")
        if kind == "message":
            parts = [dict(part) for part in parts_of(item.get("content"), where, "output_text")]
            own = {name: item[name] for name in ("id", "status", "phase") if item.get(name) is not None}
            # A message of nothing but one text is content where the item has no fields of its own.
            if parts and (own or self._parts or len(parts) > 1):
                parts[0]["item"] = own
            self._parts += parts
            self.metadata |= rest(item, ("type", "role", "content", *own))
        elif kind in _CALLS:
            self._calls.append(_call(kind, item, len(self._parts)))
        else:
            self._parts.append(item | {"type": kind})

    def ended(self) -> list[Fields]:
        """Return the message of the items, if there are any, and begin anew."""
        if not self._parts and not self._calls:
            return []
        message = assistant_message(self._parts, self._calls, self._ids, "output_text")
        # The token count of one item is not that of the message.
        add_fields(message, metadata=rest(self.metadata, ["token_count"] if self.items > 1 else []))
        self._clear()
        return [message]


def _call(kind: str, item: Fields, place: int) -> Call:
    id = item.get("call_id") or item.get("id") or ""
    asked = {name: item[name] for name in _CALLS[kind] if name in item}
    other = rest(item, ("type", "call_id", *asked))
    if kind == "function_call":
        call = call_of(item.get("name"), item.get("arguments"))
    elif kind == "custom_tool_call":
        call = {"type": "custom", "custom": asked}
    else:
        call = call_of(kind, asked)
        other["type"] = kind
    return Call(id, "call", call | ({"responses": other} if other else {}), place)


def _message(item: Fields, where: str, ids: CallIds) -> Fields:
    """Return the message of an item that is not the assistant's."""
    kind = item.get("type")
    if kind == "mcp_approval_response":
        return {"role": "user", "parts": [item]}
    if kind not in _RESULTS:
        message = message_of(
            str(item["role"]), parts_of(item.get("content"), where, "input_text"), "input_text"
        )
        return add_fields(
            message,
            provider={name: item[name] for name in ("id", "status", "phase") if item.get(name) is not None},
            metadata=rest(item, ("type", "role", "content", "id", "status", "phase")),
        )
    output = item.get("output")
    known = ["type", "call_id", "output", *APPENDED]
    id = item.get("call_id")
    if not id:  # a local shell's
        id = item.get("id") or ""
        known.append("id")
    is_native = _RESULTS[kind] not in ("function_call", "custom_tool_call")
    own: Fields = {"type": kind} if is_native else {}
    if output is None or isinstance(output, str) or (not is_native and isinstance(output, list)):
        message = message_of("tool", parts_of(output, where, "input_text"), "input_text")
    else:
        message = {"role": "tool", "content": as_text(output)}
        own["output_is_json"] = True
    message["tool_call_id"] = ids.name_result(id, "call")
    metadata = {name: item[name] for name in APPENDED if name in item}
    return add_fields(message, provider=rest(item, known) | own, metadata=metadata)
