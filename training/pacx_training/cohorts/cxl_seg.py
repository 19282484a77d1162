"""CXLSeg 1.0.0 (Nimalsiri et al., PhysioNet): lung masks on films of MIMIC-CXR-JPG.

::

    CXLSeg-segmented.csv   dicom_id, subject_id, study_id, DicomPath of the segmented film
    CXLSeg-mask.csv        dicom_id, subject_id, study_id, DicomPath of the mask
    CXLSeg-split.csv       dicom_id, subject_id, study_id, split: train, validate, test

The original films are MIMIC-CXR-JPG's. Column names are those that the data set's own code uses.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import (
    Cohort,
    by_key,
    check_columns,
    existing,
    read_table,
    refuse_shared_patients,
)
from pacx_training.cohorts.masked import MaskedCohort
from pacx_training.cohorts.mimic_cxr import film_path

_SPLITS = {"train": "train", "validate": "val", "val": "val", "test": "test"}
_KEYS = ["dicom_id", "subject_id", "study_id"]
MASKS, _SPLIT = "CXLSeg-mask.csv", "CXLSeg-split.csv"


def read_cxl_seg(folder: Path, films: Path) -> MaskedCohort:
    """Read original films with masks of both lungs.

    Args:
        folder: Holds the tables and what their ``DicomPath`` is relative to.
        films: MIMIC-CXR-JPG's folder, the one that holds ``files``.

    Raises:
        CohortError: Names the table, the row and what is wrong with it.
    """
    masks, splits = read_table(folder / MASKS), read_table(folder / _SPLIT)
    check_columns(masks, [*_KEYS, "DicomPath"], MASKS)
    check_columns(splits, ["dicom_id", "split"], _SPLIT)
    unknown = np.flatnonzero(~splits["split"].isin(list(_SPLITS)).to_numpy())
    if len(unknown):
        raise CohortError(f"{_SPLIT}, row {unknown[0] + 2}: split is unknown.")
    named = by_key(splits, "dicom_id", ["split"], _SPLIT)["split"].map(_SPLITS)
    assigned = named.reindex(masks["dicom_id"])
    lost = np.flatnonzero(assigned.isna().to_numpy())
    if len(lost):
        raise CohortError(f"{MASKS}, row {lost[0] + 2}: the film is not in {_SPLIT}.")
    patients, found = masks["subject_id"].to_numpy(np.str_), assigned.to_numpy(np.str_)
    refuse_shared_patients(patients, found, MASKS)
    ids = zip(masks["subject_id"], masks["study_id"], masks["dicom_id"], strict=True)
    cohort = Cohort(
        name="cxl-seg",
        paths=existing(films, [film_path(*columns) for columns in ids], MASKS),
        patients=patients,
        splits=found,
        label_names=(),
        labels=np.empty((len(masks), 0), np.float32),
        weights=np.ones(len(masks)),
    )
    return MaskedCohort(cohort, existing(folder, masks["DicomPath"].tolist(), MASKS), "lungs")
