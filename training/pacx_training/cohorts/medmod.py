"""MedMod: 25 phenotypes of MIMIC-IV stays, linked with films of MIMIC-CXR-JPG.

The linked table (``medmod_final.csv``) has MedMod's columns of a stay, ``phenotype_labels.csv``'s
25 columns of 0 and 1, and ``cxr_path``, written as ``p10/10000032/s50414267/<dicom_id>.jpg``: the
``p`` before the subject is missing there and is put back here. Where the table was cut to the
phenotypes, the path still says whose film it is.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import (
    Cohort,
    by_key,
    check_columns,
    existing,
    numbers,
    read_table,
    words,
)
from pacx_training.cohorts.splits import split_by_patient

PHENOTYPES = (
    "Acute and unspecified renal failure",
    "Acute cerebrovascular disease",
    "Acute myocardial infarction",
    "Cardiac dysrhythmias",
    "Chronic kidney disease",
    "Chronic obstructive pulmonary disease and bronchiectasis",
    "Complications of surgical procedures or medical care",
    "Conduction disorders",
    "Congestive heart failure; nonhypertensive",
    "Coronary atherosclerosis and other heart disease",
    "Diabetes mellitus with complications",
    "Diabetes mellitus without complication",
    "Disorders of lipid metabolism",
    "Essential hypertension",
    "Fluid and electrolyte disorders",
    "Gastrointestinal hemorrhage",
    "Hypertension with complications and secondary hypertension",
    "Other liver diseases",
    "Other lower respiratory disease",
    "Other upper respiratory disease",
    "Pleurisy; pneumothorax; pulmonary collapse",
    "Pneumonia (except that caused by tuberculosis or sexually transmitted disease)",
    "Respiratory failure; insufficiency; arrest (adult)",
    "Septicemia (except in labor)",
    "Shock",
)
"""As the MIMIC-III benchmark names them (Harutyunyan et al., Scientific Data 2019)."""
TABLE = "medmod_final.csv"
_PATH = re.compile(r"^(p\d{2})/p?(\d+)/(s\d+)/([^/]+\.jpg)$")


def read_medmod(table: Path, films: Path, *, patients: Path | None = None) -> Cohort:
    """Read the linked stays.

    Args:
        table: ``medmod_final.csv``.
        films: ``files`` of MIMIC-CXR-JPG.
        patients: CSV with ``hadm_id`` and ``subject_id``, for tables whose paths name others.

    Returns:
        Labels in the order of ``PHENOTYPES``; our own splits, by patient.

    Raises:
        CohortError: Names the table, the row and what is wrong with it.
    """
    stays, name = read_table(table), table.name
    check_columns(stays, ["cxr_path", *PHENOTYPES], name)
    places = [_place(path, row, name) for row, path in enumerate(stays["cxr_path"].tolist())]
    paths = [f"{group}/p{subject}/{study}/{film}" for group, subject, study, film in places]
    owners = _patients(stays, name, patients, [subject for _, subject, *_ in places])
    return Cohort(
        name="medmod",
        paths=existing(films, paths, name),
        patients=owners,
        splits=split_by_patient(owners),
        label_names=PHENOTYPES,
        labels=_labels(stays, name),
        weights=np.ones(len(stays)),
    )


def _place(path: str, row: int, name: str) -> tuple[str, ...]:
    """Group, subject, study and film of a path."""
    match = _PATH.match(path)
    if match is None:
        raise CohortError(
            f"{name}, row {row + 2}: cxr_path is not <group>/<subject>/<study>/<film>."
        )
    return match.groups()


def _labels(stays: pd.DataFrame, name: str) -> NDArray[np.float32]:
    labels = np.stack([numbers(stays, column, name) for column in PHENOTYPES], axis=1)
    rows, columns = np.nonzero(~np.isin(labels, (0, 1)))
    if len(rows):
        phenotype = PHENOTYPES[columns[0]]
        raise CohortError(f"{name}, row {rows[0] + 2}: {phenotype} is neither 0 nor 1.")
    return labels


def _patients(
    stays: pd.DataFrame, name: str, table: Path | None, of_paths: list[str]
) -> NDArray[np.str_]:
    if table is None:
        own = words(stays, "subject_id", name) if "subject_id" in stays else of_paths
        return np.array(own, dtype=np.str_)
    check_columns(stays, ["hadm_id"], name)
    known = read_table(table)
    check_columns(known, ["hadm_id", "subject_id"], table.name)
    subjects = by_key(known, "hadm_id", ["subject_id"], table.name)["subject_id"]
    owners = subjects.reindex(stays["hadm_id"])
    lost = np.flatnonzero(owners.isna().to_numpy())
    if len(lost):
        raise CohortError(f"{name}, row {lost[0] + 2}: hadm_id is not in {table.name}.")
    return owners.to_numpy(dtype=np.str_)
