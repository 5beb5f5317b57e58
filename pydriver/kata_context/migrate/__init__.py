"""Brings a database to the schema and the functions that the files in sql/ describe.

Migrations (sql/migrations) are history: each runs once, in one transaction with its row in
kata_data.migration, and is frozen by its checksum from then on. Function files (sql/functions) are the
present: those that differ from kata_data.function_file are run, all in one transaction, so that clients see
the old API or the new one.

    files      what is in sql/, checked
    session    the connection of the one runner: direct, locked, allowed
    functions  installing function files, and finding drift
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
