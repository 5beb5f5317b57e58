"""A program that writes summaries."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

from kata_context.compaction.outcome import StoppedError, SummarizerError
from kata_context.compaction.source import Source, dump
from kata_context.programs import start_options

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
        try:
            self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE, **start_options())
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
