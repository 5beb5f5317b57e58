"""Erasures and purges while a compaction runs: nothing that was erased lives on in a summary."""

import uuid
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from support.driver import PATIENCE, tool_call
from support.interleaving import APPEND, Connect, Start, append, outcome, rows, wait_until_blocked

pytestmark = pytest.mark.slow

POLICY = {
    "budget": 10,
    "threshold": 1,
    "preserve_recent_count": 2,
    "min_gain_tokens": 0,
    "min_interval_seconds": 0,
}
BEGIN = "select compaction_id from kata.begin_compaction(%s, 'summarize', force => true)"
CLAIM = "select context_id from kata.claim_due_compaction('worker')"
SOURCE = "select version, content from kata.compaction_source(%s)"
COMMIT = "select summary_version from kata.commit_compaction(%s, %s, 1)"
ABORT = "select kata.abort_compaction(%s)"
RENEW = "select kata.renew_compaction(%s)"
ERASE = "select version, what from kata.erase_message(%s, %s, 'by request')"
STORY = "select status, error from kata.compactions(%s) order by started_at"
VERIFY = "select * from kata.verify()"
SUMMARIES = "select count(*) from kata_data.summary where content like '%%secret%%'"


@pytest.fixture
def parent(observer: psycopg.Connection) -> uuid.UUID:
    """A context of ten messages, of which a compaction covers 1 to 8; the third has a secret."""
    made: uuid.UUID = rows(observer, "select kata.create_context(policy => %s)", Jsonb(POLICY))[0][0]
    talk = [{"role": "user", "content": f"message {number}", "token_count": 1} for number in range(1, 11)]
    talk[2]["content"] = "the secret is in /etc/secret.conf"
    rows(observer, APPEND, made, Jsonb(talk))
    return made


@pytest.fixture(params=["the context that wrote it", "a fork", "a context with a copy"])
def compacted(request: pytest.FixtureRequest, observer: psycopg.Connection, parent: uuid.UUID) -> uuid.UUID:
    """A context that reads the secret at version 3, and that may be compacted."""
    made: uuid.UUID
    match request.param:
        case "the context that wrote it":
            return parent
        case "a fork":
            ((made,),) = rows(observer, "select kata.fork(%s)", parent)
        case _:
            ((made,),) = rows(observer, "select kata.create_context(policy => %s)", Jsonb(POLICY))
            rows(observer, "select version from kata.merge(%s, %s)", made, parent)
    return made


def begin(conn: psycopg.Connection, context_id: uuid.UUID) -> uuid.UUID:
    """Begin a compaction and return its id."""
    begun: uuid.UUID = rows(conn, BEGIN, context_id)[0][0]
    return begun


def text_of(conn: psycopg.Connection, compaction_id: uuid.UUID) -> str:
    """Return what a summarizer that leaves nothing out would write."""
    return " ".join(content for _, content in rows(conn, SOURCE, compaction_id))


def assert_that_nothing_is_left(observer: psycopg.Connection) -> None:
    """Assert that no summary has the secret, and that everything is sound."""
    assert rows(observer, SUMMARIES) == [(0,)]
    assert rows(observer, VERIFY) == []


# One after the other


def test_what_was_erased_before_a_compaction_began_is_blank_in_its_source(
    observer: psycopg.Connection, parent: uuid.UUID, compacted: uuid.UUID
) -> None:
    rows(observer, ERASE, parent, 3)
    begun = begin(observer, compacted)
    assert rows(observer, SOURCE, begun)[2] == (3, "")
    assert rows(observer, COMMIT, begun, text_of(observer, begun)) == [(11,)]
    assert_that_nothing_is_left(observer)


@pytest.mark.parametrize(
    "is_read", [False, True], ids=["before the source is read", "after the source was read"]
)
def test_an_erasure_ends_the_compaction_that_covers_the_message(
    observer: psycopg.Connection, parent: uuid.UUID, compacted: uuid.UUID, is_read: bool
) -> None:
    begun = begin(observer, compacted)
    text = text_of(observer, begun) if is_read else "something"
    assert (3, "message") in rows(observer, ERASE, parent, 3)
    assert rows(observer, STORY, compacted) == [
        ("aborted", "Version 3 was erased, and its summary may repeat it.")
    ]
    assert outcome(observer, COMMIT, begun, text) == "KC011"
    assert outcome(observer, RENEW, begun) == "KC011"
    rows(observer, ABORT, begun)

    again = begin(observer, compacted)
    assert rows(observer, COMMIT, again, text_of(observer, again)) == [(11,)]
    assert rows(observer, "select failures from kata.compaction_status(%s)", compacted) == [(0,)]
    assert_that_nothing_is_left(observer)


@pytest.mark.parametrize("strategy", ["digest", "drop", "elide"])
def test_an_erasure_ends_a_compaction_of_any_strategy(
    observer: psycopg.Connection, parent: uuid.UUID, strategy: str
) -> None:
    call = tool_call()
    talk: list[dict[str, Any]] = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "long " * 3000, "token_count": 3000},
        *[{"role": "user", "content": "go on"}] * 3,
    ]
    rows(observer, APPEND, parent, Jsonb(talk))
    ((begun,),) = rows(observer, BEGIN.replace("summarize", strategy), parent)
    rows(observer, ERASE, parent, 12)
    assert outcome(observer, COMMIT, begun, None) == "KC011"
    assert rows(observer, VERIFY) == []


def test_an_erasure_names_the_summary_that_was_committed_before(
    observer: psycopg.Connection, parent: uuid.UUID, compacted: uuid.UUID
) -> None:
    begun = begin(observer, compacted)
    rows(observer, COMMIT, begun, text_of(observer, begun))
    assert (11, "summary") in rows(observer, ERASE, parent, 3)
    rows(observer, ERASE, compacted, 11)
    assert_that_nothing_is_left(observer)


def test_an_erasure_of_a_summary_ends_the_compaction_that_absorbs_it(
    observer: psycopg.Connection, parent: uuid.UUID
) -> None:
    rows(observer, COMMIT, begin(observer, parent), "the secret")
    append(observer, parent, 4)
    begun = begin(observer, parent)
    assert rows(observer, ERASE, parent, 11) == [(11, "message")]
    assert outcome(observer, COMMIT, begun, "the secret again") == "KC011"
    assert_that_nothing_is_left(observer)


def test_a_message_that_a_compaction_does_not_cover_may_be_erased_meanwhile(
    observer: psycopg.Connection, parent: uuid.UUID
) -> None:
    ((early,),) = rows(observer, "select kata.fork(%s, 2)", parent)
    append(observer, early, 6)
    own, other = begin(observer, parent), begin(observer, early)
    assert rows(observer, ERASE, parent, 9) == [(9, "message")]
    assert rows(observer, COMMIT, own, "so far") == [(11,)]
    assert rows(observer, ERASE, parent, 10) == [(10, "message")]
    assert rows(observer, ERASE, parent, 3) == [(3, "message"), (11, "summary")]
    assert rows(observer, COMMIT, other, "so far") == [(9,)]
    assert_that_nothing_is_left(observer)


def test_to_erase_again_ends_nothing(observer: psycopg.Connection, parent: uuid.UUID) -> None:
    rows(observer, ERASE, parent, 3)
    begun = begin(observer, parent)
    assert rows(observer, ERASE, parent, 3) == [(3, "message")]
    assert rows(observer, COMMIT, begun, "so far") == [(11,)]


def test_a_purge_of_the_parent_lets_the_compaction_of_a_fork_go_on(
    observer: psycopg.Connection, parent: uuid.UUID
) -> None:
    ((fork,),) = rows(observer, "select kata.fork(%s)", parent)
    begun = begin(observer, fork)
    rows(observer, "select kata.delete_context(%s)", parent)
    assert rows(observer, "select * from kata.purge_context(%s)", parent) == [(0, 10)]
    assert len(rows(observer, SOURCE, begun)) == 8
    assert rows(observer, COMMIT, begun, "so far") == [(11,)]
    assert rows(observer, VERIFY) == []


# At the same moment


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_commit_waits_for_an_erasure_and_is_stale_if_it_comes_about(
    connect: Connect,
    observer: psycopg.Connection,
    parent: uuid.UUID,
    compacted: uuid.UUID,
    start: Start,
    ending: str,
) -> None:
    worker, eraser = connect(autocommit=True), connect()
    begun = begin(worker, compacted)
    text = text_of(worker, begun)
    rows(eraser, ERASE, parent, 3)
    later = start(worker, COMMIT, begun, text)
    wait_until_blocked(observer, worker)
    getattr(eraser, ending)()
    if ending == "rollback":
        assert later.result(PATIENCE) == [(11,)]
    else:
        assert getattr(later.exception(PATIENCE), "sqlstate", None) == "KC011"
        assert_that_nothing_is_left(observer)


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_an_erasure_waits_for_a_commit_and_names_its_summary(
    connect: Connect,
    observer: psycopg.Connection,
    parent: uuid.UUID,
    compacted: uuid.UUID,
    start: Start,
    ending: str,
) -> None:
    worker, eraser = connect(), connect(autocommit=True)
    begun = begin(observer, compacted)
    rows(worker, COMMIT, begun, text_of(observer, begun))
    later = start(eraser, ERASE, parent, 3)
    wait_until_blocked(observer, eraser)
    getattr(worker, ending)()
    assert ((11, "summary") in later.result(PATIENCE)) == (ending == "commit")
    expected = "committed" if ending == "commit" else "aborted"
    assert [status for status, _ in rows(observer, STORY, compacted)] == [expected]
    assert rows(observer, VERIFY) == []


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_begin_waits_for_an_erasure_and_hands_out_the_blank(
    connect: Connect,
    observer: psycopg.Connection,
    parent: uuid.UUID,
    compacted: uuid.UUID,
    start: Start,
    ending: str,
) -> None:
    worker, eraser = connect(autocommit=True), connect()
    rows(eraser, ERASE, parent, 3)
    later = start(worker, BEGIN, compacted)
    wait_until_blocked(observer, worker)
    getattr(eraser, ending)()
    ((begun,),) = later.result(PATIENCE)
    assert ("secret" in text_of(worker, begun)) == (ending == "rollback")
    assert rows(worker, COMMIT, begun, "so far") == [(11,)]
    assert rows(observer, VERIFY) == []


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_an_erasure_waits_for_a_begin_and_ends_it(
    connect: Connect,
    observer: psycopg.Connection,
    parent: uuid.UUID,
    compacted: uuid.UUID,
    start: Start,
    ending: str,
) -> None:
    worker, eraser = connect(), connect(autocommit=True)
    begun = begin(worker, compacted)
    text = text_of(worker, begun)
    later = start(eraser, ERASE, parent, 3)
    wait_until_blocked(observer, eraser)
    getattr(worker, ending)()
    later.result(PATIENCE)
    assert outcome(worker, COMMIT, begun, text) == ("KC011" if ending == "commit" else "KC001")
    assert_that_nothing_is_left(observer)


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_an_erasure_waits_for_a_digest_that_quotes_the_message_and_names_it(
    connect: Connect,
    observer: psycopg.Connection,
    parent: uuid.UUID,
    compacted: uuid.UUID,
    start: Start,
    ending: str,
) -> None:
    rows(
        observer,
        "select version from kata.append_message(%s, 'assistant', repeat('long ', 600)) as version",
        compacted,
    )
    append(observer, compacted, 2)
    worker, eraser = connect(), connect(autocommit=True)
    rows(worker, "select from kata.compact(%s, force => true)", compacted)
    later = start(eraser, ERASE, parent, 3)
    wait_until_blocked(observer, eraser)
    getattr(worker, ending)()
    assert ((14, "summary") in later.result(PATIENCE)) == (ending == "commit")
    assert rows(observer, VERIFY) == []


def test_a_worker_passes_over_a_family_in_which_is_being_erased(
    connect: Connect, observer: psycopg.Connection, parent: uuid.UUID
) -> None:
    ((other,),) = rows(observer, "select kata.create_context(policy => %s)", Jsonb(POLICY))
    append(observer, other, 10)
    worker, eraser = connect(autocommit=True), connect()
    rows(eraser, ERASE, parent, 3)
    worker.execute("set lock_timeout = '1ms'")
    assert rows(worker, CLAIM) == [(other,)]
    assert rows(worker, CLAIM) == []
    eraser.commit()
    assert rows(worker, CLAIM) == [(parent,)]


@pytest.mark.parametrize(
    "level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE]
)
def test_a_begin_or_commit_whose_snapshot_is_from_before_the_erasure_is_refused_with_a_hint_to_retry(
    connect: Connect,
    observer: psycopg.Connection,
    parent: uuid.UUID,
    compacted: uuid.UUID,
    level: psycopg.IsolationLevel,
) -> None:
    worker = connect()
    worker.isolation_level = level
    rows(worker, "select count(*) from kata.list_contexts()")
    rows(observer, ERASE, parent, 3)
    assert outcome(worker, BEGIN, compacted) == "40001"
    worker.rollback()

    begun = begin(observer, compacted)
    rows(worker, "select count(*) from kata.list_contexts()")
    rows(observer, ERASE, parent, 4)
    assert outcome(worker, COMMIT, begun, "so far") == "40001"


# Summaries that may repeat an erased message


def test_what_is_handed_out_with_a_compaction_comes_from_before_the_end_of_what_it_covers(
    observer: psycopg.Connection, parent: uuid.UUID
) -> None:
    rows(
        observer,
        APPEND,
        parent,
        Jsonb([{"role": "user", "content": "see /etc/recent.conf", "token_count": 1}] * 2),
    )
    begun = begin(observer, parent)
    told = rows(observer, "select ref from kata.compaction_artifacts(%s)", begun)
    assert told == [("/etc/secret.conf",)]
    known = rows(observer, "select ref from kata.artifacts(%s, 'file') order by ref", parent)
    assert known == [("/etc/recent.conf",), ("/etc/secret.conf",)]


def test_a_digest_quotes_nothing_from_after_the_end_of_what_it_covers(observer: psycopg.Connection) -> None:
    policy = Jsonb(POLICY | {"preserve_recent_count": 3})
    ((context_id,),) = rows(observer, "select kata.create_context(policy => %s)", policy)
    talk = [
        *[{"role": "assistant", "content": "welcome " * 100}] * 3,
        *[{"role": "user", "content": "my secret is in /etc/secret.conf"}] * 3,
    ]
    rows(observer, APPEND, context_id, Jsonb(talk))
    ((covered,),) = rows(observer, "select covered::text from kata.compact(%s, force => true)", context_id)
    assert covered == "{[1,4)}"
    assert_that_nothing_is_left(observer)


def test_an_erasure_names_a_digest_that_quotes_a_message_which_it_does_not_cover(
    observer: psycopg.Connection, parent: uuid.UUID
) -> None:
    made = []
    for _ in range(2):
        long = "select version from kata.append_message(%s, 'assistant', repeat('long ', 600)) as version"
        rows(observer, long, parent)
        append(observer, parent, 2)
        made += rows(
            observer,
            "select summary_version, covered @> 1::bigint from kata.compact(%s, force => true)",
            parent,
        )
    (first, covers), (second, covers_again) = made
    assert (covers, covers_again) == (True, False)
    quoted = rows(observer, "select content from kata.get_message(%s, %s)", parent, second)[0][0]
    assert "message 1\n" in quoted
    assert rows(observer, ERASE, parent, 1) == [(1, "message"), (first, "summary"), (second, "summary")]
