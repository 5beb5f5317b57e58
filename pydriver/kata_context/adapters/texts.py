"""Texts that Postgres does not store: the character NUL, and halves of surrogate pairs."""

import re
from typing import Any

# Each such character is written as the symbol U+241A, which models and people see, and its four digits. So is
# the symbol itself.
_MARK = "\u241a"
_BAD = re.compile(f"[\x00\ud800-\udfff{_MARK}]")
_ESCAPED = re.compile(f"{_MARK}([0-9a-f]{{4}})")


def escape(text: str) -> str:
    """Return a text with the characters that Postgres does not store escaped; `unescape` gives them back."""
    return _BAD.sub(lambda found: f"{_MARK}{ord(found[0]):04x}", text) if _BAD.search(text) else text


def unescape(value: Any) -> Any:
    """Return a value with the texts as they were before an adapter escaped them, also in lists and dicts."""
    if isinstance(value, str):
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)
    if isinstance(value, list):
        return [unescape(inner) for inner in value]
    if isinstance(value, dict):
        return {unescape(name): unescape(inner) for name, inner in value.items()}
    return value
