"""Contents of the Gemini API, and sessions of the Agent Development Kit, whose events hold them."""

from collections.abc import Iterator
from datetime import datetime, timezone
from functools import partial
from typing import Any

from kata_context.adapters import from_gemini
from kata_context.contrib.importers.conversation import Conversation, Source
from kata_context.contrib.importers.flat import each, flat


class Gemini:
    """Reads objects with contents, and lists of contents."""

    name = "gemini"

    def recognizes(self, source: Source) -> bool:
        """Whether objects have contents, or are contents."""
        first = source.head[0] if source.head else {}
        return isinstance(first.get("contents"), list) or (
            "role" in first and isinstance(first.get("parts"), list)
        )

    def read(self, source: Source) -> Iterator[Conversation]:
        """Yield each conversation."""
        return each(source, _conversation)


class AdkSessions:
    """Reads sessions; an event without content is one of the state, and is skipped."""

    name = "adk"

    def recognizes(self, source: Source) -> bool:
        """Whether objects have events of an app."""
        first = source.head[0] if source.head else {}
        return isinstance(first.get("events"), list) and ("app_name" in first or "appName" in first)

    def read(self, source: Source) -> Iterator[Conversation]:
        """Yield each session."""
        return each(source, _session)


def _conversation(name: str, place: str, document: Any) -> Conversation:
    fields = document if isinstance(document, dict) else {"contents": document}
    system = fields.get("systemInstruction", fields.get("system_instruction"))
    metadata = {
        key: value
        for key, value in fields.items()
        if key not in ("contents", "systemInstruction", "system_instruction")
    }
    convert = partial(from_gemini, system_instruction=system, on_bad_text="escape")
    return flat(name, place, fields.get("contents"), convert, metadata)


def _session(name: str, place: str, document: Any) -> Conversation:
    convert = partial(from_gemini, on_bad_text="escape")
    if not isinstance(document, dict):
        return flat(name, place, document, convert, {})
    given = document.get("events")
    events = [event for event in given if isinstance(event, dict)] if isinstance(given, list) else []
    contents = [_content(event) for event in events if _parts(event)]
    metadata = {key: value for key, value in document.items() if key != "events"}
    conversation = flat(str(document.get("id") or name), place, contents, convert, metadata)
    if skipped := len(given or []) - len(contents):
        conversation.skipped["event without content"] += skipped
    return conversation


def _parts(event: dict[str, Any]) -> Any:
    content = event.get("content")
    return content.get("parts") if isinstance(content, dict) else None


def _content(event: dict[str, Any]) -> dict[str, Any]:
    """Return the content of an event with the fields that a message has."""
    content = event["content"] | {
        key: event[key] for key in ("invocation_id", "author") if event.get(key) is not None
    }
    content.setdefault("role", "user" if event.get("author") == "user" else "model")
    if isinstance(event.get("id"), str):
        content["external_id"] = event["id"]
    if isinstance(event.get("timestamp"), (int, float)):
        content["occurred_at"] = datetime.fromtimestamp(event["timestamp"], timezone.utc).isoformat()
    return dict(content)
