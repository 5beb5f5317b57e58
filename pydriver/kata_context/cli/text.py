"""Text for a terminal: on one line, without control sequences, as wide as there is room."""

import re
import unicodedata


def one_line(text: str) -> str:
    """Return a text on one line, without the control sequences that what was typed or read may hold."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))


# Control characters beyond ASCII, and what turns the direction of writing.
OBEYED = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Return JSON with those characters spelt out that a terminal would obey and JSON lets stand."""
    return OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def safe_text(text: str) -> str:
    """Return a text with its lines, but with nothing in it that a terminal would obey."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def text_width(text: str) -> int:
    """Return how many columns a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def cut(text: str, width: int) -> str:
    """Return a text, or as much of it as fits in so many columns, and an ellipsis."""
    if text_width(text) <= width:
        return text
    kept = text[: width - 1]
    while text_width(kept) > width - 1:
        kept = kept[:-1]
    return kept + "…"


def pad(text: str, width: int, right: bool) -> str:
    """Return a text filled up with spaces."""
    space = " " * (width - text_width(text))
    return space + text if right else text + space
