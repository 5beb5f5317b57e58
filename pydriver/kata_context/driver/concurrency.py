"""What event loops and threads do differently, in pairs of names: `make generate` takes one for the other."""

import asyncio
import atexit
import threading
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

AsyncLock, Lock = asyncio.Lock, threading.Lock
sleep_async, sleep = asyncio.sleep, time.sleep


async def blocking_async(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that blocks, in a thread: the event loop goes on."""
    return await asyncio.to_thread(function, *args, **kwargs)


def blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that blocks."""
    return function(*args, **kwargs)


def at_exit_async(function: Callable[[], object]) -> None:
    """Do nothing: tasks end with their event loop."""


at_exit = atexit.register
