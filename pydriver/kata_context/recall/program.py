"""A program that embeds: one text per line on standard input, one embedding per line on standard output."""

import json
import os
import reprlib
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import isfinite
from typing import Any

from kata_context.database_errors import InvalidInputError
from kata_context.generated.client import Kata
from kata_context.generated.indexer import Indexer
from kata_context.programs import start_options
from kata_context.recall.batches import EmbedderError

LINE = 2**20  # characters that the line of an embedding may have


class EmbedderProgram:
    """A program that stays open and embeds batch after batch.

    It reads each text as a line of JSON and answers, in the same order, with a JSON array of numbers, or null
    for a text that it cannot embed. It must flush its answers.

    Parameters
    ----------
    command : the program and its arguments, as a shell splits them
    timeout : seconds that a batch may take
    """

    def __init__(self, command: str | list[str], timeout: float = 600) -> None:
        self._command = shlex.split(command) if isinstance(command, str) else command
        self._timeout = timeout
        self._process: subprocess.Popen[str] | None = None
        self._read = 0

    def __call__(self, texts: list[str]) -> list[Any]:
        """Embed texts.

        Raises
        ------
        EmbedderError : the program cannot be run, ended, took too long, or wrote something else
        """
        process, late = self._started(), threading.Event()
        # Else a program that answers early and one that answers late would both block.
        writer = threading.Thread(target=self._write, args=(process, texts), daemon=True)
        timer = threading.Timer(self._timeout, _kill, (process, late))
        writer.start()
        timer.start()
        try:
            made = [self._answer(process) for _ in texts]
            # A program that answers what it does not read leaves the writer waiting.
            writer.join()
            if not late.is_set():
                return made
        except EmbedderError:
            if not late.is_set():
                self.close()
                raise
        finally:
            timer.cancel()
        self.close()
        raise EmbedderError(f"{self._command[0]} took longer than {self._timeout:g} s")

    def _answer(self, process: "subprocess.Popen[str]") -> Any:
        assert process.stdout
        line = process.stdout.readline(LINE)
        if not line:
            raise EmbedderError(f"{self._command[0]} ended before it had answered, after {self._read} lines")
        self._read += 1
        with suppress(ValueError, TypeError, OverflowError, RecursionError):
            made = json.loads(line)
            if made is None or (
                isinstance(made, list) and all(type(n) is not bool and isfinite(n) for n in made)
            ):
                return made
        wrote = f"{self._command[0]} wrote {reprlib.repr(line.strip())} on line {self._read}"
        raise EmbedderError(wrote, "let it write one JSON array of finite numbers per text, or null")

    def close(self) -> None:
        """End the program."""
        if self._process is not None:
            _kill(self._process)
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream:
                    with suppress(OSError):
                        stream.close()
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._read = 0
            try:
                self._process = subprocess.Popen(
                    self._command, encoding="utf-8", errors="replace", **start_options()
                )
            except OSError as error:
                raise EmbedderError(f"{self._command[0]}: {error.strerror}") from None
        return self._process

    @staticmethod
    def _write(process: "subprocess.Popen[str]", texts: list[str]) -> None:
        assert process.stdin
        with suppress(OSError, ValueError):
            for text in texts:
                process.stdin.write(json.dumps(text) + "\n")
            process.stdin.flush()


def _kill(process: "subprocess.Popen[str]", late: threading.Event | None = None) -> None:
    if late:
        late.set()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def indexing(
    kata: Kata, command: list[str] | None, model: str | None, timeout: float = 600
) -> Iterator[Indexer]:
    """Yield an indexer that embeds with a program, and end the program.

    Parameters
    ----------
    command, model : of the embedder, both or neither; None for words alone
    """
    if (command is None) != (model is None):
        raise InvalidInputError("an embedder and its model go together", hint="name both, or neither")
    if command is None:
        yield Indexer(kata)
        return
    program = EmbedderProgram(command, timeout)
    try:
        yield Indexer(kata, program, model=model)
    finally:
        program.close()
