"""Logits and embeddings of many films from a bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pacx.model import Model
from pacx_evaluation.subjects.encoder import BATCH, Embeddings, as_radiograph


def predict_films(
    model: Model, paths: Sequence[Path], progress: Callable[[int], object] = int
) -> tuple[Embeddings, NDArray[np.float64]]:
    """Embeddings float32 ``[N, D]`` and logits float64 ``[N, C]`` of N >= 1 films.

    Args:
        model: A bundle on an engine.
        paths: The films.
        progress: Told the number of films done since the last call.

    Raises:
        EvaluationError: A film cannot be used.
    """
    embeddings, logits = [], []
    for part in _batched(paths):
        pixels = np.stack([model.prepare(as_radiograph(path)).pixels for path in part])
        outputs = model.run(pixels)
        embeddings.append(outputs.embedding)
        logits.append(outputs.logits.astype(np.float64))
        progress(len(part))
    return np.concatenate(embeddings), np.concatenate(logits)


def _batched(paths: Sequence[Path]) -> list[Sequence[Path]]:
    return [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
