"""The errors that the database raises: one class for every SQLSTATE of class KC.

psycopg raises them by itself, because a class that is declared with `code` is entered in its table of
SQLSTATEs.
"""

from typing import Any, ClassVar

import psycopg

from kata_context.errors import KataError


class KataDatabaseError(KataError, psycopg.DatabaseError):
    """An error that a function of Kata Context raised; it changed nothing.

    Attributes
    ----------
    sqlstate : KC001 to KC021
    message : what is wrong with the value, one line
    detail : what was found, a sentence
    hint : what to do
    status : the HTTP status that fits best
    """

    status: ClassVar[int] = 400

    def __init__(
        self,
        message: str = "",
        hint: str | None = None,
        detail: str | None = None,
        *,
        info: Any = None,
        encoding: str = "utf-8",
    ) -> None:
        psycopg.DatabaseError.__init__(self, message, info=info, encoding=encoding)
        # psycopg hands over the text of all fields at once.
        self.message = self.diag.message_primary or message
        self.detail = self.diag.message_detail or detail
        self.hint = self.diag.message_hint or hint

    def __str__(self) -> str:
        return f"{self.message} ({self.detail})" if self.detail else self.message

    def as_problem(self) -> dict[str, Any]:
        """Return the error as a problem document, its HTTP status included."""
        return super().as_problem() | {"status": self.status}


class InvalidInputError(KataError, psycopg.DataError):
    """A value cannot be sent to the database: it is no text, no JSON, no id. Nothing was sent."""

    title = "invalid input"


def invalid_input(name: str, error: UnicodeEncodeError | psycopg.Error) -> InvalidInputError | None:
    """Return the error that says why the arguments of a call could not be sent; None where they were.

    Parameters
    ----------
    name : of the function
    error : what psycopg raised
    """
    if isinstance(error, UnicodeEncodeError):
        return InvalidInputError(
            f"a text is not valid Unicode: it has a lone surrogate at {error.start + 1}",
            hint='replace it, in Python with text.encode(errors="replace").decode()',
            detail=f"It was given to {name}.",
        )
    if "NUL (0x00)" in str(error):
        return InvalidInputError(
            "a text holds the character NUL, which Postgres does not store",
            hint="remove it",
            detail=f"It was given to {name}.",
        )
    # What the server refuses has a SQLSTATE, and a lost connection is neither of the two.
    if error.sqlstate is None and isinstance(error, (psycopg.DataError, psycopg.ProgrammingError)):
        return InvalidInputError(
            f"{name} was given a value that cannot be sent: {' '.join(str(error).split())}",
            hint="pass what the signature of the method says",
        )
    return None


class ContextNotFoundError(KataDatabaseError, code="KC001"):
    """The context does not exist, or belongs to another tenant."""

    title, status = "context not found", 404


class VersionNotFoundError(KataDatabaseError, code="KC002"):
    """The context has no such version."""

    title, status = "version not found", 404


class VersionConflictError(KataDatabaseError, code="KC003"):
    """Something was appended or deleted since the version that was expected."""

    title, status = "version conflict", 409


class InvalidMessageError(KataDatabaseError, code="KC004"):
    """A message is malformed, or makes a call under an id that is open already."""

    title, status = "invalid message", 422


class OrphanToolResultError(KataDatabaseError, code="KC005"):
    """A tool result, or a call to close, that no open call matches; or calls are open where none may be."""

    title, status = "orphan tool result", 422


class ContextClosedError(KataDatabaseError, code="KC006"):
    """The context is deleted, or archived where a change was asked for."""

    title, status = "context deleted or archived", 410


class NameTakenError(KataDatabaseError, code="KC007"):
    """Another live context of the tenant has the name."""

    title, status = "name taken", 409


class ForkTooDeepError(KataDatabaseError, code="KC008"):
    """The fork would be deeper than the policy allows."""

    title, status = "fork too deep", 422


class CompactionInProgressError(KataDatabaseError, code="KC009"):
    """Another worker holds the lease of the context's compaction."""

    title, status = "compaction in progress", 409


class NothingToCompactError(KataDatabaseError, code="KC010"):
    """No compaction is due, or there is nothing that one could cover."""

    title, status = "nothing to compact", 409


class StaleCompactionError(KataDatabaseError, code="KC011"):
    """What the compaction covers has changed since it began, or another worker took it over."""

    title, status = "compaction stale", 409


class NoGainError(KataDatabaseError, code="KC012"):
    """The compaction would not make the view smaller."""

    title, status = "no gain", 422


class InvalidPolicyError(KataDatabaseError, code="KC013"):
    """A field of the policy is unknown, of the wrong type or out of range."""

    title, status = "invalid policy", 422


class CheckpointError(KataDatabaseError, code="KC014"):
    """A checkpoint of that name exists already, or none does."""

    title, status = "checkpoint exists or is unknown", 409


class ImmutableHistoryError(KataDatabaseError, code="KC015"):
    """History cannot be changed."""

    title, status = "history is immutable", 403


class StillReferencedError(KataDatabaseError, code="KC016"):
    """Something that would be removed is needed elsewhere."""

    title, status = "still referenced", 409


class InvalidArgumentError(KataDatabaseError, code="KC017"):
    """An argument is missing, malformed or out of range."""

    title, status = "invalid argument", 422


class NotPermittedError(KataDatabaseError, code="KC018"):
    """The role may not do this."""

    title, status = "not permitted", 403


class IdempotencyConflictError(KataDatabaseError, code="KC019"):
    """The idempotency key was used for another request."""

    title, status = "idempotency conflict", 409


class BudgetTooSmallError(KataDatabaseError, code="KC020"):
    """The budget does not hold what always comes; `detail` names the least sufficient one."""

    title, status = "budget too small", 422


class SupersededError(KataDatabaseError, code="KC021"):
    """A later change of the view rests on the one that would be undone."""

    title, status = "superseded", 409


CATALOG: dict[str, type[KataDatabaseError]] = {
    str(error.sqlstate): error for error in KataDatabaseError.__subclasses__()
}
