"""The tests of LangGraph itself that run graphs on a checkpointer, on threads in contexts.

They are fetched from its source distribution and run unchanged; `sdk_plugin` puts KataSaver where they take
the saver in memory. Each of them has to pass.
"""

from pathlib import Path

from integrations import run_fetched

FILES = [
    f"tests/test_{name}.py"
    for name in (
        "checkpoint_migration",
        "delta_channel_exit_mode",
        "delta_channel_fork",
        "delta_channel_parallel_order",
        "delta_channel_subgraph",
        "delta_channel_to_plain",
        "delta_channel_update_state",
        "interrupt_state",
        "interruption",
        "large_cases",
        "large_cases_async",
        "pregel",
        "pregel_async",
        "pydantic",
        "strict_resume",
        "subgraph_persistence",
        "subgraph_persistence_async",
        "time_travel",
        "time_travel_async",
    )
]
TESTS = 653


def test_the_tests_of_the_sdk_pass(database: str, tmp_path: Path) -> None:
    plugin, report = Path(__file__).with_name("sdk_plugin.py"), tmp_path / "report.xml"
    only = ("-k", "memory and not sqlite")
    counts, failed, printed = run_fetched("langgraph", plugin, FILES, *only, dsn=database, report=report)
    assert not failed, printed[-20_000:]
    assert counts["passed"] == TESTS
