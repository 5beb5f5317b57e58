"""What docs/clients.md says of clients that are everywhere: psql, psycopg, PgBouncer, what PostgREST does.

`make test-integrations SDK=clients` has the others.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import TestServer
from kata_context import Kata
from support.clients import SAYS, programs
from support.pgbouncer import pgbouncer

VERSION, ERROR = SAYS.splitlines()


def test_psql(database: str, psql: Path) -> None:
    (block,) = programs("psql")
    command = [str(psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"]
    done = subprocess.run(command, input=block.text, capture_output=True, text=True)
    assert done.stdout == f"{VERSION}\n"
    code, _, hint = ERROR.partition(" ")
    assert f"ERROR:  {code}:" in done.stderr
    assert f"HINT:  {hint}" in done.stderr


def test_psycopg(database: str) -> None:
    (block,) = programs("psycopg 3")
    environment = {**os.environ, "DATABASE_URL": database}
    command = [sys.executable, "-W", "error", "-c", block.text]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == SAYS, done.stderr


def test_a_tenant_ends_with_its_transaction_behind_pgbouncer(
    database: str, server: TestServer, tmp_path_factory: pytest.TempPathFactory, scratch: Path
) -> None:
    in_transaction, in_statement = (block.text for block in programs("PgBouncer"))
    folder = Path(tmp_path_factory.mktemp("kata-pgbouncer", numbered=True).name)
    with pgbouncer(scratch / folder, database, server.account, default_pool_size=1) as dsn:
        for statements in (in_transaction, in_statement):
            with closing(psycopg.connect(dsn, autocommit=True, prepare_threshold=None)) as first:
                first.execute(statements.encode())
            with closing(psycopg.connect(dsn, autocommit=True, prepare_threshold=None)) as second:
                left = second.execute("select current_setting('kata.tenant', true)").fetchone()
                assert left in [(None,), ("",)]
        # The fault that the page warns of: the session of one client is that of the next.
        with closing(psycopg.connect(dsn, autocommit=True, prepare_threshold=None)) as first:
            first.execute("select set_config('kata.tenant', 'acme', false)")
        with closing(psycopg.connect(dsn, autocommit=True, prepare_threshold=None)) as second:
            assert second.execute("select current_setting('kata.tenant', true)").fetchone() == ("acme",)
    with Kata(database, tenant="acme") as kata:
        assert [row.name for row in kata.list_contexts()] == ["support-4711"]


class PostgREST:
    """What PostgREST sends for a request: everything in one transaction, as the role of the token.

    Parameters
    ----------
    connection : of the role that it logs in with
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def post(self, function: str, claims: dict[str, str], **body: str) -> list[Any]:
        """Call a function with the fields of a body, and return its rows."""
        fields = ", ".join(f"{name} {kind}" for name, kind in TYPES.items() if name in body)
        given = ", ".join(f"{name} => body.{name}" for name in body)
        with self.connection.transaction():
            self.connection.execute(
                "select set_config('search_path', 'kata, public', true), set_config('role', %s, true),"
                " set_config('request.jwt.claims', %s, true), set_config('request.method', 'POST', true)",
                (claims["role"], json.dumps(claims)),
            )
            self.connection.execute("select public.kata_tenant()")
            found = self.connection.execute(
                f"select coalesce(json_agg(result), '[]') from json_to_record(%s) body({fields}),"
                f" lateral kata.{function}({given}) result".encode(),
                (json.dumps(body),),
            ).fetchone()
        assert found
        rows: list[Any] = found[0]
        return rows


TYPES = {"context_id": "uuid", "name": "text", "messages": "jsonb", "role": "text", "content": "text"}


@pytest.fixture
def postgrest(database: str, server: TestServer) -> Iterator[PostgREST]:
    """What the page sets up, and a connection of PostgREST's role."""
    (block,) = programs("PostgREST")
    try:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(block.text.encode())
        with closing(psycopg.connect(database, user="authenticator", autocommit=True)) as connection:
            yield PostgREST(connection)
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("drop function if exists public.kata_tenant()")
        server.execute("drop role if exists authenticator, web_user")


def test_the_tenant_of_a_token_is_that_of_a_request(postgrest: PostgREST) -> None:
    acme, beta = ({"role": "web_user", "tenant": tenant} for tenant in ("acme", "beta"))
    (made,) = postgrest.post("get_or_create_context", acme, name="bags")
    chat = made["context_id"]
    (appended,) = postgrest.post("append_message", acme, context_id=chat, role="user", content="Lost.")
    assert appended == 1
    (message,) = postgrest.post("messages", acme, context_id=chat)
    assert message["content"] == "Lost."
    with pytest.raises(psycopg.Error) as refused:
        postgrest.post("messages", beta, context_id=chat)
    assert refused.value.sqlstate == "KC001"
    for claims in (
        {"role": "web_user"},
        {"role": "web_user", "tenant": "*"},
        {"role": "web_user", "tenant": ""},
    ):
        with pytest.raises(psycopg.Error) as refused:
            postgrest.post("messages", claims, context_id=chat)
        assert refused.value.sqlstate == "PT401"
    # Without the function, the login role may call nothing, and nothing of a request is left.
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgrest.connection.execute("select kata.list_contexts()")
    left = postgrest.connection.execute("select current_setting('kata.tenant', true)").fetchone()
    assert left == ("",)
