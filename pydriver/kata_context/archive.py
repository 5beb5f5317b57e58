"""Archives: fork families in a file of JSON lines, and back.

    with psycopg.connect(dsn) as connection, open("family.jsonl", "wb") as file:
        write_archive(kata, connection, file, context_id)

A file holds the lines of `kata.export_family`, one family after the other, and a last line with SHA-256 over
all before it; `kata.import_family` makes the families again. Neither side holds more than a page of it.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any, BinaryIO
from uuid import UUID

import psycopg
from psycopg import IsolationLevel

from kata_context import Kata
from kata_context.errors import KataError
from kata_context.generated.client import Transaction

Connection = psycopg.Connection[Any]

BEGIN, END = b'{"kata_archive"', b'{"end"'
MOST_LINES, MOST_BYTES = 1_000, 4_000_000  # of a batch; a line may be longer
LONGEST = 512 * 2**20  # bytes of a line: more than PostgreSQL takes of one value


class ArchiveError(KataError):
    """A file is not an archive, was changed, or is not complete; nothing of it is imported."""

    title = "the archive cannot be imported"


@dataclass(slots=True)
class Imported:
    """What an import found in a file.

    Parameters
    ----------
    added, present : the families that the database lacked, and those that it had, equal
    lines : of them all
    """

    added: list[UUID] = field(default_factory=list)
    present: list[UUID] = field(default_factory=list)
    lines: int = 0


def is_archive(file: BinaryIO) -> bool:
    """Return whether a file, of which nothing is read yet, begins as an archive does."""
    if file.seekable():
        begin = file.read(len(BEGIN))
        file.seek(-len(begin), os.SEEK_CUR)
        return begin == BEGIN
    peek = getattr(file, "peek", None)
    return peek is not None and bool(peek(len(BEGIN)).startswith(BEGIN))


def write_archive(kata: Kata, connection: Connection, file: BinaryIO, context: UUID | None = None) -> int:
    """Write the family of a context, or all families of the tenant, as they are at one moment.

    Parameters
    ----------
    kata : whose tenant is meant
    connection : to the same database, without an open transaction; the role is a member of kata_admin
    context : any member of the family; None for all families

    Returns
    -------
    the number of families
    """
    digest, lines, families = sha256(), 0, 0
    with snapshot(connection):
        transaction = kata.using(connection)
        for root in [context] if context else roots(transaction):
            families += 1
            for line in family_lines(transaction, root):
                data = f"{line}\n".encode()
                digest.update(data)
                lines += 1
                file.write(data)
    end = {"families": families, "lines": lines, "sha256": digest.hexdigest()}
    file.write(END + f": {json.dumps(end)}}}\n".encode())
    return families


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """Open a transaction in which all statements see one moment; afterwards the connection is as it was."""
    before = connection.isolation_level, connection.read_only
    connection.isolation_level, connection.read_only = IsolationLevel.REPEATABLE_READ, True
    try:
        with connection.transaction():
            yield
    finally:
        if not connection.closed:
            connection.isolation_level, connection.read_only = before


def roots(transaction: Transaction) -> Iterator[UUID]:
    """Yield the roots of all families of the tenant, deleted and purged ones included."""
    after: UUID | None = None
    while page := transaction.heads(after=after):
        for head in page:
            if transaction.get_context(head.context_id).parent_id is None:
                yield head.context_id
        after = page[-1].context_id


def family_lines(transaction: Transaction, context: UUID) -> Iterator[str]:
    """Yield the lines of a family."""
    after: str | None = None
    while page := transaction.export_family(context, after, max_rows=MOST_LINES):
        for row in page:
            yield row.line
        after = page[-1].line


def read_archive(kata: Kata, connection: Connection, file: BinaryIO) -> Imported:
    """Import the families of a file, all of them or none.

    Parameters
    ----------
    kata : whose tenant is meant
    connection : to the same database, without an open transaction; the role is a member of kata_admin

    Raises
    ------
    ArchiveError : the file is not an archive, was changed, or is not complete
    InvalidArgumentError : a line is refused, a family does not verify, or it exists and is another one
    """
    found = Imported()
    with connection.transaction():
        transaction = kata.using(connection)
        for batch in batches(file, found):
            try:
                row = transaction.import_family(batch)
            except KataError as error:
                if not isinstance(error.__cause__, psycopg.DataError) or (error.sqlstate or "")[:2] == "KC":
                    raise
                hint = "take another copy of the file"
                raise ArchiveError("a line of the archive is not JSON that Postgres takes", hint) from error
            if not row.missing:
                (found.added if row.is_new else found.present).append(row.family_id)
        if row.missing:
            raise ArchiveError(f"the archive lacks {row.missing} lines of family {row.family_id}")
    return found


def batches(file: BinaryIO, found: Imported) -> Iterator[list[str]]:
    """Yield the lines of a file in batches, each of one family, and count them.

    Raises
    ------
    ArchiveError : the file is not an archive, was changed, or is not complete; raised where that shows
    """
    digest, families = sha256(), 0
    batch: list[str] = []
    size = 0
    for number, line in enumerate(iter(partial(file.readline, LONGEST), b""), 1):
        if line.startswith(END):
            if batch:
                yield batch
            end = {"families": families, "lines": found.lines, "sha256": digest.hexdigest()}
            if line != END + f": {json.dumps(end)}}}\n".encode() or file.read(1) or not families:
                break
            return
        if not line.endswith(b"\n") or (number == 1 and not line.startswith(BEGIN)):
            break
        digest.update(line)
        found.lines += 1
        is_first = line.startswith(BEGIN)
        families += is_first
        if batch and (is_first or len(batch) == MOST_LINES or size + len(line) > MOST_BYTES):
            yield batch
            batch, size = [], 0
        try:
            batch.append(line[:-1].decode())
        except UnicodeDecodeError:
            break
        size += len(line)
    raise ArchiveError(
        "the file is not an archive, was changed, or is not complete",
        hint="nothing is imported; take another copy of the file: kata export writes it",
    )
