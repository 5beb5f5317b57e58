"""The examples run, and do what they say that they do, also when they are killed."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from conftest import ROOT, TestServer
from support.driver import PATIENCE, wait_until

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples"
ASKED = ("trip", "request-1", "Book me a flight to Seattle.")
# Ends the program before one of its round trips to the server, commits included; else prints their number.
KILLED = """
import os, signal, sys
import psycopg
import agent
wait, left = psycopg.Connection.wait, int(sys.argv.pop(1))
def counted(*arguments, **options):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return wait(*arguments, **options)
psycopg.Connection.wait = counted
agent.main(*sys.argv[1:])
print(-left)
"""
# Never gets an answer from one of the tools.
HANGING = """
import sys, threading
import airline
perform, tool = airline.perform, sys.argv.pop(1)
def hanging(call):
    if call["function"]["name"] == tool:
        threading.Event().wait()
    return perform(call)
airline.perform = hanging
"""
AGENT = "import agent\nagent.main(*sys.argv[1:])"
SERVICE = "import uvicorn\nuvicorn.run('service:app', fd=int(sys.argv[1]), log_level='error')"


@pytest.fixture
def environment(database: str) -> dict[str, str]:
    """The environment of an example: its folder, and a database of this test's own."""
    return {**os.environ, "DATABASE_URL": database, "PYTHONPATH": str(EXAMPLES)}


def run(environment: dict[str, str], *arguments: str) -> str:
    """Run an example to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env=environment,
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def log(database: str) -> list[tuple[str, str | None]]:
    """Return role and content of every message of the conversation, which verifies."""
    with psycopg.connect(database) as conn:
        assert conn.execute("select problem, detail from kata.verify()").fetchall() == []
        return conn.execute(
            "select m.role, m.content from kata.messages(kata.find_context('trip'), visibility => 'all') m"
        ).fetchall()


def bookings(database: str) -> list[str]:
    """Return the flights that are booked."""
    with psycopg.connect(database) as conn:
        return [flight for (flight,) in conn.execute("select flight from booking")]


def calls(database: str, tool: str) -> bool:
    """Whether a call of a tool waits for its result."""
    with psycopg.connect(database) as conn:
        return bool(
            conn.execute(
                """
                select
                from kata.list_contexts() c
                cross join kata.messages(c.context_id) m
                cross join jsonb_array_elements(m.tool_calls) e(call)
                where e.call #>> '{function,name}' = %s
                  and e.call ->> 'id' = any (c.open_calls)
                """,
                (tool,),
            ).fetchall()
        )


WHOLE = [
    ("user", "Book me a flight to Seattle."),
    ("assistant", None),
    ("tool", "HAT083, HAT136"),
    ("assistant", None),
    ("tool", "Flight HAT083 is booked."),
    ("assistant", None),
    ("tool", "The receipt is sent."),
    ("assistant", "Done. The receipt is sent."),
]
CLOSED = [
    *WHOLE[:6],
    ("tool", "Interrupted: it is not known whether this was done."),
    ("assistant", "Done. Interrupted: it is not known whether this was done."),
]


def test_the_agent_books_once_for_a_request_that_is_sent_twice(
    database: str, environment: dict[str, str]
) -> None:
    first = run(environment, "agent.py", *ASKED)
    again = run(environment, "agent.py", *ASKED)
    assert first == again == "Done. The receipt is sent.\n"
    assert log(database) == WHOLE
    assert bookings(database) == ["HAT083"]


def test_an_agent_that_is_killed_at_any_round_trip_loses_and_doubles_nothing(
    create_database: Callable[[str], str], template: str, environment: dict[str, str]
) -> None:
    environment["DATABASE_URL"] = create_database(template)
    trips = int(run(environment, "-c", KILLED, "-1", *ASKED).split()[-1]) - 1
    assert trips > 20
    database = environment["DATABASE_URL"] = create_database(template)
    killed = 0
    for left in range(trips // 5, trips, trips // 5):
        command = [sys.executable, "-c", KILLED, str(left), *ASKED]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE)
        killed += done.returncode == -signal.SIGKILL
    assert killed > 2
    assert run(environment, "agent.py", *ASKED).startswith("Done.")
    assert log(database) in (WHOLE, CLOSED)
    assert bookings(database) == ["HAT083"]


@pytest.mark.parametrize(("tool", "expected"), [("search_flights", WHOLE), ("send_receipt", CLOSED)])
def test_a_call_that_a_kill_interrupted_is_run_again_or_closed(
    tool: str, expected: list[tuple[str, str | None]], database: str, environment: dict[str, str]
) -> None:
    process = subprocess.Popen([sys.executable, "-c", HANGING + AGENT, tool, *ASKED], env=environment)
    try:
        wait_until(lambda: calls(database, tool))
    finally:
        process.kill()
        process.wait()
    assert run(environment, "agent.py", *ASKED) == f"{expected[-1][1]}\n"
    assert log(database) == expected
    assert bookings(database) == ["HAT083"]


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket that outlives the service behind it."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def request(listening: socket.socket, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Send a request and return status and answer."""
    headers, port = {"content-type": "application/json"}, listening.getsockname()[1]
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.mark.parametrize(("tool", "expected"), [("search_flights", WHOLE), ("send_receipt", CLOSED)])
def test_a_service_that_is_killed_in_the_middle_of_a_call_answers_after_its_restart(
    tool: str,
    expected: list[tuple[str, str | None]],
    database: str,
    environment: dict[str, str],
    listening: socket.socket,
) -> None:
    def serve(*tools: str) -> subprocess.Popen[bytes]:
        program = (HANGING if tools else "import sys\n") + SERVICE
        command = [sys.executable, "-c", program, *tools, str(listening.fileno())]
        return subprocess.Popen(command, env=environment, pass_fds=[listening.fileno()])

    said = {"request": ASKED[1], "text": ASKED[2]}
    path = "/conversations/trip/messages"
    lost: list[Exception] = []

    def ask() -> None:
        try:
            request(listening, "POST", path, said)
        except (OSError, http.client.HTTPException) as error:
            lost.append(error)

    client = threading.Thread(target=ask)
    process = serve(tool)
    try:
        client.start()
        wait_until(lambda: calls(database, tool))
    finally:
        process.kill()
        process.wait()
        client.join(PATIENCE)
    assert len(lost) == 1
    process = serve()
    try:
        assert request(listening, "POST", path, said) == (200, {"answer": expected[-1][1]})
        assert request(listening, "POST", path, said) == (200, {"answer": expected[-1][1]})
        status, rows = request(listening, "GET", "/conversations/trip/window?budget=8000&at=3")
        assert (status, [row["version"] for row in rows]) == (200, [1, 2, 3])
        status, document = request(listening, "GET", "/conversations/nowhere/window?budget=8000")
        assert (status, document["sqlstate"]) == (404, "KC001")
    finally:
        process.terminate()
        process.wait()
    assert log(database) == expected
    assert bookings(database) == ["HAT083"]


@pytest.fixture
def backend(server: TestServer, database: str) -> Iterator[str]:
    """The URL of a role that may act for any tenant, and is not a superuser."""
    server.execute("create role example_backend login in role kata_service")
    yield server.url(str(conninfo_to_dict(database)["dbname"]), "example_backend")
    server.execute("drop role example_backend")


def test_a_tenant_finds_its_own_conversation_only(backend: str, environment: dict[str, str]) -> None:
    environment["DATABASE_URL"] = backend
    for _ in range(2):
        assert run(environment, "tenants.py").splitlines() == [
            "acme sees [('support', 'acme')]",
            "acme reads the conversation of acme ['This is acme.']",
            "acme does not find the conversation of globex",
            "globex sees [('support', 'globex')]",
            "globex does not find the conversation of acme",
            "globex reads the conversation of globex ['This is globex.']",
        ]


def test_each_example_is_on_their_page_and_is_run_here() -> None:
    page = (EXAMPLES / "README.md").read_text("utf-8")
    assert all(f"]({path.name})" in page for path in EXAMPLES.glob("*.py"))
    assert {path.name for path in Path(EXAMPLES).glob("*.py")} == {
        "agent.py",
        "airline.py",
        "service.py",
        "tenants.py",
    }
