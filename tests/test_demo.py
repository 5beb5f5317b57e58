"""`kata demo` ends with commands and a program that work as printed."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.driver import PATIENCE

pytestmark = pytest.mark.slow

KATA = Path(sys.executable).parent / "kata"


@pytest.fixture
def folder(scratch: Path) -> Iterator[Path]:
    """A folder like that of a user, with .venv in it, and a server of its own."""
    place = scratch / "first-hour"
    (place / ".venv").mkdir(parents=True)
    (place / ".venv" / "bin").symlink_to(KATA.parent)
    yield place
    subprocess.run([KATA, "down"], env=environment(place), capture_output=True, timeout=PATIENCE)


def environment(folder: Path) -> dict[str, str]:
    """The environment of a user, whose path does not lead to `kata`."""
    return os.environ | {"KATA_HOME": str(folder / "home"), "PATH": "/usr/bin:/bin"}


def shell(folder: Path, command: str, stdin: str = "") -> str:
    """Run a line of a shell in the folder, and return what it prints."""
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment(folder), input=stdin,
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_demo_ends_with_what_works_as_printed(folder: Path) -> None:
    printed = shell(folder, ".venv/bin/kata demo").splitlines()
    assert "the same prompt as before the compaction" in printed
    tail = printed[printed.index("Now look around yourself, on the command line or from Python") + 1 :]
    program = textwrap.dedent("\n".join(tail[tail.index("  from kata_context import Kata") :]))
    rows = shell(folder, f"{sys.executable} -", program).splitlines()
    assert rows[0].split()[:2] == ["1", "system"]
    commands = [line.strip() for line in tail if "kata " in line and "import" not in line]
    assert [command.split()[0] for command in commands] == [".venv/bin/kata"] * 4
    listed, window, psql, _ = (shell(folder, command, "select 6 * 7") for command in commands)
    assert ("demo" in listed, len(window.splitlines()) - 1, "42" in psql) == (True, len(rows), True)
