"""The plans of reads, as auto_explain shows them. docs/plans.md says what each planner setting is for."""

import re
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg.types.json import Jsonb

from test_growth import APPEND, MESSAGES, READS, connect, create_two

# One profile is enough for these: they look up rows by key.
LOOKUPS = {"a context", "the acts", "the heads", "ancestry", "the policy", "the result of a key"}


def listen(conn: psycopg.Connection) -> list[str]:
    """Return a list to which the plans of all statements are added, those inside functions too."""
    plans: list[str] = []
    try:
        conn.execute("load 'auto_explain'")
    except psycopg.errors.UndefinedFile:
        pytest.skip("this server has no auto_explain")
    conn.add_notice_handler(lambda notice: plans.append(notice.message_primary or ""))
    for setting, value in {
        "auto_explain.log_min_duration": "0",
        "auto_explain.log_nested_statements": "on",
        "auto_explain.log_parameter_max_length": "0",
        "auto_explain.log_level": "notice",
    }.items():
        conn.execute("select set_config(%s, %s, false)", [setting, value])
    return plans


class Plans:
    """A connection to a database with a context of 2,000 messages, and the plans of what it runs.

    Parameters
    ----------
    literal : the context, as a plan names it that was made for this context alone
    """

    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn
        self._context_id, _ = create_two(conn)
        self.literal = f"'{self._context_id}'"
        for _ in range(2):
            conn.execute(APPEND, {"context": self._context_id, "batch": Jsonb(MESSAGES * 100)})
        conn.execute("select kata.checkpoint(%s, 'beginning', 0)", [self._context_id])
        conn.execute("vacuum analyze")
        self._plans = listen(conn)

    def set(self, name: str, value: str) -> None:
        """Change a setting of the connection."""
        self._conn.execute("select set_config(%s, %s, false)", [name, value])

    def of(self, read: str) -> list[str]:
        """Run a read and return the plans of the statements inside the functions that it calls."""
        self._plans.clear()
        self._conn.execute(READS[read].encode(), {"context": self._context_id, "at": 1_500})
        # The last is that of the read itself.
        *nested, _ = [plan for plan in self._plans if plan.startswith("duration:")]
        return nested


@pytest.fixture
def plans(database: str) -> Iterator[Plans]:
    """The plans of reads of one connection."""
    with closing(connect(database)) as conn:
        yield Plans(conn)


def path_reads() -> list[str]:
    """Return the names of the reads that follow a path."""
    return [name for name in READS if name not in LOOKUPS]


def test_no_read_is_planned_for_the_one_context_that_it_reads(plans: Plans) -> None:
    """Planning a read costs more than the read, and the first five plans of a session would be such ones."""
    offenders = [name for name in path_reads() if any(plans.literal in plan for plan in plans.of(name))]
    assert offenders == []


def test_no_plan_of_a_read_copies_rows_that_are_read_once(plans: Plans) -> None:
    offenders = [name for name in path_reads() if any("Memoize" in plan for plan in plans.of(name))]
    assert offenders == []


def test_no_plan_of_a_read_scans_a_table(plans: Plans) -> None:
    plans.set("random_page_cost", "1000")
    offenders = [
        name
        for name in READS
        if any(
            re.search(r"Seq Scan on (message|view_change|lineage|head|context|summary|stub)\b", plan)
            for plan in plans.of(name)
        )
    ]
    assert offenders == []


def rows_seen(plans: list[str]) -> int:
    """Return how many rows the nodes of some plans saw, those that filters removed too."""
    rows, loops = 0.0, 1
    for line in "\n".join(plans).splitlines():
        if node := re.search(r"\(actual rows=([\d.]+) loops=(\d+)\)", line):
            loops = int(node[2])
            rows += float(node[1]) * loops
        elif removed := re.search(r"Rows Removed by .*: (\d+)", line):
            rows += int(removed[1]) * loops
    return round(rows)


def test_calls_of_a_providers_own_tools_are_paired_in_linear_time(conn: psycopg.Connection) -> None:
    """A turn of search may have hundreds of calls; a plan that joins them with blocks reads the square."""
    turns = [
        {
            "role": "assistant",
            "content": [
                {"type": "server_tool_use", "id": f"srvtoolu_{turn}", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": f"srvtoolu_{turn}", "content": []},
            ],
        }
        for turn in range(1000)
    ]
    plans = listen(conn)
    conn.execute("set local auto_explain.log_analyze = on")
    conn.execute("set local auto_explain.log_timing = off")
    conn.execute("set local enable_seqscan = off")
    conn.execute("select kata_data.pair_server_calls(%s)", [Jsonb(turns)])
    # 2,000 blocks, and about a dozen nodes.
    assert 10_000 < rows_seen(plans) < 60_000, rows_seen(plans)


JOINED = "select jsonb_array_length(kata_data.joined_systems(%s))"


@pytest.mark.parametrize("form", ["openai", "responses", "anthropic", "gemini"])
def test_rows_are_written_and_system_messages_joined_in_linear_time(
    conn: psycopg.Connection, form: str
) -> None:
    """Four times the messages in one turn, with a part each, are at most five times the rows."""
    plans = listen(conn)
    conn.execute("set local auto_explain.log_analyze = on")
    conn.execute("set local auto_explain.log_timing = off")
    seen = []
    for length in (100, 400):
        context_id = conn.execute("select kata.create_context()").fetchone()
        part = {"parts": [{"type": "text", "text": "look"}], "token_count": 1}
        drafts = [{"role": role, **part} for role in ("user", "system")] * length
        conn.execute("select from kata.append(%s, %s)", [*(context_id or ()), Jsonb(drafts)])
        plans.clear()
        conn.execute("select kata.prompt(%s, 10000, %s)", [*(context_id or ()), form])
        if form == "openai":
            conn.execute(JOINED, [Jsonb([{"role": "system", "content": "look"}] * length)])
        seen.append(rows_seen(plans))
    short, long = seen
    assert short > 200
    assert long < 5 * short


def test_a_purge_in_a_chain_of_forks_looks_up_its_ancestors_by_key(conn: psycopg.Connection) -> None:
    """Without statistics a join with the contexts reads all of them at each step of the chain."""
    deep = Jsonb({"max_fork_depth": 1000})
    plans = listen(conn)
    conn.execute("set local auto_explain.log_timing = off")
    seen = []
    for length in (20, 80):
        (context_id,) = conn.execute("select kata.create_context(policy => %s)", [deep]).fetchone() or ()
        for _ in range(length):
            (context_id,) = conn.execute("select kata.fork(%s)", [context_id]).fetchone() or ()
        conn.execute("select kata.delete_context(%s)", [context_id])
        conn.execute("set local auto_explain.log_analyze = on")
        plans.clear()
        conn.execute("select * from kata.purge_context(%s)", [context_id])
        seen.append(rows_seen(plans))
        conn.execute("set local auto_explain.log_analyze = off")
    short, long = seen
    assert short > 100
    assert long < 5 * short, seen
