"""The command `kata` as its user meets it."""

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness import DATA, Bench
from measure import Finding, Result


def command_line(bench: Bench) -> Iterator[Result]:
    """Time the command `kata` as its user does: the help, and an import of real conversations."""
    kata = Path(sys.executable).parent / "kata"

    def seconds(*arguments: str, runs: int) -> float:
        times = []
        for _ in range(runs):
            began = time.perf_counter()
            subprocess.run([kata, "--dsn", bench.dsn, *arguments], check=True, capture_output=True)
            times.append(time.perf_counter() - began)
        return statistics.median(times)

    help_seconds = seconds("--help", runs=15)
    yield Finding("kata --help", {"seconds": round(help_seconds, 3)}, "below 0.3 s", help_seconds < 0.3)

    tenants = itertools.count(1)

    def importing(file: Path) -> float:
        # Each run for a tenant of its own, so that there is always everything to do.
        return statistics.median(
            seconds("--tenant", f"import-{next(tenants)}", "import", str(file), runs=1) for _ in range(5)
        )

    conversations = [json.loads(line) for line in DATA.read_text("utf-8").splitlines()]
    count = sum(len(conversation["messages"]) for conversation in conversations)
    with tempfile.TemporaryDirectory(prefix="kata-bench-") as folder:
        tenfold = Path(folder) / "tenfold.jsonl"
        with tenfold.open("w") as file:
            for copy, conversation in itertools.product(range(10), conversations):
                file.write(json.dumps(conversation | {"name": f"{conversation['name']}-{copy}"}) + "\n")
        once, ten_times = importing(DATA), importing(tenfold)
    steady = 9 * count / (ten_times - once)
    yield Finding(
        f"kata import of {count:,} messages, exact counts",
        {
            "seconds": round(once, 2), "messages per second": round(count / once),
            "of tenfold": round(10 * count / ten_times), "once started": round(steady),
        },
        target="5,000 or more per second", met=10 * count / ten_times >= 5_000,
    )  # fmt: skip
