"""Values, names and neighbors that a checkpointer does not expect."""

import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

import psycopg
import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send

from kata_context import Kata
from kata_context.contrib.langgraph import KataSaver
from kata_context.contrib.langgraph_values import MARK
from kata_context.database_errors import InvalidMessageError
from kata_context.errors import MisuseError

# LangGraph's serializer stores halves of pairs as question marks, or not at all; in messages they come back.
PLAIN = "NUL \x00, the mark \u241a0000, and \U0001f9ed"
BAD = "NUL \x00, half a pair \ud800, the mark \u241a0000, and \U0001f9ed"
CALL = {"name": "f", "args": {"x": [1, 2.5, None, {"y": BAD}]}, "id": "c1", "type": "tool_call"}
CALL_OF_OPENAI = {
    "id": "c1",
    "type": "function",
    "function": {"name": "f", "arguments": '{"x": ["\u00e9",1]}'},
}
HOSTILE: list[BaseMessage] = [
    HumanMessage(BAD, id="1", name="ann"),
    HumanMessage("", id="2"),
    HumanMessage("no id"),
    HumanMessage("a long id", id="i" * 5000),
    HumanMessage("a bad id", id=f"#{BAD}"),
    HumanMessage(
        [{"type": "text", "text": "t"}, "plain", {"type": "image_url", "image_url": {"url": "data:,"}}],
        id="3",
    ),
    HumanMessage("large", id="19", additional_kwargs={"n": [1e300, float("inf")]}),
    HumanMessage([], id="4"),
    HumanMessage(
        "bytes",
        id="5",
        additional_kwargs={"b": b"\x00\xff", "when": datetime(2026, 1, 1, tzinfo=timezone.utc)},
    ),
    HumanMessage("numbers", id="6", additional_kwargs={"n": [-0.0, 10**30, 1.0, True], "k": {"": 0}}),
    AIMessage("", id="7", tool_calls=[CALL]),
    ToolMessage("r", tool_call_id="c1", id="8", status="error", artifact={"rows": [1]}),
    ToolMessage([{"type": "text", "text": "r"}], tool_call_id="never called", id="9"),
    AIMessage(
        [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "tool_use", "id": "c2", "name": "f", "input": {}},
        ],
        id="10",
        tool_calls=[{"name": "f", "args": {}, "id": "c2", "type": "tool_call"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"model_name": "m"},
    ),
    AIMessage(
        "the same call again",
        id="11",
        tool_calls=[{"name": "f", "args": {}, "id": "c2", "type": "tool_call"}],
    ),
    AIMessage(
        "a call without id", id="12", tool_calls=[{"name": "f", "args": {}, "id": None, "type": "tool_call"}]
    ),
    AIMessage(
        "invalid",
        id="13",
        invalid_tool_calls=[{"name": "f", "args": "{", "id": "c", "error": "e", "type": "invalid_tool_call"}],
    ),
    AIMessageChunk("chunk", id="14"),
    SystemMessage("system", id="15", additional_kwargs={"__openai_role__": "developer"}),
    ChatMessage("chat", role="critic", id="16"),
    FunctionMessage("function", name="f", id="17"),
    HumanMessage("extra", id="18", something={"else": [1]}),
    # Calls, parts, names and values that the log refuses.
    HumanMessage([{"type": "tool_result", "tool_use_id": "c9", "content": "r"}, {"type": "text"}], id="20"),
    AIMessage("", id="21", tool_calls=[{"name": "", "args": {}, "id": "c9", "type": "tool_call"}]),
    AIMessage("", id="22", tool_calls=[{"name": "f", "args": {}, "id": "", "type": "tool_call"}]),
    ToolMessage("r", tool_call_id="", id="23"),
    HumanMessage("names", id="24", name="n" * 70_000),
    HumanMessage("deep", id="25", additional_kwargs={"n": json.loads("[" * 120 + "]" * 120)}),
]


@pytest.fixture
def saver(kata: Kata) -> KataSaver:
    """A saver on a database for this test alone."""
    made = KataSaver(kata)
    made.setup()
    return made


def of(thread: Any, **more: Any) -> Any:
    """Return the config of a thread."""
    return {"configurable": {"thread_id": thread, "checkpoint_ns": "", **more}}


def put(saver: KataSaver, config: Any, **values: Any) -> Any:
    """Store a checkpoint with values of channels, which all are new."""
    versions = {channel: saver.get_next_version(None, None) for channel in values}
    checkpoint = empty_checkpoint() | {
        "id": str(uuid6()),
        "channel_values": values,
        "channel_versions": versions,
    }
    return saver.put(config, checkpoint, {"source": "loop", "step": 0, "parents": {}}, versions)


def values_of(saver: KataSaver, config: Any) -> dict[str, Any]:
    """Return the values of a checkpoint."""
    found = saver.get_tuple(config)
    assert found is not None
    return dict(found.checkpoint["channel_values"])


def test_each_message_comes_back_as_it_was_also_to_another_process(saver: KataSaver, kata: Kata) -> None:
    stored = put(saver, of("t"), messages=list(HOSTILE), other={"inner": tuple(HOSTILE)})
    for reader in (saver, KataSaver(kata)):
        values = values_of(reader, stored)
        for found in (values["messages"], list(values["other"]["inner"])):
            assert [type(message) for message in found] == [type(message) for message in HOSTILE]
            assert found == HOSTILE
    assert len(kata.messages("t", visibility="all")) == len(HOSTILE)
    assert kata.verify() == []
    assert kata.window("t", 100_000)


def test_values_that_are_not_messages_come_back_as_they_were(saver: KataSaver) -> None:
    values = {
        "text": PLAIN,
        "mark": {MARK: ["version", 1]},
        "nested": {MARK: {MARK: ["draft", "", "", "", None, None]}, "more": 1},
        "pairs": [
            ("user", "hi"),
            ["ai", PLAIN],
            ("tool", "no id"),
            {"role": "user", "content": "hi"},
            ("a", 1),
        ],
        "dicts": [
            {"role": "user", "content": [{"type": "text", "text": PLAIN}], "id": "1", "more": {"x": [1]}},
            {"type": "human", "content": "typed", "name": "ann", "id": None},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [CALL_OF_OPENAI],
                "additional_kwargs": {"a": 1},
            },
            {"role": "tool", "content": "r", "tool_call_id": "c1", "artifact": {"x": 1}, "status": "error"},
            {"role": "remove", "content": "", "id": "1"},
            {"role": "user", "content": 5},
        ],
        "messages": ["text", PLAIN, {"role": "user", "content": "hi", MARK: 1}, ["user", "hi"], 1],
        "send": Send("node", {"messages": [HumanMessage("sent", id="s")], "tuple": (1, "x")}),
        "keys": {1: "int", None: "none"},
        "": "a channel without a name",
        f"channel {PLAIN}": b"\x00",
        "many": {"set": {1, 2}, "when": datetime(2026, 1, 1, tzinfo=timezone.utc)},
        "none": None,
        "empty": [],
    }
    stored = put(saver, of("t"), **values)
    # Its serializer makes lists of tuples.
    assert values_of(saver, stored) == saver.serde.loads_typed(saver.serde.dumps_typed(values))


@pytest.mark.parametrize("thread", ["", "t" * 5000, BAD, "tab\there", 17, "' or true --"])
def test_any_id_names_a_thread(thread: Any, saver: KataSaver) -> None:
    stored = put(saver, of(thread, checkpoint_ns=BAD), messages=[HumanMessage("x", id="1")])
    saver.put_writes(stored, [(BAD, PLAIN)], task_id=BAD, task_path=BAD)
    found = saver.get_tuple(of(thread, checkpoint_ns=BAD))
    assert found is not None
    assert found.pending_writes == [(BAD, BAD, PLAIN)]
    assert found.config["configurable"]["thread_id"] == str(thread)
    (listed,) = saver.list(None)
    assert listed.config == found.config


def test_a_message_that_is_too_long_is_refused_and_nothing_is_stored(saver: KataSaver, kata: Kata) -> None:
    put(saver, of("t"), messages=[HumanMessage("é" * 8_000_000, id="1")])
    with pytest.raises(InvalidMessageError):
        put(saver, of("t"), messages=[HumanMessage("é" * 8_400_000, id="2")])
    assert len(list(saver.list(of("t")))) == 1
    assert len(kata.messages("t")) == 1


def test_a_serializer_that_encrypts_is_refused(kata: Kata) -> None:
    class Cipher:
        def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
            return "x", plaintext

        def decrypt(self, _: str, ciphertext: bytes) -> bytes:
            return ciphertext

    with pytest.raises(MisuseError, match="not encrypted"):
        KataSaver(kata, serde=EncryptedSerializer(Cipher()))


def test_a_message_that_is_changed_in_place_is_another_one(saver: KataSaver) -> None:
    message = HumanMessage([{"type": "text", "text": "before"}], id="1", additional_kwargs={"n": {"m": 1}})
    first = put(saver, of("t"), messages=[message])
    message.additional_kwargs["n"]["m"] = 2
    second = put(saver, first, messages=[message])
    assert [values_of(saver, c)["messages"][0].additional_kwargs["n"]["m"] for c in (first, second)] == [1, 2]
    read = values_of(saver, first)["messages"][0]
    read.content[0]["text"] = "changed by a reader"
    assert values_of(saver, first)["messages"][0].content[0]["text"] == "before"


def test_an_erasure_is_seen_at_once_and_an_amendment_changes_the_view_only(
    saver: KataSaver, kata: Kata
) -> None:
    stored = put(saver, of("t"), messages=[HumanMessage("one", id="1"), HumanMessage("two", id="2")])
    values_of(saver, stored)
    kata.amend("t", 1, {"content": "ONE"})
    assert [row.content for row in kata.window("t", 100)] == ["ONE", "two"]
    assert [m.content for m in values_of(saver, stored)["messages"]] == ["one", "two"]
    kata.erase_message("t", 2, "asked for")
    assert [m.content for m in values_of(saver, stored)["messages"]] == ["one", ""]


def test_writers_of_one_thread_in_several_stores_lose_nothing(
    saver: KataSaver, kata: Kata, database: str
) -> None:
    start = put(saver, of("t"), messages=[HumanMessage("start", id="start")])

    def write(writer: int) -> list[Any]:
        with Kata(database) as own_kata:
            own, config, made = KataSaver(own_kata), start, []
            own.get_tuple(start)
            for number in range(6):
                messages = values_of(own, config)["messages"] + [
                    HumanMessage(f"{writer} {number}", id=f"{writer}-{number}")
                ]
                config = put(own, config, messages=messages)
                made.append((config, messages))
            return made

    with ThreadPoolExecutor(4) as executor:
        made = [one for some in executor.map(write, range(4)) for one in some]
    for reader in (saver, KataSaver(kata)):
        assert all(values_of(reader, config)["messages"] == messages for config, messages in made)
    assert len(kata.messages("t", visibility="all")) == 25
    assert kata.verify() == []


def test_stores_that_bring_the_same_message_store_it_once(saver: KataSaver, kata: Kata) -> None:
    message = HumanMessage("same", id="1")
    stored = [put(saver, of("t"), messages=[message])]
    for _ in range(3):
        stored.append(put(KataSaver(kata), stored[-1], messages=[message, HumanMessage("no id")]))
    assert shown(kata) == ["same", "no id"]
    assert len(kata.messages("t", visibility="all")) == 2
    assert all(len(values_of(saver, one)["messages"]) == 2 for one in stored[1:])


def test_a_checkpoint_that_is_put_again_changes_no_view(saver: KataSaver, kata: Kata) -> None:
    start, again = HumanMessage("start", id="1"), HumanMessage("again", id="2")
    first = put(saver, of("t"), messages=[start])
    second = put(saver, first, messages=[start, again])
    stored = saver.get_tuple(second)
    assert stored is not None
    # One saver knows the versions of the messages, the other does not.
    for other in (saver, KataSaver(kata)):
        before = kata.get_context("t").version
        versions = stored.checkpoint["channel_versions"]
        assert other.put(first, stored.checkpoint, stored.metadata, versions) == second
        assert kata.get_context("t").version == before
    assert shown(kata) == ["start", "again"]
    assert values_of(saver, second)["messages"] == [start, again]


def test_writes_that_come_after_the_next_checkpoint_name_its_messages(saver: KataSaver, kata: Kata) -> None:
    call = {"name": "f", "args": {}, "id": "c1", "type": "tool_call"}
    start = [HumanMessage("start", id="1"), AIMessage("", id="2", tool_calls=[call])]
    first = put(saver, of("t"), messages=start)
    # The call is open, so the log has the second one beside the message.
    late = [AIMessage("with", id="3"), AIMessage("without"), AIMessage("", id="5", tool_calls=[call])]
    put(saver, first, messages=[*start, late[0], AIMessage("without", id="4"), late[2]])
    KataSaver(kata).put_writes(first, [("messages", late)], task_id="t")
    found = saver.get_tuple(first)
    assert found is not None
    assert found.pending_writes == [("t", "messages", late)]
    assert found.pending_writes[0][2][1].id is None
    with kata.transaction() as tx:
        counts = tx.connection.execute(
            "select count(d.value -> 'version'), count(*) filter (where d.value ? 'message')"
            " from kata_langgraph.write w, jsonb_each(w.drafts) d"
        )
        assert counts.fetchone() == (2, 0)


def shown(kata: Kata) -> list[str | None]:
    """Return the texts of the window of the thread."""
    return [row.content for row in kata.window("t", 10_000)]


def test_a_message_that_was_on_another_branch_is_shown_on_this_one_too(saver: KataSaver, kata: Kata) -> None:
    start, other = HumanMessage("start", id="1"), HumanMessage("again", id="2")
    first = put(saver, of("t"), messages=[start])
    second = put(saver, first, messages=[start, other])
    put(saver, first, messages=[start, HumanMessage("between", id="3")])
    assert shown(kata) == ["start", "between"]
    third = put(saver, first, messages=[start, other, HumanMessage("more", id="4")])
    assert shown(kata) == ["start", "again", "more"]
    assert [len(values_of(saver, one)["messages"]) for one in (first, second, third)] == [1, 2, 3]


def test_a_tenant_sees_and_reaches_nothing_of_another(
    saver: KataSaver, kata: Kata, connect: Callable[..., psycopg.Connection]
) -> None:
    one, two = (KataSaver(kata.as_tenant(tenant)) for tenant in ("one", "two"))
    stored = put(one, of("t"), messages=[HumanMessage("of one", id="1")], metadata="x")
    assert two.get_tuple(of("t")) is None
    assert two.get_tuple(stored) is None
    assert list(two.list(None)) == []
    two.delete_thread("t")
    two.delete_for_runs([""])
    two.prune(["t"], strategy="delete")
    two.copy_thread("t", "copy")
    put(two, of("t"), messages=[HumanMessage("of two", id="1")])
    assert [m.content for m in values_of(one, of("t"))["messages"]] == ["of one"]
    assert [m.content for m in values_of(two, of("t"))["messages"]] == ["of two"]
    context = kata.as_tenant("one").find_context("t")
    with kata.as_tenant("two").transaction() as tx, pytest.raises(psycopg.Error, match="not found"):
        tx.connection.execute("select * from kata_langgraph.contents(%s, '{1,1}')", (context,))


def test_roles_have_functions_and_no_table(
    saver: KataSaver, kata: Kata, connect: Callable[..., psycopg.Connection]
) -> None:
    put(saver, of("t"), messages=[HumanMessage("x", id="1")])
    conn = connect(autocommit=True)
    role = f"lg_{random.getrandbits(40)}"
    conn.execute(f"create role {role} in role kata_writer".encode())
    try:
        conn.execute(f"set role {role}".encode())
        for table in ("thread", "checkpoint", "write"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(f"select from kata_langgraph.{table}".encode())
        for function in ("open_thread('t', 't')", "place_drafts(null, '[]', null)", "sweep(null)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(f"select kata_langgraph.{function}".encode())
    finally:
        conn.execute("reset role")
        conn.execute(f"drop role {role}".encode())


def test_setup_again_changes_nothing_and_an_older_schema_is_brought_up_to_date(
    saver: KataSaver, kata: Kata
) -> None:
    stored = put(saver, of("t"), messages=[HumanMessage("x", id="1")])
    saver.setup()
    with kata.transaction() as tx:
        tx.connection.execute("comment on schema kata_langgraph is 'older'")
        tx.connection.execute("drop function kata_langgraph.prune")
    saver.setup()
    saver.prune(["t"])
    assert len(values_of(saver, stored)["messages"]) == 1
    assert kata.verify() == []


def test_prune_and_runs_take_what_belongs_to_them(saver: KataSaver) -> None:
    config: Any = of("t")
    for number in range(4):
        config = put(
            saver,
            {**config, "metadata": {"run_id": f"r{number}"}},
            messages=[HumanMessage(str(number), id=str(number))],
            x=number,
        )
        saver.put_writes(config, [("x", HumanMessage("w"))], task_id="t")
    saver.delete_for_runs(["r3"])
    found = list(saver.list(of("t")))
    assert [one.checkpoint["channel_values"]["x"] for one in found] == [2, 1, 0]
    saver.prune(["t"])
    (kept,) = saver.list(of("t"))
    assert kept.checkpoint["channel_values"]["x"] == 2
    assert kept.pending_writes == [("t", "x", HumanMessage("w"))]
    with saver.kata.transaction() as tx:
        counts = tx.connection.execute(
            "select (select count(*) from kata_langgraph.checkpoint),"
            " (select count(*) from kata_langgraph.write),"
            " (select count(*) from kata_langgraph.write w, jsonb_each(w.drafts))"
        ).fetchone()
    assert counts == (1, 1, 1)


def test_values_of_removed_checkpoints_stay_while_others_need_them(saver: KataSaver) -> None:
    def rows() -> Any:
        with saver.kata.transaction() as tx:
            return tx.connection.execute(
                "select array_agg(cardinality(channels) order by checkpoint_id)"
                " from kata_langgraph.checkpoint"
            ).fetchone()

    def step(config: Any, values: dict[str, Any], versions: dict[str, Any], *new: str) -> Any:
        checkpoint = empty_checkpoint() | {
            "id": str(uuid6()),
            "channel_values": values,
            "channel_versions": versions,
        }
        return saver.put(config, checkpoint, {"step": 0}, {channel: versions[channel] for channel in new})

    message = HumanMessage("kept", id="1")
    values: dict[str, Any] = {"kept": {"said": message, "n": 1}, "list": [message], "gone": 0}
    versions: dict[str, Any] = {"kept": 1, "list": "1.5", "gone": 1}
    first = step(of("t"), values, versions, *versions)
    del values["gone"]
    second = step(first, values, versions)
    # A sibling, as LangGraph copies a checkpoint: its values are not those of its parent.
    copy = step(of("t"), values | {"new": 2}, versions | {"new": 1}, "new")
    for config in (first, second, copy):
        found = values_of(saver, config)
        assert {name: found[name] for name in values} == values
    saver.prune(["t"])
    for count in ((3, 2), (2, 3)):
        (kept,) = saver.list(of("t"))
        assert kept.checkpoint["channel_values"] == values | {"new": 2}
        saver.prune(["t"])
        assert rows() == ([2, 3],), count
    # Again, with a value less, which the next one has.
    third = step(copy, values | {"new": 2}, versions | {"new": 1})
    again = saver.get_tuple(copy)
    assert again is not None
    again.checkpoint["channel_values"] = {"other": 5}
    again.checkpoint["channel_versions"] = {"other": 1}
    saver.put(of("t"), again.checkpoint, again.metadata, {"other": 1})
    assert values_of(saver, copy) == {"other": 5}
    assert values_of(saver, third) == values | {"new": 2}
    saver.prune(["t"], strategy="delete")
    assert rows() == (None,)


NEWEST = "select * from kata_langgraph.checkpoints('t', '', null, null, null, 1)"


def test_a_value_of_long_ago_costs_as_much_in_a_long_thread(saver: KataSaver) -> None:
    versions: dict[str, Any] = {"kept": 1, "messages": 1}
    values = {"kept": "value", "messages": [HumanMessage("hello", id="1")]}
    config, found = of("t"), []
    for number in range(200):
        checkpoint = empty_checkpoint() | {
            "id": str(uuid6()), "channel_values": values, "channel_versions": versions,
        }  # fmt: skip
        config = saver.put(config, checkpoint, {"step": number}, {} if number else versions)
        if number in (19, 199):
            with saver.kata.transaction() as tx:
                explained = f"explain (analyze, buffers, format json) {NEWEST}"
                for _ in range(2):  # the first one also reads the catalog
                    ((((plan,),),),) = [tx.connection.execute(explained.encode()).fetchall()]
                found.append(plan["Plan"]["Shared Hit Blocks"])
    # A level of an index, and pages that another plan would not read.
    assert found[1] < found[0] + 10, found


def test_a_task_that_writes_twice_has_the_writes_of_both(saver: KataSaver) -> None:
    config = put(saver, of("t"), x=0)
    own = [HumanMessage("one", id="1"), HumanMessage("two", id="2")]
    saver.put_writes(config, [("x", [own[0]]), ("y", 1)], task_id="t")
    saver.put_writes(config, [("x", "late"), ("y", 2), ("z", own[1])], task_id="t")
    saver.put_writes(config, [("__interrupt__", "first")], task_id="t")
    saver.put_writes(config, [("__interrupt__", own)], task_id="t")
    found = saver.get_tuple(config)
    assert found is not None
    assert found.pending_writes == [
        ("t", "__interrupt__", own),
        ("t", "x", [own[0]]),
        ("t", "y", 1),
        ("t", "z", own[1]),
    ]


def test_ids_of_any_form_are_listed_newest_first(saver: KataSaver) -> None:
    ids = ["", "1", "10", "2", "a\x00b", "f" * 300, str(uuid6()), str(uuid6())]
    for id in ids:
        checkpoint = empty_checkpoint() | {"id": id}
        saver.put(of("t"), checkpoint, {"step": 0}, {})
    assert [one.checkpoint["id"] for one in saver.list(of("t"))] == ids[::-1]
    before = of("t", checkpoint_id="10")
    assert [one.checkpoint["id"] for one in saver.list(of("t"), before=before)] == ["1", ""]


def test_a_delta_channel_survives_a_prune(saver: KataSaver) -> None:
    pytest.importorskip("langgraph.channels.delta")
    from typing import Annotated, TypedDict

    from langgraph.channels.delta import DeltaChannel
    from langgraph.graph.message import _messages_delta_reducer

    class State(TypedDict):
        messages: Annotated[list[BaseMessage], DeltaChannel(_messages_delta_reducer, snapshot_frequency=5)]

    builder: Any = StateGraph(State)
    builder.add_node("answer", lambda s: {"messages": [AIMessage("a", id=f"a{len(s['messages'])}")]})
    builder.add_edge(START, "answer")
    graph = builder.compile(checkpointer=saver)
    for number in range(7):
        graph.invoke({"messages": [HumanMessage(str(number), id=f"h{number}")]}, of("t"))
        expected = graph.get_state(of("t")).values["messages"]
        assert len(expected) == 2 * (number + 1)
        saver.prune(["t"])
        assert graph.get_state(of("t")).values["messages"] == expected


def test_a_message_of_a_class_of_its_own_comes_back(saver: KataSaver) -> None:
    stored = put(saver, of("t"), messages=[OwnMessage("mine", id="1", stars=5)])
    (found,) = values_of(saver, stored)["messages"]
    assert type(found) is OwnMessage
    assert found.stars == 5


class OwnMessage(HumanMessage):
    """A message of the user's."""

    stars: int = 0


def test_a_graph_of_the_users_context_goes_on_after_what_is_there(saver: KataSaver, kata: Kata) -> None:
    kata.create("t").append_message("system", "Be brief.")
    builder: Any = StateGraph(MessagesState)
    builder.add_node("answer", lambda s: {"messages": [AIMessage("ok", id=f"a{len(s['messages'])}")]})
    builder.add_edge(START, "answer")
    builder.compile(checkpointer=saver).invoke({"messages": [HumanMessage("hi", id="h")]}, of("t"))
    assert [row.content for row in kata.window("t", 1000)] == ["Be brief.", "hi", "ok"]
