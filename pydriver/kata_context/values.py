"""Values on their way to the database."""

import json
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from psycopg.types.json import Jsonb
from psycopg.types.multirange import Multirange

from kata_context.errors import KataError

T = TypeVar("T")

# What json.loads makes and json.dumps takes.
Json: TypeAlias = Any
# A set of versions: single ones, ranges of Python (their end is not in them), or a multirange of psycopg.
Versions: TypeAlias = Multirange[int] | Iterable[int | range]
# An array of one dimension or two; arrays of NumPy are sequences, too.
Numbers: TypeAlias = Sequence[T] | Sequence[Sequence[T]]

_dumps = partial(json.dumps, ensure_ascii=False, separators=(",", ":"))
_BRACES = str.maketrans("[]", "{}")


def as_uuid(value: UUID | str) -> UUID:
    """Return an id as a UUID.

    Raises
    ------
    KataError : it is none
    """
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except ValueError:
        raise KataError(f"{value!r} is no id of a context", hint="pass a UUID") from None


def as_json(value: Json) -> Jsonb | None:
    """Wrap a value that is sent as JSON; None is null of SQL."""
    return None if value is None else Jsonb(value, _dumps)


def as_texts(value: Iterable[str] | None) -> list[str] | None:
    """Return texts as an array."""
    return None if value is None else list(value)


def as_numbers(value: Numbers[Any] | None) -> str | None:
    """Return numbers as an array of SQL, in its text form."""
    if value is None:
        return None
    plain: Any = value
    if hasattr(plain, "tolist"):
        plain = plain.tolist()
    return json.dumps(plain, default=list).translate(_BRACES)


def as_versions(value: Versions | None) -> str | None:
    """Return a set of versions as a multirange of SQL, in its text form."""
    if value is None:
        return None
    if isinstance(value, Multirange):
        return str(value)
    spans = [item if isinstance(item, range) else range(item, item + 1) for item in value]
    return "{" + ",".join(f"[{span.start},{span.stop})" for span in spans if span) + "}"
