"""`kata call`: any function of schema kata."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from operator import itemgetter
from typing import Any
from uuid import UUID

import click
from click.shell_completion import CompletionItem

from kata_context import Kata
from kata_context.cli.commands.forks import Versions
from kata_context.cli.commands.lifecycle import Age
from kata_context.cli.database import confirm, open_kata, resolve
from kata_context.cli.parameters import complete_context, environment_option, parse_json, refuse_surrogates
from kata_context.cli.terminal import Columns, print_json, print_table
from kata_context.database_errors import ContextNotFoundError
from kata_context.generated.functions import FUNCTIONS, Function

# Functions that require the label of the database.
IRREVERSIBLE = ("erase_message", "purge_context", "purge_deleted")


def parse_list(text: str) -> Any:
    """Parse a JSON array, or texts with commas between them."""
    return parse_json(text) if text.startswith("[") else text.split(",")


def parse_numbers(text: str) -> Any:
    """Parse a JSON array of numbers, or numbers with commas between them."""
    return parse_json(text if text.startswith("[") else f"[{text}]")


PARSERS: dict[str, Callable[[str], Any]] = {
    "bigint": int,
    "context": str,
    "bigint[]": parse_numbers,
    "boolean": lambda text: click.BOOL.convert(text, None, None),
    "int8multirange": lambda text: Versions().convert(text, None, None),
    "integer": int,
    "integer[]": parse_numbers,
    "interval": lambda text: Age().convert(text, None, None),
    "json": parse_json,
    "jsonb": parse_json,
    "numeric": Decimal,
    "real[]": parse_numbers,
    "text": str,
    "text[]": parse_list,
    "timestamp with time zone": lambda text: datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(),
    "uuid": UUID,
    "version": lambda text: int(text) if text.isdecimal() else text,
}


def complete_function(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the functions that begin with a text."""
    names = [name for name in FUNCTIONS if name.startswith(incomplete)]
    return [CompletionItem(name, help=FUNCTIONS[name].summary) for name in names]


def complete_argument(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the parameters that are not given yet, or the contexts that may be the value of one."""
    function = FUNCTIONS.get(ctx.params.get("function") or "")
    if function is None:
        return []
    name, equals, begun = incomplete.partition("=")
    if equals:
        is_context = name in function.parameters and function.parameters[name].type == "context"
        found = complete_context(ctx, param, begun) if is_context else []
        return [CompletionItem(f"{name}={item.value}", help=item.help) for item in found]
    given = {argument.partition("=")[0] for argument in ctx.params.get("arguments") or ()}
    return [
        CompletionItem(f"{parameter}=")
        for parameter in function.parameters
        if parameter.startswith(name) and parameter not in given
    ]


@click.command()
@click.argument("function", required=False, shell_complete=complete_function)
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...", shell_complete=complete_argument)
@click.option("--list", "as_list", is_flag=True, help="List the functions, or the parameters of FUNCTION.")
@environment_option
@click.pass_context
def call(
    ctx: click.Context, function: str | None, arguments: tuple[str, ...], as_list: bool,
    environment: str | None,
) -> None:  # fmt: skip
    """Call FUNCTION of the SQL API with its parameters by name, and print the result as JSON.

    A context is its name or id; a version is a number, head, head~3, a checkpoint or a timestamp; a set of
    versions is 3,5-9; a list has commas, or is a JSON array; a duration is 30d or 12h. `null` is null, except
    for a text. A parameter that is left out has its default.

      kata call messages context_id=support max_rows=10 descending=true
    """
    if function is None:
        if not as_list:
            raise click.UsageError("name a FUNCTION; --list shows them")
        print_functions()
        return
    called = find(function)
    if as_list:
        print_parameters(called)
        return
    given = parse(function, called, arguments)
    with open_kata(ctx) as kata:
        if function in IRREVERSIBLE and not given.get("dry_run"):
            confirm(kata, environment)
        for name, parameter in called.parameters.items():
            if parameter.type == "context" and given.get(name) is not None:
                given[name] = find_context(kata, given[name])
        result = getattr(kata, function)(**given)
    print_json(result)


def find(name: str) -> Function:
    """Return a function."""
    if name not in FUNCTIONS:
        raise click.UsageError(f"there is no function {name}; --list shows them")
    return FUNCTIONS[name]


def print_functions() -> None:
    """Print what each function does."""
    columns: Columns = [("function", itemgetter(0)), ("summary", lambda item: item[1].summary)]
    print_table(FUNCTIONS.items(), columns, empty="")


def print_parameters(function: Function) -> None:
    """Print the parameters of a function."""
    click.echo(function.summary)
    columns: Columns = [
        ("parameter", itemgetter(0)),
        ("type", lambda item: item[1].type),
        ("required", lambda item: not item[1].has_default),
    ]
    print_table(function.parameters.items(), columns, empty="no parameters")


def parse(name: str, function: Function, arguments: tuple[str, ...]) -> dict[str, Any]:
    """Return the arguments by name, with values in the types of the parameters; contexts are still text."""
    given: dict[str, Any] = {}
    for argument in arguments:
        named, equals, text = refuse_surrogates(argument).partition("=")
        if not equals:
            raise click.UsageError(f'"{argument}" is not NAME=VALUE')
        if named not in function.parameters:
            known = ", ".join(function.parameters) or "none"
            raise click.UsageError(f"{name} has no parameter {named}; its parameters: {known}")
        if named in given:
            raise click.UsageError(f"{named} is given twice")
        type_ = function.parameters[named].type
        is_null = text == "null" and type_ != "text"
        try:
            given[named] = None if is_null else PARSERS[type_](text)
        except click.BadParameter as error:
            raise click.UsageError(f"{named}: {error.message}") from None
        except (ValueError, InvalidOperation):
            raise click.UsageError(f'{named}: "{text}" is not of type {type_}') from None
    for needed, parameter in function.parameters.items():
        if needed not in given and not parameter.has_default:
            if not parameter.is_nullable:
                raise click.UsageError(f"{name} needs {needed}")
            given[needed] = None
    return given


def find_context(kata: Kata, text: str) -> UUID:
    """Return the id of a context, a live one first."""
    try:
        return UUID(text)
    except ValueError:
        pass
    try:
        return resolve(kata, text)
    except ContextNotFoundError:
        return resolve(kata, text, deleted=True)
