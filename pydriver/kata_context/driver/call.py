"""The call of a function: its statement, the type of its rows, and whether it can be repeated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, make_dataclass
from typing import Any, Generic, Protocol, TypeVar

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


@dataclass(frozen=True, slots=True, eq=False)
class Call(Generic[T]):
    """A function of schema kata, as the driver calls it.

    Parameters
    ----------
    name : of the function
    sql : the statement; its parameters are all the function's, in order
    make : makes the result of the method from a row
    reads : whether it changes nothing
    key : the position of the idempotency key among the parameters; None if there is none
    count : counts the tokens of messages without a count; None if no parameter has messages
    """

    name: str
    sql: bytes
    make: Make[T]
    reads: bool = False
    key: int | None = None
    count: Counter | None = None

    def row_factory(self, _: Any) -> Make[T]:
        """Return the maker of rows, as psycopg asks for it."""
        return self.make

    def is_repeatable(self, arguments: Arguments) -> bool:
        """Whether two executions have the effect of one."""
        return self.reads or (self.key is not None and arguments[self.key] is not None)


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
