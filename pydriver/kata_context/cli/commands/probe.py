"""`kata probe`: how much of what was compacted can a reader of the window still answer?"""

import json
import subprocess
from dataclasses import asdict

import click

from kata_context.cli.database import open_context, version_at
from kata_context.cli.parameters import Command, at_option, context_argument
from kata_context.cli.terminal import json_option, print_json, print_table
from kata_context.compaction import probe as probes
from kata_context.compaction.program import failure
from kata_context.errors import KataError
from kata_context.programs import start_options


@click.command()
@context_argument
@click.option(
    "--budget", type=click.IntRange(min=1), metavar="TOKENS",
    help="Budget of the window; default: that of the policy.",
)  # fmt: skip
@click.option(
    "--per-kind", type=click.IntRange(min=1), default=10, show_default=True, help="Questions per kind."
)
@click.option(
    "--answerer", type=Command(),
    help="Program that reads a question and the window as JSON on standard input and writes the answer; "
    "default: a perfect reader of window and artifact index.",
)  # fmt: skip
@at_option
@json_option
@click.pass_context
def probe(
    ctx: click.Context, context: str, budget: int | None, per_kind: int, answerer: list[str] | None,
    at: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Ask questions about the covered messages of CONTEXT, and score the answers from the window.

    Questions are of four kinds: recall, artifact, continuation, decision. The exit code is 1 if an
    artifact is in neither the window nor the artifact index.
    """
    with open_context(ctx, context) as (kata, context_id):
        version = version_at(kata, context_id, at)
        with kata.transaction() as transaction:
            tokens = transaction.get_policy(context_id)["budget"] if budget is None else budget
            # Messages that a policy drops leave the view, too, and no summary replaces them.
            said, shown = (
                {row.version for row in transaction.state_at(context_id, version, visibility=visibility)}
                for visibility in ("raw", "effective")
            )
            found = probes.load(transaction.connection, context_id, tokens, said - shown, version)
    questions = probes.generate(found.covered, per_kind)
    reader = probes.reads_all(found.window, found.index)
    if answerer is not None:
        window = [{"role": row["role"], "content": row["content"]} for row in found.window]
        reader = lambda question: answered(answerer, question, window)  # noqa: E731
    report = probes.evaluate(questions, reader)
    kept = probes.retention(found.covered, found.window, found.index, found.before)
    places = probes.summary_places(found.window)
    if as_json:
        print_json(
            {
                "covered": len(found.covered),
                "scores": [
                    {**asdict(score.question), "answer": score.answer, "score": score.score}
                    for score in report.scores
                ],
                "overall": report.overall,
                "artifacts": {"wanted": len(kept.wanted), "missing": kept.missing, "share": kept.share},
                "summary_places": places,
            }
        )
    elif not found.covered:
        click.echo("no message of this context is compacted: there is nothing to ask", err=True)
    else:
        rows = [
            (kind, report.of_kind(kind), sum(score.question.kind == kind for score in report.scores))
            for kind in probes.KINDS
        ]
        print_table(
            rows,
            [
                ("questions", lambda row: row[0]),
                ("asked", lambda row: row[2]),
                ("answered", lambda row: "" if row[1] is None else f"{row[1]:.0%}"),
            ],
            empty="no questions",
        )
        click.echo(
            f"artifacts: {len(kept.wanted) - len(kept.missing)} of {len(kept.wanted)} of the "
            f"{len(found.covered)} covered messages are held ({kept.share:.0%})"
        )
        for kind, ref in kept.missing:
            click.echo(f"missing: {kind} {ref}")
        for place in places:
            click.echo(f"summary: it begins at {place:.0%} of the window's tokens")
    ctx.exit(int(bool(kept.missing)))


def answered(command: list[str], question: probes.Question, window: list[dict[str, object]]) -> str:
    """Return what a program answers."""
    given = json.dumps({"question": question.text, "kind": question.kind, "window": window})
    try:
        done = subprocess.run(
            command, input=given, text=True, stderr=subprocess.PIPE, **start_options() | {"stdin": None}
        )
    except OSError as error:
        raise KataError(f"{command[0]}: {error.strerror}", "give a program that can be run") from None
    if done.returncode:
        raise KataError(failure(command[0], done.returncode, done.stderr.encode()))
    return str(done.stdout)
