"""A proxy of PostgreSQL 15 with PL/Proxy in front of four shards, databases of the server under test."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import dict_row

from kata_context.proxy import shards

if TYPE_CHECKING:
    from conftest import LaunchServer, TestServer

BINARIES = Path("/usr/lib/postgresql/15/bin")
LIBRARY = Path("/usr/lib/postgresql/15/lib/plproxy.so")
LOGIN = "proxy_login"
SHARDS = 4
SETTINGS = ("listen_addresses=", "fsync=off", "autovacuum=off")


@dataclass(frozen=True)
class Proxy:
    """The servers, and the connection strings.

    Parameters
    ----------
    dsns : of the shards, as the login role of proxies
    database : of the proxy
    """

    server: "TestServer"
    behind: "TestServer"
    dsns: list[str]
    database: str = "proxy"

    def dsn(self, user: str = "server_role") -> str:
        return self.server.url(self.database, user)

    def connect(self, user: str = "server_role", tenant: str | None = None) -> psycopg.Connection[Any]:
        """Connect to the proxy, for a tenant where the role may choose it."""
        connection = psycopg.connect(self.dsn(user), autocommit=True, row_factory=dict_row)
        if tenant:
            connection.execute("select set_config('kata.tenant', %s, false)", (tenant,))
        return connection


@pytest.fixture(scope="session")
def proxy(launch_server: "LaunchServer", server: "TestServer", template: str) -> Iterator[Proxy]:
    """Run the proxy; tests use tenants of their own."""
    if not (LIBRARY.is_file() and (BINARIES / "postgres").is_file()):
        pytest.skip("PL/Proxy is missing: apt-get install postgresql-15-plproxy")
    server.execute(f"create role {LOGIN} login")
    server.execute(f"grant kata_proxy to {LOGIN}")
    for number in range(SHARDS):
        server.execute(f"create database shard_{number} template {template} strategy file_copy")
    front = launch_server("proxy", SETTINGS, BINARIES)
    front.execute("create database proxy")
    dsns = [server.url(f"shard_{number}", LOGIN) for number in range(SHARDS)]
    shards.init(front.url("proxy"), dsns)
    with closing(psycopg.connect(front.url("proxy"), autocommit=True)) as connection:
        connection.execute("alter database proxy set client_min_messages = warning")
        for role, group in (("server_role", "kata_service"), ("chief", "kata_admin"), ("ann", "kata_writer")):
            connection.execute(f"create role {role} login in role {group}".encode())
    yield Proxy(front, server, dsns)
    for number in range(SHARDS):
        server.execute(f"drop database shard_{number} with (force)")
