"""`kata proxy` and `kata shard`: several databases behind one that looks like them."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from kata_context.cli.database import announce, connect
from kata_context.cli.exit_codes import FAILED
from kata_context.cli.terminal import json_option, print_json
from kata_context.proxy import shards
from kata_context.proxy.functions import proxy_sql, read_functions


@click.group()
def proxy() -> None:
    """Make the database a proxy in front of several, and compare it with them."""


@proxy.command("sql")
@click.pass_context
def print_sql(ctx: click.Context) -> None:
    """Print the SQL of a proxy's functions, from the functions of the database, a shard."""
    with connect(announce(ctx).dsn) as connection:
        click.echo(proxy_sql(read_functions(connection)))


@proxy.command()
@click.option("--shard", "dsns", multiple=True, metavar="DSN", help="A shard, as the login role of proxies.")
@json_option
@click.pass_context
def init(ctx: click.Context, dsns: tuple[str, ...], as_json: bool) -> None:
    """Make the database a proxy for the shards, in this order; again after an upgrade, without --shard.

    Needs a superuser and the extension plproxy. Each shard is a database that `kata migrate up` has migrated,
    and its role a member of kata_proxy. Empty shards share the 4,096 buckets equally.
    """
    _show(shards.init(announce(ctx).dsn, dsns), as_json)


@proxy.command()
@json_option
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Compare the map of the proxy with its shards; exit 1 if one differs or does not answer."""
    _show(shards.listed(announce(ctx).dsn), as_json)


@click.group()
def shard() -> None:
    """List the shards of a proxy, add one, and move one to another server."""


@shard.command("list")
@json_option
@click.pass_context
def list_shards(ctx: click.Context, as_json: bool) -> None:
    """List the shards of the proxy, with their buckets; exit 1 if one differs or does not answer."""
    _show(shards.listed(announce(ctx).dsn), as_json)


@shard.command()
@click.argument("dsn")
@json_option
@click.pass_context
def add(ctx: click.Context, dsn: str, as_json: bool) -> None:
    """Add the database DSN as a shard, while no shard has contexts.

    All shards share the buckets equally anew. On other proxies run `kata proxy init` with all shards.
    """
    _show(shards.add(announce(ctx).dsn, dsn), as_json)


@shard.command()
@click.argument("number", type=int)
@click.argument("dsn")
@json_option
@click.pass_context
def move(ctx: click.Context, number: int, dsn: str, as_json: bool) -> None:
    """Send the calls for shard NUMBER to DSN, where the whole database is now.

    Run it on every proxy, after the standby was promoted or the dump was restored. Writes that waited since
    `kata shard pause` go on there.
    """
    _show(shards.move(announce(ctx).dsn, number, dsn), as_json)


@shard.command()
@click.argument("number", type=int)
@click.option("--resume", is_flag=True, help="Let the writes of a paused shard go on where it is.")
@json_option
@click.pass_context
def pause(ctx: click.Context, number: int, resume: bool, as_json: bool) -> None:
    """Have writes for shard NUMBER wait until `kata shard move`.

    It returns once the calls that were on their way have ended. Run it on every proxy. A write waits for at
    most 10 seconds, or the time in the setting kata.move_wait of the proxy; then it fails with KC024.
    """
    _show(shards.pause(announce(ctx).dsn, number, is_paused=not resume), as_json)


def _show(found: Sequence[shards.Shard], as_json: bool) -> None:
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        for one in found:
            state = "paused" if one.is_paused else "ok"
            buckets = ", ".join(f"{first}-{last}" for first, last in one.buckets)
            click.echo(f"{one.number}  {buckets:<12} {one.address}  {one.problem or state}")
    if any(one.problem for one in found):
        raise SystemExit(FAILED)
