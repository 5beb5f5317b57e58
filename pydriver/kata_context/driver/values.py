"""Values on their way to the database.

An adapter takes the name of a parameter and the value passed for it. It returns the value that psycopg sends,
or raises InvalidInputError, which names the parameter, the type passed and the type wanted.
"""

import json
import operator
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from math import isfinite
from typing import Any, Protocol, TypeAlias, TypeVar
from uuid import UUID

from psycopg.types.json import Json as OrderedJson
from psycopg.types.json import Jsonb
from psycopg.types.multirange import Multirange

from kata_context.database_errors import InvalidInputError

T = TypeVar("T")

Adapter = Callable[[str, Any], Any]


class Handle:
    """A context as a handle knows it: Context and AsyncContext."""

    __slots__ = ()

    id: UUID

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Handle) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)


class Listable(Protocol):
    """An array of NumPy, or of the standard library."""

    def tolist(self) -> Any:
        """Return its numbers."""


# The values of json.loads and json.dumps.
Json: TypeAlias = Any
# A context: its id, its name, or a handle of it.
ContextId: TypeAlias = UUID | str | Handle
# A version: its number, a selector (head~3, the name of a checkpoint, a timestamp), or a moment.
Version: TypeAlias = int | str | datetime
# A set of versions: single ones, ranges of Python (which end before their stop), or a multirange of psycopg.
Versions: TypeAlias = Multirange[int] | Iterable[int | range]
# An array of one dimension or two; arrays of NumPy and the vectors of pgvector are taken, too.
Numbers: TypeAlias = Sequence[T] | Sequence[Sequence[T]] | Listable | Sequence[Listable]

_BRACES = str.maketrans("[]", "{}")
# Hyphens where an id has them, or nowhere; uuid.UUID takes other texts, too.
_ID = re.compile(r"[0-9a-fA-F]{8}(-?)(?:[0-9a-fA-F]{4}\1){3}[0-9a-fA-F]{12}")


def refused(name: str, value: object, wanted: str) -> InvalidInputError:
    """Return the error that names a parameter, the type of what was passed, and what is wanted."""
    try:
        detail = f"{reprlib.repr(value)} was passed."
    except ValueError:  # an int of more digits than Python writes
        detail = None
    message = f"{name} must be {wanted}, not {type(value).__name__}"
    return InvalidInputError(message, hint=f"pass {wanted}", detail=detail)


def _instances(kind: type[Any], wanted: str) -> Adapter:
    """Return the adapter that takes instances of a type as they are."""

    def adapt(name: str, value: Any) -> Any:
        if isinstance(value, kind):
            return value
        raise refused(name, value, wanted)

    return adapt


as_text = _instances(str, "a str")
as_boolean = _instances(bool, "True or False")
as_interval = _instances(timedelta, "a timedelta")
as_value = _instances(object, "a value")


def as_integer(name: str, value: Any, wanted: str = "an int") -> int:
    """Return an integer, of Python or of NumPy."""
    if type(value) is int:
        return value
    if not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise refused(name, value, wanted)


def as_number(name: str, value: Any) -> Decimal | float:
    """Return a number."""
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return value
    raise refused(name, value, "a number")


def as_moment(name: str, value: Any) -> datetime:
    """Return a moment: a datetime with a time zone."""
    if not isinstance(value, datetime):
        raise refused(
            name, value, "a datetime with a time zone, which datetime.fromisoformat makes of ISO 8601"
        )
    if value.utcoffset() is None:
        raise InvalidInputError(
            f"{name} is a datetime without a time zone",
            hint="pass one with a time zone, such as datetime.now(timezone.utc)",
            detail=f"{value!r} was passed.",
        )
    return value


def as_uuid(name: str, value: Any) -> UUID:
    """Return an id."""
    if isinstance(value, UUID):
        return value
    if isinstance(value, str) and _ID.fullmatch(value):
        return UUID(value)
    raise refused(name, value, "a UUID")


def as_context(name: str, value: Any) -> UUID | str:
    """Return the id of a context, or its name, for a lookup."""
    if isinstance(value, UUID):
        return value
    if isinstance(value, Handle):
        return value.id
    if isinstance(value, str):
        return UUID(value) if _ID.fullmatch(value) else value
    raise refused(name, value, "a context: a UUID, a name or a handle")


def as_version(name: str, value: Any) -> int | str:
    """Return a version, or a selector, for a lookup."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        try:
            return as_moment(name, value).astimezone(timezone.utc).isoformat()
        except OverflowError:
            raise refused(name, value, "a datetime that UTC has, too") from None
    return as_integer(name, value, "a version: an int, a selector or a datetime")


def as_object(name: str, value: Any) -> Jsonb:
    """Return an object of JSON."""
    if isinstance(value, Mapping):
        return as_json(name, dict(value))
    raise refused(name, value, "a dict")


def as_objects(name: str, value: Any) -> Jsonb:
    """Return an array of objects of JSON."""
    if not isinstance(value, (list, tuple)):
        raise refused(name, value, "a list of dicts")
    for place, item in enumerate(value):
        if not isinstance(item, Mapping):
            wanted = (
                "a dict; kata_context.adapters convert models" if hasattr(item, "model_dump") else "a dict"
            )
            raise refused(f"{name}[{place}]", item, wanted)
        if isinstance(moment := item.get("occurred_at"), datetime):
            moment = as_moment(f"{name}[{place}]['occurred_at']", moment)
            value = [*value[:place], {**item, "occurred_at": moment.isoformat()}, *value[place + 1 :]]
    return as_json(name, value)


def as_json(name: str, value: Json) -> Jsonb:
    """Return a value as JSON; it is written when psycopg sends it."""
    return Jsonb(value, partial(json_text, name))


def _ordered(adapt: Adapter) -> Adapter:
    """Return an adapter to JSON whose keys stay in their order, which jsonb changes."""
    return lambda name, value: OrderedJson((jsonb := adapt(name, value)).obj, jsonb.dumps)


as_options, as_tools = _ordered(as_object), _ordered(as_objects)


def json_text(name: str, value: Json) -> str:
    """Return a value as the text of JSON, on one line."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        try:
            fault = next(_faults(name, value), error)
        except RecursionError:
            fault = error
        raise InvalidInputError(
            f"{name} is not JSON: {fault}", hint="pass what json.dumps takes, without NaN and infinities"
        ) from None


def _faults(place: str, value: object) -> Iterator[str]:
    """Yield what json.dumps does not take, each with its place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _faults(f"{place}[{key!r}]", inner)
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from _faults(f"{place}[{number}]", inner)
    elif isinstance(value, float) and not isfinite(value):
        yield f"{place} is {value}"
    elif value is not None and not isinstance(value, (str, int, float)):
        yield f"{place} is {type(value).__name__}"


def as_texts(name: str, value: Any) -> list[str]:
    """Return texts as an array."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise refused(name, value, "a list of str")
    return [as_text(f"{name}[{place}]", item) for place, item in enumerate(value)]


def _listed(value: Any) -> Any:
    """Return an array of NumPy, or a vector of pgvector, as a list, and any other value as it is."""
    method = getattr(value, "tolist", None) or getattr(value, "to_list", None)
    return method() if method else value


def as_numbers(name: str, value: Any) -> str:
    """Return numbers as an array of SQL, in its text form."""
    plain = _listed(value)
    if isinstance(plain, (str, bytes, Mapping)) or not isinstance(plain, Iterable):
        raise refused(name, value, "a list of numbers")
    rows = [list(item) if isinstance(item := _listed(each), tuple) else item for each in plain]
    for place, item in enumerate(rows):
        for number in item if isinstance(item, list) else [item]:
            if type(number) is not int and type(number) is not float:
                raise refused(f"{name}[{place}]", number, "a number")
    return json_text(name, rows).translate(_BRACES)


def as_versions(name: str, value: Any) -> str:
    """Return a set of versions as a multirange of SQL, in its text form."""
    if isinstance(value, Multirange):
        return str(value)
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise refused(name, value, "a list of versions and ranges")
    spans = []
    for place, item in enumerate(value):
        if isinstance(item, range) and item.step != 1:
            raise refused(f"{name}[{place}]", item, "a range without a step")
        number = item if isinstance(item, range) else as_integer(f"{name}[{place}]", item)
        spans.append(number if isinstance(number, range) else range(number, number + 1))
    return "{" + ",".join(f"[{span.start},{span.stop})" for span in spans if span) + "}"


# The type whose values an adapter returns as they are.
USUAL: dict[Adapter, type[Any]] = {
    as_text: str, as_integer: int, as_boolean: bool, as_uuid: UUID, as_context: UUID, as_version: int,
}  # fmt: skip
