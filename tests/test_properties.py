"""The functions of log, window, forks and time against a model in memory, over thousands of random steps.

`make test-long` runs far more of them, by a seed that it prints.
"""

import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence, Set
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any, ClassVar, TypeVar

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from support import digests, model
from support.model import Draft, Message, Receipt

pytestmark = pytest.mark.slow

T = TypeVar("T")
LARGEST = 2147483647
NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
# Half the bytes a token of o200k_base, no margin: a conversion doubles the count.
OTHER = "other_base"
ALWAYS = ("preamble", "pinned", "newest")
# How many forks are looked at, beside two roots; of every number up to that WHICH chooses evenly.
FORKS = 3

# Nothing holds a compaction back but the rules of what may be covered.
RECENT = 2
POLICY = {
    "max_fork_depth": 1000,
    "preserve_recent_count": RECENT,
    "open_call_grace_seconds": 0,
    "summary_role": "user",
}
STRATEGIES = ("summarize", "summarize", "digest", "drop", "elide")
IDS = st.sampled_from(["a", "b", "c", "d", "é 1"])
TEXTS = st.sampled_from(["", "yes", "Grüße, 世界 🌍\n", '{"a": "\\u0041"}', "word " * 40, "x" * 3000])
COUNTS = st.one_of(st.none(), st.integers(0, 30), st.integers(0, 30), st.integers(0, 400), st.just(0))
EXTERNAL_IDS = st.sampled_from([f"m-{number}" for number in range(8)])
ON_DUPLICATE = st.sampled_from(["error", "skip"])
WHICH = st.integers(0, 59)
NAMES = st.sampled_from(["start", "plan", "übrig 1"])
PARTS = st.lists(
    st.sampled_from(
        [
            {"type": "text", "text": "seen"},
            {"type": "text", "text": ""},
            {"type": "image_url", "image_url": {"url": "data:"}},
        ]
    ),
    min_size=1,
    max_size=3,
)
TOOLS = st.sampled_from(
    [None, "[]", " [ ]\n", '[{"name": "look"}]', '[{"name":  "look"}]', '[{"b": 1, "a": 2}, {"name": "f"}]']
)
NOT_TOOLS = ("{}", "[1]", "null", '"[]"', "[[]]")
FORMATS = ("openai", "responses", "anthropic", "gemini")
FLAWS: Sequence[Draft] = (
    {"role": "robot"},
    {"role": None},
    {"text": "a key that does not exist"},
    {"token_count": -1},
    {"content": None, "tool_calls": None, "parts": None},
    {"role": "tool", "tool_calls": None, "tool_call_id": None},
    {"role": "user", "tool_call_id": "a"},
    {"role": "user", "tool_calls": [{"id": "z", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "assistant", "tool_calls": [{"id": "z", "function": {"name": "f", "arguments": "{}"}}] * 2},
)


@st.composite
def drafts(draw: st.DrawFn, open_calls: Sequence[str], flawed: bool = True) -> Draft:
    """A message, mostly one that can be appended while these calls are open."""
    kind = draw(st.sampled_from(["plain"] * 4 + ["calls"] * 3 + ["answer"] * 4 + ["parts"]))
    draft: Draft = {"content": draw(TEXTS)}
    odd = draw(st.integers(0, 9)) == 9
    if kind == "calls":
        ids = draw(st.lists(IDS, min_size=1, max_size=3, unique=not odd))
        free = [call for call in ids if odd or call not in open_calls]
        draft["role"] = "assistant"
        draft["tool_calls"] = [
            {"id": call, "type": "function", "function": {"name": "look", "arguments": draw(TEXTS)}}
            for call in free
        ]
        if draw(st.booleans()) and free:
            del draft["content"]
    elif kind == "answer":
        draft["role"] = "tool"
        draft["tool_call_id"] = draw(st.sampled_from(open_calls) if open_calls and not odd else IDS)
        draft["tool_name"] = "look"
    else:
        draft["role"] = draw(
            st.sampled_from(["user", "user", "assistant", "assistant", "system", "developer"])
        )
    if kind == "parts":
        del draft["content"]
        draft["parts"] = draw(PARTS)
    optional: dict[str, st.SearchStrategy[Any]] = {
        "model": st.just("gpt-4o"),
        "name": st.just("ann"),
        "metadata": st.just({"turn": 1.50, "at": ["x", None]}),
        "provider": st.just({"cache_control": {"type": "ephemeral"}}),
        "pinned": st.just(True),
        "external_id": EXTERNAL_IDS,
        "occurred_at": st.just("2020-02-29T23:59:59.5-01:30"),
    }
    for key, values in optional.items():
        if draw(st.integers(0, 19)) == 0:
            draft[key] = draw(values)
    count = LARGEST if draw(st.integers(0, 99)) == 99 else draw(COUNTS)
    if count is not None:
        draft["token_count"] = count
        if draw(st.integers(0, 4)) == 0:
            draft["token_source"] = "exact"
    if flawed and draw(st.integers(0, 24)) == 24:
        draft |= draw(st.sampled_from(FLAWS))
    return draft


def conversation(random: Random, open_calls: Sequence[str], size: int) -> list[Draft]:
    """Return messages of users who interrupt an agent that calls tools in parallel."""
    batch: list[Draft] = []
    waiting = list(open_calls)
    for number in range(size):
        draft: Draft = {"content": "…", "token_count": random.choice([0, 1, 5, 10, 20, 50, 300])}
        kind = random.random()
        if waiting and kind < 0.45:
            call = waiting.pop(random.randrange(len(waiting)))
            draft |= {"role": "tool", "tool_call_id": call}
        elif kind < 0.7:
            calls = [f"{len(open_calls)}-{number}-{n}" for n in range(random.randint(1, 3))]
            calls = [call for call in calls if call not in waiting]
            waiting += calls
            function = {"name": "look", "arguments": "{}"}
            draft |= {
                "role": "assistant",
                "tool_calls": [{"id": call, "function": function} for call in calls],
            }
        else:
            draft["role"] = random.choice(["user", "assistant", "user", "assistant", "system", "developer"])
        if random.random() < 0.02:
            draft["pinned"] = True
        batch.append(draft)
    return batch


@dataclass
class Pair:
    """A context in the database and its model."""

    context_id: uuid.UUID
    model: model.Context
    kept: list[tuple[tuple[Any, ...], str | None]] = field(default_factory=list)
    """Windows that were asked for, and the bytes of the answer."""
    begun: "Begun | None" = None
    sent: list[tuple[str, list[tuple[int, str]] | None]] = field(default_factory=list)
    """The bodies of its requests, and what their windows showed; None: the tools take tokens, too."""


@dataclass(frozen=True)
class Begun:
    """A compaction in progress: what it covers, as it was handed out."""

    compaction_id: uuid.UUID
    covered: frozenset[int]
    rows: list[Draft]


def window_rows(shown: Sequence[model.Shown]) -> list[Draft]:
    """Return a window as the function shows it."""
    rows: list[Draft] = []
    for s in shown:
        before = rows[-1]["running_tokens"] if rows else 0
        row = asdict(s.message) | {
            "position": s.position,
            "kind": s.kind,
            "ordinal": len(rows) + 1,
            "token_count": s.token_count,
            "running_tokens": before + s.token_count,
            "reason": s.reason,
            "over_budget": s.over_budget,
        }
        for column in ("token_source", "pinned", "segment_id", "external_id", "occurred_at"):
            del row[column]
        if s.kind == "stub":
            row |= {"content": None, "parts": None}
        if s.reason == "recalled":
            row |= {"parts": None, "provider": None}
        rows.append(row)
    return rows


def words(row: Draft) -> list[str]:
    """Return the texts of a message: those of its parts, or else its content."""
    parts = [part["text"] for part in row["parts"] or [] if part["type"] == "text" and part["text"].strip()]
    return parts or [row["content"]] if parts or (row["content"] or "").strip() else []


def sent_words(messages: Sequence[Draft]) -> Counter[str]:
    """Return the texts that messages of the OpenAI form send, less what the form adds."""
    contents = [message["content"] for message in messages]
    texts = [
        text
        for content in contents
        for text in ([content] if isinstance(content, str) else [p.get("text", "") for p in content or []])
    ]
    bare = [
        re.sub(r"^\[(result of call [^\]]*\] ?|summary of earlier messages\]\n)", "", text) for text in texts
    ]
    return Counter(
        text for text in bare if text not in ("", "[empty]", "[no result]", "[in the next message]")
    )


def without_stubs(rows: Sequence[Draft]) -> list[Draft]:
    """Return rows without the text of stubs, which says what it is."""
    stubs = [row for row in rows if row["kind"] == "stub"]
    assert all(row["content"].startswith("[shortened, ") for row in stubs)
    return [row | {"content": None} if row in stubs else row for row in rows]


class StoreMachine(RuleBasedStateMachine):
    """Takes random steps with two contexts and their forks, in the database and in memory, and compares."""

    connection: ClassVar[psycopg.Connection]
    """A superuser's; every run is rolled back."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON

    @initialize(seed=st.integers(0, 2**32), size=st.integers(0, 25))
    def create(self, seed: int, size: int) -> None:
        self._set_clock(self.now)
        self.connection.execute("select kata.register_tokenizer(%s, 2.2, 0)", [OTHER])
        self.counts: dict[tuple[Any, int], int] = {}
        self.pairs = []
        for strict in (True, False):
            policy = Jsonb(POLICY | {"strict": strict})
            made = self._value("select kata.create_context(policy => %s)", policy)
            self.pairs.append(Pair(made, model.Context(made, strict)))
        self.append_a_conversation(0, seed, size)
        self.append_a_conversation(1, seed + 1, size)

    def teardown(self) -> None:
        for pair in getattr(self, "pairs", []):
            assert self._rows("select * from kata.verify(%s)", pair.context_id) == []
            assert digests.damage(self.connection, pair.context_id) == []
            self._replay(pair)
            for arguments, answer in pair.kept:
                assert self._bytes(*arguments) == answer, f"later appends changed window {arguments}"
        self.connection.rollback()

    # Steps

    @rule(which=WHICH, data=st.data())
    def append_a_message(self, which: int, data: st.DataObject) -> None:
        pair = self._pair(which)
        draft = data.draw(drafts(list(pair.model.open_calls)).filter(lambda draft: "text" not in draft))
        expected = data.draw(self._expected(pair))
        arguments = {name: Jsonb(v) if isinstance(v, dict | list) else v for name, v in draft.items()}
        arguments = {"content": None, "expected_version": expected} | arguments
        named = ", ".join(f"{name} => %({name})s" for name in arguments)

        def append() -> list[Receipt]:
            arguments["context_id"] = pair.context_id
            version = self._value(
                f"select kata.append_message(context_id => %(context_id)s, {named})", arguments
            )
            row = self._rows("select * from kata.get_message(%s, %s)", pair.context_id, version)[0]
            return [(row["version"], row["token_count"], row["created_at"], True)]

        self._append(pair, [draft], expected, None, append)

    @rule(
        which=WHICH,
        data=st.data(),
        size=st.integers(0, 6),
        key=st.sampled_from([None, None, None, "k1", "k2"]),
        on_duplicate=ON_DUPLICATE,
    )
    def append_a_batch(
        self, which: int, data: st.DataObject, size: int, key: str | None, on_duplicate: str
    ) -> None:
        pair = self._pair(which)
        open_calls = dict(pair.model.open_calls)
        batch = []
        for _ in range(size):
            draft = data.draw(drafts(list(open_calls)))
            batch.append(draft)
            open_calls.update({call["id"]: 0 for call in draft.get("tool_calls") or []})
            open_calls.pop(draft.get("tool_call_id") or "", None)
        self._append_batch(pair, batch, data.draw(self._expected(pair)), key, on_duplicate)

    @rule(
        which=WHICH, ids=st.lists(st.one_of(st.none(), EXTERNAL_IDS), max_size=5), on_duplicate=ON_DUPLICATE
    )
    def append_what_may_be_there(self, which: int, ids: list[str | None], on_duplicate: str) -> None:
        draft = {"role": "user", "content": "…", "token_count": 1}
        batch = [draft if id_ is None else draft | {"external_id": id_} for id_ in ids]
        self._append_batch(self._pair(which), batch, None, None, on_duplicate)

    @rule(which=WHICH, external_id=st.one_of(st.none(), EXTERNAL_IDS), on_duplicate=ON_DUPLICATE)
    def append_a_record(self, which: int, external_id: str | None, on_duplicate: str) -> None:
        pair = self._pair(which)
        known = pair.model.ids(None).get(external_id or "")
        call = "select kata.append_record(%s, 'note', '{}', %s, on_duplicate => %s)"
        found = self._attempt(lambda: self._value(call, pair.context_id, external_id, on_duplicate))
        if known is None:
            assert found == (pair.model.change("record", self.now, external_id=external_id), None)
        else:
            assert found == ((None, "KC004") if on_duplicate == "error" else (known, None))

    @rule(which=WHICH, data=st.data())
    def find_by_external_ids(self, which: int, data: st.DataObject) -> None:
        pair = self._pair(which)
        at = data.draw(st.one_of(st.none(), st.integers(0, pair.model.version)))
        found = self._rows(
            """
            select i, kata.find_message(%s, i, %s) as version
            from generate_series(0, 7) n, format('m-%%s', n) i
            """,
            pair.context_id,
            at,
        )
        ids = pair.model.ids(at)
        assert [row["version"] for row in found] == [ids.get(row["i"]) for row in found]
        rows = self._rows("select r.version from kata.records(%s, at => %s) r", pair.context_id, at)
        line = pair.model.line(at)[0]
        records = [e.version for e in line if not isinstance(e, Message) and e.kind == "record"]
        assert [row["version"] for row in rows] == records

    @rule(which=WHICH, seed=st.integers(0, 2**32), size=st.integers(1, 40))
    def append_a_conversation(self, which: int, seed: int, size: int) -> None:
        pair = self._pair(which)
        batch = conversation(Random(seed), list(pair.model.open_calls), size)
        self._append_batch(pair, batch, None, None, "error")

    @precondition(lambda self: any(pair.model.requests for pair in self.pairs))
    @rule(data=st.data(), on_duplicate=ON_DUPLICATE)
    def repeat_a_request(self, data: st.DataObject, on_duplicate: str) -> None:
        pair = data.draw(st.sampled_from([pair for pair in self.pairs if pair.model.requests]))
        key = data.draw(st.sampled_from(sorted(pair.model.requests)))
        batch = pair.model.requests[key][0]
        self._append_batch(pair, batch, data.draw(self._expected(pair)), key, on_duplicate)

    @rule(which=WHICH, data=st.data(), reason=st.sampled_from(["cancelled", "the user left"]))
    def close_calls(self, which: int, data: st.DataObject, reason: str) -> None:
        pair = self._pair(which)
        call_ids = data.draw(st.one_of(st.none(), st.lists(IDS, max_size=3)))
        batch = pair.model.closing(pair.model.open_calls if call_ids is None else call_ids, reason)
        receipts, error = self._attempt(
            lambda: self._receipts(
                "select * from kata.close_calls(%s, %s, %s)", pair.context_id, call_ids, reason
            )
        )
        if set(call_ids or ()) <= set(pair.model.open_calls):
            assert error is None
            assert receipts == pair.model.append(batch, self.now, [r[1] for r in receipts or []], None)
        else:
            assert error == "KC005"

    @rule(microseconds=st.sampled_from([-3_600_000_000, -1, 1, 2, 1_000_000]))
    def let_time_pass(self, microseconds: int) -> None:
        self.now += timedelta(microseconds=microseconds)
        self._set_clock(self.now)

    @rule(which=WHICH, data=st.data())
    def store_counts_of_another_tokenizer(self, which: int, data: st.DataObject) -> None:
        pair = self._pair(which)
        few = st.lists(st.integers(1, pair.model.version + 1), max_size=5, unique=True)
        versions = data.draw(st.one_of(few, st.just(list(range(1, pair.model.version + 1)))))
        # Far from what a conversion makes of them, so that running totals do not show where a window starts.
        counts = [data.draw(st.sampled_from([0, 1, 60]))] * len(versions)
        statement = "select kata.put_token_counts(%s, %s, %s::bigint[], %s::integer[])"
        stored, error = self._attempt(
            lambda: self._value(statement, pair.context_id, OTHER, versions, counts)
        )
        if not set(versions) <= {message.version for message in pair.model.messages_at(None)}:
            assert error == "KC002"
        else:
            assert (stored, error) == (len(versions), None)
            for version, count in zip(versions, counts, strict=True):
                self.counts[pair.model.log[version - 1].segment_id, version] = count

    @rule(which=WHICH, data=st.data())
    def look_through_windows(self, which: int, data: st.DataObject) -> None:
        pair = self._pair(which)
        wanted: list[tuple[int, int | None, int, str | None, list[int] | None, int | None]] = []
        for _ in range(12):
            at = data.draw(st.one_of(st.none(), st.none(), st.integers(0, pair.model.version)))
            tokenizer = data.draw(st.sampled_from([None, None, "o200k_base", OTHER]))
            budget = data.draw(self._budgets(pair, at))
            step = data.draw(
                st.one_of(st.just(0), st.integers(0, min(budget - 1, 60)), st.integers(0, budget - 1))
            )
            newest = pair.model.version if at is None else at
            versions = st.lists(st.integers(1, max(newest, 1)), max_size=6 if newest else 0)
            recall = data.draw(st.one_of(st.none(), versions))
            room = data.draw(st.sampled_from([None, None, 0, 100, 400, budget]))
            wanted.append((budget, at, step, tokenizer, recall, room))
        rows = self._rows(
            """
            select q.number, w.*
            from unnest(%s::integer[], %s::bigint[], %s::integer[], %s::text[], %s::text[], %s::integer[])
              with ordinality q(budget, at, step, tokenizer, recall, recall_budget, number)
            cross join lateral kata."window"(
              %s, q.budget, q.at, q.step, q.tokenizer, q.recall::bigint[], q.recall_budget) with ordinality w
            order by q.number, w.ordinality
            """,
            *([query[column] for query in wanted] for column in range(4)),
            [None if query[4] is None else f"{{{','.join(map(str, query[4]))}}}" for query in wanted],
            [query[5] for query in wanted],
            pair.context_id,
        )
        found = defaultdict(list)
        for row in rows:
            assert row.pop("ordinality") == row["ordinal"]
            found[row.pop("number")].append(row)
        for number, (budget, at, step, tokenizer, recall, room) in enumerate(wanted, 1):
            reserved = 0 if recall is None else min(budget // 8, 2000)
            recalled = (recall or [], reserved if room is None else room)
            self._check_promises(pair, found[number], budget, at)
            if tokenizer == OTHER:
                shown = pair.model.window(budget, at, step, self._count, *recalled)
            else:
                shown = pair.model.window(budget, at, step, recall=recalled[0], recall_budget=recalled[1])
            assert without_stubs(found[number]) == window_rows(shown), (
                f"budget {budget}, at {at}, step {step}, {tokenizer}, recall {recall}, {room}"
            )
        budget, at, step, tokenizer, _, _ = wanted[0]
        if tokenizer is None:
            arguments = (pair.context_id, budget, pair.model.version if at is None else at, step)
            answer = self._bytes(*arguments)
            assert self._bytes(*arguments) == answer
            pair.kept.append((arguments, answer))

    @rule(which=WHICH, data=st.data())
    def send_what_is_visible(self, which: int, data: st.DataObject) -> None:
        pair = self._pair(which)
        at = data.draw(st.one_of(st.none(), st.none(), st.integers(0, pair.model.version)))
        budget = data.draw(st.one_of(st.just(LARGEST), self._budgets(pair, at)))
        rows = self._rows(
            'select * from kata."window"(%s, %s, %s, format => %s)', pair.context_id, budget, at, "openai"
        )
        if budget == LARGEST and pair.model.usage(at)[3] < LARGEST // 2:
            visible = self._rows("select m.version from kata.state_at(%s, %s) m", pair.context_id, at)
            assert {row["version"] for row in rows} == {row["version"] for row in visible}
        statement = "select kata.prompt(%s, %s, 'openai', %s)"
        prompt, error = self._attempt(lambda: self._value(statement, pair.context_id, budget, at))
        if error == "KC022":
            assert any(part["type"] == "image_url" for row in rows for part in row["parts"] or [])
        elif prompt is None:
            assert (error, rows[0]["over_budget"]) == ("KC020", True)
        else:
            assert not any(row["over_budget"] for row in rows)
            assert sent_words(prompt) == Counter(word for row in rows for word in words(row))

    @rule(which=WHICH, data=st.data(), format_=st.sampled_from(FORMATS), tools=st.sampled_from([None, "[]"]))
    def request(self, which: int, data: st.DataObject, format_: str, tools: str | None) -> None:
        pair = self._pair(which)
        at = data.draw(st.one_of(st.none(), st.none(), st.integers(0, pair.model.version)))
        budget = data.draw(st.one_of(st.just(LARGEST), self._budgets(pair, at)))
        step = data.draw(st.integers(0, min(budget - 1, 60)))
        call = """
            select r.request_id, r.body from kata.request(%s, %s, %s, 'm', %s, '{"max_tokens": 9}',
              stable_step => %s, at => %s) r"""
        arguments = (pair.context_id, budget, format_, tools, step, at)
        rows, error = self._attempt(lambda: self._rows(call, *arguments))
        if rows is None:
            refused = self._prompt(pair.context_id, budget, format_, at, step)[1]
            if not pair.model.rows("effective", at):
                assert error == "KC017"
            elif refused:
                assert error == refused
            else:
                assert (error, bool(pair.model.tools(at)[0]), tools) == ("KC020", True, None)
            return
        shown = None
        if tools or not pair.model.tools(at)[0]:
            window = 'select w.version, w.kind from kata."window"(%s, %s, %s, %s, format => %s) w'
            found = self._rows(window, pair.context_id, budget, at, step, format_)
            shown = [(row["version"], row["kind"]) for row in found]
        pair.sent.append((rows[0]["body"], shown))
        assert rows[0]["request_id"] == len(pair.sent)
        self._replay(pair)

    def _replay(self, pair: Pair) -> None:
        """Make the bodies of all requests again, and list what they show."""
        for number, (body, shown) in enumerate(pair.sent, 1):
            row = self._rows("select * from kata.replay(%s, %s)", pair.context_id, number)[0]
            assert (row["body"], row["is_same"]) == (body, True), f"request {number}"
            rows = self._rows("select * from kata.request_rows(%s, %s)", pair.context_id, number)
            assert shown is None or [(row["version"], row["kind"]) for row in rows] == shown

    @rule(which=WHICH, data=st.data())
    def turn_pages(self, which: int, data: st.DataObject) -> None:
        pair = self._pair(which)
        wanted = [
            (
                data.draw(st.one_of(st.none(), st.integers(-2, pair.model.version + 2))),
                data.draw(st.sampled_from([1, 2, 3, 7, 1000])),
                data.draw(st.booleans()),
                data.draw(st.sampled_from(["effective", "raw", "all"])),
                data.draw(st.one_of(st.none(), st.integers(0, pair.model.version))),
            )
            for _ in range(8)
        ]
        rows = self._rows(
            """
            select q.number, m.*
            from unnest(%s::bigint[], %s::integer[], %s::boolean[], %s::text[], %s::bigint[])
              with ordinality q(after, max_rows, descending, visibility, at, number)
            cross join lateral kata.messages(%s, q.after, q.max_rows, q.descending, q.visibility, q.at)
              with ordinality m
            order by q.number, m.ordinality
            """,
            *([query[column] for query in wanted] for column in range(5)),
            pair.context_id,
        )
        found = defaultdict(list)
        for row in rows:
            del row["ordinality"]
            found[row.pop("number")].append(row)
        for number, arguments in enumerate(wanted, 1):
            assert without_stubs(found[number]) == pair.model.messages(*arguments), arguments

    @rule(which=WHICH)
    def read_every_version(self, which: int) -> None:
        pair = self._pair(which)
        rows = self._rows(
            "select u.* from generate_series(0, %s) at, kata.usage(%s, at) u order by at",
            pair.model.version,
            pair.context_id,
        )
        assert [tuple(row.values()) for row in rows] == [
            pair.model.usage(at) for at in range(pair.model.version + 1)
        ]
        entries = pair.model.rows("all", None)
        rows = self._rows(
            "select m.* from unnest(%s::bigint[]) v, kata.get_message(%s, v) m order by v",
            [row["version"] for row in entries],
            pair.context_id,
        )
        assert rows == entries

    @rule(which=WHICH, data=st.data())
    def fork(self, which: int, data: st.DataObject) -> None:
        pair = self._pair(which)
        at = data.draw(st.one_of(st.none(), st.integers(0, pair.model.version)))
        made = self._value("select kata.fork(%s, %s)", pair.context_id, at)
        child = pair.model.fork(made, pair.model.version if at is None else at)
        if len(self.pairs) < FORKS + 2:
            self.pairs.append(Pair(made, child))
        else:
            # One that is replaced goes on as an ancestor.
            self.pairs[2 + which % FORKS] = Pair(made, child)

    @rule(which=WHICH, other=WHICH)
    def compare(self, which: int, other: int) -> None:
        a, b = self._pair(which), self._pair(other)
        shared = a.model.shared_with(b.model)
        segment_id = a.model.log[shared - 1].segment_id if shared else None
        row = self._rows("select * from kata.common_ancestor(%s, %s)", a.context_id, b.context_id)[0]
        assert row == {"segment_id": segment_id, "version": shared}
        rows = self._rows(
            "select side, version, created_at from kata.diff(%s, %s)", a.context_id, b.context_id
        )
        assert [tuple(row.values()) for row in rows] == [
            (side, message.version, message.created_at)
            for side, pair in (("a", a), ("b", b))
            for message in pair.model.log[shared:]
        ]

    @rule(which=WHICH, other=WHICH, data=st.data())
    def merge(self, which: int, other: int, data: st.DataObject) -> None:
        target, source = self._pair(which), self._pair(other)
        few = st.sets(st.integers(1, max(1, source.model.version)), max_size=6)
        versions = data.draw(st.one_of(st.none(), few)) if source.model.log else None
        ranges = versions and f"{{{','.join(f'[{version},{version}]' for version in versions)}}}"
        messages = target.model.to_merge(source.model, versions or None)
        receipts, error = self._attempt(
            lambda: self._receipts(
                "select * from kata.merge(%s, %s, %s::int8multirange)",
                target.context_id,
                source.context_id,
                ranges or None,
            )
        )
        if target.model.cannot_merge(source.model, messages):
            assert error == "KC005"
        else:
            assert error is None
            assert receipts == target.model.merge(source.model, messages, self.now)

    @rule(which=WHICH, name=NAMES, data=st.data())
    def name_a_version(self, which: int, name: str, data: st.DataObject) -> None:
        pair = self._pair(which)
        at = data.draw(st.integers(0, pair.model.version))
        version, error = self._attempt(
            lambda: self._value("select kata.checkpoint(%s, %s, %s)", pair.context_id, name, at)
        )
        assert (version, error) == ((None, "KC014") if name in pair.model.checkpoints else (at, None))
        pair.model.checkpoints.setdefault(name, at)

    @rule(which=WHICH, name=NAMES)
    def drop_a_name(self, which: int, name: str) -> None:
        pair = self._pair(which)
        call = "select kata.drop_checkpoint(%s, %s)"
        error = self._refusal(call, pair.context_id, name)
        assert error == (None if pair.model.checkpoints.pop(name, None) is not None else "KC014")

    @rule(which=WHICH, data=st.data())
    def look_back(self, which: int, data: st.DataObject) -> None:
        pair = self._pair(which)
        log, names = pair.model.log, pair.model.names()
        rows = self._rows("select name, version from kata.checkpoints(%s)", pair.context_id)
        assert {row["name"]: row["version"] for row in rows} == names
        moments = {message.created_at + n * model.TICK for message in log for n in (-1, 0, 1)}
        selectors = {moment.isoformat(): pair.model.version_at(moment) for moment in moments}
        selectors |= names | {f"head~{back}": len(log) - back for back in range(len(log) + 1)}
        rows = self._rows(
            """
            select s.selector, kata.resolve_version(%s, s.selector) as version
            from unnest(%s::text[]) s(selector)
            """,
            pair.context_id,
            list(selectors),
        )
        assert {row["selector"]: row["version"] for row in rows} == selectors

        rewound = pair.model.rewound(None)
        before = data.draw(st.one_of(st.none(), st.integers(0, len(log) + 2)))
        rows = self._rows("select * from kata.history(%s, %s, 7)", pair.context_id, before)
        page = [entry for entry in reversed(log) if before is None or entry.version < before][:7]
        for row, entry in zip(rows, page, strict=True):
            assert sorted(row["checkpoints"]) == sorted(n for n in names if names[n] == entry.version)
            assert row["view_tokens"] == pair.model.usage(entry.version)[3]
            said = entry if isinstance(entry, Message) else entry.summary or entry.words
            assert row["kind"] == ("message" if isinstance(entry, Message) else entry.kind)
            preview = row["preview"].removeprefix("[image] ").removeprefix("[image] ")
            assert not said or not said.content or preview == said.content[:100]
            assert (row["version"], row["created_at"]) == (entry.version, entry.created_at)
            tokens = said.token_count if said else None
            if not isinstance(entry, Message) and entry.kind == "tools":
                tokens = entry.tools_tokens
            assert (row["role"], row["token_count"]) == (said.role if said else None, tokens)
            assert row["rewound_by"] == rewound.get(entry.version)

        at, other = (data.draw(st.integers(0, len(log))) for _ in range(2))
        for visibility in ("effective", "raw"):
            rows = self._rows("select * from kata.state_at(%s, %s, %s)", pair.context_id, at, visibility)
            assert without_stubs(rows) == pair.model.rows(visibility, at)
        rows = self._rows(
            "select change, version, token_count from kata.diff_versions(%s, %s, %s)",
            pair.context_id,
            at,
            other,
        )
        seen, sees = (
            {row["version"]: row["token_count"] for row in pair.model.rows("effective", version)}
            for version in (at, other)
        )
        changes = {("removed", version, tokens) for version, tokens in seen.items() if version not in sees}
        changes |= {("added", version, tokens) for version, tokens in sees.items() if version not in seen}
        then, now = pair.model.view(at), pair.model.view(other)
        for version in seen.keys() & sees.keys():
            words = now.words.get(version)
            if words is not then.words.get(version):
                changes.add(("amended" if words else "restored", version, sees[version]))
            elif now.stubs.get(version) != then.stubs.get(version):
                change = "shortened" if sees[version] < seen[version] else "restored"
                changes.add((change, version, sees[version]))
        assert {tuple(row.values()) for row in rows} == changes
        assert len(rows) == len(changes)

    @rule(which=WHICH, data=st.data(), name=st.sampled_from(["pin", "unpin"]))
    def pin_or_unpin(self, which: int, data: st.DataObject, name: str) -> None:
        pair = self._pair(which)
        version = data.draw(self._versions(pair))
        versions, view = pair.model.group(version), pair.model.view(None)
        changed, error = self._attempt(
            lambda: self._value(f"select kata.{name}(%s, %s)", pair.context_id, version)
        )
        is_pinned = bool(versions) and min(versions) in view.pinned
        if not versions:
            assert error == "KC002"
        elif is_pinned == (name == "pin") or (name == "pin" and versions & view.deleted):
            assert error == "KC017"
        else:
            assert (changed, error) == (pair.model.change(name, self.now, versions=versions), None)

    @rule(which=WHICH, data=st.data(), length=st.sampled_from([0, 0, 1, 5, 30]))
    def delete(self, which: int, data: st.DataObject, length: int) -> None:
        pair = self._pair(which)
        first = data.draw(self._versions(pair))
        last = min(first + length, max(first, pair.model.version))
        call = "select kata.delete_messages(%s, %s, %s)"
        changed, error = self._attempt(lambda: self._value(call, pair.context_id, first, last))
        versions = set(range(first, last + 1)).union(*map(pair.model.group, range(first, last + 1)))
        messages = {message.version for message in pair.model.messages_on_line(None)}
        view = pair.model.view(None)
        versions &= messages | view.covers.keys()
        if last > pair.model.version:
            assert error == "KC002"
        elif pair.model.is_open(versions):
            assert error == "KC005"
        elif not versions - view.deleted:
            assert error == "KC017"
        else:
            expected = pair.model.change("deletion", self.now, versions=frozenset(versions))
            assert (changed, error) == (expected, None)

    @rule(which=WHICH, data=st.data(), length=st.sampled_from([0, 5, 100]), keep=st.sampled_from([100, 200]))
    def elide(self, which: int, data: st.DataObject, length: int, keep: int) -> None:
        pair = self._pair(which)
        first = data.draw(self._versions(pair))
        last = min(first + length, max(first, pair.model.version))
        changed, error = self._attempt(
            lambda: self._value("select kata.elide(%s, %s, %s, %s)", pair.context_id, first, last, keep)
        )
        versions = pair.model.elidable(range(first, last + 1), keep)
        if last > pair.model.version:
            assert error == "KC002"
        elif not versions:
            assert error == "KC017"
        else:
            assert error is None
            self._elided(pair, changed, versions, keep)

    def _elided(self, pair: Pair, changed: int | None, versions: Set[int], keep: int) -> None:
        rows = self._rows(
            "select version, token_count from kata.state_at(%s, %s) where kind = 'stub'",
            pair.context_id,
            changed,
        )
        stubs = {row["version"]: row["token_count"] for row in rows if row["version"] in versions}
        assert stubs.keys() == versions
        assert all(tokens <= keep for tokens in stubs.values())
        expected = pair.model.change("elision", self.now, versions=frozenset(versions), stubs=stubs)
        assert changed == expected

    def _pass_grace(self, pair: Pair) -> None:
        """Move the clock on: a call that is as old as the clock, or younger, is within its grace."""
        self.now = max([self.now, *(entry.created_at for entry in pair.model.log)]) + model.TICK
        self._set_clock(self.now)

    def _said(self, pair: Pair, version: int | None) -> Message:
        """Return a summary that was committed."""
        row = self._rows("select * from kata.get_message(%s, %s)", pair.context_id, version)[0]
        return Message(**{name: row[name] for name in Message.__dataclass_fields__})

    @rule(which=WHICH, strategy=st.sampled_from(STRATEGIES))
    def compact(self, which: int, strategy: str) -> None:
        pair = self._pair(which)
        view = pair.model.view(None)
        self._pass_grace(pair)
        if strategy == "elide":
            covered = pair.model.elidable(range(1, pair.model.version + 1), 2000)
            covered &= pair.model.coverable(RECENT, set())
        else:
            covered = pair.model.coverable(RECENT, {"system"})
        begun, error = self._attempt(
            lambda: self._rows(
                "select * from kata.begin_compaction(%s, %s, force => true)", pair.context_id, strategy
            )
        )
        if not covered or pair.begun:
            assert error in (["KC009"] if pair.begun else []) + ([] if covered else ["KC010"])
            return
        assert begun is not None, error
        compaction_id = begun[0]["compaction_id"]
        source = self._rows("select * from kata.compaction_source(%s)", compaction_id)
        absorbed = view.covers.keys() if strategy in ("summarize", "digest") else set()
        assert {row["version"] for row in source} == covered | absorbed
        rows = [row for row in pair.model.rows("effective", None) if row["version"] in covered | absorbed]
        assert begun[0]["source_tokens"] == sum(row["token_count"] for row in rows)
        summary = f"{len(covered)} messages" if strategy in ("summarize", "digest") else None
        changed, error = self._attempt(
            lambda: self._value(
                "select summary_version from kata.commit_compaction(%s, %s, %s)",
                compaction_id,
                summary,
                summary and 5,
            )
        )
        if begun[0]["source_tokens"] <= (5 if summary else 0):
            assert error == "KC012"
            self._value("select kata.abort_compaction(%s) is null", compaction_id)
            return
        assert error is None
        if strategy == "elide":
            self._elided(pair, changed, covered, 100)
            return
        said = None
        if summary:
            said = self._said(pair, changed)
            assert (said.role, said.content, said.token_count) == ("user", summary, 5)
        versions = frozenset(covered | absorbed)
        assert changed == pair.model.change("compaction", self.now, versions=versions, summary=said)

    @rule(which=WHICH)
    def begin_a_compaction(self, which: int) -> None:
        pair = self._pair(which)
        self._pass_grace(pair)
        covered = pair.model.coverable(RECENT, {"system"})
        begin = "select compaction_id from kata.begin_compaction(%s, 'summarize', null, 86400, true)"
        compaction_id, error = self._attempt(lambda: self._value(begin, pair.context_id))
        if pair.begun:
            assert error == "KC009"
        elif not covered:
            assert error == "KC010"
        else:
            assert compaction_id, error
            covered |= pair.model.view(None).covers.keys()
            pair.begun = Begun(compaction_id, frozenset(covered), self._shown(pair, covered))

    @precondition(lambda self: any(pair.begun for pair in self.pairs))
    @rule(data=st.data())
    def commit_a_compaction(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from([pair for pair in self.pairs if pair.begun]))
        assert pair.begun
        compaction_id, covered = pair.begun.compaction_id, pair.begun.covered
        rows, pair.begun = pair.begun.rows, None
        commit = "select summary_version from kata.commit_compaction(%s, 'so far', 5)"
        changed, error = self._attempt(lambda: self._value(commit, compaction_id))
        pinned = pair.model.view(None).pinned
        if self._shown(pair, covered) != rows or any(row["group_version"] in pinned for row in rows):
            assert error == "KC011"
            self._value("select kata.abort_compaction(%s) is null", compaction_id)
        elif sum(row["token_count"] for row in rows) <= 5:
            assert error == "KC012"
            self._value("select kata.abort_compaction(%s) is null", compaction_id)
        else:
            assert error is None
            said = self._said(pair, changed)
            assert changed == pair.model.change("compaction", self.now, versions=covered, summary=said)

    def _shown(self, pair: Pair, versions: Set[int]) -> list[Draft]:
        """Return what a model sees of some versions."""
        rows = [row for row in pair.model.rows("effective", None) if row["version"] in versions]
        return [{name: value for name, value in row.items() if name != "position"} for row in rows]

    @rule(which=WHICH, data=st.data())
    def rewind(self, which: int, data: st.DataObject) -> None:
        pair = self._pair(which)
        newest = pair.model.version
        near = st.integers(max(0, newest - 6), newest)
        to_version = data.draw(st.one_of(near, near, near, st.integers(-1, newest + 1)))
        expected = data.draw(self._expected(pair))
        problems = pair.model.rewind_problems(to_version, expected)
        call = "select kata.rewind(%s, %s, %s)"
        changed, error = self._attempt(lambda: self._value(call, pair.context_id, to_version, expected))
        if problems:
            assert error in problems
            return
        assert (changed, error) == (pair.model.change("rewind", self.now, to_version=to_version), None)
        budget = data.draw(self._budgets(pair, None))
        step = data.draw(st.integers(0, min(budget - 1, 60)))
        for format_ in FORMATS:
            after, then = (
                self._prompt(pair.context_id, budget, format_, at, step) for at in (None, to_version)
            )
            assert after == then, f"the prompt in the format {format_} is not the one of then"

    @rule(which=WHICH, data=st.data(), content=TEXTS, count=COUNTS)
    def amend(self, which: int, data: st.DataObject, content: str, count: int | None) -> None:
        pair = self._pair(which)
        version = data.draw(self._versions(pair))
        patches: list[Draft] = [{"content": content}] * 4
        patches += [
            {"name": "bo"},
            {"metadata": None},
            {"provider": {"x": 1}},
            {"content": content, "name": "bo"},
        ]
        patches += [{"parts": [{"type": "text", "text": content}]}, {"content": content, "parts": None}]
        patches += [{"role": "user"}, {"model": "m"}, {}, {"tool_calls": [{"id": "z"}]}]
        patch = data.draw(st.sampled_from(patches))
        entry = pair.model.log[version - 1] if version <= pair.model.version else None
        if isinstance(entry, Message) and entry.tool_calls and content:
            arguments = [{"function": call["function"] | {"arguments": content}} for call in entry.tool_calls]
            calls = [call | new for call, new in zip(entry.tool_calls, arguments, strict=True)]
            patch = data.draw(st.sampled_from([patch, {"tool_calls": calls}]))
        if count is not None or version not in pair.model.view(None).visible:
            patch = patch | {"token_count": count or 3}
        expected = data.draw(self._expected(pair))
        problems = pair.model.amend_problems(version, patch, expected)
        call = "select kata.amend(%s, %s, %s, %s)"
        changed, error = self._attempt(
            lambda: self._value(call, pair.context_id, version, Jsonb(patch), expected)
        )
        if problems:
            assert error in problems
            return
        assert error is None
        if "token_count" in patch:
            patch = patch | {"token_source": "given"}
        else:
            row = self._rows("select * from kata.messages(%s, %s, 1)", pair.context_id, version - 1)[0]
            patch = patch | {name: row[name] for name in ("token_count", "token_source")}
        words = pair.model.amended(version, patch)
        assert changed == pair.model.change("amendment", self.now, versions=frozenset({version}), words=words)

    @rule(which=WHICH, data=st.data(), tools=TOOLS, count=st.sampled_from([None, 7]))
    def set_tools(self, which: int, data: st.DataObject, tools: str | None, count: int | None) -> None:
        pair = self._pair(which)
        for odd in NOT_TOOLS:
            assert self._refusal("select kata.set_tools(%s, %s)", pair.context_id, odd) == "KC017"
        expected = data.draw(self._expected(pair))
        problems = pair.model.conflict(expected)
        call = "select kata.set_tools(%s, %s, %s, %s)"
        changed, error = self._attempt(lambda: self._value(call, pair.context_id, tools, count, expected))
        said = tools if tools and "{" in tools else None
        tokens = 0
        if said and count is None and not error:
            tokens = self._value("select tools_tokens from kata.usage(%s)", pair.context_id)
            assert tokens > 0
        in_force, since = pair.model.tools(None)
        if problems:
            assert error in problems
        elif said == in_force and (not said or count in {None, pair.model.usage(None)[-1]}):
            assert (changed, error) == (since, None)
        else:
            values = {"tools": said, "tools_tokens": count if said and count is not None else tokens}
            assert (changed, error) == (pair.model.change("tools", self.now, **values), None)
        at = data.draw(st.one_of(st.none(), st.integers(0, pair.model.version)))
        rows = self._rows("select tools::text, version from kata.get_tools(%s, %s)", pair.context_id, at)
        said, since = pair.model.tools(at)
        assert [tuple(row.values()) for row in rows] == [(said, since)]

    @rule(which=WHICH, data=st.data())
    def undo(self, which: int, data: st.DataObject) -> None:
        pair = self._pair(which)
        changes = [
            entry.version
            for entry in pair.model.log
            if not isinstance(entry, Message) and entry.kind != "record"
        ]
        version = data.draw(st.sampled_from(changes) if changes else self._versions(pair))
        changed, error = self._attempt(
            lambda: self._value("select kata.undo(%s, %s)", pair.context_id, version)
        )
        problems = pair.model.undo_problems(version)
        if problems:
            assert error in problems
        else:
            expected = pair.model.change("undo", self.now, undone_version=version)
            assert (changed, error) == (expected, None)

    @rule(which=WHICH, data=st.data(), length=st.integers(2, 5))
    def undo_the_last_changes(self, which: int, data: st.DataObject, length: int) -> None:
        for _ in range(length):
            self.undo(which, data)

    @rule(which=WHICH, data=st.data(), seed=st.integers(0, 2**32), size=st.integers(3, 25))
    def talk_and_change_the_view(self, which: int, data: st.DataObject, seed: int, size: int) -> None:
        """Take steps that meet each other more often than those of a uniform choice."""
        self.append_a_conversation(which, seed, size)
        steps: dict[str, Callable[[], None]] = {
            "rewind": lambda: self.rewind(which, data),
            "undo": lambda: self.undo(which, data),
            "amend": lambda: self.amend(which, data, data.draw(TEXTS), data.draw(COUNTS)),
            "pin": lambda: self.pin_or_unpin(which, data, "pin"),
            "compact": lambda: self.compact(which, data.draw(st.sampled_from(STRATEGIES))),
            "delete": lambda: self.delete(which, data, 0),
            "commit": lambda: self.commit_a_compaction(data) if self._pair(which).begun else None,
            "elide": lambda: self.elide(which, data, 100, 100),
            "tools": lambda: self.set_tools(which, data, data.draw(TOOLS), None),
            "request": lambda: self.request(which, data, data.draw(st.sampled_from(FORMATS)), None),
            "say": lambda: self.append_a_conversation(which, seed + 1, 3),
            "begin": lambda: self.begin_a_compaction(which),
        }
        for name in data.draw(st.lists(st.sampled_from(list(steps)), min_size=2, max_size=8)):
            steps[name]()

    @rule(which=WHICH, data=st.data())
    def see_the_same_in_every_way(self, which: int, data: st.DataObject) -> None:
        pair = self._pair(which)
        at = data.draw(st.one_of(st.none(), st.integers(0, pair.model.version)))
        columns = "version, position, kind, token_count, content"
        state = self._rows(f"select {columns} from kata.state_at(%s, %s)", pair.context_id, at)
        if sum(row["token_count"] for row in state) > LARGEST:
            return
        call = f'select {columns} from kata."window"(%s, %s, %s)'
        assert self._rows(call, pair.context_id, LARGEST, at) == state
        assert self._value("select view_tokens from kata.usage(%s, %s)", pair.context_id, at) == sum(
            row["token_count"] for row in state
        )
        assert {row["version"] for row in state if row["kind"] != "summary"} == pair.model.view(at).visible

    @rule(which=WHICH, beyond=st.sampled_from([-1, 1, 10**12]))
    def ask_for_what_is_not_there(self, which: int, beyond: int) -> None:
        pair = self._pair(which)
        at = beyond if beyond < 0 else pair.model.version + beyond
        for call in (
            "usage(%s, %s)",
            "messages(%s, at => %s)",
            "get_message(%s, %s)",
            '"window"(%s, 100, %s)',
            "fork(%s, %s)",
            "state_at(%s, %s)",
            "diff_versions(%s, 0, %s)",
            "checkpoint(%s, 'beyond', %s)",
        ):
            assert self._refusal(f"select * from kata.{call}", pair.context_id, at) == "KC002"
        for budget, step in ((0, 0), (-1, 0), (5, 5), (5, -1), (5, None)):
            call = 'select * from kata."window"(%s, %s, null, %s)'
            assert self._refusal(call, pair.context_id, budget, step) == "KC017"

    @invariant()
    def the_context_stands_where_the_model_does(self) -> None:
        for pair in getattr(self, "pairs", []):
            row = self._rows("select * from kata.get_context(%s)", pair.context_id)[0]
            found = tuple(row[column] for column in ("version", "message_count", "raw_tokens", "view_tokens"))
            assert found == pair.model.usage(None)[:4]
            assert row["open_calls"] == pair.model.calls_in_order()

    # Help

    def _pair(self, which: int) -> Pair:
        return self.pairs[which % len(self.pairs)]

    def _versions(self, pair: Pair) -> st.SearchStrategy[int]:
        return st.integers(1, pair.model.version + 1)

    def _count(self, message: Message) -> int:
        """Return the tokens of a message in the other tokenizer."""
        return self.counts.get((message.segment_id, message.version), min(2 * message.token_count, LARGEST))

    def _append_batch(
        self, pair: Pair, batch: list[Draft], expected: int | None, key: str | None, on_duplicate: str
    ) -> None:
        statement = "select * from kata.append(%s, %s, %s, %s, %s)"
        self._append(
            pair,
            batch,
            expected,
            key,
            lambda: self._receipts(statement, pair.context_id, Jsonb(batch), expected, key, on_duplicate),
            on_duplicate,
        )

    def _append(
        self,
        pair: Pair,
        batch: list[Draft],
        expected: int | None,
        key: str | None,
        append: Callable[[], list[Receipt]],
        on_duplicate: str = "error",
    ) -> None:
        problems = pair.model.problems(batch, expected, key, on_duplicate)
        receipts, error = self._attempt(append)
        if problems:
            assert error in problems
        else:
            assert error is None
            assert receipts == pair.model.append(batch, self.now, [r[1] for r in receipts or []], key)

    def _expected(self, pair: Pair) -> st.SearchStrategy[int | None]:
        version, content = pair.model.version, pair.model.content_version
        return st.sampled_from([None] * 12 + [version] * 3 + [content, content - 1, version + 1])

    def _budgets(self, pair: Pair, at: int | None) -> st.SearchStrategy[int]:
        """Return budgets of which many are exactly what some windows take, or one off."""
        total = pair.model.usage(at)[2]
        exact = {total, total // 2}
        for base in (1, 10, 100, 1000):
            exact.add(sum(shown.token_count for shown in pair.model.window(base, at)))
        near = {value + off for value in exact for off in (-1, 0, 1, 7)}
        return st.one_of(
            st.sampled_from(sorted(value for value in near if 0 < value <= LARGEST) or [1]),
            st.integers(1, 300),
            st.integers(1, max(1, min(total, LARGEST))),
            st.just(LARGEST),
        )

    def _check_promises(self, pair: Pair, rows: list[Draft], budget: int, at: int | None) -> None:
        total = sum(row["token_count"] for row in rows)
        assert all(row["over_budget"] == (total > budget) for row in rows)
        assert all(row["reason"] in ALWAYS for row in rows if row["over_budget"])
        rows = [row for row in rows if row["reason"] != "recalled"]
        view = pair.model.view(at)
        shown = {row["version"] for row in rows if row["kind"] == "summary"}
        out = [covers for summary, covers in view.covers.items() if summary not in shown]
        assert shown <= view.covers.keys()
        for row in rows:
            if row["kind"] != "summary":
                seen = row["version"] in view.visible
                assert seen != (row["reason"] == "covered")
                assert seen or any(row["version"] in covers for covers in out)
        messages = [row for row in rows if row["kind"] != "summary"]
        groups = {row["group_version"] for row in messages}
        whole = [m.version for m in pair.model.messages_on_line(at) if m.group_version in groups]
        assert [row["version"] for row in messages] == whole, "a group is split, or the order is wrong"

    def _set_clock(self, now: datetime) -> None:
        self.connection.execute("select set_config('kata.clock', %s, true)", [now.isoformat()])

    def _rows(self, statement: str, *arguments: Any) -> list[Draft]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement.encode(), arguments).fetchall()

    def _receipts(self, statement: str, *arguments: Any) -> list[Receipt]:
        return [
            (row["version"], row["token_count"], row["created_at"], row["is_new"])
            for row in self._rows(statement, *arguments)
        ]

    def _value(self, statement: str, *arguments: Any) -> Any:
        parameters = arguments[0] if arguments and isinstance(arguments[0], dict) else arguments
        row = self.connection.execute(statement.encode(), parameters).fetchone()
        assert row is not None
        return row[0]

    def _prompt(
        self, context_id: uuid.UUID, budget: int, format_: str, at: int | None, step: int
    ) -> tuple[str | None, str | None]:
        """Return the bytes of a prompt, or else its error."""
        call = "select kata.prompt(%s, %s, %s, %s, %s)::text"
        return self._attempt(lambda: self._value(call, context_id, budget, format_, at, step))

    def _bytes(self, context_id: uuid.UUID, budget: int, at: int | None, step: int) -> str | None:
        statement = (
            'select string_agg(w::text, chr(10) order by w.ordinal) from kata."window"(%s, %s, %s, %s) w'
        )
        answer: str | None = self._value(statement, context_id, budget, at, step)
        return answer

    def _refusal(self, statement: str, *arguments: Any) -> str | None:
        return self._attempt(lambda: self._rows(statement, *arguments))[1]

    def _attempt(self, call: Callable[[], T]) -> tuple[T | None, str | None]:
        """Make a call in a savepoint and return its answer, or else its error."""
        try:
            with self.connection.transaction():
                return call(), None
        except psycopg.Error as error:
            return None, error.sqlstate


def test_the_store_answers_as_the_model_does(conn: psycopg.Connection, is_long: bool) -> None:
    class Machine(StoreMachine):
        connection = conn

    # A step costs some 10 ms.
    size = settings(stateful_step_count=100) if is_long else settings(stateful_step_count=50, max_examples=32)
    run_state_machine_as_test(Machine, settings=size)
