"""The rules of the house for SQL, held against the files; no server is needed."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pglast import ast, parse_sql
from pglast.parser import Token, scan

SQL = Path(__file__).parent.parent / "sql"
MIGRATIONS = sorted((SQL / "migrations").glob("*.sql"))
FUNCTION_FILES = sorted((SQL / "functions").rglob("*.sql"))
API_FILES = [
    file for file in FUNCTION_FILES if file.parent.name != "functions" and "internal" not in file.parts
]
TEST_FILES = sorted((SQL / "tests").glob("*.sql"))
ALL_FILES = [*MIGRATIONS, *FUNCTION_FILES, *TEST_FILES]

# DESIGN.md 6: what a caller may have to handle.
ERRORS = {f"KC{number:03}" for number in range(1, 22)}
RAISE_OPTIONS = ("errcode", "message", "detail", "hint")


def name_of(file: Path) -> str:
    """Return the path under sql/, to tell the cases of a test apart."""
    return str(file.relative_to(SQL))


def by_file(files: list[Path]) -> pytest.MarkDecorator:
    """Run a test for each of these files."""
    return pytest.mark.parametrize("file", files, ids=name_of)


@dataclass(frozen=True, slots=True)
class Function:
    """A function as its file defines it."""

    schema: str
    name: str
    body: str
    options: dict[str, str]
    settings: dict[str, str]
    replaces: bool
    returns: str


def statements(file: Path, kind: type[ast.Node] = ast.Node) -> list[Any]:
    """Return the statements of a file, those of a kind; what belongs to psql is left out."""
    text = re.sub(r"\\gset\b", ";", file.read_text())
    text = re.sub(r":'\w+'", "''", text)
    text = re.sub(r"(?<=[\s(,\[]):(?=[a-z])", "", text)
    return [raw.stmt for raw in parse_sql(text) if isinstance(raw.stmt, kind)]


def functions(file: Path) -> list[Function]:
    """Return the functions that a file defines."""
    found = []
    for statement in statements(file, ast.CreateFunctionStmt):
        options, settings, body = {}, {}, ""
        for option in statement.options:
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
                schema=schema[0] if schema else "",
                name=name,
                body=body,
                options=options,
                settings=settings,
                replaces=bool(statement.replace),
                returns=".".join(part.sval for part in returns.names) if returns else "",
            )
        )
    return found


def comments_on_functions(file: Path) -> set[str]:
    """Return the names of the functions that a file comments on."""
    return {
        ".".join(part.sval for part in statement.object.objname)
        for statement in statements(file, ast.CommentStmt)
        if statement.objtype.name == "OBJECT_FUNCTION"
    }


def words(text: str) -> list[tuple[str, Token]]:
    """Return the tokens of SQL or PL/pgSQL with their text, without comments."""
    return [
        (text[token.start : token.end + 1], token)
        for token in scan(text)
        if token.name not in ("SQL_COMMENT", "C_COMMENT")
    ]


def bodies(file: Path) -> Iterator[str]:
    """Yield the body of every function and DO block of a file."""
    for function in functions(file):
        yield function.body
    for statement in statements(file, ast.DoStmt):
        yield next(option.arg.sval for option in statement.args if option.defname == "as")


def raised(body: str) -> Iterator[dict[str, list[str]]]:
    """Yield, for every RAISE EXCEPTION, its options, each with the string literals of its value."""
    tokens = words(body)
    for index, (word, _) in enumerate(tokens):
        if word != "raise" or tokens[index + 1][0] != "exception":
            continue
        options: dict[str, list[str]] = {}
        name, depth = "", 0
        for place in range(index + 2, len(tokens)):
            text, token = tokens[place]
            depth += text in ("(", "[") or (text == "case")
            depth -= text in (")", "]") or (text == "end")
            if depth == 0 and text == ";":
                break
            if depth == 0 and text in ("using", ","):
                name = tokens[place + 1][0]
                options[name] = []
            elif token.name == "SCONST":
                options.setdefault(name, []).append(text[1:-1])
        yield options


@by_file(ALL_FILES)
def test_a_file_is_sql(file: Path) -> None:
    assert statements(file)


@by_file(ALL_FILES)
def test_a_file_opens_with_a_comment_and_is_tidy(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("-- ")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert not [line for line in text.splitlines() if line != line.rstrip() or "\t" in line]


@by_file(ALL_FILES)
def test_what_is_not_quoted_is_lower_case(file: Path) -> None:
    texts = [file.read_text(), *bodies(file)]
    shouted = {
        word
        for text in texts
        for word, token in words(text)
        if (token.kind != "NO_KEYWORD" or token.name == "IDENT") and word[0] != '"' and word != word.lower()
    }
    assert not shouted


@by_file([*MIGRATIONS, *FUNCTION_FILES])
def test_an_error_has_a_code_a_message_a_detail_and_a_hint(file: Path) -> None:
    for body in bodies(file):
        for options in raised(body):
            assert tuple(options) == RAISE_OPTIONS


@by_file([*MIGRATIONS, *FUNCTION_FILES])
def test_an_error_is_one_of_the_catalogue(file: Path) -> None:
    codes = [options["errcode"] for body in bodies(file) for options in raised(body)]
    assert [code for code in codes if len(code) != 1 or code[0] not in ERRORS] == []
    assert set(re.findall(r"\bKC\d+", file.read_text())) <= ERRORS


@by_file([*MIGRATIONS, *FUNCTION_FILES])
def test_an_error_says_in_lower_case_what_is_wrong_and_in_sentences_why(file: Path) -> None:
    for body in bodies(file):
        for options in raised(body):
            assert not options["message"][0][0].isupper()
            assert not any(text.endswith(".") for text in options["message"])
            for option in ("detail", "hint"):
                # A value without a literal comes from elsewhere.
                assert not options[option] or any(text.endswith(".") for text in options[option])


@by_file(FUNCTION_FILES)
def test_a_function_raises_nothing_but_exceptions(file: Path) -> None:
    for body in bodies(file):
        tokens = [word for word, _ in words(body)]
        levels = {after for word, after in pairwise(tokens) if word == "raise"}
        assert levels <= {"exception"}


@by_file(FUNCTION_FILES)
def test_a_function_builds_no_statements_and_catches_what_it_names(file: Path) -> None:
    for function in functions(file):
        tokens = [word for word, _ in words(function.body)]
        assert "execute" not in tokens
        assert ("when", "others") not in pairwise(tokens)


@by_file(FUNCTION_FILES)
def test_a_function_names_the_columns_that_it_reads(file: Path) -> None:
    tables = {
        statement.relation.relname
        for migration in MIGRATIONS
        for statement in statements(migration, ast.CreateStmt)
    }
    for function in functions(file):
        tokens = [word for word, _ in words(function.body)]
        for before, word in pairwise(tokens):
            assert word != "*" or before not in ("select", "distinct", "all", "returning", ",")
        for alias in re.findall(r"\b(\w+)\.\*", function.body):
            for table in re.findall(
                rf"\b(?:from|join)\s+kata_data\.(\w+)\s+(?:as\s+)?{alias}\b", function.body
            ):
                own_type = f"kata_data.{table}"
                whole_row = re.search(rf"\bv_\w+ {own_type};", function.body) or function.returns == own_type
                assert table not in tables or whole_row


@by_file(API_FILES)
def test_a_public_function_has_a_file_of_its_name(file: Path) -> None:
    defined = functions(file)
    assert [function.name for function in defined if function.schema == "kata"] == [file.stem]
    assert {function.schema for function in defined} <= {"kata", "kata_data"}


@by_file(API_FILES)
def test_a_public_function_runs_as_its_owner_with_temporary_objects_last_in_its_path(file: Path) -> None:
    for function in functions(file):
        if function.schema == "kata":
            assert function.options["security"] == "True"
            # An empty path would have the client's temporary types come first.
            assert function.settings["search_path"] == "pg_catalog, pg_temp"


@by_file([file for file in FUNCTION_FILES if file not in API_FILES])
def test_an_internal_function_is_internal(file: Path) -> None:
    for function in functions(file):
        assert function.schema == "kata_data"
        assert "security" not in function.options


@by_file(FUNCTION_FILES)
def test_a_function_can_be_applied_again_and_says_what_it_may_do(file: Path) -> None:
    for function in functions(file):
        assert function.replaces
        assert function.options["language"] in ("sql", "plpgsql")
        assert function.options["volatility"] in ("immutable", "stable", "volatile")


@by_file([*MIGRATIONS, *FUNCTION_FILES, SQL / "tests" / "_fixtures.sql"])
def test_a_function_has_a_comment(file: Path) -> None:
    assert {f"{function.schema}.{function.name}" for function in functions(file)} <= comments_on_functions(
        file
    )


def test_a_name_is_defined_once() -> None:
    names = Counter(
        (function.schema, function.name)
        for file in [*FUNCTION_FILES, *MIGRATIONS]
        for function in functions(file)
    )
    assert [name for name, times in names.items() if times > 1] == []


def test_every_public_function_is_granted_to_somebody() -> None:
    granted = {
        ".".join(part.sval for part in function.objname)
        for statement in statements(SQL / "functions" / "privileges.sql", ast.GrantStmt)
        for function in statement.objects
        if function.objname[0].sval == "kata"
    }
    assert granted == {f"kata.{file.stem}" for file in API_FILES}


def test_migrations_are_numbered_without_a_gap_and_can_be_undone() -> None:
    names = [file.name for file in MIGRATIONS]
    ups = [name for name in names if name.endswith(".up.sql")]
    assert [name[:4] for name in ups] == [f"{number:04}" for number in range(1, len(ups) + 1)]
    assert sorted([*ups, *(name.replace(".up.", ".down.") for name in ups)]) == names


@by_file(MIGRATIONS)
def test_a_constraint_has_a_name(file: Path) -> None:
    for statement in statements(file, ast.CreateStmt):
        for element in statement.tableElts:
            parts = getattr(element, "constraints", (element,)) or ()
            assert [
                part.contype.name
                for part in parts
                if part.contype.name not in ("CONSTR_NOTNULL", "CONSTR_DEFAULT", "CONSTR_IDENTITY")
                and not part.conname
            ] == []


@by_file([file for file in TEST_FILES if not file.name.startswith("_")])
def test_a_test_file_proves_the_sentence_that_opens_it(file: Path) -> None:
    first, blank, begin, plan = file.read_text().splitlines()[:4]
    assert re.fullmatch(r"-- [A-Z].*[^.]\.", first)
    assert (blank, begin) == ("", "begin;")
    assert re.fullmatch(r"select plan\([1-9]\d*\);", plan)
