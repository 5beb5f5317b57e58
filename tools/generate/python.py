"""The files of kata_context/generated."""

import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from generate.catalog import ROOT, Function, Parameter, name_shapes
from generate.comments import SQLSTATE
from generate.sync import without_async
from generate.template import as_filter, fill
from kata_context.database_errors import CATALOG

PACKAGE = ROOT / "pydriver" / "kata_context"
GENERATED = PACKAGE / "generated"
WRITTEN = "Written by tools/generate; `make generate` writes it anew."
TEMPLATES = ("rows", "statements", "methods_async", "functions")
# Modules that are derived from asynchronous ones.
TWINS = {
    "client": PACKAGE / "driver" / "client_async.py",
    "compactor": PACKAGE / "compaction" / "compactor_async.py",
    "indexer": PACKAGE / "recall" / "indexer_async.py",
    "pool": PACKAGE / "driver" / "pool_async.py",
}


def modules(functions: list[Function]) -> dict[Path, str]:
    """Return the text of every module."""
    shapes = name_shapes(functions)
    users: dict[Any, list[str]] = {}
    for function in functions:
        if function.fields:
            users.setdefault(function.fields, []).append(function.name)
    rows = sorted(set(shapes.values()))
    values = {"functions": functions, "shapes": shapes, "users": users, "rows": rows, "written": WRITTEN}
    texts = {name: fill(f"{name}.py.j2", **values) for name in TEMPLATES}
    texts["methods"] = without_async(texts["methods_async"])
    texts |= {name: twin(source) for name, source in TWINS.items()}
    return {(file := GENERATED / f"{name}.py"): formatted(text, file) for name, text in texts.items()}


def twin(source: Path) -> str:
    """Return the twin of an asynchronous module, whose docstring then says that it is generated."""
    _, docstring, text = source.read_text().split('"""', 2)
    title = docstring.split("\n")[0]
    return without_async(f'"""{title}\n\n{WRITTEN}\n"""{text}')


def formatted(text: str, file: Path) -> str:
    """Return Python as ruff formats it, without the imports that it does not use."""
    for command in (["check", "--select", "I,F401", "--fix", "--quiet"], ["format", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", file, "-"],
            input=text, capture_output=True, text=True, cwd=ROOT,
        )  # fmt: skip
        if not done.stdout:
            raise SystemExit(f"ruff refuses {file.relative_to(ROOT)}: {done.stderr}")
        text = done.stdout
    return text


@as_filter
def listed(names: Sequence[str]) -> str:
    """Join names as prose does."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


@as_filter
def statement(sql: str) -> str:
    """Return a statement as bytes, in lines of a fitting length."""
    lines = textwrap.wrap(sql, 96, break_long_words=False)
    return "\n".join(f"b{line + (' ' if line is not lines[-1] else '')!r}" for line in lines)


@as_filter
def literal(text: str) -> str:
    """Return a text as a string, in pieces of a fitting length."""
    lines = textwrap.wrap(text, 88, break_long_words=False)
    return "\n".join(repr(line + (" " if line is not lines[-1] else "")) for line in lines)


@as_filter
def signature(parameters: Iterable[Parameter]) -> str:
    """Return parameters as in a definition: one with a default is positional, a budget not counted."""
    shown, optional = ["self"], 0
    for parameter in parameters:
        optional += parameter.default is not None and parameter.name != "budget"
        if optional == 2:
            shown.append("*")
            optional += 1
        shown.append(parameter.signature)
    return ", ".join(shown)


@as_filter
def arguments(parameters: Sequence[Parameter]) -> str:
    """Return what a method passes on, as the inside of a tuple."""
    return ", ".join(parameter.identifier for parameter in parameters) + "," * (len(parameters) == 1)


@as_filter
def adapters(parameters: Sequence[Parameter]) -> str:
    """Return the name and the adapter of each parameter, as a tuple."""
    pairs = [f'("{parameter.name}", {parameter.adapter})' for parameter in parameters]
    return f"({', '.join(pairs)}{',' * (len(pairs) == 1)})"


@as_filter
def forwarded(parameters: Iterable[Parameter]) -> str:
    """Return the arguments that pass parameters on."""
    return ", ".join(_forwarded(parameters))


@as_filter
def bound(parameters: Iterable[Parameter]) -> str:
    """Return the arguments that pass parameters on, the context's own id as the first."""
    return ", ".join(["self.id", *list(_forwarded(parameters))[1:]])


def _forwarded(parameters: Iterable[Parameter]) -> Iterator[str]:
    optional = 0
    for parameter in parameters:
        optional += parameter.python_default is not None
        yield f"{parameter.identifier}={parameter.identifier}" if optional > 1 else parameter.identifier


@as_filter
def docstring(function: Function) -> str:
    """Return the COMMENT of a function as a docstring, SQLSTATEs as the exceptions that they become."""
    comment = function.comment
    summary, *rest = comment.paragraphs
    first, _, more = summary.partition(". ")
    blocks = [[f"{first.removesuffix('.')}."], *([[more]] if more else []), *([text] for text in rest)]
    if comment.parameters:
        blocks.append(["Parameters", "----------"])
        blocks[-1] += [f"{name} : {text}" for name, text in comment.parameters.items()]
    if "Errors" in comment.facts:
        raised = SQLSTATE.sub(lambda state: CATALOG[state[0]].__name__, comment.facts["Errors"])
        blocks.append(["Raises", "------", raised])
    notes = [f"{fact}: {comment.facts[fact]}" for fact in ("Locks", "Cost") if fact in comment.facts]
    if notes:
        blocks.append(notes)
    return _docstring(blocks)


@as_filter
def quoted_text(paragraphs: Iterable[str]) -> str:
    """Return paragraphs as the docstring of a method."""
    return _docstring([[paragraph] for paragraph in paragraphs])


def _docstring(blocks: list[list[str]]) -> str:
    """Return paragraphs, each of lines that hang where there are several, as the docstring of a method."""
    margin = " " * 8
    texts = [
        "\n".join(
            textwrap.fill(
                entry, 104, initial_indent=margin, subsequent_indent=f"{margin}    " if hangs else margin
            )
            for entry in entries
        )
        for entries in blocks
        for hangs in [len(entries) > 1]
    ]
    body = "\n\n".join(texts).lstrip().replace("\\", "\\\\")
    return f'"""{body}"""' if "\n" not in body else f'"""{body}\n{margin}"""'
