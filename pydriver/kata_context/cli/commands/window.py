"""`kata window` and `kata prompt`: the messages that a model should see."""

import json
from typing import TYPE_CHECKING, cast

import click

from kata_context.cli.database import open_context, version_at
from kata_context.cli.parameters import at_option, context_argument
from kata_context.cli.terminal import Columns, json_option, preview, print_json, print_rows
from kata_context.cli.text import escape_control_characters

if TYPE_CHECKING:
    from kata_context.types import Format

budget_argument = click.argument("budget", type=int, required=False)
stable_step_option = click.option(
    "--stable-step", type=int, default=0, metavar="TOKENS",
    help="Keep the start of the window still for this many tokens.",
)  # fmt: skip
tokenizer_option = click.option("--tokenizer", metavar="NAME", help="Count in another tokenizer.")


@click.command()
@context_argument
@budget_argument
@at_option
@stable_step_option
@tokenizer_option
@json_option
@click.pass_context
def window(
    ctx: click.Context, context: str, budget: int | None, at: str | None, stable_step: int,
    tokenizer: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Show the messages of CONTEXT that a model should see within BUDGET tokens, each with its reason.

    The default of BUDGET is that of the policy.
    """
    with open_context(ctx, context) as (kata, context_id):
        version = version_at(kata, context_id, at)
        budget = kata.get_policy(context_id)["budget"] if budget is None else budget
        rows = kata.window(context_id, budget, at=version, stable_step=stable_step, tokenizer=tokenizer)
    columns: Columns = [
        "version",
        "role",
        ("tokens", lambda row: row.token_count),
        ("running", lambda row: row.running_tokens),
        "reason",
        ("text", lambda row: preview(row.content, row.tool_calls)),
    ]
    print_rows(rows, as_json, columns, empty="the context is empty")
    if rows and not as_json:
        over = ": the messages that always come exceed the budget" if rows[0].over_budget else ""
        click.echo(f"{len(rows)} messages, {rows[-1].running_tokens:,} of {budget:,} tokens{over}", err=True)


@click.command()
@context_argument
@budget_argument
@click.option(
    "--format", "form", type=click.Choice(["openai", "responses", "anthropic", "gemini"]), default="openai",
    show_default=True, help="Form of the provider.",
)  # fmt: skip
@at_option
@stable_step_option
@tokenizer_option
@json_option
@click.pass_context
def prompt(
    ctx: click.Context, context: str, budget: int | None, form: str, at: str | None, stable_step: int,
    tokenizer: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Print the window of CONTEXT within BUDGET tokens as JSON, ready to send.

    The default of BUDGET is that of the policy.
    """
    with open_context(ctx, context) as (kata, context_id):
        version, asked = version_at(kata, context_id, at), cast("Format", form)
        found = kata.prompt(
            context_id, budget, asked, at=version, stable_step=stable_step, tokenizer=tokenizer
        )
    if as_json:
        print_json(found)
    else:
        click.echo(escape_control_characters(json.dumps(found, ensure_ascii=False, indent=2)))
