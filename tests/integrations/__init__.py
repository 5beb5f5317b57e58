"""The adapters in kata_context.contrib, each tested with the SDK that it is for: `make test-integrations`.

A folder per SDK, named like its module in contrib, holds `requirements.txt` with exact pins, an empty
`__init__.py`, and tests. They have the fixtures of tests/conftest.py; `make test` does not collect them. A
test fetches into `FETCHED`.
"""

import os
import re
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree as Xml

ROOT = Path(__file__).parents[2]
# In the environment of the SDK, so it is gone with the pins that it belongs to.
FETCHED = Path(sys.prefix) / "fetched"


def run_example(title: str, dsn: str, folder: Path) -> str:
    """Run the Python of a section of docs/integrations.md in a folder, and return what it printed."""
    page = (ROOT / "docs" / "integrations.md").read_text("utf-8")
    section = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    program = "\n".join(re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
    assert program, f"docs/integrations.md has no example under {title}"
    environment = {**os.environ, "DATABASE_URL": dsn}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, f"{program}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def fetched(package: str) -> Path:
    """Return the folder of a package's source distribution, fetched where it is not there."""
    name = f"{package.replace('-', '_')}-{version(package)}"
    if not (FETCHED / name / "tests").exists():
        arguments = ["download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(FETCHED)]
        wanted = f"{package}=={version(package)}"
        subprocess.run([sys.executable, "-m", "pip", *arguments, wanted], check=True)
        with tarfile.open(FETCHED / f"{name}.tar.gz") as archive:
            archive.extractall(FETCHED, filter="data")
    return FETCHED / name


def run_fetched(
    package: str, plugin: Path, files: Iterable[str], *options: str, dsn: str, report: Path
) -> tuple[Counter[str], set[str], str]:
    """Run tests of a package with a plugin of ours: counts by outcome, which failed, and what was printed."""
    ours = [str(plugin.parent), *sys.path]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", plugin.stem, "-p", "no:cacheprovider",
         "-W", "ignore", f"--junit-xml={report}", *options, *files],
        cwd=fetched(package),
        env={**os.environ, "DATABASE_URL": dsn, "PYTHONPATH": os.pathsep.join(ours), "NO_DOCKER": "true"},
        capture_output=True,
        text=True,
        timeout=1800,
    )  # fmt: skip
    assert report.exists(), done.stdout + done.stderr
    counts: Counter[str] = Counter()
    failed = set()
    for case in Xml.parse(report).iter("testcase"):
        outcome = next(
            (child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed"
        )
        counts[outcome] += 1
        if outcome in ("failure", "error"):
            failed.add(f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}")
    print(dict(counts))
    return counts, failed, done.stdout
