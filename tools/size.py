"""`make size`: how much there is to read, to install and to load, with ceilings.

Prints each measure and its ceiling, then the start-up times, and exits with 1 if a ceiling is exceeded. Lines
are lines of files, comments and blank ones included. Every hand-written file of the package belongs to one
part. Start-up is held by what is loaded; its times depend on the machine and are printed only.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pydriver" / "kata_context"
FUNCTIONS = ROOT / "sql" / "functions"


class Part(NamedTuple):
    """Files of the package, as patterns, and the most lines that they may have."""

    patterns: tuple[str, ...]
    ceiling: int


PARTS = {
    # The modules that a program loads to call functions.
    "driver": Part(
        (
            "__init__.py", "config.py", "database_errors.py", "errors.py", "tokens.py",
            "types.py", "driver/*.py",
        ),
        2240,
    ),
    # Messages of providers, in the form of append.
    "adapters": Part(("adapters/*.py",), 900),
    # Token counts of content parts; loaded with the first message that has any.
    "content parts": Part(("parts.py",), 150),
    # Recorded requests: what a program of an agent gets back and answers.
    "requests": Part(("requests.py",), 250),
    "command line": Part(("cli/**/*.py",), 4100),
    "compaction by a model": Part(("compaction/*.py",), 1200),
    "recall": Part(("recall/*.py",), 350),
    # How programs of the user are started.
    "programs": Part(("programs.py",), 30),
    # Heads in a file, and verification in steps: of use without the command line.
    "evidence": Part(("evidence.py",), 150),
    # A family or a tenant in a file, and back.
    "archive": Part(("archive.py",), 350),
    # The generator of a proxy in front of several databases, its map of shards.
    "proxy": Part(("proxy/*.py",), 750),
    "migrations": Part(("migrate/*.py",), 2000),
    "embedded server": Part(("embedded.py",), 500),
    "testing": Part(("testing.py",), 200),
}  # fmt: skip
# Generated code, and code around the driver.
UNCOUNTED = ("generated/*.py", "contrib/**/*.py")

IMPORT = "import kata_context"
HELP = "from kata_context.cli.main import main; sys.argv[1:] = ['--help']; main()"
LOADED = """
import atexit, sys
known = set(sys.modules) | sys.stdlib_module_names
atexit.register(lambda: print(
    *(name for name in sys.modules if name.partition(".")[0] not in known), file=sys.stderr
))
"""
RUNS = 15


class Measure(NamedTuple):
    """A number and the most that it may be."""

    name: str
    value: int
    ceiling: int


def measures() -> Iterator[Measure]:
    """Yield every measure."""
    yield Measure("public functions", len(public_functions()), 102)
    yield Measure("policy fields", len(policy_fields()), 24)
    yield Measure("base dependencies", len(base_dependencies()), 6)
    for name, part in PARTS.items():
        lines = sum(len(file.read_text("utf-8").splitlines()) for file in files(part.patterns))
        yield Measure(f"lines: {name}", lines, part.ceiling)
    yield Measure("import kata_context: modules", len(loaded(IMPORT)), 1)
    shown = loaded(HELP)
    packages = {name.partition(".")[0] for name in shown}
    yield Measure("kata --help: packages", len(packages), 2)
    yield Measure("kata --help: own modules", len([name for name in shown if name.startswith("kata")]), 6)


def public_functions() -> list[str]:
    """Return the functions of schema kata: one per file, in the folders of the families."""
    return [file.stem for file in FUNCTIONS.glob("*/*.sql") if file.parent.name != "internal"]


def policy_fields() -> list[str]:
    """Return the fields of a policy."""
    text = (FUNCTIONS / "internal" / "compaction" / "policy.sql").read_text("utf-8")
    table = text.split("function kata_data.policy_fields()")[1].split("$$")[1]
    return re.findall(r"^ +\('(\w+)', '", table, re.MULTILINE)


def base_dependencies() -> list[str]:
    """Return what `pip install kata-context` installs."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    table = text.split("\ndependencies = [\n")[1].split("\n]")[0]
    return re.findall(r'^ +"([\w.-]+)', table, re.MULTILINE)


def files(patterns: tuple[str, ...]) -> list[Path]:
    """Return the files of the package that match patterns."""
    return sorted({file for pattern in patterns for file in PACKAGE.glob(pattern)})


def loaded(statement: str) -> list[str]:
    """Return the modules that a statement loads, without those of Python itself."""
    command = [sys.executable, "-c", LOADED + statement]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stderr.split()


def seconds(statement: str) -> float:
    """Return how long a new interpreter takes for a statement."""
    start = perf_counter()
    subprocess.run([sys.executable, "-c", f"import sys; {statement}"], stdout=subprocess.DEVNULL, check=True)
    return perf_counter() - start


def start_up() -> Iterator[str]:
    """Yield the time of each start beside that of the least with which it could do, run in turns."""
    for ours, least in ((IMPORT, "pass"), (HELP, "import click")):
        runs = [(seconds(ours), seconds(least)) for _ in range(RUNS)]
        mine, bare = (1000 * median(times) for times in zip(*runs, strict=True))
        name = "kata --help" if ours == HELP else ours
        yield f"{name}: {mine:.0f} ms, {mine / bare:.2f} times `{least}`"


def main() -> int:
    """Print all measures."""
    exceeded = False
    for measure in measures():
        mark = "" if measure.value <= measure.ceiling else "   EXCEEDED"
        print(f"{measure.name:<30} {measure.value:>6,} of {measure.ceiling:>5,}{mark}")
        exceeded |= bool(mark)
    for line in start_up():
        print(line)
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
