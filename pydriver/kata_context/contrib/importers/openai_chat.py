"""Messages in the OpenAI chat form: one conversation, a list of them, or one per line."""

from collections.abc import Iterator
from typing import Any

from kata_context.adapters import from_openai
from kata_context.contrib.importers.conversation import Conversation, Source
from kata_context.contrib.importers.flat import each, flat
from kata_context.types import Message

ROLES = {"system", "developer", "user", "assistant", "tool", "function"}


class OpenAIChat:
    """Reads objects with messages, and bare lists of messages."""

    name = "openai"

    def recognizes(self, source: Source) -> bool:
        """Whether the file has messages of roles, and no block or field of another form."""
        if not source.head:
            return False
        first = source.head[0]
        messages = first.get("messages") if "messages" in first else source.head
        return (
            isinstance(messages, list)
            and all(isinstance(one, dict) and one.get("role") in ROLES for one in messages)
            and not any(key in first for key in ("system", "max_tokens", "parts", "uuid", "type"))
            and not any(block in ("tool_use", "tool_result") for block in _blocks(messages))
        )

    def read(self, source: Source) -> Iterator[Conversation]:
        """Yield each conversation."""
        return each(source, _conversation)


def _conversation(name: str, place: str, document: Any) -> Conversation:
    if not isinstance(document, dict):
        document = {"messages": document}
    metadata = {key: value for key, value in document.items() if key not in ("messages", "name")}
    given = metadata.pop("metadata", None) or {}
    metadata |= given if isinstance(given, dict) else {"metadata": given}
    return flat(str(document.get("name") or name), place, document.get("messages"), convert, metadata)


def convert(messages: list[Any]) -> list[Message]:
    """Convert messages, texts that Postgres does not store escaped."""
    return from_openai(messages, on_bad_text="escape")


def _blocks(messages: list[Any]) -> Iterator[str]:
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            yield from (part.get("type", "") for part in content if isinstance(part, dict))
