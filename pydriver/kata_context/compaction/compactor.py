"""Compaction by a model: what is due is claimed, summarised and committed, by threads or in an event loop.

    def summarize(source: Source) -> str:
        return model.complete(source.instructions, source.material)

    with Kata() as kata:
        Compactor(kata, summarize).run()

What a worker does is written down once, as generators: they yield steps (calls of the driver, texts to count,
sources to summarise, pauses) and are sent what came of them. Compactor takes the steps in threads,
AsyncCompactor in an event loop. While a summariser runs there is neither lock nor transaction: only a lease,
which is renewed.
"""

import asyncio
import os
import select
import socket
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

import psycopg

from kata_context import tokens
from kata_context.compaction.source import Source
from kata_context.database_errors import KataDatabaseError, NoGainError, StaleCompactionError
from kata_context.driver.client_async import AsyncKata
from kata_context.errors import KataError, OutcomeUnknownError, PoolTimeoutError, UnreachableError
from kata_context.generated.client import Kata
from kata_context.generated.rows import CompactionLeaseRow

T = TypeVar("T")
R = TypeVar("R")

LEASE = 300  # seconds
POLL = 10.0  # seconds
LONGEST_REASON = 500  # characters
RETRIES = 5  # how often what the connection cost is tried again, before the lease is left to run out
BACKOFF = (1.0, 60.0)  # seconds: the first pause after a failure, and the longest


class SummarizerError(KataError):
    """A summariser failed; the message is what the compaction is given up with."""


class StoppedError(KataError):
    """A summariser was stopped: the compaction is given up, and nobody is to blame."""


Status = Literal["committed", "failed", "stale", "stopped"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a compaction.

    Parameters
    ----------
    status : committed; failed; stale (what it covers changed, or somebody took over); stopped (given up)
    summary_version : the version that it took, if it was committed
    message_count, source_tokens : what it covers
    result_tokens : what stands for it now, if it was committed
    error : why it was not
    """

    context_id: UUID
    compaction_id: UUID
    status: Status
    summary_version: int | None
    message_count: int
    source_tokens: int
    result_tokens: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class _Query:
    """A call of the driver."""

    name: str
    arguments: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Count:
    """Tokens of a text to count."""

    text: str
    tokenizer: str


@dataclass(frozen=True, slots=True)
class _Pause:
    """A time to wait, unless the end comes first.

    Parameters
    ----------
    seconds : how long
    hears : whether a notification ends it
    """

    seconds: float
    hears: bool = False


@dataclass(frozen=True, slots=True)
class _Listen:
    """To be able to hear notifications from now on, where there is a way."""


Step = _Query | _Count | _Pause | _Listen | Source
Steps = Generator[Step, Any, T]


def _steps(lease: CompactionLeaseRow) -> Steps[Outcome]:
    """Do a compaction that has been claimed."""
    try:
        try:
            row = yield from (_summarized(lease) if lease.needs_summary else _commit(lease, None, None))
        except StaleCompactionError:
            raise
        except StoppedError as error:
            yield from _abort(lease, None)
            return _outcome(lease, "stopped", error)
        except Exception as error:
            if _is_passing(error):
                raise
            yield from _abort(lease, _reason(error))
            return _outcome(lease, "failed", error)
    except StaleCompactionError as error:
        # The lease need not run out, which would be a failure; where it is over, this is nothing.
        with suppress(StaleCompactionError):
            yield from _abort(lease, None)
        return _outcome(lease, "stale", error)
    return replace(
        _outcome(lease, "committed"), summary_version=row.summary_version, result_tokens=row.result_tokens
    )


def _summarized(lease: CompactionLeaseRow) -> Steps[Any]:
    """Have a summary written and commit it; a second one where the first is refused."""
    source = Source(
        context_id=lease.context_id,
        compaction_id=lease.compaction_id,
        messages=(yield _Query("compaction_source", (lease.compaction_id,))),
        previous_summary=lease.previous_summary,
        artifacts=(yield _Query("compaction_artifacts", (lease.compaction_id,))),
        budget=lease.summary_budget,
    )
    try:
        return (yield from _attempt(lease, source))
    except NoGainError as error:
        return (yield from _attempt(lease, replace(source, attempt=2, problem=_sentence(error))))


def _attempt(lease: CompactionLeaseRow, source: Source) -> Steps[Any]:
    summary = yield source
    if not isinstance(summary, str):
        raise SummarizerError(f"the summariser returned {type(summary).__name__}, not a text")
    count = (yield _Count(summary, lease.tokenizer)) if lease.tokenizer in tokens.ENCODINGS else None
    return (yield from _commit(lease, summary, count))


def _commit(lease: CompactionLeaseRow, summary: str | None, count: int | None) -> Steps[Any]:
    # Committing the same summary again returns the first result: a summary is not lost for a connection.
    return (yield from _insist(_Query("commit_compaction", (lease.compaction_id, summary, count))))


def _abort(lease: CompactionLeaseRow, reason: str | None) -> Steps[Any]:
    return (yield from _insist(_Query("abort_compaction", (lease.compaction_id, reason))))


def _insist(query: _Query) -> Steps[Any]:
    """Repeat a call that can be repeated for as long as it is the connection that fails."""
    for attempt in range(RETRIES):
        try:
            return (yield query)
        except (KataError, psycopg.Error) as error:
            if not _is_passing(error):
                raise
        yield _Pause(_backoff(attempt))
    return (yield query)


def _is_passing(error: BaseException) -> bool:
    """Whether the connection failed, not what was asked."""
    if isinstance(error, KataDatabaseError):
        return False
    passing = (OutcomeUnknownError, PoolTimeoutError, UnreachableError)
    return isinstance(error, (*passing, psycopg.OperationalError, psycopg.InterfaceError))


def _backoff(failures: int) -> float:
    """Return how long to wait after so many failures in a row, and one."""
    first, longest = BACKOFF
    return min(first * 2.0 ** min(failures, 30), longest)


def _sentence(error: KataError) -> str:
    return f"{error.message[:1].upper()}{error.message[1:]}. {error.detail or ''}".strip()


def _reason(error: Exception) -> str:
    said = str(error) if isinstance(error, (KataError, psycopg.Error)) else f"{type(error).__name__}: {error}"
    # What is no text for Postgres is none for its records either.
    plain = "".join(c if c.isprintable() else " " for c in said.encode(errors="replace").decode())
    return " ".join(plain.split())[:LONGEST_REASON] or type(error).__name__


def _outcome(lease: CompactionLeaseRow, status: Status, error: Exception | None = None) -> Outcome:
    return Outcome(
        context_id=lease.context_id,
        compaction_id=lease.compaction_id,
        status=status,
        summary_version=None,
        message_count=lease.message_count,
        source_tokens=lease.source_tokens,
        result_tokens=None,
        error=None if error is None else _reason(error),
    )


def _missing(_: Source) -> str:
    raise SummarizerError("the policy asks for a summary, and this worker has no summariser")


class _Worker(Generic[T]):
    """What Compactor and AsyncCompactor have in common: all but how a step is taken."""

    def __init__(
        self,
        kata: T,
        *,
        name: str | None = None,
        lease_seconds: int = LEASE,
        poll_seconds: float = POLL,
        listen_dsn: str | None = None,
        report: Callable[[Outcome], object] | None = None,
        report_error: Callable[[Exception], object] | None = None,
    ) -> None:
        self._kata = kata
        self._name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._lease = lease_seconds
        self._poll = poll_seconds
        self._listen_dsn = listen_dsn
        self._report = report
        self._report_error = report_error
        self._held: UUID | None = None
        self._is_stopping = False

    def _life(self) -> Steps[None]:
        """Compact what is or becomes due, to the end. What the connection costs is waited out."""
        failures = 0
        while not self._is_stopping:
            try:
                yield _Listen()
                outcome = yield from self._next()
                has_failed = outcome is not None and outcome.status == "failed"
                if outcome is None:
                    yield _Pause(self._poll, hears=True)
            except (KataError, psycopg.Error) as error:
                if not _is_passing(error):
                    raise
                if self._report_error:
                    self._report_error(error)
                has_failed = True
            if has_failed:
                # A summariser that fails is not to go through all that is due at once.
                yield _Pause(_backoff(failures))
            failures = failures + 1 if has_failed else 0

    def _drained(self) -> Steps[list[Outcome]]:
        found = []
        while not self._is_stopping and (outcome := (yield from self._next())):
            found.append(outcome)
        return found

    def _next(self) -> Steps[Outcome | None]:
        lease = yield _Query("claim_due_compaction", (self._name, self._lease))
        return None if lease is None else (yield from self._done(lease))

    def _begun(self, context_id: UUID | str, force: bool) -> Steps[Outcome]:
        options = {"claimed_by": self._name, "lease_seconds": self._lease, "force": force}
        return (yield from self._done((yield _Query("begin_compaction", (context_id, "summarize"), options))))

    def _done(self, lease: CompactionLeaseRow) -> Steps[Outcome]:
        self._held = lease.compaction_id
        outcome = yield from _steps(lease)
        self._held = None
        if self._report:
            self._report(outcome)
        return outcome


class Compactor(_Worker[Kata]):
    """Compacts what is due, one context after the other; run several for more.

    Parameters
    ----------
    kata : the database, with two connections at least; under the tenant '*' the contexts of all tenants
    summarize : gets a Source and returns the summary; what it raises is the reason with which the compaction
        is given up. One with a method `stop` is told when the compactor is to stop. None: contexts whose
        policy has another strategy than summarize are compacted all the same.
    name : for people, in kata.compactions; None for host and process
    lease_seconds : after which somebody else may take over from a worker that has died
    poll_seconds : how often to look for what is due where nothing notifies of it (`notify` of the policy)
    listen_dsn : a way to the database on which sessions are stable, where that of `kata` is through a pooler
    report : is told what came of each compaction
    report_error : is told what `run` waits out: that the database cannot be reached, for example
    """

    def __init__(self, kata: Kata, summarize: Callable[[Source], str] | None = None, **options: Any) -> None:
        super().__init__(kata, **options)
        self._summarize = summarize or _missing
        self._listener: psycopg.Connection[Any] | None = None
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_write.setblocking(False)
        for end in (self._wake_read, self._wake_write):
            weakref.finalize(self, end.close)

    def run(self) -> None:
        """Compact what is or becomes due, until `stop` is called. Errors of the connection are waited out."""
        try:
            self._drive(self._life())
        finally:
            if self._listener is not None:
                self._listener.close()

    def drain(self) -> list[Outcome]:
        """Compact what is due now, and return what came of it."""
        return self._drive(self._drained())

    def step(self) -> Outcome | None:
        """Compact the context that has been due longest; None where none is."""
        return self._drive(self._next())

    def compact(self, context_id: UUID | str, *, force: bool = False) -> Outcome:
        """Have one context summarised.

        Parameters
        ----------
        force : although it is not due

        Raises
        ------
        NothingToCompactError : it is not due, or there is nothing to cover
        CompactionInProgressError : another holds the lease
        """
        return self._drive(self._begun(context_id, force))

    def stop(self) -> None:
        """Have `run` return soon: a summariser that can be stopped is, and its compaction given up.

        May be called from another thread, or from a handler of a signal.
        """
        self._is_stopping = True
        with suppress(BlockingIOError):
            self._wake_write.send(b"x")
        if stop := getattr(self._summarize, "stop", None):
            stop()

    def _drive(self, steps: Steps[R]) -> R:
        """Take the steps of a generator, and return what it returns."""
        try:
            step = next(steps)
            while True:
                try:
                    given = self._take(step)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(given)
        except StopIteration as end:
            result: R = end.value
            return result
        except (KeyboardInterrupt, SystemExit):
            # Whoever runs it is interrupted. That is no failure of the compaction.
            if self._held is not None:
                with suppress(KataError, psycopg.Error):
                    self._kata.abort_compaction(self._held)
            raise

    def _take(self, step: Step) -> Any:
        match step:
            case _Query(name, arguments, options):
                return getattr(self._kata, name)(*arguments, **options)
            case _Count(text, tokenizer):
                return tokens.FRAMING + tokens.count_tokens(text, tokenizer)
            case _Pause(seconds, hears):
                return self._wait(seconds, self._listener if hears else None)
            case _Listen():
                if self._listener is None or self._listener.closed:
                    self._listener = self._kata._listen(self._listen_dsn)
                return None
            case _:
                with self._renewed(step.compaction_id):
                    return self._summarize(step)

    @contextmanager
    def _renewed(self, compaction_id: UUID) -> Iterator[None]:
        """Keep a lease for as long as the block takes."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(self._lease / 3):
                try:
                    self._kata.renew_compaction(compaction_id, self._lease)
                except (KataError, psycopg.Error) as error:
                    if not _is_passing(error):
                        return  # it is somebody else's now, or gone: the commit will say so

        thread = threading.Thread(target=renew, name="kata-renew", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _wait(self, seconds: float, listener: psycopg.Connection[Any] | None) -> None:
        """Wait, for a notification too where there is a listener; `stop` ends it."""
        sources = [self._wake_read.fileno(), *([listener.fileno()] if listener else [])]
        ready, _, _ = select.select(sources, [], [], seconds)
        if listener is not None and listener.fileno() in ready:
            for _ in listener.notifies(timeout=0):
                pass  # which context it was does not matter: what has been due longest comes first


class AsyncCompactor(_Worker[AsyncKata]):
    """Compactor for asyncio: `summarize` is awaited, and is cancelled when the compactor is to stop.

    Parameters
    ----------
    kata, summarize, name, lease_seconds, poll_seconds, listen_dsn, report, report_error : as Compactor
    """

    def __init__(
        self, kata: AsyncKata, summarize: Callable[[Source], Awaitable[str]] | None = None, **options: Any
    ) -> None:
        super().__init__(kata, **options)
        self._summarize = summarize
        self._listener: psycopg.AsyncConnection[Any] | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Compact what is or becomes due, until `stop` is called. Errors of the connection are waited out."""
        try:
            await self._drive(self._life())
        finally:
            if self._listener is not None:
                await self._listener.close()

    async def drain(self) -> list[Outcome]:
        """Compact what is due now, and return what came of it."""
        return await self._drive(self._drained())

    async def step(self) -> Outcome | None:
        """Compact the context that has been due longest; None where none is."""
        return await self._drive(self._next())

    async def compact(self, context_id: UUID | str, *, force: bool = False) -> Outcome:
        """Have one context summarised, as Compactor.compact."""
        return await self._drive(self._begun(context_id, force))

    def stop(self) -> None:
        """Have `run` return soon: a summariser that runs is cancelled, and its compaction given up."""
        self._is_stopping = True
        self._stopping.set()

    async def _drive(self, steps: Steps[R]) -> R:
        """Take the steps of a generator, and return what it returns."""
        try:
            step = next(steps)
            while True:
                try:
                    given = await self._take(step)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(given)
        except StopIteration as end:
            result: R = end.value
            return result
        except (KeyboardInterrupt, SystemExit, asyncio.CancelledError):
            if self._held is not None:
                with suppress(KataError, psycopg.Error):
                    await asyncio.shield(self._kata.abort_compaction(self._held))
            raise

    async def _take(self, step: Step) -> Any:
        match step:
            case _Query(name, arguments, options):
                return await getattr(self._kata, name)(*arguments, **options)
            case _Count(text, tokenizer):
                return tokens.FRAMING + await asyncio.to_thread(tokens.count_tokens, text, tokenizer)
            case _Pause(seconds, hears):
                return await self._wait(seconds, self._listener if hears else None)
            case _Listen():
                if self._listener is None or self._listener.closed:
                    self._listener = await self._kata._listen(self._listen_dsn)
                return None
            case _:
                if self._summarize is None:
                    return _missing(step)
                async with self._renewed(step.compaction_id):
                    return await self._unless_stopped(self._summarize(step))

    async def _unless_stopped(self, summary: Awaitable[str]) -> str:
        """Return a summary, unless the compactor is to stop first."""
        writing = asyncio.ensure_future(summary)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({writing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                return writing.result()
            raise StoppedError("the worker was stopped")
        finally:
            await _cancelled(writing, stopping)

    @asynccontextmanager
    async def _renewed(self, compaction_id: UUID) -> AsyncIterator[None]:
        """Keep a lease for as long as the block takes."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(self._lease / 3)
                try:
                    await self._kata.renew_compaction(compaction_id, self._lease)
                except (KataError, psycopg.Error) as error:
                    if not _is_passing(error):
                        return

        renewing = asyncio.ensure_future(renew())
        try:
            yield
        finally:
            await _cancelled(renewing)

    async def _wait(self, seconds: float, listener: psycopg.AsyncConnection[Any] | None) -> None:
        """Wait, for a notification too where there is a listener; `stop` ends it."""
        waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._stopping.wait())]
        if listener is not None:
            waiting.append(asyncio.ensure_future(_notified(listener, seconds)))
        try:
            done, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _cancelled(*waiting)


async def _notified(listener: psycopg.AsyncConnection[Any], seconds: float) -> None:
    """Wait until something is heard, or long enough."""
    async for _ in listener.notifies(timeout=seconds, stop_after=1):
        pass


async def _cancelled(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks that are not done, and wait until they are."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
