"""Every adapter has exact pins for its tests, an extra with lower bounds, and a section in the docs.

The folder clients has pins, too: of clients of PostgreSQL, which need no adapter.
"""

import re

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
