"""Reading of what providers and their Python packages give."""

from collections.abc import Iterable, Mapping
from typing import Any

from kata_context.errors import KataError

Fields = dict[str, Any]


def message_of(role: str, blocks: list[Fields]) -> Fields:
    """Return a message: plain text as content, anything else as parts."""
    if not blocks:
        return {"role": role, "content": ""}
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"} and blocks[0]["type"] == "text":
        return {"role": role, "content": blocks[0]["text"]}
    return {"role": role, "parts": blocks}


def blocks_of(content: Any, where: str) -> list[Fields]:
    """Return content as a list of blocks."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, Iterable) or isinstance(content, Mapping):
        raise KataError(f"the content of {where} is neither text nor a list of blocks")
    return [object_of(block, f"a block of {where}") for block in content]


def object_of(value: Any, what: str) -> Fields:
    """Return an object of JSON; models of the providers' Python packages convert themselves."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json", exclude_none=True)
    if not isinstance(value, Mapping):
        raise KataError(
            f"{what} is {type(value).__name__}, not an object", hint="pass what the provider's API takes"
        )
    return dict(value)
