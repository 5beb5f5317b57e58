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
    versions : what it covers, deletes, shortens, pins (a whole group) or unpins
    undone_version : of an undo
    summary : of a compaction, the replacement of what it covers; None: there is none
    stubs : of an elision, the tokens that each message is shortened to
    external_id : of a record, which changes nothing
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


@dataclass(slots=True)
class View:
    """What a model would see.

    Parameters
    ----------
    pinned : groups
    stubs : the tokens of messages that are shortened
    covers : summary → the versions that it covers
    """

    visible: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    pinned: set[int] = field(default_factory=set)
    stubs: dict[int, int] = field(default_factory=dict)
    covers: dict[int, set[int]] = field(default_factory=dict)


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
    log: list[Message | Change] = field(default_factory=list)
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
        """The version at which a message was last appended or deleted, or a deletion undone."""
        version = self.version
        while version and isinstance(self.log[version - 1], Change):
            if self.view(version).deleted != self.view(version - 1).deleted:
                break
            version -= 1
        return version

    def ids(self, at: int | None) -> dict[str, int]:
        """Return the versions that have external ids."""
        return {entry.external_id: entry.version for entry in self.log[:at] if entry.external_id}

    def problems(
        self, drafts: list[Draft], expected_version: int | None, key: str | None, on_duplicate: str = "error"
    ) -> set[str]:
        """Return the errors that may refuse a batch; where there are none it must be accepted."""
        if key in self.requests and self.requests[key][0] == drafts:
            return set()
        problems = {"KC019"} if key in self.requests else set()
        if expected_version is not None and not self.content_version <= expected_version <= self.version:
            problems.add("KC003")
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
                texts = [part["text"] for part in values["parts"] or [] if part["type"] == "text"]
                values["content"] = "\n".join(texts) if texts else None
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
        return self.version

    def fork(self, context_id: Hashable, at: int) -> "Context":
        """Return a fork: the same messages up to a version, and the calls open then."""
        child = Context(context_id, self.strict, self, at, self.log[:at])
        child.originals = {version: first for version, first in self.originals.items() if version <= at}
        for message in child.messages_at(None):
            _take_group(_draft_of(message), message.version, child.open_calls)
        return child

    def calls_in_order(self) -> list[str]:
        """Return the open calls, oldest first."""
        return sorted(self.open_calls, key=lambda call: (self.open_calls[call], call))

    def closing(self, call_ids: Iterable[str], reason: str) -> list[Draft]:
        """Return the batch that close_calls appends for open calls."""
        closed = [call for call in self.calls_in_order() if call in set(call_ids)]
        return [{"role": "tool", "tool_call_id": call, "content": reason} for call in closed]

    def messages_at(self, at: int | None) -> list[Message]:
        """Return the messages up to a version, whatever the view shows of them."""
        return [entry for entry in self.log[:at] if isinstance(entry, Message)]

    def undone(self, at: int | None) -> set[int]:
        """Return the changes that are undone as of a version; an undo that is undone undoes nothing."""
        undone: set[int] = set()
        for entry in reversed(self.log[:at]):
            if isinstance(entry, Change) and entry.undone_version and entry.version not in undone:
                undone.add(entry.undone_version)
        return undone

    def view(self, at: int | None) -> View:
        """Fold the log up to a version, less what is undone by then."""
        view = View()
        undone = self.undone(at)
        for entry in self.log[:at]:
            if isinstance(entry, Message):
                view.visible.add(entry.version)
                view.pinned |= {entry.group_version} if entry.pinned else set()
            elif entry.version not in undone:
                _fold(view, entry, {m.version: m.group_version for m in self.messages_at(entry.version)})
        return view

    def summary(self, version: int) -> Message:
        """Return the summary that a compaction has brought."""
        entry = self.log[version - 1]
        assert isinstance(entry, Change)
        assert entry.summary
        return entry.summary

    def rows(self, visibility: str, at: int | None) -> list[Draft]:
        """Return all message rows, in order."""
        view = self.view(at)
        is_view = visibility == "effective"
        hidden = {version: summary for summary, covers in view.covers.items() for version in covers}
        rows = []
        for message in self.messages_at(at):
            stub = view.stubs.get(message.version) if is_view else None
            if (is_view and message.version not in view.visible) or (
                visibility == "raw" and message.version in view.deleted
            ):
                continue
            rows.append(_row(message, message.version, "message", None if is_view else hidden))
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
                rows.append(_row(entry.summary, position, "summary", None if is_view else hidden))
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

    def usage(self, at: int | None) -> tuple[int, int, int, int]:
        """Return version, message_count, raw_tokens and view_tokens."""
        messages = self.messages_at(at)
        shown = sum(row["token_count"] for row in self.rows("effective", at))
        return len(self.log[:at]), len(messages), sum(m.token_count for m in messages), shown

    def group(self, version: int) -> frozenset[int]:
        """Return the group of a message; empty where the version is none."""
        groups = {m.version: m.group_version for m in self.messages_at(None)}
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
            if m.group_version not in view.pinned and view.stubs.get(m.version, m.token_count) > over
        }

    def coverable(self, recent: int, preserved_roles: set[str]) -> set[int]:
        """Return the messages that a compaction covers; the summaries in the view are absorbed with them."""
        view = self.view(None)
        visible = [m for m in self.messages_at(None) if m.version in view.visible]
        kept = {m.group_version for m in visible[len(visible) - recent :]} if recent else set()
        kept |= {m.group_version for m in visible if m.role in preserved_roles}
        kept |= view.pinned | set(self.open_calls.values()) | _preamble(self.messages_at(None))
        kept |= set([m.version for m in visible if m.role == "user"][-1:])
        return {m.version for m in visible if m.group_version not in kept}

    def blocking(self, version: int) -> bool:
        """Return whether a later compaction covers what an undo would bring back or take away (KC021)."""
        undone = self.undone(None)
        moved = self._moved(version)
        later = [entry for entry in self.log[version:] if isinstance(entry, Change)]
        return any(
            change.kind == "compaction" and change.version not in undone and moved & change.versions
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
        moves = {"deletion": True, "elision": False, "pin": True, "unpin": not is_redo}
        return set(change.versions) if moves[change.kind] else set()

    def shared_with(self, other: "Context") -> int:
        """Return the last version at which both have the same entry."""
        pairs = zip(self.log, other.log, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs))

    def original(self, message: Message) -> tuple[Hashable, int]:
        """Return what a message of this context goes back to: itself, if it was not merged."""
        return self.originals.get(message.version, (message.segment_id, message.version))

    def to_merge(self, source: "Context", versions: set[int] | None) -> list[Message]:
        """Return the messages of the source that a merge appends: whole groups that are not here yet."""
        shared, deleted = self.shared_with(source), source.view(None).deleted
        after = [m for m in source.messages_at(None) if m.version > shared and m.version not in deleted]
        here = {self.original(message) for message in self.messages_at(None)}
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
        log = [m for m in self.messages_at(at) if m.version in view.visible]
        covered = set().union(*view.covers.values()) - view.deleted
        groups: dict[int, list[Message]] = {}
        for message in self.messages_at(at):
            if message.version in view.visible | covered:
                groups.setdefault(message.group_version, []).append(message)

        def cost(message: Message) -> int:
            stub = view.stubs.get(message.version)
            return count(message) if stub is None else count(replace(message, version=0, token_count=stub))

        def total(chosen: set[int], summaries: Iterable[int] = ()) -> int:
            tokens = sum(cost(m) for group in chosen for m in groups[group])
            return tokens + sum(count(self.summary(version)) for version in summaries)

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
        preamble = _preamble(self.messages_at(at)) & view.visible
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
            starts = _stable_starts(self.messages_at(at), stable_step) & rest(summaries)
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
            Shown(
                m, m.version, "stub" if m.version in view.stubs else "message", cost(m), reason, over_budget
            )
            for m in self.messages_at(at)
            if m.group_version in chosen
            for reason in [next(name for name in sets if m.group_version in sets[name])]
        ]
        for version in summaries:
            summary = self.summary(version)
            position = min(view.covers[version], default=version)
            reason = "newest" if version in lone else "summary"
            shown.append(Shown(summary, position, "summary", count(summary), reason, over_budget))
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
        log = {m.version: m for m in self.messages_at(at)}
        messages = [s for s in shown if s.kind != "summary"]
        hidden = self.view(at).deleted | {s.message.version for s in messages}
        asked = [v for v in self.view(at).visible if v in log and log[v].role == "user"]
        newest = max(self.view(at).visible & log.keys(), default=0)
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
            return count(message) + priced(tokens + len(name.encode()) + _escapes(name))

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


def _stable_starts(log: Sequence[Message], step: int) -> set[int]:
    """Return the groups with a message that first carries the tokens past a multiple of the step."""
    starts: set[int] = set()
    through = 0
    for message in log if step else ():
        if -(-through // step) < -(-(through + message.token_count) // step):
            starts.add(message.group_version)
        through += message.token_count
    return starts
