"""CheXpert (Irvin et al., AAAI 2019), the large release or the small one, as published.

::

    CheXpert-v1.0[-small]/
    ├── train.csv, valid.csv     Path, Sex, Age, Frontal/Lateral, AP/PA, fourteen findings
    ├── train/patient00001/study1/view1_frontal.jpg
    └── valid/patient64541/study1/view1_frontal.jpg
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import (
    FIRST_ROW,
    Cohort,
    check_columns,
    existing,
    read_table,
)
from pacx_training.cohorts.reported_findings import REPORTED_FINDINGS, Uncertain, reported_labels

_PATH = re.compile(r"^(?:.*/)?((?:train|valid)/(patient\d+)/study\d+/[^/]+)$")
_TABLES = {"train": "train.csv", "val": "valid.csv"}


def read_chexpert(
    folder: Path, *, uncertain: Uncertain = "unknown", frontal_only: bool = True
) -> Cohort:
    """Read the films of both splits.

    Args:
        folder: Holds ``train.csv`` and ``valid.csv``.
        uncertain: What an uncertain finding becomes.
        frontal_only: Leave out lateral views.

    Returns:
        Labels in the order of ``REPORTED_FINDINGS``.

    Raises:
        CohortError: Names the table, the row and what is wrong with it.
    """
    read = partial(_read, folder, uncertain=uncertain, frontal_only=frontal_only)
    train = read("train")
    parts = (train, read("val", taken=train.patients))
    return Cohort(
        name="chexpert",
        paths=tuple(path for part in parts for path in part.paths),
        patients=np.concatenate([part.patients for part in parts]),
        splits=np.concatenate([part.splits for part in parts]),
        label_names=REPORTED_FINDINGS,
        labels=np.concatenate([part.labels for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
    )


def _read(
    folder: Path,
    split: str,
    *,
    uncertain: Uncertain,
    frontal_only: bool,
    taken: Sequence[str] | NDArray[np.str_] = (),
) -> Cohort:
    """Read one table, in which no patient may be that is ``taken`` already."""
    name = _TABLES[split]
    table = read_table(folder / name)
    check_columns(table, ["Path", "Frontal/Lateral", *REPORTED_FINDINGS], name)
    found = [_parsed(path, row, name) for row, path in enumerate(table["Path"].tolist())]
    kept = _frontal(table) if frontal_only else np.ones(len(table), np.bool_)
    rows = np.flatnonzero(kept)
    patients = np.array([found[row][1] for row in rows], dtype=np.str_)
    torn = rows[np.isin(patients, taken)]
    if len(torn):
        first = _TABLES["train"]
        raise CohortError(f"{name}, row {torn[0] + FIRST_ROW}: its patient is in {first} too.")
    return Cohort(
        name="chexpert",
        paths=existing(folder, [found[row][0] for row in rows], name, rows),
        patients=patients,
        splits=np.full(len(rows), split),
        label_names=REPORTED_FINDINGS,
        labels=reported_labels(table, name, uncertain=uncertain)[rows],
        weights=np.ones(len(rows)),
    )


def _frontal(table: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(table["Frontal/Lateral"].to_numpy(dtype=np.str_) == "Frontal")


def _parsed(path: str, row: int, name: str) -> tuple[str, str]:
    match = _PATH.match(path)
    if match is None:
        raise CohortError(
            f"{name}, row {row + FIRST_ROW}: Path is not <split>/<patient>/<study>/<view>."
        )
    return match[1], match[2]
