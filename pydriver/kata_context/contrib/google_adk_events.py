"""Events of the Agent Development Kit as messages of the log, and back.

Content becomes messages by the rules of `from_gemini`. All other fields are metadata of the first message,
under the key `google_adk`.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

from kata_context import MessageRow, Transaction
from kata_context.adapters import escape, from_gemini, unescape
from kata_context.contrib.escaping import escaped
from kata_context.errors import KataError

try:
    from google.adk.events.event import Event
    from pydantic_core import to_jsonable_python
except ImportError as error:
    raise KataError(
        "google-adk is not installed", hint="run: pip install 'kata-context[google-adk]'"
    ) from error

Fields = dict[str, Any]
OWN = "google_adk"  # in the metadata of contexts and messages
EVENT = "google_adk.event"  # the kind of a record
# Fields of a call that are not those of its part.
OF_CALL = {"partialArgs", "willContinue"}


def write_event(transaction: Transaction, context_id: UUID, event: Event, delta: Fields) -> None:
    """Write an event as messages; as a record, if it has no content that messages can be."""
    fields = event.model_dump(mode="json", exclude_none=True, exclude={"content"}, fallback=str)
    fields["actions"]["state_delta"] = to_jsonable_python(delta, fallback=str)
    content = event.content and event.content.model_dump(mode="json", exclude_none=True, by_alias=True)
    drafts: list[Any] = []
    if content and content.get("parts"):
        moment = datetime.fromtimestamp(event.timestamp, timezone.utc).isoformat()
        role = content.get("role") or ("user" if event.author == "user" else "model")
        if any("functionResponse" in part for part in content["parts"]):
            role = "user"
        given = content | {"role": role, "external_id": event.id, "occurred_at": moment}
        with suppress(KataError):
            drafts = list(from_gemini([given], on_bad_text="escape"))
    parts = [part for draft in drafts for part in draft.get("parts") or []]
    # A content with calls and results is both turns at once.
    if not drafts or any(part["type"] == "function_call" for part in parts):
        if content is not None:
            fields["content"] = content
        transaction.append_record(context_id, EVENT, escaped(fields), escape(event.id))
        return
    fields["content"] = content
    # Parts that do not come back from the messages as they were are kept beside them.
    if [part for draft in drafts for part in unescape(parts_of(draft.get))] == content["parts"]:
        fields["content"] = {key: value for key, value in content.items() if key != "parts"}
    for draft in drafts:
        draft["metadata"] = {OWN: {"of": escape(event.id)}}
    drafts[0]["metadata"][OWN]["event"] = escaped(fields)
    if event.model_version:
        drafts[0]["model"] = escape(event.model_version)
    transaction.append(context_id, drafts)


def own_fields(row: MessageRow) -> Fields:
    """Return what a message has of its event."""
    return (row.metadata or {}).get(OWN) or {}


def event_of(fields: Any) -> Event:
    """Return the event of its fields."""
    # As JSON, because bytes are base64 there; UTF-8 has no lone surrogates.
    text = json.dumps(unescape(fields), ensure_ascii=False)
    return Event.model_validate_json(text.encode("utf-8", "replace"))


def parts_of(get: Callable[[str], Any]) -> list[Fields]:
    """Return the parts of a content that a message came from: `from_gemini` backwards.

    Parameters
    ----------
    get : returns a field of the message
    """
    given = [_part(part) for part in get("parts") or []]
    if get("role") == "tool":
        return [_result(get, given)]
    if not given and get("content"):
        given = [{"text": get("content")}]
    parts: list[Fields] = []
    calls = list(get("tool_calls") or [])
    for place, part in enumerate([*given, None]):
        while calls and (part is None or calls[0].get("parts_before", len(given)) <= place):
            parts.append(_call(calls.pop(0)))
        if part is not None:
            parts.append(part)
    return parts


def _part(part: Fields) -> Fields:
    part = {key: value for key, value in part.items() if key != "type"}
    return {("text" if key == "thinking" else key): value for key, value in part.items()}


def _call(call: Fields) -> Fields:
    function, other = call["function"], call.get("gemini", {})
    called = {"id": call["id"], "name": function["name"], "args": json.loads(function["arguments"])}
    if other.get("made_id"):
        del called["id"]
    called |= {key: value for key, value in other.items() if key in OF_CALL}
    beside = {key: value for key, value in other.items() if key not in OF_CALL | {"made_id"}}
    return {"functionCall": called} | beside


def _result(get: Callable[[str], Any], parts: list[Fields]) -> Fields:
    other = dict(get("provider") or {})
    key = other.pop("response_key", None)
    response = json.loads(get("content")) if key is None else {key: get("content")}
    answer = {"id": get("tool_call_id"), "name": get("tool_name"), "response": response} | other
    return {"functionResponse": answer | ({"parts": parts[1:]} if parts else {})}
