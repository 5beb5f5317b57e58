"""How programs that summarize, embed and answer are started: without the secrets of this process."""

import os
import re
from subprocess import PIPE
from typing import Any

# The database's URL and password, and keys of other services, are not among them.
KEPT = re.compile(
    r"(?i)PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|TEMP|TMP|SYSTEMROOT|VIRTUAL_ENV|PYTHON\w*|(https?|all|no)_proxy"
)
PASSED: set[str] = set()  # names of further variables, of --pass-env


def start_options() -> dict[str, Any]:
    """Return the options of a process: pipes, a session of its own, so that it dies whole."""
    kept = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name) or name in PASSED}
    return {"stdin": PIPE, "stdout": PIPE, "start_new_session": True, "env": kept}
