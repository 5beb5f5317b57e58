"""The programs of docs/clients.md, one per client."""

import re
from pathlib import Path
from typing import NamedTuple

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text("utf-8")
# Each program prints this.
SAYS = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]


class Program(NamedTuple):
    """A block of the page."""

    language: str
    text: str


def programs(title: str) -> list[Program]:
    """Return the blocks of a section."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found, f"docs/clients.md has nothing to run under {title}"
    return [Program(*block) for block in found]
