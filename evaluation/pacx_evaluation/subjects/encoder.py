"""The one face of every subject: films in, embeddings out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pacx.bundle import Bundle
from pacx.embeddings import preprocessing_sha256
from pacx.errors import EvaluationError, InputError
from pacx.manifest import Provenance
from pacx.preprocessing import PreprocessingSpec, normalise, prepare
from pacx.radiograph import Radiograph
from pacx.reading import read

if TYPE_CHECKING:
    from pacx_training.encoder import VisionTransformer

Embeddings = NDArray[np.float32]
Film: TypeAlias = Path | Radiograph
Kind = Literal["random", "bundle", "run", "checkpoint", "onnx", "server"]

BATCH = 16
READING_THREADS = 2


class Identity(BaseModel):
    """What a subject is, so that its numbers can be traced and its embeddings kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="In tables and figures.")
    kind: Kind
    sha256: str = Field(description="Of the weights, or of the manifest that lists their hashes.")
    preprocessing_sha256: str
    engine: str = Field(description="What computed the embeddings, and in which precision.")
    description: str = Field("", description="One sentence for the report.")
    simulated_physiology: bool | None = None
    licence: str = ""
    provenance: Provenance | None = None

    @property
    def key(self) -> str:
        """Equal where two subjects give every film the same embedding."""
        facts = (self.sha256, self.preprocessing_sha256, self.engine)
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()


class Encoder(Protocol):
    """Turns films into embeddings, deterministically."""

    @property
    def identity(self) -> Identity:
        """What it is."""
        ...

    def embed(self, films: Sequence[Film]) -> Embeddings:
        """Embeddings float32 ``[N, D]`` of N >= 1 films, in order.

        Raises:
            EvaluationError: A film cannot be used, or the encoder failed.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LocalEncoder:
    """An encoder that runs in this process.

    Attributes:
        identity: What it is.
        spec: How it wants its input.
        run: ``pixel_values`` float32 ``[N, 3, S, S]`` -> embeddings float32 ``[N, D]``.
        bundle: Where it came from, if that was a bundle.
        network: Makes a new copy of the encoder in torch, float32, on the CPU and in evaluation
            mode; None where the weights are not torch's.
    """

    identity: Identity
    spec: PreprocessingSpec
    run: Callable[[NDArray[np.float32]], Embeddings]
    bundle: Bundle | None = None
    network: Callable[[], VisionTransformer] | None = None

    def embed(self, films: Sequence[Film]) -> Embeddings:
        """Read, prepare and encode films; see :class:`Encoder`."""
        parts = [self.run(normalise(batch, self.spec)) for batch in _batches(films, self.spec)]
        embeddings = np.concatenate(parts).astype(np.float32, copy=False)
        if not np.isfinite(embeddings).all():
            raise EvaluationError("The encoder returned a number that is not finite.")
        return embeddings


def identity_of(
    name: str,
    kind: Kind,
    sha256: str,
    spec: PreprocessingSpec,
    *,
    engine: str,
    description: str = "",
    provenance: Provenance | None = None,
) -> Identity:
    """The identity of a local encoder."""
    return Identity(
        name=name,
        kind=kind,
        sha256=sha256,
        preprocessing_sha256=preprocessing_sha256(spec),
        engine=engine,
        description=description or (provenance.initialisation if provenance else ""),
        provenance=provenance,
    )


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def as_radiograph(film: Film) -> Radiograph:
    """Read a film where that is needed.

    Raises:
        EvaluationError: It cannot be read; says why, and which by its hash, never by its name.
    """
    if isinstance(film, Radiograph):
        return film
    try:
        return read(film)
    except InputError as error:
        raise unusable(film, error.code) from error


def unusable(film: Film, code: str) -> EvaluationError:
    """The error that names a film by its hash, because file names may hold patient data."""
    digest = file_sha256(film) if isinstance(film, Path) else "of a picture in memory"
    return EvaluationError(f"The film with sha256 {digest} cannot be used: {code}.")


def _batches(films: Sequence[Film], spec: PreprocessingSpec) -> Iterator[NDArray[np.float32]]:
    with ThreadPoolExecutor(READING_THREADS) as pool:
        pictures = iter(pool.map(partial(_pixels, spec=spec), films))
        while batch := list(islice(pictures, BATCH)):
            yield np.stack(batch)


def _pixels(film: Film, spec: PreprocessingSpec) -> NDArray[np.float32]:
    return prepare(as_radiograph(film), spec).pixels
