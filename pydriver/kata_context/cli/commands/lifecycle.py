"""`kata archive`, `unarchive`, `delete`, `restore`, `purge` and `erase`."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import click

from kata_context import Kata
from kata_context.cli.database import confirm, open_context, open_kata, resolve, version_at
from kata_context.cli.parameters import context_argument, environment_option
from kata_context.cli.terminal import json_option, print_one, print_rows
from kata_context.errors import KataError
from kata_context.generated.rows import PurgeDeletedRow

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Age(click.ParamType[timedelta]):
    """A duration: 30d, 12h."""

    name = "AGE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parse it."""
        found = re.fullmatch(r"(\d{1,9})([smhdw])", value)
        if not found:
            self.fail(f'"{value}" is not a duration; write 30d or 12h for example', param, ctx)
        try:
            return timedelta(**{UNITS[found[2]]: int(found[1])})
        except OverflowError:
            self.fail(f'"{value}" is too long', param, ctx)


def change(
    ctx: click.Context, context: str, as_json: bool, call: Callable[[Kata, UUID], None], deleted: bool = False
) -> UUID:
    """Change the state of a context, print the context or its id, and return the id."""
    with open_context(ctx, context, deleted=deleted) as (kata, context_id):
        call(kata, context_id)
        found = kata.get_context(context_id)
    print_one(found, as_json, context_id)
    return context_id


@click.command()
@context_argument
@json_option
@click.pass_context
def delete(ctx: click.Context, context: str, as_json: bool) -> None:
    """Delete CONTEXT and free its name; its forks read on. `kata restore` undoes it."""
    context_id = change(ctx, context, as_json, lambda kata, context_id: kata.delete_context(context_id))
    if not as_json:
        click.echo(f"deleted; to bring it back: kata restore {context_id}", err=True)


@click.command()
@context_argument
@json_option
@click.pass_context
def restore(ctx: click.Context, context: str, as_json: bool) -> None:
    """Bring back the deleted CONTEXT, by its name or id."""

    def bring_back(kata: Kata, context_id: UUID) -> None:
        if kata.get_context(context_id).deleted_at is None:
            raise KataError(
                f'context "{context}" is not deleted',
                "to restore a deleted context of this name, pass its id, which kata list --deleted shows",
            )
        kata.restore_context(context_id)

    change(ctx, context, as_json, bring_back, deleted=True)


@click.command()
@click.argument("context", required=False)
@click.option("--inactive", type=Age(), help="Instead: all forks without activity for this long.")
@click.option("--dry-run", is_flag=True, help="With --inactive: only list the forks.")
@json_option
@click.pass_context
def archive(
    ctx: click.Context, context: str | None, inactive: timedelta | None, dry_run: bool, as_json: bool
) -> None:
    """Archive CONTEXT, or all inactive forks: an archived context can be read but not changed."""
    if (context is None) == (inactive is None) or (dry_run and inactive is None):
        raise click.UsageError("give a CONTEXT, or --inactive and perhaps --dry-run")
    if context is not None:
        change(ctx, context, as_json, lambda kata, context_id: kata.archive_context(context_id))
        return
    assert inactive is not None
    with open_kata(ctx) as kata:
        rows = kata.archive_inactive(inactive, dry_run)
    print_rows(
        rows, as_json, ["name", "updated_at", "context_id"], empty="no fork is that inactive", flexible=0
    )


@click.command()
@context_argument
@json_option
@click.pass_context
def unarchive(ctx: click.Context, context: str, as_json: bool) -> None:
    """Make the archived CONTEXT writable again."""
    change(ctx, context, as_json, lambda kata, context_id: kata.unarchive_context(context_id))


@click.command()
@click.argument("context", required=False)
@click.option("--older-than", type=Age(), help="Instead: all contexts that were deleted longer ago, as 30d.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@environment_option
@json_option
@click.pass_context
def purge(
    ctx: click.Context, context: str | None, older_than: timedelta | None, dry_run: bool,
    environment: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Permanently remove the messages of the deleted CONTEXT, except those that forks read."""
    if (context is None) == (older_than is None):
        raise click.UsageError("give a CONTEXT, or --older-than")
    with open_kata(ctx) as kata:
        if not dry_run:
            confirm(kata, environment)
        if older_than is not None:
            rows = kata.purge_deleted(older_than, dry_run)
        else:
            assert context is not None
            context_id = resolve(kata, context, deleted=True)
            gone = kata.purge_context(context_id, dry_run)
            rows = [PurgeDeletedRow(context_id, gone.removed, gone.kept)]
    print_rows(rows, as_json, ["context_id", "removed", "kept"], empty="no context was deleted that long ago")
    if dry_run and rows and not as_json:
        click.echo("nothing was removed: this was a dry run", err=True)


@click.command()
@context_argument
@click.argument("version")
@click.option("--reason", required=True, help="Reason, which is recorded.")
@environment_option
@json_option
@click.pass_context
def erase(
    ctx: click.Context, context: str, version: str, reason: str, environment: str | None, as_json: bool
) -> None:
    """Permanently blank the message at VERSION of CONTEXT in every fork; version and token count stay."""
    with open_kata(ctx) as kata:
        confirm(kata, environment)
        context_id = resolve(kata, context)
        rows = kata.erase_message(context_id, version_at(kata, context_id, version), reason)
    print_rows(rows, as_json, ["segment_id", "version", "what"], empty="the message was blank already")
