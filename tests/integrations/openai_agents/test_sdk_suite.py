"""The tests of the SDK itself, on sessions in contexts.

They are fetched from its source distribution and run unchanged; `sdk_plugin` puts KataSession where they
import SQLiteSession. Those that fail are listed with a reason, and each of them has to fail.
"""

from pathlib import Path

from integrations import run_fetched

FILES = (
    "tests/memory/test_session.py",
    "tests/memory/test_session_limit.py",
    "tests/test_soft_cancel.py",
    "tests/test_run_impl_resume_paths.py",
)
CONNECTIONS = "is about connections, locks and transactions of SQLite"
CORRUPT = "writes rows into SQLite that are not JSON; Postgres refuses them"
PRIVATE = "replaces a private method of SQLiteSession"
EXPECTED = {
    **{
        f"test_session::test_sqlite_session_{name}": CONNECTIONS
        for name in (
            "close_closes_worker_thread_connections",
            "reaps_connections_from_exited_worker_threads",
            "closes_retired_connections_before_the_next_allocation",
            "keeps_connections_of_live_worker_threads",
            "file_lock_is_shared_across_instances",
            "failed_add_items_releases_write_lock",
            "failed_clear_session_rolls_back",
            "failed_pop_item_releases_write_lock",
            "rollback_failure_evicts_connection",
            "close_retries_quarantined_connection",
            "post_commit_cancellation_propagates_after_known_outcome[add]",
            "post_commit_cancellation_propagates_after_known_outcome[pop]",
            "post_commit_cancellation_propagates_after_known_outcome[clear]",
        )
    },
    **{
        f"test_session::test_sqlite_session_{name}": CORRUPT
        for name in (
            "pop_item_skips_corrupt_most_recent",
            "pop_item_returns_none_after_dropping_only_corrupt_rows",
            "get_items_limit_skips_corrupt_newest_rows",
            "get_items_session_settings_limit_skips_corrupt_rows",
        )
    },
    "test_session::test_sqlite_session_closed_rejects_empty_add_items": "closes a session",
    **{
        f"test_run_impl_resume_paths::test_handoff_resume_after_cancelled_compaction_commits[{case}]": PRIVATE
        for case in ("run-live", "run-json", "streamed-live", "streamed-json")
    },
}


def test_the_tests_of_the_sdk_pass_but_those_with_a_reason(database: str, tmp_path: Path) -> None:
    plugin, report = Path(__file__).with_name("sdk_plugin.py"), tmp_path / "report.xml"
    _, failed, printed = run_fetched("openai-agents", plugin, FILES, dsn=database, report=report)
    assert failed == EXPECTED.keys(), printed[-20_000:]
