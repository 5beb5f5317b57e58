"""Check the prose of the repository: documentation, comments, messages, help, test names.

    python tools/prose.py [FILE …]

Prints one line per finding and exits with 1 if there is one. CONTRIBUTING.md states the rules, and
docs/glossary.md the terms. Underscores count as spaces, so that names of tests and identifiers are read too,
and a phrase may run over a line break.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PATTERNS = ("*.md", ".ci/*", ".github/**/*.yml", ".pre-commit-config.yaml", "Makefile", "pyproject.toml")
FOLDERS = ("bench", "docs", "examples", "pydriver", "sql", "tests", "tools")
SUFFIXES = {".md", ".py", ".sql", ".j2", ".sh", ".txt"}
# Recorded conversations, and files that follow from others.
SKIPPED = re.compile(
    r"^(tests/data|pydriver/kata_context/(data|generated))/"
    r"|^docs/(sql|schema)\.md$"
    r"|/__pycache__/"
)
# These list the words that the others avoid.
LISTS = {"tools/prose.py", "tests/static/test_prose.py", "docs/glossary.md", "CONTRIBUTING.md"}
# What a page shows of recordings.
RECORDED = re.compile(r"<!-- digests: written by make generate -->.*?<!-- end of digests -->", re.DOTALL)

HEADING = re.compile(r"^#+ (.)", re.MULTILINE)
# The mark of a comment, and the words of the line.
MARK = re.compile(r"\s*(--+|#+:?|>)?\s*(.*?)\s*$")


class Rule(NamedTuple):
    """A pattern, and what to write instead."""

    pattern: re.Pattern[str]
    advice: str


def rule(pattern: str, advice: str, flags: int = re.IGNORECASE) -> Rule:
    return Rule(re.compile(pattern, flags), advice)


UNITS = (
    "call|caller|column|connection|context|conversation|database|entry|file|folder|function|group|key|lease|"
    "line|loop|message|name|page|pool|process|problem|record|row|segment|session|statement|step|table|test|turn|word"
)

COUNTED = "appends|bytes|calls|instructions|messages|rows|tokens|times"

# Between paragraphs, cells and strings; a heading may end without a full stop.
BREAK = "¶"

RULES: tuple[Rule, ...] = (
    rule(r"\bfor ever\b", "permanently"),
    rule(r"\bbut for\b", "except"),
    rule(r"\bin earnest\b", "say what is done, or is only simulated"),
    rule(
        r"(?<!\", \")\b(?:no|some|any|every)body(?:'s)?\b|\bwho(?:m)?ever\b",
        "name the role, session, worker or caller",
    ),
    rule(r"\b(?:he|him|his|himself|she|hers|herself)\b", "name the role, session, worker or caller"),
    rule(r"\bst(?:and|ands|anding|ood) (?:in )?for\b", "replaces, represents, means"),
    rule(r"\bst(?:ands?|ood) (?:above|at|behind|below|beside|between|here|in|right|there)\b", "is, comes"),
    rule(r"\btells?\b(?!\(| (?:\w+ ){1,4}(?:apart|from)\b)", "says, documents, shows"),
    rule(r"\b(?:am|is|are|was|were|be|been) told\b(?! apart)", "reported, documented, given"),
    rule(r"(?<!there )\b(?:is|are|was|were) no(?= (?!longer\b|more\b|one\b)\w)", "is not a"),
    rule(rf"\b(?:a|one) (?:{UNITS}) an? (?=\w)", "one … per …"),
    rule(rf"\b(?:{COUNTED}) an? (?:call|fork|message|minute|page|row|second|turn)\b", "… per …"),
    rule(r"\bwhat (?:was|were)\b(?! \w+ed\b)", "name the thing"),
    rule(r"\bcom(?:es?|ing) along\b|\bbr(?:ings?|ought) (?:\w+ ){0,3}along\b", "is bundled"),
    rule(r"\bfound out\b|\bfinds? out\b", "detected"),
    rule(
        r"\b(?:not )?worth (?:a|the) word\b|\bslip of the pen\b|\bis to blame\b|\bwithout blame\b",
        "say it plainly",
    ),
    rule(r"\b(?:door|doors|jungle|jungles|astray|second fence|the bin|tale|tales)\b", "see docs/glossary.md"),
    # A question may begin so; a sentence that states something begins with its subject.
    rule(
        rf"(?<=[.:;!?{BREAK}] )(?:What|Who|Whose|Whichever)\b[^.?!:;{BREAK}]*[.!:;]",
        "subject first: a concrete noun",
        0,
    ),
)

BRITISH = {
    r"(?:summar|initial|normal|serial|recogn|organ|optim|minim|maxim|sanit|token|author|prior|synchron|material|"
    r"final|real|random|categor|general|special|central|custom|util|visual|stabil|anonym|local|capital|apolog|"
    r"emphas|harmon|memor|neutral|penal|standard|symbol|equal)is(?:e|es|ed|er|ers|ing|ation|ations)": "-ize",
    r"(?:anal|paral)ys(?:e|es|ed|ing)": "-yze",
    r"(?:col|fav|hon|neighb|lab|behavi|flav|hum|rum|harb|vap)our\w*": "-or",
    r"(?:label|model|travel|signal|level|channel|tunnel|marshal|total|dial|fuel)l(?:ed|ing|er|ers)": "one l",
    r"licen(?:ce|ces)": "license",
    r"(?:de|of)fence(?:s)?": "-ense",
    r"practis(?:e|es|ed|ing)": "practice",
    r"catalogue\w*": "catalog",
    r"(?:cent|met|theat|fib)re(?:s)?": "-er",
    r"grey\w*": "gray",
    r"artefact\w*": "artifact",
    r"whilst|amongst": "while, among",
    r"(?:learn|spel|dream|burn|spoil)t": "-ed",
    r"judgement|acknowledgement|ageing|programmes?|sceptic\w*|fulfils?|instal|enrol": "judgment, program …",
}
RULES += tuple(
    rule(rf"(?<![a-z])(?:{pattern})(?![a-z])", f"American spelling: {advice}")
    for pattern, advice in BRITISH.items()
)


class Finding(NamedTuple):
    """A place to mend."""

    line: int
    text: str
    advice: str


def flowing(text: str) -> tuple[str, list[int]]:
    """Return a text as one line, without the marks of comments, and the line of each of its characters."""
    characters: list[str] = []
    lines: list[int] = []
    was_marked = False
    for number, line in enumerate(["", *text.splitlines()]):
        mark, words = MARK.match(line).groups()  # type: ignore[union-attr]
        # A comment, a paragraph, a cell of a table, a string may begin a sentence.
        if not words or bool(mark) != was_marked or re.match(r"\||[*-] |\d+\. |\"\"\"|'", words):
            words = f"{BREAK} {words}"
        was_marked = bool(mark)
        for character in words.rstrip() + " ":
            characters.append(" " if character in "_`" else character)
            lines.append(number)
    return "".join(characters), lines


def findings(text: str, *, is_markdown: bool = False) -> Iterator[Finding]:
    """Yield what the rules find in a text."""
    text = RECORDED.sub(lambda found: "\n" * found[0].count("\n"), text)
    if is_markdown:
        text = HEADING.sub(lambda found: found[1].lower(), text)  # it need not be a sentence
    flow, lines = flowing(text)
    for pattern, advice in RULES:
        for found in pattern.finditer(flow):
            yield Finding(lines[found.start()], found[0], advice)


def prose_files() -> list[Path]:
    """Return every file that people read."""
    found = {path for pattern in PATTERNS for path in ROOT.glob(pattern)}
    found |= {path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.suffix in SUFFIXES}
    return sorted(
        path
        for path in found
        if path.is_file()
        and not SKIPPED.search(path.relative_to(ROOT).as_posix())
        and path.relative_to(ROOT).as_posix() not in LISTS
    )


def main(names: list[str]) -> int:
    """Print the findings in the files named, or in all."""
    count = 0
    for path in [Path(name).resolve() for name in names] or prose_files():
        for finding in sorted(findings(path.read_text("utf-8"), is_markdown=".md" in path.suffixes)):
            count += 1
            print(f"{path.relative_to(ROOT)}:{finding.line}: {finding.text!r}: {finding.advice}")
    if count:
        print(f"{count} findings; CONTRIBUTING.md has the rules", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
