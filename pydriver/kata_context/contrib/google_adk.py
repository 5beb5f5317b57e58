"""A session service for the Agent Development Kit: a session is a context, an event its messages.

    runner = Runner(agent=agent, app_name="trips", session_service=KataSessionService(kata))

An event with content becomes messages by the rules of `from_gemini`, any other a record. `context` returns
the handle of a session, for windows, compaction, search and forks.
"""

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from itertools import groupby
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

from kata_context import Context, ContextRow, Kata, MessageRow, Transaction
from kata_context.adapters import escape, unescape
from kata_context.contrib.escaping import escaped
from kata_context.contrib.google_adk_events import (
    EVENT,
    OWN,
    event_of,
    own_fields,
    parts_of,
    write_event,
)
from kata_context.database_errors import NameTakenError
from kata_context.errors import KataError

try:
    from google.adk.errors._stale_session_error import StaleSessionError
    from google.adk.errors.already_exists_error import AlreadyExistsError
    from google.adk.errors.session_not_found_error import SessionNotFoundError
    from google.adk.events.event import Event
    from google.adk.platform import time as platform_time
    from google.adk.sessions.base_session_service import (
        BaseSessionService,
        GetSessionConfig,
        ListSessionsResponse,
    )
    from google.adk.sessions.session import Session
    from pydantic_core import to_jsonable_python
except ImportError as error:
    raise KataError(
        "google-adk is not installed", hint="run: pip install 'kata-context[google-adk]'"
    ) from error

Fields = dict[str, Any]
VALUE = "google_adk.state"  # the kind of a record
# Long tools answer a call twice.
POLICY = {"strict": False}
SMALL = 256  # characters of JSON; a larger value of the state is a record of its own
PAGE = 1000
KEPT = 180  # characters of a name that is too long


class KataSessionService(BaseSessionService):
    """Keeps sessions in a database with Kata Context.

    Parameters
    ----------
    kata : a client; its calls run in threads
    """

    def __init__(self, kata: Kata) -> None:
        self.kata = kata

    def context(self, session: Session) -> Context:
        """Return the context of a session.

        Raises
        ------
        SessionNotFoundError : the session was deleted, or never created
        """
        found = self.kata.find_context(_name(session.app_name, session.user_id, session.id))
        if found is None:
            raise SessionNotFoundError(f"Session {session.id} not found.")
        return self.kata.context(found)

    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Create a session; AlreadyExistsError where there is one of the id."""
        id = (session_id or "").strip() or str(uuid4())
        return await asyncio.to_thread(self._create, app_name, user_id, id, state or {})

    async def get_session(
        self, *, app_name: str, user_id: str, session_id: str, config: GetSessionConfig | None = None
    ) -> Session | None:
        """Return a session with its events, or None."""
        return await asyncio.to_thread(self._get, app_name, user_id, session_id.strip(), config)

    async def list_sessions(self, *, app_name: str, user_id: str | None = None) -> ListSessionsResponse:
        """Return the sessions of a user, or of all, without events, the one that changed last at the end."""
        return await asyncio.to_thread(self._list, app_name, user_id)

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Delete the context of a session; `purge_deleted` removes it for good."""
        found = await asyncio.to_thread(self.kata.find_context, _name(app_name, user_id, session_id.strip()))
        if found is not None:
            await asyncio.to_thread(self.kata.delete_context, found)

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """Return the state that the sessions of a user share, by keys without a prefix."""
        return await asyncio.to_thread(self._shared_state, _name(app_name, user_id))

    async def append_event(self, session: Session, event: Event) -> Event:
        """Append an event that is not there yet; StaleSessionError if another copy of the session did so."""
        if event.partial:
            return event
        if await asyncio.to_thread(self._append, session, event):
            await super().append_event(session, event)
            session.last_update_time = event.timestamp
            session._storage_update_marker = event.id
        return event

    def _create(self, app_name: str, user_id: str, id: str, state: Fields) -> Session:
        now = platform_time.get_time()
        own = {"app_name": app_name, "user_id": user_id, "id": id, "last_update_time": now, "last_event": ""}
        session, app, user = _split(state)
        with self.kata.transaction() as transaction:
            shared = {_shared(transaction, app_name): app, _shared(transaction, app_name, user_id): user}
            try:
                context_id = transaction.create_context(
                    _name(app_name, user_id, id), policy=POLICY, metadata={OWN: escaped(own), "state": {}}
                )
            except NameTakenError:
                raise AlreadyExistsError(f"Session with id {id} already exists.") from None
            _set_state(transaction, shared | {context_id: session})
        found = self._get(app_name, user_id, id, GetSessionConfig(num_recent_events=0))
        assert found is not None
        return found

    def _get(self, app_name: str, user_id: str, id: str, config: GetSessionConfig | None) -> Session | None:
        context_id = self.kata.find_context(_name(app_name, user_id, id))
        if context_id is None:
            return None
        session = self._session(self.kata.get_context(context_id), self._shared_states(app_name, user_id))
        session.events = self._events(context_id, config or GetSessionConfig())
        return session

    def _list(self, app_name: str, user_id: str | None) -> ListSessionsResponse:
        wanted = {"app_name": app_name} | ({} if user_id is None else {"user_id": user_id})
        # Longer names keep so much of their beginning.
        prefix = (_name(*wanted.values()) + "/")[:KEPT]
        sessions, shared, after = [], dict[str, Fields](), None
        while rows := self.kata.list_contexts(
            after, max_rows=PAGE, metadata={OWN: escaped(wanted)}, name_prefix=prefix
        ):
            for row in rows:
                user = unescape(row.metadata[OWN]["user_id"])
                if user not in shared:
                    shared[user] = self._shared_states(app_name, user)
                sessions.append(self._session(row, shared[user]))
            after = rows[-1].context_id
        return ListSessionsResponse(sessions=sorted(sessions, key=lambda session: session.last_update_time))

    def _session(self, row: ContextRow, shared: Fields) -> Session:
        own = unescape(row.metadata[OWN])
        marker, state = own.pop("last_event"), _state(self.kata, row)
        session = Session(**own, state=state | shared)
        session._storage_update_marker = marker
        return session

    def _shared_states(self, app_name: str, user_id: str) -> Fields:
        scopes = {"app:": _name(app_name), "user:": _name(app_name, user_id)}
        return {
            p + key: value for p, name in scopes.items() for key, value in self._shared_state(name).items()
        }

    def _shared_state(self, name: str) -> Fields:
        found = self.kata.find_context(name)
        return {} if found is None else _state(self.kata, self.kata.get_context(found))

    def _events(self, context_id: UUID, config: GetSessionConfig) -> list[Event]:
        """Return the newest events, as many as asked for."""
        count, since = config.num_recent_events, config.after_timestamp
        if count == 0:
            return []
        found: dict[int, Event] = {}
        oldest = None
        for version, event in self._newest_events(context_id):
            found[version] = event
            oldest = version - 1
            if len(found) == count or (since is not None and event.timestamp < since):
                break
        else:
            oldest = None
        while records := self.kata.records(context_id, EVENT, after=oldest, max_rows=PAGE):
            found |= {row.version: event_of(row.data) for row in records if row.data is not None}
            oldest = records[-1].version
        events = [event for _, event in sorted(found.items(), key=lambda item: item[0])]
        if since is not None:
            early = [place for place, event in enumerate(events, start=1) if event.timestamp < since]
            events = events[early[-1] if early else 0 :]
        return events if count is None else events[-count:]

    def _newest_events(self, context_id: UUID) -> Iterator[tuple[int, Event]]:
        """Yield the events that are messages, newest first, with the version of the first message."""

        def rows() -> Iterator[MessageRow]:
            before = None
            while page := self.kata.messages(
                context_id, before, max_rows=PAGE, descending=True, visibility="raw"
            ):
                yield from page
                before = page[-1].version

        for _, group in groupby(rows(), key=lambda row: own_fields(row).get("of", row.version)):
            messages = [*group][::-1]
            # The first message has the event; messages of other clients have none.
            if fields := own_fields(messages[0]).get("event"):
                parts = [part for row in messages for part in parts_of(partial(getattr, row))]
                yield (
                    messages[0].version,
                    event_of(fields | {"content": {"parts": parts} | fields["content"]}),
                )

    def _append(self, session: Session, event: Event) -> bool:
        """Store an event; False where it is there."""
        context = self.context(session)
        if context.find_message(event.id) is not None:
            return False
        delta = {key: value for key, value in event.actions.state_delta.items() if key[:5] != "temp:"}
        own, app, user = _split(delta)
        with self.kata.transaction() as transaction:
            shared = {}
            if app:
                shared[_shared(transaction, session.app_name)] = app
            if user:
                shared[_shared(transaction, session.app_name, session.user_id)] = user
            # Heads are locked in the order of their ids, and the id of a session is greater than those.
            _set_state(transaction, shared)
            time = {"last_update_time": event.timestamp}
            transaction.update_context(context.id, metadata={OWN: time}, merge=True)
            last = transaction.get_context(context.id).metadata[OWN]["last_event"]
            known = session._storage_update_marker
            if known is None and session.events:
                known = session.events[-1].id
            if known is not None and known != unescape(last):
                raise StaleSessionError(
                    "The session has been modified in storage since it was loaded. Reload it and try again."
                )
            _set_state(transaction, {context.id: own})
            mark = {OWN: {"last_event": escape(event.id)}}
            transaction.update_context(context.id, metadata=mark, merge=True)
            write_event(transaction, context.id, event, delta)
        return True


def _name(*keys: str) -> str:
    """Return the name of the context of a session, or of what an app or a user shares."""
    name = "/".join(["adk", *(quote(key.encode("utf-8", "surrogatepass"), safe="") for key in keys)])
    return name if len(name) <= 255 else f"{name[:KEPT]}~{sha256(name.encode()).hexdigest()}"


def _shared(transaction: Transaction, *keys: str) -> UUID:
    return transaction.get_or_create_context(_name(*keys), metadata={"state": {}}).context_id


def _split(state: Fields) -> tuple[Fields, Fields, Fields]:
    """Return what a state has of the session, the app and the user."""
    scopes: dict[str, Fields] = {"": {}, "app:": {}, "user:": {}, "temp:": {}}
    for key, value in state.items():
        prefix = next((scope for scope in scopes if scope and key.startswith(scope)), "")
        scopes[prefix][key.removeprefix(prefix)] = value
    return scopes[""], scopes["app:"], scopes["user:"]


def _set_state(transaction: Transaction, states: dict[UUID, Fields]) -> None:
    """Set keys of states: a value is JSON as text, which a patch replaces, or the version of a record."""
    for context_id, state in sorted(states.items()):
        patch: Fields = {}
        for key, value in state.items():
            text = json.dumps(to_jsonable_python(value, fallback=str))
            is_small = len(text) <= SMALL
            patch[escape(key)] = text if is_small else transaction.append_record(context_id, VALUE, text)
        if patch:
            transaction.update_context(context_id, metadata={"state": patch}, merge=True)


def _state(kata: Kata, row: ContextRow) -> Fields:
    state = {}
    for key, text in row.metadata["state"].items():
        if isinstance(text, int):
            (record,) = kata.records(row.context_id, VALUE, after=text - 1, max_rows=1)
            text = record.data or "null"
        state[unescape(key)] = json.loads(text)
    return state
