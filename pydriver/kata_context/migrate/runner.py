"""Migrations: applying them, rolling them back, comparing a database with the files."""

import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kata_context import __version__
from kata_context.errors import KataError
from kata_context.migrate import contract, functions
from kata_context.migrate.files import OWNER, Migration, SqlFile, Tree, read_tree, sql_root
from kata_context.migrate.functions import Drift
from kata_context.migrate.session import (
    Connection,
    connect_reader,
    connect_runner,
    has_history,
    naming,
    run,
    run_apart,
    transaction,
    unmet,
    value,
)

# Until 0.1.0 the files are edited in place, and no database of an older checkout follows.
_RESTORE = (
    "restore the file, and put the change into a new migration; "
    "a newer development version takes a new database, on the embedded server KATA_HOME=<new folder>"
)


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a run, or of a dry run one that it would take.

    Parameters
    ----------
    kind : migration, function for a function file, contract for what else protects the data
    action : applied or rolled back; installed, dropped or moved; restored; skipped
    reason : why it was skipped, what a rollback loses, what goes with a file, where it was moved from
    """

    kind: str
    name: str
    action: str
    reason: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """The steps of a run, in order."""

    steps: tuple[Step, ...]
    dry_run: bool

    @property
    def changed(self) -> bool:
        """Whether anything was changed, or in a dry run would be."""
        return any(step.action != "skipped" for step in self.steps)

    def names(self, action: str, kind: str = "migration") -> list[str]:
        """Return the names of the steps of one kind and action."""
        return [step.name for step in self.steps if (step.kind, step.action) == (kind, action)]


@dataclass(frozen=True, slots=True)
class MigrationState:
    """A migration and its state in a database.

    Parameters
    ----------
    state : applied, skipped, pending, edited (a file of it), missing (its files), newer (than the package)
    """

    number: int
    name: str
    state: str
    reason: str | None
    applied_at: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """A database compared with the files."""

    migrations: tuple[MigrationState, ...]
    functions: tuple[Step, ...]
    drift: tuple[Drift, ...]

    @property
    def up_to_date(self) -> bool:
        """Whether migrations and functions are as the files say; a moved file makes no difference to them."""
        return (
            all(migration.state in ("applied", "skipped") for migration in self.migrations)
            and all(step.action in ("skipped", "moved") for step in self.functions)
            and not self.drift
        )


Progress = Callable[[Step], None]


def up(
    dsn: str,
    *,
    root: Path | None = None,
    to: int | None = None,
    dry_run: bool = False,
    lock_timeout: str = "5s",
    wait: float = 300.0,
    reinstall: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Apply the pending migrations, then the function files that changed.

    Parameters
    ----------
    dsn : of the server itself, not of a transaction pooler
    root : folder of the SQL files; default: the package's
    to : number of the last migration to apply; below the highest, functions stay as they are
    dry_run : change nothing and return the steps that a run would take
    lock_timeout : how long a statement may wait for a lock before the migration fails, as in Postgres
    wait : seconds to wait for another runner
    reinstall : run all function files, changed or not, and restore the security contract
    progress : called after each step

    Raises
    ------
    KataError : a refusal, and nothing has changed; or a failure, and the steps before it remain done
    """
    report = _Recorder(progress)
    with connect_reader(dsn) if dry_run else connect_runner(dsn, wait) as connection:
        history = _read_history(connection)
        tree = _read_files(history, root)
        to = _known_number(tree, tree.latest if to is None else to)
        if reinstall and not dry_run:
            _restore_contract(connection, lock_timeout, report)
        for migration in tree.migrations[:to]:
            recorded = history.get(migration.number)
            if recorded and recorded.status == "applied":
                continue
            started = time.monotonic()
            if dry_run:
                reason = unmet(connection, migration.up, dry_run=True)
            else:
                reason = _apply(connection, migration, recorded, lock_timeout)
            report.add("migration", migration.name, "skipped" if reason else "applied", reason, started)
        if to == tree.latest:
            plan = functions.make_plan(
                connection, tree, reinstall=reinstall, migrated=report.changed, dry_run=dry_run
            )
            if not dry_run and not plan.is_empty:
                functions.install(connection, tree, plan, lock_timeout)
                if reinstall:
                    _restore_contract(connection, lock_timeout, report)
            for step in _function_steps(plan):
                report.add(step.kind, step.name, step.action, step.reason)
    return Report(tuple(report.steps), dry_run)


def down(
    dsn: str,
    *,
    to: int,
    allow_destructive: bool = False,
    environment: str | None = None,
    root: Path | None = None,
    dry_run: bool = False,
    lock_timeout: str = "5s",
    wait: float = 300.0,
    progress: Progress | None = None,
) -> Report:
    """Roll back the migrations above a number, newest first.

    Functions belong to the newest schema, so the first step drops them all; `up`, of this package or of an
    older one, installs its own.

    Parameters
    ----------
    to : number of the last migration to keep; 0 removes everything
    allow_destructive : also run down files that are marked as losing data
    environment : the label of the database; a labeled database is refused without it
    root, dry_run, lock_timeout, wait, progress : as for `up`

    Raises
    ------
    KataError : a refusal, and nothing has changed; or a failure, and the steps before it remain done
    """
    report = _Recorder(progress)
    with connect_reader(dsn) if dry_run else connect_runner(dsn, wait) as connection:
        if not dry_run:
            check_environment(_environment(connection), environment)
        history = _read_history(connection)
        tree = _read_files(history, root)
        to = _known_number(tree, to)
        doomed = [m for m in reversed(tree.migrations[to:]) if m.number in history]
        losses = {
            m.number: f"loses {_losses(connection, m.down)}"
            for m in doomed
            if m.down.destructive and history[m.number].status == "applied"
        }
        if losses and not (allow_destructive or dry_run):
            raise KataError(
                f"data would be lost: {'; '.join(f'{n:04} {loss}' for n, loss in losses.items())}",
                "make a backup, then allow it with --allow-data-loss",
            )
        for migration in doomed:
            started = time.monotonic()
            if not dry_run:
                was_applied = history[migration.number].status == "applied"
                _roll_back(connection, migration, was_applied, lock_timeout)
            report.add("migration", migration.name, "rolled back", losses.get(migration.number), started)
    return Report(tuple(report.steps), dry_run)


def read_environment(dsn: str) -> str | None:
    """Return the label of a database, or None."""
    with connect_reader(dsn) as connection:
        return _environment(connection)


def status(dsn: str, *, root: Path | None = None) -> Status:
    """Compare a database with the files; changes nothing and waits for no lock.

    Raises
    ------
    KataError : the files do not fit each other, or the role may not read the migration history
    """
    with connect_reader(dsn) as connection:
        history = _read_history(connection)
        tree = read_tree(root or sql_root())
        migrations = []
        for number in sorted(history.keys() | {m.number for m in tree.migrations}):
            row = history.get(number)
            state, refusal = _compare(tree, history, number)
            if state == "skipped" and not unmet(connection, tree.migrations[number - 1].up):
                state = "pending"
            migrations.append(
                MigrationState(
                    number,
                    row.name if row else tree.migrations[number - 1].name,
                    state,
                    str(refusal) if refusal else row.reason if row else None,
                    row.applied_at if row else None,
                )
            )
        plan = functions.make_plan(connection, tree)
        found = functions.find_drift(connection)
    return Status(tuple(migrations), tuple(_function_steps(plan)), tuple(found))


def drift(dsn: str) -> list[Drift]:
    """Return what differs from what was installed: functions, views, policies, the security contract."""
    with connect_reader(dsn) as connection:
        return functions.find_drift(connection)


def _restore_contract(connection: Connection, lock_timeout: str, report: "_Recorder") -> None:
    started = time.monotonic()
    if repaired := contract.repair(connection, lock_timeout):
        name = f"{repaired} fact{'s' if repaired > 1 else ''} of the security contract"
        report.add("contract", name, "restored", None, started)


class _Recorder:
    """Collects steps and reports each to a callback."""

    def __init__(self, progress: Progress | None) -> None:
        self.steps: list[Step] = []
        self.progress = progress

    def add(
        self, kind: str, name: str, action: str, reason: str | None, started: float | None = None
    ) -> None:
        step = Step(kind, name, action, reason, 0.0 if started is None else time.monotonic() - started)
        self.steps.append(step)
        if self.progress:
            self.progress(step)

    @property
    def changed(self) -> bool:
        return any(step.action != "skipped" for step in self.steps)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of kata_data.migration."""

    number: int
    name: str
    up_checksum: str
    down_checksum: str
    status: str
    reason: str | None
    applied_at: str


def _read_history(connection: Connection) -> dict[int, _Row]:
    if not has_history(connection):
        return {}
    rows = connection.execute(
        """
        select m.number, m.name, m.up_checksum, m.down_checksum, m.status, m.reason, m.applied_at::text
        from kata_data.migration m
        order by m.number
        """
    )
    return {row[0]: _Row(*row) for row in rows}


def _environment(connection: Connection) -> str | None:
    # Read from the table: a rollback that failed half-way has dropped the function, not the label.
    exists = """
        select true
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'kata_data' and c.relname = 'environment'"""
    if not value(connection, exists):
        return None
    label: str | None = value(connection, "select e.label from kata_data.environment e")
    return label


def check_environment(label: str | None, given: str | None) -> None:
    """Refuse to go on with a labeled database unless its label was given.

    Parameters
    ----------
    label : of the database, None where it has none
    given : the label that the caller gave

    Raises
    ------
    KataError : no label was given, or another one
    """
    if label is not None and label != given:
        said = "no label was given" if given is None else f'the label was given as "{given}"'
        raise KataError(
            f'this database is labeled "{label}", and {said}',
            f"if this is the database that you mean, add --environment {shlex.quote(label)}",
        )


def _read_files(history: dict[int, _Row], root: Path | None) -> Tree:
    """Read the files, and refuse to go on if they do not fit the migration history."""
    root = root or sql_root()
    # Before anything else: a lost file also leaves a gap in the numbers, but its name says more.
    numbers = (path.name.partition("_")[0] for path in (root / "migrations").glob("*.up.sql"))
    last = max((int(number) for number in numbers if number.isdecimal()), default=0)
    for row in history.values():
        for name in (f"{row.name}.up.sql", f"{row.name}.down.sql"):
            if row.number <= last and not (root / "migrations" / name).is_file():
                raise KataError(f"{name} is missing, but the migration was applied", _RESTORE)
    tree = read_tree(root)
    for number in sorted(history.keys() | {m.number for m in tree.migrations}):
        _, refusal = _compare(tree, history, number)
        if refusal:
            raise refusal
    return tree


def _compare(tree: Tree, history: dict[int, _Row], number: int) -> tuple[str, KataError | None]:
    """Return the state of a migration, and a refusal if the run must not go on."""
    row = history.get(number)
    if row is None:
        last = max(history, default=0)
        if number > last:
            return "pending", None
        return "pending", KataError(
            f"{tree.migrations[number - 1].name} was never applied, but {history[last].name} was",
            f"give it the number {tree.latest + 1:04}",
        )
    if number > tree.latest:
        return "newer", KataError(
            f"the package (version {__version__}) is older than the database: it lacks {row.name}.up.sql",
            "upgrade the package",
        )
    migration = tree.migrations[number - 1]
    if migration.name != row.name:
        return "missing", KataError(f"{row.name}.up.sql is missing, but the migration was applied", _RESTORE)
    for file, checksum in ((migration.up, row.up_checksum), (migration.down, row.down_checksum)):
        if file.checksum != checksum:
            return "edited", KataError(f"{file.name} was edited after it was applied", _RESTORE)
    return row.status, None


def _known_number(tree: Tree, number: int) -> int:
    if not 0 <= number <= tree.latest:
        raise KataError(f"there is no migration {number}", f"the last one is {tree.latest}; 0 means none")
    return number


def _apply(
    connection: Connection, migration: Migration, recorded: _Row | None, lock_timeout: str
) -> str | None:
    """Apply a migration and write its row; return why it was skipped, if it was."""
    file = migration.up
    reason = None
    before = contract.facts(connection)
    with naming(connection, file, "earlier migrations are applied, this one is not"):
        if file.no_transaction:
            reason = unmet(connection, file, create=True)
            if not reason:
                run_apart(connection, file, lock_timeout)
        with transaction(connection, lock_timeout):
            if not file.no_transaction:
                reason = unmet(connection, file, create=True)
                if not reason:
                    # The first creates the owner, so it runs as the connecting role.
                    run(connection, file, file.owner if migration.number > 1 else None)
            if reason and recorded and recorded.reason == reason:
                return reason
            connection.execute(f"set local role {OWNER}".encode())
            connection.execute(
                """
                insert into kata_data.migration as t
                  (number, name, up_checksum, down_checksum, status, reason)
                values (%s, %s, %s, %s, %s, %s)
                on conflict on constraint migration_pkey do update
                set status = excluded.status, reason = excluded.reason, applied_at = excluded.applied_at,
                  applied_by = excluded.applied_by
                """,
                (
                    migration.number,
                    migration.name,
                    file.checksum,
                    migration.down.checksum,
                    "skipped" if reason else "applied",
                    reason,
                ),
            )
            contract.record(connection, before)
    return reason


def _roll_back(connection: Connection, migration: Migration, was_applied: bool, lock_timeout: str) -> None:
    """Roll back a migration and delete its row; drop all functions that still exist."""
    file = migration.down
    with naming(connection, file, "this migration and the earlier ones are still applied"):
        if was_applied and file.no_transaction:
            with transaction(connection, lock_timeout):
                functions.drop_all(connection)
            run_apart(connection, file, lock_timeout)
        with transaction(connection, lock_timeout):
            functions.drop_all(connection)
            if was_applied and not file.no_transaction:
                run(connection, file, file.owner if migration.number > 1 else None)
            # The first drops the migration history itself.
            if has_history(connection):
                connection.execute(
                    "delete from kata_data.migration m where m.number = %s", (migration.number,)
                )
                connection.execute("delete from kata_data.contract")


def _losses(connection: Connection, file: SqlFile) -> str:
    """Return the tables, with their sizes, and the columns that a down file drops."""
    text = file.body.decode()
    losses = []
    for table in re.findall(r"^drop table (?:if exists )?([\w.]+)", text, re.MULTILINE | re.IGNORECASE):
        size = value(connection, "select pg_size_pretty(pg_total_relation_size(to_regclass(%s)))", (table,))
        losses.append(f"table {table} ({size})" if size else f"table {table}")
    losses += (
        f"column {column}"
        for column in re.findall(r"\bdrop column (?:if exists )?(\w+)", text, re.IGNORECASE)
    )
    return ", ".join(losses) or "data that its file removes"


def _function_steps(plan: functions.Plan) -> list[Step]:
    return [
        *(Step("function", new, "moved", f"from {old}") for old, new in plan.moved.items()),
        *(Step("function", file.name, "installed") for file in plan.install),
        *(Step("function", path, "dropped", fate) for path, fate in plan.gone.items()),
        *(Step("function", file.name, "skipped", reason) for file, reason in plan.skipped),
    ]
