"""Evidence that leaves the house: the heads of all contexts in a file, and the database checked against it.

A file of heads is text: a first line that names the form, one line per context with the columns of
`kata.heads` in the order of their ids, and a last line with the number of contexts and the root, SHA-256 over
the byte 1 and the digests of all lines. Sign the file with any tool.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import islice
from typing import Any
from uuid import UUID

from kata_context import Kata
from kata_context.errors import KataError
from kata_context.generated.rows import CheckHeadRow, HeadRow, VerifyRow

FORM = "kata heads 1"
COLUMNS = ("context_id", "version", "digest", "last_digest", "acts", "act_digest", "requests")
NUMBERS = ("version", "acts", "requests")
PAGE = 1_000
Lines = Iterable[str]
# A step of verification ends at this many contexts or entries; no snapshot lasts longer than one.
STEP_CONTEXTS, STEP_ENTRIES = 200, 20_000


class EvidenceError(KataError):
    """A file of heads cannot be used."""

    title = "the file of heads cannot be used"


def heads(kata: Kata) -> Iterator[HeadRow]:
    """Yield the heads of all contexts of the tenant, by id."""
    after: UUID | None = None
    while page := kata.heads(after=after, max_rows=PAGE):
        yield from page
        after = page[-1].context_id


def file_lines(kata: Kata) -> Iterator[str]:
    """Yield the lines of a file of heads."""
    root, count = sha256(b"\x01"), 0
    yield f"{FORM}\n"
    for head in heads(kata):
        root.update(head.digest)
        count += 1
        values = (getattr(head, name) for name in COLUMNS)
        yield " ".join(value.hex() if isinstance(value, bytes) else str(value) for value in values) + "\n"
    yield f"root {count} {root.hexdigest()}\n"


def read_file(lines: Lines) -> Iterator[dict[str, Any]]:
    """Yield the heads of a file.

    Raises
    ------
    EvidenceError : it is not such a file, it was changed, or its end is missing; raised where that shows
    """
    root = sha256(b"\x01")
    rest = iter(lines)
    if next(rest, "").rstrip() != FORM:
        hint = f'its first line is "{FORM}"; kata heads writes it'
        raise EvidenceError("this is not a file of heads", hint=hint)
    for count, line in enumerate(rest):
        values = line.split()
        if values[:1] == ["root"]:
            if values[1:] != [str(count), root.hexdigest()] or next(rest, None) is not None:
                break
            return
        try:
            head = dict(zip(COLUMNS, values, strict=True))
            root.update(bytes.fromhex(head["digest"]))
            yield head | {name: int(head[name]) for name in NUMBERS}
        except ValueError:
            break
    raise EvidenceError(
        "the file of heads was changed or is not complete",
        hint="verify its signature, or take another copy of the file",
    )


def check_file(kata: Kata, lines: Lines) -> Iterator[CheckHeadRow]:
    """Yield where the database is not a continuation of a file of heads, then raise what read_file raises."""
    rows = read_file(lines)
    while page := list(islice(rows, PAGE)):
        yield from kata.check_heads(page)


def steps(kata: Kata) -> Iterator[tuple[UUID | None, int, UUID]]:
    """Yield the steps of verification: the context before, how many contexts, the last of them."""
    before: UUID | None = None
    last: UUID | None = None
    contexts = entries = 0
    for head in heads(kata):
        if last and (contexts == STEP_CONTEXTS or entries + head.version > STEP_ENTRIES):
            yield before, contexts, last
            before, contexts, entries = last, 0, 0
        contexts, entries, last = contexts + 1, entries + head.version, head.context_id
    # The last one has no end: it takes what is created meanwhile, and what belongs to no context.
    yield before, max(contexts, 1), UUID(int=2**128 - 1)


def verify_in_steps(
    kata: Kata, jobs: int = 1, progress: Callable[[int, int], object] | None = None
) -> Iterator[VerifyRow]:
    """Yield what `kata.verify` finds in all contexts of the tenant; each step is a snapshot of its own.

    Parameters
    ----------
    jobs : calls at the same time; the pool of the driver needs as many connections
    progress : called after each step with how many are done, and of how many
    """
    todo = list(steps(kata))

    def verify(step: tuple[UUID | None, int, UUID]) -> list[VerifyRow]:
        after, contexts, last = step
        found: list[VerifyRow] = []
        while True:
            rows = kata.verify(after=after, max_contexts=contexts)
            cursor = rows.pop().context_id if rows and rows[-1].problem == "cursor" else None
            # A context that was created meanwhile moves the end of a step into the next one.
            found += [row for row in rows if not row.context_id or row.context_id <= last]
            if cursor is None or cursor >= last:
                return found
            after = cursor

    with ThreadPoolExecutor(jobs) as threads:
        for done, found in enumerate(threads.map(verify, todo), 1):
            if progress:
                progress(done, len(todo))
            yield from found


def findings(
    kata: Kata, context_id: UUID | None, against: Lines | None, jobs: int
) -> list[CheckHeadRow | VerifyRow]:
    """Return what is wrong with a context or, in steps, with all, and with the heads of a file."""
    rows: list[CheckHeadRow | VerifyRow] = list(check_file(kata, against)) if against else []
    if context_id:
        return [*rows, *kata.verify(context_id)]
    return [*rows, *verify_in_steps(kata, jobs, show_progress if sys.stderr.isatty() else None)]


def show_progress(done: int, of: int) -> None:
    """Write how much is verified over the last line of a terminal."""
    print(f"\rverified {100 * done // of} %", end="\n" * (done == of), file=sys.stderr, flush=True)
