"""One Postgres server for each test process, a migrated template database in it, databases made from that.

A test that leaves nothing behind takes `conn` (one transaction, rolled back) or `dsn` (the shared database).
A test that commits takes `database`, its own, and `connect`. A test of migrations takes `empty_database`, or
`create_database` for several.
"""

import itertools
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from testing.postgresql import Postgresql

from kata_context.embedded import (
    SUPERUSER,
    Account,
    as_account,
    child_environment,
    find_account,
    find_binaries,
    initdb_options,
    usable_binaries,
)
from support import guard, pgtap
from support.commands import read, run  # noqa: F401  fixtures
from support.driver import PATIENCE, kata, wait_until  # noqa: F401  fixture
from support.interleaving import observer, start  # noqa: F401  fixtures
from support.locales import foreign  # noqa: F401  fixture
from support.proxies import proxy  # noqa: F401  fixture

ROOT = Path(__file__).parent.parent
# The standard profile has the same examples in each run; `make test-long` explores, by a seed that it prints.
# Examples that take long are not refused: their time depends on the machine.
AT_EASE = [HealthCheck.too_slow]
settings.register_profile(
    "standard", database=None, deadline=None, derandomize=True, max_examples=50, suppress_health_check=AT_EASE
)
settings.register_profile(
    "long", database=None, deadline=None, max_examples=2000, print_blob=True, suppress_health_check=AT_EASE
)
settings.load_profile("standard")

TEMPLATE = "kata_template"
SHARED = "kata_shared"
# initdb takes the time zone of this machine.
DURABLE = ("listen_addresses=", "max_connections=100", "timezone=UTC")
# For a server whose data may be lost.
FAST = (
    *DURABLE,
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "checkpoint_timeout=1h",
    "max_wal_size=4GB",
    # Statistics that come at some moment change what a first read looks up in the catalog.
    "autovacuum=off",
)


class TestServer(Postgresql):
    """A server of the tests, reachable through its socket only.

    Parameters
    ----------
    folder : where everything of it lies
    binaries : folder of the programs
    account : who it runs as, None for ourselves
    settings : "name=value" of the server's configuration
    """

    __test__ = False
    # The last checkpoint may take long on a busy machine.
    DEFAULT_KILL_TIMEOUT = PATIENCE

    def __init__(
        self, folder: Path, binaries: Path, account: Account | None, settings: tuple[str, ...]
    ) -> None:
        self.binaries = binaries
        self.account = account
        self.folder = folder
        super().__init__(
            base_dir=str(folder),
            initdb=str(binaries / "initdb"),
            postgres=str(binaries / "postgres"),
            postgres_args=" ".join(f"-c {setting}" for setting in settings),
            port=5432,
            boot_timeout=PATIENCE,
        )

    def initialize_database(self) -> None:
        """Make the database cluster."""
        for name in self.subdirectories:
            if self.account:
                os.chown(self.folder / name, self.account.uid, self.account.gid)
        command = [self.initdb, "-D", self.get_data_directory(), "--no-sync", *initdb_options(self.binaries)]
        subprocess.run(
            as_account(self.account, command), env=child_environment(), check=True, stdout=subprocess.DEVNULL
        )

    def get_server_commandline(self) -> list[str]:
        """Return the command that runs the server."""
        return as_account(self.account, super().get_server_commandline())

    def url(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """Return the DSN of a database, as a role."""
        return f"postgresql://{user}@/{database}?host={self.folder / 'tmp'}&port={self.settings['port']}"

    def is_server_available(self) -> bool:
        """Return whether the server answers."""
        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True

    def poststart(self) -> None:
        """Nothing is made in a new server."""

    def crash(self) -> None:
        """Kill every process of the server at once, as a crash of the machine would."""
        with closing(psycopg.connect(self.url())) as conn:
            sessions = conn.execute("select pid from pg_stat_activity").fetchall()
            for pid in (self.server_pid, *(pid for (pid,) in sessions)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.terminate()

    def recover(self) -> None:
        """Start again after a crash, and return once the server answers."""

        def is_back() -> bool:
            # A killed process may take a moment to let go of what a new server needs.
            with suppress(RuntimeError):
                self.start()
                return self.is_server_available()
            return False

        wait_until(is_back)

    def execute(self, statement: str) -> None:
        """Run a statement of administration in the database postgres."""
        with closing(psycopg.connect(self.url(), autocommit=True)) as conn:
            conn.execute(statement.encode())


class LaunchServer(Protocol):
    """Starts a server; it stops at the end of the session."""

    def __call__(
        self, name: str, settings: tuple[str, ...] = DURABLE, programs: Path | None = None
    ) -> TestServer: ...


class CreateDatabase(Protocol):
    """Makes a database and returns its DSN; it is dropped after the test."""

    def __call__(self, template: str = "template1") -> str: ...


def pytest_configure(config: pytest.Config) -> None:
    """Have pgTAP at hand before any worker needs it, and programs that hear interrupts."""
    # In the background of a shell the tests ignore interrupts, and with them all that they start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        try:
            pgtap.find_script(find_binaries())
        except pgtap.PgtapMissingError as error:
            raise pytest.UsageError(str(error)) from None


@pytest.fixture(scope="session")
def is_long(pytestconfig: pytest.Config) -> bool:
    """Whether the tests explore: `make test-long`."""
    return bool(pytestconfig.getoption("--hypothesis-profile") == "long")


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """The seed of what is random: the one of the command line, or else always the same."""
    return int(pytestconfig.getoption("--hypothesis-seed") or 0)


@pytest.fixture(scope="session", autouse=True)
def scratch() -> Iterator[Path]:
    """A folder outside the source tree, gone with its servers when this process has gone, however it went.

    No test meets a database of the user's: what the environment says of one is forgotten.
    """
    # The account of the servers has to reach what is made here, whatever the shell says.
    os.umask(0o022)
    folder = Path(tempfile.mkdtemp(prefix="kata-test-"))
    folder.chmod(0o711)
    stop_watching = guard.watch(folder)
    for name in [name for name in os.environ if name == "DATABASE_URL" or name.startswith("PG")]:
        del os.environ[name]
    os.environ["KATA_HOME"] = str(folder / "home")
    yield folder
    stop_watching()


@pytest.fixture(scope="session")
def launch_server(scratch: Path) -> Iterator[LaunchServer]:
    """Start a further server, durable unless told otherwise: `launch_server("crash")`."""
    account = find_account()
    binaries = usable_binaries(account, scratch)
    servers: list[TestServer] = []

    def launch(name: str, settings: tuple[str, ...] = DURABLE, programs: Path | None = None) -> TestServer:
        folder = scratch / name
        folder.mkdir(mode=0o711)
        servers.append(TestServer(folder, programs or binaries, account, settings))
        return servers[-1]

    yield launch
    # At once and all together: their data go with them.
    for server in servers:
        if server.is_alive():
            os.kill(server.server_pid, signal.SIGQUIT)
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(launch_server: LaunchServer) -> TestServer:
    """The server of this test process."""
    return launch_server("server", FAST)


@pytest.fixture(scope="session")
def psql() -> Path:
    """The program psql of the server under test."""
    return find_binaries() / "psql"


@pytest.fixture(scope="session")
def template(server: TestServer, psql: Path) -> str:
    """The name of a database that is migrated and has pgTAP and the fixtures of sql/tests."""
    from kata_context import migrate

    server.execute(f"create database {TEMPLATE}")
    dsn = server.url(TEMPLATE)
    migrate.up(dsn)
    with psycopg.connect(dsn) as conn:
        conn.execute(pgtap.load(pgtap.find_script(find_binaries())).encode())
    for file in sorted((ROOT / "sql" / "tests").glob("_*.sql")):
        loaded = pgtap.execute(psql, dsn, file.read_text())
        assert loaded.returncode == 0, f"{file.name}: {loaded.stderr.decode()}"
    return TEMPLATE


@pytest.fixture(scope="session")
def dsn(server: TestServer, template: str) -> str:
    """A migrated database that all tests of this process share. Leave nothing committed in it."""
    server.execute(f"create database {SHARED} template {template}")
    return server.url(SHARED)


@pytest.fixture
def conn(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to the shared database, in a transaction that is rolled back after the test."""
    with closing(psycopg.connect(dsn)) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def halfvec(conn: psycopg.Connection) -> None:
    """Skip a test of the index on embeddings where the extension vector is too old for one, or missing."""
    found = conn.execute("select exists (select from pg_type where typname = 'halfvec')").fetchone()
    if found != (True,):
        pytest.skip("the server has no extension vector 0.7")


_numbers = itertools.count(1)


@pytest.fixture
def create_database(server: TestServer) -> Iterator[CreateDatabase]:
    """Make databases for this test: empty ones, or migrated ones with `create_database(template)`."""
    made: list[str] = []

    def create(template: str = "template1") -> str:
        name = f"test_{next(_numbers)}"
        # Copied by files: a third less processor time than page by page through the log.
        server.execute(f"create database {name} template {template} strategy file_copy")
        made.append(name)
        return server.url(name)

    yield create
    for name in made:
        server.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
def database(create_database: CreateDatabase, template: str) -> str:
    """A migrated database for this test alone."""
    return create_database(template)


@pytest.fixture
def empty_database(create_database: CreateDatabase) -> str:
    """A database for this test alone, in which nothing is installed yet."""
    return create_database()


@pytest.fixture
def connect(database: str) -> Iterator[Callable[..., psycopg.Connection]]:
    """Open connections to `database`, with options of psycopg.connect; they are closed after the test."""
    opened: list[psycopg.Connection] = []

    def open_connection(**options: Any) -> psycopg.Connection:
        opened.append(psycopg.connect(database, **options))
        return opened[-1]

    yield open_connection
    for connection in opened:
        connection.close()
