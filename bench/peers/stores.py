"""The stores that are compared, each used as its own documentation says.

A store keeps conversations of messages in the OpenAI chat form. `native` turns them into what the store
takes; that is not timed. Everything else is. Where a store lacks an operation it does what its users do
instead, by the cheapest documented means; the docstrings say what.
"""

import json
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any, ClassVar, TypedDict

import psycopg
from psycopg.types.json import Jsonb

BUDGET = 8_000
PAGE = 256  # messages of a first guess, for stores that can read the newest k

Message = dict[str, Any]


@dataclass(slots=True)
class Conversation:
    """A conversation of a store.

    Parameters
    ----------
    key : what the store knows it by
    length : messages in it
    middle : what the store knows its middle by
    """

    key: Any
    length: int = 0
    middle: Any = None


class RefusedError(Exception):
    """The store refused an append because another client had appended; the caller tries again."""


class Store(ABC):
    """A store, used by one client.

    Parameters
    ----------
    dsn : of the database
    """

    label: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    tables: ClassVar[str]
    """A condition on pg_class, alias t: the tables in which it keeps conversations."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    @classmethod
    def versions(cls) -> dict[str, str]:
        """The packages that it consists of."""
        return {package: version(package) for package in cls.packages}

    @abstractmethod
    async def open(self) -> None:
        """Connect, and make what tables are missing."""

    @abstractmethod
    async def close(self) -> None:
        """Give everything back."""

    @abstractmethod
    async def create(self) -> Conversation:
        """Begin a conversation."""

    @abstractmethod
    def native(self, messages: Sequence[Message]) -> list[Any]:
        """Turn messages into what the store takes."""

    @abstractmethod
    async def append(self, conversation: Conversation, message: Any) -> None:
        """Append a message."""

    @abstractmethod
    async def append_many(self, conversation: Conversation, messages: list[Any]) -> None:
        """Append messages together."""

    @abstractmethod
    async def window(self, conversation: Conversation) -> int:
        """Read the newest messages that fit the budget; return how many."""

    @abstractmethod
    async def window_at_middle(self, conversation: Conversation) -> int:
        """Read the messages that fit the budget as of the middle of the conversation."""

    @abstractmethod
    async def fork_at_middle(self, conversation: Conversation, message: Any) -> Conversation | None:
        """Branch off the middle of the conversation and append a message to the branch."""

    def name(self, conversation: Conversation) -> str:
        """Return by what another client joins the conversation."""
        return str(conversation.key)

    async def join(self, name: str) -> Conversation:
        """Return a conversation that another client began."""
        return Conversation(name)

    @abstractmethod
    async def texts(self, conversation: Conversation) -> list[str]:
        """Return the texts of all messages."""

    async def fill(self, conversation: Conversation, messages: Sequence[Message]) -> None:
        """Append many messages, as fast as may be; not timed."""
        for half in halves(messages):
            for start in range(0, len(half), 1_000):
                await self.append_many(conversation, self.native(half[start : start + 1_000]))
            conversation.length += len(half)
            if conversation.middle is None:
                conversation.middle = await self.here(conversation)

    async def here(self, conversation: Conversation) -> Any:
        """Return what the store knows this moment by; the number of messages where it has no name for it."""
        return conversation.length


def halves(messages: Sequence[Message]) -> tuple[Sequence[Message], Sequence[Message]]:
    """Cut messages in the middle."""
    return messages[: len(messages) // 2], messages[len(messages) // 2 :]


def fitting(items: Sequence[Any], size: Callable[[Any], int]) -> list[Any] | None:
    """Return the newest items that fit the budget, None where all do: there may be more to read."""
    left = BUDGET
    for index in range(len(items) - 1, -1, -1):
        left -= size(items[index])
        if left < 0:
            return list(items[index + 1 :])
    return None


class KataStore(Store):
    """This project, through its driver; tokens are counted exactly at the append."""

    label = "Kata Context"
    packages = ()
    tables = "t.relnamespace = 'kata_data'::regnamespace"

    @classmethod
    def versions(cls) -> dict[str, str]:
        """The driver runs from the tree."""
        from kata_context import __version__

        return {"kata-context": __version__}

    async def open(self) -> None:
        """Open the pool."""
        from kata_context import Kata

        self.kata = Kata(self.dsn)

    async def close(self) -> None:
        """Close the pool."""
        self.kata.close()

    async def create(self) -> Conversation:
        """create_context."""
        return Conversation(self.kata.create_context())

    def native(self, messages: Sequence[Message]) -> list[Any]:
        """The chat form as it is."""
        return [{"content": None, **message} for message in messages]

    async def append(self, conversation: Conversation, message: Any) -> None:
        """append_message."""
        self.kata.append_message(conversation.key, **message)

    async def append_many(self, conversation: Conversation, messages: list[Any]) -> None:
        """One append."""
        self.kata.append(conversation.key, messages)

    async def window(self, conversation: Conversation) -> int:
        """window."""
        return len(self.kata.window(conversation.key, BUDGET))

    async def window_at_middle(self, conversation: Conversation) -> int:
        """window, at a version."""
        return len(self.kata.window(conversation.key, BUDGET, conversation.middle))

    async def fork_at_middle(self, conversation: Conversation, message: Any) -> Conversation:
        """fork, and append_message."""
        fork = Conversation(self.kata.fork(conversation.key, conversation.middle))
        await self.append(fork, message)
        return fork

    async def texts(self, conversation: Conversation) -> list[str]:
        """messages, page by page."""
        found: list[str] = []
        after = None
        while page := self.kata.messages(conversation.key, after, max_rows=1_000):
            found += [row.content or "" for row in page]
            after = page[-1].version
        return found


class BareStore(Store):
    """The limit: a table of messages with the right index, by hand, through psycopg.

    It only stores: no dense versions, no totals, nothing against appending twice or splitting a group.
    """

    label = "bare SQL"
    packages = ("psycopg",)
    tables = "t.relnamespace = 'bare'::regnamespace"

    SCHEMA = """
        create schema if not exists bare;
        create table if not exists bare.conversation (
          conversation_id uuid primary key default gen_random_uuid(),
          created_at timestamptz not null default now());
        create table if not exists bare.message (
          conversation_id uuid, id bigint generated always as identity, role text not null, content text,
          token_count integer not null, tool_call_id text, tool_calls jsonb,
          created_at timestamptz not null default clock_timestamp(), primary key (conversation_id, id))"""
    INSERT = """
        insert into bare.message (conversation_id, role, content, token_count, tool_call_id, tool_calls)
        values (%s, %s, %s, %s, %s, %s)"""
    # Enough rows as long as a message takes 31 tokens on average; these take 69.
    WINDOW = f"""
        select w.id, w.role, w.content, w.token_count, w.tool_call_id, w.tool_calls, w.created_at
        from (
          select m.*, sum(m.token_count) over (order by m.id desc) as running
          from bare.message m
          where m.conversation_id = %s and m.id <= %s
          order by m.id desc
          limit {PAGE}
        ) w
        where w.running <= {BUDGET}
        order by w.id"""
    COPY = """
        with fork as (insert into bare.conversation default values returning conversation_id), copied as (
          insert into bare.message (
            conversation_id, role, content, token_count, tool_call_id, tool_calls, created_at)
          select f.conversation_id, m.role, m.content, m.token_count, m.tool_call_id, m.tool_calls,
            m.created_at
          from fork f
          cross join bare.message m
          where m.conversation_id = %s and m.id <= %s
          order by m.id)
        select f.conversation_id from fork f"""

    async def open(self) -> None:
        """Connect, committing each statement, all of them prepared."""
        self.connection = psycopg.connect(self.dsn, autocommit=True, prepare_threshold=0)
        with self.connection.transaction():
            self.connection.execute("select pg_advisory_xact_lock(4711)")
            for statement in self.SCHEMA.split(";"):
                self.connection.execute(statement.encode())

    async def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    async def create(self) -> Conversation:
        """A row."""
        return Conversation(
            self.value("insert into bare.conversation default values returning conversation_id")
        )

    def value(self, query: str, *parameters: object) -> Any:
        """The only value of a query."""
        row = self.connection.execute(query.encode(), parameters).fetchone()
        assert row is not None
        return row[0]

    def native(self, messages: Sequence[Message]) -> list[Any]:
        """The columns."""
        return [
            (
                m["role"], m.get("content"), 4 + len(json.dumps(m)) // 4, m.get("tool_call_id"),
                Jsonb(m["tool_calls"]) if "tool_calls" in m else None,
            )
            for m in messages
        ]  # fmt: skip

    async def append(self, conversation: Conversation, message: Any) -> None:
        """One INSERT."""
        self.connection.execute(self.INSERT, (conversation.key, *message))

    async def append_many(self, conversation: Conversation, messages: list[Any]) -> None:
        """One transaction, one round trip."""
        with self.connection.transaction():
            self.connection.cursor().executemany(self.INSERT, [(conversation.key, *m) for m in messages])

    async def here(self, conversation: Conversation) -> Any:
        """The greatest id."""
        return self.value(
            "select max(m.id) from bare.message m where m.conversation_id = %s", conversation.key
        )

    async def window(self, conversation: Conversation) -> int:
        """A running sum over the newest rows."""
        return len(self.connection.execute(self.WINDOW, (conversation.key, 2**62)).fetchall())

    async def window_at_middle(self, conversation: Conversation) -> int:
        """The same below an id."""
        return len(self.connection.execute(self.WINDOW, (conversation.key, conversation.middle)).fetchall())

    async def fork_at_middle(self, conversation: Conversation, message: Any) -> Conversation:
        """INSERT … SELECT of the first half, in the server, and one INSERT."""
        with self.connection.transaction():
            fork = Conversation(self.value(self.COPY, conversation.key, conversation.middle))
            await self.append(fork, message)
        return fork

    async def texts(self, conversation: Conversation) -> list[str]:
        """All rows."""
        query = "select m.content from bare.message m where m.conversation_id = %s order by m.id"
        return [row[0] or "" for row in self.connection.execute(query, (conversation.key,))]


class LangChainStore(Store):
    """PostgresChatMessageHistory of langchain-postgres. It reads all messages; trim_messages cuts them."""

    label = "LangChain chat history"
    packages = ("langchain-postgres", "langchain-core")
    tables = "t.relname = 'chat_history'"

    async def open(self) -> None:
        """Connect, and create_tables."""
        from langchain_postgres import PostgresChatMessageHistory

        self.history = PostgresChatMessageHistory
        self.connection = psycopg.connect(self.dsn)
        self.connection.execute("select pg_advisory_xact_lock(4711)")
        self.history.create_tables(self.connection, "chat_history")

    async def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def of(self, conversation: Conversation) -> Any:
        """The history of a conversation; it holds nothing but the connection and the id."""
        return self.history("chat_history", conversation.key, sync_connection=self.connection)

    async def create(self) -> Conversation:
        """An id."""
        return Conversation(str(uuid.uuid4()))

    def native(self, messages: Sequence[Message]) -> list[Any]:
        """LangChain's messages."""
        return langchain_messages(messages)

    async def append(self, conversation: Conversation, message: Any) -> None:
        """add_messages of one."""
        self.of(conversation).add_messages([message])

    async def append_many(self, conversation: Conversation, messages: list[Any]) -> None:
        """add_messages."""
        self.of(conversation).add_messages(messages)

    async def window(self, conversation: Conversation) -> int:
        """get_messages and trim_messages."""
        return trimmed(self.of(conversation).get_messages())

    async def window_at_middle(self, conversation: Conversation) -> int:
        """get_messages, the first half of them, and trim_messages."""
        return trimmed(self.of(conversation).get_messages()[: conversation.middle])

    async def fork_at_middle(self, conversation: Conversation, message: Any) -> Conversation:
        """get_messages, and add_messages of the first half to another history."""
        fork = await self.create()
        half = self.of(conversation).get_messages()[: conversation.middle]
        self.of(fork).add_messages([*half, message])
        return fork

    async def texts(self, conversation: Conversation) -> list[str]:
        """get_messages."""
        return [str(message.content) for message in self.of(conversation).get_messages()]


def langchain_messages(messages: Sequence[Message]) -> list[Any]:
    """Turn messages into LangChain's."""
    from langchain_core.messages import convert_to_messages

    return list(
        convert_to_messages([{**message, "content": message.get("content") or ""} for message in messages])
    )


def trimmed(messages: list[Any]) -> int:
    """Return how many messages are left by trim_messages, as LangChain's documentation calls it."""
    from langchain_core.messages import trim_messages
    from langchain_core.messages.utils import count_tokens_approximately

    return len(
        trim_messages(
            messages, max_tokens=BUDGET, strategy="last", token_counter=count_tokens_approximately,
            start_on="human", include_system=True,
        )
    )  # fmt: skip


class LangGraphStore(Store):
    """LangGraph's PostgresSaver under a graph of MessagesState; trim_messages cuts what get_state reads.

    An append is one update_state, a checkpoint; running the graph would write two. A fork is update_state at
    an older checkpoint, whose id is known; it lies in the same thread.
    """

    label = "LangGraph PostgresSaver"
    packages = ("langgraph-checkpoint-postgres", "langgraph", "langgraph-checkpoint")
    tables = "t.relname in ('checkpoints', 'checkpoint_blobs', 'checkpoint_writes')"

    def state(self) -> Any:
        """The schema of the graph's state."""
        from langgraph.graph import MessagesState

        return MessagesState

    async def open(self) -> None:
        """from_conn_string, setup, and a graph of one node."""
        from langgraph.checkpoint.postgres import PostgresSaver
        from langgraph.graph import START, StateGraph

        self.stack = ExitStack()
        saver = self.stack.enter_context(PostgresSaver.from_conn_string(self.dsn))
        with psycopg.connect(self.dsn) as connection:
            connection.execute("select pg_advisory_lock(4711)")
            saver.setup()
        graph: Any = StateGraph(self.state())
        graph.add_node("chat", lambda _: {})
        graph.add_edge(START, "chat")
        self.graph = graph.compile(checkpointer=saver)

    async def close(self) -> None:
        """Close the connection."""
        self.stack.close()

    async def create(self) -> Conversation:
        """The id of a thread."""
        return Conversation({"configurable": {"thread_id": str(uuid.uuid4())}})

    def name(self, conversation: Conversation) -> str:
        """The id of the thread."""
        return str(conversation.key["configurable"]["thread_id"])

    async def join(self, name: str) -> Conversation:
        """The same thread."""
        return Conversation({"configurable": {"thread_id": name}})

    def native(self, messages: Sequence[Message]) -> list[Any]:
        """LangChain's messages."""
        return langchain_messages(messages)

    async def append(self, conversation: Conversation, message: Any) -> None:
        """update_state with one message."""
        self.graph.update_state(conversation.key, {"messages": [message]}, as_node="chat")

    async def append_many(self, conversation: Conversation, messages: list[Any]) -> None:
        """update_state with many."""
        self.graph.update_state(conversation.key, {"messages": messages}, as_node="chat")

    async def fill(self, conversation: Conversation, messages: Sequence[Message]) -> None:
        """Two checkpoints: each further one would copy all messages."""
        for half in halves(messages):
            if half:
                await self.append_many(conversation, self.native(half))
            conversation.length += len(half)
            if conversation.middle is None and half:
                conversation.middle = self.graph.get_state(conversation.key).config

    async def window(self, conversation: Conversation) -> int:
        """get_state and trim_messages."""
        return trimmed(self.graph.get_state(conversation.key).values["messages"])

    async def window_at_middle(self, conversation: Conversation) -> int:
        """get_state of a checkpoint and trim_messages."""
        return trimmed(self.graph.get_state(conversation.middle).values["messages"])

    async def fork_at_middle(self, conversation: Conversation, message: Any) -> None:
        """update_state of an older checkpoint."""
        self.graph.update_state(conversation.middle, {"messages": [message]}, as_node="chat")

    async def texts(self, conversation: Conversation) -> list[str]:
        """get_state."""
        return [str(m.content) for m in self.graph.get_state(conversation.key).values["messages"]]


class LangGraphDeltaStore(LangGraphStore):
    """The same with LangGraph's DeltaChannel, a beta: what was added is stored, now and then everything."""

    label = "LangGraph, DeltaChannel (beta)"

    def state(self) -> Any:
        """Messages in a DeltaChannel, its snapshots as often as it makes them by itself."""
        from langgraph.channels.delta import DeltaChannel
        from langgraph.graph.message import _messages_delta_reducer

        class State(TypedDict):
            messages: Annotated[list[Any], DeltaChannel(_messages_delta_reducer)]

        return State

    def native(self, messages: Sequence[Message]) -> list[Any]:
        """LangChain's messages with ids, which this reducer does not assign."""
        found = langchain_messages(messages)
        for message in found:
            message.id = str(uuid.uuid4())
        return found


def async_url(dsn: str) -> str:
    """Return the URL of SQLAlchemy for asyncpg."""
    return dsn.replace("postgresql://", "postgresql+asyncpg://")


class OpenAIStore(Store):
    """SQLAlchemySession of the OpenAI Agents SDK. It reads the newest k items; k doubles as needed."""

    label = "OpenAI Agents SQLAlchemySession"
    packages = ("openai-agents", "SQLAlchemy", "asyncpg")
    tables = "t.relname in ('agent_sessions', 'agent_messages')"

    async def open(self) -> None:
        """An engine, and the tables."""
        from agents.extensions.memory import SQLAlchemySession
        from sqlalchemy.ext.asyncio import create_async_engine

        self.session = SQLAlchemySession
        self.engine = create_async_engine(async_url(self.dsn))
        with psycopg.connect(self.dsn) as connection:
            connection.execute("select pg_advisory_lock(4711)")
            await self.session("none", engine=self.engine, create_tables=True).get_items(1)

    async def close(self) -> None:
        """Dispose of the engine."""
        await self.engine.dispose()

    async def create(self) -> Conversation:
        """A session; it holds nothing but the engine and the id."""
        return Conversation(str(uuid.uuid4()))

    def of(self, conversation: Conversation) -> Any:
        """The session of a conversation."""
        return self.session(conversation.key, engine=self.engine)

    def native(self, messages: Sequence[Message]) -> list[Any]:
        """The items of the Responses API: a message with calls is several."""
        return [responses_items(message) for message in messages]

    async def append(self, conversation: Conversation, message: Any) -> None:
        """add_items of what one message is."""
        await self.of(conversation).add_items(message)

    async def append_many(self, conversation: Conversation, messages: list[Any]) -> None:
        """add_items."""
        await self.of(conversation).add_items([item for message in messages for item in message])

    async def here(self, conversation: Conversation) -> Any:
        """The number of items."""
        return len(await self.of(conversation).get_items())

    async def window(self, conversation: Conversation) -> int:
        """get_items with a limit, which doubles until the budget is full."""
        session, limit = self.of(conversation), PAGE
        while True:
            items = await session.get_items(limit)
            found = fitting(items, item_tokens)
            if found is not None or len(items) < limit:
                return len(items if found is None else found)
            limit *= 2

    async def window_at_middle(self, conversation: Conversation) -> int:
        """get_items of all, the first half of them."""
        items = (await self.of(conversation).get_items())[: conversation.middle]
        found = fitting(items, item_tokens)
        return len(items if found is None else found)

    async def fork_at_middle(self, conversation: Conversation, message: Any) -> Conversation:
        """get_items of all, and add_items of the first half to another session."""
        fork = await self.create()
        half = (await self.of(conversation).get_items())[: conversation.middle]
        await self.of(fork).add_items([*half, *message])
        return fork

    async def texts(self, conversation: Conversation) -> list[str]:
        """get_items."""
        return [str(item.get("content", "")) for item in await self.of(conversation).get_items()]


def item_tokens(item: Message) -> int:
    """Estimate the tokens of an item."""
    return 4 + len(json.dumps(item)) // 4


def responses_items(message: Message) -> list[Message]:
    """Turn a message of the chat form into items of the Responses API."""
    if message["role"] == "tool":
        output = {"call_id": message["tool_call_id"], "output": message["content"]}
        return [{"type": "function_call_output", **output}]
    items = [{"role": message["role"], "content": message["content"]}] if message.get("content") else []
    for call in message.get("tool_calls", []):
        function = call["function"]
        items.append(
            {
                "type": "function_call", "call_id": call["id"], "name": function["name"],
                "arguments": function["arguments"],
            }
        )  # fmt: skip
    return items or [{"role": message["role"], "content": ""}]


class ADKStore(Store):
    """DatabaseSessionService of Google's ADK. It reads the newest k events; k doubles until they are enough.

    It appends events one by one. An append to a session to which another client has appended since is
    refused; the client then loads the session anew and tries again.
    """

    label = "Google ADK DatabaseSessionService"
    packages = ("google-adk", "SQLAlchemy", "asyncpg")
    tables = "t.relname in ('sessions', 'events', 'app_states', 'user_states')"
    WHOSE: ClassVar = {"app_name": "bench", "user_id": "bench"}

    async def open(self) -> None:
        """The service, and its tables."""
        from google.adk.sessions import DatabaseSessionService

        self.service = DatabaseSessionService(async_url(self.dsn))
        with psycopg.connect(self.dsn) as connection:
            connection.execute("select pg_advisory_lock(4711)")
            await self.service.prepare_tables()

    async def close(self) -> None:
        """Close the service."""
        await self.service.close()

    async def create(self) -> Conversation:
        """create_session."""
        return Conversation(await self.service.create_session(**self.WHOSE))

    def name(self, conversation: Conversation) -> str:
        """The id of the session."""
        return str(conversation.key.id)

    async def join(self, name: str) -> Conversation:
        """get_session, without events."""
        return Conversation(await self.load(name, 0))

    def native(self, messages: Sequence[Message]) -> list[Any]:
        """Events."""
        return [adk_event(message) for message in messages]

    async def load(self, session_id: str, newest: int | None) -> Any:
        """get_session, with as many of the newest events, or all."""
        from google.adk.sessions.base_session_service import GetSessionConfig

        return await self.service.get_session(
            **self.WHOSE, session_id=session_id, config=GetSessionConfig(num_recent_events=newest)
        )

    async def append(self, conversation: Conversation, message: Any) -> None:
        """append_event."""
        from google.adk.errors import StaleSessionError

        try:
            await self.service.append_event(conversation.key, message)
        except StaleSessionError:
            conversation.key = await self.load(conversation.key.id, 0)
            raise RefusedError from None

    async def append_many(self, conversation: Conversation, messages: list[Any]) -> None:
        """append_event again and again."""
        for message in messages:
            message.timestamp = time.time()
            await self.append(conversation, message)

    async def fill(self, conversation: Conversation, messages: Sequence[Message]) -> None:
        """The service's own rows, all at once: append_event would take minutes."""
        from google.adk.sessions.schemas.v1 import StorageEvent

        first = time.time() - len(messages) / 1e3
        for half in halves(messages):
            for start in range(0, len(half), 1_000):
                async with self.service.database_session_factory() as session:
                    for offset, event in enumerate(self.native(half[start : start + 1_000])):
                        event.timestamp = first + (conversation.length + start + offset) / 1e3
                        session.add(StorageEvent.from_event(conversation.key, event))
                    await session.commit()
            conversation.length += len(half)
            conversation.middle = conversation.middle or conversation.length
        conversation.key = await self.load(conversation.key.id, 1)

    async def window(self, conversation: Conversation) -> int:
        """get_session with num_recent_events, which doubles until the budget is full."""
        newest = PAGE
        while True:
            events = (await self.load(conversation.key.id, newest)).events
            found = fitting(events, event_tokens)
            if found is not None or len(events) < newest:
                return len(events if found is None else found)
            newest *= 2

    async def window_at_middle(self, conversation: Conversation) -> int:
        """get_session with all events, the first half of them."""
        events = (await self.load(conversation.key.id, None)).events[: conversation.middle]
        found = fitting(events, event_tokens)
        return len(events if found is None else found)

    async def fork_at_middle(self, conversation: Conversation, message: Any) -> Conversation:
        """get_session, create_session, and append_event of each event of the first half."""
        fork = await self.create()
        half = (await self.load(conversation.key.id, None)).events[: conversation.middle]
        for event in [*half, message]:
            await self.service.append_event(fork.key, event)
        return fork

    async def texts(self, conversation: Conversation) -> list[str]:
        """get_session."""
        events = (await self.load(conversation.key.id, None)).events
        return ["".join(part.text or "" for part in event.content.parts) for event in events]


def event_tokens(event: Any) -> int:
    """Estimate the tokens of an event."""
    tokens = 4
    for part in event.content.parts:
        if part.text:
            tokens += len(part.text) // 4
        if part.function_call:
            tokens += 10 + len(str(part.function_call.args)) // 4
        if part.function_response:
            tokens += 10 + len(str(part.function_response.response)) // 4
    return tokens


def adk_event(message: Message) -> Any:
    """Turn a message into an event."""
    from google.adk.events import Event
    from google.genai import types

    parts = []
    if message["role"] == "tool":
        # The name of the function is not in a result of the chat form.
        result = {"result": message["content"]}
        response = {"id": message["tool_call_id"], "name": "tool", "response": result}
        parts.append(types.Part(function_response=types.FunctionResponse(**response)))
    elif message.get("content"):
        parts.append(types.Part(text=message["content"]))
    for call in message.get("tool_calls", []):
        function = call["function"]
        arguments = {"id": call["id"], "name": function["name"], "args": json.loads(function["arguments"])}
        parts.append(types.Part(function_call=types.FunctionCall(**arguments)))
    role = "model" if message["role"] == "assistant" else "user"
    return Event(author="agent" if role == "model" else "user", content=types.Content(role=role, parts=parts))


STORES: dict[str, type[Store]] = {
    "kata": KataStore,
    "bare": BareStore,
    "langchain": LangChainStore,
    "openai": OpenAIStore,
    "adk": ADKStore,
    "langgraph": LangGraphStore,
    "langgraph-delta": LangGraphDeltaStore,
}
