"""Checkpoints of LangGraph in Kata Context: `pip install 'kata-context[langgraph]'`.

A thread is a context whose name is the id of the thread. Messages in the state of a graph are messages of the
log, each stored once; a checkpoint names their versions. So windows, compaction, recall and forks work on the
context of a thread, and an erased message is erased in every checkpoint. Other values are stored as they are.
"""

import asyncio
import base64
import copy
import hashlib
import json
import math
import random
import secrets
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import starmap
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from psycopg.types.json import Jsonb

from kata_context import AsyncKata, Kata
from kata_context.adapters import escape, unescape
from kata_context.contrib.escaping import escaped
from kata_context.errors import KataError, MisuseError
from kata_context.tokens import count_of

try:
    import langchain_core.messages as messages_module
    from langchain_core.messages import BaseMessage, RemoveMessage, convert_to_messages
    from langgraph.checkpoint.base import (
        WRITES_IDX_MAP,
        BaseCheckpointSaver,
        CheckpointTuple,
        get_checkpoint_id,
        get_serializable_checkpoint_metadata,
    )
    from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
    from langgraph.checkpoint.serde.types import SendProtocol, _DeltaSnapshot
except ImportError as error:  # pragma: no cover
    raise KataError(
        f"LangGraph is not installed: {error}", hint="pip install 'kata-context[langgraph]'"
    ) from error

__all__ = ["AsyncKataSaver", "KataSaver"]

SCHEMA = Path(__file__).with_suffix(".sql")
PAGE = 100  # checkpoints per call of list
THREADS = 1000  # of which the versions of messages are cached
MESSAGES = 10_000  # per thread
MARK = "__kata_message__"  # the only key of what names a message in a value
ROLES = {"HumanMessage": "user", "AIMessage": "assistant", "SystemMessage": "system", "ToolMessage": "tool"}
CLASSES = {role: name for name, role in ROLES.items()} | {"developer": "SystemMessage"}
# The log has columns for these; the rest is stored beside, in provider.
COLUMNS = frozenset(("content", "id", "name", "tool_call_id", "tool_calls", "type"))
CALL_BLOCKS = ("tool_use", "tool_call", "function_call")
# Of calls in a dict: as in LangChain, or as in OpenAI, their arguments with or without spaces.
CALL_FORMS = ("dict", "openai", "compact")
SECRET = secrets.token_bytes(32)  # of the process, and stored nowhere

INSTALLED = "select obj_description(to_regnamespace('kata_langgraph'), 'pg_namespace')"
PUT = f"select * from kata_langgraph.put_checkpoint({', '.join(['%s'] * 16)})"
PUT_WRITES = f"select kata_langgraph.put_writes({', '.join(['%s'] * 13)})"
CHECKPOINTS = f"select * from kata_langgraph.checkpoints({', '.join(['%s'] * 9)})"
CONTENTS = "select * from kata_langgraph.contents(%s, %s::bigint[], %s)"
DELETE_RUNS = "select kata_langgraph.delete_for_runs(%s::text[])"
PRUNE = "select kata_langgraph.prune(%s::text[], %s)"
DELETE = "select kata.delete_context(t.id) from kata.find_context(%s) t(id) where t.id is not null"
COPY = "select kata_langgraph.copy_thread(%s, %s, %s)"

Json = dict[str, Any]
T = TypeVar("T")


class NotPlainError(Exception):
    """A value is not one that JSON gives back equal."""


# Messages of LangChain as messages of the log, and back.


def plain(value: Any) -> Any:
    """Return a value as JSON that Postgres gives back equal, its texts escaped, or raise NotPlainError."""
    if isinstance(value, str) and type(value) is str:
        return escape(value)
    if value is None or type(value) is bool:
        return value
    # Postgres writes larger floats without an exponent, and Python reads an integer then.
    if (type(value) is float and abs(value) < 1e15) or (type(value) is int and abs(value) < 1 << 10_000):
        return value
    if type(value) is list:
        return [plain(inner) for inner in value]
    if type(value) is dict and all(type(name) is str for name in value):
        return {escape(name): plain(inner) for name, inner in value.items()}
    raise NotPlainError(type(value).__name__)


def to_draft(message: BaseMessage, serde: Any) -> Json:
    """Return a message of LangChain as one that kata.append takes."""
    try:
        draft = usual_draft(message)
        if equal(to_message(draft, serde), message):
            return draft
    except (NotPlainError, KeyError, TypeError, ValueError):
        pass
    # Of a class, or with values, that columns do not give back: whole, as LangGraph serializes it.
    kind, data = serde.dumps_typed(message)
    role = ROLES.get(type(message).__name__, "user")
    return {
        "role": "user" if role == "tool" else role,
        "content": escape(str(message.text)),
        "provider": {"langgraph": {"whole": [kind, base64.b64encode(data).decode("ascii")]}},
    }


def usual_draft(message: BaseMessage) -> Json:
    """Return a message of a class of LangChain in columns, or raise NotPlainError."""
    name = type(message).__name__
    if getattr(messages_module, name, None) is not type(message):
        raise NotPlainError(name)
    defaults = type(message).model_fields
    rest = {
        key: plain(value)
        for key, value in message
        if key not in COLUMNS
        and (key not in defaults or value != defaults[key].get_default(call_default_factory=True))
    }
    role = ROLES.get(name) or role_of(getattr(message, "role", None), name)
    beside: Json = {} if CLASSES[role] == name else {"class": name}
    if rest:
        beside["fields"] = rest
    draft: Json = {"role": role, **content_of(message.content, beside)}
    if message.name is not None:
        draft["name"] = plain(message.name)
    if calls := getattr(message, "tool_calls", None):
        draft["tool_calls"] = [call_of(call) for call in calls]
        if draft["content"] == "":
            draft["content"] = None
    if role == "tool":
        draft["tool_call_id"] = plain(getattr(message, "tool_call_id"))  # noqa: B009
    if isinstance(model := message.response_metadata.get("model_name"), str):
        draft["model"] = plain(model)
    beside_id(draft, beside, message.id)
    if beside:
        draft["provider"] = {"langgraph": beside}
    return draft


def role_of(given: Any, name: str) -> str:
    """Return the role in the log of a class that has one of its own, or none."""
    if name.startswith("AIMessage"):
        return "assistant"
    return {"ai": "assistant", "assistant": "assistant", "system": "system"}.get(str(given), "user")


def content_of(content: str | list[Any], beside: Json) -> Json:
    """Return content and parts; `beside` receives what they leave out of a list of blocks."""
    if isinstance(content, str):
        return {"content": plain(content)}
    parts, texts = [], []
    for place, block in enumerate(plain(content)):
        if isinstance(block, str):
            texts.append(place)
            parts.append({"type": "text", "text": block})
        elif not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise NotPlainError("block")
        elif block["type"] in CALL_BLOCKS:  # its call is a column of its own
            beside.setdefault("blocks", []).append([place, block])
        else:
            parts.append(block)
    if texts:
        beside["texts"] = texts
    if not parts:
        beside["list"] = True
        return {"content": ""}
    shown = [part["text"] for part in parts if part["type"] == "text" and isinstance(part.get("text"), str)]
    return {"content": "\n".join(shown), "parts": parts}


def call_of(call: Mapping[str, Any]) -> Json:
    """Return a call of a tool in the chat form of OpenAI."""
    if (
        set(call) != {"name", "args", "id", "type"}
        or not isinstance(call["id"], str)
        or call["type"] != "tool_call"
    ):
        raise NotPlainError("call")
    arguments = json.dumps(plain(call["args"]), ensure_ascii=False)
    return {
        "id": plain(call["id"]),
        "type": "function",
        "function": {"name": plain(call["name"]), "arguments": arguments},
    }


def beside_id(draft: Json, beside: Json, given: str | None) -> None:
    """Set the external id, which is the id of the message where it has one that can be."""
    if given is not None and 0 < len(given) <= 255 and escape(given) == given and not given.startswith("#"):
        draft["external_id"] = given
    else:
        beside["id"] = plain(given)
        draft["external_id"] = f"#{digest_of(draft, beside)}"


def digest_of(draft: Json, beside: Json | None = None) -> str:
    """Return a digest of a message that does not depend on its id, unless `beside` has it."""
    known = {
        key: value
        for key, value in draft.items()
        if key not in ("external_id", "token_count", "token_source")
    }
    if beside is not None:
        known["provider"] = beside
    elif own := known.get("provider", {}).get("langgraph"):
        known["provider"] = {key: value for key, value in own.items() if key != "id"}
        if not known["provider"]:
            del known["provider"]
    text = json.dumps(known, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def to_message(row: Json, serde: Any) -> BaseMessage:
    """Return a message of LangChain from one of the log, or from a draft."""
    beside = (row.get("provider") or {}).get("langgraph") or {}
    if whole := beside.get("whole"):
        revived: BaseMessage = serde.loads_typed((whole[0], base64.b64decode(whole[1])))
        return revived
    calls = row.get("tool_calls") or beside.get("tool_calls")
    row, beside = unescape(row), unescape(beside)
    name = beside.get("class") or CLASSES[row["role"]]
    fields: Json = dict(beside.get("fields", {}))
    fields["content"] = blocks_of(row, beside)
    fields["id"] = beside["id"] if "id" in beside else row.get("external_id")
    if row.get("name") is not None:
        fields["name"] = row["name"]
    if calls:  # escaped texts inside of JSON
        fields["tool_calls"] = [unescape(made_call(call)) for call in calls]
    if row["role"] == "tool":
        fields["tool_call_id"] = row.get("tool_call_id") or ""
    made: BaseMessage = getattr(messages_module, name)(**fields)
    return made


def blocks_of(row: Json, beside: Json) -> Any:
    """Return the content of a message of LangChain: a text, or a list of blocks."""
    parts = list(row.get("parts") or ())
    if not parts and "blocks" not in beside and "list" not in beside:
        return row.get("content") or ""
    for place, block in beside.get("blocks", ()):
        parts.insert(place, block)
    for place in beside.get("texts", ()):
        parts[place] = parts[place]["text"]
    return parts


def made_call(call: Json) -> Json:
    """Return a call of a tool as LangChain has it."""
    made = call.get("function") or {}
    try:
        arguments = json.loads(made.get("arguments") or "{}")
    except ValueError:
        arguments = {}
    return {"name": made.get("name", ""), "args": arguments, "id": call.get("id"), "type": "tool_call"}


def equal(one: BaseMessage, other: BaseMessage) -> bool:
    """Whether two messages are the same."""
    return type(one) is type(other) and bool(one == other)


def copied(message: BaseMessage) -> BaseMessage:
    """Return a copy of a message that shares nothing with it which could be changed in place."""
    made = message.model_copy()
    fields = made.__dict__
    for name, value in fields.items():
        if value.__class__ is not str and value is not None:
            fields[name] = copied_value(value)
    return made


def copied_value(value: Any) -> Any:
    """Return a copy of a value; copy.deepcopy takes ten times as long for what messages mostly have."""
    kind = value.__class__
    if kind in (str, int, float, bool) or value is None:
        return value
    if kind is dict:
        return {name: copied_value(inner) for name, inner in value.items()}
    if kind is list:
        return [copied_value(inner) for inner in value]
    return copy.deepcopy(value)


def is_list_of_messages(value: Any) -> bool:
    """Whether a value is a list of messages, and of nothing else."""
    return (
        type(value) is list
        and bool(value)
        and all(isinstance(one, BaseMessage) and not isinstance(one, RemoveMessage) for one in value)
    )


# A saver knows versions, and sends and reads values.


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
    where : namespace and checkpoint of the values
    """

    def __init__(self, serde: Any, known: Known | None, where: tuple[str, str]) -> None:
        self.serde = serde
        self.known = known
        self.where = where
        self.uses_known = False
        self.placed: list[Json] = []
        self.places: dict[str, int] = {}
        self.messages: list[BaseMessage] = []
        self.drafts: dict[int, Json] = {}

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
        self.placed.append({"digest": digest, "message": draft})
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
        digest = digest_of(draft)
        id = draft_id(digest)
        self.drafts[id] = {"id": id, "digest": digest, "message": draft}
        return {MARK: ["draft", *self.where, id, message.id and escape(message.id), form]}

    def kept(self) -> Jsonb:
        """Return the messages that values name."""
        return Jsonb(list(self.drafts.values()))


def draft_id(digest: str) -> int:
    """Return the id of a draft: nothing confirms a guess of its words once the process has ended."""
    made = hashlib.blake2b(digest.encode(), digest_size=8, key=SECRET).digest()
    return int.from_bytes(made, "big", signed=True)


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
    """

    def __init__(self, serde: Any, rows: Sequence[Any], known: Known | None) -> None:
        self.serde = serde
        self.rows = rows
        is_current = known is not None and (known.context_id, known.stamp) == (
            rows[0].context_id,
            rows[0].stamp,
        )
        self.known = known if known is not None and is_current else Known(rows[0].context_id, rows[0].stamp)
        self.values = [
            [
                serde.loads_typed((kind, data)) if data is not None else None
                for kind, data in zip(*pair, strict=True)
            ]
            for row in rows
            for pair in (
                (row.blob_types or (), row.blob_data or ()),
                (row.write_types or (), row.write_data or ()),
            )
        ]
        self.spans = [pairs(text) for row in rows for text in row.blob_spans or () if text is not None]
        self.names: set[tuple[Any, ...]] = set()
        self.versions: dict[int, BaseMessage] = {}
        self.drafts: dict[tuple[Any, ...], BaseMessage] = {}
        self.named: set[int] = set()
        self.find(self.values)

    def find(self, value: Any) -> None:
        """Collect what values name."""
        if type(value) is dict:
            reference = value.get(MARK) if value.keys() == {MARK} else None
            if reference is None:
                self.find(list(value.values()))
            elif reference[0] == "version":
                self.named.add(reference[1])
            elif reference[0] == "draft":
                self.names.add(tuple(reference[1:4]))
            else:
                self.find(list(reference[1].values()))
        elif type(value) in (list, tuple):
            for inner in value:
                self.find(inner)
        elif isinstance(value, SendProtocol) and hasattr(value, "arg"):
            self.find(value.arg)

    def wanted(self) -> tuple[list[int], Jsonb] | None:
        """Return the spans and drafts to read; None if there are none."""
        wanted = {
            version for spans in self.spans for first, last in spans for version in range(first, last + 1)
        }
        wanted |= self.named
        known = self.known.messages
        self.versions = {version: known[version] for version in wanted if version in known}
        missing: list[int] = []
        for version in sorted(wanted - self.versions.keys()):
            if missing and missing[-1] == version - 1:
                missing[-1] = version
            else:
                missing += [version, version]
        if not missing and not self.names:
            return None
        return missing, Jsonb([list(name) for name in sorted(self.names)])

    def read(self, contents: Iterable[Any]) -> None:
        """Take the messages that were read."""
        linked = {}
        for row in contents:
            if row.draft is None:
                self.versions[row.version] = to_message(row.message, self.serde)
            elif row.version is None:
                self.drafts[tuple(row.draft)] = to_message(row.message, self.serde)
            else:
                linked[tuple(row.draft)] = row.version
        self.drafts.update({name: self.versions[version] for name, version in linked.items()})

    def messages(self, spans: list[tuple[int, int]]) -> list[BaseMessage]:
        """Return the messages of spans, copies that a caller may change."""
        return [copied(self.versions[version]) for first, last in spans for version in range(first, last + 1)]

    def decoded(self, value: Any) -> Any:
        """Return a value with messages in place of references."""
        if type(value) is dict:
            if value.keys() == {MARK}:
                return self.revived(value[MARK])
            return {name: self.decoded(one) for name, one in value.items()}
        if type(value) is list:
            return [self.decoded(one) for one in value]
        if type(value) is tuple:
            return tuple(self.decoded(one) for one in value)
        if isinstance(value, SendProtocol) and hasattr(value, "arg"):
            value.arg = self.decoded(value.arg)
        return value

    def revived(self, reference: list[Any]) -> Any:
        """Return what a reference names."""
        kind, *rest = reference
        if kind == "literal":
            return {name: self.decoded(one) for name, one in rest[0].items()}
        if kind == "version":
            version, form = rest
            made = copied(self.versions[version])
        else:
            *name, own_id, form = rest
            made = copied(self.drafts[tuple(name)])
            made.id = unescape(own_id)
        return made if form is None else in_form(made, form)


def pairs(text: str) -> list[tuple[int, int]]:
    """Return spans from their text."""
    numbers = list(map(int, text.split()))
    return list(zip(numbers[::2], numbers[1::2], strict=True))


class Stored(NamedTuple):
    """The row of kata_langgraph.put_checkpoint."""

    context_id: UUID
    versions: list[int] | None


class Found(NamedTuple):
    """A row of kata_langgraph.checkpoints."""

    thread_id: str
    context_id: UUID
    stamp: str
    checkpoint_ns: str
    id: str
    parent_id: str | None
    type: str
    body: bytes
    metadata: Json
    blob_channels: list[str] | None
    blob_types: list[str] | None
    blob_data: list[bytes | None] | None
    blob_spans: list[str | None] | None
    write_tasks: list[str] | None
    write_channels: list[str] | None
    write_types: list[str] | None
    write_data: list[bytes] | None


class Content(NamedTuple):
    """A row of kata_langgraph.contents."""

    version: int | None
    draft: list[Any] | None
    message: Json | None


class Single(NamedTuple):
    """A row with one value."""

    value: Any


class Statement(NamedTuple):
    """A statement, its arguments, and what its rows are; each is a transaction of its own."""

    text: str
    arguments: Sequence[Any]
    row: Callable[..., Any] = Single
    reads: bool = False


# A call: yields statements, receives their rows, returns its result.
Flow = Generator[Statement, Any, T]


class Put(NamedTuple):
    """The arguments of put."""

    config: Any
    checkpoint: Any
    metadata: Any
    new_versions: Any

    @property
    def result(self) -> Any:
        """The config of the checkpoint that is stored."""
        configurable = self.config["configurable"]
        names = {
            "thread_id": configurable["thread_id"],
            "checkpoint_ns": configurable.get("checkpoint_ns", ""),
        }
        return {"configurable": {**names, "checkpoint_id": self.checkpoint["id"]}}


class PutWrites(NamedTuple):
    """The arguments of put_writes."""

    config: Any
    writes: Sequence[tuple[str, Any]]
    task_id: str
    task_path: str


def thread_of(config: Any) -> str:
    """Return the id of the thread of a config."""
    return str(config["configurable"]["thread_id"])


def context_name(thread: str) -> str:
    """Return the name of the context of a thread: its id, or a digest of one that cannot be a name."""
    if 0 < len(thread) <= 255 and thread.isprintable() and escape(thread) == thread:
        return thread
    return f"langgraph-{hashlib.sha256(thread.encode(errors='surrogatepass')).hexdigest()}"


def arguments_of_get(config: Any) -> list[Any]:
    """Return the arguments of kata_langgraph.checkpoints, for one checkpoint."""
    configurable = config["configurable"]
    checkpoint_id, name = get_checkpoint_id(config), context_name(thread_of(config))
    found = None if checkpoint_id is None else escape(checkpoint_id)
    return [name, escape(configurable.get("checkpoint_ns", "")), found, None, None, 1, None, None, None]


class Pages:
    """The pages of a list.

    Parameters
    ----------
    config, filter, before, limit : as of list
    """

    def __init__(self, config: Any, filter: Json | None, before: Any, limit: int | None) -> None:
        configurable = config["configurable"] if config else {}
        names = (
            configurable.get("checkpoint_ns"),
            configurable.get("checkpoint_id"),
            before and get_checkpoint_id(before),
        )
        self._given = [
            context_name(thread_of(config)) if config else None,
            *(None if name is None else escape(name) for name in names),
            Jsonb(escaped(filter)) if filter else None,
        ]
        self._last: tuple[Any, ...] = (None, None, None)
        self.left = math.inf if limit is None else max(limit, 0)

    def arguments(self) -> list[Any]:
        """Return the arguments of kata_langgraph.checkpoints for the next page."""
        return [*self._given, int(min(self.left, PAGE)), *self._last]

    def taken(self, made: list[CheckpointTuple], last: Any) -> list[CheckpointTuple]:
        """Return a page, and go on after its last row; there is none after the last page."""
        self.left = 0 if last is None else self.left - len(made)
        self._last = (None, None, None) if last is None else place_of(last)
        return made


def place_of(row: Any) -> tuple[Any, ...]:
    """Return the place of a row of kata_langgraph.checkpoints."""
    return row.id, row.context_id, row.checkpoint_ns


def copy_arguments(source: Any, target: Any) -> tuple[str, str, str]:
    """Return the arguments of kata_langgraph.copy_thread."""
    return context_name(str(source)), context_name(str(target)), escape(str(target))


def prune_arguments(thread_ids: Sequence[str], strategy: str) -> tuple[list[str], str]:
    """Return the arguments of kata_langgraph.prune."""
    if strategy not in ("keep_latest", "delete"):
        raise MisuseError(f'prune knows no strategy "{strategy}"', hint="pass keep_latest or delete")
    return [context_name(str(thread)) for thread in thread_ids], strategy


def sending(text: str, *arguments: Any) -> "Flow[None]":
    """Send one statement whose rows do not matter."""
    yield Statement(text, arguments)


def schema_statements() -> tuple[str, str]:
    """Return the SQL of the schema, and the mark that its comment has once it is installed."""
    text = SCHEMA.read_text("utf-8")
    mark = f"Checkpoints of LangGraph, {hashlib.sha256(text.encode()).hexdigest()}"
    opening = """
set local role kata_owner;
lock table kata_data.migration in share row exclusive mode;
reset role;
create schema if not exists kata_langgraph authorization kata_owner;
set local role kata_owner;
"""
    return f"{opening}{text}\ncomment on schema kata_langgraph is '{mark}';\nreset role;", mark


class _Saver(BaseCheckpointSaver[int]):
    """What the savers share: which statements they send, and what they make of the rows."""

    def __init__(self, *, serde: Any = None) -> None:
        super().__init__(serde=serde)
        if isinstance(self.serde, EncryptedSerializer):
            raise MisuseError(
                "messages are not encrypted by a serializer",
                detail="They are text in the log, where windows and search read them.",
                hint="encrypt the disk of the server, or pass a serializer that does not encrypt",
            )
        self._known: dict[str, Known] = {}
        self._lock = Lock()

    def get_next_version(self, current: Any, channel: None) -> int:
        """Return the next version of a channel, another one on each branch of a thread."""
        now = (
            0 if current is None else int(current.split(".")[0]) if isinstance(current, str) else int(current)
        )
        return (((now >> 32) if now >= 1 << 32 else now) + 1 << 32) + random.getrandbits(32)

    def _known_of(self, name: str) -> Known | None:
        with self._lock:
            return self._known.get(name)

    def _learn(self, name: str, known: Known, messages: Iterable[tuple[BaseMessage, int]]) -> None:
        """Remember messages of a thread."""
        with self._lock:
            found = self._known.pop(name, None)
            if (
                found is None
                or found.context_id != known.context_id
                or known.stamp not in (None, found.stamp)
            ):
                found = known
            for message, version in messages:
                found.learn(message, version)
            self._known[name] = found
            while len(self._known) > THREADS:
                del self._known[next(iter(self._known))]

    def _forget(self, name: str) -> None:
        with self._lock:
            self._known.pop(name, None)

    def _put(self, given: "Put", known: Known | None) -> tuple[Statement, Outgoing]:
        """Return the statement that stores a checkpoint."""
        configurable = given.config["configurable"]
        thread, namespace = thread_of(given.config), escape(configurable.get("checkpoint_ns", ""))
        checkpoint_id = escape(given.checkpoint["id"])
        outgoing = Outgoing(self.serde, known, (namespace, checkpoint_id))
        body = {key: value for key, value in given.checkpoint.items() if key != "channel_values"}
        values = given.checkpoint["channel_values"]
        lists, blobs = {}, []
        for channel in given.new_versions:
            if channel not in values:
                continue
            value = values[channel]
            inner = value.value if isinstance(value, _DeltaSnapshot) else value
            if is_list_of_messages(inner):
                kind = "messages" if inner is value else "snapshot"
                lists[escape(channel)] = {"type": kind, "items": outgoing.items(inner)}
            else:
                blobs.append((channel, value))
        encoded = [
            (escape(channel), *self.serde.dumps_typed(outgoing.encoded(value, channel)))
            for channel, value in blobs
        ]
        versions = given.checkpoint["channel_versions"]
        channels = {escape(name): str(versions[name]) for name in values if name in versions}
        metadata = escaped(get_serializable_checkpoint_metadata(given.config, given.metadata))
        parent = get_checkpoint_id(given.config)
        arguments = [
            context_name(thread), escape(thread), outgoing.context_id, namespace, checkpoint_id,
            parent and escape(parent), *self.serde.dumps_typed(body), Jsonb(channels), Jsonb(metadata),
            *([one[place] for one in encoded] for place in range(3)),
            Jsonb(lists), Jsonb(outgoing.placed), outgoing.kept(),
        ]  # fmt: skip
        return Statement(PUT, arguments, Stored), outgoing

    def _put_writes(self, given: "PutWrites", known: Known | None) -> tuple[Statement, Outgoing]:
        """Return the statement that stores writes."""
        configurable = given.config["configurable"]
        thread, namespace = thread_of(given.config), escape(configurable.get("checkpoint_ns", ""))
        checkpoint_id = escape(configurable["checkpoint_id"])
        outgoing = Outgoing(self.serde, known, (namespace, checkpoint_id))
        encoded = [
            self.serde.dumps_typed(outgoing.encoded(value, channel)) for channel, value in given.writes
        ]
        channels = [channel for channel, _ in given.writes]
        arguments = [
            context_name(thread), escape(thread), outgoing.context_id, namespace, checkpoint_id,
            escape(given.task_id), escape(given.task_path),
            [WRITES_IDX_MAP.get(channel, place) for place, channel in enumerate(channels)],
            list(map(escape, channels)), [kind for kind, _ in encoded], [data for _, data in encoded],
            outgoing.kept(), all(channel in WRITES_IDX_MAP for channel in channels),
        ]  # fmt: skip
        return Statement(PUT_WRITES, arguments), outgoing

    def _tuple(self, row: Any, incoming: Incoming, values: list[Any], writes: list[Any]) -> CheckpointTuple:
        """Return a checkpoint from its row."""
        thread, namespace = unescape(row.thread_id), unescape(row.checkpoint_ns)

        def config(checkpoint_id: str) -> Any:
            names = {
                "thread_id": thread,
                "checkpoint_ns": namespace,
                "checkpoint_id": unescape(checkpoint_id),
            }
            return {"configurable": names}

        channels = {}
        for channel, kind, spans, value in zip(
            row.blob_channels or (), row.blob_types or (), row.blob_spans or (), values, strict=True
        ):
            found = incoming.decoded(value) if spans is None else incoming.messages(pairs(spans))
            channels[unescape(channel)] = _DeltaSnapshot(found) if kind == "snapshot" else found
        body = self.serde.loads_typed((row.type, row.body))
        pending = zip(row.write_tasks or (), row.write_channels or (), writes, strict=True)
        return CheckpointTuple(
            config(row.id),
            {**body, "channel_values": channels},
            unescape(row.metadata),
            None if row.parent_id is None else config(row.parent_id),
            [
                (unescape(task), unescape(channel), incoming.decoded(value))
                for task, channel, value in pending
            ],
        )

    def _page(self, rows: Sequence[Any]) -> list[Incoming]:
        """Return the values of rows, by context."""
        contexts: dict[UUID, list[Any]] = {}
        for row in rows:
            contexts.setdefault(row.context_id, []).append(row)
        return [
            Incoming(self.serde, found, self._known_of(context_name(unescape(found[0].thread_id))))
            for found in contexts.values()
        ]

    def _tuples(self, incoming: Incoming) -> list[CheckpointTuple]:
        """Return checkpoints of one context, and remember their messages."""
        rows = incoming.rows
        values = iter(incoming.values)
        made = [self._tuple(row, incoming, next(values), next(values)) for row in rows]
        learned = [
            (message, version)
            for version, message in sorted(incoming.versions.items())
            if incoming.known.messages.get(version) is not message
        ]
        self._learn(context_name(unescape(rows[0].thread_id)), incoming.known, learned)
        return made

    # The calls, as the statements that they send; each receives the rows.

    def _storing(
        self, make: Callable[[Known | None], tuple[Statement, Outgoing]], config: Any
    ) -> "Flow[None]":
        name = context_name(thread_of(config))
        statement, outgoing = make(self._known_of(name))
        rows = yield statement
        if rows[0][-1] in (None, False):  # the thread is another context by now
            self._forget(name)
            statement, outgoing = make(None)
            rows = yield statement
        if outgoing.messages:
            known = Known(rows[0].context_id)
            self._learn(name, known, zip(map(copied, outgoing.messages), rows[0].versions, strict=True))

    def _reading(self, arguments: list[Any]) -> "Flow[tuple[list[CheckpointTuple], Any]]":
        """Return a page of checkpoints, and its last row."""
        rows = yield Statement(CHECKPOINTS, arguments, Found, reads=True)
        found: dict[tuple[Any, ...], CheckpointTuple] = {}
        for incoming in self._page(rows):
            if wanted := incoming.wanted():
                context_id = incoming.rows[0].context_id
                incoming.read((yield Statement(CONTENTS, (context_id, *wanted), Content, reads=True)))
            made = self._tuples(incoming)
            found.update(zip(map(place_of, incoming.rows), made, strict=True))
        return [found[place_of(row)] for row in rows], rows[-1] if len(rows) == arguments[5] else None


class KataSaver(_Saver):
    """A checkpointer that stores threads as contexts; its asynchronous methods run in threads.

    Threads and event loops share it, on the connections of one `Kata`.

    Parameters
    ----------
    kata : the store
    serde : serializes values that are not messages; None for the one of LangGraph
    """

    def __init__(self, kata: Kata, *, serde: Any = None) -> None:
        super().__init__(serde=serde)
        self.kata = kata

    @classmethod
    @contextmanager
    def from_conn_string(cls, dsn: str | None = None, **options: Any) -> Iterator["KataSaver"]:
        """Open a saver on a database, with the options of Kata, and close it."""
        with Kata(dsn, **options) as kata:
            yield cls(kata)

    def setup(self) -> None:
        """Create the tables, or bring them up to date; the role is one that migrates the database."""
        text, mark = schema_statements()
        with self.kata.transaction() as transaction:
            if transaction.select(INSTALLED) != [(mark,)]:
                transaction.connection.execute(text.encode())

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        """Return the checkpoint that a config names, or the newest of its thread."""
        made, _ = self._run(self._reading(arguments_of_get(config)))
        return made[0] if made else None

    def list(
        self, config: Any, *, filter: Json | None = None, before: Any = None, limit: int | None = None
    ) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, newest first."""
        pages = Pages(config, filter, before, limit)
        while pages.left:
            yield from pages.taken(*self._run(self._reading(pages.arguments())))

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Store a checkpoint; the messages that its state brings are appended to the log."""
        given = Put(config, checkpoint, metadata, new_versions)
        self._run(self._storing(partial(self._put, given), config))
        return given.result

    def put_writes(
        self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store writes of a task after a checkpoint."""
        given = PutWrites(config, writes, task_id, task_path)
        self._run(self._storing(partial(self._put_writes, given), config))

    def delete_thread(self, thread_id: str) -> None:
        """Delete the context of a thread, which kata.restore_context brings back until it is purged."""
        self._run(sending(DELETE, context_name(str(thread_id))))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints and writes of runs; their messages stay in the log."""
        self._run(sending(DELETE_RUNS, escaped(run_ids)))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread: the context of the copy is a fork, which shares the messages."""
        self._run(sending(COPY, *copy_arguments(source_thread_id, target_thread_id)))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove all checkpoints but the newest of each namespace, or all; messages stay in the log."""
        self._run(sending(PRUNE, *prune_arguments(thread_ids, strategy)))

    def _run(self, flow: "Flow[T]") -> T:
        """Send the statements of a call."""
        rows = None
        while True:
            try:
                text, arguments, row, reads = flow.send(rows)
            except StopIteration as ended:
                result: T = ended.value
                return result
            rows = list(starmap(row, self.kata.select(text, *arguments, reads=reads)))

    async def aget_tuple(self, config: Any) -> CheckpointTuple | None:
        """Return the checkpoint that a config names, or the newest of its thread."""
        return await asyncio.to_thread(self.get_tuple, config)

    async def alist(
        self, config: Any, *, filter: Json | None = None, before: Any = None, limit: int | None = None
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield checkpoints, newest first."""
        pages = Pages(config, filter, before, limit)
        while pages.left:
            for found in pages.taken(*await asyncio.to_thread(self._run, self._reading(pages.arguments()))):
                yield found

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Store a checkpoint; the messages that its state brings are appended to the log."""
        return await asyncio.to_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store writes of a task after a checkpoint."""
        await asyncio.to_thread(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete the context of a thread, which kata.restore_context brings back until it is purged."""
        await asyncio.to_thread(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints and writes of runs; their messages stay in the log."""
        await asyncio.to_thread(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread: the context of the copy is a fork, which shares the messages."""
        await asyncio.to_thread(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove all checkpoints but the newest of each namespace, or all; messages stay in the log."""
        await asyncio.to_thread(partial(self.prune, strategy=strategy), thread_ids)


class AsyncKataSaver(_Saver):
    """A checkpointer for one event loop, on the connections of an `AsyncKata`.

    Its synchronous methods serve the threads of that loop's program. A program with several loops takes a
    `KataSaver`, whose asynchronous methods serve all of them.

    Parameters
    ----------
    kata : the store
    serde : serializes values that are not messages; None for the one of LangGraph
    """

    def __init__(self, kata: AsyncKata, *, serde: Any = None) -> None:
        super().__init__(serde=serde)
        self.kata = kata
        self._loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls, dsn: str | None = None, **options: Any
    ) -> AsyncIterator["AsyncKataSaver"]:
        """Open a saver on a database, with the options of AsyncKata, and close it."""
        async with AsyncKata(dsn, **options) as kata:
            yield cls(kata)

    async def setup(self) -> None:
        """Create the tables, or bring them up to date; the role is one that migrates the database."""
        text, mark = schema_statements()
        async with self.kata.transaction() as transaction:
            if await transaction.select(INSTALLED) != [(mark,)]:
                await transaction.connection.execute(text.encode())

    async def aget_tuple(self, config: Any) -> CheckpointTuple | None:
        """Return the checkpoint that a config names, or the newest of its thread."""
        made, _ = await self._run(self._reading(arguments_of_get(config)))
        return made[0] if made else None

    async def alist(
        self, config: Any, *, filter: Json | None = None, before: Any = None, limit: int | None = None
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield checkpoints, newest first."""
        pages = Pages(config, filter, before, limit)
        while pages.left:
            for found in pages.taken(*await self._run(self._reading(pages.arguments()))):
                yield found

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Store a checkpoint; the messages that its state brings are appended to the log."""
        given = Put(config, checkpoint, metadata, new_versions)
        await self._run(self._storing(partial(self._put, given), config))
        return given.result

    async def aput_writes(
        self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store writes of a task after a checkpoint."""
        given = PutWrites(config, writes, task_id, task_path)
        await self._run(self._storing(partial(self._put_writes, given), config))

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete the context of a thread, which kata.restore_context brings back until it is purged."""
        await self._run(sending(DELETE, context_name(str(thread_id))))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints and writes of runs; their messages stay in the log."""
        await self._run(sending(DELETE_RUNS, escaped(run_ids)))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread: the context of the copy is a fork, which shares the messages."""
        await self._run(sending(COPY, *copy_arguments(source_thread_id, target_thread_id)))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove all checkpoints but the newest of each namespace, or all; messages stay in the log."""
        await self._run(sending(PRUNE, *prune_arguments(thread_ids, strategy)))

    async def _run(self, flow: "Flow[T]") -> T:
        """Send the statements of a call."""
        self._loop = asyncio.get_running_loop()
        rows = None
        while True:
            try:
                text, arguments, row, reads = flow.send(rows)
            except StopIteration as ended:
                result: T = ended.value
                return result
            rows = list(starmap(row, await self.kata.select(text, *arguments, reads=reads)))

    # From other threads than that of the loop.

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        """Return the checkpoint that a config names, or the newest of its thread."""
        return self._from_thread(self.aget_tuple(config))

    def list(
        self, config: Any, *, filter: Json | None = None, before: Any = None, limit: int | None = None
    ) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, newest first."""
        pages = Pages(config, filter, before, limit)
        while pages.left:
            yield from pages.taken(*self._from_thread(self._run(self._reading(pages.arguments()))))

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Store a checkpoint; the messages that its state brings are appended to the log."""
        return self._from_thread(self.aput(config, checkpoint, metadata, new_versions))

    def put_writes(
        self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store writes of a task after a checkpoint."""
        self._from_thread(self.aput_writes(config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        """Delete the context of a thread, which kata.restore_context brings back until it is purged."""
        self._from_thread(self.adelete_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints and writes of runs; their messages stay in the log."""
        self._from_thread(self.adelete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread: the context of the copy is a fork, which shares the messages."""
        self._from_thread(self.acopy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove all checkpoints but the newest of each namespace, or all; messages stay in the log."""
        self._from_thread(self.aprune(thread_ids, strategy=strategy))

    def _from_thread(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call in the event loop of the saver, and wait for it."""
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if self._loop is None or self._loop is running or not self._loop.is_running():
            call.close()
            raise MisuseError(
                "a synchronous call of AsyncKataSaver needs another thread than that of its event loop",
                hint="await the asynchronous method, or take a KataSaver",
            )
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()
