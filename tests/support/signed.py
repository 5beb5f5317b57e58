"""Signed thinking, judged as a provider does: by bodies alone.

A block is valid where everything before it is, byte for byte, what its own request had: model, tools, system,
messages, and the thinking in them. The judge sees each body as it is sent, and each answer as it is made; it
knows no version, no view and no request of the store.
"""

import json
from hashlib import sha256
from typing import NamedTuple

from support.blocks import Block, Json, blocks


class Verdict(NamedTuple):
    """The signatures in a body: those sent, those of them that are invalid, and those lost without need."""

    sent: list[str]
    invalid: list[str]
    lost: list[str]


class Signed:
    """Remembers what each block of thinking was made with."""

    def __init__(self) -> None:
        self.born: dict[str, bytes] = {}
        self.thinking: dict[str, Block] = {}
        self.followers: dict[str, str] = {}

    def answer(self, body: Json, thinking: Json, follower: Json) -> None:
        """Remember an answer to a body: a block of thinking, and the block after it, which has no equal."""
        start = through(b"", header(body))
        for part in blocks(body):
            start = through(start, line(part))
        signed = blocks({"messages": [{"role": "assistant", "content": [thinking]}]})[0]
        assert signed.signature is not None
        self.born[signed.signature] = start
        self.thinking[signed.signature] = signed
        after = blocks({"messages": [{"role": "assistant", "content": [follower]}]})[0]
        self.followers[after.text] = signed.signature

    def judge(self, body: Json) -> Verdict:
        """Return the thinking of a body, what of it is invalid, and what alone could be put back."""
        parts = blocks(body)
        start = through(b"", header(body))
        sent = [part.signature for part in parts if part.signature]
        invalid = self.invalid(parts, start)
        lost = []
        before = start
        for place, part in enumerate(parts):
            hidden = self.followers.get(part.text)
            is_sent = place > 0 and parts[place - 1].signature == hidden
            if hidden and not is_sent and self.born[hidden] == before:
                whole = [*parts[:place], self.thinking[hidden], *parts[place:]]
                if not self.invalid(whole, start):
                    lost.append(hidden)
            before = through(before, line(part))
        return Verdict(sent, invalid, lost)

    def invalid(self, parts: list[Block], start: bytes) -> list[str]:
        """Return the signatures that do not have before them what they were made with."""
        found = []
        for part in parts:
            if part.signature and self.born[part.signature] != start:
                found.append(part.signature)
            start = through(start, line(part))
        return found


def header(body: Json) -> str:
    """Return what is not a block and decides who reads the rest."""
    return json.dumps(body.get("model"))


def line(part: Block) -> str:
    """Return a block as it is compared: without its mark."""
    return f"{part.place} {part.text}"


def through(before: bytes, text: str) -> bytes:
    """Return the digest of what stood before and a text."""
    return sha256(before + text.encode()).digest()
