"""`make bench-scale`: what calls cost, and what lies on disk, with a hundred times the contexts and messages.

Fills two databases of one server by bench/scale.sql, the second with a hundred times the contexts of the
first, and makes the same calls on both. OPTIONS='--contexts 10000' is done in a few minutes.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from harness import DATA, ROOT, scalar
from kata_context import __version__, migrate
from kata_context.embedded import Server, find_binaries
from measure import Finding, Result, as_json, machine, seconds, write_lines

LOADER = ROOT / "bench" / "scale.sql"
CHUNK = 1_000  # contexts that functions write, a tenth of all, in one call of the loader
# The data can be made again, so nothing waits for the disk.
SETTINGS = {
    "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "2GB",
    "max_wal_size": "8GB", "checkpoint_timeout": "30min", "maintenance_work_mem": "512MB",
}  # fmt: skip

# Contexts of each kind, by a query for one; the calls name them.
CONTEXTS = {
    "old": """select c.context_id from kata_data.context c
      where c.tenant = 'large' order by c.context_id limit 1""",
    "new": """select h.context_id
      from (
        select c.context_id from kata_data.context c
        where c.tenant = 'large' and c.deleted_at is null
        order by c.context_id desc
        limit 1000
      ) c
      join kata_data.head h on h.context_id = c.context_id and h.message_count between 8 and 16
      order by c.context_id desc
      limit 1""",
    "long": """select m.segment_id from kata_data.message m
      where m.version = 300 order by m.segment_id limit 1""",
    "fork": """select c.context_id from kata_data.context c
      where c.parent_id is not null and c.deleted_at is null order by c.context_id limit 1""",
    "compacted": "select s.segment_id from kata_data.summary s order by s.segment_id limit 1",
    "searched": "select k.segment_id from kata_data.search_mark k order by k.segment_id limit 1",
    "named": """select c.context_id from kata_data.context c
      where c.tenant = 'large' and c.name is not null and c.deleted_at is null
      order by c.context_id limit 1""",
    "erased": "select e.segment_id from kata_data.erasure e order by e.segment_id limit 1",
    "deleted": """select c.context_id from kata_data.context c
      where c.deleted_at is not null and c.purged_at is null order by c.context_id limit 1""",
    "parent": """select c.parent_id from kata_data.context c
      where c.parent_id is not null order by c.context_id limit 1""",
}
# The same with a hundred times the contexts, except for a level or two more of each index.
ONE = {
    "create_context": "select kata.create_context('a new name')",
    "create_context with a key": "select kata.create_context(idempotency_key => 'a new key')",
    "get_context": "select * from kata.get_context(%(old)s)",
    "find_context": "select kata.find_context(%(name)s)",
    "resolve_context, beginning of an id": "select kata.resolve_context(left(%(named)s::text, 30))",
    "append_message": "select kata.append_message(%(new)s, 'user', 'Where is my order?', 6)",
    "append_message, old context": "select kata.append_message(%(old)s, 'user', 'Where is my order?', 6)",
    "append_message with a key": """
      select kata.append_message(%(new)s, 'user', 'Where is my order?', 6, idempotency_key => 'k')""",
    "window, old": "select * from kata.window(%(old)s, 8000)",
    "window, new": "select * from kata.window(%(new)s, 8000)",
    "window, 500 messages": "select * from kata.window(%(long)s, 8000)",
    "window, fork": "select * from kata.window(%(fork)s, 8000)",
    "window, compacted": "select * from kata.window(%(compacted)s, 8000)",
    "prompt": "select kata.prompt(%(new)s, 8000, 'openai')",
    "request": "select * from kata.request(%(new)s, 8000, 'openai', 'model-1')",
    "requests": "select * from kata.requests(%(new)s)",
    "search": "select * from kata.search(%(searched)s, 'reservation')",
    "search, not indexed": "select * from kata.search(%(old)s, 'reservation')",
    "recall": "select * from kata.recall(%(searched)s, 'cancel my flight')",
    "index_search": "select kata.index_search(%(new)s)",
    "artifacts": "select * from kata.artifacts(%(compacted)s)",
    "fork": "select kata.fork(%(new)s)",
    "forks": "select * from kata.forks(%(parent)s)",
    "ancestry": "select * from kata.ancestry(%(fork)s)",
    "compact": "select * from kata.compact(%(long)s, 'digest', true)",
    "archive_context": "select kata.archive_context(%(new)s)",
    "delete_context": "select kata.delete_context(%(new)s)",
    "erase_message": "select * from kata.erase_message(%(old)s, 1, 'asked for')",
    "erasures": "select * from kata.erasures(%(erased)s)",
    "purge_context": "select * from kata.purge_context(%(deleted)s)",
    "verify, a context": "select * from kata.verify(%(old)s)",
}
LISTS = {
    "list_contexts": "select * from kata.list_contexts()",
    "list_contexts, a later page": "select * from kata.list_contexts(%(long)s)",
    "list_contexts, a name's beginning": "select * from kata.list_contexts(name_prefix => %(name)s || '.')",
    "heads, a page": "select * from kata.heads(max_rows => 100)",
    "claim_due_compaction": "select * from kata.claim_due_compaction('bench')",
    "failing_compactions": "select * from kata.failing_compactions()",
    "purge_deleted, nothing to do": "select * from kata.purge_deleted('100 years', dry_run => true)",
    "archive_inactive, nothing to do": "select * from kata.archive_inactive('100 years')",
    "a step of verify": "select * from kata.verify(after => %(old)s, max_contexts => 20)",
}

# By their nature sums or lists over all that a tenant has, or calls for as much as they find.
SUMS = {
    "stats": "select kata.stats()",
    "list_contexts by the last change": "select * from kata.list_contexts(order_by => 'updated')",
    "list_contexts, a beginning of a third of the names": """
      select * from kata.list_contexts(name_prefix => 'order ')""",
    "pending_search": "select * from kata.pending_search()",
    "pending_embeddings, first page": "select count(*) from kata.pending_embeddings('toy')",
    "embedding_models": "select * from kata.embedding_models()",
    "purge_deleted, dry run": "select count(*) from kata.purge_deleted('0', dry_run => true)",
    "archive_inactive, dry run": "select count(*) from kata.archive_inactive('0', dry_run => true)",
    "metrics": "select * from kata.metrics",
}

Message = dict[str, Any]


@contextmanager
def server_in(folder: Path | None, keep: bool) -> Iterator[Server]:
    """Start a server in a folder of its own, which is removed afterwards unless it is to be kept."""
    home = Path(tempfile.mkdtemp(prefix="kata-scale-", dir=folder))
    home.chmod(0o755)  # the account of the server passes through
    server = Server(home / "home")
    print(f"data in {home}", flush=True)
    # A benchmark that is terminated stops its server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with psycopg.connect(server.start(), autocommit=True) as connection:
            for name, value in SETTINGS.items():
                connection.execute(f"alter system set {name} = '{value}'".encode())
        server.stop()
        server.start()
        yield server
    finally:
        server.stop()
        if not keep:
            shutil.rmtree(home)


def steps(messages: list[Message]) -> Iterator[list[Message]]:
    """Yield the messages in steps of four or more, each of which ends before a message of the user."""
    step: list[Message] = []
    for message in messages:
        if message["role"] == "user" and len(step) >= 4:
            yield step
            step = []
        step.append(message)
    yield step


def conversations() -> Iterator[list[Message]]:
    """Yield real conversations, with token counts and without the system prompt, which all of them share."""
    for line in DATA.read_text("utf-8").splitlines():
        messages = [
            {
                key: message[key]
                for key in ("role", "content", "tool_call_id", "tool_calls")
                if message.get(key) is not None
            }
            for message in json.loads(line)["messages"]
            if message["role"] != "system"
        ]
        yield [{**message, "token_count": 4 + len(json.dumps(message)) // 4} for message in messages]


def load(server: Server, name: str, contexts: int) -> str:
    """Create a database with so many contexts, and return its DSN."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    dsn = server.dsn(name)
    migrate.up(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(LOADER.read_bytes())
        for number, messages in enumerate(conversations()):
            for place, step in enumerate(steps(messages)):
                connection.execute(
                    "insert into bench.step values (%s, %s, %s)", (number, place, json.dumps(step))
                )
    written = contexts // 10

    def fill(first: int) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            last = min(first + CHUNK - 1, written)
            connection.execute("call bench.load(%s, %s, %s)", (first, last, contexts))
        print(f"{time.strftime('%H:%M:%S')} {name}: {last:,} of {written:,}", flush=True)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fill, range(1, written + 1, CHUNK)))
    return dsn


class Calls:
    """Calls on a database, each of which leaves it as it was."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor)
        # Tables change under no call: a plan with statistics is the one that counts.
        self._connection.execute("vacuum analyze")
        self._connection.execute("set kata.tenant = '*'")
        self._values = {kind: scalar(self._connection, query) for kind, query in CONTEXTS.items()}
        self._tenants = {
            kind: scalar(
                self._connection, "select tenant from kata_data.head where context_id = %s", context_id
            )
            for kind, context_id in self._values.items()
        }
        self._values["name"] = scalar(
            self._connection,
            "select name from kata_data.context where context_id = %s",
            self._values["named"],
        )

    def cost(self, query: str, tenant: str | None, times: int) -> tuple[int, float]:
        """Return the least buffers and milliseconds of a call; the first of several warm the session.

        Parameters
        ----------
        tenant : that of the caller; None for that of the context which the call names
        """
        found = []
        tenant = tenant or next(
            (tenant for kind, tenant in self._tenants.items() if f"%({kind})s" in query), "large"
        )
        self._connection.execute("select set_config('kata.tenant', %s, false)", [tenant])
        for _ in range(times):
            with self._connection.transaction(force_rollback=True):
                row = self._connection.execute(
                    f"explain (analyze, buffers, format json) {query}".encode(), self._values
                ).fetchone()
            assert row is not None
            plan = row[0][0]["Plan"]
            buffers = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            found.append((buffers, row[0][0]["Execution Time"]))
        return min(buffers for buffers, _ in found), min(time for _, time in found)


def compared(few: Calls, many: Calls) -> Iterator[Result]:
    """Yield what each call costs with few contexts and with many."""
    calls: list[tuple[str, str, str | None, bool]] = [
        (name, query, None, False) for name, query in ONE.items()
    ]
    for queries in (LISTS, SUMS):
        calls += [
            (f"{name}, tenant {tenant}", query, tenant, queries is SUMS)
            for name, query in queries.items()
            for tenant in ("*", "large", "small")
        ]
    for name, query, tenant, is_sum in calls:
        costs = [one.cost(query, tenant, 3 if is_sum else 8) for one in (few, many)]
        (few_buffers, few_ms), (many_buffers, many_ms) = costs
        yield Finding(
            name,
            {
                "buffers": few_buffers,
                "with more": many_buffers,
                "ms": round(few_ms, 2),
                "ms with more": round(many_ms, 2),
            },
            target=None if is_sum else "a level or two of each index",
            met=None if is_sum else many_buffers <= 1.5 * few_buffers + 10,
        )


def sizes(dsn: str) -> Iterator[Result]:
    """Yield rows and bytes of the large tables."""
    with psycopg.connect(dsn) as connection:
        messages = scalar(connection, "select count(*) from kata_data.message")
        rows = connection.execute(
            """
            select r.relname, greatest(r.reltuples, 0)::bigint, pg_table_size(r.oid), pg_indexes_size(r.oid)
            from pg_class r
            where r.relnamespace = 'kata_data'::regnamespace and r.relkind = 'r'
              and pg_total_relation_size(r.oid) > 1000000
            order by pg_total_relation_size(r.oid) desc"""
        ).fetchall()
        total = scalar(connection, "select pg_database_size(current_database())")
    yield Finding(
        "database", {"messages": messages, "bytes": total, "bytes per message": round(total / messages)}
    )
    for table, count, heap, indexes in rows:
        yield Finding(
            f"table {table}",
            {
                "rows": count,
                "bytes": heap,
                "bytes of indexes": indexes,
                "bytes per message": round((heap + indexes) / messages),
            },
        )


def upkeep(dsn: str, folder: Path) -> Iterator[Result]:
    """Yield how long the work of operators takes."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in (
            "vacuum (freeze) kata_data.message",
            "vacuum analyze",
            "reindex index kata_data.message_pkey",
        ):
            yield Finding(statement, {"seconds": round(seconds(partial(connection.execute, statement)), 1)})
    yield Finding("kata migrate, nothing to do", {"seconds": round(seconds(lambda: migrate.up(dsn)), 1)})
    yield Finding(
        "kata migrate up --reinstall", {"seconds": round(seconds(lambda: migrate.up(dsn, reinstall=True)), 1)}
    )
    dump = folder / "kata.dump"
    command = [str(find_binaries() / "pg_dump"), "--format=custom", "--compress=1", f"--file={dump}", dsn]
    took = seconds(lambda: subprocess.run(command, check=True))
    yield Finding("pg_dump", {"seconds": round(took), "bytes": dump.stat().st_size})


def main() -> None:
    """Fill both databases and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--contexts", type=int, default=1_000_000, help="of the larger database (default 1000000)"
    )
    parser.add_argument(
        "--folder", type=Path, help="where to put the data (default: that of temporary files)"
    )
    parser.add_argument("--keep", action="store_true", help="leave the data where they are")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write JSON lines to this file")
    options = parser.parse_args()
    with server_in(options.folder, options.keep) as server:
        dsns = [
            load(server, name, contexts)
            for name, contexts in (("few", max(2_000, options.contexts // 100)), ("many", options.contexts))
        ]
        lines = [json.dumps(machine(**{"kata-context": __version__}))]
        for section, results in (
            ("sizes", sizes(dsns[1])),
            ("calls", compared(*map(Calls, dsns))),
            ("upkeep", upkeep(dsns[1], server.home.parent)),
        ):
            for result in results:
                lines.append(as_json(section, result))
                print(result.show(), flush=True)
    if options.json:
        write_lines(options.json, lines)


if __name__ == "__main__":
    main()
