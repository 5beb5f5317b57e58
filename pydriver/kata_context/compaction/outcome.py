"""Results of compactions, and the errors on the way to them."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import psycopg

from kata_context.errors import KataError, OutcomeUnknownError
from kata_context.generated.rows import CompactionLeaseRow

LONGEST_REASON = 500  # characters
BACKOFF = (1.0, 60.0)  # seconds: the first pause after a failure, and the longest

# SQLSTATEs, by their beginnings: connections, standbys, conflicts, resources, locks, shutdowns, the system.
PASSING = ("08", "25006", "40", "53", "55", "57P", "58")


class SummarizerError(KataError):
    """A summarizer failed; the compaction is given up with this message as the reason."""


class StoppedError(KataError):
    """A summarizer was stopped; the compaction is given up and does not count as a failure."""


Status = Literal["committed", "failed", "stale", "stopped"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a compaction.

    Parameters
    ----------
    status : committed; failed; stale (the covered messages changed, or another worker took over); stopped
    summary_version : the version that it took; None unless committed
    message_count, source_tokens : the covered messages, and their tokens
    result_tokens : the tokens that replace them; None unless committed
    error : the reason; None if committed
    """

    context_id: UUID
    compaction_id: UUID
    status: Status
    summary_version: int | None
    message_count: int
    source_tokens: int
    result_tokens: int | None
    error: str | None


def outcome(lease: CompactionLeaseRow, status: Status, error: Exception | None = None) -> Outcome:
    """Return the result of a compaction."""
    return Outcome(
        context_id=lease.context_id,
        compaction_id=lease.compaction_id,
        status=status,
        summary_version=None,
        message_count=lease.message_count,
        source_tokens=lease.source_tokens,
        result_tokens=None,
        error=None if error is None else reason(error),
    )


def reason(error: Exception) -> str:
    """Return an error as the reason of a failed compaction: one line that Postgres can store."""
    said = str(error) if isinstance(error, (KataError, psycopg.Error)) else f"{type(error).__name__}: {error}"
    plain = "".join(c if c.isprintable() else " " for c in said.encode(errors="replace").decode())
    return " ".join(plain.split())[:LONGEST_REASON] or type(error).__name__


def sentence(error: KataError) -> str:
    """Return an error as a sentence for a model."""
    return f"{error.message[:1].upper()}{error.message[1:]}. {error.detail or ''}".strip()


def is_passing(error: BaseException) -> bool:
    """Whether the connection or the server failed, not the request: the same may succeed later."""
    if isinstance(error, psycopg.Error) and error.sqlstate:
        return error.sqlstate.startswith(PASSING)
    if isinstance(error, KataError):
        return error.may_retry or isinstance(error, OutcomeUnknownError)
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))


def backoff(failures: int) -> float:
    """Return the seconds to pause after one more failure.

    Parameters
    ----------
    failures : in a row, before that one
    """
    first, longest = BACKOFF
    return min(first * 2.0 ** min(failures, 30), longest)
