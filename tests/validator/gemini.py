"""Gemini: systemInstruction and contents."""

import re
from collections import Counter
from typing import Any

from validator.findings import (
    Findings,
    Shape,
    Violation,
    is_any,
    is_flag,
    is_list,
    is_named,
    is_object,
    is_text,
    one_of,
)
from validator.tags import check_tags

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
DATA = {
    "functionCall": Shape({"name": is_named}, {"id": is_named, "args": is_object}),
    "functionResponse": Shape({"name": is_named, "response": is_object}, {"id": is_named, "parts": is_list}),
    "inlineData": Shape({"mimeType": is_named, "data": is_named}, {"displayName": is_text}),
    "fileData": Shape({"fileUri": is_named}, {"mimeType": is_named, "displayName": is_text}),
    "executableCode": Shape({"code": is_text, "language": is_text}),
    "codeExecutionResult": Shape({"outcome": is_text}, {"output": is_text}),
    "toolCall": Shape({"toolType": is_named}, {"id": is_named, "args": is_object}),
    "toolResponse": Shape({"toolType": is_named}, {"id": is_named, "response": is_object}),
}
PART = Shape(
    {},
    {
        "text": is_text,
        "thought": is_flag,
        "thoughtSignature": is_named,
        "videoMetadata": is_object,
        "mediaResolution": is_object,
    }
    | dict.fromkeys(DATA, is_object),
    texts=("text",),
)
PLACES = {
    "user": {"text", "inlineData", "fileData", "functionResponse"},
    "model": {"text", "inlineData", "fileData", "functionCall", "toolCall", "toolResponse"}
    | {"executableCode", "codeExecutionResult"},
    "system": {"text"},
}


def judge_gemini(body: Any, foreign: str = "") -> list[Violation]:
    """Return the violations of systemInstruction and contents; foreign: words that the system never says."""
    findings = Findings()
    shape = Shape({"contents": is_list}, {"systemInstruction": is_object})
    if not findings.check_object(body, shape, "$"):
        return findings.violations
    if "systemInstruction" in body:
        instruction = body["systemInstruction"]
        if findings.check_object(
            instruction, Shape({"parts": is_list}, {"role": is_any}), "$.systemInstruction"
        ):
            _check_parts(findings, instruction["parts"], "system", "$.systemInstruction.parts")
    contents = body["contents"]
    for number, content in enumerate(contents):
        path = f"$.contents[{number}]"
        if findings.check_object(content, Shape({"role": one_of("user", "model"), "parts": is_list}), path):
            _check_parts(findings, content["parts"], content["role"], f"{path}.parts")
            if content["role"] == "user":
                check_tags(findings, content["parts"], foreign, f"{path}.parts")
    if contents and isinstance(contents[0], dict) and contents[0].get("role") == "model":
        findings.add("G1", "$.contents[0]", "the first content is the model's")
    _check_responses(findings, contents)
    return findings.violations


def _check_parts(findings: Findings, parts: list[Any], place: str, path: str) -> None:
    if not parts:
        findings.add("S1", path, "the list of parts is empty")
    for number, part in enumerate(parts):
        where = f"{path}[{number}]"
        if not findings.check_object(part, PART, where):
            continue
        held = [name for name in part if name == "text" or name in DATA]
        if len(held) != 1:
            findings.add("S1", where, f"a part holds one thing, this one {sorted(held)}")
            continue
        (name,) = held
        if name not in PLACES[place]:
            findings.add("P6", where, f"a part {name} has no place here")
        if name in DATA and findings.check_object(part[name], DATA[name], f"{where}.{name}"):
            called = part[name].get("name")
            if called is not None and not NAME.fullmatch(called):
                findings.add("G2", f"{where}.{name}.name", f"{called!r:.80} is not what the API takes")


def _held(content: Any, name: str) -> list[dict[str, Any]]:
    parts = content.get("parts") if isinstance(content, dict) else None
    return [
        part[name]
        for part in (parts if isinstance(parts, list) else [])
        if isinstance(part, dict) and isinstance(part.get(name), dict)
    ]


def _check_responses(findings: Findings, contents: list[Any]) -> None:
    """Check that as many responses follow as there are calls; the calls of the last content may be open."""
    seen: set[str] = set()
    calls: list[dict[str, Any]] = []
    for number, content in enumerate(contents):
        path, responses = f"$.contents[{number}]", _held(content, "functionResponse")
        if not isinstance(content, dict):
            continue
        is_end = number == len(contents) - 1 and len(responses) == len(content.get("parts") or [])
        if len(responses) > len(calls) or (len(responses) < len(calls) and not is_end):
            findings.add("P1", path, f"{len(calls)} calls are followed by {len(responses)} responses")
        elif {r["id"] for r in responses if "id" in r} - {c["id"] for c in calls if "id" in c}:
            findings.add("P1", path, "a response has the id of no call before it")
        elif Counter(str(r.get("name")) for r in responses) - Counter(str(c.get("name")) for c in calls):
            findings.add("G2", path, "the names of responses are not those of the calls")
        calls = _held(content, "functionCall")
        for call in calls:
            if "id" in call:
                if call["id"] in seen:
                    findings.add("P2", path, f"the id {call['id']!r:.80} has been used before")
                seen.add(call["id"])
