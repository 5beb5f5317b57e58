"""`kata demo`: a guided tour on a real conversation; each SQL call is shown before its result."""

import json
import os
import shlex
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from kata_context import config, migrate
from kata_context.cli.database import Connection, connect
from kata_context.cli.settings import settings
from kata_context.cli.text import cut

LOG = """select m.version, m.group_version, m.role, m.token_count, m.content, m.tool_calls
from kata.messages(%s, max_rows => 1000) m"""
WINDOW = """select w.version, w.role, w.token_count, w.running_tokens, w.reason, w.content, w.tool_calls
from kata.window(%s, budget => {budget}{at}) w"""

PYTHON = """
  from kata_context import Kata

  with Kata({}tenant="demo") as kata:
      for row in kata.context("demo").window(1500):
          print(row.version, row.role, row.token_count, row.reason)
"""


@click.command()
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Run a guided tour on a real conversation: windows, a fork, compaction, and time travel.

    Runs on the embedded server unless --dsn names a database; the conversation goes to the tenant "demo".
    """
    dsn = settings(ctx).dsn
    target = config.resolve(dsn) if dsn else config.embedded()
    migrate.up(target.dsn)
    conversation = json.loads((files("kata_context") / "data" / "conversation.json").read_text("utf-8"))
    with connect(target.dsn) as connection:
        connection.execute("set kata.tenant = 'demo'")
        context_id = import_conversation(connection, conversation)
        say(f"A real conversation on the {target.description}")
        count = len(conversation["messages"])
        click.echo(
            f"{conversation['name']}: {count} messages of a customer service agent, appended as one batch"
        )

        say("The log: every message has a permanent version; a call and its results are one group")
        show_log(connection, context_id)

        total = scalar(connection, "select raw_tokens from kata.usage(%s)", context_id)
        least = scalar(connection, "select sum(token_count) from kata.window(%s, budget => 1)", context_id)
        say(f"What should the model see? The whole log takes {total:,} tokens. With less:")
        for budget in (least + 350, least + 900, least + 1600):
            show_window(connection, context_id, budget)

        say("The same question as of version 12: later messages do not count")
        show_window(connection, context_id, least + 350, at=12)

        say("Ready to send: kata.prompt, in OpenAI form (texts cut for display)")
        call = f"select kata.prompt('{context_id}', budget => {least + 900})"
        click.secho(call, dim=True)
        show_prompt(scalar(connection, call))

        version = scalar(connection, "select version from kata.usage(%s)", context_id)
        show_fork(connection, context_id, version // 2)
        show_compaction(connection, context_id, version, least + 900)

    say("Now look around yourself, on the command line or from Python")
    kata = program()
    options = "--tenant demo" if target.embedded else "--dsn … --tenant demo"
    for command in (f"{options} list", f"{options} window demo 1500", f"{options} psql"):
        click.echo(f"  {kata} {command}")
    if target.embedded:
        click.echo(f"  {kata} down   # stops the embedded server")
    click.echo(PYTHON.format("" if target.embedded else '"…", '))


def program() -> str:
    """Return what runs this command from the current folder: its name where the shell finds it by that."""
    here = Path(sys.argv[0]).absolute()
    found = shutil.which(here.name)
    if found is not None and Path(found).absolute() == here:
        return here.name
    return shlex.quote(os.path.relpath(here)) if here.is_relative_to(Path.cwd()) else shlex.quote(str(here))


def import_conversation(connection: Connection, conversation: dict[str, Any]) -> str:
    """Append a conversation to a new context named "demo"; the context of an earlier run is deleted.

    Returns the id of the context.
    """
    for name in ("demo", "what-if"):
        earlier = scalar(connection, "select kata.find_context(%s)", name)
        if earlier is not None:
            connection.execute("select kata.delete_context(%s)", (earlier,))
    context_id: str = str(scalar(connection, "select kata.create_context('demo')"))
    messages = json.dumps(conversation["messages"])
    connection.execute("select count(*) from kata.append(%s, %s)", (context_id, messages))
    return context_id


def show_log(connection: Connection, context_id: str) -> None:
    """Print every message of a context, one per line."""
    click.secho(LOG.replace("%s", f"'{context_id}'"), dim=True)
    click.secho(f"{'version':>8} {'group':>6} {'role':<10} {'tokens':>6}  text", bold=True)
    for version, group, role, tokens, content, calls in connection.execute(LOG, (context_id,)):
        of_call = group if group != version else ""
        click.echo(f"{version:>8} {of_call:>6} {role:<10} {tokens:>6}  {preview(content, calls)}")


def show_window(connection: Connection, context_id: str, budget: int, at: int | None = None) -> None:
    """Print the window of a context at a budget, one line per message, with its reason."""
    query = WINDOW.format(budget=budget, at="" if at is None else f", at => {at}")
    rows = connection.execute(query, (context_id,)).fetchall()
    past = "" if at is None else f" as of version {at}"
    click.secho(f"\nbudget {budget:,}{past}: {len(rows)} messages, {rows[-1][3]:,} tokens", fg="green")
    click.secho(query.replace("%s", f"'{context_id}'"), dim=True)
    click.secho(f"{'version':>8} {'role':<10} {'tokens':>6} {'running':>8} {'reason':<9} text", bold=True)
    for version, role, tokens, running, reason, content, calls in rows:
        click.echo(f"{version:>8} {role:<10} {tokens:>6} {running:>8} {reason:<9} {preview(content, calls)}")


def show_fork(connection: Connection, context_id: str, version: int) -> None:
    """Fork a context, append another message to the fork, and show the difference."""
    say(f"What if the customer had said something else? A fork at version {version}, which copies nothing")
    fork_id = shown(connection, f"select kata.fork('{context_id}', at => {version}, name => 'what-if')")
    shown(
        connection, f"select kata.append_message('{fork_id}', 'user', 'Never mind, I will call the airline.')"
    )
    query = f"""select d.side, d.version, d.role, d.preview
from kata.diff('{context_id}', '{fork_id}') d order by d.side desc, d.version limit 4"""
    click.secho(query, dim=True)
    for side, at, role, text in connection.execute(query.encode()):
        line = f"{'-' if side == 'a' else '+'} {at:>6} {role:<10} {cut(' '.join((text or '').split()), 70)}"
        click.secho(line, fg="red" if side == "a" else "green")


def show_compaction(connection: Connection, context_id: str, version: int, budget: int) -> None:
    """Compact a context, show the window after it, and that the past has not changed."""
    window = f"select md5(kata.prompt('{context_id}', budget => {budget}, at => {version})::text)"
    before = scalar(connection, window)
    say("The log grows too long: it is compacted, here without a model, into a digest")
    policy = '{"preserve_recent_count": 4}'
    shown(connection, f"select kata.set_policy('{context_id}', '{policy}') -> 'preserve_recent_count'")
    query = f"""select c.summary_version, c.covered, c.message_count, c.source_tokens, c.result_tokens
from kata.compact('{context_id}', force => true) c"""
    click.secho(query, dim=True)
    ((summary, covered, count, source, result),) = connection.execute(query.encode())
    click.secho(
        f"{count} messages of versions {covered} left the view: {source:,} tokens became {result:,}",
        fg="green",
    )
    click.echo()
    text = scalar(connection, "select content from kata.get_message(%s, %s)", context_id, summary)
    for line in text.splitlines()[:16]:
        click.echo(f"  {cut(line, 100)}")
    show_window(connection, context_id, budget)

    say("Nothing is lost: the index of artifacts holds what the messages named, compacted or not")
    query = f"""select a.kind, a.ref, a.first_version, a.last_version
from kata.artifacts('{context_id}') a order by a.last_version desc, a.ref limit 6"""
    click.secho(query, dim=True)
    for kind, ref, first, last in connection.execute(query.encode()):
        click.echo(f"{kind:<10} {cut(ref, 40):<40} versions {first} to {last}")

    say(f"And back before the compaction: at version {version} a model sees the same prompt, byte for byte")
    after = shown(connection, window)
    click.secho(
        "the same prompt as before the compaction" if after == before else "another prompt: this is a bug",
        fg="green" if after == before else "red",
    )
    shown(connection, f"select kata.undo('{context_id}', {summary})")
    tokens = scalar(connection, "select view_tokens from kata.usage(%s)", context_id)
    click.secho(f"undone: a model would see {tokens:,} tokens again", fg="green")


def shown(connection: Connection, query: str) -> Any:
    """Print a query and its single value, and return the value."""
    click.secho(query, dim=True)
    value = scalar(connection, query.encode())
    click.echo(f"  {value}")
    return value


def show_prompt(prompt: list[dict[str, Any]]) -> None:
    """Print a prompt as JSON, long texts cut."""
    for message in prompt:
        if message["content"]:
            message["content"] = cut(message["content"], 70)
        for call in message.get("tool_calls", []):
            call["function"]["arguments"] = cut(call["function"]["arguments"], 40)
        click.echo("  " + json.dumps(message, ensure_ascii=False))


def preview(content: str | None, calls: list[dict[str, Any]] | None) -> str:
    """Return the start of a message on one line, then its tool calls."""
    functions = [call["function"] for call in calls or []]
    called = " ".join(f"→ {function['name']}({cut(function['arguments'], 40)})" for function in functions)
    return " ".join(filter(None, [cut(" ".join((content or "").split()), 64), called]))


def scalar(connection: Connection, query: Any, *parameters: object) -> Any:
    """Return the single value of a query."""
    row = connection.execute(query, parameters).fetchone()
    return None if row is None else row[0]


def say(heading: str) -> None:
    """Print a heading."""
    click.secho(f"\n{heading}", bold=True, fg="cyan")
