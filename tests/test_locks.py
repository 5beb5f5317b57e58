"""No lock that a stranger can take stops a caller, and a removal that waits says for whom."""

import re
import uuid
from pathlib import Path

import psycopg
import pytest

from support.driver import PATIENCE
from support.interleaving import Connect, Start, append, outcome, rows, wait_until_blocked

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
CREATE = 'select kata.create_context(policy => \'{"preserve_recent_count": 1, "min_gain_tokens": 0}\')'
ERASE = "select what from kata.erase_message(%s, %s, 'by request')"
PURGE = "select * from kata.purge_context(%s)"
BEGIN = "select compaction_id from kata.begin_compaction(%s, 'drop', force => true)"
HURRY = "-c lock_timeout=100ms"


def made(conn: psycopg.Connection, size: int = 8) -> uuid.UUID:
    """Return a new context with messages."""
    ((context_id,),) = rows(conn, CREATE)
    append(conn, context_id, size)
    assert isinstance(context_id, uuid.UUID)
    return context_id


def test_nothing_takes_an_advisory_lock() -> None:
    for folder, pattern in ((ROOT / "sql", "*.sql"), (ROOT / "pydriver", "*.py")):
        for path in folder.rglob(pattern):
            assert not re.search(r"pg_(try_)?advisory", path.read_text()), path


def test_a_login_without_grants_holds_no_lock_that_a_removal_a_compaction_or_a_migration_takes(
    connect: Connect, observer: psycopg.Connection
) -> None:
    observer.execute("create role stranger login")
    stranger = connect(user="stranger", autocommit=True)
    try:
        for table in ("lineage", "head", "message", "search_mark", "migration"):
            for attack in (
                f"select from kata_data.{table} for key share",
                f"do $$ begin lock table kata_data.{table} in access share mode; end $$",
            ):
                assert outcome(stranger, attack) == "42501", attack
        for function in (
            "lock_families(array[]::uuid[])",
            "lock_removal(array[]::uuid[])",
            "share_family(null, true)",
        ):
            assert outcome(stranger, f"select kata_data.{function}") == "42501"
    finally:
        stranger.close()
        observer.execute("drop role stranger")


@pytest.mark.parametrize("work", ["append", "begin", "erase"])
def test_an_open_transaction_in_one_context_stops_no_removal_in_another(
    connect: Connect, observer: psycopg.Connection, work: str
) -> None:
    busy, own, deleted = made(observer), made(observer), made(observer)
    rows(observer, "select kata.delete_context(%s)", deleted)
    idle, remover = connect(), connect(autocommit=True, options=HURRY)
    if work == "append":
        append(idle, busy, 1)
    else:
        rows(idle, BEGIN, busy) if work == "begin" else rows(idle, ERASE, busy, 2)
    assert rows(remover, ERASE, own, 3) == [("message",)]
    assert rows(remover, PURGE, deleted) == [(8, 0)]


@pytest.mark.parametrize("work", ["append", "begin", "two begin", "erase", "merge", "index"])
def test_a_removal_that_waits_too_long_names_the_session_that_it_waited_for(
    connect: Connect, observer: psycopg.Connection, work: str
) -> None:
    context_id = made(observer)
    ((fork,),) = rows(observer, "select kata.fork(%s)", context_id)
    holder, second = connect(application_name="slow \u2028 worker"), connect(application_name="twin")
    remover = connect(autocommit=True, options=HURRY)
    match work:
        case "append":
            append(holder, context_id, 1)
        case "begin":
            rows(holder, BEGIN, fork)
        case "two begin":
            rows(holder, BEGIN, fork)
            rows(second, BEGIN, context_id)
        case "erase":
            rows(holder, ERASE, fork, 1)
        case "merge":
            rows(holder, "select version from kata.merge(%s, %s)", made(observer), context_id)
        case "index":
            rows(holder, "select kata.index_search(%s)", context_id)
    with pytest.raises(psycopg.Error) as caught:
        rows(remover, ERASE, context_id, 2)
    assert caught.value.sqlstate == "KC025"
    assert f"process {holder.info.backend_pid} (slow" in (caught.value.diag.message_detail or "")
    assert "100ms" in (caught.value.diag.message_detail or "")
    if work == "two begin":
        assert f"process {second.info.backend_pid} (twin)" in (caught.value.diag.message_detail or "")
    assert rows(remover, "show lock_timeout") == [("100ms",)]
    holder.rollback()
    second.rollback()
    assert ("message",) in rows(remover, ERASE, context_id, 2)
    assert rows(observer, "select * from kata.verify()") == []


def test_a_removal_bounds_its_wait_by_itself_and_leaves_the_setting_of_the_session(
    connect: Connect, observer: psycopg.Connection
) -> None:
    context_id, deleted = made(observer), made(observer)
    rows(observer, "select kata.delete_context(%s)", deleted)
    conn = connect(options="-c lock_timeout=0")
    rows(conn, ERASE, context_id, 2)
    rows(conn, PURGE, deleted)
    assert rows(conn, "show lock_timeout") == [("0",)]
    # As the function sees it, inside.
    assert rows(conn, "select kata_data.bound_wait(), current_setting('lock_timeout')") == [("0", "10s")]


def test_a_refusal_names_the_wait_of_a_session_that_sets_none(
    connect: Connect, observer: psycopg.Connection
) -> None:
    context_id = made(observer)
    conn = connect(autocommit=True, options="-c lock_timeout=0")
    for refusal in (f"refuse_busy(array['{context_id}'::uuid])", "refuse_busy_index(1)"):
        with pytest.raises(psycopg.Error) as caught:
            rows(conn, f"select kata_data.{refusal}")
        assert caught.value.sqlstate == "KC025"
        assert (caught.value.diag.message_detail or "").endswith("The wait was 10s."), refusal


def test_sessions_that_share_a_row_are_named_as_ones_that_may_hold_it(
    connect: Connect, observer: psycopg.Connection
) -> None:
    context_id, holders = made(observer), [connect(), connect()]
    find = "select pids, are_sure from kata_data.lock_holders(array[%s::uuid], null)"
    assert rows(observer, find, context_id) == [([], False)]
    for holder in holders:
        rows(holder, "select from kata_data.lineage where context_id = %s for key share", context_id)
        ((pids, are_sure),) = rows(observer, find, context_id)
        assert holder.info.backend_pid in pids
        # One session is the number of its transaction, several are a number of their own.
        assert are_sure == (holder is holders[0])
    assert {holder.info.backend_pid for holder in holders} <= set(pids)


def test_the_holders_of_a_family_are_found_without_looking_at_others(
    connect: Connect, observer: psycopg.Connection
) -> None:
    family = [made(observer)]
    family += [rows(observer, "select kata.fork(%s)", family[0])[0][0] for _ in range(2)]
    rows(observer, "select count(kata.create_context()) from generate_series(1, 200)")
    holder, conn = connect(), connect()
    append(holder, family[2], 1)
    seen = """
        select pg_stat_get_xact_tuples_returned(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid)
        from pg_class c where c.oid = 'kata_data.context'::regclass"""
    conn.execute("set enable_seqscan = off")  # as public functions have it
    ((before,),) = rows(conn, seen)
    found = rows(conn, "select pids from kata_data.lock_holders(array[%s::uuid], null)", family[0])
    ((after,),) = rows(conn, seen)
    assert found == [([holder.info.backend_pid],)]
    assert after - before < 20


def test_a_key_that_found_a_context_which_is_purged_at_that_moment_keeps_nothing_of_the_request(
    connect: Connect, observer: psycopg.Connection
) -> None:
    find = "select context_id, created from kata.get_or_create_context('secret plan', idempotency_key => 'k')"
    ((context_id, created),) = rows(observer, "select * from kata.get_or_create_context('secret plan')")
    assert created
    finder, remover = connect(), connect(autocommit=True, options=HURRY)
    assert rows(finder, find) == [(context_id, False)]
    rows(remover, "select kata.delete_context(%s)", context_id)
    assert outcome(remover, PURGE, context_id) == "KC025"
    finder.commit()
    rows(remover, PURGE, context_id)
    kept = "select salt, request from kata_data.idempotency where key = 'k'"
    assert rows(observer, kept) == [(None, None)]


def test_a_key_waits_for_a_purge_of_what_it_found_and_creates_the_context_anew(
    connect: Connect, observer: psycopg.Connection, start: Start
) -> None:
    ((first, _),) = rows(observer, "select * from kata.get_or_create_context('plan')")
    remover, finder = connect(), connect(autocommit=True)
    rows(remover, "select kata.delete_context(%s)", first)
    rows(remover, PURGE, first)
    later = start(finder, "select * from kata.get_or_create_context('plan', idempotency_key => 'k')")
    wait_until_blocked(observer, finder)
    remover.commit()
    ((second, created),) = later.result(PATIENCE)
    assert created
    assert second != first
    assert append(observer, second, 1) == [1]


def test_a_removal_in_a_deadlock_with_a_request_after_an_append_is_refused(
    connect: Connect, observer: psycopg.Connection, start: Start
) -> None:
    context_id = made(observer)
    # The removal looks for the deadlock, the writer does not.
    writer = connect(options="-c deadlock_timeout=1h")
    remover = connect(autocommit=True, options="-c deadlock_timeout=1s")
    append(writer, context_id, 1)
    removal = start(remover, ERASE, context_id, 2)
    wait_until_blocked(observer, remover)
    asked = start(writer, "select request_id from kata.request(%s, 100000, 'openai', 'm')", context_id)
    with pytest.raises(psycopg.Error) as caught:
        removal.result()
    assert caught.value.sqlstate == "KC025"
    assert asked.result() == [(1,)]
