"""A capability for agents of Pydantic AI: the log has every message, and the model sees a window of it.

agent = Agent(model, capabilities=[KataHistory(kata, budget=8000)])
agent.run_sync("Book it.", conversation_id="support-4711")
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from kata_context import Context, Kata
from kata_context.contrib.following import Chosen, Follower
from kata_context.contrib.pydantic_messages import OWN, external_id, from_kata, to_kata
from kata_context.errors import KataError

try:
    from pydantic_ai.capabilities import AbstractCapability
    from pydantic_ai.messages import ModelMessage
except ImportError as error:
    raise KataError(
        "pydantic-ai is not installed", hint="run: pip install 'kata-context[pydantic-ai]'"
    ) from error


class KataHistory(AbstractCapability[Any]):
    """Appends what is new in the messages of a run to a context, and has the model see the window of that.

    The messages of the run stay as they are. Where the log has messages of a conversation behind the newest
    one that the run has, the caller has gone back, and the log is rewound, unless another writer went on.

    Parameters
    ----------
    kata : a client; its calls run in threads
    context : a name, an id, a handle, or a function that gets the RunContext and returns one; None for the
        conversation_id; a name without a context makes one
    budget : most tokens that the model gets, instructions and tools included; None for the policy's
    reserve : tokens of the budget to leave free besides
    stable_step : as of window
    """

    def __init__(
        self,
        kata: Kata,
        context: Chosen | Callable[[Any], Chosen] | None = None,
        *,
        budget: int | None = None,
        reserve: int = 0,
        stable_step: int = 0,
    ) -> None:
        self.follower = Follower(kata, context, budget, reserve, stable_step, OWN)

    @classmethod
    def get_serialization_name(cls) -> str | None:
        """Return None: a client of a database has no place in a specification."""
        return None

    async def before_model_request(self, ctx: Any, request_context: Any) -> Any:
        """Put the window in place of the messages."""
        messages = request_context.messages
        context = await asyncio.to_thread(self._append, ctx, messages)
        beside = _beside(request_context.model_request_parameters)
        rows = await asyncio.to_thread(self.follower.window, context, beside)
        request_context.messages = from_kata(rows)
        return request_context

    async def before_node_run(self, ctx: Any, *, node: Any) -> Any:
        """Append the answer of the model before its tools run."""
        if ctx.messages and ctx.messages[-1].kind == "response":
            await asyncio.to_thread(self._append, ctx, ctx.messages)
        return node

    async def wrap_run(self, ctx: Any, *, handler: Callable[[], Awaitable[Any]]) -> Any:
        """Append what came last."""
        result = await handler()
        await asyncio.to_thread(self._append, ctx, result.all_messages())
        return result

    def _append(self, ctx: Any, messages: Sequence[ModelMessage]) -> Context:
        """Append what is new behind the newest message that the log has, and return the context."""
        thread = ctx.conversation_id
        context = self.follower.context(ctx, thread)
        known = self.follower.known(context, messages, external_id, thread, ctx.run_id)
        if new := to_kata(messages[known:], thread, ctx.run_id):
            context.append(new, on_duplicate="skip")
        return context


def _beside(parameters: Any) -> list[str]:
    """Return instructions and tools as texts."""
    texts = [part.content for part in parameters.instruction_parts or []]
    for tool in [*parameters.function_tools, *parameters.output_tools]:
        texts.append(json.dumps([tool.name, tool.description, tool.parameters_json_schema], default=str))
    return texts


__all__ = ["KataHistory", "from_kata", "to_kata"]
