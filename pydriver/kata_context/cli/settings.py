"""Options that come before the command."""

from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class Settings:
    """The options that stand before the command.

    Parameters
    ----------
    dsn : the database; None for that of the environment, or the embedded one
    tenant : the tenant to act for; None for the tenant of the role
    pass_env : environment variables that programs get besides the usual ones
    """

    dsn: str | None
    tenant: str | None
    pass_env: tuple[str, ...] = ()


def settings(ctx: click.Context) -> Settings:
    """Return the options that stand before the command."""
    found = ctx.find_root().obj
    assert isinstance(found, Settings)
    return found
