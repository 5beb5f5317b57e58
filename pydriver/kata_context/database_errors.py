"""The errors of the database: one class for every SQLSTATE of Kata Context, and those of Postgres itself.

psycopg raises the first by itself, because a class declared with `code` enters its table of SQLSTATEs. The
others are made by `refusal`, which leaves psycopg's classes alone for other users in the process.
"""

from typing import Any, ClassVar

import psycopg

from kata_context.errors import KataError, NotInstalledError


class KataDatabaseError(KataError, psycopg.DatabaseError):
    """An error that a function of Kata Context raised; it changed nothing.

    Attributes
    ----------
    sqlstate : KC001 to KC021
    message : the fault, one line
    detail : the values found, a sentence
    hint : the next step for the reader
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
        self._explain(
            self.diag.message_primary or message,
            self.diag.message_hint or hint,
            self.diag.message_detail or detail,
        )

    def __str__(self) -> str:
        return f"{self.message} ({self.detail})" if self.detail else self.message

    def as_problem(self) -> dict[str, Any]:
        """Return the error as a problem document, its HTTP status included."""
        return super().as_problem() | {"status": self.status}


class InvalidInputError(KataError, psycopg.DataError):
    """A value is not of the type of its parameter; nothing was changed, and in most cases nothing sent."""

    title = "invalid input"


class PostgresError(KataError, psycopg.DatabaseError):
    """An error of Postgres itself, which has its SQLSTATE; the call changed nothing."""

    title = "Postgres refused the call"

    def __str__(self) -> str:
        return f"{self.message} ({self.detail})" if self.detail else self.message


class SerializationError(PostgresError, psycopg.errors.SerializationFailure):
    """40001: a concurrent transaction got in the way under repeatable read or serializable isolation."""

    title, may_retry = "serialization failure", True


class DeadlockError(PostgresError, psycopg.errors.DeadlockDetected):
    """40P01: two transactions waited for each other, and Postgres ended this one."""

    title, may_retry = "deadlock", True


class LockTimeoutError(PostgresError, psycopg.errors.LockNotAvailable):
    """55P03: a lock was not free within lock_timeout."""

    title, may_retry = "lock timeout", True


class CanceledError(PostgresError, psycopg.errors.QueryCanceled):
    """57014: the statement ran into statement_timeout, or an operator canceled it."""

    title = "statement canceled"


class ReadOnlyError(PostgresError, psycopg.errors.ReadOnlySqlTransaction):
    """25006: a change on a standby, or in a transaction that only reads."""

    title = "read-only transaction"


class AbortedTransactionError(PostgresError, psycopg.errors.InFailedSqlTransaction):
    """25P02: an earlier statement of the transaction failed, so the transaction can only be rolled back."""

    title = "transaction aborted"


class UnsupportedError(PostgresError, psycopg.errors.FeatureNotSupported):
    """0A000: the server does not support this."""

    title = "not supported"


class AccessDeniedError(PostgresError, psycopg.errors.InsufficientPrivilege):
    """42501: the role may not call the function."""

    title = "access denied"


REFUSALS: dict[str, tuple[type[PostgresError], str]] = {
    "0A000": (UnsupportedError, "see the versions of PostgreSQL in docs/operations.md"),
    "25006": (ReadOnlyError, "connect to the primary, with target_session_attrs=read-write in the DSN"),
    "25P02": (AbortedTransactionError, "leave the block of the transaction and run it again from its start"),
    "40001": (SerializationError, "run the transaction again from its start"),
    "40P01": (DeadlockError, "run the transaction again from its start"),
    "42501": (AccessDeniedError, "grant kata_reader, kata_writer, kata_admin or kata_service to the role"),
    "55P03": (LockTimeoutError, "try again, or raise lock_timeout"),
    "57014": (CanceledError, "raise statement_timeout, or ask who canceled the statement"),
}


def refusal(name: str, error: UnicodeEncodeError | psycopg.Error) -> KataError:
    """Return an error of psycopg as one of the package.

    Parameters
    ----------
    name : of the function that was called
    error : raised by psycopg while the connection lived on
    """
    if isinstance(error, KataError):
        return error
    if isinstance(error, UnicodeEncodeError):
        return InvalidInputError(
            f"a text is not valid Unicode: it has a lone surrogate at {error.start + 1}",
            hint='replace it, in Python with text.encode(errors="replace").decode()',
            detail=f"It was given to {name}.",
        )
    state = error.sqlstate or ""
    message = error.diag.message_primary or " ".join(str(error).split())
    if "NUL (0x00)" in message or state == "22P05":
        refused: KataError = InvalidInputError(
            "a text holds the character NUL, which Postgres does not store",
            hint="remove it",
            detail=f"It was given to {name}.",
        )
    elif state.startswith("22") or (
        not state and isinstance(error, (psycopg.DataError, psycopg.ProgrammingError))
    ):
        refused = InvalidInputError(
            f"{name} was given a value that Postgres refuses: {message}",
            hint="pass what the signature of the method says",
        )
    elif state in ("3F000", "42883"):
        return NotInstalledError(
            f"the database has no function kata.{name} that takes these parameters",
            hint="run: kata migrate up",
            detail=message,
        )
    else:
        kind, hint = REFUSALS.get(state, (PostgresError, "see the log of the server"))
        refused = kind(message, error.diag.message_hint or hint, error.diag.message_detail)
    refused.sqlstate = error.sqlstate
    return refused


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
