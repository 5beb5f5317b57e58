"""Errors that the package raises itself; those of the database are in kata_context.database_errors."""

from typing import Any, ClassVar


class KataError(Exception):
    """A failure that a person can act on: one line that says what is wrong, and a hint that says what to do.

    Parameters
    ----------
    message : one line, lower case, no full stop
    hint : what to do about it, one line, or None
    detail : what was found, a sentence, or None
    """

    title: ClassVar[str] = "Kata Context could not do what was asked"
    sqlstate: str | None = None

    def __init__(self, message: str, hint: str | None = None, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint

    def as_problem(self) -> dict[str, Any]:
        """Return the error as the members of a problem document (RFC 9457), for an HTTP API.

        `type` and `title` are the same for every error of a kind, `detail` says what happened this time;
        `sqlstate` and `hint` are extensions.
        """
        return {
            "type": f"urn:kata-context:error:{self.sqlstate or type(self).__name__}",
            "title": self.title,
            "detail": self.message if self.detail is None else f"{self.message}: {self.detail}",
            "sqlstate": self.sqlstate,
            "hint": self.hint,
        }


class MisuseError(KataError):
    """The driver is used where it cannot be: after it was closed, in another event loop, after a fork."""

    title = "the driver cannot be used here"


class UnreachableError(KataError):
    """The database cannot be reached, or the server is too old."""

    title = "the database cannot be reached"


class NotInstalledError(UnreachableError):
    """The database can be reached, but Kata Context is not installed in it."""

    title = "Kata Context is not installed"


class UnsafeConnectionError(KataError):
    """The connection would travel in plain text to another machine."""

    title = "the connection is not encrypted"


class PoolTimeoutError(KataError):
    """No connection of the pool was free within the wait; nothing was sent to the database."""

    title = "no connection was free in time"


class OutcomeUnknownError(KataError):
    """The connection was lost while a change was under way: it may have been made, or not."""

    title = "the outcome of a change is unknown"
