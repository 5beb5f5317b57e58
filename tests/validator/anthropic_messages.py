"""Anthropic Messages: system and messages."""

import re
from collections.abc import Mapping
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
    or_null,
)
from validator.tags import check_tags

IDENTIFIER = re.compile(r"[a-zA-Z0-9_-]+")
NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
SERVER_IDENTIFIER = re.compile(r"srvtoolu_[a-zA-Z0-9_]+")

_CACHE = {"cache_control": or_null(is_object)}
_CITED = _CACHE | {"citations": or_null(is_object)}
TEXT = Shape({"type": is_text, "text": is_text}, _CACHE | {"citations": or_null(is_list)}, texts=("text",))
IMAGE = Shape({"type": is_text, "source": is_object}, _CACHE | {"transformations": or_null(is_object)})
DOCUMENT = Shape(
    {"type": is_text, "source": is_object},
    _CITED | {"context": or_null(is_text), "title": or_null(is_text)},
)
SEARCH_RESULT = Shape({"type": is_text, "content": is_list, "source": is_text, "title": is_text}, _CITED)
TOOL_REFERENCE = Shape({"type": is_text, "tool_name": is_named}, _CACHE)
UPLOAD = Shape({"type": is_text, "file_id": is_named}, _CACHE)
THINKING = Shape({"type": is_text, "thinking": is_text, "signature": is_text})
REDACTED = Shape({"type": is_text, "data": is_named})
_CALLER = {"caller": is_object, "toolset_name": or_null(is_text)}
TOOL_USE = Shape({"type": is_text, "id": is_named, "name": is_named, "input": is_object}, _CACHE | _CALLER)
TOOL_RESULT = Shape(
    {"type": is_text, "tool_use_id": is_named},
    _CACHE | {"content": is_any, "is_error": is_flag, "toolset_name": or_null(is_text)},
)
SERVER_TOOL_USE = Shape(
    {"type": is_text, "id": is_named, "name": is_named, "input": is_object}, _CACHE | {"caller": is_object}
)
SERVER_RESULT = Shape(
    {"type": is_text, "tool_use_id": is_named, "content": is_any}, _CACHE | {"caller": is_object}
)
SERVER_RESULTS = (
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
)
SHOWN = {"text": TEXT, "image": IMAGE, "document": DOCUMENT, "search_result": SEARCH_RESULT}
BLOCKS: dict[str, dict[str, Shape]] = {
    "user": SHOWN | {"tool_result": TOOL_RESULT, "container_upload": UPLOAD},
    "assistant": {
        "text": TEXT,
        "thinking": THINKING,
        "redacted_thinking": REDACTED,
        "tool_use": TOOL_USE,
        "server_tool_use": SERVER_TOOL_USE,
    }
    | dict.fromkeys(SERVER_RESULTS, SERVER_RESULT),
    "system": {"text": TEXT},
}
IN_RESULT = SHOWN | {"tool_reference": TOOL_REFERENCE}
_MEDIA = one_of("image/jpeg", "image/png", "image/gif", "image/webp")
_URL = Shape({"type": is_text, "url": is_named})
_STORED = Shape({"type": is_text, "file_id": is_named})
SOURCES: dict[str, dict[str, Shape]] = {
    "image": {
        "base64": Shape({"type": is_text, "media_type": _MEDIA, "data": is_named}),
        "url": _URL,
        "file": _STORED,
    },
    "document": {
        "base64": Shape({"type": is_text, "media_type": one_of("application/pdf"), "data": is_named}),
        "text": Shape(
            {"type": is_text, "media_type": one_of("text/plain"), "data": is_text}, texts=("data",)
        ),
        "content": Shape({"type": is_text, "content": is_any}),
        "url": _URL,
        "file": _STORED,
    },
}


def judge_anthropic(body: Any, foreign: str = "") -> list[Violation]:
    """Return the violations of system and messages; foreign: words that the system never says."""
    findings = Findings()
    if not findings.check_object(body, Shape({"messages": is_list}, {"system": is_any}), "$"):
        return findings.violations
    _check_system(findings, body.get("system"))
    for number, message in enumerate(body["messages"]):
        _check_message(findings, message, f"$.messages[{number}]")
    if all(isinstance(message, dict) for message in body["messages"]):
        _check_turns(findings, body["messages"])
        _check_results(findings, body["messages"])
        _check_open_thinking(findings, body["messages"])
        _check_end(findings, body["messages"])
        for number, message in enumerate(body["messages"]):
            if message.get("role") == "user":
                check_tags(findings, blocks_of(message), foreign, f"$.messages[{number}].content")
    findings.check_marks(body, "cache_control")
    _check_hours(findings, body)
    return findings.violations


def blocks_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of a turn that are objects."""
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content or [] if isinstance(block, dict)] if isinstance(content, list) else []


def _check_hours(findings: Findings, body: dict[str, Any]) -> None:
    """Check that marks of an hour come before shorter ones, in the order of the request."""
    system = body.get("system")
    blocks = [block for block in system if isinstance(block, dict)] if isinstance(system, list) else []
    for message in body["messages"]:
        blocks += blocks_of(message) if isinstance(message, dict) else []
    short = False
    for block in blocks:
        inner = block.get("content")
        for marked in [*(inner if isinstance(inner, list) else []), block]:
            mark = marked.get("cache_control") if isinstance(marked, dict) else None
            if isinstance(mark, dict):
                if short and mark.get("ttl") == "1h":
                    findings.add("C3", "$", "a mark of an hour comes after a shorter one")
                short = short or mark.get("ttl") != "1h"


def _check_system(findings: Findings, system: Any) -> None:
    if isinstance(system, list):
        for number, block in enumerate(system):
            findings.check_part(block, BLOCKS["system"], f"$.system[{number}]")
    elif isinstance(system, str):
        if system:
            findings.check_blank(system, "$.system")
    elif system is not None:
        findings.add("S1", "$.system", "system is neither text nor a list of blocks")


def _check_message(findings: Findings, message: Any, path: str) -> None:
    shape = Shape({"role": one_of("user", "assistant", "system"), "content": is_any})
    if not findings.check_object(message, shape, path):
        return
    content = message["content"]
    if isinstance(content, str):
        findings.check_blank(content, f"{path}.content")
    elif not isinstance(content, list):
        findings.add("S1", f"{path}.content", "content is neither text nor a list of blocks")
    elif not content:
        findings.add("S1", f"{path}.content", "the list of blocks is empty")
    else:
        for number, block in enumerate(content):
            _check_block(findings, block, BLOCKS[message["role"]], f"{path}.content[{number}]")


def _check_block(findings: Findings, block: Any, shapes: Mapping[str, Shape], path: str) -> None:
    kind = findings.check_part(block, shapes, path)
    if kind in SOURCES:
        source = block["source"]
        if findings.check_part(source, SOURCES[kind], f"{path}.source") == "content":
            _check_content(
                findings, source["content"], {"text": TEXT, "image": IMAGE}, f"{path}.source.content"
            )
    elif kind == "search_result":
        _check_content(findings, block["content"], {"text": TEXT}, f"{path}.content")
    elif kind == "tool_result":
        if "content" in block:
            _check_content(findings, block["content"], IN_RESULT, f"{path}.content")
    elif kind in ("tool_use", "server_tool_use"):
        identifier = IDENTIFIER if kind == "tool_use" else SERVER_IDENTIFIER
        for field, pattern in (("id", identifier), ("name", NAME)):
            if not pattern.fullmatch(block[field]):
                findings.add("A3", f"{path}.{field}", f"{block[field]!r:.80} is not what the API takes")
    elif kind == "thinking" and not block["signature"]:
        findings.add("A4", path, "the thinking is not signed")


def _check_content(findings: Findings, content: Any, shapes: Mapping[str, Shape], path: str) -> None:
    if isinstance(content, str):
        findings.check_blank(content, path)
    elif not isinstance(content, list):
        findings.add("S1", path, "content is neither text nor a list of blocks")
    else:
        for number, block in enumerate(content):
            _check_block(findings, block, shapes, f"{path}[{number}]")


def _check_turns(findings: Findings, messages: list[dict[str, Any]]) -> None:
    before = "assistant"
    for number, message in enumerate(messages):
        path, role = f"$.messages[{number}]", message.get("role")
        if role == "system":
            if number == 0 or before == "system":
                findings.add("A1", path, "a turn of the system stands where another belongs")
            # A turn of either role may follow.
            before = "system"
            continue
        if role == before:
            findings.add("A1", path, f"a turn of {role} stands where one of the other role belongs")
        before = str(role)
        blocks = blocks_of(message)
        if role == "assistant" and blocks and blocks[-1].get("type") in ("thinking", "redacted_thinking"):
            findings.add("A4", path, "the turn ends with thinking")


def _check_results(findings: Findings, messages: list[dict[str, Any]]) -> None:
    """Check that results open the turn after their calls; the calls of the last turn may be open."""
    seen: set[str] = set()
    waiting: set[str] = set()
    for number, message in enumerate(messages):
        path, blocks = f"$.messages[{number}]", blocks_of(message)
        results = [block.get("tool_use_id") for block in blocks if block.get("type") == "tool_result"]
        if [block.get("type") for block in blocks[: len(results)]] != ["tool_result"] * len(results):
            findings.add("A2", path, "something stands before a result")
        for call_id in results:
            if call_id not in waiting:
                findings.add("P1", path, f"the result of {call_id!r:.80} does not follow its call")
            waiting.discard(str(call_id))
        if waiting and (number < len(messages) - 1 or len(blocks) > len(results)):
            findings.add("P1", path, f"calls have no result: {sorted(waiting)!s:.80}")
        waiting = set()
        for block in blocks:
            if block.get("type") in ("tool_use", "server_tool_use"):
                call_id = str(block.get("id"))
                if call_id in seen:
                    findings.add("P2", path, f"the id {call_id!r:.80} has been used before")
                seen.add(call_id)
            if block.get("type") == "tool_use":
                waiting.add(str(block.get("id")))
        _check_server_results(findings, blocks, path, number == len(messages) - 1)


def _check_server_results(findings: Findings, blocks: list[dict[str, Any]], path: str, is_last: bool) -> None:
    """Check that the results of server tools are in the turn of their call."""
    waiting: set[str] = set()
    for block in blocks:
        if block.get("type") == "server_tool_use":
            waiting.add(str(block.get("id")))
        elif block.get("type") in SERVER_RESULTS:
            call_id = str(block.get("tool_use_id"))
            if call_id not in waiting:
                findings.add("P1", path, f"the result of {call_id!r:.80} does not follow its call")
            waiting.discard(call_id)
    if waiting and not is_last:
        findings.add("P1", path, f"calls of server tools have no result: {sorted(waiting)!s:.80}")


def _check_end(findings: Findings, messages: list[dict[str, Any]]) -> None:
    """Check that an answer that is to be continued does not end with white space."""
    blocks = blocks_of(messages[-1]) if messages and messages[-1].get("role") == "assistant" else []
    text = blocks[-1].get("text") if blocks else None
    if isinstance(text, str) and text != text.rstrip():
        findings.add("A6", f"$.messages[{len(messages) - 1}]", "the last text ends with white space")


def _check_open_thinking(findings: Findings, messages: list[dict[str, Any]]) -> None:
    """Check that only the open tool turn has thinking: no recorded request says whether other is valid."""
    is_open = True
    for number, message in reversed(list(enumerate(messages))):
        blocks = blocks_of(message)
        if message.get("role") != "assistant":
            is_open = is_open and all(block.get("type") == "tool_result" for block in blocks)
            continue
        kinds = [block.get("type") for block in blocks]
        if number == len(messages) - 1 and "tool_use" not in kinds:
            is_open = False
        if not is_open and any(kind in ("thinking", "redacted_thinking") for kind in kinds):
            findings.add("A5", f"$.messages[{number}]", "the turn is finished, and its thinking is sent")
