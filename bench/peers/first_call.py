"""A program that opens a store, reads a window twice and ends; prints the seconds of each.

first_call.py STORE DSN CONVERSATION
"""

import asyncio
import sys
import time

START = time.perf_counter()


async def main(name: str, dsn: str, conversation_name: str) -> None:
    """Open, join, read, read again."""
    from stores import STORES

    store = STORES[name](dsn)
    await store.open()
    opened = time.perf_counter()
    conversation = await store.join(conversation_name)
    await store.window(conversation)
    first = time.perf_counter()
    await store.window(conversation)
    print(opened - START, first - opened, time.perf_counter() - first)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
