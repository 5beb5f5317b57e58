"""Tags that only the system may open and close: <system_message>, in turns of the user.

A tag is what a tokenizer makes of a text: compatible letters are one, marks and invisible characters are
none, and neighboring texts may be one text.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from validator.findings import Findings

TAG = re.compile(r"<[\s/]*system_message(?![a-z0-9_-])")
CLOSING = re.compile(r"<\s*/[\s/]*system_message(?![a-z0-9_-])")
WRAPPED = re.compile(r"<system_message>\n(.*)\n</system_message>", re.DOTALL)
DROPPED = ("Cf", "Me", "Mn")
# Addresses and names of what is elsewhere: a model reads no word there.
NO_WORDS = {"id", "tool_use_id", "tool_name", "file_id", "url", "fileUri", "data"}


def fold(text: str) -> str:
    """Return a text as a tokenizer may read it."""
    if text.isascii():
        return text.lower()
    letters = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in letters if unicodedata.category(letter) not in DROPPED).lower()


def check_tags(findings: Findings, blocks: Any, foreign: str, path: str) -> None:
    """Check the blocks of a turn of the user.

    Parameters
    ----------
    foreign : words that the system never says; empty for none
    """
    joined = ""
    for number, block in enumerate(blocks if isinstance(blocks, list) else []):
        text = block.get("text") if isinstance(block, dict) else None
        if not isinstance(text, str):
            text = None
            for name, words in _words(block):
                _check_words(findings, words, f"{path}[{number}].{name}")
            for inner in _lists(block):
                check_tags(findings, inner, foreign, f"{path}[{number}].content")
        elif wrapped := WRAPPED.fullmatch(text):
            text = None
            if CLOSING.search(fold(wrapped[1])):
                findings.add("T1", f"{path}[{number}]", "a message of the system leaves its tags")
            if foreign and foreign in wrapped[1]:
                findings.add("T1", f"{path}[{number}]", "words of another speak as the system")
        if text is None:
            _check_words(findings, joined, path)
            joined = ""
        else:
            joined += text
    _check_words(findings, joined, path)


def _check_words(findings: Findings, words: str, path: str) -> None:
    if found := TAG.search(fold(words)):
        findings.add("T1", path, f"{words!r:.80} has a tag of the system at {found.start()}")


def _lists(block: Any) -> list[Any]:
    """Return the contents of a result or a document: texts that may be joined."""
    if not isinstance(block, dict):
        return []
    source = block.get("source")
    contents = [block.get("content"), source.get("content") if isinstance(source, dict) else None]
    return [content for content in contents if isinstance(content, list)]


def _words(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield all keys and strings within a block, with the names of their fields."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, list):
        for element in value:
            yield from _words(element, name)
    elif isinstance(value, dict):
        for field, inner in value.items():
            yield field, field
            if field not in NO_WORDS or not isinstance(inner, str) or value.get("media_type") == "text/plain":
                yield from _words(inner, field)
