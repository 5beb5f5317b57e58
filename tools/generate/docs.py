"""The generated pages and parts of pages in docs."""

import json
import re
import textwrap
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from generate.catalog import ROOT, Function, short
from generate.comments import Comment
from generate.template import as_filter, fill
from kata_context.database_errors import CATALOG

DOCS = ROOT / "docs"
# Errors that no function lists, and what raises them.
RAISED_ELSEWHERE = {
    "KC015": "UPDATE, DELETE and TRUNCATE of the log",
    "KC024": "every function that takes the id of a context or of a compaction, on a database of a proxy",
}
# The conversations whose digests docs/compaction.md shows, with long lines and quotes cut.
CONVERSATIONS = ROOT / "tests" / "data" / "conversations"
DIGESTED = {
    "airline-task2-trial0": "Flights are downgraded",
    "airline-task28-trial0": "Flights are cancelled",
    "swe-agent-marshmallow-1867": "A bug is fixed",
}
WIDTH, QUOTED = 150, 8


def pages(functions: list[Function], connection: psycopg.Connection[TupleRow]) -> dict[Path, str]:
    """Return the text of every page."""
    families = [(name, list(members)) for name, members in groupby(functions, lambda f: f.family)]
    return {
        DOCS / "sql.md": fill("sql.md.j2", families=families),
        DOCS / "errors.md": replaced("errors.md", "errors", fill("errors.md.j2", errors=errors(functions))),
        DOCS / "compaction.md": replaced(
            "compaction.md", "digests", fill("digests.md.j2", digests=digests(connection))
        ),
    }


def replaced(page: str, part: str, text: str) -> str:
    """Return a page with the part between its two marks replaced."""
    marks = rf"(<!-- {part}: written by make generate -->\n).*?(?=<!-- end of {part} -->)"
    return re.sub(marks, lambda mark: mark[1] + text, (DOCS / page).read_text(), flags=re.DOTALL)


@as_filter
def call(function: Function) -> str:
    """Return how a function is called."""
    parameters = ", ".join(parameter.documentation for parameter in function.parameters)
    return wrapped(f"kata.{function.name}({parameters})", 110)


@as_filter
def returned(function: Function) -> str:
    """Return what a function returns."""
    if not function.columns:
        return f"{'rows: ' if function.returns_set else ''}{short(function.returns)}"
    kind = {"one": "one row", "one or none": "one row or none"}.get(function.kind, "rows")
    return wrapped(f"{kind}: {', '.join(f'{name} {short(type_)}' for name, type_ in function.columns)}", 106)


def wrapped(text: str, width: int) -> str:
    """Return a text in lines."""
    return textwrap.fill(text, width, subsequent_indent="    ", break_long_words=False)


@as_filter
def markdown(comment: Comment) -> str:
    """Return a COMMENT as Markdown."""
    blocks = list(comment.paragraphs)
    if comment.parameters:
        entries = [f"- `{name}`: {text}" for name, text in comment.parameters.items()]
        blocks.insert(1, "\n".join(entries))
    if comment.facts:
        blocks.append("  \n".join(f"{fact}: {text}" for fact, text in comment.facts.items()))
    return "\n\n".join(block.replace("*", "\\*").replace("<", "&lt;") for block in blocks)


def errors(functions: list[Function]) -> Iterator[tuple[Any, list[str]]]:
    """Yield every error that callers may meet, with what raises it."""
    for state, error in CATALOG.items():
        raising = [f"`{function.name}`" for function in functions if state in function.comment.errors]
        raising += [RAISED_ELSEWHERE[state]] if state in RAISED_ELSEWHERE else []
        if raising:
            yield error, raising


def digests(connection: psycopg.Connection[TupleRow]) -> Iterator[dict[str, Any]]:
    """Yield the digests of real conversations; the contexts in which they are made are rolled back."""
    lines = [
        line
        for file in sorted(CONVERSATIONS.glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    ]
    messages = {conversation["name"]: conversation["messages"] for conversation in map(json.loads, lines)}

    def one(query: str, *parameters: object) -> TupleRow:
        row = connection.execute(query.encode(), parameters).fetchone()
        assert row
        return row

    for name, what in DIGESTED.items():
        with connection.transaction(force_rollback=True):
            (context_id,) = one("select kata.create_context(policy => '{\"preserve_recent_count\": 4}')")
            (count,) = one("select count(*) from kata.append(%s, %s)", context_id, json.dumps(messages[name]))
            version, covered, covers, source, result = one(
                "select summary_version, covered::text, message_count, source_tokens, result_tokens"
                " from kata.compact(%s, force => true)",
                context_id,
            )
            (content,) = one("select content from kata.get_message(%s, %s)", context_id, version)
        yield {
            "name": name, "what": what, "count": count, "covered": covered, "covers": covers,
            "source": source, "result": result, "content": shortened(content),
        }  # fmt: skip


def shortened(content: str) -> str:
    """Return a digest as an indented block, with long lines and the tails of long quotes cut."""
    kept: list[str] = []
    fence, quoted = "", 0
    for line in content.split("\n"):
        if line == fence or (not fence and re.fullmatch("`{3,}", line)):
            fence, quoted = "" if fence else line, 0
        elif fence:
            quoted += 1
        if quoted <= QUOTED:
            kept.append(line if len(line) <= WIDTH else line[: WIDTH - 1] + "…")
        elif quoted == QUOTED + 1:
            kept.append("…")
    return textwrap.indent("\n".join(line.rstrip() for line in kept), "    ")
