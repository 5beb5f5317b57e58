"""What tests of the driver share."""

from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Any, TypeVar

import pytest

from kata_context import Kata

# Seconds after which a test gives up: far more than a machine needs that is busy, or stalls for a while.
PATIENCE = 300

T = TypeVar("T")


class TooSlowError(Exception):
    """This machine did not come to what a test is about within the time that the test gives."""


@pytest.fixture
def kata(database: str) -> Iterator[Kata]:
    """The driver on a database for this test alone."""
    with Kata(database) as opened:
        yield opened


def wait_until(holds: Callable[[], Any], seconds: float = PATIENCE) -> float:
    """Wait until a condition holds for which there is no event, and return how long that took."""
    began = monotonic()
    while not holds():
        assert monotonic() - began < seconds, "it never came to hold"
        sleep(0.01)
    return monotonic() - began


def insist(call: Callable[[], T], excuse: type[Exception]) -> T:
    """Repeat a call that must work, until this machine is quick enough for a short time-out of the test."""
    give_up = monotonic() + PATIENCE
    while True:
        try:
            return call()
        except excuse:
            assert monotonic() < give_up, "this machine is never quick enough"


def in_time(attempt: Callable[[float], T], seconds: float) -> T:
    """Make an attempt with a time-out, and with ever longer ones where the machine is too slow for it."""
    while True:
        try:
            return attempt(seconds)
        except TooSlowError:
            seconds *= 4
            assert seconds < PATIENCE, "this machine is never quick enough"


def tool_call(call_id: str = "c", name: str = "look", arguments: str = "{}") -> dict[str, Any]:
    """Return a call of a tool as OpenAI has it."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
