"""A program that embeds: one text per line on standard input, one embedding per line on standard output."""

import json
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kata_context.database_errors import InvalidInputError
from kata_context.generated.client import Kata
from kata_context.generated.indexer import Indexer
from kata_context.recall.batches import EmbedderError


class EmbedderProgram:
    """A program that stays open and embeds batch after batch.

    It reads each text as a line of JSON and answers, in the same order, with a JSON array of numbers, or null
    for a text that it cannot embed. It must flush its answers.

    Parameters
    ----------
    command : the program and its arguments, as a shell splits them
    timeout : seconds that a batch may take
    """

    def __init__(self, command: str, timeout: float = 600) -> None:
        self._command = shlex.split(command)
        self._timeout = timeout
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, texts: list[str]) -> list[Any]:
        """Embed texts.

        Raises
        ------
        EmbedderError : the program cannot be run, ended, took too long, or wrote something else
        """
        process = self._started()
        assert process.stdout
        # Else a program that answers early and one that answers late would both block.
        writer = threading.Thread(target=self._write, args=(process, texts), daemon=True)
        timer = threading.Timer(self._timeout, process.kill)
        writer.start()
        timer.start()
        try:
            lines = [process.stdout.readline() for _ in texts]
        finally:
            timer.cancel()
        name = self._command[0]
        if not all(lines):
            self.close()
            raise EmbedderError(
                f"{name} ended before it had answered, or took longer than {self._timeout:g} s"
            )
        writer.join()
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            self.close()
            raise EmbedderError(
                f"{name} wrote a line that is not JSON: {error}", "let it write one array of numbers per line"
            ) from None

    def close(self) -> None:
        """End the program."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream:
                    with suppress(OSError):
                        stream.close()
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            try:
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
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


@contextmanager
def indexing(kata: Kata, command: str | None, model: str | None, timeout: float = 600) -> Iterator[Indexer]:
    """Yield an indexer that embeds with a program, and end the program.

    Parameters
    ----------
    command, model : of the embedder, None for words alone

    Raises
    ------
    InvalidInputError : only one of them is given, or there is no such program; no text has been read
    """
    if (command is None) != (model is None):
        raise InvalidInputError("an embedder and its model go together", hint="name both, or neither")
    if command is None:
        yield Indexer(kata)
        return
    if not command.strip() or shutil.which(shlex.split(command)[0]) is None:
        raise InvalidInputError(f'the embedder "{command}" cannot be run', hint="name a program")
    program = EmbedderProgram(command, timeout)
    try:
        yield Indexer(kata, program, model=model)
    finally:
        program.close()
