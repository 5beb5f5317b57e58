"""What an importer reads from a file, and the file as it reads it."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from kata_context.errors import KataError
from kata_context.types import Message

# Errors of a record whose fields are not those of its format.
MALFORMED = (KataError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
HEAD = 50  # lines that an importer may look at before it says that a file is its own


@dataclass(slots=True)
class Entry:
    """Messages that enter together, and where they stand.

    Parameters
    ----------
    id : as the file names it, the same in each run; the external id of the first message
    parent : the entry before it, None for the first
    messages : in the form of `append`
    summary : of a compaction, which has no messages: the words for all that stands before it
    records : how many records of the file it is made of
    """

    id: str
    parent: str | None
    messages: list[Message] = field(default_factory=list)
    summary: str | None = None
    records: int = 1


@dataclass(slots=True)
class Conversation:
    """A conversation, which may branch: entries that follow one another by their parents.

    Parameters
    ----------
    name : of the context; those of branches begin with it
    entries : each after its parent
    leaf : the entry at which the conversation stands now; None for the last
    metadata : of the context
    skipped : records that do not become entries, by kind
    wrong : records that cannot be read: the place in the file, and why
    unique : whether ids name the same record in every file, so that another file may go on with it
    """

    name: str
    entries: list[Entry] = field(default_factory=list)
    leaf: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    unique: bool = False

    @property
    def records(self) -> int:
        """How many records of the file it accounts for."""
        return sum(entry.records for entry in self.entries) + self.skipped.total() + len(self.wrong)


class Source:
    """A file to import: JSON, or JSON objects in lines.

    Parameters
    ----------
    path : of the file
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The name of the file without its ending."""
        return self.path.stem

    def lines(self) -> Iterator[tuple[str, Any]]:
        """Yield the values of a file of lines, each with its place; a ValueError for a line that has none."""
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if text := line.removeprefix(b"\xef\xbb\xbf").strip():
                    yield f"line {number}", _value(text)

    @cached_property
    def document(self) -> Any:
        """The value of a file that is one JSON text; a ValueError where it is not."""
        return _value(self.path.read_bytes().removeprefix(b"\xef\xbb\xbf"))

    @cached_property
    def head(self) -> list[dict[str, Any]]:
        """The first objects of the file: of its lines, or the one that it is."""
        values = [value for _, value in islice(self.lines(), HEAD)]
        if not values or isinstance(values[0], ValueError):
            values = [self.document]
        values = values[0] if len(values) == 1 and isinstance(values[0], list) else values
        return [value for value in values[:HEAD] if isinstance(value, dict)]


def _value(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        return ValueError(f"not JSON: {error}")


class Importer(Protocol):
    """Reads one format."""

    name: str

    def recognizes(self, source: Source) -> bool:
        """Whether the file has the format, by its first objects."""

    def read(self, source: Source) -> Iterator[Conversation]:
        """Yield the conversations of a file that it recognizes."""


def reason(error: Exception) -> str:
    """Return why a record cannot be read, in one line."""
    if isinstance(error, (KataError, ValueError)):
        return str(error).splitlines()[0]
    return f"a field has a value that the format does not have ({type(error).__name__}: {error})"


def moment(value: Any) -> str:
    """Return a time that a record has as text; a ValueError where it is not one."""
    try:
        datetime.fromisoformat(value[:19])
    except (TypeError, ValueError):
        raise ValueError(f"its time is not one: {json.dumps(value)[:50]}") from None
    return str(value)
