"""docs/pitfalls.md has a row for each pitfall, and each row has a proof that exists, or is open."""

import ast
import re
from functools import cache

from support.sql_files import ROOT, SQL

PAGE = (ROOT / "docs" / "pitfalls.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("|") and not line.startswith(("|--", "| # |", "| danger |"))
]
NUMBERED = [row for row in ROWS if row[0].strip("| ").isdigit()]


@cache
def functions_of(file: str) -> frozenset[str]:
    """Return the names of the tests of a pytest file."""
    path = ROOT / "tests" / file
    tree = ast.parse(path.read_text("utf-8")) if path.is_file() else ast.Module([], [])
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def missing(proof: str) -> list[str]:
    """Return the names in a proof that lead to no test, and the whole proof if there is no name in it."""
    names = re.findall(r"`([^`]+)`", proof)
    file, absent = "", []
    for name in names:
        if name.endswith(".py"):
            file = name
            absent += [name] if not any(test.startswith("test_") for test in functions_of(name)) else []
        elif name.endswith(".sql"):
            absent += [name] if not (SQL / "tests" / name).is_file() else []
        elif name not in functions_of(file):
            absent.append(f"{file}: {name}")
    return absent if names else [proof]


def test_every_pitfall_has_a_row_in_order() -> None:
    assert [row[0].strip("| ") for row in NUMBERED] == [str(number) for number in range(1, 35)]


def test_every_row_has_a_proof_or_is_open() -> None:
    offenders = [
        f"{row[0]} {row[-3][:60]}: {absent}"
        for row in ROWS
        if not (row in NUMBERED and row[-2].startswith(("Open:", "Open.")) and row[-1].strip("| ") == "open")
        for absent in missing(row[-1])
    ]
    assert offenders == []


def test_an_open_row_names_no_proof() -> None:
    assert [
        row[0] for row in NUMBERED if row[-2].startswith(("Open:", "Open.")) and row[-1].strip("| ") != "open"
    ] == []


def test_the_names_in_a_proof_are_looked_up() -> None:
    assert missing("`test_driver.py`: `test_that_is_not_there`") == ["test_driver.py: test_that_is_not_there"]
    assert missing("`nothing.sql`; `test_nothing.py`") == ["nothing.sql", "test_nothing.py"]
    assert missing("by inspection") == ["by inspection"]
