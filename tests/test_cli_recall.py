"""Recall from the command line and from Python: words, embeddings of a program, the index on them."""

import asyncio
import json
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import psycopg
import pytest
from pgvector import HalfVector, Vector

from kata_context import AsyncIndexer, AsyncKata, Compactor, Indexer, Kata
from kata_context.database_errors import InvalidArgumentError, InvalidInputError
from kata_context.errors import KataError
from kata_context.recall.batches import EmbedderError
from kata_context.recall.program import EmbedderProgram
from kata_context.recall.vector_index import build
from support.commands import Query, Run
from support.driver import PATIENCE, wait_until
from support.interleaving import Connect, rows

# A model with three directions: water, bread, anything.
TOPICS = ("sea ship coast boat", "bread flour bake oven")
PROGRAM = f"""
import json, sys
for line in sys.stdin:
    words = json.loads(line).lower()
    row = [sum(words.count(word) for word in topic.split()) for topic in {TOPICS!r}]
    print(json.dumps([*row, 0.1]), flush=True)
"""


def embed(texts: list[str]) -> list[Any]:
    """Embed as PROGRAM does."""
    return [[sum(text.lower().count(w) for w in topic.split()) for topic in TOPICS] + [0.1] for text in texts]


@pytest.fixture
def talk(database: str) -> str:
    """A context "talk" with two subjects, long enough to be indexed."""
    with Kata(database) as kata:
        context = kata.create("talk")
        context.append(
            [
                {"role": "user", "content": "Our ship lay off the coast."},
                {"role": "assistant", "content": "Knead the dough, then use the oven."},
            ]
        )
        context.append([{"role": "user", "content": f"remark {number}"} for number in range(100)])
    return "talk"


@pytest.fixture
def program(tmp_path: Path) -> str:
    """The command of an embedder."""
    file = tmp_path / "embedder.py"
    file.write_text(PROGRAM)
    return shlex.join([sys.executable, str(file)])


def test_messages_are_found_by_words_before_and_after_they_are_indexed(
    run: Run, read: Query, talk: str
) -> None:
    found = read("search", talk, "dough")
    assert [(row["version"], row["role"]) for row in found] == [(2, "assistant")]
    assert read("index")["versions"] == 102
    assert read("index")["versions"] == 0
    assert read("search", talk, "dough") == found
    assert "Knead the dough" in run("recall", talk, "dough", "--at", "2").stdout
    assert "nothing found" in run("search", talk, "zorblax").stderr


def test_a_program_embeds_what_is_new_and_recall_finds_it_by_meaning(
    run: Run, read: Query, talk: str, program: str
) -> None:
    assert [row["version"] for row in read("recall", talk, "a boat")] == []
    assert read("embed", "--embedder", program, "--model", "toy") == {
        "versions": 102,
        "embeddings": 102,
        "refused": 0,
    }
    found = read("recall", talk, "a boat", "--embedder", program, "--model", "toy", "--rows", "1")
    assert [row["version"] for row in found] == [1]
    assert json.loads(run("call", "embedding_models").stdout)[0]["embeddings"] == 102
    assert "go together" in run("worker", "--once", "--embedder", program, code=1).stderr
    assert "cannot be run" in run("embed", "--embedder", "no-such-program", "--model", "toy", code=2).stderr


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import sys; [print('no', flush=True) for _ in sys.stdin]", "wrote 'no' on line 1"),
        ("print('[NaN]')", "wrote '[NaN]' on line 1"),
        ("print('[[1]]')", "wrote '[[1]]' on line 1"),
        ("print('[1, 2]'); print('[' * 100000)", "on line 2"),
        ("import sys; sys.exit(3)", "ended before it had answered"),
        ("import sys; [print(0, flush=True) for _ in sys.stdin]", "wrote '0' on line 1"),
        ("import sys; [print('[0, 0]', flush=True) for _ in sys.stdin]", "not an embedding"),
    ],
)
def test_an_embedder_that_fails_is_named_and_stores_nothing(
    run: Run, read: Query, talk: str, tmp_path: Path, script: str, said: str
) -> None:
    file = tmp_path / "bad.py"
    file.write_text(script)
    command = shlex.join([sys.executable, str(file)])
    assert said in run("embed", "--embedder", command, "--model", "bad", code=1).stderr
    assert json.loads(run("call", "embedding_models").stdout) == []


@pytest.mark.parametrize("command", ["yes null", "sh -c 'sleep 1000; true'"])
def test_an_embedder_that_does_not_read_or_answer_ends_at_its_timeout(command: str) -> None:
    embedder = EmbedderProgram(command, timeout=0.2)
    with pytest.raises(EmbedderError, match=r"took longer than 0\.2 s"):
        embedder(["x" * 300_000])


def test_recall_shows_scores_and_calls_and_keeps_to_tokens(run: Run, read: Query, database: str) -> None:
    with Kata(database) as kata:
        context = kata.create("calls")
        call = {"name": "open_gate", "arguments": "{}"}
        calls = [{"id": "1", "type": "function", "function": call}]
        context.append_message("assistant", None, token_count=10, tool_calls=calls)
        context.append_message("tool", "The gate is open.", token_count=10, tool_call_id="1")
        context.append_message("user", "Which gate?", token_count=10)
    shown = run("recall", "calls", "open gate").stdout
    assert "open_gate" in shown
    assert "1.00" in shown
    few = read("recall", "calls", "open gate", "--max-tokens", "20")
    assert sum(row["token_count"] for row in few) == 20


def test_an_embedder_that_the_shell_cannot_split_is_misuse(run: Run) -> None:
    for command in ("it's", " ", "no-such-program"):
        refused = run("embed", "--embedder", command, "--model", "toy", code=2).stderr
        assert "--embedder" in refused
        assert "Traceback" not in refused


def test_a_worker_fills_both_indexes(run: Run, read: Query, talk: str, program: str) -> None:
    run("worker", "--once", "--embedder", program, "--embedding-model", "toy")
    assert json.loads(run("call", "pending_search").stdout) == []
    assert json.loads(run("call", "pending_embeddings", "model=toy").stdout) == []


def test_a_worker_reports_an_embedder_that_fails_and_goes_on(database: str, talk: str) -> None:
    said: list[Exception] = []

    def fail(texts: list[str]) -> list[Any]:
        raise ValueError(f"{len(texts)} are too many")

    with Kata(database) as kata:
        indexer = Indexer(kata, fail, model="toy", batch=5)
        assert Compactor(kata, index=indexer.drain, report_error=said.append).drain() == []
        assert [str(error) for error in said] == ["the embedder failed: ValueError: 5 are too many"]
        with pytest.raises(EmbedderError, match="1 embeddings for 5 texts"):
            Indexer(kata, lambda _: [[1.0]], model="toy", batch=5).drain()
        with pytest.raises(TypeError):
            Indexer(kata, fail)


def test_texts_that_are_refused_are_counted_and_keep_no_other_from_its_embedding(database: str) -> None:
    def mostly(texts: list[str]) -> list[Any]:
        return [None if text.startswith("user: remark") else [1.0, 2.0] for text in texts]

    with Kata(database) as kata:
        context = kata.create("talk")
        context.append_message("user", "A ship.")
        context.append([{"role": "user", "content": f"remark {number}"} for number in range(1100)])
        context.append_message("user", "Bread.")
        indexer = Indexer(kata, mostly, model="toy", batch=500)
        done = indexer.drain()
        assert (done.embeddings, done.refused) == (2, 1100)
        assert [row.version for row in context.recall(embedding=[1.0, 2.0], model="toy")] == [1102, 1]
        assert indexer.drain().refused == 1100


def test_a_run_reports_how_many_texts_were_refused(run: Run, talk: str) -> None:
    said = run("embed", "--embedder", "sh -c 'while read line; do echo null; done'", "--model", "toy").stdout
    assert "the embedder refused 102" in said


def test_contexts_beyond_the_first_page_of_the_list_are_indexed_in_one_run(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kata_context.generated.indexer.ROWS", 2)
    with Kata(database) as kata:
        for _ in range(5):
            context = kata.create()
            context.append([{"role": "user", "content": f"ship {number}"} for number in range(64)])
        assert Indexer(kata).drain().versions == 5 * 64
        assert kata.pending_search() == []


@pytest.mark.parametrize(
    "vector", [list, tuple, numpy.array, Vector, HalfVector, lambda row: numpy.array(row, numpy.float32)]
)
def test_the_driver_takes_the_vectors_of_python(database: str, talk: str, vector: Any) -> None:
    with Kata(database) as kata:
        rows = [[1.0, 0.0], [0.0, 1.0]]
        assert kata.put_embeddings(talk, "toy", [1, 2], [vector(row) for row in rows]) == 2
        assert kata.put_embeddings(talk, "toy", [1, 2], numpy.array(rows)) == 2
        found = kata.recall(talk, embedding=vector([0.0, 1.0]), model="toy", max_rows=1)
        assert [row.version for row in found] == [2]
        with pytest.raises(InvalidArgumentError, match="embedding"):
            kata.put_embeddings(talk, "toy", [1], [vector([0.0, 0.0])])
        with pytest.raises((InvalidArgumentError, InvalidInputError)):
            kata.recall(talk, embedding=vector([float("nan"), 0.0]), model="toy")


def test_an_indexer_of_all_tenants_indexes_each_as_itself(database: str) -> None:
    with Kata(database) as kata:
        for tenant in ("one", "two"):
            other = kata.as_tenant(tenant)
            context_id = other.create_context("talk")
            other.append(context_id, [{"role": "user", "content": f"ship {number}"} for number in range(64)])
        done = Indexer(kata.as_tenant("*"), embed, model="toy").drain()
        assert (done.versions, done.embeddings) == (128, 128)
        assert [row.tenant for row in kata.as_tenant("*").embedding_models()] == ["one", "two"]


def test_the_indexer_for_asyncio_does_the_same(database: str, talk: str) -> None:
    async def index() -> tuple[int, int]:
        async def embed_async(texts: list[str]) -> list[Any]:
            return embed(texts)

        async with AsyncKata(database) as kata:
            indexer = AsyncIndexer(kata, embed_async, model="toy")
            done = await indexer.drain()
            assert len(await indexer.embedded("ship")) == 3
            return done.versions, done.embeddings

    assert asyncio.run(index()) == (102, 102)


# The index on embeddings


@pytest.fixture
def indexable(database: str) -> str:
    """The database, on a server whose extension vector makes indexes."""
    with psycopg.connect(database) as conn:
        if conn.execute("select kata_data.vector_schema()").fetchone() == (None,):
            pytest.skip("this server has no extension vector 0.7")
    return database


@pytest.fixture
def embedded(indexable: str, talk: str) -> str:
    """The database, with embeddings of the model "toy"."""
    with Kata(indexable) as kata:
        Indexer(kata, embed, model="toy").drain()
    return indexable


def test_the_index_on_embeddings_is_built_concurrently_and_measured(read: Query, embedded: str) -> None:
    built = read("index", "--vectors", "toy")
    assert built["seconds"] > 0
    assert built["recall_at_10"] == 1
    again = read("index", "--vectors", "toy")
    assert (again["index"], again["seconds"]) == (built["index"], None)
    with Kata(embedded) as kata:
        assert kata.embedding_models()[0].index_state == "valid"
        assert kata.drop_embedding_index("toy") is True
        assert kata.drop_embedding_index("toy") is False


def test_an_index_that_does_not_fit_into_memory_is_refused_with_the_figure(run: Run, embedded: str) -> None:
    said = run("index", "--vectors", "toy", "--memory", "64kB", code=1).stderr
    assert "cannot be built" in said
    assert "maintenance_work_mem to 1 MB" in said


def test_ivfflat_is_refused_with_the_reason(embedded: str) -> None:
    with Kata(embedded) as kata, pytest.raises(InvalidArgumentError) as refused:
        kata.build_embedding_index("toy", method="ivfflat")
    assert "finds few of those that come later" in str(refused.value.hint)


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_build_that_is_ended_leaves_no_index(
    indexable: str, connect: Connect, observer: psycopg.Connection, end: str
) -> None:
    with Kata(indexable) as kata:
        context = kata.create("talk")
        context.append([{"role": "user", "content": f"ship {number}"} for number in range(20)])
        Indexer(kata, embed, model="toy").drain()
        blocker = connect()
        blocker.execute("lock table kata_data.embedding in row exclusive mode")
        with ThreadPoolExecutor(1) as pool:
            building = pool.submit(build, indexable, None, "toy")
            builder = wait_for_build(observer)
            assert not building.done()
            rows(observer, f"select {end}(%s)", builder)
            wait_for_build(observer, statement="drop index concurrently%")
            blocker.rollback()
            with pytest.raises((KataError, psycopg.Error), match=r"cancel|terminat"):
                building.result(PATIENCE)
        assert kata.embedding_models()[0].index_state is None


def test_the_index_waits_a_bounded_time_for_other_sessions_and_names_them(
    embedded: str, connect: Connect
) -> None:
    with Kata(embedded) as kata:
        kata.build_embedding_index("toy")
        user = connect()
        user.execute("set application_name = 'the embedder'")
        user.execute("lock table kata_data.embedding in row exclusive mode")
        waiting = connect()
        waiting.execute("set lock_timeout = '50ms'")
        with pytest.raises(psycopg.Error) as refused:
            waiting.execute("select kata.drop_embedding_index('toy')")
        assert refused.value.sqlstate == "KC025"
        assert "the embedder" in str(refused.value.diag.message_detail)
        assert "drop index concurrently kata_data.embedding_hnsw_" in str(refused.value.diag.message_hint)
        assert kata.embedding_models()[0].index_state == "valid"


def wait_for_build(observer: psycopg.Connection, statement: str = "%create index concurrently%") -> int:
    """Wait until another session waits for a lock with a statement, and return its process."""
    waiting = """select a.pid from pg_stat_activity a
        where a.query like %s and a.wait_event_type = 'Lock' and a.pid <> pg_backend_pid()
          and a.datname = current_database()"""
    wait_until(lambda: rows(observer, waiting, statement))
    return int(rows(observer, waiting, statement)[0][0])
