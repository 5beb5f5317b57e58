"""What a call of a function is: its statement, what becomes of its rows, and whether it can be repeated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, make_dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Arguments = tuple[Any, ...]
Make = Callable[[Sequence[Any]], T]


@dataclass(frozen=True, slots=True)
class Counter:
    """How tokens come into the parameters of a call.

    Parameters
    ----------
    is_needed : whether a count is missing in them
    fill : returns them with the counts, given the tokenizer of the context
    """

    is_needed: Callable[[Arguments], bool]
    fill: Callable[[Arguments, str], Arguments]


@dataclass(frozen=True, slots=True, eq=False)
class Call(Generic[T]):
    """A function of schema kata, as the driver calls it.

    Parameters
    ----------
    name : of the function
    sql : the statement; its parameters are all the function's, in order
    make : makes what the method returns of a row
    reads : whether it changes nothing
    key : the place of the idempotency key among the parameters, None where there is none
    count : counts tokens where the caller gave no count, None where there is nothing to count
    """

    name: str
    sql: bytes
    make: Make[T]
    reads: bool = False
    key: int | None = None
    count: Counter | None = None

    def row_factory(self, _: Any) -> Make[T]:
        """Return what makes a row, as psycopg asks for it."""
        return self.make

    def is_repeatable(self, arguments: Arguments) -> bool:
        """Whether doing it twice is the same as doing it once."""
        return self.reads or (self.key is not None and arguments[self.key] is not None)


def scalar(values: Sequence[Any]) -> Any:
    """Return the only value of a row."""
    return values[0]


def record(cls: type[T]) -> Make[T]:
    """Return what makes frozen dataclasses of rows, at the price of ones that are not.

    A frozen dataclass sets each field through object.__setattr__, which takes nine times as long as a
    plain one. So the row is made as a plain one with the same slots, and then becomes what it is to be.
    """
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    plain: Any = make_dataclass(cls.__name__, names, slots=True)

    def make(values: Sequence[Any]) -> T:
        row = plain(*values)
        row.__class__ = cls
        made: T = row
        return made

    return make
