"""What `make generate` writes: up to date, and a method for every function."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import psycopg
import pytest

import generate
from kata_context.database_errors import CATALOGUE
from kata_context.driver.call import Call
from kata_context.driver.client_async import AsyncKata
from kata_context.generated import methods, methods_async, statements
from kata_context.generated.client import Kata

ROOT = Path(__file__).parent.parent
ERRORS = (ROOT / "docs" / "errors.md").read_text()

DEFINITION = re.compile(
    r"^create or replace function kata(?:_data)?\.\"?(\w+)\"?(.*?\$\$;)$", re.MULTILINE | re.DOTALL
)

Methods = type[methods.Methods] | type[methods_async.AsyncMethods]


@pytest.fixture
def functions(conn: psycopg.Connection) -> list[generate.Function]:
    """The functions of schema kata, as pg_proc has them."""
    found = generate.describe(conn)
    if missing := {file.stem for file in generate.public_files()} - {function.name for function in found}:
        pytest.skip(f"this server has no extension for {', '.join(sorted(missing))}")
    return found


def test_the_generated_files_are_up_to_date(
    conn: psycopg.Connection, functions: list[generate.Function]
) -> None:
    stale = [file.name for file, text in generate.render(conn).items() if file.read_text() != text]
    assert stale == [], "run: make generate"


@pytest.mark.parametrize("cls", [Kata, AsyncKata, methods.Methods, methods_async.AsyncMethods])
def test_there_is_a_method_for_every_function(cls: Methods, functions: list[generate.Function]) -> None:
    for function in functions:
        parameters = list(inspect.signature(getattr(cls, function.name)).parameters.values())[1:]
        assert [p.name for p in parameters] == [p.identifier for p in function.parameters], function.name
        required = [p.name for p in parameters if p.default is inspect.Parameter.empty]
        assert required == [p.identifier for p in function.parameters if p.default is None], function.name


@pytest.mark.parametrize("cls", [methods.Context, methods_async.AsyncContext])
def test_a_context_has_every_function_that_takes_a_context_first(
    cls: type, functions: list[generate.Function]
) -> None:
    for function in functions:
        taking = bool(function.parameters) and function.parameters[0].name == "context_id"
        assert hasattr(cls, function.name) == taking, function.name
        if taking:
            parameters = list(inspect.signature(getattr(cls, function.name)).parameters)[1:]
            assert parameters == [p.identifier for p in function.parameters[1:]], function.name


def test_both_clients_have_the_same_methods() -> None:
    assert public(Kata) == public(AsyncKata)
    for name in public(Kata):
        if name != "using":
            assert inspect.signature(getattr(Kata, name)).parameters.keys() == (
                inspect.signature(getattr(AsyncKata, name)).parameters.keys()
            ), name


def public(cls: type) -> set[str]:
    """Return the names of the methods that a class offers."""
    return {name for name in dir(cls) if not name.startswith("_")}


def test_every_method_says_what_it_does_and_what_it_raises(functions: list[generate.Function]) -> None:
    for function in functions:
        text = inspect.getdoc(getattr(Kata, function.name)) or ""
        for parameter in function.parameters:
            assert re.search(rf"\b{parameter.name}\b", text), f"{function.name}: {parameter.name}"
        for state in re.findall(r"KC\d{3}", function.comment):
            assert CATALOGUE[state].__name__ in text, f"{function.name}: {state}"
        assert get_type_hints(getattr(methods.Methods, function.name)).keys() >= {"return"}


def calls() -> Iterator[Call[Any]]:
    """Yield the calls that the driver knows."""
    return (call for call in vars(statements).values() if isinstance(call, Call))


def test_a_statement_names_its_columns_and_its_arguments(functions: list[generate.Function]) -> None:
    by_name = {function.name: function for function in functions}
    for call in calls():
        sql, function = call.sql.decode(), by_name[call.name]
        assert "*" not in sql
        assert sql.count("%s") == sql.count(" => ") == len(function.parameters)
        assert call.reads == function.reads


def test_a_call_that_takes_an_idempotency_key_is_repeatable_with_one_and_only_then() -> None:
    keyed = [call for call in calls() if b"idempotency_key" in call.sql]
    assert keyed
    for call in keyed:
        count = call.sql.count(b"%s")
        place = call.sql[: call.sql.index(b"idempotency_key")].count(b"%s")
        assert not call.is_repeatable((None,) * count)
        assert call.is_repeatable(tuple("k" if number == place else None for number in range(count)))


def table_of_errors() -> dict[str, list[str]]:
    """Return the rows of the table in docs/errors.md: exception and functions by SQLSTATE."""
    rows = re.findall(r"^\| (KC\d{3}) \|[^|]+\| `(\w+)` \| \d+ \| (.+) \|$", ERRORS, re.MULTILINE)
    return {state: [exception, *re.findall(r"`(\w+)`", functions)] for state, exception, functions in rows}


def test_the_table_of_errors_has_every_error_that_is_raised() -> None:
    text = "".join(file.read_text() for file in (ROOT / "sql").rglob("*.sql") if "tests" not in file.parts)
    assert set(re.findall(r"errcode = '(KC\d{3})'", text)) == table_of_errors().keys()


def test_every_error_has_an_exception_class() -> None:
    for state, (exception, *_) in table_of_errors().items():
        assert CATALOGUE[state].__name__ == exception


def test_the_catalogue_is_whole() -> None:
    assert sorted(CATALOGUE) == [f"KC{number:03}" for number in range(1, 22)]


def test_a_function_is_said_to_raise_only_what_it_or_what_it_calls_raises(
    functions: list[generate.Function],
) -> None:
    bodies = {
        name: body
        for file in (ROOT / "sql" / "functions").rglob("*.sql")
        for name, body in DEFINITION.findall(file.read_text())
    }
    for state, (_, *raising) in table_of_errors().items():
        for name in raising:
            assert state in reachable(name, bodies), f"{name} cannot raise {state}"


def reachable(name: str, bodies: dict[str, str]) -> set[str]:
    """Return the SQLSTATEs that a function or what it calls raises."""
    seen, todo, found = {name}, [name], set()
    while todo:
        body = bodies[todo.pop()]
        found |= set(re.findall(r"errcode = '(KC\d{3})'", body))
        for called in set(re.findall(r"\bkata(?:_data)?\.\"?(\w+)\"?\s*\(", body)) & bodies.keys() - seen:
            seen.add(called)
            todo.append(called)
    return found
