"""Conversations that ChatGPT exports: a tree of nodes, of which `current_node` is the last one seen."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any, cast

from kata_context.adapters import from_openai
from kata_context.contrib.importers.conversation import MALFORMED, Conversation, Entry, Source, reason
from kata_context.contrib.importers.flat import each

Node = dict[str, Any]

# The text of a message, by the type of its content; content of any other type becomes a part.
TEXTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "text": lambda c: "\n".join(part for part in c.get("parts") or [] if isinstance(part, str)),
    "code": lambda c: c.get("text"),
    "execution_output": lambda c: c.get("text"),
    "system_error": lambda c: f"{c.get('name')}: {c.get('text')}",
    "tether_browsing_display": lambda c: c.get("result") or c.get("summary"),
    "tether_quote": lambda c: "\n".join(filter(None, (c.get("title"), c.get("url"), c.get("text")))),
    "reasoning_recap": lambda c: c.get("content"),
}


class ChatGPT:
    """Reads an export: a list of conversations, or one."""

    name = "chatgpt"

    def recognizes(self, source: Source) -> bool:
        """Whether objects have a mapping of nodes."""
        return bool(source.head) and isinstance(source.head[0].get("mapping"), dict)

    def read(self, source: Source) -> Iterator[Conversation]:
        """Yield each conversation."""
        return each(source, _conversation)


def _conversation(name: str, place: str, document: Any) -> Conversation:
    if not isinstance(document, dict) or not isinstance(document.get("mapping"), dict):
        return Conversation(name, wrong=[(place, "no mapping")])
    nodes: dict[str, Node] = {id: node for id, node in document["mapping"].items() if isinstance(node, dict)}
    conversation = Conversation(
        str(document.get("conversation_id") or document.get("id") or name),
        metadata={key: document[key] for key in ("title", "create_time") if document.get(key) is not None},
    )
    conversation.skipped["not an object"] += len(document["mapping"]) - len(nodes)
    entries: dict[str, Entry] = {}
    for id in _from_roots(nodes):
        try:
            if why := _skipped(nodes[id].get("message")):
                conversation.skipped[why] += 1
                continue
            parent = _nearest(nodes, entries, nodes[id].get("parent"))
            entries[id] = Entry(id, parent, [_message(id, nodes, parent)])
        except MALFORMED as error:
            conversation.wrong.append((f"{place}, node {id}", reason(error)))
    conversation.entries = list(entries.values())
    missed = len(document["mapping"]) - conversation.records
    conversation.skipped["node in a circle"] += missed
    conversation.skipped = +conversation.skipped
    conversation.leaf = _nearest(nodes, entries, document.get("current_node"))
    return conversation


def _from_roots(nodes: dict[str, Node]) -> list[str]:
    """Return the nodes, each after its parent."""
    order = [id for id, node in nodes.items() if node.get("parent") not in nodes]
    children: dict[str, list[str]] = {}
    for id, node in nodes.items():
        if node.get("parent") in nodes:
            children.setdefault(node["parent"], []).append(id)
    for id in order:  # grows while it is walked
        order += children.get(id, [])
    return order


def _nearest(nodes: dict[str, Node], entries: dict[str, Entry], id: Any) -> str | None:
    seen = set[str]()
    while id is not None and id not in entries:
        seen.add(id)
        id = nodes[id].get("parent") if id in nodes else None
        id = None if id in seen else id
    return cast("str | None", id)


def _skipped(message: Any) -> str | None:
    """Return why a node is not a message; None if it is one."""
    if not isinstance(message, dict) or not isinstance(message.get("content"), dict):
        return "node without message"
    if (message.get("metadata") or {}).get("is_visually_hidden_from_conversation"):
        return "hidden message"
    content = message["content"]
    if content.get("content_type") in TEXTS and not TEXTS[content["content_type"]](content):
        return "empty message"
    return None


def _message(id: str, nodes: dict[str, Node], parent: str | None) -> Any:
    message = nodes[id]["message"]
    role, content = message["author"]["role"], message["content"]
    kind = content.get("content_type")
    given: dict[str, Any] = {"role": role}
    if kind in TEXTS:
        given["content"] = TEXTS[kind](content)
    else:
        parts = content.get("parts") or content.get("thoughts") or [content]
        given["content"] = [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": part.get("content_type") or kind} | part
            for part in parts
        ]
    recipient = message.get("recipient") or "all"
    if role == "assistant" and recipient != "all":
        arguments = _arguments(given.pop("content"))
        function = {"name": recipient, "arguments": arguments}
        given = {
            "role": role,
            "content": None,
            "tool_calls": [{"id": id, "type": "function", "function": function}],
        }
    if role == "tool":
        given |= {"tool_call_id": _call(nodes, parent) or id, "tool_name": message["author"].get("name")}
    model = (message.get("metadata") or {}).get("model_slug")
    if isinstance(model, str):
        given["model"] = model
    if isinstance(message.get("create_time"), (int, float)):
        given["occurred_at"] = datetime.fromtimestamp(message["create_time"], timezone.utc).isoformat()
    (stored,) = from_openai([given], on_bad_text="escape")
    return stored


def _call(nodes: dict[str, Node], parent: str | None) -> str | None:
    """Return the call that a result behind it answers: the nearest one with nothing but results between."""
    while parent is not None:
        message = nodes[parent]["message"] or {}
        if (message.get("author") or {}).get("role") == "assistant":
            return parent if (message.get("recipient") or "all") != "all" else None
        if (message.get("author") or {}).get("role") == "user":
            return None
        parent = nodes[parent].get("parent")
    return None


def _arguments(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content)
