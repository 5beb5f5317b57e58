"""Several connections at once: every interleaving by name, none by luck.

See `interleaving` for how a test lets one wait for another.
"""

import uuid
from itertools import pairwise
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from support.driver import PATIENCE, tool_call
from support.interleaving import (
    APPEND,
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

pytestmark = pytest.mark.slow


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


def test_eight_with_one_key_and_different_requests_append_one_and_refuse_the_others(
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


def test_an_append_waits_for_the_first_with_its_external_id(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    skip = "select version, is_new from kata.append(%s, %s, on_duplicate => 'skip')"
    message = {"role": "user", "content": "x", "token_count": 1, "external_id": "m-1"}
    first, second, third = connect(), connect(autocommit=True), connect(autocommit=True)
    assert rows(first, skip, context_id, Jsonb([message])) == [(3, True)]
    later = start(second, skip, context_id, Jsonb([message]))
    latest = start(third, "select kata.append_record(%s, 'note', '1', 'm-1')", context_id)
    wait_until_blocked(observer, second, third)
    first.commit()
    assert later.result(PATIENCE) == [(3, False)]
    with pytest.raises(psycopg.Error, match='external id "m-1" is taken'):
        latest.result(PATIENCE)
    assert_sound(observer, context_id, 3)


def test_eight_that_skip_what_is_there_append_each_external_id_once(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    statement = "select version, is_new from kata.append(%s, %s, on_duplicate => 'skip')"
    message = {"role": "user", "content": "x", "token_count": 1}

    def write(conn: psycopg.Connection, _: int) -> list[Any]:
        batches = ([message | {"external_id": f"m-{n}"} for n in range(n, n + 6)] for n in range(0, 36, 3))
        return [row for messages in batches for row in rows(conn, statement, context_id, Jsonb(messages))]

    answers = at_once(connect, write)
    assert sorted(version for answer in answers for version, is_new in answer if is_new) == list(range(3, 42))
    assert_sound(observer, context_id, 41)


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


GET_OR_CREATE = "select context_id, created from kata.get_or_create_context('session 1')"


def test_eight_sessions_that_get_or_create_one_name_get_one_context_which_one_of_them_created(
    connect: Connect, observer: psycopg.Connection
) -> None:
    def first_write(conn: psycopg.Connection, number: int) -> Any:
        ((found, created),) = rows(conn, GET_OR_CREATE)
        return found, created, append(conn, found, 1)

    for _ in range(5):
        answers = at_once(connect, first_write)
        ((context_id,),) = rows(observer, "select context_id from kata.list_contexts()")
        assert {found for found, _, _ in answers} == {context_id}
        assert sorted(created for _, created, _ in answers) == [False] * (WRITERS - 1) + [True]
        assert_sound(observer, context_id, WRITERS)
        rows(observer, "select kata.delete_context(%s)", context_id)


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_get_or_create_waits_for_another_that_creates_the_name(
    connect: Connect, observer: psycopg.Connection, start: Start, ending: str
) -> None:
    first, second = connect(), connect(autocommit=True)
    ((made, created),) = rows(first, GET_OR_CREATE)
    assert created
    later = start(second, GET_OR_CREATE)
    wait_until_blocked(observer, second)
    getattr(first, ending)()
    ((found, created),) = later.result(PATIENCE)
    assert (found == made, created) == (ending == "commit", ending == "rollback")
    assert rows(observer, "select context_id from kata.list_contexts()") == [(found,)]


@pytest.mark.parametrize(
    "freeing", ["kata.delete_context(%s)", "kata.update_context(%s, 'session 2')"], ids=["delete", "rename"]
)
def test_get_or_create_creates_the_name_that_was_taken_and_freed_while_it_waited(
    connect: Connect, observer: psycopg.Connection, start: Start, freeing: str
) -> None:
    first, second = connect(), connect(autocommit=True)
    ((made, _),) = rows(first, GET_OR_CREATE)
    later = start(second, GET_OR_CREATE)
    wait_until_blocked(observer, second)
    rows(first, f"select {freeing}", made)
    first.commit()
    ((found, created),) = later.result(PATIENCE)
    assert created
    assert found != made
    assert rows(observer, "select * from kata.verify()") == []


def test_get_or_create_finds_the_context_that_was_renamed_to_the_name_while_it_waited(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    first, second = connect(), connect(autocommit=True)
    rows(first, "select kata.update_context(%s, 'session 1')", context_id)
    later = start(second, GET_OR_CREATE)
    wait_until_blocked(observer, second)
    first.commit()
    assert later.result(PATIENCE) == [(context_id, False)]


def test_get_or_create_under_an_old_snapshot_may_be_tried_again(
    connect: Connect, observer: psycopg.Connection
) -> None:
    second = connect()
    second.execute("set transaction isolation level repeatable read")
    assert rows(second, "select kata.find_context('session 1')") == [(None,)]
    rows(observer, GET_OR_CREATE)
    assert outcome(second, GET_OR_CREATE) == "40001"


def test_sessions_that_delete_a_name_meet_sessions_that_get_or_create_it(
    connect: Connect, observer: psycopg.Connection
) -> None:
    def work(conn: psycopg.Connection, number: int) -> list[Any]:
        if number % 2:
            delete = "select kata.delete_context(kata.find_context('session 1'))"
            return [outcome(conn, delete) for _ in range(40)]
        return [outcome(conn, GET_OR_CREATE) for _ in range(40)]

    answers = at_once(connect, work)
    got = [answer for number, turns in enumerate(answers) if not number % 2 for answer in turns]
    created = [found for ((found, is_new),) in got if is_new]
    assert len(created) == len(set(created))
    assert {found for ((found, _),) in got} == set(created)
    gone = [answer for number, turns in enumerate(answers) if number % 2 for answer in turns]
    assert {answer for answer in gone if isinstance(answer, str)} <= {"KC001", "KC006"}
    assert rows(observer, "select * from kata.verify()") == []


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
    call = tool_call()
    rows(observer, APPEND, context_id, Jsonb([{"role": "assistant", "tool_calls": [call], "token_count": 1}]))
    result = Jsonb([{"role": "tool", "tool_call_id": "c", "content": "seen", "token_count": 1}])
    answers = at_once(connect, lambda conn, _: outcome(conn, APPEND, context_id, result))
    assert sorted(map(str, answers)) == sorted(["[(4,)]"] + ["KC005"] * (WRITERS - 1))
    assert_sound(observer, context_id, 4)


def test_of_two_that_close_all_calls_the_second_finds_none(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    call = tool_call()
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


def content(conn: psycopg.Connection, context_id: uuid.UUID) -> list[Any]:
    """Return version, content and created_at of every message of a path."""
    call = "select version, content, created_at from kata.state_at(%s)"
    return rows(conn, call, context_id)


def fork(conn: psycopg.Connection, context_id: uuid.UUID, at: int | None = None) -> uuid.UUID:
    """Fork a context and return the id of the fork."""
    made: uuid.UUID = rows(conn, "select kata.fork(%s, %s)", context_id, at)[0][0]
    return made


def test_a_fork_does_not_wait_for_an_append_and_has_what_was_committed(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    writer, forker = connect(), connect(autocommit=True)
    append(writer, context_id, 5)
    forker.execute("set lock_timeout = '1ms'")
    early = fork(forker, context_id)
    writer.commit()
    late = fork(forker, context_id)
    assert len(content(observer, early)) == 2
    assert content(observer, late) == content(observer, context_id)
    assert append(observer, early, 1) == [3]
    assert rows(observer, "select * from kata.verify()") == []


def test_an_append_does_not_wait_for_a_fork(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    forker, writer = connect(), connect(autocommit=True)
    made = fork(forker, context_id)
    writer.execute("set lock_timeout = '1ms'")
    assert append(writer, context_id, 3) == [3, 4, 5]
    forker.commit()
    assert len(content(observer, made)) == 2
    assert_sound(observer, context_id, 5)


def test_every_fork_made_while_others_write_is_a_prefix_of_its_parent(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    def work(conn: psycopg.Connection, number: int) -> list[uuid.UUID]:
        made = []
        for turn in range(20):
            if number % 2:
                rows(conn, APPEND, context_id, batch(1 + turn % 3, f"{number}:{turn}"))
            else:
                made.append(fork(conn, context_id))
                append(conn, made[-1], 1)
        return made

    forks = [made for answer in at_once(connect, work) for made in answer]
    parent = content(observer, context_id)
    ends = {at: version for version, _, at in parent}
    for made in forks:
        path = content(observer, made)
        assert path[:-1] == parent[: len(path) - 1]
        assert len(path) - 1 in ends.values(), "a batch was cut in two"
    assert rows(observer, "select * from kata.verify()") == []


def test_forks_fifty_deep_read_the_same_while_all_their_ancestors_are_written_to(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    random = Random(50)
    rows(observer, "select count(*) from kata.append(%s, %s)", context_id, batch(38))
    chain, paths = [context_id], [["x"] * 40]
    for level in range(1, 51):
        at = random.randint(len(paths[-1]) // 2, len(paths[-1]))
        call = """select kata.fork(%s, %s, policy => '{"max_fork_depth": 50}')"""
        ((made,),) = rows(observer, call, chain[-1], at)
        size = random.randint(0, 10)
        rows(observer, "select count(*) from kata.append(%s, %s)", made, batch(size, f"{level}"))
        chain.append(made)
        paths.append(paths[-1][:at] + [f"{level}"] * size)

    def work(conn: psycopg.Connection, number: int) -> list[Any]:
        own, wrong = Random(number), []
        for _ in range(60):
            level = own.randrange(51)
            if number % 2:
                append(conn, chain[level], own.randint(1, 5))
            else:
                at = own.randint(0, len(paths[level]))
                read = rows(conn, "select content from kata.state_at(%s, %s)", chain[level], at)
                shown = rows(conn, 'select content from kata."window"(%s, 10, %s)', chain[level], at)
                used = rows(conn, "select raw_tokens from kata.usage(%s, %s)", chain[level], at)
                expected = [(text,) for text in paths[level][:at]]
                if (read, shown, used) != (expected, expected[-10:], [(at,)]):
                    wrong.append((level, at, read, shown, used))
        return wrong

    assert at_once(connect, work) == [[]] * WRITERS
    assert rows(observer, "select * from kata.verify()") == []


def test_a_fork_of_a_context_whose_deletion_is_not_over_is_whole(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    deleter, forker = connect(), connect(autocommit=True)
    rows(deleter, "select kata.delete_context(%s)", context_id)
    forker.execute("set lock_timeout = '1ms'")
    made = fork(forker, context_id)
    deleter.commit()
    assert outcome(forker, "select kata.fork(%s)", context_id) == "KC006"
    assert len(content(observer, made)) == 2
    assert append(observer, made, 1) == [3]
    assert rows(observer, "select * from kata.verify()") == []


def test_a_parent_and_its_forks_are_written_to_without_waiting(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    made = fork(observer, context_id)
    first, second = connect(), connect(autocommit=True)
    append(first, context_id, 1)
    second.execute("set lock_timeout = '1ms'")
    assert append(second, made, 1) == [3]
    assert append(second, fork(second, made), 1) == [4]


@pytest.mark.parametrize(
    "level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE]
)
def test_a_fork_with_an_old_snapshot_is_its_parent_at_that_moment(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, level: psycopg.IsolationLevel
) -> None:
    forker = connect()
    forker.isolation_level = level
    before = content(forker, context_id)
    append(observer, context_id, 1)
    made = fork(forker, context_id)
    forker.commit()
    assert content(observer, made) == before
    assert rows(observer, "select * from kata.verify()") == []


def test_archiving_idle_forks_does_not_wait_for_busy_ones(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    ((busy,),) = rows(observer, "select kata.fork(%s)", context_id)
    ((idle,),) = rows(observer, "select kata.fork(%s)", context_id)
    observer.execute("set kata.clock = '2999-01-01'")
    append(observer, busy, 1)
    writer = connect()
    append(writer, busy, 1)
    observer.execute("set lock_timeout = '1ms'")
    assert rows(observer, "select context_id from kata.archive_inactive(interval '1 day')") == [(idle,)]
    append(observer, context_id, 1)
    writer.commit()


def test_eight_with_one_key_make_one_fork(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    call = "select kata.fork(%s, idempotency_key => 'branch 7')"
    answers = at_once(connect, lambda conn, _: rows(conn, call, context_id))
    assert answers == [answers[0]] * WRITERS
    assert rows(observer, "select context_id from kata.forks(%s)", context_id) == answers[0]


def test_of_eight_forks_with_one_name_one_is_made(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    call = "select count(*) from kata.fork(%s, name => 'branch')"
    answers = at_once(connect, lambda conn, _: outcome(conn, call, context_id))
    assert sorted(map(str, answers)) == sorted(["[(1,)]"] + ["KC007"] * (WRITERS - 1))
    assert len(rows(observer, "select * from kata.forks(%s)", context_id)) == 1


def test_of_eight_checkpoints_with_one_name_one_is_made(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    call = "select kata.checkpoint(%s, 'here')"
    answers = at_once(connect, lambda conn, _: outcome(conn, call, context_id))
    assert sorted(map(str, answers)) == sorted(["[(2,)]"] + ["KC014"] * (WRITERS - 1))
    assert rows(observer, "select name, version from kata.checkpoints(%s)", context_id) == [("here", 2)]


MERGE = "select version from kata.merge(%s, %s)"


def test_of_two_merges_of_one_source_the_second_waits_and_has_nothing_left_to_merge(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    side = fork(observer, context_id)
    append(observer, side, 3)
    first, second = connect(), connect(autocommit=True)
    assert rows(first, MERGE, context_id, side) == [(3,), (4,), (5,)]
    later = start(second, MERGE, context_id, side)
    wait_until_blocked(observer, second)
    first.commit()
    assert later.result(PATIENCE) == []
    assert_sound(observer, context_id, 5)


def test_two_contexts_that_merge_each_other_do_not_wait_and_nothing_comes_twice(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    side = fork(observer, context_id)
    append(observer, side, 1)
    append(observer, context_id, 2)
    first, second = connect(), connect(autocommit=True)
    assert rows(first, MERGE, context_id, side) == [(5,)]
    second.execute("set lock_timeout = '1ms'")
    assert rows(second, MERGE, side, context_id) == [(4,), (5,)]
    first.commit()
    assert rows(observer, MERGE, context_id, side) == []
    assert rows(observer, MERGE, side, context_id) == []
    assert_sound(observer, context_id, 5)


def test_a_merge_does_not_wait_for_an_append_to_its_source(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    side = fork(observer, context_id)
    append(observer, side, 1)
    writer, merger = connect(), connect(autocommit=True)
    append(writer, side, 4)
    merger.execute("set lock_timeout = '1ms'")
    assert rows(merger, MERGE, context_id, side) == [(3,)]
    writer.commit()
    assert rows(merger, MERGE, context_id, side) == [(4,), (5,), (6,), (7,)]
    assert_sound(observer, context_id, 7)


def test_a_merge_waits_for_an_append_to_its_target(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    side = fork(observer, context_id)
    append(observer, side, 1)
    writer, merger = connect(), connect(autocommit=True)
    append(writer, context_id, 4)
    later = start(merger, MERGE, context_id, side)
    wait_until_blocked(observer, merger)
    writer.commit()
    assert later.result(PATIENCE) == [(7,)]
    assert_sound(observer, context_id, 7)


@pytest.mark.parametrize(("deleted", "code"), [("target", "KC006"), ("source", None)])
def test_a_merge_waits_for_the_end_of_its_target_and_not_of_its_source(
    connect: Connect,
    observer: psycopg.Connection,
    context_id: uuid.UUID,
    start: Start,
    deleted: str,
    code: str | None,
) -> None:
    side = fork(observer, context_id)
    append(observer, side, 1)
    deleter, merger = connect(), connect(autocommit=True)
    rows(deleter, "select kata.delete_context(%s)", context_id if deleted == "target" else side)
    later = start(merger, MERGE, context_id, side)
    if deleted == "target":
        wait_until_blocked(observer, merger)
        deleter.commit()
    error = later.exception(PATIENCE)
    assert getattr(error, "sqlstate", None) == code
    deleter.commit()
    assert rows(observer, "select * from kata.verify()") == []


# The steps of a soak on a context and another of its family, and the errors that each may raise.
SOAK = {
    "select kata.append_message(%(one)s, 'user', 'x', 1)": {"KC006"},
    "select * from kata.append(%(one)s, %(turn)s)": {"KC004", "KC006"},
    "select * from kata.close_calls(%(one)s)": {"KC006"},
    "select kata.fork(%(one)s)": {"KC006", "KC008"},
    "select kata.fork(%(one)s, 1)": {"KC002", "KC006", "KC008"},
    "select * from kata.merge(%(one)s, %(other)s)": {"KC005", "KC006"},
    "select kata.rewind(%(one)s, 1)": {"KC002", "KC006", "KC017"},
    "select kata.checkpoint(%(one)s, 'here')": {"KC006", "KC014"},
    "select kata.drop_checkpoint(%(one)s, 'here')": {"KC006", "KC014"},
    "select kata.update_context(%(one)s, metadata => '{}')": {"KC006"},
    "select kata.delete_context(%(one)s)": {"KC006"},
    "select kata.restore_context(%(one)s)": set(),
    "select kata.archive_context(%(one)s)": {"KC006"},
    "select kata.unarchive_context(%(one)s)": {"KC006"},
    "select * from kata.diff(%(one)s, %(other)s)": {"KC006"},
    "select * from kata.history(%(one)s)": {"KC006"},
    "select * from kata.tree(%(one)s)": set(),
}
CALL = tool_call()
TURN = Jsonb([{"role": "assistant", "tool_calls": [CALL], "token_count": 1}])


def test_a_soak_of_everything_deadlocks_no_session_and_leaves_everything_sound(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    family = [context_id]

    def work(conn: psycopg.Connection, number: int) -> list[tuple[str, str]]:
        random = Random(number)
        unexpected = []
        for _ in range(150):
            call = random.choice(list(SOAK))
            values = {"one": random.choice(family), "other": random.choice(family), "turn": TURN}
            try:
                answer = conn.execute(call.encode(), values).fetchall()
                if "kata.fork" in call and len(family) < 12:
                    family.append(answer[0][0])
            except psycopg.Error as error:
                if error.sqlstate not in SOAK[call]:
                    unexpected.append((call, str(error)))
        return unexpected

    assert at_once(connect, work) == [[]] * WRITERS
    assert rows(observer, "select * from kata.verify()") == []


READS = {
    "context": "select version, message_count, raw_tokens, updated_at from kata.get_context(%s)",
    "usage": "select * from kata.usage(%s)",
    "messages": "select * from kata.messages(%s)",
    "window": 'select * from kata."window"(%s, 1000)',
    "prompt": "select kata.prompt(%s, 1000)",
    "state": "select * from kata.state_at(%s)",
    "history": "select * from kata.history(%s)",
    "tree": "select * from kata.tree(%s)",
    "the newest version": "select kata.resolve_version(%s, 'head')",
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
def test_a_writer_whose_snapshot_is_old_is_refused_with_a_hint_to_retry(
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
