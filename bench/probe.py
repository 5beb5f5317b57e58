"""What is still held after compaction, and where its summary sits, on every recorded conversation.

Each is replayed into contexts whose budget is its preamble and a share of the rest, and is compacted whenever
that is due, again and again; at its end window and artifact index are looked through for every artifact of
what was covered.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from harness import ROOT, Bench
from kata_context import Compactor, Context, Kata, Source, probe
from measure import Finding, Result

CONVERSATIONS = ROOT / "tests" / "data" / "conversations"
SHARES = (0.10, 0.15, 0.20)
STRATEGIES = ("digest", "summarize")


@dataclass(slots=True)
class Tally:
    """What was found over all conversations.

    Parameters
    ----------
    places : where each summary begins in its window, from 0 to 1
    without_preamble : the same, in what follows the preamble, which always comes first
    """

    conversations: int = 0
    compactions: int = 0
    covered: int = 0
    wanted: int = 0
    missing: list[tuple[str, str]] = field(default_factory=list)
    places: list[float] = field(default_factory=list)
    without_preamble: list[float] = field(default_factory=list)


def retention(bench: Bench) -> Iterator[Result]:
    """Report for each strategy and share how many artifacts are held, and where summaries sit."""
    conversations = [
        json.loads(line)["messages"]
        for file in sorted(CONVERSATIONS.glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    ]
    # What is counted does not depend on the disk.
    with Kata(f"{bench.dsn}&options=-c%20synchronous_commit%3Doff") as kata:
        for strategy in STRATEGIES:
            for share in SHARES:
                tally = Tally()
                for messages in conversations:
                    replay(kata, messages, strategy, share, tally)
                held = percent(tally.wanted - len(tally.missing), tally.wanted)
                yield Finding(
                    f"{strategy}: preamble and {share:.0%} of the rest",
                    {
                        "conversations": tally.conversations,
                        "compactions": tally.compactions,
                        "messages covered": tally.covered,
                        "artifacts": tally.wanted,
                        "% held": held,
                        "summaries": len(tally.places),
                        "% in the first quarter": percent(quarter(tally.places), len(tally.places)),
                        "% after the preamble": percent(quarter(tally.without_preamble), len(tally.places)),
                        "median place": round(median(tally.places or [0]), 3),
                    },
                    "100 % of the artifacts held",
                    held == 100,
                )


def quarter(places: list[float]) -> int:
    """Return how many summaries begin in the first quarter."""
    return sum(place <= 0.25 for place in places)


def percent(part: int, whole: int) -> float:
    """Return a share in percent; of nothing, all."""
    return round(100 * part / whole, 2) if whole else 100.0


def replay(kata: Kata, messages: list[dict[str, Any]], strategy: str, share: float, tally: Tally) -> None:
    """Append a conversation message by message, compact it whenever it is due, and look what is held."""
    whole = kata.create()
    whole.append(messages)
    tokens = whole.usage().raw_tokens
    window = whole.window(1)
    preamble = sum(row.token_count for row in window if row.reason == "preamble")
    # A share of what may be compacted at all: the system prompt is there whatever the budget.
    budget = preamble + max(int((tokens - preamble) * share), 1)
    policy = {
        "budget": budget, "threshold": 0.8, "strategy": strategy, "preserve_recent_count": 2,
        "min_gain_tokens": 50, "min_interval_seconds": 0, "max_failures": 1000,
    }  # fmt: skip
    context = kata.create(policy=policy)
    compactor = Compactor(kata, headline)
    for message in messages:
        context.append([message])
        # Once a message: a digest that would gain nothing is not tried again at once.
        outcome = compactor.step()
        if outcome and outcome.status == "committed":
            look(context, budget, preamble, tally)
    tally.conversations += 1
    tally.compactions += sum(row.status == "committed" for row in context.compactions())
    with kata.transaction() as transaction:
        found = probe.load(transaction.connection, context.id, budget)
    kept = probe.retention(found.covered, found.window, found.index, found.before)
    tally.covered += len(found.covered)
    tally.wanted += len(kept.wanted)
    tally.missing += kept.missing
    kata.delete_context(context.id)
    kata.delete_context(whole.id)


def look(context: Context, budget: int, preamble: int, tally: Tally) -> None:
    """Note where the summary begins in the window, where there is anything after it."""
    rows = context.window(budget)
    total = rows[-1].running_tokens
    for row in rows:
        if row.kind == "summary" and row is not rows[-1]:
            begins = row.running_tokens - row.token_count
            tally.places.append(begins / total)
            tally.without_preamble.append((begins - preamble) / max(total - preamble, 1))


def headline(source: Source) -> str:
    """Write a summary as a bad model does: it names nothing."""
    return f"The user and the agent talked about {len(source.messages)} things. All went on as planned."
