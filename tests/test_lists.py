"""What takes or returns a list costs what its length says: ten times as much for ten times the elements."""

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from conftest import TestServer
from support.driver import tool_call

pytestmark = pytest.mark.slow

# Ten times as many; an index of more rows may have a level more.
BUFFERS = 15
# Of the processor's time, in long runs: far from ten, and from a hundred.
TIME = 40
POLICY = {"enabled": False, "min_gain_tokens": 0, "preserve_recent_count": 1, "budget": 100}


def messages(count: int, **fields: Any) -> list[dict[str, Any]]:
    """Return so many messages of a user."""
    return [
        {"role": "user", "content": f"see /src/file_{n}.py", "token_count": 9} | fields for n in range(count)
    ]


def calls(count: int) -> list[dict[str, Any]]:
    """Return calls and their results, so many together."""
    found: list[dict[str, Any]] = []
    for n in range(count // 2):
        found.append({"role": "assistant", "token_count": 9, "tool_calls": [tool_call(f"c{n}")]})
        found.append({"role": "tool", "token_count": 300, "tool_call_id": f"c{n}", "content": "word " * 300})
    return found


APPEND = "select count(*) from kata.append(%(context)s, %(messages)s)"
EACH = "from generate_series(1, %(n)s) n"
VERSIONS = f"(select array_agg(n + 1) {EACH})"
CHECKPOINTS = f"select kata.checkpoint(%(context)s, 'c' || n, 0) {EACH}"
EMBEDDED = f"(select array_agg(array[1, n, 2, 3]::real[] order by n) {EACH})"
HEADS = """(select jsonb_agg(to_jsonb(h) || jsonb_build_object(
  'digest', encode(h.digest, 'hex'), 'last_digest', encode(h.last_digest, 'hex'),
  'act_digest', encode(h.act_digest, 'hex'))) from kata.heads(max_rows => %(n)s::integer) h)"""
# Statements that make the list, and the call. The test makes %(fork)s, a fork of the context, before both.
RETURNED = {
    "tree": (f"select kata.fork(%(context)s) {EACH}", "kata.tree(%(context)s)"),
    "forks": (f"select kata.fork(%(context)s) {EACH}", "kata.forks(%(context)s)"),
    "checkpoints": (CHECKPOINTS, "kata.checkpoints(%(context)s)"),
    "inherited checkpoints": (CHECKPOINTS, "kata.checkpoints(%(fork)s)"),
    "compactions": (
        f"""{APPEND}; select kata.abort_compaction(b.compaction_id, 'no') {EACH},
        kata.begin_compaction(%(context)s, left('drop', n + 4), force => true) b""",
        "kata.compactions(%(context)s)",
    ),
    "erasures": (
        f"{APPEND}; select kata.erase_message(%(context)s, n + 1, 'no') {EACH}",
        "kata.erasures(%(context)s)",
    ),
    "diff": (APPEND, "kata.diff(%(context)s, %(fork)s)"),
    "diff_versions": (APPEND, "kata.diff_versions(%(context)s, 0, %(n)s)"),
    "state_at": (APPEND, "kata.state_at(%(context)s)"),
    "window": (APPEND, "kata.window(%(context)s, 1000000)"),
    "explain_window": (APPEND, "kata.explain_window(%(context)s, 1000000)"),
    "prompt": (APPEND, "kata.prompt(%(context)s, 1000000)"),
    "artifacts": (
        f"{APPEND}; select count(*) from kata.artifacts(%(context)s)",
        "kata.artifacts(%(context)s)",
    ),
    "compaction_source": (
        f"{APPEND}; select kata.begin_compaction(%(context)s, 'summarize', force => true)",
        "kata.compaction_source((select compaction_id from kata.compactions(%(context)s)))",
    ),
    "embedding_models": (
        f"{APPEND}; select kata.put_embeddings(%(context)s, 'm', {VERSIONS}, {EMBEDDED})",
        "kata.embedding_models()",
    ),
}
TAKEN = {
    "append": ("", "kata.append(%(context)s, %(messages)s)"),
    "append, with external ids": ("", "kata.append(%(context)s, %(named)s)"),
    "append, of calls": ("", "kata.append(%(context)s, %(calls)s)"),
    "append, of what is there": (
        "select count(*) from kata.append(%(context)s, %(named)s)",
        "kata.append(%(context)s, %(named)s, on_duplicate => 'skip')",
    ),
    "merge": (APPEND, "kata.merge(%(fork)s, %(context)s)"),
    "merge, of many ranges": (
        APPEND,
        """kata.merge(%(fork)s, %(context)s,
        (select range_agg(int8range(2 * (n / 2), 2 * (n / 2), '[]')) from generate_series(4, %(n)s) n))""",
    ),
    "window, with recall": (APPEND, f"kata.window(%(context)s, 100, recall => {VERSIONS})"),
    "put_token_counts": (
        APPEND, f"kata.put_token_counts(%(context)s, 'cl100k_base', {VERSIONS}, (select array_agg(5) {EACH}))"
    ),
    "put_embeddings": (APPEND, f"kata.put_embeddings(%(context)s, 'm', {VERSIONS}, {EMBEDDED})"),
    "delete_messages": (APPEND, "kata.delete_messages(%(context)s, 2, %(n)s)"),
    "elide": (
        "select count(*) from kata.append(%(context)s, %(calls)s)", "kata.elide(%(context)s, 2, %(n)s)"
    ),
    "check_heads": (f"select kata.fork(%(context)s) {EACH}", f"kata.check_heads({HEADS})"),
}  # fmt: skip


@pytest.fixture(scope="module")
def lists(server: TestServer, template: str) -> Iterator[psycopg.Connection]:
    """A connection that plans each call while the tables are small."""
    server.execute(f"create database lists template {template}")
    dsn = server.url("lists")
    with closing(psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor)) as conn:
        yield conn
    server.execute("drop database lists with (force)")


@pytest.fixture(scope="module")
def cost(lists: psycopg.Connection) -> Callable[[tuple[str, str], int], tuple[int, float]]:
    """Make a list and measure the call: buffers, and milliseconds of the processor."""
    clock = Path(f"/proc/{lists.info.backend_pid}/schedstat")

    def measure(case: tuple[str, str], count: int) -> tuple[int, float]:
        made, call = case
        row = lists.execute(
            "select c, kata.fork(c) from kata.create_context(policy => %s) c", [Jsonb(POLICY)]
        )
        context, fork = row.fetchone() or (uuid.UUID(int=0),) * 2
        lists.execute("select kata.append_message(%s, 'user', 'first', 3)", [context])
        batch = messages(count)
        values = {
            "context": context, "fork": fork, "n": count, "messages": Jsonb(batch),
            "calls": Jsonb(calls(count)),
            "named": Jsonb([message | {"external_id": f"id {n}"} for n, message in enumerate(batch)]),
        }  # fmt: skip
        for statement in filter(None, made.split("; ")):
            lists.execute(statement.encode(), values)
        costs = []
        for _ in range(2):
            with lists.transaction(force_rollback=True):
                before = int(clock.read_text().split()[0])
                explain = f"explain (analyze, buffers, timing off, format json) select * from {call}"
                (found,) = lists.execute(explain.encode(), values).fetchone() or ()
                took = (int(clock.read_text().split()[0]) - before) / 1e6
                plan = found[0]["Plan"]
                costs.append((plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], took))
        return min(buffers for buffers, _ in costs), min(took for _, took in costs)

    return measure


@pytest.mark.parametrize("name", [*RETURNED, *TAKEN])
def test_a_list_ten_times_as_long_costs_ten_times_as_much(
    cost: Callable[[tuple[str, str], int], tuple[int, float]], is_long: bool, name: str
) -> None:
    if is_long and name in ("check_heads", "compactions", "erasures"):
        pytest.skip("a list of 10,000 is refused, or takes long to make")
    case = (RETURNED | TAKEN)[name]
    cost(case, 10)
    few, many = (cost(case, count) for count in ((1_000, 10_000) if is_long else (30, 300)))
    assert many[0] <= BUFFERS * few[0]
    assert not is_long or many[1] <= TIME * few[1]


def test_a_function_with_a_list_documents_its_cost_and_its_limit(lists: psycopg.Connection) -> None:
    """A limit of what it takes, for which it may name kata.window; a cost of what it returns."""
    functions = lists.execute(
        """
        select p.oid::regprocedure::text, obj_description(p.oid), exists (
          select from pg_type t
          where t.oid = any (p.proargtypes)
            and (t.typcategory = 'A' or t.typname = 'int8multirange')) as takes
        from pg_proc p
        where p.pronamespace = 'kata'::regnamespace
          and (p.proretset or p.proargtypes::oid[] && array(
            select t.oid from pg_type t where t.typcategory = 'A' or t.typname = 'int8multirange'))
        """
    ).fetchall()
    assert [name for name, comment, _ in functions if "Cost: " not in comment] == []
    limit = re.compile("at most|: as (for |kata.)window")
    assert [name for name, comment, takes in functions if takes and not limit.search(comment)] == []
