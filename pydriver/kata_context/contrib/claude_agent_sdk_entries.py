"""Entries of a transcript as messages or records, and back: each entry as it was, once.

An entry of a user or an assistant becomes messages: one, or one per result of a tool. The metadata of the
first one have the rest of the entry, all but the content, under `OWN`. Any other entry, and one that does not
fit into messages, becomes a record.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeAlias, cast

from kata_context import MessageRow, RecordRow
from kata_context.adapters import from_anthropic, unescape
from kata_context.contrib.escaping import escaped
from kata_context.errors import KataError
from kata_context.types import Message

Fields: TypeAlias = dict[str, Any]

OWN = "claude_agent_sdk"  # key of the metadata, and kind of the records
LONGEST_ID = 240  # characters of a uuid; the second message of an entry has a number behind it
PIECE = 200_000  # characters of the JSON of an entry in a record, which holds 1 MB
# Characters that Postgres does not store, as json.dumps writes them, and the one that escapes them.
BAD = re.compile("\\\\u0000|[\ud800-\udfff\u241a]")


@dataclass(slots=True)
class Draft:
    """An entry on its way into the log.

    Parameters
    ----------
    entry : as given
    id : of its first message or record; None for an entry without a uuid
    messages : none for a record
    """

    entry: Fields
    id: str | None
    messages: list[Message] = field(default_factory=list)

    @property
    def records(self) -> list[Fields]:
        """The data of the records that hold the entry: one, or pieces of its JSON."""
        text = json.dumps(self.entry, ensure_ascii=False)
        if len(text) <= PIECE and not BAD.search(text) and _is_flat(self.entry):
            return [{"entry": self.entry}]
        text = json.dumps(self.entry)
        pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
        return [{"json": piece, "pieces": len(pieces), "piece": n} for n, piece in enumerate(pieces)]


def draft(entry: Any) -> Draft:
    """Convert an entry.

    Raises
    ------
    TypeError, ValueError : it is not JSON
    """
    entry = json.loads(json.dumps(entry))
    uuid = entry.get("uuid") if isinstance(entry, dict) else None
    id = uuid if isinstance(uuid, str) and uuid else None
    if id is not None and (len(id) > LONGEST_ID or BAD.search(json.dumps(id, ensure_ascii=False))):
        id = sha256(json.dumps(id).encode()).hexdigest()
    drafted = Draft(entry, id)
    with suppress(KataError, ValueError):  # else it is a record
        drafted.messages = _messages(entry, id)
    return drafted


def entries(rows: Iterable[MessageRow], records: Iterable[RecordRow]) -> list[Fields]:
    """Return the entries of a log in its order; messages of other programs are none."""
    found: dict[int, Fields] = {}
    for group in _groups(rows):
        found[group[0].version] = _entry(group)
    pieces: list[str] = []
    for record in records:
        if "entry" in record.data:
            found[record.version] = record.data["entry"]
            continue
        if record.data["piece"] == 0:
            pieces = []
        pieces.append(record.data["json"])
        if len(pieces) == record.data["pieces"]:
            found[record.version] = json.loads("".join(pieces))
    return [found[version] for version in sorted(found)]


def _messages(entry: Any, id: str | None) -> list[Message]:
    """Return the messages of an entry; none if it is not one of a user or an assistant."""
    said = entry.get("message") if isinstance(entry, dict) else None
    if not isinstance(said, dict) or entry.get("type") not in ("user", "assistant"):
        return []
    role, content = said.get("role"), said.get("content")
    if role != entry["type"] or not content or not isinstance(content, (str, list)):
        return []
    is_escaped = bool(BAD.search(json.dumps(entry, ensure_ascii=False)))
    turn = {"role": role, "content": content}
    messages = cast("list[Fields]", from_anthropic([turn], on_bad_text="escape" if is_escaped else "refuse"))
    own: Fields = {"entry": entry | {"message": {k: v for k, v in said.items() if k != "content"}}}
    for number, message in enumerate(messages, start=1):
        message.pop("metadata", None)
        message["metadata"] = {OWN: {"part": number} if number > 1 else own}
        if id is not None:
            message["external_id"] = id if number == 1 else f"{id}#{number}"
        if moment := _moment(entry.get("timestamp")):
            message["occurred_at"] = moment
        if role == "assistant" and isinstance(said.get("model"), str) and not is_escaped:
            message["model"] = said["model"][:1000]
    _note_form(messages, content, is_escaped)
    if len(messages) > 1:
        own["parts"] = len(messages)
    if is_escaped:
        own["entry"] = escaped(own["entry"])
        own["escaped"] = True
    return cast("list[Message]", messages)


def _note_form(messages: list[Fields], content: Any, is_escaped: bool) -> None:
    """Keep what makes the content of the messages what it was."""
    own = messages[0]["metadata"][OWN]
    wanted = escaped(content) if is_escaped else content
    lists = iter(
        block["content"]
        for block in wanted
        if isinstance(block, dict) and block.get("type") == "tool_result" and "content" in block
    )
    for message in messages:
        is_list = isinstance(wanted, list)
        if message["role"] == "tool":
            is_list = isinstance(next(lists, None), list)
        if is_list and not message.get("parts"):
            message["metadata"][OWN]["listed"] = True
    rebuilt = _content([(message, message["metadata"][OWN]) for message in messages])
    if json.dumps(rebuilt, sort_keys=True) != json.dumps(wanted, sort_keys=True):
        own["content"] = wanted


def _entry(group: list[MessageRow]) -> Fields:
    own = group[0].metadata[OWN]
    content = own.get("content")
    if content is None or len(group) < own.get("parts", 1):
        content = _content([({f: getattr(row, f) for f in SAID}, row.metadata[OWN]) for row in group])
    entry: Fields = own["entry"] | {"message": own["entry"]["message"] | {"content": content}}
    return cast("Fields", unescape(entry)) if own.get("escaped") else entry


SAID = ("role", "content", "parts", "tool_calls", "tool_call_id", "provider")


def _groups(rows: Iterable[MessageRow]) -> Iterator[list[MessageRow]]:
    """Yield the messages of each entry, without those whose first one is gone."""
    group: list[MessageRow] = []
    for row in rows:
        own = row.metadata.get(OWN) if isinstance(row.metadata, dict) else None
        if not isinstance(own, dict):
            continue
        if "entry" in own:
            if group:
                yield group
            group = [row]
        elif group and own.get("part", 0) > len(group):
            group.append(row)
    if group:
        yield group


def _content(messages: list[tuple[Fields, Fields]]) -> Any:
    """Return the content that messages make; each comes with what its metadata keep."""
    blocks: list[Fields] = []
    for message, own in messages:
        content, parts = message.get("content"), message.get("parts")
        if message["role"] == "tool":
            given = parts or ([{"type": "text", "text": content}] if own.get("listed") else content)
            block = {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": given}
            blocks.append(block | (message.get("provider") or {}))
            continue
        if len(messages) == 1 and not parts and not message.get("tool_calls") and not own.get("listed"):
            return content
        texts = parts or ([{"type": "text", "text": content}] if content else [])
        calls = message.get("tool_calls") or []
        for place, part in enumerate(texts):
            blocks += [_tool_use(call) for call in calls if call.get("parts_before") == place]
            blocks.append(part)
        blocks += [_tool_use(call) for call in calls if call.get("parts_before") in (None, len(texts))]
    return blocks


def _tool_use(call: Fields) -> Fields:
    try:
        input = json.loads(call["function"]["arguments"])
    except ValueError:
        input = call["function"]["arguments"]
    block = {"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": input}
    return {**block, **call.get("anthropic", {})}


def _moment(timestamp: Any) -> str | None:
    try:
        moment = datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
    except (AttributeError, TypeError, ValueError):
        return None
    return moment.isoformat() if moment.tzinfo is not None and 1 < moment.year < 9999 else None


def _is_flat(value: Any, depth: int = 0) -> bool:
    """Whether a record holds a value as JSON: at most 100 levels, numbers up to 1e308."""
    if isinstance(value, dict):
        return depth < 90 and all(_is_flat(inner, depth + 1) for inner in value.values())
    if isinstance(value, list):
        return depth < 90 and all(_is_flat(inner, depth + 1) for inner in value)
    return not isinstance(value, (int, float)) or abs(value) < 1e300
