"""Every command, statement and program in README.md and docs/ is run as it stands."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from conftest import ROOT, CreateDatabase, TestServer
from kata_context.embedded import Server, find_binaries
from support.driver import PATIENCE

pytestmark = pytest.mark.slow

PAGES = sorted(path for pattern in ("*.md", "docs/*.md", "examples/*.md") for path in ROOT.glob(pattern))
# `make` runs dry, so that only the target is checked; `pip` installs nothing.
PRELUDE = (
    "set -euo pipefail\n"
    'make() { command make --directory "$ROOT" --dry-run "$@" > /dev/null; }\n'
    'pip() { test "$1" = install; }\n'
)
# Sections of the runbook that test_runbook.py runs, each on a server of its own.
PROCEDURES = ("Point-in-time recovery", "Failover", "Uninstall")
LANGUAGES = {"sh", "sql", "python", "text"}


def blocks(page: Path, title: str = "") -> list[tuple[str, str]]:
    """Return the blocks of a page, or of one section of it, that have a language, in order."""
    text = page.read_text("utf-8")
    if title:
        text = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    unknown = {language for language, _ in found} - LANGUAGES
    assert not unknown, f"{page.name} has blocks that no test runs: {unknown}"
    return found


def run(language: str, text: str, dsn: str, environment: dict[str, str], folder: Path) -> str:
    """Run a block and return what it printed; one that fails, or is wrong on the way, is an error."""
    command = {
        "sh": ["bash", "-c", PRELUDE + text],
        "sql": ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", "-"],
        "python": [sys.executable, "-W", "error", "-c", text],
    }[language]
    given = text if language == "sql" else ""
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, cwd=folder, env=environment, timeout=PATIENCE
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which the paths of the pages are good."""
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    return tmp_path


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a reader who has the commands at hand."""
    path = [str(Path(sys.executable).parent), str(find_binaries()), os.environ["PATH"]]
    return {**os.environ, "PATH": os.pathsep.join(path), "ROOT": str(ROOT)}


@pytest.fixture
def embedded(scratch: Path, environment: dict[str, str]) -> Iterator[str]:
    """An embedded server of this test's own, started; its URL."""
    server = Server(scratch / "docs")
    environment["KATA_HOME"] = str(server.home)
    try:
        up = subprocess.run(["kata", "up"], capture_output=True, text=True, env=environment, timeout=PATIENCE)
        assert up.returncode == 0, up.stderr
        yield up.stdout.strip()
    finally:
        server.stop()


def test_the_readme_runs_twice_and_prints_what_it_shows(
    embedded: str, environment: dict[str, str], folder: Path
) -> None:
    found = blocks(ROOT / "README.md")
    assert [language for language, _ in found] == ["sh", "python", "text", "sh"]
    for _ in range(2):
        printed = ""
        for language, text in found:
            if language == "text":
                assert printed == text
            else:
                printed = run(language, text, embedded, environment, folder)


def test_the_readme_has_at_most_100_lines() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 100


def test_the_tour_runs_from_top_to_bottom_on_the_embedded_server(
    embedded: str, environment: dict[str, str], folder: Path
) -> None:
    found = blocks(ROOT / "docs" / "tour.md")
    assert {language for language, _ in found} == {"sh", "sql", "python"}
    printed = ""
    for language, text in found:
        printed += run(language, text, embedded, environment, folder)
    assert (folder / "prompt.json").read_text().startswith("{")
    assert json.loads((folder / "request.json").read_text())["model"] == "gpt-5"
    assert "KC003" in printed
    assert "100 conversations added, 2,658 messages" in printed


def test_the_concepts_run(environment: dict[str, str], folder: Path, database: str) -> None:
    found = blocks(ROOT / "docs" / "concepts.md")
    statements = "\n".join(text for language, text in found if language == "sql")
    run("sql", statements, database, environment, folder)  # one session
    environment["DATABASE_URL"] = database
    ((_, evidence),) = [block for block in found if block[0] != "sql"]
    if shutil.which("ssh-keygen"):
        assert "Good" in run("sh", evidence, database, environment, folder)
    assert len(run("sh", "kata heads", database, environment, folder).splitlines()) > 2


def test_what_is_said_of_compaction_runs(environment: dict[str, str], folder: Path, database: str) -> None:
    found = blocks(ROOT / "docs" / "compaction.md")
    run(
        "sql", "\n".join(text for language, text in found if language == "sql"), database, environment, folder
    )
    environment["DATABASE_URL"] = database
    printed = ""
    for language, text in found:
        if language != "sql":
            printed += run(language, text, database, environment, folder)
    assert re.search(r"committed +2 messages, [\d,]+ tokens became \d+, version 4", printed)
    assert re.search(r"^ +4 +committed +summarize", printed, re.MULTILINE)


def test_what_is_said_of_requests_runs(environment: dict[str, str], folder: Path, database: str) -> None:
    environment["DATABASE_URL"] = database
    printed = ""
    for language, text in blocks(ROOT / "docs" / "requests.md"):
        printed += run(language, text, database, environment, folder)
    assert re.search(r"^ 2 .* 900 in, 12 out ", printed, re.MULTILINE)
    assert re.search(r"^ 1 .* overloaded$", printed, re.MULTILINE)
    assert "\n4 tokens out\n" in f"\n{printed}"
    assert (folder / "body.json").read_text() in printed


def test_what_is_said_of_archives_runs(
    environment: dict[str, str], folder: Path, create_database: CreateDatabase, template: str
) -> None:
    dsn = create_database(template)
    environment |= {"DATABASE_URL": dsn, "RESTORED_URL": create_database(template)}
    printed = ""
    for language, text in blocks(ROOT / "docs" / "archive.md"):
        if language == "text":
            assert printed.endswith(text)
        else:
            printed += run(language, text, dsn, environment, folder)
    assert "1 families of archives added" in printed
    assert "1 existed" in printed


def test_the_runbook_runs(
    environment: dict[str, str], folder: Path, database: str, server: TestServer
) -> None:
    environment["DATABASE_URL"] = database
    page = ROOT / "docs" / "runbook.md"
    elsewhere = [block for title in PROCEDURES for block in blocks(page, title)]
    try:
        for language, text in blocks(page):
            if language != "text" and (language, text) not in elsewhere:
                run(language, text, database, environment, folder)
    finally:
        server.execute("drop role if exists my_exporter, my_app")


def test_the_collector_reads_every_metric_with_its_labels(database: str) -> None:
    text = (ROOT / "docs" / "examples" / "kata.collector.yml").read_text("utf-8")
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        read = {}
        for part in text.split("  - metric_name: ")[1:]:
            name, query = part.split("\n")[0], part.split("query: |\n")[1].strip()
            labels = re.findall(r"\w+", (re.search(r"key_labels: \[(.*)\]", part) or ["", ""])[1])
            cursor = conn.execute(query.encode())
            assert [column.name for column in cursor.description or []] == [*labels, "value"]
            assert len(rows := cursor.fetchall()) == len(set(rows)) > 0
            read[name] = {frozenset(labels)}
        found: dict[str, set[frozenset[str]]] = {}
        for name, labels in conn.execute("select name, labels from kata.metrics"):
            found.setdefault(name, set()).add(frozenset(labels))
    assert read == found


@pytest.fixture
def forgotten_roles(server: TestServer) -> Iterator[None]:
    """Drop the roles that the page makes."""
    yield
    server.execute("drop role if exists my_agent, my_dashboard, my_backend")


def test_the_operations_run(
    environment: dict[str, str], folder: Path, create_database: CreateDatabase, forgotten_roles: None
) -> None:
    dsn = create_database()
    environment |= {"DATABASE_URL": dsn, "RESTORED_URL": create_database("template0")}
    environment["COPY_URL"] = create_database("template0")
    printed = ""
    for language, text in blocks(ROOT / "docs" / "operations.md"):
        printed += run(language, text, dsn, environment, folder)
    assert "refused: exit code 1" in printed
    assert "acme" in printed
    assert (folder / "kata-completion.bash").stat().st_size


def test_every_option_and_command_of_the_pages_is_one() -> None:
    """Also where a page only mentions it, in the middle of a sentence."""
    from click import Command, Context, Group

    from kata_context.cli.main import COMMANDS, cli

    context = Context(cli)
    for page in PAGES:
        for mention in re.findall(r"`kata ([a-z][^`]*)`", page.read_text("utf-8")):
            words = re.sub(r"'[^']*'|\"[^\"]*\"", "x", mention).split()
            assert words[0] in COMMANDS, f"{page.name}: kata {mention}"
            command: Command | None = cli.get_command(context, words.pop(0))
            if isinstance(command, Group) and words and not words[0].startswith("-"):
                command = command.get_command(context, words.pop(0))
            assert command, f"{page.name}: kata {mention}"
            known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
            given = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert given <= known or command.name == "psql", f"{page.name}: kata {mention}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
