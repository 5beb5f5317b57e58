"""`kata append` and `kata usage`."""

import sys
from pathlib import Path
from typing import Any

import click

from kata_context.adapters import from_openai
from kata_context.cli.database import open_context, open_kata, resolve, version_at
from kata_context.cli.parameters import (
    Json,
    at_option,
    context_argument,
    parse_json,
    read_text,
    refuse_surrogates,
)
from kata_context.cli.terminal import Columns, json_option, moment, print_fields, print_json, print_rows
from kata_context.errors import KataError
from kata_context.generated.rows import AppendedRow


@click.command()
@context_argument
@click.argument("content", required=False)
@click.option("--role", default="user", show_default=True, help="system, developer, user, assistant or tool.")
@click.option("--name", help="Name of the participant.")
@click.option("--tool-call-id", metavar="ID", help="Of a tool message: the id of the call.")
@click.option("--tool-name", metavar="NAME", help="Of a tool message: the name of the tool.")
@click.option("--tool-calls", type=Json(), help="Of an assistant message: the calls, in OpenAI form.")
@click.option("--model", help="The model that wrote the message.")
@click.option("--metadata", type=Json(), help="Object to keep with the message.")
@click.option("--pinned", is_flag=True, help="Pin the message: every window shows it.")
@click.option(
    "--tokens", type=click.IntRange(min=0), metavar="N", help="Token count; default: counted exactly."
)
@click.option(
    "--messages", "file", type=click.Path(allow_dash=True, path_type=Path), metavar="FILE",
    help="Append messages from a file, - for standard input: a JSON array, or one object per line.",
)  # fmt: skip
@click.option("--openai", is_flag=True, help="Read the file as messages in OpenAI chat form.")
@click.option(
    "--expected-version", type=click.IntRange(min=0), metavar="N",
    help="Refuse if messages were appended since version N.",
)  # fmt: skip
@click.option("--key", metavar="KEY", help="Idempotency key: a repeated call does nothing.")
@json_option
@click.pass_context
def append(
    ctx: click.Context, /, context: str, content: str | None, file: Path | None, expected_version: int | None,
    key: str | None, openai: bool, as_json: bool, role: str, tokens: int | None, **fields: Any,
) -> None:  # fmt: skip
    """Append a message or a batch to CONTEXT, and print the versions.

    CONTENT is the text of the message; with - or nothing it is read from standard input. --messages appends
    a batch, whole or not at all: objects with the keys of kata.append, or with --openai in OpenAI chat form.
    """
    if file is not None:
        if content is not None:
            raise click.UsageError("give CONTENT or --messages, not both")
        messages = read_messages(None if str(file) == "-" else file)
        if openai:
            messages = from_openai(messages)
    else:
        if content is None and fields["tool_calls"] is None:
            if sys.stdin.isatty() or not (content := read_text(None)):
                raise click.UsageError("give CONTENT, or pipe it in")
        elif content == "-":
            content = read_text(None)
        fields |= {"role": role, "content": content and refuse_surrogates(content), "token_count": tokens}
        given = (name for name, value in fields.items() if value is not None and value is not False)
        messages = [{name: fields[name] for name in given}]
    with open_kata(ctx) as kata:
        rows: list[AppendedRow] = kata.append(
            resolve(kata, context), messages, expected_version, idempotency_key=key
        )
    columns: Columns = [
        "version",
        ("tokens", lambda row: row.token_count),
        ("created", lambda row: moment(row.created_at)),
    ]
    print_rows(rows, as_json, columns, empty="nothing to append")


def read_messages(file: Path | None) -> list[Any]:
    """Return the messages in a file, or in standard input."""
    text = read_text(file).removeprefix("\N{BOM}")
    where = "standard input" if file is None else str(file)
    lines = text.split("\n")  # not splitlines: a text of JSON may hold other separators
    try:
        if text.lstrip().startswith("["):
            messages = parse_json(text)
            assert isinstance(messages, list)
            return messages
        try:
            return [parse_json(text)]
        except ValueError:
            if len(lines) < 2:
                raise
        messages = []
        for number, line in enumerate(lines, start=1):
            try:
                if line.strip():
                    messages.append(parse_json(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    except ValueError as error:
        raise KataError(
            f"{where} is not JSON: {error}", "write a JSON array of messages, or one message per line"
        ) from None
    return messages


@click.command()
@context_argument
@at_option
@json_option
@click.pass_context
def usage(ctx: click.Context, context: str, at: str | None, as_json: bool) -> None:
    """Show the size of CONTEXT: messages, their tokens, and the tokens of the view."""
    with open_context(ctx, context) as (kata, context_id):
        row = kata.usage(context_id, version_at(kata, context_id, at))
    if as_json:
        print_json(row)
    else:
        print_fields((name.replace("_", " "), getattr(row, name)) for name in type(row).__slots__)
