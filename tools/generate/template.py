"""The templates, and the filters that they use."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined

F = TypeVar("F", bound=Callable[..., Any])

ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # Python and Markdown, not HTML
)


def fill(template: str, **values: Any) -> str:
    """Return the text of a template."""
    return ENVIRONMENT.get_template(template).render(values)


def as_filter(function: F) -> F:
    """Register a function as a filter, under its name."""
    ENVIRONMENT.filters[function.__name__] = function
    return function
