"""`make bench-langgraph`: a graph over 100 turns on the checkpointer of this project and on LangGraph's own.

Both are on one server, with the same real messages, turn by turn in alternation. A turn is a question and an
answer, three checkpoints. Writes one JSON line per result.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, MessagesState, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from harness import own_server, real_messages
from kata_context import AsyncKata
from kata_context import __version__ as own_version
from kata_context.contrib.langgraph import AsyncKataSaver
from measure import machine, write_lines

TURNS = 100
LAST = 10  # turns at the end of which the median is taken
BYTES_TARGET, TIME_TARGET = 8.0, 1.0
# All tables of a store, with their indexes and TOAST; without maps of free space, whose first page comes with
# the first vacuum of a table, however small.
BYTES = """
select sum(
  pg_relation_size(c.oid) + pg_indexes_size(c.oid)
  + case when c.reltoastrelid <> 0
    then pg_relation_size(c.reltoastrelid) + pg_indexes_size(c.reltoastrelid) else 0 end)::bigint
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and """
OURS = "n.nspname in ('kata_data', 'kata_langgraph')"
THEIRS = "n.nspname = 'public' and c.relname like 'checkpoint%'"

Config = dict[str, Any]


class Rival:
    """A checkpointer under a graph that answers with real texts.

    Parameters
    ----------
    saver : the checkpointer
    tables : which tables it fills
    """

    def __init__(self, saver: Any, tables: str) -> None:
        self.tables = tables
        self.texts = itertools.cycle(
            message["content"] for message in real_messages() if message.get("content")
        )
        builder: Any = StateGraph(MessagesState)
        builder.add_node("answer", self.answer)
        builder.add_edge(START, "answer")
        self.graph = builder.compile(checkpointer=saver)

    async def answer(self, _: MessagesState) -> dict[str, Any]:
        """Answer with the next text, as a model would."""
        return {"messages": [AIMessage(next(self.texts), id=str(uuid.uuid4()))]}

    async def turn(self, config: Config) -> None:
        """Ask with the next text."""
        await self.graph.ainvoke({"messages": [HumanMessage(next(self.texts), id=str(uuid.uuid4()))]}, config)

    async def state(self, config: Config) -> None:
        """Read the newest state."""
        await self.graph.aget_state(config)

    async def history(self, config: Config) -> None:
        """Read all states."""
        async for _ in self.graph.aget_state_history(config):
            pass


@asynccontextmanager
async def rivals(dsn: str) -> AsyncIterator[tuple[Rival, Rival]]:
    """Open both checkpointers, each on up to four connections."""
    async with AsyncExitStack() as stack:
        kata = await stack.enter_async_context(AsyncKata(dsn))
        ours = AsyncKataSaver(kata)
        await ours.setup()
        options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        pool: Any = AsyncConnectionPool(dsn, min_size=1, max_size=4, kwargs=options, open=False)
        theirs = AsyncPostgresSaver(await stack.enter_async_context(pool))
        await theirs.setup()
        yield Rival(ours, OURS), Rival(theirs, THEIRS)


async def timed(call: Callable[[Config], Awaitable[None]], config: Config) -> float:
    """Return the milliseconds of a call."""
    start = time.perf_counter()
    await call(config)
    return 1000 * (time.perf_counter() - start)


def measured_bytes(dsn: str, rival: Rival) -> int:
    """Return the bytes of a store."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute((BYTES + rival.tables).encode()).fetchone()
        assert row is not None
        return int(row[0])


async def measure(dsn: str, rounds: int, turns: int) -> list[dict[str, Any]]:
    """Return the lines of all results."""
    times: list[list[list[float]]] = [[], []]
    reads: dict[str, list[list[float]]] = {"state": [[], []], "history": [[], []]}
    async with rivals(dsn) as pair:
        for rival in pair:  # what is made once
            await rival.turn(thread())
        sizes = [[measured_bytes(dsn, rival)] for rival in pair]
        for number in range(rounds):
            configs = [thread(), thread()]
            rows: list[list[float]] = [[], []]
            for turn in range(turns):
                for place in (0, 1) if (turn + number) % 2 else (1, 0):
                    rows[place].append(await timed(pair[place].turn, configs[place]))
                if number == 0 and turn + 1 in (turns // 2, turns):
                    for place, rival in enumerate(pair):
                        sizes[place].append(measured_bytes(dsn, rival))
            for place, rival in enumerate(pair):
                times[place].append(rows[place])
                reads["state"][place].append(await timed(rival.state, configs[place]))
                reads["history"][place].append(await timed(rival.history, configs[place]))
    lines = []
    for name, part in (("first", slice(0, LAST)), ("last", slice(-LAST, None))):
        ours, theirs = (statistics.median(t for row in side for t in row[part]) for side in times)
        lines.append(
            result(
                f"the {name} {LAST} of {turns} turns",
                "ms per turn",
                ours,
                theirs,
                TIME_TARGET if name == "last" else None,
            )
        )
    for name, (own, other) in reads.items():
        lines.append(
            result(
                f"read the {name} after {turns} turns",
                "ms",
                statistics.median(own),
                statistics.median(other),
                None,
            )
        )
    halves = [[after - before for before, after in itertools.pairwise(side)] for side in sizes]
    ours, theirs = (sum(half) / 1000 for half in halves)
    lines.append(result(f"{turns} turns on disk", "kB", ours, theirs, BYTES_TARGET))
    ours, theirs = (half[1] / half[0] for half in halves)
    lines.append(result("second half over first half", "times", ours, theirs, None))
    return lines


def thread() -> Config:
    """Return the config of a new thread."""
    return {"configurable": {"thread_id": str(uuid.uuid4())}}


def result(name: str, unit: str, ours: float, theirs: float, target: float | None) -> dict[str, Any]:
    """Return a result as a line; the ratio is theirs to ours."""
    ratio = theirs / ours
    met = None if target is None else ratio >= target
    return {
        "section": "langgraph", "name": name, "unit": unit,
        "ours": round(ours, 2), "theirs": round(theirs, 2), "ratio": round(ratio, 2),
        "target": target, "met": met,
    }  # fmt: skip


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="threads of each checkpointer")
    parser.add_argument("--turns", type=int, default=TURNS, help="turns of each thread")
    parser.add_argument("--json", type=Path, help="file for the JSON lines")
    options = parser.parse_args()
    packages = ("langgraph", "langgraph-checkpoint-postgres", "psycopg")
    lines = [machine(**{"kata-context": own_version}, **{name: version(name) for name in packages})]
    with own_server() as (_, dsn):
        lines += asyncio.run(measure(dsn, options.rounds, options.turns))
    for line in lines[1:]:
        target = (
            ""
            if line["target"] is None
            else f"   target {line['target']:g} {'met' if line['met'] else 'MISSED'}"
        )
        print(
            f"{line['name']:<34} {line['ours']:>10,.2f} {line['unit']:<12} "
            f"AsyncPostgresSaver {line['theirs']:>10,.2f}   ratio {line['ratio']:.2f}{target}"
        )
    if options.json:
        write_lines(options.json, [json.dumps(line) for line in lines])


if __name__ == "__main__":
    main()
