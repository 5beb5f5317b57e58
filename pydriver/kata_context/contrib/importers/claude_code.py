"""Sessions of Claude Code: one record per line, a tree by `uuid` and `parentUuid`.

An answer is several records, one per block, with one `message.id`. Results of parallel calls hang on the
records of their calls, so the tree has branches where the conversation has none. A side chain is a
conversation of its own. A log without parents is a line.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from kata_context.adapters import from_anthropic
from kata_context.contrib.importers.conversation import (
    MALFORMED,
    Conversation,
    Entry,
    Source,
    moment,
    reason,
)

Record = dict[str, Any]

# Fields of a record that go to the metadata of its message.
KEPT = ("requestId", "cwd", "gitBranch", "version", "isMeta")
COMMANDS = ("<command-name>", "<local-command-stdout>", "Caveat:")


class ClaudeCode:
    """Reads sessions, also those of the web with their lines in one list."""

    name = "claude-code"

    def recognizes(self, source: Source) -> bool:
        """Whether lines are records of a session."""
        head = source.head
        if len(head) == 1 and isinstance(head[0].get("loglines"), list):
            return True
        return any("sessionId" in one and "uuid" in one for one in head) or any(
            one.get("type") == "summary" and "leafUuid" in one for one in head
        )

    def read(self, source: Source) -> Iterator[Conversation]:
        """Yield the session, then its side chains."""
        session = _Session(source.name)
        for place, record in _records(source):
            session.add(place, record)
        yield from session.conversations()


def _records(source: Source) -> Iterator[tuple[str, Any]]:
    if len(source.head) == 1 and isinstance(lines := source.head[0].get("loglines"), list):
        yield from ((f"logline {number}", record) for number, record in enumerate(lines, start=1))
    else:
        yield from source.lines()


class _Session:
    def __init__(self, name: str) -> None:
        self.name = name
        self.metadata: dict[str, Any] = {}
        self.skipped: Counter[str] = Counter()
        self.wrong: list[tuple[str, str]] = []
        self.parents: dict[str, str | None] = {}
        self.records: dict[str, Record] = {}
        self.has_ids = True

    def add(self, place: str, record: Any) -> None:
        """Take a record, or count it as skipped."""
        if isinstance(record, ValueError):
            self.wrong.append((place, reason(record)))
            return
        if not isinstance(record, dict):
            self.skipped["not an object"] += 1
            return
        kind = str(record.get("type") or "record without a type")
        if kind == "summary":
            self.metadata.setdefault("titles", []).append(record.get("summary"))
            self.skipped["summary"] += 1
            return
        id = record.get("uuid") or (place if kind in ("user", "assistant") else None)
        if id is None:
            self.skipped[kind] += 1
            return
        if not isinstance(id, str):
            self.wrong.append((place, "its uuid is not a text"))
            return
        if id in self.parents:
            self.skipped["record that is there already"] += 1
            return
        self.has_ids &= "uuid" in record
        parent = record.get("parentUuid") or record.get("logicalParentUuid")
        if not isinstance(parent or "", str):
            self.wrong.append((place, "its parentUuid is not a text"))
            return
        self.parents[id] = parent
        message = record.get("message")
        if kind == "system" and record.get("subtype") == "compact_boundary":
            self.skipped["compact_boundary"] += 1
        elif kind not in ("user", "assistant"):
            self.skipped[kind] += 1
        elif not isinstance(message, dict) or not message.get("content"):
            self.skipped[f"{kind} without content"] += 1
        else:
            self.records[id] = record | {"place": place}
            if not record.get("isSidechain"):
                self.name = str(record.get("sessionId") or self.name)

    def conversations(self) -> Iterator[Conversation]:
        """Yield what the records make: the session and each side chain."""
        before = {id: self.nearest(self.parents[id]) for id in self.records}
        if not any(self.parents.values()):
            last: dict[str, str] = {}
            for id, record in self.records.items():
                before[id] = last.get(str(record.get("sessionId")))
                last[str(record.get("sessionId"))] = id
        _open_circles(before)
        lead = self.leads(before)
        messages = defaultdict[str, list[str]](list)
        for id, first in lead.items():
            messages[first].append(id)
        tree = {first: lead[parent] if (parent := before[first]) else None for first in messages}
        self.chain_results(tree)
        session = Conversation(
            self.name,
            metadata=self.metadata,
            skipped=self.skipped,
            wrong=self.wrong,
            unique=self.has_ids,
        )
        sides: dict[str, Conversation] = {}
        for first, ids in messages.items():
            conversation, parent = session, tree[first]
            if self.is_side(first):
                root = self.side_of(first, tree)
                side = Conversation(
                    f"{self.name}/{root}", metadata={"parent": self.name}, unique=self.has_ids
                )
                conversation = sides.setdefault(root, side)
                parent = None if first == root else parent
            try:
                entry = _entry(first, parent, [self.records[id] for id in ids])
                conversation.entries.append(entry)
            except MALFORMED as error:
                conversation.wrong += [(self.records[id]["place"], reason(error)) for id in ids]
                for other, its in tree.items():
                    tree[other] = tree[first] if its == first else its
        yield session
        yield from sides.values()

    def nearest(self, id: str | None) -> str | None:
        """Return the record itself or the nearest one before it that is a message."""
        seen = set[str]()
        while id is not None and id not in self.records:
            if id in seen:
                return None
            seen.add(id)
            id = self.parents.get(id)
        return id

    def leads(self, before: dict[str, str | None]) -> dict[str, str]:
        """Return the record with which the message of each record begins."""
        lead: dict[str, str] = {}
        for id, record in self.records.items():
            lead[id] = id
            answer, at = record["message"].get("id"), before[id]
            # Results may come between the records of an answer.
            while at is not None and _is_results(self.records[at]):
                at = before[at]
            if answer and record["type"] == "assistant" and at in lead:
                other = self.records[at]
                if other["type"] == "assistant" and other["message"].get("id") == answer:
                    lead[id] = lead[at]
        return lead

    def chain_results(self, tree: dict[str, str | None]) -> None:
        """Put the results of parallel calls one behind the other: what follows one of them follows all."""
        children = defaultdict[str, list[str]](list)
        for id, parent in tree.items():
            if parent is not None:
                children[parent].append(id)
        for parent, ids in children.items():
            results = [id for id in ids if _is_results(self.records[id])]
            last = [id for id in results if id not in children]
            for one, other in pairwise([parent, *last]):
                tree[other] = one
            going_on = [id for id in results if id in children] or [id for id in ids if id not in results]
            for id in going_on if last else ():
                tree[id] = last[-1]

    def is_side(self, id: str) -> bool:
        return bool(self.records[id].get("isSidechain"))

    def side_of(self, id: str, tree: dict[str, str | None]) -> str:
        """Return the message with which a side chain begins."""
        while (parent := tree[id]) is not None and self.is_side(parent):
            id = parent
        return id


def _open_circles(before: dict[str, str | None]) -> None:
    """Take the parent from one record of each circle, the first that the file has: there it begins."""
    done = set[str]()
    for id in before:
        trail, at = set[str](), id
        while at not in done and at not in trail:
            trail.add(at)
            if (parent := before[at]) is None:
                break
            at = parent
        if at in trail and before[at] is not None:
            before[at] = None
        done |= trail


def _is_results(record: Record) -> bool:
    content = record["message"].get("content")
    return (
        record["type"] == "user"
        and isinstance(content, list)
        and all(isinstance(block, dict) and block.get("type") == "tool_result" for block in content)
    )


def _entry(id: str, parent: str | None, records: list[Record]) -> Entry:
    record = records[0]
    if record.get("isCompactSummary"):
        return Entry(id, parent, summary=_text(record["message"]["content"]))
    content: list[Any] = []
    for one in records:
        given = one["message"]["content"]
        content += [{"type": "text", "text": given}] if isinstance(given, str) else given
    own = {key: value for one in records for key, value in one["message"].items() if value is not None}
    turn = own | {key: record[key] for key in KEPT if record.get(key)} | {"content": content}
    turn["role"] = record["message"].get("role") or record["type"]
    if _text(content).startswith(COMMANDS):
        turn["isMeta"] = True
    if record.get("timestamp"):
        turn["occurred_at"] = moment(record["timestamp"])
    messages = from_anthropic([turn], on_bad_text="escape")
    return Entry(id, parent, messages, records=len(records))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in content if isinstance(block, dict))
