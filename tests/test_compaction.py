"""Compactions of several connections at once: every interleaving by name, at times that are set."""

import uuid
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

# Due as soon as there are ten messages of one token; the newest two are kept.
POLICY = {
    "budget": 10,
    "threshold": 1,
    "preserve_recent_count": 2,
    "min_gain_tokens": 0,
    "min_interval_seconds": 0,
}
BEGIN = "select compaction_id from kata.begin_compaction(%s, force => true)"
CLAIM = "select context_id, compaction_id from kata.claim_due_compaction(%s)"
COMMIT = "select summary_version, message_count from kata.commit_compaction(%s, %s, 1)"
ABORT = "select kata.abort_compaction(%s, %s)"
RENEW = "select kata.renew_compaction(%s, 60)"
FORK = "select kata.fork(%s)"
VIEW = "select array_agg(version) from kata.state_at(%s)"
STORY = "select array_agg(status order by started_at) from kata.compactions(%s)"
DONE = "select count(*) from kata_data.compaction where status = 'committed'"
VERIFY = "select * from kata.verify()"


@pytest.fixture
def context_id(observer: psycopg.Connection) -> uuid.UUID:
    """A context of ten messages, of which a compaction covers 1 to 8."""
    return make(observer)


def make(conn: psycopg.Connection) -> uuid.UUID:
    """Create a context of ten messages of one token."""
    made: uuid.UUID = rows(conn, "select kata.create_context(policy => %s)", Jsonb(POLICY))[0][0]
    append(conn, made, 10)
    return made


def begin(conn: psycopg.Connection, context_id: uuid.UUID) -> uuid.UUID:
    """Begin a compaction and return its id."""
    begun: uuid.UUID = rows(conn, BEGIN, context_id)[0][0]
    return begun


def set_clock(conn: psycopg.Connection, time: str) -> None:
    """Stop the clock of a connection at a time of a day to come."""
    rows(conn, "select set_config('kata.clock', %s, false)", f"2099-01-01 {time}+00")


def is_sound(conn: psycopg.Connection) -> bool:
    """Return whether verify finds nothing, except the triggers of a test."""
    return [row for row in rows(conn, VERIFY) if row[2] != "security"] == []


# Between begin and commit


def test_what_is_appended_between_begin_and_commit_stays(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    worker, writer = connect(autocommit=True), connect(autocommit=True)
    begun = begin(worker, context_id)
    assert append(writer, context_id, 3) == [11, 12, 13]
    assert rows(worker, COMMIT, begun, "so far") == [(14, 8)]
    assert rows(observer, VIEW, context_id) == [([14, 9, 10, 11, 12, 13],)]
    assert is_sound(observer)


def test_nothing_is_locked_between_begin_and_commit(connect: Connect, context_id: uuid.UUID) -> None:
    worker, writer = connect(autocommit=True), connect(autocommit=True)
    begun = begin(worker, context_id)
    writer.execute("set lock_timeout = '1ms'")
    assert append(writer, context_id, 1) == [11]
    assert rows(writer, "select kata.pin(%s, 10)", context_id) == [(12,)]
    assert rows(writer, "select status from kata.compactions(%s)", context_id) == [("running",)]
    assert len(rows(writer, "select version from kata.compaction_source(%s)", begun)) == 8
    held = "select mode from pg_locks where pid = %s and relation = 'kata_data.head'::regclass"
    assert rows(writer, held, worker.info.backend_pid) == []


@pytest.mark.parametrize(
    ("meanwhile", "ends"),
    [
        ("select kata.pin(%s, 3)", "KC011"),
        ("select kata.delete_messages(%s, 3)", "KC011"),
        ("select kata.elide(%s, 4, keep_tokens => 10)", "KC011"),
        ("select kata.pin(%s, 8)", [(10, 5)]),
        ("select kata.delete_messages(%s, 8)", [(10, 5)]),
        ("select kata.fork(%s)", [(9, 5)]),
        ("select kata.set_policy(%s, '{}')", [(9, 5)]),
    ],
)
@pytest.mark.parametrize("first", ["the change", "the commit"])
def test_a_commit_and_a_change_of_the_view_come_one_after_the_other(
    connect: Connect, observer: psycopg.Connection, start: Start, meanwhile: str, ends: Any, first: str
) -> None:
    """The second waits for the first and sees what it did."""
    ((context_id,),) = rows(observer, "select kata.create_context(policy => %s)", Jsonb(POLICY))
    call = tool_call()
    talk: list[dict[str, Any]] = [{"role": "user"}, {"role": "assistant"}]
    talk += [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c"}]
    talk += [{"role": "user"}, {"role": "assistant"}, {"role": "user"}, {"role": "assistant"}]
    rows(
        observer,
        APPEND,
        context_id,
        Jsonb([m | {"content": "word " * 100, "token_count": 100} for m in talk]),
    )
    changer, worker = connect(), connect()
    begun = begin(observer, context_id)
    if first == "the change":
        rows(changer, meanwhile, context_id)
        later = start(worker, COMMIT, begun, "so far")
        if "fork" not in meanwhile:
            wait_until_blocked(observer, worker)
        changer.commit()
        if ends == "KC011":
            error = later.exception(PATIENCE)
            assert isinstance(error, psycopg.Error)
            assert error.sqlstate == "KC011"
            worker.rollback()
        else:
            assert [(version, count - 1) for version, count in later.result(PATIENCE)] == ends
            worker.commit()
    else:
        assert rows(worker, COMMIT, begun, "so far") == [(9, 6)]
        later = start(changer, meanwhile, context_id)
        if "fork" not in meanwhile:
            wait_until_blocked(observer, changer)
        worker.commit()
        if "elide" in meanwhile:
            error = later.exception(PATIENCE)
            assert isinstance(error, psycopg.Error)
            assert error.sqlstate == "KC017"
            changer.rollback()
        else:
            later.result(PATIENCE)
            changer.commit()
    assert is_sound(observer)


def test_an_append_waits_for_a_commit_and_takes_the_next_version(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    worker, writer = connect(), connect(autocommit=True)
    begun = begin(observer, context_id)
    assert rows(worker, COMMIT, begun, "so far") == [(11, 8)]
    later = start(writer, APPEND, context_id, batch(2))
    wait_until_blocked(observer, writer)
    worker.commit()
    assert later.result(PATIENCE) == [(12,), (13,)]
    assert rows(observer, VIEW, context_id) == [([11, 9, 10, 12, 13],)]
    assert is_sound(observer)


def test_a_commit_waits_for_an_append_and_does_not_cover_it(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    worker, writer = connect(autocommit=True), connect()
    begun = begin(observer, context_id)
    append(writer, context_id, 2)
    later = start(worker, COMMIT, begun, "so far")
    wait_until_blocked(observer, worker)
    writer.commit()
    assert later.result(PATIENCE) == [(13, 8)]
    assert rows(observer, VIEW, context_id) == [([13, 9, 10, 11, 12],)]
    assert is_sound(observer)


def test_a_begin_waits_for_an_append_and_covers_what_it_may(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    worker, writer = connect(autocommit=True), connect()
    append(writer, context_id, 2)
    later = start(worker, "select covered::text from kata.begin_compaction(%s, force => true)", context_id)
    wait_until_blocked(observer, worker)
    writer.commit()
    assert later.result(PATIENCE) == [("{[1,11)}",)]


def test_appends_and_commits_at_once_end_in_no_deadlock(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    """Both lock the head first: eight at it, half of them appending, half compacting."""

    def work(conn: psycopg.Connection, number: int) -> int:
        taken = 0
        for turn in range(25):
            if number % 2:
                taken += len(rows(conn, APPEND, context_id, batch(2, f"{number}:{turn}")))
                continue
            begun = outcome(conn, BEGIN, context_id)
            if begun not in ("KC009", "KC010"):
                ended = outcome(conn, COMMIT, begun[0][0], f"{number}:{turn}")
                assert ended == "KC012" or ended[0][1] >= 1
        return taken

    appended = sum(at_once(connect, work))
    assert appended == WRITERS // 2 * 25 * 2
    ((messages, running),) = rows(
        observer,
        "select count(*), (select count(*) from kata.compactions(%s) c where c.status = 'running')"
        " from kata_data.message",
        context_id,
    )
    assert messages == appended + 10
    assert running <= 1
    assert is_sound(observer)


# Workers


def test_of_two_that_begin_at_once_one_does(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    first, second = connect(), connect(autocommit=True)
    begin(first, context_id)
    later = start(second, BEGIN, context_id)
    wait_until_blocked(observer, second)
    first.commit()
    error = later.exception(PATIENCE)
    assert isinstance(error, psycopg.Error)
    assert error.sqlstate == "KC009"
    assert rows(observer, STORY, context_id) == [(["running"],)]


@pytest.mark.parametrize(
    "level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE]
)
def test_a_begin_whose_snapshot_is_old_is_refused_with_a_hint_to_retry(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, level: psycopg.IsolationLevel
) -> None:
    # Nothing that a begin leaves elsewhere conflicts: what is parsed is parsed, and it is never due.
    rows(observer, "select kata.set_policy(%s, %s)", context_id, Jsonb({"enabled": False}))
    rows(observer, ABORT, begin(observer, context_id), None)
    late = connect()
    late.isolation_level = level
    assert rows(late, STORY, context_id) == [(["aborted"],)]
    begin(observer, context_id)
    assert outcome(late, BEGIN, context_id) == "40001"
    late.rollback()
    assert outcome(late, BEGIN, context_id) == "KC009"


def test_who_begins_when_another_was_rolled_back_does(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    first, second = connect(), connect(autocommit=True)
    begin(first, context_id)
    later = start(second, BEGIN, context_id)
    wait_until_blocked(observer, second)
    first.rollback()
    assert len(later.result(PATIENCE)) == 1
    assert rows(observer, STORY, context_id) == [(["running"],)]


def test_two_workers_claim_two_contexts(connect: Connect, context_id: uuid.UUID) -> None:
    """The second skips what the first holds, without waiting for it."""
    first, second = connect(), connect()
    first.execute("set lock_timeout = '1ms'")
    second.execute("set lock_timeout = '1ms'")
    other = make(first)
    first.commit()
    ((claimed_first, _),) = rows(first, CLAIM, "first")
    ((claimed_second, _),) = rows(second, CLAIM, "second")
    assert {claimed_first, claimed_second} == {context_id, other}
    assert rows(second, CLAIM, "second") == []
    first.rollback()
    assert [claimed for claimed, _ in rows(second, CLAIM, "second")] == [claimed_first]


def test_a_worker_does_not_wait_for_a_writer(connect: Connect, context_id: uuid.UUID) -> None:
    writer, worker = connect(), connect(autocommit=True)
    worker.execute("set lock_timeout = '1ms'")
    append(writer, context_id, 1)
    assert rows(worker, CLAIM, "worker") == []
    writer.commit()
    assert [claimed for claimed, _ in rows(worker, CLAIM, "worker")] == [context_id]


@pytest.mark.parametrize(
    ("policy", "story"),
    [({"min_gain_tokens": 9}, ["failed"]), ({"debounce_seconds": 3600}, None)],
    ids=["gains nothing", "is due later"],
)
def test_what_a_worker_does_not_compact_is_written_to_while_it_works_on_another(
    connect: Connect, observer: psycopg.Connection, start: Start, policy: dict[str, Any], story: Any
) -> None:
    ((passed_over,),) = rows(observer, "select kata.create_context(policy => %s)", Jsonb(POLICY | policy))
    append(observer, passed_over, 10)
    taken = make(observer)
    # The worker is held up where it writes down how far it has read the messages of the second.
    observer.execute(
        f"""
        create function public.hold() returns trigger language plpgsql
          as $$ begin perform pg_advisory_xact_lock(4711); return new; end $$;
        create trigger hold before insert on kata_data.artifact_mark for each row
          when (new.segment_id = '{taken}') execute function public.hold()
        """.encode()
    )
    gate, worker, writer = connect(), connect(autocommit=True), connect(autocommit=True)
    rows(gate, "select pg_advisory_xact_lock(4711)")
    later = start(worker, CLAIM, "worker")
    wait_until_blocked(observer, worker)
    writer.execute("set lock_timeout = '1ms'")
    assert outcome(writer, "select kata.archive_context(%s)", passed_over) == [("",)]
    rows(writer, "select kata.unarchive_context(%s)", passed_over)
    gate.commit()
    assert [claimed for claimed, _ in later.result(PATIENCE)] == [taken]
    assert rows(observer, STORY, passed_over) == [(story,)]
    assert rows(observer, "select due from kata.compaction_status(%s)", passed_over) == [(False,)]
    due_at = "select due_at is null or due_at > clock_timestamp() from kata_data.head where context_id = %s"
    assert rows(observer, due_at, passed_over) == [(True,)]
    observer.execute("drop function public.hold cascade")
    assert is_sound(observer)


def test_eight_workers_claim_each_of_twenty_contexts_once(
    connect: Connect, observer: psycopg.Connection
) -> None:
    contexts = {make(observer) for _ in range(20)}

    def work(conn: psycopg.Connection, number: int) -> list[uuid.UUID]:
        claimed = []
        # A worker that finds everything locked comes back; what is claimed is running and not due.
        for _ in range(1000):
            found = rows(conn, CLAIM, f"{number}")
            if found:
                claimed.append(found[0][0])
                assert rows(conn, COMMIT, found[0][1], "so far") == [(11, 8)]
            elif rows(conn, DONE) == [(20,)]:
                break
        return claimed

    claimed = [context_id for answer in at_once(connect, work) for context_id in answer]
    assert len(claimed) == 20
    assert set(claimed) == contexts
    assert is_sound(observer)


@pytest.mark.parametrize("first", ["the commit", "the claim"])
def test_of_a_late_commit_and_a_take_over_one_wins(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start, first: str
) -> None:
    slow, quick = connect(), connect()
    begun = begin(observer, context_id)
    set_clock(quick, "12:00")
    quick.commit()
    if first == "the commit":
        assert rows(slow, COMMIT, begun, "late") == [(11, 8)]
        later = start(quick, BEGIN, context_id)
        wait_until_blocked(observer, quick)
        slow.commit()
        # Nothing is left that may be covered.
        error = later.exception(PATIENCE)
        assert isinstance(error, psycopg.Error)
        assert error.sqlstate == "KC010"
        assert rows(observer, STORY, context_id) == [(["committed"],)]
    else:
        taken = begin(quick, context_id)
        later = start(slow, COMMIT, begun, "late")
        wait_until_blocked(observer, slow)
        quick.commit()
        error = later.exception(PATIENCE)
        assert isinstance(error, psycopg.Error)
        assert error.sqlstate == "KC011"
        slow.rollback()
        assert rows(quick, COMMIT, taken, "in time") == [(11, 8)]
        quick.commit()
        assert rows(observer, STORY, context_id) == [(["expired", "committed"],)]
    assert is_sound(observer)


def test_a_renewal_that_waited_for_a_take_over_is_refused(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    slow, quick = connect(autocommit=True), connect()
    begun = begin(observer, context_id)
    set_clock(quick, "12:00")
    begin(quick, context_id)
    later = start(slow, RENEW, begun)
    wait_until_blocked(observer, slow)
    quick.commit()
    error = later.exception(PATIENCE)
    assert isinstance(error, psycopg.Error)
    assert error.sqlstate == "KC011"


def test_eight_commits_of_the_same_summary_return_the_same(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    begun = begin(observer, context_id)
    assert at_once(connect, lambda conn, _: rows(conn, COMMIT, begun, "so far")) == [[(11, 8)]] * WRITERS
    assert rows(observer, "select version from kata.get_context(%s)", context_id) == [(11,)]
    assert is_sound(observer)


def test_of_eight_that_commit_different_summaries_one_does(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    begun = begin(observer, context_id)
    answers = at_once(connect, lambda conn, number: outcome(conn, COMMIT, begun, f"{number}"))
    assert sorted(map(str, answers)) == sorted(["[(11, 8)]"] + ["KC011"] * (WRITERS - 1))
    winner = next(number for number, answer in enumerate(answers) if answer != "KC011")
    assert rows(observer, "select content from kata.get_message(%s, 11)", context_id) == [(f"{winner}",)]
    assert is_sound(observer)


def test_of_a_commit_and_an_abort_the_first_counts(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start
) -> None:
    first, second = connect(), connect(autocommit=True)
    begun = begin(observer, context_id)
    rows(first, ABORT, begun, "the model is down")
    later = start(second, COMMIT, begun, "so far")
    wait_until_blocked(observer, second)
    first.commit()
    error = later.exception(PATIENCE)
    assert isinstance(error, psycopg.Error)
    assert error.sqlstate == "KC011"
    assert rows(observer, STORY, context_id) == [(["failed"],)]
    assert rows(observer, VIEW, context_id) == [(list(range(1, 11)),)]


# Crashes


def kill(observer: psycopg.Connection, victim: psycopg.Connection) -> None:
    """End a connection as a crash of its client does, and wait until its backend has gone."""
    pid = victim.info.backend_pid
    rows(observer, "select pg_terminate_backend(%s, 60000)", pid)
    with pytest.raises(psycopg.OperationalError):
        victim.execute("select 1")


def test_a_worker_that_dies_between_begin_and_commit_leaves_a_lease_that_runs_out(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    worker = connect(autocommit=True)
    begun = rows(worker, CLAIM, "dead")[0][1]
    kill(observer, worker)
    assert append(observer, context_id, 1) == [11]
    assert rows(observer, CLAIM, "heir") == []
    assert outcome(observer, BEGIN, context_id) == "KC009"
    set_clock(observer, "12:00")
    ((claimed, taken),) = rows(observer, CLAIM, "heir")
    assert claimed == context_id
    assert outcome(observer, COMMIT, begun, "from the grave") == "KC011"
    assert rows(observer, COMMIT, taken, "so far") == [(12, 9)]
    assert rows(observer, STORY, context_id) == [(["expired", "committed"],)]
    assert is_sound(observer)


def test_a_worker_that_dies_in_a_commit_has_done_nothing_and_may_commit_again(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    worker = connect()
    begun = begin(observer, context_id)
    assert rows(worker, COMMIT, begun, "so far") == [(11, 8)]
    kill(observer, worker)
    assert rows(observer, VIEW, context_id) == [(list(range(1, 11)),)]
    assert rows(observer, STORY, context_id) == [(["running"],)]
    assert rows(observer, COMMIT, begun, "so far") == [(11, 8)]
    assert rows(observer, COMMIT, begun, "so far") == [(11, 8)]
    assert is_sound(observer)


# Forks


def test_a_fork_does_not_wait_for_a_commit_and_shows_the_view_before_it(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    worker, forker = connect(), connect(autocommit=True)
    forker.execute("set lock_timeout = '1ms'")
    begun = begin(observer, context_id)
    rows(worker, COMMIT, begun, "so far")
    ((before,),) = rows(forker, FORK, context_id)
    worker.commit()
    ((after,),) = rows(forker, FORK, context_id)
    assert rows(observer, VIEW, before) == [(list(range(1, 11)),)]
    assert rows(observer, VIEW, after) == [([11, 9, 10],)]
    assert is_sound(observer)


def test_a_fork_of_a_context_in_compaction_has_no_lease_of_its_own(
    observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    begun = begin(observer, context_id)
    ((fork,),) = rows(observer, FORK, context_id)
    own = begin(observer, fork)
    assert rows(observer, COMMIT, begun, "the parent's") == [(11, 8)]
    assert rows(observer, COMMIT, own, "the fork's") == [(11, 8)]
    for context, content in ((context_id, "the parent's"), (fork, "the fork's")):
        assert rows(observer, "select content from kata.get_message(%s, 11)", context) == [(content,)]
        assert rows(observer, STORY, context) == [(["committed"],)]
    assert is_sound(observer)


def test_a_reader_sees_the_view_before_a_commit_until_it_is_committed(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID
) -> None:
    worker = connect()
    begun = begin(observer, context_id)
    rows(worker, COMMIT, begun, "so far")
    window = 'select array_agg(version) from kata."window"(%s, 1000)'
    assert rows(observer, window, context_id) == [(list(range(1, 11)),)]
    worker.commit()
    assert rows(observer, window, context_id) == [([11, 9, 10],)]


@pytest.mark.parametrize("closing", ["delete_context", "archive_context"])
def test_a_commit_that_waited_for_the_end_of_its_context_is_refused(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start, closing: str
) -> None:
    closer, worker = connect(), connect(autocommit=True)
    begun = begin(observer, context_id)
    rows(closer, f"select kata.{closing}(%s)", context_id)
    later = start(worker, COMMIT, begun, "so far")
    wait_until_blocked(observer, worker)
    closer.commit()
    error = later.exception(PATIENCE)
    assert isinstance(error, psycopg.Error)
    assert error.sqlstate == "KC006"
    assert is_sound(observer)


@pytest.mark.parametrize("late", [COMMIT, ABORT, RENEW.replace("60", "length(%s) * 10")])
def test_what_waited_for_a_purge_finds_no_compaction(
    connect: Connect, observer: psycopg.Connection, context_id: uuid.UUID, start: Start, late: str
) -> None:
    purger, worker = connect(), connect(autocommit=True)
    begun = begin(observer, context_id)
    rows(purger, "select kata.delete_context(%s)", context_id)
    rows(purger, "select * from kata.purge_context(%s)", context_id)
    later = start(worker, late, begun, "so far")
    wait_until_blocked(observer, worker)
    purger.commit()
    error = later.exception(PATIENCE)
    assert isinstance(error, psycopg.Error)
    assert error.sqlstate in ("KC001", "KC006")
    assert is_sound(observer)


# Notifications


def test_a_view_change_notifies_at_commit_and_once(connect: Connect, context_id: uuid.UUID) -> None:
    listener, worker = connect(autocommit=True), connect()
    listener.execute("listen kata")
    rows(worker, "select kata.set_policy(%s, '{\"notify\": true}')", context_id)
    begun = begin(worker, context_id)
    worker.commit()
    rows(worker, COMMIT, begun, "lost")
    worker.rollback()
    rows(worker, COMMIT, begun, "so far")
    rows(worker, COMMIT, begun, "so far")
    worker.commit()
    rows(worker, "select kata.pin(%s, 9)", context_id)
    worker.commit()
    told = [(note.channel, note.payload) for note in listener.notifies(timeout=PATIENCE, stop_after=2)]
    assert told == [("kata", "")] * 2
