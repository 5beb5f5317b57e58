"""The SQL files of the project, each read and parsed once; no server is needed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from pglast import ast, parse_plpgsql, parse_sql
from pglast.parser import Token, scan

ROOT = Path(__file__).parents[2]
SQL = ROOT / "sql"
MIGRATIONS = sorted((SQL / "migrations").glob("*.sql"))
FUNCTION_FILES = sorted((SQL / "functions").rglob("*.sql"))
PUBLIC_FILES = [
    file for file in FUNCTION_FILES if file.parent.name != "functions" and "internal" not in file.parts
]
INTERNAL_FILES = [file for file in FUNCTION_FILES if file not in PUBLIC_FILES]
PGTAP_FILES = sorted((SQL / "tests").glob("*.sql"))
FIXTURES = SQL / "tests" / "_fixtures.sql"
ALL_FILES = [*MIGRATIONS, *FUNCTION_FILES, *PGTAP_FILES]


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function as its file defines it."""

    file: Path
    line: int
    schema: str
    name: str
    parameters: tuple[tuple[str, str], ...]  # mode and name
    body: str
    options: dict[str, str]
    settings: dict[str, str]
    replaces: bool
    returns: str
    source: str = field(repr=False)

    def __str__(self) -> str:
        return f"{place(self.file)}: {self.schema}.{self.name}"

    @property
    def language(self) -> str:
        """Return the language of the body."""
        return self.options["language"]


def is_a(node: Any, kind: type[ast.Node]) -> bool:
    """Return whether a node is of a kind; mypy, which has its lists as optional, learns nothing by it."""
    return isinstance(node, kind)


def place(file: Path) -> str:
    """Return the path under sql/."""
    return str(file.relative_to(SQL))


@cache
def _statements(file: Path) -> tuple[tuple[Any, int, str], ...]:
    text = file.read_text()
    # psql's own words make way for SQL.
    text = re.sub(r"\\gset\b", ";", text)
    text = re.sub(r":'\w+'", "''", text)
    text = re.sub(r"(?<=[\s(,\[]):(?=[a-z])", "", text)
    found = []
    for raw in parse_sql(text):
        start = raw.stmt_location or 0
        end = start + raw.stmt_len if raw.stmt_len else len(text)
        source = text[start:end]
        line = text[: end - len(source.lstrip())].count("\n")
        found.append((raw.stmt, line + 1, source))
    return tuple(found)


def statements(file: Path, kind: type[ast.Node] = ast.Node) -> list[Any]:
    """Return the statements of a file, those of a kind; what belongs to psql is left out."""
    return [statement for statement, _, _ in _statements(file) if is_a(statement, kind)]


@cache
def functions(file: Path) -> tuple[Function, ...]:
    """Return the functions that a file defines."""
    found = []
    for statement, line, source in _statements(file):
        if not is_a(statement, ast.CreateFunctionStmt):
            continue
        options, settings, body = {}, {}, ""
        for option in statement.options or ():
            if option.defname == "as":
                body = option.arg[0].sval
            elif option.defname == "set":
                settings[option.arg.name] = ", ".join(value.val.sval for value in option.arg.args or ())
            else:
                value = option.arg
                options[option.defname] = str(getattr(value, "sval", getattr(value, "boolval", value)))
        *schema, name = (part.sval for part in statement.funcname)
        returns = statement.returnType
        found.append(
            Function(
                file=file,
                line=line,
                schema=schema[0] if schema else "",
                name=name,
                parameters=tuple(
                    (parameter.mode.name.removeprefix("FUNC_PARAM_").lower(), parameter.name or "")
                    for parameter in statement.parameters or ()
                ),
                body=body,
                options=options,
                settings=settings,
                replaces=bool(statement.replace),
                returns=".".join(part.sval for part in returns.names) if returns else "",
                source=source,
            )
        )
    return tuple(found)


def all_functions(files: list[Path] = FUNCTION_FILES) -> Iterator[Function]:
    """Yield the functions of these files."""
    for file in files:
        yield from functions(file)


def comments_on_functions(file: Path) -> set[str]:
    """Return the names of the functions that a file comments on."""
    return {
        ".".join(part.sval for part in statement.object.objname)
        for statement in statements(file, ast.CommentStmt)
        if statement.objtype.name == "OBJECT_FUNCTION"
    }


@cache
def words(text: str) -> tuple[tuple[str, Token], ...]:
    """Return the tokens of SQL or PL/pgSQL with their text, without comments."""
    return tuple(
        (text[token.start : token.end + 1], token)
        for token in scan(text)
        if token.name not in ("SQL_COMMENT", "C_COMMENT")
    )


def tokens(text: str) -> list[str]:
    """Return the words of SQL or PL/pgSQL, without comments."""
    return [word for word, _ in words(text)]


def names(text: str) -> set[str]:
    """Return what can be a name in SQL or PL/pgSQL."""
    return {
        word.strip('"') for word, token in words(text) if token.name == "IDENT" or token.kind != "NO_KEYWORD"
    }


def literals(text: str) -> Iterator[tuple[int, str]]:
    """Yield the string literals of SQL with their lines, those inside dollar quotes too."""
    for token in scan(text):
        if token.name != "SCONST":
            continue
        literal, line = text[token.start : token.end + 1], text.count("\n", 0, token.start)
        if tag := re.match(r"\$\w*\$", literal):
            body = literal[len(tag[0]) : -len(tag[0])]
            yield from ((line + inner, found) for inner, found in literals(body))
        else:
            yield line + 1, literal


@cache
def bodies(file: Path) -> tuple[str, ...]:
    """Return the body of every function and DO block of a file."""
    blocks = (
        next(option.arg.sval for option in statement.args if option.defname == "as")
        for statement in statements(file, ast.DoStmt)
    )
    return (*(function.body for function in functions(file)), *blocks)


def raised(body: str) -> Iterator[dict[str, list[str]]]:
    """Yield, for every RAISE EXCEPTION, its options, each with the string literals of its value."""
    found = words(body)
    for index, (word, _) in enumerate(found):
        if word != "raise" or found[index + 1][0] != "exception":
            continue
        options: dict[str, list[str]] = {}
        name, depth = "", 0
        for position in range(index + 2, len(found)):
            text, token = found[position]
            depth += text in ("(", "[") or (text == "case")
            depth -= text in (")", "]") or (text == "end")
            if depth == 0 and text == ";":
                break
            if depth == 0 and text in ("using", ","):
                name = found[position + 1][0]
                options[name] = []
            elif token.name == "SCONST":
                options.setdefault(name, []).append(text[1:-1])
        yield options


@cache
def tables() -> frozenset[str]:
    """Return the names of the tables in schema kata_data."""
    return frozenset(
        statement.relation.relname for file in MIGRATIONS for statement in statements(file, ast.CreateStmt)
    )


@cache
def composite_types() -> frozenset[str]:
    """Return the names of the row types in schema kata_data."""
    return tables() | {
        statement.typevar.relname
        for file in MIGRATIONS
        for statement in statements(file, ast.CompositeTypeStmt)
    }


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that a DECLARE declares, with the expression of its first value, if any."""

    name: str
    line: int
    initial: str


Node = dict[str, Any]


@cache
def plpgsql(function: Function) -> Node:
    """Return the syntax tree of a PL/pgSQL function.

    libpg_query knows the types of pg_catalog alone, and no label of the function: a row type of ours becomes
    `record`, any other of our types `text`, and `f.name` inside f becomes `name`. Lines stay what they are.
    """

    def known(found: re.Match[str]) -> str:
        is_row = found["type"] in composite_types() and not found["array"]
        return f"{found['before']}{'record' if is_row else 'text'}{found['array'] or ''}"

    ours = r"kata_data\.(?P<type>\w+)(?:%rowtype)?(?P<array>\[\])?"
    body = re.sub(rf"(?<![\w.]){re.escape(function.name)}\.(?=[a-z])", "", function.body)
    body = re.sub(rf"(?m)(?P<before>^\s*v_\w+ (?:constant )?){ours}", known, body)
    head, _, tail = function.source.partition(function.body)
    head = re.sub(rf"(?P<before>\b){ours}(?!\w|\s*\()", known, head)
    (tree,) = parse_plpgsql(head + body + tail)
    return dict(tree["PLpgSQL_function"])


def nodes(tree: Any) -> Iterator[tuple[str, Node]]:
    """Yield every node under a tree with its kind, in order of depth."""
    if isinstance(tree, dict):
        for kind, value in tree.items():
            if kind.startswith("PLpgSQL_"):
                yield kind, value
            yield from nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from nodes(value)


def variables(function: Function) -> list[Variable]:
    """Return what the DECLAREs of a function declare; loop variables and parameters are not among it."""
    declared = []
    loops = {
        (node["var"]["PLpgSQL_var"]["refname"], node["var"]["PLpgSQL_var"]["lineno"])
        for kind, node in nodes(plpgsql(function)["action"])
        if kind == "PLpgSQL_stmt_fori"
    }
    for datum in plpgsql(function)["datums"]:
        for kind, node in datum.items():
            name, line = node.get("refname", ""), node.get("lineno", -1)
            if kind not in ("PLpgSQL_var", "PLpgSQL_rec") or line < 1 or (name, line) in loops:
                continue
            if name in ("sqlstate", "sqlerrm") or name.startswith("__"):
                continue
            declared.append(Variable(name, line, _initial(function.body, name, line)))
    return declared


def _initial(body: str, name: str, line: int) -> str:
    """Return the expression of a declaration, which the tree of libpg_query has for scalars alone."""
    start = sum(len(text) + 1 for text in body.split("\n")[: line - 1])
    found = [(word, token) for word, token in words(body) if token.start >= start]
    end = next(position for position, (word, _) in enumerate(found) if word == ";")
    declaration = found[next(i for i, (word, _) in enumerate(found) if word == name) : end]
    for word, token in declaration:
        if word in (":=", "default"):
            return body[token.end + 1 : found[end][1].start].strip()
    return ""


def reads(function: Function) -> set[str]:
    """Return the names that the expressions and statements of a PL/pgSQL function read."""
    found: set[str] = set()
    tree = plpgsql(function)
    assigned = {
        id(node["expr"]["PLpgSQL_expr"])
        for kind, node in nodes(tree["action"])
        if kind == "PLpgSQL_stmt_assign"
    }
    for kind, node in nodes(tree):
        if kind == "PLpgSQL_expr":
            query = node["query"]
            if id(node) in assigned:
                query = re.sub(r"^\s*[\w.]+", "", query)  # the target
            found |= names(query)
    for variable in variables(function):
        found |= names(variable.initial)
    # RETURN of a variable and FETCH from a cursor have no expression in the tree.
    verbs = ("return", "next", "fetch")
    found |= {word for (before, word) in pairwise(tokens(function.body)) if before in verbs}
    return found


@cache
def calls(function: Function) -> frozenset[str]:
    """Return the names of our functions that a function calls."""
    return frozenset(re.findall(r"\bkata(?:_data)?\.\"?(\w+)\"?\s*\(", _code(function.body)))


@cache
def reads_a_table(text: str) -> bool:
    """Return whether a statement or a body names one of the tables to read or to write it."""
    return any(
        name in tables()
        for name in re.findall(
            r"\b(?:from|join|into|update|using|only|,)\s+(?:only\s+)?kata_data\.(\w+)\b(?!\s*\()", _code(text)
        )
    )


def _code(text: str) -> str:
    return re.sub(r"--[^\n]*", "", text)


@cache
def acting() -> frozenset[str]:
    """Return the names of our functions that lock, raise or read a table, directly or by a call."""
    found = {function.name: function for function in all_functions()}
    acts = {
        name
        for name, function in found.items()
        if reads_a_table(function.body) or "raise" in tokens(function.body) or "advisory" in function.body
    }
    while more := {name for name, function in found.items() if name not in acts and calls(function) & acts}:
        acts |= more
    return frozenset(acts)
