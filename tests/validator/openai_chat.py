"""OpenAI chat completions: a list of messages."""

import re
from typing import Any

from validator.findings import (
    Findings,
    Shape,
    Violation,
    is_any,
    is_list,
    is_named,
    is_object,
    is_text,
    one_of,
    or_null,
)

FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
MESSAGE_NAME = re.compile(r"[^\s<|\\/>]{1,64}")
CALL_ID_LENGTH = 40

_BREAKPOINT = {"prompt_cache_breakpoint": is_object}
TEXT = Shape({"type": is_text, "text": is_text}, _BREAKPOINT, texts=("text",))
IMAGE = Shape({"type": is_text, "image_url": is_object}, _BREAKPOINT)
AUDIO = Shape({"type": is_text, "input_audio": is_object}, _BREAKPOINT)
FILE = Shape({"type": is_text, "file": is_object}, _BREAKPOINT)
REFUSAL = Shape({"type": is_text, "refusal": is_text}, texts=("refusal",))
INNER = {
    "image_url": Shape({"url": is_named}, {"detail": one_of("auto", "low", "high", "original")}),
    "input_audio": Shape({"data": is_named, "format": one_of("wav", "mp3")}),
    "file": Shape({}, {"file_data": is_named, "file_id": is_named, "filename": is_named}),
}
PARTS = {
    "system": {"text": TEXT},
    "developer": {"text": TEXT},
    "user": {"text": TEXT, "image_url": IMAGE, "input_audio": AUDIO, "file": FILE},
    "assistant": {"text": TEXT, "refusal": REFUSAL},
    "tool": {"text": TEXT},
}

_NAMED = {"name": is_text}
# Servers that speak this form return the last four fields, and take them back.
_ASSISTANT = {
    "content": is_any,
    "name": is_text,
    "refusal": or_null(is_text),
    "audio": or_null(is_object),
    "function_call": or_null(is_object),
    "tool_calls": is_list,
    "annotations": is_list,
    "reasoning_content": is_text,
    "reasoning": is_text,
    "reasoning_details": is_list,
}
MESSAGES = {
    "system": Shape({"role": is_text, "content": is_any}, _NAMED),
    "developer": Shape({"role": is_text, "content": is_any}, _NAMED),
    "user": Shape({"role": is_text, "content": is_any}, _NAMED),
    "assistant": Shape({"role": is_text}, _ASSISTANT, texts=("refusal", "reasoning_content", "reasoning")),
    "tool": Shape({"role": is_text, "content": is_any, "tool_call_id": is_named}, _NAMED),
    "function": Shape({"role": is_text, "content": or_null(is_text), "name": is_named}, texts=("content",)),
}
CALLS = {
    "function": Shape({"id": is_named, "type": is_text, "function": is_object}),
    "custom": Shape({"id": is_named, "type": is_text, "custom": is_object}),
}
CALLED = {
    "function": Shape({"name": is_text, "arguments": is_text}),
    "custom": Shape({"name": is_text, "input": is_text}),
}


def judge_openai(body: Any, _foreign: str = "") -> list[Violation]:
    """Return the violations of a list of messages."""
    findings = Findings()
    if not isinstance(body, list):
        findings.add("S1", "$", "the messages are not a list")
        return findings.violations
    for number, message in enumerate(body):
        _check_message(findings, message, f"$[{number}]")
    _check_results(findings, body)
    findings.check_marks(body, "prompt_cache_breakpoint")
    return findings.violations


def _check_message(findings: Findings, message: Any, path: str) -> None:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in MESSAGES:
        findings.add("S1", path, f"the role {role!r} is unknown")
        return
    if not findings.check_object(message, MESSAGES[role], path):
        return
    if role == "function":
        return
    if "name" in message and not MESSAGE_NAME.fullmatch(message["name"]):
        findings.add("C1", f"{path}.name", f"the name {message['name']!r:.80} is not one that the API takes")
    content = message.get("content")
    if isinstance(content, list):
        _check_parts(findings, content, role, f"{path}.content")
    elif isinstance(content, str):
        findings.check_blank(content, f"{path}.content")
    elif content is not None:
        findings.add("S1", f"{path}.content", "content is neither text nor a list of parts")
    elif role != "assistant" or not any(
        message.get(field) for field in ("tool_calls", "function_call", "refusal", "audio")
    ):
        findings.add("C2", f"{path}.content", "content is null without calls, a refusal or audio")
    if "tool_calls" in message:
        _check_calls(findings, message["tool_calls"], f"{path}.tool_calls")
    if message.get("audio"):
        findings.check_object(message["audio"], Shape({"id": is_named}), f"{path}.audio")
    if message.get("function_call"):
        findings.check_object(message["function_call"], CALLED["function"], f"{path}.function_call")


def _check_parts(findings: Findings, parts: list[Any], role: str, path: str) -> None:
    if not parts:
        findings.add("S1", path, "the list of parts is empty")
    for number, part in enumerate(parts):
        where = f"{path}[{number}]"
        kind = findings.check_part(part, PARTS[role], where)
        if kind in INNER:
            findings.check_object(part[kind], INNER[kind], f"{where}.{kind}")
            if kind == "file" and not part["file"].keys() & {"file_data", "file_id"}:
                findings.add("S1", f"{where}.file", "a file has neither data nor an id")


def _check_calls(findings: Findings, calls: list[Any], path: str) -> None:
    if not calls:
        findings.add("S1", path, "the list of calls is empty")
    for number, call in enumerate(calls):
        where = f"{path}[{number}]"
        kind = call.get("type") if isinstance(call, dict) else None
        if kind not in CALLS:
            findings.add("S1", where, f"a call is of type {kind!r}")
            continue
        if not findings.check_object(call, CALLS[kind], where):
            continue
        if len(call["id"]) > CALL_ID_LENGTH:
            findings.add("C1", f"{where}.id", f"the id has {len(call['id'])} characters")
        if findings.check_object(call[kind], CALLED[kind], f"{where}.{kind}") and not FUNCTION_NAME.fullmatch(
            call[kind]["name"]
        ):
            findings.add(
                "C1",
                f"{where}.{kind}.name",
                f"the name {call[kind]['name']!r:.80} is not one that the API takes",
            )


def _check_results(findings: Findings, messages: list[Any]) -> None:
    """Check that results follow their calls; the calls of the last turn may be open."""
    seen: set[str] = set()
    waiting: set[str] = set()
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            continue
        if message.get("role") == "tool":
            call_id = message.get("tool_call_id")
            if call_id not in waiting:
                findings.add("P1", f"$[{number}]", f"the result of {call_id!r:.80} does not follow its call")
            waiting.discard(str(call_id))
            continue
        if waiting:
            findings.add("P1", f"$[{number}]", f"calls have no result: {sorted(waiting)!s:.80}")
            waiting = set()
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            call_id = call.get("id") if isinstance(call, dict) else None
            if not isinstance(call_id, str):
                continue
            if call_id in seen:
                findings.add("P2", f"$[{number}]", f"the id {call_id!r:.80} has been used before")
            seen.add(call_id)
            waiting.add(call_id)
