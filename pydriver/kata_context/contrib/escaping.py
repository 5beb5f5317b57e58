"""Values of SDKs whose texts Postgres may not store."""

from collections.abc import Mapping
from typing import Any

from kata_context.adapters import escape


def escaped(value: Any) -> Any:
    """Return JSON with its texts escaped, those in lists and dicts, too; `unescape` gives it back."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, Mapping):
        return {escaped(name): escaped(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [escaped(inner) for inner in value]
    return value
