"""`kata recount`: exact token counts in another tokenizer than a context's own."""

import sys

import click

from kata_context.cli.database import log_pages, open_context, version_at
from kata_context.cli.parameters import at_option, context_argument, refuse_surrogates
from kata_context.cli.terminal import json_option, print_one
from kata_context.errors import KataError
from kata_context.tokens import COUNTED, ENCODINGS, count_of


@click.command()
@context_argument
@click.option("--tokenizer", metavar="NAME", required=True, help=f"One of {', '.join(ENCODINGS)}.")
@at_option
@json_option
@click.pass_context
def recount(ctx: click.Context, context: str, tokenizer: str, at: str | None, as_json: bool) -> None:
    """Count the messages of CONTEXT exactly in another tokenizer, for windows and prompts in it.

    Counts are stored page by page, so an interrupted run loses none. A further run counts again, and
    rewrites the counts that are there.
    """
    with open_context(ctx, context) as (kata, context_id):
        # Without versions it stores nothing, but refuses an unknown tokenizer, and the context's own.
        kata.put_token_counts(context_id, refuse_surrogates(tokenizer), [], [])
        if tokenizer not in ENCODINGS:
            raise KataError(
                f'tokens of "{tokenizer}" can only be estimated', f"pass one of {', '.join(ENCODINGS)}"
            )
        version = version_at(kata, context_id, at or "head")
        counted, uncounted = 0, []
        hidden = not sys.stderr.isatty()
        with click.progressbar(length=version, label="counting", file=sys.stderr, hidden=hidden) as bar:
            for page in log_pages(kata, context_id, version):
                counts = {}
                for row in page:
                    fields = {name: getattr(row, name) for name in ("content", *COUNTED)}
                    count, _ = count_of(fields, tokenizer)
                    if count is None:
                        uncounted.append(row.version)
                    else:
                        counts[row.version] = count
                kata.put_token_counts(context_id, tokenizer, list(counts), list(counts.values()))
                counted += len(counts)
                bar.update(page[-1].version - bar.pos)
    found = {"tokenizer": tokenizer, "version": version, "counted": counted, "uncounted": uncounted}
    print_one(found, as_json, f"{counted:,} messages counted in {tokenizer}")
    if uncounted and not as_json:
        click.echo(f"too much white space to be counted: {', '.join(map(str, uncounted))}", err=True)
