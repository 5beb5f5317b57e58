"""The errors of the database: one class for every SQLSTATE of Kata Context, and those of Postgres itself.

psycopg raises the first by itself, because a class declared with `code` enters its table of SQLSTATEs. The
others are made by `refusal`, which leaves psycopg's classes alone for other users in the process.
"""

import re
from collections.abc import Iterable
from typing import Any, ClassVar

import psycopg

from kata_context.errors import KataError, NotInstalledError


class KataDatabaseError(KataError, psycopg.DatabaseError):
    """An error that a function of Kata Context raised; it changed nothing.

    Attributes
    ----------
    sqlstate : KC001 to KC025
    message : the fault, one line
    detail : the values found, a sentence
    hint : the next step for the reader
    status : the HTTP status that fits best
    """

    status: int = 400

    def __init_subclass__(cls, *, code: str, title: str, status: int) -> None:
        super().__init_subclass__(code=code)
        cls.title, cls.status = title, status

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

    def as_problem(self) -> dict[str, Any]:
        """Return the error as a problem document, its HTTP status included."""
        return super().as_problem() | {"status": self.status}


class InvalidInputError(KataError, psycopg.DataError):
    """A value is not of the type of its parameter; nothing was changed, and in most cases nothing sent."""

    title = "invalid input"


class PostgresError(KataError, psycopg.DatabaseError):
    """An error of Postgres itself, which has its SQLSTATE; the call changed nothing."""

    title = "Postgres refused the call"
    advice: ClassVar[str] = "see the log of the server"

    def __init_subclass__(cls, *, state: str, title: str, advice: str, may_retry: bool = False) -> None:
        super().__init_subclass__()
        cls.title, cls.advice, cls.may_retry = title, advice, may_retry
        REFUSALS[state] = cls


# The errors of Postgres that have a class of their own, by SQLSTATE.
REFUSALS: dict[str, type[PostgresError]] = {}
REPEAT = "run the transaction again from its start"


# fmt: off
class SerializationError(
    PostgresError, psycopg.errors.SerializationFailure,
    state="40001", title="serialization failure", advice=REPEAT, may_retry=True,
):
    """A concurrent transaction got in the way under repeatable read or serializable isolation."""

class DeadlockError(
    PostgresError, psycopg.errors.DeadlockDetected,
    state="40P01", title="deadlock", advice=REPEAT, may_retry=True,
):
    """Two transactions waited for each other, and Postgres ended this one."""

class LockTimeoutError(
    PostgresError, psycopg.errors.LockNotAvailable,
    state="55P03", title="lock timeout", advice="try again, or raise lock_timeout", may_retry=True,
):
    """A lock was not free within lock_timeout."""

class CanceledError(
    PostgresError, psycopg.errors.QueryCanceled,
    state="57014", title="statement canceled", advice="raise statement_timeout, or look who canceled it",
):
    """The statement ran into statement_timeout, or an operator canceled it."""

class ReadOnlyError(
    PostgresError, psycopg.errors.ReadOnlySqlTransaction,
    state="25006", title="read-only transaction",
    advice="connect to the primary, with target_session_attrs=read-write in the DSN",
):
    """The call is a change, and the server is a standby or the transaction only reads."""

class AbortedTransactionError(
    PostgresError, psycopg.errors.InFailedSqlTransaction,
    state="25P02", title="transaction aborted", advice="leave the block of the transaction, and repeat it",
):
    """An earlier statement of the transaction failed, so the transaction can only be rolled back."""

class UnsupportedError(
    PostgresError, psycopg.errors.FeatureNotSupported,
    state="0A000", title="not supported", advice="see the versions of PostgreSQL in docs/operations.md",
):
    """The server does not support this."""

class AccessDeniedError(
    PostgresError, psycopg.errors.InsufficientPrivilege,
    state="42501", title="access denied",
    advice="grant kata_reader, kata_writer, kata_admin or kata_service to the role; set row_security = on",
):
    """The role may not call the function."""
# fmt: on


def refusal(name: str, error: UnicodeEncodeError | psycopg.Error, given: Iterable[Any] = ()) -> KataError:
    """Return the error of the package for one that psycopg raised; given: parameters, and their values."""
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
    is_unread = error.diag.source_function == "report_untranslatable_char"
    if "NUL (0x00)" in message or (state == "22P05" and not is_unread):
        refused: KataError = InvalidInputError(
            "a text holds the character NUL, which Postgres does not store",
            hint="remove it",
            detail=f"It was given to {name}.",
        )
    elif state.startswith("22") or (
        not state and isinstance(error, (psycopg.DataError, psycopg.ProgrammingError))
    ):
        quoted = re.search(r'"([^"]+)"', message)
        value = quoted and re.compile(rf"(?<![\w.-]){re.escape(quoted[1])}(?![\w.])")
        where = next((f"{p} of {name}" for p, v in given if value and value.search(str(v))), name)
        refused = InvalidInputError(
            f"{where} was given a value that Postgres refuses: {message}",
            hint="set client_encoding to UTF8" if is_unread else "pass what the signature of the method says",
        )
    elif state in ("3F000", "42883"):
        return NotInstalledError(
            f"the database has no function kata.{name} that takes these parameters",
            hint="run: kata migrate up",
            detail=message,
        )
    else:
        kind = REFUSALS.get(state, PostgresError)
        hint = state != "42501" and error.diag.message_hint  # those are for owners of tables
        refused = kind(message, hint or kind.advice, error.diag.message_detail)
    refused.sqlstate = error.sqlstate
    return refused


# fmt: off
class ContextNotFoundError(KataDatabaseError, code="KC001", title="context not found", status=404):
    """The context does not exist, or belongs to another tenant."""

class VersionNotFoundError(KataDatabaseError, code="KC002", title="version not found", status=404):
    """The context has no such version."""

class VersionConflictError(KataDatabaseError, code="KC003", title="version conflict", status=409):
    """Something was appended or deleted since the version that was expected."""

class InvalidMessageError(KataDatabaseError, code="KC004", title="invalid message", status=422):
    """A message is malformed, or makes a call under an id that is open already."""

class OrphanToolResultError(KataDatabaseError, code="KC005", title="orphan tool result", status=422):
    """A tool result, or a call to close, that no open call matches; or calls are open where none may be."""

class ContextClosedError(KataDatabaseError, code="KC006", title="context deleted or archived", status=410):
    """The context is deleted, or archived where a change was asked for."""

    def _explain(self, message: str, hint: str | None, detail: str | None) -> None:
        super()._explain(message, hint, detail)
        if message.endswith(" is archived"):
            self.status = 409  # unlike one that is deleted, it may be read

class NameTakenError(KataDatabaseError, code="KC007", title="name taken", status=409):
    """Another live context of the tenant has the name."""

class ForkTooDeepError(KataDatabaseError, code="KC008", title="fork too deep", status=422):
    """The fork would be deeper than the policy allows."""

class CompactionInProgressError(KataDatabaseError, code="KC009", title="compaction in progress", status=409):
    """Another worker holds the lease of the context's compaction."""

class NothingToCompactError(KataDatabaseError, code="KC010", title="nothing to compact", status=409):
    """No compaction is due, or there is nothing that one could cover."""

class StaleCompactionError(KataDatabaseError, code="KC011", title="compaction stale", status=409):
    """What the compaction covers has changed since it began, or another worker took it over."""

class NoGainError(KataDatabaseError, code="KC012", title="no gain", status=422):
    """The compaction would not make the view smaller."""

class InvalidPolicyError(KataDatabaseError, code="KC013", title="invalid policy", status=422):
    """A field of the policy is unknown, of the wrong type or out of range."""

class CheckpointError(KataDatabaseError, code="KC014", title="checkpoint exists or is unknown", status=409):
    """A checkpoint of that name exists already, or none does."""

class ImmutableHistoryError(KataDatabaseError, code="KC015", title="history is immutable", status=403):
    """History cannot be changed."""

class InvalidArgumentError(KataDatabaseError, code="KC017", title="invalid argument", status=422):
    """An argument is missing, malformed or out of range."""

class NotPermittedError(KataDatabaseError, code="KC018", title="not permitted", status=403):
    """The role may not do this."""

class IdempotencyConflictError(KataDatabaseError, code="KC019", title="idempotency conflict", status=409):
    """The idempotency key was used for another request."""

class BudgetTooSmallError(KataDatabaseError, code="KC020", title="budget too small", status=422):
    """The budget does not hold what always comes; `detail` names the least sufficient one."""

class SupersededError(KataDatabaseError, code="KC021", title="superseded", status=409):
    """A later change rests on the one to undo, or a rewind took back what an idempotency key has done."""

class UntranslatableError(KataDatabaseError, code="KC022", title="content cannot be translated", status=422):
    """The form that a prompt is asked for has no place for a part; `detail` names its version and type."""

class NotReplayableError(KataDatabaseError, code="KC023", title="cannot be replayed", status=409):
    """A request showed an entry that was erased since; `detail` names its version and the time."""

class OtherShardError(KataDatabaseError, code="KC024", title="elsewhere, or about to move", status=421):
    """The database is one of several behind a proxy, and not the one that holds the context; or it moves."""

    may_retry = True

class BusyError(KataDatabaseError, code="KC025", title="locked by another session", status=409):
    """An erasure or a purge waited too long for a lock; `detail` names the sessions that hold it."""

    may_retry = True
# fmt: on

CATALOG: dict[str, type[KataDatabaseError]] = {str(e.sqlstate): e for e in KataDatabaseError.__subclasses__()}
