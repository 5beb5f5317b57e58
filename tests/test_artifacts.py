"""The artifact index on recorded conversations, against an oracle; as of any version and on any fork."""

import json
import random
import re
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from threading import Barrier
from typing import Any, cast

import psycopg
import pytest
from psycopg import errors
from psycopg.types.json import Jsonb

from support.driver import PATIENCE
from test_conversations import import_messages, recorded

pytestmark = pytest.mark.slow

Json = dict[str, Any]
Connect = Callable[..., psycopg.Connection]
Shown = dict[tuple[str, str], tuple[Any, int, int, int]]
"""Kind and ref → detail, first version, last version, mentions."""

ALL = 2**63 - 1
EXTRACT = f"select kata_data.extract_artifacts(%s, {ALL})"
WRITERS = 6


def value(conn: psycopg.Connection, statement: str, *arguments: Any) -> Any:
    """Return the one value that a statement returns."""
    row = conn.execute(statement.encode(), arguments).fetchone()
    assert row is not None
    return row[0]


def shown(conn: psycopg.Connection, context_id: uuid.UUID, at: int | None = None) -> Shown:
    """Return the artifacts of a context."""
    statement = (
        "select kind, ref, detail, first_version, last_version, mentions from kata.artifacts(%s, at => %s)"
    )
    rows = conn.execute(statement.encode(), [context_id, at]).fetchall()
    found = {
        (kind, ref): (detail, first, last, mentions) for kind, ref, detail, first, last, mentions in rows
    }
    assert len(found) == len(rows)
    return found


# The oracle: what a reader of the conversation would write down, found without looking at the SQL.

ID_KEYS = {"reservation_id", "user_id", "payment_id", "flight_number", "id", "email"}
FILE_KEYS = {"path", "filename", "file_name"}


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value in JSON with the key that it stands under, or its array does."""
    if isinstance(node, dict):
        for name, inner in node.items():
            yield from leaves(inner, name)
    elif isinstance(node, list):
        for inner in node:
            yield from leaves(inner, key)
    else:
        yield key, node


def documents(message: Json) -> Iterator[Any]:
    """Yield the arguments of a message's calls, and what a tool returned if it is JSON."""
    for call in message.get("tool_calls") or []:
        yield json.loads(call["function"]["arguments"])
    if message["role"] == "tool" and message["content"][:1] in ("{", "["):
        with suppress(json.JSONDecodeError):
            yield json.loads(message["content"])


def text_of(message: Json) -> str:
    """Return all that a message says, with what JSON escapes taken back."""
    strings = [
        text for document in documents(message) for pair in leaves(document) for text in map(str, pair)
    ]
    return "\n".join([message["content"] or "", *strings]).replace("\r", "")


def expected(messages: list[Json]) -> set[tuple[str, str]]:
    """Return the artifacts that occur in the arguments and results of tools, and the addresses anywhere."""
    found: set[tuple[str, str]] = set()
    for message in messages:
        found |= {("tool_call", call["function"]["name"]) for call in message.get("tool_calls") or []}
        for document in documents(message):
            for key, leaf in leaves(document):
                if key in ID_KEYS or (key == "reservations" and leaf):
                    found.add(("id", str(leaf)))
                if key in FILE_KEYS:
                    found.add(("file", leaf))
        text = text_of(message)
        found |= {("url", url.rstrip(".,")) for url in re.findall(r"https?://[^\s<>\"'`)\]}]+", text)}
        if message["role"] == "tool":
            found |= {("file", path) for path in re.findall(r"\[File: (\S+) \(", text)}
            found |= {("file", path) for path in re.findall(r"\(Open file: (/\S+)\)", text)}
            found |= {("file", path) for path in re.findall(r"^diff --git a/(\S+) b/", text, re.MULTILINE)}
            found |= {("file", path) for path in re.findall(r"(?<!\S)/[\w./-]+\.py\b", text)}
    return found


def mentions(messages: list[Json], kind: str, ref: str) -> list[int]:
    """Return the versions in which an artifact occurs, a tool once for each call."""
    if kind == "tool_call":
        return [
            version
            for version, message in enumerate(messages, 1)
            for call in message.get("tool_calls") or []
            if call["function"]["name"] == ref
        ]
    around = {"id": r"[\w@-]", "file": r"[\w/-]", "url": r"[\w/#]"}[kind]
    pattern = re.compile(rf"(?<!{around}){re.escape(ref)}(?!{around}|\.\w)")
    if kind == "file":
        pattern = re.compile(rf"{pattern.pattern}|^(?:---|\+\+\+) [ab]/{re.escape(ref)}$", re.MULTILINE)
    return [version for version, message in enumerate(messages, 1) if pattern.search(text_of(message))]


def test_everything_that_tools_were_given_or_returned_is_found_with_its_versions(
    conn: psycopg.Connection,
) -> None:
    looked_for = 0
    for name, messages in recorded():
        context_id = import_messages(conn, messages)
        unparsed = shown(conn, context_id)
        value(conn, EXTRACT, context_id)
        found = shown(conn, context_id)
        assert found == unparsed, name
        wanted = expected(messages)
        looked_for += len(wanted)
        assert wanted - found.keys() == set(), name
        for kind, ref in wanted:
            versions = mentions(messages, kind, ref)
            if kind == "id" and ref.isalpha():
                # Outside of JSON, only the words before it show that it is not a word itself.
                assert found[kind, ref][2] in versions, f"{name}: {kind} {ref}"
                continue
            told = (versions[0], versions[-1], len(versions))
            assert found[kind, ref][1:] == told, f"{name}: {kind} {ref}"
    assert looked_for > 1000


def test_every_artifact_found_is_in_the_text_and_is_not_a_common_word(conn: psycopg.Connection) -> None:
    for name, messages in recorded():
        context_id = import_messages(conn, messages)
        text = "\n".join(map(text_of, messages))
        wanted = expected(messages)
        found = shown(conn, context_id)
        for kind, ref in found:
            assert kind == "tool_call" or ref in text, f"{name}: {kind} {ref}"
            assert kind != "id" or re.search(r"\d|^[A-Z]{6}$", ref), f"{name}: {ref}"
        # A reader would write down most of it.
        assert len(found) <= 1.5 * len(wanted) + 20, name


def written_otherwise(document: Any) -> str:
    """Return JSON in which every character of every string is escaped."""

    def escaped(match: re.Match[str]) -> str:
        units = json.loads(match[0]).encode("utf-16-be").hex()
        return '"' + "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)) + '"'

    return re.sub(r'"(?:[^"\\]|\\.)*"', escaped, json.dumps(document))


# Texts that resemble the bounds of a string, or JSON in one; and words at the edges of strings.
ODD: list[Any] = [
    ["OI5L9G", ", ", "", '", "', "src/a.py", "]", "[", "order 4711", "", "[File: x.py (3"],
    {
        "a_b": '["HAT083", "x/y.py"]',
        "c": "{} HAT084",
        "d": '{"order_id": 12}',
        "e": "[",
        "f": ["{", "HAT085"],
    },
    {"content": "first\nsecond_1234\tthird_1234", "path": "C:\\new.txt", "say": '"HAT086"', "HAT087": None},
    [[], {}, "", [""], "ORD-1234 \U0001f600 ORD-1235", "é_1234", "see https://x.example/a\\b HAT088"],
    {"deep": json.dumps({"path": "a/b.py", "again": json.dumps(["c/d.py", {"user_id": "u-1"}])})},
]


def test_it_makes_no_difference_how_json_is_written(conn: psycopg.Connection) -> None:
    returned = [
        document for _, messages in recorded() for message in messages for document in documents(message)
    ]
    ways: list[Callable[[Any], str]] = [
        json.dumps,
        lambda document: json.dumps(document, indent=1, ensure_ascii=False),
        written_otherwise,
    ]
    found = []
    for way in ways:
        messages = [{"role": "user", "content": way(document)} for document in ODD + returned]
        context_id = import_messages(conn, messages)
        value(conn, EXTRACT, context_id)
        found.append(shown(conn, context_id))
    assert {("id", "OI5L9G"), ("id", "HAT083"), ("id", "HAT088"), ("file", "c/d.py")} <= found[0].keys()
    assert len(found[0]) > 500
    assert found[1:] == found[:1] * 2


def test_a_file_is_modified_from_its_first_change_on(conn: psycopg.Connection) -> None:
    (messages,) = (messages for name, messages in recorded() if name.startswith("swe-agent"))
    context_id = import_messages(conn, messages)
    value(conn, EXTRACT, context_id)
    edited = "/testbed/src/marshmallow/fields.py"
    access = [
        shown(conn, context_id, at).get(("file", edited), [None])[0] for at in range(1, len(messages) + 1)
    ]
    assert access == [None] * 17 + [{"access": "listed"}] * 4 + [{"access": "modified"}] * 7
    assert shown(conn, context_id, 24)["file", "reproduce.py"][0] == {"access": "modified"}
    assert shown(conn, context_id)["file", "reproduce.py"][0] == {"access": "modified", "deleted": True}


def test_the_index_as_of_a_version_is_that_of_a_context_that_ends_there(conn: psycopg.Connection) -> None:
    for name, messages in recorded()[::25]:
        context_id = import_messages(conn, messages)
        value(conn, EXTRACT, context_id)
        # Appended message by message, and never parsed but on the fly.
        growing = value(conn, "select kata.create_context()")
        for at, message in enumerate(messages, 1):
            conn.execute("select kata.append(%s, %s)", [growing, Jsonb([message])])
            assert shown(conn, context_id, at) == shown(conn, growing), f"{name} at {at}"
        assert value(conn, "select count(*) from kata.verify(%s)", context_id) == 0


@pytest.mark.parametrize("seed", range(6))
def test_a_fork_shows_what_a_context_of_its_messages_shows(conn: psycopg.Connection, seed: int) -> None:
    """A random tree of forks, extracted in between in any order, against contexts with the same messages."""
    chance = random.Random(seed)
    stock = [
        {"role": "user", "content": message["content"]}
        for _, messages in recorded()[seed * 10 : seed * 10 + 10]
        for message in messages
        if message["role"] != "system" and message["content"]
    ]
    paths: dict[str, list[Json]] = {"root": []}
    ids = {"root": value(conn, "select kata.create_context('root')")}
    for step in range(60):
        name = chance.choice(list(paths))
        act = chance.random()
        if act < 0.5:
            batch = chance.sample(stock, chance.randint(1, 4))
            conn.execute("select kata.append(%s, %s)", [ids[name], Jsonb(batch)])
            paths[name] += batch
        elif act < 0.7 and len(paths) < 12:
            at = chance.randint(0, len(paths[name]))
            ids[str(step)] = value(conn, "select fixture.fork(%s, %s, %s)", name, at, str(step))
            paths[str(step)] = paths[name][:at]
        elif act < 0.9:
            value(
                conn,
                "select kata_data.extract_artifacts(%s, %s)",
                ids[name],
                chance.randint(0, len(paths[name])),
            )
        else:
            value(conn, EXTRACT, ids[name])
    for name, path in paths.items():
        plain = import_messages(conn, path) if path else value(conn, "select kata.create_context()")
        for at in {0, len(path), *(chance.randint(0, len(path)) for _ in range(4))}:
            assert shown(conn, ids[name], at) == shown(conn, plain, at), f"seed {seed}, {name} at {at}"
    assert value(conn, "select count(*) from kata.verify()") == 0


@pytest.mark.parametrize("seed", range(3))
def test_what_an_erased_message_told_is_gone_and_the_rest_adds_up(
    conn: psycopg.Connection, seed: int
) -> None:
    chance = random.Random(seed)
    name, messages = recorded()[seed * 30 + 3]
    plain = [{"role": "user", "content": text_of(message) or "-"} for message in messages]
    context_id = import_messages(conn, plain)
    value(conn, EXTRACT, context_id)
    for version in chance.sample(range(1, len(plain) + 1), 10):
        value(conn, "select kata_data.forget_artifacts(%s, %s)", context_id, version)
        plain[version - 1] = {"role": "user", "content": "-"}
    without = import_messages(conn, plain)
    for at in range(len(plain) + 1):
        assert shown(conn, context_id, at) == shown(conn, without, at), f"{name} at {at}"
    assert value(conn, "select count(*) from kata.verify(%s)", context_id) == 0


# Several sessions


@pytest.fixture
def long_context(connect: Connect) -> uuid.UUID:
    """A context with all recorded conversations, none of it parsed."""
    with closing(connect(autocommit=True)) as conn:
        return import_messages(conn, [message for _, messages in recorded() for message in messages])


def test_many_that_extract_at_once_extract_once(connect: Connect, long_context: uuid.UUID) -> None:
    barrier = Barrier(WRITERS)
    connections = [connect(autocommit=True, options=f"-c lock_timeout={PATIENCE}s") for _ in range(WRITERS)]

    def extract(conn: psycopg.Connection) -> int:
        barrier.wait(PATIENCE)
        return cast(int, value(conn, EXTRACT, long_context))

    with ThreadPoolExecutor(WRITERS) as pool:
        left = list(pool.map(extract, connections))
    conn = connections[0]
    assert 0 in left
    assert value(conn, EXTRACT, long_context) == 0
    alone = import_messages(conn, [message for _, messages in recorded() for message in messages])
    assert value(conn, EXTRACT, alone) == 0
    assert shown(conn, long_context) == shown(conn, alone)
    assert value(conn, "select count(*) from kata.verify()") == 0


def test_extraction_hinders_no_writer(connect: Connect, long_context: uuid.UUID) -> None:
    busy, other = connect(), connect(autocommit=True, options="-c lock_timeout=1s")
    before = shown(other, long_context, 900)
    version = value(other, "select version from kata.get_context(%s)", long_context)
    assert value(busy, EXTRACT, long_context) == 0
    assert value(other, EXTRACT, long_context) == version
    assert (
        value(other, "select kata.append_message(%s, 'user', 'OI5L9G src/new.py')", long_context)
        == version + 1
    )
    other.execute("select kata.add_artifact(%s, 'ticket', 'T-1')", [long_context])
    assert shown(other, long_context, 900) == before
    busy.rollback()
    assert shown(other, long_context, 900) == before
    assert value(other, "select count(*) from kata_data.artifact") == 0, "what was rolled back left nothing"
    assert value(other, EXTRACT, long_context) == 0
    assert shown(other, long_context)["file", "src/new.py"][1:] == (version + 1, version + 1, 1)


def test_erasing_and_extracting_exclude_each_other(connect: Connect, long_context: uuid.UUID) -> None:
    begin = "select count(*) from kata.begin_compaction(%s, 'digest', force => true)"
    one, other = connect(), connect(options="-c lock_timeout=100ms")
    assert value(one, begin, long_context) == 1
    with pytest.raises(psycopg.Error, match="another session holds") as caught:
        other.execute("select kata.erase_message(%s, 2, 'by request')", [long_context])
    assert caught.value.sqlstate == "KC025"
    other.rollback()
    one.rollback()
    other.execute("select kata.erase_message(%s, 2, 'by request')", [long_context])
    one.execute("set lock_timeout = '100ms'")
    with pytest.raises(errors.LockNotAvailable):
        value(one, begin, long_context)


def test_an_extraction_that_sees_an_old_snapshot_does_no_harm(
    connect: Connect, long_context: uuid.UUID
) -> None:
    old, other = connect(), connect(autocommit=True)
    old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    before = shown(old, long_context)
    value(other, EXTRACT, long_context)
    with pytest.raises(errors.SerializationFailure):
        value(old, EXTRACT, long_context)
    old.rollback()
    assert value(old, EXTRACT, long_context) == 0
    assert value(other, "select count(*) from kata.verify()") == 0
    assert len(before) == 1000 or before.keys() <= shown(other, long_context).keys()


# Cost


def buffers(conn: psycopg.Connection, statement: str, *arguments: Any) -> int:
    """Run a statement and return the buffers that it touched."""
    plan = value(conn, f"explain (analyze, buffers, format json) {statement}", *arguments)[0]
    parts = (plan["Plan"], plan.get("Planning", {}))
    return sum(part.get(kind, 0) for part in parts for kind in ("Shared Hit Blocks", "Shared Read Blocks"))


@pytest.fixture(scope="module")
def grown(server: Any, template: str) -> Iterator[dict[int, tuple[psycopg.Connection, uuid.UUID]]]:
    """Contexts of 1,000 and of 100,000 messages that name the same hundred artifacts, parsed."""
    made = {}
    for length in (1_000, 100_000):
        server.execute(f"create database artifacts_{length} template {template}")
        conn = psycopg.connect(
            server.url(f"artifacts_{length}"), autocommit=True, cursor_factory=psycopg.ClientCursor
        )
        context_id = value(conn, "select kata.create_context()")
        batch = [
            {"role": "user", "content": f"order_{100 + n % 100} is src/a.py", "token_count": 5}
            for n in range(1000)
        ]
        for _ in range(length // 1000):
            conn.execute("select kata.append(%s, %s)", [context_id, Jsonb(batch)])
        assert value(conn, EXTRACT, context_id) == 0
        # Rows of the long one were updated, chunk by chunk. Where that left them is not what is counted.
        conn.execute("cluster kata_data.artifact using artifact_ref_unique")
        made[length] = (conn, context_id)
    yield made
    for length, (conn, _) in made.items():
        conn.close()
        server.execute(f"drop database artifacts_{length} with (force)")


@pytest.mark.parametrize("past", ["now", "the past"])
def test_reading_the_index_costs_the_same_however_long_the_log(
    grown: dict[int, tuple[psycopg.Connection, uuid.UUID]], past: str
) -> None:
    costs = {}
    for length, (conn, context_id) in grown.items():
        at = None if past == "now" else length - 150
        statement = "select * from kata.artifacts(%s, at => %s)"
        costs[length] = min(buffers(conn, statement, context_id, at) for _ in range(3))
        assert len(shown(conn, context_id, at)) == 101
    # As of the past each artifact is one look-up, in an index of a hundred times the rows.
    levels = 0 if past == "now" else 2 * 101
    assert costs[100_000] <= costs[1_000] + 10 + levels, costs


def test_appending_does_not_know_of_the_index(connect: Connect) -> None:
    """The same buffers and the same WAL whether the log was parsed or not."""
    conn = connect(autocommit=True, cursor_factory=psycopg.ClientCursor)
    costs = []
    for parsed in (False, True):
        context_id = value(conn, "select kata.create_context()")
        conn.execute(
            "select kata.append(%s, %s)", [context_id, Jsonb([{"role": "user", "content": "OI5L9G"}] * 300)]
        )
        if parsed:
            value(conn, EXTRACT, context_id)
        statement = "select kata.append_message(%s, 'user', 'src/a.py and OI5L9G', 5)"
        for _ in range(6):
            buffers(conn, statement, context_id)
        costs.append(sum(buffers(conn, statement, context_id) for _ in range(50)) / 50)
    assert abs(costs[0] - costs[1]) <= 1, costs


class Clock:
    """Counts the CPU time that the backend of a connection spends, as the server reports it."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self.conn = conn
        self.seconds = 0.0
        conn.execute("set client_min_messages = log")
        conn.add_notice_handler(self.notice)

    def notice(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        """Add up user and system time of a statement."""
        for used in re.findall(
            r"([\d.]+) s user, ([\d.]+) s system, [\d.]+ s elapsed", diagnostic.message_detail or ""
        ):
            self.seconds += sum(map(float, used))

    def spent(self, statement: str, *arguments: Any) -> float:
        """Run a statement and return the CPU seconds that it took."""
        self.seconds = 0.0
        self.conn.execute("set log_statement_stats = on")
        self.conn.execute(statement.encode(), arguments)
        self.conn.execute("set log_statement_stats = off")
        assert self.seconds > 0
        return self.seconds


HOSTILE = {
    "letters": "a",
    "words": "ab ",
    "digits": "1",
    "strokes": "a/",
    "dots": "a.",
    "dashes": "a-1",
    "ats": "a@",
    "stars": "*",
    "hashes": "#1",
    "greater": "> ",
    "addresses": "https://a.b/",
    "codes": "order: ",
    "patches": "--- a/x\n+++ b/x\n",
    "braces": '{"a":',
    "brackets": "[",
    "strings": '["a",',
    "letters with accents": "é ",
    "backslashes": "\\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_time_to_parse_a_text_grows_no_faster_than_the_text(connect: Connect, name: str) -> None:
    conn = connect(autocommit=True)
    clock = Clock(conn)
    spent = []
    for size in (400_000, 3_200_000):
        context_id = value(conn, "select kata.create_context()")
        unit = HOSTILE[name]
        value(
            conn,
            "select kata.append_message(%s, 'user', repeat(%s, %s))",
            context_id,
            unit,
            size // len(unit),
        )
        spent.append(clock.spent(EXTRACT, context_id))
    # Eight times the text; a quadratic pattern would take 64 times as long.
    assert spent[1] <= 24 * spent[0] + 0.1, spent


@pytest.mark.parametrize("shape", ["strings", "objects", "words", "paths", "addresses"])
def test_a_text_that_names_very_much_is_parsed_in_linear_time(connect: Connect, shape: str) -> None:
    conn = connect(autocommit=True)
    clock = Clock(conn)

    def text(count: int) -> str:
        if shape in ("strings", "objects"):
            return json.dumps([f"v{n:07}" if shape == "strings" else {"order_id": n} for n in range(count)])
        return " ".join(
            {"words": f"ORD{n}", "paths": f"src/f{n}.py", "addresses": f"https://a.b/{n}"}[shape]
            for n in range(count)
        )

    spent = []
    for count in (10_000, 80_000):
        context_id = value(conn, "select kata.create_context()")
        value(conn, "select kata.append_message(%s, 'user', %s)", context_id, text(count))
        spent.append(clock.spent(EXTRACT, context_id))
        assert (
            max(sum(kind == one for one, _ in shown(conn, context_id)) for kind in ("id", "file", "url"))
            <= 1000
        )
    assert spent[1] <= 24 * spent[0] + 0.1, spent


@pytest.mark.parametrize("tool", ["edit_files", "rename_files"])
def test_a_call_that_names_very_many_files_is_parsed_in_linear_time(connect: Connect, tool: str) -> None:
    """What becomes of each file depends on the arguments, which are as long as there are files."""
    conn = connect(autocommit=True)
    clock = Clock(conn)
    spent = []
    for count in (600, 4_800):
        files = [
            {"old_path": f"src/f{n}.py", "new_path": f"lib/f{n}.py", "text": "x" * 90} for n in range(count)
        ]
        call = {"name": tool, "arguments": json.dumps({"files": files})}
        calls = [{"id": "c1", "type": "function", "function": call}]
        context_id = value(conn, "select kata.create_context()")
        conn.execute(
            "select kata.append(%s, %s)", [context_id, Jsonb([{"role": "assistant", "tool_calls": calls}])]
        )
        spent.append(clock.spent(EXTRACT, context_id))
        assert shown(conn, context_id)["file", "lib/f1.py"][0]["access"] == "modified"
    assert spent[1] <= 24 * spent[0] + 0.1, spent


def test_real_conversations_are_parsed_in_good_time(connect: Connect) -> None:
    """At most 150 ms of CPU a megabyte on a machine of its own; twice that where others are busy beside."""
    conn = connect(autocommit=True)
    clock = Clock(conn)
    messages = [message for _, messages in recorded() for message in messages]
    size = sum(
        len((message["content"] or "").encode())
        + sum(len(call["function"]["arguments"].encode()) for call in message.get("tool_calls") or [])
        for message in messages
    )
    spent = min(clock.spent(EXTRACT, import_messages(conn, messages)) for _ in range(3))
    assert spent <= 0.3 * size / 1e6, f"{spent / size * 1e9:.0f} ms per MB"
