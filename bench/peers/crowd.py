"""Several clients of one store at once, each a process: appends per second, and losses."""

import asyncio
import itertools
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from typing import Any

from stores import STORES, Conversation, RefusedError, Store


@dataclass(frozen=True, slots=True)
class Crowd:
    """What came of a crowd.

    Parameters
    ----------
    acknowledged : appends that the store confirmed
    refused : attempts that it refused because another client had appended, and that were made again
    failed : attempts that ended in another error
    lost, doubled : of the acknowledged ones, not in the store in the end; there more than once
    per_second : acknowledged appends
    """

    acknowledged: int
    refused: int
    failed: int
    lost: int
    doubled: int
    per_second: float


def context() -> ForkServerContext:
    """Return how clients start: from a process that has imported all and connected to nothing."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["stores", "preload"])
    return found


@dataclass(frozen=True, slots=True)
class Report:
    """What a client did.

    Parameters
    ----------
    marks : of the messages whose append was acknowledged
    refused, failed : attempts
    seconds : from the start to the end of the last call
    stored : the marks in its own conversation in the end
    """

    marks: list[str]
    refused: int
    failed: int
    seconds: float
    stored: list[str]


async def append_for(
    store: Store, conversation: Conversation, worker: int, texts: list[str], start: Any, seconds: float
) -> Report:
    """Append marked messages for so long."""
    endless = itertools.cycle(texts)
    marked = ({"role": "user", "content": f"{worker}:{n}: {next(endless)}"} for n in itertools.count())
    # Connections, plans and tokenizers are there when it starts.
    await store.append(await store.create(), store.native([next(marked)])[0])
    start.wait(60)
    began = time.perf_counter()
    marks: list[str] = []
    refused = failed = 0
    message = None
    while time.perf_counter() < began + seconds:
        message = message or next(marked)
        try:
            await store.append(conversation, store.native([message])[0])
        except RefusedError:
            refused += 1
            continue  # the same once more
        except Exception:
            failed += 1
        else:
            marks.append(mark(message["content"]))
        message = None
    return Report(marks, refused, failed, time.perf_counter() - began, [])


def mark(text: str) -> str:
    """Return the mark of a message: the client, and its number there."""
    return ":".join(text.split(":")[:2])


def client(
    name: str,
    dsn: str,
    joined: str | None,
    worker: int,
    texts: list[str],
    start: Any,
    seconds: float,
    report: Any,
) -> None:
    """Be one client: append to the conversation that is named, or else to one of one's own."""

    async def work() -> None:
        store = STORES[name](dsn)
        await store.open()
        conversation = await (store.join(joined) if joined else store.create())
        done = await append_for(store, conversation, worker, texts, start, seconds)
        if not joined:
            done.stored.extend(mark(text) for text in await store.texts(conversation))
        await store.close()
        report.put(done)

    asyncio.run(work())


async def crowd(store: Store, name: str, clients: int, one: bool, texts: list[str], seconds: float) -> Crowd:
    """Let clients append for so long, all to one conversation or each to one of its own."""
    processes = context()
    start, report = processes.Barrier(clients), processes.Queue()
    joined = None
    if one:
        conversation = await store.create()
        await store.append(conversation, store.native([{"role": "user", "content": "Hello."}])[0])
        joined = store.name(conversation)
    workers = [
        processes.Process(
            target=client, args=(name, store.dsn, joined, worker, texts, start, seconds, report), daemon=True
        )
        for worker in range(clients)
    ]
    for worker in workers:
        worker.start()
    found: list[Report] = [report.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    if joined:
        stored = [mark(text) for text in await store.texts(await store.join(joined))]
    else:
        stored = [text for done in found for text in done.stored]
    acknowledged = [text for done in found for text in done.marks]
    kept = set(stored)
    return Crowd(
        acknowledged=len(acknowledged),
        refused=sum(done.refused for done in found),
        failed=sum(done.failed for done in found),
        lost=sum(text not in kept for text in acknowledged),
        doubled=len(stored) - len(kept),
        per_second=sum(len(done.marks) / done.seconds for done in found),
    )
