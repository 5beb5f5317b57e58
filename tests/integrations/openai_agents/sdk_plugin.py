"""A plugin for the tests of the SDK: where they import SQLiteSession, they get a session in a context."""

import agents
import agents.memory
from agents import SessionSettings

from kata_context import Kata
from kata_context.contrib.openai_agents import KataSession

kata = Kata(max_size=8)


class Session(KataSession):
    """A session in the database of DATABASE_URL; the path of a file is part of its name."""

    memories = 0

    def __init__(
        self,
        session_id: str,
        db_path: object = ":memory:",
        *tables: str,
        session_settings: SessionSettings | None = None,
    ) -> None:
        if str(db_path) == ":memory:":
            Session.memories += 1
            db_path = f"memory {Session.memories}"
        super().__init__(session_id, kata, session_settings=session_settings)
        self._name = f"{db_path}/{session_id}"[-255:]

    def close(self) -> None:
        """Close nothing: the client is that of all sessions."""


agents.SQLiteSession = agents.memory.SQLiteSession = Session


def pytest_unconfigure() -> None:
    """Close the client."""
    kata.close()
