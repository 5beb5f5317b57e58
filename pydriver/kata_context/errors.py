"""The errors of the package; kata_context.database_errors has those that carry an SQLSTATE."""

from typing import Any, ClassVar


class KataError(Exception):
    """Everything that goes wrong, with one line that names the fault and a hint how to mend it.

    From Python 3.11 on, a traceback shows the hint below the message.

    Parameters
    ----------
    message : one line, lower case, no full stop
    hint : the next step for the reader, one line, or None
    detail : the values found, a sentence, or None

    Attributes
    ----------
    sqlstate : of the database; None for an error of the driver
    may_retry : whether the same call may be sent again as it is: nothing was changed, and it may succeed
    """

    title: ClassVar[str] = "Kata Context cannot do this"
    may_retry: ClassVar[bool] = False
    sqlstate: str | None = None

    def __init__(self, message: str, hint: str | None = None, detail: str | None = None) -> None:
        super().__init__(message)
        self._explain(message, hint, detail)

    def _explain(self, message: str, hint: str | None, detail: str | None) -> None:
        self.message = message
        self.detail = detail
        self.hint = hint
        if hint:
            self.__notes__ = [f"hint: {hint}"]

    def __str__(self) -> str:
        return f"{self.message} ({self.detail})" if self.detail else self.message

    def as_problem(self) -> dict[str, Any]:
        """Return the error as the members of a problem document (RFC 9457), for an HTTP API.

        `type` and `title` are the same for every error of a class, `detail` describes this one; `sqlstate`
        and `hint` are extensions.
        """
        return {
            "type": f"urn:kata-context:error:{self.sqlstate or type(self).__name__}",
            "title": self.title,
            "detail": self.message if self.detail is None else f"{self.message}: {self.detail}",
            "sqlstate": self.sqlstate,
            "hint": self.hint,
        }


class MisuseError(KataError):
    """The driver is used after it was closed, in another event loop, or beside an open transaction."""

    title = "the driver cannot be used here"


class UnreachableError(KataError):
    """The database cannot be reached, or the server is too old."""

    title = "the database cannot be reached"
    may_retry = True


class NotInstalledError(UnreachableError):
    """The database has no Kata Context, or an older one than the driver."""

    title = "Kata Context is not installed"
    may_retry = False


class ConnectionLostError(UnreachableError):
    """The connection was lost, and the server has rolled back the transaction, or the call only read."""

    title = "the connection was lost"


class UnsafeConnectionError(KataError):
    """The connection would travel in plain text to another machine."""

    title = "the connection is not encrypted"


class PoolTimeoutError(KataError):
    """No connection of the pool was free within the wait; the call changed nothing."""

    title = "no connection was free in time"
    may_retry = True


class OutcomeUnknownError(KataError):
    """The connection was lost during a change, which the database may have committed or not."""

    title = "the outcome of a change is unknown"
