"""Contexts held in memory: what the store must do, said as plainly as can be, however slowly it runs.

Written from the documents, not from the SQL. Tests take the same steps with both and compare the answers.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

Draft = dict[str, Any]
"""A message as a caller gives it."""
Receipt = tuple[int, int, datetime, bool]
"""What append answers for a message: version, token_count, created_at, is_new."""

ROLES = {"system", "developer", "user", "assistant", "tool"}
KEYS = {"role", "content", "token_count", "token_source", "tool_call_id", "tool_name", "tool_calls", "model"}
KEYS |= {"metadata", "pinned", "name", "parts", "provider", "external_id", "occurred_at"}
AMENDABLE = {"content", "parts", "tool_calls", "provider", "name", "metadata", "token_count"}
OF_SUMMARY = {"content", "metadata", "token_count"}
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Message:
    """An entry of the log, with the columns of a message row."""

    version: int
    role: str
    content: str | None
    token_count: int
    token_source: str
    tool_call_id: str | None
    tool_name: str | None
    tool_calls: list[Draft] | None
    model: str | None
    metadata: Draft | None
    pinned: bool
    group_version: int
    created_at: datetime
    name: str | None
    parts: list[Draft] | None
    provider: Draft | None
    segment_id: Hashable
    external_id: str | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A view change, which takes a version like a message.

    Parameters
    ----------
    versions : what it covers, deletes, shortens, amends, pins (a whole group) or unpins
    undone_version : of an undo
    summary : of a compaction, the replacement of what it covers; None: there is none
    stubs : of an elision, the tokens that each message is shortened to
    external_id : of a record, which changes nothing
    to_version : of a rewind, where it goes to
    words : of an amendment, the message as it is shown from then on
    tools, tools_tokens : of a change of tools, the list as text; None: there are none from then on
    """

    version: int
    kind: str
    created_at: datetime
    segment_id: Hashable
    versions: frozenset[int] = frozenset()
    undone_version: int | None = None
    summary: Message | None = None
    stubs: dict[int, int] = field(default_factory=dict)
    external_id: str | None = None
    to_version: int | None = None
    words: Message | None = None
    tools: str | None = None
    tools_tokens: int = 0


Entry = Message | Change


@dataclass(slots=True)
class View:
    """What a model would see.

    Parameters
    ----------
    pinned : groups
    stubs : the tokens of messages that are shortened
    covers : summary → the versions that it covers
    words : what amended messages say, under stubs too
    tools : the version that set the tools in force; 0: none
    """

    visible: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    pinned: set[int] = field(default_factory=set)
    stubs: dict[int, int] = field(default_factory=dict)
    covers: dict[int, set[int]] = field(default_factory=dict)
    words: dict[int, Message] = field(default_factory=dict)
    tools: int = 0

    def kind_of(self, version: int) -> str:
        """Return how a message is shown."""
        return "stub" if version in self.stubs else "amended" if version in self.words else "message"


@dataclass(frozen=True, slots=True)
class Shown:
    """A message of a window: its tokens in the tokenizer of the budget, and why it is there."""

    message: Message
    position: int
    kind: str
    token_count: int
    reason: str
    over_budget: bool


@dataclass(slots=True)
class Context:
    """The log of a context, and what may be asked of it. A fork has a log of its own, of the same messages.

    Parameters
    ----------
    context_id : what its messages name as their segment
    strict : whether a tool result must answer an open call
    parent, fork_version : of a fork
    """

    context_id: Hashable
    strict: bool = True
    parent: "Context | None" = None
    fork_version: int = 0
    log: list[Entry] = field(default_factory=list)
    open_calls: dict[str, int] = field(default_factory=dict)
    requests: dict[str, tuple[list[Draft], list[Receipt]]] = field(default_factory=dict)
    checkpoints: dict[str, int] = field(default_factory=dict)
    originals: dict[int, tuple[Hashable, int]] = field(default_factory=dict)
    """What merged messages go back to: segment and version."""

    @property
    def version(self) -> int:
        """The version of the newest entry."""
        return len(self.log)

    @property
    def content_version(self) -> int:
        """The version at which words of an agent's conversation last changed.

        That is an append, a deletion or an amendment, the undo of one, or a rewind; system messages may be
        amended without it.
        """
        version = self.version
        while version and isinstance(self.log[version - 1], Change):
            now, before = self.view(version), self.view(version - 1)
            if self.root(version).kind == "rewind" or now.deleted != before.deleted:
                break
            if _agents_words(now) != _agents_words(before):
                break
            version -= 1
        return version

    def line(self, at: int | None) -> tuple[list[Entry], set[int]]:
        """Return the entries that lead to a version, oldest first, and which of them are undone.

        Walking back, a rewind in force leads to the version that it names; undos off the line do nothing.
        """
        line: list[Entry] = []
        undone: set[int] = set()
        version = self.version if at is None else at
        while version:
            entry = self.log[version - 1]
            line.append(entry)
            version -= 1
            if isinstance(entry, Change) and entry.version not in undone:
                undone |= {entry.undone_version} if entry.undone_version else set()
                version = version if entry.to_version is None else entry.to_version
        return line[::-1], undone

    def rewound(self, at: int | None) -> dict[int, int]:
        """Return the versions off the line, each with the rewind that jumps over it."""
        line, undone = self.line(at)
        rewinds = [e for e in line if isinstance(e, Change) and e.to_version is not None]
        return {
            version: rewind.version
            for rewind in rewinds
            if rewind.version not in undone
            for version in range((rewind.to_version or 0) + 1, rewind.version)
        }

    def root(self, version: int) -> Change:
        """Return the change that an undo, or the undo of one, is about in the end; else the change itself."""
        change = self.log[version - 1]
        assert isinstance(change, Change)
        return self.root(change.undone_version) if change.undone_version else change

    def ids(self, at: int | None) -> dict[str, int]:
        """Return the versions of the line that have external ids."""
        return {entry.external_id: entry.version for entry in self.line(at)[0] if entry.external_id}

    def is_rewound_key(self, key: str | None) -> bool:
        """Return whether a version that a key remembers is rewound (KC021)."""
        receipts = self.requests[key][1] if key in self.requests else []
        return not self.rewound(None).keys().isdisjoint(version for version, *_ in receipts)

    def problems(
        self, drafts: list[Draft], expected_version: int | None, key: str | None, on_duplicate: str = "error"
    ) -> set[str]:
        """Return the errors that may refuse a batch; where there are none it must be accepted."""
        if key in self.requests and self.requests[key][0] == drafts:
            return {"KC021"} if self.is_rewound_key(key) else set()
        problems = {"KC019"} if key in self.requests else set()
        problems |= self.conflict(expected_version)
        open_calls = dict(self.open_calls)
        ids = set(self.ids(None))
        for draft in drafts:
            external_id = draft.get("external_id") or ""
            is_taken = external_id in ids
            ids |= {external_id} - {""}
            if is_taken and on_duplicate == "skip" and not _is_malformed(draft):
                continue
            if is_taken or _is_invalid(draft, open_calls):
                problems.add("KC004")
            elif self.strict and draft["role"] == "tool" and draft["tool_call_id"] not in open_calls:
                problems.add("KC005")
            else:
                _take_group(draft, 0, open_calls)
        return problems

    def conflict(self, expected_version: int | None) -> set[str]:
        """Return KC003 where the context is not the one that a caller has seen."""
        if expected_version is None or self.content_version <= expected_version <= self.version:
            return set()
        return {"KC003"}

    def append(
        self, drafts: list[Draft], now: datetime, counts: Iterable[int], key: str | None
    ) -> list[Receipt]:
        """Append a batch without problems and return its receipts; a repeated request gets its first ones.

        A message whose external id is taken is left out.

        Parameters
        ----------
        now : the clock
        counts : the token counts, taken for messages that come without
        """
        if key in self.requests:
            return self.requests[key][1]
        if not drafts:
            if key is not None:
                self.requests[key] = ([], [])
            return []
        created_at = self.time_after(now)
        receipts: list[Receipt] = []
        for draft, estimate in zip(drafts, counts, strict=True):
            known = self.ids(None).get(draft.get("external_id") or "")
            if known:
                entry = self.log[known - 1]
                tokens = entry.token_count if isinstance(entry, Message) else 0
                receipts.append((known, tokens, entry.created_at, False))
                continue
            values: Draft = deepcopy(dict.fromkeys(KEYS) | draft)
            if isinstance(values["occurred_at"], str):
                values["occurred_at"] = datetime.fromisoformat(values["occurred_at"])
            values["pinned"] = bool(values["pinned"])
            if values["token_count"] is None:
                values |= {"token_count": estimate, "token_source": "estimate"}
            values["token_source"] = values["token_source"] or "given"
            if values["content"] is None:
                values["content"] = _text_of(values["parts"])
            version = self.version + 1
            group_version = _take_group(draft, version, self.open_calls)
            values |= {"version": version, "group_version": group_version, "segment_id": self.context_id}
            self.log.append(Message(created_at=created_at, **values))
            receipts.append((version, values["token_count"], created_at, True))
        if key is not None:
            self.requests[key] = (deepcopy(drafts), receipts)
        return receipts

    def time_after(self, now: datetime) -> datetime:
        """Return when the next entry is created: now, but later than the last one."""
        return max(now, self.log[-1].created_at + TICK) if self.log else now

    def change(self, kind: str, now: datetime, **values: Any) -> int:
        """Append a view change and return its version."""
        self.log.append(Change(self.version + 1, kind, self.time_after(now), self.context_id, **values))
        if self.root(self.version).kind == "rewind":
            self.open_calls = self.calls_open_at(None)
        return self.version

    def fork(self, context_id: Hashable, at: int) -> "Context":
        """Return a fork: the same messages up to a version, and the calls open then."""
        child = Context(context_id, self.strict, self, at, self.log[:at])
        child.originals = {version: first for version, first in self.originals.items() if version <= at}
        child.open_calls = child.calls_open_at(None)
        return child

    def calls_open_at(self, at: int | None) -> dict[str, int]:
        """Return the calls of the line that have no result on it, and their groups."""
        open_calls: dict[str, int] = {}
        for message in self.messages_on_line(at):
            _take_group(_draft_of(message), message.version, open_calls)
        return open_calls

    def calls_in_order(self) -> list[str]:
        """Return the open calls, oldest first."""
        return sorted(self.open_calls, key=lambda call: (self.open_calls[call], call))

    def closing(self, call_ids: Iterable[str], reason: str) -> list[Draft]:
        """Return the batch that close_calls appends for open calls."""
        closed = [call for call in self.calls_in_order() if call in set(call_ids)]
        return [{"role": "tool", "tool_call_id": call, "content": reason} for call in closed]

    def messages_at(self, at: int | None) -> list[Message]:
        """Return the messages of the path up to a version, rewound ones included."""
        return [entry for entry in self.log[:at] if isinstance(entry, Message)]

    def messages_on_line(self, at: int | None) -> list[Message]:
        """Return the messages that lead to a version, whatever the view shows of them."""
        return [entry for entry in self.line(at)[0] if isinstance(entry, Message)]

    def view(self, at: int | None) -> View:
        """Fold the line up to a version, less what is undone by then."""
        view = View()
        groups: dict[int, int] = {}
        line, undone = self.line(at)
        for entry in line:
            if isinstance(entry, Message):
                groups[entry.version] = entry.group_version
                view.visible.add(entry.version)
                view.pinned |= {entry.group_version} if entry.pinned else set()
            elif entry.version not in undone:
                _fold(view, entry, groups)
        return view

    def summary(self, version: int) -> Message:
        """Return the summary that a compaction has brought."""
        entry = self.log[version - 1]
        assert isinstance(entry, Change)
        assert entry.summary
        return entry.summary

    def amended(self, version: int, patch: Draft) -> Message:
        """Return what a message, or a summary, says once it is amended; a count must be in the patch."""
        entry = self.log[version - 1]
        said = entry if isinstance(entry, Message) else self.summary(version)
        words = replace(self.view(None).words.get(version, said), **patch)
        if "parts" in patch and patch.get("content") is None:
            words = replace(words, content=_text_of(words.parts))
        return words

    def amend_problems(self, version: int, patch: Draft, expected_version: int | None) -> set[str]:
        """Return the errors that may refuse an amendment; where there are none it must be accepted."""
        problems = self.conflict(expected_version)
        entry = self.log[version - 1] if 1 <= version <= self.version else None
        is_summary = isinstance(entry, Change) and entry.summary is not None
        if not (isinstance(entry, Message) or is_summary):
            return problems | {"KC002"}
        if version in self.view(None).deleted | self.rewound(None).keys():
            return problems | {"KC017"}
        if not patch or not patch.keys() <= (OF_SUMMARY if is_summary else AMENDABLE):
            return problems | {"KC004"}
        words, before = self.amended(version, patch), self.amended(version, {})
        calls = [[call["id"] for call in m.tool_calls or []] for m in (words, before)]
        # Parts are sent instead of the content, so that new content alone would change nothing.
        is_void = "content" in patch and "parts" not in patch and before.parts
        if calls[0] != calls[1] or is_void or _is_blank(words):
            problems.add("KC004")
        return problems

    def rewind_problems(self, to_version: int, expected_version: int | None) -> set[str]:
        """Return the errors that may refuse a rewind; where there are none it must be accepted."""
        problems = self.conflict(expected_version)
        if not 0 <= to_version <= self.version:
            problems.add("KC002")
        elif to_version == self.version:
            problems.add("KC017")
        return problems

    def undo_problems(self, version: int) -> set[str]:
        """Return the errors that may refuse an undo; where there are none it must be accepted."""
        line, undone = self.line(None)
        on_line = {entry.version: entry for entry in line}
        entry = on_line.get(version)
        if not isinstance(entry, Change) or entry.kind == "record" or version in undone:
            return {"KC017"}
        is_late = self.root(version).kind == "rewind" and version < self.version
        return {"KC021"} if is_late or self.blocking(version) else set()

    def tools(self, at: int | None) -> tuple[str | None, int]:
        """Return the list of tools in force, and the version that set it."""
        version = self.view(at).tools
        entry = self.log[version - 1] if version else None
        return (entry.tools if isinstance(entry, Change) else None), version

    def rows(self, visibility: str, at: int | None) -> list[Draft]:
        """Return all message rows, in order."""
        view = self.view(at)
        line = {message.version for message in self.messages_on_line(at)}
        is_view = visibility == "effective"
        hidden = {version: summary for summary, covers in view.covers.items() for version in covers}
        rows = []
        for message in self.messages_at(at):
            stub = view.stubs.get(message.version) if is_view else None
            words = view.words.get(message.version) if is_view else None
            if (is_view and message.version not in view.visible) or (
                visibility == "raw" and message.version not in line - view.deleted
            ):
                continue
            kind = "amended" if words else "message"
            rows.append(_row(words or message, message.version, kind, None if is_view else hidden))
            rows[-1] |= {
                "pinned": message.group_version in view.pinned,
                "in_view": message.version in view.visible,
            }
            if stub is not None:
                short = {"kind": "stub", "token_count": stub, "token_source": "estimate", "parts": None}
                rows[-1] |= short | {"content": None}
        for entry in self.log[:at] if visibility != "raw" else ():
            if isinstance(entry, Change) and entry.summary and (not is_view or entry.version in view.covers):
                covers = view.covers.get(entry.version, self.covered_by(entry.version))
                position = min(covers, default=entry.version)
                words = view.words.get(entry.version) if is_view else None
                rows.append(_row(words or entry.summary, position, "summary", None if is_view else hidden))
                rows[-1]["in_view"] = entry.version in view.covers
        return sorted(rows, key=lambda row: row["position" if is_view else "version"])

    def covered_by(self, version: int) -> set[int]:
        """Return the versions that a summary covered when it was made."""
        return self.view(version).covers[version]

    def messages(
        self, after: int | None, max_rows: int, descending: bool, visibility: str, at: int | None
    ) -> list[Draft]:
        """Return a page."""
        place = "position" if visibility == "effective" else "version"
        rows = self.rows(visibility, at)
        if descending:
            rows = [row for row in reversed(rows) if after is None or row[place] < after]
        else:
            rows = [row for row in rows if after is None or row[place] > after]
        return rows[:max_rows]

    def usage(self, at: int | None) -> tuple[int, int, int, int, int]:
        """Return version, message_count, raw_tokens, view_tokens and tools_tokens."""
        messages = self.messages_at(at)
        shown = sum(row["token_count"] for row in self.rows("effective", at))
        tools = self.log[self.tools(at)[1] - 1] if self.tools(at)[1] else None
        tokens = tools.tools_tokens if isinstance(tools, Change) else 0
        return len(self.log[:at]), len(messages), sum(m.token_count for m in messages), shown, tokens

    def group(self, version: int) -> frozenset[int]:
        """Return the group of a message of the line, as far as it is on it; else nothing."""
        groups = {m.version: m.group_version for m in self.messages_on_line(None)}
        return frozenset(v for v, group in groups.items() if group == groups.get(version))

    def is_open(self, versions: Iterable[int]) -> bool:
        """Return whether a call among some versions has no result."""
        return not set(self.open_calls.values()).isdisjoint(versions)

    def elidable(self, versions: Iterable[int], over: int) -> set[int]:
        """Return the tool results in the view, not pinned, that are shown in more tokens than that."""
        view = self.view(None)
        return {
            m.version
            for m in self.messages_at(None)
            if m.version in view.visible & set(versions) and m.role == "tool"
            if m.group_version not in view.pinned
            if view.stubs.get(m.version, view.words.get(m.version, m).token_count) > over
        }

    def coverable(self, recent: int, preserved_roles: set[str]) -> set[int]:
        """Return the messages that a compaction covers; the summaries in the view are absorbed with them."""
        view = self.view(None)
        visible = [m for m in self.messages_at(None) if m.version in view.visible]
        kept = {m.group_version for m in visible[len(visible) - recent :]} if recent else set()
        kept |= {m.group_version for m in visible if m.role in preserved_roles}
        kept |= view.pinned | set(self.open_calls.values()) | _preamble(self.messages_on_line(None))
        kept |= set([m.version for m in visible if m.role == "user"][-1:])
        return {m.version for m in visible if m.group_version not in kept}

    def blocking(self, version: int) -> bool:
        """Return whether a later change in force stands on what an undo would change (KC021).

        A compaction does that covers what the undo brings back, takes away or says in other words; an elision
        does that was made of the words of an amendment.
        """
        line, undone = self.line(None)
        moved, root = self._moved(version), self.root(version)
        kinds = {"compaction", "elision"} if root.kind == "amendment" else {"compaction"}
        later = [e for e in line if isinstance(e, Change) and e.version > version]
        return any(
            change.kind in kinds and change.version not in undone and moved & change.versions
            for change in later
        )

    def _moved(self, version: int) -> set[int]:
        change, is_redo = self.log[version - 1], False
        assert isinstance(change, Change)
        while change.undone_version:
            change, is_redo = self.log[change.undone_version - 1], not is_redo
            assert isinstance(change, Change)
        if change.kind == "compaction":
            return {*change.versions, change.version}
        if change.kind == "pin" and not is_redo:
            return set(change.versions) - self.view(change.version - 1).visible
        moves = {"deletion": True, "pin": True, "amendment": True, "unpin": not is_redo}
        return set(change.versions) if moves.get(change.kind) else set()

    def shared_with(self, other: "Context") -> int:
        """Return the last version at which both have the same entry."""
        pairs = zip(self.log, other.log, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs))

    def original(self, message: Message) -> tuple[Hashable, int]:
        """Return what a message of this context goes back to: itself, if it was not merged."""
        return self.originals.get(message.version, (message.segment_id, message.version))

    def to_merge(self, source: "Context", versions: set[int] | None) -> list[Message]:
        """Return the messages of the source that a merge appends: whole groups that are not here yet."""
        shared, view = self.shared_with(source), source.view(None)
        after = [m for m in source.messages_on_line(None) if m.version > shared]
        after = [view.words.get(m.version, m) for m in after if m.version not in view.deleted]
        here = {self.original(message) for message in self.messages_on_line(None)}
        calls = {m.version for m in after if m.version == m.group_version and source.original(m) not in here}
        chosen = {m.group_version for m in after if versions is None or m.version in versions}
        return [message for message in after if message.group_version in calls & chosen]

    def cannot_merge(self, source: "Context", messages: list[Message]) -> bool:
        """Return whether open calls, or orphans in a strict context, forbid a merge (KC005)."""
        orphans = [m for m in messages if m.role == "tool" and m.version == m.group_version]
        is_open = {m.group_version for m in messages} & set(source.open_calls.values())
        return bool(self.open_calls or is_open or (self.strict and orphans))

    def merge(self, source: "Context", messages: list[Message], now: datetime) -> list[Receipt]:
        """Append copies of messages of the source."""
        first, ids = self.version + 1, self.ids(None)
        drafts = [
            _draft_of(m) | {"external_id": None if m.external_id in ids else m.external_id} for m in messages
        ]
        receipts = self.append(drafts, now, [m.token_count for m in messages], None)
        self.originals |= {first + n: source.original(message) for n, message in enumerate(messages)}
        return receipts

    def names(self) -> dict[str, int]:
        """Return the checkpoints that are seen: the nearest of a name, each up to where it was forked."""
        names: dict[str, int] = {}
        context: Context | None = self
        reach = self.version
        while context:
            seen = {name: version for name, version in context.checkpoints.items() if version <= reach}
            names = seen | names
            reach = min(reach, context.fork_version)
            context = context.parent
        return names

    def version_at(self, moment: datetime) -> int:
        """Return the last version that was created by a moment."""
        return sum(message.created_at <= moment for message in self.log)

    def window(
        self,
        budget: int,
        at: int | None = None,
        stable_step: int = 0,
        count: Callable[[Message], int] = lambda message: message.token_count,
        recall: Sequence[int] = (),
        recall_budget: int = 0,
    ) -> list[Shown]:
        """Return the messages that a model should see, in reading order.

        Parameters
        ----------
        count : the tokens of a message in the tokenizer of the budget
        recall : versions that come beside, best first
        recall_budget : the tokens that are kept for them
        """
        view = self.view(at)
        line = [view.words.get(m.version, m) for m in self.messages_on_line(at)]
        log = [m for m in line if m.version in view.visible]
        covered = set().union(*view.covers.values()) - view.deleted
        groups: dict[int, list[Message]] = {}
        for message in line:
            if message.version in view.visible | covered:
                groups.setdefault(message.group_version, []).append(message)

        def cost(message: Message) -> int:
            stub = view.stubs.get(message.version)
            if stub is None and message.version not in view.words:
                return count(message)
            tokens = message.token_count if stub is None else stub
            return count(replace(message, version=0, token_count=tokens))

        def summary(version: int) -> Message:
            return view.words.get(version, self.summary(version))

        def total(chosen: set[int], summaries: Iterable[int] = ()) -> int:
            tokens = sum(cost(m) for group in chosen for m in groups[group])
            return tokens + sum(count(summary(version)) for version in summaries)

        def rest(summaries: set[int]) -> set[int]:
            """Return the groups that are visible, or that a summary covers which is left out."""
            out = set().union(*(view.covers[version] for version in view.covers.keys() - summaries))
            return groups.keys() & (view.visible | out)

        def met_from(start: int, summaries: set[int]) -> set[int]:
            return {group for group in rest(summaries) if groups[group][-1].version >= start}

        def fitting(room: int) -> set[int]:
            chosen: set[int] = set()
            for version in sorted(view.covers, reverse=True):
                if total(set(), chosen | {version}) <= room:
                    chosen = chosen | {version}
            return chosen

        newest = {log[-1].group_version} if log else set()
        # Without a message the newest summary comes in any case.
        lone = set() if log else set(sorted(view.covers)[-1:])
        stable_step = 0 if lone else stable_step
        preamble = _preamble(line) & view.visible
        chosen = promised = preamble | view.pinned | newest
        request: set[int] = set()
        summaries = lone
        over_budget = total(promised, lone) > budget
        if not over_budget:
            asked = {m.version for m in [m for m in log if m.role == "user"][-1:]}
            if total(promised | asked) <= budget:
                request = asked
            chosen = promised = promised | request
            summaries = fitting(budget - stable_step - total(preamble | view.pinned))
            # Totals run over the path, but what is rewound begins no window.
            on_line = {m.version for m in line}
            starts = _stable_starts(self.messages_at(at), stable_step, on_line) & rest(summaries)
            whole = (promised | met_from(start, summaries) for start in [0, *sorted(starts)])
            # Recalled messages give way to promises and summaries, and the rest to them.
            room = max(budget - recall_budget, total(promised, summaries)) if recall_budget else budget
            fits = next(
                (
                    groups
                    for groups in whole
                    if total(groups, summaries) <= room and total(promised, summaries) <= budget
                ),
                None,
            )
            if fits is not None and stable_step:
                chosen = fits
            else:
                summaries = fitting(budget - total(promised))
                room = max(budget - recall_budget, total(promised, summaries))
                by_end = sorted(rest(summaries), key=lambda group: groups[group][-1].version)
                for group in reversed(by_end):
                    if total(chosen | {group}, summaries) > room:
                        break
                    chosen = chosen | {group}
        sets = {"preamble": preamble, "pinned": view.pinned, "newest": newest}
        sets |= {"request": request, "covered": groups.keys() - view.visible, "recent": chosen}
        shown = [
            Shown(m, m.version, view.kind_of(m.version), cost(m), reason, over_budget)
            for m in line
            if m.group_version in chosen and m.version in view.visible | covered
            for reason in [next(name for name in sets if m.group_version in sets[name])]
        ]
        for version in summaries:
            position = min(view.covers[version], default=version)
            reason = "newest" if version in lone else "summary"
            said = summary(version)
            shown.append(Shown(said, position, "summary", count(said), reason, over_budget))
        if not over_budget:
            left = budget - sum(s.token_count for s in shown)
            shown += self._recalled(shown, at, count, recall, min(recall_budget, left))
        return sorted(shown, key=lambda s: (s.position, s.reason != "recalled", s.message.version))

    def _recalled(
        self,
        shown: Sequence[Shown],
        at: int | None,
        count: Callable[[Message], int],
        recall: Sequence[int],
        room: int,
    ) -> list[Shown]:
        """Return the recalled messages, as one block before the user's last request or the rest."""
        view = self.view(at)
        log = {m.version: view.words.get(m.version, m) for m in self.messages_on_line(at)}
        messages = [s for s in shown if s.kind != "summary"]
        hidden = view.deleted | {s.message.version for s in messages}
        asked = [v for v in view.visible if v in log and log[v].role == "user"]
        newest = max(view.visible & log.keys(), default=0)
        rest = [
            s.message.group_version
            for s in messages
            if s.reason in ("newest", "request", "covered", "recent")
            or (s.reason == "pinned" and s.message.group_version == log[newest].group_version)
        ]
        end = self.version if at is None else at
        place = min(rest, default=end + 1)
        if asked and max(asked) in {s.message.version for s in messages}:
            place = max(asked)

        def priced(tokens: int) -> int:
            return count(replace(log[min(log)], version=0, token_count=tokens))

        def price(message: Message) -> int:
            calls = message.tool_calls or []
            words = [message.content or "", *(call["function"]["arguments"] for call in calls)]
            tokens = 48 + 4 * len(calls) + 2 * sum(_escapes(text) for text in words)
            name = message.name or message.tool_name or ""
            own = message.version not in view.words
            said = count(message) if own else priced(message.token_count)
            return said + priced(tokens + len(name.encode()) + _escapes(name))

        taken: dict[int, int] = {}
        room -= priced(16) if log else 0
        for group in dict.fromkeys(log[v].group_version for v in recall if v in log and v not in hidden):
            prices = {m.version: price(m) for m in log.values() if m.group_version == group}
            prices = {version: tokens for version, tokens in prices.items() if version not in hidden}
            if sum(prices.values()) <= room:
                room -= sum(prices.values())
                taken |= prices
        if taken:
            taken[min(taken)] += priced(16)
        return [Shown(log[v], place, "message", tokens, "recalled", False) for v, tokens in taken.items()]


def _fold(view: View, change: Change, groups: dict[int, int]) -> None:
    versions = set(change.versions)
    if change.kind == "compaction":
        versions = {version for version in versions if groups.get(version) not in view.pinned}
    if change.kind in ("compaction", "deletion"):
        view.visible -= versions
        absorbed = [view.covers.pop(version) for version in versions & view.covers.keys()]
        if change.summary:
            view.covers[change.version] = versions.union(*absorbed)
    if change.kind == "deletion":
        view.deleted |= versions
        view.pinned -= versions
    elif change.kind == "elision":
        view.stubs |= change.stubs
    elif change.kind == "amendment" and change.words:
        view.words[change.words.version] = change.words
        view.stubs.pop(change.words.version, None)
    elif change.kind == "tools":
        view.tools = change.version
    elif change.kind == "pin" and not versions & view.deleted:
        view.visible |= versions
        view.pinned.add(min(versions))
        for covers in view.covers.values():
            covers -= versions
    elif change.kind == "unpin":
        view.pinned.discard(min(versions))
    # A summary reads where the first message is that it covers, and leaves with the last one.
    firsts = {version: min(covers & groups.keys(), default=None) for version, covers in view.covers.items()}
    view.covers = {
        version: {covered for covered in view.covers[version] if covered >= first}
        for version, first in firsts.items()
        if first is not None
    }


def _agents_words(view: View) -> dict[int, Message]:
    return {v: m for v, m in view.words.items() if m.role not in ("system", "developer")}


def _text_of(parts: list[Draft] | None) -> str | None:
    texts = [part["text"] for part in parts or [] if part["type"] == "text"]
    return "\n".join(texts) if texts else None


def _is_blank(message: Message) -> bool:
    """Return whether there is nothing to send (P4)."""
    thinking = ("thinking", "redacted_thinking", "reasoning")
    parts = [part for part in message.parts or [] if part["type"] not in thinking]
    texts = [part.get("text") for part in parts if part["type"] == "text"]
    other = [part for part in parts if part["type"] != "text"]
    said = texts if parts else [message.content]
    return not message.tool_calls and not other and not any(text and text.strip() for text in said)


def _preamble(messages: Iterable[Message]) -> set[int]:
    return {m.version for m in takewhile(lambda m: m.role in ("system", "developer"), messages)}


def _row(message: Message, position: int, kind: str, hidden: dict[int, int] | None) -> Draft:
    into = hidden.get(message.version) if hidden else None
    return asdict(message) | {"position": position, "kind": kind, "compacted_into": into}


def _is_invalid(draft: Draft, open_calls: dict[str, int]) -> bool:
    ids = [call["id"] for call in draft.get("tool_calls") or []]
    return _is_malformed(draft) or len(set(ids)) < len(ids) or not open_calls.keys().isdisjoint(ids)


def _is_malformed(draft: Draft) -> bool:
    calls = draft.get("tool_calls") or []
    return (
        not draft.keys() <= KEYS
        or draft.get("role") not in ROLES
        or (draft.get("content") is None and not calls and not draft.get("parts"))
        or bool(calls and draft["role"] != "assistant")
        or bool(draft.get("tool_call_id")) != (draft["role"] == "tool")
        or (draft.get("token_count") or 0) < 0
    )


def _take_group(draft: Draft, version: int, open_calls: dict[str, int]) -> int:
    """Move the open calls on by one message, and return the group that it belongs to."""
    for call in draft.get("tool_calls") or []:
        open_calls[call["id"]] = version
    return open_calls.pop(draft.get("tool_call_id") or "", version)


def _draft_of(message: Message) -> Draft:
    return {key: getattr(message, key) for key in KEYS}


def _escapes(text: str) -> int:
    return len(text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")) - len(text)


def _stable_starts(log: Sequence[Message], step: int, on_line: set[int]) -> set[int]:
    """Return the groups with a message that first carries the tokens past a multiple of the step."""
    starts: set[int] = set()
    through = 0
    for message in log if step else ():
        passes = -(-through // step) < -(-(through + message.token_count) // step)
        if passes and message.version in on_line:
            starts.add(message.group_version)
        through += message.token_count
    return starts
