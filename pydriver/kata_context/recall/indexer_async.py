"""Indexing for recall, for asyncio: the words of new messages, and their embeddings where there is a model.

kata_context/generated/indexer.py, for threads, is made from this file by `make generate`. While a model
embeds there is neither a lock nor a transaction; a text that is erased meanwhile is not stored.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from kata_context.database_errors import ContextClosedError
from kata_context.driver.client_async import AsyncKata
from kata_context.errors import KataError
from kata_context.recall.batches import EmbedderError, Indexed, by_context

BATCH = 64  # texts for one call of the embedder
PIECE = 1000  # versions that one call indexes, so that erasures wait for a short time only
ROWS = 1000  # of a list


class AsyncIndexer:
    """Fills the indexes of recall. Several may run at once.

    Parameters
    ----------
    kata : the database; under the tenant '*' the contexts of all tenants
    embed : takes texts and returns an embedding for each: a list, an array of NumPy, a vector of pgvector, or
        None for a text that it refuses, which comes again in the next run. None: only words.
    model : the name of the model of `embed`
    batch : the most texts for one call of `embed`
    """

    def __init__(
        self,
        kata: AsyncKata,
        embed: Callable[[list[str]], Awaitable[Sequence[Any]]] | None = None,
        *,
        model: str | None = None,
        batch: int = BATCH,
    ) -> None:
        if (embed is None) != (model is None):
            raise TypeError("an embedder needs the name of its model, and a model an embedder")
        self._kata = kata
        self._embed = embed
        self._model = model
        self._batch = batch

    async def drain(self) -> Indexed:
        """Index what there is now, and return how much.

        Raises
        ------
        EmbedderError : the embedder failed; what was stored before stays
        """
        done = Indexed(versions=await self._index_words())
        if self._embed is None or self._model is None:
            return done
        place: dict[str, Any] = {}
        while rows := await self._kata.pending_embeddings(self._model, min(self._batch, ROWS), **place):
            made = await self._made([row.content for row in rows])
            for (tenant, context_id), found in by_context(rows, made):
                given = [(row, embedding) for row, embedding in found if embedding is not None]
                done.refused += len(found) - len(given)
                if given:
                    with suppress(ContextClosedError):
                        done.embeddings += await self._kata.as_tenant(tenant).put_embeddings(
                            context_id,
                            self._model,
                            [row.version for row, _ in given],
                            [embedding for _, embedding in given],
                            [row.digest for row, _ in given],
                        )
            place = {"after_context": rows[-1].context_id, "after_version": rows[-1].version}
        return done

    async def embedded(self, query: str) -> Any:
        """Return the embedding of a query, for `recall`; None without an embedder.

        Raises
        ------
        EmbedderError : the embedder failed
        """
        return None if self._embed is None else (await self._made([query]))[0]

    async def _made(self, texts: list[str]) -> list[Any]:
        assert self._embed
        try:
            made = list(await self._embed(texts))
        except KataError:
            raise
        except Exception as error:
            raise EmbedderError(f"the embedder failed: {type(error).__name__}: {error}") from error
        if len(made) != len(texts):
            raise EmbedderError(f"the embedder returned {len(made)} embeddings for {len(texts)} texts")
        return made

    async def _index_words(self) -> int:
        """Index the contexts that have enough new versions, each once, and return how many versions were."""
        done, seen = 0, set[UUID]()
        while rows := [row for row in await self._kata.pending_search(ROWS) if row.context_id not in seen]:
            seen |= {row.context_id for row in rows}
            for row in rows:
                kata, left = self._kata.as_tenant(row.tenant), row.messages
                with suppress(ContextClosedError):  # since it was listed
                    while left and (now := await kata.index_search(row.context_id, PIECE)) < left:
                        done, left = done + left - now, now
        return done
