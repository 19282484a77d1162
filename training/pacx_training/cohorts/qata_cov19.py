"""QaTa-COV19-v2 (Degerli et al., ICIP 2022): films of COVID-19 with masks of the infection.

::

    Train Set/Images/<name>.png, Train Set/Ground-truths/mask_<name>.png
    Test Set/Images/<name>.png,  Test Set/Ground-truths/mask_<name>.png

No patients are published, and a warning says so. The control group that the paper's classification
needs is not part of this release.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import IMAGE_SUFFIXES, Cohort
from pacx_training.cohorts.masked import MaskedCohort, paired_masks
from pacx_training.cohorts.splits import own_patients, split_by_patient


def read_qata(folder: Path) -> MaskedCohort:
    """Read films and masks; a tenth of the published training films becomes ``val``.

    Args:
        folder: Holds ``Train Set`` and ``Test Set``.

    Raises:
        CohortError: Names the folder that is missing or empty, or the film without a mask.
    """
    train, test = _films(folder / "Train Set"), _films(folder / "Test Set")
    names = np.array([path.name for path in train], dtype=np.str_)
    films = train + test
    cohort = Cohort(
        name="qata-cov19",
        paths=films,
        patients=own_patients(len(films), "QaTa-COV19"),
        splits=np.concatenate([split_by_patient(names, test_share=0), np.full(len(test), "test")]),
        label_names=(),
        labels=np.empty((len(films), 0), np.float32),
        weights=np.ones(len(films)),
    )
    masks = [
        paired_masks(found, folder / part / "Ground-truths", "mask_")
        for part, found in (("Train Set", train), ("Test Set", test))
    ]
    return MaskedCohort(cohort, masks[0] + masks[1], "infection")


def _films(folder: Path) -> tuple[Path, ...]:
    images = folder / "Images"
    found = sorted(images.iterdir()) if images.is_dir() else []
    films = tuple(path for path in found if path.suffix.lower() in IMAGE_SUFFIXES)
    if not films:
        raise CohortError(f"The folder {folder.name}/Images holds no films.")
    return films
