"""What tests of the driver share."""

from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Any

import pytest

from kata_context import Kata

PATIENCE = 60  # seconds


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


def tool_call(call_id: str = "c", name: str = "look", arguments: str = "{}") -> dict[str, Any]:
    """Return a call of a tool as OpenAI has it."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
