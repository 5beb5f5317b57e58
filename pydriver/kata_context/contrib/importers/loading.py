"""Writes a conversation: the path to its leaf as a context, other paths as forks.

A second run adds nothing, and a file that has grown adds what is new. So does a file that goes on with the
records of another one: its context is a fork. A recorded compaction becomes one.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby, takewhile
from typing import Any, NamedTuple, cast
from uuid import UUID

from kata_context import Kata, Transaction
from kata_context.adapters import escape
from kata_context.contrib.importers.conversation import Conversation, Entry
from kata_context.database_errors import NothingToCompactError
from kata_context.errors import KataError
from kata_context.types import Message

BATCH = 10_000  # most messages per append
NAME = 255  # longest name of a context
# Logs have results of calls that they do not have, and branches of branches.
POLICY = {"strict": False, "max_fork_depth": 1000}
# A recorded summary is for all that stood before it.
COVERS_ALL = {"preserve_recent_count": 0, "min_gain_tokens": 0, "min_interval_seconds": 0}
INTERRUPTED = "[interrupted]"
# Classes of SQLSTATEs that are about a message: it, or a value in it, is refused.
OF_A_MESSAGE = ("KC004", "KC005", "KC017", "22", "54")
OTHERS = 1000  # most contexts that are looked at for the beginning of a path


@dataclass(slots=True)
class Loaded:
    """What came of a conversation.

    Parameters
    ----------
    name : of its context
    contexts, messages, compactions : added
    unchanged : contexts that had all
    present : entries that were there
    left_out : messages and summaries that the log does not take, by reason
    refused : messages that the database refuses, by their ids, and why; each has a record in its place
    """

    name: str
    contexts: int = 0
    messages: int = 0
    compactions: int = 0
    unchanged: int = 0
    present: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, KataError]] = field(default_factory=list)


def load(kata: Kata, conversation: Conversation, tokenizer: str = "o200k_base") -> Loaded:
    """Write a conversation in one transaction.

    Parameters
    ----------
    tokenizer : in which new contexts count

    Raises
    ------
    KataError : a context of the name exists, and is not this conversation
    """
    _make_storable(conversation)
    loaded = Loaded(conversation.name[:NAME])
    seen: set[str] = set()
    with kata.transaction() as transaction:
        begun = _Begun(transaction)
        for path in paths(conversation):
            _Path(transaction, conversation, path, loaded, tokenizer, begun).write(seen)
            seen.update(entry.id for entry in path)
    return loaded


def paths(conversation: Conversation) -> list[list[Entry]]:
    """Return the paths from a first entry to a last one, that of the conversation's leaf first."""
    entries = {entry.id: entry for entry in conversation.entries}
    parents = {entry.parent for entry in conversation.entries}
    leaves = [entry.id for entry in conversation.entries if entry.id not in parents]
    if conversation.entries:
        leaf = conversation.leaf or conversation.entries[-1].id
        leaves = [leaf, *(other for other in leaves if other != leaf)]
    found = []
    for leaf in leaves:
        path, at = list[Entry](), entries.get(leaf)
        while at is not None:
            path.append(at)
            at = entries.get(at.parent) if at.parent is not None else None
        found.append(path[::-1])
    return found


class _Begun:
    """The contexts in which a path may have begun: listed once, and those made since."""

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self.listed: dict[str, list[UUID]] = {}
        self.made: dict[UUID, list[Entry]] = {}

    def of(self, first: str) -> list[UUID]:
        """Return the contexts of a first entry, newest first."""
        if first not in self.listed:
            rows = self.transaction.list_contexts(max_rows=OTHERS, metadata={"first": first})
            self.listed[first] = [row.context_id for row in rows]
        return self.listed[first]

    def add(self, context_id: UUID, path: list[Entry]) -> None:
        """Note a context that was made for a path."""
        self.listed.setdefault(path[0].id, []).insert(0, context_id)
        self.made[context_id] = path


class _Path:
    """A path of a conversation on its way into a context."""

    def __init__(
        self,
        transaction: Transaction,
        conversation: Conversation,
        path: list[Entry],
        loaded: Loaded,
        tokenizer: str,
        begun: _Begun,
    ) -> None:
        self.transaction = transaction
        self.conversation = conversation
        self.path = path
        self.loaded = loaded
        self.tokenizer = tokenizer
        self.begun = begun

    def write(self, seen: set[str]) -> None:
        """Find the context of the path, or make one, and append what it does not have."""
        name, count, context_id = self.loaded.name, 0, self.transaction.find_context(self.loaded.name)
        if context_id is None:
            # All of the first path may be in another context.
            context_id, count = self.make(
                f"{name[: NAME // 2]}/{self.path[-1].id}" if seen else name, None, 0
            )
        else:
            self.check(context_id)
            while not self.ends(context_id, count := self.present(context_id)) and count < len(self.path):
                # The context went on in another way.
                name = f"{self.loaded.name[: NAME // 2]}/{self.path[count].id}"
                parent, context_id = context_id, self.transaction.find_context(name[:NAME])
                if context_id is None:
                    context_id, count = self.make(name, parent, count)
                    break
        self.loaded.unchanged += count == len(self.path)
        self.loaded.present += sum(entry.id not in seen for entry in self.path[:count])
        self.append(context_id, self.path[count:])

    def check(self, context_id: UUID) -> None:
        if "imported" not in self.transaction.get_context(context_id).metadata:
            raise KataError(
                f'a context named "{self.loaded.name}" exists, and is another conversation',
                hint="rename or delete that context",
            )

    def make(self, name: str, parent: UUID | None, count: int) -> tuple[UUID, int]:
        """Return the context that has most of the path, or one of a name that goes on with it, and how much.

        Parameters
        ----------
        parent, count : a context, None for none, and how many entries of the path it has
        """
        if self.conversation.unique:
            for other in self.begun.of(self.path[0].id):
                if (present := self.shared(other)) > count:
                    parent, count = other, present
        if parent is not None and count == len(self.path):
            return parent, count
        metadata = self.conversation.metadata | {"imported": True}
        if self.conversation.unique:
            metadata["first"] = self.path[0].id
        self.loaded.contexts += 1
        if parent is not None and count > 0:
            at = self.version(parent, self.path[count - 1])
            made = self.transaction.fork(parent, at, name=name[:NAME], metadata=metadata)
        else:
            count = 0
            made = self.transaction.create_context(
                name[:NAME], policy=POLICY, metadata=metadata, tokenizer=self.tokenizer
            )
        if self.conversation.unique:
            self.begun.add(made, self.path)
        return made, count

    def shared(self, context_id: UUID) -> int:
        """Return how many entries of the path are in a context; one that was made here is not asked."""
        if context_id not in self.begun.made:
            return self.present(context_id)
        pairs = zip(self.path, self.begun.made[context_id], strict=False)
        count = sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs))
        while count and not ids(self.path[count - 1]):  # nothing of it is in the log
            count -= 1
        return count

    def present(self, context_id: UUID) -> int:
        """Return how many entries of the path are in a context; they are the first ones."""
        return bisect_left(
            self.path,
            True,
            key=lambda entry: self.transaction.find_message(context_id, entry.id) is None,
        )

    def version(self, context_id: UUID, entry: Entry) -> int:
        """Return the version with which an entry ends; another file may have only its first message."""
        last = self.transaction.find_message(context_id, ids(entry)[-1])
        return cast("int", last or self.transaction.find_message(context_id, entry.id))

    def ends(self, context_id: UUID, count: int) -> bool:
        """Return whether a context has nothing of a file after so many entries of the path."""
        after = self.version(context_id, self.path[count - 1]) if count else 0
        later = self.transaction.messages(context_id, after, max_rows=100, visibility="all")
        return not any(row.external_id for row in later)

    def append(self, context_id: UUID, entries: list[Entry]) -> None:
        """Append entries; a compaction where one was recorded."""
        open_calls = self.transaction.get_context(context_id).open_calls
        drafts = _Drafts(entries, open_calls, self.loaded.left_out)
        for entry in entries:
            if entry.summary is None:
                drafts.add(entry)
            else:
                self.send(context_id, drafts.take())
                self.compact(context_id, entry)
        self.send(context_id, drafts.take())

    def send(self, context_id: UUID, drafts: "list[Message | _Record]") -> None:
        for is_record, group in groupby(drafts, lambda draft: isinstance(draft, _Record)):
            run: list[Any] = list(group)
            if is_record:
                for record in run:
                    self.transaction.append_record(context_id, *record)
                continue
            for start in range(0, len(run), BATCH):
                self.send_messages(context_id, run[start : start + BATCH])

    def send_messages(self, context_id: UUID, run: list[Any]) -> None:
        """Append messages; one that the database refuses becomes a record, so that all others enter."""
        try:
            with self.transaction.connection.transaction():
                self.transaction.append(context_id, run)
            self.loaded.messages += len(run)
        except KataError as error:
            if not (error.sqlstate or "").startswith(OF_A_MESSAGE):
                raise
            if len(run) > 1:
                half = len(run) // 2
                self.send_messages(context_id, run[:half])
                self.send_messages(context_id, run[half:])
                return
            id = run[0]["external_id"]
            self.loaded.refused.append((id, error))
            self.transaction.append_record(context_id, "refused", {"problem": escape(str(error))}, id)

    def compact(self, context_id: UUID, entry: Entry) -> None:
        # The record says in the next run that the compaction was made, or came to nothing.
        self.transaction.append_record(context_id, "compaction", {"summary": entry.summary}, entry.id)
        self.transaction.set_policy(context_id, COVERS_ALL)
        try:
            with self.transaction.connection.transaction():
                lease = self.transaction.begin_compaction(context_id, "summarize", force=True)
                self.transaction.commit_compaction(
                    lease.compaction_id, entry.summary, metadata={"external_id": entry.id}
                )
            self.loaded.compactions += 1
        except NothingToCompactError:
            self.loaded.left_out["summary of nothing"] += 1
        self.transaction.set_policy(context_id, dict.fromkeys(COVERS_ALL))


class _Record(NamedTuple):
    kind: str
    data: dict[str, Any]
    external_id: str


class _Drafts:
    """Messages on their way, with the calls that wait for a result.

    A call that no result ever answers is closed before the conversation goes on.
    """

    def __init__(self, entries: list[Entry], open_calls: list[str], left_out: Counter[str]) -> None:
        self.drafts: list[Message | _Record] = []
        self.open = dict.fromkeys(open_calls)
        self.answered: set[str] = set()
        self.left_out = left_out
        # How many results of a call are still to come.
        self.coming = Counter(
            message["tool_call_id"]
            for entry in entries
            for message in entry.messages
            if message.get("tool_call_id")
        )

    def add(self, entry: Entry) -> None:
        for id, message in zip(ids(entry), entry.messages, strict=True):
            if call_id := message.get("tool_call_id"):
                self.coming[call_id] -= 1
                if call_id in self.answered:
                    # Nothing is lost: a record that no model sees has its place.
                    self.left_out["second result of a call"] += 1
                    self.drafts.append(_Record("second result", dict(message), id))
                    continue
                self.open.pop(call_id, None)
                self.answered.add(call_id)
            else:
                self.close(entry.id)
                calls = cast("list[dict[str, Any]]", message.get("tool_calls") or [])
                self.open |= dict.fromkeys(call["id"] for call in calls)
                self.answered -= self.open.keys()
            self.drafts.append({**message, "external_id": id})

    def close(self, before: str) -> None:
        for number, call_id in enumerate([id for id in self.open if not self.coming[id]], start=1):
            del self.open[call_id]
            closing: Message = {"role": "tool", "tool_call_id": call_id, "content": INTERRUPTED}
            self.drafts.append({**closing, "external_id": f"{before}!{number}"})

    def take(self) -> list[Message | _Record]:
        taken, self.drafts = self.drafts, []
        return taken


def _make_storable(conversation: Conversation) -> None:
    """Escape what Postgres does not store in names, ids and metadata; adapters did it in messages."""
    conversation.name = escape(conversation.name)
    conversation.metadata = _storable(conversation.metadata)
    conversation.leaf = conversation.leaf and escape(conversation.leaf)
    for entry in conversation.entries:
        entry.id, entry.parent = escape(entry.id), entry.parent and escape(entry.parent)
        entry.summary = entry.summary and escape(entry.summary)


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {escape(name): _storable(inner) for name, inner in value.items()}
    return [_storable(inner) for inner in value] if isinstance(value, list) else value


def ids(entry: Entry) -> list[str]:
    """Return the external ids of what an entry is: one per message, or that of its record."""
    count = len(entry.messages) if entry.summary is None else 1
    return [entry.id if number == 1 else f"{entry.id}#{number}" for number in range(1, count + 1)]
