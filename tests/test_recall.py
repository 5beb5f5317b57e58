"""The index for searches: against everything that may happen at the same moment, and what it costs others."""

import uuid
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from support.interleaving import APPEND, Connect, Start, outcome, rows, wait_until_blocked

INDEX = "select kata.index_search(%s)"
ERASE = "select what from kata.erase_message(%s, %s, 'by request')"
DELETE = "select kata.delete_context(%s)"
PURGE = "select removed from kata.purge_context(%s)"
FORK = "select kata.fork(%s)"
FOUND = "select version from kata.search(%s, 'swordfish')"
POSTINGS = "select term, first_version, items from kata_data.posting order by 1, segment_id, 2"
VERIFY = "select * from kata.verify()"
SECRET = [{"role": "user", "content": "the password is swordfish", "token_count": 1}]
REPEATABLE = psycopg.IsolationLevel.REPEATABLE_READ


def talk(conn: psycopg.Connection, size: int = 100) -> uuid.UUID:
    """Create a context whose second message holds a word that no other has."""
    ((context_id,),) = rows(conn, "select kata.create_context()")
    messages = [{"role": "user", "content": f"message {number}", "token_count": 1} for number in range(size)]
    rows(conn, APPEND, context_id, Jsonb([messages[0], *SECRET, *messages[1:]]))
    return uuid.UUID(str(context_id))


def test_of_two_indexers_the_second_passes_over_what_the_first_holds(
    connect: Connect, observer: psycopg.Connection
) -> None:
    context_id = talk(observer)
    rows(observer, "select kata.index_search(%s, 10)", context_id)
    first, second = connect(), connect()
    assert rows(first, INDEX, context_id) == [(0,)]
    assert rows(second, INDEX, context_id) == [(91,)]
    second.commit()
    first.commit()
    assert rows(second, INDEX, context_id) == [(0,)]
    assert rows(observer, VERIFY) == []


def test_of_two_that_index_a_segment_for_the_first_time_one_writes(
    connect: Connect, start: Start, observer: psycopg.Connection
) -> None:
    context_id = talk(observer)
    first, second = connect(), connect()
    assert rows(first, INDEX, context_id) == [(0,)]
    waiting = start(second, INDEX, context_id)
    wait_until_blocked(observer, second)
    first.commit()
    assert waiting.result() == [(0,)]
    second.commit()
    assert rows(observer, VERIFY) == []


def test_an_indexer_that_is_killed_leaves_nothing_half(
    connect: Connect, observer: psycopg.Connection
) -> None:
    context_id = talk(observer)
    rows(observer, "select kata.index_search(%s, 10)", context_id)
    before = rows(observer, POSTINGS)
    indexer = connect()
    rows(indexer, INDEX, context_id)
    rows(observer, "select pg_terminate_backend(%s, 60000)", indexer.info.backend_pid)
    assert rows(observer, POSTINGS) == before
    assert rows(observer, INDEX, context_id) == [(0,)]
    assert rows(observer, VERIFY) == []


def test_an_erasure_waits_for_an_indexer_and_removes_what_it_wrote(
    connect: Connect, start: Start, observer: psycopg.Connection
) -> None:
    context_id = talk(observer)
    indexer, eraser = connect(), connect()
    rows(indexer, INDEX, context_id)
    erasing = start(eraser, ERASE, context_id, 2)
    wait_until_blocked(observer, eraser)
    indexer.commit()
    assert erasing.result() == [("message",)]
    eraser.commit()
    assert rows(observer, FOUND, context_id) == []
    assert "swordfish" not in str(rows(observer, POSTINGS))
    assert rows(observer, VERIFY) == []


def test_an_indexer_passes_over_a_segment_of_which_a_message_is_being_erased(
    connect: Connect, observer: psycopg.Connection
) -> None:
    context_id = talk(observer)
    rows(observer, "select kata.index_search(%s, 1)", context_id)
    indexer, eraser = connect(), connect()
    rows(eraser, ERASE, context_id, 2)
    assert rows(indexer, INDEX, context_id) == [(100,)]
    indexer.commit()
    eraser.commit()
    assert rows(indexer, INDEX, context_id) == [(0,)]
    indexer.commit()
    assert "swordfish" not in str(rows(observer, POSTINGS))
    assert rows(observer, VERIFY) == []


def test_an_indexer_with_an_old_snapshot_does_not_bring_an_erased_text_back(
    connect: Connect, observer: psycopg.Connection
) -> None:
    for indexed in (0, 1):
        context_id = talk(observer)
        if indexed:
            rows(observer, "select kata.index_search(%s, 1)", context_id)
        indexer = connect()
        indexer.isolation_level = REPEATABLE
        rows(indexer, FOUND, context_id)
        rows(observer, ERASE, context_id, 2)
        assert outcome(indexer, INDEX, context_id) == "40001"
        indexer.rollback()
        assert "swordfish" not in str(rows(observer, POSTINGS))


def test_a_purge_waits_for_an_indexer_and_leaves_nothing(
    connect: Connect, start: Start, observer: psycopg.Connection
) -> None:
    context_id = talk(observer)
    indexer, purger = connect(), connect()
    rows(indexer, INDEX, context_id)
    rows(observer, DELETE, context_id)
    purging = start(purger, PURGE, context_id)
    wait_until_blocked(observer, purger)
    indexer.commit()
    assert purging.result() == [(101,)]
    purger.commit()
    assert rows(observer, POSTINGS) == []
    assert rows(observer, VERIFY) == []


def test_a_fork_and_an_append_do_not_wait_for_an_indexer(
    connect: Connect, observer: psycopg.Connection
) -> None:
    context_id = talk(observer)
    rows(connect(), INDEX, context_id)
    observer.execute("set lock_timeout = '1s'")
    ((fork_id,),) = rows(observer, FORK, context_id)
    rows(observer, APPEND, context_id, Jsonb(SECRET))
    assert rows(observer, FOUND, fork_id) == [(2,)]
    assert rows(observer, FOUND, context_id) == [(102,), (2,)]


def test_a_fork_finds_the_same_after_its_parent_was_purged_and_nothing_that_was_erased(
    observer: psycopg.Connection,
) -> None:
    context_id = talk(observer)
    ((fork_id,),) = rows(observer, FORK, context_id)
    rows(observer, APPEND, fork_id, Jsonb([{"role": "user", "content": "a branch", "token_count": 1}]))
    recall = "select version, content, score from kata.recall(%s, 'which message', max_rows => 200)"
    for step in (INDEX, DELETE, PURGE):
        before = rows(observer, recall, fork_id)
        rows(observer, step, context_id)
        assert rows(observer, recall, fork_id) == before
    assert rows(observer, FOUND, fork_id) == [(2,)]
    rows(observer, ERASE, fork_id, 2)
    assert rows(observer, FOUND, fork_id) == []
    assert "swordfish" not in str(rows(observer, recall, fork_id)) + str(rows(observer, POSTINGS))
    assert rows(observer, "select problem, detail from kata.verify(%s)", fork_id) == []


def cost(conn: psycopg.Connection, statement: str, *arguments: Any) -> tuple[int, int]:
    """Run a statement and return the buffers that it touched and the bytes of WAL that it wrote."""
    explain = f"explain (analyze, buffers, wal, format json) {statement}"
    ((plan,),) = rows(conn, explain, *arguments)
    part = plan[0]["Plan"]
    return part["Shared Hit Blocks"] + part["Shared Read Blocks"], part["WAL Bytes"]


def test_appending_costs_the_same_whether_a_context_is_indexed(observer: psycopg.Connection) -> None:
    contexts = [talk(observer), talk(observer)]
    rows(observer, INDEX, contexts[0])
    costs: dict[uuid.UUID, set[tuple[int, int]]] = {context_id: set() for context_id in contexts}
    for _ in range(12):
        for context_id in contexts:
            costs[context_id].add(
                cost(observer, f"select count(*) from ({APPEND}) a", context_id, Jsonb(SECRET))
            )
    indexed, plain = (costs[context_id] for context_id in contexts)
    assert min(indexed) == min(plain)


def test_a_search_touches_no_rows_of_other_tenants(observer: psycopg.Connection) -> None:
    context_id = talk(observer, 500)
    rows(observer, INDEX, context_id)

    def cost_of_search() -> int:
        observer.execute("vacuum analyze kata_data.posting")
        return min(
            cost(observer, "select * from kata.recall(%s, 'swordfish password')", context_id)[0]
            for _ in range(4)
        )

    few = cost_of_search()
    observer.execute("set kata.tenant = 'other'")
    for _ in range(20):
        rows(observer, INDEX, talk(observer, 500))
    observer.execute("reset kata.tenant")
    # The index of a larger table is one level higher; no more.
    assert cost_of_search() <= few + 10


# Embeddings

PUT = "select kata.put_embeddings(%s, 'toy', %s::bigint[], %s::real[])"
PUT_DIGEST = "select kata.put_embeddings(%s, 'toy', %s::bigint[], %s::real[], %s)"
EMBEDDED = "select segment_id, version from kata_data.embedding order by 1, 2"
RESEMBLE = "select version from kata.recall(%s, embedding => '{1,0}', model => 'toy')"


def test_an_erasure_waits_for_embeddings_of_the_message_and_removes_them(
    connect: Connect, start: Start, observer: psycopg.Connection
) -> None:
    context_id = talk(observer)
    embedder, eraser = connect(), connect()
    # Version 3 follows the secret: its text holds the beginning of it.
    rows(embedder, PUT, context_id, [3], [[1.0, 0.0]])
    erasing = start(eraser, ERASE, context_id, 2)
    wait_until_blocked(observer, eraser)
    embedder.commit()
    assert erasing.result() == [("message",)]
    eraser.commit()
    assert rows(observer, EMBEDDED) == []
    assert rows(observer, VERIFY) == []


def test_embeddings_of_a_text_that_is_being_erased_wait_and_are_not_stored(
    connect: Connect, start: Start, observer: psycopg.Connection
) -> None:
    context_id = talk(observer)
    texts = dict(
        rows(observer, "select version, digest from kata.pending_embeddings('toy') order by version limit 3")
    )
    embedder, eraser = connect(), connect()
    rows(eraser, ERASE, context_id, 2)
    putting = start(embedder, PUT_DIGEST, context_id, [2, 3], [[1.0, 0.0], [0.0, 1.0]], [texts[2], texts[3]])
    wait_until_blocked(observer, embedder)
    eraser.commit()
    assert putting.result() == [(0,)]
    embedder.commit()
    assert rows(observer, EMBEDDED) == []
    assert rows(observer, VERIFY) == []


def test_a_purge_waits_for_embeddings_and_leaves_none(
    connect: Connect, start: Start, observer: psycopg.Connection
) -> None:
    context_id = talk(observer)
    embedder, purger = connect(), connect()
    rows(embedder, PUT, context_id, [1, 2], [[1.0, 0.0], [1.0, 0.0]])
    rows(observer, DELETE, context_id)
    purging = start(purger, PURGE, context_id)
    wait_until_blocked(observer, purger)
    embedder.commit()
    assert purging.result() == [(101,)]
    purger.commit()
    assert rows(observer, EMBEDDED) == []
    assert rows(observer, VERIFY) == []


def test_of_two_that_embed_the_same_messages_both_succeed_and_a_fork_and_an_append_do_not_wait(
    connect: Connect, start: Start, observer: psycopg.Connection
) -> None:
    context_id = talk(observer)
    rows(observer, PUT, context_id, [5], [[1.0, 0.0]])
    first, second = connect(), connect()
    rows(first, PUT, context_id, [1, 2], [[1.0, 0.0], [1.0, 0.0]])
    observer.execute("set lock_timeout = '1s'")
    ((fork_id,),) = rows(observer, FORK, context_id)
    rows(observer, APPEND, context_id, Jsonb(SECRET))
    putting = start(second, PUT, fork_id, [2, 3], [[0.0, 1.0], [0.0, 1.0]])
    wait_until_blocked(observer, second)
    first.commit()
    assert putting.result() == [(2,)]
    second.commit()
    assert [version for _, version in rows(observer, EMBEDDED)] == [1, 2, 3, 5]
    assert rows(observer, VERIFY) == []


def test_of_two_that_embed_different_messages_of_a_segment_neither_waits(
    connect: Connect, observer: psycopg.Connection
) -> None:
    context_id = talk(observer)
    rows(observer, PUT, context_id, [5], [[1.0, 0.0]])
    first, second = connect(), connect()
    rows(first, PUT, context_id, [1], [[1.0, 0.0]])
    second.execute("set lock_timeout = '1s'")
    assert rows(second, PUT, context_id, [2], [[0.0, 1.0]]) == [(1,)]
    second.commit()
    first.commit()
    # The second passed over the mark that the first held; the next call catches up.
    through = "select complete_through from kata_data.embedding_mark"
    assert rows(observer, through) == [(1,)]
    rows(observer, PUT, context_id, [3], [[1.0, 0.0]])
    assert rows(observer, through) == [(3,)]
    assert rows(observer, VERIFY) == []


def test_an_embedder_that_is_killed_leaves_nothing_half(
    connect: Connect, observer: psycopg.Connection
) -> None:
    context_id = talk(observer)
    embedder = connect()
    rows(embedder, PUT, context_id, [1, 2], [[1.0, 0.0], [1.0, 0.0]])
    rows(observer, "select pg_terminate_backend(%s, 60000)", embedder.info.backend_pid)
    assert rows(observer, EMBEDDED) == []
    assert rows(observer, "select * from kata_data.embedding_mark") == []


@pytest.mark.usefixtures("halfvec")
def test_embeddings_find_as_many_rows_as_there_are_among_many_of_others(
    observer: psycopg.Connection,
) -> None:
    context_id = talk(observer, 20)
    rows(observer, PUT, context_id, list(range(1, 21)), [[-1.0, 0.01 * n] for n in range(20)])
    others = talk(observer, 999)
    rows(observer, PUT, others, list(range(1, 1001)), [[1.0, 0.001 * n] for n in range(1000)])
    exact = rows(observer, RESEMBLE, context_id)
    # The nearest thousand are those of the other context; an index that stops early would find none.
    rows(observer, "select recall_at_10 from kata.build_embedding_index('toy')")
    assert rows(observer, "select index_state from kata.embedding_models()") == [("valid",)]
    assert rows(observer, RESEMBLE, context_id) == exact
    assert len(exact) == 10
    near = "select version from kata_data.near_messages(%s, %s, '{}', 1, '{1,0}', '{}', 10, 10) n"
    observer.execute("set enable_seqscan = off")
    assert rows(observer, near, context_id, 20_001) == exact


def test_prewarm_leaves_nothing_to_read_for_the_first_calls(observer: psycopg.Connection) -> None:
    context_id = talk(observer, 500)
    rows(observer, INDEX, context_id)
    window = 'select * from kata."window"(%s, 4000)'
    recall = "select * from kata.recall(%s, 'swordfish')"
    for statement in (window, recall):
        rows(observer, statement, context_id)  # planned, and the catalogs read
    if not rows(observer, "select from pg_available_extensions where name = 'pg_buffercache'"):
        pytest.skip("this server has no pg_buffercache")
    observer.execute("create extension if not exists pg_buffercache")

    def read(statement: str) -> int:
        explain = f"explain (analyze, buffers, format json) {statement}"
        ((plan,),) = rows(observer, explain, context_id)
        return int(plan[0]["Plan"]["Shared Read Blocks"])

    def evict() -> None:
        rows(
            observer,
            """select count(*) from (
                 select pg_buffercache_evict(b.bufferid) from pg_buffercache b
                 join pg_class c on pg_relation_filenode(c.oid) = b.relfilenode
                 where c.relnamespace = 'kata_data'::regnamespace
                   and b.reldatabase = (select oid from pg_database where datname = current_database())) e""",
        )

    evict()
    cold = read(window) + read(recall)
    evict()
    rows(observer, "select * from kata.prewarm(%s)", context_id)
    assert cold > 10
    assert read(window) + read(recall) == 0
