"""All generated files."""

from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from generate import schema
from generate.catalog import describe
from generate.docs import pages
from generate.python import modules


def render(connection: psycopg.Connection[TupleRow]) -> dict[Path, str]:
    """Return the text of every generated file, from a migrated database."""
    functions = describe(connection)
    return modules(functions) | pages(functions, connection) | schema.page(connection)
