"""Logs of coding agents: their messages, and the files that their tools recorded as changed.

The truth of a log comes from what its tools wrote down: arguments of edits and their results, submitted
patches. Shell commands leave no such record, so SHELL
lists what a reader found. Nothing here looks at the extractor.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

REFUSED = re.compile(
    r"No replacement was performed|^Error|not found in the file|Could not find", re.MULTILINE
)
HEAD = re.compile(r"^diff --git a/(\S+) b/(\S+)", re.MULTILINE)
PATCHED = re.compile(r"^\*\*\* (?:(?:Add|Update|Delete) File|Move to): (.+)$", re.MULTILINE)

SHELL: dict[str, set[str]] = {
    "mini-swe.traj.json": {"tests/missing_colon.py"},
    "swe-marshmallow-str_replace.traj": {"reproduce.py"},
    "pi-large-session.jsonl": {
        "/tmp/fix-markdown.sed",
        "/tmp/fix_markdown.py",
        "/tmp/fix_markdown2.py",
        "/tmp/fix_markdown3.py",
        "packages/tui/test/editor.test.ts",
        "packages/tui/test/markdown.test.ts",
        "~/.pi/agent/themes/test.json",
        "~/.pi/agent/themes/custom.json",
        "~/.pi/agent/themes/nord.json",
        "~/.pi/agent/themes/custom-light.json",
        "~/.pi/agent/themes/custom-dark.json",
    },
}


@dataclass
class Log:
    """A log: its name, its messages in the OpenAI chat form, and the files that were changed."""

    name: str
    messages: list[Json]
    changed: set[str] = field(default_factory=set)


def call(call_id: str, name: str, arguments: Any) -> Json:
    """Return a tool call in the OpenAI form."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


def same(one: str, other: str) -> bool:
    """Whether two spellings may name one file: the same, or one relative to a folder of the other."""
    one, other = (path.replace("\\", "/").rstrip("/").lower() for path in (one, other))
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


def blocks(content: Any) -> tuple[str, list[Json], list[Json]]:
    """Split the content of an Anthropic or pi message into text, calls and results."""
    if isinstance(content, str):
        return content, [], []
    content = [block for block in content if isinstance(block, dict)]
    text = "\n".join(block["text"] for block in content if block["type"] == "text")
    calls = [block for block in content if block["type"] in ("tool_use", "toolCall")]
    return text, calls, [block for block in content if block["type"] == "tool_result"]


def anthropic(name: str, lines: list[Json]) -> Log:
    """Read a Claude Code session; a structured patch or a result without an error confirms an edit."""
    log, edits = Log(name, []), dict[str, str]()
    for line in lines:
        message = line.get("message") if isinstance(line, dict) else None
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
            continue
        text, calls, results = blocks(message.get("content") or "")
        for result in results:
            content = result.get("content") or ""
            told = content if isinstance(content, str) else blocks(content)[0]
            log.messages.append({"role": "tool", "tool_call_id": result["tool_use_id"], "content": told})
            path = edits.pop(result["tool_use_id"], None)
            if path and not result.get("is_error") and not REFUSED.search(told):
                log.changed.add(path)
        patch = line.get("toolUseResult")
        if isinstance(patch, dict) and "structuredPatch" in patch:
            log.changed.add(patch["filePath"])
        for block in calls:
            if {"content", "new_string", "edits", "new_source"} & block["input"].keys():
                path = block["input"].get("file_path") or block["input"].get("notebook_path")
                edits.update({block["id"]: path} if path else {})
        if calls:
            made = [call(block["id"], block["name"], block["input"]) for block in calls]
            log.messages.append({"role": "assistant", "content": text or None, "tool_calls": made})
        elif text:
            log.messages.append({"role": message["role"], "content": text})
    # A log that ends with an edit has no result that could refuse it.
    log.changed |= set(edits.values())
    return log


def pi(name: str, lines: list[Json]) -> Log:
    """Read a pi session; an edit's result has the difference, a write's says that it succeeded."""
    log, edits = Log(name, []), dict[str, str]()
    for line in lines:
        message = line.get("message") if line["type"] == "message" else None
        if message is None:
            continue
        text, calls, _ = blocks(message.get("content") or "")
        if message["role"] == "toolResult":
            told = {"role": "tool", "tool_call_id": message["toolCallId"], "content": text}
            log.messages.append(told)
            path = edits.pop(message["toolCallId"], None)
            if (
                path
                and not message["isError"]
                and ((message.get("details") or {}).get("diff") or "wrote" in text)
            ):
                log.changed.add(path)
        elif calls:
            made = [call(block["id"], block["name"], block["arguments"]) for block in calls]
            log.messages.append({"role": "assistant", "content": text or None, "tool_calls": made})
            edits |= {b["id"]: b["arguments"]["path"] for b in calls if b["name"] in ("edit", "write")}
        elif text:
            log.messages.append({"role": message["role"], "content": text})
    return log


def trajectory(name: str, document: Json) -> Log:
    """Read a SWE-agent trajectory; the truth is what was submitted, and what editors confirm."""
    log, number = Log(name, []), 0
    for message in document["history"]:
        content = message["content"]
        text = content if isinstance(content, str) else blocks(content)[0]
        entry: Json = {"role": message["role"], "content": text}
        if message.get("tool_calls"):
            entry["tool_calls"] = message["tool_calls"]
        elif message["role"] == "tool":
            ids = message.get("tool_call_ids") or [f"call_{number}"]
            entry["tool_call_id"] = ids[0]
        log.messages.append(entry)
    for step in document["trajectory"]:
        done = re.search(
            r"File created successfully at: (\S+)|The file (\S+) has been edited", step["observation"]
        )
        log.changed |= {path for path in (done.groups() if done else ()) if path}
    log.changed |= {path for pair in HEAD.findall(document["info"].get("submission") or "") for path in pair}
    return log


def plain(name: str, messages: list[Json]) -> Log:
    """Read messages that are in a chat form; the truth is in the patches that they hold."""
    log = Log(name, [])
    for message in messages:
        content = message.get("content")
        text = content if isinstance(content, str) or content is None else blocks(content)[0]
        log.messages.append(
            {key: value for key, value in message.items() if key != "content"} | {"content": text}
        )
        for told in (text or "", *(c["function"]["arguments"] for c in message.get("tool_calls") or [])):
            log.changed |= {path for pair in HEAD.findall(told) for path in pair}
            log.changed |= set(PATCHED.findall(told.replace("\\n", "\n")))
    return log


def inspect(name: str, document: Json) -> Log:
    """Read an Inspect AI log, whose calls have a form of their own."""
    messages = []
    for message in document["samples"][0]["messages"]:
        entry: Json = {"role": message["role"], "content": blocks(message.get("content") or "")[0]}
        if message.get("tool_calls"):
            entry["tool_calls"] = [
                call(c["id"], c["function"], c["arguments"]) for c in message["tool_calls"]
            ]
        if message.get("tool_call_id"):
            entry["tool_call_id"] = message["tool_call_id"]
        messages.append(entry)
    return plain(name, messages)


def adk(name: str, document: Json) -> Log:
    """Read a Google ADK session."""
    messages: list[Json] = []
    for event in document["events"]:
        parts = (event.get("content") or {}).get("parts") or []
        text = "\n".join(part["text"] for part in parts if part.get("text"))
        made = [part.get("function_call") or part.get("functionCall") for part in parts]
        told = [part.get("function_response") or part.get("functionResponse") for part in parts]
        calls = [call(c.get("id") or c["name"], c["name"], c["args"]) for c in made if c]
        for result in filter(None, told):
            content = json.dumps(result["response"])
            messages.append(
                {"role": "tool", "tool_call_id": result.get("id") or result["name"], "content": content}
            )
        if calls or text:
            role = "assistant" if calls or event["author"] != "user" else "user"
            messages.append(
                {"role": role, "content": text or None} | ({"tool_calls": calls} if calls else {})
            )
    return plain(name, messages)


def read(file: Path) -> Log:
    """Read a log by the form that its content has."""
    text = file.read_text("utf-8")
    if file.suffix == ".jsonl":
        lines = [json.loads(line) for line in text.splitlines()]
        log = pi(file.name, lines) if lines[0]["type"] == "session" else anthropic(file.name, lines)
    else:
        document = json.loads(text)
        if isinstance(document, list):
            log = plain(file.name, document)
        elif "trajectory" in document:
            log = trajectory(file.name, document)
        elif "loglines" in document:
            log = anthropic(file.name, document["loglines"])
        else:
            log = inspect(file.name, document) if "samples" in document else adk(file.name, document)
    log.changed |= SHELL.get(file.name, set())
    return log


def logs(folder: Path) -> Iterator[Log]:
    """Read the logs of a folder."""
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".jsonl", ".traj"):
            yield read(file)
