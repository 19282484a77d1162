"""ChestX6: six classes that exclude each other.

::

    train/<class>/*, val/<class>/*, test/<class>/*

Class names are those of the authors' code; that the splits are folders of these names could not be
confirmed on the data itself. No patients are published, and a warning says so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pacx_training.cohorts.class_folders import read_class_folders
from pacx_training.cohorts.manifest import Cohort
from pacx_training.cohorts.splits import own_patients

CLASSES = (
    "Covid-19",
    "Emphysema",
    "Normal",
    "Pneumonia-Bacterial",
    "Pneumonia-Viral",
    "Tuberculosis",
)
SPLITS = ("train", "val", "test")


def read_chestx6(folder: Path) -> Cohort:
    """Read the films, one label a class.

    Args:
        folder: Holds ``train``, ``val`` and ``test``.

    Raises:
        CohortError: Names the folder that is missing, empty or unknown.
    """
    parts = [read_class_folders(folder / split, CLASSES) for split in SPLITS]
    paths = tuple(path for part in parts for path in part.paths)
    return Cohort(
        name="chestx6",
        paths=paths,
        patients=own_patients(len(paths), "ChestX6"),
        splits=np.repeat(np.array(SPLITS, dtype=np.str_), [len(part.paths) for part in parts]),
        label_names=CLASSES,
        labels=np.concatenate([part.labels for part in parts]),
        weights=np.ones(len(paths)),
    )
