"""Text for a terminal: on one line, without control characters, as wide as there is room."""

import re
import unicodedata
from collections.abc import Iterator

# Zero width non-joiner and joiner: Python takes them for unprintable, Persian, Hindi and emoji need them.
JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
# Control characters beyond ASCII, and those that change the direction of writing.
CONTROL_CHARACTERS = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def strip_control_characters(text: str) -> str:
    """Return a text in which control characters, except line breaks and tabs, are replaced."""
    return "".join(
        c if c.isprintable() or c in "\n\t" or c in JOINERS else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def one_line(text: str) -> str:
    """Return a text on one line, without control characters."""
    return strip_control_characters(" ".join(text.split()))


def escape_control_characters(text: str) -> str:
    """Return JSON in which the control characters that JSON leaves unescaped are escaped."""
    return CONTROL_CHARACTERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def text_width(text: str) -> int:
    """Return how many columns a text takes on a terminal."""
    return len(text) if text.isascii() else sum(_widths(text))


def cut(text: str, width: int) -> str:
    """Return a text, or as much of it as fits into a number of columns, and an ellipsis."""
    if text_width(text) <= width:
        return text
    end = left = 0
    for place, taken in enumerate(_widths(text)):
        left += taken
        if left > width - 1:
            break
        end = place + 1
    return f"{text[:end]}…"


def pad(text: str, width: int, right: bool) -> str:
    """Return a text filled up with spaces."""
    space = " " * (width - text_width(text))
    return space + text if right else text + space


def _widths(text: str) -> Iterator[int]:
    """Yield the columns that each character adds: what a joiner joins takes no columns of its own."""
    previous, width = "", 0
    for c in text:
        if c == "\N{VARIATION SELECTOR-16}":
            width = int(width == 1)  # the character before is shown as an emoji, which is wide
        elif previous == "\N{ZERO WIDTH JOINER}" or c in JOINERS or unicodedata.category(c) in ("Mn", "Me"):
            width = 0
        else:
            width = 2 if unicodedata.east_asian_width(c) in "WF" else 1
        yield width
        previous = c
