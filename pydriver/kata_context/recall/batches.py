"""What an indexer hands on: texts by context, how much was done, how an embedder failed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from kata_context.errors import KataError
from kata_context.generated.rows import PendingEmbeddingRow


class EmbedderError(KataError):
    """An embedder failed, or returned something else than one embedding for each text."""


@dataclass(slots=True)
class Indexed:
    """The work of a run: versions indexed for searches, messages embedded, texts the embedder refused."""

    versions: int = 0
    embeddings: int = 0
    refused: int = 0


def by_context(
    rows: list[PendingEmbeddingRow], made: list[Any]
) -> Iterator[tuple[tuple[str, UUID], list[tuple[PendingEmbeddingRow, Any]]]]:
    """Yield the rows of each context, with their embeddings."""
    pairs = zip(rows, made, strict=True)
    for key, group in groupby(pairs, key=lambda pair: (pair[0].tenant, pair[0].context_id)):
        yield key, list(group)
