"""What formats without branches share: documents of a file, and messages that follow one another."""

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

from kata_context.contrib.importers.conversation import MALFORMED, Conversation, Entry, Source, reason
from kata_context.types import Message


def documents(source: Source) -> Iterator[tuple[str, str, Any]]:
    """Yield the conversations of a file: the name that it has by its place, the place, the value.

    A file that is one JSON text holds one conversation, or a list of them; else each line is one.
    """
    values = [("", source.document)]
    if isinstance(source.document, ValueError):
        values = list(source.lines())
    elif isinstance(source.document, list) and _is_list_of_conversations(source.document):
        values = [(f"element {number}", value) for number, value in enumerate(source.document, start=1)]
    for place, value in values:
        number = place.rpartition(" ")[2]
        if not isinstance(value, (dict, list, ValueError)):
            value = ValueError("not an object")
        yield f"{source.name}:{number}" if number else source.name, place or "the file", value


def each(source: Source, read: Callable[[str, str, Any], Conversation]) -> Iterator[Conversation]:
    """Yield what each document of a file is read as; one that cannot be read is wrong."""
    for name, place, document in documents(source):
        try:
            if isinstance(document, ValueError):
                raise document
            yield read(name, place, document)
        except MALFORMED as error:
            yield Conversation(name, wrong=[(place, reason(error))])


def _is_list_of_conversations(values: list[Any]) -> bool:
    return any(isinstance(value, dict) and "role" not in value and "type" not in value for value in values)


def flat(
    name: str,
    place: str,
    given: Any,
    convert: Callable[[list[Any]], list[Message]],
    metadata: dict[str, Any],
) -> Conversation:
    """Return a conversation of messages in a row.

    Parameters
    ----------
    given : the messages as the file has them, each a record
    convert : the adapter of their form
    """
    conversation = Conversation(name, metadata=metadata)
    if not isinstance(given, list):
        conversation.wrong.append((place, "no messages"))
        return conversation
    try:
        messages = convert(given)
    except MALFORMED as error:
        conversation.wrong.append((place, reason(error)))
        conversation.skipped["beside a wrong message"] += max(len(given) - 1, 0)
        return conversation
    for number, message in enumerate(messages, start=1):
        # Of the place and the words: another file of the name is another conversation.
        words = sha256(json.dumps(message, sort_keys=True).encode()).hexdigest()[:12]
        id = message.get("external_id") or f"{number}-{words}"
        conversation.entries.append(Entry(id, conversation.leaf, [message], records=0))
        conversation.leaf = id
    if conversation.entries:
        conversation.entries[0].records = len(given)
    return conversation
