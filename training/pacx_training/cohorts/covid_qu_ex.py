"""COVID-QU-Ex (Tahir et al., Computers in Biology and Medicine 2021), as Kaggle publishes it.

::

    Lung Segmentation Data/Lung Segmentation Data/{Train,Val,Test}/{COVID-19,Non-COVID,Normal}/
        images/<name>.png, lung masks/<name>.png
    Infection Segmentation Data/Infection Segmentation Data/{Train,Val,Test}/...
        images/<name>.png, lung masks/<name>.png, infection masks/<name>.png

No patients are published, and a warning says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import Cohort
from pacx_training.cohorts.masked import MaskedCohort, paired_masks
from pacx_training.cohorts.splits import own_patients

Structure = Literal["lung", "infection"]
CLASSES = ("COVID-19", "Non-COVID", "Normal")
SPLITS = {"Train": "train", "Val": "val", "Test": "test"}


def read_covid_qu_ex(folder: Path, structure: Structure = "lung") -> MaskedCohort:
    """Read films, classes and masks of one of the two experiments.

    Args:
        folder: Holds ``Lung Segmentation Data`` and ``Infection Segmentation Data``.
        structure: Whose masks; the infection's lie with the smaller set of films.

    Returns:
        One label a class.

    Raises:
        CohortError: Names the folder that is missing or empty, or the film without a mask.
    """
    root = _root(folder, f"{structure.capitalize()} Segmentation Data")
    films: list[Path] = []
    masks: list[Path] = []
    counts: list[int] = []
    for part in SPLITS:
        for name in CLASSES:
            found = _films(root / part / name)
            films += found
            masks += paired_masks(found, root / part / name / f"{structure} masks")
            counts.append(len(found))
    classes = np.tile(np.eye(len(CLASSES), dtype=np.float32), (len(SPLITS), 1))
    splits = np.repeat(np.array(list(SPLITS.values()), dtype=np.str_), len(CLASSES))
    cohort = Cohort(
        name="covid-qu-ex",
        paths=tuple(films),
        patients=own_patients(len(films), "COVID-QU-Ex"),
        splits=np.repeat(splits, counts),
        label_names=CLASSES,
        labels=np.repeat(classes, counts, axis=0),
        weights=np.ones(len(films)),
    )
    return MaskedCohort(cohort, tuple(masks), structure)


def _root(folder: Path, name: str) -> Path:
    inner = folder / name / name
    root = inner if inner.is_dir() else folder / name
    if not root.is_dir():
        raise CohortError(f"The folder {name} is missing.")
    return root


def _films(folder: Path) -> tuple[Path, ...]:
    images = folder / "images"
    if not images.is_dir():
        raise CohortError(f"The folder {folder.parent.name}/{folder.name}/images is missing.")
    return tuple(sorted(images.glob("*.png")))
