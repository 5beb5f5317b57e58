"""The cache of a provider by its published rules; it knows bodies, marks and the time, and no windows.

An entry is a prefix of blocks, written where a mark stands. A later mark reads the longest live entry that is
a prefix of its own and ends at most 20 blocks before it. Reading renews entries for their time to live. A
prefix below the least size is not kept. Tokens are a quarter of the characters. Read tokens cost a tenth,
written ones 1.25 times the price, or twice for an hour.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from support.blocks import THINKING, Json, blocks

SECONDS = {"5m": 300, "1h": 3600}
MOST_MARKS = 4
LOOK_BACK = 20
LEAST = 1024


class Usage(NamedTuple):
    """Tokens of a call, by what becomes of them."""

    read: int
    written: int
    written_for_an_hour: int
    plain: int

    @property
    def tokens(self) -> int:
        """All tokens."""
        return sum(self)

    @property
    def cost(self) -> float:
        """The cost in tokens at the plain price."""
        return 0.1 * self.read + 1.25 * self.written + 2 * self.written_for_an_hour + self.plain


@dataclass
class Entry:
    """A prefix that is kept."""

    expires: float
    ttl: int


@dataclass
class ProviderCache:
    """What one provider keeps for one account."""

    least: int = LEAST
    entries: dict[bytes, Entry] = field(default_factory=dict)

    def call(self, body: Json, now: float) -> Usage:
        """Return what a body uses at a time, and keep what it writes."""
        prefixes: list[bytes] = []
        totals: list[int] = []
        marks: dict[int, int] = {}
        for place, part in enumerate(blocks(body)):
            before = prefixes[-1] if prefixes else b""
            prefixes.append(sha256(before + f"{part.place} {part.text}".encode()).digest())
            totals.append((totals[-1] if totals else 0) + tokens(part.text))
            if part.mark is not None:
                assert part.type not in THINKING, "a mark on thinking is refused"
                marks[place] = SECONDS[part.mark.get("ttl", "5m")]
        assert len(marks) <= MOST_MARKS, f"{len(marks)} marks"
        ttls = [marks[place] for place in sorted(marks)]
        assert ttls == sorted(ttls, reverse=True), "a mark of an hour comes after a shorter one"
        read = self.read(prefixes, marks, now)
        written = dict.fromkeys(SECONDS.values(), 0)
        kept = totals[read - 1] if read else 0
        done = kept
        for place in sorted(marks):
            if totals[place] >= self.least:
                written[marks[place]] += max(totals[place] - done, 0)
                done = max(totals[place], done)
                self.write(prefixes[place], marks[place], now)
        return Usage(kept, written[300], written[3600], totals[-1] - done)

    def read(self, prefixes: list[bytes], marks: dict[int, int], now: float) -> int:
        """Return how many blocks come from the cache, and renew what is kept of them."""
        reach = 0
        for mark in marks:
            for place in range(mark, max(mark - LOOK_BACK, -1), -1):
                if self.is_live(prefixes[place], now):
                    reach = max(reach, place + 1)
                    break
        for prefix in prefixes[:reach]:
            if self.is_live(prefix, now):
                self.entries[prefix].expires = now + self.entries[prefix].ttl
        return reach

    def write(self, prefix: bytes, ttl: int, now: float) -> None:
        """Keep a prefix; a longer time to live stays."""
        if not self.is_live(prefix, now) or self.entries[prefix].ttl <= ttl:
            self.entries[prefix] = Entry(now + ttl, ttl)

    def is_live(self, prefix: bytes, now: float) -> bool:
        """Return whether a prefix is kept."""
        return prefix in self.entries and self.entries[prefix].expires > now


def tokens(text: str) -> int:
    """Return the tokens of a text."""
    return max(1, len(text) // 4)
