"""Imports what the stores import when they open, so that the processes of clients start at once."""

import contextlib

with contextlib.suppress(ImportError):
    import kata_context  # noqa: F401
with contextlib.suppress(ImportError):
    import langchain_postgres  # noqa: F401
    import langgraph.checkpoint.postgres
    import langgraph.graph  # noqa: F401
with contextlib.suppress(ImportError):
    import agents.extensions.memory  # noqa: F401
    import asyncpg  # noqa: F401
    import sqlalchemy.ext.asyncio  # noqa: F401
with contextlib.suppress(ImportError):
    import google.adk.events
    import google.adk.sessions  # noqa: F401
