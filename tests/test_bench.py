"""The benchmark's own arithmetic, and the page that is written from its figures."""

import json
import math
import xml.etree.ElementTree
from itertools import pairwise

import pytest

import charts
import report
from conftest import ROOT
from measure import Finding, Result, as_json, compare, held, interval, median_interval

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("n", [6, 7, 10, 15, 30, 99])
def test_the_interval_encloses_the_median_with_95_percent_and_no_narrower_one_does(n: int) -> None:
    def certainty(low: int, high: int) -> float:
        # The median lies between two order statistics iff so many of n values lie below it.
        return float(sum(math.comb(n, below) for below in range(low + 1, high + 1)) / 2**n)

    low, high = median_interval(n)
    assert low == n - 1 - high
    assert certainty(low, high) >= 0.95 > certainty(low + 1, high - 1)


def test_too_few_values_have_no_interval() -> None:
    assert interval([1, 2, 3, 4, 5]) is None
    assert interval([6, 5, 4, 3, 2, 1]) == (1, 6)


def test_a_comparison_alternates_and_is_ours_in_the_denominator(monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    clock = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: clock)

    def spend(name: str, seconds: float) -> None:
        nonlocal clock
        order.append(name)
        clock += seconds

    found = compare(
        "one", lambda _: spend("ours", 4), "two", lambda _: spend("reference", 1),
        pairs=9, calls=1, target=2.0,
    )  # fmt: skip
    assert order.count("ours") == order.count("reference") == 11
    assert any(first == second for first, second in pairwise(order)), "the order within a pair alternates"
    assert found.low == found.ratio == found.high == 0.25
    assert found.met is False
    assert "MISSED" in found.show()


def test_a_limit_is_held_by_the_median() -> None:
    assert held("x", [1, 2, 30], 2, "ms").met
    assert not held("x", [1, 3, 3], 2, "ms").met


MACHINE = {
    "section": "machine", "measured": "2020-02-02", "processor": "Abacus", "cores": 1, "memory": "1 GiB",
    "system": "none", "load": 0.0, "versions": {"PostgreSQL": "18"},
    "labels": {"kata": "Kata Context", "bare": "bare SQL", "other": "Another <store>"},
}  # fmt: skip


def race(workload: str, store: str, n: int, ratio: float) -> report.Line:
    """A line of the peers."""
    return {
        "section": "peers", "workload": workload, "n": n, "store": store, "us": 1000 * ratio,
        "us_interval": None, "cpu_us": 10.0, "ratio": ratio, "ratio_interval": [ratio / 2, ratio * 2],
        "rounds": 15, "calls": 20,
    }  # fmt: skip


def peers(ratio: float) -> list[report.Line]:
    """Lines of the peers, the other one so many times as slow."""
    return [
        MACHINE,
        *(
            race("append", store, n, times)
            for store, times in {"kata": 1, "bare": 0.5, "other": ratio}.items()
            for n in (0, 10_000)
        ),
        {"section": "missing", "store": "gone", "label": "Gone", "reason": "No module named 'gone'"},
        *(
            {
                "section": "peers", "workload": "clients, one conversation", "n": n, "store": "other",
                "acknowledged": 10, "lost": 5, "doubled": 0, "refused": 0, "failed": 0, "per_second": 10.0,
            }
            for n in (1, 4)
        ),
    ]  # fmt: skip


def test_the_page_says_what_is_missed_lost_and_missing() -> None:
    text = report.page([], peers(1.5))
    assert "Another <store> | × 1.50 [0.75, 3.00] | × 2, **missed**" in text
    assert "10; of 10: 5 lost" in text
    assert "Gone could not be installed: No module named 'gone'" in text
    assert "Abacus" in text
    assert "× 2, met" in report.page([], peers(2.5))


def test_the_page_holds_every_result_of_the_benchmark() -> None:
    results: list[Result] = [
        compare(
            "a comparison", lambda _: None, "its reference", lambda _: None, pairs=6, calls=1, target=None
        ),
        held("a limit", [1.0], 0.5, "ms"),
        Finding("a finding", {"figure": 7.0}, "a target", met=False),
    ]
    lines = [MACHINE, *(json.loads(as_json("some", result)) for result in results)]
    text = report.page(lines, [])
    for words in (
        "a comparison",
        "its reference",
        "a limit",
        "0.5 ms, **missed**",
        "figure 7",
        "a target, **missed**",
    ):
        assert words in text


def test_a_plot_is_xml_that_names_every_line_and_keeps_what_is_there() -> None:
    drawn = report.plots(peers(3))
    assert set(drawn) == {"append.svg", "clients-one-conversation.svg"}
    root = xml.etree.ElementTree.fromstring(drawn["append.svg"])
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Kata Context", "bare SQL", "Another <store>", "10,000"} <= set(words)


def test_lines_with_the_same_end_do_not_hide_each_others_names() -> None:
    drawn = charts.chart("t", "x", "y", [1, 2], {name: {1: 5.0, 2: 5.0} for name in "abc"})
    root = xml.etree.ElementTree.fromstring(drawn)
    heights = [
        float(element.attrib["y"])
        for element in root.iter("{http://www.w3.org/2000/svg}text")
        if element.text in ("a", "b", "c")
    ]
    assert all(second - first >= charts.GAP for first, second in pairwise(sorted(heights)))


def test_the_page_is_what_its_lines_say() -> None:
    kept = [report.read(report.KEPT / name) for name in ("bench.jsonl", "peers.jsonl")]
    assert (ROOT / "docs" / "benchmarks.md").read_text("utf-8") == report.page(*kept), "run make bench-docs"
    for name, drawn in report.plots(kept[1]).items():
        assert (report.KEPT / name).read_text("utf-8") == drawn, "run make bench-docs"
