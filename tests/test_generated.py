"""`make generate`: files that are up to date, the grammar of COMMENTs, the twins of asynchronous modules."""

import dataclasses
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import kata_context
from generate import catalog, schema
from generate.catalog import Function
from generate.comments import CommentError, parse
from generate.render import render
from generate.sync import without_async
from kata_context.database_errors import CATALOG
from kata_context.driver.call import Call
from kata_context.driver.client_async import AsyncKata
from kata_context.generated import methods, methods_async, rows, statements
from kata_context.generated.client import Kata

ROOT = Path(__file__).parent.parent
ERRORS = (ROOT / "docs" / "errors.md").read_text()

DEFINITION = re.compile(
    r"^create or replace function kata(?:_data)?\.\"?(\w+)\"?(.*?\$\$;)$", re.MULTILINE | re.DOTALL
)

Methods = type[methods.Methods] | type[methods_async.AsyncMethods]


@pytest.fixture
def functions(conn: psycopg.Connection) -> list[Function]:
    """The functions of schema kata, as pg_proc has them."""
    found = catalog.describe(conn)
    if missing := {file.stem for file in catalog.public_files()} - {function.name for function in found}:
        pytest.skip(f"this server has no extension for {', '.join(sorted(missing))}")
    return found


def test_the_generated_files_are_up_to_date(conn: psycopg.Connection, functions: list[Function]) -> None:
    files = render(conn)
    if conn.execute("select kata_data.vector_schema()").fetchone() == (None,):
        # This server has no extension vector 0.7, and embeddings are arrays.
        files = {
            file: text.replace("| `embedding` | real[] |", "| `embedding` | halfvec |")
            for file, text in files.items()
        }
    stale = [file.name for file, text in files.items() if file.read_text() != text]
    assert stale == [], "run: make generate"


def test_every_table_column_type_and_index_has_a_comment(conn: psycopg.Connection) -> None:
    relations = schema.relations(conn)
    assert "message" in relations
    assert [name for relation in relations.values() for name in relation.uncommented] == []


def test_the_schema_page_has_every_table_and_type(conn: psycopg.Connection) -> None:
    shown = [one.name for subject in schema.subjects(conn) for one in subject.relations]
    assert sorted(shown) == sorted(schema.relations(conn))


@pytest.mark.parametrize("cls", [Kata, AsyncKata, methods.Methods, methods_async.AsyncMethods])
def test_there_is_a_method_for_every_function(cls: Methods, functions: list[Function]) -> None:
    for function in functions:
        parameters = list(inspect.signature(getattr(cls, function.name)).parameters.values())[1:]
        assert [p.name for p in parameters] == [p.identifier for p in function.parameters], function.name
        required = [p.name for p in parameters if p.default is inspect.Parameter.empty]
        assert required == [p.identifier for p in function.parameters if p.default is None], function.name


@pytest.mark.parametrize("cls", [methods.Context, methods_async.AsyncContext])
def test_a_context_has_every_function_that_takes_a_context_first(
    cls: type, functions: list[Function]
) -> None:
    for function in functions:
        taking = bool(function.parameters) and function.parameters[0].name == "context_id"
        assert hasattr(cls, function.name) == taking, function.name
        if taking:
            parameters = list(inspect.signature(getattr(cls, function.name)).parameters)[1:]
            assert parameters == [p.identifier for p in function.parameters[1:]], function.name


def test_a_name_in_the_tables_of_the_generator_that_no_function_has_is_refused(
    functions: list[Function],
) -> None:
    assert catalog.unused_names(functions) == []
    others = [function for function in functions if function.name != "append_message"]
    assert {"append_message", "append_message.content", "role"} <= {*catalog.unused_names(others)}


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


def test_row_classes_are_imported_from_the_package(functions: list[Function]) -> None:
    shapes = catalog.name_shapes(functions)
    assert sorted(rows.__all__) == sorted(shapes.values())
    for name in rows.__all__:
        assert getattr(kata_context, name) is getattr(rows, name)
    with pytest.raises(ImportError, match="cannot import name 'UnknownRow' from 'kata_context'"):
        exec("from kata_context import UnknownRow", {})


def test_a_type_checker_knows_the_names_of_the_package(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from kata_context import Kata, MessageRow\n"
        "from kata_context import UnknownRow\n"
        "def first(kata: Kata) -> MessageRow:\n"
        "    return kata.messages('x')[0].content\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [line.split(" error: ")[-1] for line in done.stdout.splitlines() if "error:" in line] == [
        'Module "kata_context" has no attribute "UnknownRow"  [attr-defined]',
        'Incompatible return value type (got "str | None", expected "MessageRow")  [return-value]',
    ]


def test_the_positions_of_counted_arguments_are_those_of_the_parameters(functions: list[Function]) -> None:
    counters = {call.name: call.count for call in calls() if call.count is not None}
    assert counters.keys() == {"append", "append_message"}
    for function in functions:
        if function.name in counters:
            names = [parameter.name for parameter in function.parameters]
            for field in dataclasses.fields(counters[function.name]):  # type: ignore[arg-type]
                assert names[getattr(counters[function.name], field.name)] == field.name


def calls() -> Iterator[Call[Any]]:
    """Yield the calls that the driver knows."""
    return (call for call in vars(statements).values() if isinstance(call, Call))


def test_a_statement_names_its_columns_and_its_arguments(functions: list[Function]) -> None:
    by_name = {function.name: function for function in functions}
    for call in calls():
        sql, function = call.sql.decode(), by_name[call.name]
        assert "*" not in sql
        assert sql.count("%s") == sql.count(" => ") == len(function.parameters)
        assert call.reads == function.reads


def test_a_change_that_takes_an_idempotency_key_is_repeatable_with_one_and_only_then() -> None:
    keyed = [call for call in calls() if b"idempotency_key" in call.sql and not call.reads]
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
    folders = (ROOT / "sql" / "migrations", ROOT / "sql" / "functions")
    text = "".join(file.read_text() for folder in folders for file in folder.rglob("*.sql"))
    assert set(re.findall(r"errcode = '(KC\d{3})'", text)) == table_of_errors().keys()


def test_every_error_has_an_exception_class() -> None:
    for state, (exception, *_) in table_of_errors().items():
        assert CATALOG[state].__name__ == exception


def test_every_exception_class_has_an_error_that_is_raised() -> None:
    assert CATALOG.keys() == table_of_errors().keys()


def test_a_function_is_said_to_raise_only_what_it_or_what_it_calls_raises(
    functions: list[Function],
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


WHOLE = """Does a thing. It does it well.

context_id: the context. first_version, last_version: the range,
  both included. budget (tokens): how much.

Returns nothing: none.
Errors: KC001, KC003 version conflict. Locks: none.
Cost: O(1)."""
TAKEN = ["context_id", "first_version", "last_version", "budget"]


def test_a_comment_is_read_in_its_parts() -> None:
    comment = parse(WHOLE, TAKEN, CATALOG)
    assert comment.summary == "Does a thing."
    assert comment.paragraphs == ["Does a thing. It does it well.", "Returns nothing: none."]
    assert comment.parameters == {
        "context_id": "the context.",
        "first_version, last_version": "the range, both included.",
        "budget (tokens)": "how much.",
    }
    assert comment.facts == {
        "Errors": "KC001, KC003 version conflict.", "Locks": "none.", "Cost": "O(1)."
    }  # fmt: skip
    assert comment.errors == ["KC001", "KC003"]


@pytest.mark.parametrize(
    ("found", "replaced", "line", "problem"),
    [
        ("context_id:", "context_id", 3, "parameter context_id has no entry; is a colon missing?"),
        (" budget (tokens):", " budget (tokens)", 1, "parameter budget has no entry"),
        ("context_id: the context. ", "", 1, "parameter context_id has no entry"),
        ("  both included", "both included", 4, '"both included. budget (tokens): how muc…" opens no entry'),
        ("budget (tokens)", "context_id", 4, "parameter context_id has a second entry"),
        ("Does a thing. It does it well.\n\n", "", 1, "the first paragraph is not prose"),
        ("Does a thing. It does it well.", "Does a thing", 1, "the first sentence has no full stop"),
        ("KC003", "KC099", 7, "KC099 is not in the catalog of errors"),
        ("Errors: KC001", "Errors: none, KC001", 7, "Errors does not open with a SQLSTATE"),
        ("Cost: O(1).", "Locks: O(1).", 8, "Locks is there twice"),
        ("Cost: O(1).", "Price: O(1).", 8, "Price is not one of Errors, Locks, Cost"),
        ("Locks: none.\nCost: O(1).", "Cost: O(1). Locks: none.", 7, "Locks follows Cost"),
        ("Cost: O(1).", "Cost: O(1).\n\nMore prose.", 10, "prose follows Errors, Locks or Cost"),
    ],
)
def test_a_comment_that_breaks_the_grammar_is_refused_by_line(
    found: str, replaced: str, line: int, problem: str
) -> None:
    assert found in WHOLE
    with pytest.raises(CommentError) as refused:
        parse(WHOLE.replace(found, replaced), TAKEN, CATALOG)
    assert (refused.value.line, refused.value.problem[: len(problem)]) == (line, problem)


def test_a_refused_comment_is_named_by_file_and_function() -> None:
    file = next(file for file in catalog.public_files() if file.stem == "usage")
    line = file.read_text().split("\n").index("comment on function kata.usage(uuid, bigint) is") + 2
    with pytest.raises(SystemExit, match=rf"usage\.sql:{line}: kata\.usage: the first"):
        catalog.read_comment(file, "usage", "No full stop", [])


def test_a_twin_has_neither_async_nor_what_only_async_needs() -> None:
    source = '''
import asyncio
from kata_context.driver.client_async import AsyncKata

class AsyncThing:  # an AsyncThing that awaits, in async with
    """Is opened by `async with`, see AsyncThing.take_async."""

    async def take_async(self, pool: "AsyncPool") -> int:
        if True:  # ASYNC
            await asyncio.sleep(1)

        async with pool, self:
            first = (await self.rows(pool))[0]
            both = (await self.rows(pool) or [2])[0]
            if True:  # ASYNC
                return await self.unless_stopped(first)
            else:
                if both:
                    return first
                return both

    async def __aenter__(self, opened: Callable[[], Awaitable[T]]) -> T:
        return f"{await self.name_async(await_=1)}"
'''
    assert (
        without_async(source)
        == '''
import asyncio
from kata_context.generated.client import Kata

class Thing:  # an Thing that awaits, in with
    """Is opened by `with`, see Thing.take."""

    def take(self, pool: "Pool") -> int:
        with pool, self:
            first = self.rows(pool)[0]
            both = (self.rows(pool) or [2])[0]
            if both:
                return first
            return both

    def __enter__(self, opened: Callable[[], T]) -> T:
        return f"{self.name(await_=1)}"
'''
    )


def test_the_page_of_functions_shows_the_defaults_that_they_have(conn: psycopg.Connection) -> None:
    page = (ROOT / "docs" / "sql.md").read_text()
    shown = dict(re.findall(r"^kata\.(\w+)\(([^)]*)\)", page, re.MULTILINE))
    for name, arguments in conn.execute(
        """select p.proname::text, pg_get_function_arguments(p.oid) from pg_proc p
        where p.pronamespace = 'kata'::regnamespace"""
    ).fetchall():
        defaults = [
            re.sub(r"::.*", "", argument.partition(" DEFAULT ")[2]).lower()
            for argument in arguments.split(", ")
            if not argument.startswith("OUT ")
        ]
        signature = " ".join(shown[name].split())
        told = [
            re.sub(r"::.*", "", argument.partition(" = ")[2]).lower() for argument in signature.split(", ")
        ]
        assert told == defaults, name
