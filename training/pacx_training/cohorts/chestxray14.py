"""NIH ChestX-ray14 (Wang et al., CVPR 2017), all of it, as the NIH publishes it.

::

    Data_Entry_2017_v2020.csv   Image Index, Finding Labels (joined by |), Patient ID, ...
    train_val_list.txt, test_list.txt
    images/<Image Index>, or images_001/images/<Image Index> to images_012/images/...
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import (
    FIRST_ROW,
    Cohort,
    check_columns,
    read_table,
    refuse_shared_patients,
    words,
)
from pacx_training.cohorts.nih import FINDINGS
from pacx_training.cohorts.splits import split_by_patient

LISTS = ("train_val_list.txt", "test_list.txt")
TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
NO_FINDING = "No Finding"


def read_chestxray14(folder: Path) -> Cohort:
    """Read the films with their fourteen text-mined findings.

    Args:
        folder: Holds the table, the two lists and the images.

    Returns:
        The published test list as ``test``; a tenth of the other patients as ``val``. Labels in
        the order of ``FINDINGS``.

    Raises:
        CohortError: Names the table or list, the row and what is wrong with it.
    """
    name = next((name for name in TABLES if (folder / name).is_file()), TABLES[0])
    table = read_table(folder / name)
    check_columns(table, ["Image Index", "Finding Labels", "Patient ID"], name)
    patients = np.array(words(table, "Patient ID", name), dtype=np.str_)
    splits = _splits(folder, table["Image Index"].tolist(), patients, name)
    refuse_shared_patients(patients, splits, name)
    return Cohort(
        name="chestxray14",
        paths=_films(folder, table["Image Index"].tolist(), name),
        patients=patients,
        splits=splits,
        label_names=FINDINGS,
        labels=_labels(table["Finding Labels"], name),
        weights=np.ones(len(table)),
    )


def _labels(column: pd.Series[str], name: str) -> NDArray[np.float32]:
    found = [set(cell.split("|")) for cell in column.tolist()]
    for row, findings in enumerate(found):
        if findings - {NO_FINDING, *FINDINGS}:
            raise CohortError(f"{name}, row {row + 2}: Finding Labels holds an unknown finding.")
    return np.array(
        [[finding in findings for finding in FINDINGS] for findings in found], dtype=np.float32
    )


def _splits(
    folder: Path, images: list[str], patients: NDArray[np.str_], name: str
) -> NDArray[np.str_]:
    train, test = (set(_lines(folder / file)) for file in LISTS)
    own = split_by_patient(patients, test_share=0)
    splits = []
    for row, image in enumerate(images):
        if (image in train) == (image in test):
            lists = "both lists" if image in test else "neither list"
            raise CohortError(f"{name}, row {row + FIRST_ROW}: the film is in {lists}.")
        splits.append("test" if image in test else own[row])
    return np.array(splits, dtype=np.str_)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8-sig").split()
    except OSError as error:
        raise CohortError(f"{path.name} is missing.") from error


def _films(folder: Path, images: list[str], name: str) -> tuple[Path, ...]:
    folders = [folder / "images", *sorted(folder.glob("images_*/images"))]
    places = {path.name: path for place in folders if place.is_dir() for path in place.iterdir()}
    for row, image in enumerate(images):
        if image not in places:
            raise CohortError(f"{name}, row {row + 2}: the image file is missing.")
    return tuple(places[image] for image in images)
