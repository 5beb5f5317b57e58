"""Changes of several calls, for adapters whose SDK does not repeat what fails."""

from collections.abc import Callable
from typing import TypeVar

from kata_context import Kata, Transaction
from kata_context.database_errors import DeadlockError, SerializationError, VersionConflictError
from kata_context.errors import ConnectionLostError

T = TypeVar("T")
CONFLICTS = 100  # other writers that may come first
LOSSES = 3  # of the connection; the pool opens another one


def changed(kata: Kata, change: Callable[[Transaction], T]) -> T:
    """Make a change in a transaction, again where another writer came first or nothing was changed.

    Parameters
    ----------
    change : gets the transaction; it begins anew each time

    Raises
    ------
    OutcomeUnknownError : the connection was lost while the change was committed
    """
    conflicts = losses = 0
    while True:
        try:
            with kata.transaction() as transaction:
                return change(transaction)
        except (VersionConflictError, SerializationError, DeadlockError):
            conflicts += 1
            if conflicts == CONFLICTS:
                raise
        except ConnectionLostError:
            losses += 1
            if losses == LOSSES:
                raise
