"""The judges of bodies, on bodies whose verdict is known: signed thinking, and the cache of a provider."""

import pytest

from support.blocks import Json
from support.provider_cache import ProviderCache
from support.signed import Signed, Verdict


def text(words: str, marked: bool = False, ttl: str | None = None) -> Json:
    """Return a text, perhaps with a mark."""
    mark = {"type": "ephemeral"} | ({"ttl": ttl} if ttl else {})
    return {"type": "text", "text": words} | ({"cache_control": mark} if marked else {})


def turn(role: str, *content: Json) -> Json:
    """Return a turn."""
    return {"role": role, "content": list(content)}


def thinking(signature: str) -> Json:
    """Return a block of thinking."""
    return {"type": "thinking", "thinking": "…", "signature": signature}


def body(*messages: Json, system: str = "Be brief.", model: str = "a") -> Json:
    """Return a body."""
    return {"model": model, "system": system, "messages": list(messages)}


USER = turn("user", text("Hello"))
FIRST = turn("assistant", thinking("s1"), text("one"))
SECOND = turn("assistant", thinking("s2"), text("two"))
BARE = turn("assistant", text("one"))
BARE_SECOND = turn("assistant", text("two"))


def judge(sent: Json, is_first_hidden: bool = False) -> Verdict:
    """Judge a body after two answers; the second was perhaps made without the thinking of the first."""
    signed = Signed()
    signed.answer(body(USER), thinking("s1"), text("one"))
    signed.answer(body(USER, BARE if is_first_hidden else FIRST, USER), thinking("s2"), text("two"))
    return signed.judge(sent)


def test_thinking_behind_what_it_was_made_with_is_valid() -> None:
    assert judge(body(USER, FIRST, USER, SECOND, USER)) == (["s1", "s2"], [], [])


def test_a_mark_changes_nothing_of_what_thinking_was_made_with() -> None:
    marked = turn("user", text("Hello", marked=True))
    assert judge(body(marked, FIRST, marked, SECOND)) == (["s1", "s2"], [], [])


@pytest.mark.parametrize(
    "changed",
    [
        body(turn("user", text("Hallo")), FIRST, USER, SECOND),
        body(USER, FIRST, USER, SECOND, system="Be kind."),
        body(USER, FIRST, USER, SECOND, model="b"),
        body(USER, FIRST, USER, SECOND) | {"tools": [{"name": "f"}]},
        body(FIRST, USER, SECOND),
    ],
    ids=["words", "system", "model", "tools", "left out"],
)
def test_thinking_behind_anything_else_is_invalid(changed: Json) -> None:
    assert judge(changed) == (["s1", "s2"], ["s1", "s2"], [])


def test_thinking_counts_as_what_later_thinking_was_made_with() -> None:
    assert judge(body(USER, BARE, USER, SECOND)).invalid == ["s2"]
    assert judge(body(USER, BARE, USER, SECOND), is_first_hidden=True) == (["s2"], [], [])
    assert judge(body(USER, FIRST, USER, SECOND), is_first_hidden=True).invalid == ["s2"]


def test_thinking_is_lost_where_it_alone_could_be_put_back() -> None:
    assert judge(body(USER, FIRST, USER, BARE_SECOND)).lost == ["s2"]
    assert judge(body(USER, BARE, USER, BARE_SECOND)).lost == ["s1"]
    assert judge(body(USER, BARE, USER, SECOND), is_first_hidden=True).lost == []
    assert judge(body(turn("user", text("Hallo")), BARE, USER, BARE_SECOND)).lost == []


LONG = "w" * 8000
"""Some 2,000 tokens."""


def test_a_prefix_is_written_at_a_mark_and_read_behind_it() -> None:
    cache = ProviderCache()
    first = cache.call(body(turn("user", text(LONG, marked=True))), 0)
    assert first.read == 0
    assert first.written > 2000
    assert first.plain == 0
    second = cache.call(body(turn("user", text(LONG)), turn("user", text("more", marked=True))), 10)
    assert second.read == first.written
    assert second.written == second.tokens - second.read
    assert second.cost == pytest.approx(0.1 * second.read + 1.25 * second.written)


def test_nothing_is_written_without_a_mark_or_below_the_least_size() -> None:
    cache = ProviderCache()
    assert cache.call(body(turn("user", text(LONG))), 0).plain > 2000
    assert cache.call(body(turn("user", text("short", marked=True))), 1).written == 0
    assert cache.entries == {}


@pytest.mark.parametrize(("ttl", "seconds"), [(None, 300), ("1h", 3600)])
def test_an_entry_lives_for_its_time_and_reading_renews_it(ttl: str | None, seconds: int) -> None:
    asked = body(turn("user", text(LONG, marked=True, ttl=ttl)))
    cache = ProviderCache()
    assert cache.call(asked, 0).read == 0
    assert cache.call(asked, seconds - 1).read > 0
    assert cache.call(asked, 2 * seconds - 2).read > 0
    assert cache.call(asked, 3 * seconds).read == 0


@pytest.mark.parametrize(("between", "is_read"), [(19, True), (20, False)])
def test_a_mark_looks_back_over_20_blocks(between: int, is_read: bool) -> None:
    cache = ProviderCache()
    opening = turn("user", text(LONG, marked=True))
    assert cache.call(body(opening), 0).written > 0
    later = [text(f"block {number}") for number in range(between - 1)]
    long = body(turn("user", text(LONG), *later, text("last", marked=True)))
    assert (cache.call(long, 1).read > 0) is is_read


def test_a_change_before_a_mark_ends_all_entries_behind_it() -> None:
    cache = ProviderCache()
    asked = body(turn("user", text(LONG, marked=True)), turn("user", text(LONG, marked=True)))
    assert cache.call(asked, 0).written > 4000
    assert cache.call(asked | {"system": "Be kind."}, 1).read == 0
    changed = body(asked["messages"][0], turn("user", text("other", marked=True)))
    assert 2000 < cache.call(changed, 2).read < 2100


@pytest.mark.parametrize(
    "refused",
    [
        body(turn("user", *[text(f"{number}", marked=True) for number in range(5)])),
        body(turn("assistant", thinking("s1") | {"cache_control": {"type": "ephemeral"}})),
        body(turn("user", text("a", marked=True), text("b", marked=True, ttl="1h"))),
    ],
    ids=["five marks", "on thinking", "an hour behind five minutes"],
)
def test_marks_that_a_provider_refuses_are_refused(refused: Json) -> None:
    with pytest.raises(AssertionError):
        ProviderCache().call(refused, 0)
