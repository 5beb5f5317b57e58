"""The SQL files: read, and checked against each other before any database is changed."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from kata_context.errors import KataError

OWNER = "kata_owner"
PRIVILEGES = "privileges.sql"
SCHEMAS = ("kata", "kata_data")


@dataclass(frozen=True, slots=True)
class SqlFile:
    """A file and the marks in its head.

    Parameters
    ----------
    name : relative to its folder, as it is recorded and named in messages
    owner : the role that it runs as
    extensions : the extensions that it requires; it is skipped while one is missing
    defines : the objects that a function file creates: `kata.append`, `view kata.v`,
        `policy p on kata_data.t`
    """

    name: str
    body: bytes
    owner: str = OWNER
    extensions: tuple[str, ...] = ()
    no_transaction: bool = False
    destructive: bool = False
    defines: tuple[str, ...] = ()

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class Migration:
    """A numbered pair of files; the second reverts the first."""

    number: int
    name: str
    up: SqlFile
    down: SqlFile


@dataclass(frozen=True, slots=True)
class Tree:
    """Everything under sql/: migrations by number, function files in the order in which they run."""

    migrations: tuple[Migration, ...]
    functions: tuple[SqlFile, ...]

    @property
    def latest(self) -> int:
        return len(self.migrations)


_MARK = re.compile(r"--\s*kata:\s*(.*\S)")
_MIGRATION = re.compile(r"(?P<name>(?P<number>\d{4,})_\w+)\.(?P<direction>up|down)\.sql")
_NAME = r'"?([a-z_][a-z0-9_]*)"?'
# At the start of a line only: an indented line belongs to a body.
_DEFINITION = re.compile(
    rf"^create\s+(?:or\s+replace\s+)?"
    rf"(?:(function|procedure|aggregate|view)\s+(?:{_NAME}\.)?{_NAME}|policy\s+{_NAME}\s+on\s+(?:{_NAME}\.)?{_NAME})",
    re.MULTILINE | re.IGNORECASE,
)


def sql_root() -> Path:
    """Return the folder of the SQL files: in the installed package, or else of the repository.

    Raises
    ------
    KataError : neither exists
    """
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "sql", package.parents[1] / "sql"):
        if (candidate / "migrations").is_dir():
            return candidate
    raise KataError(
        "the SQL files of kata-context are missing", "reinstall it: pip install --force-reinstall"
    )


def read_tree(root: Path) -> Tree:
    """Read and check the files.

    Parameters
    ----------
    root : folder that holds migrations/ and functions/

    Raises
    ------
    KataError : a number is missing or used twice, a pair is incomplete, a name or mark is unknown
    """
    return Tree(_migrations(root / "migrations"), _functions(root / "functions"))


def split_statements(text: str) -> list[str]:
    """Split SQL at semicolons outside quotes and comments; nested block comments are not supported."""
    statements, start = [], 0
    for lexeme in _LEXEME.finditer(text):
        if lexeme["end"]:
            statements.append(text[start : lexeme.end()].strip())
            start = lexeme.end()
    rest = text[start:].strip()
    if _COMMENT.sub("", rest).strip():
        statements.append(rest)
    return statements


_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_LEXEME = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | \b[eE]'(?:\\.|''|[^'\\])*' | '(?:''|[^'])*' | "(?:""|[^"])*"
    | (?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag) | (?P<end>;)""",
    re.DOTALL | re.VERBOSE,
)


def _read(path: Path, name: str) -> SqlFile:
    file = SqlFile(name, path.read_bytes())
    for line in file.body.decode().splitlines():
        if line.strip() and not line.startswith("--"):
            break
        match = _MARK.match(line)
        words = match[1].split() if match else []
        if not words:
            continue
        if words == ["no-transaction"]:
            file = replace(file, no_transaction=True)
        elif words == ["destructive"]:
            file = replace(file, destructive=True)
        elif words[:2] == ["requires", "extension"] and len(words) == 3:
            file = replace(file, extensions=(*file.extensions, words[2]))
        elif words[0] == "owner" and len(words) == 2:
            file = replace(file, owner=words[1])
        else:
            raise KataError(
                f'{name} has an unknown mark "{" ".join(words)}"',
                "marks are: no-transaction, requires extension NAME, destructive, owner ROLE",
            )
    return file


def _migrations(folder: Path) -> tuple[Migration, ...]:
    pairs: dict[int, dict[str, Path]] = {}
    names: dict[int, str] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _MIGRATION.fullmatch(path.name)
        if not match:
            raise KataError(
                f"{path.name} is not the name of a migration",
                "call it NNNN_name.up.sql or NNNN_name.down.sql",
            )
        number = int(match["number"])
        if names.setdefault(number, match["name"]) != match["name"]:
            raise KataError(
                f"{names[number]} and {match['name']} have the same number",
                "give the newer migration the next free number",
            )
        pairs.setdefault(number, {})[match["direction"]] = path
    migrations = []
    for expected, (number, pair) in enumerate(sorted(pairs.items()), start=1):
        name = names[number]
        for direction in ("up", "down"):
            if direction not in pair:
                raise KataError(
                    f"{name}.{direction}.sql is missing", "a migration is a pair of files, up and down"
                )
        if number != expected:
            raise KataError(
                f"there is no migration {expected:04}, but {name} comes after it", "numbers leave no gap"
            )
        up, down = (_read(pair[direction], pair[direction].name) for direction in ("up", "down"))
        migrations.append(Migration(number, name, up, down))
    return tuple(migrations)


def _functions(folder: Path) -> tuple[SqlFile, ...]:
    """Return the function files in the order in which they run: internal, families, privileges."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.sql"))
    names.sort(key=lambda name: (name == PRIVILEGES, not name.startswith("internal/")))
    files = []
    home: dict[str, str] = {}
    for name in names:
        file = _read(folder / name, name)
        defines: dict[str, None] = {}
        for match in _DEFINITION.finditer(file.body.decode()):
            kind, schema, routine, policy, table_schema, table = match.groups()
            if (schema or table_schema) not in SCHEMAS:
                raise KataError(
                    f"{name} creates {routine or policy} outside the schemas {' and '.join(SCHEMAS)}",
                    "qualify the name",
                )
            if policy:
                key = f"policy {policy} on {table_schema}.{table}"
            else:
                key = f"{'view ' if kind.lower() == 'view' else ''}{schema}.{routine}"
            if home.setdefault(key, name) != name:
                raise KataError(f"{key} is defined in {home[key]} and in {name}", "a name has one definition")
            defines[key] = None
        files.append(replace(file, defines=tuple(defines)))
    return tuple(files)
