"""Sessions of the Agent Development Kit in contexts.

The contracts are ours, from what the documentation and the base class promise. The service of the kit that
keeps sessions in memory fulfills them, too.
"""

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from google.adk.agents import LlmAgent
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.events import Event, EventActions
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import Runner
from google.adk.sessions import BaseSessionService, InMemorySessionService, Session
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from integrations import run_example
from kata_context import Kata
from kata_context.contrib.google_adk import KataSessionService

APP, USER = "trips", "ann"
NUMBERS = count(1)


@pytest.fixture(params=["kata", "memory"])
def service(request: pytest.FixtureRequest, kata: Kata) -> BaseSessionService:
    """A service, ours and that of the kit."""
    return KataSessionService(kata) if request.param == "kata" else InMemorySessionService()


@pytest.fixture
def own(kata: Kata) -> KataSessionService:
    """Our service."""
    return KataSessionService(kata)


def run(awaitable: Any) -> Any:
    return asyncio.run(awaitable)


def create(service: BaseSessionService, id: str | None = None, user: str = USER, **state: Any) -> Session:
    created = service.create_session(app_name=APP, user_id=user, session_id=id, state=state.get("state"))
    return run(created)


def get(service: BaseSessionService, id: str, user: str = USER, **config: Any) -> Session:
    given = GetSessionConfig(**config) if config else None
    return run(service.get_session(app_name=APP, user_id=user, session_id=id, config=given))


def event(*parts: types.Part | str, author: str = "agent", **fields: Any) -> Event:
    """Return an event, a second after the one before."""
    role = "user" if author == "user" else "model"
    said = [types.Part(text=part) if isinstance(part, str) else part for part in parts]
    fields.setdefault("timestamp", 1_000_000.25 + next(NUMBERS))
    content = types.Content(role=role, parts=said) if parts else None
    return Event(author=author, invocation_id="i1", content=content, **fields)


def delta(**state: Any) -> Event:
    return event(
        actions=EventActions(state_delta={key.replace("__", ":"): value for key, value in state.items()})
    )


def append(service: BaseSessionService, session: Session, *events: Event) -> None:
    for given in events:
        run(service.append_event(session, given))


def call(id: str, **args: Any) -> types.Part:
    return types.Part(function_call=types.FunctionCall(id=id, name="look", args=args))


def result(id: str, **response: Any) -> types.Part:
    return types.Part(function_response=types.FunctionResponse(id=id, name="look", response=response))


def test_a_session_has_an_id_of_its_own_or_the_one_that_is_given(service: BaseSessionService) -> None:
    made, given = create(service), create(service, "  s1 ")
    assert made.id
    assert given.id == "s1"
    assert get(service, "s1").id == "s1"
    assert (given.app_name, given.user_id, given.events) == (APP, USER, [])
    with pytest.raises(AlreadyExistsError):
        create(service, "s1")
    assert create(service, "s1", "bob").user_id == "bob"


def test_what_does_not_exist_is_none_and_deleting_it_does_nothing(service: BaseSessionService) -> None:
    assert get(service, "s1") is None
    create(service, "s1")
    assert get(service, "s1", "bob") is None
    run(service.delete_session(app_name=APP, user_id=USER, session_id="s1"))
    run(service.delete_session(app_name=APP, user_id=USER, session_id="s1"))
    assert get(service, "s1") is None
    assert create(service, "s1").events == []


def test_an_event_comes_back_as_it_was(service: BaseSessionService) -> None:
    session = create(service, "s1")
    events = [
        event("Where?", author="user"),
        event(
            "Let me look.", call("c1", place="lock", deep={"a": [1, None]}), partial=False, turn_complete=True
        ),
        event(result("c1", result="nothing")),
        event("Nowhere.", usage_metadata=types.GenerateContentResponseUsageMetadata(total_token_count=9)),
        event(actions=EventActions(escalate=True, state_delta={"k": None})),
        event("", error_code="STOP", custom_metadata={"a": {"b": 1.5}}),
    ]
    append(service, session, *events)
    assert session.events == events
    assert get(service, "s1").events == events


def test_a_partial_event_is_not_kept(service: BaseSessionService) -> None:
    session = create(service, "s1")
    append(service, session, event("Nowh", partial=True))
    assert session.events == get(service, "s1").events == []


def test_an_event_that_comes_again_is_kept_once(service: BaseSessionService) -> None:
    session = create(service, "s1")
    said = event("Hello.", actions=EventActions(state_delta={"n": 1}))
    append(service, session, said, said)
    assert len(session.events) == 1
    assert len(get(service, "s1").events) == 1
    append(service, session, event("And?"))


def test_state_has_four_scopes(service: BaseSessionService) -> None:
    session = create(service, "s1", state={"a": 1, "user:b": 2, "app:c": 3, "temp:d": 4})
    assert session.state == {"a": 1, "user:b": 2, "app:c": 3}
    append(service, session, delta(a=10, user__b=20, app__c=30, temp__d=40))
    assert session.state["temp:d"] == 40
    assert "temp:d" not in session.events[-1].actions.state_delta
    assert get(service, "s1").state == {"a": 10, "user:b": 20, "app:c": 30}
    assert create(service, "s2").state == {"user:b": 20, "app:c": 30}
    assert create(service, "s3", "bob").state == {"app:c": 30}
    assert run(service.get_user_state(app_name=APP, user_id=USER)) == {"b": 20}
    assert run(service.get_user_state(app_name=APP, user_id="eve")) == {}


def test_a_value_of_the_state_is_replaced_not_merged(service: BaseSessionService) -> None:
    session = create(service, "s1", state={"x": {"a": 1}, "y": {"a": 1}, "z": [1]})
    append(service, session, delta(x={"b": None}, y=None, z=[]))
    assert get(service, "s1").state == {"x": {"b": None}, "y": None, "z": []}


def test_recent_events_are_counted_from_the_end(service: BaseSessionService) -> None:
    session = create(service, "s1")
    events = [event(f"{n}") if n % 3 else delta(n=n) for n in range(12)]
    append(service, session, *events)
    for n in (1, 2, 3, 5, 11, 12, 50):
        assert get(service, "s1", num_recent_events=n).events == events[-n:]
    assert get(service, "s1", num_recent_events=0).events == []
    for n in (0, 3, 4, 11):
        assert get(service, "s1", after_timestamp=events[n].timestamp).events == events[n:]
    late = events[8].timestamp
    assert get(service, "s1", after_timestamp=late, num_recent_events=2).events == events[-2:]
    assert get(service, "s1", after_timestamp=late, num_recent_events=9).events == events[8:]
    assert get(service, "s1", after_timestamp=late + 99).events == []
    assert get(service, "s1", num_recent_events=1).state == {"n": 9}


def test_sessions_are_listed_by_their_last_change(service: BaseSessionService) -> None:
    sessions = {id: create(service, id, user) for id, user in [("a", USER), ("b", "bob"), ("c", USER)]}
    for id, moment in [("a", 3e9), ("b", 4e9), ("c", 2e9)]:
        append(service, sessions[id], event("Hello.", timestamp=moment))
    listed = run(service.list_sessions(app_name=APP, user_id=USER)).sessions
    assert [session.id for session in listed] == ["c", "a"]
    assert [session.events for session in listed] == [[], []]
    assert [s.id for s in run(service.list_sessions(app_name=APP)).sessions] == ["c", "a", "b"]
    assert run(service.list_sessions(app_name="other")).sessions == []
    assert listed[-1].last_update_time == 3e9


def test_a_session_changes_only_through_events(service: BaseSessionService) -> None:
    session = create(service, "s1", state={"x": [1]})
    session.state["x"].append(2)
    session.state["y"] = 1
    append(service, session, event("Hello."))
    assert get(service, "s1").state == {"x": [1]}


def test_a_copy_that_is_stale_is_refused_and_changes_nothing(own: KataSessionService) -> None:
    create(own, "s1")
    for later in (event("First."), delta(n=1)):
        first, second = get(own, "s1"), get(own, "s1", num_recent_events=0)
        append(own, first, later)
        before = get(own, "s1")
        with pytest.raises(ValueError, match="modified in storage"):
            append(own, second, event("Second.", actions=EventActions(state_delta={"app:x": 1, "y": 2})))
        assert get(own, "s1") == before
    append(own, get(own, "s1"), event("Third."))
    built = Session(id="s1", app_name=APP, user_id=USER, events=[event("Other.")])
    with pytest.raises(ValueError, match="modified in storage"):
        append(own, built, event("Fourth."))


def test_a_compaction_and_a_pin_do_not_make_a_session_stale(own: KataSessionService) -> None:
    session = create(own, "s1")
    append(own, session, *[event("word " * 50, author=author) for author in ("user", "agent") * 6])
    context = own.context(session)
    context.set_policy({"preserve_recent_count": 2, "min_gain_tokens": 0})
    context.compact(force=True)
    context.pin(context.messages()[-1].version)
    append(own, session, event("On we go."))
    assert len(get(own, "s1").events) == 13
    assert context.messages()[0].kind == "summary"


def test_two_sessions_change_shared_state_at_once(own: KataSessionService) -> None:
    sessions = [create(own, f"s{n}") for n in range(4)]

    async def change() -> None:
        await asyncio.gather(
            *(own.append_event(session, delta(**{f"app__{session.id}": 1})) for session in sessions)
        )

    run(change())
    assert get(own, "s0").state == {f"app:s{n}": 1 for n in range(4)}


def test_large_values_bad_texts_and_odd_ids_are_kept(own: KataSessionService) -> None:
    session = create(own, "s/1 \ud83d%", "ann/\x00", state={"big": "x" * 100_000, "k\x00": "\ud83d\x00␚0000"})
    said = event("a\x00b", call("c1", place="\x00"), custom_metadata={"x\x00": "y\x00"})
    append(
        own, session, said, delta(big="y" * 200_000), delta(keys=list(range(1000)), user__large="z" * 1000)
    )
    found = get(own, session.id, "ann/\x00")
    assert found.state == {
        "big": "y" * 200_000,
        "k\x00": "\ud83d\x00␚0000",
        "keys": list(range(1000)),
        "user:large": "z" * 1000,
    }
    assert found.events[0] == said
    assert create(own, "i" * 900, "u" * 900).id == "i" * 900
    assert get(own, "i" * 900, "u" * 900).id == "i" * 900
    assert get(own, "i" * 900, "u" * 901) is None


CODE_RESULT = types.CodeExecutionResult(outcome=types.Outcome.OUTCOME_OK, output="1")
PARTS: dict[str, list[types.Part]] = {
    "parallel calls": [call("c1", a=1), types.Part(text="and"), call("c2")],
    "results of them": [result("c1", result="x"), result("c2", output={"a": None}, error="no")],
    "media": [
        types.Part(text="See."),
        types.Part(inline_data=types.Blob(data=b"\xff\xfe?>", mime_type="image/png")),
        types.Part(file_data=types.FileData(file_uri="gs://a/b", mime_type="image/png")),
    ],
    "thinking": [
        types.Part(text="Hm.", thought=True, thought_signature=b"\xff\x00"),
        types.Part(text="Yes.", thought_signature=b"\x01"),
        types.Part(function_call=types.FunctionCall(name="look", args={}), thought_signature=b"\x02"),
    ],
    "code": [
        types.Part(executable_code=types.ExecutableCode(code="1", language=types.Language.PYTHON)),
        types.Part(code_execution_result=CODE_RESULT),
    ],
    "nothing": [types.Part()],
    "blank": [types.Part(text=""), types.Part(text=" ")],
    "a call without arguments": [types.Part(function_call=types.FunctionCall(id="c9", name="look"))],
    "a result without a call": [result("stray", result="late")],
    "a video": [
        types.Part(
            file_data=types.FileData(file_uri="https://example.com/v", mime_type="video/mp4"),
            video_metadata=types.VideoMetadata(start_offset="1s"),
        )
    ],
}  # fmt: skip


def test_every_part_comes_back_as_it_was(own: KataSessionService) -> None:
    session = create(own, "s1")
    events = [event(*parts, author="user" if "result" in name else "agent") for name, parts in PARTS.items()]
    events.append(event("x", long_running_tool_ids={"c1"}, branch="a.b", output={"y": [1]}))
    events.append(Event(author="agent", content=types.Content(parts=[types.Part(text="no role")])))
    events.append(Event(author="agent", content=types.Content(role="model")))
    append(own, session, *events)
    for found, given in zip(get(own, "s1").events, events, strict=True):
        assert found == given
    rows = own.context(session).messages()
    groups = [row.group_version for row in rows if row.role == "tool" or row.tool_calls]
    assert groups[:3] == [1, 1, 1]
    assert rows[1].tool_call_id == "c1"


def test_windows_compaction_search_and_forks_work_on_a_session(own: KataSessionService) -> None:
    session = create(own, "s1")
    for n in range(6):
        append(
            own,
            session,
            event(f"question {n} " + "x " * 40, author="user"),
            event(call(f"c{n}", n=n)),
            event(result(f"c{n}", result=f"place {n}"), author="user"),
            event(f"answer {n}", actions=EventActions(state_delta={"n": n})),
        )
    context = own.context(session)
    window = context.window(250)
    assert 4 < len(window) < 20
    assert sum(row.token_count for row in window) <= 250
    assert [row.version for row in context.search("place")]
    prompt = context.prompt(250, "gemini")
    assert prompt["contents"][0]["role"] == "user"
    assert "functionCall" in str(prompt)
    fork = context.fork(8)
    fork.append_message("user", "Another way.")
    assert len(get(own, "s1").events) == 24
    context.rewind(20)
    assert len(get(own, "s1").events) == 20
    assert own.kata.verify(context.id) == []


def test_an_erased_event_is_left_out_and_an_amended_one_stays_as_it_was(own: KataSessionService) -> None:
    session = create(own, "s1")
    said = event("My PIN is 1234.", author="user")
    results = event(result("c1", a=1), result("c2", a=2), author="user")
    append(own, session, said, event(call("c1"), call("c2")), results, delta(n=1), event("teh end"))
    context = own.context(session)
    amended = context.find_message(session.events[-1].id)
    assert amended
    context.amend(amended, {"content": "the end"})
    assert get(own, "s1").events == session.events
    assert context.window(1000)[-1].content == "the end"
    for given in session.events:
        version = context.find_message(given.id)
        assert version
        context.erase_message(version, "private")
        assert given.id not in [left.id for left in get(own, "s1").events]
    append(own, session, event("On we go."))
    assert [left.id for left in get(own, "s1").events] == [session.events[-1].id]


def test_a_result_that_comes_later_again_is_kept(own: KataSessionService) -> None:
    session = create(own, "s1")
    events = [
        event("Book.", author="user"),
        event(call("c1"), long_running_tool_ids={"c1"}),
        event(result("c1", status="pending"), author="user"),
        event("I wait."),
        event(result("c1", status="done"), author="user"),
    ]
    append(own, session, *events)
    assert get(own, "s1").events == events
    assert "done" in str(own.context(session).prompt(1000, "gemini"))


def test_a_list_passes_over_no_other_context_and_finds_long_names(
    own: KataSessionService, kata: Kata, monkeypatch: pytest.MonkeyPatch
) -> None:
    apps = ["a", "a/b", "ab", "é" * 25, "x" * 170, "x" * 175, "x" * 176, "x" * 400]
    for app in apps:
        for user in ("ann", "u" * 300):
            run(own.create_session(app_name=app, user_id=user, session_id="s"))
    listed: list[int] = []
    list_contexts = kata.list_contexts

    def counting(*args: Any, **options: Any) -> Any:
        # A list looks at all contexts with the prefix, whatever their metadata.
        looked_at = list_contexts(max_rows=1000, name_prefix=options["name_prefix"])
        listed.append(len(looked_at))
        return list_contexts(*args, **options)

    monkeypatch.setattr(own.kata, "list_contexts", counting)
    for app in apps:
        found = run(own.list_sessions(app_name=app)).sessions
        assert {session.user_id for session in found} == {"ann", "u" * 300}
        for user in ("ann", "u" * 300):
            assert len(run(own.list_sessions(app_name=app, user_id=user)).sessions) == 1
    assert max(listed[:12]) <= 4  # two sessions, and the states of two users


def test_a_deleted_session_is_not_found_and_tenants_are_apart(own: KataSessionService, kata: Kata) -> None:
    session = create(own, "s1", state={"app:x": 1})
    other = KataSessionService(kata.as_tenant("other"))
    assert get(other, "s1") is None
    assert create(other, "s1").state == {}
    run(own.delete_session(app_name=APP, user_id=USER, session_id="s1"))
    with pytest.raises(ValueError, match="not found"):
        append(own, session, event("Hello."))
    assert len(run(other.list_sessions(app_name=APP)).sessions) == 1


class Fake(BaseLlm):
    """A model that looks once, then answers."""

    model: str = "fake"

    async def generate_content_async(self, llm_request: LlmRequest, stream: bool = False) -> Any:
        last = llm_request.contents[-1].parts or []
        if last and last[0].function_response:
            parts = [types.Part(text=f"Seen: {last[0].function_response.response}")]
        else:
            parts = [
                types.Part(function_call=types.FunctionCall(name=name, args={"place": "pot"}))
                for name in ("look", "look")
            ]
        yield LlmResponse(content=types.Content(role="model", parts=parts))


def look(place: str) -> str:
    """Look at a place."""
    return f"nothing at {place}"


def test_a_runner_talks_through_a_session(own: KataSessionService) -> None:
    agent = LlmAgent(name="guide", model=Fake(), tools=[look], output_key="said")
    create(own, "s1")

    async def talk(text: str) -> list[Event]:
        runner = Runner(agent=agent, app_name=APP, session_service=own)
        message = types.Content(role="user", parts=[types.Part(text=text)])
        return [found async for found in runner.run_async(user_id=USER, session_id="s1", new_message=message)]

    assert len(run(talk("Where?"))) == 3
    run(talk("Again?"))
    session = get(own, "s1")
    assert [found.author for found in session.events] == ["user", "guide", "guide", "guide"] * 2
    assert session.state == {"said": "Seen: {'result': 'nothing at pot'}"}
    rows = own.context(session).messages()
    assert [row.role[0] for row in rows] == [*"uatta" * 2]
    assert own.context(session).get_context().open_calls == []


def test_the_example_of_the_docs_runs(database: str, tmp_path: Path) -> None:
    printed = run_example("google-adk", database, tmp_path)
    assert printed == "['Where is my bag?', 'It is in Oslo.']\n{'bag': 'found'}\nuser model\n"
