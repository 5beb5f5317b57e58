"""Errors as one line and a hint for people; passwords are never part of them."""

import os
import re
from dataclasses import dataclass

import psycopg

from kata_context.cli.exit_codes import FAILED, NOT_MIGRATED, UNREACHABLE
from kata_context.database_errors import PostgresError
from kata_context.errors import (
    KataError,
    NotInstalledError,
    PoolTimeoutError,
    UnreachableError,
    UnsafeConnectionError,
)

# Messages of libpq and of the server about connections that failed, and the hint for each.
_CONNECTIONS = (
    (r"failed to resolve host|could not translate host name", "check the name of the host"),
    (r"Connection refused", "start the server, or check host and port"),
    (r"No such file or directory", "start the server, or check the folder of its socket"),
    (r"(password|Peer) authentication failed|no password supplied", "check user and password"),
    (r'database ".*" does not exist', "create the database, or check its name"),
    (r'role ".*" does not exist', "create the role, or check the user"),
    (r"no pg_hba\.conf entry", "let this user in from this address: pg_hba.conf on the server"),
    (r"SSL|TLS|certificate", "say how to encrypt: sslmode=require, verify-full, or disable for plain text"),
    (r"too many (clients|connections)|connection slots", "close other clients, or raise max_connections"),
    (r"time(d )?out|timeout expired", "check host, port and firewall"),
    (r"starting up|shutting down|in recovery", "try again in a moment"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it is printed.

    Parameters
    ----------
    message : one line
    hint : one line, or None
    exit_code : of the program
    """

    message: str
    hint: str | None
    exit_code: int = FAILED


def explain(error: BaseException) -> Problem | None:
    """Return how an error is printed; None for an internal error, whose traceback is shown."""
    if isinstance(error, NotInstalledError) and error.__cause__ is None:
        return Problem(
            "the database is not migrated: Kata Context is not installed in it", "kata migrate", NOT_MIGRATED
        )
    if isinstance(error, KataError):
        cause = error.__cause__
        if isinstance(cause, psycopg.Error):
            inner = _explain_postgres(cause)
            # The message of the driver is more precise, except about a connection that failed, or an error of
            # Postgres, for which its hints are those for programs.
            if inner.exit_code != FAILED or isinstance(error, PostgresError):
                return inner
        unreachable = isinstance(error, UnreachableError | UnsafeConnectionError | PoolTimeoutError)
        return Problem(str(error), error.hint, UNREACHABLE if unreachable else FAILED)
    if isinstance(error, psycopg.Error):
        return _explain_postgres(error)
    if isinstance(error, UnicodeEncodeError):
        return Problem(f"a text is not valid Unicode: it has a lone surrogate at {error.start + 1}", None)
    if isinstance(error, OSError):
        place = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return Problem(f"{place}{error.strerror or error}", None)
    return None


def _explain_postgres(error: psycopg.Error) -> Problem:
    message, detail, hint = error.diag.message_primary, error.diag.message_detail, error.diag.message_hint
    code = error.sqlstate or ""
    if code[:2] in ("08", "28", "3D") or code[:4] == "57P0" or code == "53300":
        return _explain_connection(error)
    if code == "22P05" or "NUL (0x00)" in str(error):
        return Problem("a text holds the character NUL, which Postgres does not store", "remove it")
    if message is None:
        is_connection = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return _explain_connection(error) if is_connection else Problem(str(error), None)
    if (code == "3F000" and '"kata"' in message) or (code in ("42883", "42P01") and "kata" in message):
        what = "is not migrated" if code == "3F000" else "is migrated to another version than this one"
        return Problem(f"the database {what}: {message}", "kata migrate", NOT_MIGRATED)
    if code == "42501":
        hint = hint or "grant kata_reader, kata_writer or kata_admin to the role"
    if code in ("40P01", "40001"):
        hint = "run it again"
    return Problem(f"{message} ({_sentence(detail)})" if detail else message, hint)


def _explain_connection(error: psycopg.Error) -> Problem:
    # Of several attempts, on the addresses of one host for example, the last line is about the last.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("Is the server", "Multiple connection"))]
    reason = (said or lines or ["the connection was lost"])[-1]
    reason = re.sub(r"^(- )?(connection failed: )?(connection is bad: )?", "", reason)
    reason = re.sub(r"FATAL: +", "", reason)
    hint = next((hint for pattern, hint in _CONNECTIONS if re.search(pattern, reason)), None)
    return Problem(f"no connection to the database: {reason}", hint, UNREACHABLE)


def _sentence(detail: str) -> str:
    return " ".join(detail.split()).rstrip(".")
