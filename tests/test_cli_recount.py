"""The command `kata recount`: exact counts in another tokenizer than a context's own."""

import json
from collections.abc import Iterator

import psycopg
import pytest

from kata_context import Kata
from kata_context.tokens import FRAMING, count_tokens
from support.commands import Query, Run
from test_cli import complaint

CALL = [{"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path": "src/a.py"}'}}]
STORED = (
    "select version, token_count from kata_data.token_count where tokenizer = 'cl100k_base' order by version"
)


@pytest.fixture
def session(database: str) -> Iterator[psycopg.Connection]:
    """A connection to the database of the test."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def talk(database: str) -> str:
    """A context "talk": a request, a call, its result (elided), an answer, thanks (deleted)."""
    with Kata(database) as opened:
        context = opened.create("talk")
        context.append(
            [
                {"role": "user", "content": "Отчёт, please"},
                {"role": "assistant", "tool_calls": CALL},
                {"role": "tool", "tool_call_id": "c1", "content": "code " * 900},
                {"role": "assistant", "content": "It is in line 3.", "name": "Ada"},
                {"role": "user", "content": "Thanks."},
            ]
        )
        context.elide(3)
        context.delete_messages(5)
    return "talk"


def test_a_window_after_a_recount_counts_exactly(
    run: Run, read: Query, session: psycopg.Connection, talk: str
) -> None:
    assert run("recount", talk, "--tokenizer", "cl100k_base").stdout == "5 messages counted in cl100k_base\n"
    texts = ("Отчёт, please", 'read\n{"path": "src/a.py"}', "code " * 900, "Ada\nIt is in line 3.", "Thanks.")
    counts = [FRAMING + sum(count_tokens(part, "cl100k_base") for part in text.split("\n")) for text in texts]
    assert session.execute(STORED).fetchall() == list(enumerate(counts, start=1))
    shown = read("window", talk, "9000", "--tokenizer", "cl100k_base")
    assert [row["token_count"] for row in shown if row["kind"] == "message"] == [
        counts[0],
        counts[1],
        counts[3],
    ]


def test_a_recount_as_of_a_version_leaves_the_rest(
    read: Query, session: psycopg.Connection, talk: str
) -> None:
    found = read("recount", talk, "--tokenizer", "cl100k_base", "--at", "head~5")
    assert found == {"tokenizer": "cl100k_base", "version": 2, "counted": 2, "uncounted": []}
    assert [version for version, _ in session.execute(STORED)] == [1, 2]


def test_a_tokenizer_that_cannot_count_is_refused(run: Run, session: psycopg.Connection, talk: str) -> None:
    message, hint = complaint(run("recount", talk, "--tokenizer", "claude", code=1))
    assert message == 'tokens of "claude" can only be estimated'
    assert hint == "pass one of o200k_base, cl100k_base"
    message, hint = complaint(run("recount", talk, "--tokenizer", "none", code=1))
    assert message.startswith('tokenizer "none" is unknown')
    assert "kata.tokenizers" in str(hint)
    message, _ = complaint(run("recount", talk, "--tokenizer", "o200k_base", code=1))
    assert 'The context itself counts in "o200k_base"' in message
    assert session.execute(STORED).fetchall() == []


def test_a_recount_that_was_interrupted_keeps_its_pages_and_goes_on(
    run: Run, read: Query, session: psycopg.Connection
) -> None:
    run("create", "long")
    run("append", "long", "--messages", "-", input=json.dumps([{"role": "user", "content": "hello"}] * 1500))
    session.execute("alter table kata_data.token_count add constraint cut check (version <= 1200)")
    run("recount", "long", "--tokenizer", "cl100k_base", code=1)
    assert session.execute(STORED).fetchall() == [(version, FRAMING + 1) for version in range(1, 1001)]
    session.execute("alter table kata_data.token_count drop constraint cut")
    assert read("recount", "long", "--tokenizer", "cl100k_base")["counted"] == 1500
    assert len(session.execute(STORED).fetchall()) == 1500


def test_a_text_that_cannot_be_counted_is_named_and_stays_converted(
    run: Run, session: psycopg.Connection
) -> None:
    run("create", "wide")
    run("append", "wide", "-", "--tokens", "9", input="x" + " " * 100_001 + "x")
    run("append", "wide", "hello")
    done = run("recount", "wide", "--tokenizer", "cl100k_base")
    assert done.stdout == "1 messages counted in cl100k_base\n"
    assert "too much white space to be counted: 1" in done.stderr
    assert session.execute(STORED).fetchall() == [(2, FRAMING + 1)]
