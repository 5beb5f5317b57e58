"""Purges and erasures: in every order, and against everything that may happen at the same moment."""

import uuid
from collections.abc import Iterable
from contextlib import closing
from itertools import permutations
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg.types.json import Jsonb

from support.driver import PATIENCE, tool_call
from support.interleaving import APPEND, Connect, Start, append, batch, outcome, rows, wait_until_blocked

pytestmark = pytest.mark.slow

Family: TypeAlias = dict[str, uuid.UUID]

# name → parent, fork version, messages of its own: forks at several versions, below and in what a fork wrote.
FAMILY = {
    "trunk": (None, 0, 8),
    "low": ("trunk", 3, 2),
    "high": ("trunk", 6, 4),
    "below": ("high", 5, 1),
    "above": ("high", 8, 2),
}
STORED = """
select count(*) from kata_data.message m
where m.segment_id = any (%s)
"""
# All that a context reads at every version.
READ = """
select md5(string_agg(concat(a.at, m), '|' order by a.at, m.version))
from kata_data.head h
cross join lateral generate_series(0, h.version) a(at)
cross join lateral kata.messages(h.context_id, max_rows => 1000, at => a.at) m
where h.context_id = %s
"""
FORK = "select kata.fork(%s, %s)"
DELETE = "select kata.delete_context(%s)"
RESTORE = "select kata.restore_context(%s)"
PURGE = "select * from kata.purge_context(%s)"
DRY = "select * from kata.purge_context(%s, true)"
ERASE = "select what from kata.erase_message(%s, %s, 'by request')"
MERGE = "select version from kata.merge(%s, %s)"
BEGIN_ELISION = "select compaction_id from kata.begin_compaction(%s, 'elide', force => true)"
VERIFY = "select * from kata.verify()"
HURRY = "-c lock_timeout=100ms"
CONTENTS = "select content from kata.messages(%s) order by version"


def make_family(conn: psycopg.Connection) -> Family:
    """Make the contexts of FAMILY."""
    made: Family = {}
    for name, (parent, version, size) in FAMILY.items():
        if parent is None:
            ((made[name],),) = rows(conn, "select kata.create_context(%s)", name)
        else:
            ((made[name],),) = rows(conn, "select kata.fork(%s, %s, %s)", made[parent], version, name)
        talk = [{"role": "user", "content": f"{name} {number}"} for number in range(size)]
        rows(conn, APPEND, made[name], Jsonb(talk))
    return made


def stored(conn: psycopg.Connection, contexts: Iterable[uuid.UUID]) -> int:
    """Return how many messages that these contexts wrote are there."""
    count: int = rows(conn, STORED, list(contexts))[0][0]
    return count


def purge_in_turn(
    conn: psycopg.Connection, family: Family, order: Iterable[str], deleted_first: bool
) -> None:
    """Purge a family one by one; look each time that it took what it said and the others read the same."""
    read = {name: rows(conn, READ, context_id) for name, context_id in family.items()}
    left = dict(family)
    for context_id in family.values() if deleted_first else ():
        rows(conn, DELETE, context_id)
    for name in order:
        if not deleted_first:
            rows(conn, DELETE, left[name])
        before = stored(conn, family.values())
        foretold = rows(conn, DRY, left[name])
        done = rows(conn, PURGE, left[name])
        assert done == foretold
        ((removed, kept),) = done
        assert before - stored(conn, family.values()) == removed
        assert stored(conn, [left.pop(name)]) == kept
        for other, context_id in left.items():
            if deleted_first:
                rows(conn, RESTORE, context_id)
            assert rows(conn, READ, context_id) == read[other], f"the purge of {name} changed {other}"
        assert rows(conn, VERIFY) == []
        for context_id in left.values() if deleted_first else ():
            rows(conn, DELETE, context_id)
    assert stored(conn, family.values()) == 0


@pytest.mark.parametrize("deleted_first", [True, False], ids=["all deleted", "others live"])
def test_in_every_order_the_others_read_on_and_the_last_leaves_nothing(dsn: str, deleted_first: bool) -> None:
    with closing(psycopg.connect(dsn, autocommit=True)) as conn:
        for order in permutations(FAMILY):
            with conn.transaction(force_rollback=True):
                purge_in_turn(conn, make_family(conn), order, deleted_first)


@pytest.mark.parametrize("live", FAMILY)
def test_purging_deleted_contexts_does_what_its_dry_run_says_and_spares_what_one_fork_reads(
    conn: psycopg.Connection, live: str
) -> None:
    conn.execute("set kata.clock = '2030-01-01'")
    family = make_family(conn)
    read = rows(conn, READ, family[live])
    for name, context_id in family.items():
        if name != live:
            rows(conn, DELETE, context_id)
    conn.execute("set kata.clock = '2030-01-02'")
    foretold = rows(conn, "select * from kata.purge_deleted(interval '1 hour', true)")
    before = stored(conn, family.values())
    done = rows(conn, "select * from kata.purge_deleted(interval '1 hour')")
    assert done == foretold
    assert {context_id for context_id, _, _ in done} == set(family.values()) - {family[live]}
    assert before - stored(conn, family.values()) == sum(removed for _, removed, _ in done)
    assert rows(conn, READ, family[live]) == read
    # The fork keeps the entries that it reads and those that it has written itself.
    newest = rows(conn, "select version from kata.get_context(%s)", family[live])[0][0]
    assert stored(conn, family.values()) == newest
    assert rows(conn, VERIFY) == []


@pytest.mark.parametrize(
    "level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE]
)
def test_who_could_miss_a_fork_may_not_purge_nor_erase(database: str, level: psycopg.IsolationLevel) -> None:
    with closing(psycopg.connect(database)) as conn:
        family = make_family(conn)
        rows(conn, DELETE, family["high"])
        conn.commit()
        conn.isolation_level = level
        refused = (
            (PURGE, family["high"]),
            (ERASE, family["trunk"], 1),
            ("select * from kata.purge_deleted(interval '0')",),
        )
        for call in refused:
            assert outcome(conn, *call) == "KC017"
            conn.rollback()
        assert rows(conn, DRY, family["high"]) == [(2, 2)]


# Every interleaving by name


@pytest.fixture
def family(observer: psycopg.Connection) -> Family:
    """The contexts of FAMILY, committed."""
    return make_family(observer)


def assert_nothing_left(observer: psycopg.Connection, family: Family) -> None:
    """Assert that nothing of the family is there."""
    assert stored(observer, family.values()) == 0
    assert rows(observer, VERIFY) == []


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_purge_waits_for_a_fork_that_was_being_made_and_keeps_what_it_reads(
    connect: Connect, observer: psycopg.Connection, family: Family, start: Start, ending: str
) -> None:
    forker, purger = connect(), connect(autocommit=True)
    ((fork,),) = rows(forker, FORK, family["above"], 9)
    rows(observer, DELETE, family["above"])
    later = start(purger, PURGE, family["above"])
    wait_until_blocked(observer, purger)
    getattr(forker, ending)()
    if ending == "commit":
        assert later.result(PATIENCE) == [(1, 1)]
        assert rows(observer, CONTENTS, fork)[-1] == ("above 0",)
    else:
        assert later.result(PATIENCE) == [(2, 0)]
    assert rows(observer, VERIFY) == []


@pytest.mark.parametrize("ending", ["commit", "rollback"])
@pytest.mark.parametrize(
    ("statement", "arguments", "when_purged", "when_not"),
    [
        (FORK, ("high", 5), "KC006", "KC006"),
        (APPEND, ("high", batch(1)), "KC006", "KC006"),
        (RESTORE, ("high",), "KC006", [("",)]),
        (DELETE, ("high",), "KC006", "KC006"),
        (PURGE, ("high",), [(0, 2)], [(2, 2)]),
        (ERASE, ("high", 1), "KC006", "KC006"),
        (MERGE, ("high", "low"), "KC006", "KC006"),
        (MERGE, ("low", "high"), "KC006", "KC006"),
    ],
    ids=["fork", "append", "restore", "delete", "purge", "erase", "merge into", "merge from"],
)
def test_who_comes_during_a_purge_waits_and_finds_the_context_purged(
    connect: Connect,
    observer: psycopg.Connection,
    family: Family,
    start: Start,
    statement: str,
    arguments: tuple[Any, ...],
    when_purged: Any,
    when_not: Any,
    ending: str,
) -> None:
    purger, other = connect(), connect(autocommit=True)
    rows(observer, DELETE, family["high"])
    assert rows(purger, PURGE, family["high"]) == [(2, 2)]
    passed = [family[a] if isinstance(a, str) else a for a in arguments]
    later = start(other, statement, *passed)
    wait_until_blocked(observer, other)
    getattr(purger, ending)()
    expected = when_purged if ending == "commit" else when_not
    error = later.exception(PATIENCE)
    assert (later.result() if error is None else getattr(error, "sqlstate", None)) == expected
    assert rows(observer, VERIFY) == []


@pytest.mark.parametrize(
    "statement",
    [
        "select kata.add_artifact(%s, 'note', 'a secret')",
        "select kata.put_token_counts(%s, 'cl100k_base', '{1}', '{1}')",
    ],
    ids=["artifact", "token count"],
)
@pytest.mark.parametrize("comes_first", [True, False], ids=["before", "during"])
def test_facts_recorded_about_messages_during_their_purge_go_with_them(
    connect: Connect, observer: psycopg.Connection, start: Start, statement: str, comes_first: bool
) -> None:
    purger, other = connect(), connect()
    ((context_id,),) = rows(observer, "select kata.create_context()")
    append(observer, context_id, 1)
    if comes_first:
        rows(other, statement, context_id)
        rows(observer, DELETE, context_id)
        later = start(purger, PURGE, context_id)
        wait_until_blocked(observer, purger)
        other.commit()
        assert later.result(PATIENCE) == [(1, 0)]
    else:
        rows(purger, DELETE, context_id)
        rows(purger, PURGE, context_id)
        later = start(other, statement, context_id)
        wait_until_blocked(observer, other)
        purger.commit()
        assert getattr(later.exception(PATIENCE), "sqlstate", None) == "KC006"
        other.rollback()
    purger.commit()
    left = "select from kata_data.added_artifact union all select from kata_data.token_count"
    assert rows(observer, left) == []


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_purge_waits_for_a_restore(
    connect: Connect, observer: psycopg.Connection, family: Family, start: Start, ending: str
) -> None:
    rows(observer, DELETE, family["high"])
    restorer, purger = connect(), connect(autocommit=True)
    rows(restorer, RESTORE, family["high"])
    later = start(purger, PURGE, family["high"])
    wait_until_blocked(observer, purger)
    getattr(restorer, ending)()
    error = later.exception(PATIENCE)
    assert getattr(error, "sqlstate", None) == ("KC017" if ending == "commit" else None)
    assert rows(observer, VERIFY) == []


@pytest.mark.parametrize("pair", list(permutations(FAMILY, 2)), ids=" then ".join)
def test_of_two_purges_of_a_family_the_second_sees_the_first(
    connect: Connect, observer: psycopg.Connection, family: Family, start: Start, pair: tuple[str, str]
) -> None:
    for context_id in family.values():
        rows(observer, DELETE, context_id)
    for name in family.keys() - set(pair):
        rows(observer, PURGE, family[name])
    first, second = connect(), connect(autocommit=True)
    rows(first, PURGE, family[pair[0]])
    later = start(second, PURGE, family[pair[1]])
    wait_until_blocked(observer, second)
    first.commit()
    later.result(PATIENCE)
    assert_nothing_left(observer, family)


def test_of_two_purges_of_deleted_contexts_at_once_the_second_passes_over_what_the_first_purges(
    connect: Connect, observer: psycopg.Connection, family: Family
) -> None:
    ((other,),) = rows(observer, CREATE, "other")
    for context_id in (*family.values(), other):
        rows(observer, DELETE, context_id)
    first, second = connect(), connect(autocommit=True, options=HURRY)
    rows(first, PURGE, family["low"])
    call = "select context_id from kata.purge_deleted(interval '0')"
    assert rows(second, call) == [(other,)]
    first.rollback()
    assert {context_id for (context_id,) in rows(second, call)} == set(family.values())
    assert_nothing_left(observer, family)


def test_the_purge_of_deleted_contexts_passes_over_one_that_is_being_restored(
    connect: Connect, observer: psycopg.Connection, family: Family
) -> None:
    for name in ("low", "above"):
        rows(observer, DELETE, family[name])
    restorer, purger = connect(), connect(autocommit=True, options=HURRY)
    rows(restorer, RESTORE, family["low"])
    assert rows(purger, "select context_id from kata.purge_deleted(interval '0')") == [(family["above"],)]
    restorer.commit()
    assert len(rows(observer, CONTENTS, family["low"])) == 5
    assert rows(observer, VERIFY) == []


PURGE_DELETED = "select context_id from kata.purge_deleted(interval '0')"
HOLD = {
    "a mark": "select from kata_data.search_mark where segment_id = %s for update",
    "a mark that is not committed": "select kata.index_search(%s)",
    "a family": "select from kata_data.lineage where context_id = %s for key share",
    "a head": "select from kata_data.head where context_id = %s for key share",
    # Which a purge meets only when it has the locks above.
    "a log": "select from kata_data.message where segment_id = %s for key share",
}


@pytest.mark.parametrize("held", HOLD)
def test_the_purge_of_deleted_contexts_passes_over_what_is_held_and_waits_for_nothing(
    connect: Connect, observer: psycopg.Connection, held: str
) -> None:
    first, second, third = (rows(observer, CREATE, name)[0][0] for name in ("first", "second", "third"))
    for context_id in (first, second, third):
        rows(observer, APPEND, context_id, Jsonb([{"role": "user", "content": "hello"}] * 3))
        if held == "a mark":
            rows(observer, "select kata.index_search(%s)", context_id)
    holder, purger = connect(), connect(autocommit=True, options=HURRY if held == "a log" else "")
    if held.startswith("a mark that"):
        rows(holder, HOLD[held], first)
    for context_id in (first, second, third):
        rows(observer, DELETE, context_id)
    # Alone as much as one call purges: it must not use up what others may have.
    observer.execute("update kata_data.head set version = 200000 where context_id = %s", (first,))
    if not held.startswith("a mark that"):
        rows(holder, HOLD[held], first)
    # A purge that waits without bound fails here.
    purger.execute("set statement_timeout = '8s'")
    assert {*rows(purger, PURGE_DELETED)} == {(second,), (third,)}
    assert rows(purger, PURGE_DELETED) == []
    holder.rollback()
    observer.execute("update kata_data.head set version = 3 where context_id = %s", (first,))
    assert rows(purger, PURGE_DELETED) == [(first,)]


def test_neither_a_purge_nor_who_goes_on_in_another_context_of_the_family_waits(
    connect: Connect, observer: psycopg.Connection, family: Family
) -> None:
    rows(observer, DELETE, family["above"])
    writer, purger, hasty = connect(), connect(), connect(autocommit=True)
    for conn in (purger, hasty):
        conn.execute("set lock_timeout = '1ms'")
    for name in ("trunk", "high", "below"):
        append(writer, family[name], 1)
    rows(writer, FORK, family["high"], 8)
    assert rows(purger, PURGE, family["above"]) == [(2, 0)]
    for name in ("trunk", "high", "below"):
        assert outcome(hasty, APPEND, family[name], batch(1)) == "55P03", "it waits for the writer"
    writer.commit()
    for name in ("trunk", "high", "below"):
        append(hasty, family[name], 1)
        ((fork,),) = rows(hasty, FORK, family[name], 3)
        append(hasty, fork, 1)
        rows(hasty, DELETE, fork)
    purger.commit()
    assert rows(observer, VERIFY) == []


CREATE = "select kata.create_context(%s)"


# The source of the merge: the context that wrote the message, or a fork that has inherited it.
@pytest.mark.parametrize("source", ["trunk", "low"])
@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_an_erasure_waits_for_a_merge_and_blanks_its_copy(
    connect: Connect,
    observer: psycopg.Connection,
    family: Family,
    start: Start,
    source: str,
    ending: str,
) -> None:
    ((target,),) = rows(observer, CREATE, "target")
    merger, eraser = connect(), connect(autocommit=True)
    rows(merger, MERGE, target, family[source])
    later = start(eraser, ERASE, family["high"], 2)
    wait_until_blocked(observer, eraser)
    getattr(merger, ending)()
    assert later.result(PATIENCE) == [("message",), *([("copy",)] if ending == "commit" else [])]
    assert [content for (content,) in rows(observer, CONTENTS, target)][:3] == (
        ["trunk 0", "", "trunk 2"] if ending == "commit" else []
    )
    assert rows(observer, "select count(*) from kata_data.message where content = 'trunk 1'") == [(0,)]
    assert rows(observer, VERIFY) == []


@pytest.mark.parametrize("source", ["trunk", "low"])
@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_merge_waits_for_an_erasure_and_copies_the_blank(
    connect: Connect,
    observer: psycopg.Connection,
    family: Family,
    start: Start,
    source: str,
    ending: str,
) -> None:
    ((target,),) = rows(observer, CREATE, "target")
    eraser, merger = connect(), connect(autocommit=True)
    assert rows(eraser, ERASE, family["high"], 2) == [("message",)]
    later = start(merger, MERGE, target, family[source])
    wait_until_blocked(observer, merger)
    getattr(eraser, ending)()
    later.result(PATIENCE)
    second = "" if ending == "commit" else "trunk 1"
    assert [content for (content,) in rows(observer, CONTENTS, target)][:3] == ["trunk 0", second, "trunk 2"]
    assert rows(observer, VERIFY) == []


def test_an_erasure_finds_a_copy_of_a_copy_that_is_being_made(
    connect: Connect,
    observer: psycopg.Connection,
    family: Family,
    start: Start,
) -> None:
    (((first,),), ((second,),)) = (rows(observer, CREATE, name) for name in ("first", "second"))
    rows(observer, MERGE, first, family["trunk"])
    merger, eraser = connect(), connect(autocommit=True)
    rows(merger, MERGE, second, first)
    later = start(eraser, ERASE, family["trunk"], 2)
    wait_until_blocked(observer, eraser)
    merger.commit()
    assert later.result(PATIENCE) == [("message",), ("copy",), ("copy",)]
    assert rows(observer, "select count(*) from kata_data.message where content = 'trunk 1'") == [(0,)]
    assert rows(observer, VERIFY) == []


@pytest.fixture
def elided(observer: psycopg.Connection) -> tuple[uuid.UUID, uuid.UUID]:
    """A context with a long tool result at version 2, and a fork of it."""
    call = tool_call()
    ((context_id,),) = rows(observer, CREATE, "with tools")
    talk: list[dict[str, Any]] = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "secret " * 500, "token_count": 500},
        {"role": "user", "content": "thanks"},
    ]
    rows(observer, APPEND, context_id, Jsonb(talk))
    return context_id, rows(observer, FORK, context_id, 3)[0][0]


SECRETS = """
select (select count(*) from kata_data.message where content like '%secret%')
  + (select count(*) from kata_data.stub where content like '%secret%')
"""


def test_an_erasure_waits_for_an_elision_in_a_fork_and_blanks_its_stub(
    connect: Connect, observer: psycopg.Connection, elided: tuple[uuid.UUID, uuid.UUID], start: Start
) -> None:
    eliding, eraser = connect(), connect(autocommit=True)
    rows(eliding, "select kata.elide(%s, 2)", elided[1])
    later = start(eraser, ERASE, elided[0], 2)
    wait_until_blocked(observer, eraser)
    eliding.commit()
    assert later.result(PATIENCE) == [("message",)]
    assert observer.execute(SECRETS.encode()).fetchall() == [(0,)]
    assert rows(observer, VERIFY) == []


def test_an_elision_waits_for_an_erasure_and_shortens_the_blank(
    connect: Connect, observer: psycopg.Connection, elided: tuple[uuid.UUID, uuid.UUID], start: Start
) -> None:
    eraser, eliding = connect(), connect(autocommit=True)
    rows(eraser, ERASE, elided[0], 2)
    later = start(eliding, "select kata.elide(%s, 2)", elided[1])
    wait_until_blocked(observer, eliding)
    eraser.commit()
    assert later.result(PATIENCE) == [(4,)]
    assert observer.execute(SECRETS.encode()).fetchall() == [(0,)]
    assert rows(observer, VERIFY) == []


def test_an_erasure_waits_for_a_compaction_of_who_has_a_copy_before_it_locks_anything(
    connect: Connect, observer: psycopg.Connection, elided: tuple[uuid.UUID, uuid.UUID], start: Start
) -> None:
    ((copying,),) = rows(observer, CREATE, "with a copy")
    rows(observer, MERGE, copying, elided[0])
    rows(
        observer,
        "select kata.set_policy(%s, %s)",
        copying,
        Jsonb({"preserve_recent_count": 0, "elide_over_tokens": 100}),
    )
    compacting, eraser = connect(), connect(autocommit=True)
    ((begun,),) = rows(compacting, BEGIN_ELISION, copying)
    later = start(eraser, ERASE, elided[0], 2)
    wait_until_blocked(observer, eraser)
    rows(compacting, "select from kata.commit_compaction(%s, null)", begun)
    compacting.commit()
    assert later.result(PATIENCE) == [("message",), ("copy",)]
    assert observer.execute(SECRETS.encode()).fetchall() == [(0,)]
    assert rows(observer, VERIFY) == []


def test_a_fork_does_not_wait_for_an_erasure_and_reads_the_blank_after_it(
    connect: Connect, observer: psycopg.Connection, family: Family
) -> None:
    eraser = connect()
    rows(eraser, ERASE, family["trunk"], 2)
    observer.execute("set lock_timeout = '1ms'")
    ((fork,),) = rows(observer, FORK, family["trunk"], 4)
    assert rows(observer, CONTENTS, fork)[1] == ("trunk 1",)
    append(observer, family["low"], 1)
    eraser.commit()
    assert rows(observer, CONTENTS, fork)[1] == ("",)
    assert rows(observer, VERIFY) == []


def test_of_two_erasures_of_a_message_the_second_finds_it_erased(
    connect: Connect, observer: psycopg.Connection, family: Family, start: Start
) -> None:
    first, second = connect(), connect(autocommit=True)
    rows(first, "select * from kata.erase_message(%s, 2, 'the first')", family["low"])
    later = start(second, "select what from kata.erase_message(%s, 2, 'the second')", family["high"])
    wait_until_blocked(observer, second)
    first.commit()
    assert later.result(PATIENCE) == [("message",)]
    assert rows(observer, "select reason from kata.erasures(%s)", family["trunk"]) == [("the first",)]
    assert rows(observer, VERIFY) == []


def test_a_purge_of_who_wrote_a_message_waits_for_its_erasure(
    connect: Connect, observer: psycopg.Connection, family: Family, start: Start
) -> None:
    rows(observer, DELETE, family["trunk"])
    eraser, purger = connect(), connect(autocommit=True)
    rows(eraser, ERASE, family["low"], 2)
    later = start(purger, PURGE, family["trunk"])
    wait_until_blocked(observer, purger)
    eraser.commit()
    assert later.result(PATIENCE) == [(2, 6)]
    assert rows(observer, CONTENTS, family["high"])[1] == ("",)
    assert rows(observer, VERIFY) == []
