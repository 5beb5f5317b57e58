"""Breaks a valid body in the way of each rule that the renderers keep.

A mutation changes the body in place, and returns whether it found something to break.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

Message = dict[str, Any]
Mutation = Callable[[Any], bool]

FOREIGN = {
    "openai": {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    "anthropic": {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
}
THINKING = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}


def _first(found: Iterator[Any]) -> Any:
    return next(found, None)


def _change(value: dict[str, Any] | None, **fields: Any) -> bool:
    """Set fields of an object, if there is one."""
    if value is None:
        return False
    value.update(fields)
    return True


# OpenAI chat


def _of_role(body: list[Message], *roles: str) -> Iterator[Message]:
    return (message for message in body if message["role"] in roles)


def _openai_calls(body: list[Message]) -> list[Message]:
    return [call for message in body for call in message.get("tool_calls", [])]


def _openai_lost_result(body: list[Message]) -> bool:
    for number, (message, after) in enumerate(pairwise(body)):
        if message["role"] == "tool" and after["role"] != "tool":
            del body[number]
            return True
    return False


def _openai_late_result(body: list[Message]) -> bool:
    for number, (message, after) in enumerate(pairwise(body)):
        if message["role"] == "tool" and after["role"] != "tool":
            body[number], body[number + 1] = after, message
            return True
    return False


def _openai_same_ids(body: list[Message]) -> bool:
    calls = _openai_calls(body)
    return _change(calls[-1] if len(calls) > 1 else None, id=calls[0]["id"] if calls else "")


def _openai_blank(body: list[Message]) -> bool:
    return _change(
        _first(message for message in body if isinstance(message["content"], str)), content=" \u00a0"
    )


def _openai_blank_part(body: list[Message]) -> bool:
    lists = [message["content"] for message in body if isinstance(message["content"], list)]
    return _change(_first(p for parts in lists for p in parts if p["type"] == "text"), text="\n")


def _openai_name(body: list[Message]) -> bool:
    return _change(_first(call["function"] for call in _openai_calls(body)), name="fs.look")


def _openai_untyped_call(body: list[Message]) -> bool:
    call = _first(iter(_openai_calls(body)))
    return call is not None and call.pop("type") is not None


# Anthropic


def _turns(body: Any, role: str) -> list[Message]:
    return [turn for turn in body["messages"] if turn["role"] == role]


def _blocks(body: Any, kind: str) -> list[Message]:
    return [block for turn in body["messages"] for block in turn["content"] if block["type"] == kind]


def _anthropic_lost_result(body: Any) -> bool:
    for turn in _turns(body, "user"):
        kinds = [block["type"] for block in turn["content"]]
        if "tool_result" in kinds and kinds[-1] != "tool_result":
            del turn["content"][0]
            return True
    return False


def _anthropic_same_ids(body: Any) -> bool:
    calls = _blocks(body, "tool_use")
    return _change(calls[-1] if len(calls) > 1 else None, id=calls[0]["id"] if calls else "")


def _anthropic_split_turn(body: Any) -> bool:
    for number, turn in enumerate(body["messages"]):
        if len(turn["content"]) > 1:
            body["messages"].insert(number + 1, {"role": turn["role"], "content": [turn["content"].pop()]})
            return True
    return False


def _anthropic_no_opening(body: Any) -> bool:
    if len(body["messages"]) < 2:
        return False
    del body["messages"][0]
    return True


def _anthropic_text_first(body: Any) -> bool:
    for turn in _turns(body, "user"):
        if turn["content"][0]["type"] == "tool_result":
            turn["content"].insert(0, {"type": "text", "text": "before"})
            return True
    return False


def _anthropic_blank_result(body: Any) -> bool:
    return _change(_first(iter(_blocks(body, "tool_result"))), content=[{"type": "text", "text": ""}])


def _anthropic_blank_system(body: Any) -> bool:
    body["system"] = "\n"
    return True


def _anthropic_finished_thinking(body: Any) -> bool:
    for turn, after in pairwise(body["messages"]):
        if turn["role"] == "assistant" and after["content"][-1]["type"] != "tool_result":
            turn["content"].insert(0, THINKING)
            return True
    return False


def _anthropic_unsigned_thinking(body: Any) -> bool:
    for turn in _turns(body, "assistant"):
        turn["content"].insert(0, THINKING | {"signature": ""})
        return True
    return False


def _anthropic_last_thinking(body: Any) -> bool:
    for turn in _turns(body, "assistant"):
        turn["content"].append(THINKING)
        return True
    return False


def _anthropic_marks(body: Any) -> bool:
    text = {"type": "text", "text": "cached", "cache_control": {"type": "ephemeral"}}
    body["system"] = [text] * 5
    return True


MUTATIONS: dict[str, list[tuple[str, Mutation]]] = {
    "openai": [
        ("P1", _openai_lost_result),
        ("P1", _openai_late_result),
        ("P2", _openai_same_ids),
        ("P4", _openai_blank),
        ("P4", _openai_blank_part),
        ("P5", lambda body: _change(_first(iter(body)), createdAt=1)),
        ("P5", lambda body: _change(_first(_of_role(body, "tool")), is_error=True)),
        ("P6", lambda body: _change(_first(_of_role(body, "user", "tool")), content=[FOREIGN["openai"]])),
        ("P6", lambda body: _change(_first(_of_role(body, "assistant")), content=[THINKING])),
        ("S1", _openai_untyped_call),
        ("C1", _openai_name),
        ("C1", lambda body: _change(_first(_of_role(body, "user")), name="Ann Lee")),
        ("C2", lambda body: _change(_first(_of_role(body, "user", "tool", "system")), content=None)),
        (
            "C3",
            lambda body: _change(
                _first(_of_role(body, "user", "tool", "system", "developer")),
                content=[{"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}] * 5,
            ),
        ),
    ],
    "anthropic": [
        ("P1", _anthropic_lost_result),
        ("P2", _anthropic_same_ids),
        ("P4", lambda body: _change(_first(iter(_blocks(body, "text"))), text="\t")),
        ("P4", _anthropic_blank_result),
        ("P4", _anthropic_blank_system),
        ("P5", lambda body: _change(_first(iter(body["messages"])), id="msg_1")),
        ("P5", lambda body: _change(_first(iter(_blocks(body, "text"))), createdAt=1)),
        ("P6", lambda body: _change(_first(iter(body["messages"])), content=[FOREIGN["anthropic"]])),
        ("S1", lambda body: _change(_first(iter(_blocks(body, "tool_use"))), input="{}")),
        ("S1", lambda body: _change(_first(iter(body["messages"])), content=[])),
        ("C3", _anthropic_marks),
        ("A1", _anthropic_split_turn),
        ("A1", _anthropic_no_opening),
        ("A2", _anthropic_text_first),
        ("A3", lambda body: _change(_first(iter(_blocks(body, "tool_use"))), id="call:1")),
        ("A3", lambda body: _change(_first(iter(_blocks(body, "tool_use"))), name="fs.look")),
        ("A4", _anthropic_unsigned_thinking),
        ("A4", _anthropic_last_thinking),
        ("A5", _anthropic_finished_thinking),
    ],
}
