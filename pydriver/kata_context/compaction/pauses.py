"""Pauses and work beside a block, for event loops and for threads, in pairs of names."""

import asyncio
import select
import socket
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import psycopg

from kata_context.compaction.outcome import StoppedError

AsyncInterrupts = (KeyboardInterrupt, SystemExit, asyncio.CancelledError)
Interrupts = (KeyboardInterrupt, SystemExit)


class AsyncBell:
    """Rings once; from then on pauses end at once."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    @property
    def is_rung(self) -> bool:
        """Whether it has rung."""
        return self._rung.is_set()

    def ring(self) -> None:
        """End pauses, and the result that is waited for."""
        self._rung.set()

    async def pause(self, seconds: float, listener: psycopg.AsyncConnection[Any] | None = None) -> None:
        """Wait; a notification to the listener ends it too."""
        waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._rung.wait())]
        if listener is not None:
            waiting.append(asyncio.ensure_future(_notified(listener, seconds)))
        try:
            done, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _cancelled(*waiting)

    async def unless_rung(self, summary: Awaitable[str]) -> str:
        """Return a summary; cancel it when the bell rings.

        Raises
        ------
        StoppedError : the bell rang first
        """
        writing = asyncio.ensure_future(summary)
        ringing = asyncio.ensure_future(self._rung.wait())
        try:
            await asyncio.wait({writing, ringing}, return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                return writing.result()
            raise StoppedError("the worker was stopped")
        finally:
            await _cancelled(writing, ringing)


class Bell:
    """Rings once; from then on pauses end at once. It may be rung by another thread or a signal handler."""

    def __init__(self) -> None:
        self.is_rung = False
        # A byte that is never read: it ends this pause and all later ones.
        self._reading, self._writing = socket.socketpair()
        self._writing.setblocking(False)
        for end in (self._reading, self._writing):
            weakref.finalize(self, end.close)

    def ring(self) -> None:
        """End pauses."""
        self.is_rung = True
        with suppress(BlockingIOError):
            self._writing.send(b"x")

    def pause(self, seconds: float, listener: psycopg.Connection[Any] | None = None) -> None:
        """Wait; a notification to the listener ends it too."""
        sources = [self._reading.fileno(), *([listener.fileno()] if listener else [])]
        ready, _, _ = select.select(sources, [], [], seconds)
        if listener is not None and listener.fileno() in ready:
            for _ in listener.notifies(timeout=0):
                pass  # the context does not matter: the one that has been due longest comes first


@asynccontextmanager
async def repeated_async(action: Callable[[], Awaitable[bool]], seconds: float) -> AsyncIterator[None]:
    """Repeat an action every so many seconds beside the block, until it returns False."""

    async def repeat() -> None:
        await asyncio.sleep(seconds)
        while await action():
            await asyncio.sleep(seconds)

    repeating = asyncio.ensure_future(repeat())
    try:
        yield
    finally:
        await _cancelled(repeating)


@contextmanager
def repeated(action: Callable[[], bool], seconds: float) -> Iterator[None]:
    """Repeat an action every so many seconds beside the block, until it returns False."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds) and action():
            pass

    thread = threading.Thread(target=repeat, name="kata-renew", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def shielded_async(action: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Take an action to its end although the task is cancelled."""
    await asyncio.shield(action())


def shielded(action: Callable[[], object]) -> None:
    """Take an action; a thread is not cancelled."""
    action()


async def _notified(listener: psycopg.AsyncConnection[Any], seconds: float) -> None:
    async for _ in listener.notifies(timeout=seconds, stop_after=1):
        pass


async def _cancelled(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks that are not done, and wait until they are."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
