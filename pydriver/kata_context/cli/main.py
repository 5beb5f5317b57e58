"""The command `kata`."""

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from kata_context import __version__
from kata_context.cli.exit_codes import FAILED, INTERRUPTED, MISUSED, PIPE_CLOSED
from kata_context.cli.settings import Settings
from kata_context.cli.text import one_line

# Module and attribute of each command, imported when it is called, so that `kata --help` stays fast.
SECTIONS = {
    "The database": {
        "up": ("embedded:up", "Start the embedded server and migrate its database."),
        "down": ("embedded:down", "Stop the embedded server."),
        "status": ("status:status", "Show which database is used, and its state."),
        "doctor": ("doctor:doctor", "Examine the database: versions, connections, drift, roles, timeouts."),
        "migrate": ("migrations:migrate", "Apply, roll back and inspect migrations."),
        "environment": ("environment:environment", "Show or set the label that destructive commands need."),
        "proxy": ("proxy:proxy", "Make the database a proxy in front of several, and compare it with them."),
        "shard": ("proxy:shard", "List the shards of a proxy, and move one to another server."),
        "psql": ("embedded:psql", "Open psql on the database."),
        "call": ("call:call", "Call any function of the SQL API."),
    },
    "Contexts": {
        "create": ("contexts:create", "Create a context."),
        "list": ("contexts:list_contexts", "List contexts, newest first."),
        "show": ("contexts:show", "Show a context and its newest messages, or one message in full."),
        "append": ("log:append", "Append a message, or a batch."),
        "import": ("importing:import_files", "Import conversations from files of any known format."),
        "export": ("exporting:export", "Export a fork family, or all of a tenant, to a file for import."),
        "usage": ("log:usage", "Show how many messages and tokens a context holds."),
        "verify": ("verify:verify", "Verify the integrity of the log."),
        "heads": ("verify:heads", "Print the digest of every context: evidence to keep elsewhere."),
    },
    "Windows": {
        "window": ("window:window", "Show which messages a model sees within a budget, and why."),
        "prompt": ("window:prompt", "Print the window as JSON, ready to send to a model."),
        "requests": ("requests:requests", "List recorded requests: what was asked, what came, what it cost."),
        "replay": ("requests:replay", "Print the body of a recorded request again, byte for byte."),
        "report": ("report:report", "Write a page with the log and what a model sees, side by side."),
        "recount": ("recount:recount", "Count the messages of a context exactly in another tokenizer."),
        "demo": ("demo:demo", "Run a guided tour on a real conversation."),
    },
    "Recall": {
        "search": ("recall:search", "Find the messages of a context that hold words."),
        "recall": ("recall:recall", "Find the messages of a context that help to answer a question."),
        "index": ("recall:index", "Index new messages for search and recall."),
        "embed": ("recall:embed", "Have a program embed new messages, to find them by meaning."),
        "mcp": ("mcp:mcp", "Serve a context as tools for a model, read only."),
    },
    "Forks and history": {
        "fork": ("forks:fork", "Fork a context at any version."),
        "forks": ("forks:forks", "List the forks of a context."),
        "tree": ("forks:tree", "Draw the fork tree of a context."),
        "diff": ("forks:diff", "Show the difference between two contexts, or two versions."),
        "merge": ("forks:merge", "Append the messages of another context since the common ancestor."),
        "history": ("history:history", "List messages and view changes, newest first."),
        "at": ("history:state_at", "Show a context as of a version or time."),
        "checkpoint": ("history:checkpoint", "Give a version a name."),
        "checkpoints": ("history:checkpoints", "List checkpoints."),
    },
    "Compaction": {
        "policy": ("compaction:policy", "Show and change the compaction policy of a context."),
        "compact": ("compaction:compact", "Compact a context without a model."),
        "compactions": ("compaction:compactions", "List compaction attempts, and whether one is due."),
        "worker": ("worker:worker", "Compact due contexts, with a program that writes the summaries."),
        "undo": ("compaction:undo", "Undo a compaction or another view change."),
        "pin": ("compaction:pin", "Keep a message in every window."),
        "unpin": ("compaction:unpin", "Unpin a message."),
        "elide": ("compaction:elide", "Shorten tool results in the view."),
        "artifacts": ("compaction:artifacts", "List the files, URLs, ids and tools that messages name."),
        "probe": ("probe:probe", "Measure what a model can still answer about compacted messages."),
    },
    "Archive, delete, erase": {
        "archive": ("lifecycle:archive", "Archive a context, or all inactive forks."),
        "unarchive": ("lifecycle:unarchive", "Make an archived context writable again."),
        "delete": ("lifecycle:delete", "Delete a context; restore undoes it."),
        "restore": ("lifecycle:restore", "Restore a deleted context."),
        "purge": ("lifecycle:purge", "Permanently remove a deleted context, except entries that forks read."),
        "erase": ("lifecycle:erase", "Permanently blank a message, in every fork."),
    },
}
COMMANDS = {name: command for section in SECTIONS.values() for name, command in section.items()}


class Kata(click.Group):
    """A group whose commands are listed in SECTIONS and imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order in which the help shows them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(f"kata_context.cli.commands.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their help, from SECTIONS alone."""
        width = max(map(len, COMMANDS))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, (_, text) in commands.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; flush before the exit, so that a closed pipe or a full disk is noticed."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader has closed the pipe: discard what is still buffered.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(PIPE_CLOSED)
        return result

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line. A failure that a person can act on prints one line and a hint."""
        with contextlib.suppress(AttributeError):
            # A question mark replaces a character that the encoding of the terminal lacks.
            sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            code = MISUSED
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "kata"
            code = complain(error.format_message(), f"{command} --help", MISUSED)
        except click.ClickException as error:
            code = complain(error.format_message(), None, FAILED)
        except click.Abort:
            code = complain("interrupted", None, INTERRUPTED)
        except Exception as error:
            # Imported late because it imports psycopg, which --help does without.
            from kata_context.cli.problems import explain

            problem = explain(error)
            if problem is None:
                raise
            code = complain(problem.message, problem.hint, problem.exit_code)
        sys.exit(code or 0)


def complain(message: str, hint: str | None, exit_code: int) -> int:
    """Print an error and its hint on standard error, one per line; return the exit code."""
    for line in (f"kata: {message}", f"hint: {hint}" if hint else ""):
        if line:
            click.echo(one_line(line), err=True)
    return exit_code


@click.group(cls=Kata, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kata")
@click.option("--dsn", metavar="URL", help="Database; default: $DATABASE_URL, else the embedded server.")
@click.option(
    "--tenant", metavar="NAME", envvar="KATA_TENANT",
    help="Tenant to act for, where the role may act for several; default: $KATA_TENANT.",
)  # fmt: skip
@click.option(
    "--pass-env", metavar="NAME", multiple=True,
    help="Environment variable for the programs that a command runs, besides PATH, HOME, locale and proxies.",
)  # fmt: skip
@click.pass_context
def cli(ctx: click.Context, dsn: str | None, tenant: str | None, pass_env: tuple[str, ...]) -> None:
    """Kata Context: a context store for LLM agents that lives inside Postgres.

    A CONTEXT is a name, an id, or its first digits. Data go to standard output, all else to standard error.

    Exit codes: 0 success; 1 refused, failed, or a check found a problem; 2 wrong command line; 3 the database
    cannot be reached; 4 the database is not migrated; 130 interrupted.
    """
    ctx.obj = Settings(dsn, tenant or None, pass_env)


def main() -> None:
    """Run `kata`."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # it was closed
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115
    cli()
