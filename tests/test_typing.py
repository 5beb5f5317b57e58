"""`mypy --strict` finds faults in programs that use the package, and none in sound ones."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

pytestmark = pytest.mark.slow

PROGRAMS = Path(__file__).parent / "typing"
FOUND = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+): error: (?P<message>.*)$", re.MULTILINE)


def test_a_type_checker_finds_each_fault_in_its_line(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}",
        "--python-version=3.10", "--hide-error-codes", *(file.name for file in sorted(PROGRAMS.glob("*.py"))),
    ]  # fmt: skip
    environment = {**os.environ, "MYPYPATH": str(ROOT / "pydriver")}
    done = subprocess.run(command, cwd=PROGRAMS, env=environment, capture_output=True, text=True)
    found = {(match["file"], int(match["line"])): match["message"] for match in FOUND.finditer(done.stdout)}
    expected = {
        (file.name, number): line.partition("  # E: ")[2]
        for file in PROGRAMS.glob("*.py")
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if "  # E: " in line
    }
    assert found.keys() == expected.keys(), done.stdout + done.stderr
    assert len(expected) > 20
    missed = [(*place, text, found[place]) for place, text in expected.items() if text not in found[place]]
    assert missed == []
