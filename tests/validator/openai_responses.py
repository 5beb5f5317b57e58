"""OpenAI Responses: instructions and input, for a request that nothing is stored of."""

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
from validator.openai_chat import CALL_ID_LENGTH, FUNCTION_NAME

_TYPE = {"type": is_text}
_BREAKPOINT = {"prompt_cache_breakpoint": is_object}
_STATUS = {"status": one_of("in_progress", "completed", "incomplete")}
_CALLER = {"id": or_null(is_named), "caller": or_null(is_object)}
_DETAIL = {"detail": one_of("auto", "low", "high", "original")}
INPUT_PARTS = {
    "input_text": Shape(_TYPE | {"text": is_text}, _BREAKPOINT, texts=("text",)),
    "input_image": Shape(_TYPE, _BREAKPOINT | _DETAIL | {"image_url": is_named, "file_id": is_named}),
    "input_file": Shape(
        _TYPE,
        _BREAKPOINT
        | {"file_data": is_named, "file_id": is_named, "file_url": is_named, "filename": is_named}
        | {"detail": one_of("auto", "low", "high")},
    ),
}
OUTPUT_PARTS = {
    "output_text": Shape(
        _TYPE | {"text": is_text}, {"annotations": is_list, "logprobs": is_list}, texts=("text",)
    ),
    "refusal": Shape(_TYPE | {"refusal": is_text}, texts=("refusal",)),
}
HOLDS = {"input_image": ("image_url", "file_id"), "input_file": ("file_data", "file_id", "file_url")}

_CALL = _TYPE | {"call_id": is_named}
ITEMS = {
    "message": Shape(
        {"role": one_of("user", "system", "developer", "assistant"), "content": is_any},
        _TYPE | _STATUS | {"id": is_named, "phase": or_null(one_of("commentary", "final_answer"))},
    ),
    "function_call": Shape(
        _CALL | {"name": is_text, "arguments": is_text}, _STATUS | _CALLER | {"namespace": is_text}
    ),
    "function_call_output": Shape(
        _CALL | {"output": is_any},
        _STATUS | _CALLER | {"name": or_null(is_text), "namespace": or_null(is_text)},
    ),
    "custom_tool_call": Shape(_CALL | {"name": is_text, "input": is_text}, _CALLER | {"namespace": is_text}),
    "custom_tool_call_output": Shape(_CALL | {"output": is_any}, _CALLER),
    "reasoning": Shape(
        _TYPE | {"summary": is_list},
        _STATUS | {"id": is_named, "content": is_list, "encrypted_content": or_null(is_text)},
    ),
    "compaction": Shape(_TYPE | {"encrypted_content": is_named}, {"id": or_null(is_named)}),
    "item_reference": Shape(_TYPE | {"id": is_named}),
    "web_search_call": Shape(_TYPE | {"id": is_named, "status": is_text, "action": is_object}),
    "file_search_call": Shape(
        _TYPE | {"id": is_named, "status": is_text, "queries": is_list}, {"results": or_null(is_list)}
    ),
    "code_interpreter_call": Shape(
        _TYPE
        | {"id": is_named, "status": is_text, "container_id": is_named}
        | {"code": or_null(is_text), "outputs": or_null(is_list)}
    ),
    "image_generation_call": Shape(
        _TYPE | {"id": is_named, "status": is_text, "result": or_null(is_text)},
        dict.fromkeys(
            (
                "action",
                "background",
                "error",
                "output_format",
                "quality",
                "revised_prompt",
                "size",
                "svg_usage",
            ),
            is_any,
        ),
    ),
    "mcp_call": Shape(
        _TYPE | {"id": is_named, "name": is_text, "arguments": is_text, "server_label": is_text},
        dict.fromkeys(("approval_request_id", "error", "output", "status"), is_any),
    ),
    "mcp_list_tools": Shape(
        _TYPE | {"id": is_named, "server_label": is_text, "tools": is_list}, {"error": or_null(is_text)}
    ),
    "computer_call": Shape(
        _CALL | {"id": is_named, "status": is_text, "pending_safety_checks": is_list},
        {"action": is_object, "actions": is_list},
    ),
    "computer_call_output": Shape(
        _CALL | {"output": is_object},
        {"id": or_null(is_named), "status": or_null(is_text), "acknowledged_safety_checks": or_null(is_list)},
    ),
    "local_shell_call": Shape(_CALL | {"id": is_named, "action": is_object, "status": is_text}),
    "local_shell_call_output": Shape(
        _TYPE | {"id": is_named, "output": is_text}, {"status": or_null(is_text)}
    ),
    "shell_call": Shape(
        _CALL | {"action": is_object},
        _CALLER | {"environment": or_null(is_object), "status": or_null(is_text)},
    ),
    "shell_call_output": Shape(
        _CALL | {"output": is_list}, _CALLER | {"max_output_length": is_any, "status": or_null(is_text)}
    ),
    "apply_patch_call": Shape(_CALL | {"operation": is_object, "status": is_text}, _CALLER),
    "apply_patch_call_output": Shape(_CALL | {"status": is_text}, _CALLER | {"output": or_null(is_text)}),
}
CALLS = (
    *("function_call", "custom_tool_call", "computer_call"),
    *("local_shell_call", "shell_call", "apply_patch_call"),
)
OUTPUTS = tuple(f"{call}_output" for call in CALLS)
GIVEN = (*OUTPUTS, "item_reference")
"""Items that no model makes in its turn. A compaction is part of the turn that made it."""


def judge_responses(body: Any, _foreign: str = "") -> list[Violation]:
    """Return the violations of instructions and input."""
    findings = Findings()
    if not findings.check_object(body, Shape({"input": is_list}, {"instructions": or_null(is_text)}), "$"):
        return findings.violations
    findings.check_blank(body.get("instructions"), "$.instructions")
    items = [(kind_of(item), item, f"$.input[{number}]") for number, item in enumerate(body["input"])]
    for kind, item, path in items:
        if kind not in ITEMS:
            findings.add("P6", path, f"an item of type {kind!r} has no place here")
        elif findings.check_object(item, ITEMS[kind], path):
            _check_item(findings, kind, item, path)
    _check_reasoning(findings, items)
    _check_ids(findings, items)
    _check_outputs(findings, items)
    findings.check_marks(body, "prompt_cache_breakpoint")
    return findings.violations


def kind_of(item: Any) -> str:
    """Return the type of an item; a message may leave it out."""
    if not isinstance(item, dict):
        return ""
    return str(item.get("type", "message" if "role" in item else ""))


def _is_model_made(kind: str, item: Any) -> bool:
    if kind == "message":
        return bool(item.get("role") == "assistant")
    return kind in ITEMS and kind not in GIVEN


def _check_item(findings: Findings, kind: str, item: dict[str, Any], path: str) -> None:
    if kind == "message":
        parts = OUTPUT_PARTS if item["role"] == "assistant" else INPUT_PARTS
        _check_content(findings, item["content"], parts, f"{path}.content")
    elif kind in ("function_call_output", "custom_tool_call_output"):
        _check_content(findings, item["output"], INPUT_PARTS, f"{path}.output")
    elif kind in ("function_call", "custom_tool_call"):
        if not FUNCTION_NAME.fullmatch(item["name"]):
            findings.add("C1", f"{path}.name", f"the name {item['name']!r:.80} is not one that the API takes")
        if len(item["call_id"]) > CALL_ID_LENGTH + 24:
            findings.add("C1", f"{path}.call_id", f"the id has {len(item['call_id'])} characters")
    elif kind == "reasoning" and not item.get("encrypted_content"):
        findings.add("R2", path, "nothing is stored, and the reasoning has no encrypted content")
    elif kind == "item_reference":
        findings.add("R2", path, "nothing is stored, and the item refers to a stored one")


def _check_content(findings: Findings, content: Any, shapes: dict[str, Shape], path: str) -> None:
    if isinstance(content, str):
        findings.check_blank(content, path)
        return
    if not isinstance(content, list) or not content:
        findings.add("S1", path, "content is neither text nor a list of parts")
        return
    for number, part in enumerate(content):
        where = f"{path}[{number}]"
        kind = findings.check_part(part, shapes, where)
        if kind in HOLDS and not any(part.get(field) for field in HOLDS[kind]):
            findings.add("S1", where, f"a part {kind} holds nothing")


def _check_reasoning(findings: Findings, items: list[tuple[str, Any, str]]) -> None:
    for (kind, _, path), after in zip(items, [*items[1:], None], strict=False):
        if kind == "reasoning" and (after is None or not _is_model_made(*after[:2])):
            findings.add("R1", path, "no item of the model follows the reasoning")


def _check_ids(findings: Findings, items: list[tuple[str, Any, str]]) -> None:
    """Check that the ids of items are unique; that of a local shell's output is the id of its call."""
    seen: set[str] = set()
    for kind, item, path in items:
        number = item.get("id") if isinstance(item, dict) and kind != "local_shell_call_output" else None
        if isinstance(number, str):
            if number in seen:
                findings.add("P2", path, f"an item before has the id {number!r:.80}, too")
            seen.add(number)


def _check_outputs(findings: Findings, items: list[tuple[str, Any, str]]) -> None:
    """Check that outputs follow their calls; the calls of the last turn may be open."""
    seen: set[str] = set()
    waiting: set[str] = set()
    answering = False
    for kind, item, path in items:
        if not isinstance(item, dict):
            continue
        call_id = str(item.get("id" if kind == "local_shell_call_output" else "call_id"))
        if kind in OUTPUTS:
            answering = True
            if call_id not in waiting:
                findings.add("P1", path, f"the output of {call_id!r:.80} does not follow its call")
            waiting.discard(call_id)
            continue
        if waiting and (answering or not _is_model_made(kind, item)):
            findings.add("P1", path, f"calls have no output: {sorted(waiting)!s:.80}")
            waiting = set()
        answering = False
        if kind in CALLS:
            if call_id in seen:
                findings.add("P2", path, f"the id {call_id!r:.80} has been used before")
            seen.add(call_id)
            waiting.add(call_id)
