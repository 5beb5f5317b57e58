"""`kata policy`, `compact`, `compactions`, `undo`, `pin`, `unpin`, `elide`, `artifacts`."""

import json
from collections.abc import Callable
from uuid import UUID

import click

from kata_context import Kata
from kata_context.cli.database import open_context, open_kata, resolve, version_at
from kata_context.cli.parameters import at_option, complete_context, context_argument, refuse_surrogates
from kata_context.cli.terminal import (
    Columns,
    json_option,
    print_fields,
    print_json,
    print_one,
    print_rows,
    print_table,
)
from kata_context.driver.values import Json


@click.group()
def policy() -> None:
    """Show and change the compaction policy of a context."""


@policy.command()
@context_argument
@json_option
@click.pass_context
def show(ctx: click.Context, context: str, as_json: bool) -> None:
    """Show the policy of CONTEXT, and whether compaction is due."""
    with open_context(ctx, context) as (kata, context_id):
        fields, status = kata.get_policy(context_id), kata.compaction_status(context_id)
    if as_json:
        print_json({"policy": fields, "status": status})
        return
    print_policy(fields)
    click.echo(f"{'due' if status.due else 'not due'}: {status.reason}", err=True)


@policy.command("set")
@context_argument
@click.argument("fields", nargs=-1, required=True, metavar="FIELD=VALUE...")
@json_option
@click.pass_context
def set_policy(ctx: click.Context, context: str, fields: tuple[str, ...], as_json: bool) -> None:
    """Change fields of the policy of CONTEXT; a VALUE is JSON or a word, and null resets the field."""
    patch = {}
    for field in fields:
        name, equals, value = refuse_surrogates(field).partition("=")
        if not equals:
            raise click.UsageError(f'"{field}" is not FIELD=VALUE')
        patch[name] = parse_value(value)
    with open_kata(ctx) as kata:
        found = kata.set_policy(resolve(kata, context), patch)
    if as_json:
        print_json(found)
    else:
        print_policy(found)


@policy.command()
@json_option
@click.pass_context
def presets(ctx: click.Context, as_json: bool) -> None:
    """List the presets that `kata create --preset` takes."""
    with open_kata(ctx) as kata:
        rows = kata.policy_presets()
    print_rows(rows, as_json, ["name", "policy", "description"], empty="there are no presets")


def print_policy(fields: dict[str, Json]) -> None:
    """Print the fields of a policy, by name."""
    print_fields((name, json.dumps(value)) for name, value in sorted(fields.items()))


def parse_value(value: str) -> Json:
    """Return a value as JSON, or as a word where it is not JSON."""
    try:
        return json.loads(value)
    except ValueError:
        return value


@click.command()
@context_argument
@click.option(
    "--strategy", type=click.Choice(["digest", "elide", "drop"]), default="digest", show_default=True,
    help="Replace messages by a digest; or shorten tool results; or drop old messages.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Compact although it is not due.")
@json_option
@click.pass_context
def compact(ctx: click.Context, context: str, strategy: str, force: bool, as_json: bool) -> None:
    """Compact CONTEXT without a model, and print the version of the compaction."""
    with open_kata(ctx) as kata:
        row = kata.compact(resolve(kata, context), strategy, force=force)
    if as_json:
        print_json(row)
        return
    click.echo(row.summary_version)
    said = f"{row.message_count} messages: {row.source_tokens:,} tokens became {row.result_tokens:,}"
    click.echo(said, err=True)


@click.command()
@click.argument("context", required=False, shell_complete=complete_context)
@click.option("--failing", is_flag=True, help="List the contexts whose last attempt failed.")
@json_option
@click.pass_context
def compactions(ctx: click.Context, context: str | None, failing: bool, as_json: bool) -> None:
    """List the compaction attempts of CONTEXT, newest first, and whether one is due."""
    if failing:
        with open_kata(ctx) as kata:
            names = ["context_id", "name", "failures", "next_attempt_at", "error"]
            print_rows(kata.failing_compactions(1000), as_json, names, empty="no context fails")
        return
    if context is None:
        raise click.UsageError("name a context, or pass --failing")
    with open_context(ctx, context) as (kata, context_id):
        rows, status = kata.compactions(context_id), kata.compaction_status(context_id)
    if as_json:
        print_json({"compactions": rows, "status": status})
        return
    print_table(
        rows,
        [
            ("version", lambda row: row.summary_version),
            "status",
            "strategy",
            ("messages", lambda row: row.message_count),
            ("from", lambda row: row.source_tokens),
            ("to", lambda row: row.result_tokens),
            ("by", lambda row: row.claimed_by),
            ("started", lambda row: row.started_at),
            ("covered", lambda row: row.error or row.covered),
        ],
        empty="there were no attempts",
    )
    click.echo(f"{'due' if status.due else 'not due'}: {status.reason}", err=True)


Change = Callable[[Kata, UUID, int], int]


def changing(name: str, help_text: str, change: Change) -> click.Command:
    """Return a command that makes a view change at a version and prints the version of the change."""

    @click.command(name, help=help_text)
    @context_argument
    @click.argument("version")
    @json_option
    @click.pass_context
    def command(ctx: click.Context, context: str, version: str, as_json: bool) -> None:
        with open_context(ctx, context) as (kata, context_id):
            taken = change(kata, context_id, version_at(kata, context_id, version))
        print_one({"version": taken}, as_json, taken)

    return command


undo = changing(
    "undo",
    "Undo the compaction, deletion, elision, pin or undo at VERSION of CONTEXT; undoing the undo redoes it.",
    lambda kata, context_id, version: kata.undo(context_id, version),
)
pin = changing(
    "pin",
    "Pin the message at VERSION of CONTEXT: every window shows it in full.",
    lambda kata, context_id, version: kata.pin(context_id, version),
)
unpin = changing(
    "unpin",
    "Unpin the message at VERSION of CONTEXT.",
    lambda kata, context_id, version: kata.unpin(context_id, version),
)


@click.command()
@context_argument
@click.argument("first")
@click.argument("last", required=False)
@click.option(
    "--keep", type=click.IntRange(min=0), default=100, show_default=True, metavar="TOKENS",
    help="Tokens of a result to keep.",
)  # fmt: skip
@json_option
@click.pass_context
def elide(ctx: click.Context, context: str, first: str, last: str | None, keep: int, as_json: bool) -> None:
    """Shorten the tool results from version FIRST to LAST of CONTEXT in the view."""
    with open_context(ctx, context) as (kata, context_id):
        low, high = version_at(kata, context_id, first), version_at(kata, context_id, last)
        taken = kata.elide(context_id, low, last_version=high, keep_tokens=keep)
    print_one({"version": taken}, as_json, taken)


@click.command()
@context_argument
@click.option("--kind", help="tool_call, file, url, id, or a kind that was added.")
@at_option
@json_option
@click.pass_context
def artifacts(ctx: click.Context, context: str, kind: str | None, at: str | None, as_json: bool) -> None:
    """List the tools, files, URLs and identifiers that the messages of CONTEXT name, compacted or not."""
    with open_context(ctx, context) as (kata, context_id):
        rows = kata.artifacts(context_id, kind=kind, at=version_at(kata, context_id, at))
    versions: Columns = [("first", lambda row: row.first_version), ("last", lambda row: row.last_version)]
    print_rows(rows, as_json, ["kind", *versions, "mentions", "ref", "detail"], "there are no artifacts")
