"""Recorded requests, as a program posts and answers them.

request = context.request(8000, model="gpt-5", reserve=1000)
response = httpx.post(url, content=request.body, headers=headers).json()
request.answer(response["choices"][0]["message"], usage=response["usage"])
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from kata_context.database_errors import InvalidInputError
from kata_context.generated.rows import AppendedRow, RecordedRequestRow
from kata_context.types import Message

if TYPE_CHECKING:
    from kata_context.generated.methods import Context
    from kata_context.generated.methods_async import AsyncContext

Usage = Mapping[str, Any]
"""The numbers of `kata.complete_request`, or what a provider reports: a dict, or a model of its package."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What both kinds of requests have.

    Parameters
    ----------
    row : as kata.request returns it
    """

    row: RecordedRequestRow

    @property
    def id(self) -> int:
        """Its number in the context."""
        return self.row.request_id

    @property
    def body(self) -> str:
        """The body to post, as it is: these bytes are recorded."""
        return self.row.body

    @property
    def token_count(self) -> int:
        """The tokens of its messages and tools."""
        return self.row.token_count

    @property
    def start_version(self) -> int:
        """The version from which on everything visible is in the body."""
        return self.row.start_version

    @property
    def notes(self) -> dict[str, Any]:
        """What the caller must know and the body does not say."""
        return dict(self.row.notes)

    def json(self) -> dict[str, Any]:
        """Return the body as Python objects, for a client that writes JSON itself."""
        body: dict[str, Any] = json.loads(self.row.body)
        return body


@dataclass(frozen=True, slots=True)
class Request(Recorded):
    """A recorded request of a context.

    Parameters
    ----------
    context : the context that asked
    """

    context: "Context"

    def answer(
        self, message: Message | Sequence[Message], *, usage: Usage | None = None, **options: Any
    ) -> list[AppendedRow]:
        """Append what the model answered, tied to the request.

        Parameters
        ----------
        message : a message as `append` takes it, or several; the first of the assistant is the answer
        usage : the tokens that the provider reports
        options : of `append`, for example an idempotency_key
        """
        return self.context.append(_listed(message), request_id=self.id, usage=_plain(usage), **options)

    def fail(self, error: object, *, usage: Usage | None = None) -> None:
        """Record what came instead of an answer.

        Parameters
        ----------
        error : an exception or a text, stored once, at most 64 kB of it; an answer may come nevertheless
        usage : the tokens that the provider reports nevertheless
        """
        self.context.complete_request(self.id, usage=_plain(usage), error=_error_text(error))


@dataclass(frozen=True, slots=True)
class AsyncRequest(Recorded):
    """A recorded request of a context, for asyncio.

    Parameters
    ----------
    context : the context that asked
    """

    context: "AsyncContext"

    async def answer(
        self, message: Message | Sequence[Message], *, usage: Usage | None = None, **options: Any
    ) -> list[AppendedRow]:
        """Append what the model answered, as `Request.answer`."""
        return await self.context.append(_listed(message), request_id=self.id, usage=_plain(usage), **options)

    async def fail(self, error: object, *, usage: Usage | None = None) -> None:
        """Record what came instead of an answer, as `Request.fail`."""
        await self.context.complete_request(self.id, usage=_plain(usage), error=_error_text(error))


def _listed(message: Message | Sequence[Message]) -> Sequence[Message]:
    """Return one message as a list of it."""
    # A TypedDict is a dict, which type checkers do not narrow to.
    listed: Any = [message] if isinstance(message, Mapping) else message
    return cast("Sequence[Message]", listed)


def _plain(usage: Any) -> Usage | None:
    """Return usage as a dict, also where it is a model of a provider's package."""
    dumped: Usage = usage.model_dump(exclude_none=True) if hasattr(usage, "model_dump") else usage
    return dumped


def _error_text(error: object) -> str:
    """Return what an error says, as far as PostgreSQL can store it."""
    if error is None or error == "":
        raise InvalidInputError("error is missing", "pass an exception or a text that is not empty")
    text = (str(error) or type(error).__name__).replace("\0", "?")
    return text.encode("utf-8", "replace")[:65536].decode("utf-8", "ignore")
