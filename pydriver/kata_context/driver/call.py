"""A call of a function: its statement, its parameters, the rows made of its result."""

from collections.abc import Callable, Sequence
from dataclasses import fields, make_dataclass
from typing import Any, Generic, Protocol, TypeVar

from kata_context.driver.values import USUAL, Adapter, as_context, as_json, as_text, as_version

T = TypeVar("T")

Arguments = tuple[Any, ...]
Make = Callable[[Sequence[Any]], T]


class Counter(Protocol):
    """Counts the tokens of the messages among the arguments of a call."""

    def is_needed(self, arguments: Arguments) -> bool:
        """Whether a count is missing."""

    def takes_long(self, arguments: Arguments) -> bool:
        """Whether counting would hold up an event loop."""

    def fill(self, arguments: Arguments, tokenizer: str) -> Arguments:
        """Return the arguments with the counts, in the tokenizer of the context."""


class Call(Generic[T]):
    """A function of schema kata, as the driver calls it.

    Parameters
    ----------
    name : of the function
    sql : the statement; its parameters are all the function's, in order
    make : makes the result of the method from a row
    parameters : name and adapter of each
    reads : whether it changes nothing
    count : counts the tokens of messages without a count; None if no parameter has messages

    Attributes
    ----------
    contexts, versions : positions of the parameters that may need a lookup
    """

    __slots__ = ("_key", "contexts", "count", "make", "name", "parameters", "reads", "sql", "versions")

    def __init__(
        self,
        name: str,
        sql: bytes,
        make: Make[T],
        parameters: tuple[tuple[str, Adapter], ...] = (),
        *,
        reads: bool = False,
        count: Counter | None = None,
    ) -> None:
        self.name = name
        self.sql = sql
        self.make = make
        # A call of an adapter costs more than the rest of `adapted`, and most values are as usual.
        self.parameters = [(name, adapt, USUAL.get(adapt)) for name, adapt in parameters]
        self.reads = reads
        self.count = count
        places = list(enumerate(parameters))
        self.contexts = tuple(place for place, (_, adapt) in places if adapt is as_context)
        self.versions = tuple(place for place, (_, adapt) in places if adapt is as_version)
        self._key = next((place for place, (name, _) in places if name == "idempotency_key"), None)

    def adapted(self, given: Arguments) -> Arguments:
        """Return the values passed as psycopg sends them, or raise InvalidInputError."""
        return tuple(
            [
                value if value is None or type(value) is usual else adapt(name, value)
                for (name, adapt, usual), value in zip(self.parameters, given, strict=True)
            ]
        )

    def named(self, arguments: Arguments) -> list[tuple[str, Any]]:
        """Return the parameters that are neither texts nor JSON, and their values."""
        pairs = zip(self.parameters, arguments, strict=True)
        return [(name, value) for (name, adapt, _), value in pairs if adapt not in (as_text, as_json)]

    def row_factory(self, _: Any) -> Make[T]:
        """Return the maker of rows, as psycopg asks for it."""
        return self.make

    def is_repeatable(self, arguments: Arguments) -> bool:
        """Whether two executions have the effect of one."""
        return self.reads or (self._key is not None and arguments[self._key] is not None)


def scalar(values: Sequence[Any]) -> Any:
    """Return the only value of a row."""
    return values[0]


def record(cls: type[T]) -> Make[T]:
    """Return a maker of frozen dataclasses that is as fast as one of plain dataclasses.

    A frozen dataclass sets each field through object.__setattr__, which takes nine times as long. So the row
    is made as a plain dataclass with the same slots, and its class is replaced.
    """
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    plain: Any = make_dataclass(cls.__name__, names, slots=True)

    def make(values: Sequence[Any]) -> T:
        row = plain(*values)
        row.__class__ = cls
        made: T = row
        return made

    return make
