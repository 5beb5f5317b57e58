"""Signed thinking in requests: of random transcripts, what is sent is valid, and what is valid is sent."""

import json
import uuid
from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from typing_extensions import LiteralString

from support.blocks import THINKING, Json
from support.provider_cache import ProviderCache
from support.signed import Signed

pytestmark = pytest.mark.slow

REQUESTS = 300
REQUESTS_LONG = 15_000
LOST_PERMILLE = 1
"""Merged copies are never sent, although one may come after the very rows that its original had."""
WORDS = ["flight", "refund", "the", "of", "Paris", "ticket", "seat", "order"]
POLICY = {
    "preserve_recent_count": 2,
    "min_gain_tokens": 0,
    "min_interval_seconds": 0,
    "strict": False,
}
OPTIONS = {"max_tokens": 1000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
TOOLS = [{"name": "f", "input_schema": {"type": "object"}}]
REQUEST: LiteralString = """
    select request_id, body, notes from kata.request(
      %s, %s, 'anthropic', model => %s, tools => %s, options => %s, stable_step => %s, cache => %s)"""


@dataclass
class Talk:
    """A context, and how its model is asked."""

    context_id: uuid.UUID
    budget: int
    stable_step: int
    cache: str | None
    model: str = "a"
    tools: list[Json] = field(default_factory=lambda: TOOLS)


class Transcripts:
    """Random transcripts of agents that think, and a judge who sees their bodies.

    Parameters
    ----------
    conn : commits each statement
    seed : what all choices follow from
    """

    def __init__(self, conn: psycopg.Connection, seed: int) -> None:
        self.conn = conn
        self.random = Random(seed)
        self.signed = Signed()
        self.count: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.found: list[Any] = []
        self.talks = [self.begin() for _ in range(3)]
        self.signatures = 0

    def value(self, statement: LiteralString, *arguments: Any) -> Any:
        """Return the one value of a statement."""
        row = self.conn.execute(statement, arguments).fetchone()
        assert row is not None
        return row[0]

    def text(self, words: int) -> str:
        """Return some words."""
        return " ".join(self.random.choices(WORDS, k=words))

    def happens(self, share: float) -> bool:
        """Return whether something of some probability happens."""
        return self.random.random() < share

    def begin(self) -> Talk:
        """Begin a talk."""
        context_id = self.value("select kata.create_context(policy => %s)", Jsonb(POLICY))
        self.append(context_id, "system", "You are helpful.")
        self.append(context_id, "user", "Hello")
        budget = self.random.choice([400, 800, 3000])
        step = self.random.choice([0, budget // 4, budget // 2])
        return Talk(context_id, budget, step, self.random.choice([None, "anthropic"]))

    def append(self, context_id: uuid.UUID, role: str, content: str, call: str | None = None) -> None:
        """Append a message."""
        self.value(
            "select kata.append_message(%s, %s, %s, tool_call_id => %s)", context_id, role, content, call
        )

    def run(self, requests: int) -> None:
        """Take steps until a number of requests is made."""
        while self.count["requests"] < requests:
            if self.happens(0.01):
                self.talks = [*self.talks[-11:], self.begin()]
            talk = self.random.choice(self.talks)
            try:
                self.take_turn(talk)
                self.change(talk)
            except psycopg.Error as error:
                state = error.sqlstate or ""
                if not state.startswith("KC"):
                    raise
                self.refused[state] += 1
                if state == "KC020":
                    talk.budget += 300

    def take_turn(self, talk: Talk) -> None:
        """Ask the model, judge the body, and append what comes of it."""
        if self.happens(0.03):
            talk.model = "b" if talk.model == "a" else "a"
        if self.happens(0.01):
            talk.tools = self.random.choice([[], TOOLS])
        request_id, body = self.ask(talk)
        if self.happens(0.05):
            return  # it failed
        if self.happens(0.06):
            self.append(talk.context_id, "user", self.text(3))
        self.answer(talk, request_id, body)
        calls = self.value("select open_calls from kata.get_context(%s)", talk.context_id)
        self.random.shuffle(calls)
        for call in calls:
            if self.happens(0.93):
                self.append(talk.context_id, "tool", self.text(self.random.choice([2, 30, 150])), call)
            if self.happens(0.03):
                self.append(talk.context_id, "user", self.text(4))
        if not calls or self.happens(0.05):
            self.append(talk.context_id, "user", self.text(self.random.randint(1, 10)))

    def ask(self, talk: Talk) -> tuple[int, Json]:
        """Make a request and judge its body."""
        row = self.conn.execute(
            REQUEST,
            [
                talk.context_id,
                talk.budget,
                talk.model,
                json.dumps(talk.tools),
                json.dumps(OPTIONS),
                talk.stable_step,
                talk.cache,
            ],
        ).fetchone()
        assert row is not None
        request_id, text, notes = row
        body = json.loads(text)
        verdict = self.signed.judge(body)
        # At most four marks, and none on thinking.
        ProviderCache().call(body, 0)
        self.count.update(
            {
                "requests": 1,
                "sent": len(verdict.sent),
                "invalid": len(verdict.invalid),
                "lost": len(verdict.lost),
            }
        )
        if verdict.invalid or verdict.lost:
            self.found.append((talk.context_id, request_id, verdict))
        self.check_end(body, notes)
        if self.happens(0.1):
            same = self.conn.execute(
                "select body, is_same from kata.replay(%s, %s)", [talk.context_id, request_id]
            )
            assert same.fetchone() == (text, True)
        return request_id, body

    def check_end(self, body: Json, notes: Json | None) -> None:
        """Check that thinking is off exactly where the note says so, and that it may be on elsewhere."""
        is_off = body["thinking"] == {"type": "disabled"}
        assert is_off == bool((notes or {}).get("thinking_off"))
        turns = body["messages"]
        if turns[-1]["role"] == "user" and turns[-1]["content"][-1]["type"] == "tool_result" and not is_off:
            self.count["open turns"] += 1
            assert turns[-2]["content"][0]["type"] in THINKING, turns[-2:]
        self.count["off"] += is_off

    def answer(self, talk: Talk, request_id: int, body: Json) -> None:
        """Append an answer with thinking, and perhaps calls."""
        self.signatures += 1
        mark = f"s{self.signatures}"
        thinking = {"type": "thinking", "thinking": self.text(5), "signature": mark}
        parts = [thinking]
        calls = []
        if self.happens(0.5):
            calls = [
                {"id": f"{mark}-{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                for n in range(self.random.randint(1, 3))
            ]
        if not calls or self.happens(0.5):
            text = {"text": f"{mark} {self.text(self.random.randint(1, 20))}", "type": "text"}
            parts.append(text)
            follower: Json = text
        else:
            follower = {"id": f"{mark}-0", "name": "f", "type": "tool_use", "input": {}}
        self.value(
            """
            select kata.append_message(
              %s, 'assistant', null, parts => %s, tool_calls => %s, model => %s, token_count => %s,
              request_id => %s)""",
            talk.context_id,
            Jsonb(parts),
            Jsonb(calls) if calls else None,
            talk.model,
            self.random.randint(20, 60),
            request_id,
        )
        as_sent = {name: thinking[name] for name in ("type", "thinking", "signature")}
        self.signed.answer(body, as_sent, follower)

    def change(self, talk: Talk) -> None:
        """Perhaps change what is seen, or the family."""
        context_id = talk.context_id
        version = self.value("select version from kata.get_context(%s)", context_id)
        some = self.random.randint(1, version)
        kind = self.random.choices(
            [
                "none",
                "compact",
                "elide",
                "delete",
                "pin",
                "undo",
                "fork",
                "erase",
                "merge",
                "amend",
                "rewind",
            ],
            [84, 3, 2, 1, 1, 3, 3, 0.5, 1, 1, 2],
        )[0]
        if kind == "compact":
            self.conn.execute("select kata.compact(%s, 'digest', force => true)", [context_id])
        elif kind == "elide":
            self.value("select kata.elide(%s, %s, %s, 20)", context_id, some, version)
        elif kind == "delete":
            self.value("select kata.delete_messages(%s, %s)", context_id, some)
        elif kind == "pin":
            self.value("select kata.pin(%s, %s)", context_id, some)
        elif kind == "undo":
            self.undo(context_id)
        elif kind == "fork":
            at = self.random.randint(max(2, version - 10), version)
            fork = self.value("select kata.fork(%s, at => %s)", context_id, at)
            self.talks.append(replace(talk, context_id=fork))
        elif kind == "erase":
            self.conn.execute("select kata.erase_message(%s, %s, 'by request')", [context_id, max(some, 2)])
        elif kind == "amend":
            words = {"content": self.text(4), "parts": None}
            self.value("select kata.amend(%s, %s, %s)", context_id, some, Jsonb(words))
        elif kind == "rewind":
            self.value("select kata.rewind(%s, %s)", context_id, max(version - 8, some, 2))
        elif kind == "merge":
            other = self.random.choice(self.talks).context_id
            self.conn.execute("select kata.merge(%s, %s)", [context_id, other])
        self.count[kind] += 1

    def undo(self, context_id: uuid.UUID) -> None:
        """Undo one of the last three changes."""
        changes = self.conn.execute(
            "select version from kata.history(%s, max_rows => 100) where kind <> 'message' limit 3",
            [context_id],
        ).fetchall()
        if changes:
            self.value("select kata.undo(%s, %s)", context_id, self.random.choice(changes)[0])


def test_what_is_sent_is_valid_and_what_is_valid_is_sent(connect: Any, seed: int, is_long: bool) -> None:
    """Parallel calls, late and lost results, users who interrupt, windows that move, and all changes."""
    transcripts = Transcripts(connect(autocommit=True), seed)
    transcripts.run(REQUESTS_LONG if is_long else REQUESTS)
    count = transcripts.count
    told = f"{count} refused {transcripts.refused}: {transcripts.found[:3]}"
    assert count["invalid"] == 0, told
    assert count["lost"] <= max(2, count["sent"] * LOST_PERMILLE // 1000), told
    assert count["sent"] > count["requests"] / 2, told
    assert count["open turns"] > 0, told
