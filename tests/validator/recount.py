"""The tokens of all that a body sends, counted from the body alone.

Texts count by the tokenizer, each message or turn 4 more, data of an image, a document or a sound 1,500,
an image in low detail 85, and
encrypted text a token per four characters.
Ids, roles, types and addresses are the provider's frame, which the 4 are for.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from kata_context.tokens import count_tokens

FRAMING = 4
OPAQUE = 1500
LOW = 85
TEXTS = {
    "text",
    "content",
    "refusal",
    "thinking",
    "signature",
    "reasoning_content",
    "reasoning",
    "title",
    "name",
} | {
    "arguments",
    "context",
    "instructions",
    "output",
}
OPAQUE_TYPES = {
    "image",
    "image_url",
    "input_audio",
    "file",
    "input_image",
    "input_file",
}


def recount(form: str, body: Any, tokenizer: str = "o200k_base") -> int:
    """Return the tokens of a body.

    Parameters
    ----------
    tokenizer : o200k_base or cl100k_base
    """
    sent = _sent(_parts_of(form, body))
    return FRAMING * len(_messages_of(form, body)) + sum(
        _count(amount, tokenizer) if isinstance(amount, str) else amount for amount in sent
    )


@cache
def _count(text: str, tokenizer: str) -> int:
    return count_tokens(text, tokenizer)


def _messages_of(form: str, body: Any) -> list[Any]:
    names = {"responses": "input", "anthropic": "messages", "gemini": "contents"}
    return list(body if form == "openai" else body[names[form]])


def _parts_of(form: str, body: Any) -> list[Any]:
    if form == "openai":
        return list(body)
    beside = {"responses": "instructions", "anthropic": "system", "gemini": "systemInstruction"}[form]
    # As the text of a message, whatever it is called.
    return [{"content": body.get(beside) or ""}, *_messages_of(form, body)]


def _sent(value: Any) -> Iterator[str | int]:
    """Yield each text that is sent, and the tokens of what is not text."""
    if isinstance(value, list):
        for element in value:
            yield from _sent(element)
    elif isinstance(value, dict):
        if value.get("type") in OPAQUE_TYPES or value.keys() & {"inlineData", "fileData"}:
            inner = value.get("image_url")
            detail = value.get("detail") or (inner.get("detail") if isinstance(inner, dict) else None)
            yield LOW if detail == "low" else OPAQUE
        elif value.get("type") == "redacted_thinking":
            yield -(-len(value["data"]) // 4)
        elif value.get("type") == "document":
            source = value["source"]
            yield from _sent(source.get("content")) if source["type"] == "content" else ()
            if source["type"] != "content":
                yield source["data"] if source["type"] == "text" else OPAQUE
        else:
            for name, inner in value.items():
                yield from _field(name, inner)


def _field(name: str, value: Any) -> Iterator[str | int]:
    if name in ("input", "args", "response") and isinstance(value, dict):
        yield json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    elif isinstance(value, str):
        if name in TEXTS:
            yield value
        elif name == "encrypted_content":
            yield -(-len(value) // 4)
    else:
        yield from _sent(value)
