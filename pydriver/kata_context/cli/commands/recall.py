"""`kata search`, `recall`, `index`, `embed`."""

import click

from kata_context import Indexer
from kata_context.cli.database import announce, open_context, open_kata, resolve, version_at
from kata_context.cli.parameters import Command, at_option, context_argument, refuse_surrogates
from kata_context.cli.settings import settings
from kata_context.cli.terminal import cell, json_option, print_one, print_rows
from kata_context.recall.program import indexing

embedder_option = click.option(
    "--embedder", type=Command(),
    help="Program that reads one text per line as JSON, and writes one JSON array of numbers per line.",
)  # fmt: skip
MESSAGE = ("version", "role", "name", "compacted_into")
rows_option = click.option("-n", "--rows", type=click.IntRange(1, 1000), default=10, help="Most messages.")


@click.command()
@context_argument
@click.argument("query")
@rows_option
@at_option
@json_option
@click.pass_context
def search(ctx: click.Context, context: str, query: str, rows: int, at: str | None, as_json: bool) -> None:
    """Find the messages of CONTEXT that hold words of QUERY, best first; "quoted" text as it is written."""
    with open_context(ctx, context) as (kata, context_id):
        found = kata.search(context_id, refuse_surrogates(query), rows, at=version_at(kata, context_id, at))
    print_rows(found, as_json, [*MESSAGE, "headline"], empty="nothing found")


@click.command()
@context_argument
@click.argument("query")
@rows_option
@at_option
@embedder_option
@click.option("--model", metavar="NAME", help="Name of the model of --embedder.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Most tokens of the messages together.")
@json_option
@click.pass_context
def recall(
    ctx: click.Context, context: str, query: str, rows: int, at: str | None, embedder: list[str] | None,
    model: str | None, max_tokens: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Find the messages of CONTEXT that help to answer QUERY, by words, with --embedder by meaning too."""
    with open_kata(ctx) as kata, indexing(kata, embedder, model) as indexer:
        context_id = resolve(kata, context)
        found = kata.recall(context_id, refuse_surrogates(query), model=model,
            embedding=indexer.embedded(query), at=version_at(kata, context_id, at), max_rows=rows,
            max_tokens=max_tokens)  # fmt: skip
    print_rows(found, as_json, [*MESSAGE, ("score", lambda row: f"{row.score:.2f}"),
        ("text", lambda row: cell(row.preview))], empty="nothing found")  # fmt: skip


@click.command()
@click.option("--vectors", metavar="MODEL", help="Build the HNSW index on the embeddings of MODEL instead.")
@click.option("--memory", metavar="SIZE", help="maintenance_work_mem for --vectors, such as 2GB.")
@json_option
@click.pass_context
def index(ctx: click.Context, vectors: str | None, memory: str | None, as_json: bool) -> None:
    """Index new messages of all contexts, so that `kata search` and `kata recall` need not parse them."""
    if vectors is not None:
        from kata_context.recall.vector_index import build

        row = build(announce(ctx).dsn, settings(ctx).tenant, vectors, memory)
        text = f"{row.index}: {row.bytes:,} bytes, finds {row.recall_at_10 or 0:.1%} of the nearest ten"
        print_one(row, as_json, text)
        return
    with open_kata(ctx) as kata:
        report(Indexer(kata), as_json)


@click.command()
@click.option("--embedder", type=Command(), required=True, help="See `kata worker --help`.")
@click.option("--model", metavar="NAME", required=True, help="Name of the model of --embedder.")
@json_option
@click.pass_context
def embed(ctx: click.Context, embedder: list[str], model: str, as_json: bool) -> None:
    """Have a program embed the new messages of all contexts, so that `kata recall` finds them by meaning."""
    with open_kata(ctx) as kata, indexing(kata, embedder, model) as indexer:
        report(indexer, as_json)


def report(indexer: Indexer, as_json: bool) -> None:
    """Index what there is, and print how much."""
    done = indexer.drain()
    refused = f", the embedder refused {done.refused:,}" if done.refused else ""
    print_one(
        done, as_json, f"indexed {done.versions:,} versions, embedded {done.embeddings:,} messages{refused}"
    )
