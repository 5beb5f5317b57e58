"""Windows against the bare query that returns the same rows."""

import itertools
from collections.abc import Iterator
from typing import Any

from harness import APPEND, WINDOW, Bench, as_row, connect, fill, plain, plain_batches, scalar, tool_batches
from measure import Result, compare

COLUMNS = """version, role, content, token_count, tool_call_id, tool_name, tool_calls, model, metadata,
  created_at, name, parts, provider"""
RECORD = '{"step": "retrieve", "documents": [3, 14, 15]}'


def windows(bench: Bench) -> Iterator[Result]:
    """window(8000) at n = 1,000 and 100,000 against ORDER BY version DESC LIMIT of the same rows."""
    with connect(bench.dsn, durable=False) as connection:
        for length in (1_000, 100_000):
            context_id = scalar(connection, "select kata.create_context()")
            fill(connection, context_id, itertools.cycle(bench.messages), length)
            connection.execute(
                "insert into bare.message select m.* from kata_data.message m where m.segment_id = %s",
                (context_id,),
            )
            connection.execute("vacuum analyze kata_data.message", prepare=False)
            connection.execute("vacuum analyze bare.message", prepare=False)
            count = len(connection.execute(WINDOW, (context_id,)).fetchall())
            limit_query = (
                f"select {COLUMNS} from bare.message where segment_id = %s order by version desc limit %s"
            )

            def ours(_: int, context_id: Any = context_id) -> None:
                connection.execute(WINDOW, (context_id,)).fetchall()

            def bare(_: int, query: Any = limit_query, parameters: Any = (context_id, count)) -> None:
                connection.execute(query, parameters).fetchall()

            yield compare(
                f"window(8000), n = {length:,}", ours, f"ORDER BY version DESC LIMIT {count}", bare,
                pairs=bench.pairs, calls=60, target=1 / 2,
            )  # fmt: skip


def windows_with_records(bench: Bench) -> Iterator[Result]:
    """window(8000) of a context with one record per message against the same context without."""
    with connect(bench.dsn, durable=False) as connection:
        with_records, without = (scalar(connection, "select kata.create_context()") for _ in range(2))
        texts = list(itertools.islice(itertools.cycle(plain(bench.messages)), 1_000))
        for message in texts:
            connection.execute(APPEND, (with_records, *as_row(message)))
            connection.execute("select kata.append_record(%s, 'event', %s)", (with_records, RECORD))
        fill(connection, without, iter(texts), len(texts))
        connection.execute("vacuum analyze kata_data.message, kata_data.view_change", prepare=False)

        def window(context_id: Any) -> None:
            connection.execute(WINDOW, (context_id,)).fetchall()

        yield compare(
            "window(8000), one record per message", lambda _: window(with_records),
            "window(8000), none", lambda _: window(without),
            pairs=bench.pairs, calls=60, target=1 / 1.3,
        )  # fmt: skip


def prompts(bench: Bench) -> Iterator[Result]:
    """prompt(8000) in each form against window(8000) of the same context, both fetched."""
    with connect(bench.dsn, durable=False) as connection:
        context_id = scalar(connection, "select kata.create_context()")
        fill(connection, context_id, itertools.cycle(bench.messages), 1_000)
        connection.execute("vacuum analyze kata_data.message", prepare=False)

        def window(_: int) -> None:
            connection.execute(WINDOW, (context_id,)).fetchall()

        for form, target in {"openai": 1.2, "responses": 1.2, "anthropic": 1.5, "gemini": 1.5}.items():

            def prompt(_: int, form: str = form) -> None:
                connection.execute("select kata.prompt(%s, 8000, %s)", (context_id, form)).fetchall()

            yield compare(
                f"prompt(8000), {form}", prompt, "window(8000)", window,
                pairs=bench.pairs, calls=60, target=1 / target,
            )  # fmt: skip


def windows_in_another_tokenizer(bench: Bench) -> Iterator[Result]:
    """window(8000) in another tokenizer than the context's against its own, of texts and of tool calls."""
    with connect(bench.dsn, durable=False) as connection:
        for name, batches in (("texts", plain_batches), ("tool calls", tool_batches)):
            context_id = scalar(connection, "select kata.create_context()")
            fill(connection, context_id, itertools.chain.from_iterable(batches(bench.messages, 10)), 1_000)
            connection.execute("vacuum analyze kata_data.message", prepare=False)
            count = len(connection.execute(WINDOW, (context_id,)).fetchall())
            # As many rows, whatever the conversion adds to their tokens.
            query = f"""
              select min(b.budget) from generate_series(8000, 16000, 50) b(budget)
              where (select count(*) from kata.window(%s, b.budget, tokenizer => 'cl100k_base')) >= {count}"""
            budget = scalar(connection, query, context_id)
            other = f"select * from kata.window(%s, {budget}, tokenizer => 'cl100k_base')"

            def ours(_: int, query: Any = other, parameters: Any = (context_id,)) -> None:
                connection.execute(query, parameters).fetchall()

            def own(_: int, parameters: Any = (context_id,)) -> None:
                connection.execute(WINDOW, parameters).fetchall()

            yield compare(
                f"window in another tokenizer, {name}", ours, "in its own", own,
                pairs=bench.pairs, calls=60, target=1 / 2,
            )  # fmt: skip
