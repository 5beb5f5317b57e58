"""Values of channels with references in place of messages, and back."""

import copy
import json
import secrets
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from kata_context.adapters import escape, unescape
from kata_context.contrib.langgraph_messages import (
    Json,
    NotPlainError,
    call_of,
    copied,
    digest_of,
    equal,
    to_draft,
    to_message,
)
from kata_context.errors import KataError
from kata_context.tokens import count_of

try:
    from langchain_core.messages import BaseMessage, RemoveMessage, convert_to_messages
    from langgraph.checkpoint.serde.types import SendProtocol
except ImportError as error:  # pragma: no cover
    raise KataError(
        f"LangGraph is not installed: {error}", hint="pip install 'kata-context[langgraph]'"
    ) from error

MESSAGES = 10_000  # of one thread that are cached
MARK = "__kata_message__"  # the only key of what names a message in a value
# Types of values that are lists of messages.
LISTS = ("messages", "snapshot")
# Of calls in a dict: as in LangChain, or as in OpenAI, their arguments with or without spaces.
CALL_FORMS = ("dict", "openai", "compact")


class Known:
    """The messages of the context of a thread that were stored or read.

    Parameters
    ----------
    context_id : the context
    stamp : of the words in the log when they were read; it changes with an erasure
    """

    def __init__(self, context_id: UUID, stamp: str | None = None) -> None:
        self.context_id = context_id
        self.stamp = stamp
        self.messages: dict[int, BaseMessage] = {}
        self.versions: dict[str, int] = {}

    def version(self, message: BaseMessage) -> int | None:
        """Return the version of a message; None if it is not known, or had other words then."""
        version = self.versions.get(message.id) if message.id else None
        found = None if version is None else self.messages.get(version)
        return version if found is not None and equal(found, message) else None

    def learn(self, message: BaseMessage, version: int) -> None:
        """Remember a message, which nothing else changes."""
        if len(self.messages) >= MESSAGES:
            self.messages, self.versions = {}, {}
        self.messages[version] = message
        if message.id:
            self.versions[message.id] = version


class Outgoing:
    """What a call sends: values with references in place of messages, and the messages themselves.

    Parameters
    ----------
    serde : the serializer of the saver
    known : the versions of messages in the thread; None if none is known

    Attributes
    ----------
    placed : messages for the log
    messages : the same, as they were given
    drafts : messages that values name, by the key in the value
    """

    def __init__(self, serde: Any, known: Known | None) -> None:
        self.serde = serde
        self.known = known
        self.uses_known = False
        self.placed: list[Json] = []
        self.places: dict[str, int] = {}
        self.messages: list[BaseMessage] = []
        self.drafts: dict[str, Json] = {}
        self.keys: dict[tuple[str, str | None], str] = {}

    @property
    def context_id(self) -> UUID | None:
        """The context whose versions are named."""
        return self.known.context_id if self.known is not None and self.uses_known else None

    def items(self, messages: list[BaseMessage]) -> list[Any]:
        """Return a list of messages as runs of versions, and places of messages that are to be appended."""
        items: list[Any] = []
        places: dict[int, int] = {}
        for message in messages:
            version = self.version(message)
            if version is None:
                place = places.get(id(message))
                items.append(self.place(message) if place is None else place)
                places[id(message)] = items[-1]
            elif items and isinstance(items[-1], list) and items[-1][1] == version - 1:
                items[-1][1] = version
            else:
                items.append([version, version])
        return items

    def version(self, message: BaseMessage) -> int | None:
        """Return the version of a message that is in the log."""
        version = self.known.version(message) if self.known else None
        self.uses_known |= version is not None
        return version

    def place(self, message: BaseMessage) -> int:
        """Have a message appended, and return its place among those."""
        draft = to_draft(message, self.serde)
        digest = digest_of(draft)
        if own := draft.get("external_id"):
            if own in self.places and self.placed[self.places[own]]["digest"] == digest:
                return self.places[own]
            if self.places.setdefault(own, len(self.placed)) != len(self.placed):
                # Other words under the id: a message of its own, which keeps the id beside.
                del draft["external_id"]
                draft.setdefault("provider", {}).setdefault("langgraph", {}).setdefault("id", own)
        count, source = count_of(draft, "o200k_base")
        if count is not None:
            draft |= {"token_count": count, "token_source": source}
        self.placed.append({"digest": digest, "id": id_of(message), "message": draft})
        self.messages.append(message)
        return len(self.placed) - 1

    def encoded(self, value: Any, channel: Any = None) -> Any:
        """Return a value with references in place of messages; a text in the channel `messages` is one."""
        if isinstance(value, BaseMessage) and not isinstance(value, RemoveMessage):
            return self.reference(value, None)
        if type(value) is str:
            return self.turn(value) if channel == "messages" else value
        if type(value) is dict:
            if found := self.turn(value):
                return found
            inner = {name: self.encoded(one, name) for name, one in value.items()}
            return {MARK: ["literal", inner]} if MARK in inner else inner
        if type(value) is list:
            return [self.turn(one) or self.encoded(one, channel) for one in value]
        if type(value) is tuple:
            return self.turn(value) or tuple(self.encoded(one, channel) for one in value)
        if isinstance(value, SendProtocol) and hasattr(value, "arg"):
            sent = copy.copy(value)
            sent.arg = self.encoded(value.arg)
            return sent
        return value

    def turn(self, value: Any) -> Any:
        """Return a reference for a message in one of the short forms of LangChain, or None."""
        if type(value) is dict:
            if "content" not in value or not value.keys() & {"role", "type"}:
                return None
            forms = [[kind, *(form_item(*item) for item in value.items())] for kind in CALL_FORMS]
        elif type(value) in (tuple, list) and len(value) == 2 and type(value[0]) is str:
            forms, value = [["pair", value[0]]], list(value)
        elif type(value) is str:
            forms = [["text"]]
        else:
            return None
        try:
            (message,) = convert_to_messages([value])
            form = next(form for form in forms if in_form(message, form) == value)
        except (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError):
            return None
        except (NotPlainError, StopIteration):  # a form that a message does not give back
            return None
        return None if isinstance(message, RemoveMessage) else self.reference(message, form)

    def reference(self, message: BaseMessage, form: list[Any] | None) -> Json:
        """Return what names a message in a value."""
        version = self.version(message)
        if version is not None:
            return {MARK: ["version", version, form]}
        draft = to_draft(message, self.serde)
        digest, own_id = digest_of(draft), id_of(message)
        key = self.keys.get((digest, own_id))
        if key is None:
            # Chance alone: nothing in a value confirms a guess of words that were erased.
            key = self.keys[digest, own_id] = secrets.token_urlsafe(4)
            self.drafts[key] = {"digest": digest, "id": own_id, "message": draft}
        return {MARK: ["draft", key, own_id is not None, form]}


def id_of(message: BaseMessage) -> str | None:
    """Return the id of a message, escaped."""
    return None if message.id is None else escape(message.id)


def form_item(name: str, value: Any) -> list[Any]:
    """Return a key of a dict that is a message, with the value where that is none of its words."""
    return [name, value] if name in ("role", "type", "id") or value is None else [name]


def in_form(message: BaseMessage, form: list[Any]) -> Any:
    """Return a message in the short form that a value had."""
    kind, *rest = form
    if kind == "text":
        return message.content
    if kind == "pair":
        return [rest[0], message.content]
    return {name: given[0] if given else field_of(message, name, kind) for name, *given in rest}


def field_of(message: BaseMessage, name: str, calls: str) -> Any:
    """Return a field of a message, its calls in one of CALL_FORMS."""
    if name == "tool_calls" and calls != "dict":
        made = [unescape(call_of(call)) for call in getattr(message, name, ())]
        if calls == "compact":
            for call in made:
                arguments = json.loads(call["function"]["arguments"])
                call["function"]["arguments"] = json.dumps(
                    arguments, ensure_ascii=False, separators=(",", ":")
                )
        return made
    if name in type(message).model_fields:
        return getattr(message, name)
    return message.additional_kwargs.get(name)


class Incoming:
    """Values as they come back, with messages in place of references.

    Parameters
    ----------
    serde : the serializer of the saver
    rows : of kata_langgraph.checkpoints, of one context
    known : the messages of the thread
    """

    def __init__(self, serde: Any, rows: Sequence[Any], known: Known | None) -> None:
        self.serde = serde
        self.rows = rows
        is_current = known is not None and (known.context_id, known.stamp) == (
            rows[0].context_id,
            rows[0].stamp,
        )
        self.known = known if known is not None and is_current else Known(rows[0].context_id, rows[0].stamp)
        self.named: set[int] = set()
        self.versions: dict[int, BaseMessage] = {}
        # By row those of channels, then those of writes, each with its drafts.
        self.values = [
            [self.loaded(*value) for value in zip(*columns, strict=True)]
            for row in rows
            for columns in (
                (row.types or (), row.data or (), row.drafts or ()),
                (row.write_types or (), row.write_data or (), row.write_drafts or ()),
            )
        ]

    def loaded(self, kind: str, data: bytes, drafts: Json | None) -> tuple[Any, Json | None]:
        """Return a value with references, or a list of versions, and note the versions that it names."""
        if kind in LISTS:
            numbers = list(map(int, data.split()))
            pairs = zip(numbers[::2], numbers[1::2], strict=True)
            versions = [version for first, last in pairs for version in range(first, last + 1)]
            self.named.update(versions)
            return Versions(versions), None
        value = self.serde.loads_typed((kind, data))
        self.find(value, drafts or {})
        return value, drafts

    def find(self, value: Any, drafts: Json) -> None:
        """Note the versions that a value names."""
        if type(value) is dict:
            reference = value.get(MARK) if value.keys() == {MARK} else None
            if reference is None:
                self.find(list(value.values()), drafts)
            elif reference[0] == "literal":
                self.find(list(reference[1].values()), drafts)
            elif reference[0] == "version":
                self.named.add(reference[1])
            elif (version := version_of(drafts[reference[1]])) is not None:
                self.named.add(version)
        elif type(value) in (list, tuple):
            for inner in value:
                self.find(inner, drafts)
        elif isinstance(value, SendProtocol) and hasattr(value, "arg"):
            self.find(value.arg, drafts)

    def wanted(self) -> list[int]:
        """Return the first and last version of each run of messages to read."""
        known = self.known.messages
        self.versions = {version: known[version] for version in self.named if version in known}
        missing: list[int] = []
        for version in sorted(self.named - self.versions.keys()):
            if missing and missing[-1] == version - 1:
                missing[-1] = version
            else:
                missing += [version, version]
        return missing

    def read(self, contents: Iterable[Any]) -> None:
        """Take the messages that were read."""
        self.versions.update({row.version: to_message(row.message, self.serde) for row in contents})

    def decoded(self) -> list[list[Any]]:
        """Return the values of each row: of channels, then of writes. The messages are copies."""
        return [[self.revived(value, drafts or {}) for value, drafts in values] for values in self.values]

    def revived(self, value: Any, drafts: Json) -> Any:
        """Return a value with messages in place of references."""
        if type(value) is Versions:
            return [copied(self.versions[version]) for version in value]
        if type(value) is dict:
            if value.keys() == {MARK}:
                return self.named_by(value[MARK], drafts)
            return {name: self.revived(one, drafts) for name, one in value.items()}
        if type(value) is list:
            return [self.revived(one, drafts) for one in value]
        if type(value) is tuple:
            return tuple(self.revived(one, drafts) for one in value)
        if isinstance(value, SendProtocol) and hasattr(value, "arg"):
            value.arg = self.revived(value.arg, drafts)
        return value

    def named_by(self, reference: list[Any], drafts: Json) -> Any:
        """Return what a reference names."""
        kind, *rest = reference
        if kind == "literal":
            return {name: self.revived(one, drafts) for name, one in rest[0].items()}
        if kind == "version":
            version, form = rest
            made = copied(self.versions[version])
        else:
            key, has_id, form = rest
            draft = drafts[key]
            version = version_of(draft)
            if version is None:
                made = to_message(draft["message"], self.serde)
            else:
                made = copied(self.versions[version])
                if not has_id:
                    made.id = None
                elif type(draft) is dict:
                    made.id = unescape(draft["id"])
        return made if form is None else in_form(made, form)


class Versions(list[int]):
    """The versions of a list of messages."""


def version_of(draft: Any) -> int | None:
    """Return the version of a draft that is in the log."""
    return draft.get("version") if type(draft) is dict else draft
