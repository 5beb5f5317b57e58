"""`kata migrate`: apply, roll back and inspect migrations."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from kata_context import migrate as runner
from kata_context.cli.database import announce, confirm_environment
from kata_context.cli.parameters import environment_option
from kata_context.cli.terminal import json_option, print_json
from kata_context.errors import KataError

DONE = {
    "applied": "would apply",
    "rolled back": "would roll back",
    "installed": "would install",
    "dropped": "would drop",
    "moved": "would move",
}
LOCK_TIMEOUT = click.option(
    "--lock-timeout",
    default="5s",
    show_default=True,
    metavar="TIME",
    help="Longest wait for a lock.",
)


@click.group(invoke_without_command=True)
@click.pass_context
def migrate(ctx: click.Context) -> None:
    """Apply, roll back and inspect migrations; without a command: up."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(up)


@migrate.command()
@click.option("--to", type=int, metavar="N", help="Stop after migration N, and install no functions.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option(
    "--reinstall", is_flag=True, help="Install every function file again, which reverts manual changes."
)
@LOCK_TIMEOUT
@json_option
@click.pass_context
def up(
    ctx: click.Context, to: int | None, dry_run: bool, reinstall: bool, lock_timeout: str, as_json: bool
) -> None:
    """Apply pending migrations, then the functions that changed."""
    report = runner.up(
        announce(ctx).dsn,
        to=to,
        dry_run=dry_run,
        lock_timeout=lock_timeout,
        reinstall=reinstall,
        progress=None if as_json else _printer(dry_run),
    )
    _conclude(report, as_json)


@migrate.command()
@click.option(
    "--to", type=int, required=True, metavar="N",
    help="Roll back every migration above N; 0 removes everything.",
)  # fmt: skip
@click.option("--allow-data-loss", is_flag=True, help="Also roll back migrations that lose data.")
@environment_option
@click.option("--dry-run", is_flag=True, help="Only show what would be done and lost.")
@LOCK_TIMEOUT
@json_option
@click.pass_context
def down(
    ctx: click.Context, to: int, allow_data_loss: bool, environment: str | None, dry_run: bool,
    lock_timeout: str, as_json: bool,
) -> None:  # fmt: skip
    """Roll back migrations, newest first, and drop all functions; `up` brings both back."""
    dsn = announce(ctx).dsn
    if not dry_run:
        environment = confirm_environment(runner.read_environment(dsn), environment)
    report = runner.down(
        dsn,
        to=to,
        allow_destructive=allow_data_loss,
        environment=environment,
        dry_run=dry_run,
        lock_timeout=lock_timeout,
        progress=None if as_json else _printer(dry_run),
    )
    _conclude(report, as_json)


@migrate.command()
@json_option
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show migrations, pending function files and drift; exits with 1 if not up to date."""
    found = runner.status(announce(ctx).dsn)
    if as_json:
        print_json({"up_to_date": found.up_to_date, **asdict(found)})
    else:
        for migration in found.migrations:
            note = migration.reason or (f"on {migration.applied_at}" if migration.applied_at else "")
            click.echo(f"{migration.state:9} {migration.name:32} {note}".rstrip())
        for step in found.functions:
            state = {"installed": "pending", "dropped": "gone"}.get(step.action, step.action)
            click.echo(f"{state:9} functions {step.name:22} {step.reason or ''}".rstrip())
        for drift in found.drift:
            click.echo(f"{drift.state:9} {drift.name:32} {drift.file or 'no file defines it'}")
        if found.drift:
            click.echo(
                "hint: kata migrate up --reinstall restores what was changed; drop what is unknown", err=True
            )
        click.echo("up to date" if found.up_to_date else "not up to date", err=True)
    if not found.up_to_date:
        sys.exit(1)


@migrate.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; default: standard output.",
)
def bundle(output: Path | None) -> None:
    """Print one SQL file that installs everything with psql alone."""
    text = runner.bundle()
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise KataError(f"cannot write {output}: {error.strerror}") from error


def _printer(dry_run: bool) -> runner.Progress:
    """Print one line per migration; function files are many, so they are only counted."""

    def show(step: runner.Step) -> None:
        if step.kind != "function" or step.action == "skipped" or dry_run:
            action = DONE.get(step.action, step.action) if dry_run else step.action
            note = step.reason or (f"{step.seconds:.2f} s" if not dry_run else "")
            click.echo(f"{action:15} {step.name:32} {note}".rstrip())

    return show


def _conclude(report: runner.Report, as_json: bool) -> None:
    if as_json:
        print_json({"changed": report.changed, **asdict(report)})
        return
    if report.dry_run:
        click.echo("nothing was changed" if report.changed else "nothing to do", err=True)
        return
    for action in ("moved", "installed", "dropped"):
        if files := report.names(action, kind="function"):
            click.echo(f"{action:15} {len(files)} function file{'s' if len(files) > 1 else ''}")
    if not report.changed:
        click.echo("nothing to do", err=True)
