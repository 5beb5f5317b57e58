"""Stops the servers of a test process that has ended, however it ended, and removes its files.

    python guard.py FOLDER SECONDS

The program leaves its parent at once and reads its standard input, whose other end the test process holds
open. At the end of input it stops each server that has its data in FOLDER, gives it SECONDS, and removes
FOLDER. The tests do not wait for it. The pid in a postmaster.pid may be stale and belong to another process:
only a process that works in the data directory, as every server does, is sent a signal.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path


def watch(folder: Path, seconds: int = 10) -> Callable[[], None]:
    """Start the guard of a folder; return what sets it to work, which the end of this process does, too."""
    reading, writing = os.pipe()
    command = [sys.executable, "-I", __file__, str(folder), str(seconds)]
    subprocess.run(
        command,
        stdin=reading,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
        start_new_session=True,
    )
    os.close(reading)
    return partial(os.close, writing)


def works_in(pid: int, data: Path) -> bool:
    """Return whether a process is there and has a data directory as its own."""
    if Path("/proc/self/cwd").exists():
        try:
            return Path(f"/proc/{pid}/cwd").resolve(strict=True) == data.resolve()
        except OSError:
            return False
    # Without /proc: a server is started with its data directory as an argument.
    listed = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True)
    return f"{data} " in f"{listed.stdout.strip()} "


def stop(pid: int, data: Path, seconds: int) -> None:
    """Stop the server of a data directory, at once and without mercy after some seconds."""
    for sent in (signal.SIGQUIT, signal.SIGKILL):
        if works_in(pid, data):
            os.kill(pid, sent)
        give_up = time.monotonic() + seconds
        while works_in(pid, data) and time.monotonic() < give_up:
            time.sleep(0.05)


def main(folder: Path, seconds: int) -> None:
    """Wait for the end of the test process, then clean up."""
    if os.fork():
        os._exit(0)
    sys.stdin.read()
    for file in folder.rglob("postmaster.pid"):
        try:
            stop(int(file.read_text().split()[0]), file.parent, seconds)
        except (OSError, ValueError, IndexError):
            continue
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
