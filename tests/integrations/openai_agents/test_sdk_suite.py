"""The tests of the SDK itself, on sessions in contexts.

They are fetched from its source distribution and run unchanged; `sdk_plugin` puts KataSession where they
import SQLiteSession. Those that fail are listed with a reason, and each of them has to fail.
"""

import os
import subprocess
import sys
import tarfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree as Xml

from integrations import FETCHED

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


def fetched() -> Path:
    """Return the folder of the SDK's source distribution, fetched where it is not there."""
    name = f"openai_agents-{version('openai-agents')}"
    if not (FETCHED / name / "tests").exists():
        arguments = ["download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(FETCHED)]
        wanted = f"openai-agents=={version('openai-agents')}"
        subprocess.run([sys.executable, "-m", "pip", *arguments, wanted], check=True)
        with tarfile.open(FETCHED / f"{name}.tar.gz") as archive:
            archive.extractall(FETCHED, filter="data")
    return FETCHED / name


def test_the_tests_of_the_sdk_pass_but_those_with_a_reason(database: str, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    ours = [str(Path(__file__).parent), *sys.path]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "sdk_plugin", "-p", "no:cacheprovider",
         "-W", "ignore", f"--junit-xml={report}", *FILES],
        cwd=fetched(),
        env={**os.environ, "DATABASE_URL": database, "PYTHONPATH": os.pathsep.join(ours)},
        capture_output=True,
        text=True,
        timeout=900,
    )  # fmt: skip
    assert report.exists(), done.stdout + done.stderr
    counts: Counter[str] = Counter()
    failed = set()
    for case in Xml.parse(report).iter("testcase"):
        outcome = next(
            (child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed"
        )
        counts[outcome] += 1
        if outcome in ("failure", "error"):
            failed.add(f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}")
    print(dict(counts))
    assert failed == EXPECTED.keys(), done.stdout[-20_000:]
