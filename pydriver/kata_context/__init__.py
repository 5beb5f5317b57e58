"""Kata Context: a context store for LLM agents that lives inside Postgres.

    from kata_context import Kata

    with Kata() as kata:
        context = kata.create("support-4711")
        context.append_message("user", "Which flights go to Seattle?")
        rows = context.window(8000)

What is named here is imported when it is first used, so that the command `kata` starts fast.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from kata_context.async_client import AsyncKata, AsyncTransaction
    from kata_context.async_methods import AsyncContext
    from kata_context.client import Kata, Transaction
    from kata_context.compactor import AsyncCompactor, Compactor
    from kata_context.errors import KataError
    from kata_context.methods import Context
    from kata_context.summaries import Source

__all__ = [
    "AsyncCompactor", "AsyncContext", "AsyncKata", "AsyncTransaction", "Compactor", "Context", "Kata",
    "KataError", "Source", "Transaction",
]  # fmt: skip

_HOMES = {
    "AsyncCompactor": "compactor",
    "AsyncContext": "async_methods",
    "AsyncKata": "async_client",
    "AsyncTransaction": "async_client",
    "Compactor": "compactor",
    "Context": "methods",
    "Kata": "client",
    "KataError": "errors",
    "Source": "summaries",
    "Transaction": "client",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
