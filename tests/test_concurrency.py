"""Several connections at once: every interleaving by name, none by luck.

See `interleaving` for how a test lets one wait for another.
"""

import uuid
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from interleaving import (
    APPEND,
    PATIENCE,
    WRITERS,
    Connect,
    Start,
    append,
    at_once,
    batch,
    outcome,
    rows,
    wait_until_blocked,
)


@pytest.fixture
def context_id(observer: psycopg.Connection) -> uuid.UUID:
    """A context with two messages."""
    made: uuid.UUID = rows(observer, "select kata.create_context('first')")[0][0]
    append(observer, made, 2)
    return made


def log(conn: psycopg.Connection, context_id: uuid.UUID) -> list[Any]:
    """Return version, content and created_at of every message."""
    return rows(
        conn,
        "select version, content, created_at from kata_data.message where segment_id = %s order by version",
        context_id,
    )


def assert_sound(observer: psycopg.Connection, context_id: uuid.UUID, size: int) -> None:
    """Assert that the context has so many messages of one token, dense, and that verify finds nothing."""
    assert [version for version, _, _ in log(observer, context_id)] == list(range(1, size + 1))
    found = rows(observer, "select version, message_count, raw_tokens from kata.get_context(%s)", context_id)
    assert found == [(size, size, size)]
    assert rows(observer, "select * from kata.verify()") == []


def test_two_batches_at_once_get_versions_of_their_own(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    first, second = connect(), connect(autocommit=True)
    assert append(first, context_id, 50) == list(range(3, 53))
    later = start(second, APPEND, context_id, batch(50))
    wait_until_blocked(observer, second)
    first.commit()
    assert later.result(PATIENCE) == [(version,) for version in range(53, 103)]
    assert_sound(observer, context_id, 102)


def test_a_batch_takes_the_versions_of_one_that_was_rolled_back(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    first, second = connect(), connect(autocommit=True)
    append(first, context_id, 50)
    later = start(second, APPEND, context_id, batch(1, "kept"))
    wait_until_blocked(observer, second)
    first.rollback()
    assert later.result(PATIENCE) == [(3,)]
    assert_sound(observer, context_id, 3)


def test_eight_writers_lose_double_and_reorder_nothing(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    calls = 30

    def write(conn: psycopg.Connection, writer: int) -> list[list[int]]:
        return [
            [
                version
                for (version,) in rows(
                    conn, APPEND, context_id, batch(1 + (writer + call) % 5, f"{writer}:{call}")
                )
            ]
            for call in range(calls)
        ]

    answers = at_once(connect, write)
    size = 2 + sum(len(versions) for writer in answers for versions in writer)
    assert_sound(observer, context_id, size)
    stored = {version: (content, at) for version, content, at in log(observer, context_id)}
    batches = []
    for writer, answer in enumerate(answers):
        assert answer == sorted(answer), "a writer's batches were reordered"
        for call, versions in enumerate(answer):
            assert versions == list(range(versions[0], versions[0] + 1 + (writer + call) % 5))
            assert {stored[version][0] for version in versions} == {f"{writer}:{call}"}
            times = {stored[version][1] for version in versions}
            assert len(times) == 1, "a batch has one created_at"
            batches.append((versions[0], times.pop()))
    times_in_order = [at for _, at in sorted(batches)]
    assert all(before < after for before, after in pairwise(times_in_order))


def test_writers_of_different_contexts_do_not_wait(connect: Connect, context_id: uuid.UUID) -> None:
    first, second = connect(), connect(autocommit=True)
    ((other,),) = rows(second, "select kata.create_context()")
    append(first, context_id, 1)
    second.execute("set lock_timeout = '1ms'")
    assert append(second, other, 1) == [1]
    assert outcome(second, APPEND, context_id, batch(1)) == "55P03"


def test_eight_with_one_key_append_once(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    call = "select version, created_at from kata.append(%s, %s, null, 'turn 7')"
    answers = at_once(connect, lambda conn, _: rows(conn, call, context_id, batch(3)))
    assert answers == [[(version, answers[0][0][1]) for version in (3, 4, 5)]] * WRITERS
    assert_sound(observer, context_id, 5)


def test_eight_with_one_key_and_different_requests_append_one_and_tell_the_others(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    call = "select version from kata.append(%s, %s, null, 'turn 7')"
    answers = at_once(connect, lambda conn, number: outcome(conn, call, context_id, batch(1, f"{number}")))
    assert sorted(map(str, answers)) == sorted(["[(3,)]"] + ["KC019"] * (WRITERS - 1))
    assert_sound(observer, context_id, 3)


def test_eight_with_one_key_create_one_context(connect: Connect, observer: psycopg.Connection) -> None:
    call = "select kata.create_context('shared', idempotency_key => 'session 1')"
    answers = at_once(connect, lambda conn, _: rows(conn, call))
    assert answers == [answers[0]] * WRITERS
    assert rows(observer, "select context_id from kata.list_contexts()") == answers[0]
    assert rows(observer, "select * from kata.verify()") == []


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_request_waits_for_the_first_with_its_key(
    connect: Connect, observer: psycopg.Connection, start: Start, ending: str
) -> None:
    first, second = connect(), connect(autocommit=True)
    call = "select kata.create_context(idempotency_key => 'session 1')"
    made = rows(first, call)
    later = start(second, call)
    wait_until_blocked(observer, second)
    getattr(first, ending)()
    assert (later.result(PATIENCE) == made) == (ending == "commit")
    assert rows(observer, "select context_id from kata.list_contexts()") == later.result()


def test_eight_sessions_that_create_one_name_get_one_context(
    connect: Connect, observer: psycopg.Connection
) -> None:
    def first_write(conn: psycopg.Connection, number: int) -> Any:
        created = outcome(conn, "select kata.create_context('session 1')")
        ((found,),) = rows(conn, "select kata.find_context('session 1')")
        return created, found, rows(conn, APPEND, found, batch(1, f"{number}"))

    answers = at_once(connect, first_write)
    ((context_id,),) = rows(observer, "select context_id from kata.list_contexts()")
    assert sorted(str(created) for created, _, _ in answers) == sorted(
        [str([(context_id,)])] + ["KC007"] * (WRITERS - 1)
    )
    assert {found for _, found, _ in answers} == {context_id}
    assert_sound(observer, context_id, WRITERS)


def test_of_eight_that_expect_one_version_one_wins(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    call = "select version from kata.append(%s, %s, 2)"
    answers = at_once(connect, lambda conn, number: outcome(conn, call, context_id, batch(2, f"{number}")))
    assert sorted(map(str, answers)) == sorted(["[(3,), (4,)]"] + ["KC003"] * (WRITERS - 1))
    winner = next(number for number, answer in enumerate(answers) if answer != "KC003")
    assert {content for version, content, _ in log(observer, context_id) if version > 2} == {f"{winner}"}
    assert_sound(observer, context_id, 4)


def test_of_eight_results_for_one_call_one_is_taken(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    rows(observer, APPEND, context_id, Jsonb([{"role": "assistant", "tool_calls": [call], "token_count": 1}]))
    result = Jsonb([{"role": "tool", "tool_call_id": "c", "content": "seen", "token_count": 1}])
    answers = at_once(connect, lambda conn, _: outcome(conn, APPEND, context_id, result))
    assert sorted(map(str, answers)) == sorted(["[(4,)]"] + ["KC005"] * (WRITERS - 1))
    assert_sound(observer, context_id, 4)


def test_of_two_that_close_all_calls_the_second_finds_none(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    rows(observer, APPEND, context_id, Jsonb([{"role": "assistant", "tool_calls": [call], "token_count": 1}]))
    first, second = connect(), connect(autocommit=True)
    close = "select version from kata.close_calls(%s)"
    assert rows(first, close, context_id) == [(4,)]
    later = start(second, close, context_id)
    wait_until_blocked(observer, second)
    first.commit()
    assert later.result(PATIENCE) == []
    assert rows(observer, "select * from kata.verify()") == []


@pytest.mark.parametrize("closing", ["delete_context", "archive_context"])
def test_an_append_that_waited_for_the_end_of_its_context_is_refused(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start, closing: str
) -> None:
    closer, writer = connect(), connect(autocommit=True)
    rows(closer, f"select kata.{closing}(%s)", context_id)
    later = start(writer, APPEND, context_id, batch(1))
    wait_until_blocked(observer, writer)
    closer.commit()
    with pytest.raises(psycopg.Error) as refused:
        later.result(PATIENCE)
    assert refused.value.sqlstate == "KC006"
    assert_sound(observer, context_id, 2)


@pytest.mark.parametrize("closing", ["delete_context", "archive_context"])
def test_an_append_that_waited_goes_on_when_its_context_stays(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start, closing: str
) -> None:
    closer, writer = connect(), connect(autocommit=True)
    rows(closer, f"select kata.{closing}(%s)", context_id)
    later = start(writer, APPEND, context_id, batch(1))
    wait_until_blocked(observer, writer)
    closer.rollback()
    assert later.result(PATIENCE) == [(3,)]
    assert_sound(observer, context_id, 3)


@pytest.mark.parametrize("closing", ["delete_context", "archive_context"])
def test_the_end_of_a_context_waits_for_an_append_that_began_before(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start, closing: str
) -> None:
    writer, closer = connect(), connect(autocommit=True)
    append(writer, context_id, 1)
    later = start(closer, f"select kata.{closing}(%s)", context_id)
    wait_until_blocked(observer, closer)
    writer.commit()
    later.result(PATIENCE)
    assert outcome(observer, APPEND, context_id, batch(1)) == "KC006"
    assert_sound(observer, context_id, 3)


@pytest.mark.parametrize("closing", ["delete_context", "archive_context"])
def test_of_two_that_end_a_context_the_second_finds_it_ended(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start, closing: str
) -> None:
    first, second = connect(), connect(autocommit=True)
    rows(first, f"select kata.{closing}(%s)", context_id)
    later = start(second, f"select kata.{closing}(%s)", context_id)
    wait_until_blocked(observer, second)
    first.commit()
    error = later.exception(PATIENCE)
    assert getattr(error, "sqlstate", None) == ("KC006" if closing == "delete_context" else None)


READS = {
    "context": "select version, message_count, raw_tokens, updated_at from kata.get_context(%s)",
    "usage": "select * from kata.usage(%s)",
    "messages": "select * from kata.messages(%s)",
    "window": 'select * from kata."window"(%s, 1000)',
    "prompt": "select kata.prompt(%s, 1000)",
    "verify": "select * from kata.verify(%s)",
}


@pytest.mark.parametrize("read", READS)
def test_a_reader_neither_waits_for_an_append_nor_sees_it_before_its_commit(
    connect: Connect, context_id: uuid.UUID, read: str
) -> None:
    writer, reader = connect(), connect(autocommit=True)
    reader.execute("set lock_timeout = '1ms'")
    before = rows(reader, READS[read], context_id)
    append(writer, context_id, 3)
    assert rows(reader, READS[read], context_id) == before
    writer.commit()
    assert read == "verify" or rows(reader, READS[read], context_id) != before


def test_a_killed_backend_leaves_nothing_and_frees_the_context(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    victim, writer = connect(), connect(autocommit=True)
    append(victim, context_id, 5)
    rows(victim, "select kata.append(%s, %s, null, 'turn 7')", context_id, batch(5))
    rows(victim, "select kata.create_context('second')")
    later = start(writer, "select version from kata.append(%s, %s, 2, 'turn 7')", context_id, batch(1))
    wait_until_blocked(observer, writer)
    assert rows(observer, "select pg_terminate_backend(%s)", victim.info.backend_pid) == [(True,)]
    assert later.result(PATIENCE) == [(3,)]
    assert outcome(victim, "select 1") == "57P01"
    assert rows(observer, "select kata.find_context('second')") == [(None,)]
    assert_sound(observer, context_id, 3)


@pytest.mark.parametrize(
    "level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE]
)
@pytest.mark.parametrize("key", [None, "turn 7"])
def test_a_writer_whose_snapshot_is_old_is_told_to_try_again(
    connect: Connect,
    observer: psycopg.Connection,
    context_id: uuid.UUID,
    level: psycopg.IsolationLevel,
    key: str | None,
) -> None:
    writer = connect()
    writer.isolation_level = level
    assert rows(writer, "select version from kata.get_context(%s)", context_id) == [(2,)]
    append(observer, context_id, 1)
    call = "select version from kata.append(%s, %s, null, %s)"
    assert outcome(writer, call, context_id, batch(2), key) == "40001"
    writer.rollback()
    assert_sound(observer, context_id, 3)
    assert rows(writer, call, context_id, batch(2), key) == [(4,), (5,)]
    writer.commit()
    assert_sound(observer, context_id, 5)


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_of_two_contexts_that_take_one_name_one_gets_it(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start, ending: str
) -> None:
    ((other,),) = rows(observer, "select kata.create_context('second')")
    first, second = connect(), connect(autocommit=True)
    rows(first, "select kata.update_context(%s, 'wanted')", context_id)
    later = start(second, "select kata.update_context(%s, 'wanted')", other)
    wait_until_blocked(observer, second)
    getattr(first, ending)()
    error = later.exception(PATIENCE)
    assert getattr(error, "sqlstate", None) == ("KC007" if ending == "commit" else None)
    owner = context_id if ending == "commit" else other
    assert rows(observer, "select kata.find_context('wanted')") == [(owner,)]


def test_of_a_restore_and_a_creation_with_one_name_the_first_gets_it(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    rows(observer, "select kata.delete_context(%s)", context_id)
    creator, restorer = connect(), connect(autocommit=True)
    created = rows(creator, "select kata.create_context('first')")
    later = start(restorer, "select kata.restore_context(%s)", context_id)
    wait_until_blocked(observer, restorer)
    creator.commit()
    assert getattr(later.exception(PATIENCE), "sqlstate", None) == "KC007"
    assert rows(observer, "select kata.find_context('first')") == created
    assert outcome(observer, APPEND, context_id, batch(1)) == "KC006"
