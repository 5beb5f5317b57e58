"""What the sections share: the server, real messages, and the bare tables that are the limit."""

import itertools
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from kata_context import migrate
from kata_context.embedded import Server

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests" / "data" / "conversations" / "airline.jsonl"
# The limit: the same columns, indexes and durability, sent in the same form, and nothing promised: versions
# are given, totals and digests are constants.
INSERT = """insert into bare.message (
  segment_id, version, role, content, token_count, tool_call_id, tool_calls,
  tokens_through, group_version, created_at, pinned, token_source, digest, salt)"""
VALUES = """(%s, %s, %s, %s, %s, %s, %s,
  1, 1, clock_timestamp(), false, 'given', sha256(''), uuid_send(gen_random_uuid()))"""
# A batch goes in and its rows come out as those of kata.append do.
INSERT_BATCH = """
insert into bare.message as m (
  segment_id, version, tokens_through, group_version, created_at, occurred_at, token_count, pinned, role,
  token_source, digest, salt, external_id, content, name, tool_call_id, tool_name, model, tool_calls, parts,
  provider, metadata)
select %s, %s + d.ordinality, 1, 1, clock_timestamp(), d.occurred_at, d.token_count,
  coalesce(d.pinned, false), d.role, coalesce(d.token_source, 'given'), sha256(''),
  uuid_send(gen_random_uuid()), d.external_id, d.content, d.name, d.tool_call_id, d.tool_name, d.model,
  d.tool_calls, d.parts, d.provider, d.metadata
from rows from (
  jsonb_to_recordset(%s) as (
    role text, content text, token_count integer, token_source text, tool_call_id text, tool_name text,
    tool_calls jsonb, model text, metadata jsonb, pinned boolean, name text, parts jsonb, provider jsonb,
    external_id text, occurred_at timestamptz)
) with ordinality d
returning m.version, m.token_count, m.created_at, true"""
# The same payload in a table that promises nothing more than to keep it.
PAYLOAD = """insert into bare.payload (
  conversation_id, id, role, content, token_count, tool_call_id, tool_calls)
  values (%s, %s, %s, %s, %s, %s, %s)"""
BARE = f"""
create schema bare;
create table bare.message (like kata_data.message including indexes);
create table bare.payload (
  conversation_id uuid, id bigint, role text not null, content text, token_count integer not null,
  tool_call_id text, tool_calls jsonb, created_at timestamptz not null default clock_timestamp(),
  primary key (conversation_id, id));
create table bare.counter (context_id uuid primary key, version bigint not null) with (fillfactor = 50);
create function bare.append(
  context_id uuid, role text, content text, token_count integer, tool_call_id text, tool_calls jsonb
) returns bigint language plpgsql as $$
declare
  v_version bigint;
begin
  update bare.counter c
  set version = c.version + 1
  where c.context_id = append.context_id
  returning c.version into v_version;
  {INSERT}
  values (
    append.context_id, v_version, append.role, append.content, append.token_count, append.tool_call_id,
    append.tool_calls, v_version, v_version, clock_timestamp(), false, 'given', sha256(''),
    uuid_send(gen_random_uuid()));
  return v_version;
end $$;
"""
APPEND = "select kata.append_message(%s, %s, %s, %s, tool_call_id => %s, tool_calls => %s)"
APPEND_BATCH = "select * from kata.append(%s, %s)"
WINDOW = "select * from kata.window(%s, 8000)"

Message = dict[str, Any]
Row = tuple[str, str | None, int, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Bench:
    """What a section works with.

    Parameters
    ----------
    server : with the default settings of Postgres, and no other clients
    dsn : of its migrated database
    messages : of real conversations
    pairs : pairs of runs a comparison
    size : messages of the one long context of the section growth, and of all contexts of verify
    """

    server: Server
    dsn: str
    messages: list[Message]
    pairs: int
    size: int


@contextmanager
def own_server() -> Iterator[tuple[Server, str]]:
    """Start a server with the settings of Postgres as they come; give it and its migrated database."""
    # A benchmark that is terminated stops its server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="kata-bench-") as folder:
        Path(folder).chmod(0o755)  # the account of the server passes through
        server = Server(Path(folder) / "home")
        try:
            dsn = server.start()
            migrate.up(dsn)
            yield server, dsn
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nor does it leave its files
            server.stop()


def real_messages() -> list[Message]:
    """Return the messages of real conversations as one, with token counts and one system prompt."""
    conversations = [json.loads(line)["messages"] for line in DATA.read_text("utf-8").splitlines()]
    messages = [
        {
            key: message[key]
            for key in ("role", "content", "tool_call_id", "tool_calls")
            if message.get(key) is not None
        }
        for number, conversation in enumerate(conversations)
        for message in conversation
        if number == 0 or message["role"] != "system"
    ]
    return [{**message, "token_count": 4 + len(json.dumps(message)) // 4} for message in messages]


def plain(messages: list[Message]) -> list[Message]:
    """Return the messages that may stand anywhere: no calls, no results."""
    return [m for m in messages if m["role"] in ("user", "assistant") and "tool_calls" not in m]


def plain_batches(messages: list[Message], count: int) -> list[list[Message]]:
    """Return batches of 100 texts."""
    texts = itertools.cycle(plain(messages))
    return [list(itertools.islice(texts, 100)) for _ in range(count)]


def tool_batches(messages: list[Message], count: int) -> list[list[Message]]:
    """Return batches of 100 messages: 40 calls, each followed by its result, and 20 texts."""
    calls = itertools.cycle(m for m in messages if "tool_calls" in m)
    results = itertools.cycle(m for m in messages if m["role"] == "tool")
    texts = itertools.cycle(plain(messages))
    batches: list[list[Message]] = []
    for _ in range(count):
        batch: list[Message] = []
        for number in range(40):
            call = next(calls)
            batch += [
                {**call, "tool_calls": [{**call["tool_calls"][0], "id": f"call_{number}"}]},
                {**next(results), "tool_call_id": f"call_{number}"},
                *([next(texts)] if number % 2 else []),
            ]
        batches.append(batch)
    return batches


def as_row(message: Message) -> Row:
    """Return a message as the parameters of append_message after the context."""
    calls = message.get("tool_calls")
    return (
        message["role"], message.get("content"), message["token_count"], message.get("tool_call_id"),
        None if calls is None else json.dumps(calls),
    )  # fmt: skip


def connect(dsn: str, durable: bool) -> psycopg.Connection:
    """Return a connection that prepares every statement and commits each."""
    connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=0)
    connection.execute(f"set synchronous_commit = {'on' if durable else 'off'}")
    return connection


def scalar(connection: psycopg.Connection, query: str, *parameters: object) -> Any:
    """The only value of a query."""
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


def fill(connection: psycopg.Connection, context_id: object, messages: Iterator[Message], count: int) -> None:
    """Append the next messages in batches."""
    for start in range(0, count, 1_000):
        batch = list(itertools.islice(messages, min(1_000, count - start)))
        scalar(connection, "select count(*) from kata.append(%s, %s)", context_id, json.dumps(batch))


def table_bytes(connection: psycopg.Connection, where: str) -> int:
    """Bytes on disk of the tables that a condition on pg_class chooses, with their indexes and TOAST."""
    query = f"""
      select coalesce(sum(pg_total_relation_size(t.oid)), 0)::bigint from pg_class t
      where t.relkind = 'r' and {where}"""
    return int(scalar(connection, query))


def wal_position(connection: psycopg.Connection) -> int:
    """Bytes of WAL written since the server was made."""
    return int(scalar(connection, "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"))


@contextmanager
def undisturbed(connection: psycopg.Connection) -> Iterator[None]:
    """Keep autovacuum out of what is counted, and begin after a checkpoint.

    The first change of a page after a checkpoint writes all of it to the WAL: all start alike.
    """
    connection.execute("alter system set autovacuum = off", prepare=False)
    connection.execute("select pg_reload_conf()")
    try:
        while scalar(
            connection, "select count(*) from pg_stat_activity where backend_type = 'autovacuum worker'"
        ):
            time.sleep(0.1)
        connection.execute("checkpoint", prepare=False)
        yield
    finally:
        connection.execute("alter system reset autovacuum", prepare=False)
        connection.execute("select pg_reload_conf()")


def buffers_and_wal(connection: psycopg.Connection, query: str, *parameters: object) -> tuple[int, int]:
    """Return the buffers that a statement touched and the bytes of WAL that it wrote."""
    explain = f"explain (analyze, buffers, wal, format json) {query}"
    # EXPLAIN wants the values in its text.
    row = psycopg.ClientCursor(connection).execute(explain.encode(), parameters).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], plan["WAL Bytes"]
