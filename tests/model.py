"""Contexts held in memory: what the store must do, said as plainly as can be, however slowly it runs.

Written from the documents, not from the SQL. Tests take the same steps with both and compare the answers.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

Draft = dict[str, Any]
"""A message as a caller gives it."""
Receipt = tuple[int, int, datetime]
"""What append answers for a message: version, token_count, created_at."""

ROLES = {"system", "developer", "user", "assistant", "tool"}
KEYS = {"role", "content", "token_count", "token_source", "tool_call_id", "tool_name", "tool_calls", "model"}
KEYS |= {"metadata", "pinned", "name", "parts", "provider"}
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


@dataclass(frozen=True, slots=True)
class Shown:
    """A message of a window: its tokens in the tokenizer of the budget, and why it is there."""

    message: Message
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
    log: list[Message] = field(default_factory=list)
    open_calls: dict[str, int] = field(default_factory=dict)
    requests: dict[str, tuple[list[Draft], list[Receipt]]] = field(default_factory=dict)
    checkpoints: dict[str, int] = field(default_factory=dict)
    originals: dict[int, tuple[Hashable, int]] = field(default_factory=dict)
    """What merged messages go back to: segment and version."""

    @property
    def version(self) -> int:
        """The version of the newest message."""
        return len(self.log)

    def problems(self, drafts: list[Draft], expected_version: int | None, key: str | None) -> set[str]:
        """Return the errors that may refuse a batch; where there are none it must be accepted."""
        if not drafts or (key in self.requests and self.requests[key][0] == drafts):
            return set()
        problems = {"KC019"} if key in self.requests else set()
        if expected_version is not None and expected_version != self.version:
            problems.add("KC003")
        open_calls = dict(self.open_calls)
        for draft in drafts:
            if _is_invalid(draft, open_calls):
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

        Parameters
        ----------
        now : the clock
        counts : the token counts, taken for messages that come without
        """
        if not drafts:
            return []
        if key in self.requests:
            return self.requests[key][1]
        created_at = max(now, self.log[-1].created_at + TICK) if self.log else now
        for draft, estimate in zip(drafts, counts, strict=True):
            values: Draft = deepcopy(dict.fromkeys(KEYS) | draft)
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
        receipts = [(m.version, m.token_count, m.created_at) for m in self.log[-len(drafts) :]]
        if key is not None:
            self.requests[key] = (deepcopy(drafts), receipts)
        return receipts

    def fork(self, context_id: Hashable, at: int) -> "Context":
        """Return a fork: the same messages up to a version, and what was open then."""
        child = Context(context_id, self.strict, self, at, self.log[:at])
        child.originals = {version: first for version, first in self.originals.items() if version <= at}
        for message in child.log:
            _take_group(_draft_of(message), message.version, child.open_calls)
        return child

    def calls_in_order(self) -> list[str]:
        """Return the open calls, oldest first."""
        return sorted(self.open_calls, key=lambda call: (self.open_calls[call], call))

    def closing(self, call_ids: Iterable[str], reason: str) -> list[Draft]:
        """Return the batch that close_calls appends for open calls."""
        closed = [call for call in self.calls_in_order() if call in set(call_ids)]
        return [{"role": "tool", "tool_call_id": call, "content": reason} for call in closed]

    def messages(self, after: int | None, max_rows: int, descending: bool, at: int | None) -> list[Message]:
        """Return a page."""
        if descending:
            rows = [m for m in reversed(self.log[:at]) if after is None or m.version < after]
        else:
            rows = [m for m in self.log[:at] if after is None or m.version > after]
        return rows[:max_rows]

    def pinned_groups(self, at: int | None) -> set[int]:
        """Return the groups with a pinned message."""
        return {m.group_version for m in self.log[:at] if m.pinned}

    def usage(self, at: int | None) -> tuple[int, int, int, int]:
        """Return version, message_count, raw_tokens and view_tokens."""
        tokens = sum(m.token_count for m in self.log[:at])
        return len(self.log[:at]), len(self.log[:at]), tokens, tokens

    def shared_with(self, other: "Context") -> int:
        """Return the last version at which both have the same message."""
        pairs = zip(self.log, other.log, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs))

    def original(self, message: Message) -> tuple[Hashable, int]:
        """Return what a message of this context goes back to: itself, if it was not merged."""
        return self.originals.get(message.version, (message.segment_id, message.version))

    def to_merge(self, source: "Context", versions: set[int] | None) -> list[Message]:
        """Return the messages of the source that a merge appends: whole groups that are not here yet."""
        after = source.log[self.shared_with(source) :]
        here = {self.original(message) for message in self.log}
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
        first = self.version + 1
        receipts = self.append([_draft_of(m) for m in messages], now, [m.token_count for m in messages], None)
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
    ) -> list[Shown]:
        """Return the messages that a model should see, in reading order.

        Parameters
        ----------
        count : the tokens of a message in the tokenizer of the budget
        """
        log = self.log[:at]
        if not log:
            return []
        groups: dict[int, list[Message]] = {}
        for message in log:
            groups.setdefault(message.group_version, []).append(message)

        def fit(chosen: set[int]) -> bool:
            return sum(count(m) for group in chosen for m in groups[group]) <= budget

        def met_from(start: int) -> set[int]:
            return {group for group, members in groups.items() if members[-1].version >= start}

        newest = log[-1].group_version
        pinned = self.pinned_groups(at)
        preamble = {m.version for m in takewhile(lambda m: m.role in ("system", "developer"), log)}
        chosen = promised = preamble | pinned | {newest}
        over_budget = not fit(promised)
        if not over_budget:
            starts = [0, *sorted(_stable_starts(log, stable_step))] if stable_step else []
            whole = next((start for start in starts if fit(promised | met_from(start))), None)
            if whole is not None:
                chosen = promised | met_from(whole)
            else:
                for group in sorted(groups, key=lambda group: groups[group][-1].version, reverse=True):
                    if not fit(chosen | {group}):
                        break
                    chosen = chosen | {group}
        sets = {"preamble": preamble, "pinned": pinned, "newest": {newest}, "recent": chosen}
        return [
            Shown(m, count(m), next(name for name in sets if m.group_version in sets[name]), over_budget)
            for m in log
            if m.group_version in chosen
        ]


def _is_invalid(draft: Draft, open_calls: dict[str, int]) -> bool:
    calls = draft.get("tool_calls") or []
    ids = [call["id"] for call in calls]
    return (
        not draft.keys() <= KEYS
        or draft.get("role") not in ROLES
        or (draft.get("content") is None and not calls and not draft.get("parts"))
        or bool(calls and draft["role"] != "assistant")
        or bool(draft.get("tool_call_id")) != (draft["role"] == "tool")
        or (draft.get("token_count") or 0) < 0
        or len(set(ids)) < len(ids)
        or not open_calls.keys().isdisjoint(ids)
    )


def _take_group(draft: Draft, version: int, open_calls: dict[str, int]) -> int:
    """Move the open calls on by one message, and return the group that it belongs to."""
    for call in draft.get("tool_calls") or []:
        open_calls[call["id"]] = version
    return open_calls.pop(draft.get("tool_call_id") or "", version)


def _draft_of(message: Message) -> Draft:
    return {key: getattr(message, key) for key in KEYS}


def _stable_starts(log: Sequence[Message], step: int) -> set[int]:
    """Return the groups with a message that first carries the tokens past a multiple of the step."""
    starts = set()
    through = 0
    for message in log:
        if -(-through // step) < -(-(through + message.token_count) // step):
            starts.add(message.group_version)
        through += message.token_count
    return starts
