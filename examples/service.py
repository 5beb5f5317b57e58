"""The chat agent of agent.py as a web service, with asyncio and FastAPI.

    uvicorn --app-dir examples service:app

    curl -d '{"request": "r1", "text": "Book me a flight to Seattle."}' -H 'content-type: application/json' \\
        localhost:8000/conversations/trip/messages

A client that gets no answer sends the same request again, to this process or to the next one. Errors of the
store become problem documents (RFC 9457) with a fitting status.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

import airline
from kata_context import AsyncContext, AsyncKata, KataError

BUDGET = 8000


class Said(BaseModel):
    """What a user says: a text, and an id of the request that stays the same when it is sent again."""

    request: str
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the store when the service starts; DATABASE_URL names the database."""
    async with AsyncKata() as kata:
        async with kata.transaction() as transaction:
            await transaction.connection.execute(airline.TABLE)
        app.state.kata = kata
        # One request at a time per conversation. Several processes need a lock in the database, or a queue.
        app.state.turns = defaultdict(asyncio.Lock)
        yield


app = FastAPI(lifespan=lifespan)


@app.exception_handler(KataError)
async def problem(_: Request, error: KataError) -> JSONResponse:
    """Return an error of the store as a problem document."""
    document = error.as_problem()
    return JSONResponse(document, document.get("status", 500), media_type="application/problem+json")


@app.post("/conversations/{name}/messages")
async def say(name: str, said: Said) -> dict[str, Any]:
    """Answer a user."""
    kata: AsyncKata = app.state.kata
    async with app.state.turns[name]:
        chat = await kata.get_or_create(name)
        return {"answer": await turn(kata, chat, said)}


@app.get("/conversations/{name}/window")
async def window(name: str, budget: int, at: int | None = None) -> list[dict[str, Any]]:
    """Return the messages that the model sees, and why."""
    kata: AsyncKata = app.state.kata
    chat = await kata.context(name)
    rows = await chat.window(budget, at=at)
    return [{"version": row.version, "role": row.role, "reason": row.reason} for row in rows]


async def turn(kata: AsyncKata, chat: AsyncContext, said: Said) -> str:
    """Append what the user says, and let model and tools work until there is an answer."""
    asked = await chat.append_message("user", said.text, idempotency_key=said.request)
    made: set[str] = set()
    while True:
        for call in await open_calls(chat):
            if call["id"] not in made and call["function"]["name"] in airline.NOT_REPEATABLE:
                await chat.close_calls(
                    [call["id"]], reason="Interrupted: it is not known whether this was done."
                )
            else:
                await run(kata, chat, call)
        answer = await answer_after(chat, asked)
        if answer is not None:
            return answer
        reply = airline.answer(await chat.prompt(BUDGET))
        made |= {call["id"] for call in reply.get("tool_calls") or ()}
        await chat.append([reply], idempotency_key=str(uuid4()))


async def run(kata: AsyncKata, chat: AsyncContext, call: airline.Call) -> None:
    """Run a tool, in a thread; its result and the row that it writes are committed together."""
    result, booking = await asyncio.to_thread(airline.perform, call)
    async with kata.transaction() as transaction:
        if booking:
            await transaction.connection.execute(airline.BOOK, booking)
        await transaction.append_message(chat.id, "tool", result, tool_call_id=call["id"])


async def open_calls(chat: AsyncContext) -> list[airline.Call]:
    """Return the calls without a result."""
    ids = (await chat.get_context()).open_calls
    if not ids:
        return []
    recent = await chat.messages(descending=True, max_rows=50)
    return [call for row in recent for call in row.tool_calls or () if call["id"] in ids]


async def answer_after(chat: AsyncContext, version: int) -> str | None:
    """Return the first text of the assistant after a version; None where there is none yet."""
    rows = await chat.messages(after=version)
    return next((row.content for row in rows if row.role == "assistant" and not row.tool_calls), None)
