"""The driver takes names, handles, selectors and moments, too; the database resolves them."""

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from kata_context import AsyncKata, Context, Kata
from kata_context.database_errors import (
    CheckpointError,
    ContextNotFoundError,
    InvalidArgumentError,
    InvalidInputError,
    VersionNotFoundError,
)
from support.interleaving import Connect


def executions(connection: psycopg.Connection, function: str) -> int:
    """Return how often a connection has called a function, by what Postgres has counted."""
    row = connection.execute(
        """select coalesce(sum(generic_plans + custom_plans), 0)
        from pg_prepared_statements
        where statement like %s""",
        [f"%kata.{function}(%"],
    ).fetchone()
    assert row
    return int(row[0])


def test_a_context_goes_by_id_name_or_handle(kata: Kata) -> None:
    context = kata.create("trip")
    other = kata.create("other")
    other.append_message("user", "elsewhere", 5)
    context.append_message("user", "here", 5)
    for given in (context.id, str(context.id), str(context.id).upper(), "trip", context):
        assert kata.usage(given).view_tokens == 5
        assert kata.context(given).id == context.id
    assert [row.version for row in kata.merge("trip", other)] == [2]
    assert kata.common_ancestor("trip", kata.context("other")).version == 0
    with kata.transaction() as tx:
        assert tx.append_message("trip", "user", "more", 5) == 3
        assert tx.context(context).usage().version == 3
    assert kata.verify("trip") == []


def test_an_unknown_name_is_said_to_be_one(kata: Kata) -> None:
    kata.create("deleted").delete_context()
    for name in ("unknown", "deleted", ""):
        with pytest.raises(ContextNotFoundError, match=f'context "{name}" not found') as caught:
            kata.usage(name)
        assert caught.value.hint
    assert kata.find_context("unknown") is None


def test_a_name_is_taken_for_an_id_only_in_the_forms_of_an_id(kata: Kata) -> None:
    context = kata.create()
    for form in (str(context.id), str(context.id).upper(), context.id.hex):
        assert kata.context(form).id == context.id
    # uuid.UUID takes all of these for ids.
    digits = str(uuid4())
    for name in (
        f"{{{digits}}}",
        f"urn:uuid:{digits}",
        "+" + "1" * 31,
        "0x" + "1" * 30,
        "1-" + "1" * 31,
        "\uff11" * 32,
    ):
        assert kata.get_or_create(name).id == kata.context(name).id
        assert kata.usage(name).version == 0


def test_names_and_selectors_may_be_of_a_subclass_of_str(kata: Kata) -> None:
    class Text(str):
        """As NumPy's, and as an enumeration of texts."""

    kata.create("trip").append_message("user", "x", 5)
    assert kata.usage(Text("trip"), Text("head~1")).version == 0
    assert kata.context(Text("trip")).usage(Text("head")).version == 1


def test_the_beginning_of_an_id_is_a_name(kata: Kata) -> None:
    context = kata.create()
    with pytest.raises(ContextNotFoundError):
        kata.usage(str(context.id)[:8])


def test_ids_are_never_looked_up_and_a_handle_looks_its_name_up_once(kata: Kata, connect: Connect) -> None:
    context = kata.create("trip")
    connection = connect(autocommit=True, prepare_threshold=0)
    joined = kata.using(connection)
    for _ in range(3):
        joined.usage(context.id)
        joined.usage(str(context.id))
        joined.usage(context)
        joined.window(context, 8000, at=0)
    assert (executions(connection, "usage"), executions(connection, "find_context")) == (9, 0)
    handle = joined.context("trip")
    for _ in range(3):
        handle.usage()
        handle.append_message("user", "x")
    assert (executions(connection, "usage"), executions(connection, "find_context")) == (12, 1)
    assert (executions(connection, "resolve_version"), executions(connection, "get_context")) == (0, 0)


def test_a_version_goes_by_number_selector_checkpoint_or_moment(kata: Kata) -> None:
    context = kata.create("trip")
    for number in range(1, 5):
        context.append_message("user", f"message {number}", 5)
    context.checkpoint("second", at="head~2")
    moments = {row.version: row.created_at for row in context.messages()}
    for given, meant in (
        (3, 3), ("3", 3), ("head", 4), ("HEAD~1", 3), ("second", 2), (0, 0),
        (moments[3], 3), (moments[3].astimezone(timezone(timedelta(hours=5, minutes=45))), 3),
        (moments[3].isoformat(), 3), (moments[1] - timedelta(microseconds=1), 0),
        (datetime(9999, 12, 31, tzinfo=timezone.utc), 4),
    ):  # fmt: skip
        assert context.usage(given).version == meant
        assert len(context.window(8000, at=given)) == meant
    assert kata.get_message("trip", "second").content == "message 2"
    assert context.fork("second").usage().version == 2
    assert [row.version for row in context.diff_versions("second", "head")] == [3, 4]
    assert context.pin("head~1") == 5
    with kata.transaction() as tx:
        tx.append_message("trip", "user", "in a transaction", 5)
        assert tx.get_message("trip", "head").content == "in a transaction"


def test_a_selector_that_means_nothing_is_refused_by_the_database(kata: Kata) -> None:
    context = kata.create()
    context.append_message("user", "x", 5)
    with pytest.raises(CheckpointError, match="nothing"):
        context.usage("nothing")
    with pytest.raises(VersionNotFoundError):
        context.usage("head~5")
    with pytest.raises(InvalidArgumentError):
        context.usage("2026-02-31T00:00:00Z")
    with pytest.raises(ContextNotFoundError):
        kata.usage(uuid4(), "head")
    with pytest.raises(InvalidInputError, match="at is a datetime without a time zone"):
        context.usage(datetime(2026, 1, 31))
    with pytest.raises(InvalidInputError, match="expected_version must be an int, not str"):
        context.append([], "head")  # type: ignore[arg-type]


class ArrayLike:
    """Has __index__ and refuses it, as an array of NumPy."""

    def __index__(self) -> int:
        raise TypeError("only integer scalar arrays can be converted to a scalar index")


@pytest.mark.parametrize(
    "at",
    [
        ArrayLike(),
        10**5000,
        -(10**5000),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
    ],
    ids=["array", "huge", "hugely negative", "before the year 1", "after the year 9999"],
)
def test_a_version_beyond_all_bounds_is_refused(kata: Kata, at: Any) -> None:
    context = kata.create()
    with pytest.raises(InvalidInputError):
        context.usage(at)
    with pytest.raises(InvalidInputError, match="content must be a str"):
        context.append_message("user", at)
    with pytest.raises(InvalidInputError):
        kata.as_tenant("acme").usage(context, at)
    assert context.usage().version == 0


def test_numbers_with_too_many_digits_are_refused(kata: Kata) -> None:
    with pytest.raises(InvalidInputError, match="counts"):
        kata.put_token_counts(kata.create(), "o200k_base", [1], [10**5000])


def test_names_and_selectors_work_in_an_event_loop(database: str) -> None:
    async def main() -> None:
        async with AsyncKata(database) as kata:
            context = await kata.create("trip")
            await asyncio.gather(*(kata.append_message("trip", "user", "x", 5) for _ in range(10)))
            assert (await kata.usage(context, "head~3")).version == 7
            assert len(await context.window(8000, at=datetime.now(timezone.utc))) == 10

    asyncio.run(main())


def test_get_or_create_finds_what_it_has_created(kata: Kata, database: str) -> None:
    first = kata.get_or_create("support-4711", metadata={"customer": 7})
    first.append_message("user", "x")
    again = kata.get_or_create("support-4711")
    assert isinstance(again, Context)
    assert again.id == first.id
    assert again.usage().version == 1
    with kata.transaction() as tx:
        assert tx.get_or_create("support-4711").id == first.id

    async def main() -> None:
        async with AsyncKata(database) as client:
            found = await asyncio.gather(*(client.get_or_create("support-4712") for _ in range(8)))
            assert len({context.id for context in found}) == 1
            assert (await client.get_or_create("support-4711")).id == first.id

    asyncio.run(main())


def test_a_record_is_any_json_and_a_draft_has_a_datetime(kata: Kata) -> None:
    context = kata.create("values")
    given: list[Any] = [[1], "text", 1.5, True, {"a": None}]
    for data in given:
        context.append_record("k", data)
    assert [row.data for row in context.records()] == given
    moment = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
    context.append([{"role": "user", "content": "hi", "token_count": 1, "occurred_at": moment}])
    assert context.messages()[0].occurred_at == moment
    with pytest.raises(InvalidInputError, match=r"messages\[0\]\['occurred_at'\] is a datetime without"):
        context.append([{"role": "user", "content": "hi", "occurred_at": datetime(2026, 1, 31)}])
    with pytest.raises(InvalidInputError, match="ISO 8601"):
        context.append_message("user", "hi", occurred_at="2026-01-31T12:00:00Z")  # type: ignore[arg-type]
