"""Embeddings of many files, in the order of the files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pacx_client._errors import ModelChanged, Problem, error_for
from pacx_client._results import ImageWarning, ModelIdentity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """One file's embedding, or why there is none.

    Attributes:
        index: Place of the file in the call.
        embedding: Length D, or None where the file could not be used.
        error: Why the file could not be used.
        warnings: What a reader should know about this image.
    """

    index: int
    embedding: tuple[float, ...] | None = None
    error: Problem | None = None
    warnings: tuple[ImageWarning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Embeddings of several files, all from one model.

    ``numpy.asarray(embeddings)`` gives float32 ``[N, D]`` where numpy is installed.

    Attributes:
        model: Which model made them.
        dimension: D, the length of each.
        embeddings: One for each file, in the order of the files.
        pooling: ``cls`` or ``mean``.
        space: ``encoder``, or a space that they were projected to.
    """

    model: ModelIdentity
    dimension: int
    embeddings: tuple[Embedding, ...]
    pooling: str = "cls"
    space: str = "encoder"

    def __len__(self) -> int:
        return len(self.embeddings)

    def __iter__(self) -> Iterator[Embedding]:
        return iter(self.embeddings)

    def __getitem__(self, index: int) -> Embedding:
        return self.embeddings[index]

    @property
    def failed(self) -> tuple[Embedding, ...]:
        """Those that have no embedding; their ``error`` says why."""
        return tuple(item for item in self.embeddings if item.embedding is None)

    def vectors(self) -> list[tuple[float, ...]]:
        """All embeddings as plain tuples of length D.

        Raises:
            PacxApiError: One of the files could not be used; see ``failed``.
        """
        for item in self.failed:
            raise error_for(item.error or Problem(status=500))
        return [item.embedding for item in self.embeddings if item.embedding is not None]

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.generic]:  # numpy's own protocol: numpy is installed if this is called
        import numpy as np

        if copy is False:
            raise ValueError("Embeddings hold tuples, so an array of them is always a copy")
        vectors = np.asarray(self.vectors(), dtype=dtype or np.float32)
        return vectors.reshape(len(self), self.dimension)


def merge(parts: Sequence[Embeddings]) -> Embeddings:
    """Join the answers to one call that was sent in several requests.

    Raises:
        ModelChanged: The requests were answered by different models or settings.
    """
    first = parts[0]
    merged: list[Embedding] = []
    for part in parts:
        if _origin(part) != _origin(first):
            raise ModelChanged("The server changed its model between two requests of one call.")
        merged += [replace(item, index=len(merged) + item.index) for item in part]
    return replace(first, embeddings=tuple(merged))


def _origin(part: Embeddings) -> tuple[str, str, str, int]:
    return part.model.sha256, part.pooling, part.space, part.dimension
