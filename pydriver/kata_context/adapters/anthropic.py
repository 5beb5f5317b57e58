"""Turns of the Anthropic Messages form."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

from kata_context.adapters.reading import (
    Call,
    CallIds,
    Fields,
    OnBadText,
    Reader,
    add_fields,
    add_metadata,
    assistant_message,
    call_of,
    message_of,
    parts_of,
    refuses_depth,
    rest,
)
from kata_context.errors import KataError
from kata_context.types import Message

_ROLES = ("user", "assistant", "system")


@refuses_depth
def from_anthropic(
    messages: Iterable[Any], system: str | list[Any] | None = None, *, on_bad_text: OnBadText = "refuse"
) -> list[Message]:
    """Convert messages of the Anthropic form.

    A turn of the user with results of tools becomes one message per result, and one per run of other blocks.
    Turns of the assistant with one id are one message: logs have answers in pieces, results between them.

    Parameters
    ----------
    messages : turns of the Messages API: mappings, or the models of its package, and whole answers
    system : the system prompt, text or blocks, None for none
    on_bad_text : escape what Postgres does not store (NUL, lone surrogates), or let `append` refuse it

    Raises
    ------
    KataError : a turn or a block is not an object, or stands where the form has no place for it
    """
    reader, ids = Reader(on_bad_text), CallIds()
    converted = []
    if system:
        converted.append(message_of("system", parts_of(reader.json(system, "system"), "the system prompt")))
    for where, turn, blocks in _turns(reader.messages(messages)):
        role = turn["role"]
        misplaced = {"user": "tool_use", "assistant": "tool_result"}.get(role)
        if any(block["type"] == misplaced for block in blocks):
            raise KataError(
                f"{where} has the role {role} and a block of type {misplaced}",
                hint="the assistant calls, and the next turn of the user has the results",
            )
        if role == "user":
            turns = [*_user_messages(blocks, ids)]
        else:
            turns = [_assistant_message(blocks, ids) if role == "assistant" else message_of(role, blocks)]
        converted += add_metadata(turns, rest(turn, ("role", "content", "type")))
    return cast("list[Message]", converted)


def _turns(given: Iterable[tuple[str, Fields]]) -> list[tuple[str, Fields, list[Fields]]]:
    """Return the turns with their blocks; the pieces of one answer are one turn, where the first stands."""
    turns: list[tuple[str, Fields, list[Fields]]] = []
    answers: dict[str, tuple[Fields, list[Fields]]] = {}
    for where, turn in given:
        if turn.get("role") not in _ROLES:
            raise KataError(
                f"{where} has the role {turn.get('role')!r}", hint=f"roles are {', '.join(_ROLES)}"
            )
        blocks = parts_of(turn.get("content"), where)
        id = turn.get("id") if turn["role"] == "assistant" else None
        if isinstance(id, str) and id in answers:
            answers[id][1].extend(blocks)
            answers[id][0]["token_count"] = None  # of a piece only
            continue
        if isinstance(id, str):
            answers[id] = turn, blocks
        turns.append((where, turn, blocks))
    return turns


def _assistant_message(blocks: list[Fields], ids: CallIds) -> Fields:
    parts: list[Fields] = []
    calls = []
    for block in blocks:
        if block["type"] != "tool_use":
            parts.append(block)
            continue
        call = call_of(block.get("name"), block.get("input"))
        other = rest(block, ("type", "id", "name", "input"))
        call |= {"anthropic": other} if other else {}
        calls.append(Call(block.get("id") or "", "call", call, len(parts)))
    return assistant_message(parts, calls, ids)


def _user_messages(blocks: list[Fields], ids: CallIds) -> Iterator[Fields]:
    own: list[Fields] = []
    has_results = False
    for block in blocks:
        if block["type"] != "tool_result":
            own.append(block)
            continue
        has_results = True
        if own:
            yield message_of("user", own)
            own = []
        result = message_of("tool", parts_of(block.get("content"), "a tool_result"))
        result["tool_call_id"] = ids.name_result(block.get("tool_use_id") or "", "call")
        yield add_fields(result, provider=rest(block, ("type", "tool_use_id", "content")))
    if own or not has_results:
        yield message_of("user", own)
