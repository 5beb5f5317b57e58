"""Requests that plan for the cache of a provider, judged by a simulator of its published rules."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from typing_extensions import LiteralString

from support.blocks import Json, blocks
from support.provider_cache import LOOK_BACK, ProviderCache

pytestmark = pytest.mark.slow

DATA = Path(__file__).parent / "data" / "conversations"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
REQUEST: LiteralString = """
    select body, start_version, token_count from kata.request(
      %s, %s, 'anthropic', 'a', cache => 'anthropic', stable_step => %s, options => '{"max_tokens": 1000}')"""
TOLERANCE = 1.06
"""A talk that leaps once may leap at a worse moment than the step that happens to suit it."""
GAPS: dict[str, Callable[[Random], float]] = {
    "20 s": lambda _: 20,
    "1 to 20 min": lambda random: min(max(random.expovariate(1 / 420), 60), 1200),
    "mostly 30 s": lambda random: (
        random.expovariate(1 / 30) if random.random() < 0.9 else random.uniform(300, 3000)
    ),
}


@dataclass
class Asked:
    """The requests of a talk: what they cost a provider, their bodies, and the least tokens after a leap."""

    cost: float = 0
    bodies: list[Json] = field(default_factory=list)
    floor: int = 2**31 - 1


def value(conn: psycopg.Connection, statement: LiteralString, *arguments: Any) -> Any:
    """Return the one value of a statement."""
    row = conn.execute(statement, arguments).fetchone()
    assert row is not None
    return row[0]


def recorded(name: str) -> list[list[Json]]:
    """Return the conversations of a file."""
    return [json.loads(line)["messages"] for line in (DATA / name).read_text("utf-8").splitlines()]


def parallel(turns: int, calls: int) -> list[Json]:
    """Return a conversation with many calls per turn."""
    messages: list[Json] = [{"role": "system", "content": "x" * 8000}]
    for turn in range(turns):
        ids = [f"c{turn}-{number}" for number in range(calls)]
        messages += [
            {"role": "user", "content": f"{turn} " + "y" * 200},
            {
                "role": "assistant",
                "content": "c" * 400,
                "tool_calls": [
                    {"id": call, "type": "function", "function": {"name": "f", "arguments": "{}"}}
                    for call in ids
                ],
            },
            *({"role": "tool", "tool_call_id": call, "content": call + "r" * 400} for call in ids),
            {"role": "assistant", "content": f"{turn} " + "a" * 400},
        ]
    return messages


def ask(
    conn: psycopg.Connection,
    messages: list[Json],
    budget: int,
    gap: Callable[[Random], float] = GAPS["20 s"],
    step: int = 0,
    keep: int | None = None,
) -> Asked:
    """Replay a conversation: before each answer a request, at its time, and a provider who bills it."""
    random = Random(len(messages))
    policy = {"strict": False, "keep_tokens": keep}
    context_id = value(conn, "select kata.create_context(policy => %s)", Jsonb(policy))
    provider = ProviderCache()
    asked = Asked()
    now = 0.0
    waiting: list[Json] = []
    first = None
    for number, message in enumerate(messages):
        if message["role"] == "assistant" and number > 0:
            conn.execute("select kata.append(%s, %s)", [context_id, Jsonb(waiting)])
            waiting = []
            now += gap(random)
            conn.execute("select set_config('kata.clock', %s, false)", [str(START + timedelta(seconds=now))])
            row = conn.execute(REQUEST, [context_id, budget, step]).fetchone()
            assert row is not None
            asked.bodies.append(json.loads(row[0]))
            asked.cost += provider.call(asked.bodies[-1], now).cost
            first = first or row[1]
            if row[1] > first:
                asked.floor = min(asked.floor, row[2])
        waiting.append(message)
    return asked


def tokens_of(conn: psycopg.Connection, messages: list[Json]) -> int:
    """Return the tokens of messages, as a context counts them."""
    context_id = value(conn, "select kata.create_context(policy => '{\"strict\": false}')")
    conn.execute("select kata.append(%s, %s)", [context_id, Jsonb(messages)])
    return int(value(conn, "select raw_tokens from kata.get_context(%s)", context_id))


def test_a_plan_costs_no_more_than_the_step_of_the_same_floor(
    conn: psycopg.Connection, is_long: bool
) -> None:
    airline = recorded("airline.jsonl")
    agent = recorded("swe-agent-marshmallow-1867.jsonl")
    joined = [airline[0][0], *(message for talk in airline[:12] for message in talk[1:])]
    sets = {
        "airline": (airline[:20] if is_long else airline[:1], 0.6),
        "agent": (agent, 0.6),
        "parallel": ([parallel(15 if is_long else 6, 25)], 0.5),
    } | ({"joined": ([joined], 0.2)} if is_long else {})
    gaps = GAPS if is_long else {name: GAPS[name] for name in ("20 s", "1 to 20 min")}
    worse = {}
    for name, (talks, share) in sets.items():
        # Preamble, whole, and the largest call with its result: what always comes has to fit.
        sizes = [
            (
                tokens_of(conn, t[:1]),
                tokens_of(conn, t),
                max(tokens_of(conn, list(pair)) for pair in pairwise(t[1:])),
            )
            for t in talks
        ]
        for regime, gap in gaps.items():
            for part in (4, 2) if is_long else (2,):
                plan = step = 0.0
                for talk, (preamble, full, largest) in zip(talks, sizes, strict=True):
                    budget = max(int(full * share), preamble + max(600, largest))
                    stepped = ask(conn, talk, budget, gap, step=budget // part)
                    floor = min(budget - budget // part, stepped.floor) - preamble
                    step += stepped.cost
                    plan += ask(conn, talk, budget, gap, keep=max(floor, 1)).cost
                if plan > step * TOLERANCE:
                    worse[name, regime, part] = plan / step
    assert worse == {}


def test_a_bridge_reads_over_many_blocks(conn: psycopg.Connection) -> None:
    bodies = [blocks(body) for body in ask(conn, parallel(4, 25), 100_000).bodies]
    bridges = 0
    for before, after in pairwise(bodies):
        assert [part.text for part in after[: len(before)]] == [part.text for part in before]
        if len(after) - len(before) > LOOK_BACK:
            assert after[len(before) - 1].mark is not None
            bridges += 1
        assert after[-1].mark is not None
    assert bridges == 4


def test_a_fork_begins_with_what_its_parent_sent(conn: psycopg.Connection) -> None:
    talk = recorded("airline.jsonl")[0]
    asked: LiteralString = (
        "select body from kata.request(%s, 4000, 'anthropic', 'a', cache => 'anthropic', reserve => 500)"
    )
    parent = value(conn, "select kata.create_context(policy => '{\"strict\": false}')")
    texts: list[str] = []
    for message in talk:
        if message["role"] == "assistant" and texts is not None:
            texts = [part.text for part in blocks(json.loads(value(conn, asked, parent)))]
            at = value(conn, "select version from kata.get_context(%s)", parent)
        conn.execute("select kata.append(%s, %s)", [parent, Jsonb([message])])
    # The parent goes on; the forks stand where its last request did.
    value(conn, "select kata.append_message(%s, 'user', 'go on')", parent)
    value(conn, asked, parent)
    forks: set[uuid.UUID] = set()
    for number in range(64):
        fork = value(conn, "select kata.fork(%s, at => %s)", parent, at)
        value(conn, "select kata.append_message(%s, 'user', %s)", fork, f"way {number}")
        sent = [part.text for part in blocks(json.loads(value(conn, asked, fork)))]
        assert sent[: len(texts)] == texts
        assert len(sent) == len(texts) + 1
        forks.add(fork)
    assert len(forks) == 64


def test_two_workers_plan_alike(connect: Callable[..., psycopg.Connection]) -> None:
    one, two = connect(autocommit=True), connect(autocommit=True)
    context_id = value(one, "select kata.create_context()")
    value(one, "select kata.append_message(%s, 'system', 'Be brief.')", context_id)
    starts = []
    for number in range(30):
        value(one, "select kata.append_message(%s, 'user', %s)", context_id, f"{number} " + "word " * 60)
        for worker in (one, two):
            row = worker.execute(REQUEST, [context_id, 1000, 0]).fetchone()
            assert row is not None
            starts.append(row[:2])
        value(one, "select kata.append_message(%s, 'assistant', %s)", context_id, f"yes {number}")
    assert starts[::2] == starts[1::2]
    # The start stays for some requests, then leaps.
    assert 1 < len({start for _, start in starts}) < 12
