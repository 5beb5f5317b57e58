"""Which way through the database a message takes, as the driver sends it."""

from typing import Any

import psycopg
import pytest

from kata_context import Kata
from support.interleaving import Connect

CALL = {"id": "a", "type": "function", "function": {"name": "search", "arguments": "{}"}}


@pytest.fixture
def session(connect: Connect) -> psycopg.Connection:
    """A session that counts the calls of functions, in one open transaction."""
    session = connect()
    session.execute("set local track_functions = 'all'")
    return session


def batches(session: psycopg.Connection) -> int:
    """Return how often this transaction has called the path that every message can take."""
    row = session.execute(
        "select sum(calls) from pg_stat_xact_user_functions where funcname = 'append_batch'"
    ).fetchone()
    return row[0] or 0 if row else 0


@pytest.mark.parametrize("source", ["exact", "given", "estimate"])
@pytest.mark.parametrize("tokenizer", ["o200k_base", "cl100k_base"])
def test_ordinary_messages_take_the_short_way_as_the_driver_sends_them(
    database: str, session: psycopg.Connection, source: str, tokenizer: str
) -> None:
    with Kata(database, count_tokens=source == "exact") as kata:
        context, other = (kata.using(session).create(tokenizer=tokenizer) for _ in range(2))
    context.append_message("user", "The preamble ends here.", 6)
    ordinary: list[Any] = [
        {"role": "user", "content": "Where is the file?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [CALL], "model": "m"},
        {"role": "tool", "content": "src/a.py", "tool_call_id": "a", "tool_name": "search"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "src/b.py", "tool_call_id": "a"},
        {"role": "assistant", "content": "Here: é, 字, 🙂.", "name": "helper", "pinned": True},
        {"role": "system", "content": "Be brief."},
    ]
    before = batches(session)
    if source == "given":
        ordinary = [{**message, "token_count": 9} for message in ordinary]
    for message in ordinary:
        context.append_message(**message)
    assert batches(session) == before
    rows = context.messages()[1:]
    assert {row.token_source for row in rows} == {source}
    other.append(ordinary)
    assert [row.token_count for row in rows] == [row.token_count for row in other.messages()]
    before = batches(session)
    rare: list[dict[str, Any]] = [
        {"parts": [{"type": "text", "text": "x"}]},
        {"metadata": {"a": 1}},
        {"idempotency_key": "k"},
    ]
    for fields in rare:
        context.append_message("user", "x", **fields)
    assert batches(session) == before + 3
