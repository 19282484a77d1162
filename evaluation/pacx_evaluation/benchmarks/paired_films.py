"""Films of a cohort in Symile-MIMIC's layout as files, as encoders of all kinds want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pacx.preprocessing import PreprocessingSpec
from pacx_training.cohorts.manifest import Cohort
from pacx_training.cohorts.symile_mimic import SymileSplit

FILMS = "films"
PERCENTILES = "laboratory percentiles"
"""Name of what is paired with films."""
_WHITE = 255


def film_cohort(
    name: str,
    folder: Path,
    splits: Sequence[SymileSplit],
    labels: Mapping[str, NDArray[np.float32]],
) -> Cohort:
    """The films of some splits, which are written once as PNG into the cohort's folder.

    Args:
        name: Of the benchmark.
        folder: Of the cohort.
        splits: In the order of the films.
        labels: By name, a number a film.

    Raises:
        CohortError: A film is damaged.
    """
    paths = [path for split in splits for path in _film_files(folder, split)]
    return Cohort(
        name=name,
        paths=tuple(paths),
        patients=np.concatenate([split.patients for split in splits]).astype(np.str_),
        splits=np.repeat([split.name for split in splits], [len(split) for split in splits]),
        label_names=tuple(labels),
        labels=np.array([*labels.values()], np.float32).reshape(len(labels), len(paths)).T,
        weights=np.ones(len(paths)),
    )


def percentiles(splits: Sequence[SymileSplit]) -> NDArray[np.float32]:
    """Laboratory percentiles of the films of some splits, float32 ``[N, 50]``."""
    return np.concatenate([split.percentiles for split in splits])


def _film_files(folder: Path, split: SymileSplit) -> list[Path]:
    (folder / FILMS).mkdir(exist_ok=True)
    paths = [folder / FILMS / f"{admission}.png" for admission in split.admissions.tolist()]
    for index, path in enumerate(paths):
        if not path.is_file():
            Image.fromarray(_grey(split.film(index))).save(path)
    return paths


def _grey(film: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The first channel of a normalised film ``[3, S, S]`` as eight bits."""
    spec = PreprocessingSpec()
    levels = film[0] * spec.std[0] + spec.mean[0]
    eight: NDArray[np.uint8] = np.rint(np.clip(levels, 0, 1) * _WHITE).astype(np.uint8)
    return eight
