"""A middleware for agents of LangChain: the log has every message, and the model sees a window of it.

    agent = create_agent(model, tools, middleware=[KataMiddleware(kata, budget=8000)])
    agent.invoke({"messages": "Book it."}, {"configurable": {"thread_id": "support-4711"}})

The state of the agent stays as it is, with any checkpointer or none.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import uuid4

from kata_context import Context, Kata
from kata_context.contrib.following import Chosen, Follower
from kata_context.contrib.langchain_messages import OWN, external_id, from_kata, to_kata
from kata_context.errors import KataError

try:
    from langchain.agents.middleware import AgentMiddleware
    from langchain_core.messages import BaseMessage, RemoveMessage
    from langchain_core.utils.function_calling import convert_to_openai_tool
except ImportError as error:
    raise KataError(
        "langchain is not installed", hint="run: pip install 'kata-context[langchain]'"
    ) from error


class KataMiddleware(AgentMiddleware):
    """Appends what is new in an agent's state to a context, and has the model see the window of that.

    It goes first in the list of middleware, so that the others change what the model gets, not what is kept.
    Messages are told apart by their ids. Where the log has messages of a thread behind the newest one that
    the state has, the agent has gone back, and the log is rewound, unless another writer went on.

    Parameters
    ----------
    kata : a client; its calls run in threads where the agent is asynchronous
    context : a name, an id, a handle, or a function that gets the runtime and returns one; None for
        langchain/<thread_id>; a name without a context makes one
    budget : most tokens that the model gets, system prompt and tools included; None for the policy's
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
        super().__init__()
        self.follower = Follower(kata, context, budget, reserve, stable_step, OWN)

    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """Call the model with the window."""
        return handler(self._windowed(request))

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        """Call the model with the window."""
        return await handler(await asyncio.to_thread(self._windowed, request))

    def after_model(self, state: Any, runtime: Any) -> None:
        """Append what came, the answer of the model, or the result that ends a run."""
        self._append(state["messages"], runtime)

    async def aafter_model(self, state: Any, runtime: Any) -> None:
        """Append what came, the answer of the model, or the result that ends a run."""
        await asyncio.to_thread(self._append, state["messages"], runtime)

    after_agent = after_model
    aafter_agent = aafter_model

    def _windowed(self, request: Any) -> Any:
        """Return a request with the window in place of the messages of the state."""
        context = self._append(request.messages, request.runtime)
        return request.override(messages=from_kata(self.follower.window(context, _beside(request))))

    def _append(self, messages: Sequence[BaseMessage], runtime: Any) -> Context:
        """Append what is new behind the newest message that the log has, and return the context."""
        thread, run = runtime.execution_info.thread_id, runtime.execution_info.run_id
        # A checkpointer that is ours has the context with the name of the thread.
        context = self.follower.context(runtime, thread and f"langchain/{thread}")
        messages = [message for message in messages if not isinstance(message, RemoveMessage)]
        for message in messages:
            message.id = message.id or str(uuid4())  # as the state would give it one
        known = self.follower.known(context, messages, external_id, thread, run)
        if new := messages[known:]:
            context.append(to_kata(new, thread, run), on_duplicate="skip")
        return context


def _beside(request: Any) -> list[str]:
    """Return the system prompt and the tools as texts."""
    texts = [request.system_message.text] if request.system_message else []
    for tool in request.tools:
        described = tool if isinstance(tool, dict) else convert_to_openai_tool(tool)
        texts.append(json.dumps(described, default=str))
    return texts


__all__ = ["KataMiddleware", "from_kata", "to_kata"]
