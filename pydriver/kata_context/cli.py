"""The command `kata`."""

import sys
from importlib import import_module

import click

from kata_context import __version__
from kata_context.errors import KataError

# Where each command lives: imported when it is called, so that `kata --help` stays fast.
COMMANDS = {
    "up": ("kata_context.commands.server:up", "Start the embedded server."),
    "down": ("kata_context.commands.server:down", "Stop the embedded server."),
    "psql": ("kata_context.commands.server:psql", "Open psql on the database."),
    "migrate": ("kata_context.commands.migrations:migrate", "Apply, roll back and inspect migrations."),
    "demo": ("kata_context.commands.demo:demo", "Show the main job on a real conversation."),
}


class LazyGroup(click.Group):
    """A group whose commands are named in COMMANDS and imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kata")
@click.option(
    "--dsn", metavar="URL", help="Database to use; default: $DATABASE_URL, else the embedded server."
)
@click.pass_context
def cli(ctx: click.Context, dsn: str | None) -> None:
    """Kata Context: a context store for LLM agents that lives inside Postgres."""
    ctx.obj = dsn


def main() -> None:
    """Run `kata`; a failure that a person can act on is one line and a hint, never a traceback."""
    try:
        cli()
    except KataError as error:
        click.echo(f"kata: {error}", err=True)
        if error.hint:
            click.echo(f"hint: {error.hint}", err=True)
        sys.exit(1)
