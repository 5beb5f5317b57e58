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
from kata_context.cli.settings import Settings
from kata_context.cli.text import one_line

# Where each command lives: it is imported when it is called, so that `kata --help` stays fast.
SECTIONS = {
    "The database": {
        "up": ("embedded:up", "Start the embedded server and migrate its database."),
        "down": ("embedded:down", "Stop the embedded server."),
        "status": ("status:status", "Say which database is used and how it stands."),
        "doctor": ("doctor:doctor", "Examine the database: versions, connections, drift, roles, timeouts."),
        "migrate": ("migrations:migrate", "Apply, roll back and inspect migrations."),
        "environment": (
            "environment:environment",
            "Show or set the label that destructive commands ask for.",
        ),
        "psql": ("embedded:psql", "Open psql on the database."),
    },
    "Contexts": {
        "create": ("contexts:create", "Create a context."),
        "list": ("contexts:list_contexts", "List contexts, newest first."),
        "show": ("contexts:show", "Show a context and its newest messages, or one message in full."),
        "append": ("log:append", "Append a message, or a batch."),
        "import": ("importing:import_file", "Import conversations from a file, one a line."),
        "usage": ("log:usage", "Show how many messages and tokens a context holds."),
        "verify": ("verify:verify", "Check that history is what it was."),
    },
    "What the model sees": {
        "window": ("window:window", "Show which messages fit into a budget, and why."),
        "prompt": ("window:prompt", "Print them as JSON, ready to send."),
        "demo": ("demo:demo", "Show all this on a real conversation."),
    },
    "Forks and time": {
        "fork": ("forks:fork", "Fork a context: the same history, another future."),
        "forks": ("forks:forks", "List the forks of a context."),
        "tree": ("forks:tree", "Draw the family of a context."),
        "diff": ("forks:diff", "Show what differs between two contexts, or two versions."),
        "merge": ("forks:merge", "Append to a context what another has said since they parted."),
        "history": ("history:history", "List what happened, newest first."),
        "at": ("history:state_at", "Show a context as it was."),
        "checkpoint": ("history:checkpoint", "Give a version a name."),
        "checkpoints": ("history:checkpoints", "List the names of versions."),
    },
    "Compaction": {
        "policy": ("compaction:policy", "Show and change when a context is compacted, and how."),
        "compact": ("compaction:compact", "Compact a context without a model."),
        "compactions": ("compaction:compactions", "List what was tried, and say whether it is due."),
        "worker": ("worker:worker", "Compact what is due, with a program that writes the summaries."),
        "undo": ("compaction:undo", "Undo a compaction or another change of the view."),
        "pin": ("compaction:pin", "Keep a message in every window."),
        "unpin": ("compaction:unpin", "Keep it there no longer."),
        "elide": ("compaction:elide", "Shorten tool results, as the model sees them."),
        "artifacts": (
            "compaction:artifacts",
            "List the files, addresses, identifiers and tools that were named.",
        ),
        "probe": ("probe:probe", "Ask what was compacted away, and score what can be answered."),
    },
    "The end": {
        "archive": ("lifecycle:archive", "Archive a context, or forks in which nothing happens."),
        "unarchive": ("lifecycle:unarchive", "Open an archived context again."),
        "delete": ("lifecycle:delete", "Delete a context, until it is restored or purged."),
        "restore": ("lifecycle:restore", "Bring a deleted context back."),
        "purge": ("lifecycle:purge", "Remove a deleted context for ever, but for what forks read."),
        "erase": ("lifecycle:erase", "Blank a message for ever, in every fork."),
    },
}
COMMANDS = {name: command for section in SECTIONS.values() for name, command in section.items()}

FAILED = 1
MISUSED = 2
INTERRUPTED = 130  # as the shell says it: 128 and the number of the signal
PIPE_CLOSED = 141


class Kata(click.Group):
    """A group whose commands are named in SECTIONS and imported on first use; failures are one line."""

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
        """Run the command; flush while a closed pipe or a full disk can still be told apart."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read our output has left. What is still to be written goes nowhere.
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
        """Run a command line. A failure that a person can act on is a line and a hint, never a traceback."""
        with contextlib.suppress(AttributeError):
            # Better a question mark than nothing, where the encoding of the terminal lacks a character.
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
            # It imports psycopg, which has been loaded long since if it is what failed.
            from kata_context.cli.problems import explain

            problem = explain(error)
            if problem is None:
                raise
            code = complain(problem.message, problem.hint, problem.exit_code)
        sys.exit(code or 0)


def complain(message: str, hint: str | None, exit_code: int) -> int:
    """Say on standard error what is wrong and what to do about it, a line each; return the exit code."""
    for line in (f"kata: {message}", f"hint: {hint}" if hint else ""):
        if line:
            click.echo(one_line(line), err=True)
    return exit_code


@click.group(cls=Kata, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kata")
@click.option(
    "--dsn", metavar="URL", help="Database to use; default: $DATABASE_URL, else the embedded server."
)
@click.option(
    "--tenant",
    metavar="NAME",
    envvar="KATA_TENANT",
    help="Whom to act for, where the role may act for several; default: $KATA_TENANT.",
)
@click.pass_context
def cli(ctx: click.Context, dsn: str | None, tenant: str | None) -> None:
    """Kata Context: a context store for LLM agents that lives inside Postgres.

    A CONTEXT is given by its name, its id, or the first digits of its id. Data go to standard output,
    everything else to standard error.

    Exit codes: 0 done; 1 refused, failed, or something is found to be wrong; 2 the command line is wrong;
    3 the database cannot be reached; 4 it is not migrated; 130 interrupted.
    """
    ctx.obj = Settings(dsn, tenant or None)


def main() -> None:
    """Run `kata`."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # it was closed
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115
    cli()
