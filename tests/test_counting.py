"""What counts of a message: the same in SQL, which estimates, and in the driver, which counts."""

import json
import struct
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from kata_context import Kata, parts, tokens
from kata_context.database_errors import InvalidInputError

WORDS = [
    "The",
    "café",
    "closes",
    "at",
    "10",
    "pm;",
    "ask",
    "東京",
    "first.",
    "def",
    "f(x):",
    "return",
    "x\n\n\t{}",
]


def png(width: int, height: int) -> bytes:
    """Return the beginning of a PNG file of a size."""
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\2\0\0\0" + bytes(20)


def gif(width: int, height: int) -> bytes:
    """Return the beginning of a GIF file of a size."""
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(24)


def jpeg(width: int, height: int) -> bytes:
    """Return the beginning of a JPEG file of a size, behind a thumbnail of 40,000 bytes and a table."""
    thumbnail = b"\xff\xe1" + struct.pack(">H", 40_002) + bytes(40_000)
    table = b"\xff\xc4\x00\x08" + bytes(6)
    return (
        b"\xff\xd8"
        + thumbnail
        + table
        + b"\xff\xc2\0\x11\x08"
        + struct.pack(">HH", height, width)
        + bytes(20)
    )


def webp(kind: bytes, width: int, height: int) -> bytes:
    """Return the beginning of a WebP file of a kind and a size."""
    size = {
        b"VP8X": bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
        b"VP8L": b"\x2f" + (width - 1 | height - 1 << 14).to_bytes(4, "little"),
        b"VP8 ": b"\x30\x01\0\x9d\x01\x2a" + struct.pack("<HH", width, height),
    }[kind]
    return b"RIFF\0\0\0\0WEBP" + kind + b"\x0a\0\0\0" + size + bytes(20)


def data(file: bytes) -> str:
    return b64encode(file).decode()


SIZES = {
    (1, 1): 255,
    (512, 512): 350,
    (513, 512): 425,
    (1000, 500): 667,
    (4000, 3000): 1500,
}
FILES: dict[str, Callable[[int, int], bytes]] = {
    "png": png,
    "gif": gif,
    "jpeg": jpeg,
    "lossy": partial(webp, b"VP8 "),
    "lossless": partial(webp, b"VP8L"),
    "extended": partial(webp, b"VP8X"),
}


def image_tokens(conn: psycopg.Connection, image: dict[str, Any]) -> int:
    """Return the tokens of an image, on which SQL and Python agree."""
    row = conn.execute("select kata_data.image_tokens(%s::jsonb)", [json.dumps(image)]).fetchone()
    assert row == (parts.image_tokens(image),), image
    return int(row[0])


@pytest.mark.parametrize("name", FILES)
def test_an_image_counts_by_the_size_in_the_header_of_its_file(conn: psycopg.Connection, name: str) -> None:
    for (width, height), expected in SIZES.items():
        file = data(FILES[name](width, height))
        for image in (
            {"type": "image_url", "image_url": {"url": f"data:image/{name};base64,{file}"}},
            {"type": "input_image", "image_url": f"data:image/{name};base64,{file}", "detail": "high"},
            {"type": "image", "source": {"type": "base64", "media_type": f"image/{name}", "data": file}},
        ):
            assert image_tokens(conn, image) == expected, (width, height)


def test_sql_and_python_read_damaged_headers_alike(conn: psycopg.Connection) -> None:
    """Also a size where nothing else is; what a header says counts, and nothing in it is an error."""
    random = Random(0)
    sizes: list[Any] = [1, 700, 2100, 16383, 512.5, 1e30, -5, True, None, "x", [1]]
    for _ in range(300):
        name = random.choice(list(FILES))
        file = bytearray(FILES[name](random.choice(sizes[:4]), random.choice(sizes[:4])))
        for _ in range(random.choice((0, 0, 1, 3, 20))):
            file[random.randrange(min(60, len(file)))] = random.randrange(256)
        image_tokens(conn, {"source": {"data": data(bytes(file))}})
        image_tokens(conn, {"width": random.choice(sizes), "height": random.choice(sizes)})


def test_an_image_of_unknown_size_counts_1500_and_one_in_low_detail_85(conn: psycopg.Connection) -> None:
    whole = data(png(100, 100))
    assert image_tokens(conn, {"source": {"data": data(png(2**31, 2**32 - 1))}}) == 1500
    unknown: list[Any] = [
        {},
        {"image_url": {"url": "https://example.com/a.png"}},
        {"image_url": 5, "source": [], "detail": 5},
        {"source": {"data": whole[:24]}},
        {"source": {"data": "!" + whole}},
        {"source": {"data": data(b"\xff\xd8\xff\xe0\0\0" + bytes(40))}},
        {"source": {"data": data(png(0, 5))}},
        {"width": 0, "height": 10},
        {"width": -(10**30), "height": 10**30},
    ]
    assert [image_tokens(conn, image) for image in unknown] == [1500] * len(unknown)
    for low in ({"detail": "low"}, {"image_url": {"url": f"data:image/png;base64,{whole}", "detail": "low"}}):
        assert image_tokens(conn, low) == 85
    assert image_tokens(conn, {"width": 1024, "height": 640}) == 874


def part(random: Random, depth: int = 0) -> dict[str, Any]:
    """Return a content part of any kind, of any provider."""

    def text() -> str:
        return " ".join(random.choices(WORDS, k=random.randrange(30)))

    picture = "data:image/gif;base64," + data(gif(random.randrange(2000), 9))
    sealed = "".join(random.choices("ABcd12", k=random.randrange(200)))
    found = {
        "type": "web_search_result", "title": text(), "url": "https://a.b", "encrypted_content": sealed,
        "page_age": None,
    }  # fmt: skip
    summary = [{"type": "summary_text", "text": text()}]
    text_source = {"type": "text", "media_type": "text/plain", "data": text()}
    kinds: list[dict[str, Any]] = [
        {"type": "input_text", "text": text(), "annotations": [{"title": "x"}]},
        {"type": "output_text", "text": text(), "logprobs": [{"token": "a"}]},
        {"type": "text", "text": text(), "citations": [{"cited_text": "x y z"}]},
        {"type": "text", "text": text(), "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "thinking", "thinking": text(), "signature": data(random.randbytes(90))},
        {"type": "redacted_thinking", "data": sealed},
        {"type": "refusal", "refusal": text()},
        {"type": "image_url", "image_url": {"url": picture}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com"}},
        {"type": "input_audio", "input_audio": {"data": sealed, "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
        {"type": "document", "title": text(), "source": text_source},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}},
        {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": sealed},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": text()}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [found]},
        {"type": "call", "functionCall": {"name": "f", "args": {"a": text(), "n": [1, None, True]}}},
        {"type": "picture", "inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"type": "new", "words": [text(), [text()], 5, False, {"more": text(), "picture": picture}]},
    ]
    if depth < 2:
        nested = [part(random, depth + 1) for _ in range(random.randrange(3))]
        kinds += [
            {"type": "search_result", "title": text(), "source": "https://a.b", "content": nested},
            {"type": "document", "source": {"type": "content", "content": nested}},
        ]
    return random.choice(kinds)


PROVIDER = {
    "refusal": "No, I cannot do that.",
    "reasoning_content": "First of all, what is asked?",
    "usage": {"note": "This is not sent. " * 99},
    "reasoning_details": [
        {"type": "reasoning.encrypted", "data": "C" * 55},
        {"type": "reasoning.text", "text": "It is so."},
    ],
    "function_call": {"name": "f", "arguments": "{}"},
    "audio": {"id": "audio_1", "data": "AAAA", "transcript": "Hello."},
}


def message(random: Random) -> dict[str, Any]:
    """Return a message with all that a message can have."""
    given: dict[str, Any] = {"role": "assistant", "content": random.choice([None, "", "What else? " * 40])}
    if random.random() < 0.8 or given["content"] is None:
        given["parts"] = [part(random) for _ in range(random.randrange(1, 4))]
    if random.random() < 0.5:
        given["name"] = random.choice(["mia", "a name of several words"])
    if random.random() < 0.5:
        function = {"name": "look_up", "arguments": '{"a": "b c d"}'}
        given["tool_calls"] = [{"id": str(random.random()), "type": "function", "function": function}]
    if random.random() < 0.5:
        given["provider"] = PROVIDER
    return given


def normal(amounts: Any) -> list[str]:
    """Return what counts in an order, JSON in one spelling."""

    def spelled(amount: str | int) -> str:
        is_json = isinstance(amount, str) and amount.startswith(("{", "[")) and amount != "{}"
        return json.dumps(json.loads(amount), sort_keys=True) if is_json else repr(amount)  # type: ignore[arg-type]

    return sorted(map(spelled, amounts))


WRAPS: tuple[Callable[[Any], Any], ...] = (
    lambda value: [value, 5],
    lambda value: {"type": "new", "words": value},
)


def nest(depth: int, wrap: Callable[[Any], Any]) -> list[Any]:
    """Return parts with a text, an image and a list so many levels below."""
    value: Any = ["some words", {"type": "image", "width": 9}, ["more"], {"text": "words"}]
    for _ in range(depth):
        value = wrap(value)
    return [{"type": "new", "words": value}]


def test_sql_and_python_count_the_same_of_parts_of_every_kind(conn: psycopg.Connection) -> None:
    random = Random(14)
    values: list[Any] = [[part(random) for _ in range(3)] for _ in range(300)]
    values += [nest(depth, wrap) for depth in (17, 18, 19, 20, 40) for wrap in WRAPS]
    rows = conn.execute(
        """
        select array_remove(array_agg(a.content), null), array_remove(array_agg(a.tokens), null)
        from unnest(%s::jsonb[]) with ordinality v(value, place)
        left join lateral kata_data.sent_amounts(v.value) a on true
        group by v.place
        order by v.place""",
        [[json.dumps(value) for value in values]],
    )
    for value, (texts, others) in zip(values, rows, strict=True):
        assert normal(texts + others) == normal(parts.sent_amounts(value)), value


def test_an_estimate_is_not_below_the_count_of_all_that_is_sent(database: str) -> None:
    random = Random(58)
    given: list[Any] = [message(random) for _ in range(150)]
    with Kata(database) as counting, Kata(database, count_tokens=False) as estimating:
        batch, single, estimated = counting.create(), counting.create(), estimating.create()
        batch.append(given)
        estimated.append(given)
        for one in given:
            single.append_message(**one)
        counted, alone, estimates = (
            [(row.token_count, row.token_source) for row in context.messages(max_rows=1000)]
            for context in (batch, single, estimated)
        )
    assert counted == alone
    assert {source for _, source in counted} == {"exact", "given"}
    assert all(count <= estimate for (count, _), (estimate, _) in zip(counted, estimates, strict=True))
    assert sum(estimate for estimate, _ in estimates) <= 1.5 * sum(count for count, _ in counted)


def newest(context: Any) -> int:
    """Return the tokens of the newest message."""
    return int(context.get_message(context.get_context().version).token_count)


@pytest.mark.parametrize("kind", ["counted", "estimated"])
def test_a_part_with_a_text_counts_its_tokens_and_at_most_20_more(database: str, kind: str) -> None:
    text = "All of this is sent, and all of it counts."
    n = tokens.count_tokens(text, "o200k_base")
    sent: list[Any] = [
        {"type": "thinking", "thinking": text, "signature": ""},
        {"type": "refusal", "refusal": text},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}},
        {"type": "search_result", "source": "", "title": "", "content": [{"type": "text", "text": text}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text}]},
        {"type": "text", "text": text, "citations": [{"type": "char_location", "cited_text": text * 9}]},
    ]
    with Kata(database, count_tokens=kind == "counted") as kata:
        context = kata.create()
        for one in sent:
            context.append([{"role": "assistant", "parts": [one]}])
            assert n + 4 <= newest(context) <= n + 24, one
        for field in ("reasoning_content", "refusal", "reasoning"):
            context.append([{"role": "assistant", "content": "", "provider": {field: text}}])
            assert n + 4 <= newest(context) <= n + 24, field


def test_sealed_text_counts_by_its_length(kata: Kata) -> None:
    context = kata.create()
    sealed = [
        {"type": "reasoning", "encrypted_content": "A" * 4000},
        {"type": "redacted_thinking", "data": "A" * 4000},
    ]
    context.append([{"role": "assistant", "parts": [part]} for part in sealed])
    assert [row.token_count for row in context.messages()] == [1004, 1004]


def test_what_cannot_be_read_is_left_for_the_database_to_refuse(kata: Kata) -> None:
    circular: list[Any] = []
    circular.append(circular)
    context = kata.create()
    malformed: list[Any] = [
        [circular],
        [{"type": "x", "input": {"y": circular}}],
        [{"type": "x", "input": {"y": object()}}],
    ]
    for given in malformed:
        with pytest.raises(InvalidInputError, match="is not JSON"):
            context.append([{"role": "user", "parts": given}])


def of_calls(size: int) -> list[dict[str, Any]]:
    """Messages of which every eight are a call, its result, and two calls at once, each with its results."""
    messages: list[dict[str, Any]] = []
    for turn in range(size // 8):
        for names in (("a",), ("b", "c"), ("d", "e")):
            ids = [f"{name}{turn}" for name in names]
            calls = [
                {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id in ids
            ]
            messages.append({"role": "assistant", "tool_calls": calls})
            messages += [{"role": "tool", "tool_call_id": id, "content": "done"} for id in ids]
    return [{**message, "token_count": 10} for message in messages]


def of_text(size: int) -> list[dict[str, Any]]:
    """Messages of text only."""
    return [{"role": role, "content": "hello", "token_count": 10} for role in ("user", "assistant")] * (
        size // 2
    )


@pytest.mark.parametrize("made", [of_text, of_calls])
def test_a_window_in_another_tokenizer_calls_no_function_per_message(
    conn: psycopg.Connection, made: Callable[[int], list[dict[str, Any]]]
) -> None:
    calls = {}
    for size in (40, 400):
        row = conn.execute("select kata.create_context()").fetchone()
        assert row is not None
        conn.execute("select kata.append(%s, %s)", [row[0], Jsonb(made(size))])
        conn.execute(
            "select kata.put_token_counts(%s, 'cl100k_base', array(select generate_series(1, %s, 3)), "
            "array(select 20 from generate_series(1, %s, 3)))",
            [row[0], size, size],
        )
        conn.execute("set local track_functions = 'all'")
        query = "select coalesce(sum(calls), 0)::integer from pg_stat_xact_user_functions"
        before = conn.execute(query).fetchone()
        window = "select count(*), sum(token_count) from kata.window(%s, %s, tokenizer => 'cl100k_base')"
        stored = (size + 2) // 3
        tokens = 20 * stored + 12 * (size - stored)
        found = conn.execute(window, [row[0], tokens]).fetchone()
        after = conn.execute(query).fetchone()
        assert before is not None
        assert after is not None
        assert found == (size, tokens)
        calls[size] = after[0] - before[0]
        # With one token less, the oldest group is left out.
        oldest = (20, 1) if made is of_text else (32, 2)
        less = conn.execute(window, [row[0], tokens - 1]).fetchone()
        assert less == (size - oldest[1], tokens - oldest[0])
    assert calls[400] <= calls[40], calls
