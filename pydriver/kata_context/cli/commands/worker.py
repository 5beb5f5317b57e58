"""`kata worker`: compacts due contexts, with a program that writes the summaries."""

import signal

import click

from kata_context.cli.commands.recall import embedder_option
from kata_context.cli.database import confirm_environment, open_kata
from kata_context.cli.parameters import Command, environment_option
from kata_context.cli.problems import explain
from kata_context.cli.terminal import json_option, print_json
from kata_context.compaction.outcome import Outcome
from kata_context.compaction.program import Program
from kata_context.generated.compactor import LEASE, POLL, Compactor
from kata_context.recall.program import indexing


@click.command()
@click.option(
    "--summarizer", type=Command(),
    help="Program that reads the messages to summarize as JSON on standard input and writes the summary; "
    "without one, only contexts whose strategy is digest, elide or drop are compacted.",
)  # fmt: skip
@embedder_option
@click.option("--embedding-model", metavar="NAME", help="Name of the model of --embedder.")
@click.option(
    "--timeout", type=float, default=600, show_default=True, metavar="SECONDS",
    help="Longest time for a summary, or for a batch of embeddings.",
)  # fmt: skip
@click.option(
    "--lease", type=click.IntRange(1, 86400), default=LEASE, show_default=True, metavar="SECONDS",
    help="Time after which another worker takes over from one that has died.",
)  # fmt: skip
@click.option(
    "--poll", type=click.FloatRange(min=0.01), default=POLL, show_default=True, metavar="SECONDS",
    help="Interval between looks for due contexts that send no notification.",
)  # fmt: skip
@click.option("--name", help="Name of this worker in `kata compactions`; default: host and process.")
@click.option(
    "--listen-dsn", metavar="URL",
    help="Direct URL of the database, to receive notifications where --dsn is that of a transaction pooler.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Compact the contexts that are due now, then exit.")
@environment_option
@json_option
@click.pass_context
def worker(
    ctx: click.Context, summarizer: list[str] | None, timeout: float, lease: int, poll: float,
    name: str | None, listen_dsn: str | None, once: bool, as_json: bool, embedder: list[str] | None,
    embedding_model: str | None, environment: str | None,
) -> None:  # fmt: skip
    """Compact due contexts until stopped with SIGTERM or Ctrl-C; several workers may run.

    When nothing is due, it indexes new messages for `kata search` and `kata recall`, and has --embedder
    embed them. With `--tenant '*'` it works for all tenants. It prints one line per compaction; with
    --once the exit code is 1 if one has failed.
    """
    program = None if summarizer is None else Program(summarizer, timeout)
    with (
        open_kata(ctx, connections=2, at_once=once) as kata,
        indexing(kata, embedder, embedding_model, timeout) as indexer,
    ):

        class Labeled(Compactor):
            def step(self) -> Outcome | None:  # a restored copy has another label
                nonlocal environment
                environment = confirm_environment(kata.environment(), environment) or environment
                return super().step()

        compactor = Labeled(
            kata,
            program,
            name=name,
            lease_seconds=lease,
            poll_seconds=poll,
            listen_dsn=listen_dsn,
            index=indexer.drain,
            report=lambda outcome: report(outcome, as_json),
            report_error=report_error,
        )

        signals = (signal.SIGTERM, signal.SIGINT)
        handlers = {number: signal.signal(number, lambda *_: compactor.stop()) for number in signals}
        try:
            waiting = (
                sum(one["due_for_model"] for one in kata.stats().values()) if once and not program else 0
            )
            if waiting:
                click.echo(f"{waiting} due contexts wait for a worker with a summarizer", err=True)
            if once:
                failed = any(outcome.status == "failed" for outcome in compactor.drain())
                ctx.exit(int(failed))
            click.echo("waiting for work", err=True)
            compactor.run()
            click.echo("stopped", err=True)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def report(outcome: Outcome, as_json: bool) -> None:
    """Print the outcome of a compaction; click flushes each line."""
    if as_json:
        print_json(outcome)
    else:
        what = f"{outcome.context_id}  {outcome.status:<9}  {outcome.message_count} messages"
        if outcome.status == "committed":
            click.echo(
                f"{what}, {outcome.source_tokens:,} tokens became {outcome.result_tokens or 0:,}, "
                f"version {outcome.summary_version}"
            )
        else:
            click.echo(f"{what}: {outcome.error}")


def report_error(error: Exception) -> None:
    """Print on standard error a failure that the worker waits out."""
    click.echo(f"kata: {getattr(explain(error), 'message', error)}; trying again", err=True)
