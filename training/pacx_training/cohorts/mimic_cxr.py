"""MIMIC-CXR-JPG 2.x (Johnson et al., PhysioNet), as published; tables may be gzipped.

::

    mimic-cxr-2.0.0-metadata.csv.gz   dicom_id, subject_id, study_id, ViewPosition, ...
    mimic-cxr-2.0.0-split.csv.gz      dicom_id, study_id, subject_id, split
    mimic-cxr-2.0.0-chexpert.csv.gz   subject_id, study_id, fourteen findings
    files/p10/p10000032/s50414267/<dicom_id>.jpg
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import (
    Cohort,
    by_key,
    check_columns,
    existing,
    read_table,
    refuse_shared_patients,
)
from pacx_training.cohorts.reported_findings import REPORTED_FINDINGS, Uncertain, reported_labels

FRONTAL_VIEWS = ("AP", "PA")
_SPLITS = {"train": "train", "validate": "val", "test": "test"}


def film_path(subject: str, study: str, dicom: str) -> str:
    """Where a film lies below the data set's folder."""
    return f"files/p{subject[:2]}/p{subject}/s{study}/{dicom}.jpg"


def read_mimic_cxr(
    folder: Path, *, uncertain: Uncertain = "unknown", views: tuple[str, ...] = FRONTAL_VIEWS
) -> Cohort:
    """Read the films of some views with their studies' findings.

    Args:
        folder: Holds the tables and ``files``.
        uncertain: What an uncertain finding becomes.
        views: Values of ``ViewPosition`` that are kept.

    Returns:
        Labels in the order of ``REPORTED_FINDINGS``; NaN for studies that have none.

    Raises:
        CohortError: Names the table, the row and what is wrong with it.
    """
    films, name = _table(folder, "metadata", ["dicom_id", "subject_id", "study_id", "ViewPosition"])
    rows = np.flatnonzero(films["ViewPosition"].isin(views).to_numpy())
    kept = films.iloc[rows]
    columns = zip(kept["subject_id"], kept["study_id"], kept["dicom_id"], strict=True)
    patients, splits = kept["subject_id"].to_numpy(dtype=np.str_), _splits(folder, kept)
    refuse_shared_patients(patients, splits, name, rows)
    return Cohort(
        name="mimic-cxr",
        paths=existing(folder, [film_path(*ids) for ids in columns], name, rows),
        patients=patients,
        splits=splits,
        label_names=REPORTED_FINDINGS,
        labels=_labels(folder, kept, uncertain),
        weights=np.ones(len(rows)),
    )


def _splits(folder: Path, films: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    table, name = _table(folder, "split", ["dicom_id", "split"])
    unknown = np.flatnonzero(~table["split"].isin(list(_SPLITS)).to_numpy())
    if len(unknown):
        raise CohortError(f"{name}, row {unknown[0] + 2}: split is none of {', '.join(_SPLITS)}.")
    named = by_key(table, "dicom_id", ["split"], name)["split"].map(_SPLITS)
    splits = named.reindex(films["dicom_id"])
    lost = np.flatnonzero(splits.isna().to_numpy())
    if len(lost):
        raise CohortError(
            f"{name}: the film of metadata row {films.index[lost[0]] + 2} is missing."
        )
    return splits.to_numpy(dtype=np.str_)


def _labels(
    folder: Path, films: pd.DataFrame, uncertain: Uncertain
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    table, name = _table(folder, "chexpert", ["study_id", *REPORTED_FINDINGS])
    labels = pd.DataFrame(reported_labels(table, name, uncertain=uncertain), table["study_id"])
    by_key(table, "study_id", list(REPORTED_FINDINGS), name)
    return labels[~labels.index.duplicated()].reindex(films["study_id"]).to_numpy(dtype=np.float32)


def _table(folder: Path, kind: str, columns: list[str]) -> tuple[pd.DataFrame, str]:
    plain = f"mimic-cxr-2.0.0-{kind}.csv"
    name = plain if (folder / plain).is_file() else f"{plain}.gz"
    table = read_table(folder / name)
    check_columns(table, columns, name)
    return table, name
