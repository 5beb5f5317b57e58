"""Messages of any form, as a prompt sends them."""

import itertools
from typing import Any


def as_sent(messages: Any) -> Any:
    """Return messages with what a prompt changes in recorded conversations.

    The id of a call is its number in reading order, because logs hold some twice. An empty result says so.
    """
    numbers = itertools.count(1)
    newest: dict[str, int] = {}

    def sent(value: Any) -> Any:
        if isinstance(value, list):
            return [sent(element) for element in value]
        if not isinstance(value, dict):
            return value
        if value.get("type") in ("function", "tool_use"):
            newest[value["id"]] = next(numbers)
            value = value | {"id": newest[value["id"]]}
        for field in ("tool_call_id", "tool_use_id"):
            if field in value:
                value = value | {field: newest.get(value[field])}
        if value.get("role") == "tool" and value["content"] == "":
            value = value | {"content": "[empty]"}
        return {name: sent(inner) for name, inner in value.items()}

    return sent(messages)
