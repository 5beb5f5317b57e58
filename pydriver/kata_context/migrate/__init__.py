"""Brings a database to the schema and the functions that the files in sql/ describe.

Migrations (sql/migrations) are history: each runs once, in one transaction with its row in
kata_data.migration, and its checksum freezes it from then on. Function files (sql/functions) are the
present: those that differ from kata_data.function_file are run, all in one transaction, so that clients see
the old API or the new one. A file that was only moved has its path recorded and is not run.

    files      the files in sql/, read and checked against each other
    session    the connection of the one runner: direct, locked, with the rights it needs
    functions  function files: what to install, moves, drift
    runner     up, down, status
    bundle     everything as one file for psql
"""

from kata_context.migrate.bundle import bundle
from kata_context.migrate.files import sql_root
from kata_context.migrate.functions import Drift
from kata_context.migrate.runner import (
    MigrationState,
    Progress,
    Report,
    Status,
    Step,
    check_environment,
    down,
    drift,
    read_environment,
    status,
    up,
)

__all__ = [
    "Drift",
    "MigrationState",
    "Progress",
    "Report",
    "Status",
    "Step",
    "bundle",
    "check_environment",
    "down",
    "drift",
    "read_environment",
    "sql_root",
    "status",
    "up",
]
