"""How a connection is made safe: encryption, time-outs on the server, and what its options may hold."""

import ipaddress
import os
import re
from typing import Any

from kata_context import config
from kata_context.database_errors import InvalidInputError

OLDEST_SERVER = 16
# Milliseconds after which the server gives up a session that is idle, one that is idle inside a
# transaction, and a statement whose client has gone; and settings that psycopg or policies of tables need.
# Sent as options of the connection, where a pooler in between would refuse them.
SETTINGS = {
    "idle_session_timeout": 60_000,
    "idle_in_transaction_session_timeout": 60_000,
    "client_connection_check_interval": 5_000,
    "datestyle": "ISO",
    "row_security": "on",
}
# White space other than a space, control characters, halves of surrogate pairs.
HIDDEN = re.compile(r"[^\S ]|[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
ENCRYPTED = ("require", "verify-ca", "verify-full")


def secured(dsn: str) -> tuple[dict[str, Any], bool]:
    """Return the parameters of a connection string, and whether plain text to another machine is refused.

    It is unless the string says itself how to encrypt.

    Raises
    ------
    KataError : the string is malformed
    """
    parameters: dict[str, Any] = dict(config.parse(dsn)) | {"client_encoding": "utf8"}
    must_encrypt = "sslmode" not in parameters and "service" not in parameters
    if must_encrypt and not is_local(parameters) and os.environ.get("PGSSLMODE") not in ENCRYPTED:
        parameters["sslmode"] = "require"
    return parameters, must_encrypt


def is_local(parameters: dict[str, Any]) -> bool:
    """Whether every host of a connection is this machine."""
    found = parameters.get("hostaddr") or parameters.get("host")
    found = found or os.environ.get("PGHOSTADDR") or os.environ.get("PGHOST") or ""
    return all(_is_local(host) for host in str(found).split(","))


def _is_local(host: str) -> bool:
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def escaped(value: object) -> str:
    """Return a value as `options` of a connection take it, where the server splits at white space."""
    return re.sub(r"([\\ \t\n\v\f\r])", r"\\\1", str(value))


def checked_tenant(value: str) -> str:
    """Return the name of a tenant, or raise InvalidInputError."""
    if not isinstance(value, str):
        raise InvalidInputError(f"tenant must be a str, not {type(value).__name__}", hint="pass a str")
    if not 0 < len(value) <= 255 or value != value.strip() or HIDDEN.search(value):
        raise InvalidInputError(
            f"tenant {value[:100]!a} is not a name",
            hint="pass 1 to 255 characters, spaces only between them, without control characters",
        )
    return value
