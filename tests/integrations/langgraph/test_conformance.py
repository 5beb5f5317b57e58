"""The suite langgraph-checkpoint-conformance, whole: both savers have every capability."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.report import ProgressCallbacks

from kata_context import AsyncKata, Kata
from kata_context.contrib.langgraph import AsyncKataSaver, KataSaver

TESTS = 81


async def of_threads(dsn: str) -> AsyncGenerator[KataSaver, None]:
    with Kata(dsn) as kata:
        saver = KataSaver(kata)
        saver.setup()
        yield saver


async def of_a_loop(dsn: str) -> AsyncGenerator[AsyncKataSaver, None]:
    async with AsyncKata(dsn) as kata:
        saver = AsyncKataSaver(kata)
        await saver.setup()
        yield saver


@pytest.mark.parametrize("factory", [of_threads, of_a_loop])
def test_the_suite_passes_whole(factory: Callable[[str], Any], database: str) -> None:
    failures: list[str] = []

    def note(capability: str, name: str, passed: bool, trace: str | None) -> None:
        if not passed:
            failures.append(f"{capability} {name}\n{trace}")

    registered = checkpointer_test(name=factory.__name__)(lambda: factory(database))
    report = asyncio.run(validate(registered, progress=ProgressCallbacks(on_test_result=note)))
    assert not failures, "\n".join(failures)
    results = report.results.values()
    assert report.passed_all()
    assert (len(results), sum(result.tests_passed for result in results)) == (8, TESTS)
    with Kata(database) as kata:
        assert kata.verify() == []
