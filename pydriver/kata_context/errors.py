"""Errors that the package raises itself."""


class KataError(Exception):
    """A failure that a person can act on: one line that says what is wrong, and a hint that says what to do.

    Parameters
    ----------
    message : one line, lower case, no full stop
    hint : what to do about it, one line, or None
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
