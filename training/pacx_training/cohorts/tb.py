"""Tuberculosis: the TB Chest Radiography Database (Rahman et al., IEEE Access 2020).

::

    Normal/Normal-1.png ...
    Tuberculosis/Tuberculosis-1.png ...

The paper says only *TB*; that it means this data set is an assumption. It has neither splits nor
patients: ours go by film, and a warning says so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pacx_training.cohorts.class_folders import read_class_folders
from pacx_training.cohorts.manifest import Cohort
from pacx_training.cohorts.splits import own_patients, split_by_patient

CLASSES = ("Normal", "Tuberculosis")


def read_tb(folder: Path) -> Cohort:
    """Read the films with one label, ``Tuberculosis``.

    Args:
        folder: Holds ``Normal`` and ``Tuberculosis``.

    Raises:
        CohortError: Names the folder that is missing, empty or unknown.
    """
    films = read_class_folders(folder, CLASSES)
    names = np.array([path.name for path in films.paths], dtype=np.str_)
    return Cohort(
        name="tb",
        paths=films.paths,
        patients=own_patients(len(names), "The TB database"),
        splits=split_by_patient(names),
        label_names=CLASSES[1:],
        labels=films.labels[:, 1:],
        weights=np.ones(len(names)),
    )
