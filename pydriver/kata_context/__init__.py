"""Kata Context: a context store for LLM agents that lives inside Postgres.

    from kata_context import Kata

    with Kata() as kata:
        context = kata.create("support-4711")
        context.append_message("user", "Which flights go to Seattle?")
        rows = context.window(8000)

Row classes are names of the package, too: `from kata_context import MessageRow`. Every name is imported when
it is first used, so that the command `kata` starts fast.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from kata_context.compaction.compactor_async import AsyncCompactor
    from kata_context.compaction.source import Source
    from kata_context.driver.client_async import AsyncKata, AsyncTransaction
    from kata_context.errors import KataError
    from kata_context.generated.client import Kata, Transaction
    from kata_context.generated.compactor import Compactor
    from kata_context.generated.indexer import Indexer
    from kata_context.generated.methods import Context
    from kata_context.generated.methods_async import AsyncContext
    from kata_context.generated.rows import *  # noqa: F403
    from kata_context.recall.indexer_async import AsyncIndexer
    from kata_context.requests import AsyncRequest, Request

__all__ = [
    "AsyncCompactor", "AsyncContext", "AsyncIndexer", "AsyncKata", "AsyncRequest", "AsyncTransaction",
    "Compactor", "Context", "Indexer", "Kata", "KataError", "Request", "Source", "Transaction",
]  # fmt: skip

_HOMES = {
    "AsyncCompactor": "compaction.compactor_async",
    "AsyncContext": "generated.methods_async",
    "AsyncIndexer": "recall.indexer_async",
    "AsyncKata": "driver.client_async",
    "AsyncRequest": "requests",
    "AsyncTransaction": "driver.client_async",
    "Compactor": "generated.compactor",
    "Context": "generated.methods",
    "Indexer": "generated.indexer",
    "Kata": "generated.client",
    "KataError": "errors",
    "Request": "requests",
    "Source": "compaction.source",
    "Transaction": "generated.client",
}


if not TYPE_CHECKING:  # else type checkers would take every name for known

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        home = _HOMES.get(name) or ("generated.rows" if name.endswith("Row") else None)
        found = getattr(import_module(f"{__name__}.{home}"), name, None) if home else None
        if found is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return found
