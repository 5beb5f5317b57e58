"""Text for a terminal: joiners survive, control characters do not, and widths are those of a terminal."""

import pytest

from kata_context.cli.text import cut, escape_control_characters, one_line, pad, text_width

FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
PERSIAN = "می\N{ZERO WIDTH NON-JOINER}خواهم"


@pytest.mark.parametrize("text", [FAMILY, PERSIAN, "क्\N{ZERO WIDTH JOINER}ष", "❤\N{VARIATION SELECTOR-16}"])
def test_joined_characters_survive(text: str) -> None:
    assert one_line(text) == text


@pytest.mark.parametrize("control", ["\x1b", "\x07", "\x7f", "\x9b", "\u202e", "\u2066", "\ufeff", "\u200b"])
def test_control_characters_are_replaced(control: str) -> None:
    assert one_line(f"a{control}b") == "a\N{REPLACEMENT CHARACTER}b"
    assert control not in escape_control_characters(f"{control}") or control in "\x1b\x07\ufeff\u200b"


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("abc", 3), ("日本", 4), ("e\N{COMBINING ACUTE ACCENT}", 1), (FAMILY, 2), (PERSIAN, 7),
        ("❤\N{VARIATION SELECTOR-16}", 2), ("日\N{VARIATION SELECTOR-16}", 2), ("", 0),
    ],
)  # fmt: skip
def test_a_text_is_as_wide_as_a_terminal_shows_it(text: str, width: int) -> None:
    assert text_width(text) == width


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abcdef", 6, "abcdef"), ("abcdef", 4, "abc…"), ("日本語日本語", 6, "日本…"),
        (FAMILY * 3, 4, f"{FAMILY}…"),
        ("é" * 9, 3, "éé…"), ("e\N{COMBINING ACUTE ACCENT}" * 9, 3, "e\N{COMBINING ACUTE ACCENT}" * 2 + "…"),
    ],
)  # fmt: skip
def test_a_text_is_cut_between_what_is_shown_as_one(text: str, width: int, shown: str) -> None:
    assert cut(text, width) == shown
    assert text_width(pad(shown, 10, right=False)) == 10
