"""Answers are tied to requests by sessions that meet, and at a price that does not grow."""

from contextlib import closing
from statistics import mean
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from support import digests
from support.interleaving import Connect, Start, outcome, rows, wait_until_blocked

ASK = "select request_id from kata.request(%s, 100000, 'openai', 'm')"
ANSWER = "select kata.append_message(%s, 'assistant', 'answer', 2, request_id => %s)"
TIED = (
    "select request_id, answer_version, framed_from from kata_data.request where context_id = %s order by 1"
)
ERASE = "select version from kata.erase_message(%s, 2, 'asked to')"


@pytest.fixture
def context_id(observer: psycopg.Connection) -> UUID:
    """A context with a system message and a user's."""
    made: UUID = rows(observer, "select kata.create_context()")[0][0]
    talk = [{"role": "system", "content": "s"}, {"role": "user", "content": "my number is 4711"}]
    rows(observer, "select kata.append(%s, %s)", made, Jsonb(talk))
    return made


def test_of_two_answers_in_flight_each_gets_its_request_whichever_comes_first(
    connect: Connect, observer: psycopg.Connection, start: Start, context_id: UUID
) -> None:
    first, second = connect(), connect()
    for _ in range(3):
        rows(observer, ASK, context_id)
    rows(second, ANSWER, context_id, 2)
    later = start(first, ANSWER, context_id, 1)
    wait_until_blocked(observer, first)
    # A request is committed between the answers; neither waits for it.
    assert rows(observer, ASK, context_id) == [(4,)]
    second.commit()
    assert later.result() == [(4,)]
    first.commit()
    assert rows(observer, ANSWER, context_id, 4) == [(5,)]
    assert rows(observer, TIED, context_id) == [(1, 4, 1), (2, 3, 1), (3, None, None), (4, 5, 3)]
    assert rows(observer, "select * from kata.verify(%s)", context_id) == []
    assert digests.damage(observer, context_id) == []


def test_of_two_answers_to_one_request_the_second_is_refused(
    connect: Connect, observer: psycopg.Connection, start: Start, context_id: UUID
) -> None:
    first, second = connect(), connect()
    rows(observer, ASK, context_id)
    rows(first, ANSWER, context_id, 1)
    refused = start(second, ANSWER, context_id, 1)
    wait_until_blocked(observer, second)
    first.commit()
    with pytest.raises(psycopg.Error, match="request 1 is answered already"):
        refused.result()
    second.rollback()
    assert rows(observer, TIED, context_id) == [(1, 3, 1)]


def test_a_retry_by_key_answers_no_second_request(
    connect: Connect, observer: psycopg.Connection, start: Start, context_id: UUID
) -> None:
    keyed = "select version from kata.append(%s, %s, idempotency_key => 'k', request_id => %s)"
    answer = Jsonb([{"role": "assistant", "content": "answer"}])
    first, second = connect(), connect()
    for _ in range(2):
        rows(observer, ASK, context_id)
    rows(first, keyed, context_id, answer, 1)
    retried = start(second, keyed, context_id, answer, 2)
    wait_until_blocked(observer, second)
    first.commit()
    assert retried.result() == [(3,)]
    second.commit()
    assert rows(observer, TIED, context_id) == [(1, 3, 1), (2, None, None)]


def test_an_erasure_waits_for_a_request_in_flight_and_a_request_for_an_erasure(
    connect: Connect, observer: psycopg.Connection, start: Start, context_id: UUID
) -> None:
    asking, erasing = connect(), connect()
    rows(asking, ASK, context_id)
    erased = start(erasing, ERASE, context_id)
    wait_until_blocked(observer, erasing)
    asking.commit()
    assert erased.result() == [(2,)]
    later = start(asking, ASK, context_id)
    wait_until_blocked(observer, asking)
    erasing.commit()
    assert later.result() == [(2,)]
    asking.commit()
    salts = "select request_id from kata_data.request where context_id = %s and salt is null"
    assert rows(observer, salts, context_id) == [(1,)]
    replayed = rows(observer, "select body from kata.replay(%s, 2)", context_id)
    assert "4711" not in replayed[0][0]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_an_old_snapshot_sends_no_text_that_was_erased_since(
    connect: Connect, observer: psycopg.Connection, context_id: UUID, level: str
) -> None:
    old = connect()
    old.execute(f"set transaction isolation level {level}".encode())
    rows(old, "select kata.usage(%s)", context_id)
    rows(observer, ERASE, context_id)
    assert outcome(old, ASK, context_id) == "40001"


def test_a_fork_and_its_parent_answer_without_waiting_for_each_other(
    connect: Connect, observer: psycopg.Connection, context_id: UUID
) -> None:
    fork = rows(observer, "select kata.fork(%s)", context_id)[0][0]
    sessions = []
    for context in (context_id, fork):
        session = connect()
        assert rows(session, ASK, context) == [(1,)]
        assert rows(session, ANSWER, context, 1) == [(3,)]
        sessions.append(session)
    for session in sessions:
        session.commit()
    assert outcome(observer, ANSWER, fork, 2) == "KC017"
    assert rows(observer, "select * from kata.verify()") == []


def explain(conn: psycopg.Connection[Any], statement: str, *arguments: Any) -> tuple[int, int]:
    """Return the buffers that a statement touched and the bytes of log that it wrote."""
    plan = rows(conn, f"explain (analyze, buffers, wal, format json) {statement}", *arguments)[0][0][0][
        "Plan"
    ]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], plan["WAL Bytes"]


DELETE = "select kata.delete_context(%s)"
PURGE = "select * from kata.purge_context(%s)"
PROFILES = "select count(*) from kata_data.request_profile"


def test_a_purge_removes_no_profile_that_a_request_in_flight_names(
    connect: Connect, observer: psycopg.Connection, context_id: UUID
) -> None:
    asking = connect()
    other = rows(observer, "select kata.create_context()")[0][0]
    rows(observer, "select kata.append_message(%s, 'user', 'hi')", other)
    rows(observer, ASK, other)
    rows(asking, ASK, context_id)
    # Only the request in flight will name the profile.
    rows(observer, DELETE, other)
    rows(observer, PURGE, other)
    assert rows(observer, PROFILES) == [(1,)]
    asking.commit()
    assert len(rows(observer, "select body from kata.replay(%s, 1)", context_id)[0][0]) > 20
    rows(observer, DELETE, context_id)
    rows(observer, PURGE, context_id)
    assert rows(observer, PROFILES) == [(0,)]


def test_a_request_stores_a_profile_anew_that_a_purge_under_way_removes(
    connect: Connect, observer: psycopg.Connection, context_id: UUID
) -> None:
    purging = connect()
    other = rows(observer, "select kata.create_context()")[0][0]
    rows(observer, "select kata.append_message(%s, 'user', 'hi')", other)
    rows(observer, ASK, other)
    rows(purging, DELETE, other)
    rows(purging, PURGE, other)
    rows(observer, ASK, context_id)  # without waiting
    purging.commit()
    assert rows(observer, PROFILES) == [(1,)]
    assert len(rows(observer, "select body from kata.replay(%s, 1)", context_id)[0][0]) > 20
    assert rows(observer, "select * from kata.verify()") == []


@pytest.fixture
def measuring(database: str) -> Any:
    """A connection that writes values into statements, as EXPLAIN wants them."""
    with closing(psycopg.connect(database, autocommit=True, cursor_factory=psycopg.ClientCursor)) as conn:
        yield conn


def asked(conn: psycopg.Connection[Any], requests: int) -> UUID:
    """Create a context with a talk, and requests that copy a first one and its answer."""
    context: UUID = rows(conn, "select kata.create_context()")[0][0]
    talk = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
        {"role": "user", "content": "v"},
    ]
    rows(conn, "select kata.append(%s, %s)", context, Jsonb(talk))
    rows(conn, ASK, context)
    rows(conn, ANSWER, context, 1)
    copied = """
        insert into kata_data.request
        select (jsonb_populate_record(r, jsonb_build_object('request_id', r.request_id + i))).*
        from kata_data.request r cross join generate_series(1, %s) i
        where r.context_id = %s and r.request_id = 1"""
    conn.execute(copied.encode(), [requests, context])
    conn.execute(
        "update kata_data.head set framed_request = %s where context_id = %s", [requests + 1, context]
    )
    return context


def test_what_an_answer_costs_does_not_grow_with_requests(measuring: psycopg.Connection[Any]) -> None:
    """Neither of an answer, nor of the difference of two requests, nor of the number of requests in heads."""
    found = []
    for requests in (100, 10_000):
        context = asked(measuring, requests)
        measuring.execute("vacuum analyze kata_data.request")
        costs = []
        for _ in range(8):
            request = rows(measuring, ASK, context)[0][0]
            answered = explain(measuring, ANSWER, context, request)
            differing = explain(measuring, "select * from kata.diff_requests(%s, %s, 1)", context, request)
            counted = explain(measuring, "select * from kata.heads()")
            costs.append((*answered, differing[0], counted[0]))
        found.append([mean(column) for column in zip(*costs[3:], strict=True)])
    assert all(late <= 1.1 * early + 10 for early, late in zip(*found, strict=True)), found


def test_an_erasure_costs_the_same_for_each_request_that_showed_the_message(
    measuring: psycopg.Connection[Any],
) -> None:
    """Requests of contexts that do not read the message cost nothing; each of the others a few look-ups."""
    asked(measuring, 5_000)
    found = []
    for requests in (100, 1_000):
        context = asked(measuring, requests)
        rows(measuring, "select kata.pin(%s, 1)", context)
        found.append(explain(measuring, "select * from kata.erase_message(%s, 2, 'asked to')", context)[0])
    assert found[1] <= 11 * found[0], found
    assert found[1] / 1_000 <= 20, found


@pytest.mark.parametrize("size", [1, 20])
def test_an_append_without_a_request_touches_no_request(
    measuring: psycopg.Connection[Any], size: int
) -> None:
    """However many requests there are, it costs the same; the table and its index count no access."""
    touched = """
        select coalesce(sum(pg_stat_get_xact_blocks_fetched(oid)), 0)::bigint
        from unnest(array['kata_data.request'::regclass::oid, 'kata_data.request_pkey'::regclass,
            'kata_data.request_profile'::regclass, 'kata_data.request_profile_pkey'::regclass]) oid"""
    batch = Jsonb([{"role": "assistant", "content": "plain words", "token_count": 3}] * size)
    append = (
        "select kata.append_message(%s, 'assistant', %s ->> 0, 3)"
        if size == 1
        else "select kata.append(%s, %s)"
    )
    contexts = [asked(measuring, 0), asked(measuring, 2_000)]
    costs = [[explain(measuring, append, context, batch) for _ in range(20)][10:] for context in contexts]
    without, beside = ([mean(column) for column in zip(*cost, strict=True)] for cost in costs)
    assert abs(beside[0] - without[0]) <= 3 + size / 10
    assert 0.9 * without[1] <= beside[1] <= 1.1 * without[1]
    with measuring.transaction():
        before = rows(measuring, touched)
        rows(measuring, append, contexts[1], batch)
        assert rows(measuring, touched) == before
        rows(measuring, ASK, contexts[1])
        assert rows(measuring, touched) != before, "the count sees an access"
