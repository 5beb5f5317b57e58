"""The driver on a real server: calls, rows, errors, transactions, tenants, the pool."""

import asyncio
import contextlib
import dataclasses
import pickle
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

import kata_context
from conftest import ROOT
from kata_context import AsyncKata, Kata
from kata_context.database_errors import (
    CATALOG,
    BudgetTooSmallError,
    ContextClosedError,
    ContextNotFoundError,
    InvalidInputError,
    KataDatabaseError,
    NameTakenError,
)
from kata_context.driver.call import record
from kata_context.driver.route import find_route
from kata_context.driver.transport import is_local
from kata_context.driver.values import Versions, as_moment, as_numbers, as_versions
from kata_context.errors import (
    KataError,
    MisuseError,
    OutcomeUnknownError,
    PoolTimeoutError,
    UnreachableError,
    UnsafeConnectionError,
)
from kata_context.generated.methods import Context
from kata_context.generated.rows import ContextRow, WindowRow
from support import tls_relay
from support.driver import PATIENCE, TooSlowError, in_time, insist, wait_until

TLS = ROOT / "tests" / "data" / "tls"
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"to": "SEA"}'}}

Connect = Callable[..., psycopg.Connection]


def others(observer: psycopg.Connection) -> int:
    """Return how many sessions of the driver there are on the database."""
    row = observer.execute(
        """select count(*) from pg_stat_activity
        where datname = current_database() and application_name = 'kata-context'"""
    ).fetchone()
    assert row
    return int(row[0])


# Calls and rows


def test_a_conversation_goes_in_and_comes_out(kata: Kata) -> None:
    context = kata.create("support-4711", metadata={"customer": 7})
    assert context.append_message("user", "Which flights go to Seattle?") == 1
    appended = context.append(
        [
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "HAT083 – 漢字", "tool_call_id": "c1"},
        ]
    )
    assert [row.version for row in appended] == [2, 3]
    window = context.window(8000)
    assert [(row.version, row.role, row.reason) for row in window] == [
        (1, "user", "request"), (2, "assistant", "newest"), (3, "tool", "newest"),
    ]  # fmt: skip
    assert window[1].tool_calls == [CALL]
    assert window[2].content == "HAT083 – 漢字"
    assert context.prompt(8000)[0] == {"role": "user", "content": "Which flights go to Seattle?"}
    found = kata.get_context(context.id)
    assert (found.name, found.metadata, found.version) == ("support-4711", {"customer": 7}, 3)


def test_a_row_is_a_frozen_dataclass_like_any_other(kata: Kata) -> None:
    context = kata.create()
    context.append_message("user", "x", 5)
    (row,) = context.window(100)
    assert type(row) is WindowRow
    values = [getattr(row, field.name) for field in dataclasses.fields(row)]
    assert row == WindowRow(*values)
    assert hash(kata.usage(context.id)) == hash(kata.usage(context.id))
    assert not hasattr(row, "__dict__")
    assert dataclasses.replace(row, ordinal=2).ordinal == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.version = 2  # type: ignore[misc]


def test_a_row_is_made_of_values_in_the_order_of_its_fields() -> None:
    names = [field.name for field in dataclasses.fields(ContextRow)]
    row = record(ContextRow)(list(range(len(names))))
    assert [getattr(row, name) for name in names] == list(range(len(names)))


def test_what_is_not_given_is_what_the_function_takes_for_it(kata: Kata) -> None:
    assert kata.get_context(kata.create_context()).metadata == {}
    context = kata.create("named")
    assert context.update_context(metadata={"a": 1}) is None  # type: ignore[func-returns-value]
    assert kata.get_context(context.id).name == "named"


def test_a_context_is_named_by_id_or_by_name(kata: Kata) -> None:
    context = kata.create("flight")
    assert kata.context("flight").id == kata.context(context.id).id == kata.context(str(context.id)).id
    assert isinstance(kata.context("flight"), Context)
    assert kata.find_context("unknown") is None
    with pytest.raises(ContextNotFoundError, match="unknown"):
        kata.context("unknown")
    with pytest.raises(InvalidInputError, match="id must be a UUID, not str"):
        Context(kata, "flight")


def test_sets_and_arrays_arrive_as_they_are(conn: psycopg.Connection) -> None:
    cases: list[tuple[Versions, Multirange[int]]] = [
        ([3, range(5, 8)], Multirange([Range(3, 4), Range(5, 8)])),
        (Multirange([Range(1, 3)]), Multirange([Range(1, 3)])),
        ([], Multirange([])),
        ([range(4, 4)], Multirange([])),
    ]
    for given, meant in cases:
        text = as_versions("versions", given)
        assert conn.execute("select %s::int8multirange", [text]).fetchone() == (meant,)
    for numbers in ([1, 2], [], [[0.5, -1.0], [2.0, 1e-7]]):
        text = as_numbers("numbers", numbers)
        assert conn.execute("select %s::real[]", [text]).fetchone() == (numbers,)


def test_a_statement_is_prepared_once_whatever_the_size_of_its_numbers(kata: Kata) -> None:
    context = kata.create()
    with kata.transaction() as tx:
        for count in (1, 100_000, 2_000_000_000, None) * 6:
            tx.append_message(context.id, "user", "x", count)
        found = tx.connection.execute(
            "select count(*) from pg_prepared_statements where statement like '%append_message%'"
        ).fetchone()
    assert found == (1,)


# Errors


@pytest.mark.parametrize("state", CATALOG)
def test_an_error_of_the_database_is_of_the_class_of_its_sqlstate(
    conn: psycopg.Connection, state: str
) -> None:
    """psycopg does not document that a class declared with `code` is what it raises: this holds it to it."""
    with pytest.raises(CATALOG[state]) as caught:
        conn.execute(
            f"""do $$ begin raise exception using errcode = '{state}', message = 'it is wrong',
            detail = 'It is 5.', hint = 'Pass 4.'; end $$""".encode()
        )
    error = caught.value
    assert isinstance(error, KataError)
    assert isinstance(error, psycopg.DatabaseError)
    for found in (error, pickle.loads(pickle.dumps(error))):
        assert (type(found), found.sqlstate) == (CATALOG[state], state)
        assert (found.message, found.detail, found.hint) == ("it is wrong", "It is 5.", "Pass 4.")
        assert str(found) == "it is wrong (It is 5.)"
    assert error.as_problem() == {
        "type": f"urn:kata-context:error:{state}", "title": error.title, "status": error.status,
        "detail": "it is wrong: It is 5.", "sqlstate": state, "hint": "Pass 4.",
    }  # fmt: skip
    assert 400 <= error.status < 500


def test_a_call_that_fails_says_why_and_changes_nothing(kata: Kata) -> None:
    context = kata.create("taken")
    context.append_message("system", "x" * 400, 100)
    with pytest.raises(NameTakenError):
        kata.create("taken")
    with pytest.raises(BudgetTooSmallError, match="100 tokens"):
        context.prompt(10)
    with pytest.raises(ContextNotFoundError):
        kata.append_message(uuid.uuid4(), "user", "x")
    with pytest.raises(KataDatabaseError):
        context.append([{"role": "user", "content": "a"}, {"role": "robot", "content": "b"}])  # type: ignore[typeddict-item]
    assert context.usage().version == 1


def test_a_value_that_postgres_refuses_keeps_its_sqlstate(kata: Kata) -> None:
    for call, state in (
        (lambda: kata.create(metadata={"a": "\0"}), "22P05"),
        (lambda: kata.window(uuid.uuid4(), 2**40), "22003"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            call()
        assert caught.value.sqlstate == state
        assert caught.value.hint
        assert isinstance(caught.value, psycopg.DataError)
    with pytest.raises(InvalidInputError, match="NUL"):
        kata.create("a\0b")


def test_a_number_out_of_range_is_refused_by_the_name_of_its_parameter(kata: Kata) -> None:
    context = kata.create()
    refusals: list[tuple[Callable[[], object], str]] = [
        (lambda: context.window(2**40), "budget of window"),
        (lambda: context.window(100, stable_step=-(2**40)), "stable_step of window"),
        (
            lambda: context.append_message("user", f"{2**40}", token_count=2**40),
            "token_count of append_message",
        ),
        (lambda: context.messages(after=10**30), "after of messages"),
        (lambda: context.recall(embedding=[0.5, 1e300], model="m"), "embedding of recall"),
        (lambda: context.put_token_counts("cl100k_base", [1, 2], [5, 2**40]), "counts of put_token_counts"),
    ]
    for call, where in refusals:
        with pytest.raises(InvalidInputError, match=f"^{where} was given a value that Postgres refuses: "):
            call()


CIRCLE: dict[str, Any] = {}
CIRCLE["itself"] = CIRCLE
# Arguments of a method of a context, and the error of each.
UNSENDABLE: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], str]] = {
    "half a surrogate pair": ("append_message", ("user", "a\ud800"), {}, "not valid Unicode"),
    "half a pair in a batch": ("append", ([{"role": "user", "content": "\udfff"}],), {}, "not valid Unicode"),
    "half a pair in a name": ("update_context", ("\ud800",), {}, "not valid Unicode"),
    "a NUL": ("append_message", ("user", "a\0b", 1), {}, "NUL"),
    "not a number": (
        "append_message",
        ("user", "x"),
        {"metadata": {"score": float("nan")}},
        "metadata is not JSON",
    ),
    "infinity": (
        "append",
        ([{"role": "user", "content": "x", "metadata": {"a": float("-inf")}}],),
        {},
        "messages is not JSON",
    ),
    "an object": (
        "append_message",
        ("user", "x"),
        {"metadata": {"at": uuid.uuid4()}},
        "metadata is not JSON",
    ),
    "a set": ("set_policy", ({"preserve_roles": {"system"}},), {}, "policy is not JSON"),
    "a generator": ("append", (iter(()),), {}, "messages must be a list of dicts, not tuple_iterator"),
    "a circle": ("set_policy", (CIRCLE,), {}, "policy is not JSON"),
    "an object as text": (
        "append_message",
        ("user", {"text": "x"}, 1),
        {},
        "content must be a str, not dict",
    ),
    "a text as a list": ("close_calls", ("c1",), {}, "call_ids must be a list of str, not str"),
    "a number as a list": ("close_calls", (5,), {}, "call_ids must be a list of str, not int"),
    "an object as a count": (
        "put_token_counts",
        ("cl100k_base", [1], [object()]),
        {},
        r"counts\[0\] must be a number, not object",
    ),
    "bytes as text": ("append_message", ("user", b"x"), {}, "content must be a str, not bytes"),
    "a list as text": ("append_message", (["user"], "x"), {}, "role must be a str, not list"),
    "a number as text": ("checkpoint", (5,), {}, "name must be a str, not int"),
    "a truth as an integer": ("window", (True,), {}, "budget must be an int, not bool"),
    "a float as an integer": ("window", (8000.0,), {}, "budget must be an int, not float"),
    "a text as an integer": ("window", ("8000",), {}, "budget must be an int, not str"),
    "a text as a count": ("append_message", ("user", "x", "5"), {}, "token_count must be an int, not str"),
    "an integer as a truth": ("compact", (), {"force": 1}, "force must be True or False, not int"),
    "a truth as a version": ("pin", (True,), {}, "version must be a version.*, not bool"),
    "a float as a version": ("usage", (1.0,), {}, "at must be a version.*, not float"),
    "a moment without a zone": (
        "usage",
        (datetime(2026, 1, 31),),
        {},
        "at is a datetime without a time zone",
    ),
    "a selector as an expected version": (
        "append",
        ([], "head"),
        {},
        "expected_version must be an int, not str",
    ),
    "a list as an object": ("set_policy", ([],), {}, "policy must be a dict, not list"),
    "a text as an object": ("update_context", (), {"metadata": "{}"}, "metadata must be a dict, not str"),
    "a message": (
        "append",
        ({"role": "user", "content": "x"},),
        {},
        "messages must be a list of dicts, not dict",
    ),
    "text as messages": ("append", ("[]",), {}, "messages must be a list of dicts, not str"),
    "text as a message": ("append", (["x"],), {}, r"messages\[0\] must be a dict, not str"),
    "bytes in a message": (
        "append",
        ([{"role": "user", "content": "x"}, {"role": "user", "content": "x", "metadata": {"a": [b"x"]}}],),
        {},
        r"messages is not JSON: messages\[1\]\['metadata'\]\['a'\]\[0\] is bytes",
    ),
    "a model of a provider": (
        "append",
        ([SimpleNamespace(model_dump=None)],),
        {},
        r"messages\[0\] must be a dict; kata_context.adapters convert models",
    ),
    "a dict as calls": (
        "append_message",
        ("assistant", None),
        {"tool_calls": CALL},
        "tool_calls must be a list of dicts, not dict",
    ),
}


@pytest.fixture(params=UNSENDABLE)
def unsendable(request: pytest.FixtureRequest) -> tuple[str, tuple[Any, ...], dict[str, Any], str]:
    """A call that no database could be asked to do."""
    return UNSENDABLE[request.param]


def test_what_cannot_be_sent_is_refused_before_anything_is(
    kata: Kata, database: str, unsendable: tuple[str, tuple[Any, ...], dict[str, Any], str]
) -> None:
    name, arguments, options, said = unsendable
    context = kata.create("as it was")

    async def main() -> None:
        async with AsyncKata(database) as client:
            with pytest.raises(InvalidInputError, match=said):
                await getattr(await client.context(context.id), name)(*arguments, **options)
            assert (await client.get_context(context.id)).version == 0

    asyncio.run(main())
    with Kata(database, pooler=True, tenant="default") as pooled:
        for client in (kata, pooled):
            with pytest.raises(KataError, match=said) as refused:
                getattr(client.context(context.id), name)(*arguments, **options)
            assert isinstance(refused.value, InvalidInputError)
            assert refused.value.hint
            assert refused.value.as_problem()["title"] == "invalid input"
    with kata.transaction() as tx:
        tx.append_message(context.id, "user", "before")
        with pytest.raises(InvalidInputError):
            getattr(tx.context(context.id), name)(*arguments, **options)
        tx.append_message(context.id, "user", "after")
    found = kata.get_context(context.id)
    assert (found.name, found.version, found.message_count) == ("as it was", 2, 2)


def test_a_value_of_another_type_is_refused_by_the_name_of_its_parameter(kata: Kata) -> None:
    wrong: Any
    for wrong, said in (
        (5, "versions must be"),
        ([1, True], r"versions\[1\]"),
        ([range(1, 9, 2)], "without a step"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            kata.merge(uuid.uuid4(), uuid.uuid4(), wrong)
    for wrong in (5, None, b"", "no-uuid"):
        with pytest.raises(InvalidInputError, match="id must be a UUID"):
            Context(kata, wrong)
    context = kata.create()
    calls: list[tuple[Callable[[Any], object], Any, str]] = [
        (kata.usage, 5, "context_id must be a context: a UUID, a name or a handle, not int"),
        (kata.usage, b"x", "context_id must be a context.*, not bytes"),
        (kata.renew_compaction, context, "compaction_id must be a UUID, not Context"),
        (kata.renew_compaction, "flight", "compaction_id must be a UUID, not str"),
        (kata.archive_inactive, 60, "idle must be a timedelta, not int"),
        (
            lambda margin: kata.register_tokenizer("x", margin),
            "4",
            "bytes_per_token must be a number, not str",
        ),
        (
            lambda margin: kata.register_tokenizer("x", margin),
            True,
            "bytes_per_token must be a number, not bool",
        ),
        (
            lambda given: context.put_token_counts("x", given, [1]),
            [True],
            r"versions\[0\] must be a number, not bool",
        ),
    ]
    for call, value, said in calls:
        with pytest.raises(InvalidInputError, match=said) as refused:
            call(value)
        assert refused.value.hint
        assert "was passed" in str(refused.value.detail)
    assert as_moment("at", datetime(2026, 1, 31, tzinfo=timezone.utc)).year == 2026
    with pytest.raises(InvalidInputError, match=r"occurred_at must be .* of ISO 8601, not str"):
        as_moment("occurred_at", "2026-01-31")


# Transactions


def test_a_transaction_is_kept_or_left_as_a_whole(kata: Kata, observer: psycopg.Connection) -> None:
    with kata.transaction() as tx:
        first = tx.create("first")
        first.append_message("user", "one")
        assert observer.execute("select kata.find_context('first')").fetchone() == (None,)
    with contextlib.suppress(ZeroDivisionError), kata.transaction() as tx:
        tx.append_message(first.id, "user", "two")
        tx.create("second")
        _ = 1 / 0
    assert kata.usage(first.id).version == 1
    assert kata.find_context("second") is None


def test_calls_join_a_transaction_of_the_callers(kata: Kata, connect: Connect) -> None:
    context = kata.create()
    connection = connect()
    joined = kata.using(connection)
    joined.append_message(context.id, "user", "never")
    assert joined.usage(context.id).version == 1
    connection.rollback()
    assert kata.usage(context.id).version == 0
    joined.append_message(context.id, "user", "kept")
    connection.commit()
    assert kata.usage(context.id).version == 1


def test_a_select_of_the_callers_runs_as_methods_do(kata: Kata) -> None:
    create, text = "select kata.create_context(name => %s), 17", "select %s::text, %s::integer"
    theirs = kata.as_tenant("other")
    ((made, number),) = theirs.select(create, "mine")
    assert (theirs.find_context("mine"), kata.find_context("mine"), number) == (made, None, 17)
    assert kata.select(text, "x", None, reads=True) == [("x", None)]
    with contextlib.suppress(ZeroDivisionError), kata.transaction() as tx:
        tx.select(create, "gone")
        with pytest.raises(MisuseError, match="would not be part of it"):
            kata.select(text, "x", 1)
        _ = 1 / 0
    assert kata.find_context("gone") is None
    with pytest.raises(NameTakenError):
        theirs.select(create, "mine")
    with pytest.raises(InvalidInputError, match=r'a value of select .* "y"'):
        kata.select(text, "x", "y")


# Tenants


def test_a_tenant_sees_its_own(database: str, connect: Connect) -> None:
    with Kata(database, tenant="a b\\'c") as ours, Kata(database, tenant="other") as theirs:
        context = ours.create("mine")
        assert ours.get_context(context.id).tenant == "a b\\'c"
        assert theirs.find_context("mine") is None
        with pytest.raises(ContextNotFoundError):
            theirs.context(context.id).append_message("user", "x")
        with ours.transaction() as tx:
            assert tx.find_context("mine") == context.id
        for connection in (connect(), connect(autocommit=True)):
            assert ours.using(connection).find_context("mine") == context.id
            assert theirs.using(connection).find_context("mine") is None


# The pool


def test_a_call_waits_for_a_connection_for_a_bounded_time_and_then_says_so(database: str) -> None:
    with Kata(database, max_size=1, wait=0.3) as kata, ThreadPoolExecutor(1) as thread:
        insist(kata.version, PoolTimeoutError)  # until it has its connection
        with kata.transaction():
            began = monotonic()
            with pytest.raises(PoolTimeoutError, match=r"within 0\.3 s: all 1 of the pool") as caught:
                thread.submit(kata.version).result(PATIENCE)
            assert monotonic() - began > 0.2
        assert caught.value.hint


def test_a_few_connections_serve_many_threads(kata: Kata, observer: psycopg.Connection) -> None:
    context = kata.create()
    most = 0

    def work(number: int) -> list[int]:
        return [context.append_message("user", f"{number}:{step}") for step in range(10)]

    with ThreadPoolExecutor(16) as threads:
        running = [threads.submit(work, number) for number in range(16)]
        while True:
            most = max(most, others(observer))
            if all(future.done() for future in running):
                break
        versions = [version for future in running for version in future.result()]
    assert sorted(versions) == list(range(1, 161))
    # The session that looked at the server may end later than it was closed.
    assert 1 <= most <= 4 + 1


def test_connections_that_are_not_needed_any_more_are_closed_within_seconds(
    database: str, observer: psycopg.Connection
) -> None:
    # The server closes none.
    with Kata(f"{database}&options=-c%20idle_session_timeout%3D0", max_idle=0.2) as kata:
        opened, counted = threading.Barrier(5), threading.Event()

        def hold() -> None:
            with kata.transaction():
                opened.wait(PATIENCE)
                counted.wait(PATIENCE)

        with ThreadPoolExecutor(4) as threads:
            holding = [threads.submit(hold) for _ in range(4)]
            opened.wait(PATIENCE)
            wait_until(lambda: others(observer) == 4)
            counted.set()
            for future in holding:
                future.result(PATIENCE)
        wait_until(lambda: others(observer) == 1)
    wait_until(lambda: others(observer) == 0)


def test_the_driver_asks_the_server_to_end_idle_sessions(kata: Kata) -> None:
    with kata.transaction() as tx:
        for name, setting in (
            ("idle_session_timeout", "1min"),
            ("idle_in_transaction_session_timeout", "1min"),
            ("client_connection_check_interval", "5s"),
        ):
            assert tx.connection.execute(f"show {name}".encode()).fetchone() == (setting,)


def test_the_dsn_decides_where_it_says_something_itself(database: str) -> None:
    dsn = f"{database}&options=-c%20idle_session_timeout%3D7000&application_name=mine"
    with Kata(dsn, tenant="x") as kata, kata.transaction() as tx:
        for name, setting in (
            ("idle_session_timeout", "7s"),
            ("idle_in_transaction_session_timeout", "1min"),
            ("application_name", "mine"),
            ("kata.tenant", "x"),
        ):
            assert tx.connection.execute(f"show {name}".encode()).fetchone() == (setting,)


def test_the_minimum_is_there_before_the_first_call(database: str, observer: psycopg.Connection) -> None:
    with Kata(database, min_size=3):
        wait_until(lambda: others(observer) == 3)


def test_an_archived_context_is_a_conflict_and_a_deleted_one_gone(database: str) -> None:
    with Kata(database) as kata:
        context = kata.create()
        for close, status in ((context.archive_context, 409), (context.delete_context, 410)):
            close()
            with pytest.raises(ContextClosedError) as caught:
                context.append_message("user", "x")
            assert caught.value.as_problem()["status"] == status


def test_handles_of_one_context_are_equal(database: str) -> None:
    with Kata(database) as kata:
        one, other = kata.create("one"), kata.create("other")
        assert {one, kata.context(one.id), kata.context("one")} == {one} != {other}
        assert one != one.id


def test_a_closed_driver_says_so(database: str) -> None:
    kata = Kata(database)
    assert repr(kata) == "<Kata not open>"
    assert kata.version()
    assert "/test_" in repr(kata)
    kata.close()
    with pytest.raises(MisuseError, match="closed"):
        kata.version()


def test_a_database_that_is_not_there_is_one_line(database: str, empty_database: str) -> None:
    for dsn, said in (
        (database.replace("/test_", "/nothing_"), "does not exist"),
        (empty_database, "Kata Context is not installed"),
        ("postgresql://u:secret@127.0.0.1:1/x", "cannot connect to"),
        ("postgresql://u:secret@nowhere.invalid/x", "cannot connect to"),
    ):
        with pytest.raises(UnreachableError, match=said) as caught:
            Kata(dsn, wait=2).open()
        assert "\n" not in str(caught.value)
        assert "secret" not in repr(caught.value)
        assert caught.value.hint


# Lost connections


def terminate_all(observer: psycopg.Connection) -> None:
    """End every session of the driver, as an administrator would."""
    observer.execute(
        """select pg_terminate_backend(pid, %s) from pg_stat_activity
        where datname = current_database() and application_name = 'kata-context'""",
        [PATIENCE * 1000],
    )


def test_a_connection_that_was_closed_while_idle_is_replaced_before_anything_is_sent(
    kata: Kata, observer: psycopg.Connection
) -> None:
    context = kata.create()
    for version in range(1, 6):
        terminate_all(observer)
        assert context.append_message("user", "once") == version


@pytest.mark.parametrize("key", [None, "k1"])
def test_an_append_whose_connection_is_lost_is_repeated_only_with_a_key(
    database: str, observer: psycopg.Connection, key: str | None
) -> None:
    def is_waiting() -> bool:
        row = observer.execute(
            """select count(*) from pg_stat_activity
            where datname = current_database() and application_name = 'kata-context'
              and cardinality(pg_blocking_pids(pid)) > 0"""
        ).fetchone()
        return row == (1,)

    def attempt(wait: float) -> None:
        with (
            Kata(database, wait=wait) as kata,
            closing(psycopg.connect(database)) as holder,
            ThreadPoolExecutor(1) as thread,
        ):
            context = insist(kata.create, PoolTimeoutError)
            began = monotonic()
            holder.execute("select kata.append_message(%s, 'user', 'never')", [context.id])
            append = thread.submit(context.append_message, "user", "x", 5, idempotency_key=key)
            wait_until(lambda: append.done() or is_waiting())
            # The wait is one for a connection; how long the call itself takes is another matter.
            wait_until(lambda: monotonic() > began + 1.2 * wait)
            terminate_all(observer)
            if key:
                wait_until(lambda: append.done() or is_waiting())
            holder.rollback()
            error = append.exception(PATIENCE)
            if isinstance(error, PoolTimeoutError) or isinstance(error and error.__cause__, PoolTimeoutError):
                raise TooSlowError
            if key:
                assert append.result() == 1
            else:
                assert isinstance(error, OutcomeUnknownError)
                assert "append_message" in str(error)
            assert insist(context.usage, PoolTimeoutError).version == (1 if key else 0)

    in_time(attempt, 0.5)


def test_a_replaced_function_does_not_break_what_is_prepared(kata: Kata, connect: Connect) -> None:
    plain = connect(autocommit=True, prepare_threshold=0)
    query = "select name, bytes_per_token, margin from kata.tokenizers()"
    for _ in range(8):
        names = [row.name for row in kata.tokenizers()]
        plain.execute(query)
    connect(autocommit=True).execute(
        """begin;
        drop function kata.tokenizers();
        create function kata.tokenizers() returns table (name text, bytes_per_token float8, margin float8)
        language sql stable security definer set search_path = pg_catalog, pg_temp
        as 'select t.name, t.bytes_per_token::float8, t.margin::float8 from kata_data.tokenizer t order by 1';
        commit"""
    )
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="cached plan"):
        plain.execute(query)
    assert [row.name for row in kata.tokenizers()] == names


# Encryption


@pytest.mark.parametrize(
    ("dsn", "environment", "mode"),
    [
        ("postgresql://u@db.example.com/x", {}, "require"),
        ("postgresql://u@db.example.com/x?sslmode=disable", {}, "disable"),
        ("postgresql://u@db.example.com/x?sslmode=verify-full", {}, "verify-full"),
        ("postgresql://u@10.0.0.7/x", {"PGSSLMODE": "disable"}, "require"),
        ("postgresql://u@localhost,db.example.com/x", {}, "require"),
        ("postgresql:///x", {"PGHOST": "db.example.com"}, "require"),
        ("postgresql://u@localhost/x", {}, None),
        ("postgresql://u@127.0.0.3/x", {}, None),
        ("postgresql://u@[::1]/x", {}, None),
        ("postgresql:///x?host=/run/postgresql", {}, None),
        ("postgresql://u@db.example.com/x", {"PGSSLMODE": "verify-full"}, None),
    ],
)
def test_a_host_that_is_not_this_machine_gets_tls_unless_the_dsn_says_otherwise(
    dsn: str, environment: dict[str, str], mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert find_route(dsn, None, None, 1).parameters.get("sslmode") == mode


# Listens on every address of this machine, and passes what comes on to a socket in the file system.
RELAY = """
import asyncio, sys

async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()

async def serve(reader, writer):
    server_reader, server_writer = await asyncio.open_unix_connection(sys.argv[1])
    await asyncio.gather(pump(reader, server_writer), pump(server_reader, writer))

async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@contextmanager
def relay(*command: object) -> Iterator[int]:
    """Run a program that prints the port on which it listens, and yield the port."""
    process = subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def test_plain_text_to_another_machine_is_refused(database: str) -> None:
    server = psycopg.conninfo.conninfo_to_dict(database)
    assert not is_local({"host": "0.0.0.0"})  # an address of this machine, but not a local one
    with relay("-c", RELAY, f"{server['host']}/.s.PGSQL.5432") as port:
        dsn = f"postgresql://postgres@0.0.0.0:{port}/{server['dbname']}"
        with pytest.raises(UnsafeConnectionError, match="encrypted"):
            Kata(dsn).open()
        with Kata(f"{dsn}?sslmode=disable") as kata:
            assert kata.version() == kata_context.__version__


def test_a_self_signed_certificate_encrypts_but_is_trusted_only_where_the_dsn_names_it(database: str) -> None:
    server = psycopg.conninfo.conninfo_to_dict(database)
    certificate, key = TLS / "server.crt", TLS / "server.key"
    with relay(tls_relay.__file__, f"{server['host']}/.s.PGSQL.5432", certificate, key) as port:
        dsn = f"postgresql://postgres@0.0.0.0:{port}/{server['dbname']}"
        trusted = f"sslrootcert={certificate}"
        for options in ("", "?sslmode=require", f"?sslmode=verify-ca&{trusted}"):
            with Kata(dsn + options) as kata:
                assert kata.version() == kata_context.__version__
        with pytest.raises(UnreachableError, match="certificate verify failed"):
            Kata(f"{dsn}?sslmode=verify-full&sslrootcert=system").open()
        with pytest.raises(
            UnreachableError, match=r'"db\.example\.com" .* does not match host name "0\.0\.0\.0"'
        ):
            Kata(f"{dsn}?sslmode=verify-full&{trusted}").open()


# asyncio


def test_the_same_works_in_an_event_loop(database: str, observer: psycopg.Connection) -> None:
    async def main() -> list[int]:
        async with AsyncKata(database) as kata:
            context = await kata.create("async")
            versions = await asyncio.gather(
                *(context.append_message("user", f"message {number}") for number in range(40))
            )
            assert others(observer) <= 4 + 1  # and the session that looked at the server
            assert (await (await kata.context("async")).usage()).version == 40
            with pytest.raises(ContextNotFoundError):
                await kata.context("unknown")
            async with kata.transaction() as tx:
                await tx.append(context.id, [{"role": "user", "content": "x" * 60_000}])
            return list(versions)

    assert sorted(asyncio.run(main())) == list(range(1, 41))
    wait_until(lambda: others(observer) == 0)


def test_an_event_loop_waits_for_a_connection_for_a_bounded_time(database: str) -> None:
    async def main() -> None:
        async with AsyncKata(database, max_size=1, wait=0.3) as kata:
            while True:  # until it has its connection
                with contextlib.suppress(PoolTimeoutError):
                    await kata.version()
                    break
            opened, finished = asyncio.Event(), asyncio.Event()

            async def hold() -> None:
                async with kata.transaction():
                    opened.set()
                    await finished.wait()

            holding = asyncio.create_task(hold())
            await opened.wait()
            with pytest.raises(PoolTimeoutError, match=r"within 0\.3 s: all 1 of the pool"):
                await kata.version()
            finished.set()
            await holding

    asyncio.run(main())


def test_a_cancelled_call_gives_its_connection_back(
    database: str, connect: Connect, observer: psycopg.Connection
) -> None:
    async def main() -> None:
        async with AsyncKata(database, max_size=1) as kata:
            context = await kata.create()
            holder = connect()
            holder.execute("select kata.append_message(%s, 'user', 'never')", [context.id])
            late = asyncio.ensure_future(context.append_message("user", "late", 5))
            waits = "select from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
            while not observer.execute(waits, [holder.info.backend_pid]).fetchall():
                await asyncio.sleep(0.01)
            late.cancel()
            with pytest.raises(asyncio.CancelledError):
                await late
            holder.rollback()
            assert await context.append_message("user", "next") == 1

    asyncio.run(main())


def test_the_driver_of_one_event_loop_is_refused_in_another(database: str) -> None:
    kata = AsyncKata(database)
    first = asyncio.new_event_loop()
    try:
        first.run_until_complete(kata.open())
        with pytest.raises(MisuseError, match="another event loop"):
            asyncio.run(kata.version())
        first.run_until_complete(kata.close())
    finally:
        first.close()


# The package


def test_the_example_of_the_documentation_runs(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parent.parent / "docs" / "python.md").read_text()
    example = text.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(example.replace("postgresql://agent@db.example.com/app", database), names)
    assert capsys.readouterr().out.splitlines()[0].startswith("1 user request")
    assert names["again"].id == names["context"].id
    assert [message["role"] for message in names["messages"]] == ["user", "assistant", "tool"]


def test_the_example_of_imports_and_retries_holds(kata: Kata, capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parent.parent / "docs" / "python.md").read_text("utf-8")
    (example,) = [part for part in text.split("```python\n") if part.startswith("posts = ")]
    names: dict[str, Any] = {"context": kata.create()}
    exec(example.split("```")[0], names)
    assert capsys.readouterr().out == "[(1, True), (2, True)]\n[(1, False), (2, False)]\n"
    assert (names["version"], names["stars"]) == (2, [5])
    assert [row.version for row in names["context"].messages()] == [1, 2, 4]
    exec(example.split("```")[0], names)
    assert len(names["context"].messages()) == 3, "the answer is there"


def test_a_client_that_is_not_closed_ends_with_the_program(database: str) -> None:
    # A function that was registered first is called last.
    script = (
        "import atexit, sys, threading\n"
        "atexit.register(lambda: print([thread.name for thread in threading.enumerate()]))\n"
        "from kata_context import Kata\n"
        "kata = Kata(sys.argv[1])\n"
        "kata.list_contexts()\n"
        "assert threading.active_count() > 1"
    )
    command = [sys.executable, "-c", script, database]
    run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    assert (run.stdout, run.stderr) == ("['MainThread']\n", "")


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = (
        "import sys, kata_context\n"
        "assert kata_context.__version__\n"
        "loaded = {'psycopg', 'tiktoken', 'asyncio', 'kata_context.generated.client'} & sys.modules.keys()\n"
        "assert not loaded, loaded\n"
        "from kata_context import AsyncKata, Context, Kata, KataError\n"
        "assert 'psycopg' in sys.modules and 'tiktoken' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=PATIENCE)


def test_a_name_that_the_package_has_not_is_an_attribute_error() -> None:
    assert all(getattr(kata_context, name) for name in kata_context.__all__)
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        _ = kata_context.nothing_of_this_name  # type: ignore[attr-defined]
