"""Whether a picture is unlike the chest films that a model learnt from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pacx.bundle import HEADS, Bundle
from pacx.errors import BundleError

MEAN, WHITENING = "novelty.mean", "novelty.whitening"
"""Tensors of ``heads.safetensors``: float32 ``[D]`` and ``[D, D]``."""

Matrix = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Novelty:
    """Mahalanobis distance of an embedding from those of chest films (Lee et al. 2018).

    Attributes:
        mean: float32 ``[D]``, of the films' embeddings.
        whitening: float32 or float64 ``[D, D]``; its product with its transpose is their precision.
        threshold: The distance that a stated share of chest films exceeds.
    """

    mean: NDArray[np.float32]
    whitening: Matrix
    threshold: float

    def score(self, embedding: NDArray[np.float32]) -> float:
        """Distance of one embedding ``[D]`` in units of the threshold: above 1 is unlike."""
        return distance(embedding[np.newaxis], self.mean, self.whitening).item() / self.threshold


def distance(
    embeddings: NDArray[np.float32], mean: NDArray[np.float32], whitening: Matrix
) -> NDArray[np.float64]:
    """Mahalanobis distance of embeddings ``[N, D]``, float64 ``[N]``; computed as whitening is."""
    away = np.matmul(embeddings - mean, whitening)
    return np.asarray(np.linalg.norm(away, axis=1), dtype=np.float64)


def read_novelty(bundle: Bundle) -> Novelty | None:
    """Read what a bundle knows about chest films; None where it knows nothing.

    Raises:
        BundleError: Tensors are missing or have the wrong shape.
    """
    spec, width = bundle.manifest.novelty, bundle.manifest.encoder.embedding_dimension
    if spec is None:
        return None
    tensors = load_file(bundle.path(HEADS))
    shapes = {name: tensors[name].shape for name in (MEAN, WHITENING) if name in tensors}
    if shapes != {MEAN: (width,), WHITENING: (width, width)}:
        raise BundleError(f"{HEADS}: what the manifest says about novelty is not there.")
    return Novelty(mean=tensors[MEAN], whitening=tensors[WHITENING], threshold=spec.threshold)
