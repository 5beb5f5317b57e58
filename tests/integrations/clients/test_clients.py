"""The programs of docs/clients.md, each with its client; without the tools of its language it is skipped."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from conftest import TestServer
from integrations import FETCHED
from support.clients import SAYS, Program, programs

PACKAGES = ("@neondatabase/serverless@1.2.0", "pg@8.23.1", "postgres@3.4.9")
DRIVER = Path("/usr/share/java/postgresql.jar")
# Neon's driver asks this gateway instead of the one of its host.
PRELOAD = """
import {neonConfig} from "@neondatabase/serverless"
neonConfig.fetchEndpoint = process.env.GATEWAY
neonConfig.disableWarningInBrowsers = true
"""


def run(command: list[str], folder: Path, **environment: str) -> str:
    """Run a program and return what it printed."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("client", ["psycopg2", "asyncpg", "SQLAlchemy"])
def test_a_client_of_python(client: str, database: str, tmp_path: Path) -> None:
    (block,) = programs(client)
    command = [sys.executable, "-W", "error", "-c", block.text]
    assert run(command, tmp_path, DATABASE_URL=database) == SAYS


@pytest.mark.parametrize("client", ["node-postgres", "postgres.js"])
def test_a_client_of_node(client: str, server: TestServer, database: str, node: Path) -> None:
    with listening(server) as port:
        url = f"postgresql://postgres@127.0.0.1:{port}{urlsplit(database).path}"
        assert run(["node", script(node, *programs(client))], node, DATABASE_URL=url) == SAYS


def test_neon_over_http(database: str, node: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("gateway.py")), database]
    gateway = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert gateway.stdout
        endpoint = f"http://127.0.0.1:{gateway.stdout.readline().strip()}/sql"
        (node / "preload.mjs").write_text(PRELOAD)
        command = ["node", "--import", "./preload.mjs", script(node, *programs("Neon over HTTP"))]
        url = "postgresql://someone:secret@ep.example.com/app"
        assert run(command, node, DATABASE_URL=url, GATEWAY=endpoint) == SAYS
    finally:
        gateway.kill()
        gateway.communicate()


def test_jdbc(server: TestServer, database: str, tmp_path: Path) -> None:
    (block,) = programs("JDBC")
    (tmp_path / "Client.java").write_text(block.text)
    with listening(server) as port:
        address = f"jdbc:postgresql://127.0.0.1:{port}{urlsplit(database).path}"
        url = f"{address}?user=postgres&options=-c%20kata.tenant=acme"
        assert run(["java", "-cp", str(jdbc_driver()), "Client.java"], tmp_path, JDBC_URL=url) == SAYS


@pytest.fixture(scope="session")
def node() -> Path:
    """A folder with the packages of npm."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not on this machine")
    folder = FETCHED / "node"
    if not (folder / "node_modules" / "postgres").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        run(["npm", "install", "--silent", "--no-fund", "--no-audit", "--save-exact", *PACKAGES], folder)
    return folder


def script(folder: Path, block: Program) -> str:
    """Write a program of JavaScript into a folder, and return its name."""
    (folder / "client.mjs").write_text(block.text)
    return "client.mjs"


def jdbc_driver() -> Path:
    """Return the driver: the installed one, or else Debian's, unpacked."""
    if shutil.which("java") is None:
        pytest.skip("Java is not on this machine")
    if DRIVER.exists():
        return DRIVER
    folder = FETCHED / "jdbc"
    if not folder.exists():
        if shutil.which("apt-get") is None:
            pytest.skip("the driver of JDBC is neither installed nor a package that apt-get downloads")
        FETCHED.mkdir(exist_ok=True)
        run(["apt-get", "download", "-qq", "libpostgresql-jdbc-java"], FETCHED)
        (package,) = FETCHED.glob("libpostgresql-jdbc-java_*.deb")
        run(["dpkg-deb", "-x", str(package), str(folder)], FETCHED)
    return folder / DRIVER.relative_to("/")


@contextmanager
def listening(server: TestServer) -> Iterator[int]:
    """Listen on a port, for clients that know no Unix socket, and pass everything on to the server."""
    listener = socket.create_server(("127.0.0.1", 0))
    path = f"{server.folder / 'tmp'}/.s.PGSQL.{server.settings['port']}"

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # closed
            target = socket.socket(socket.AF_UNIX)
            target.connect(path)
            for ends in ((client, target), (target, client)):
                Thread(target=pump, args=ends, daemon=True).start()

    thread = Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on everything that comes, then the end."""
    with source, suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
