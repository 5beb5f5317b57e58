"""The model and the tools of the examples.

The model is a function that answers by rules, so that the examples run anywhere and always alike: put a call
of a provider in its place. It gets messages in OpenAI form and returns one. The tools belong to an airline.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from kata_context.types import Message, OpenAIMessage

Call = Mapping[str, Any]

FLIGHTS = {"Seattle": ["HAT083", "HAT136"], "Boston": ["HAT201"]}
# Bookings are rows of the same database. Their key is the id of the call that made them.
TABLE = "create table if not exists booking (call_id text primary key, flight text not null)"
BOOK = "insert into booking (call_id, flight) values (%s, %s)"
# A receipt is an email: its effect is outside the database, and two of them are one too many.
NOT_REPEATABLE = {"send_receipt"}


def answer(messages: Sequence[OpenAIMessage]) -> Message:
    """Return the next message of the assistant: a call of a tool, or a text."""
    last = messages[-1]
    said = str(last["content"])
    if last["role"] == "user":
        cities = [city for city in FLIGHTS if city in said]
        return calling("search_flights", to=cities[0]) if cities else saying("Where do you want to fly to?")
    done = called(messages, last["tool_call_id"])
    if done == "search_flights":
        return calling("book_flight", flight=said.split(", ")[0])
    if done == "book_flight":
        return calling("send_receipt", text=said)
    return saying(f"Done. {said}")


def perform(call: Call) -> tuple[str, tuple[Any, ...] | None]:
    """Run a tool: return its result, and a row of BOOK to write together with the result, or None."""
    arguments = json.loads(call["function"]["arguments"])
    match call["function"]["name"]:
        case "search_flights":
            return ", ".join(FLIGHTS[arguments["to"]]), None
        case "book_flight":
            return f"Flight {arguments['flight']} is booked.", (call["id"], arguments["flight"])
        case "send_receipt":
            return "The receipt is sent.", None
        case name:
            return f"There is no tool {name}.", None


def calling(name: str, **arguments: str) -> Message:
    """Return a message that calls a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": f"call-{uuid4()}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def saying(text: str) -> Message:
    """Return a message with a text."""
    return {"role": "assistant", "content": text}


def called(messages: Sequence[OpenAIMessage], call_id: str) -> str:
    """Return the name of the tool that a call is for."""
    calls = (call for message in messages for call in message.get("tool_calls") or ())
    return next(str(call["function"]["name"]) for call in calls if call["id"] == call_id)
