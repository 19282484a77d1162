"""NIH ChestX-ray14 (Wang et al., CVPR 2017), as a folder of images with ``labels.csv``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.manifest import Source
from pacx_training.cohorts.manifest import (
    Cohort,
    check_columns,
    existing,
    numbers,
    patients_and_splits,
    read_table,
    words,
)

FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia",
    "Pneumothorax", "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening",
    "Hernia",
)  # fmt: skip
READ_OUTS = ("view_ap", "sex_male", "age_years")
ADULT_AGE_YEARS = 18

_LICENCE = "NIH Clinical Center: no restriction on use; cite, link and credit"
_CITATION = (
    "Wang X et al. ChestX-ray8: Hospital-scale chest X-ray database and benchmarks. CVPR 2017. "
    "https://nihcc.app.box.com/v/ChestXray-NIHCC"
)


def read_nih(folder: Path, *, adults_only: bool = True) -> Cohort:
    """Read the films with their 14 findings and three read-outs.

    Args:
        folder: Holds ``labels.csv`` (``image``, ``patient_id``, ``age``, ``sex``, ``view``,
            ``split`` and a column of 0 and 1 per finding) and the images.
        adults_only: Leave out films of people under 18.

    Returns:
        Labels in the order of ``FINDINGS``, then ``READ_OUTS``.

    Raises:
        CohortError: Names the row and column that are wrong.
    """
    table, name = read_table(folder / "labels.csv"), "labels.csv"
    check_columns(table, ["image", "patient_id", "age", "sex", "view", "split", *FINDINGS], name)
    age = numbers(table, "age", name)
    patients, splits = patients_and_splits(
        table.assign(patient=words(table, "patient_id", name)), name
    )
    columns = [numbers(table, finding, name) for finding in FINDINGS]
    columns += [_equals(table, "view", "AP"), _equals(table, "sex", "M"), age]
    cohort = Cohort(
        name="nih",
        paths=existing(folder, table["image"].tolist(), name),
        patients=patients,
        splits=splits,
        label_names=FINDINGS + READ_OUTS,
        labels=np.stack(columns, axis=1),
        weights=np.ones(len(table)),
    )
    return cohort.select(age >= ADULT_AGE_YEARS) if adults_only else cohort


def _equals(table: pd.DataFrame, column: str, value: str) -> NDArray[np.float32]:
    matches = table[column].to_numpy(dtype=np.str_) == value
    return np.asarray(matches, dtype=np.float32)


def source(cohort: Cohort, use: str) -> Source:
    """The entry of a model's provenance for the films that were used."""
    return Source(
        name="NIH ChestX-ray14",
        use=use,
        films=len(cohort),
        patients=len(set(cohort.patients.tolist())),
        licence=_LICENCE,
        citation=_CITATION,
    )
