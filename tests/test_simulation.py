"""Agents that talk for thousands of turns while workers compact, badly: slow, empty, wordy, failing, killed.

The conversations are recorded ones, replayed by several agents at once. Time is that of the database, set
turn by turn, so a day of it takes seconds.
"""

import json
import os
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import cycle, pairwise
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from support.interleaving import Connect, rows
from test_conversations import recorded

pytestmark = pytest.mark.slow

TURNS = int(os.environ.get("KATA_SIMULATION_TURNS", "2000"))
AGENTS = 3
LEASE = 120
POLICY = {
    "budget": 3000,
    "threshold": 0.8,
    "preserve_recent_count": 6,
    "min_gain_tokens": 300,
    "min_interval_seconds": 60,
    "debounce_seconds": 2,
    "open_call_grace_seconds": 300,
    "max_failures": 3,
}
# How often a summarizer does what.
SUMMARIZERS = {
    "good": 10,
    "slow": 3,
    "empty": 1,
    "wordy": 1,
    "failing": 2,
    "killed": 2,
    "killed in its commit": 1,
}


@dataclass
class Agent:
    """One agent: what it said, and what of it waits for a result."""

    context_id: uuid.UUID
    script: Any
    said: list[tuple[str, str | None]] = field(default_factory=list)
    tokens: int = 0
    open_calls: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    """The group and the beginning of each open call."""

    def is_asking(self, now: datetime) -> bool:
        """Return whether a call is open within its grace."""
        grace = timedelta(seconds=int(POLICY["open_call_grace_seconds"]))
        return any(began + grace > now for _, began in self.open_calls.values())


@dataclass
class Work:
    """A compaction that a worker was handed."""

    agent: Agent
    compaction_id: uuid.UUID
    source_tokens: int
    summarizer: str
    back_at: datetime


class Simulation:
    """The agents, the workers, the clock."""

    def __init__(self, conn: psycopg.Connection, other: psycopg.Connection) -> None:
        self.conn = conn
        self.other = other
        self.random = Random(7)
        self.now = datetime(2099, 1, 1, tzinfo=timezone.utc)
        self.set_clock()
        self.agents = []
        scripts = [[m for m in messages if m["role"] != "system"] for _, messages in recorded()]
        for number in range(AGENTS):
            ((context_id,),) = rows(
                conn, "select kata.create_context(%s, %s)", f"agent {number}", Jsonb(POLICY)
            )
            endless = (message for script in cycle(scripts[number::AGENTS]) for message in script)
            self.agents.append(Agent(context_id, endless))
        self.by_context = {agent.context_id: agent for agent in self.agents}
        self.working: list[Work] = []
        self.done: Counter[str] = Counter()
        self.resets = 0

    def set_clock(self) -> None:
        """Set the clock of the database."""
        for conn in (self.conn, self.other):
            rows(conn, "select set_config('kata.clock', %s, false)", self.now.isoformat())

    def pass_time(self, low: int, high: int) -> None:
        """Let some seconds pass."""
        self.now += timedelta(seconds=self.random.randint(low, high))
        self.set_clock()

    def run(self) -> None:
        """Let the agents talk, and the workers look after every turn."""
        for turn in range(TURNS):
            self.pass_time(1, 20)
            self.talk(self.random.choice(self.agents))
            self.tend()
            if turn % 300 == 299:
                self.look_after()

    def end(self) -> None:
        """Let the last workers come back, and good ones do what is left."""
        self.now += timedelta(hours=1)
        self.set_clock()
        for work in self.working:
            self.bring_back(work)
        self.look_after()
        self.now += timedelta(hours=1)
        self.set_clock()
        self.working = []
        self.claim()
        for work in self.working:
            work.summarizer = "good"
            self.bring_back(work)

    def tend(self) -> None:
        """Let the workers that are done come back, and take what is due."""
        for work in [work for work in self.working if work.back_at <= self.now]:
            self.working.remove(work)
            self.bring_back(work)
        self.claim()

    def talk(self, agent: Agent) -> None:
        """Say the next thing of a script; a tool takes its time, at times very long."""
        message = next(agent.script)
        if message["role"] == "tool" and self.random.random() < 0.05:
            for _ in range(self.random.randint(5, 40)):
                self.pass_time(10, 20)
                self.tend()
        ((version, tokens),) = rows(
            self.conn,
            "select version, token_count from kata.append(%s, %s)",
            agent.context_id,
            Jsonb([message]),
        )
        agent.said.append((message["role"], message["content"]))
        agent.tokens += tokens
        for call in message.get("tool_calls") or []:
            agent.open_calls[call["id"]] = (version, self.now)
        agent.open_calls.pop(message.get("tool_call_id") or "", None)

    def claim(self) -> None:
        """Take all the work that is handed out."""
        claimed = (
            "select context_id, compaction_id, lower(covered), upper(covered), covered::text, source_tokens"
        )
        while found := rows(self.conn, f"{claimed} from kata.claim_due_compaction('worker', %s)", LEASE):
            ((context_id, compaction_id, low, high, covered, source_tokens),) = found
            agent = self.by_context[context_id]
            assert not agent.is_asking(self.now), "a call is open within its grace"
            for group, _ in agent.open_calls.values():
                assert rows(self.conn, "select %s::int8multirange @> %s::bigint", covered, group) == [
                    (False,)
                ]
            # The worker that had it before is too late: its lease ran out.
            for work in self.working:
                if work.agent is agent:
                    late = "status, lease_expires_at <= %s from kata_data.compaction where compaction_id = %s"
                    found = rows(self.conn, f"select {late}", self.now, work.compaction_id)
                    assert found == [("expired", True)], "two at once"
            assert 1 <= low < high
            assert source_tokens >= POLICY["min_gain_tokens"]
            summarizer = self.random.choices(list(SUMMARIZERS), list(SUMMARIZERS.values()))[0]
            seconds = (
                self.random.randint(5, 60) if summarizer != "slow" else self.random.randint(60, 3 * LEASE)
            )
            back_at = self.now + timedelta(seconds=seconds)
            self.working.append(Work(agent, compaction_id, source_tokens, summarizer, back_at))

    def bring_back(self, work: Work) -> None:
        """Let a worker end what it was handed, in its way."""
        commit = "select result_tokens < source_tokens from kata.commit_compaction(%s, %s, %s)"
        self.done[work.summarizer] += 1
        match work.summarizer:
            case "killed":
                return
            case "killed in its commit":
                try:
                    rows(self.other, commit, work.compaction_id, "lost", 50)
                except psycopg.Error as error:
                    if error.sqlstate != "KC011":
                        raise
                self.other.rollback()
                self.set_clock()
                return
            case "good" | "slow":
                before = self.view_tokens(work.agent)
                try:
                    assert rows(self.conn, commit, work.compaction_id, "the conversation so far", 80) == [
                        (True,)
                    ]
                except psycopg.Error as error:
                    # Taken over; nothing else makes it stale here.
                    if error.sqlstate != "KC011":
                        raise
                    assert work.summarizer == "slow"
                    self.done["too late"] += 1
                else:
                    assert self.view_tokens(work.agent) == before - work.source_tokens + 80
                return
            case "empty" | "wordy":
                summary, tokens = (
                    (" \n", 1) if work.summarizer == "empty" else ("word " * 50, work.source_tokens)
                )
                with pytest.raises(psycopg.Error) as refused:
                    rows(self.conn, commit, work.compaction_id, summary, tokens)
                assert refused.value.sqlstate == "KC012"
        rows(
            self.conn,
            "select kata.abort_compaction(%s, %s)",
            work.compaction_id,
            f"the summarizer was {work.summarizer}",
        )

    def view_tokens(self, agent: Agent) -> int:
        """Return the tokens of an agent's view."""
        return int(rows(self.conn, "select view_tokens from kata.usage(%s)", agent.context_id)[0][0])

    def look_after(self) -> None:
        """Start anew what failed too often, as its owner would."""
        for agent in self.agents:
            ((failures,),) = rows(
                self.conn, "select failures from kata.compaction_status(%s)", agent.context_id
            )
            if failures >= int(POLICY["max_failures"]):
                rows(self.conn, "select kata.set_policy(%s, '{}')", agent.context_id)
                self.resets += 1


def test_thousands_of_turns_with_bad_summarizers(connect: Connect, observer: psycopg.Connection) -> None:
    simulation = Simulation(connect(autocommit=True), connect())
    simulation.run()
    simulation.end()
    assert min(simulation.done[summarizer] for summarizer in SUMMARIZERS) >= 1, simulation.done
    for agent in simulation.agents:
        said = rows(
            observer,
            "select role, content from kata.state_at(%s, visibility => 'raw')",
            agent.context_id,
        )
        assert said == agent.said, "an append was lost, doubled or changed"
        assert_bounded(observer, agent, simulation.resets)
        assert simulation.view_tokens(agent) <= 2 * int(POLICY["budget"]), "a good summarizer left too much"
    assert rows(observer, "select * from kata.verify()") == []


def assert_bounded(observer: psycopg.Connection, agent: Agent, resets: int) -> None:
    """Assert that compaction followed what was appended, and its guards."""
    attempts = rows(
        observer,
        """
        select status, error, started_at, coalesce(finished_at, 'infinity')
        from kata.compactions(%s) order by started_at
        """,
        agent.context_id,
    )
    ended = Counter(status for status, *_ in attempts)
    assert ended["running"] <= 1
    assert ended["committed"] >= 5
    gain = int(POLICY["min_gain_tokens"])
    # Each begins where the view has grown by the least gain since the last that ended by itself.
    settled = sum(
        1 for status, error, *_ in attempts if status == "committed" or (error or "").startswith("What")
    )
    assert settled <= agent.tokens / gain + 1 + resets
    assert len(attempts) <= (settled + resets + 1) * (int(POLICY["max_failures"]) + 1), json.dumps(ended)
    for (_, _, _, earlier_end), (_, _, later_start, _) in pairwise(attempts):
        assert earlier_end <= later_start, "two at once"
