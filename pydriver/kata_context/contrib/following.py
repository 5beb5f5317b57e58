"""A context that follows the messages that an agent holds: what adapters of agents have in common."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from kata_context import Context, Kata, MessageRow, WindowRow
from kata_context.database_errors import BudgetTooSmallError
from kata_context.errors import KataError
from kata_context.tokens import count_tokens

PAGE = 1000
# An agent may hold results whose call it does not hold any more.
POLICY = {"strict": False}
T = TypeVar("T")
Chosen: TypeAlias = str | UUID | Context
BEGINNING = "[beginning of the messages]"
SUMMARY = "[summary of earlier messages]\n"
NO_RESULT = "[no result]"


def with_answers(rows: Iterable[Any]) -> Iterator[tuple[Any, list[tuple[dict[str, Any], Any]]]]:
    """Yield rows of a window or a log, each with its calls and the row of the result of each, None for none.

    A result comes with its call, so a row of the role tool that comes alone has no call. If the last row is a
    result, its call comes last, whatever others wrote meanwhile, because an answer is due.
    """
    rows = list(rows)
    answers: dict[tuple[int, str], Any] = {}
    for row in rows:
        if row.role == "tool":
            answers.setdefault((row.group_version, row.tool_call_id or ""), row)
    found = {
        row.version: [(call, answers.get((row.group_version, call["id"]))) for call in row.tool_calls or []]
        for row in rows
    }
    answering = {answer.version for calls in found.values() for _, answer in calls if answer is not None}
    last = rows[-1].version if rows else None
    due = [row for row in rows if any(answer and answer.version == last for _, answer in found[row.version])]
    for row in [*(row for row in rows if row not in due), *due]:
        if row.version not in answering:
            yield row, found[row.version]


def orphan_text(row: Any) -> str:
    """Return the text that a result without a call becomes."""
    return f"[result of call {row.tool_call_id}] {row.content or ''}"


def body_of(call: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of what a call calls, and its arguments; other text is the only one."""
    if "custom" in call:
        return call["custom"]["name"], {"input": call["custom"]["input"]}
    text = call["function"]["arguments"]
    try:
        arguments = json.loads(text or "{}")
    except ValueError:
        arguments = None
    return call["function"]["name"], arguments if isinstance(arguments, dict) else {"input": text}


class Follower:
    """Finds the context of a run, keeps it in step with the agent, and returns windows of it.

    Parameters
    ----------
    kata : a client
    context : a name, an id, a handle, or a function that gets the run and returns one; None for a
        name from the thread; a name without a context makes one
    budget : most tokens that the model gets, instructions and tools included; None for the policy's
    reserve : tokens of the budget to leave free besides
    stable_step : as of window
    own : the key in the metadata of messages under which an adapter keeps what it needs, the thread too
    """

    def __init__(
        self,
        kata: Kata,
        context: Chosen | Callable[[Any], Chosen] | None,
        budget: int | None,
        reserve: int,
        stable_step: int,
        own: str,
    ) -> None:
        self.kata = kata
        self.chosen = context
        self.budget = budget
        self.reserve = reserve
        self.stable_step = stable_step
        self.own = own

    def context(self, run: Any, default: str | None) -> Context:
        """Return the context of a run; default: its name where none was chosen."""
        chosen = self.chosen(run) if callable(self.chosen) else self.chosen
        if isinstance(chosen, Context):
            return chosen
        if isinstance(chosen, UUID):
            return self.kata.context(chosen)
        name = chosen if chosen is not None else default
        if name is None:
            raise KataError("the run has no thread_id", hint="configure one, or give the adapter a context")
        return self.kata.get_or_create(name, POLICY)

    def known(
        self,
        context: Context,
        messages: Sequence[T],
        identify: Callable[[T], str | None],
        thread: str | None,
        run: str | None,
    ) -> int:
        """Return how many messages of an agent are behind it: all up to the newest one that the log has.

        Where the log has messages of the thread behind that one, the agent has gone back, and the log is
        rewound, unless another writer went on. Within a run no agent goes back: another run is under way.

        Parameters
        ----------
        identify : returns the external id of a message; None for one that is never in the log
        """
        version, count, new = None, len(messages), set()
        while count and version is None:
            id = identify(messages[count - 1])
            version = None if id is None else context.find_message(id)
            if version is None:
                new.add(id)
                count -= 1
        if version is not None and thread is not None:
            self._take_back(context, version, new, thread, run)
        return count

    def _take_back(
        self, context: Context, version: int, present: set[str | None], thread: str, run: str | None
    ) -> None:
        newest = version
        while rows := context.messages(newest, max_rows=PAGE, visibility="raw"):
            for row in rows:
                if row.external_id in present or self._kept(row).get("thread") != thread:
                    return
            newest = rows[-1].version
        if newest > version and self._kept(context.get_message(version)).get("run", "") != run:
            context.rewind(version, expected_version=newest)

    def _kept(self, row: MessageRow) -> dict[str, Any]:
        return (row.metadata or {}).get(self.own) or {}

    def window(self, context: Context, beside: list[str]) -> list[WindowRow]:
        """Return the window.

        Parameters
        ----------
        beside : texts that the model gets besides, such as instructions and descriptions of tools

        Raises
        ------
        BudgetTooSmallError : what always comes is over the budget
        """
        reserve = self.reserve + sum(count_tokens(text, "o200k_base") for text in beside)
        rows = context.window(self.budget, reserve=reserve, stable_step=self.stable_step)
        if rows and rows[0].over_budget:
            tokens = rows[-1].running_tokens
            raise BudgetTooSmallError(
                "the budget does not hold what always comes",
                hint=f"give the adapter a budget of at least {tokens + reserve}, or compact the context",
                detail=f"Messages take {tokens} tokens, what goes beside them {reserve}.",
            )
        return rows
