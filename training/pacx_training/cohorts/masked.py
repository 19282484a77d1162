"""Films with masks of one structure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import Cohort


@dataclass(frozen=True, slots=True, eq=False)
class MaskedCohort:
    """A cohort for segmentation.

    Attributes:
        cohort: The films.
        masks: One file a film, white where the structure is.
        structure: Such as ``lungs`` or ``infection``.
    """

    cohort: Cohort
    masks: tuple[Path, ...]
    structure: str

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Read one mask, ``[H, W]``.

        Raises:
            CohortError: It cannot be read.
        """
        try:
            with Image.open(self.masks[index]) as picture:
                return np.asarray(picture.convert("L")) >= 128
        except OSError as error:
            raise CohortError(f"The mask of film {index} cannot be read.") from error


def paired_masks(films: tuple[Path, ...], folder: Path, prefix: str = "") -> tuple[Path, ...]:
    """The masks of films that have the same names, with a prefix, in another folder.

    Raises:
        CohortError: Names the folder and the first mask that is missing.
    """
    masks = tuple(folder / f"{prefix}{film.name}" for film in films)
    for mask in masks:
        if not mask.is_file():
            below = f"{folder.parent.name}/{folder.name}"
            raise CohortError(f"The folder {below} lacks the mask {mask.name}.")
    return masks
