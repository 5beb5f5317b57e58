"""A plugin for the tests of LangGraph: where they take the saver in memory, they get one on contexts.

Each test is a tenant of its own in the database of DATABASE_URL.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from uuid import uuid4

from kata_context import Kata
from kata_context.contrib.langgraph import KataSaver

kata = Kata(max_size=8)
KataSaver(kata).setup()


@contextmanager
def saver() -> Iterator[KataSaver]:
    """Yield a saver; threads and event loops share its connections."""
    yield KataSaver(kata.as_tenant(str(uuid4())))


import_module("tests.conftest_checkpointer")._checkpointer_memory = saver  # type: ignore[attr-defined]


def pytest_unconfigure() -> None:
    """Close the client."""
    kata.close()
