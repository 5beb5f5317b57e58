"""What the adapters share: reading of what providers and their packages give, and the ids of calls."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import wraps
from itertools import count
from typing import Any, Literal, NamedTuple, ParamSpec, TypeVar

from kata_context.adapters.texts import escape
from kata_context.database_errors import InvalidInputError
from kata_context.errors import KataError

Fields = dict[str, Any]
OnBadText = Literal["refuse", "escape"]
# Fields of `append` that an app may put on a message of a provider.
APPENDED = {"external_id": str, "occurred_at": str, "pinned": bool, "token_count": int}
P = ParamSpec("P")
T = TypeVar("T")


def refuses_depth(adapter: Callable[P, T]) -> Callable[P, T]:
    """Return an adapter that refuses what it cannot walk through."""

    @wraps(adapter)
    def convert(*given: P.args, **options: P.kwargs) -> T:
        try:
            return adapter(*given, **options)
        except RecursionError:
            raise InvalidInputError(
                "the messages are nested too deep, or contain themselves", hint="pass what json.dumps takes"
            ) from None

    return convert


class Reader:
    """Turns what is given into JSON: dicts, and the models of the providers' packages, wherever they stand.

    Parameters
    ----------
    on_bad_text : whether texts that Postgres does not store are escaped; else `append` refuses them
    """

    def __init__(self, on_bad_text: OnBadText) -> None:
        if on_bad_text not in ("refuse", "escape"):
            raise KataError(f"on_bad_text is {on_bad_text!r}", hint="pass 'refuse' or 'escape'")
        self._escapes = on_bad_text == "escape"

    def messages(self, given: Any) -> Iterator[tuple[str, Fields]]:
        """Yield messages, each with its name for errors: message 1, message 2, …"""
        if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
            raise KataError(
                f"messages are {type(given).__name__}, not a list", hint="pass a list, also for one message"
            )
        for number, message in enumerate(given, start=1):
            where = f"message {number}"
            yield where, self.object(message, where)

    def object(self, given: Any, where: str) -> Fields:
        """Return an object of JSON."""
        value = self.json(given, where)
        if not isinstance(value, dict):
            raise KataError(
                f"{where} is {type(given).__name__}, not an object", hint="pass what the provider's API takes"
            )
        return value

    def json(self, given: Any, where: str) -> Any:
        """Return a value of JSON."""
        if isinstance(given, str):
            return escape(given) if self._escapes else given
        if given is None or isinstance(given, (bool, int)):
            return given
        if isinstance(given, float) and math.isfinite(given):
            return given
        if isinstance(given, datetime):
            return given.isoformat()
        if isinstance(given, Mapping):
            return {
                self._key(name, where): self.json(inner, f"{where}, {name}") for name, inner in given.items()
            }
        if isinstance(given, (list, tuple)):
            return [self.json(inner, f"{where}[{place}]") for place, inner in enumerate(given)]
        if hasattr(given, "model_dump"):
            return self.json(given.model_dump(mode="json", exclude_none=True, by_alias=True), where)
        if is_dataclass(given) and not isinstance(given, type):
            values = {field.name: getattr(given, field.name) for field in fields(given)}
            return self.json({name: value for name, value in values.items() if value is not None}, where)
        what = repr(given) if isinstance(given, float) else type(given).__name__
        raise KataError(f"{where} is {what}, which JSON does not have", hint="pass what json.dumps takes")

    def _key(self, name: Any, where: str) -> str:
        if not isinstance(name, str):
            raise KataError(f"{where} has a key that is {type(name).__name__}", hint="keys are texts")
        return escape(name) if self._escapes else name


class CallIds:
    """The ids of calls: each call of a message has one of its own, and results answer them in order."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[str]] = {}
        self._unknown: dict[str, int] = defaultdict(int)

    def name_calls(self, given: list[tuple[str, str]]) -> list[str]:
        """Return the ids of the calls of one message.

        An empty id is made from a prefix and a number, and the second call of an id gets a number, too.

        Parameters
        ----------
        given : of each call its id as given, and the prefix of an id that is made
        """
        taken = {id for id, _ in given}
        names: list[str] = []
        for id, prefix in given:
            key = id or prefix
            if id and id not in names:
                name = id
            else:
                numbered = (f"{key}_{number}" for number in count(2 if id else 1))
                name = next(name for name in numbered if name not in taken)
                taken.add(name)
            names.append(name)
        self._waiting |= {id or prefix: [] for id, prefix in given}
        for (id, prefix), name in zip(given, names, strict=True):
            self._waiting[id or prefix].append(name)
        self._unknown.clear()
        return names

    def name_result(self, given: str, prefix: str) -> str:
        """Return the id of the call that a result answers.

        The call may be of an earlier conversion: an id is then made as it was there.
        """
        if waiting := self._waiting.get(given or prefix):
            return waiting.pop(0)
        if given:
            return given
        self._unknown[prefix] += 1
        return f"{prefix}_{self._unknown[prefix]}"


def call_of(name: Any, arguments: Any) -> Fields:
    """Return a call in the form of tool_calls, without its id; arguments other than a text become JSON."""
    text = arguments if isinstance(arguments, str) else as_text({} if arguments is None else arguments)
    return {"type": "function", "function": {"name": name, "arguments": text}}


class Call(NamedTuple):
    """A call of an assistant's message, before it has an id of its own."""

    given_id: str
    prefix: str
    """Of an id that is made."""
    call: Fields
    place: int | None = None
    """How many parts of the message stand before the call; None for all."""


def assistant_message(parts: list[Fields], calls: list[Call], ids: CallIds, plain: str = "text") -> Fields:
    """Return a message of the assistant; plain: the type of a part that is text."""
    calls = [call._replace(place=None) if call.place == len(parts) else call for call in calls]
    is_apart = any(call.place is not None for call in calls)
    message = {"role": "assistant", "parts": parts} if is_apart else message_of("assistant", parts, plain)
    set_calls(message, calls, ids)
    return message


def set_calls(message: Fields, calls: list[Call], ids: CallIds) -> None:
    """Add calls to the message of an assistant."""
    if not calls:
        return
    names = ids.name_calls([(call.given_id, call.prefix) for call in calls])
    message["tool_calls"] = [
        {"id": name} | call.call | ({} if call.place is None else {"parts_before": call.place})
        for name, call in zip(names, calls, strict=True)
    ]
    renamed = {
        name: call.given_id
        for name, call in zip(names, calls, strict=True)
        if name != call.given_id and "gemini" not in call.call
    }
    if renamed:
        message["metadata"] = message.get("metadata", {}) | {"call_ids": renamed}
    if message.get("content") == "":
        message["content"] = None


def message_of(role: str, parts: list[Fields], plain: str = "text") -> Fields:
    """Return a message: nothing but one plain text is content, anything else parts.

    Parameters
    ----------
    plain : the type of a part that is text
    """
    if not parts:
        return {"role": role, "content": ""}
    if len(parts) == 1 and parts[0].keys() == {"type", "text"} and parts[0]["type"] == plain:
        return {"role": role, "content": parts[0]["text"]}
    return {"role": role, "parts": parts}


def parts_of(content: Any, where: str, plain: str = "text") -> list[Fields]:
    """Return content as a list of parts."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"type": plain, "text": content}]
    if not isinstance(content, list):
        raise KataError(f"the content of {where} is neither text nor a list")
    parts = [{"type": plain, "text": part} if isinstance(part, str) else part for part in content]
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise KataError(
                f"the content of {where} has a part without a type", hint="pass what the provider's API takes"
            )
    return parts


def rest(given: Fields, known: Iterable[str]) -> Fields:
    """Return the fields of an object besides those that are known and those that are null."""
    return {name: value for name, value in given.items() if value is not None and name not in known}


def add_fields(message: Fields, **objects: Fields) -> Fields:
    """Return a message with objects added to those that it has; an empty one adds nothing.

    The model of metadata is the model of the message, and so are the other fields that `append` takes.
    """
    for name, added in objects.items():
        if name == "metadata":
            kinds = APPENDED | {"model": str}
            own = {field: added[field] for field, kind in kinds.items() if type(added.get(field)) is kind}
            message |= own
            added = rest(added, own)
        if added:
            message[name] = message.get(name, {}) | added
    return message


def add_metadata(messages: list[Fields], metadata: Fields) -> list[Fields]:
    """Return the messages of one turn with its fields; the external ids after the first have a number."""
    for number, message in enumerate(messages, start=1):
        add_fields(message, metadata=metadata)
        if len(messages) > 1 and "token_count" in message:
            message["metadata"] = message.get("metadata", {}) | {"token_count": message.pop("token_count")}
        if number > 1 and "external_id" in message:
            message["external_id"] += f"#{number}"
    return messages


def as_text(value: Any) -> str:
    """Return a value as the text of JSON."""
    return json.dumps(value, ensure_ascii=False)
