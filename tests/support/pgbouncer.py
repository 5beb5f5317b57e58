"""PgBouncer: where its program comes from, and running it before a server."""

import fcntl
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from kata_context.embedded import Account, as_account, child_environment
from support.driver import PATIENCE, wait_until
from support.pgtap import cache_folder

PORT = 6432
SECONDS = 300


class PgBouncerMissingError(Exception):
    """PgBouncer is not on this machine and could not be fetched."""


def find_program() -> Path:
    """Return the program: that of KATA_PGBOUNCER, else an installed one, else the cache's, fetched at need.

    Raises
    ------
    PgBouncerMissingError : there is none; the message says how to get one
    """
    given = os.environ.get("KATA_PGBOUNCER")
    if given:
        program = Path(given).expanduser()
        if not program.is_file():
            raise PgBouncerMissingError(f"KATA_PGBOUNCER names no file: {program}")
        return program
    installed = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if installed:
        return Path(installed)
    cached = cache_folder() / "pgbouncer" / "pgbouncer"
    cached.parent.mkdir(parents=True, exist_ok=True)
    with (cached.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cached.is_file():
            with tempfile.TemporaryDirectory(prefix="kata-pgbouncer-") as folder:
                try:
                    _fetch(Path(folder), cached)
                except (OSError, subprocess.SubprocessError, StopIteration) as error:
                    said = getattr(error, "stderr", None)
                    raise PgBouncerMissingError(
                        "the tests need PgBouncer, and it could not be fetched\n"
                        f"  apt-get: {said.decode().strip().splitlines()[-1] if said else repr(error)}\n"
                        "hint: install pgbouncer, name its program in KATA_PGBOUNCER, "
                        "or set KATA_NO_PGBOUNCER=1 where there is none for the platform"
                    ) from None
    return cached


@contextmanager
def pgbouncer(
    folder: Path, dsn: str, account: Account | None, *, pool_mode: str = "transaction", **settings: object
) -> Iterator[str]:
    """Run PgBouncer before the server of a DSN, and yield the DSN that goes through it.

    Fails the test where there is no PgBouncer, unless KATA_NO_PGBOUNCER says that the platform has none.

    Parameters
    ----------
    folder : where its files go; made
    account : who it runs as, for it refuses to run as root
    pool_mode, settings : of the section [pgbouncer] of its configuration
    """
    if os.environ.get("KATA_NO_PGBOUNCER"):
        pytest.skip("KATA_NO_PGBOUNCER says that this platform has no PgBouncer")
    try:
        program = find_program()
    except PgBouncerMissingError as error:
        pytest.fail(str(error), pytrace=False)
    given = {name: str(part) for name, part in conninfo_to_dict(dsn).items()}
    user, database = given.get("user", "postgres"), given["dbname"]
    folder.mkdir(mode=0o711)
    # A copy, because the account may not be able to enter the folder of the cache.
    for file in (program, *program.parent.glob("*.so.*")):
        shutil.copy(file, folder)
    with psycopg.connect(dsn) as connection:
        roles = [row[0] for row in connection.execute("select rolname from pg_roles where rolcanlogin")]
    (folder / "users.txt").write_text("".join(f'"{role}" ""\n' for role in roles))
    configuration = {
        "unix_socket_dir": folder,
        "listen_port": PORT,
        "auth_type": "trust",
        "auth_file": folder / "users.txt",
        "pool_mode": pool_mode,
        **settings,
    }
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={given['host']} port={given.get('port', 5432)}\n[pgbouncer]\n"
        + "".join(f"{name} = {setting}\n" for name, setting in configuration.items())
    )
    for path in (folder, *folder.iterdir()):
        if account:
            os.chown(path, account.uid, account.gid)
    command = as_account(account, [str(folder / program.name), str(folder / "pgbouncer.ini")])
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=child_environment() | {"LD_LIBRARY_PATH": str(folder)}, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: process.poll() is not None or _listens(folder / f".s.PGSQL.{PORT}"))
        if process.poll() is not None:
            pytest.fail(f"PgBouncer did not start: {(folder / 'log').read_text()}", pytrace=False)
        yield f"postgresql://{user}@/{database}?host={quote(str(folder))}&port={PORT}"
    finally:
        process.kill()
        process.wait(PATIENCE)


def _listens(address: Path) -> bool:
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        return probe.connect_ex(str(address)) == 0


def _fetch(folder: Path, destination: Path) -> None:
    """Take the program and the libraries that it lacks from Debian's packages; needs no root."""
    try:
        package = _download(folder, "pgbouncer")
    except subprocess.CalledProcessError:
        _run(folder, "apt-get", *_own_lists(folder), "update")
        package = _download(folder, "pgbouncer")
    _run(folder, "dpkg-deb", "-x", str(package), str(folder / "unpacked"))
    program = folder / "unpacked" / "usr" / "sbin" / "pgbouncer"
    lacking = re.findall(r"(\S+) => not found", _run(folder, "ldd", str(program)))
    if lacking:
        depends = _run(folder, "dpkg-deb", "-f", str(package), "Depends")
        for library in re.findall(r"\b(lib[\w.+-]+)", depends):
            if library != "libc6":
                _run(folder, "dpkg-deb", "-x", str(_download(folder, library)), str(folder / "unpacked"))
    for name in lacking:
        shutil.copy(next((folder / "unpacked").rglob(name)), destination.parent)
    # Last, and at once: where the program is, all is.
    shutil.copy(program, destination.with_suffix(".new"))
    destination.with_suffix(".new").rename(destination)


def _download(folder: Path, package: str) -> Path:
    options = _own_lists(folder) if (folder / "lists").exists() else []
    _run(folder, "apt-get", *options, "download", package)
    return next(folder.glob(f"{package}_*.deb"))


def _own_lists(folder: Path) -> list[str]:
    """Return apt's options for lists of packages of our own, where the machine has none."""
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    return [
        "-o",
        f"Dir::State::lists={folder}/lists",
        "-o",
        f"Dir::Cache={folder}",
        "-o",
        "Debug::NoLocking=1",
    ]


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(list(command), cwd=folder, check=True, capture_output=True, timeout=SECONDS)
    return done.stdout.decode()
