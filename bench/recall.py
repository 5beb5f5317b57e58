"""Recall in one long context: against GIN and ts_rank on the same rows, and what the index costs."""

import itertools
import random
import re
import statistics
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg

from harness import Bench, Message, buffers_and_wal, connect, fill, plain, scalar
from measure import Finding, Result, compare, seconds

MESSAGES = 100_000
SHORT = 680
PIECE = 4_096
MODEL, DIMENSIONS = "bench", 384
WORD = re.compile(r"[A-Za-z]{3,}")

SEARCH = "select version, rank, headline from kata.search(%s, %s, 10)"
RECALL = "select version, score, content from kata.recall(%s, %s, max_rows => 10)"
HYBRID = "select version, score, content from kata.recall(%s, %s, %s::real[], %s, 10)"
# A project without Kata Context writes this query. plainto_tsquery asks for all words of a question, which
# hardly a message has, so its terms are joined by OR.
GIN = """
select t.version, ts_rank(t.words, q.query) as rank, t.body
from bare.text t, (select replace(plainto_tsquery('english', %s)::text, '&', '|')::tsquery as query) q
where t.segment_id = %s and t.words @@ q.query
order by rank desc, t.version desc
limit 10"""
TEXTS = """
create unlogged table bare.text as
select m.segment_id, m.version, left(kata_data.search_text(m), 65536) as body, null::tsvector as words
from kata_data.message m where m.segment_id = %s"""
# The vectors are one random vector, turned: how long a cosine takes does not depend on what it says.
VECTORS = """
with base as materialized (
  select kata_data.normalized(array(
    select random() - 0.5 from generate_series(1, %(dimensions)s))::real[]) as v
)
insert into kata_data.embedding (segment_id, model_id, version, embedding)
select m.segment_id, e.model_id, m.version,
  b.v[1 + m.version %% %(dimensions)s:] || b.v[:m.version %% %(dimensions)s]
from kata_data.message m, base b, kata_data.embedding_model e
where m.segment_id = %(context)s and e.name = %(model)s and m.version > 1"""
OTHERS = ("message", "posting", "search_mark")


def recall(bench: Bench) -> Iterator[Result]:
    """Time, buffers, bytes and indexing of recall, at 100,000 messages or --size, if that is less."""
    size = min(bench.size, MESSAGES)
    texts = plain(bench.messages)
    questions = some_questions(texts)
    with connect(bench.dsn, durable=False) as connection:
        connection.execute("set max_parallel_workers_per_gather = 0; set jit = off", prepare=False)
        context = filled(connection, varied(connection, texts), size)
        yield indexing(connection, f"index_search, {size:,} texts", context, size)
        yield stored(connection, context, size)
        logs = filled(connection, itertools.cycle(bench.messages), tools := max(size // 20, PIECE))
        yield indexing(connection, f"index_search, {tools:,} messages of logs with tools", logs, tools)

        connection.execute("drop table bare.text", prepare=False)
        make_texts(connection, context)
        connection.execute("update bare.text set words = to_tsvector('english', body)", prepare=False)
        connection.execute(
            "create index on bare.text using gin (words) with (fastupdate = off)", prepare=False
        )
        connection.execute("vacuum (full, analyze) bare.text", prepare=False)
        connection.execute("vacuum (analyze) kata_data.posting, kata_data.message", prepare=False)

        def ask(query: str, *parameters: Any) -> Any:
            return lambda _: [connection.execute(query, [*parameters, q]).fetchall() for q in questions]

        gin = lambda _: [connection.execute(GIN, (q, context)).fetchall() for q in questions]  # noqa: E731
        for name, query in (("search", SEARCH), ("recall", RECALL)):
            yield compare(
                f"{name}, {len(questions)} questions at n = {size:,}", ask(query, context),
                "OR query of GIN with ts_rank", gin, pairs=min(bench.pairs, 10), calls=1, target=2,
            )  # fmt: skip
        vector = embed_all(connection, context)
        yield compare(
            f"recall, 200 candidates re-scored, n = {size:,}",
            lambda _: [
                connection.execute(HYBRID, (context, q, vector, MODEL)).fetchall() for q in questions
            ],
            "recall by words alone", ask(RECALL, context), pairs=min(bench.pairs, 10), calls=1, target=0.91,
        )  # fmt: skip
        short = filled(connection, varied(connection, texts), SHORT)
        scalar(connection, "select kata.index_search(%s)", short)
        yield milliseconds(connection, short, context, size, questions)
        yield among_others(connection, context, size, questions)


def varied(connection: psycopg.Connection, texts: list[Message]) -> Iterator[Message]:
    """Return the texts again and again, as conversations about other things.

    Each time all digits are others, and all words except stop words have changed places in the vocabulary:
    lengths and the numbers of repetitions stay, and the words of a question are spread over what follows.
    """
    words = {word for text in texts for word in WORD.findall(text["content"].lower())}
    query = "select w from unnest(%s::text[]) w where to_tsvector('english', w) <> '' order by w"
    vocabulary = [word for (word,) in connection.execute(query, [list(words)])]
    yield from texts
    for number in itertools.count(1):
        others = random.Random(number).sample(vocabulary, len(vocabulary))
        change = dict(zip(vocabulary, others, strict=True))
        digits = str.maketrans("0123456789", "".join(str((n + number) % 10) for n in range(10)))
        for text in texts:
            content = WORD.sub(lambda word: change.get(word[0].lower(), word[0]), text["content"])  # noqa: B023
            yield {**text, "content": content.translate(digits)}


def some_questions(texts: list[Message]) -> list[str]:
    """Return six requests of users that are about as long as a question."""
    asked = [t["content"] for t in texts if t["role"] == "user" and 40 <= len(t["content"]) <= 120]
    return [text for text in asked if "###" not in text][:: max(len(asked) // 8, 1)][:6]


def filled(connection: psycopg.Connection, messages: Iterator[Message], count: int) -> Any:
    """Return a new context with the next messages."""
    context = scalar(connection, "select kata.create_context(policy => %s)", '{"enabled": false}')
    fill(connection, context, messages, count)
    return context


def make_texts(connection: psycopg.Connection, context: Any) -> None:
    """Make the bare table: what each message says, as kata.search reads it."""
    psycopg.ClientCursor(connection).execute(TEXTS, (context,))
    connection.execute("create unique index on bare.text (version)", prepare=False)


def indexing(connection: psycopg.Connection, name: str, context: Any, size: int) -> Finding:
    """Index in pieces, each beside a bare to_tsvector of the same texts."""
    connection.execute("drop table if exists bare.text", prepare=False)
    make_texts(connection, context)
    bare = "select count(to_tsvector('english', body)) from bare.text where version between %s and %s"
    times = []
    for low in range(1, size + 1, PIECE):
        ours = seconds(partial(scalar, connection, "select kata.index_search(%s, %s)", context, PIECE))
        times.append((ours, seconds(partial(scalar, connection, bare, low, low + PIECE - 1))))
    ours, theirs = (sum(column) for column in zip(*times, strict=True))
    return Finding(
        name,
        {
            "ms per message": round(ours / size * 1e3, 4),
            "to_tsvector ms per message": round(theirs / size * 1e3, 4),
            "times to_tsvector": round(ours / theirs, 2),
            "median of the pieces": round(statistics.median(a / b for a, b in times), 2),
        },
        target="at most 6 times a bare to_tsvector of the same text",
        met=ours <= 6 * theirs,
    )


def stored(connection: psycopg.Connection, context: Any, size: int) -> Finding:
    """Count the bytes of the index, with the room that merges leave, and without it."""
    query = "select pg_total_relation_size('kata_data.posting')::bigint"
    connection.execute("vacuum kata_data.posting", prepare=False)
    as_left = scalar(connection, query)
    connection.execute("vacuum full kata_data.posting", prepare=False)
    merged = scalar(connection, query)
    text = scalar(connection, "select sum(octet_length(body))::bigint from bare.text")
    rows = scalar(connection, "select count(*) from kata_data.posting where segment_id = %s", context)
    return Finding(
        f"index of {size:,} texts, merged",
        {
            "bytes per message": round(merged / size), "as indexing leaves it": round(as_left / size),
            "of text": round(text / size), "rows": rows,
        },
        target="at most 200 bytes per message",
        met=merged <= 200 * size,
    )  # fmt: skip


def embed_all(connection: psycopg.Connection, context: Any) -> list[float]:
    """Give every message an embedding, and return one for a question."""
    chance = random.Random(0)
    vector = [chance.random() - 0.5 for _ in range(DIMENSIONS)]
    first = "select kata.put_embeddings(%s, %s, '{1}', array[%s::real[]])"
    scalar(connection, first, context, MODEL, vector)
    values = {"context": context, "model": MODEL, "dimensions": DIMENSIONS}
    psycopg.ClientCursor(connection).execute(VECTORS, values)
    connection.execute("vacuum (analyze) kata_data.embedding", prepare=False)
    return vector


def milliseconds(
    connection: psycopg.Connection, short: Any, long: Any, size: int, questions: list[str]
) -> Finding:
    """Time single calls in a short context and in the long one."""
    values = {}
    for length, context in ((SHORT, short), (size, long)):
        for name, query in (("search", SEARCH), ("recall", RECALL)):
            times = sorted(
                seconds(lambda: connection.execute(query, (context, q)).fetchall()) * 1e3  # noqa: B023
                for _ in range(5)
                for q in questions
            )
            values[f"{name} at {length:,}, ms"] = round(statistics.median(times), 2)
            values[f"{name} at {length:,}, p95 ms"] = round(times[int(0.95 * len(times))], 2)
    return Finding("one question", values)


def among_others(connection: psycopg.Connection, context: Any, size: int, questions: list[str]) -> Finding:
    """Count the buffers of the questions without and with ten times as many messages of other tenants."""

    def buffers(query: str) -> int:
        for question in questions[:2]:  # what a connection reads once
            connection.execute(query, (context, question)).fetchall()
        return sum(buffers_and_wal(connection, query, context, question)[0] for question in questions)

    def look_ups() -> int:
        connection.execute("select pg_stat_force_next_flush()").fetchall()
        query = "select sum(idx_scan)::bigint from pg_stat_all_indexes where schemaname = 'kata_data'"
        return int(scalar(connection, query))

    # Segments that no context of ours reads, on all sides of its own.
    segments = [uuid.uuid4() for _ in range(10)]
    before = [buffers(query) for query in (SEARCH, RECALL)]
    start = look_ups()
    for question in questions:
        connection.execute(SEARCH, (context, question)).fetchall()
    found_by_key = look_ups() - start
    for name in OTHERS:
        columns = scalar(
            connection,
            "select string_agg(attname, ', ' order by attnum) from pg_attribute "
            "where attrelid = %s::regclass and attnum > 0 and not attisdropped and attname <> 'segment_id'",
            f"kata_data.{name}",
        )  # fmt: skip
        for segment in segments:
            psycopg.ClientCursor(connection).execute(
                f"insert into kata_data.{name} (segment_id, {columns}) "
                f"select %s, {columns} from kata_data.{name} where segment_id = %s".encode(),
                (segment, context),
            )
    connection.execute("vacuum (analyze) kata_data.posting, kata_data.message", prepare=False)
    after = [buffers(query) for query in (SEARCH, RECALL)]
    return Finding(
        f"buffers per question, {10 * size:,} messages of others",
        {
            f"{function}, {state}": round(count / len(questions), 1)
            for state, counts in (("alone", before), ("among others", after))
            for function, count in zip(("search", "recall"), counts, strict=True)
        }
        | {"look-ups by key": round(found_by_key / len(questions), 1)},
        target="no more, except one for each look-up where an index has grown by a level",
        met=all(many <= few + found_by_key for few, many in zip(before, after, strict=True)),
    )
