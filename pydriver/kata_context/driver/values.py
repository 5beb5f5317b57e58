"""Values on their way to the database."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from psycopg.types.json import Jsonb
from psycopg.types.multirange import Multirange

from kata_context.database_errors import InvalidInputError

T = TypeVar("T")

# What json.loads makes and json.dumps takes.
Json: TypeAlias = Any
# A set of versions: single ones, ranges of Python (their end is not in them), or a multirange of psycopg.
Versions: TypeAlias = Multirange[int] | Iterable[int | range]
# An array of one dimension or two; arrays of NumPy are sequences, too.
Numbers: TypeAlias = Sequence[T] | Sequence[Sequence[T]]

_BRACES = str.maketrans("[]", "{}")


def as_uuid(value: UUID | str) -> UUID:
    """Return an id as a UUID.

    Raises
    ------
    InvalidInputError : it is none
    """
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (AttributeError, TypeError, ValueError):
        raise InvalidInputError(f"{value!r:.100} is no id of a context", hint="pass a UUID") from None


def as_json(value: Json) -> Jsonb | None:
    """Wrap a value that is sent as JSON; None is null of SQL."""
    return None if value is None else Jsonb(value, _dumps)


def _dumps(value: Json) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"a value is no JSON: {error}", hint="pass what json.dumps takes, without NaN and infinities"
        ) from None


def as_texts(value: Iterable[str] | None) -> list[str] | None:
    """Return texts as an array.

    Raises
    ------
    InvalidInputError : it is a text itself, or nothing to go through
    """
    if value is None:
        return None
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise InvalidInputError(f"{value!r:.100} is no list of texts", hint="pass a list of them")
    return list(value)


def as_numbers(value: Numbers[Any] | None) -> str | None:
    """Return numbers as an array of SQL, in its text form."""
    if value is None:
        return None
    plain: Any = value
    if hasattr(plain, "tolist"):
        plain = plain.tolist()
    try:
        return json.dumps(plain, default=list).translate(_BRACES)
    except (TypeError, ValueError, RecursionError):
        raise InvalidInputError(
            f"{value!r:.100} is no array of numbers", hint="pass a list of them"
        ) from None


def as_versions(value: Versions | None) -> str | None:
    """Return a set of versions as a multirange of SQL, in its text form."""
    if value is None:
        return None
    if isinstance(value, Multirange):
        return str(value)
    try:
        spans = [item if isinstance(item, range) else range(item, item + 1) for item in value]
    except TypeError:
        raise InvalidInputError(
            f"{value!r:.100} is no set of versions", hint="pass a list of versions, ranges among them"
        ) from None
    return "{" + ",".join(f"[{span.start},{span.stop})" for span in spans if span) + "}"
