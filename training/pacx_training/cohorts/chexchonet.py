"""CheXchoNet 1.0.0 (Bhave et al., European Heart Journal 2024), as PhysioNet publishes it.

::

    metadata.csv     patient_id, cxr_filename, age, sex, slvh, dlv, composite_slvh_dlv,
                     heart_transplant, lung_transplant, pacemaker_or_icd, ivsd, lvidd, lvpwd, ...
    images/<cxr_filename>

The data set has no splits; ours are by patient.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import (
    Cohort,
    check_columns,
    existing,
    numbers,
    read_table,
    words,
)
from pacx_training.cohorts.splits import split_by_patient

ECHO_FINDINGS = ("slvh", "dlv", "composite_slvh_dlv")
"""Severe left ventricular hypertrophy, dilated left ventricle, either of them."""
MEASUREMENTS = ("ivsd", "lvidd", "lvpwd")
"""Septum, inner diameter and posterior wall of the left ventricle in diastole, cm."""


def read_chexchonet(folder: Path) -> Cohort:
    """Read the films with what the echocardiogram found.

    Args:
        folder: Holds ``metadata.csv`` and ``images``.

    Returns:
        Labels: ``ECHO_FINDINGS``, then ``MEASUREMENTS``.

    Raises:
        CohortError: Names the row and what is wrong with it.
    """
    name = "metadata.csv"
    table = read_table(folder / name)
    names = ECHO_FINDINGS + MEASUREMENTS
    check_columns(table, ["patient_id", "cxr_filename", *names], name)
    labels = np.stack([numbers(table, column, name) for column in names], axis=1)
    _check_binary(labels[:, : len(ECHO_FINDINGS)], name)
    patients = np.array(words(table, "patient_id", name), dtype=np.str_)
    return Cohort(
        name="chexchonet",
        paths=existing(folder / "images", words(table, "cxr_filename", name), name),
        patients=patients,
        splits=split_by_patient(patients),
        label_names=names,
        labels=labels,
        weights=np.ones(len(table)),
    )


def _check_binary(labels: np.ndarray[tuple[int, ...], np.dtype[np.float32]], name: str) -> None:
    rows, columns = np.nonzero(~np.isin(labels, (0, 1)))
    if len(rows):
        finding = ECHO_FINDINGS[columns[0]]
        raise CohortError(f"{name}, row {rows[0] + 2}: {finding} is neither 0 nor 1.")
