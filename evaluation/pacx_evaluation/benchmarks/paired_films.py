"""Films of a cohort in Symile-MIMIC's layout as files, as encoders of all kinds want them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pacx.preprocessing import PreprocessingSpec
from pacx_training.cohorts.symile_mimic import SymileSplit

FILMS = "films"
_WHITE = 255


def film_files(folder: Path, split: SymileSplit) -> list[Path]:
    """Paths of a split's films, which are written once as PNG into the cohort's folder.

    Raises:
        CohortError: A film is damaged.
    """
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
