"""`kata fork`, `tree`, `forks`, `diff` and `merge`: fork families."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import click

from kata_context.cli.database import open_context, open_kata, resolve, version_at
from kata_context.cli.parameters import SELECTOR, Json, context_argument, refuse_surrogates
from kata_context.cli.terminal import Drawn, cell, json_option, moment, print_json, print_rows, print_table
from kata_context.generated.rows import DiffRow, DiffVersionRow, TreeRow

# The sign and the color of a line of a difference.
MARKS = {
    "a": ("-", "red"), "b": ("+", "green"),
    "removed": ("-", "red"), "added": ("+", "green"), "shortened": ("~", "yellow"), "restored": ("*", "cyan"),
}  # fmt: skip
AGES = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@click.command()
@context_argument
@click.argument("name", required=False)
@click.option("--at", metavar="VERSION", help=f"Version to fork at: {SELECTOR}; default: head.")
@click.option("--policy", type=Json(), help="Patch of the inherited policy.")
@click.option("--metadata", type=Json(), help="Object to keep with the fork.")
@click.option("--key", metavar="KEY", help="Idempotency key: a repeated call does nothing.")
@json_option
@click.pass_context
def fork(
    ctx: click.Context, context: str, name: str | None, at: str | None, policy: Any, metadata: Any,
    key: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Fork CONTEXT, with or without a NAME, and print the id of the fork."""
    if name is not None:
        refuse_surrogates(name)
    with open_context(ctx, context) as (kata, parent_id):
        version = version_at(kata, parent_id, at)
        fork_id = kata.fork(
            parent_id, version, name=name, policy=policy, metadata=metadata, idempotency_key=key
        )
        made = kata.get_context(fork_id)
    if as_json:
        print_json(made)
    else:
        click.echo(made.context_id)
        click.echo(f"forked at version {made.fork_version}", err=True)


@click.command()
@context_argument
@json_option
@click.pass_context
def forks(ctx: click.Context, context: str, as_json: bool) -> None:
    """List the forks of CONTEXT."""
    with open_kata(ctx) as kata:
        rows = kata.forks(resolve(kata, context))
    print_rows(
        rows,
        as_json,
        [
            "name",
            ("forked at", lambda row: row.fork_version),
            "version",
            ("created", lambda row: row.created_at),
            ("state", lambda row: "deleted" if row.deleted_at else ""),
            "context_id",
        ],
        empty="the context has no forks",
        flexible=0,
    )


@click.command()
@context_argument
@click.option("--all", "all_", is_flag=True, help="Also show purged forks.")
@json_option
@click.pass_context
def tree(ctx: click.Context, context: str, all_: bool, as_json: bool) -> None:
    """Draw the family of CONTEXT: which context was forked from which, at which version."""
    with open_context(ctx, context, deleted=True) as (kata, context_id):
        rows = kata.tree(context_id)
    if not all_:
        rows = without_purged(rows, context_id)
    if as_json:
        print_json(rows)
        return
    now = datetime.now(timezone.utc)
    print_table(
        drawn(rows, context_id),
        [
            ("version", lambda pair: pair[1].version),
            ("tokens", lambda pair: pair[1].view_tokens),
            ("changed", lambda pair: age(now, pair[1].updated_at)),
            ("state", lambda pair: state(pair[1])),
            ("context", lambda pair: Drawn(pair[0])),
        ],
        empty="there are no contexts",
    )


def without_purged(rows: Iterable[TreeRow], chosen: UUID) -> list[TreeRow]:
    """Leave out purged contexts, except those that lead to one that is not purged, and the chosen one."""
    rows = list(rows)
    parents = {row.context_id: row.parent_id for row in rows}
    kept: set[UUID] = set()
    for row in rows:
        found: UUID | None = row.context_id
        if row.purged_at and found != chosen:
            continue
        while found is not None and found not in kept:
            kept.add(found)
            found = parents.get(found)
    return [row for row in rows if row.context_id in kept]


def drawn(rows: Iterable[TreeRow], chosen: UUID) -> Iterator[tuple[str, TreeRow]]:
    """Yield each context with the branches that lead to it; children in the order of their forks."""
    rows = list(rows)
    known = {row.context_id for row in rows}
    children: dict[UUID | None, list[TreeRow]] = {}
    for row in rows:
        children.setdefault(row.parent_id if row.parent_id in known else None, []).append(row)
    waiting = [("", "", row) for row in reversed(children.get(None, []))]
    while waiting:
        before, below, row = waiting.pop()
        label = cell(row.name or row.context_id)
        at = "" if row.fork_version is None else f" @{row.fork_version}"
        yield f"{before}{label}{at}{' *' if row.context_id == chosen else ''}", row
        forks = sorted(
            children.get(row.context_id, []), key=lambda fork: (fork.fork_version or 0, fork.context_id)
        )
        for fork in reversed(forks):
            is_last = fork is forks[-1]
            branch, further = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
            waiting.append((below + branch, below + further, fork))


def state(row: TreeRow) -> str:
    """Return the state of a context in one word; empty for an ordinary one."""
    return (
        "purged" if row.purged_at else "deleted" if row.deleted_at else "archived" if row.archived_at else ""
    )


def age(now: datetime, then: datetime) -> str:
    """Return the time since a moment, in the largest unit that fits."""
    seconds = max(int((now - then).total_seconds()), 0)
    size, unit = next((pair for pair in AGES if seconds >= pair[0]), AGES[-1])
    return f"{seconds // size} {unit} ago"


@click.command()
@context_argument
@click.argument("other", required=False)
@click.option("--from", "first", metavar="VERSION", help=f"Compare CONTEXT as of {SELECTOR} …")
@click.option("--to", "last", metavar="VERSION", help="… with CONTEXT as of another one; default: head.")
@json_option
@click.pass_context
def diff(
    ctx: click.Context, context: str, other: str | None, first: str | None, last: str | None, as_json: bool
) -> None:
    """Show the entries of CONTEXT and OTHER after their common ancestor, or compare versions of CONTEXT."""
    if (other is None) == (first is None):
        raise click.UsageError("give another context, or --from")
    if other is not None and last is not None:
        raise click.UsageError("--to goes with --from")
    with open_context(ctx, context) as (kata, context_id):
        if other is None:
            assert first is not None
            changes = kata.diff_versions(
                context_id, version_at(kata, context_id, first), version_at(kata, context_id, last or "head")
            )
            if as_json:
                print_json(changes)
                return
            for change in changes:
                print_difference(change.change, change)
        else:
            other_id = resolve(kata, other)
            ancestor = kata.common_ancestor(context_id, other_id)
            entries = kata.diff(context_id, other_id)
            if as_json:
                print_json({"common_ancestor": ancestor, "entries": entries})
                return
            click.secho(f"--- {context}\n+++ {other}", bold=True)
            shared = f"both up to version {ancestor.version}" if ancestor.version else "nothing in common"
            click.secho(f"@@ {shared} @@", fg="cyan")
            for entry in entries:
                print_difference(entry.side, entry)


def print_difference(mark: str, row: DiffRow | DiffVersionRow) -> None:
    """Print an entry that only one side has."""
    sign, color = MARKS[mark]
    what = row.role if row.kind == "message" else f"{row.kind} {row.role or ''}".strip()
    click.secho(
        f"{sign}{row.version:>7}  {what:<18} {row.token_count or 0:>7}  {cell(row.preview)}", fg=color
    )


class Versions(click.ParamType["list[range]"]):
    """Versions and ranges of versions: 3,5-9."""

    name = "VERSIONS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[range]:
        """Parse them."""
        if not isinstance(value, str):
            given: list[range] = value
            return given
        try:
            spans = [span.partition("-") for span in value.split(",")]
            return [range(int(low), int(high or low) + 1) for low, _, high in spans]
        except ValueError:
            self.fail(f'"{value}" does not name versions; write 3,5-9 for example', param, ctx)


@click.command()
@click.argument("target")
@click.argument("source")
@click.option(
    "--versions",
    type=Versions(),
    help="Versions to append, as 3,5-9; default: all after the common ancestor.",
)
@click.option("--key", metavar="KEY", help="Idempotency key: a repeated call does nothing.")
@json_option
@click.pass_context
def merge(
    ctx: click.Context, target: str, source: str, versions: list[range] | None, key: str | None, as_json: bool
) -> None:
    """Append to TARGET the messages of SOURCE after the common ancestor, except those it has already."""
    with open_kata(ctx) as kata:
        rows = kata.merge(
            resolve(kata, target), resolve(kata, source), versions=versions, idempotency_key=key
        )
    print_rows(
        rows,
        as_json,
        ["version", ("tokens", lambda row: row.token_count), ("created", lambda row: moment(row.created_at))],
        empty="there is nothing to merge",
    )
