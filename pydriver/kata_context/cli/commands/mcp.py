"""`kata mcp`: a context as tools for a model."""

import click

from kata_context.cli.database import open_context
from kata_context.cli.parameters import context_argument


@click.command()
@context_argument
@click.pass_context
def mcp(ctx: click.Context, context: str) -> None:
    """Serve CONTEXT to a client of the Model Context Protocol, on standard input and output.

    The tools search, recall, get_message, history, window and artifacts read this one context, and change
    nothing. The server ends with its client.
    """
    from kata_context.contrib.mcp import server

    with open_context(ctx, context) as (kata, context_id):
        server(kata, context_id).run()
