"""Files that coding agents changed, read and named: the index against what tools recorded, log by log."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from support.agent_logs import Log, call, logs, same

pytestmark = pytest.mark.slow

FOLDER = Path(os.environ.get("KATA_AGENT_LOGS", Path(__file__).parent.parent.parent / "shared/data/logs"))

Json = dict[str, Any]


def synthetic() -> Iterator[Log]:
    """Yield logs of the forms that public logs have, in own words."""

    def log(name: str, changed: set[str], *calls: tuple[str, Any, str]) -> Log:
        messages: list[Json] = [{"role": "user", "content": "Rename the shop's login, please."}]
        for number, (tool, arguments, result) in enumerate(calls):
            made = [call(f"c{number}", tool, arguments)]
            messages.append({"role": "assistant", "content": None, "tool_calls": made})
            messages.append({"role": "tool", "tool_call_id": f"c{number}", "content": result})
        return Log(name, messages, changed)

    yield log(
        "windows editor",
        {r"c:\work\shop\src\auth.ts", r"c:\work\shop\infra\new.tf", r"\\build\share\notes.md"},
        ("Read", {"file_path": r"c:\work\shop\package.json"}, '{"name": "shop"}'),
        (
            "Edit",
            {"file_path": r"c:\work\shop\src\auth.ts", "old_string": "a", "new_string": "b"},
            r"The file c:\work\shop\src\auth.ts was updated.",
        ),
        ("Write", {"file_path": r"c:\work\shop\infra\new.tf", "content": "x"}, "File created."),
        ("Write", {"file_path": r"\\build\share\notes.md", "content": "x"}, "File created."),
        (
            "Glob",
            {"pattern": "**/*.ts", "path": r"c:\work\shop"},
            "c:\\work\\shop\\src\\a.ts\nc:\\work\\shop\\b.ts",
        ),
    )
    yield log(
        "shell",
        {
            "src/a.ts",
            "src/b.ts",
            "notes/plan.md",
            "old.ts",
            "new.ts",
            "gone.ts",
            "copy.ts",
            "fix.patch",
            "my file.txt",
        },
        ("bash", {"command": "ls src && cat package.json"}, "a.ts\nb.ts"),
        ("bash", {"command": """sed -i '' 's|from "../x"|from "../y"|g' src/a.ts"""}, ""),
        (
            "bash",
            {"command": "cat > notes/plan.md << 'EOF'\nrm -rf lib/core.ts\nmv x.ts y.ts > z.ts\nEOF"},
            "",
        ),
        ("bash", {"command": "git mv old.ts new.ts; rm -f gone.ts && cp src/a.ts copy.ts"}, ""),
        ("bash", {"command": "git diff src/a.ts | tee fix.patch | patch -p1 src/b.ts"}, ""),
        ("bash", {"command": "echo done >> 'my file.txt' 2>/dev/null; grep -rn login src | head -5"}, ""),
    )
    patch = "*** Begin Patch\n*** Update File: app/one.py\n@@\n-a\n+b\n*** Add File: app/two.py\n+x\n"
    yield log(
        "patches",
        {"app/one.py", "app/two.py", "app/three.py"},
        ("shell", {"command": ["apply_patch", patch]}, "Success. Updated the following files:\nM app/one.py"),
        (
            "shell",
            {"command": ["bash", "-lc", "sed -i 's/a/b/' app/three.py && sed -n 1,9p app/four.py"]},
            "",
        ),
    )
    yield log(
        "editors of any name",
        {"/w/a.md", "/w/b.md", "/w/c.md", "/w/d.ipynb"},
        ("quill", {"target": "x", "file_path": "/w/a.md", "old_text": "a", "new_text": "b"}, "ok"),
        ("fs", {"operation": "create", "path": "/w/b.md", "file_text": "x"}, "ok"),
        ("editor_batch", {"files": [{"path": "/w/c.md", "contents": "x"}]}, "ok"),
        ("notebook", {"notebook_path": "/w/d.ipynb", "new_source": "x"}, "ok"),
        ("str_replace_editor", {"command": "view", "path": "/w/seen.md"}, "x"),
        ("edit_history", {"action": "view", "path": "/w/shown.md"}, "x"),
    )


def judged(conn: psycopg.Connection, log: Log) -> tuple[set[str], set[str], Counter[str]]:
    """Return the changed files that the index misses, those that it adds, and the files by access."""
    found: Counter[str] = Counter()
    row = conn.execute("select kata.create_context()").fetchone()
    assert row is not None
    for message in log.messages:
        try:
            with conn.transaction():
                conn.execute("select kata.append(%s, %s)", [row[0], Jsonb([message])])
        except psycopg.Error:
            # A log may begin or end within a call: then the result is appended as text.
            text = {"role": "user", "content": message["content"] or "-"}
            conn.execute("select kata.append(%s, %s)", [row[0], Jsonb([text])])
    conn.execute("select kata_data.extract_artifacts(%s, %s)", [row[0], 2**63 - 1])
    files = conn.execute(
        "select ref, detail ->> 'access' from kata.artifacts(%s, 'file')", [row[0]]
    ).fetchall()
    modified = {ref for ref, access in files if access == "modified"}
    found.update(access for _, access in files)
    missing = {path for path in log.changed if not any(same(path, ref) for ref in modified)}
    return missing, {ref for ref in modified if not any(same(path, ref) for path in log.changed)}, found


def told(log: Log, missing: set[str], added: set[str], found: Counter[str]) -> str:
    """Return the line of a report."""
    right = len(log.changed) - len(missing)
    recall = right / len(log.changed) if log.changed else 1
    precision = right / (right + len(added)) if right + len(added) else 1
    shown = ", ".join(f"{count} {access}" for access, count in sorted(found.items()))
    return (
        f"{log.name}: {len(log.changed)} changed, recall {recall:.0%}, precision {precision:.0%}; {shown}"
        f"; missing {sorted(missing)}; added {sorted(added)}"
    )


@pytest.mark.parametrize("log", list(synthetic()), ids=lambda log: log.name)
def test_the_files_changed_are_those_that_the_tools_recorded(conn: psycopg.Connection, log: Log) -> None:
    missing, added, found = judged(conn, log)
    assert not missing | added, told(log, missing, added, found)


@pytest.mark.report
def test_report_of_files_changed(conn: psycopg.Connection) -> None:
    """Print recall and precision log by log: pytest -m report -s tests/test_agent_logs.py."""
    assert FOLDER.is_dir(), f"KATA_AGENT_LOGS names no folder: {FOLDER}"
    right = changed = wrong = 0
    for log in [*synthetic(), *logs(FOLDER)]:
        missing, added, found = judged(conn, log)
        print("\n" + told(log, missing, added, found), end="")
        right, changed, wrong = (
            right + len(log.changed) - len(missing),
            changed + len(log.changed),
            wrong + len(added),
        )
    print(f"\nall: {changed} changed, recall {right / changed:.1%}, precision {right / (right + wrong):.1%}")
