"""Requests of the Anthropic Messages API: an object with messages, and system and tools beside them."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from kata_context.adapters import from_anthropic
from kata_context.contrib.importers.conversation import Conversation, Source
from kata_context.contrib.importers.flat import each, flat


class AnthropicRequests:
    """Reads requests, one per file or line."""

    name = "anthropic"

    def recognizes(self, source: Source) -> bool:
        """Whether objects have messages and something that only this form has."""
        first = source.head[0] if source.head else {}
        messages = first.get("messages")
        return isinstance(messages, list) and (
            "system" in first
            or (
                "max_tokens" in first
                and "choices" not in first
                and not any(
                    isinstance(one, dict) and one.get("role") in ("system", "tool") for one in messages
                )
            )
            or any(_is_block(block) for one in messages if isinstance(one, dict) for block in _list(one))
        )

    def read(self, source: Source) -> Iterator[Conversation]:
        """Yield each request's conversation."""
        return each(source, _conversation)


def _conversation(name: str, place: str, document: Any) -> Conversation:
    fields = document if isinstance(document, dict) else {"messages": document}
    metadata = {key: value for key, value in fields.items() if key not in ("messages", "system")}
    convert = partial(from_anthropic, system=fields.get("system"), on_bad_text="escape")
    return flat(name, place, fields.get("messages"), convert, metadata)


def _list(message: dict[str, Any]) -> list[Any]:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _is_block(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") in ("tool_use", "tool_result", "thinking")
