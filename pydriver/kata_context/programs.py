"""How programs that summarize, embed and answer are started: without the secrets of this process."""

import os
import re
from subprocess import PIPE
from typing import Any

# Not the URL of the database with its password, nor keys of other services.
KEPT = re.compile(r"(?i)PATH|HOME|USER|LANG|LC_\w+|TZ|TE?MP(DIR)?|SYSTEMROOT|PYTHON\w*|(https?|all|no)_proxy")
PASSED: set[str] = set()  # names of further variables, of --pass-env


def start_options() -> dict[str, Any]:
    """Return the options of a process: pipes, a session of its own so that it dies whole, what it needs."""
    kept = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name) or name in PASSED}
    return {"stdin": PIPE, "stdout": PIPE, "start_new_session": True, "env": kept}
