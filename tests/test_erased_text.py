"""After erasures, a purge and the vacuum of the runbook no dump, statistic or file has the text."""

import hashlib
import re
import subprocess
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from kata_context.embedded import find_binaries
from support.interleaving import Connect, rows

pytestmark = pytest.mark.slow

# Every text says where it was put. The search index keeps such a word as it is.
WORD = re.compile(r"quagga([a-z]+)7")
POLICY = {
    "budget": 20,
    "threshold": 0.1,
    "preserve_recent_count": 1,
    "min_gain_tokens": 0,
    "min_interval_seconds": 0,
}
APPEND = "select version from kata.append(%s, %s, idempotency_key => %s)"
ERASE = "select * from kata.erase_message(%s, %s, 'by request')"
# Of messages, in the order of `written`.
GOES = {
    "content", "file", "url", "id", "author", "messagemeta", "model", "part", "said", "provider",
    "argument", "input", "result", "recorddata", "added", "addeddetail", "forkadded", "note", "error",
    "forkerror", "summary", "summarymeta",
}  # fmt: skip
# An erased entry keeps its external id, the kind of a record, the names of functions and the ids of calls.
STAYS = {"externalid", "recordexternal", "recordkind", "tool", "callid"}
# An erasure leaves names, metadata, checkpoints, workers and keys, for they are not of a message.
OF_THE_CONTEXT = {"name", "metadata", "newname", "forkname", "checkpoint", "worker", "key"}


def word(place: str) -> str:
    """Return the text that is put into a place."""
    return f"quagga{place}7"


MESSAGES: list[dict[str, Any]] = [
    {
        "role": "user", "external_id": word("externalid"), "token_count": 50, "name": word("author"),
        "content": f"{word('content')} /etc/{word('file')}.conf https://{word('url')}.example {word('id')}_1",
        "metadata": {"a": word("messagemeta")}, "model": word("model"),
    },
    {"role": "user", "parts": [{"type": "text", "text": word("part")}], "token_count": 50},
    {
        "role": "assistant", "content": word("said"), "provider": {"anthropic": {"a": word("provider")}},
        "token_count": 50,
        "tool_calls": [
            {"id": word("callid"), "type": "function",
             "function": {"name": word("tool"), "arguments": f'{{"path": "/srv/{word("argument")}.py"}}'}},
            {"id": "c2", "type": "custom", "custom": {"name": "t", "input": word("input")}},
        ],
    },
    {"role": "tool", "tool_call_id": word("callid"), "content": f"{word('result')} " * 300},
    {"role": "tool", "tool_call_id": "c2", "content": "none", "token_count": 5},
    *[{"role": "user", "content": "go on", "token_count": 5}] * 3,
]  # fmt: skip


class Store:
    """A database with a text in every place that can hold one, and all that can be found in it."""

    def __init__(self, conn: psycopg.Connection, dsn: str) -> None:
        self.conn = conn
        self.dsn = dsn

    def rows(self, statement: str, *arguments: Any) -> list[Any]:
        """Return the rows of a statement."""
        return rows(self.conn, statement, *arguments)

    def one(self, statement: str, *arguments: Any) -> Any:
        """Return the first value of a statement."""
        return self.rows(statement, *arguments)[0][0]

    def dumped(self) -> set[str]:
        """Return the places whose text a plain dump has."""
        dump = subprocess.run(
            [str(find_binaries() / "pg_dump"), "-d", self.dsn], capture_output=True, text=True, check=True
        )
        return set(WORD.findall(dump.stdout))

    def in_statistics(self) -> set[str]:
        """Return the places whose text the planner's statistics have."""
        self.conn.execute("analyze")
        seen = self.rows("select s::text from pg_stats s union all select s::text from pg_stats_ext s")
        return set(WORD.findall("\n".join(text for (text,) in seen)))

    def in_files(self) -> set[str]:
        """Return the places whose text the files of the database have, after the vacuum of the runbook."""
        vacuum = [str(find_binaries() / "vacuumdb"), "--full", "--schema=kata_data", "-d", self.dsn]
        subprocess.run(vacuum, capture_output=True, check=True)
        self.conn.execute("checkpoint")
        folder = Path(self.one("show data_directory")) / "base"
        (oid,) = self.rows("select oid::text from pg_database where datname = current_database()")[0]
        read = [file.read_bytes() for file in (folder / oid).iterdir() if file.is_file()]
        return {place for data in read for place in WORD.findall(data.decode("latin1"))}

    def written(self) -> tuple[uuid.UUID, uuid.UUID, uuid.UUID]:
        """Put a text into every place, and return a context, a fork and one of another family with copies."""
        create = "select kata.create_context(%s, %s, metadata => %s, idempotency_key => %s)"
        request = [word("name"), Jsonb(POLICY), Jsonb({"a": word("metadata")}), word("key")]
        made: uuid.UUID = self.one(create, *request)
        self.rows("select kata.set_policy(%s, %s)", made, Jsonb({"search_config": "simple"}))
        self.rows(APPEND, made, Jsonb(MESSAGES), "append")
        self.rows(
            "select kata.append_record(%s, %s, %s, %s)",
            made, word("recordkind"), Jsonb({"a": word("recorddata")}), word("recordexternal"),
        )  # fmt: skip
        self.rows(
            "select kata.add_artifact(%s, 'file', %s, %s, 1)",
            made,
            word("added"),
            Jsonb({"a": word("addeddetail")}),
        )
        self.rows("select kata.elide(%s, 4, keep_tokens => 50)", made)
        self.rows("select kata.checkpoint(%s, %s, note => %s)", made, word("checkpoint"), word("note"))
        ((fork, *_),) = self.rows("select kata.fork(%s, null, %s)", made, word("forkname"))
        self.rows("select kata.add_artifact(%s, 'file', %s, version => 2)", fork, word("forkadded"))
        ((other, *_),) = self.rows("select kata.create_context(policy => %s)", Jsonb({"strict": False}))
        self.rows("select * from kata.merge(%s, %s, '{[1,6)}')", other, made)
        for context in (made, fork, other):
            self.rows("select kata.index_search(%s)", context)
        for context, version, text, digest, _ in self.rows("select * from kata.pending_embeddings('m')"):
            assert text
            self.rows(
                "select kata.put_embeddings(%s, 'm', array[%s::bigint], '{{1,0}}', array[%s])",
                context,
                version,
                digest,
            )
        begin = "select compaction_id from kata.begin_compaction(%s, 'summarize', %s, force => true)"
        for context, text in ((made, "error"), (fork, "forkerror")):
            begun = self.one(begin, context, word("worker"))
            self.rows("select kata.abort_compaction(%s, %s)", begun, word(text))
        self.rows(
            "select kata.commit_compaction(%s, %s, 5, metadata => %s)",
            self.one(begin, made, word("worker")), word("summary"), Jsonb({"a": word("summarymeta")}),
        )  # fmt: skip
        self.rows("select * from kata.compact(%s, 'digest', force => true)", fork)
        self.rows("select kata.update_context(%s, %s)", made, word("newname"))
        return made, fork, other


@pytest.fixture
def store(connect: Connect, database: str) -> Store:
    """A store on a database of the test's own."""
    return Store(connect(autocommit=True), database)


def test_what_is_erased_and_purged_is_nowhere(store: Store) -> None:
    made, fork, other = store.written()
    assert store.dumped() == GOES | STAYS | OF_THE_CONTEXT
    assert store.in_files() == GOES | STAYS | OF_THE_CONTEXT

    for version in range(1, 6):
        store.rows(ERASE, made, version)
    store.rows(ERASE, made, 9)
    for context in (made, fork):
        for (version,) in store.rows(
            "select s.version from kata_data.summary s where s.segment_id = %s", context
        ):
            store.rows(ERASE, context, version)
    assert store.dumped() - STAYS - OF_THE_CONTEXT == set()
    assert store.in_statistics() - STAYS - OF_THE_CONTEXT == set()
    assert store.in_files() - STAYS - OF_THE_CONTEXT == set()

    for context in (fork, made, other):
        store.rows("select kata.delete_context(%s)", context)
        store.rows("select * from kata.purge_context(%s)", context)
    assert store.dumped() == {"key"}
    assert store.in_statistics() == set()
    assert store.in_files() == {"key"}
    assert store.rows("select * from kata.verify()") == []


def test_a_purge_alone_leaves_nothing(store: Store) -> None:
    for context in reversed(store.written()):
        store.rows("select kata.delete_context(%s)", context)
        store.rows("select * from kata.purge_context(%s)", context)
    assert store.dumped() == {"key"}
    assert store.in_statistics() == set()
    assert store.in_files() == {"key"}
    assert store.rows("select * from kata.verify()") == []


# By place, the forms in which a digest covers a text there, with a four-digit number in it.
COVERED = {
    "message": "|f|%s",
    "request": '[{"role": "user", "content": "%s"}]',
    "record": '{"pin": "%s"}',
    "summary": "|f|pin %s",
    "note": '{"name": "noted", "note": "%s"}',
    "creation": '["%s", null, {}, "o200k_base", null]',
}


def steps(store: Store, context_id: uuid.UUID) -> list[Any]:
    """Return SHA-256 up to the content digest of each entry and act of a context."""
    frames = store.rows("select digest, frame from kata.entry_digests(%s) order by version", context_id)
    acts = store.rows("select digest, frame from kata.acts(%s) order by number", context_id)
    first = hashlib.sha256(context_id.bytes).digest()
    return [
        hashlib.sha256(previous + frame.encode())
        for chain in (frames, acts)
        for previous, (_, frame) in zip([first, *(digest for digest, _ in chain)], chain, strict=False)
    ]


def guessed(store: Store, known: list[Any], numbers: range) -> set[str]:
    """Return the places whose number is found by guesses with all salts and digests that are stored.

    Parameters
    ----------
    known : the steps of the chains; an export of the frames keeps them after a purge
    """
    columns = store.rows("""
        select table_name, column_name from information_schema.columns
        where table_schema = 'kata_data' and data_type = 'bytea'""")
    stored = {
        value
        for table, column in columns
        for (value,) in store.rows(f'select "{column}" from kata_data."{table}" where "{column}" is not null')
    }
    salts = [b"", *(value for value in stored if len(value) == 16)]
    digests = {value for value in stored if len(value) == 32}

    def is_found(text: bytes) -> bool:
        for salt in salts:
            content_digest = hashlib.sha256(salt + text).digest()
            if content_digest in digests:
                return True
            for step in known:
                entry = step.copy()
                entry.update(content_digest)
                if entry.digest() in digests:
                    return True
        return False

    return {
        place
        for place, form in COVERED.items()
        for number in numbers
        if is_found((form % f"{number:04}").encode())
    }


def test_a_short_text_cannot_be_guessed_from_what_is_left(store: Store) -> None:
    made = store.one(
        "select context_id from kata.get_or_create_context('6006', idempotency_key => 'creation')"
    )
    store.rows("select kata.set_policy(%s, %s)", made, Jsonb(POLICY))
    pins = [{"role": "user", "content": content, "token_count": 50} for content in ("1001", "go on")]
    store.rows(APPEND, made, Jsonb(pins), "append")
    store.rows(APPEND, made, Jsonb([{"role": "user", "content": "2002"}]), "request")
    store.rows(APPEND, made, Jsonb(pins[1:]), "later")
    ((record,),) = store.rows("select kata.append_record(%s, 'pin', '{\"pin\": \"3003\"}')", made)
    begun = store.one("select compaction_id from kata.begin_compaction(%s, 'summarize', force => true)", made)
    ((summary, *_),) = store.rows(
        "select summary_version from kata.commit_compaction(%s, 'pin 4004', 3)", begun
    )
    store.rows("select kata.checkpoint(%s, 'noted', note => '5005')", made)
    known = steps(store, made)
    assert guessed(store, known, range(1001, 6007, 1001)) == set(COVERED)

    for version in (1, 3, record, summary):
        store.rows(ERASE, made, version)
    assert guessed(store, known, range(1001, 6007, 1001)) == {"creation"}
    assert guessed(store, steps(store, made), range(1001, 6007, 1001)) == {"creation"}
    store.rows("select kata.delete_context(%s)", made)
    store.rows("select * from kata.purge_context(%s)", made)
    assert guessed(store, known, range(10_000)) == set()
