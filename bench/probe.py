"""What is still held after compaction, and where its summary sits, on every recorded conversation.

Each is replayed into contexts whose budget is its preamble and a share of the rest, and is compacted whenever
that is due, again and again; at its end window and artifact index are looked through for every artifact of
what was covered.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median

from harness import ROOT, Bench
from kata_context import Compactor, Context, Kata, Source
from kata_context.compaction import probe
from kata_context.types import Message
from measure import Finding, Result

CONVERSATIONS = ROOT / "tests" / "data" / "conversations"
SHARES = (0.10, 0.15, 0.20)
STRATEGIES = ("digest", "summarize")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a summary begins, each as a share of tokens from 0 to 1.

    Two things stand before a summary whatever is compacted: the preamble, and the user's last request where
    all that is covered came after it.

    Parameters
    ----------
    preamble : what the preamble takes of the window
    raw : where in the whole window
    after_preamble : where in what follows the preamble
    after_request : where in what follows the preamble and such a request
    """

    preamble: float
    raw: float
    after_preamble: float
    after_request: float


@dataclass(slots=True)
class Tally:
    """The totals over all conversations."""

    conversations: int = 0
    compactions: int = 0
    covered: int = 0
    wanted: int = 0
    missing: list[tuple[str, str]] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)


def retention(bench: Bench) -> Iterator[Result]:
    """Report for each strategy and share how many artifacts are held, and where summaries sit."""
    conversations = [
        json.loads(line)["messages"]
        for file in sorted(CONVERSATIONS.glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    ]
    # The counts do not depend on the disk. Contexts of other sections that are due belong to another tenant.
    with Kata(f"{bench.dsn}&options=-c%20synchronous_commit%3Doff", tenant="probe") as kata:
        for strategy in STRATEGIES:
            for share in SHARES:
                tally = Tally()
                for messages in conversations:
                    replay(kata, messages, strategy, share, tally)
                held = percent(tally.wanted - len(tally.missing), tally.wanted)
                places = tally.places
                early = within_quarter(place.after_request for place in places)
                yield Finding(
                    f"{strategy}: preamble and {share:.0%} of the rest",
                    {
                        "conversations": tally.conversations,
                        "compactions": tally.compactions,
                        "messages covered": tally.covered,
                        "artifacts": tally.wanted,
                        "% held": held,
                        "summaries": len(places),
                        "% of preambles over a quarter": 100
                        - within_quarter(place.preamble for place in places),
                        "% in the first quarter": within_quarter(place.raw for place in places),
                        "% of it after the preamble": within_quarter(
                            place.after_preamble for place in places
                        ),
                        "% of it after preamble and request": early,
                        "median place": round(median([place.raw for place in places] or [0]), 3),
                    },
                    "100 % of the artifacts held, 100 % of the summaries early after preamble and request",
                    held == early == 100,
                )


def within_quarter(shares: Iterable[float]) -> float:
    """Return how many shares are a quarter or less, in percent."""
    small = [share <= 0.25 for share in shares]
    return percent(sum(small), len(small))


def percent(part: int, whole: int) -> float:
    """Return a share in percent; of nothing, all."""
    return round(100 * part / whole, 2) if whole else 100.0


def replay(kata: Kata, messages: list[Message], strategy: str, share: float, tally: Tally) -> None:
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
    """Note where each summary begins in the window, where there is anything after it."""
    rows = context.window(budget)
    total = rows[-1].running_tokens
    requests = [row for row in rows if row.role == "user"]
    for row in rows[:-1]:
        if row.kind != "summary":
            continue
        begins = row.running_tokens - row.token_count
        # The last request is never covered: where all that is covered came after it, it reads first.
        is_first = requests and requests[-1].running_tokens <= begins
        kept = preamble + (requests[-1].token_count if is_first else 0)
        tally.places.append(
            Place(
                preamble / total,
                begins / total,
                *((begins - before) / max(total - before, 1) for before in (preamble, kept)),
            )
        )


def headline(source: Source) -> str:
    """Write a summary as a bad model does: it names nothing."""
    return f"The user and the agent talked about {len(source.messages)} things. All went on as planned."
