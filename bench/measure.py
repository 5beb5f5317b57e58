"""How things are measured: short runs in alternation, medians with 95 % intervals, JSON lines."""

import json
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

Run = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing ours with a reference.

    Parameters
    ----------
    name : what was compared
    reference : with what
    ours_us, reference_us : median microseconds a call
    ours_cpu_us, reference_cpu_us : median microseconds a call that this process, the client, was computing
    ratio : median over the pairs of reference time / our time; 1 is as fast, 0.5 is half as fast
    low, high : 95 % interval of that median (order statistics, no assumption about the distribution)
    pairs, calls : pairs of runs, and calls a run
    target : the least ratio that is good enough, or None
    """

    name: str
    reference: str
    ours_us: float
    reference_us: float
    ours_cpu_us: float
    reference_cpu_us: float
    ratio: float
    low: float
    high: float
    pairs: int
    calls: int
    target: float | None

    @property
    def met(self) -> bool | None:
        """Whether it is good enough; None where there is no target."""
        return None if self.target is None else self.ratio >= self.target

    def show(self) -> str:
        """Return the comparison as a line for people."""
        verdict = "" if self.target is None else f"  target {self.target:.2f} {word(self.met)}"
        return (
            f"{self.name:<44} {self.ours_us:>9.1f} µs   {self.reference:<36} {self.reference_us:>9.1f} µs   "
            f"ratio {self.ratio:.2f} [{self.low:.2f}, {self.high:.2f}]{verdict}"
        )


@dataclass(frozen=True, slots=True)
class Limit:
    """What came of holding something against a limit.

    Parameters
    ----------
    name : what was measured
    median, p95 : of the measurements
    limit : the greatest acceptable median
    unit : of these
    runs : how often it was measured
    low, high : 95 % interval of the median
    """

    name: str
    median: float
    p95: float
    limit: float
    unit: str
    runs: int
    low: float
    high: float

    @property
    def met(self) -> bool:
        """Whether it is good enough."""
        return self.median <= self.limit

    def show(self) -> str:
        """Return the result as a line for people."""
        return (
            f"{self.name:<44} {self.median:>9.2f} {self.unit} [{self.low:.2f}, {self.high:.2f}]   "
            f"p95 {self.p95:.2f}   limit {self.limit:g} {self.unit} {word(self.met)}"
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """What was counted rather than compared.

    Parameters
    ----------
    name : of what
    values : the figures, by name
    target : in words, where there is one
    met : whether it is reached; None where there is none
    """

    name: str
    values: dict[str, float] = field(default_factory=dict)
    target: str | None = None
    met: bool | None = None

    def show(self) -> str:
        """Return the figures as a line for people."""
        figures = "   ".join(f"{key} {value:,.9g}" for key, value in self.values.items())
        verdict = "" if self.target is None else f"   target: {self.target} {word(self.met)}"
        return f"{self.name:<44} {figures}{verdict}"


Result = Comparison | Limit | Finding


def word(met: bool | None) -> str:
    """Return the verdict in a word."""
    return "" if met is None else "met" if met else "MISSED"


def as_json(section: str, result: Result) -> str:
    """Return a result as a line of JSON that says where it belongs."""
    kind = type(result).__name__.lower()
    return json.dumps({"section": section, "kind": kind, **asdict(result), "met": result.met})


def write_lines(file: Path, lines: Sequence[str]) -> None:
    """Write lines of JSON to a file, and make its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(line + "\n" for line in lines), "utf-8")


def seconds(run: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def held(name: str, values: Sequence[float], limit: float, unit: str) -> Limit:
    """Hold the median of what was measured against a limit."""
    found = sorted(values)
    low, high = median_interval(len(found))
    return Limit(
        name, statistics.median(found), found[int(0.95 * len(found))], limit, unit, len(found),
        found[low], found[high],
    )  # fmt: skip


def limit(name: str, run: Run, *, runs: int, milliseconds: float) -> Limit:
    """Time a call again and again and hold the median against a limit.

    Parameters
    ----------
    run : called with a number that never repeats
    runs : how often, after ten to warm up
    milliseconds : the most that is good enough
    """
    for number in range(-10, 0):
        run(number)
    times = [seconds(partial(run, number)) * 1e3 for number in range(runs)]
    return held(name, times, milliseconds, "ms")


def compare(
    name: str, ours: Run, reference_name: str, reference: Run, *, pairs: int, calls: int, target: float | None
) -> Comparison:
    """Run ours and the reference in alternation and compare them pair by pair.

    Parameters
    ----------
    ours, reference : called with a number that never repeats
    pairs : pairs of runs; the order within a pair alternates
    calls : calls a run
    target : the least ratio that is good enough, or None
    """
    found: dict[str, list[tuple[float, float]]] = {"ours": [], "reference": []}
    count = 0
    for pair in range(-2, pairs):  # two pairs to warm up
        timed = [(ours, found["ours"]), (reference, found["reference"])]
        for run, times in timed if pair % 2 else reversed(timed):
            start, computed = time.perf_counter(), time.process_time()
            for _ in range(calls):
                count += 1
                run(count)
            took = (time.perf_counter() - start, time.process_time() - computed)
            if pair >= 0:
                times.append((took[0] / calls * 1e6, took[1] / calls * 1e6))
    (ours_us, ours_cpu), (reference_us, reference_cpu) = (
        [list(column) for column in zip(*times, strict=True)] for times in found.values()
    )
    ratios = sorted(theirs / own for own, theirs in zip(ours_us, reference_us, strict=True))
    low, high = median_interval(len(ratios))
    return Comparison(
        name, reference_name, statistics.median(ours_us), statistics.median(reference_us),
        statistics.median(ours_cpu), statistics.median(reference_cpu),
        statistics.median(ratios), ratios[low], ratios[high], pairs, calls, target,
    )  # fmt: skip


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the median; None where there are too few values to have one."""
    if len(values) < 6:  # the least and the greatest of five enclose it with 94 %
        return None
    found = sorted(values)
    low, high = median_interval(len(found))
    return found[low], found[high]


def median_interval(n: int) -> tuple[int, int]:
    """Return the indexes of the order statistics that enclose the median of n values, 95 % sure.

    The number of values below the median is binomial with p = 1/2.
    """
    tail, below = 0.0, 0.5**n
    for k in range(n // 2):
        tail += below
        if tail > 0.025:
            return max(k - 1, 0), n - 1 - max(k - 1, 0)
        below *= (n - k) / (k + 1)
    return 0, n - 1


def machine(**versions: str) -> dict[str, Any]:
    """Return the line of JSON that says on what it was measured."""
    processor, memory = platform.processor() or platform.machine(), os.sysconf("SC_PHYS_PAGES")
    information = Path("/proc/cpuinfo")
    if information.exists():
        named = re.search(r"^model name\s*: (.*)$", information.read_text(), re.MULTILINE)
        processor = named[1] if named else processor
    return {
        "section": "machine",
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": processor,
        "cores": os.cpu_count(),
        "memory": f"{memory * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 1),
        "versions": {"Python": platform.python_version(), **versions},
    }
