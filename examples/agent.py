"""A chat agent with tools that survives a kill at any moment.

    python examples/agent.py CONVERSATION REQUEST TEXT

Answers a user's text. Kill it with SIGKILL at any moment, and run the same command again: it continues
where the log ends. Nothing is lost, because each step is committed before the next one begins. And nothing
happens twice, because

- REQUEST is the idempotency key of the user's message,
- a row that a tool writes is committed in one transaction with the tool's result,
- a call whose effect is outside the database and must not be repeated is closed instead of run again, and the
  model reads so.

One process at a time answers a conversation.
"""

import sys
from typing import Any
from uuid import uuid4

import airline
from kata_context import Context, Kata

BUDGET = 8000


def main(conversation: str, request: str, text: str) -> None:
    """Answer one message of a user, and print the answer."""
    with Kata() as kata:
        with kata.transaction() as transaction:
            transaction.connection.execute(airline.TABLE)
        chat = kata.get_or_create(conversation)
        print(turn(kata, chat, request, text))


def turn(kata: Kata, chat: Context, request: str, text: str) -> str:
    """Append what the user says, and let model and tools work until there is an answer."""
    asked = chat.append_message("user", text, idempotency_key=request)
    made: set[str] = set()  # ids of the calls that this process has made
    while True:
        for call in open_calls(chat):
            if call["id"] not in made and call["function"]["name"] in airline.NOT_REPEATABLE:
                chat.close_calls([call["id"]], reason="Interrupted: it is not known whether this was done.")
            else:
                run(kata, chat, call)
        answer = answer_after(chat, asked)
        if answer is not None:
            return answer
        reply = airline.answer(chat.prompt(BUDGET))
        made |= {call["id"] for call in reply.get("tool_calls") or ()}
        # A key of its own lets the driver repeat the call when a connection is lost.
        chat.append([reply], idempotency_key=str(uuid4()))


def run(kata: Kata, chat: Context, call: airline.Call) -> None:
    """Run a tool; its result and the row that it writes are committed together."""
    result, booking = airline.perform(call)
    with kata.transaction() as transaction:
        if booking:
            transaction.connection.execute(airline.BOOK, booking)
        transaction.append_message(chat.id, "tool", result, tool_call_id=call["id"])


def open_calls(chat: Context) -> list[airline.Call]:
    """Return the calls without a result."""
    ids = chat.get_context().open_calls
    if not ids:
        return []
    recent = chat.messages(descending=True, max_rows=50)
    return [call for row in recent for call in row.tool_calls or () if call["id"] in ids]


def answer_after(chat: Context, version: int) -> str | None:
    """Return the first text of the assistant after a version; None where there is none yet."""
    rows: list[Any] = chat.messages(after=version)
    return next((row.content for row in rows if row.role == "assistant" and not row.tool_calls), None)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python examples/agent.py CONVERSATION REQUEST TEXT")
    main(*sys.argv[1:])
