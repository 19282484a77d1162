"""When a picture is unlike chest films: fitted on embeddings, with a stated false-alarm rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from sklearn.covariance import LedoitWolf
from sklearn.model_selection import GroupKFold

from pacx.errors import CheckpointError, CohortError
from pacx.manifest import NoveltySpec
from pacx.novelty import MEAN, WHITENING, distance
from pacx_training.atomic import write_atomically
from pacx_training.runs import RunDirectory

FALSE_ALARM_RATE = 0.01
FOLDS = 5

Embeddings = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FittedNovelty:
    """What a run knows about chest films.

    Attributes:
        spec: For the manifest.
        mean: float32 ``[D]``.
        whitening: float32 ``[D, D]``.
    """

    spec: NoveltySpec
    mean: Embeddings
    whitening: Embeddings


def fit_novelty(
    embeddings: Embeddings, patients: NDArray[np.str_], *, rate: float = FALSE_ALARM_RATE
) -> FittedNovelty:
    """Fit the distance on chest films, and its threshold on films of patients left out.

    Args:
        embeddings: ``[N, D]``.
        patients: str ``[N]``; a patient's films share a fold.
        rate: Share of left-out chest films that lie beyond the threshold.

    Raises:
        CohortError: There are fewer patients than folds.
    """
    if len(np.unique(patients)) < FOLDS:
        raise CohortError(f"Novelty is fitted on the films of {FOLDS} patients or more.")
    distances = np.empty(len(embeddings))
    for fitted, held in GroupKFold(FOLDS).split(embeddings, groups=patients):
        distances[held] = distance(embeddings[held], *_fit(embeddings[fitted]))
    mean, whitening = _fit(embeddings)
    spec = NoveltySpec(
        threshold=float(np.quantile(distances, 1 - rate)),
        false_alarm_rate=rate,
        films=len(embeddings),
    )
    return FittedNovelty(spec=spec, mean=mean, whitening=whitening)


def save_novelty(run: RunDirectory, novelty: FittedNovelty) -> None:
    """Write ``novelty.safetensors`` and ``novelty.json`` into a run."""
    tensors = {MEAN: novelty.mean, WHITENING: novelty.whitening}
    write_atomically(run.path / "novelty.safetensors", save(tensors))
    content = novelty.spec.model_dump_json(indent=2).encode() + b"\n"
    write_atomically(run.path / "novelty.json", content)


def load_novelty(run: RunDirectory) -> FittedNovelty | None:
    """Read a run's novelty; None where it was not fitted.

    Raises:
        CheckpointError: The two files are damaged or do not agree.
    """
    if not (run.path / "novelty.json").is_file():
        return None
    try:
        spec = NoveltySpec.model_validate_json((run.path / "novelty.json").read_bytes())
        tensors = load_file(run.path / "novelty.safetensors")
        return FittedNovelty(spec=spec, mean=tensors[MEAN], whitening=tensors[WHITENING])
    except (OSError, KeyError, SafetensorError, ValidationError) as error:
        raise CheckpointError("novelty.json and novelty.safetensors do not agree.") from error


def _fit(embeddings: Embeddings) -> tuple[Embeddings, Embeddings]:
    """Mean and a square root of the precision, shrunk as Ledoit and Wolf (2004) do."""
    shrunk = LedoitWolf().fit(embeddings.astype(np.float64))
    whitening = np.linalg.cholesky(shrunk.precision_)
    return shrunk.location_.astype(np.float32), whitening.astype(np.float32)
