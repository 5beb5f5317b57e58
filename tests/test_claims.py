"""Claims of compactions: tenants in turn, bounded work, and failures that stay with their context."""

import uuid

import psycopg
import pytest
from psycopg.types.json import Jsonb

from support.driver import PATIENCE, TooSlowError, in_time, wait_until
from support.interleaving import Connect, Start, append, outcome, rows, wait_until_blocked
from test_compaction import CLAIM, POLICY, is_sound, make

STORY = "select status, error from kata.compactions(%s)"
# Contexts without messages that are due all the same, so that a compaction gains nothing.
GAINLESS = """
with made as (
  insert into kata_data.context (context_id, tenant, family_id, tokenizer, policy, created_at, updated_at)
  select g.id, %(tenant)s, g.id, 'o200k_base', '{"budget": 10, "min_interval_seconds": 0}', g.at, g.at
  from (select gen_random_uuid() as id, '2020-01-01'::timestamptz as at from generate_series(1, %(count)s)) g
  returning *
), lined as (
  insert into kata_data.lineage (context_id, first_version, segment_id)
  select context_id, 1, context_id from made
)
insert into kata_data.head (context_id, tenant, tokenizer, view_tokens, due_tokens, due_at, last_digest)
select context_id, tenant, tokenizer, 100, 8, created_at, kata_data.first_digest(context_id) from made
"""


def as_tenant(conn: psycopg.Connection, tenant: str) -> None:
    """Act for a tenant from now on."""
    rows(conn, "select set_config('kata.tenant', %s, false)", tenant)


def make_for(conn: psycopg.Connection, tenant: str) -> uuid.UUID:
    """Create a context of a tenant that is due."""
    as_tenant(conn, tenant)
    return make(conn)


def claimed(conn: psycopg.Connection) -> list[uuid.UUID]:
    """Claim, and return the context."""
    return [context_id for context_id, _ in rows(conn, CLAIM, "worker")]


def test_ten_thousand_gainless_contexts_of_one_tenant_do_not_hold_up_another(connect: Connect) -> None:
    conn = connect(autocommit=True)
    conn.execute("set kata.tenant = '*'")
    conn.execute(GAINLESS, {"tenant": "many", "count": 10_000})
    one = make_for(conn, "one")
    as_tenant(conn, "*")
    found = claimed(conn)
    assert found + claimed(conn) == [one]
    # Each call writes down what it has looked at.
    left = "select count(*) from kata_data.head where due_at <= now()"
    before = rows(conn, left)[0][0]
    assert claimed(conn) == []
    assert rows(conn, left)[0][0] == before - 32


def test_tenants_are_served_in_turn_although_their_claims_are_rolled_back(connect: Connect) -> None:
    conn = connect(autocommit=True)
    due = {make_for(conn, tenant): tenant for tenant in ("a", "b", "c", "a", "b", "c")}
    worker = connect()
    as_tenant(worker, "*")
    worker.commit()
    for _ in range(2):
        served = []
        for _ in range(3):
            served += [due[context_id] for context_id in claimed(worker)]
            worker.rollback()
        assert sorted(served) == ["a", "b", "c"]


def hold_up(conn: psycopg.Connection, context_id: uuid.UUID, what: str) -> None:
    """Have something done where a claim writes down how far it has read the messages of a context."""
    name = f"hold_{context_id.hex}"
    conn.execute(
        f"""
        create function public.{name}() returns trigger language plpgsql
          as $$ begin perform {what}; return new; end $$;
        create trigger {name} before insert on kata_data.artifact_mark for each row
          when (new.segment_id = '{context_id}') execute function public.{name}()
        """.encode()
    )


def test_a_context_that_raises_is_its_own_failure(connect: Connect, observer: psycopg.Connection) -> None:
    poisoned, unreadable, sound = make(observer), make(observer), make(observer)
    hold_up(observer, poisoned, "1 / 0")
    observer.execute(
        "update kata_data.context set policy = policy || %s where context_id = %s",
        (Jsonb({"min_interval_seconds": "soon"}), unreadable),
    )
    worker = connect(autocommit=True)
    assert claimed(worker) == [sound]
    said = {context_id: rows(observer, STORY, context_id) for context_id in (poisoned, unreadable)}
    assert said[poisoned] == [("failed", "Planning raised SQLSTATE 22012 in kata_data.extract_artifacts.")]
    assert said[unreadable] == [("failed", "Planning raised SQLSTATE 22P02 in kata_data.due_state.")]
    for failures in (2, 3, 3):
        assert claimed(worker) == []
        assert rows(observer, "select failures from kata.compaction_status(%s)", poisoned) == [(failures,)]
    waits = "select due_at > now() + '30 minutes' from kata_data.head where context_id = %s"
    assert rows(observer, waits, unreadable) == [(True,)]


def test_a_context_that_exceeds_statement_timeout_is_its_own_failure(
    connect: Connect, observer: psycopg.Connection
) -> None:
    worker = connect(autocommit=True)

    def attempt(seconds: float) -> None:
        setting = f"{1000 * seconds:.0f}ms"
        created = rows(
            observer, "select kata.create_context(policy => %s)", Jsonb(POLICY | {"min_gain_tokens": 9})
        )
        gainless = created[0][0]
        append(observer, gainless, 10)
        slow, sound = make(observer), make(observer)
        hold_up(observer, slow, "pg_sleep(3600)")
        worker.execute(f"set statement_timeout = '{setting}'".encode())
        found = outcome(worker, CLAIM, "worker")
        worker.execute("set statement_timeout = 0")
        observer.execute(f"drop function public.hold_{slow.hex} cascade".encode())  # verify reports it
        if not rows(observer, STORY, slow):
            rows(observer, "select kata.delete_context(c) from unnest(%s) c", [gainless, slow, sound])
            raise TooSlowError
        assert found == []
        reason = f"Planning took longer than statement_timeout, {setting}."
        assert rows(observer, STORY, slow) == [("failed", reason)]
        assert [status for status, _ in rows(observer, STORY, gainless)] == ["failed"]
        assert claimed(worker) == [sound]

    in_time(attempt, 0.3)
    assert is_sound(observer)


def test_a_context_that_exceeds_statement_timeout_fails_although_it_grows(
    connect: Connect, observer: psycopg.Connection, start: Start
) -> None:
    worker = connect(autocommit=True)
    state = "select state = 'active', wait_event = 'PgSleep' from pg_stat_activity where pid = %s"

    def attempt(seconds: float) -> None:
        slow, sound = make(observer), make(observer)
        hold_up(observer, slow, "pg_sleep(3600)")
        worker.execute(f"set statement_timeout = {1000 * seconds:.0f}".encode())
        later = start(worker, CLAIM, "worker")
        wait_until(lambda: later.done() or rows(observer, state, worker.info.backend_pid) == [(True, True)])
        append(observer, slow, 10)
        # Whether the messages came while it slept.
        has_grown = rows(observer, state, worker.info.backend_pid) == [(True, True)]
        error = later.exception(PATIENCE)
        worker.execute("set statement_timeout = 0")
        if not has_grown:
            rows(observer, "select kata.delete_context(c) from unnest(%s) c", [slow, sound])
            raise TooSlowError
        assert error is None
        assert later.result() == []
        assert [status for status, _ in rows(observer, STORY, slow)] == ["failed"]
        assert claimed(worker) == [sound]

    in_time(attempt, 0.5)


@pytest.mark.parametrize(
    ("timeout", "elapsed", "has_timed_out"),
    [
        ("6s", "3.5s", False),
        ("6s", "6s", True),
        ("6s", "5.95s", True),
        ("50ms", "50ms", True),
        ("0", "1h", False),
    ],
)
def test_a_cancel_is_a_timeout_only_at_its_end(
    conn: psycopg.Connection, timeout: str, elapsed: str, has_timed_out: bool
) -> None:
    conn.execute("select set_config('statement_timeout', %s, true)", (timeout,))
    assert rows(conn, "select kata_data.has_timed_out(%s)", elapsed) == [(has_timed_out,)]


def test_a_claim_that_a_user_cancels_is_not_a_failure(
    connect: Connect, observer: psycopg.Connection, start: Start
) -> None:
    context_id = make(observer)
    hold_up(observer, context_id, "pg_advisory_xact_lock(4711)")
    gate, worker = connect(), connect(autocommit=True)
    rows(gate, "select pg_advisory_xact_lock(4711)")
    later = start(worker, CLAIM, "worker")
    wait_until_blocked(observer, worker)
    rows(observer, "select pg_cancel_backend(%s)", worker.info.backend_pid)
    with pytest.raises(psycopg.errors.QueryCanceled):
        later.result(PATIENCE)
    gate.rollback()
    assert rows(observer, STORY, context_id) == []
    assert claimed(worker) == [context_id]


def test_a_worker_without_a_model_leaves_alone_what_wants_one(connect: Connect) -> None:
    conn = connect(autocommit=True)
    wanting, digested = make(conn), make(conn)
    rows(conn, "select kata.set_policy(%s, %s)", digested, Jsonb({"strategy": "digest"}))
    claim = "select context_id from kata.claim_due_compaction('worker', can_summarize => false)"
    assert rows(conn, claim) == [(digested,)]
    assert rows(conn, claim) == []
    assert rows(conn, STORY, wanting) == []
    assert claimed(conn) == [wanting]
    assert is_sound(conn)
