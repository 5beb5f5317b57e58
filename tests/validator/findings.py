"""Violations, and the checks that all forms share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MAX_MARKS = 4
Check = Callable[[Any], bool]


class Violation(NamedTuple):
    """What a provider would refuse."""

    rule: str
    path: str
    sentence: str


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_named(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def is_object(value: Any) -> bool:
    return isinstance(value, dict)


def is_list(value: Any) -> bool:
    return isinstance(value, list)


def is_any(value: Any) -> bool:
    return True


def or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


def one_of(*values: str) -> Check:
    return lambda value: value in values


def is_blank(value: Any) -> bool:
    """Whether a text is empty, or white space only, by Unicode's idea of it."""
    return isinstance(value, str) and value.strip() == ""


@dataclass(frozen=True)
class Shape:
    """The fields that an object must have, those that it may have, and which of them are texts."""

    required: Mapping[str, Check]
    optional: Mapping[str, Check] = field(default_factory=dict)
    texts: Sequence[str] = ()


class Findings:
    """Collects violations."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def add(self, rule: str, path: str, sentence: str) -> None:
        self.violations.append(Violation(rule, path, sentence))

    def check_object(self, value: Any, shape: Shape, path: str) -> bool:
        """Check the fields of an object; return whether a closer look is safe."""
        if not isinstance(value, dict):
            self.add("S1", path, f"{type(value).__name__} stands where an object belongs")
            return False
        fits = True
        for name, check in shape.required.items():
            if name not in value:
                self.add("S1", f"{path}.{name}", "a required field is missing")
                fits = False
            elif not check(value[name]):
                self.add("S1", f"{path}.{name}", f"the value {value[name]!r:.60} is of the wrong kind")
                fits = False
        for name, given in value.items():
            if name in shape.optional:
                if not shape.optional[name](given):
                    self.add("S1", f"{path}.{name}", f"the value {given!r:.60} is of the wrong kind")
                    fits = False
            elif name not in shape.required:
                self.add("P5", f"{path}.{name}", "the form does not know this field")
        for name in shape.texts:
            self.check_blank(value.get(name), f"{path}.{name}")
        return fits

    def check_blank(self, value: Any, path: str) -> None:
        if is_blank(value):
            self.add("P4", path, "the text is blank")

    def check_part(self, part: Any, shapes: Mapping[str, Shape], path: str) -> str | None:
        """Check a part of content by its type; return the type where its fields have the right types."""
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str):
            self.add("S1", path, "a part is an object with a type")
            return None
        if kind not in shapes:
            self.add("P6", path, f"a part of type {kind!r} has no place here")
            return None
        return kind if self.check_object(part, shapes[kind], path) else None

    def check_marks(self, body: Any, name: str) -> None:
        """Check how many marks of a cache a body has."""
        count = sum(name in value for value in objects(body))
        if count > MAX_MARKS:
            self.add("C3", "$", f"{count} marks of a cache, at most {MAX_MARKS}")


def objects(value: Any) -> list[dict[str, Any]]:
    """Return all objects within a value, from the outside in."""
    found: list[dict[str, Any]] = []
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            found.append(value)
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found
