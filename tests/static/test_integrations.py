"""Every adapter has exact pins for its tests, an extra with lower bounds, and a section in the docs.

The folder clients has pins, too: of clients of PostgreSQL, which need no adapter.
"""

import ast
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from kata_context.errors import KataError
from support.sql_files import ROOT

FOLDER = ROOT / "tests" / "integrations"
PINS = {path.parent.name: path.read_text("utf-8") for path in sorted(FOLDER.glob("*/requirements.txt"))}
ADAPTERS = sorted(PINS.keys() - {"clients"})


def requirements(text: str) -> list[str]:
    """Return the lines of a file of requirements without comments."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_pins_of_integrations_are_exact() -> None:
    texts = [*PINS.values(), (FOLDER / "requirements.txt").read_text("utf-8")]
    loose = [
        line
        for text in texts
        for line in requirements(text)
        if not re.fullmatch(r"[\w.\[\],-]+==[\w.]+", line)
    ]
    assert loose == []


def test_the_extra_of_an_integration_has_lower_bounds_only() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    for name in ADAPTERS:
        found = re.search(rf"^{name.replace('_', '-')} = \[(.*?)\]$", project, re.MULTILINE | re.DOTALL)
        assert found, f"pyproject.toml has no extra for {name}"
        for requirement in re.findall(r'"(.*?)"', found[1]):
            assert re.fullmatch(r"[\w.\[\]-]+>=[\w.]+", requirement), requirement


def test_an_integration_is_a_module_of_contrib_that_the_docs_describe() -> None:
    page = (ROOT / "docs" / "integrations.md").read_text("utf-8")
    for name in ADAPTERS:
        assert (ROOT / "pydriver" / "kata_context" / "contrib" / f"{name}.py").exists()
        assert f"kata_context.contrib.{name} import" in page


CONTRIB = sorted((ROOT / "pydriver" / "kata_context" / "contrib").glob("*.py"))


def imported_from_an_sdk(file: Path) -> list[str]:
    """Return the modules that a file imports in a try at its top."""
    tries = [node for node in ast.parse(file.read_text("utf-8")).body if isinstance(node, ast.Try)]
    nodes = [node for tried in tries for node in tried.body]
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return names + [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]


@pytest.mark.parametrize(
    "file", [file for file in CONTRIB if imported_from_an_sdk(file)], ids=lambda file: file.stem
)
def test_a_missing_sdk_is_an_error_with_the_line_that_installs_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in imported_from_an_sdk(file):
        monkeypatch.setitem(sys.modules, name, None)
    spec = spec_from_file_location("without_its_sdk", file)
    assert spec
    assert spec.loader
    with pytest.raises(KataError, match="is not installed") as caught:
        spec.loader.exec_module(module_from_spec(spec))
    assert re.search(r"pip install 'kata-context\[[\w-]+\]'$", caught.value.hint or "")
