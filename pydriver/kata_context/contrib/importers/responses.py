"""Items of the OpenAI Responses API, and rollouts of Codex, which record them one per line."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from kata_context.adapters import from_responses
from kata_context.contrib.importers.conversation import (
    MALFORMED,
    Conversation,
    Entry,
    Source,
    moment,
    reason,
)
from kata_context.contrib.importers.flat import each, flat
from kata_context.types import Message

ITEMS = {
    "message", "reasoning", "function_call", "function_call_output", "custom_tool_call",
    "custom_tool_call_output", "local_shell_call", "local_shell_call_output", "web_search_call",
    "file_search_call", "computer_call", "computer_call_output", "code_interpreter_call",
    "image_generation_call", "mcp_call", "mcp_list_tools", "item_reference",
}  # fmt: skip


class Responses:
    """Reads objects with input and output, and lists of items."""

    name = "responses"

    def recognizes(self, source: Source) -> bool:
        """Whether the file has items, or objects that hold them."""
        first = source.head[0] if source.head else {}
        if isinstance(first.get("input"), (str, list)) or first.get("object") == "response":
            return True
        return any(str(one.get("type")) in ITEMS - {"message"} for one in source.head)

    def read(self, source: Source) -> Iterator[Conversation]:
        """Yield each conversation."""
        return each(source, _conversation)


class Codex:
    """Reads rollouts; events repeat the items, and only those say that a turn was aborted or compacted."""

    name = "codex"

    def recognizes(self, source: Source) -> bool:
        """Whether lines have a type and a payload."""
        return any(
            one.get("type") in ("session_meta", "response_item", "event_msg") and "payload" in one
            for one in source.head
        )

    def read(self, source: Source) -> Iterator[Conversation]:
        """Yield the session."""
        rollout = _Rollout(Conversation(source.name))
        for place, record in source.lines():
            rollout.add(place, record)
        rollout.end()
        yield rollout.conversation


def _conversation(name: str, place: str, document: Any) -> Conversation:
    if not isinstance(document, dict):
        return flat(name, place, document, convert, {})
    given = document.get("input", [])
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    output = document.get("output") or (document.get("response") or {}).get("output") or []
    metadata = {k: v for k, v in document.items() if k not in ("input", "output", "instructions")}
    read = partial(convert, instructions=document.get("instructions"))
    return flat(name, place, [*items, *output] if isinstance(items, list) else None, read, metadata)


def convert(items: list[Any], instructions: str | None = None) -> list[Message]:
    """Convert items, texts that Postgres does not store escaped."""
    return from_responses(items, instructions, on_bad_text="escape")


class _Rollout:
    """The records of a rollout; items of one answer are collected until something else comes."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.model: str | None = None
        self.answer: list[tuple[str, dict[str, Any]]] = []

    def add(self, place: str, record: Any) -> None:
        """Take a record, or count it as skipped."""
        if isinstance(record, ValueError):
            self.conversation.wrong.append((place, reason(record)))
            return
        payload = record.get("payload") if isinstance(record, dict) else None
        if not isinstance(payload, dict):
            self.conversation.skipped["no payload"] += 1
            return
        kind = str(record.get("type"))
        if kind == "response_item":
            self.item(place, payload, record.get("timestamp"))
        elif kind == "compacted":
            self.end()
            self.enter(Entry(place, self.conversation.leaf, summary=str(payload.get("message") or "")))
        elif kind == "session_meta":
            self.begin(place, payload, record.get("timestamp"))
        else:
            if kind == "turn_context" and isinstance(payload.get("model"), str):
                self.model = payload["model"]
            inner = payload.get("type") if kind == "event_msg" else None
            self.conversation.skipped[f"{kind} {inner}" if inner else kind] += 1

    def begin(self, place: str, payload: dict[str, Any], at: str | None) -> None:
        """Take what the session says of itself; its instructions are the system prompt."""
        instructions = payload.pop("instructions", None)
        if isinstance(payload.get("id"), str):
            self.conversation.name = payload["id"]
        self.conversation.metadata = payload
        if isinstance(instructions, str) and instructions and not self.conversation.entries:
            self.messages(place, [{"role": "system", "content": instructions}], at, 1)
        else:
            self.conversation.skipped["session_meta"] += 1

    def item(self, place: str, item: dict[str, Any], at: str | None) -> None:
        """Collect an item of an answer; write any other."""
        item = item | ({"occurred_at": at} if at else {})
        kind, role = item.get("type"), item.get("role")
        if (kind == "message" and role != "assistant") or str(kind).endswith("_output"):
            self.end()
            self.messages(place, [item], at, 1)
        else:
            self.answer.append((place, item))

    def end(self) -> None:
        """Write the answer that was collected."""
        answer, self.answer = self.answer, []
        if answer:
            place, first = answer[0]
            self.messages(place, [item for _, item in answer], first.get("occurred_at"), len(answer))

    def messages(self, place: str, items: list[dict[str, Any]], at: str | None, records: int) -> None:
        try:
            messages = convert(items)
            if at is not None:
                moment(at)
        except MALFORMED as error:
            self.conversation.wrong += [(place, reason(error))] * records
            return
        for message in messages:
            if self.model and message["role"] == "assistant":
                message["model"] = self.model
        self.enter(Entry(place, self.conversation.leaf, messages, records=records))

    def enter(self, entry: Entry) -> None:
        self.conversation.entries.append(entry)
        self.conversation.leaf = entry.id
