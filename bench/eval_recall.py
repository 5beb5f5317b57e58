"""`make eval-recall DATA=FOLDER EMBEDDER=CMD`: how well messages are found, with questions and known answers.

locomo-dev.jsonl has questions with the turns that answer them: the share of these turns that kata.recall
brings among its first rows. The other files have tool calls: how often kata.search finds an identifier that
few messages hold, at its first row and among ten. Quality does not depend on the load of the machine.
Ends with 1 where a figure is below its floor.
"""

import argparse
import itertools
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from harness import fill, own_server
from kata_context import Indexer, Kata
from kata_context.recall.program import EmbedderProgram

QUESTIONS = "locomo-dev.jsonl"
LOGS = ("airline.jsonl", "swe-agent-marshmallow-1867.jsonl")
FLOORS = {
    "R@10": 0.775,
    "R@25": 0.85,
    "MRR": 0.55,
    "needles R@10": 0.99,
    "needles first": 0.93,
    "R@10 kept": 0.97,
}
# With the model of bench/minilm.py.
EMBEDDED = {"R@10": 0.80}
Figures = tuple[float, ...]
NAMES = ("R@5", "R@10", "R@25", "MRR")
MODEL = "eval"
NEEDLE = re.compile(r"[A-Za-z0-9]+(?:[-_./][A-Za-z0-9]+)+|\b(?=[A-Z]*[0-9])[A-Z0-9]{6}\b")


def conversations(file: Path) -> list[dict[str, Any]]:
    """Return the conversations of a file, one from each line."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def stored(connection: psycopg.Connection, messages: list[dict[str, Any]]) -> Any:
    """Append messages to a new, indexed context and return its id; their versions count from 1."""
    row = connection.execute("""select kata.create_context(policy => '{"strict": false}')""").fetchone()
    assert row
    connection.execute("select count(*) from kata.append(%s, %s)", (row[0], json.dumps(messages)))
    connection.execute("select kata.index_search(%s)", (row[0],))
    return row[0]


def found(connection: psycopg.Connection, function: str, context: Any, query: str, rows: int) -> list[int]:
    """Return the versions that a function finds, best first."""
    statement = f"select f.version from kata.{function}(%s, %s, max_rows => %s) f"
    return [row[0] for row in connection.execute(statement.encode(), (context, query, rows))]


def renamed(conversations: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Return the messages of conversations again and again, each time with other speakers.

    A question about one person does not ask for another, so no copy may hold a name of the original.
    """
    letters = "abcdefghijklmnopqrstuvwxyz"
    for turn in itertools.count(1):
        other = str.maketrans(letters, letters[turn % 25 + 1 :] + letters[: turn % 25 + 1])
        for conversation in conversations:
            names = {message["name"] for message in conversation["messages"]}
            new = {name: name.lower().translate(other).title() for name in names}
            pattern = re.compile(rf"\b({'|'.join(map(re.escape, sorted(names)))})\b")
            for message in conversation["messages"]:
                content = pattern.sub(lambda name: new[name[0]], message["content"])  # noqa: B023
                yield {"role": message["role"], "name": new[message["name"]], "content": content}


def crowded(connection: psycopg.Connection, kata: Kata, file: Path, size: int) -> dict[str, float]:
    """Ask the conversation with the most questions alone, and in a context of many messages of the others."""
    asked, *others = sorted(conversations(file), key=lambda each: -len(each["questions"]))
    alone = averages(answers(kata, stored(connection, asked["messages"]), asked, None))
    show(f"{asked['name']} alone", len(asked["questions"]), alone)
    context = stored(connection, asked["messages"])
    fill(connection, context, renamed(others), size - len(asked["messages"]))
    connection.execute("select kata.index_search(%s)", (context,))
    among = averages(answers(kata, context, asked, None))
    show(f"among {size:,}", len(asked["questions"]), among)
    return {"R@10 kept": 1 + among["R@10"] - alone["R@10"]}


def recalled(kata: Kata, context: Any, query: str, embedder: EmbedderProgram | None) -> list[int]:
    """Return the versions that recall finds, by words, or with the embedding of the query."""
    embedding = embedder([query])[0] if embedder else None
    model = MODEL if embedder else None
    return [row.version for row in kata.recall(context, query, embedding=embedding, model=model, max_rows=25)]


def answers(
    kata: Kata, context: Any, conversation: dict[str, Any], embedder: EmbedderProgram | None
) -> list[tuple[str, Figures]]:
    """Return the category and the figures of each question of a conversation."""
    found = []
    for question in conversation["questions"]:
        evidence = {place + 1 for place in question["evidence"]}
        rows = recalled(kata, context, question["question"], embedder)
        shares = [len(evidence & set(rows[:count])) / len(evidence) for count in (5, 10, 25)]
        first = next((1 / rank for rank, version in enumerate(rows, 1) if version in evidence), 0.0)
        found.append((question["category"], (*shares, first)))
    return found


def averages(rows: list[tuple[str, Figures]]) -> dict[str, float]:
    """Return the means of the figures."""
    columns = zip(*(figures for _, figures in rows), strict=True)
    return dict(zip(NAMES, (sum(column) / len(rows) for column in columns), strict=True))


def show(name: str, count: int, values: dict[str, float]) -> None:
    """Print the figures of some questions."""
    line = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
    print(f"{name:<20} {count:>5} questions  {line}", flush=True)


def questions(
    connection: psycopg.Connection, kata: Kata, file: Path, embedder: EmbedderProgram | None
) -> dict[str, float]:
    """Print recall and mean reciprocal rank by category, and return those of all questions."""
    rows: list[tuple[str, Figures]] = []
    for conversation in conversations(file):
        context = stored(connection, conversation["messages"])
        if embedder:
            Indexer(kata, embedder, model=MODEL).drain()
        rows += answers(kata, context, conversation, embedder)
    for category in dict.fromkeys(category for category, _ in rows):
        some = [row for row in rows if row[0] == category]
        show(category, len(some), averages(some))
    show("all", len(rows), averages(rows))
    return averages(rows)


def said(message: dict[str, Any]) -> str:
    """Return what a message says, calls included."""
    calls = [call["function"] for call in message.get("tool_calls") or []]
    return " ".join([message["content"] or "", *(f"{call['name']} {call['arguments']}" for call in calls)])


def needles(connection: psycopg.Connection, files: list[Path]) -> dict[str, float]:
    """Print and return how often the identifiers that one to three messages hold are found whole."""
    ranks: list[list[bool]] = []
    for conversation in [each for file in files for each in conversations(file)]:
        holders: dict[str, set[int]] = defaultdict(set)
        for version, message in enumerate(conversation["messages"], 1):
            for needle in NEEDLE.findall(said(message)):
                holders[needle].add(version)
        rare = sorted(needle for needle, versions in holders.items() if len(versions) <= 3)
        if rare:
            context = stored(connection, conversation["messages"])
            for needle in rare[:8]:
                rows = found(connection, "search", context, needle, 10)
                ranks.append([version in holders[needle] for version in rows] or [False])
    figures = {
        "needles R@10": sum(map(any, ranks)) / len(ranks),
        "needles first": sum(rank[0] for rank in ranks) / len(ranks),
    }
    line = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
    print(f"{'identifiers':<12} {len(ranks):>5} needles    {line}")
    return figures


def main() -> None:
    """Measure on a server of its own, as far as the folder has the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with the conversations")
    parser.add_argument("--embedder", metavar="CMD", help="program that embeds, as for kata embed")
    parser.add_argument(
        "--crowd", type=int, metavar="N",
        help="only ask one conversation, alone and in a context of N messages, by words",
    )  # fmt: skip
    folder, command = (options := parser.parse_args()).folder, options.embedder
    embedder = EmbedderProgram(command) if command else None
    floors = FLOORS | (EMBEDDED if embedder else {})
    logs = [folder / name for name in LOGS if (folder / name).is_file()]
    figures: dict[str, float] = {}
    with own_server() as (_, dsn), psycopg.connect(dsn, autocommit=True) as connection, Kata(dsn) as kata:
        if options.crowd and (folder / QUESTIONS).is_file():
            figures |= crowded(connection, kata, folder / QUESTIONS, options.crowd)
        elif (folder / QUESTIONS).is_file():
            figures |= questions(connection, kata, folder / QUESTIONS, embedder)
        else:
            print(f"SKIPPED: {folder} has no {QUESTIONS}")
        if logs and not options.crowd:
            figures |= needles(connection, logs)
        elif not logs:
            print(f"SKIPPED: {folder} has none of {', '.join(LOGS)}")
    if embedder:
        embedder.close()
    low = [name for name, floor in floors.items() if figures.get(name, 1) < floor]
    for name in low:
        print(f"BELOW THE FLOOR: {name} is {figures[name]:.3f}, not {floors[name]}")
    sys.exit(bool(low))


if __name__ == "__main__":
    main()
