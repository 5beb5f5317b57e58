"""`make bench-peers`: stores of conversations on one server, with the same real messages, in alternation.

Prints one line per result, and writes JSON lines. Appends are durable: the server has its default settings.
"""

import argparse
import asyncio
import gc
import itertools
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg

from crowd import crowd
from harness import connect, own_server, plain, real_messages, scalar, table_bytes, undisturbed, wal_position
from measure import interval, machine, write_lines
from stores import STORES, Conversation, Message, Store

WORKLOADS = ("bytes", "append", "append 100", "window", "past", "fork", "clients", "cold")
ROUND_SECONDS = 0.1  # about how long a round of calls takes
MOST_CALLS = 20


class Racer:
    """A store at a workload: calls that take a message each.

    Parameters
    ----------
    store : whose messages
    call : what is timed
    begin : returns what the calls of a round work on; not timed
    batch : messages per call, none for a call without any
    """

    def __init__(
        self, store: Store, call: Callable[[Conversation, Any], Awaitable[object]],
        begin: Callable[[], Awaitable[Conversation]], batch: int = 0,
        messages: Iterator[Message] | None = None,
    ) -> None:  # fmt: skip
        self.store, self.call, self.begin, self.batch = store, call, begin, batch
        self.messages = messages or iter(())

    async def run(self, calls: int, awake: bool) -> tuple[float, float]:
        """Return the seconds a call took, and those that this process was computing.

        Parameters
        ----------
        awake : make a call before that is not timed: while others had their turn, a pool may have closed its
            connections
        """
        conversation = await self.begin()
        arguments: list[Any] = [None] * (calls + awake)
        if self.batch:
            natives = [
                self.store.native(list(itertools.islice(self.messages, self.batch))) for _ in arguments
            ]
            arguments = [native if self.batch > 1 else native[0] for native in natives]
        if awake:
            await self.call(conversation, arguments.pop(0))
        gc.collect()  # what is left of others is not for this one to clear away
        start, computed = time.perf_counter(), time.process_time()
        for argument in arguments:
            await self.call(conversation, argument)
        return (time.perf_counter() - start) / calls, (time.process_time() - computed) / calls


class Peers:
    """The stores on a server, and what is measured of them.

    Parameters
    ----------
    stores : opened, by name
    messages : of real conversations, without counts
    options : of the command line
    """

    def __init__(
        self, stores: dict[str, Store], messages: list[Message], options: argparse.Namespace
    ) -> None:
        self.stores, self.messages, self.options = stores, messages, options
        self.texts = [message["content"] for message in plain(messages)]
        self.lines: list[dict[str, Any]] = []
        self.read_only: dict[int, dict[str, Conversation]] = {}

    def emit(self, line: dict[str, Any], text: str) -> None:
        """Keep a result, and show it."""
        self.lines.append({"section": "peers", **line})
        print(text, flush=True)

    def endless(self, start: int = 0) -> Iterator[Message]:
        """The messages again and again, from one of them on."""
        return itertools.islice(itertools.cycle(self.messages), start % len(self.messages), None)

    async def filled(self, length: int) -> dict[str, Conversation]:
        """Return a conversation of so many messages in each store."""
        found = {}
        for name, store in self.stores.items():
            found[name] = await store.create()
            await store.fill(found[name], list(itertools.islice(self.endless(), length)))
        with psycopg.connect(next(iter(self.stores.values())).dsn, autocommit=True) as connection:
            connection.execute("analyze")
        return found

    async def unchanging(self, length: int) -> dict[str, Conversation]:
        """Return conversations that no client appends to."""
        if length not in self.read_only:
            self.read_only[length] = await self.filled(length)
        return self.read_only[length]

    async def race(self, workload: str, n: int, racers: dict[str, Racer]) -> None:
        """Let the stores take turns, in an order that is shuffled anew each round."""
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in racers}
        calls, left = {}, dict.fromkeys(racers, self.options.seconds)
        for name, racer in racers.items():
            took = await racer.run(1, awake=False)  # to warm up, and to see how long a call takes
            left[name] -= took[0]
            calls[name] = max(1, min(MOST_CALLS, int(ROUND_SECONDS / took[0])))
            if left[name] <= 0:
                taken[name].append(took)
        for number in range(self.options.rounds):
            order = list(racers)
            random.Random(number).shuffle(order)
            for name in order:
                if left[name] > 0:
                    took = await racers[name].run(calls[name], awake=calls[name] > 1)
                    taken[name].append(took)
                    left[name] -= took[0] * calls[name]
        for name in racers:
            self.report(workload, n, name, calls[name], taken[name], taken["kata"])

    def report(
        self, workload: str, n: int, name: str, calls: int, taken: Sequence[tuple[float, float]],
        ours: Sequence[tuple[float, float]],
    ) -> None:  # fmt: skip
        """Emit what a store took: medians, intervals, and how many times as long as ours."""
        wall, cpu = ([value * 1e6 for value in column] for column in zip(*taken, strict=True))
        ratios = [theirs[0] / own[0] for theirs, own in zip(taken, ours)]  # noqa: B905  round by round
        line = {
            "workload": workload, "n": n, "store": name, "us": statistics.median(wall),
            "us_interval": interval(wall), "cpu_us": statistics.median(cpu),
            "ratio": statistics.median(ratios), "ratio_interval": interval(ratios),
            "rounds": len(taken), "calls": calls,
        }  # fmt: skip
        spread = line["ratio_interval"]
        between = f" [{spread[0]:.2f}, {spread[1]:.2f}]" if spread else f" (of {len(ratios)})"
        self.emit(
            line,
            f"{workload:<12} n = {n:<8,} {self.stores[name].label:<36} {line['us'] / 1e3:>10.3f} ms   "
            f"client CPU {line['cpu_us'] / 1e3:>9.3f} ms   times ours {line['ratio']:.2f}{between}",
        )

    def same(self, conversation: Conversation) -> Callable[[], Awaitable[Conversation]]:
        """Begin every round with the same conversation."""

        async def begin() -> Conversation:
            return conversation

        return begin

    async def window(self) -> None:
        """The window of 8,000 tokens at growing lengths."""
        for length in (100, 1_000, 10_000, 100_000):
            if length <= self.options.longest:
                conversations = await self.unchanging(length)
                racers = {
                    name: Racer(store, ignoring(store.window), self.same(conversations[name]))
                    for name, store in self.stores.items()
                }
                await self.race("window", length, racers)

    async def past(self) -> None:
        """The window as of the middle."""
        length = min(10_000, self.options.longest)
        conversations = await self.unchanging(length)
        racers = {
            name: Racer(store, ignoring(store.window_at_middle), self.same(conversations[name]))
            for name, store in self.stores.items()
        }
        await self.race("past", length, racers)

    async def fork(self) -> None:
        """A fork at the middle, and a message appended to it."""
        for length in (1_000, 10_000):
            if length <= self.options.longest:
                conversations = await self.filled(length)
                racers = {
                    name: Racer(
                        store,
                        store.fork_at_middle,
                        self.same(conversations[name]),
                        1,
                        iter(cycle_texts(self.texts)),
                    )
                    for name, store in self.stores.items()
                }
                await self.race("fork", length, racers)

    async def append_100(self) -> None:
        """100 messages in one call, where there is one."""
        length = min(1_000, self.options.longest)
        conversations = await self.filled(length)
        racers = {
            name: Racer(store, store.append_many, self.same(conversations[name]), 100, self.endless(length))
            for name, store in self.stores.items()
        }
        await self.race("append 100", length, racers)

    async def append(self) -> None:
        """One message; at n = 0 each round has a conversation of its own."""
        racers = {
            name: Racer(store, store.append, store.create, 1, iter(cycle_texts(self.texts)))
            for name, store in self.stores.items()
        }
        await self.race("append", 0, racers)
        for length in (1_000, 10_000):
            if length <= self.options.longest:
                conversations = await self.filled(length)
                racers = {
                    name: Racer(store, store.append, self.same(conversations[name]), 1, self.endless(length))
                    for name, store in self.stores.items()
                }
                await self.race("append", length, racers)

    async def bytes(self) -> None:
        """Bytes on disk and WAL of messages appended one by one, by the length of the conversation."""
        most = self.options.kept
        for name, store in self.stores.items():
            for length in [length for length in (100, 300, 1_000) if length <= most]:
                count = most // length
                with connect(store.dsn, durable=True) as connection, undisturbed(connection):
                    disk, wal = table_bytes(connection, store.tables), wal_position(connection)
                    for _ in range(count):
                        conversation, messages = await store.create(), self.endless()
                        for message in store.native(list(itertools.islice(messages, length))):
                            await store.append(conversation, message)
                    disk = table_bytes(connection, store.tables) - disk
                    wal = wal_position(connection) - wal
                messages_kept = count * length
                line = {
                    "workload": "bytes", "n": length, "store": name, "disk": disk / messages_kept,
                    "wal": wal / messages_kept, "messages": messages_kept,
                }  # fmt: skip
                self.emit(
                    line,
                    f"bytes        n = {length:<8,} {store.label:<36} {line['disk']:>10,.0f} on disk, "
                    f"{line['wal']:>10,.0f} of WAL a message",
                )

    async def clients(self) -> None:
        """1, 2 and 4 clients on one conversation and on one each; what is lost."""
        for one, number in itertools.product((True, False), (1, 2, 4)):
            found: dict[str, list[Any]] = {name: [] for name in self.stores}
            for _ in range(self.options.crowds):
                for name, store in self.stores.items():
                    took = self.options.crowd_seconds
                    found[name].append(await crowd(store, name, number, one, self.texts, took))
            for name, runs in found.items():
                total = {key: sum(asdict(run)[key] for run in runs) for key in asdict(runs[0])}
                line = {
                    "workload": "clients, one conversation" if one else "clients, one each", "n": number,
                    "store": name, **total, "per_second": statistics.median(run.per_second for run in runs),
                    "runs": len(runs),
                }  # fmt: skip
                where = "on one conversation" if one else "each on its own"
                self.emit(
                    line,
                    f"{number} clients {where:<20} {self.stores[name].label:<36} "
                    f"{line['per_second']:>8,.0f} a second   acknowledged {line['acknowledged']:,}  "
                    f"lost {line['lost']:,}  doubled {line['doubled']:,}  "
                    f"refused {line['refused']:,}  failed {line['failed']:,}",
                )

    async def cold(self) -> None:
        """A program that starts, opens the store and reads the window of 1,000 messages twice."""
        conversations = await self.unchanging(min(1_000, self.options.longest))
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in self.stores}
        program = str(Path(__file__).with_name("first_call.py"))
        for _ in range(self.options.colds):
            for name, store in self.stores.items():
                command = [sys.executable, program, name, store.dsn, store.name(conversations[name])]
                printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found[name].append(tuple(map(float, printed.split())))
        for name, runs in found.items():
            opening, first, second = (statistics.median(column) * 1e3 for column in zip(*runs, strict=True))
            line = {
                "workload": "cold", "n": conversations[name].length, "store": name, "open_ms": opening,
                "first_ms": first, "second_ms": second, "runs": len(runs),
            }  # fmt: skip
            self.emit(
                line,
                f"cold         {self.stores[name].label:<36} import and connect {opening:>8.0f} ms   "
                f"first window {first:>8.1f} ms   second {second:>8.1f} ms",
            )


def ignoring(
    call: Callable[[Conversation], Awaitable[object]],
) -> Callable[[Conversation, Any], Awaitable[object]]:
    """Return the call as one that is given a message and has no use for it."""
    return lambda conversation, _: call(conversation)


def cycle_texts(texts: list[str]) -> Iterator[Message]:
    """Messages of the user that may stand anywhere."""
    return ({"role": "user", "content": text} for text in itertools.cycle(texts))


async def measure(dsn: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Open the stores that are installed and measure them."""
    opened: dict[str, Store] = {}
    missing = []
    for name in options.stores:
        try:
            store = STORES[name](dsn)
            await store.open()
        except ImportError as error:
            missing.append(
                {"section": "missing", "store": name, "label": STORES[name].label, "reason": str(error)}
            )
            print(f"{STORES[name].label} cannot be installed here: {error}", flush=True)
        else:
            opened[name] = store
    with connect(dsn, durable=True) as connection:
        versions = {"PostgreSQL": scalar(connection, "show server_version")}
    for store in opened.values():
        versions |= store.versions()
    about = machine(**versions) | {
        "rounds": options.rounds, "labels": {name: store.label for name, store in opened.items()},
    }  # fmt: skip
    print(json.dumps(about), flush=True)
    messages = [
        {key: value for key, value in message.items() if key != "token_count"} for message in real_messages()
    ]
    gc.freeze()  # a collection need not go through the packages of all stores
    peers = Peers(opened, messages, options)
    for workload in options.workloads or WORKLOADS:
        await getattr(peers, workload.replace(" ", "_"))()
    for store in opened.values():
        await store.close()
    return [about, *missing, *peers.lines]


def main() -> None:
    """Run the workloads on a server of their own, with the settings of Postgres as they come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "workloads", nargs="*", choices=[*WORKLOADS, []], metavar="WORKLOAD", help=", ".join(WORKLOADS)
    )
    parser.add_argument("--stores", nargs="+", choices=list(STORES), default=list(STORES))
    parser.add_argument("--rounds", type=int, default=15, help="rounds of a workload (default 15)")
    parser.add_argument("--seconds", type=float, default=4, help="the most a store gets for one (default 4)")
    parser.add_argument(
        "--longest", type=int, default=100_000, help="the longest conversation (default 100000)"
    )
    parser.add_argument("--kept", type=int, default=1_000, help="messages of workload bytes (default 1000)")
    parser.add_argument("--crowds", type=int, default=3, help="runs of each crowd of clients (default 3)")
    parser.add_argument("--crowd-seconds", type=float, default=0.5, help="how long each takes (default 0.5)")
    parser.add_argument(
        "--colds", type=int, default=3, help="programs started of each store by workload cold (default 3)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write JSON lines to this file")
    options = parser.parse_args()
    if "kata" not in options.stores:
        options.stores.insert(0, "kata")  # what the others are compared with

    with own_server() as (_, dsn):
        lines = asyncio.run(measure(dsn, options))
    if options.json:
        write_lines(options.json, [json.dumps(line) for line in lines])


if __name__ == "__main__":
    main()
