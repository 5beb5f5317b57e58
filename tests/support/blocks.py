"""Bodies in the Anthropic form as the blocks that a provider reads, in its order: tools, system, messages."""

import json
from typing import Any, NamedTuple

Json = dict[str, Any]
THINKING = ("thinking", "redacted_thinking")


class Block(NamedTuple):
    """A block: its place, its JSON without its mark, its mark, its type and the signature of its thinking."""

    place: str
    text: str
    mark: Json | None
    type: str
    signature: str | None


def blocks(body: Json) -> list[Block]:
    """Return the blocks of a body.

    A text in place of blocks is one block, so a mark on it changes nothing else. A mark inside a result
    marks the result.
    """
    system = body.get("system") or []
    found = [block("tools", tool) for tool in body.get("tools") or []]
    found += [
        block("system", part)
        for part in ([{"type": "text", "text": system}] if isinstance(system, str) else system)
    ]
    for message in body["messages"]:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        found += [block(message["role"], part) for part in parts]
    return found


def block(place: str, part: Json) -> Block:
    """Return a part as a block."""
    mark = part.get("cache_control")
    bare = {name: value for name, value in part.items() if name != "cache_control"}
    if isinstance(bare.get("content"), list):
        inner = [{n: v for n, v in p.items() if n != "cache_control"} for p in bare["content"]]
        mark = mark or next((p["cache_control"] for p in bare["content"] if "cache_control" in p), None)
        bare["content"] = inner
    kind = bare.get("type", "tool" if place == "tools" else "")
    signature = bare.get("signature") or bare.get("data") if kind in THINKING else None
    return Block(place, json.dumps(bare, ensure_ascii=False), mark, kind, signature)
