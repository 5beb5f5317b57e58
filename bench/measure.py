"""How a comparison is measured: short runs in alternation, the median of their ratios, its 95 % interval."""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

Run = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing ours with a reference.

    Parameters
    ----------
    name : what was compared
    reference : with what
    ours_us, reference_us : median microseconds a call
    ratio : median over the pairs of reference time / our time; 1 is as fast, 0.5 is half as fast
    low, high : 95 % interval of that median (order statistics, no assumption about the distribution)
    pairs, calls : pairs of runs, and calls a run
    target : the least ratio that is good enough, or None
    """

    name: str
    reference: str
    ours_us: float
    reference_us: float
    ratio: float
    low: float
    high: float
    pairs: int
    calls: int
    target: float | None

    def show(self) -> str:
        """Return the comparison as a line for people."""
        verdict = (
            ""
            if self.target is None
            else f"  target {self.target:.2f} {'met' if self.ratio >= self.target else 'MISSED'}"
        )
        return (
            f"{self.name:<44} {self.ours_us:>9.1f} µs   {self.reference:<36} {self.reference_us:>9.1f} µs   "
            f"ratio {self.ratio:.2f} [{self.low:.2f}, {self.high:.2f}]{verdict}"
        )

    def as_json(self) -> str:
        """Return the comparison as a line of JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Limit:
    """What came of holding something against a limit.

    Parameters
    ----------
    name : what was measured
    median, p95 : what was found
    limit : the most that is good enough, of the median
    unit : of these
    runs : how often it was measured
    """

    name: str
    median: float
    p95: float
    limit: float
    unit: str
    runs: int

    def show(self) -> str:
        """Return the result as a line for people."""
        verdict = "met" if self.median <= self.limit else "MISSED"
        return (
            f"{self.name:<44} {self.median:>9.2f} {self.unit}   p95 {self.p95:.2f}   "
            f"limit {self.limit:g} {self.unit} {verdict}"
        )

    def as_json(self) -> str:
        """Return the result as a line of JSON."""
        return json.dumps(asdict(self))


def limit(name: str, run: Run, *, runs: int, milliseconds: float) -> Limit:
    """Time a call again and again and hold the median against a limit.

    Parameters
    ----------
    run : called with a number that never repeats
    runs : how often, after ten to warm up
    milliseconds : the most that is good enough
    """
    times = []
    for number in range(-10, runs):
        start = time.perf_counter()
        run(number)
        if number >= 0:
            times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    return Limit(name, statistics.median(times), times[int(0.95 * len(times))], milliseconds, "ms", runs)


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
    ours_us: list[float] = []
    reference_us: list[float] = []
    count = 0
    for pair in range(-2, pairs):  # two pairs to warm up
        timed = [(ours, ours_us), (reference, reference_us)]
        for run, times in timed if pair % 2 else reversed(timed):
            start = time.perf_counter()
            for _ in range(calls):
                count += 1
                run(count)
            if pair >= 0:
                times.append((time.perf_counter() - start) / calls * 1e6)
    ratios = sorted(theirs / own for own, theirs in zip(ours_us, reference_us, strict=True))
    low, high = median_interval(len(ratios))
    return Comparison(
        name, reference_name, statistics.median(ours_us), statistics.median(reference_us),
        statistics.median(ratios), ratios[low], ratios[high], pairs, calls, target,
    )  # fmt: skip


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
