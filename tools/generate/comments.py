"""The grammar of COMMENTs, from which docstrings and docs/sql.md are made.

    Appends one message.

    context_id: the context. role: system, developer, user,
      assistant or tool.
    first_version, last_version: the range, widened to whole
      tool groups.

    Returns the version that the message took.
    Errors: KC001, KC003 version conflict. Locks: the head. Cost: O(1).

- Blank lines separate paragraphs. The first is prose and opens with a sentence that stands alone.
- `NAME: TEXT` is an entry. It opens a line, or follows a sentence. Parameters with the same text share an
  entry, `one, other: TEXT`, and a name may carry a note, `budget (tokens): TEXT`.
- Every parameter has one entry. In a paragraph that opens with an entry every line opens one, or is
  indented by two spaces as the continuation of one.
- Errors, Locks and Cost are entries as well, each at most once and in this order, behind all prose.
  Errors lists SQLSTATEs of the catalog.

A COMMENT that breaks a rule is refused: a colon that is missing must not turn a parameter into prose.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

FACTS = ("Errors", "Locks", "Cost")
SQLSTATE = re.compile(r"\bKC\d{3}\b")
NOTE = r"(?:\s\([^)]*\))?"


class CommentError(Exception):
    """A COMMENT breaks the grammar.

    Parameters
    ----------
    line : of the COMMENT, from 1
    problem : what is wrong
    """

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line} of the COMMENT: {problem}")
        self.line = line
        self.problem = problem


@dataclass(frozen=True)
class Comment:
    """A COMMENT in its parts.

    Parameters
    ----------
    paragraphs : the prose
    parameters : the text of each entry by its heading, as written
    facts : Errors, Locks and Cost
    """

    paragraphs: list[str] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The first sentence."""
        return re.split(r"(?<=\.)\s", self.paragraphs[0])[0]

    @property
    def errors(self) -> list[str]:
        """The SQLSTATEs."""
        return SQLSTATE.findall(self.facts.get("Errors", ""))


def parse(text: str, parameters: Collection[str], states: Collection[str]) -> Comment:
    """Read a COMMENT.

    Parameters
    ----------
    parameters : the names of the function's parameters
    states : the SQLSTATEs of the catalog

    Raises
    ------
    CommentError : the COMMENT breaks the grammar
    """
    one = rf"(?:{'|'.join(map(re.escape, parameters)) or '(?!)'}){NOTE}"
    heading = re.compile(
        rf"(?:^ *|(?<=[.;] ))({one}(?:,?\s(?:and\s)?{one})*|{'|'.join(FACTS)}):\s", re.MULTILINE
    )
    comment = Comment()
    described: set[str] = set()
    for first, paragraph in _paragraphs(text):
        if heading.match(paragraph):
            _refuse_stray_lines(first, paragraph, heading)
        lead, *entries = heading.split(paragraph)
        if lead.strip():
            if comment.facts:
                raise CommentError(first, "prose follows Errors, Locks or Cost")
            comment.paragraphs.append(_one_line(lead))
        for found, entry in zip(heading.finditer(paragraph), entries[1::2], strict=True):
            line = first + paragraph[: found.start(1)].count("\n")
            name = _one_line(found[1])
            if name in FACTS:
                _check_fact(line, name, entry, comment, states)
                comment.facts[name] = _one_line(entry)
                continue
            for parameter in _names(name):
                if parameter in described:
                    raise CommentError(line, f"parameter {parameter} has a second entry")
                described.add(parameter)
            comment.parameters[name] = _one_line(entry)
        _refuse_unknown_facts(first, paragraph)
        if not comment.paragraphs:
            raise CommentError(1, "the first paragraph is not prose")
    if not comment.paragraphs or not comment.summary.endswith("."):
        raise CommentError(1, "the first sentence has no full stop")
    for parameter in parameters:
        if parameter not in described:
            _refuse_missing(text, parameter)
    return comment


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Yield each paragraph with the number of its first line."""
    line = 1
    for paragraph in text.split("\n\n"):
        yield line, paragraph
        line += paragraph.count("\n") + 2


def _refuse_stray_lines(first: int, paragraph: str, heading: re.Pattern[str]) -> None:
    if paragraph.startswith(FACTS):
        return  # facts are continued without indentation
    for number, line in enumerate(paragraph.split("\n"), first):
        if not heading.match(line) and not line.startswith("  "):
            raise CommentError(
                number, f'"{_shortened(line)}" opens no entry: NAME: TEXT, or two spaces to continue one'
            )


def _refuse_unknown_facts(first: int, paragraph: str) -> None:
    for number, line in enumerate(paragraph.split("\n"), first):
        found = re.match(r"([A-Z]\w*):", line)
        if found and found[1] not in (*FACTS, "Returns"):
            raise CommentError(number, f"{found[1]} is not one of {', '.join(FACTS)}")


def _refuse_missing(text: str, parameter: str) -> NoReturn:
    for number, line in enumerate(text.split("\n"), 1):
        if re.match(rf"\s*{parameter}\b", line):
            raise CommentError(number, f"parameter {parameter} has no entry; is a colon missing?")
    raise CommentError(1, f"parameter {parameter} has no entry")


def _check_fact(line: int, name: str, text: str, comment: Comment, states: Collection[str]) -> None:
    if name in comment.facts:
        raise CommentError(line, f"{name} is there twice")
    if later := [fact for fact in FACTS[FACTS.index(name) + 1 :] if fact in comment.facts]:
        raise CommentError(line, f"{name} follows {later[0]}")
    if not text.strip():
        raise CommentError(line, f"{name} is empty")
    if name == "Errors":
        if not SQLSTATE.match(text):
            raise CommentError(line, "Errors does not open with a SQLSTATE")
        for state in SQLSTATE.findall(text):
            if state not in states:
                raise CommentError(line, f"{state} is not in the catalog of errors")


def _names(heading: str) -> list[str]:
    return re.findall(r"\w+", re.sub(r"\([^)]*\)|\band\b", " ", heading))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _shortened(line: str) -> str:
    return line if len(line) <= 40 else f"{line[:39]}…"
