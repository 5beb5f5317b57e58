"""`make bench-docs`: docs/benchmarks.md and its plots from the JSON lines of the two benchmarks.

Without fresh lines in build/bench it writes the lines in docs/benchmarks again.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from charts import chart, figure

ROOT = Path(__file__).parent.parent
FRESH = ROOT / "build" / "bench"
KEPT = ROOT / "docs" / "benchmarks"
PAGE = ROOT / "docs" / "benchmarks.md"
TEMPLATES = Path(__file__).with_name("templates")

Line = dict[str, Any]


def page(bench: Sequence[Line], peers: Sequence[Line]) -> str:
    """Return the page: the templates have the words, the functions below the tables."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )  # Markdown, not HTML
    environment.filters |= {"about": about, "file_name": file_name}
    return environment.get_template("benchmarks.md.j2").render(
        bench=bench, peers=peers, plots=PLOTS, **peer_tables(peers), **bench_tables(bench)
    )


def about(lines: Sequence[Line]) -> str:
    """Describe the machine and the versions."""
    machine = next(line for line in lines if line["section"] == "machine")
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"Measured on {machine['measured']}: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory']}, {machine['system']}, load {machine['load']} at the start. {versions}."
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *lines])


def milliseconds(microseconds: float) -> str:
    """Return a time with three digits."""
    value = microseconds / 1e3
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 10 else f"{value:.2f} ms"


def times(line: Line) -> str:
    """Return how many times as long as ours, with the interval."""
    digits = 0 if line["ratio"] >= 100 else 1 if line["ratio"] >= 10 else 2
    between = line["ratio_interval"]
    spread = f" [{between[0]:,.{digits}f}, {between[1]:,.{digits}f}]" if between else ""
    return f"× {line['ratio']:,.{digits}f}{spread}"


# Workload, title, what a cell is about.
RACES = {
    "append": "Append one message to a conversation of n",
    "append 100": "Append 100 messages to a conversation of n",
    "window": "Read the window of 8,000 tokens of a conversation of n",
    "past": "Read the window as of the middle of a conversation of n",
    "fork": "Fork at the middle of a conversation of n, and append one message",
}


# Workload, where the clients append.
CROWDS = {
    "clients, one conversation": "on one conversation",
    "clients, one each": "each on its own",
}


def by_store(lines: Iterable[Line], workload: str) -> dict[str, dict[float, Line]]:
    """Return the lines of a workload by store and n."""
    found: dict[str, dict[float, Line]] = {}
    for line in lines:
        if line.get("workload") == workload:
            found.setdefault(line["store"], {})[line["n"]] = line
    return found


# Workload and how many times as long every other store should take at n = 10,000.
AHEAD = {"append": 2, "window": 5, "fork": 10}


def ahead(lines: Sequence[Line], labels: dict[str, str]) -> str:
    """Compare the nearest store, except bare SQL, with the factor that we want to be ahead by."""
    rows = []
    for workload, factor in AHEAD.items():
        found = [at[10_000] for s, at in by_store(lines, workload).items() if 10_000 in at]
        others = [line for line in found if line["store"] not in ("kata", "bare")]
        if others:
            nearest = min(others, key=lambda line: float(line["ratio"]))
            word = "met" if nearest["ratio"] >= factor else "**missed**"
            rows.append([workload, labels[nearest["store"]], times(nearest), f"× {factor}, {word}"])
    return table(["at n = 10,000", "nearest other store", "it takes", "target"], rows) if rows else ""


def grid(
    found: dict[str, dict[float, Line]], labels: dict[str, str], head: Callable[[float], str],
    cell: Callable[[Line], str],
) -> str:  # fmt: skip
    """Return a table of stores and lengths."""
    lengths = sorted({length for lines in found.values() for length in lines})
    return table(
        ["", *map(head, lengths)],
        ([labels[s], *(cell(at[n]) if n in at else "–" for n in lengths)] for s, at in found.items()),
    )


def peer_tables(lines: Sequence[Line]) -> dict[str, Any]:
    """Return the tables on other stores."""
    labels: dict[str, str] = next((line["labels"] for line in lines if line["section"] == "machine"), {})
    found = {workload: by_store(lines, workload) for workload in (*RACES, *CROWDS, "bytes", "cold")}
    return {
        "ahead": ahead(lines, labels),
        "races": {
            workload: {
                "title": title,
                "table": grid(
                    found[workload], labels, lambda n: f"n = {figure(n)}",
                    lambda line: f"{milliseconds(line['us'])}, {times(line)}",
                ),
            }
            for workload, title in RACES.items() if found[workload]
        },
        "cpu": cpu({workload: found[workload] for workload in RACES if found[workload]}, labels),
        "bytes": found["bytes"] and grid(
            found["bytes"], labels, lambda n: f"n = {figure(n)}, on disk / WAL",
            lambda line: f"{line['disk']:,.0f} / {line['wal']:,.0f}",
        ),
        "crowds": {
            workload: {
                "title": title,
                "table": grid(
                    found[workload], labels, lambda n: f"{figure(n)} client{'s' * (n > 1)}", crowd
                ),
            }
            for workload, title in CROWDS.items() if found[workload]
        },
        "cold": found["cold"] and table(
            ["", "import and connect", "first window", "second window"],
            (
                [labels[s], *(f"{line[key]:,.1f} ms" for key in ("open_ms", "first_ms", "second_ms"))]
                for s, at in found["cold"].items()
                for line in at.values()
            ),
        ),
    }  # fmt: skip


def cpu(found: dict[str, dict[str, dict[float, Line]]], labels: dict[str, str]) -> str:
    """Return the CPU time of the clients, at the greatest n of each workload."""
    if not found:
        return ""
    return table(
        ["", *found],
        (
            [label, *(milliseconds(f[s][max(f[s])]["cpu_us"]) if s in f else "–" for f in found.values())]
            for s, label in labels.items()
        ),
    )


def crowd(line: Line) -> str:
    """Return the rate of a crowd, and its losses."""
    trouble = ", ".join(
        f"{line[key]:,} {key}" for key in ("lost", "doubled", "refused", "failed") if line[key]
    )
    return f"{line['per_second']:,.0f}" + (f"; of {line['acknowledged']:,}: {trouble}" if trouble else "")


def bench_tables(lines: Sequence[Line]) -> dict[str, str]:
    """Return the tables on bare SQL, the limits and the findings; empty where there is nothing to list."""
    comparisons = [line for line in lines if line.get("kind") == "comparison"]
    limits = [line for line in lines if line.get("kind") == "limit"]
    growing = [line for line in lines if line.get("section") == "growth"]
    findings = [line for line in lines if line.get("kind") == "finding" and line["section"] != "growth"]
    return {
        "comparisons": "" if not comparisons else table(
            ["what", "time", "CPU of the client", "reference", "its time", "ratio", "target"],
            (
                [
                    line["name"], milliseconds(line["ours_us"]), milliseconds(line["ours_cpu_us"]),
                    line["reference"], milliseconds(line["reference_us"]),
                    f"{line['ratio']:.2f} [{line['low']:.2f}, {line['high']:.2f}]",
                    "" if line["target"] is None else f"{line['target']:.2f}, {verdict(line)}",
                ]
                for line in comparisons
            ),
        ),
        "limits": "" if not limits else table(
            ["what", "median", "95 % interval", "limit"],
            (
                [
                    line["name"], f"{line['median']:,.2f} {line['unit']}",
                    f"{line['low']:,.2f} to {line['high']:,.2f}",
                    f"{line['limit']:g} {line['unit']}, {verdict(line)}",
                ]
                for line in limits
            ),
        ),
        "growth": "" if not growing else table(
            list(growing[0]["values"]),
            ([f"{value:,.9g}" for value in line["values"].values()] for line in growing),
        ),
        "findings": "" if not findings else table(
            ["what", "figures", "target"],
            (
                [
                    line["name"],
                    ", ".join(f"{name} {value:,.9g}" for name, value in line["values"].items()),
                    f"{line['target']}, {verdict(line)}" if line["target"] else "",
                ]
                for line in findings
            ),
        ),
    }  # fmt: skip


def verdict(line: Line) -> str:
    """Say whether a target is met."""
    return "met" if line["met"] else "**missed**"


def kept_per_second(line: Line) -> float:
    """Return how many appends per second were acknowledged and kept."""
    return float(line["per_second"] * (1 - line["lost"] / max(line["acknowledged"], 1)))


LENGTH, KEPT_PER_SECOND = "messages in the conversation", "acknowledged and kept, per second"
# Workload: title, along x, along y, the figure of a line.
PLOTS: dict[str, tuple[str, str, str, Callable[[Line], float]]] = {
    "append": ("Appending one message, durable", LENGTH, "milliseconds", lambda line: line["us"] / 1e3),
    "window": ("The window of 8,000 tokens", LENGTH, "milliseconds", lambda line: line["us"] / 1e3),
    "bytes": ("Bytes on disk per message", LENGTH, "bytes", lambda line: line["disk"]),
    "clients, one conversation": ("Appends to one conversation", "clients", KEPT_PER_SECOND, kept_per_second),
    "clients, one each": ("Appends, each client to its own", "clients", KEPT_PER_SECOND, kept_per_second),
}


def plots(peers: Sequence[Line]) -> dict[str, str]:
    """Return the plots by file name."""
    labels: dict[str, str] = next((line["labels"] for line in peers if line["section"] == "machine"), {})
    drawn = {}
    for workload, (title, x_name, y_name, value) in PLOTS.items():
        found = by_store(peers, workload)
        if found:
            steps = sorted({n for at in found.values() for n in at})
            lines = {labels[s]: {n: value(at[n]) for n in sorted(at)} for s, at in found.items()}
            drawn[file_name(workload)] = chart(title, x_name, y_name, steps, lines)
    return drawn


def file_name(workload: str) -> str:
    """Return the name of a plot's file."""
    return workload.replace(",", "").replace(" ", "-") + ".svg"


def read(file: Path) -> list[Line]:
    """Return the JSON lines of a file, none if it does not exist."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def main() -> None:
    """Take over fresh lines and write the page and its plots."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in ("bench.jsonl", "peers.jsonl"):
        if (FRESH / name).exists():
            shutil.copyfile(FRESH / name, KEPT / name)
    bench, peers = read(KEPT / "bench.jsonl"), read(KEPT / "peers.jsonl")
    for outdated in KEPT.glob("*.svg"):
        outdated.unlink()
    for name, drawn in plots(peers).items():
        (KEPT / name).write_text(drawn, "utf-8")
    PAGE.write_text(page(bench, peers), "utf-8")


if __name__ == "__main__":
    main()
