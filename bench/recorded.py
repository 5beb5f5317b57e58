"""Recorded requests against what they record: prompts, appends, bytes."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

from harness import APPEND, Bench, connect, fill, plain, scalar, table_bytes
from measure import Finding, Result, compare

REQUEST = "select * from kata.request(%s, %s, %s)"
REQUEST_WITH_TOOLS = "select * from kata.request(%s, %s, %s, tools => %s)"
CREATE = 'select kata.create_context(policy => \'{"model": "model-1"}\')'
PROMPT = "select kata.prompt(%s, %s, %s)"
REPLAY = "select * from kata.replay(%s, %s)"
ANSWER = "select kata.append_message(%s, 'assistant', %s, %s, request_id => %s)"
PLAIN_ANSWER = "select kata.append_message(%s, 'assistant', %s, %s)"
TOOLS = json.dumps(
    [
        {
            "type": "function",
            "function": {
                "name": f"tool_{number}",
                "description": "Looks up a reservation by the id of a passenger or of a booking.",
                "parameters": {
                    "type": "object",
                    "properties": {"id": {"type": "string", "description": "The id, as in kx-2291."}},
                    "required": ["id"],
                },
            },
        }
        for number in range(14)
    ]
)
STORED = 10_000


def requests(bench: Bench) -> Iterator[Result]:
    """request and replay against prompt, an answer against a plain append, and the bytes of a request."""
    with connect(bench.dsn, durable=False) as connection:
        context_id = scalar(connection, CREATE)
        fill(connection, context_id, itertools.cycle(bench.messages), 3_000)
        connection.execute("vacuum analyze kata_data.message", prepare=False)

        def against_prompt(name: str, query: str, budget: int, form: str, *more: str) -> Result:
            def ours(_: int) -> None:
                connection.execute(query, (context_id, budget, form, *more)).fetchall()

            def prompt(_: int) -> None:
                connection.execute(PROMPT, (context_id, budget, form)).fetchall()

            return compare(
                name, ours, f"prompt({budget:,}), {form}", prompt,
                pairs=bench.pairs, calls=max(10, 200_000 // budget), target=1 / 1.2,
            )  # fmt: skip

        for budget in (2_000, 8_000, 32_000, 100_000):
            yield against_prompt(f"request({budget:,}), openai", REQUEST, budget, "openai")
        yield against_prompt("request(8,000), openai, 14 tools", REQUEST_WITH_TOOLS, 8_000, "openai", TOOLS)
        yield against_prompt("request(8,000), responses", REQUEST, 8_000, "responses")

        request_id = scalar(connection, "select request_id from kata.request(%s, 8000, 'openai')", context_id)

        def replay(_: int) -> None:
            connection.execute(REPLAY, (context_id, request_id)).fetchall()

        def prompt(_: int) -> None:
            connection.execute(PROMPT, (context_id, 8_000, "openai")).fetchall()

        yield compare(
            "replay of 8,000 tokens", replay, "prompt(8,000), openai", prompt,
            pairs=bench.pairs, calls=25, target=1 / 1.2,
        )  # fmt: skip
    yield from answers(bench)
    yield stored(bench)


def answers(bench: Bench, calls: int = 50) -> Iterator[Result]:
    """A durable append that answers a request against one that does not."""
    with connect(bench.dsn, durable=True) as connection:
        asked, unasked = (scalar(connection, CREATE) for _ in range(2))
        said = [m for m in plain(bench.messages) if m["role"] == "assistant"]
        texts = itertools.cycle((m["content"], m["token_count"]) for m in said)
        for context_id in (asked, unasked):
            connection.execute(APPEND, (context_id, "user", "Which flights go to Seattle?", 10, None, None))
        # More than a comparison calls, warm-up included.
        made = (bench.pairs + 5) * calls * 2
        ask = "select kata.request(%s, 500, 'openai') from generate_series(1, %s) offset 0"
        scalar(connection, f"select count(*) from ({ask})", asked, made)
        numbers = iter(range(1, made + 1))

        def ours(_: int) -> None:
            content, tokens = next(texts)
            connection.execute(ANSWER, (asked, content, tokens, next(numbers)))

        def plainly(_: int) -> None:
            content, tokens = next(texts)
            connection.execute(PLAIN_ANSWER, (unasked, content, tokens))

        yield compare(
            "append_message with request_id, durable", ours, "append_message, durable", plainly,
            pairs=bench.pairs, calls=calls, target=1 / 1.15,
        )  # fmt: skip


def stored(bench: Bench) -> Result:
    """The bytes of a request, completed in a transaction of its own."""
    usage = json.dumps({"input": 8_123, "cached": 7_000, "output": 250, "duration_ms": 2_345})
    with connect(bench.dsn, durable=False) as connection:
        context_id = scalar(connection, CREATE)
        fill(connection, context_id, itertools.cycle(bench.messages), 200)
        before = table_bytes(connection, "t.oid = 'kata_data.request'::regclass")
        for _ in range(STORED):
            number: Any = scalar(
                connection, "select request_id from kata.request(%s, 2000, 'openai')", context_id
            )
            connection.execute("select kata.complete_request(%s, %s, %s)", (context_id, number, usage))
        taken = table_bytes(connection, "t.oid = 'kata_data.request'::regclass") - before
    return Finding(
        f"bytes of a request, of {STORED:,} stored and completed",
        {"bytes": round(taken / STORED)},
        target="at most 300",
        met=taken <= 300 * STORED,
    )
