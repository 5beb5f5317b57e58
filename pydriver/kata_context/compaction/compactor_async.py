"""Compaction by a model, for asyncio: contexts that are due are claimed, summarized and committed.

kata_context/generated/compactor.py, for threads, is made from this file by `make generate`. While a
summarizer runs there is neither a lock nor a transaction, only a lease, which is renewed.
"""

import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar
from uuid import UUID

import psycopg

from kata_context import tokens
from kata_context.compaction.outcome import (
    Outcome,
    StoppedError,
    SummarizerError,
    backoff,
    is_passing,
    outcome,
    reason,
    sentence,
)
from kata_context.compaction.pauses import AsyncBell, AsyncInterrupts, repeated_async, shielded_async
from kata_context.compaction.source import Source
from kata_context.database_errors import NoGainError, StaleCompactionError
from kata_context.driver.client_async import AsyncKata
from kata_context.driver.concurrency import blocking_async
from kata_context.errors import KataError
from kata_context.generated.rows import CompactedRow, CompactionLeaseRow
from kata_context.recall.batches import EmbedderError

T = TypeVar("T")

LEASE = 300  # seconds
POLL = 10.0  # seconds
QUIET = 0.05  # seconds after a look in which notifications wait: any login can send them
RETRIES = 5  # repetitions of a call whose connection fails, before the lease is left to expire


class AsyncCompactor:
    """Compacts the contexts that are due, one after the other; several may run at once.

    Parameters
    ----------
    kata : the database, with at least two connections; under the tenant '*' the contexts of all tenants
    summarize : takes a Source and returns the summary; its exceptions become the reason with which the
        compaction is given up. `stop` cancels a coroutine; of another object it calls the method `stop`, if
        there is one. None: only contexts with a strategy other than summarize are compacted.
    name : shown by kata.compactions; None for host and process
    lease_seconds : time after which another worker may take over from one that has died
    poll_seconds : interval at which to look for contexts that do not notify (`notify` of the policy)
    listen_dsn : a direct connection string, if that of `kata` leads through a transaction pooler
    index : called after the compactions that were due, such as `AsyncIndexer(…).drain`
    report : called with the result of each compaction
    report_error : called with each error that `run` waits out, such as an unreachable database
    """

    def __init__(
        self,
        kata: AsyncKata,
        summarize: Callable[[Source], Awaitable[str]] | None = None,
        *,
        name: str | None = None,
        lease_seconds: int = LEASE,
        poll_seconds: float = POLL,
        listen_dsn: str | None = None,
        index: Callable[[], Awaitable[object]] | None = None,
        report: Callable[[Outcome], object] | None = None,
        report_error: Callable[[Exception], object] | None = None,
    ) -> None:
        self._kata = kata
        self._summarize = summarize
        self._name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._lease = lease_seconds
        self._poll = poll_seconds
        self._listen_dsn = listen_dsn
        self._index = index
        self._report = report
        self._report_error = report_error
        self._bell = AsyncBell()

    async def run(self) -> None:
        """Compact what is or becomes due, until `stop` is called. Errors of the connection are waited out."""
        failures = 0
        listener = None
        try:
            while not self._bell.is_rung:
                try:
                    if listener is None or listener.closed:
                        listener = await self._kata._pool.listen(self._listen_dsn)
                    done = await self.step()
                    has_failed = done is not None and done.status == "failed"
                    if done is None:
                        await self._indexed()
                        await self._bell.pause(QUIET)
                        await self._bell.pause(self._poll, listener)
                except (KataError, psycopg.Error) as error:
                    # A claim that was canceled, too: the next one looks at another context.
                    if not (is_passing(error) or isinstance(error, psycopg.errors.QueryCanceled)):
                        raise
                    if listener is not None:
                        await listener.close()  # of a server that may be a standby now
                    if self._report_error:
                        self._report_error(error)
                    has_failed = True
                if has_failed:
                    # A summarizer that fails must not go through all that is due at once.
                    await self._bell.pause(backoff(failures))
                failures = failures + 1 if has_failed else 0
        finally:
            if listener is not None:
                await listener.close()

    async def drain(self) -> list[Outcome]:
        """Compact what is due now, and return the results."""
        found = []
        while not self._bell.is_rung and (done := await self.step()):
            found.append(done)
        await self._indexed()
        return found

    async def step(self) -> Outcome | None:
        """Compact the context that has been due longest; return None if none is due."""
        can_summarize = self._summarize is not None
        lease = await self._kata.claim_due_compaction(self._name, self._lease, can_summarize=can_summarize)
        return None if lease is None else await self._compacted(lease)

    async def compact(self, context_id: UUID | str, *, force: bool = False) -> Outcome:
        """Have one context summarized.

        Parameters
        ----------
        force : although it is not due

        Raises
        ------
        NothingToCompactError : it is not due, or there is nothing to cover
        CompactionInProgressError : another worker holds the lease
        """
        lease = await self._kata.begin_compaction(
            context_id, "summarize", claimed_by=self._name, lease_seconds=self._lease, force=force
        )
        return await self._compacted(lease)

    def stop(self) -> None:
        """Have `run` return soon: a summarizer that runs is stopped, and its compaction given up."""
        if True:  # ASYNC
            self._bell.ring()
        else:
            # This may be a signal handler, or another thread.
            self._bell.ring()
            if stop := getattr(self._summarize, "stop", None):
                stop()

    async def _indexed(self) -> None:
        """Index; an embedder that fails is reported and tried again later."""
        try:
            if self._index and not self._bell.is_rung:
                await self._index()
        except EmbedderError as error:
            if not self._report_error:
                raise
            self._report_error(error)

    async def _compacted(self, lease: CompactionLeaseRow) -> Outcome:
        """Carry out a compaction that has been claimed, and report its result."""
        try:
            done = await self._carried_out(lease)
        except AsyncInterrupts:
            # The process ends or the task is cancelled: not a failure of the compaction.
            with suppress(KataError, psycopg.Error):
                await shielded_async(partial(self._kata.abort_compaction, lease.compaction_id))
            raise
        if self._report:
            self._report(done)
        return done

    async def _carried_out(self, lease: CompactionLeaseRow) -> Outcome:
        try:
            try:
                row = await self._finished(lease)
            except StaleCompactionError:
                raise
            except StoppedError as error:
                await self._abort(lease, None)
                return outcome(lease, "stopped", error)
            except Exception as error:
                if is_passing(error):
                    raise
                await self._abort(lease, reason(error))
                return outcome(lease, "failed", error)
        except StaleCompactionError as error:
            # An expired lease would count as a failure; aborting one that is over changes nothing.
            with suppress(StaleCompactionError):
                await self._abort(lease, None)
            return outcome(lease, "stale", error)
        return replace(
            outcome(lease, "committed"), summary_version=row.summary_version, result_tokens=row.result_tokens
        )

    async def _finished(self, lease: CompactionLeaseRow) -> CompactedRow:
        """Commit, with a summary if one is needed; with a second one if the first is refused."""
        if not lease.needs_summary:
            return await self._commit(lease, None, None)
        source = Source(
            context_id=lease.context_id,
            compaction_id=lease.compaction_id,
            messages=await self._kata.compaction_source(lease.compaction_id),
            previous_summary=lease.previous_summary,
            artifacts=await self._kata.compaction_artifacts(lease.compaction_id),
            budget=lease.summary_budget,
        )
        try:
            return await self._attempt(lease, source)
        except NoGainError as error:
            return await self._attempt(lease, replace(source, attempt=2, problem=sentence(error)))

    async def _attempt(self, lease: CompactionLeaseRow, source: Source) -> CompactedRow:
        if self._summarize is None:
            raise SummarizerError("the policy asks for a summary, and this worker has no summarizer")
        async with repeated_async(partial(self._renew, lease), self._lease / 3):
            if True:  # ASYNC
                summary = await self._bell.unless_rung(self._summarize(source))
            else:
                summary = self._summarize(source)
        if not isinstance(summary, str):
            raise SummarizerError(f"the summarizer returned {type(summary).__name__}, not a text")
        count = None
        if lease.tokenizer in tokens.ENCODINGS:
            count = tokens.FRAMING + await blocking_async(tokens.count_tokens, summary, lease.tokenizer)
        return await self._commit(lease, summary, count)

    async def _renew(self, lease: CompactionLeaseRow) -> bool:
        """Renew a lease; return whether that makes sense again."""
        try:
            await self._kata.renew_compaction(lease.compaction_id, self._lease)
        except (KataError, psycopg.Error) as error:
            return is_passing(error)  # else another worker has it, or it is gone: the commit will say so
        return True

    async def _commit(
        self, lease: CompactionLeaseRow, summary: str | None, count: int | None
    ) -> CompactedRow:
        # The same commit again returns the first result: a lost connection does not lose the summary.
        return await self._insist(partial(self._kata.commit_compaction, lease.compaction_id, summary, count))

    async def _abort(self, lease: CompactionLeaseRow, problem: str | None) -> None:
        await self._insist(partial(self._kata.abort_compaction, lease.compaction_id, problem))

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a repeatable call while its connection fails."""
        for attempt in range(RETRIES):
            try:
                return await call()
            except (KataError, psycopg.Error) as error:
                if not is_passing(error):
                    raise
            await self._bell.pause(backoff(attempt))
        return await call()
