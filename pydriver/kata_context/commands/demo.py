"""`kata demo`: the main job on a real conversation; every call of SQL is shown before its result."""

import json
from importlib.resources import files
from typing import Any

import click
import psycopg
from psycopg.rows import TupleRow

from kata_context import config, migrate
from kata_context.commands.shared import settings

Connection = psycopg.Connection[TupleRow]

LOG = """select m.version, m.group_version, m.role, m.token_count, m.content, m.tool_calls
from kata.messages(%s, max_rows => 1000) m"""
WINDOW = """select w.version, w.role, w.token_count, w.running_tokens, w.reason, w.content, w.tool_calls
from kata.window(%s, budget => {budget}{at}) w"""


@click.command()
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Show the main job on a real conversation.

    Runs on the embedded server unless --dsn names a database; the conversation goes to the tenant "demo".
    """
    dsn = settings(ctx).dsn
    target = config.resolve(dsn) if dsn else config.embedded()
    migrate.up(target.dsn)
    conversation = json.loads((files("kata_context") / "data" / "conversation.json").read_text("utf-8"))
    with psycopg.connect(target.dsn, autocommit=True) as connection:
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

        say("The same question as of version 12, as if nothing had come after")
        show_window(connection, context_id, least + 350, at=12)

        say("Ready to send: kata.prompt, in OpenAI form (texts cut for display)")
        call = f"select kata.prompt('{context_id}', budget => {least + 900})"
        click.secho(call, dim=True)
        show_prompt(scalar(connection, call))

    click.echo(f"\nLook around yourself: {'kata psql' if target.embedded else 'psql'}")
    click.echo("  set kata.tenant = 'demo';")
    click.echo("  select * from kata.list_contexts();")
    if target.embedded:
        click.echo("The embedded server stops with: kata down")


def import_conversation(connection: Connection, conversation: dict[str, Any]) -> str:
    """Append a conversation to a new context named "demo"; one of an earlier run gives up the name.

    Returns the id of the context.
    """
    earlier = scalar(connection, "select kata.find_context('demo')")
    if earlier is not None:
        connection.execute("select kata.delete_context(%s)", (earlier,))
    context_id: str = str(scalar(connection, "select kata.create_context('demo')"))
    messages = json.dumps(conversation["messages"])
    connection.execute("select count(*) from kata.append(%s, %s)", (context_id, messages))
    return context_id


def show_log(connection: Connection, context_id: str) -> None:
    """Print every message of a context, a line each."""
    click.secho(LOG.replace("%s", f"'{context_id}'"), dim=True)
    click.secho(f"{'version':>8} {'group':>6} {'role':<10} {'tokens':>6}  text", bold=True)
    for version, group, role, tokens, content, calls in connection.execute(LOG, (context_id,)):
        of_call = group if group != version else ""
        click.echo(f"{version:>8} {of_call:>6} {role:<10} {tokens:>6}  {preview(content, calls)}")


def show_window(connection: Connection, context_id: str, budget: int, at: int | None = None) -> None:
    """Print the window of a context at a budget, a line a message with the reason why it is there."""
    query = WINDOW.format(budget=budget, at="" if at is None else f", at => {at}")
    rows = connection.execute(query, (context_id,)).fetchall()
    past = "" if at is None else f" as of version {at}"
    click.secho(f"\nbudget {budget:,}{past}: {len(rows)} messages, {rows[-1][3]:,} tokens", fg="green")
    click.secho(query.replace("%s", f"'{context_id}'"), dim=True)
    click.secho(f"{'version':>8} {'role':<10} {'tokens':>6} {'running':>8} {'reason':<9} text", bold=True)
    for version, role, tokens, running, reason, content, calls in rows:
        click.echo(f"{version:>8} {role:<10} {tokens:>6} {running:>8} {reason:<9} {preview(content, calls)}")


def show_prompt(prompt: list[dict[str, Any]]) -> None:
    """Print a prompt as JSON, long texts cut."""
    for message in prompt:
        if message["content"]:
            message["content"] = cut(message["content"], 70)
        for call in message.get("tool_calls", []):
            call["function"]["arguments"] = cut(call["function"]["arguments"], 40)
        click.echo("  " + json.dumps(message, ensure_ascii=False))


def preview(content: str | None, calls: list[dict[str, Any]] | None) -> str:
    """The start of a message on one line, its tool calls after it."""
    functions = [call["function"] for call in calls or []]
    called = " ".join(f"→ {function['name']}({cut(function['arguments'], 40)})" for function in functions)
    return " ".join(filter(None, [cut(" ".join((content or "").split()), 64), called]))


def cut(text: str, length: int) -> str:
    """A text, or its first characters and an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def scalar(connection: Connection, query: Any, *parameters: object) -> Any:
    """The only value of a query."""
    row = connection.execute(query, parameters).fetchone()
    return None if row is None else row[0]


def say(heading: str) -> None:
    """Print a heading."""
    click.secho(f"\n{heading}", bold=True, fg="cyan")
