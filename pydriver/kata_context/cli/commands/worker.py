"""`kata worker`: compacts due contexts, with a program that writes the summaries."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

import click

from kata_context.cli.database import open_kata
from kata_context.cli.problems import explain
from kata_context.cli.terminal import json_option, print_json
from kata_context.compaction.outcome import Outcome, StoppedError, SummarizerError
from kata_context.compaction.source import Source, dump
from kata_context.generated.compactor import LEASE, POLL, Compactor

SHOWN = 200  # characters of the error of a program


class Program:
    """A program that reads a source as JSON on standard input and writes the summary on standard output.

    Parameters
    ----------
    command : the program and its arguments
    timeout : seconds after which it is killed
    """

    def __init__(self, command: list[str], timeout: float) -> None:
        self._command = command
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopping = False

    def __call__(self, source: Source) -> str:
        """Run it.

        Raises
        ------
        SummarizerError : it cannot be run, failed, or took too long
        StoppedError : it was stopped
        """
        pipe = subprocess.PIPE
        try:
            # A session of its own, so that processes it starts are killed with it.
            self._process = subprocess.Popen(
                self._command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
            )
        except OSError as error:
            raise SummarizerError(f"{self._command[0]}: {error.strerror}") from None
        if self._is_stopping:
            self._kill()
        try:
            written, complaint = self._process.communicate(dump(source), self._timeout)
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.communicate()
            raise SummarizerError(f"{self._command[0]} took longer than {self._timeout:g} s") from None
        except BaseException:
            self._kill()
            raise
        sys.stderr.buffer.write(complaint)
        sys.stderr.flush()
        if self._is_stopping:
            raise StoppedError("the worker was stopped")
        if self._process.returncode:
            raise SummarizerError(failure(self._command[0], self._process.returncode, complaint))
        try:
            return written.decode().strip()
        except UnicodeDecodeError as error:
            raise SummarizerError(f"{self._command[0]} did not write UTF-8: byte {error.start + 1}") from None

    def stop(self) -> None:
        """Kill it if it runs."""
        self._is_stopping = True
        self._kill()

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def failure(name: str, code: int, complaint: bytes) -> str:
    """Return how a program failed, with its last line on standard error."""
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    lines = complaint.decode(errors="replace").strip().splitlines()
    return f"{name} {how}" + (f": {lines[-1].strip()[:SHOWN]}" if lines else "")


@click.command()
@click.option(
    "--summarizer", metavar="CMD",
    help="Program that reads the messages to summarize as JSON on standard input and writes the summary; "
    "without one, only contexts whose strategy is digest, elide or drop are compacted.",
)  # fmt: skip
@click.option(
    "--timeout",
    type=float,
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="Longest time for a summary.",
)
@click.option(
    "--lease", type=click.IntRange(1, 86400), default=LEASE, show_default=True, metavar="SECONDS",
    help="Time after which another worker takes over from one that has died.",
)  # fmt: skip
@click.option(
    "--poll", type=click.FloatRange(min=0.01), default=POLL, show_default=True, metavar="SECONDS",
    help="Interval between looks for due contexts that send no notification.",
)  # fmt: skip
@click.option("--name", help="Name of this worker in `kata compactions`; default: host and process.")
@click.option(
    "--listen-dsn", metavar="URL",
    help="Direct URL of the database, to receive notifications where --dsn is that of a transaction pooler.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Compact the contexts that are due now, then exit.")
@json_option
@click.pass_context
def worker(
    ctx: click.Context, summarizer: str | None, timeout: float, lease: int, poll: float, name: str | None,
    listen_dsn: str | None, once: bool, as_json: bool,
) -> None:  # fmt: skip
    """Compact due contexts until stopped with SIGTERM or Ctrl-C; several workers may run.

    With `--tenant '*'` it compacts the contexts of all tenants. It prints one line per compaction; with
    --once the exit code is 1 if one has failed.
    """
    program = None
    if summarizer is not None:
        try:
            command = shlex.split(summarizer)
        except ValueError as error:
            raise click.UsageError(f"--summarizer: {error}") from None
        if not command:
            raise click.UsageError("--summarizer is empty")
        # Reject a mistyped command before claiming any work.
        if shutil.which(command[0]) is None:
            raise click.UsageError(f"--summarizer: {command[0]} cannot be run")
        program = Program(command, timeout)
    with open_kata(ctx, connections=2) as kata:
        compactor = Compactor(
            kata,
            program,
            name=name,
            lease_seconds=lease,
            poll_seconds=poll,
            listen_dsn=listen_dsn,
            report=lambda outcome: report(outcome, as_json),
            report_error=report_error,
        )

        def stop(*_: Any) -> None:
            compactor.stop()

        handlers = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            if once:
                failed = any(outcome.status == "failed" for outcome in compactor.drain())
                ctx.exit(int(failed))
            click.echo("waiting for work", err=True)
            compactor.run()
            click.echo("stopped", err=True)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def report(outcome: Outcome, as_json: bool) -> None:
    """Print the outcome of a compaction, unbuffered."""
    if as_json:
        print_json(outcome)
    else:
        what = f"{outcome.context_id}  {outcome.status:<9}  {outcome.message_count} messages"
        if outcome.status == "committed":
            click.echo(
                f"{what}, {outcome.source_tokens:,} tokens became {outcome.result_tokens or 0:,}, "
                f"version {outcome.summary_version}"
            )
        else:
            click.echo(f"{what}: {outcome.error}")
    sys.stdout.flush()


def report_error(error: Exception) -> None:
    """Print on standard error a failure that the worker waits out."""
    problem = explain(error)
    click.echo(f"kata: {problem.message if problem else error}; trying again", err=True)
