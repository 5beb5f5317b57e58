"""The optional index on embeddings, built concurrently: writers do not wait, and no invalid index stays."""

from contextlib import suppress
from dataclasses import replace
from time import perf_counter

import psycopg
from psycopg.rows import class_row

from kata_context.errors import KataError
from kata_context.generated.rows import BuildEmbeddingIndexRow
from kata_context.migrate.files import SqlFile
from kata_context.migrate.session import Connection, connect_runner, run_apart

CALL = "select r.* from kata.build_embedding_index(%s, dry_run => %s) r"
STATE = "select m.index_state from kata.embedding_models() m where m.name = %s"


def build(dsn: str, tenant: str | None, model: str, memory: str | None = None) -> BuildEmbeddingIndexRow:
    """Build the index on the embeddings of a model, or measure the one that is there.

    Parameters
    ----------
    dsn : of a role that may migrate
    tenant : whose model is meant; None for what the role says
    memory : maintenance_work_mem of the build, None for that of the server

    Raises
    ------
    KataError : the model is unknown, the graph does not fit into the memory, or the build failed
    """
    drop: SqlFile | None = None
    try:
        with connect_runner(dsn, 60) as connection:
            for name, value in (("kata.tenant", tenant), ("maintenance_work_mem", memory)):
                if value is not None:
                    connection.execute("select set_config(%s, %s, false)", (name, value))
            planned = _called(connection, model, dry_run=True)
            seconds = None
            if connection.execute(STATE, (model,)).fetchone() != ("valid",):
                statement = f"drop index concurrently if exists {planned.index};\n"
                drop = SqlFile(planned.index, statement.encode())
                create = planned.statement.replace("create index ", "create index concurrently ", 1)
                start = perf_counter()
                run_apart(connection, SqlFile(planned.index, f"{statement}{create};".encode()), "5s")
                drop, seconds = None, perf_counter() - start
            return replace(_called(connection, model, dry_run=False), seconds=seconds)
    except BaseException:
        # By another connection, because the first may be what failed.
        if drop:
            with suppress(KataError, psycopg.Error), connect_runner(dsn, 60) as other:
                run_apart(other, drop, "5s")
        raise


def _called(connection: Connection, model: str, *, dry_run: bool) -> BuildEmbeddingIndexRow:
    with connection.cursor(row_factory=class_row(BuildEmbeddingIndexRow)) as cursor:
        row = cursor.execute(CALL, (model, dry_run)).fetchone()
    assert row
    return row
