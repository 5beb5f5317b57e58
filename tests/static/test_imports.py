"""The modules of the package form layers: without a circle, and without an import of contrib.

An import inside a function counts like one at the top, and so does the full name of a module in a text, as
importlib takes it; one that only type checkers see does not count.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

from support.sql_files import ROOT

PACKAGE = ROOT / "pydriver" / "kata_context"
NAME = PACKAGE.name
FILES = {
    ".".join((NAME, *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): file
    for file in sorted(PACKAGE.rglob("*.py"))
}

# Modules that contrib may import besides itself, those that docs/python.md documents.
PUBLIC = {NAME, *(f"{NAME}.{name}" for name in ("adapters", "database_errors", "errors", "tokens", "types"))}
# Commands that import contrib when they run.
RUN_CONTRIB = {f"{NAME}.cli.commands.{name}" for name in ("importing", "mcp", "report")}


class Import(NamedTuple):
    """One module imports another."""

    importer: str
    imported: str


def imports(name: str, file: Path) -> Iterator[Import]:
    """Yield what a module imports of ours, at its top or when it is called."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in running(ast.parse(file.read_text("utf-8"))):
        for target in named(node, package):
            while target and target not in FILES:
                target = target.rpartition(".")[0]
            if target and target != name:
                yield Import(name, target)


def named(node: ast.AST, package: str) -> list[str]:
    """Return what a node in a module of a package imports, by full names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        home = ".".join([*parents, *filter(None, [node.module])])
        return [f"{home}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Constant) and node.value != NAME and node.value in FILES:
        return [str(node.value)]
    return []


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes under a tree, but not what is for type checkers."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for other in node.orelse:
                yield other
                yield from running(other)
        else:
            yield node
            yield from running(node)


IMPORTS = {found for name, file in FILES.items() for found in imports(name, file)}


def circles(edges: set[Import]) -> list[list[str]]:
    """Return the groups of modules that reach each other."""
    following: dict[str, set[str]] = {name: set() for name in FILES}
    for importer, imported in edges:
        following[importer].add(imported)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for name in following[todo.pop()] - seen:
                seen.add(name)
                todo.append(name)
        return seen

    reach = {name: reached(name) for name in FILES}
    groups = {tuple(sorted(b for b in FILES if a in reach[b] and b in reach[a])) for a in FILES}
    return [list(group) for group in sorted(groups) if group]


def test_an_import_is_found_wherever_it_is_run() -> None:
    source = """
    if TYPE_CHECKING:
        import kata_context.embedded
    else:
        from kata_context import errors
    import_module("kata_context.contrib")
    def later(): from . import config
    """
    nodes = list(running(ast.parse(dedent(source))))
    found = {name for node in nodes for name in named(node, NAME)}
    assert found == {f"{NAME}.{module}" for module in ("errors", "contrib", "config")}


def test_the_modules_import_each_other_in_no_circle() -> None:
    assert circles(IMPORTS) == []


def test_nothing_but_contrib_and_commands_that_run_it_imports_contrib() -> None:
    offenders = [
        f"{importer} imports {imported}"
        for importer, imported in sorted(IMPORTS)
        if is_contrib(imported) and not is_contrib(importer) and importer not in RUN_CONTRIB
    ]
    assert offenders == []


def test_contrib_imports_public_modules_only() -> None:
    offenders = [
        f"{importer} imports {imported}"
        for importer, imported in sorted(IMPORTS)
        if is_contrib(importer) and not is_contrib(imported) and imported not in PUBLIC
    ]
    assert offenders == []


def is_contrib(name: str) -> bool:
    """Return whether a module is what is around the driver."""
    return f"{name}.".startswith(f"{NAME}.contrib.")
