"""The command line in this process, and fixtures that run it on a database of a test's own."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kata_context.cli.main import cli

Run = Callable[..., Result]
Query = Callable[..., Any]


def kata(*arguments: str, code: int = 0, dsn: str | None = None, **options: Any) -> Result:
    """Run a command line as the program does, but in this process."""
    given = ["--dsn", dsn] if dsn else []
    result = CliRunner().invoke(cli, [*given, *arguments], prog_name="kata", **options)
    assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
    return result


def read_terminal(primary: int) -> bytes:
    """Return what is shown at a pseudo-terminal until the last program has closed it, and close it."""
    shown = b""
    with suppress(OSError):  # the end of a terminal
        while chunk := os.read(primary, 10_000):
            shown += chunk
    os.close(primary)
    return shown


@pytest.fixture
def run(database: str) -> Run:
    """Run commands on a database of this test's own."""

    def run(*arguments: str, **options: Any) -> Result:
        return kata(*arguments, dsn=database, **options)

    return run


@pytest.fixture
def read(run: Run) -> Query:
    """Run a command with --json and return what it says."""

    def read(*arguments: str, **options: Any) -> Any:
        return json.loads(run(*arguments, "--json", **options).stdout)

    return read
