"""The importers that are installed."""

from collections.abc import Iterator
from importlib.metadata import entry_points

from kata_context.contrib.importers.conversation import Importer, Source
from kata_context.errors import KataError

GROUP = "kata_context.importers"


def importers() -> Iterator[Importer]:
    """Yield the importers of this package and of others, by their names."""
    for entry_point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        yield entry_point.load()()


def recognize(source: Source, name: str | None = None) -> Importer:
    """Return the importer of a file.

    Parameters
    ----------
    name : of the importer, where the content shall not decide

    Raises
    ------
    KataError : no importer has the name, or recognizes the file, or more than one does
    """
    installed = list(importers())
    found = [one for one in installed if (one.name == name if name else one.recognizes(source))]
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.name for one in (found or installed))
    if name:
        raise KataError(f'no importer is named "{name}"', hint=f"the installed ones are {names}")
    if found:
        raise KataError(f"{source.path.name} may be of several formats", hint=f"pass one of {names}")
    raise KataError(f"the format of {source.path.name} is not known", hint=f"the known ones are {names}")
