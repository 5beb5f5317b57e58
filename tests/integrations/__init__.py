"""The adapters in kata_context.contrib, each tested with the SDK that it is for: `make test-integrations`.

A folder per SDK, named like its module in contrib, holds `requirements.txt` with exact pins, an empty
`__init__.py`, and tests. They have the fixtures of tests/conftest.py; `make test` does not collect them. A
test fetches into `FETCHED`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# In the environment of the SDK, so it is gone with the pins that it belongs to.
FETCHED = Path(sys.prefix) / "fetched"


def run_example(title: str, dsn: str, folder: Path) -> str:
    """Run the Python of a section of docs/integrations.md in a folder, and return what it printed."""
    page = (ROOT / "docs" / "integrations.md").read_text("utf-8")
    section = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    program = "\n".join(re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
    assert program, f"docs/integrations.md has no example under {title}"
    environment = {**os.environ, "DATABASE_URL": dsn}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, f"{program}\n{done.stdout}\n{done.stderr}"
    return done.stdout
