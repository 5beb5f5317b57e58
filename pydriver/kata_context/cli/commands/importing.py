"""`kata import`: conversations from files; a second run adds nothing.

Each conversation is imported in one transaction, a context with all its messages. A conversation whose name
exists is compared with that context, so that another conversation of the name is refused. Lines with name and
messages are imported here, several at a time; any other form by kata_context.contrib.importers.
"""

import os
import sys
from codecs import BOM_UTF8
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import click
import psycopg

from kata_context import Kata, config
from kata_context.adapters import from_openai
from kata_context.cli.database import connect, log_pages, open_kata
from kata_context.cli.exit_codes import FAILED
from kata_context.cli.parameters import parse_json
from kata_context.cli.problems import Problem, explain
from kata_context.cli.settings import settings
from kata_context.cli.terminal import json_option, print_json
from kata_context.cli.text import one_line
from kata_context.database_errors import NameTakenError
from kata_context.errors import KataError

CONNECTIONS = 2  # one conversation is counted while another is written
AHEAD = 32_000_000  # bytes of lines to read ahead, of which each counts for an eighth at least
BATCH = 10_000  # most messages per append
KEYS = {"name", "messages", "metadata"}
COMPARED = {"role", "content", "tool_calls", "tool_call_id", "name", "parts", "provider"}
BLANK = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line or a record of a file that was not imported."""

    file: str
    line: int | str
    error: str
    hint: str | None


@dataclass(slots=True)
class Summary:
    """The result of an import.

    Parameters
    ----------
    added, messages : imported conversations, branches among them, and their messages
    present : conversations that existed
    refused : lines that are wrong, or that the database refused
    compactions : those that files record
    skipped : records that do not become messages, by kind
    families : those that archives hold
    """

    added: int = 0
    messages: int = 0
    present: int = 0
    refused: list[Refusal] = field(default_factory=list)
    compactions: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    families: int = 0

    def enter(self, messages: int | None) -> None:
        """Count a conversation: imported with so many messages, or None for one that existed."""
        self.added += messages is not None
        self.messages += messages or 0
        self.present += messages is None


@click.command("import")
@click.argument("files", metavar="FILE...", type=click.File("rb"), nargs=-1, required=True)
@click.option(
    "--tokenizer", default="o200k_base", show_default=True, metavar="NAME", help="Unit of the budgets."
)
@click.option("--format", "form", metavar="NAME", help="Format of the files, instead of recognizing it.")
@json_option
@click.pass_context
def import_files(
    ctx: click.Context, files: tuple[BinaryIO, ...], tokenizer: str, form: str | None, as_json: bool
) -> None:
    """Import conversations from each FILE, - for standard input, and count their tokens exactly.

    Known are the chat forms of OpenAI, Anthropic and Gemini, and what Claude Code, Codex, ADK and ChatGPT
    write. Branches become forks, recorded compactions become compactions. In a file with a JSON object
    {"name": …, "messages": […]} per line, and optional "metadata", each becomes a context of that name.
    An archive of kata export gives back its families as they were, all of them or none.
    Existing conversations are skipped, so a second run adds nothing. A wrong line is reported by its number
    and not imported, and the exit code is 1.
    """
    from kata_context.archive import is_archive, read_archive

    summary = Summary()
    with open_kata(ctx, CONNECTIONS) as kata:
        try:
            for file in files:
                if not form and is_archive(file):
                    with connect(config.resolve(settings(ctx).dsn).dsn) as connection:
                        found = read_archive(kata, connection, file)
                    summary.families += len(found.added)
                    summary.present += len(found.present)
                elif form or not has_named_lines(file):
                    import_other(kata, Path(name_of(file)), form, tokenizer, summary)
                else:
                    import_lines(kata, file, tokenizer, summary)
        finally:
            # Report nothing as imported that a crash could still undo.
            if summary.added:
                flush(kata)
            report(summary, as_json, len(files) > 1)
    if summary.refused:
        ctx.exit(1)


def name_of(file: BinaryIO) -> str:
    """Return how a file was called on the command line."""
    return str(getattr(file, "name", "<stdin>"))


def has_named_lines(file: BinaryIO) -> bool:
    """Return whether the lines of a file are to have names: unless the first has another form."""
    if not file.seekable():
        return True
    first = file.readline().strip(BLANK + BOM_UTF8)
    file.seek(0)
    try:
        value = parse_json(first) if first else None
        return "name" in value if isinstance(value, dict) else not (isinstance(value, list) and value)
    except ValueError:
        return False


def import_other(kata: Kata, path: Path, form: str | None, tokenizer: str, summary: Summary) -> None:
    """Import a file of another form."""
    from kata_context.contrib.importers import Source, load, recognize

    if str(path) == "<stdin>":
        raise KataError("standard input holds another form than named lines", "write it to a file")
    source = Source(path)
    try:
        importer = recognize(source, form)
    except KataError as error:
        summary.refused.append(Refusal(str(path), "the file", f"{error}; {error.hint}", error.hint))
        return
    for conversation in importer.read(source):
        summary.skipped += conversation.skipped
        summary.refused += [Refusal(str(path), place, why, None) for place, why in conversation.wrong]
        if not conversation.entries:
            continue
        try:
            loaded = load(kata, conversation, tokenizer)
        except Exception as error:
            problem = explain(error)
            if problem is None or keeps_all_out(error, problem):
                raise
            summary.refused.append(Refusal(str(path), conversation.name, problem.message, problem.hint))
            continue
        for id, refused in loaded.refused:
            place = f"{loaded.name}, record {id}"
            summary.refused.append(Refusal(str(path), place, str(refused), refused.hint))
        summary.added += loaded.contexts
        summary.messages += loaded.messages
        summary.compactions += loaded.compactions
        summary.skipped += loaded.left_out
        summary.present += loaded.unchanged


def flush(kata: Kata) -> None:
    """Wait until the imported conversations are on disk: a commit waits for all WAL before it."""
    with kata.transaction() as transaction:
        transaction.connection.execute("select pg_logical_emit_message(true, 'kata import', '')")


def report(summary: Summary, as_json: bool, several: bool) -> None:
    """Print the result of an import, also of one that was interrupted; of several files with their names."""
    for refusal in summary.refused:
        file = f"{one_line(refusal.file)}: " if several else ""
        place = f"line {refusal.line}" if isinstance(refusal.line, int) else one_line(refusal.line)
        click.echo(f"{file}{place}: {one_line(refusal.error)}", err=True)
    if as_json:
        print_json(summary)
        return
    present = f"; {summary.present:,} existed" if summary.present else ""
    present = f"; {summary.families:,} families of archives added{present}" if summary.families else present
    refused = f"; {len(summary.refused):,} refused" if summary.refused else ""
    compactions = f", {summary.compactions:,} compactions" if summary.compactions else ""
    added = f"{summary.added:,} conversations added, {summary.messages:,} messages{compactions}"
    click.echo(f"{added}{present}{refused}")
    for kind, count in summary.skipped.most_common():
        click.echo(f"skipped: {count:,} × {one_line(kind)}")


def import_lines(kata: Kata, file: BinaryIO, tokenizer: str, summary: Summary) -> None:
    """Import the lines of a file, several at a time, and report them in order."""
    pending: deque[tuple[int, int, Future[int | None]]] = deque()
    size = size_of(file)
    workers = Workers(kata, tokenizer)
    with click.progressbar(
        length=size, label="importing", file=sys.stderr, hidden=not (size and sys.stderr.isatty())
    ) as bar:

        def conclude() -> None:
            line, length, future = pending.popleft()
            try:
                summary.enter(future.result())
            except Exception as error:
                problem = explain(error)
                if problem is None or keeps_all_out(error, problem):
                    raise
                summary.refused.append(Refusal(name_of(file), line, problem.message, problem.hint))
            bar.update(length)

        try:
            for number, line in enumerate(file, start=1):
                if line.strip(BLANK + BOM_UTF8 if number == 1 else BLANK):
                    pending.append((number, len(line), workers.submit(number, line)))
                while sum(max(length, AHEAD // 8) for _, length, _ in pending) > AHEAD:
                    conclude()
            while pending:
                conclude()
        finally:
            workers.close()
            # After an interruption, count the conversations that were under way.
            for _, _, future in pending:
                if not future.cancelled() and future.exception() is None:
                    summary.enter(future.result())


def size_of(file: BinaryIO) -> int:
    """Return the bytes to read; 0 where the size is unknown."""
    if not file.seekable():
        return 0
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    return size


def keeps_all_out(error: Exception, problem: Problem) -> bool:
    """Return whether every further line would fail, too."""
    return problem.exit_code != FAILED or isinstance(error, psycopg.errors.InsufficientPrivilege)


class Workers:
    """Threads that import lines, a connection each.

    Parameters
    ----------
    tokenizer : in which the new contexts count
    """

    def __init__(self, kata: Kata, tokenizer: str) -> None:
        self.kata = kata
        self.tokenizer = tokenizer
        self.threads = ThreadPoolExecutor(CONNECTIONS)

    def submit(self, number: int, line: bytes) -> Future[int | None]:
        """Schedule the import of a line; the result is the number of messages, None if it existed."""
        return self.threads.submit(self.import_line, number, line)

    def import_line(self, number: int, line: bytes) -> int | None:
        """Import a line."""
        name, messages, metadata = parse_line(line.removeprefix(BOM_UTF8) if number == 1 else line)
        known = self.kata.find_context(name)
        if known is None:
            try:
                return self.add(name, messages, metadata)
            except NameTakenError:
                # Another session created it in the meantime.
                known = self.kata.find_context(name)
                if known is None:
                    raise
        self.compare(name, known, messages)
        return None

    def add(self, name: str, messages: list[Any], metadata: Any) -> int:
        """Create a context with its messages, in one transaction."""
        with self.kata.transaction() as transaction:
            # One wait for the disk, at the end, not one per conversation.
            transaction.connection.execute("select set_config('synchronous_commit', 'off', true)")
            context_id = transaction.create_context(name, metadata=metadata, tokenizer=self.tokenizer)
            for start in range(0, len(messages), BATCH):
                transaction.append(context_id, messages[start : start + BATCH])
        return len(messages)

    def compare(self, name: str, context_id: UUID, messages: list[Any]) -> None:
        """Refuse a conversation that differs from the context of its name."""
        place = 0
        for stored in chain.from_iterable(log_pages(self.kata, context_id)):
            if place == len(messages):
                return  # the context has grown since
            given = messages[place]
            # The database derives content from parts.
            keys = COMPARED - {"content"} if "parts" in given else COMPARED
            if any(getattr(stored, key) != given.get(key) for key in keys):
                break
            place += 1
        if place < len(messages):
            raise KataError(
                f'a context named "{name}" exists, and its message {place + 1} differs',
                "give the conversation another name, or rename or delete that context",
            )

    def close(self) -> None:
        """Finish the lines under way, and drop the rest."""
        self.threads.shutdown(cancel_futures=True)


def parse_line(line: bytes) -> tuple[str, list[Any], Any]:
    """Return name, messages and metadata of a conversation.

    Raises
    ------
    KataError : the line is not a conversation
    """
    form = 'write {"name": …, "messages": […]}, one object per line'
    try:
        conversation = parse_json(line.rstrip(BLANK))
    except ValueError as error:
        raise KataError(f"not JSON: {error}", form) from None
    if not isinstance(conversation, dict):
        raise KataError("not an object", form)
    if unknown := sorted(conversation.keys() - KEYS):
        raise KataError(f'unknown key "{unknown[0]}"', form)
    name, messages = conversation.get("name"), conversation.get("messages")
    if not isinstance(name, str) or not name:
        raise KataError("no name, which identifies the conversation in a second run", form)
    if not isinstance(messages, list):
        raise KataError("no messages", form)
    return name, from_openai(messages), conversation.get("metadata")
